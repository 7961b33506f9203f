#ifndef UVSMTP_MESSAGE_H
#define UVSMTP_MESSAGE_H

/*
 * Messages. The first half reads those that come as bytes, far enough to know their envelope and
 * to leave Bcc out; the second half builds new ones.
 */
#include "uvsmtp/address.h"
#include "uvsmtp/base.h"
#include "uvsmtp/crypto.h"
#include "uvsmtp/envelope.h"
#include "uvsmtp/source.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Raw messages -------------------------------------------------------------------------- */

/**
 * The header of a message that somebody else has written. A life of one:
 *
 *   uvsmtp_raw_new, then uvsmtp_raw_read (the message is in memory)
 *                     or uvsmtp_raw_feed … (it comes in pieces; only the header is kept)
 *   uvsmtp_raw_envelope     who sends it and who gets it
 *   uvsmtp_raw_source       the message without Bcc and Resent-Bcc,  or
 *   uvsmtp_raw_filter       the same made of another source, as that of a file
 *   uvsmtp_raw_free         after the last callback of the send
 *
 * The header ends at the first empty line; CRLF, LF and CR alone all end a line, as they do for
 * the sender, which makes them CRLF or refuses them. A leading "From " line of an mbox, or byte
 * order mark, is left out. One thread at a time.
 */
typedef struct uvsmtp_raw_s uvsmtp_raw_t;

typedef struct uvsmtp_raw_options_s {
  size_t size;             /* set by UVSMTP_RAW_OPTIONS_INIT */
  const uvsmtp_mem_t *mem; /* NULL: malloc */
  size_t max_header_bytes; /* 0: 1 MiB */
  unsigned flags;          /* bits of UVSMTP_RAW_… below */
  size_t max_held_bytes;   /* of uvsmtp_raw_filter; 0: 32 MiB */
} uvsmtp_raw_options_t;

#define UVSMTP_RAW_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_raw_options_t)

enum {
  UVSMTP_RAW_KEEP_BCC = 1,  /* Bcc and Resent-Bcc are sent as they stand */
  UVSMTP_RAW_LONG_LINES = 2 /* lines of over 998 octets too (RFC 5322 section 2.1.1), which some
                               servers cut or refuse */
};

/** Bytes of a message: `len` of them from `offset` on. */
typedef struct uvsmtp_range_s {
  uint64_t offset;
  uint64_t len;
} uvsmtp_range_t;

/**
 * Ownership  `*raw` is yours, to be given to uvsmtp_raw_free; `options` may be NULL.
 * Returns    0, UVSMTP_EINVAL, UVSMTP_EOPTIONSIZE, UVSMTP_ENOMEM                     Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_raw_new(uvsmtp_raw_t **raw, const uvsmtp_raw_options_t *options);
/** NULL is fine. The envelope's strings and the source go with it. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_raw_free(uvsmtp_raw_t *raw);

/**
 * Reads the header of a message that lies in memory as a whole.
 * Ownership  `bytes` is borrowed until uvsmtp_raw_free. Once, and instead of uvsmtp_raw_feed.
 * Returns    0; UVSMTP_EHEADER: the header is malformed or too long, uvsmtp_raw_detail names the
 *            line or field; UVSMTP_ESTATE; UVSMTP_ENOMEM
 * RFC        5322 sections 2.2, 3.6, 4.5                                             Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_raw_read(uvsmtp_raw_t *raw, const void *bytes, size_t len);

/**
 * Takes the next piece of a message. `len` 0 says that the message has come to its end.
 * Ownership  `bytes` is copied as far as it is header. `*used` (may be NULL) tells how many bytes
 *            were: those behind them belong to the body and are still yours.
 * Returns    UVSMTP_PENDING: the header goes on; 0: it is complete; else as uvsmtp_raw_read
 *                                                                                    Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_raw_feed(uvsmtp_raw_t *raw, const void *bytes, size_t len, size_t *used);

enum {
  UVSMTP_RAW_SENDER = 1,    /* from Resent-Sender or Resent-From, or else Sender or From */
  UVSMTP_RAW_RECIPIENTS = 2 /* from To, Cc and Bcc, or those of the resent block */
};

/**
 * Sets what `what` says (bits of UVSMTP_RAW_SENDER, UVSMTP_RAW_RECIPIENTS) in `envelope` and
 * leaves the rest of it alone. If the message has Resent- fields, the latest block of them counts
 * and nothing else: those from the first Resent- field on, up to one that occurs a second time or
 * a Received or Return-Path field. Every recipient comes once, in the order of the header.
 * Ownership  the strings and the recipients belong to `raw`, until the next call or
 *            uvsmtp_raw_free.
 * Returns    0; UVSMTP_EHEADER with uvsmtp_raw_detail naming the field: an address cannot be read,
 *            the field is missing, or names several senders; UVSMTP_ENORECIPIENTS; UVSMTP_ESTATE:
 *            the header is not complete; UVSMTP_ENOMEM
 * RFC        5322 sections 3.6.2, 3.6.3, 3.6.6                                       Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_raw_envelope(uvsmtp_raw_t *raw, unsigned what,
                                      uvsmtp_envelope_t *envelope);

/** Where the body starts: the byte behind the empty line. 0 before the header is complete.
 *  Since 0.1 */
UVSMTP_EXTERN uint64_t uvsmtp_raw_body_offset(const uvsmtp_raw_t *raw);

/**
 * The bytes of the message that are not to be sent, in rising order, none of them in the body.
 * Good until uvsmtp_raw_free. Since 0.1
 */
UVSMTP_EXTERN const uvsmtp_range_t *uvsmtp_raw_omitted(const uvsmtp_raw_t *raw, size_t *count);

/**
 * Makes `source` the message without the omitted bytes; nothing is copied. After uvsmtp_raw_feed
 * it is the header alone, with its empty line: the body is the caller's.
 * If the server takes no 8-bit bytes and a message that was read has some, or if that has lines of
 * over 998 octets, or parts that are not text and have Content-Transfer-Encoding: binary and bare
 * CR or LF, its parts are encoded anew where that is safe. Opening fails with UVSMTP_E8BIT
 * or UVSMTP_ELINETOOLONG and the reason in uvsmtp_raw_detail where it is not: in a header, in what
 * is signed or encrypted, or under a DKIM signature.
 * Ownership  `source` borrows `raw`.
 * Returns    0; UVSMTP_ESTATE: the header is not complete; UVSMTP_ENOMEM
 * RFC        6152 section 3                                                          Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_raw_source(uvsmtp_raw_t *raw, uvsmtp_source_t *source);

/**
 * Makes `source` the bytes of `whole` without the omitted ones; `whole` gives the very message
 * that was read or fed, from its first byte on. For a server that takes no 8-bit bytes opening looks
 * through it first; if it has such, or lines of over 998 octets, it is read into memory, up to
 * max_held_bytes, and treated as by uvsmtp_raw_source. (What can be read only once is held without a
 * look, and if it is too long for that, goes on as it stands.) For other servers it is not encoded
 * anew: reading fails with UVSMTP_ELINETOOLONG at a line of over 998 octets, and the sender treats
 * bare CR and LF of binary parts like all others: it changes or refuses them
 * (uvsmtp_connection_options_t.lines).
 * Ownership  `source` borrows `raw` and `whole`, each until the send's callback. One such source
 *            at a time, read by one reader at a time.
 * Returns    0; UVSMTP_ESTATE: the header is not complete                            Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_raw_filter(uvsmtp_raw_t *raw, uvsmtp_source_t *source,
                                    uvsmtp_source_t *whole);

/** What the last failure was about, one line; "" if there was none. Good until the next call.
 *  Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_raw_detail(const uvsmtp_raw_t *raw);

/* ---- Building messages --------------------------------------------------------------------- */

/**
 * A message that is put together: header fields, text, HTML, attachments. A life of one:
 *
 *   uvsmtp_message_new
 *   uvsmtp_message_address, _subject, _text, _html, _attach, …      in any order
 *   uvsmtp_message_envelope        sender and recipients as the header says
 *   uvsmtp_message_source          the bytes; how they are encoded is decided when the source is
 *                                  opened for a server
 *   uvsmtp_message_free            after the last callback of its sends
 *
 * The first failure of a setter is kept, and uvsmtp_message_envelope and uvsmtp_message_source
 * return it: who likes may look at those alone. uvsmtp_message_detail says which field or
 * attachment it was about. The first call of either of them completes the message; setters fail
 * with UVSMTP_ESTATE from then on.
 *
 * All text is UTF-8 (UVSMTP_ECHARSET else, with the place); CR, LF and NUL in whatever becomes a
 * header field are UVSMTP_EINJECTION. Strings are copied unless it says otherwise. One thread at a
 * time; several sources of one message may be read at once.
 */
typedef struct uvsmtp_message_s uvsmtp_message_t;

enum {
  /** Parts may go as they are, not encoded, to servers with BINARYMIME. Not by default, since a
   *  server on the way that has not got it must convert them, or cannot. */
  UVSMTP_MESSAGE_BINARY = 1,
  /** The header is written in UTF-8 (RFC 6532) to servers with SMTPUTF8, though the addresses do
   *  not ask for it. */
  UVSMTP_MESSAGE_UTF8 = 2,
  /** "{{key}}" in text, HTML, Subject, the URLs of uvsmtp_message_unsubscribe and the fields of
   *  uvsmtp_message_header stands for a value that uvsmtp_message_mark gives. */
  UVSMTP_MESSAGE_TEMPLATE = 4
};

typedef struct uvsmtp_message_options_s {
  size_t size;                   /* set by UVSMTP_MESSAGE_OPTIONS_INIT */
  const uvsmtp_mem_t *mem;       /* NULL: malloc */
  const uvsmtp_crypto_t *crypto; /* random bytes for Message-ID and boundaries, borrowed until
                                    free. NULL: a Message-ID must be given */
  const char *domain;            /* right side of a generated Message-ID; NULL: that of From */
  size_t max_header_bytes;       /* 0: 1 MiB */
  unsigned flags;                /* bits of UVSMTP_MESSAGE_… */
  const uvsmtp_files_t *files;   /* how attachments are read by their path: uvsmtp_loop_files;
                                    borrowed until free; NULL: with the C library, which blocks the
                                    loop as long as the disk takes */
  void *files_ctx;               /* its first argument: the loop that sends the message */
} uvsmtp_message_options_t;

#define UVSMTP_MESSAGE_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_message_options_t)

/**
 * Ownership  `*message` is yours, to be given to uvsmtp_message_free; `options` may be NULL.
 * Returns    0, UVSMTP_EINVAL, UVSMTP_EOPTIONSIZE, UVSMTP_ENOMEM                     Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_new(uvsmtp_message_t **message,
                                     const uvsmtp_message_options_t *options);
/** NULL is fine. Its sources and its envelope's strings go with it. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_message_free(uvsmtp_message_t *message);
/** What the first failure was about, one line; "" if there was none. Good until the next call.
 *  Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_message_detail(const uvsmtp_message_t *message);

/** The fields that hold addresses. */
typedef enum uvsmtp_field_e {
  UVSMTP_FROM = 0,
  UVSMTP_SENDER,
  UVSMTP_REPLY_TO,
  UVSMTP_TO,
  UVSMTP_CC,
  UVSMTP_BCC /* part of the envelope only, never written */
} uvsmtp_field_t;

/**
 * Adds a mailbox to a field. `name` (display name, any script) may be NULL. "postmaster" without a
 * domain is for Bcc only.
 * A domain that is not ASCII is written in A-labels if the local part is ASCII and the library was
 * built with libidn2; else the message needs SMTPUTF8.
 * Returns    0; UVSMTP_EADDRESS, UVSMTP_EINJECTION, UVSMTP_ECHARSET; UVSMTP_EHEADER: Sender holds
 *            one already; UVSMTP_ESTATE, UVSMTP_ENOMEM
 * RFC        5322 section 3.6.2, 3.6.3                                               Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_address(uvsmtp_message_t *message, uvsmtp_field_t field,
                                         const char *name, const char *address);

/**
 * Adds all mailboxes of a list as people type it ("Ann <a@host.example>, b@host.example"). In a
 * copy, "" takes away what the pattern has in this field.
 * Returns    as uvsmtp_message_address                                               Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_addresses(uvsmtp_message_t *message, uvsmtp_field_t field,
                                           const char *list);

/**
 * Begins a group: mailboxes added to the field from now on are its members, until the next group
 * or a NULL name ends it. Not for Sender.
 * Returns    as uvsmtp_message_address; UVSMTP_EINVAL
 * RFC        5322 section 3.4, 6854                                                  Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_group(uvsmtp_message_t *message, uvsmtp_field_t field,
                                       const char *name);

/** Returns 0, UVSMTP_EINJECTION, UVSMTP_ECHARSET, UVSMTP_EHEADER (too long), UVSMTP_ESTATE,
 *  UVSMTP_ENOMEM. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_message_subject(uvsmtp_message_t *message, const char *text);

/**
 * When the message was written: seconds since 1970, and how far east of Greenwich its writer was.
 * Without this call it is the time at which the message is completed, in UTC.
 * Returns    0; UVSMTP_EINVAL: a year outside 1900 to 9999, or an offset of a day; UVSMTP_ESTATE
 * RFC        5322 section 3.3                                                        Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_date(uvsmtp_message_t *message, int64_t seconds,
                                      int offset_minutes);

/**
 * Message-ID, "unique@host.example" with or without its brackets; the "@" must be there. Without
 * this call it is made of 128 random bits and the domain of From.
 * Returns    0, UVSMTP_EHEADER, UVSMTP_EINJECTION, UVSMTP_ESTATE, UVSMTP_ENOMEM
 * RFC        5322 section 3.6.4                                                      Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_id(uvsmtp_message_t *message, const char *id);
/** In-Reply-To: one id, or several with blanks between. Returns as uvsmtp_message_id. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_message_in_reply_to(uvsmtp_message_t *message, const char *ids);
/** References, the oldest first. Returns as uvsmtp_message_id. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_message_references(uvsmtp_message_t *message, const char *ids);

/**
 * Adds any other field. The value is folded at its blanks, and encoded (RFC 2047) where it is not
 * ASCII. Fields that have a function of their own, and those that the builder writes itself
 * (Content-Type, MIME-Version, …) are refused.
 * Returns    0; UVSMTP_EHEADER: no field name, a field of the builder's own, too long, or a word
 *            that no line can hold; UVSMTP_EINJECTION, UVSMTP_ECHARSET, UVSMTP_ESTATE,
 *            UVSMTP_ENOMEM
 * RFC        5322 section 2.2                                                        Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_header(uvsmtp_message_t *message, const char *name,
                                        const char *value);

/**
 * List-Unsubscribe with an https URL, a mailto URL or both (the other NULL). With `one_click`,
 * which takes an https URL, List-Unsubscribe-Post too. A second call replaces the first.
 * Returns    0, UVSMTP_EINVAL, UVSMTP_EHEADER, UVSMTP_EINJECTION, UVSMTP_ESTATE, UVSMTP_ENOMEM
 * RFC        2369 section 3.2, 8058                                                  Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_unsubscribe(uvsmtp_message_t *message, const char *https,
                                             const char *mailto, int one_click);

/**
 * The message as plain text; together with HTML it is the alternative for those who do not read
 * that. CRLF, LF and CR all end a line. `len` SIZE_MAX: up to the NUL. A second call replaces the
 * first.
 * Returns    0; UVSMTP_ECHARSET: not UTF-8, or a NUL, with the byte's number; UVSMTP_ESTATE,
 *            UVSMTP_ENOMEM                                                           Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_text(uvsmtp_message_t *message, const char *text, size_t len);
/** The message as HTML; images that it shows as "cid:…" are attachments with that content_id.
 *  Returns as uvsmtp_message_text. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_message_html(uvsmtp_message_t *message, const char *html, size_t len);
/**
 * An iCalendar object as an alternative, which calendars show as an invitation. `method` is the
 * METHOD that stands in it ("REQUEST", "REPLY", "CANCEL", …).
 * Returns    as uvsmtp_message_text; UVSMTP_EHEADER: not a method
 * RFC        6047                                                                    Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_invitation(uvsmtp_message_t *message, const char *method,
                                            const char *calendar, size_t len);

enum {
  UVSMTP_ATTACH_COPY = 1,  /* `bytes` is copied; else it is borrowed until uvsmtp_message_free */
  UVSMTP_ATTACH_INLINE = 2 /* shown where it stands, not offered for saving */
};

/** What is attached. One of `bytes`, `path` and `source` gives the content. */
typedef struct uvsmtp_attachment_s {
  size_t size;       /* set by UVSMTP_ATTACHMENT_INIT */
  const void *bytes; /* in memory */
  size_t len;
  const char *path;        /* a file, opened at once to see that it can be, and read while the
                              message is sent (uvsmtp_message_options_t.files); message/… and what
                              is no regular file, as a pipe, is read at once */
  uvsmtp_source_t *source; /* anything else; borrowed until uvsmtp_message_free, opened once with
                              each reading of the message, which fails with UVSMTP_EBUSY if there
                              are two at once; one that can be read once makes the message so */
  const char *type;        /* "image/png"; NULL: by the file's name (uvsmtp_mime_type) */
  const char *charset;     /* of text/…; NULL: UTF-8 if it is that, else unsaid */
  const char *filename;    /* NULL: the last part of `path` */
  const char *content_id;  /* what HTML calls "cid:…"; makes it inline */
  const char *description;
  unsigned flags; /* bits of UVSMTP_ATTACH_… */
} uvsmtp_attachment_t;

#define UVSMTP_ATTACHMENT_INIT UVSMTP__SIZED(uvsmtp_attachment_t)

/**
 * Attaches a file, an image for the HTML (content_id), or a whole message (message/rfc822).
 * The bytes arrive as they are; only the line ends of message/… become CRLF.
 * Returns    0; UVSMTP_ESOURCE: the file cannot be opened, with its path and the reason;
 *            UVSMTP_EINVAL: not one content; UVSMTP_EHEADER, UVSMTP_EINJECTION, UVSMTP_ECHARSET:
 *            type, charset, names; UVSMTP_ELINETOOLONG: a message with a line over 998 octets;
 *            UVSMTP_EOPTIONSIZE, UVSMTP_ESTATE, UVSMTP_ENOMEM
 * RFC        2046, 2183, 2231, 2392                                                  Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_attach(uvsmtp_message_t *message,
                                        const uvsmtp_attachment_t *attachment);

/** The MIME type that a file's name tells; "application/octet-stream" if it does not. Static
 *  memory, any thread. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_mime_type(const char *filename);

/**
 * For those who need a tree of their own: parts are made, put into one another, and one of them
 * becomes the body instead of text, HTML and attachments. They belong to the message.
 */
typedef struct uvsmtp_part_s uvsmtp_part_t;

/** A multipart ("mixed", "alternative", "related", "report", …). Returns 0, UVSMTP_EHEADER,
 *  UVSMTP_ESTATE, UVSMTP_ENOMEM. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_part_multipart(uvsmtp_message_t *message, uvsmtp_part_t **part,
                                        const char *subtype);
/** A part with content. Without a file name and ATTACH flags it has no Content-Disposition.
 *  Returns as uvsmtp_message_attach. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_part_leaf(uvsmtp_message_t *message, uvsmtp_part_t **part,
                                   const uvsmtp_attachment_t *content);
/** A text ("plain", "html", …) with line ends as in uvsmtp_message_text, whose errors it returns.
 *  Since 0.1 */
UVSMTP_EXTERN int uvsmtp_part_text(uvsmtp_message_t *message, uvsmtp_part_t **part,
                                   const char *subtype, const char *text, size_t len);
/** Puts `child` behind the other children of a multipart. Returns 0; UVSMTP_EINVAL: `parent` is
 *  none, or `child` has a place; UVSMTP_ESTATE. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_part_add(uvsmtp_part_t *parent, uvsmtp_part_t *child);
/** A parameter of Content-Type ("report-type", "delivery-status"), once each. Returns 0,
 *  UVSMTP_EHEADER, UVSMTP_EINJECTION, UVSMTP_ECHARSET, UVSMTP_ESTATE, UVSMTP_ENOMEM. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_part_param(uvsmtp_part_t *part, const char *name, const char *value);
/** A field of the part ("Content-Location", …). Returns as uvsmtp_message_header. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_part_header(uvsmtp_part_t *part, const char *name, const char *value);
/** Makes `part` the body. Returns 0; UVSMTP_EINVAL: it lies in another; UVSMTP_ESTATE. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_message_root(uvsmtp_message_t *message, uvsmtp_part_t *part);

/**
 * Makes a message like `pattern`, for another recipient. Parts are shared with it, what was found
 * out about their encoding too; every field can be set anew, which replaces what the pattern had;
 * Date and Message-ID are new ones unless set. Text cannot be changed but for its marks.
 * Ownership  `*copy` is yours, to be freed before `pattern`, which is completed by this call.
 * Returns    0; UVSMTP_EINVAL: `pattern` is a copy; what completing `pattern` returns, save that
 * marks may lack values and there may be no recipients; UVSMTP_ENOMEM Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_copy(uvsmtp_message_t **copy, uvsmtp_message_t *pattern);

/**
 * Gives "{{key}}" its value in this message; in HTML with "&", "<", ">" and quotes escaped, in URLs
 * percent-encoded, in an invitation as a TEXT of iCalendar (RFC 5545: line ends, commas, semicolons
 * and backslashes escaped), but as it stands for "{{{key}}}". A key consists of letters, digits,
 * "_", "-" and ".".
 * Returns    0; UVSMTP_EINVAL: not a key, or the message is no template; UVSMTP_ECHARSET,
 *            UVSMTP_ESTATE, UVSMTP_ENOMEM                                            Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_mark(uvsmtp_message_t *message, const char *key,
                                      const char *value);

/**
 * Sets sender (Sender, or else From), recipients (To, Cc and Bcc, each once) and, if an address
 * asks for it, UVSMTP_ENVELOPE_SMTPUTF8 in `envelope`; leaves the rest of it alone. Completes the
 * message.
 * Ownership  strings and recipients belong to `message` until it is freed.
 * Returns    0; the first failure of a setter; UVSMTP_ENORECIPIENTS; UVSMTP_EHEADER: no From, or
 *            several and no Sender; no Message-ID and no random bytes to make one; UVSMTP_EINVAL:
 *            a mark without a value; UVSMTP_EINJECTION: one with CR, LF or NUL in a field;
 *            UVSMTP_ENOMEM                                                           Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_envelope(uvsmtp_message_t *message, uvsmtp_envelope_t *envelope);

/**
 * Makes `source` the message. Completes it. Opened for a server, the source encodes every part by
 * its content and by what the server takes, in pieces of bounded size; it can be read again, and
 * knows its length, unless a source that is attached cannot or does not. An attached message that
 * is 8-bit is encoded part by part where the server takes none. Opening fails with
 * UVSMTP_EEXTENSION if an address needs SMTPUTF8, with UVSMTP_E8BIT if such a message must not be
 * encoded; reading with UVSMTP_ESOURCE if a file cannot be read or has another length than before.
 * Ownership  `source` borrows `message`.
 * Returns    as uvsmtp_message_envelope, but a message without recipients is fine    Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_message_source(uvsmtp_message_t *message, uvsmtp_source_t *source);

#ifdef __cplusplus
}
#endif
#endif
