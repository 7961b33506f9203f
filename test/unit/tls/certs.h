#ifndef TEST_TLS_CERTS_H
#define TEST_TLS_CERTS_H

/* Certificates for the tests, made when they run: no file ever gets too old. */
#include <stddef.h>

#include <mbedtls/pk.h>

typedef struct identity_s {
  char subject[128];
  char cert[4096]; /* PEM */
  char key[4096];  /* PEM */
  mbedtls_pk_context pk;
} identity_t;

typedef struct spec_s {
  const char *subject;      /* default "CN=mail.example.org" */
  const char *names;        /* "DNS:a.example IP:127.0.0.1 IP:::1"; NULL: no extension */
  const char *from, *to;    /* "20200101000000"; default: from 2001 to 2100 */
  const identity_t *issuer; /* NULL: self-signed */
  int is_ca, is_rsa;
  const char *constraints; /* the value of the extension nameConstraints; NULL: none */
  size_t constraints_len;
  int constraints_critical;
} spec_t;

void make_identity(identity_t *identity, const spec_t *spec);
void free_identity(identity_t *identity);
/* Writes it to new files; the paths end in XXXXXX, as mkstemp wants them. */
void write_identity(const identity_t *identity, char *cert_file, char *key_file);
/* The pin of an identity's key, "sha256//…". */
void pin_of(const identity_t *identity, char pin[64]);

#endif
