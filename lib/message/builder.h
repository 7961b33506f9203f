#ifndef UVSMTP_MESSAGE_BUILDER_H
#define UVSMTP_MESSAGE_BUILDER_H

#include <stdbool.h>

#include "base/mem.h"
#include "message/arena.h"
#include "message/detail.h"
#include "message/scan.h"
#include "message/writer.h"
#include "uvsmtp/message.h"

/*
 * The inside of a message. It is filled by setters (compose_fields.c, compose_parts.c), completed
 * once (compose_seal.c), and from then on only read, by any number of sources (compose_source.c).
 * A copy of a message has fields, marks and rendered text of its own and everything else in its
 * pattern.
 */

#define UVSMTP__FIELDS 6
#define UVSMTP__MAX_VALUE (64 * 1024) /* of one field or parameter */
#define UVSMTP__MAX_DEPTH 50          /* of multiparts in one another */

/* An element of an address field: a mailbox, or the beginning or end of a group. */
typedef struct uvsmtp__mailbox_s {
  struct uvsmtp__mailbox_s *next;
  enum { UVSMTP__MAILBOX, UVSMTP__GROUP_BEGIN, UVSMTP__GROUP_END } kind;
  const char *name;    /* of the mailbox ("": none) or group */
  const char *address; /* canonical; NULL for groups */
} uvsmtp__mailbox_t;

typedef struct uvsmtp__mailboxes_s {
  uvsmtp__mailbox_t *first, *last;
  size_t count; /* of mailboxes */
  bool set;     /* in a copy: replaces the pattern's */
  bool in_group;
} uvsmtp__mailboxes_t;

/* A field, or a parameter of a part. */
typedef struct uvsmtp__text_s {
  struct uvsmtp__text_s *next;
  const char *name, *value;
} uvsmtp__text_t;

typedef struct uvsmtp__texts_s {
  uvsmtp__text_t *first, *last;
} uvsmtp__texts_t;

/* The bytes of a part and what they are made of. */
typedef struct uvsmtp__view_s {
  const char *bytes;
  size_t len;
  uvsmtp__scan_t scan;
  uint64_t qp_len; /* if it is `readable` and cannot go as 7bit */
  bool readable;   /* text, for which quoted-printable may be chosen */
  bool collides;   /* holds what boundaries begin with */
} uvsmtp__view_t;

typedef enum uvsmtp__kind_e {
  UVSMTP__PART_MULTI,
  UVSMTP__PART_MEMORY,
  UVSMTP__PART_FILE,
  UVSMTP__PART_SOURCE
} uvsmtp__kind_t;

struct uvsmtp_part_s {
  uvsmtp_message_t *message;
  uvsmtp_part_t *parent, *first, *last, *next;
  uvsmtp_part_t *next_made; /* all parts of the message, for walking through them */
  size_t index;
  uvsmtp__kind_t kind;
  const char *type; /* "text/plain" */
  const char *charset, *filename, *disposition, *description, *content_id;
  uvsmtp__texts_t params, headers;
  bool is_text;    /* line ends are CRLF, encoding may be chosen for people to read */
  bool is_message; /* message/…: must not be encoded */
  bool marked;     /* has marks */
  bool replaced;   /* by another text: not part of the message any more */
  const char *boundary;
  uvsmtp__view_t view; /* of memory; of a marked part it holds the text with its marks */
  const char *path;
  uint64_t file_len; /* or UVSMTP_LENGTH_UNKNOWN */
  uvsmtp_source_t *source;
  bool reading; /* the source is open */
};

/* How a value is written where its mark stands. */
typedef enum uvsmtp__escape_e {
  UVSMTP__ESCAPE_NONE,
  UVSMTP__ESCAPE_HTML,
  UVSMTP__ESCAPE_CALENDAR, /* a TEXT of iCalendar */
  UVSMTP__ESCAPE_URL
} uvsmtp__escape_t;

struct uvsmtp_message_s {
  uvsmtp_mem_t mem;
  uvsmtp__arena_t arena;
  const uvsmtp_crypto_t *crypto;
  const uvsmtp_files_t *files; /* NULL: with the C library */
  void *files_ctx;
  const char *domain;
  size_t max_header;
  unsigned flags;
  uvsmtp_message_t *pattern; /* of a copy */

  uvsmtp__mailboxes_t fields[UVSMTP__FIELDS];
  const char *subject, *message_id, *in_reply_to, *references;
  char date[UVSMTP__DATE_SIZE]; /* "" until known */
  const char *unsubscribe;      /* URLs in brackets */
  bool one_click;
  uvsmtp__texts_t headers;
  uvsmtp__texts_t marks;

  /* what becomes the body: parts in the order in which they were made */
  uvsmtp_part_t *parts, *last_part;
  size_t part_count;
  uvsmtp_part_t *text, *html, *calendar, *root;
  uvsmtp_part_t **attached; /* in the order of attaching */
  size_t attached_count, attached_room;

  /* completion */
  bool parts_sealed, sealed;
  int err;      /* of a setter or of the parts: the first one */
  int seal_err; /* of the fields and marks */
  char boundary_start[40];
  uvsmtp__view_t *views;    /* of the marked parts, by index */
  uvsmtp__texts_t rendered; /* all other fields, pattern's and own, marks replaced */
  const char *final_subject, *final_unsubscribe;
  bool needs_utf8; /* an address of the header does */
  uvsmtp_recipient_t *recipients;
  size_t recipient_count;
  const char *sender;
  bool envelope_utf8;
  char detail[UVSMTP__DETAIL_SIZE];
  char source_detail[UVSMTP__DETAIL_SIZE]; /* of a source that could not be opened */
};

/* Keeps the first failure of a setter and returns `err`. */
int uvsmtp__message_fail(uvsmtp_message_t *m, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* 0 if setters are allowed. */
int uvsmtp__message_open(uvsmtp_message_t *m);
/* Checks what becomes part of the header: line breaks, UTF-8, length. */
int uvsmtp__check_value(uvsmtp_message_t *m, const char *name, const char *value);
/* Copies a checked value; fails as setters do. */
int uvsmtp__keep_value(uvsmtp_message_t *m, const char *name, const char *value, const char **copy);
int uvsmtp__texts_add(uvsmtp_message_t *m, uvsmtp__texts_t *texts, const char *name,
                      const char *value);
/* Whether one of them has this name, in whatever case. */
bool uvsmtp__texts_have(const uvsmtp__texts_t *texts, const char *name);
/* Whether `id` is what may stand between "<" and ">" of a message or content id. */
bool uvsmtp__is_id(const char *id, size_t len);
/* Checks the name of a field that a caller adds; `owned` lists those it may not. */
int uvsmtp__check_field(uvsmtp_message_t *m, const char *name, const char *value,
                        const char *const *owned);

/* The list of an address field: the copy's own, or the pattern's. */
const uvsmtp__mailboxes_t *uvsmtp__message_field(const uvsmtp_message_t *m, uvsmtp_field_t field);
/* The name of an address field. */
const char *uvsmtp__field_name(uvsmtp_field_t field);
/* The bytes of a part in this message, marks replaced. */
const uvsmtp__view_t *uvsmtp__part_view(const uvsmtp_message_t *m, const uvsmtp_part_t *part);
uvsmtp_part_t *uvsmtp__message_root(const uvsmtp_message_t *m);

/* Finds out what a text is made of, and whether what boundaries begin with is in it. */
void uvsmtp__view_look(uvsmtp__view_t *view, const char *boundary_start);
/* Completes tree, boundaries and scans; the fields and marks. Each keeps its result. */
int uvsmtp__seal_parts(uvsmtp_message_t *m);
int uvsmtp__seal(uvsmtp_message_t *m);

/* Replaces the marks of `text`; the result lies in the message's arena. marks.c */
int uvsmtp__marks_replace(uvsmtp_message_t *m, const char *name, const char *text, size_t len,
                          uvsmtp__escape_t escape, const char **out, size_t *out_len);
/* Whether a text has what may be a mark. */
bool uvsmtp__has_marks(const char *text, size_t len);

/* How a part travels. */
typedef enum uvsmtp__cte_e {
  UVSMTP__7BIT,
  UVSMTP__8BIT,
  UVSMTP__BINARY,
  UVSMTP__QP,
  UVSMTP__BASE64,
  UVSMTP__RECODED /* a message in 7bit, its own parts encoded anew */
} uvsmtp__cte_t;
/* Whether a content can go unchanged where lines of 998 octets are allowed. */
bool uvsmtp__view_fits_lines(const uvsmtp__view_t *v);
uvsmtp__cte_t uvsmtp__choose_cte(const uvsmtp_message_t *m, const uvsmtp_part_t *part,
                                 unsigned target);

/* Writes all fields of the message but those of its body's part. */
void uvsmtp__write_header(const uvsmtp_message_t *m, uvsmtp__writer_t *w);
/* Writes the fields of a part. */
void uvsmtp__write_part_header(const uvsmtp_part_t *part, uvsmtp__cte_t cte, uvsmtp__writer_t *w);

#endif
