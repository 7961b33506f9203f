#ifndef UVSMTP_PROTOCOL_H
#define UVSMTP_PROTOCOL_H

/*
 * The (E)SMTP and LMTP client state machine, without I/O: bytes of the server in, events out;
 * commands in, bytes for the server out; time as an argument. It can be driven by any loop.
 *
 *   issue commands      uvsmtp_protocol_mail(), _recipient(), … any number before a reply comes
 *   write               uvsmtp_protocol_output() gives slices, _sent() says how much has gone
 *   read                uvsmtp_protocol_feed_bytes(), then _next_event() until it gives NONE
 *   watch the clock     uvsmtp_protocol_deadline(), _expire()
 *
 * Commands wait for their replies in a queue (RFC 2920): a command is judged against the state
 * that the commands before it will lead to if all goes well, and each reply is matched to the
 * command that caused it. uvsmtp_protocol_state() is what the replies read so far have confirmed.
 * Whether a command may leave before the reply to the one before it is for the caller to decide by
 * what the server offers; the machine refuses only what no server can make sense of.
 *
 * A protocol may be used from one thread at a time. It calls no user code.
 */
#include <stdbool.h>

#include "uvsmtp/base.h"
#include "uvsmtp/envelope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- states ------------------------------------------------------------------------------ */

/* X(NAME, name): in the order in which a session goes through them. */
#define UVSMTP_STATE_MAP(X)                                                                        \
  X(GREETING_EXPECTED, "greeting_expected") /* connected; the server speaks first */               \
  X(GREETING_RECEIVED, "greeting_received") /* greeted, or TLS has begun: EHLO is due */           \
  X(AUTHENTICATING, "authenticating")       /* between AUTH and its final reply */                 \
  X(AUTHENTICATED, "authenticated")         /* logged in, no transaction yet */                    \
  X(READY, "ready")                         /* no transaction is open */                           \
  X(MAILTX, "mailtx")                       /* MAIL was accepted */                                \
  X(RECIPIENT_SENT, "recipient_sent")       /* at least one recipient was accepted */              \
  X(SEND_DATA, "send_data")                 /* 354 has come, the content is going out */           \
  X(DATA_SENT, "data_sent")                 /* the content is out, its reply is due */             \
  X(FINISHED, "finished")                   /* nothing can be sent any more */

typedef enum uvsmtp_state_e {
#define X(name, text) UVSMTP_STATE_##name,
  UVSMTP_STATE_MAP(X)
#undef X
} uvsmtp_state_t;

/** "greeting_expected" and so on. Static. Any thread. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_state_name(uvsmtp_state_t state);

/*
 * X(NAME, timeout, phrase): what can be waited for, which timeout of RFC 5321 section 4.5.3.2
 * counts, and the phrase that completes "… while".
 */
#define UVSMTP_COMMAND_MAP(X)                                                                      \
  X(GREETING, greeting_ms, "waiting for the server's greeting")                                    \
  X(EHLO, command_ms, "sending EHLO")                                                              \
  X(HELO, command_ms, "sending HELO")                                                              \
  X(LHLO, command_ms, "sending LHLO")                                                              \
  X(STARTTLS, command_ms, "sending STARTTLS")                                                      \
  X(AUTH, command_ms, "authenticating")                                                            \
  X(MAIL, command_ms, "sending MAIL FROM")                                                         \
  X(RCPT, command_ms, "sending RCPT TO")                                                           \
  X(DATA, data_ms, "sending DATA")                                                                 \
  X(DATA_END, data_end_ms, "sending end of data (the message may have been accepted)")             \
  X(BDAT, data_end_ms, "sending a chunk of data")                                                  \
  X(BDAT_LAST, data_end_ms, "sending the last chunk (the message may have been accepted)")         \
  X(RSET, command_ms, "sending RSET")                                                              \
  X(NOOP, command_ms, "sending NOOP")                                                              \
  X(QUIT, command_ms, "sending QUIT")                                                              \
  X(XCLIENT, command_ms, "sending XCLIENT")                                                        \
  X(OTHER, command_ms, "sending a command")

typedef enum uvsmtp_command_e {
#define X(name, timeout, phrase) UVSMTP_COMMAND_##name,
  UVSMTP_COMMAND_MAP(X)
#undef X
} uvsmtp_command_t;

/** "MAIL", "BDAT_LAST" and so on. Static. Any thread. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_command_name(uvsmtp_command_t command);

/** The phrase that completes "… while": "sending MAIL FROM". Static. Any thread. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_command_phrase(uvsmtp_command_t command);

/* ---- replies ----------------------------------------------------------------------------- */

/**
 * One whole reply of the server (RFC 5321 section 4.2). `raw` are its lines with codes and line
 * ends, as they came; they stay in place until the next call of uvsmtp_protocol_next_event.
 */
typedef struct uvsmtp_reply_s {
  int code;             /* 200 to 599; 0: an unsolicited line that is no reply at all */
  uint16_t enhanced[3]; /* RFC 3463: class, subject, detail; class 0: there is none */
  unsigned lines;
  uvsmtp_slice_t raw;
} uvsmtp_reply_t;

/** Walks the texts of a reply, without codes and line ends: `*at` begins at 0. Since 0.1 */
UVSMTP_EXTERN bool uvsmtp_reply_next_line(const uvsmtp_reply_t *reply, size_t *at,
                                          uvsmtp_slice_t *text);

/**
 * Writes the texts of all lines to `out`, without codes, joined by "\n", and a NUL; control and
 * DEL characters become "?" so that the text is safe on a terminal. Cut where `size` ends.
 * Returns the length written. Since 0.1
 */
UVSMTP_EXTERN size_t uvsmtp_reply_text(const uvsmtp_reply_t *reply, char *out, size_t size);

/** The class of a reply: 2, 3, 4 or 5. */
#define UVSMTP_REPLY_CLASS(reply) ((reply)->code / 100)

/* ---- capabilities ------------------------------------------------------------------------ */

/* X(NAME, keyword): the extensions that uvsmtp knows. */
#define UVSMTP_EXTENSION_MAP(X)                                                                    \
  X(PIPELINING, "PIPELINING")                     /* RFC 2920 */                                   \
  X(CHUNKING, "CHUNKING")                         /* RFC 3030 */                                   \
  X(BINARYMIME, "BINARYMIME")                     /* RFC 3030 */                                   \
  X(8BITMIME, "8BITMIME")                         /* RFC 6152 */                                   \
  X(SMTPUTF8, "SMTPUTF8")                         /* RFC 6531 */                                   \
  X(SIZE, "SIZE")                                 /* RFC 1870 */                                   \
  X(STARTTLS, "STARTTLS")                         /* RFC 3207 */                                   \
  X(AUTH, "AUTH")                                 /* RFC 4954 */                                   \
  X(ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES")   /* RFC 2034 */                                   \
  X(DSN, "DSN")                                   /* RFC 3461 */                                   \
  X(REQUIRETLS, "REQUIRETLS")                     /* RFC 8689 */                                   \
  X(DELIVERBY, "DELIVERBY")                       /* RFC 2852 */                                   \
  X(FUTURERELEASE, "FUTURERELEASE")               /* RFC 4865 */                                   \
  X(MT_PRIORITY, "MT-PRIORITY")                   /* RFC 6710 */                                   \
  X(RRVS, "RRVS")                                 /* RFC 7293 */                                   \
  X(LIMITS, "LIMITS")                             /* RFC 9422 */                                   \
  X(PRDR, "PRDR")                                 /* draft-hall-prdr */                            \
  X(XCLIENT, "XCLIENT")                           /* Postfix */                                    \
  X(XFORWARD, "XFORWARD")                         /* Postfix */                                    \
  X(VRFY, "VRFY")                                                                                  \
  X(EXPN, "EXPN")                                                                                  \
  X(HELP, "HELP")

enum {
#define X(name, keyword) UVSMTP__EXT_INDEX_##name,
  UVSMTP_EXTENSION_MAP(X)
#undef X
};

/** Bits of uvsmtp_capabilities_t.extensions. */
enum {
#define X(name, keyword) UVSMTP_EXT_##name = 1 << UVSMTP__EXT_INDEX_##name,
  UVSMTP_EXTENSION_MAP(X)
#undef X
};

/** What the last EHLO or LHLO offered. All empty before it, after HELO, and after STARTTLS. */
typedef struct uvsmtp_capabilities_s {
  unsigned extensions;          /* bits of UVSMTP_EXT_… */
  uint64_t max_message_size;    /* octets (SIZE); 0: none said */
  uint32_t max_mails;           /* LIMITS MAILMAX; 0: none said */
  uint32_t max_recipients;      /* LIMITS RCPTMAX */
  uint32_t max_domains;         /* LIMITS RCPTDOMAINMAX */
  const char *auth_mechanisms;  /* upper case, each once, one blank between; "" if none */
  const char *domain;           /* the name that the server gave itself in the EHLO reply */
  const char *lines;            /* keyword lines, each with a NUL behind it; keywords upper case */
  size_t line_count;
} uvsmtp_capabilities_t;

/**
 * The parameters behind `keyword` (any case), "" if it came without; NULL if it was not offered.
 * A keyword that only begins alike does not match. Since 0.1
 */
UVSMTP_EXTERN const char *uvsmtp_capabilities_find(const uvsmtp_capabilities_t *capabilities,
                                                   const char *keyword);

/* ---- the machine ------------------------------------------------------------------------- */

typedef struct uvsmtp_protocol_s uvsmtp_protocol_t;

/** Milliseconds; 0 takes the default, UINT64_MAX means none. RFC 5321 section 4.5.3.2. */
typedef struct uvsmtp_timeouts_s {
  uint64_t greeting_ms; /* default 300 000 */
  uint64_t command_ms;  /* default 300 000 */
  uint64_t data_ms;     /* until 354; default 120 000 */
  uint64_t body_ms;     /* without progress while the content goes out; default 180 000 */
  uint64_t data_end_ms; /* until the final reply; default 600 000 */
} uvsmtp_timeouts_t;

typedef struct uvsmtp_protocol_options_s {
  size_t size;                /* set by UVSMTP_PROTOCOL_OPTIONS_INIT */
  bool lmtp;                  /* RFC 2033: LHLO, and a final reply for each recipient */
  bool tls;                   /* the stream was TLS from its first byte */
  bool trace;                 /* keep a trace for uvsmtp_protocol_next_trace */
  size_t max_reply_line;      /* octets; default 8192 */
  size_t max_reply_lines;     /* default 2048 */
  size_t max_reply_bytes;     /* octets in all; default 131 072 */
  size_t max_output;          /* octets of commands held; default 131 072, at least 4096 */
  size_t max_outstanding;     /* commands that wait for a reply; default 65 536 */
  uvsmtp_timeouts_t timeouts;
  const uvsmtp_mem_t *mem; /* NULL: malloc */
  /* Writes a domain in A-labels, 0 or an error: with it, an address with a domain in UTF-8 and an
   * ASCII local part goes to a server without SMTPUTF8 too. NULL: it does not. */
  int (*domain_to_ascii)(char *out, size_t out_size, const char *domain);
} uvsmtp_protocol_options_t;
#define UVSMTP_PROTOCOL_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_protocol_options_t)

/**
 * Makes a protocol that expects the server's greeting. `options` may be NULL; they are copied.
 * `now_ms` is the caller's clock, any origin, never going back. UVSMTP_ENOMEM, UVSMTP_EOPTIONSIZE.
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_new(uvsmtp_protocol_t **protocol,
                                      const uvsmtp_protocol_options_t *options, uint64_t now_ms);

/**
 * Options that were checked and copied once, for any number of protocols that are used from one
 * thread: each keeps a use of them, and no copy of its own, and those whose servers offer the same
 * share that too. `options` may be NULL. UVSMTP_ENOMEM, UVSMTP_EOPTIONSIZE. Since 0.1
 */
typedef struct uvsmtp_protocol_settings_s uvsmtp_protocol_settings_t;
UVSMTP_EXTERN int uvsmtp_protocol_settings_new(uvsmtp_protocol_settings_t **settings,
                                               const uvsmtp_protocol_options_t *options);
/** Gives them up; protocols that have them go on with them. NULL is fine. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_protocol_settings_free(uvsmtp_protocol_settings_t *settings);
/** Makes a protocol, as uvsmtp_protocol_new does with options. UVSMTP_ENOMEM. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_protocol_new_with(uvsmtp_protocol_t **protocol,
                                           uvsmtp_protocol_settings_t *settings, uint64_t now_ms);

/** Releases it; NULL is fine. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_protocol_free(uvsmtp_protocol_t *protocol);

UVSMTP_EXTERN uvsmtp_state_t uvsmtp_protocol_state(const uvsmtp_protocol_t *protocol);

/** The state that the commands issued so far will lead to if none is refused. Since 0.1 */
UVSMTP_EXTERN uvsmtp_state_t uvsmtp_protocol_projected_state(const uvsmtp_protocol_t *protocol);

/** Stay in place until the next greeting command or the end of the protocol. Since 0.1 */
UVSMTP_EXTERN const uvsmtp_capabilities_t *
uvsmtp_protocol_capabilities(const uvsmtp_protocol_t *protocol);

/** True while a reply is owed by the server, the greeting too. Since 0.1 */
UVSMTP_EXTERN bool uvsmtp_protocol_needs_incoming_data(const uvsmtp_protocol_t *protocol);

/** How many replies are owed. Since 0.1 */
UVSMTP_EXTERN size_t uvsmtp_protocol_outstanding(const uvsmtp_protocol_t *protocol);

/**
 * True if the last transaction ended in a way after which some servers keep it open (a refusal of
 * DATA or of the content): RSET has to precede the next MAIL. Since 0.1
 */
UVSMTP_EXTERN bool uvsmtp_protocol_needs_reset(const uvsmtp_protocol_t *protocol);

/** The last reply that answered a command, also one that was no event (see uvsmtp_flight_t). */
typedef struct uvsmtp_last_reply_s {
  uvsmtp_command_t command;
  int code; /* 0: there was none */
  uint16_t enhanced[3];
  uint32_t accepted; /* recipients of the transaction so far */
  bool told;         /* it was an event */
} uvsmtp_last_reply_t;
/** Since 0.1 */
UVSMTP_EXTERN uvsmtp_last_reply_t uvsmtp_protocol_last_reply(const uvsmtp_protocol_t *protocol);

/** True once the server has said 421 or 221, or broke the rules: no new command. Since 0.1 */
UVSMTP_EXTERN bool uvsmtp_protocol_is_closing(const uvsmtp_protocol_t *protocol);

/** Releases buffers that are not in use, for a connection that is parked. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_protocol_trim(uvsmtp_protocol_t *protocol);

/* ---- input ------------------------------------------------------------------------------- */

typedef enum uvsmtp_event_type_e {
  UVSMTP_EVENT_NONE = 0,
  UVSMTP_EVENT_REPLY,       /* `reply` answers `command`, which was issued with `tag` */
  UVSMTP_EVENT_UNSOLICITED, /* `reply` answers nothing that had been sent when it came */
  UVSMTP_EVENT_ERROR        /* the protocol is finished by `err`; once, the last event */
} uvsmtp_event_type_t;

typedef struct uvsmtp_event_s {
  uvsmtp_event_type_t type;
  uvsmtp_command_t command;
  void *tag;
  bool last; /* no further reply follows to this command (LMTP, PRDR, AUTH and EHLO have more) */
  unsigned index; /* which reply to this command it is, from 0: for LMTP, the accepted recipient */
  uvsmtp_reply_t reply;
  uvsmtp_slice_t challenge; /* of a 334 to AUTH, decoded; until the next call */
  int err; /* EVENT_ERROR; or UVSMTP_EAUTHCHALLENGE for a 334 that is not base64, and UVSMTP_ENOMEM
              for a reply whose content could not be kept */
} uvsmtp_event_t;

/**
 * Hands over bytes that the server sent. They are borrowed until uvsmtp_protocol_next_event has
 * returned false: call it until then. UVSMTP_EBUSY if the bytes before have not been read out,
 * UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_feed_bytes(uvsmtp_protocol_t *protocol, const char *bytes,
                                             size_t len, uint64_t now_ms);

/**
 * Says that the server will send no more. The next event is an error unless QUIT was answered or
 * nothing was owed. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_protocol_feed_eof(uvsmtp_protocol_t *protocol);

/**
 * Takes the next event: true with `event` filled, or false when all that was fed is read out.
 * Commands may be issued between two calls. Since 0.1
 */
UVSMTP_EXTERN bool uvsmtp_protocol_next_event(uvsmtp_protocol_t *protocol, uvsmtp_event_t *event);

/**
 * A sentence on the error that finished the protocol, with the server's own words where there are
 * some; "" if there was none. Until the protocol is freed. Since 0.1
 */
UVSMTP_EXTERN const char *uvsmtp_protocol_error_text(const uvsmtp_protocol_t *protocol);

/**
 * What it waits for or does now, to complete "… while": "sending MAIL FROM", "sending the message",
 * "idle". Static. Since 0.1
 */
UVSMTP_EXTERN const char *uvsmtp_protocol_phrase(const uvsmtp_protocol_t *protocol);

/* ---- output ------------------------------------------------------------------------------ */

/**
 * What has to be written, in order: fills up to `max` slices and returns how many. They stay in
 * place until uvsmtp_protocol_sent. Commands lie in the protocol's buffer, contents where the
 * caller has them. Since 0.1
 */
UVSMTP_EXTERN size_t uvsmtp_protocol_output(uvsmtp_protocol_t *protocol, uvsmtp_slice_t *slices,
                                            size_t max);

/** Octets that uvsmtp_protocol_output would give in all. Since 0.1 */
UVSMTP_EXTERN size_t uvsmtp_protocol_output_len(const uvsmtp_protocol_t *protocol);

/** Says that the first `len` octets of the output have left, at `now_ms`. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_protocol_sent(uvsmtp_protocol_t *protocol, size_t len, uint64_t now_ms);

/** Octets issued so far, and octets sent so far: to tell what may have reached the server. */
UVSMTP_EXTERN uint64_t uvsmtp_protocol_issued(const uvsmtp_protocol_t *protocol);
UVSMTP_EXTERN uint64_t uvsmtp_protocol_total_sent(const uvsmtp_protocol_t *protocol);

/* ---- time -------------------------------------------------------------------------------- */

/** When uvsmtp_protocol_expire has to be called; UINT64_MAX: not at all for now. Since 0.1 */
UVSMTP_EXTERN uint64_t uvsmtp_protocol_deadline(const uvsmtp_protocol_t *protocol);

/** Acts on time: if the deadline has come, the next event is UVSMTP_ETIMEOUT. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_protocol_expire(uvsmtp_protocol_t *protocol, uint64_t now_ms);

/* ---- commands ---------------------------------------------------------------------------- */
/*
 * Each queues one command whose reply will come as an event with `tag`. All return 0 or
 *   UVSMTP_ESTATE      the command makes no sense in the projected state
 *   UVSMTP_EQUEUEFULL  the output buffer or the queue of replies is full: write and read first
 *   UVSMTP_EINJECTION  CR, LF or NUL in an argument
 *   UVSMTP_ETOOLONG    the line would be longer than the protocol allows
 *   UVSMTP_ECLOSING    the server has said that it closes, or the protocol is finished
 *   UVSMTP_ENOMEM
 * and queue nothing if they fail.
 */

/**
 * EHLO `domain`, or LHLO; HELO follows by itself after 500, 501, 502 or 504, unless `needs_ehlo`
 * (something that HELO cannot give is needed). The refused EHLO's event has `last` false. `domain`
 * is a name or an address literal (RFC 5321 section 4.1.3). Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_send_greeting(uvsmtp_protocol_t *protocol, const char *domain,
                                                bool needs_ehlo, void *tag);

/**
 * STARTTLS (RFC 3207). After its 220, no command is possible until the handshake is done and
 * uvsmtp_protocol_tls_started is called; any byte that came behind the 220 is
 * UVSMTP_ETLSINJECTED. UVSMTP_EEXTENSION if it is not offered. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_start_tls(uvsmtp_protocol_t *protocol, void *tag);

/** The stream is TLS now: forgets all the server said, and EHLO is due again. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_protocol_tls_started(uvsmtp_protocol_t *protocol);

/**
 * Within TLS: the server has not shown who it is. REQUIRETLS is then refused with
 * UVSMTP_ETLSREQUIRED, as without TLS (RFC 8689 section 4.2.1). Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_protocol_tls_unverified(uvsmtp_protocol_t *protocol);

/**
 * AUTH `mechanism` (RFC 4954), with a first response of `response_len` octets, or without one if
 * `response` is NULL. A response too long for one line is kept and goes after the 334. Responses
 * are encoded here and wiped once they have left. UVSMTP_EMECHANISM if it is not offered.
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_authenticate(uvsmtp_protocol_t *protocol, const char *mechanism,
                                               const void *response, size_t response_len,
                                               void *tag);

/** Answers a 334; its reply comes as a further event of the AUTH command. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_protocol_send_authentication_data(uvsmtp_protocol_t *protocol,
                                                           const void *response, size_t len);

/** Answers a 334 with "*": gives the exchange up. The 501 comes as the last event. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_protocol_cancel_authentication(uvsmtp_protocol_t *protocol);

/**
 * Looks through all strings of an envelope for what could add a line to the dialogue: 0, or
 * UVSMTP_EINJECTION. Whether they are addresses is judged when they are sent, one by one. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_envelope_check(const uvsmtp_envelope_t *envelope);

/** The octets of both addresses of an envelope that has one recipient and asks for nothing. */
typedef struct uvsmtp_address_lengths_s {
  unsigned char sender, recipient; /* 0: it is any other, or one of them is long */
} uvsmtp_address_lengths_t;

/**
 * The same, and fills in what makes a flight of such an envelope cheap, see uvsmtp_flight_t.
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_envelope_look(const uvsmtp_envelope_t *envelope,
                                       uvsmtp_address_lengths_t *lengths);

/** What a message needs, for MAIL. */
typedef struct uvsmtp_mail_needs_s {
  uint64_t size;   /* octets with CRLF, without dots (RFC 1870); UVSMTP_SIZE_UNKNOWN */
  bool eightbit;   /* the body has bytes above 127 */
  bool utf8;       /* the header has them */
  bool binary;     /* goes by BDAT unchanged */
} uvsmtp_mail_needs_t;
#define UVSMTP_SIZE_UNKNOWN UINT64_MAX

/**
 * MAIL FROM with the parameters that `envelope` and `needs` ask for, each only where it is needed.
 * UVSMTP_EEXTENSION: an option's extension is not offered (see uvsmtp_protocol_missing);
 * UVSMTP_ETOOBIG: more octets than the server takes; UVSMTP_ERANGE: an option beyond what it said
 * it takes (DELIVERBY, FUTURERELEASE); UVSMTP_E8BIT; UVSMTP_EADDRESS; UVSMTP_EINVAL: options that
 * make no sense, or contradict one another. uvsmtp_protocol_fault has the details. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_mail(uvsmtp_protocol_t *protocol,
                                       const uvsmtp_envelope_t *envelope,
                                       const uvsmtp_mail_needs_t *needs, void *tag);

/** RCPT TO. The same errors as uvsmtp_protocol_mail. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_protocol_recipient(uvsmtp_protocol_t *protocol,
                                            const uvsmtp_recipient_t *recipient, void *tag);

/** After UVSMTP_EEXTENSION: the keyword that is missing ("DSN"). Static. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_protocol_missing(const uvsmtp_protocol_t *protocol);

/**
 * After an error of uvsmtp_protocol_mail or uvsmtp_protocol_recipient: which field of the envelope
 * it is about, or which limit of the server, in some words; "" if the error says it all. Until the
 * next command. Since 0.1
 */
UVSMTP_EXTERN const char *uvsmtp_protocol_fault(const uvsmtp_protocol_t *protocol);

/** DATA. After the 354, the content: uvsmtp_protocol_data, then _end_data. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_protocol_start_data(uvsmtp_protocol_t *protocol, void *tag);

/** What is done with a CR or LF that is not part of a CRLF. */
typedef enum uvsmtp_lines_e {
  UVSMTP_LINES_NORMALIZE = 0, /* it becomes a CRLF */
  UVSMTP_LINES_REFUSE         /* UVSMTP_EBARELINE */
} uvsmtp_lines_t;

/**
 * Adds to the content, cut as the caller likes; dots are stuffed and line ends made CRLF here.
 * `bytes` are borrowed until they have been sent. `*taken` says how many of them were taken: fewer
 * than `len` if the output is full (write, then go on with the rest) or at the byte that was
 * refused. Legal once 354 has come. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_data(uvsmtp_protocol_t *protocol, const char *bytes, size_t len,
                                       uvsmtp_lines_t lines, size_t *taken);

/**
 * Ends the content: a CRLF if the last line has none, and the dot. Its reply comes as
 * UVSMTP_COMMAND_DATA_END. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_end_data(uvsmtp_protocol_t *protocol, void *tag);

/**
 * The whole content and its end at once, for one that is known to need no change: all its lines end
 * in CRLF, the last one too, and none begins with a dot. Legal once 354 has come, before
 * uvsmtp_protocol_data. Borrowed until it has been sent. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_clean_data(uvsmtp_protocol_t *protocol,
                                             const uvsmtp_slice_t *slices, size_t count, void *tag);

/**
 * BDAT (RFC 3030) with the `count` slices as its chunk, borrowed until they have been sent, and
 * sent as they are. UVSMTP_EEXTENSION without CHUNKING. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_chunk(uvsmtp_protocol_t *protocol, const uvsmtp_slice_t *slices,
                                        size_t count, bool last, void *tag);

/**
 * A message that leaves as one flight, for a server that offers PIPELINING: RSET if asked for,
 * MAIL, RCPT for each recipient, and one BDAT with all of the content (CHUNKING), or DATA.
 */
typedef struct uvsmtp_flight_s {
  const uvsmtp_envelope_t *envelope; /* with at least one recipient */
  const uvsmtp_mail_needs_t *needs;
  const uvsmtp_slice_t *slices; /* the content, borrowed until it has been sent; of DATA: none */
  size_t count;
  bool reset;              /* RSET goes first: the transaction before may still be open */
  void *tag;               /* of RSET, MAIL and BDAT or DATA */
  void *recipient_tag;     /* of the first RCPT, */
  size_t recipient_stride; /* and how many octets that of the next lies behind it */
  bool data;               /* it ends with DATA: the content follows once 354 has come */
  uvsmtp_address_lengths_t lengths; /* by uvsmtp_envelope_look, of the envelope as it still is; zeros
                                       are right, but cost more */
} uvsmtp_flight_t;

/**
 * Issues a flight. As long as all goes well, the reply to its end is the only event: successes of
 * its RSET, MAIL and RCPT are no events before the first refusal of one of these, so a recipient
 * of whom nothing was told before has been accepted. The errors are those of the commands; if any
 * of them cannot be issued, none is. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_flight(uvsmtp_protocol_t *protocol,
                                         const uvsmtp_flight_t *flight);

UVSMTP_EXTERN int uvsmtp_protocol_reset(uvsmtp_protocol_t *protocol, void *tag);
UVSMTP_EXTERN int uvsmtp_protocol_noop(uvsmtp_protocol_t *protocol, void *tag);
/** QUIT. No further command is possible. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_protocol_quit(uvsmtp_protocol_t *protocol, void *tag);
UVSMTP_EXTERN int uvsmtp_protocol_vrfy(uvsmtp_protocol_t *protocol, const char *who, void *tag);
UVSMTP_EXTERN int uvsmtp_protocol_expn(uvsmtp_protocol_t *protocol, const char *list, void *tag);
/** HELP; `topic` may be NULL. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_protocol_help(uvsmtp_protocol_t *protocol, const char *topic, void *tag);

/**
 * Any other command that changes no state, as a whole line without its end: "XVERP ON".
 * UVSMTP_EINVAL for the verbs that have functions of their own. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_command(uvsmtp_protocol_t *protocol, const char *line, void *tag);

/**
 * XCLIENT (Postfix), with those attributes of `origin` that the server lists. After a 2yz the
 * session begins anew: uvsmtp_protocol_send_greeting comes next, and nothing may be issued before.
 * UVSMTP_EEXTENSION; UVSMTP_EINVAL: none of the attributes is listed, or one is empty or over 255
 * octets; UVSMTP_EINJECTION; UVSMTP_ETOOLONG. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_xclient(uvsmtp_protocol_t *protocol,
                                          const uvsmtp_origin_t *origin, void *tag);

/**
 * XFORWARD (Postfix), before MAIL: a command with as many of the attributes that the server lists
 * as fit into a line, from number `*next` on, which is 0 at first and moved; none if none is left.
 * UVSMTP_PENDING: others are left for a further command, at once with PIPELINING, else when the
 * reply to this one has come. The errors of uvsmtp_protocol_xclient, which move nothing. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_protocol_xforward(uvsmtp_protocol_t *protocol,
                                           const uvsmtp_origin_t *origin, unsigned *next,
                                           void *tag);

/* ---- trace ------------------------------------------------------------------------------- */

typedef enum uvsmtp_trace_e {
  UVSMTP_TRACE_SENT,    /* a command line, secrets blanked */
  UVSMTP_TRACE_RECEIVED /* a reply line */
} uvsmtp_trace_t;

/**
 * With the `trace` option: takes the next line of the dialogue, without its end, in place until
 * the next call; contents are named by their length, responses to challenges are blanked. Take
 * them after each call that reads or issues: what no longer fits is dropped and said so. Since 0.1
 */
UVSMTP_EXTERN bool uvsmtp_protocol_next_trace(uvsmtp_protocol_t *protocol, uvsmtp_trace_t *kind,
                                              uvsmtp_slice_t *line);

#ifdef __cplusplus
}
#endif
#endif
