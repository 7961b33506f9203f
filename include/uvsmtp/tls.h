#ifndef UVSMTP_TLS_H
#define UVSMTP_TLS_H

/*
 * TLS over memory: ciphertext in, ciphertext out, no socket and no loop. A context holds what many
 * connections share (trusted certificates, keys, settings); an engine is the TLS of one of them.
 *
 *   uvsmtp_tls_context_new(&context, &options, detail, sizeof(detail));
 *   uvsmtp_tls_new(&engine, context, "mail.example.org");
 *   do {
 *     err = uvsmtp_tls_handshake(engine);
 *     … uvsmtp_tls_output(engine, &slice); send it; uvsmtp_tls_sent(engine, slice.len) …
 *     … if err is UVSMTP_PENDING: receive; uvsmtp_tls_feed(engine, bytes, len) …
 *   } while (err == UVSMTP_PENDING);
 *   … uvsmtp_tls_write and uvsmtp_tls_read in the same manner …
 *
 * What a peer can do wrong ends the engine: from then on each call returns the same error, and
 * uvsmtp_tls_error_detail says why in a sentence. The output may still hold an alert that tells
 * the peer; send it if you can.
 *
 * Threads: a context may be used from any thread at the same time. An engine is used by one thread
 * at a time, which need not always be the same: a handshake call may run in uv_queue_work while
 * nobody else touches that engine.
 */
#include <stdbool.h>

#include "uvsmtp/base.h"
#include "uvsmtp/crypto.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What many engines share. Opaque. */
typedef struct uvsmtp_tls_context_s uvsmtp_tls_context_t;
/** An engine: the TLS of one connection. Opaque. */
typedef struct uvsmtp_tls_s uvsmtp_tls_t;
/** What resumes an earlier session. Opaque; never changes, so it can serve many engines. */
typedef struct uvsmtp_tls_session_s uvsmtp_tls_session_t;

/** How a connection is protected in fact. */
typedef enum uvsmtp_security_e {
  UVSMTP_SECURITY_NONE = 0,   /* in the clear, or a Unix socket */
  UVSMTP_SECURITY_UNVERIFIED, /* TLS with a server that has not shown who it is: its certificate was
                                 not checked, or did not pass and was taken nevertheless */
  UVSMTP_SECURITY_VERIFIED    /* TLS, and the certificate passed (see uvsmtp_tls_info_t.verified) */
} uvsmtp_security_t;

/** "none", "unverified", "verified". Static. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_security_name(uvsmtp_security_t security);

typedef enum uvsmtp_tls_version_e {
  UVSMTP_TLS_VERSION_DEFAULT = 0,
  UVSMTP_TLS_1_2 = 0x0303,
  UVSMTP_TLS_1_3 = 0x0304
} uvsmtp_tls_version_t;

/** How the peer's certificate is checked. Pins are checked in every mode. */
typedef enum uvsmtp_tls_verify_e {
  UVSMTP_TLS_VERIFY_FULL = 0,     /* trusted issuer, validity, and the name asked for */
  UVSMTP_TLS_VERIFY_NO_NAME,      /* trusted issuer and validity: any name will do */
  UVSMTP_TLS_VERIFY_NONE_INSECURE /* nothing: anybody in between can read and change all */
} uvsmtp_tls_verify_t;

/** Whether a server asks its clients for a certificate. */
typedef enum uvsmtp_tls_client_cert_e {
  UVSMTP_TLS_CLIENT_CERT_NONE = 0,
  UVSMTP_TLS_CLIENT_CERT_REQUEST, /* asked for; whether it is good stands in the info */
  UVSMTP_TLS_CLIENT_CERT_REQUIRE  /* the handshake fails without a good one */
} uvsmtp_tls_client_cert_t;

/**
 * Settings of a context. Everything is read or copied by uvsmtp_tls_context_new; nothing is
 * borrowed after it, except what `mem` points to. PEM and DER are both understood; one file or
 * text may hold several certificates.
 */
typedef struct uvsmtp_tls_options_s {
  size_t size; /* set by UVSMTP_TLS_OPTIONS_INIT */
  /*
   * Trusted certificates. If none of the three is given, the system's: the files and folders that
   * the environment variables SSL_CERT_FILE and SSL_CERT_DIR name, else the first that exists of
   * the places where systems keep them (/etc/ssl/certs/ca-certificates.crt,
   * /etc/pki/tls/certs/ca-bundle.crt, /etc/ssl/cert.pem, …). Windows keeps them elsewhere: name
   * a file there.
   */
  const char *ca_file;
  const char *ca_dir; /* every certificate in this folder */
  const char *ca_pem; /* in memory */
  size_t ca_pem_len;  /* 0: up to the NUL */
  /*
   * Our own certificate, followed by those of its issuers below the root: a client's, or the
   * server's. File or memory. The key stands in a place of its own or beside the certificate.
   */
  const char *cert_file;
  const char *cert_pem;
  size_t cert_pem_len; /* 0: up to the NUL */
  const char *key_file;
  const char *key_pem;
  size_t key_pem_len;       /* 0: up to the NUL */
  const char *key_password; /* for an encrypted key */
  /*
   * Public keys one of which the peer's certificate must have: "sha256//" and the base64 SHA-256
   * digest of its SubjectPublicKeyInfo, as curl and RFC 7469 have it.
   */
  const char *const *pins;
  size_t pin_count;
  uvsmtp_tls_version_t min_version; /* default: 1.2 */
  uvsmtp_tls_version_t max_version; /* default: the highest that the linked mbedTLS has */
  /*
   * Cipher suites in order of preference, IANA's names with colons between them:
   * "TLS_AES_128_GCM_SHA256:TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256". Default: those with forward
   * secrecy and authenticated encryption (ChaCha20-Poly1305, AES-GCM), fastest first.
   */
  const char *ciphers;
  const char *const *alpn; /* protocols to offer or to choose from (RFC 7301) */
  size_t alpn_count;
  uvsmtp_tls_verify_t verify;
  int is_server;                        /* not 0: engines are TLS servers; needs a certificate */
  uvsmtp_tls_client_cert_t client_cert; /* of a server */
  /* Most ciphertext that an engine holds back for sending; 0: 64 KiB and a bit (four records). */
  size_t max_output_bytes;
  const uvsmtp_mem_t *mem; /* NULL: malloc; mbedTLS itself always uses calloc */
  /*
   * Not 0: a system without trusted certificates that can be used is no error yet. Opportunistic
   * engines then trust nobody, and all others end with UVSMTP_ETLSCONFIG.
   */
  int trust_optional;
} uvsmtp_tls_options_t;

#define UVSMTP_TLS_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_tls_options_t)

/**
 * Makes a context. Reads the files that `options` (NULL: all defaults) name, and parses some
 * hundred certificates for the system's store: it blocks for tens of milliseconds, so call it
 * before the loop runs or in another thread. Ownership  `*context` is yours until
 * uvsmtp_tls_context_free. Returns    0; UVSMTP_ETLSCONFIG (a file cannot be read, a certificate,
 * key, pin, cipher or version cannot be used, a key does not belong to its certificate, no trusted
 *            certificates where they are needed), UVSMTP_EINVAL (contradictory options),
 *            UVSMTP_EOPTIONSIZE, UVSMTP_ENOMEM. On failure `*context` is NULL and `detail` (of
 *            `detail_size` bytes, may be NULL) holds a sentence that says which and why.
 * Thread     any. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_context_new(uvsmtp_tls_context_t **context,
                                         const uvsmtp_tls_options_t *options, char *detail,
                                         size_t detail_size);

/**
 * Gives a context up. Engines that were made from it live on, and keep what they need of it.
 * NULL is fine. Any thread. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_tls_context_free(uvsmtp_tls_context_t *context);

/**
 * Makes an engine.
 * `server_name` (copied) is the name the user gave for the server: the server is told it (SNI, RFC
 * 6066) and its certificate must carry it (RFC 6125: subject alternative names; the common name
 * only if there are none; `*` only as the whole leftmost label). An IP address, with or without
 * brackets, must be among the certificate's IP addresses and is not told. A name in other than
 * ASCII letters must come as its A-labels ("xn--…"). NULL is allowed where no name is checked, and
 * for servers.
 * Returns 0; UVSMTP_EINVAL (no name where one is checked, or not a host name), UVSMTP_ENOMEM.
 * Thread  any. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_new(uvsmtp_tls_t **engine, uvsmtp_tls_context_t *context,
                                 const char *server_name);

/**
 * The same for a client that would go in the clear else (opportunistic TLS, RFC 7435): the server's
 * certificate is checked as the context says, pins too, but what is wrong with it does not end the
 * handshake. Nobody who only listens can read what is sent; who the server is, is not known, and
 * uvsmtp_tls_overlooked says why. UVSMTP_EINVAL for a server's context. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_new_opportunistic(uvsmtp_tls_t **engine, uvsmtp_tls_context_t *context,
                                               const char *server_name);

/** Frees an engine and wipes its keys. NULL is fine. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_tls_free(uvsmtp_tls_t *engine);

/**
 * Gives ciphertext that was received. Nothing is copied: `bytes` stay in place until
 * uvsmtp_tls_handshake or uvsmtp_tls_read has returned UVSMTP_PENDING or an error (then all of it
 * was taken), or until uvsmtp_tls_keep.
 * If an earlier piece was not taken yet, its rest and the new one are copied together.
 * Returns 0; UVSMTP_ETOOLONG (over 128 KiB not taken: call handshake or read), UVSMTP_ENOMEM, or
 * the engine's error. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_feed(uvsmtp_tls_t *engine, const void *bytes, size_t len);

/**
 * Copies what was fed and not taken yet, so that the caller's bytes may go: before a handshake is
 * handed to another thread, or when the reader of the plaintext has to pause.
 * Returns 0; UVSMTP_ETOOLONG as above, UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_keep(uvsmtp_tls_t *engine);

/** How many bytes were fed and not taken yet. Since 0.1 */
UVSMTP_EXTERN size_t uvsmtp_tls_pending_input(const uvsmtp_tls_t *engine);

/**
 * Says that the transport has ended: the peer closed it or it was reset. What was fed before can
 * still be read; after it uvsmtp_tls_read returns UVSMTP_ETLSTRUNCATED unless the peer said
 * close_notify first; or UVSMTP_ETLSCLIENTCERT where the server had asked for a certificate, got
 * none, and never sent a byte (TLS 1.3 servers refuse in that way). Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_tls_eof(uvsmtp_tls_t *engine);

/**
 * Goes on with the handshake as far as the input allows. Costs up to some milliseconds of
 * computing; may run in another thread while nothing else touches the engine.
 * Call it first of all (a client speaks first), then after each feed; send the output after each
 * call, whatever it returned. A full output buffer makes it pause too: send, and call it again.
 * Returns 0 when done (bytes that came with the last ones are there for uvsmtp_tls_read: call it),
 * UVSMTP_PENDING, or an error that ends the engine: UVSMTP_ETLSCERT, UVSMTP_ETLSEXPIRED,
 * UVSMTP_ETLSNAME, UVSMTP_ETLSPIN, UVSMTP_ETLSVERSION, UVSMTP_ETLSCLIENTCERT,
 * UVSMTP_ETLSTRUNCATED, UVSMTP_ETLS, UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_handshake(uvsmtp_tls_t *engine);

/**
 * Reads plaintext into `buf` (of `size` > 0 bytes). Call it until it returns UVSMTP_PENDING.
 * Returns 0 with `*len` > 0 bytes; 0 with `*len` == 0 when the peer has ended the session
 * properly (close_notify); UVSMTP_PENDING; UVSMTP_ESTATE before the handshake is done; or an
 * error that ends the engine: UVSMTP_ETLSTRUNCATED, UVSMTP_ETLSCLIENTCERT (a TLS 1.3 server
 * refuses the certificate, or its absence, only now), UVSMTP_ETLS, UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_read(uvsmtp_tls_t *engine, void *buf, size_t size, size_t *len);

/**
 * Encrypts plaintext from `count` slices, which are read in this call only. Records are filled
 * across the borders of slices, so give as much as there is at a time.
 * Returns 0 with how many bytes were taken in `*taken` (fewer than given if the output buffer
 * is full now), UVSMTP_PENDING if none could be taken (send the output first), UVSMTP_ESTATE
 * before the handshake is done or after uvsmtp_tls_close_notify, UVSMTP_ENOMEM, or the engine's
 * error. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_write(uvsmtp_tls_t *engine, const uvsmtp_slice_t *slices, size_t count,
                                   size_t *taken);

/**
 * The ciphertext that is to be sent; `slice->len` is 0 if there is none. The bytes stay in place
 * until the next uvsmtp_tls_sent, uvsmtp_tls_idle or uvsmtp_tls_free, whatever is written
 * meanwhile. Works after an error too. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_tls_output(uvsmtp_tls_t *engine, uvsmtp_slice_t *slice);

/** Says that the first `len` bytes of the output were sent (0: none, the slice is given back). */
UVSMTP_EXTERN void uvsmtp_tls_sent(uvsmtp_tls_t *engine, size_t len);

/**
 * Releases the buffers if nothing is in them; for a connection that is parked. They come back by
 * themselves. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_tls_idle(uvsmtp_tls_t *engine);

/**
 * Puts a close_notify into the output; nothing can be written after it, but read. Again: no-op.
 * Returns 0; UVSMTP_PENDING (no room: send the output and call again); UVSMTP_ESTATE before the
 * handshake is done; UVSMTP_ENOMEM or the engine's error. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_close_notify(uvsmtp_tls_t *engine);

/**
 * A sentence on the engine's error: what was wrong and what was expected, with the certificate's
 * names and dates, and mbedTLS's number; "" without an error. Control characters that a peer put
 * into names come out as '?'. Valid until the engine is freed. Since 0.1
 */
UVSMTP_EXTERN const char *uvsmtp_tls_error_detail(const uvsmtp_tls_t *engine);

/**
 * What is known of a session. Strings are the engine's, until the next uvsmtp_tls_info or its end;
 * "" where there is nothing.
 */
typedef struct uvsmtp_tls_info_s {
  size_t size;             /* set by UVSMTP_TLS_INFO_INIT */
  const char *version;     /* "TLSv1.2", "TLSv1.3" */
  const char *cipher;      /* IANA's name, "TLS_AES_128_GCM_SHA256" */
  const char *alpn;        /* the protocol that was chosen */
  const char *server_name; /* the name asked for; for a server, the one that the client sent */
  int resumed;             /* the session is an earlier one's */
  int verified;            /* the peer's certificate passed the full check of the verify mode */
  int client_cert_wanted;  /* a client was asked for a certificate */
  int has_peer;            /* the fields below are filled: the peer showed a certificate */
  const char *subject;     /* distinguished names: "CN=mail.example.org, O=…" */
  const char *issuer;
  const char *names;             /* subject alternative names: "mail.example.org, 192.0.2.1" */
  int64_t not_before, not_after; /* seconds since 1970 */
  uint8_t fingerprint[32];       /* SHA-256 of the certificate */
  char pin[56];                  /* its public key as a pin: "sha256//…" */
  const char *overlooked;        /* as uvsmtp_tls_overlooked, but "" for NULL */
} uvsmtp_tls_info_t;

#define UVSMTP_TLS_INFO_INIT UVSMTP__SIZED(uvsmtp_tls_info_t)

/**
 * Fills `info`. After the handshake. Returns 0; UVSMTP_ESTATE before the handshake is done,
 * UVSMTP_EINVAL, UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_info(uvsmtp_tls_t *engine, uvsmtp_tls_info_t *info);

/** True if the handshake is done and resumed an earlier session. Since 0.1 */
UVSMTP_EXTERN bool uvsmtp_tls_resumed(const uvsmtp_tls_t *engine);

/** True if the handshake is done and `verified` of the info is not 0. Since 0.1 */
UVSMTP_EXTERN bool uvsmtp_tls_verified(const uvsmtp_tls_t *engine);

/**
 * What is wrong with the server's certificate, in a sentence, where an engine that is not
 * opportunistic would have ended the handshake for it, this one or the one whose session was
 * resumed; NULL: nothing. Valid until the engine is freed. Since 0.1
 */
UVSMTP_EXTERN const char *uvsmtp_tls_overlooked(const uvsmtp_tls_t *engine);

/** Room for any channel binding. */
#define UVSMTP_TLS_BINDING_MAX 64

/**
 * Channel-binding data for SASL's -PLUS mechanisms: `type` is "tls-exporter" (RFC 9266; TLS 1.3
 * with mbedTLS 3.6), "tls-server-end-point" (RFC 5929; wherever there is a server certificate) or
 * "tls-unique" (RFC 5929; TLS 1.2 with an extended master secret, RFC 7627). `*len` holds the room
 * at `out` before, and the length after. Returns 0; UVSMTP_EEXTENSION if this session cannot give
 * that type, UVSMTP_EINVAL for an unknown type or too little room, UVSMTP_ESTATE before the
 * handshake is done, UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_channel_binding(uvsmtp_tls_t *engine, const char *type, uint8_t *out,
                                             size_t *len);

/**
 * What can resume this session later (ticket or session ID). With TLS 1.2 it is there after the
 * handshake; TLS 1.3 servers send it with or before their first data, so ask after a read.
 * Ownership  `*session` is yours until uvsmtp_tls_session_free. It holds secrets in memory.
 * Returns    0; UVSMTP_PENDING if there is none that was not fetched before, UVSMTP_ESTATE,
 *            UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_session_get(uvsmtp_tls_t *engine, uvsmtp_tls_session_t **session);

/**
 * Offers an earlier session to the server, before the first uvsmtp_tls_handshake. The server may
 * refuse, which costs a full handshake and nothing else. Since the certificate is not checked
 * again, only a session of the same context and the same server name is taken, and only for a day
 * since the certificate was checked, and while that is valid; one for which something was overlooked
 * by opportunistic engines only.
 * Returns 0; UVSMTP_EINVAL (of another context or name, or too old; the engine works without it),
 * UVSMTP_ESTATE, UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_tls_session_set(uvsmtp_tls_t *engine, uvsmtp_tls_session_t *session);

/** Frees and wipes a session. NULL is fine. Engines that were given it live on. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_tls_session_free(uvsmtp_tls_session_t *session);

/**
 * mbedTLS's digests, random bytes and signatures. Static. NULL if the library's start-up failed
 * (no source of randomness). Any thread. Since 0.1
 */
UVSMTP_EXTERN const uvsmtp_crypto_t *uvsmtp_tls_crypto(void);

#ifdef __cplusplus
}
#endif
#endif
