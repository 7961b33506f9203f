/*
 * The dialogue with a proxy as transcripts, played whole, byte by byte and at every cut, with the
 * server's greeting right behind; the header of the PROXY protocol; URLs of proxies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "connection/proxy.h"
#include "connection/proxy_header.h"

#define GREETING "220 mx.example ESMTP\r\n"

/* What we say, and what the proxy answers. */
typedef struct line_s {
  const char *said;
  size_t said_len;
  const char *answer;
  size_t answer_len;
} line_t;

#define SAID(said, answer)                                                                         \
  {                                                                                                \
    said, sizeof(said) - 1, answer, sizeof(answer) - 1                                             \
  }

typedef struct row_s {
  const char *name, *proxy, *host;
  uint16_t port;
  line_t lines[4];
  const char *text; /* NULL: it succeeds */
} row_t;

#define TO_MX "\x0amx.example\x02\x4b"
#define HTTP_MX "CONNECT mx.example:587 HTTP/1.1\r\nHost: mx.example:587\r\n"

static const row_t rows[] = {
    /* SOCKS5: RFC 1928 sections 3 to 6, RFC 1929 */
    {"a name is resolved by the proxy",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "\5\0"), SAID("\5\1\0\3" TO_MX, "\5\0\0\1\x7f\0\0\1\x30\x39")},
     NULL},
    {"an IPv4 address",
     "socks5h://p",
     "192.0.2.1",
     25,
     {SAID("\5\1\0", "\5\0"), SAID("\5\1\0\1\xc0\0\2\1\0\x19", "\5\0\0\1\0\0\0\0\0\0")},
     NULL},
    {"an IPv6 address, answered with another",
     "socks5://p",
     "2001:db8::1",
     465,
     {SAID("\5\1\0", "\5\0"), SAID("\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\1\xd1",
                                   "\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1")},
     NULL},
    {"answered with a name",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "\5\0"), SAID("\5\1\0\3" TO_MX, "\5\0\0\3\4exit\0\1")},
     NULL},
    {"answered with an empty name",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "\5\0"), SAID("\5\1\0\3" TO_MX, "\5\0\0\3\0\0\1")},
     NULL},
    {"user and password",
     "socks5://me:s%40crets@p",
     "mx.example",
     587,
     {SAID("\5\2\0\2", "\5\2"), SAID("\1\2me\7s@crets", "\1\0"),
      SAID("\5\1\0\3" TO_MX, "\5\0\0\1\0\0\0\0\0\0")},
     NULL},
    {"a user without a password",
     "socks5://me@p",
     "mx.example",
     587,
     {SAID("\5\2\0\2", "\5\2"), SAID("\1\2me\0", "\1\0"),
      SAID("\5\1\0\3" TO_MX, "\5\0\0\1\0\0\0\0\0\0")},
     NULL},
    {"credentials that are not asked for",
     "socks5://me:secret@p",
     "mx.example",
     587,
     {SAID("\5\2\0\2", "\5\0"), SAID("\5\1\0\3" TO_MX, "\5\0\0\1\0\0\0\0\0\0")},
     NULL},
    {"credentials refused",
     "socks5://me:wrong@p",
     "mx.example",
     587,
     {SAID("\5\2\0\2", "\5\2"), SAID("\1\2me\5wrong", "\1\1")},
     "refused the user and password"},
    {"a login is wanted",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "\5\xff")},
     "wants a login, and no user is configured"},
    {"no login is taken",
     "socks5://me:secret@p",
     "mx.example",
     587,
     {SAID("\5\2\0\2", "\5\xff")},
     "takes no user and password"},
    {"a login that was not offered",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "\5\2")},
     "does not speak SOCKS5"},
    {"refused by rule, and no more than that is sent",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "\5\0"), SAID("\5\1\0\3" TO_MX, "\5\2")},
     "refused to connect to mx.example:587: its rules do not allow it"},
    {"refused by the server",
     "socks5://p",
     "2001:db8::1",
     25,
     {SAID("\5\1\0", "\5\0"), SAID("\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x19", "\5\5")},
     "refused to connect to [2001:db8::1]:25: connection refused"},
    {"refused for a reason without a number",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "\5\0"), SAID("\5\1\0\3" TO_MX, "\5\x63")},
     "refused to connect to mx.example:587: for an unknown reason"},
    {"SOCKS4",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "\0\x5a")},
     "does not speak SOCKS5"},
    {"an HTTP proxy",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "HT")},
     "does not speak SOCKS5"},
    {"an unknown kind of address",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "\5\0"), SAID("\5\1\0\3" TO_MX, "\5\0\0\2\0")},
     "does not speak SOCKS5"},
    {"garbage for an answer",
     "socks5://p",
     "mx.example",
     587,
     {SAID("\5\1\0", "\5\0"), SAID("\5\1\0\3" TO_MX, "22")},
     "does not speak SOCKS5"},
    {"garbage for the login's answer",
     "socks5://me:x@p",
     "mx.example",
     587,
     {SAID("\5\2\0\2", "\5\2"), SAID("\1\2me\1x", "\5\0")},
     "does not speak SOCKS5"},
    /* HTTP: RFC 9110 section 9.3.6 */
    {"CONNECT",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/1.1 200 OK\r\n\r\n")},
     NULL},
    {"an IPv6 address in brackets",
     "http://p",
     "2001:db8::1",
     25,
     {SAID("CONNECT [2001:db8::1]:25 HTTP/1.1\r\nHost: [2001:db8::1]:25\r\n\r\n",
           "HTTP/1.0 200 Connection established\r\n\r\n")},
     NULL},
    {"fields, and a length that means nothing",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\nX:\r\n\r\n")},
     NULL},
    {"lines that end in LF alone",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/1.1 200 OK\nVia: x\n\n")},
     NULL},
    {"no reason, any 2xx",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/1.1 204\r\n\r\n")},
     NULL},
    {"an interim answer",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/1.1 102 Wait\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")},
     NULL},
    {"Basic credentials",
     "http://me:s%3Acret@p",
     "mx.example",
     587,
     {SAID(HTTP_MX "Proxy-Authorization: Basic bWU6czpjcmV0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n")},
     NULL},
    {"credentials wanted",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/1.1 407 Proxy Authentication Required\r\n")},
     "refused to connect to mx.example:587: 407 Proxy Authentication Required; no user is "
     "configured"},
    {"credentials refused, HTTP",
     "http://me:x@p",
     "mx.example",
     587,
     {SAID(HTTP_MX "Proxy-Authorization: Basic bWU6eA==\r\n\r\n", "HTTP/1.1 407 No\r\n")},
     "refused to connect to mx.example:587: 407 No"},
    {"refused, in words that could hurt a terminal",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/1.1 403 For\x1b[31mbidden\xff\r\n")},
     "refused to connect to mx.example:587: 403 For?[31mbidden?"},
    {"a redirection is a refusal",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/1.1 302 Found\r\n")},
     "refused to connect to mx.example:587: 302 Found"},
    {"a mail server",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", GREETING)},
     "does not answer as an HTTP proxy"},
    {"a code that is none",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/1.1 2OO\r\n")},
     "does not answer as an HTTP proxy"},
    {"a code of four digits",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/1.1 2000\r\n")},
     "does not answer as an HTTP proxy"},
    {"a code below 100",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/1.1 099 x\r\n")},
     "does not answer as an HTTP proxy"},
    {"HTTP/2",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "HTTP/2.0 200 OK\r\n")},
     "does not answer as an HTTP proxy"},
    {"an empty line",
     "http://p",
     "mx.example",
     587,
     {SAID(HTTP_MX "\r\n", "\r\n")},
     "does not answer as an HTTP proxy"},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void parse(uvsmtp__proxy_t *proxy, const char *url)
{
  char detail[128];
  if (uvsmtp__proxy_parse(proxy, url, NULL, detail, sizeof(detail)) != 0)
    fail_msg("%s: %s", url, detail);
}

static void expect_output(uvsmtp__dialogue_t *d, const row_t *row, const line_t *line)
{
  uvsmtp_slice_t out = uvsmtp__dialogue_output(d);
  assert_int_equal(uvsmtp__dialogue_wanted(d), 0);
  if (out.len != line->said_len || memcmp(out.base, line->said, out.len) != 0)
    fail_msg("%s: said other than it should: \"%.*s\"", row->name, (int)out.len, out.base);
  uvsmtp__dialogue_sent(d);
}

/* Gives the answer in two pieces, cut at `cut`, or octet by octet; nothing is left of it. */
static void give(uvsmtp__dialogue_t *d, const line_t *line, size_t cut, bool octets)
{
  size_t len = line->answer_len;
  for (size_t at = 0; at < len;) {
    size_t n = octets ? 1 : at < cut && cut < len ? cut - at : len - at;
    assert_int_equal(uvsmtp__dialogue_feed(d, line->answer + at, n), n);
    at += n;
  }
}

static void expect_end(const uvsmtp__dialogue_t *d, const row_t *row)
{
  if (d->state != NULL || d->err != (row->text != NULL ? UVSMTP_EPROXY : 0) ||
      strcmp(d->text, row->text != NULL ? row->text : "") != 0)
    fail_msg("%s: %s, \"%s\"", row->name, d->state != NULL ? "not over" : uvsmtp_err_name(d->err),
             d->text);
  assert_int_equal(uvsmtp__dialogue_wanted(d), 0);
}

static void play(const row_t *row, size_t cut, bool octets)
{
  uvsmtp__proxy_t proxy;
  uvsmtp__dialogue_t d;
  parse(&proxy, row->proxy);
  uvsmtp__dialogue_begin(&d, &proxy, row->host, row->port);
  for (const line_t *line = row->lines; line->said != NULL; line++) {
    expect_output(&d, row, line);
    give(&d, line, cut, octets);
  }
  expect_end(&d, row);
  assert_int_equal(uvsmtp__dialogue_feed(&d, GREETING, strlen(GREETING)), 0);
  uvsmtp__proxy_clear(&proxy, NULL);
}

static void dialogues_go_as_written_at_every_cut(void **state)
{
  for (size_t i = 0; i < ROWS; i++) {
    size_t longest = 0;
    for (const line_t *line = rows[i].lines; line->said != NULL; line++)
      longest = line->answer_len > longest ? line->answer_len : longest;
    play(&rows[i], 0, true);
    for (size_t cut = 0; cut < longest; cut++)
      play(&rows[i], cut, false);
  }
}

/* Whoever reads what is wanted and no more leaves the server's octets where they are. */
static void what_is_wanted_never_goes_beyond_the_answer(void **state)
{
  for (size_t i = 0; i < ROWS; i++) {
    uvsmtp__proxy_t proxy;
    uvsmtp__dialogue_t d;
    const line_t *line = rows[i].lines;
    parse(&proxy, rows[i].proxy);
    uvsmtp__dialogue_begin(&d, &proxy, rows[i].host, rows[i].port);
    for (; line->said != NULL; line++) {
      size_t at = 0, wanted;
      expect_output(&d, &rows[i], line);
      while ((wanted = uvsmtp__dialogue_wanted(&d)) != 0) {
        if (rows[i].text != NULL && at + wanted > line->answer_len)
          wanted = line->answer_len - at; /* there is no server behind a refusal */
        assert_true(at + wanted <= line->answer_len);
        assert_int_equal(uvsmtp__dialogue_feed(&d, line->answer + at, wanted), wanted);
        at += wanted;
      }
      if (rows[i].text == NULL)
        assert_int_equal(at, line->answer_len);
    }
    expect_end(&d, &rows[i]);
    uvsmtp__proxy_clear(&proxy, NULL);
  }
}

static void what_comes_behind_the_answer_is_the_servers(void **state)
{
  for (size_t i = 0; i < ROWS; i++) {
    uvsmtp__proxy_t proxy;
    uvsmtp__dialogue_t d;
    const line_t *line = rows[i].lines;
    char piece[512];
    if (rows[i].text != NULL)
      continue;
    parse(&proxy, rows[i].proxy);
    uvsmtp__dialogue_begin(&d, &proxy, rows[i].host, rows[i].port);
    for (; line[1].said != NULL; line++) {
      expect_output(&d, &rows[i], line);
      give(&d, line, 0, false);
    }
    memcpy(piece, line->answer, line->answer_len);
    memcpy(piece + line->answer_len, GREETING, strlen(GREETING));
    uvsmtp__dialogue_sent(&d);
    assert_int_equal(uvsmtp__dialogue_feed(&d, piece, line->answer_len + strlen(GREETING)),
                     line->answer_len);
    expect_end(&d, &rows[i]);
    uvsmtp__proxy_clear(&proxy, NULL);
  }
}

static void an_end_before_the_answers_end_is_said(void **state)
{
  for (size_t i = 0; i < ROWS; i++) {
    uvsmtp__proxy_t proxy;
    uvsmtp__dialogue_t d;
    parse(&proxy, rows[i].proxy);
    uvsmtp__dialogue_begin(&d, &proxy, rows[i].host, rows[i].port);
    uvsmtp__dialogue_sent(&d);
    uvsmtp__dialogue_feed(&d, rows[i].lines[0].answer, 1);
    uvsmtp__dialogue_eof(&d);
    assert_int_equal(d.err, UVSMTP_EPROXY);
    assert_string_equal(d.text, "closed the connection before it had answered");
    uvsmtp__proxy_clear(&proxy, NULL);
  }
}

static void an_answer_without_an_end_is_given_up(void **state)
{
  static const char *const pieces[] = {"x", "x: y\r\n"};
  for (size_t i = 0; i < 2; i++) {
    uvsmtp__proxy_t proxy;
    uvsmtp__dialogue_t d;
    size_t taken = 0;
    parse(&proxy, "http://p");
    uvsmtp__dialogue_begin(&d, &proxy, "mx.example", 25);
    uvsmtp__dialogue_sent(&d);
    uvsmtp__dialogue_feed(&d, "HTTP/1.1 200 OK\r\n", 17);
    while (d.state != NULL && taken < 100000)
      taken += uvsmtp__dialogue_feed(&d, pieces[i], strlen(pieces[i]));
    assert_in_range(taken, 8000, 17000);
    assert_string_equal(d.text, "gives an answer without an end");
    uvsmtp__proxy_clear(&proxy, NULL);
  }
}

static void the_password_is_wiped_when_it_has_left(void **state)
{
  uvsmtp__proxy_t proxy;
  uvsmtp__dialogue_t d;
  parse(&proxy, "socks5://me:hunter2@p");
  uvsmtp__dialogue_begin(&d, &proxy, "mx.example", 25);
  uvsmtp__dialogue_sent(&d);
  uvsmtp__dialogue_feed(&d, "\5\2", 2);
  assert_memory_equal(d.out + 5, "hunter2", 7);
  uvsmtp__dialogue_sent(&d);
  for (size_t i = 0; i < sizeof(d.out); i++)
    assert_int_equal(d.out[i], 0);
  uvsmtp__proxy_clear(&proxy, NULL);
}

static void hosts_that_could_break_the_dialogue_are_refused(void **state)
{
  static const struct {
    const char *host;
    int err;
  } hosts[] = {
      {"mx.example", 0},
      {"xn--mller-kva.example", 0},
      {"2001:db8::1", 0},
      {"under_score.example", 0},
      {"", UVSMTP_EINVAL},
      {"mx.example\r\nX: y", UVSMTP_EINJECTION},
      {"mx.example\n", UVSMTP_EINJECTION},
      {"mx.example HTTP/1.0", UVSMTP_EINVAL},
      {"m\xc3\xbcller.example", UVSMTP_EINVAL},
      {"mx/../", UVSMTP_EINVAL},
  };
  char longest[300];
  for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
    assert_int_equal(uvsmtp__proxy_check_host(hosts[i].host), hosts[i].err);
  memset(longest, 'x', sizeof(longest));
  longest[256] = '\0';
  assert_int_equal(uvsmtp__proxy_check_host(longest), UVSMTP_ETOOLONG);
  longest[255] = '\0';
  assert_int_equal(uvsmtp__proxy_check_host(longest), 0);
}

static void the_longest_of_everything_fits(void **state)
{
  char url[600] = "socks5://", host[256];
  memset(url + 9, 'u', 255);
  url[264] = ':';
  memset(url + 265, 'p', 255);
  strcpy(url + 520, "@proxy");
  memset(host, 'h', 255);
  host[255] = '\0';
  for (int i = 0; i < 2; i++) {
    uvsmtp__proxy_t proxy;
    uvsmtp__dialogue_t d;
    parse(&proxy, url);
    uvsmtp__dialogue_begin(&d, &proxy, host, 65535);
    if (i == 0) { /* without a pause for sending, all of it piles up */
      uvsmtp__dialogue_feed(&d, "\5\2", 2);
      uvsmtp__dialogue_feed(&d, "\1\0", 2);
    }
    assert_in_range(uvsmtp__dialogue_output(&d).len, 700, sizeof(d.out));
    uvsmtp__proxy_clear(&proxy, NULL);
    memmove(url + 7, url + 9, strlen(url + 9) + 1);
    memcpy(url, "http://", 7);
  }
}

/* ---- URLs ---- */

static void urls_of_proxies_are_read_strictly(void **state)
{
  static const struct {
    const char *url;
    int err;
    const char *host, *user, *password; /* or the sentence in `host` */
    uint16_t port;
    uvsmtp__proxy_kind_t kind;
  } urls[] = {
      {"socks5://proxy.example", 0, "proxy.example", NULL, NULL, 1080, UVSMTP__PROXY_SOCKS5},
      {"SOCKS5H://proxy.example:9050/", 0, "proxy.example", NULL, NULL, 9050, UVSMTP__PROXY_SOCKS5},
      {"http://a:b@[::1]:3128", 0, "::1", "a", "b", 3128, UVSMTP__PROXY_HTTP},
      {"http://127.0.0.1", 0, "127.0.0.1", NULL, NULL, 80, UVSMTP__PROXY_HTTP},
      {"socks5://a%3Ab:c%2Fd@p", 0, "p", "a:b", "c/d", 1080, UVSMTP__PROXY_SOCKS5},
      {"proxy.example:1080", UVSMTP_EURL, "the URL does not begin with a scheme and ://"},
      {"https://p", UVSMTP_EURL, "the URL's scheme is not socks5, socks5h or http"},
      {"socks4://p", UVSMTP_EURL, "the URL's scheme is not socks5, socks5h or http"},
      {"socks5://", UVSMTP_EURL, "the URL has no host"},
      {"socks5://p/path", UVSMTP_EURL, "the URL has something behind the host"},
      {"socks5://p?x=y", UVSMTP_EURL, "the URL has something behind the host"},
      {"socks5://u:p/w@p", UVSMTP_EURL, "a / in the user or password is written %2F, a ? %3F"},
      {"socks5://p:0", UVSMTP_EURL, "the URL's port is not a number from 1 to 65535"},
      {"http://a%3Ab:c@p", UVSMTP_EURL, "the user of an HTTP proxy cannot have a colon"},
      {"socks5://a:b%0d@p", UVSMTP_EINJECTION, "the URL has an encoded CR, LF or NUL"},
      {"socks5://a\r\n@p", UVSMTP_EINJECTION, "the URL has a line break"},
  };
  for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
    uvsmtp__proxy_t proxy;
    char detail[128];
    int err = uvsmtp__proxy_parse(&proxy, urls[i].url, NULL, detail, sizeof(detail));
    assert_int_equal(err, urls[i].err);
    if (err != 0) {
      assert_string_equal(detail, urls[i].host);
      assert_null(proxy.host);
      continue;
    }
    assert_string_equal(proxy.host, urls[i].host);
    assert_int_equal(proxy.port, urls[i].port);
    assert_int_equal(proxy.kind, urls[i].kind);
    assert_string_equal(proxy.user != NULL ? proxy.user : "-",
                        urls[i].user != NULL ? urls[i].user : "-");
    assert_string_equal(proxy.password != NULL ? proxy.password : "-",
                        urls[i].password != NULL ? urls[i].password : "-");
    uvsmtp__proxy_clear(&proxy, NULL);
  }
}

static void credentials_of_over_255_octets_are_refused(void **state)
{
  char url[600] = "socks5://";
  uvsmtp__proxy_t proxy;
  char detail[128];
  memset(url + 9, 'u', 256);
  strcpy(url + 265, "@p");
  assert_int_equal(uvsmtp__proxy_parse(&proxy, url, NULL, detail, sizeof(detail)), UVSMTP_ETOOLONG);
  assert_string_equal(detail, "the URL's user or password has more than 255 octets");
}

/* ---- the header ---- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static void the_header_names_both_ends(void **state)
{
  static const struct {
    const char *source, *destination; /* NULL: none; a port behind the last colon */
    uint16_t from, to;
    const char *v1, *v2;
    size_t v2_len;
  } headers[] = {
      {"192.0.2.1", "198.51.100.2", 56324, 25, "PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n",
       SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\0\x19", 28},
      {"2001:db8::1", "2001:db8::2", 1, 587, "PROXY TCP6 2001:db8::1 2001:db8::2 1 587\r\n",
       SIGNATURE "\x21\x21\0\x24"
                 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
                 "\0\1\2\x4b",
       52},
      {"192.0.2.1", "2001:db8::2", 7, 25, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 7 25\r\n",
       SIGNATURE "\x21\x21\0\x24"
                 "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1"
                 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
                 "\0\7\0\x19",
       52},
      {NULL, "198.51.100.2", 0, 25, "PROXY UNKNOWN\r\n", SIGNATURE "\x20\0\0\0", 16},
      {NULL, NULL, 0, 0, "PROXY UNKNOWN\r\n", SIGNATURE "\x20\0\0\0", 16},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
       65535,
       "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
       NULL, 0},
  };
  for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
    struct sockaddr_in6 ends[2];
    const struct sockaddr *given[2] = {NULL, NULL};
    const char *texts[2] = {headers[i].source, headers[i].destination};
    uint16_t ports[2] = {headers[i].from, headers[i].to};
    uint8_t out[UVSMTP__PROXY_HEADER_SIZE];
    size_t len;
    for (int n = 0; n < 2; n++) {
      if (texts[n] == NULL)
        continue;
      if (uv_ip4_addr(texts[n], ports[n], (struct sockaddr_in *)(void *)&ends[n]) != 0)
        assert_int_equal(uv_ip6_addr(texts[n], ports[n], &ends[n]), 0);
      given[n] = (struct sockaddr *)&ends[n];
    }
    len = uvsmtp__proxy_header(out, UVSMTP_PROXY_HEADER_V1, given[0], given[1]);
    assert_int_equal(len, strlen(headers[i].v1));
    assert_memory_equal(out, headers[i].v1, len);
    len = uvsmtp__proxy_header(out, UVSMTP_PROXY_HEADER_V2, given[0], given[1]);
    if (headers[i].v2 == NULL)
      continue;
    assert_int_equal(len, headers[i].v2_len);
    assert_memory_equal(out, headers[i].v2, len);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dialogues_go_as_written_at_every_cut),
      cmocka_unit_test(what_is_wanted_never_goes_beyond_the_answer),
      cmocka_unit_test(what_comes_behind_the_answer_is_the_servers),
      cmocka_unit_test(an_end_before_the_answers_end_is_said),
      cmocka_unit_test(an_answer_without_an_end_is_given_up),
      cmocka_unit_test(the_password_is_wiped_when_it_has_left),
      cmocka_unit_test(hosts_that_could_break_the_dialogue_are_refused),
      cmocka_unit_test(the_longest_of_everything_fits),
      cmocka_unit_test(urls_of_proxies_are_read_strictly),
      cmocka_unit_test(credentials_of_over_255_octets_are_refused),
      cmocka_unit_test(the_header_names_both_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
