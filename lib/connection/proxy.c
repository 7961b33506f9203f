/*
 * Each state is a function that is called when `need` octets of a message are there. It judges
 * them, and says what is sent and read next.
 *
 *   SOCKS5:  greet -> method_chosen -> [logged_in] -> answered -> address_read -> over
 *   HTTP:    ask_http -> in_status_line -> in_field, octet by octet up to the empty line -> over
 */
#include "connection/proxy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"

#define MAX_HOST 255
#define MAX_CREDENTIAL 255 /* RFC 1929 section 2; of HTTP as well, which names no limit */
#define MAX_ANSWER ((size_t)16 * 1024)

enum { SOCKS_VERSION = 5, LOGIN_VERSION = 1, CONNECT = 1 };
enum { METHOD_NONE = 0, METHOD_PASSWORD = 2, METHOD_REFUSED = 0xff };
enum { ADDRESS_IPV4 = 1, ADDRESS_NAME = 3, ADDRESS_IPV6 = 4 };

/* ---- what both have ---- */

int uvsmtp__proxy_check_host(const char *host)
{
  size_t len = strlen(host);
  if (uvsmtp__breaks_line(host, len))
    return UVSMTP_EINJECTION;
  for (size_t i = 0; i < len; i++)
    if (!uvsmtp__ascii_alnum(host[i]) && strchr("-._:", host[i]) == NULL)
      return UVSMTP_EINVAL;
  return len > MAX_HOST ? UVSMTP_ETOOLONG : len == 0 ? UVSMTP_EINVAL : 0;
}

int uvsmtp__proxy_check(const uvsmtp__proxy_t *proxy)
{
  if (proxy->user == NULL)
    return 0;
  if (strlen(proxy->user) > MAX_CREDENTIAL ||
      (proxy->password != NULL && strlen(proxy->password) > MAX_CREDENTIAL))
    return UVSMTP_ETOOLONG;
  /* RFC 7617 section 2: the first colon ends the user. */
  return proxy->kind == UVSMTP__PROXY_HTTP && strchr(proxy->user, ':') != NULL ? UVSMTP_EINVAL : 0;
}

void uvsmtp__proxy_clear(uvsmtp__proxy_t *proxy, const uvsmtp_mem_t *mem)
{
  uvsmtp__free(mem, proxy->host);
  uvsmtp__free_secret(mem, proxy->user);
  uvsmtp__free_secret(mem, proxy->password);
  memset(proxy, 0, sizeof(*proxy));
}

static void end(uvsmtp__dialogue_t *d)
{
  d->state = NULL;
}

/* Ends it with what the proxy did: "refused …". */
static void fail(uvsmtp__dialogue_t *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void fail(uvsmtp__dialogue_t *d, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(d->text, sizeof(d->text), format, args);
  va_end(args);
  d->err = UVSMTP_EPROXY;
  end(d);
}

static void refused(uvsmtp__dialogue_t *d, const char *why, const char *hint)
{
  char target[MAX_HOST + 10];
  fail(d, "refused to connect to %s: %s%s",
       uvsmtp__print_host_port(target, sizeof(target), d->host, d->port), why, hint);
}

/* A message begins, of which `need` octets are looked at first. */
static void expect(uvsmtp__dialogue_t *d, uvsmtp__dialogue_fn state, size_t need)
{
  d->state = state;
  d->in_len = 0;
  d->need = need;
}

static void put(uvsmtp__dialogue_t *d, const void *bytes, size_t len)
{
  memcpy(d->out + d->out_len, bytes, len);
  d->out_len += len;
}

static void put_text(uvsmtp__dialogue_t *d, const char *text)
{
  put(d, text, strlen(text));
}

static void put_octet(uvsmtp__dialogue_t *d, int octet)
{
  d->out[d->out_len++] = (char)octet;
}

/* ---- SOCKS5 ---- */

/* A length in one octet, and the bytes. */
static void put_counted(uvsmtp__dialogue_t *d, const char *text)
{
  put_octet(d, (int)strlen(text));
  put_text(d, text);
}

static void not_socks(uvsmtp__dialogue_t *d)
{
  fail(d, "does not speak SOCKS5");
}

/* RFC 1928 section 6. */
static const char *reply_text(unsigned code)
{
  static const char *const texts[] = {"succeeded",
                                      "general failure",
                                      "its rules do not allow it",
                                      "network unreachable",
                                      "host unreachable",
                                      "connection refused",
                                      "time to live expired",
                                      "command not supported",
                                      "address type not supported"};
  return code < sizeof(texts) / sizeof(texts[0]) ? texts[code] : "for an unknown reason";
}

static void answered(uvsmtp__dialogue_t *d)
{
  d->state = end; /* when the address has been read, which says nothing to us */
  switch (d->in[3]) {
  case ADDRESS_IPV4:
    d->need = 4 + 4 + 2;
    break;
  case ADDRESS_IPV6:
    d->need = 4 + 16 + 2;
    break;
  case ADDRESS_NAME:
    d->need = 4 + 1 + (size_t)d->in[4] + 2;
    break;
  default:
    not_socks(d);
  }
}

/* Apart from the above, since a refusal may be no longer than this. */
static void verdict(uvsmtp__dialogue_t *d)
{
  if (d->in[0] != SOCKS_VERSION) {
    not_socks(d);
  } else if (d->in[1] != 0) {
    refused(d, reply_text(d->in[1]), "");
  } else {
    d->state = answered;
    d->need = 5; /* up to the first octet of the address, which may be its length */
  }
}

/* RFC 1928 section 4: a name goes as it is, and the proxy resolves it. */
static void ask_socks(uvsmtp__dialogue_t *d)
{
  uint8_t address[16];
  put_octet(d, SOCKS_VERSION);
  put_octet(d, CONNECT);
  put_octet(d, 0);
  if (uv_inet_pton(AF_INET, d->host, address) == 0) {
    put_octet(d, ADDRESS_IPV4);
    put(d, address, 4);
  } else if (uv_inet_pton(AF_INET6, d->host, address) == 0) {
    put_octet(d, ADDRESS_IPV6);
    put(d, address, 16);
  } else {
    put_octet(d, ADDRESS_NAME);
    put_counted(d, d->host);
  }
  put_octet(d, d->port >> 8);
  put_octet(d, d->port & 0xff);
  expect(d, verdict, 2);
}

static void logged_in(uvsmtp__dialogue_t *d)
{
  if (d->in[0] != LOGIN_VERSION)
    not_socks(d);
  else if (d->in[1] != 0)
    fail(d, "refused the user and password");
  else
    ask_socks(d);
}

static void log_in(uvsmtp__dialogue_t *d)
{
  put_octet(d, LOGIN_VERSION);
  put_counted(d, d->proxy->user);
  put_counted(d, d->proxy->password != NULL ? d->proxy->password : "");
  expect(d, logged_in, 2);
}

static void method_chosen(uvsmtp__dialogue_t *d)
{
  bool has_login = d->proxy->user != NULL;
  if (d->in[0] != SOCKS_VERSION)
    not_socks(d);
  else if (d->in[1] == METHOD_NONE)
    ask_socks(d);
  else if (d->in[1] == METHOD_PASSWORD && has_login)
    log_in(d);
  else if (d->in[1] == METHOD_REFUSED && has_login)
    fail(d, "takes no user and password");
  else if (d->in[1] == METHOD_REFUSED)
    fail(d, "wants a login, and no user is configured");
  else
    not_socks(d);
}

/* RFC 1928 section 3. */
static void greet(uvsmtp__dialogue_t *d)
{
  bool has_login = d->proxy->user != NULL;
  put_octet(d, SOCKS_VERSION);
  put_octet(d, has_login ? 2 : 1);
  put_octet(d, METHOD_NONE);
  if (has_login)
    put_octet(d, METHOD_PASSWORD);
  expect(d, method_chosen, 2);
}

/* ---- HTTP ---- */

/* "HTTP/1.1 407 Proxy Authentication Required": the code, or 0. */
static int status_code(const char *line)
{
  int code = 0;
  if (strncmp(line, "HTTP/1.", 7) != 0 || !uvsmtp__ascii_digit(line[7]) || line[8] != ' ')
    return 0;
  for (int i = 9; i < 12; i++) {
    if (!uvsmtp__ascii_digit(line[i]))
      return 0;
    code = code * 10 + (line[i] - '0');
  }
  return line[12] == ' ' || line[12] == '\0' ? code : 0;
}

/* The line that has been read as text: without its end, and printable. */
static const char *line_text(uvsmtp__dialogue_t *d)
{
  char *line = (char *)d->in;
  size_t len = d->in_len - 1;
  if (len > 0 && line[len - 1] == '\r')
    len--;
  line[len] = '\0';
  for (size_t i = 0; i < len; i++)
    if (line[i] < ' ' || line[i] > '~')
      line[i] = '?';
  return line;
}

/* Goes on to the end of a line, of which the beginning is kept; true there. */
static bool line_is_whole(uvsmtp__dialogue_t *d)
{
  if (d->in[d->in_len - 1] == '\n')
    return true;
  if (d->in_len == sizeof(d->in))
    d->in_len--;
  d->need = d->in_len + 1;
  return false;
}

static void in_status_line(uvsmtp__dialogue_t *d);

/* RFC 9110 section 9.3.6: the fields of a 2xx to CONNECT mean nothing, not even a length. */
static void in_field(uvsmtp__dialogue_t *d)
{
  if (!line_is_whole(d))
    return;
  if (line_text(d)[0] != '\0')
    expect(d, in_field, 1);
  else if (d->final)
    end(d);
  else
    expect(d, in_status_line, 1);
}

static void in_status_line(uvsmtp__dialogue_t *d)
{
  const char *line;
  int code;
  if (!line_is_whole(d))
    return;
  line = line_text(d);
  code = status_code(line);
  d->final = code >= 200;
  if (code < 100)
    fail(d, "does not answer as an HTTP proxy");
  else if (code >= 300)
    refused(d, line + strlen("HTTP/1.1 "),
            code == 407 && d->proxy->user == NULL ? "; no user is configured" : "");
  else
    expect(d, in_field, 1);
}

/* RFC 7617 section 2. */
static void put_credentials(uvsmtp__dialogue_t *d)
{
  char plain[2 * MAX_CREDENTIAL + 2];
  const char *password = d->proxy->password != NULL ? d->proxy->password : "";
  size_t len = (size_t)snprintf(plain, sizeof(plain), "%s:%s", d->proxy->user, password);
  put_text(d, "Proxy-Authorization: Basic ");
  uvsmtp__base64_encode(d->out + d->out_len, plain, len);
  d->out_len += uvsmtp__base64_encoded_len(len);
  put_text(d, "\r\n");
  uvsmtp__wipe(plain, sizeof(plain));
}

static void ask_http(uvsmtp__dialogue_t *d)
{
  char target[MAX_HOST + 10];
  uvsmtp__print_host_port(target, sizeof(target), d->host, d->port);
  put_text(d, "CONNECT ");
  put_text(d, target);
  put_text(d, " HTTP/1.1\r\nHost: ");
  put_text(d, target);
  put_text(d, "\r\n");
  if (d->proxy->user != NULL)
    put_credentials(d);
  put_text(d, "\r\n");
  expect(d, in_status_line, 1);
}

/* ---- the whole ---- */

void uvsmtp__dialogue_begin(uvsmtp__dialogue_t *d, const uvsmtp__proxy_t *proxy, const char *host,
                            uint16_t port)
{
  *d = (uvsmtp__dialogue_t){.proxy = proxy, .host = host, .port = port};
  if (proxy->kind == UVSMTP__PROXY_SOCKS5)
    greet(d);
  else
    ask_http(d);
}

uvsmtp_slice_t uvsmtp__dialogue_output(const uvsmtp__dialogue_t *d)
{
  return (uvsmtp_slice_t){d->out, d->out_len};
}

void uvsmtp__dialogue_sent(uvsmtp__dialogue_t *d)
{
  uvsmtp__wipe(d->out, d->out_len);
  d->out_len = 0;
}

/*
 * Within a line of HTTP at least its LF and an empty line are missing, be that a LF alone; at the
 * beginning of a line, and behind a CR there, one octet.
 */
size_t uvsmtp__dialogue_wanted(const uvsmtp__dialogue_t *d)
{
  if (d->state == NULL || d->out_len != 0)
    return 0;
  if (d->proxy->kind == UVSMTP__PROXY_HTTP)
    return d->in_len == 0 || (d->in_len == 1 && d->in[0] == '\r') ? 1 : 2;
  return d->need - d->in_len;
}

size_t uvsmtp__dialogue_feed(uvsmtp__dialogue_t *d, const void *bytes, size_t len)
{
  size_t taken = 0;
  while (d->state != NULL && taken < len) {
    size_t n = d->need - d->in_len;
    n = n < len - taken ? n : len - taken;
    memcpy(d->in + d->in_len, (const uint8_t *)bytes + taken, n);
    d->in_len += n;
    taken += n;
    d->taken += n;
    if (d->taken > MAX_ANSWER)
      fail(d, "gives an answer without an end");
    else if (d->in_len == d->need)
      d->state(d);
  }
  return taken;
}

void uvsmtp__dialogue_eof(uvsmtp__dialogue_t *d)
{
  if (d->state != NULL)
    fail(d, "closed the connection before it had answered");
}
