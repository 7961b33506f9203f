#ifndef UVSMTP_MESSAGE_CANON_H
#define UVSMTP_MESSAGE_CANON_H

#include "base/buffer.h"
#include "message/fields.h"
#include "uvsmtp/crypto.h"

/* The canonical forms of RFC 6376 section 3.4, which are what is hashed. */

/* A body that is being hashed. CR, LF and CRLF alike are line ends, as the sender makes them. */
typedef struct uvsmtp__body_hash_s {
  const uvsmtp_crypto_t *crypto;
  uvsmtp_digest_ctx_t ctx;
  bool begun; /* `ctx` has to be finished or aborted */
  bool relaxed;
  bool cr;            /* the byte before was a CR */
  bool blank;         /* blanks wait for what comes behind them */
  bool any;           /* something has been hashed */
  uint64_t line_ends; /* wait for a line that is not empty */
  char stage[2048];
  size_t staged;
  int err;
} uvsmtp__body_hash_t;

int uvsmtp__body_hash_start(uvsmtp__body_hash_t *h, const uvsmtp_crypto_t *crypto, bool relaxed);
void uvsmtp__body_hash_update(uvsmtp__body_hash_t *h, const char *bytes, size_t len);
/* Writes the SHA-256 of the body. 0 or the first error. */
int uvsmtp__body_hash_finish(uvsmtp__body_hash_t *h, uint8_t digest[32]);
void uvsmtp__body_hash_abort(uvsmtp__body_hash_t *h);

/* Appends a field with its CRLF. */
int uvsmtp__canon_field(uvsmtp__buffer_t *out, const char *bytes, const uvsmtp__field_t *field,
                        bool relaxed);

#endif
