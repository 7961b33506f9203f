#ifndef UVSMTP_MESSAGE_SIGNER_H
#define UVSMTP_MESSAGE_SIGNER_H

#include "base/buffer.h"
#include "message/detail.h"
#include "message/fields.h"
#include "uvsmtp/dkim.h"

#define UVSMTP__SIGNATURE_MAX 2048 /* bytes: RSA of 16384 bits */

#define UVSMTP__SIGNED_NAME_MAX 70 /* of a field that is signed */
#define UVSMTP__SIGNER_KEYS 4      /* as many threads as libuv's pool has by default */

/* A signature that is being made: lives until it is done, whatever becomes of who wanted it. */
typedef struct uvsmtp__job_s {
  uvsmtp_mem_t mem;
  uvsmtp_dkim_t *signer;
  struct uvsmtp__job_s *next;  /* of those that wait for a key */
  bool pause;                  /* no signature: only gives way to other work of the loop */
  void (*finished)(void *who); /* NULL: nobody waits any more */
  void *who;
  size_t key; /* number of the key that it holds */
  bool begun, done;
  int err;
  uint8_t digest[32];
  uint8_t signature[UVSMTP__SIGNATURE_MAX];
  size_t signature_len;
} uvsmtp__job_t;

struct uvsmtp_dkim_s {
  uvsmtp_mem_t mem;
  const uvsmtp_crypto_t *crypto;
  uvsmtp_key_t *keys[UVSMTP__SIGNER_KEYS]; /* the same key, once for each signature at a time */
  size_t key_count;
  unsigned busy; /* bits of the keys that sign */
  char *domain, *selector, *identity, *headers;
  uint64_t expire;
  int64_t signed_at;
  unsigned flags;
  uvsmtp_work_fn work;
  void *work_ctx;
  bool freed;  /* by its owner, while jobs go on */
  size_t jobs; /* that run or wait */
  uvsmtp__job_t *waiting, *last_waiting;
};

/* The header of a message, and the digests of its body in both forms. */
typedef struct uvsmtp__signed_s {
  const char *header;
  size_t header_len;
  const uint8_t *body_digests[2]; /* simple, relaxed */
} uvsmtp__signed_t;

/*
 * Appends the DKIM-Signature field up to "b=" to `out`, and writes the digest that is to be signed.
 * 0; UVSMTP_EHEADER with `detail`; UVSMTP_ENOMEM.
 */
int uvsmtp__dkim_field(const uvsmtp_dkim_t *signer, const uvsmtp__signed_t *message,
                       uvsmtp__buffer_t *out, uint8_t digest[32], char *detail);
/* Appends the signature and the line end behind that. */
int uvsmtp__dkim_append(uvsmtp__buffer_t *out, const uint8_t *signature, size_t len);
/* How long the signatures of this key are. */
size_t uvsmtp__dkim_signature_len(const uvsmtp_dkim_t *signer);

/* The next name of a list with colons between; 0 at the end. */
size_t uvsmtp__dkim_next_name(const char **list, const char **name);
/* Frees a signer that has no job. */
void uvsmtp__signer_free(uvsmtp_dkim_t *signer);

/*
 * Starts a job: makes the signature of its digest, here and now if there is no other thread to do
 * it. Then `done` is set and `finished` called, perhaps before this returns.
 */
void uvsmtp__job_start(uvsmtp__job_t *job);
/* Frees a job; one that goes on is freed when it is done. NULL is fine. */
void uvsmtp__job_release(uvsmtp__job_t *job);

#endif
