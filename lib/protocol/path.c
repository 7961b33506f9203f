/*
 * Paths (RFC 5321 section 4.1.2, RFC 6531 section 3.3): "<local@domain>". Whatever an address
 * holds, it cannot leave its brackets: control characters are refused, a local part that is no
 * dot-string is quoted, and a domain has letters, digits, hyphens and dots only.
 */
#include <string.h>

#include "base/text.h"
#include "protocol/address.h"
#include "protocol/machine.h"

static bool is_atext(char c)
{
  return uvsmtp__ascii_alnum(c) || (unsigned char)c > 127 ||
         (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_dot_string(const char *s, size_t len)
{
  bool atom = false;
  for (size_t i = 0; i < len; i++) {
    if (s[i] == '.' ? !atom : !is_atext(s[i]))
      return false;
    atom = s[i] != '.';
  }
  return atom;
}

/* Is it a quoted string as it stands: quotes outside, each inner quote and backslash escaped? */
static bool is_quoted(const char *s, size_t len)
{
  size_t i = 1;
  if (len < 2 || s[0] != '"' || s[len - 1] != '"')
    return false;
  while (i < len - 1) {
    if (s[i] == '"' || (s[i] == '\\' && i + 1 >= len - 1))
      return false;
    i += s[i] == '\\' ? 2 : 1;
  }
  return i == len - 1;
}

static int append_quoted(uvsmtp__buffer_t *line, const char *s, size_t len)
{
  int err = uvsmtp__buffer_append(line, "\"", 1);
  for (size_t i = 0; i < len && err == 0; i++) {
    if (s[i] == '"' || s[i] == '\\')
      err = uvsmtp__buffer_append(line, "\\", 1);
    if (err == 0)
      err = uvsmtp__buffer_append(line, s + i, 1);
  }
  return err != 0 ? err : uvsmtp__buffer_append(line, "\"", 1);
}

static bool is_domain(const char *s, size_t len)
{
  if (len > 2 && s[0] == '[' && s[len - 1] == ']') {
    for (size_t i = 1; i < len - 1; i++)
      if (!uvsmtp__ascii_alnum(s[i]) && strchr(".:-", s[i]) == NULL)
        return false;
    return true;
  }
  for (size_t i = 0; i < len; i++)
    if (!uvsmtp__ascii_alnum(s[i]) && s[i] != '-' && s[i] != '_' && (unsigned char)s[i] < 128 &&
        (s[i] != '.' || i == 0 || i == len - 1 || s[i - 1] == '.'))
      return false;
  return len > 0 && len <= 255;
}

/* Where the local part ends: at the last "@", or at the end of an address without one. */
static size_t local_len(const char *address, size_t len)
{
  for (size_t i = len; i > 0; i--)
    if (address[i - 1] == '@')
      return i - 1;
  return len;
}

/* What an octet may be part of, by the rules above. */
enum { ATOM = 1, LABEL = 2 };
static const uint8_t parts[256] = {
#define BOTH ATOM | LABEL
    ['a' ... 'z'] = BOTH, ['A' ... 'Z'] = BOTH, ['0' ... '9'] = BOTH, ['-'] = BOTH, ['_'] = BOTH,
    ['!'] = ATOM,         ['#'] = ATOM,         ['$'] = ATOM,         ['%'] = ATOM, ['&'] = ATOM,
    ['\''] = ATOM,        ['*'] = ATOM,         ['+'] = ATOM,         ['/'] = ATOM, ['='] = ATOM,
    ['?'] = ATOM,         ['^'] = ATOM,         ['`'] = ATOM,         ['{'] = ATOM, ['|'] = ATOM,
    ['}'] = ATOM,         ['~'] = ATOM,
#undef BOTH
};

/* The end of words of `part` with single dots between them, or NULL. */
static const char *dotted(const char *s, uint8_t part)
{
  for (;;) {
    const char *start = s;
    while ((parts[(unsigned char)*s] & part) != 0)
      s++;
    if (s == start)
      return NULL;
    if (*s != '.')
      return s;
    s++;
  }
}

/* The length of an address that is as most are, a dot-string at a domain in ASCII; else 0. */
static size_t plain_len(const char *address)
{
  const char *at = dotted(address, ATOM), *end;
  if (at == NULL || *at != '@')
    return 0;
  end = dotted(at + 1, LABEL);
  return end != NULL && *end == '\0' && end - at <= 256 ? (size_t)(end - address) : 0;
}

static int append_plain(uvsmtp__buffer_t *line, const char *address, size_t len)
{
  int err = uvsmtp__buffer_reserve(line, len + 2);
  if (err != 0)
    return err;
  line->base[line->end] = '<';
  memcpy(line->base + line->end + 1, address, len);
  line->base[line->end + len + 1] = '>';
  line->end += len + 2;
  return 0;
}

/* The same for one that is short and as most are; false, with nothing done, for any other. */
static bool append_usual(uvsmtp__buffer_t *line, const char *address, size_t len)
{
  char *at;
  if (line->size - line->end < UVSMTP__SHORT_ADDRESS + 2)
    return false;
  at = line->base + line->end;
  if (!uvsmtp__put_address(at + 1, address, len))
    return false;
  at[0] = '<';
  at[len + 1] = '>';
  line->end += len + 2;
  return true;
}

static int append_any(uvsmtp__buffer_t *line, const char *address, bool *utf8)
{
  size_t len = strlen(address), local = local_len(address, len);
  int err = 0;
  if (uvsmtp__breaks_line(address, len))
    return UVSMTP_EINJECTION;
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)address[i] < 32 || address[i] == 127)
      return UVSMTP_EADDRESS;
  if (local == 0 || !uvsmtp__is_utf8(address, len) ||
      (local < len && !is_domain(address + local + 1, len - local - 1)))
    return UVSMTP_EADDRESS;
  if (uvsmtp__has_8bit(address, len))
    *utf8 = true;
  if ((err = uvsmtp__buffer_append(line, "<", 1)) != 0)
    return err;
  if (is_dot_string(address, local) || is_quoted(address, local))
    err = uvsmtp__buffer_append(line, address, local);
  else
    err = append_quoted(line, address, local);
  if (err == 0)
    err = uvsmtp__buffer_append(line, address + local, len - local);
  return err != 0 ? err : uvsmtp__buffer_append(line, ">", 1);
}

/* Does a domain in UTF-8 stand behind an ASCII local part, and the server lacks SMTPUTF8? */
static bool needs_a_labels(const uvsmtp_protocol_t *p, const char *address, size_t len,
                           size_t local)
{
  return p->shared->options.domain_to_ascii != NULL && local < len &&
         (p->capabilities->extensions & UVSMTP_EXT_SMTPUTF8) == 0 &&
         uvsmtp__has_8bit(address, len) && !uvsmtp__has_8bit(address, local);
}

/* RFC 6531 section 3.3 leaves U-labels to SMTPUTF8; A-labels (RFC 5890) go everywhere. */
static int append_a_labels(const uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const char *address,
                           size_t local, bool *utf8)
{
  char ascii[64 + 1 + 256];
  int err;
  if (local > 64)
    return UVSMTP_EADDRESS;
  memcpy(ascii, address, local + 1);
  err = p->shared->options.domain_to_ascii(ascii + local + 1, sizeof(ascii) - local - 1,
                                           address + local + 1);
  return err != 0 ? err : append_any(line, ascii, utf8);
}

int uvsmtp__path_append(const uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const char *address,
                        bool *utf8)
{
  size_t len = strlen(address), plain, local;
  if (append_usual(line, address, len))
    return 0;
  if ((plain = plain_len(address)) != 0)
    return append_plain(line, address, plain);
  local = local_len(address, len);
  if (needs_a_labels(p, address, len, local) && uvsmtp__is_utf8(address, len))
    return append_a_labels(p, line, address, local, utf8);
  return append_any(line, address, utf8);
}
