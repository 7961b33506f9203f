/*
 * Name constraints (RFC 5280 section 4.2.1.10): an authority that may vouch for some names only.
 * mbedTLS does not know them: it refuses a certificate where they are marked critical, and
 * overlooks them where they are not. We accept a certificate for the one name that is asked for, so
 * that name is what is held against them.
 */
#include <string.h>

#include <mbedtls/asn1.h>
#include <mbedtls/oid.h>

#include "base/text.h"
#include "tls/names.h"

/* What is left to be read of a piece of DER. */
typedef struct der_s {
  unsigned char *at, *end;
} der_t;

enum { PERMITTED = 0xa0, EXCLUDED = 0xa1, DNS_NAME = 0x82, IP_RANGE = 0x87, SEQUENCE = 0x30 };

/* The next value must have this tag: its contents. */
static bool take(der_t *from, int tag, der_t *value)
{
  size_t len;
  if (mbedtls_asn1_get_tag(&from->at, from->end, &len, tag) != 0)
    return false;
  *value = (der_t){from->at, from->at + len};
  from->at += len;
  return true;
}

/* The next value, whatever it is. */
static bool take_any(der_t *from, int *tag, der_t *value)
{
  if (from->at == from->end)
    return false;
  *tag = *from->at;
  return take(from, *tag, value);
}

static size_t left(const der_t *der)
{
  return (size_t)(der->end - der->at);
}

/* "example.org" covers itself and what ends in ".example.org"; ".example.org" only the latter. */
static bool covers_dns(const der_t *base, const char *name)
{
  size_t len = left(base), name_len = strlen(name);
  const char *tail = name + name_len - len;
  if (len > name_len || !uvsmtp__ascii_equal((const char *)base->at, len, tail, len))
    return false;
  return len == name_len || len == 0 || base->at[0] == '.' || tail[-1] == '.';
}

/* An address and a mask of the same length. */
static bool covers_ip(const der_t *base, const uint8_t *ip, size_t len)
{
  if (left(base) != 2 * len)
    return false;
  for (size_t i = 0; i < len; i++)
    if (((base->at[i] ^ ip[i]) & base->at[len + i]) != 0)
      return false;
  return true;
}

/* Counts the subtrees of the name's kind, and those that cover it. False: they cannot be read. */
static bool look_at(der_t subtrees, const uvsmtp__tls_name_t *name, size_t *of_kind,
                    size_t *covering)
{
  int wanted = name->ip_len != 0 ? IP_RANGE : DNS_NAME;
  *of_kind = *covering = 0;
  while (left(&subtrees) != 0) {
    der_t subtree, base;
    int tag;
    if (!take(&subtrees, SEQUENCE, &subtree) || !take_any(&subtree, &tag, &base))
      return false;
    if (tag != wanted)
      continue;
    ++*of_kind;
    *covering += name->ip_len != 0 ? covers_ip(&base, name->ip, name->ip_len)
                                   : covers_dns(&base, name->text);
  }
  return true;
}

static bool constraints_permit(der_t extension, const uvsmtp__tls_name_t *name)
{
  der_t constraints, subtrees;
  int tag;
  if (!take(&extension, SEQUENCE, &constraints))
    return false;
  while (left(&constraints) != 0) {
    size_t of_kind, covering;
    if (!take_any(&constraints, &tag, &subtrees) || !look_at(subtrees, name, &of_kind, &covering))
      return false;
    if (tag == PERMITTED && of_kind != 0 && covering == 0)
      return false;
    if (tag == EXCLUDED && covering != 0)
      return false;
  }
  return true;
}

/* One of the extensions; the value is that of its OCTET STRING. */
static bool take_extension(der_t *extensions, der_t *oid, der_t *value)
{
  der_t extension, critical;
  if (!take(extensions, SEQUENCE, &extension) || !take(&extension, MBEDTLS_ASN1_OID, oid))
    return false;
  if (left(&extension) != 0 && *extension.at == MBEDTLS_ASN1_BOOLEAN &&
      !take(&extension, MBEDTLS_ASN1_BOOLEAN, &critical))
    return false;
  return take(&extension, MBEDTLS_ASN1_OCTET_STRING, value);
}

bool uvsmtp__tls_name_permitted(const uvsmtp__tls_name_t *name, const mbedtls_x509_crt *issuer)
{
  der_t all = {issuer->v3_ext.p, issuer->v3_ext.p + issuer->v3_ext.len}, extensions, oid, value;
  if (issuer->v3_ext.p == NULL || !take(&all, SEQUENCE, &extensions))
    return true;
  while (take_extension(&extensions, &oid, &value)) {
    if (left(&oid) == MBEDTLS_OID_SIZE(MBEDTLS_OID_NAME_CONSTRAINTS) &&
        memcmp(oid.at, MBEDTLS_OID_NAME_CONSTRAINTS, left(&oid)) == 0 &&
        !constraints_permit(value, name))
      return false;
  }
  return true;
}
