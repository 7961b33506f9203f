#include "message/address.h"

/*
 * Single addresses: what may stand left and right of the "@", and the one way to write them.
 *
 * A local part is judged by what it stands for ("a b" with quotes and backslashes removed), and
 * written with quotes only where it is not atoms joined by dots. So an address has one canonical
 * form, and nothing in a local part can end the path "<…>" that it is put into.
 */
#include <string.h>

#include "base/text.h"
#include "message/detail.h"

#define MAX_LABEL 63
/* Limits by RFC 5321 section 4.5.3.1. The 64 octets of a local part are not enforced by
 * themselves: encoded bounce addresses are longer, and servers take them. */
#define MAX_DOMAIN 255

bool uvsmtp__is_atext(char c)
{
  return uvsmtp__ascii_alnum(c) || (unsigned char)c > 127 ||
         (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

bool uvsmtp__is_dot_atom(const char *s, size_t len)
{
  bool word = false;
  for (size_t i = 0; i < len; i++) {
    if (s[i] == '.' ? !word : !uvsmtp__is_atext(s[i]))
      return false;
    word = s[i] != '.';
  }
  return word;
}

const char *uvsmtp__local_fault(const char *content, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (uvsmtp__is_control(content[i]))
      return "a control character in the local part";
  return uvsmtp__is_utf8(content, len) ? NULL : "the local part is not UTF-8";
}

size_t uvsmtp__quote(char *out, const char *content, size_t len)
{
  size_t n = 0;
  out[n++] = '"';
  for (size_t i = 0; i < len; i++) {
    if (content[i] == '"' || content[i] == '\\')
      out[n++] = '\\';
    out[n++] = content[i];
  }
  out[n++] = '"';
  return n;
}

/* ---- Domains ---- */

static const char *label_fault(const char *label, size_t len)
{
  if (len == 0)
    return "an empty label in the domain";
  if (len > MAX_LABEL && !uvsmtp__has_8bit(label, len))
    return "a label of over 63 octets in the domain";
  if (label[0] == '-' || label[len - 1] == '-')
    return "a label of the domain begins or ends with a hyphen";
  for (size_t i = 0; i < len; i++) /* RFC 5321 has no "_", but hosts that receive mail do */
    if (!uvsmtp__ascii_alnum(label[i]) && label[i] != '-' && label[i] != '_' &&
        (unsigned char)label[i] < 128)
      return "a character that no domain can have";
  return NULL;
}

static const char *name_fault(const char *domain, size_t len)
{
  size_t start = 0;
  if (!uvsmtp__is_utf8(domain, len))
    return "the domain is not UTF-8";
  for (size_t i = 0; i <= len; i++) {
    const char *fault;
    if (i < len && domain[i] != '.')
      continue;
    if ((fault = label_fault(domain + start, i - start)) != NULL)
      return fault;
    start = i + 1;
  }
  return NULL;
}

/* Reads a number of up to `max` digits; returns how many digits, 0 if it is none or over 255. */
static size_t octet_len(const char *s, size_t len)
{
  size_t n = 0;
  unsigned value = 0;
  while (n < len && n < 4 && uvsmtp__ascii_digit(s[n]))
    value = value * 10 + (unsigned)(s[n++] - '0');
  return n <= 3 && value <= 255 ? n : 0;
}

static bool is_ipv4(const char *s, size_t len)
{
  for (int part = 0; part < 4; part++) {
    size_t n = octet_len(s, len);
    if (n == 0)
      return false;
    s += n;
    len -= n;
    if (part == 3)
      return len == 0;
    if (len == 0 || *s != '.')
      return false;
    s++;
    len--;
  }
  return false;
}

static size_t hex_len(const char *s, size_t len)
{
  size_t n = 0;
  while (n < len && n < 5 && memchr("0123456789abcdefABCDEF", s[n], 22) != NULL)
    n++;
  return n <= 4 ? n : 0;
}

/* RFC 4291 section 2.2: eight groups, "::" once for any number of them, IPv4 as the last two. */
static bool is_ipv6(const char *s, size_t len)
{
  size_t at = 0, groups = 0;
  bool gap = len >= 2 && s[0] == ':' && s[1] == ':';
  if (gap)
    at = 2;
  while (at < len) {
    size_t n = hex_len(s + at, len - at);
    if (is_ipv4(s + at, len - at)) {
      groups += 2;
      break;
    }
    if (n == 0)
      return false;
    groups++;
    at += n;
    if (at == len)
      break;
    if (s[at++] != ':' || at == len)
      return false;
    if (s[at] == ':') {
      if (gap)
        return false;
      gap = true;
      at++;
    }
  }
  return gap ? groups <= 7 : groups == 8;
}

/* What stands between the brackets (RFC 5321 section 4.1.3). */
static const char *literal_fault(const char *s, size_t len)
{
  const char *colon = memchr(s, ':', len);
  size_t tag = colon != NULL ? (size_t)(colon - s) : 0;
  if (colon == NULL)
    return is_ipv4(s, len) ? NULL : "the address literal is no IPv4 address";
  if (uvsmtp__ascii_equal(s, tag, "IPv6", 4))
    return is_ipv6(colon + 1, len - tag - 1) ? NULL : "the address literal is no IPv6 address";
  if (tag == 0 || s[tag - 1] == '-' || tag + 1 == len)
    return "the address literal has no tag or no content";
  for (size_t i = 0; i < tag; i++)
    if (!uvsmtp__ascii_alnum(s[i]) && s[i] != '-')
      return "the address literal has a malformed tag";
  for (size_t i = tag + 1; i < len; i++)
    if (s[i] < '!' || s[i] > '~' || strchr("[\\]", s[i]) != NULL)
      return "a character that no address literal can have";
  return NULL;
}

const char *uvsmtp__domain_fault(const char *domain, size_t len)
{
  if (len == 0)
    return "the domain is empty";
  if (len > MAX_DOMAIN)
    return "the domain has over 255 octets";
  if (domain[0] != '[')
    return name_fault(domain, len);
  if (domain[len - 1] != ']')
    return "the address literal is not closed";
  return literal_fault(domain + 1, len - 2);
}

/* ---- Whole addresses ---- */

int uvsmtp__address_join(char out[UVSMTP_ADDRESS_SIZE], const char *local, size_t local_len,
                         const char *domain, size_t domain_len, const char **fault)
{
  char quoted[2 * UVSMTP_ADDRESS_SIZE + 2];
  *fault = "longer than 320 octets";
  if (local_len >= UVSMTP_ADDRESS_SIZE)
    return UVSMTP_EADDRESS;
  if ((*fault = uvsmtp__local_fault(local, local_len)) != NULL ||
      (*fault = uvsmtp__domain_fault(domain, domain_len)) != NULL)
    return UVSMTP_EADDRESS;
  if (!uvsmtp__is_dot_atom(local, local_len)) {
    local_len = uvsmtp__quote(quoted, local, local_len);
    local = quoted;
  }
  *fault = "longer than 320 octets";
  if (local_len + 1 + domain_len >= UVSMTP_ADDRESS_SIZE)
    return UVSMTP_EADDRESS;
  memcpy(out, local, local_len);
  out[local_len] = '@';
  memcpy(out + local_len + 1, domain, domain_len);
  out[local_len + 1 + domain_len] = '\0';
  *fault = NULL;
  return 0;
}

/* Where an address is cut: what the local part stands for, and the domain. */
typedef struct {
  char local[UVSMTP_ADDRESS_SIZE];
  size_t local_len;
  const char *domain;
  size_t domain_len;
} cut_t;

/* Reads `"…"@`; the position behind it, or NULL with the fault. */
static const char *cut_quoted(cut_t *cut, const char *s, const char *end, const char **fault)
{
  const char *p = s + 1;
  while (p < end && *p != '"') {
    if (*p == '\\' && ++p == end)
      break;
    if (cut->local_len == sizeof(cut->local)) {
      *fault = "longer than 320 octets";
      return NULL;
    }
    cut->local[cut->local_len++] = *p++;
  }
  if (p == end)
    *fault = "a quote is not closed";
  else if (p + 1 == end || p[1] != '@')
    *fault = "the quoted local part is not followed by \"@\"";
  else
    return p + 2;
  return NULL;
}

/* The last "@" that is not inside an address literal. */
static const char *find_at(const char *s, size_t len)
{
  if (len > 0 && s[len - 1] == ']')
    for (size_t i = len - 1; i > 0; i--)
      if (s[i - 1] == '@' && s[i] == '[')
        return s + i - 1;
  for (size_t i = len; i > 0; i--)
    if (s[i - 1] == '@')
      return s + i - 1;
  return NULL;
}

static const char *cut_plain(cut_t *cut, const char *s, size_t len, const char **fault)
{
  const char *at = find_at(s, len);
  cut->local_len = at != NULL ? (size_t)(at - s) : 0;
  if (at == NULL)
    *fault = "it has no domain";
  else if (at == s)
    *fault = "it has no local part";
  else if (memchr(s, '@', cut->local_len) != NULL)
    *fault = "it has two \"@\"";
  else if (cut->local_len > sizeof(cut->local))
    *fault = "longer than 320 octets";
  if (*fault != NULL)
    return NULL;
  memcpy(cut->local, s, cut->local_len);
  return at + 1;
}

static const char *cut_address(cut_t *cut, const char *s, size_t len)
{
  const char *fault = NULL;
  cut->local_len = 0;
  cut->domain =
      len > 0 && s[0] == '"' ? cut_quoted(cut, s, s + len, &fault) : cut_plain(cut, s, len, &fault);
  if (cut->domain != NULL)
    cut->domain_len = (size_t)(s + len - cut->domain);
  return fault;
}

static int copy_out(char *out, size_t out_size, const char *s)
{
  size_t len = strlen(s);
  if (len >= out_size)
    return UVSMTP_ETOOLONG;
  memcpy(out, s, len + 1);
  return 0;
}

int uvsmtp_address_canonical(char *out, size_t out_size, const char *address, size_t len,
                             unsigned flags, char *detail, size_t detail_size)
{
  char whole[UVSMTP_ADDRESS_SIZE], domain[UVSMTP_DOMAIN_SIZE];
  const char *fault;
  cut_t cut;
  int err;
  if (uvsmtp__breaks_line(address, len))
    return uvsmtp__detail(detail, detail_size, UVSMTP_EINJECTION, "CR, LF or NUL in an address");
  if (uvsmtp__ascii_equal(address, len, "postmaster", 10)) /* RFC 5321 section 4.1.1.3 */
    return copy_out(out, out_size, "postmaster");
  if ((fault = cut_address(&cut, address, len)) != NULL ||
      uvsmtp__address_join(whole, cut.local, cut.local_len, cut.domain, cut.domain_len, &fault) !=
          0)
    return uvsmtp__detail(detail, detail_size, UVSMTP_EADDRESS, "\"%.*s\" is no address: %s",
                          len > 100 ? 100 : (int)len, address, fault);
  if ((flags & UVSMTP_ADDRESS_ASCII) == 0)
    return copy_out(out, out_size, whole);
  if (uvsmtp__has_8bit(cut.local, cut.local_len))
    return uvsmtp__detail(detail, detail_size, UVSMTP_EADDRESS,
                          "\"%.*s\" has a local part that is not ASCII", (int)len, address);
  if (cut.domain[0] == '[')
    return copy_out(out, out_size, whole);
  memcpy(domain, cut.domain, cut.domain_len);
  domain[cut.domain_len] = '\0';
  {
    char ascii[UVSMTP_DOMAIN_SIZE];
    if ((err = uvsmtp_domain_to_ascii(ascii, sizeof(ascii), domain, detail, detail_size)) != 0 ||
        (err = uvsmtp__address_join(whole, cut.local, cut.local_len, ascii, strlen(ascii),
                                    &fault)) != 0)
      return err;
  }
  return copy_out(out, out_size, whole);
}

int uvsmtp_address_format(char *out, size_t out_size, const char *name, const char *address)
{
  char canonical[UVSMTP_ADDRESS_SIZE];
  size_t name_len = name != NULL ? strlen(name) : 0, address_len, n = 0;
  bool plain = true;
  int err =
      uvsmtp_address_canonical(canonical, sizeof(canonical), address, strlen(address), 0, NULL, 0);
  if (err != 0)
    return err;
  address_len = strlen(canonical);
  if (uvsmtp__breaks_line(name, name_len))
    return UVSMTP_EINJECTION;
  if (name_len > 0 && !uvsmtp__is_utf8(name, name_len))
    return UVSMTP_ECHARSET;
  if (name_len > 10000 || 2 * name_len + address_len + 6 > out_size)
    return UVSMTP_ETOOLONG;
  for (size_t i = 0; i < name_len; i++)
    if (uvsmtp__is_control(name[i]) && name[i] != '\t')
      return UVSMTP_ECHARSET;
  for (size_t i = 0; i < name_len; i++)
    plain = plain && (uvsmtp__is_atext(name[i]) ||
                      (name[i] == ' ' && i > 0 && i + 1 < name_len && name[i - 1] != ' '));
  if (name_len > 0) {
    n = plain ? name_len : uvsmtp__quote(out, name, name_len);
    if (plain)
      memcpy(out, name, name_len);
    out[n++] = ' ';
    out[n++] = '<';
  }
  memcpy(out + n, canonical, address_len);
  n += address_len;
  if (name_len > 0)
    out[n++] = '>';
  out[n] = '\0';
  return (int)n;
}

int uvsmtp__address_compare(const char *a, const char *b)
{
  size_t a_len = strlen(a), b_len = strlen(b);
  const char *a_at = find_at(a, a_len), *b_at = find_at(b, b_len);
  size_t a_local = a_at != NULL ? (size_t)(a_at - a) : a_len;
  size_t b_local = b_at != NULL ? (size_t)(b_at - b) : b_len;
  int order = memcmp(a, b, a_local < b_local ? a_local : b_local);
  if (order != 0 || a_local != b_local)
    return order != 0 ? order : a_local < b_local ? -1 : 1;
  if (a_len != b_len)
    return a_len < b_len ? -1 : 1;
  for (size_t i = a_local; i < a_len && order == 0; i++)
    order = uvsmtp__ascii_lower(a[i]) - uvsmtp__ascii_lower(b[i]);
  return order;
}

int uvsmtp_address_equal(const char *a, const char *b)
{
  return uvsmtp__address_compare(a, b) == 0;
}
