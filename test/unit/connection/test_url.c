#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "connection/url.h"
#include "failing_mem.h"

static void same(const char *got, const char *want)
{
  if (want == NULL)
    assert_null(got);
  else
    assert_string_equal(got, want);
}

typedef struct good_s {
  const char *text;
  uvsmtp_url_t want;
} good_t;

static const good_t good[] = {
    {"smtp://mx.example", {.host = (char *)"mx.example"}},
    {"SMTP://mx.example/", {.host = (char *)"mx.example"}},
    {"smtp://mx.example:2525", {.host = (char *)"mx.example", .port = 2525}},
    {"smtp://mx.example:65535/", {.host = (char *)"mx.example", .port = 65535}},
    {"smtps://mx.example", {.host = (char *)"mx.example", .tls = UVSMTP_TLS_IMPLICIT}},
    {"smtps://mx.example?tls=implicit", {.host = (char *)"mx.example", .tls = UVSMTP_TLS_IMPLICIT}},
    {"lmtp://mx.example:24", {.host = (char *)"mx.example", .port = 24, .lmtp = true}},
    {"smtp://192.0.2.1", {.host = (char *)"192.0.2.1"}},
    {"smtp://[2001:db8::1]", {.host = (char *)"2001:db8::1"}},
    {"smtp://[2001:db8::1]:25", {.host = (char *)"2001:db8::1", .port = 25}},
    {"smtp://[fe80::1%25eth0]:25", {.host = (char *)"fe80::1%eth0", .port = 25}},
    {"smtp://jo@mx.example", {.host = (char *)"mx.example", .user = (char *)"jo"}},
    {"smtp://jo:@mx.example",
     {.host = (char *)"mx.example", .user = (char *)"jo", .password = (char *)""}},
    {"smtp://jo%40x.example:s%3aec%2Fr%25t:x@mx.example",
     {.host = (char *)"mx.example",
      .user = (char *)"jo@x.example",
      .password = (char *)"s:ec/r%t:x"}},
    {"smtp://j%C3%B6:p+w@mx.example",
     {.host = (char *)"mx.example", .user = (char *)"j\xc3\xb6", .password = (char *)"p+w"}},
    {"smtp+unix:///run/mail%20x.sock",
     {.unix_path = (char *)"/run/mail x.sock", .tls = UVSMTP_TLS_NONE}},
    {"lmtp+unix:///run/lmtp?tls=required",
     {.unix_path = (char *)"/run/lmtp", .tls = UVSMTP_TLS_REQUIRED, .lmtp = true}},
    {"smtp+unix://jo:pw@/run/x",
     {.unix_path = (char *)"/run/x",
      .user = (char *)"jo",
      .password = (char *)"pw",
      .tls = UVSMTP_TLS_NONE}},
    {"smtp://h?tls=none", {.host = (char *)"h", .tls = UVSMTP_TLS_NONE}},
    {"smtp://h/?tls=opportunistic", {.host = (char *)"h", .tls = UVSMTP_TLS_OPPORTUNISTIC}},
    {"smtp://h?ehlo=me.example&auth=PLAIN,SCRAM-SHA-256&tls=required",
     {.host = (char *)"h",
      .ehlo = (char *)"me.example",
      .mechanisms = (char *)"PLAIN,SCRAM-SHA-256"}},
    {"smtp://h?ehlo=%5B192.0.2.1%5D", {.host = (char *)"h", .ehlo = (char *)"[192.0.2.1]"}},
};

static void every_part_of_a_url_is_understood(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
    const uvsmtp_url_t *want = &good[i].want;
    uvsmtp_url_t url;
    char detail[200] = "old";
    int err = uvsmtp_url_parse(&url, good[i].text, detail, sizeof(detail));
    if (err != 0)
      fail_msg("%s: %s", good[i].text, detail);
    assert_string_equal(detail, "");
    same(url.host, want->host);
    same(url.unix_path, want->unix_path);
    same(url.user, want->user);
    same(url.password, want->password);
    same(url.ehlo, want->ehlo);
    same(url.mechanisms, want->mechanisms);
    assert_int_equal(url.port, want->port);
    assert_int_equal(url.tls, want->tls);
    assert_int_equal(url.lmtp, want->lmtp);
    uvsmtp_url_clear(&url);
    assert_null(url.host);
    assert_null(url.password);
    uvsmtp_url_clear(&url);
  }
}

typedef struct bad_s {
  const char *text;
  int err;
  const char *because; /* a part of the sentence */
} bad_t;

static const bad_t bad[] = {
    {"", UVSMTP_EURL, "does not begin with a scheme"},
    {"mx.example", UVSMTP_EURL, "does not begin with a scheme"},
    {"mx.example:25", UVSMTP_EURL, "does not begin with a scheme"},
    {"smtp:mx.example", UVSMTP_EURL, "does not begin with a scheme"},
    {"://mx.example", UVSMTP_EURL, "scheme is not"},
    {"http://mx.example", UVSMTP_EURL, "scheme is not"},
    {"smtpx://mx.example", UVSMTP_EURL, "scheme is not"},
    {"smt://mx.example", UVSMTP_EURL, "scheme is not"},
    {"smtp://", UVSMTP_EURL, "no host"},
    {"smtp:///", UVSMTP_EURL, "no host"},
    {"smtp://:25", UVSMTP_EURL, "no host"},
    {"smtp://jo@", UVSMTP_EURL, "no host"},
    {"smtp://@mx.example", UVSMTP_EURL, "without a user"},
    {"smtp://:pw@mx.example", UVSMTP_EURL, "without a user"},
    {"smtp://jo@x.example:pw@mx.example", UVSMTP_EURL, "written %40"},
    {"smtp://mx.example:", UVSMTP_EURL, "port"},
    {"smtp://mx.example:0", UVSMTP_EURL, "port"},
    {"smtp://mx.example:65536", UVSMTP_EURL, "port"},
    {"smtp://mx.example:4294967321", UVSMTP_EURL, "port"},
    {"smtp://mx.example:+25", UVSMTP_EURL, "port"},
    {"smtp://mx.example:25x", UVSMTP_EURL, "port"},
    {"smtp://mx.example:2:5", UVSMTP_EURL, "port"},
    {"smtp://2001:db8::1", UVSMTP_EURL, "port"},
    {"smtp://[2001:db8::1", UVSMTP_EURL, "[ without a ]"},
    {"smtp://[2001:db8::1]25", UVSMTP_EURL, "between ] and the port"},
    {"smtp://[2001:db8::1]:", UVSMTP_EURL, "port"},
    {"smtp://[192.0.2.1]", UVSMTP_EURL, "not an IPv6 address"},
    {"smtp://[]", UVSMTP_EURL, "not an IPv6 address"},
    {"smtp://[fe80::1%eth0]", UVSMTP_EURL, "two hexadecimal digits"},
    {"smtp://mx%2eexample", UVSMTP_EURL, "host is neither"},
    {"smtp://mx,example", UVSMTP_EURL, "host is neither"},
    {"smtp://mx.example/x", UVSMTP_EURL, "path behind the host"},
    {"smtp://mx.example//", UVSMTP_EURL, "path behind the host"},
    {"smtp://mx.example#x", UVSMTP_EURL, "fragment"},
    {"smtp://u:p#s@mx.example", UVSMTP_EURL, "a # in the user or password is written %23"},
    {"smtp://u:p/s@mx.example", UVSMTP_EURL, "a / in the user or password is written %2F"},
    {"smtp://u:p?s@mx.example", UVSMTP_EURL, "a ? %3F"},
    {"smtp://mx example", UVSMTP_EURL, "must be written as %XX"},
    {"smtp://j\xc3\xb6@mx.example", UVSMTP_EURL, "must be written as %XX"},
    {"smtp://mx.example\\", UVSMTP_EURL, "must be written as %XX"},
    {"smtp://mx.example\x7f", UVSMTP_EURL, "must be written as %XX"},
    {"smtp://j%4@mx.example", UVSMTP_EURL, "two hexadecimal digits"},
    {"smtp://j%@mx.example", UVSMTP_EURL, "two hexadecimal digits"},
    {"smtp://j%4g@mx.example", UVSMTP_EURL, "two hexadecimal digits"},
    {"smtp://j%g4@mx.example", UVSMTP_EURL, "two hexadecimal digits"},
    {"smtp://j:p%0@mx.example", UVSMTP_EURL, "two hexadecimal digits"},
    {"smtp+unix://mx.example/run/x", UVSMTP_EURL, "three slashes"},
    {"smtp+unix://", UVSMTP_EURL, "no path"},
    {"smtp+unix:///", UVSMTP_EURL, "no path"},
    {"smtp://h?", UVSMTP_EURL, "something else than"},
    {"smtp://h?tls=none&", UVSMTP_EURL, "something else than"},
    {"smtp://h?tl=none", UVSMTP_EURL, "something else than"},
    {"smtp://h?TLS=none", UVSMTP_EURL, "something else than"},
    {"smtp://h?tls", UVSMTP_EURL, "tls is not"},
    {"smtp://h?tls=", UVSMTP_EURL, "tls is not"},
    {"smtp://h?tls=yes", UVSMTP_EURL, "tls is not"},
    {"smtp://h?tls=none&tls=none", UVSMTP_EURL, "tls twice"},
    {"smtps://h?tls=none", UVSMTP_EURL, "smtps means implicit"},
    {"smtps://h?tls=opportunistic", UVSMTP_EURL, "smtps means implicit"},
    {"smtp://h?ehlo=", UVSMTP_EURL, "ehlo is no domain"},
    {"smtp://h?ehlo=a_b.example", UVSMTP_EURL, "ehlo is no domain"},
    {"smtp://h?ehlo=a&ehlo=b", UVSMTP_EURL, "ehlo twice"},
    {"smtp://h?auth=", UVSMTP_EURL, "list of mechanisms"},
    {"smtp://h?auth=PLAIN,", UVSMTP_EURL, "list of mechanisms"},
    {"smtp://h?auth=PLAIN%20X", UVSMTP_EURL, "list of mechanisms"},
    {"smtp://h?auth=ABCDEFGHIJKLMNOPQRSTU", UVSMTP_EURL, "list of mechanisms"},
    {"smtp://h?auth=PLAIN&auth=LOGIN", UVSMTP_EURL, "auth twice"},
    {"smtp://h\r\n", UVSMTP_EINJECTION, "line break"},
    {"smtp://h?ehlo=a\nb", UVSMTP_EINJECTION, "line break"},
    {"smtp://j%0d:p@h", UVSMTP_EINJECTION, "encoded CR, LF or NUL"},
    {"smtp://j:p%0A@h", UVSMTP_EINJECTION, "encoded CR, LF or NUL"},
    {"smtp://j:p%00q@h", UVSMTP_EINJECTION, "encoded CR, LF or NUL"},
    {"smtp+unix:///run/%00x", UVSMTP_EINJECTION, "encoded CR, LF or NUL"},
    {"smtp://h?ehlo=a%0d%0aQUIT", UVSMTP_EINJECTION, "encoded CR, LF or NUL"},
    {"smtp://h?auth=%0a", UVSMTP_EINJECTION, "encoded CR, LF or NUL"},
};

static void what_is_not_understood_is_refused_with_a_reason(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    uvsmtp_url_t url, empty = {0};
    char detail[200] = "";
    int err = uvsmtp_url_parse(&url, bad[i].text, detail, sizeof(detail));
    if (err != bad[i].err || strstr(detail, bad[i].because) == NULL)
      fail_msg("\"%s\": %s, \"%s\"", bad[i].text, uvsmtp_err_name(err), detail);
    assert_memory_equal(&url, &empty, sizeof(url));
  }
}

static void a_missing_url_or_detail_is_no_crash(void **state)
{
  uvsmtp_url_t url;
  char detail[8] = "";
  (void)state;
  assert_int_equal(uvsmtp_url_parse(&url, NULL, NULL, 0), UVSMTP_EURL);
  assert_int_equal(uvsmtp_url_parse(&url, "x", detail, sizeof(detail)), UVSMTP_EURL);
  assert_int_equal(strlen(detail), sizeof(detail) - 1);
}

static void no_sentence_shows_a_part_of_the_url(void **state)
{
  static const char *const urls[] = {
      "smtp://jo:hunter2?tls=hunter2@mx.example",
      "smtp://jo:hunter2/hunter2@mx.example",
      "smtp://jo:hunter2@@mx.example",
      "smtp://jo:hunter2#x@mx.example",
      "hunter2://hunter2",
      "smtp://h?hunter2=hunter2",
  };
  (void)state;
  for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
    uvsmtp_url_t url;
    char detail[200] = "";
    assert_int_equal(uvsmtp_url_parse(&url, urls[i], detail, sizeof(detail)), UVSMTP_EURL);
    assert_true(detail[0] != '\0');
    assert_null(strstr(detail, "hunter2"));
  }
}

/* Notes whether the password was still readable when its memory was given back. */
static bool seen;
static void looking_free(void *ctx, void *p)
{
  (void)ctx;
  if (p != NULL && strncmp(p, "hunter2", 7) == 0)
    seen = true;
  free(p);
}

static void the_password_is_wiped(void **state)
{
  uvsmtp_mem_t mem = uvsmtp__mem_default;
  uvsmtp_url_t url;
  (void)state;
  mem.free = looking_free;
  seen = false;
  assert_int_equal(uvsmtp__url_parse(&url, "smtp://hunter2@h", &mem, NULL, 0), 0);
  uvsmtp__url_clear(&url, &mem);
  assert_true(seen); /* a user name is no secret: the test sees what is not wiped */
  seen = false;
  assert_int_equal(uvsmtp__url_parse(&url, "smtp://jo:hunter2@h", &mem, NULL, 0), 0);
  uvsmtp__url_clear(&url, &mem);
  assert_int_equal(uvsmtp__url_parse(&url, "smtp://jo:hunter2%zz@h", &mem, NULL, 0), UVSMTP_EURL);
  assert_int_equal(uvsmtp__url_parse(&url, "smtp://jo:hunter2@h/x", &mem, NULL, 0), UVSMTP_EURL);
  assert_false(seen);
}

static void running_out_of_memory_leaks_nothing(void **state)
{
  static const char *const urls[] = {
      "smtp://jo:pw@[::1]:25/?tls=none&ehlo=me.example&auth=PLAIN",
      "lmtp+unix://jo:pw@/run/lmtp?ehlo=me.example",
  };
  (void)state;
  for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
    int err = UVSMTP_ENOMEM, fail_at;
    for (fail_at = 1; err != 0; fail_at++) {
      failing_mem_t m;
      uvsmtp_url_t url;
      char detail[100];
      failing_mem_init(&m, fail_at);
      err = uvsmtp__url_parse(&url, urls[i], &m.mem, detail, sizeof(detail));
      assert_true(err == 0 || err == UVSMTP_ENOMEM);
      if (err != 0)
        assert_string_equal(detail, "out of memory");
      uvsmtp__url_clear(&url, &m.mem);
      assert_int_equal(m.live, 0);
    }
    assert_true(fail_at > 4);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_part_of_a_url_is_understood),
      cmocka_unit_test(what_is_not_understood_is_refused_with_a_reason),
      cmocka_unit_test(a_missing_url_or_detail_is_no_crash),
      cmocka_unit_test(no_sentence_shows_a_part_of_the_url),
      cmocka_unit_test(the_password_is_wiped),
      cmocka_unit_test(running_out_of_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
