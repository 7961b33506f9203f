#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "connection/ehlo_name.h"
#include "uvsmtp/base.h"

#define LABEL_63 "a23456789012345678901234567890123456789012345678901234567890123"

static const struct {
  const char *hostname, *address, *want;
} names[] = {
    {"mail.example.org", "192.0.2.1", "mail.example.org"},
    {"mail.example.org", NULL, "mail.example.org"},
    {"a-1.b2", NULL, "a-1.b2"},
    {"mail", "192.0.2.1", "[192.0.2.1]"},
    {"localhost", "::1", "[IPv6:::1]"},
    {NULL, "2001:db8::1", "[IPv6:2001:db8::1]"},
    {NULL, "::ffff:192.0.2.7", "[192.0.2.7]"},
    {NULL, NULL, "[127.0.0.1]"},
    {"my_host.example", "192.0.2.1", "[192.0.2.1]"},
    {"-a.example", "192.0.2.1", "[192.0.2.1]"},
    {"a-.example", "192.0.2.1", "[192.0.2.1]"},
    {"a..example", "192.0.2.1", "[192.0.2.1]"},
    {"a.example.", "192.0.2.1", "[192.0.2.1]"},
    {".example", "192.0.2.1", "[192.0.2.1]"},
    {"a b.example", "192.0.2.1", "[192.0.2.1]"},
    {"a.example\r\nQUIT", "192.0.2.1", "[192.0.2.1]"},
    {"10.1.2.3", "192.0.2.1", "[192.0.2.1]"},
    {"x\xc3\xb6.example", "192.0.2.1", "[192.0.2.1]"},
    {"", "192.0.2.1", "[192.0.2.1]"},
    {LABEL_63 ".example", NULL, LABEL_63 ".example"},
    {"a" LABEL_63 ".example", NULL, "[127.0.0.1]"},
    {LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63, NULL,
     LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63},
    {LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 ".a", NULL, "[127.0.0.1]"},
};

static void a_full_domain_is_used_and_else_the_address(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    char out[UVSMTP__EHLO_NAME_SIZE];
    struct sockaddr_storage address;
    const char *text = names[i].address;
    if (text != NULL && uv_ip4_addr(text, 25, (struct sockaddr_in *)&address) != 0)
      assert_int_equal(uv_ip6_addr(text, 25, (struct sockaddr_in6 *)&address), 0);
    assert_int_equal(uvsmtp__ehlo_name_from(out, sizeof(out), names[i].hostname,
                                            text != NULL ? (struct sockaddr *)&address : NULL),
                     0);
    assert_string_equal(out, names[i].want);
    assert_int_equal(uvsmtp__ehlo_check(out), 0);
  }
}

static void a_name_that_does_not_fit_is_not_cut(void **state)
{
  char out[11];
  (void)state;
  assert_int_equal(uvsmtp__ehlo_name_from(out, sizeof(out), NULL, NULL), UVSMTP_ETOOLONG);
  assert_string_equal(out, "");
  assert_int_equal(uvsmtp__ehlo_name_from(out, 0, NULL, NULL), UVSMTP_ETOOLONG);
  assert_int_equal(uvsmtp__ehlo_name_from(out, sizeof(out), "abcde.abcd", NULL), 0);
}

static const struct {
  const char *domain;
  int err;
} checks[] = {
    {"mail.example", 0},
    {"localhost", 0},
    {"xn--bcher-kva.example", 0},
    {"[192.0.2.1]", 0},
    {"[IPv6:2001:db8::1]", 0},
    {"[ipv6:::]", 0},
    {"", UVSMTP_EINVAL},
    {".", UVSMTP_EINVAL},
    {"a_b.example", UVSMTP_EINVAL},
    {"a.example SIZE=1", UVSMTP_EINVAL},
    {"192.0.2.1", UVSMTP_EINVAL},
    {"[]", UVSMTP_EINVAL},
    {"[", UVSMTP_EINVAL},
    {"[192.0.2]", UVSMTP_EINVAL},
    {"[192.0.2.256]", UVSMTP_EINVAL},
    {"[2001:db8::1]", UVSMTP_EINVAL},
    {"[IPv6:]", UVSMTP_EINVAL},
    {"[IPv6:192.0.2.1]", UVSMTP_EINVAL},
    {"[IPv6:fe80::1%eth0]", UVSMTP_EINVAL},
    {"[192.0.2.1] x", UVSMTP_EINVAL},
    {"a.example\r\nMAIL FROM:<>", UVSMTP_EINJECTION},
    {"a.example\n", UVSMTP_EINJECTION},
    {"[192.0.2.1\r]", UVSMTP_EINJECTION},
};

static void only_domains_and_address_literals_may_be_given(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
    if (uvsmtp__ehlo_check(checks[i].domain) != checks[i].err)
      fail_msg("\"%s\"", checks[i].domain);
}

static void the_name_of_this_host_may_stand_in_ehlo(void **state)
{
  uv_loop_t loop;
  uv_tcp_t tcp;
  uv_pipe_t pipe;
  struct sockaddr_in address;
  char host[UV_MAXHOSTNAMESIZE], want[UVSMTP__EHLO_NAME_SIZE], out[UVSMTP__EHLO_NAME_SIZE];
  size_t size = sizeof(host);
  (void)state;
  uv_loop_init(&loop);
  uv_tcp_init(&loop, &tcp);
  uv_pipe_init(&loop, &pipe, 0);
  uv_ip4_addr("127.0.0.2", 0, &address);
  assert_int_equal(uv_tcp_bind(&tcp, (struct sockaddr *)&address, 0), 0);
  assert_int_equal(uv_os_gethostname(host, &size), 0);
  assert_int_equal(uvsmtp__ehlo_name(out, sizeof(out), (uv_stream_t *)&tcp), 0);
  uvsmtp__ehlo_name_from(want, sizeof(want), host, (struct sockaddr *)&address);
  assert_string_equal(out, want);
  uvsmtp__ehlo_name_from(want, sizeof(want), host, NULL);
  assert_int_equal(uvsmtp__ehlo_name(out, sizeof(out), (uv_stream_t *)&pipe), 0);
  assert_string_equal(out, want);
  assert_int_equal(uvsmtp__ehlo_name(out, sizeof(out), NULL), 0);
  assert_string_equal(out, want);
  uv_close((uv_handle_t *)&tcp, NULL);
  uv_close((uv_handle_t *)&pipe, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_full_domain_is_used_and_else_the_address),
      cmocka_unit_test(a_name_that_does_not_fit_is_not_cut),
      cmocka_unit_test(only_domains_and_address_literals_may_be_given),
      cmocka_unit_test(the_name_of_this_host_may_stand_in_ehlo),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
