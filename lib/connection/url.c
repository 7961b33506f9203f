#include "connection/url.h"

/*
 * Server URLs (RFC 3986 in the small): scheme "://" [user [":" password] "@"] host [":" port] ["/"]
 * ["?" key "=" value *("&" key "=" value)], or a path behind an empty host for a Unix socket.
 *
 * Everything is checked, since a URL often comes from a configuration file or the environment: what
 * is not understood is refused, not skipped. No sentence quotes the URL: a password with a
 * character that had to be written %XX may end up in any of its parts.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "connection/ehlo_name.h"
#include "connection/proxy.h"

typedef struct parser_s {
  uvsmtp_url_t *url;
  const uvsmtp_mem_t *mem;
  char *detail;
  size_t detail_size;
  bool is_unix, implicit, tls_said;
} parser_t;

typedef struct scheme_s {
  const char *name;
  bool lmtp, is_unix, implicit;
} scheme_t;

static const scheme_t schemes[] = {
    {.name = "smtp"},
    {.name = "smtps", .implicit = true},
    {.name = "lmtp", .lmtp = true},
    {.name = "smtp+unix", .is_unix = true},
    {.name = "lmtp+unix", .lmtp = true, .is_unix = true},
};

static int say(const parser_t *p, int err, const char *sentence)
{
  if (p->detail != NULL && p->detail_size > 0)
    snprintf(p->detail, p->detail_size, "%s", sentence);
  return err;
}

static int refuse(const parser_t *p, const char *sentence)
{
  return say(p, UVSMTP_EURL, sentence);
}

/* ---- characters ---------------------------------------------------------------------------- */

static uvsmtp_slice_t slice(const char *base, const char *end)
{
  return (uvsmtp_slice_t){base, (size_t)(end - base)};
}

static const char *find(uvsmtp_slice_t s, char c)
{
  return s.len == 0 ? NULL : memchr(s.base, c, s.len);
}

/* Cuts `*s` at its first `c`: what was behind it, or a NULL base if there is none. */
static uvsmtp_slice_t cut(uvsmtp_slice_t *s, char c)
{
  const char *at = find(*s, c);
  uvsmtp_slice_t rest = {NULL, 0};
  if (at != NULL) {
    rest = slice(at + 1, s->base + s->len);
    s->len = (size_t)(at - s->base);
  }
  return rest;
}

static int hex(char c)
{
  if (uvsmtp__ascii_digit(c))
    return c - '0';
  c = uvsmtp__ascii_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of `s` at `*i`, which moves behind it; -1 for a bad escape. */
static int decode_one(uvsmtp_slice_t s, size_t *i)
{
  int high, low;
  if (s.base[*i] != '%')
    return (unsigned char)s.base[(*i)++];
  if (s.len - *i < 3)
    return -1;
  high = hex(s.base[*i + 1]);
  low = hex(s.base[*i + 2]);
  *i += 3;
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Percent-decodes into a new string; what it held is wiped if that fails. */
static int decode(const parser_t *p, uvsmtp_slice_t s, char **out)
{
  char *to = uvsmtp__calloc(p->mem, s.len + 1, 1);
  size_t len = 0;
  if (to == NULL)
    return say(p, UVSMTP_ENOMEM, "out of memory");
  for (size_t i = 0; i < s.len;) {
    int c = decode_one(s, &i);
    char byte = (char)c;
    if (c < 0 || uvsmtp__breaks_line(&byte, 1)) {
      uvsmtp__free_secret(p->mem, to);
      return c < 0 ? refuse(p, "a % in the URL is not followed by two hexadecimal digits")
                   : say(p, UVSMTP_EINJECTION, "the URL has an encoded CR, LF or NUL");
    }
    to[len++] = byte;
  }
  *out = to;
  return 0;
}

static int check_characters(const parser_t *p, const char *text)
{
  const char *hash = strchr(text, '#');
  if (strpbrk(text, "\r\n") != NULL)
    return say(p, UVSMTP_EINJECTION, "the URL has a line break");
  for (const char *s = text; *s != '\0'; s++)
    if (*s <= ' ' || *s > '~' || strchr("\"<>\\^`{|}", *s) != NULL)
      return refuse(p, "the URL has a character that must be written as %XX");
  if (hash != NULL)
    return refuse(p, strchr(hash, '@') != NULL ? "a # in the user or password is written %23"
                                               : "a server URL has no fragment (#)");
  return 0;
}

/* An @ behind the host can only be that of a user, or of a password with a / or ? in it. */
static int check_at(const parser_t *p, uvsmtp_slice_t rest)
{
  const char *at = find(rest, '@'), *slash = find(rest, '/'), *mark = find(rest, '?');
  if (p->is_unix || at == NULL || ((slash == NULL || at < slash) && (mark == NULL || at < mark)))
    return 0;
  return refuse(p, "a / in the user or password is written %2F, a ? %3F");
}

/* ---- the parts ----------------------------------------------------------------------------- */

static int parse_scheme(parser_t *p, uvsmtp_slice_t name)
{
  for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
    const scheme_t *s = &schemes[i];
    if (!uvsmtp__ascii_equal(name.base, name.len, s->name, strlen(s->name)))
      continue;
    p->url->lmtp = s->lmtp;
    p->is_unix = s->is_unix;
    p->implicit = s->implicit;
    /* A Unix socket leads to no network, and has no name that a certificate could be for. */
    p->url->tls = s->implicit  ? UVSMTP_TLS_IMPLICIT
                  : s->is_unix ? UVSMTP_TLS_NONE
                               : UVSMTP_TLS_REQUIRED;
    return 0;
  }
  return refuse(p, "the URL's scheme is not smtp, smtps, lmtp, smtp+unix or lmtp+unix");
}

static int parse_userinfo(parser_t *p, uvsmtp_slice_t user)
{
  uvsmtp_slice_t password = cut(&user, ':');
  int err;
  if (user.len == 0)
    return refuse(p, "the URL has an @ without a user before it");
  err = decode(p, user, &p->url->user);
  if (err == 0 && password.base != NULL)
    err = decode(p, password, &p->url->password);
  return err;
}

static int parse_port(parser_t *p, uvsmtp_slice_t text)
{
  unsigned port = 0;
  for (size_t i = 0; i < text.len; i++) {
    if (!uvsmtp__ascii_digit(text.base[i]) || i == 5)
      return refuse(p, "the URL's port is not a number from 1 to 65535");
    port = port * 10 + (unsigned)(text.base[i] - '0');
  }
  if (port == 0 || port > UINT16_MAX)
    return refuse(p, "the URL's port is not a number from 1 to 65535");
  p->url->port = (uint16_t)port;
  return 0;
}

static int parse_name(parser_t *p, uvsmtp_slice_t host)
{
  if (host.len == 0)
    return refuse(p, "the URL has no host");
  for (size_t i = 0; i < host.len; i++)
    if (!uvsmtp__ascii_alnum(host.base[i]) && strchr("-._", host.base[i]) == NULL)
      return refuse(p, "the URL's host is neither a name, nor an IPv4 address, nor [IPv6]");
  return decode(p, host, &p->url->host);
}

/* What stands in brackets; a zone is written %25eth0 (RFC 6874). */
static int parse_ipv6(parser_t *p, uvsmtp_slice_t host)
{
  unsigned char address[16];
  int err = decode(p, host, &p->url->host);
  if (err == 0 && uv_inet_pton(AF_INET6, p->url->host, address) != 0)
    err = refuse(p, "what stands in brackets in the URL is not an IPv6 address");
  return err;
}

static int parse_host(parser_t *p, uvsmtp_slice_t host)
{
  uvsmtp_slice_t port;
  int err;
  if (host.len > 0 && host.base[0] == '[') {
    uvsmtp_slice_t rest;
    host = (uvsmtp_slice_t){host.base + 1, host.len - 1};
    rest = cut(&host, ']');
    if (rest.base == NULL)
      return refuse(p, "the URL has a [ without a ]");
    port = cut(&rest, ':');
    if (rest.len != 0)
      return refuse(p, "between ] and the port the URL has something else");
    err = parse_ipv6(p, host);
  } else {
    port = cut(&host, ':');
    err = parse_name(p, host);
  }
  return err == 0 && port.base != NULL ? parse_port(p, port) : err;
}

static int parse_authority(parser_t *p, uvsmtp_slice_t authority)
{
  uvsmtp_slice_t user = authority, host = cut(&user, '@');
  if (host.base == NULL) {
    host = user;
  } else {
    int err = find(host, '@') != NULL ? refuse(p, "an @ in the user or password is written %40")
                                      : parse_userinfo(p, user);
    if (err != 0)
      return err;
  }
  if (!p->is_unix)
    return parse_host(p, host);
  return host.len == 0 ? 0 : refuse(p, "a Unix socket's URL has three slashes and no host");
}

static int parse_path(parser_t *p, uvsmtp_slice_t path)
{
  if (!p->is_unix)
    return path.len <= 1 ? 0 : refuse(p, "the URL has a path behind the host");
  if (path.len <= 1)
    return refuse(p, "the URL has no path of a Unix socket");
  return decode(p, path, &p->url->unix_path);
}

/* ---- the query ------------------------------------------------------------------------------ */

static int take_tls(parser_t *p, char *value)
{
  static const struct {
    const char *name;
    uvsmtp_tls_mode_t mode;
  } modes[] = {
      {"none", UVSMTP_TLS_NONE},
      {"opportunistic", UVSMTP_TLS_OPPORTUNISTIC},
      {"required", UVSMTP_TLS_REQUIRED},
      {"implicit", UVSMTP_TLS_IMPLICIT},
  };
  bool known = false;
  for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    if (strcmp(value, modes[i].name) == 0) {
      p->url->tls = modes[i].mode;
      known = true;
    }
  }
  uvsmtp__free(p->mem, value);
  if (!known)
    return refuse(p, "the URL's tls is not none, opportunistic, required or implicit");
  if (p->tls_said)
    return refuse(p, "the URL says tls twice");
  if (p->implicit && p->url->tls != UVSMTP_TLS_IMPLICIT)
    return refuse(p, "smtps means implicit TLS, and the URL's tls says something else");
  p->tls_said = true;
  return 0;
}

static int take_ehlo(parser_t *p, char *value)
{
  if (p->url->ehlo != NULL || uvsmtp__ehlo_check(value) != 0) {
    uvsmtp__free(p->mem, value);
    return refuse(p, p->url->ehlo != NULL ? "the URL says ehlo twice"
                                          : "the URL's ehlo is no domain or address literal");
  }
  p->url->ehlo = value;
  return 0;
}

/* Names of SASL mechanisms (RFC 4422 section 3.1), in either case. */
static bool are_mechanisms(const char *list)
{
  for (;;) {
    size_t len = strcspn(list, ",");
    if (len == 0 || len > 20)
      return false;
    for (size_t i = 0; i < len; i++)
      if (!uvsmtp__ascii_alnum(list[i]) && list[i] != '-' && list[i] != '_')
        return false;
    if (list[len] == '\0')
      return true;
    list += len + 1;
  }
}

static int take_auth(parser_t *p, char *value)
{
  if (p->url->mechanisms != NULL || !are_mechanisms(value)) {
    uvsmtp__free(p->mem, value);
    return refuse(p, p->url->mechanisms != NULL
                         ? "the URL says auth twice"
                         : "the URL's auth is no list of mechanisms with commas between");
  }
  p->url->mechanisms = value;
  return 0;
}

static int parse_setting(parser_t *p, uvsmtp_slice_t key)
{
  static const struct {
    const char *name;
    int (*take)(parser_t *p, char *value);
  } settings[] = {{"tls", take_tls}, {"ehlo", take_ehlo}, {"auth", take_auth}};
  uvsmtp_slice_t text = cut(&key, '=');
  for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
    char *value = NULL;
    int err;
    if (key.len != strlen(settings[i].name) || memcmp(key.base, settings[i].name, key.len) != 0)
      continue;
    err = decode(p, text, &value);
    return err == 0 ? settings[i].take(p, value) : err;
  }
  return refuse(p, "behind the ? of the URL is something else than tls=, ehlo= or auth=");
}

static int parse_query(parser_t *p, uvsmtp_slice_t query)
{
  int err = 0;
  while (err == 0 && query.base != NULL) {
    uvsmtp_slice_t rest = cut(&query, '&');
    err = parse_setting(p, query);
    query = rest;
  }
  return err;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int parse(parser_t *p, const char *text)
{
  const char *colon = strstr(text, "://");
  uvsmtp_slice_t rest, query, path = {NULL, 0};
  const char *slash;
  int err = check_characters(p, text);
  if (err == 0 && colon == NULL)
    err = refuse(p, "the URL does not begin with a scheme and ://");
  if (err == 0)
    err = parse_scheme(p, slice(text, colon));
  if (err != 0)
    return err;
  rest = uvsmtp_slice(colon + 3);
  if ((err = check_at(p, rest)) != 0)
    return err;
  query = cut(&rest, '?');
  slash = find(rest, '/');
  if (slash != NULL) {
    path = slice(slash, rest.base + rest.len);
    rest = slice(rest.base, slash);
  }
  err = parse_authority(p, rest);
  if (err == 0)
    err = parse_path(p, path);
  return err == 0 ? parse_query(p, query) : err;
}

int uvsmtp__url_parse(uvsmtp_url_t *url, const char *text, const uvsmtp_mem_t *mem, char *detail,
                      size_t detail_size)
{
  parser_t p = {.url = url, .mem = mem, .detail = detail, .detail_size = detail_size};
  int err;
  memset(url, 0, sizeof(*url));
  say(&p, 0, "");
  err = text == NULL ? refuse(&p, "there is no URL") : parse(&p, text);
  if (err != 0)
    uvsmtp__url_clear(url, mem);
  return err;
}

void uvsmtp__url_clear(uvsmtp_url_t *url, const uvsmtp_mem_t *mem)
{
  uvsmtp__free(mem, url->host);
  uvsmtp__free(mem, url->unix_path);
  uvsmtp__free(mem, url->user);
  uvsmtp__free_secret(mem, url->password);
  uvsmtp__free(mem, url->ehlo);
  uvsmtp__free(mem, url->mechanisms);
  memset(url, 0, sizeof(*url));
}

/* ---- the URL of a proxy ---------------------------------------------------------------------- */

static int proxy_scheme(parser_t *p, uvsmtp__proxy_t *proxy, uvsmtp_slice_t name)
{
  static const struct {
    const char *name;
    uvsmtp__proxy_kind_t kind;
    uint16_t port;
  } kinds[] = {{"socks5", UVSMTP__PROXY_SOCKS5, 1080},
               {"socks5h", UVSMTP__PROXY_SOCKS5, 1080},
               {"http", UVSMTP__PROXY_HTTP, 80}};
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    if (uvsmtp__ascii_equal(name.base, name.len, kinds[i].name, strlen(kinds[i].name))) {
      proxy->kind = kinds[i].kind;
      proxy->port = kinds[i].port;
      return 0;
    }
  }
  return refuse(p, "the URL's scheme is not socks5, socks5h or http");
}

static int check_proxy(parser_t *p, const uvsmtp__proxy_t *proxy)
{
  int err = uvsmtp__proxy_check(proxy);
  if (err == UVSMTP_ETOOLONG)
    return say(p, err, "the URL's user or password has more than 255 octets");
  return err == 0 ? 0 : refuse(p, "the user of an HTTP proxy cannot have a colon");
}

static int parse_proxy(parser_t *p, uvsmtp__proxy_t *proxy, const char *text)
{
  const char *colon = strstr(text, "://");
  uvsmtp_slice_t rest;
  int err = check_characters(p, text);
  if (err == 0 && colon == NULL)
    err = refuse(p, "the URL does not begin with a scheme and ://");
  if (err == 0)
    err = proxy_scheme(p, proxy, slice(text, colon));
  if (err != 0)
    return err;
  rest = uvsmtp_slice(colon + 3);
  if (rest.len > 0 && rest.base[rest.len - 1] == '/')
    rest.len--;
  if ((err = check_at(p, rest)) != 0)
    return err;
  if (find(rest, '/') != NULL || find(rest, '?') != NULL)
    return refuse(p, "the URL has something behind the host");
  err = parse_authority(p, rest);
  proxy->host = p->url->host;
  proxy->user = p->url->user;
  proxy->password = p->url->password;
  if (p->url->port != 0)
    proxy->port = p->url->port;
  return err == 0 ? check_proxy(p, proxy) : err;
}

int uvsmtp__proxy_parse(uvsmtp__proxy_t *proxy, const char *text, const uvsmtp_mem_t *mem,
                        char *detail, size_t detail_size)
{
  uvsmtp_url_t url = {0};
  parser_t p = {.url = &url, .mem = mem, .detail = detail, .detail_size = detail_size};
  int err;
  memset(proxy, 0, sizeof(*proxy));
  say(&p, 0, "");
  err = parse_proxy(&p, proxy, text);
  if (err != 0)
    uvsmtp__proxy_clear(proxy, mem);
  return err;
}

int uvsmtp_url_parse(uvsmtp_url_t *url, const char *text, char *detail, size_t detail_size)
{
  return uvsmtp__url_parse(url, text, NULL, detail, detail_size);
}

void uvsmtp_url_clear(uvsmtp_url_t *url)
{
  uvsmtp__url_clear(url, NULL);
}
