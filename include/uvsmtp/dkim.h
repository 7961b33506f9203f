#ifndef UVSMTP_DKIM_H
#define UVSMTP_DKIM_H

/*
 * DKIM signatures (RFC 6376, 8301, 8463). A signer holds a key and says how to sign; a signing puts
 * the signatures of one or more signers in front of one message:
 *
 *   uvsmtp_dkim_new                 once for each key
 *   uvsmtp_signing_new              for a message, with its source
 *   uvsmtp_signing_source           the signed message; send this one
 *   uvsmtp_signing_free, uvsmtp_dkim_free
 *
 * A signature comes before the body that it covers, so the message is read twice: once to hash it,
 * once to send it. Nothing but the header is kept meanwhile. A source that can be read only once
 * (UVSMTP_CONTENT_ONCE) is held in memory instead, up to a maximum.
 *
 * Signed messages are built of 7-bit encodings, since a server on the way may have to convert
 * others, which breaks the signature (RFC 6376 section 5.3). Only what must not be converted here
 * either, as an attached message with a signature of its own, is 8-bit if the server takes that.
 *
 * A signature of RSA takes a millisecond or more. In a libuv program it is made in the thread pool:
 *
 *   options.work = uvsmtp_loop_work;   (of uvsmtp/connection.h)
 *   options.work_ctx = loop;
 */
#include "uvsmtp/base.h"
#include "uvsmtp/crypto.h"
#include "uvsmtp/source.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvsmtp_dkim_s uvsmtp_dkim_t;

enum {
  /** Header fields are signed byte by byte: any change of blanks or folding breaks the signature.
   */
  UVSMTP_DKIM_SIMPLE_HEADER = 1,
  /** The body too, but for empty lines at its end. */
  UVSMTP_DKIM_SIMPLE_BODY = 2,
  /** Do not sign the absence of further fields of the same name. With it anybody can add a second
   *  Subject, and the signature still holds. */
  UVSMTP_DKIM_NO_OVERSIGNING = 4
};

/**
 * Runs something off the loop's thread: calls `run(arg)` on another thread and then `done(arg)` on
 * the loop's, as uv_queue_work does. Returns 0, or an error after which neither is called: then the
 * caller runs it itself.
 */
typedef int (*uvsmtp_work_fn)(void *ctx, void (*run)(void *arg), void (*done)(void *arg),
                              void *arg);

typedef struct uvsmtp_dkim_options_s {
  size_t size;                   /* set by UVSMTP_DKIM_OPTIONS_INIT */
  const uvsmtp_mem_t *mem;       /* NULL: malloc */
  const uvsmtp_crypto_t *crypto; /* required (uvsmtp_tls_crypto); borrowed until free */
  const char *domain;            /* required: the signing domain (d=); copied */
  const char *selector;          /* required: names the key in that domain (s=); copied */
  const char *key;               /* the private key in PEM, or */
  const char *key_file;          /* its file, which is read at once */
  const char *key_password;      /* of an encrypted key */
  const char *identity;          /* i=: "@sub.host.example" or "user@host.example"; copied */
  const char *headers;           /* names with colons between, as often as each is signed; NULL:
                                    chosen well; copied */
  uint64_t expire_seconds;       /* how long the signature is good (x=); 0: unsaid */
  int64_t signed_at;             /* seconds since 1970 (t=); 0: now */
  unsigned flags;                /* bits of UVSMTP_DKIM_… */
  uvsmtp_work_fn work;           /* where signatures are made, and long bodies give way to others:
                                    uvsmtp_loop_work; NULL: on the calling thread */
  void *work_ctx;                /* its first argument; borrowed until the last done */
} uvsmtp_dkim_options_t;

#define UVSMTP_DKIM_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_dkim_options_t)

/**
 * Makes a signer. Used by one thread at a time, for any number of messages. With `work` it makes
 * up to four signatures at the same time; others wait for these.
 * Ownership  `*signer` is yours, to be given to uvsmtp_dkim_free.
 * Returns    0; with the reason in `detail` (of `detail_size` bytes, may be NULL with 0):
 *            UVSMTP_EINVAL (domain, selector, identity, headers without From, not one key, times
 *            of over twelve digits), UVSMTP_EINJECTION, UVSMTP_EKEY (unreadable, or RSA under 1024
 *            bits), UVSMTP_EADDRESS or UVSMTP_EIDN (the domain), UVSMTP_EOPTIONSIZE, UVSMTP_ENOMEM
 * RFC        6376 section 3.5; 8301; 8463                                            Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_dkim_new(uvsmtp_dkim_t **signer, const uvsmtp_dkim_options_t *options,
                                  char *detail, size_t detail_size);
/** Wipes the key, after the last signature that is being made. NULL is fine. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_dkim_free(uvsmtp_dkim_t *signer);

typedef struct uvsmtp_signing_s uvsmtp_signing_t;

enum {
  UVSMTP_SIGNING_HOLD = 1 /* read the source once and hold it, though it could be read twice */
};

typedef struct uvsmtp_signing_options_s {
  size_t size;                   /* set by UVSMTP_SIGNING_OPTIONS_INIT */
  const uvsmtp_mem_t *mem;       /* NULL: malloc */
  uvsmtp_source_t *source;       /* required: the message; borrowed until uvsmtp_signing_free */
  uvsmtp_dkim_t *const *signers; /* required; the array is copied, the signers are borrowed */
  size_t signer_count;
  size_t max_header_bytes; /* 0: 1 MiB */
  size_t max_held_bytes;   /* 0: 32 MiB */
  unsigned flags;          /* bits of UVSMTP_SIGNING_… */
} uvsmtp_signing_options_t;

#define UVSMTP_SIGNING_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_signing_options_t)

/**
 * Ownership  `*signing` is yours, to be given to uvsmtp_signing_free.
 * Returns    0, UVSMTP_EINVAL, UVSMTP_EOPTIONSIZE, UVSMTP_ENOMEM                     Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_signing_new(uvsmtp_signing_t **signing,
                                     const uvsmtp_signing_options_t *options);

/**
 * Makes `source` the signed message: the signatures, in the order of the signers, and then the
 * bytes of the given source. Line ends are hashed as CRLF whatever they are, as the sender makes
 * them. Signatures are made while the source is opened, which waits (UVSMTP_PENDING) for a given
 * source that waits and for work elsewhere, and kept for the next reading.
 * Opening fails with what the given source fails with, and with UVSMTP_EHEADER (malformed header,
 * no From, too long), UVSMTP_ESOURCE (too long to be held), UVSMTP_EKEY, UVSMTP_ENOMEM; reading
 * with UVSMTP_ESOURCE if the message has another length than before. uvsmtp_signing_detail says
 * more.
 * Ownership  `source` borrows `signing`; one reading at a time.                      Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_signing_source(uvsmtp_signing_t *signing, uvsmtp_source_t *source);

/** What the last failure was about, one line; "" if there was none. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_signing_detail(const uvsmtp_signing_t *signing);

/** NULL is fine; also while signatures are being made. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_signing_free(uvsmtp_signing_t *signing);

#ifdef __cplusplus
}
#endif
#endif
