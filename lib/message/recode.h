#ifndef UVSMTP_MESSAGE_RECODE_H
#define UVSMTP_MESSAGE_RECODE_H

/*
 * What the files that encode a raw message anew share (recode.c says what is done): a reading, and
 * what they do for one another. A refusal leaves its words in the detail of the raw message.
 */
#include "message/arena.h"
#include "message/encode.h"
#include "message/raw.h"

#define UVSMTP__ENCODED "in a part that is encoded, as its header says"
#define UVSMTP__UNDER_DKIM "under a DKIM signature, which a change would break"
#define UVSMTP__RECODE_CHUNK (256 * (UVSMTP__B64_LINE_OUT + 2))

typedef enum {
  UVSMTP__STRETCH_AS_IT_IS,
  UVSMTP__STRETCH_QUOTED,
  UVSMTP__STRETCH_BASE64,
  UVSMTP__STRETCH_REWRAPPED
} uvsmtp__encoding_t;

typedef struct {
  const char *bytes;
  size_t len;
  uvsmtp__encoding_t encoding;
} uvsmtp__stretch_t;

struct uvsmtp__recode_s {
  uvsmtp_raw_t *raw;
  unsigned why; /* bits of UVSMTP__RAW_… */
  uvsmtp__arena_t arena;
  uvsmtp__stretch_t *stretches;
  size_t count, room, at;
  uint64_t length;
  bool is_signed;

  /* reading */
  bool begun;
  uvsmtp__qp_t qp;
  uvsmtp__b64_t b64;
  const unsigned char *in;
  size_t in_len, column;
  char chunk[UVSMTP__RECODE_CHUNK];
};

/* What the header of a part says of its content. */
typedef struct {
  const char *start, *body, *end; /* of the part; the header with its empty line up to `body` */
  char type[80];                  /* lower case; "text/plain" if unsaid */
  char boundary[80];
  char encoding[20]; /* lower case; "" if unsaid */
} uvsmtp__entity_t;

/* ---- recode_stretch.c ---- */

/* Whether bytes, whole lines, cannot go as they are. */
bool uvsmtp__recode_must_change(uvsmtp__recode_t *rc, const char *from, const char *to);
/* Whether there may be something in a range that cannot go as it is. */
bool uvsmtp__recode_may_change(uvsmtp__recode_t *rc, const char *from, const char *to);
/* Whether a range has 8-bit bytes that are not left out. */
bool uvsmtp__recode_has_8bit(uvsmtp__recode_t *rc, const char *from, const char *to);
/* Refuses to change bytes: says what they have, and where that is. */
int uvsmtp__recode_refuse(uvsmtp__recode_t *rc, const char *from, const char *to,
                          const char *where);
int uvsmtp__recode_add(uvsmtp__recode_t *rc, const char *bytes, size_t len,
                       uvsmtp__encoding_t encoding);
/* Adds bytes of the message as they are, but for those that are left out of it. */
int uvsmtp__recode_keep(uvsmtp__recode_t *rc, const char *from, const char *to);
/* A range that must not be touched: refused if it cannot go so. */
int uvsmtp__recode_leave(uvsmtp__recode_t *rc, const char *from, const char *to, const char *where);

/* ---- recode_header.c ---- */

/* Cuts a part into header and body, and reads what matters here. */
int uvsmtp__recode_read_entity(uvsmtp__recode_t *rc, uvsmtp__entity_t *e, const char *start,
                               const char *end, bool in_digest);
/* Keeps the header of a part, with another Content-Transfer-Encoding. */
int uvsmtp__recode_put_header(uvsmtp__recode_t *rc, const uvsmtp__entity_t *e,
                              const char *encoding);
/* The same for what is made of parts, which stay 8-bit where the server takes that. */
int uvsmtp__recode_put_outer_header(uvsmtp__recode_t *rc, const uvsmtp__entity_t *e);

#endif
