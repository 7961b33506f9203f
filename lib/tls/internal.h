#ifndef UVSMTP_TLS_INTERNAL_H
#define UVSMTP_TLS_INTERNAL_H

/* What the files of this folder share: the three objects, and who may touch which part. */

#include <stdatomic.h>
#include <stdbool.h>

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cache.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "tls/names.h"
#include "tls/say.h"
#include "uvsmtp/tls.h"

#define PIN_LEN 32

/* Written by context_new only; from then on read by any thread, but for `refs`. */
struct uvsmtp_tls_context_s {
  uvsmtp_mem_t mem;
  atomic_uint refs; /* the caller's and one for each engine */
  uint64_t id;      /* unlike that of any other context of this process */
  mbedtls_ssl_config conf;
  mbedtls_ssl_config lenient; /* of opportunistic engines: `conf`, whose pointers it shares, but
                                 that a certificate does not end the handshake; never freed */
  mbedtls_x509_crt trusted;
  bool has_trusted;
  char *no_trust; /* why there are none to trust, though engines need some; NULL: there are */
  mbedtls_x509_crt own;
  mbedtls_pk_context key;
  bool has_own;
  int *suites;       /* 0-terminated; NULL: the default */
  const char **alpn; /* NULL-terminated */
  uint8_t (*pins)[PIN_LEN];
  size_t pin_count;
  uvsmtp_tls_verify_t verify;
  bool is_server;
  size_t max_output;
  /* A server's memory of its sessions; mbedTLS locks them. */
  mbedtls_ssl_ticket_context tickets;
  mbedtls_ssl_cache_context cache;
};

/*
 * What the handshake that showed certificates has checked. All sessions that come of it, one after
 * another, share it. Never written after it was made, but for `refs`.
 */
typedef struct uvsmtp__tls_check_s {
  uvsmtp_mem_t mem;
  atomic_uint refs;  /* of sessions, and of engines that resumed one */
  char *server_name; /* NULL: none */
  bool verified;
  char *overlooked;   /* see uvsmtp_tls_overlooked; NULL: nothing */
  int64_t checked_at; /* when the peer's certificate was seen and checked; seconds since 1970 */
  int64_t not_after;  /* that certificate's; INT64_MAX: there was none */
  char *peer;         /* the peer's certificate in DER: TLS 1.3 resumes without one; may be NULL */
  size_t peer_len;
} uvsmtp__tls_check_t;

/* Never written after it was made, but for `refs`. */
struct uvsmtp_tls_session_s {
  uvsmtp_mem_t mem;
  atomic_uint refs; /* the caller's and one for each engine that was given it */
  uint64_t context_id;
  uvsmtp__tls_check_t *check;
  mbedtls_ssl_session session;
};

struct uvsmtp_tls_s {
  uvsmtp_tls_context_t *context; /* one reference */
  mbedtls_ssl_context ssl;
  char *name; /* wanted of the server; for a server, what the client said; NULL: none, or idle since
                 it resumed: see uvsmtp__tls_name_of */

  /* Ciphertext in: first what was copied, then the caller's bytes. */
  uvsmtp__buffer_t *kept; /* NULL: nothing was since the engine was idle */
  uvsmtp_slice_t fed;
  /* Ciphertext out, in [out_start, out_end); it does not move while it is lent to the caller. */
  char *out;
  uint32_t out_size, out_start, out_end;

  bool opportunistic;       /* no fault of the certificate ends it */
  bool lent;                /* the caller holds a slice of `out` */
  bool stuck;               /* mbedTLS holds bytes that found no room in `out` */
  bool no_memory;           /* an allocation of ours failed inside a callback */
  bool done;                /* the handshake */
  bool eof;                 /* the transport has ended */
  bool ended;               /* the peer said close_notify */
  bool closed;              /* we said close_notify */
  bool full_handshake;      /* certificates were exchanged: nothing was resumed */
  bool extended_master;     /* TLS 1.2 derived its secret from all of the handshake, RFC 7627 */
  bool cert_wanted;         /* the server asked for our certificate */
  bool heard;               /* plaintext has arrived */
  bool new_session;         /* there is a session that was not fetched yet */
  unsigned char first_byte; /* of the input, once `any_input` */
  bool any_input;
  unsigned messages; /* how often mbedTLS sent other than a change_cipher_spec */
  int err;           /* what ended the engine */
  uint32_t problems; /* MBEDTLS_X509_BADCERT_… of the peer's chain, and PROBLEM_… */

  int64_t checked_at;         /* when the peer's certificate was, if it was in this handshake */
  uvsmtp__tls_say_t *reasons; /* the same in words; NULL: none, or no memory for words; cut to its
                                 length when the handshake is done */
  uvsmtp_tls_session_t *offered; /* one reference; NULL: none, or the engine was idle since */
  uvsmtp__tls_check_t *check;    /* of the session that was resumed; NULL: none was */

  char *detail; /* why `err`; NULL: no memory for it, or no error */
  char *info;   /* the strings of uvsmtp_tls_info_t */
};

/* Flags beside mbedTLS's own, which end at 0x8000. */
#define PROBLEM_CONSTRAINT 0x10000u /* an issuer may not vouch for the name */
#define PROBLEM_PIN 0x20000u

static inline const uvsmtp_mem_t *uvsmtp__tls_mem(const uvsmtp_tls_t *engine)
{
  return &engine->context->mem;
}

/* context.c */
void uvsmtp__tls_context_unref(uvsmtp_tls_context_t *context);

/* trust.c: fills `context->trusted`; errors as uvsmtp_tls_context_new, with a sentence. */
int uvsmtp__tls_load_trusted(uvsmtp_tls_context_t *context, const uvsmtp_tls_options_t *options,
                             uvsmtp__tls_say_t *say);
/* Parses certificates of PEM or DER from memory or a file. */
int uvsmtp__tls_load_certificates(mbedtls_x509_crt *list, const uvsmtp_mem_t *mem, const char *what,
                                  const uvsmtp_slice_t *bytes, uvsmtp__tls_say_t *say);
/* A whole file with a NUL behind it, to be freed with uvsmtp__tls_wipe_file. */
int uvsmtp__tls_read_file(const uvsmtp_mem_t *mem, const char *path, uvsmtp_slice_t *bytes,
                          uvsmtp__tls_say_t *say);
void uvsmtp__tls_wipe_file(const uvsmtp_mem_t *mem, uvsmtp_slice_t *bytes);

/* verify.c: mbedTLS's callback for each certificate of a chain, from the root to the leaf. */
int uvsmtp__tls_verify(void *engine, mbedtls_x509_crt *crt, int depth, uint32_t *flags);
/* Those of `problems` (as in the engine) that the verify mode heeds. */
uint32_t uvsmtp__tls_fatal_problems(const uvsmtp_tls_t *engine, uint32_t problems);
/* The digest of a certificate's public key. 0 or an mbedTLS error. */
int uvsmtp__tls_pin(const mbedtls_x509_crt *crt, uint8_t digest[PIN_LEN]);
/* "sha256//" and base64, with a NUL. */
#define PIN_TEXT_SIZE 53
void uvsmtp__tls_pin_text(const uint8_t digest[PIN_LEN], char text[PIN_TEXT_SIZE]);

/* failure.c: ends the engine with an error of ours, or mbedTLS's; returns the error. */
int uvsmtp__tls_fail(uvsmtp_tls_t *engine, int err, const char *sentence);
int uvsmtp__tls_fail_mbedtls(uvsmtp_tls_t *engine, int ret);
/* `ret` says that mbedTLS had no memory. */
bool uvsmtp__tls_is_no_memory(int ret);
/* Appends mbedTLS's number and text. */
void uvsmtp__tls_say_mbedtls(uvsmtp__tls_say_t *say, int ret);

/*
 * info.c: the peer's certificate. Parses it into `scratch` (to be freed by the caller in any case)
 * if only its bytes are known. NULL if there is none; `*err` is 0 or UVSMTP_ENOMEM.
 */
const mbedtls_x509_crt *uvsmtp__tls_peer(const uvsmtp_tls_t *engine, mbedtls_x509_crt *scratch,
                                         int *err);
/* Seconds since 1970. */
int64_t uvsmtp__tls_seconds(const mbedtls_x509_time *t);

static inline const char *uvsmtp__tls_name_of(const uvsmtp_tls_t *engine)
{
  return engine->check != NULL ? engine->check->server_name : engine->name;
}

/* session.c */
void uvsmtp__tls_session_unref(uvsmtp_tls_session_t *session);
uvsmtp__tls_check_t *uvsmtp__tls_check_ref(uvsmtp__tls_check_t *check);
void uvsmtp__tls_check_unref(uvsmtp__tls_check_t *check);
/* engine.c: forgets what was copied of the input. */
void uvsmtp__tls_forget_kept(uvsmtp_tls_t *engine);

#endif
