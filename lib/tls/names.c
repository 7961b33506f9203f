/*
 * Whose certificate is it? mbedTLS 2.28 knows DNS names only, so names are matched here, for both
 * versions alike. RFC 6125 decides, with two choices that it leaves open: a wildcard is the whole
 * leftmost label ("f*.example.org" is none) and needs a name of two labels behind it, so that
 * "*.org" covers nothing.
 */
#include "tls/names.h"

#include <string.h>

#if defined(_WIN32)
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#include <sys/socket.h>
#endif

#include <mbedtls/oid.h>

#include "base/mem.h"
#include "base/text.h"

/* Tags of GeneralName (RFC 5280 section 4.2.1.6) as they stand in the certificate. */
enum { SAN_EMAIL = 0x81, SAN_DNS = 0x82, SAN_URI = 0x86, SAN_IP = 0x87 };

/* RFC 1035 section 2.3.4. */
#define MAX_NAME 253
#define MAX_LABEL 63

static bool is_host_name(const char *text, size_t len)
{
  size_t label = 0;
  if (len == 0 || len > MAX_NAME)
    return false;
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '.') {
      if (label == 0)
        return false;
      label = 0;
    } else if ((!uvsmtp__ascii_alnum(text[i]) && text[i] != '-' && text[i] != '_') ||
               ++label > MAX_LABEL) {
      return false;
    }
  }
  return label > 0;
}

/* Cuts "[…]" and the zone of "fe80::1%eth0", which no certificate names. */
static size_t parse_ip(const char *text, size_t len, uint8_t ip[16])
{
  char plain[64];
  const char *zone;
  if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
    text++;
    len -= 2;
  }
  zone = memchr(text, '%', len);
  if (zone != NULL)
    len = (size_t)(zone - text);
  if (len >= sizeof(plain))
    return 0;
  memcpy(plain, text, len);
  plain[len] = '\0';
  if (inet_pton(AF_INET, plain, ip) == 1)
    return 4;
  return inet_pton(AF_INET6, plain, ip) == 1 ? 16 : 0;
}

uvsmtp__tls_name_t uvsmtp__tls_name_read(const char *text)
{
  uvsmtp__tls_name_t name = {.text = text};
  name.ip_len = parse_ip(text, strlen(text), name.ip);
  return name;
}

int uvsmtp__tls_name_copy(char **copy, const uvsmtp_mem_t *mem, const char *text)
{
  size_t len = strlen(text);
  *copy = NULL;
  if (uvsmtp__tls_name_read(text).ip_len == 0) {
    if (len > 0 && text[len - 1] == '.')
      len--;
    if (!is_host_name(text, len))
      return UVSMTP_EINVAL;
  }
  *copy = uvsmtp__memdup(mem, text, len);
  return *copy != NULL ? 0 : UVSMTP_ENOMEM;
}

bool uvsmtp__tls_dns_name_covers(const char *presented, size_t presented_len, const char *wanted)
{
  const char *rest = wanted;
  if (presented_len > 0 && presented[presented_len - 1] == '.')
    presented_len--;
  if (presented_len >= 2 && presented[0] == '*' && presented[1] == '.') {
    rest = strchr(wanted, '.');
    if (rest == NULL || rest == wanted || strchr(rest + 1, '.') == NULL)
      return false;
    presented++;
    presented_len--;
  }
  return uvsmtp__ascii_equal(presented, presented_len, rest, strlen(rest));
}

/* The common names of the subject, one after another; NULL after the last. */
static const mbedtls_x509_name *next_common_name(const mbedtls_x509_name *name)
{
  while (name != NULL && MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &name->oid) != 0)
    name = name->next;
  return name;
}

/* RFC 6125 section 6.4.4: the common name counts only without any name of these kinds. */
static bool has_server_names(const mbedtls_x509_crt *crt)
{
  for (const mbedtls_x509_sequence *san = &crt->subject_alt_names; san != NULL; san = san->next)
    if (san->buf.tag == SAN_DNS || san->buf.tag == SAN_IP || san->buf.tag == SAN_URI)
      return true;
  return false;
}

static bool san_matches(const uvsmtp__tls_name_t *name, const mbedtls_x509_buf *san)
{
  if (name->ip_len != 0)
    return san->tag == SAN_IP && san->len == name->ip_len &&
           memcmp(san->p, name->ip, san->len) == 0;
  return san->tag == SAN_DNS &&
         uvsmtp__tls_dns_name_covers((const char *)san->p, san->len, name->text);
}

bool uvsmtp__tls_name_matches(const uvsmtp__tls_name_t *name, const mbedtls_x509_crt *crt)
{
  if (has_server_names(crt)) {
    for (const mbedtls_x509_sequence *san = &crt->subject_alt_names; san != NULL; san = san->next)
      if (san_matches(name, &san->buf))
        return true;
    return false;
  }
  if (name->ip_len != 0)
    return false;
  for (const mbedtls_x509_name *cn = next_common_name(&crt->subject); cn != NULL;
       cn = next_common_name(cn->next))
    if (uvsmtp__tls_dns_name_covers((const char *)cn->val.p, cn->val.len, name->text))
      return true;
  return false;
}

static void say_san(uvsmtp__tls_say_t *say, const mbedtls_x509_buf *san)
{
  char text[64];
  if (san->tag == SAN_IP && (san->len == 4 || san->len == 16)) {
    if (inet_ntop(san->len == 4 ? AF_INET : AF_INET6, san->p, text, sizeof(text)) != NULL)
      uvsmtp__tls_say(say, "%s", text);
  } else if (san->tag == SAN_DNS || san->tag == SAN_EMAIL || san->tag == SAN_URI) {
    uvsmtp__tls_say_bytes(say, san->p, san->len);
  } else {
    uvsmtp__tls_say(say, "(another kind of name)");
  }
}

void uvsmtp__tls_say_names(uvsmtp__tls_say_t *say, const mbedtls_x509_crt *crt)
{
  const char *comma = "";
  for (const mbedtls_x509_sequence *san = &crt->subject_alt_names; san != NULL; san = san->next) {
    if (san->buf.p == NULL)
      continue;
    uvsmtp__tls_say(say, "%s", comma);
    say_san(say, &san->buf);
    comma = ", ";
  }
  if (*comma != '\0')
    return;
  for (const mbedtls_x509_name *cn = next_common_name(&crt->subject); cn != NULL;
       cn = next_common_name(cn->next)) {
    uvsmtp__tls_say(say, "%s", comma);
    uvsmtp__tls_say_bytes(say, cn->val.p, cn->val.len);
    comma = ", ";
  }
  if (*comma == '\0')
    uvsmtp__tls_say(say, "no name");
}
