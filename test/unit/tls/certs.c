#include "certs.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/rsa.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#include "tls/internal.h"
#include "tls/random.h"

#define MUST(expression)                                                                           \
  do {                                                                                             \
    int must_ret = (expression);                                                                   \
    if (must_ret != 0) {                                                                           \
      fprintf(stderr, "%s: -0x%04X\n", #expression, (unsigned)-must_ret);                          \
      abort();                                                                                     \
    }                                                                                              \
  } while (0)

static void make_key(mbedtls_pk_context *pk, int is_rsa)
{
  mbedtls_pk_init(pk);
  if (is_rsa) {
    MUST(mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(MBEDTLS_PK_RSA)));
    MUST(mbedtls_rsa_gen_key(mbedtls_pk_rsa(*pk), uvsmtp__tls_rng, NULL, 2048, 65537));
  } else {
    MUST(mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)));
    MUST(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*pk), uvsmtp__tls_rng, NULL));
  }
}

/* One GeneralName: tag, length, bytes. */
static size_t write_name(unsigned char *out, const char *entry, size_t len)
{
  unsigned char ip[16];
  char text[64];
  if (strncmp(entry, "DNS:", 4) == 0) {
    out[0] = 0x82;
    out[1] = (unsigned char)(len - 4);
    memcpy(out + 2, entry + 4, len - 4);
    return len - 4 + 2;
  }
  assert(strncmp(entry, "IP:", 3) == 0);
  snprintf(text, sizeof(text), "%.*s", (int)(len - 3), entry + 3);
  out[0] = 0x87;
  out[1] = inet_pton(AF_INET, text, ip) == 1 ? 4 : 16;
  if (out[1] == 16)
    assert(inet_pton(AF_INET6, text, ip) == 1);
  memcpy(out + 2, ip, out[1]);
  return (size_t)out[1] + 2;
}

static void add_names(mbedtls_x509write_cert *crt, const char *names)
{
  unsigned char der[512];
  size_t len = 2;
  while (*names != '\0') {
    size_t n = strcspn(names, " ");
    len += write_name(der + len, names, n);
    names += n + (names[n] == ' ');
  }
  der[0] = 0x30; /* SEQUENCE; its length takes one byte, since it is short */
  der[1] = (unsigned char)(len - 2);
  assert(len - 2 < 0x80);
  MUST(mbedtls_x509write_crt_set_extension(crt, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                           MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0, der,
                                           len));
}

static void set_serial(mbedtls_x509write_cert *crt)
{
  static unsigned char serial;
  unsigned char bytes[2] = {1, ++serial};
#if MBEDTLS_VERSION_NUMBER >= 0x03040000
  MUST(mbedtls_x509write_crt_set_serial_raw(crt, bytes, sizeof(bytes)));
#else
  mbedtls_mpi number;
  mbedtls_mpi_init(&number);
  MUST(mbedtls_mpi_read_binary(&number, bytes, sizeof(bytes)));
  MUST(mbedtls_x509write_crt_set_serial(crt, &number));
  mbedtls_mpi_free(&number);
#endif
}

void make_identity(identity_t *identity, const spec_t *spec)
{
  const identity_t *issuer = spec->issuer != NULL ? spec->issuer : identity;
  const char *subject = spec->subject != NULL ? spec->subject : "CN=mail.example.org";
  mbedtls_x509write_cert crt;
  memset(identity, 0, sizeof(*identity));
  snprintf(identity->subject, sizeof(identity->subject), "%s", subject);
  make_key(&identity->pk, spec->is_rsa);
  mbedtls_x509write_crt_init(&crt);
  mbedtls_x509write_crt_set_version(&crt, MBEDTLS_X509_CRT_VERSION_3);
  mbedtls_x509write_crt_set_md_alg(&crt, MBEDTLS_MD_SHA256);
  mbedtls_x509write_crt_set_subject_key(&crt, &identity->pk);
  mbedtls_x509write_crt_set_issuer_key(&crt, (mbedtls_pk_context *)&issuer->pk);
  MUST(mbedtls_x509write_crt_set_subject_name(&crt, identity->subject));
  MUST(mbedtls_x509write_crt_set_issuer_name(&crt, issuer->subject));
  set_serial(&crt);
  MUST(mbedtls_x509write_crt_set_validity(&crt, spec->from != NULL ? spec->from : "20010101000000",
                                          spec->to != NULL ? spec->to : "21000101000000"));
  MUST(mbedtls_x509write_crt_set_basic_constraints(&crt, spec->is_ca, -1));
  if (spec->names != NULL)
    add_names(&crt, spec->names);
  if (spec->constraints != NULL)
    MUST(mbedtls_x509write_crt_set_extension(
        &crt, MBEDTLS_OID_NAME_CONSTRAINTS, MBEDTLS_OID_SIZE(MBEDTLS_OID_NAME_CONSTRAINTS),
        spec->constraints_critical, (const unsigned char *)spec->constraints,
        spec->constraints_len));
  MUST(mbedtls_x509write_crt_pem(&crt, (unsigned char *)identity->cert, sizeof(identity->cert),
                                 uvsmtp__tls_rng, NULL));
  MUST(mbedtls_pk_write_key_pem(&identity->pk, (unsigned char *)identity->key,
                                sizeof(identity->key)));
  mbedtls_x509write_crt_free(&crt);
}

void free_identity(identity_t *identity)
{
  mbedtls_pk_free(&identity->pk);
}

static void write_pem(char *path, const char *text)
{
  int fd = mkstemp(path);
  ssize_t len = (ssize_t)strlen(text);
  if (fd < 0 || write(fd, text, (size_t)len) != len || close(fd) != 0) {
    perror(path);
    abort();
  }
}

void write_identity(const identity_t *identity, char *cert_file, char *key_file)
{
  write_pem(cert_file, identity->cert);
  write_pem(key_file, identity->key);
}

void pin_of(const identity_t *identity, char pin[64])
{
  mbedtls_x509_crt crt;
  uint8_t digest[PIN_LEN];
  mbedtls_x509_crt_init(&crt);
  MUST(mbedtls_x509_crt_parse(&crt, (const unsigned char *)identity->cert,
                              strlen(identity->cert) + 1));
  MUST(uvsmtp__tls_pin(&crt, digest));
  uvsmtp__tls_pin_text(digest, pin);
  mbedtls_x509_crt_free(&crt);
}
