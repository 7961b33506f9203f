#include <stdio.h>

#include "message/address.h"
#include "support.h"

static void canonical_form_of_good_addresses(void **state)
{
  static const struct {
    const char *in, *out;
  } rows[] = {
      {"user@host.example", "user@host.example"},
      {"a.b+c=d@x-y.example", "a.b+c=d@x-y.example"},
      {"u@localhost", "u@localhost"},
      {"u@under_score.example", "u@under_score.example"},
      {"\"simple\"@host", "simple@host"},
      {"\"a b\"@host", "\"a b\"@host"},
      {"\"a\\ b\\@c\"@host", "\"a b@c\"@host"},
      {"\"q\\\"\\\\\"@host", "\"q\\\"\\\\\"@host"},
      {"\"\"@host", "\"\"@host"},
      {"John Doe@host", "\"John Doe\"@host"},
      {"a>b@host", "\"a>b\"@host"},
      {"a..b@host", "\"a..b\"@host"},
      {".a@host", "\".a\"@host"},
      {"u@[192.0.2.1]", "u@[192.0.2.1]"},
      {"u@[IPv6:2001:db8::1]", "u@[IPv6:2001:db8::1]"},
      {"u@[IPv6:::]", "u@[IPv6:::]"},
      {"u@[IPv6:1:2:3:4:5:6:7:8]", "u@[IPv6:1:2:3:4:5:6:7:8]"},
      {"u@[IPv6:::ffff:192.0.2.1]", "u@[IPv6:::ffff:192.0.2.1]"},
      {"u@[x-tag:any@thing]", "u@[x-tag:any@thing]"},
      {"m\xc3\xbcller@b\xc3\xbc"
       "cher.example",
       "m\xc3\xbcller@b\xc3\xbc"
       "cher.example"},
      {"PostMaster", "postmaster"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[UVSMTP_ADDRESS_SIZE], detail[200] = "";
    int err = uvsmtp_address_canonical(out, sizeof(out), rows[i].in, strlen(rows[i].in), 0, detail,
                                       sizeof(detail));
    if (err != 0)
      print_message("%s: %s\n", rows[i].in, detail);
    assert_int_equal(err, 0);
    assert_string_equal(out, rows[i].out);
    assert_int_equal(
        uvsmtp_address_canonical(out, sizeof(out), rows[i].out, strlen(rows[i].out), 0, NULL, 0),
        0);
    assert_string_equal(out, rows[i].out); /* canonical is a fixed point */
  }
}

static void bad_addresses_are_refused_with_the_reason(void **state)
{
  static const struct {
    const char *in;
    int err;
    const char *detail;
  } rows[] = {
      {"", UVSMTP_EADDRESS, "\"\" is no address: it has no domain"},
      {"user", UVSMTP_EADDRESS, "\"user\" is no address: it has no domain"},
      {"@host", UVSMTP_EADDRESS, "\"@host\" is no address: it has no local part"},
      {"u@", UVSMTP_EADDRESS, "\"u@\" is no address: the domain is empty"},
      {"a@b@c", UVSMTP_EADDRESS, "\"a@b@c\" is no address: it has two \"@\""},
      {"u@a..b", UVSMTP_EADDRESS, "\"u@a..b\" is no address: an empty label in the domain"},
      {"u@host.", UVSMTP_EADDRESS, "\"u@host.\" is no address: an empty label in the domain"},
      {"u@-host", UVSMTP_EADDRESS,
       "\"u@-host\" is no address: a label of the domain begins or ends with a hyphen"},
      {"<u@host>", UVSMTP_EADDRESS,
       "\"<u@host>\" is no address: a character that no domain can have"},
      {"u@ho st", UVSMTP_EADDRESS,
       "\"u@ho st\" is no address: a character that no domain can have"},
      {"\"u@host", UVSMTP_EADDRESS, "\"\"u@host\" is no address: a quote is not closed"},
      {"\"u\"x@host", UVSMTP_EADDRESS,
       "\"\"u\"x@host\" is no address: the quoted local part is not followed by \"@\""},
      {"u\x01@host", UVSMTP_EADDRESS,
       "\"u?@host\" is no address: a control character in the local part"},
      {"u\xff@host", UVSMTP_EADDRESS, "\"u?@host\" is no address: the local part is not UTF-8"},
      {"u@[1.2.3]", UVSMTP_EADDRESS,
       "\"u@[1.2.3]\" is no address: the address literal is no IPv4 address"},
      {"u@[1.2.3.256]", UVSMTP_EADDRESS,
       "\"u@[1.2.3.256]\" is no address: the address literal is no IPv4 address"},
      {"u@[IPv6:1::2::3]", UVSMTP_EADDRESS,
       "\"u@[IPv6:1::2::3]\" is no address: the address literal is no IPv6 address"},
      {"u@[IPv6:1:2:3:4:5:6:7]", UVSMTP_EADDRESS,
       "\"u@[IPv6:1:2:3:4:5:6:7]\" is no address: the address literal is no IPv6 address"},
      {"u@[IPv6:1:2:3:4:5:6:7:8:9]", UVSMTP_EADDRESS,
       "\"u@[IPv6:1:2:3:4:5:6:7:8:9]\" is no address: the address literal is no IPv6 address"},
      {"u@[IPv6:12345::]", UVSMTP_EADDRESS,
       "\"u@[IPv6:12345::]\" is no address: the address literal is no IPv6 address"},
      {"u@[IPv6:1:]", UVSMTP_EADDRESS,
       "\"u@[IPv6:1:]\" is no address: the address literal is no IPv6 address"},
      {"u@[1.2.3.4", UVSMTP_EADDRESS,
       "\"u@[1.2.3.4\" is no address: the address literal is not closed"},
      {"u@h\r\nRCPT TO:<x@y>", UVSMTP_EINJECTION, "CR, LF or NUL in an address"},
      {"\"u\nx\"@h", UVSMTP_EINJECTION, "CR, LF or NUL in an address"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[UVSMTP_ADDRESS_SIZE], detail[200] = "";
    assert_int_equal(uvsmtp_address_canonical(out, sizeof(out), rows[i].in, strlen(rows[i].in), 0,
                                              detail, sizeof(detail)),
                     rows[i].err);
    assert_string_equal(detail, rows[i].detail);
  }
  assert_int_equal(uvsmtp_address_canonical((char[8]){0}, 8, "a\0b@c", 5, 0, NULL, 0),
                   UVSMTP_EINJECTION);
}

static void lengths_are_bounded(void **state)
{
  char in[400], out[UVSMTP_ADDRESS_SIZE];
  memset(in, 'a', sizeof(in));
  memcpy(in + 300, "@host.example", 14);
  assert_int_equal(uvsmtp_address_canonical(out, sizeof(out), in, 313, 0, NULL, 0), 0);
  assert_int_equal(uvsmtp_address_canonical(out, 313, in, 313, 0, NULL, 0), UVSMTP_ETOOLONG);
  memset(in, 'a', sizeof(in));
  memcpy(in + 320, "@h", 3);
  assert_int_equal(uvsmtp_address_canonical(out, sizeof(out), in, 322, 0, NULL, 0),
                   UVSMTP_EADDRESS);
  memcpy(in + 319, "@h", 3);
  assert_int_equal(uvsmtp_address_canonical(out, sizeof(out), in, 321, 0, NULL, 0),
                   UVSMTP_EADDRESS);
  memcpy(in + 318, "@h", 3);
  assert_int_equal(uvsmtp_address_canonical(out, sizeof(out), in, 320, 0, NULL, 0), 0);
  memset(in, '"', sizeof(in)); /* quoting may double */
  memcpy(in + 200, "@h", 3);
  in[0] = 'x';
  assert_int_equal(uvsmtp_address_canonical(out, sizeof(out), in, 202, 0, NULL, 0),
                   UVSMTP_EADDRESS);
  memcpy(in, "u@", 2);
  memset(in + 2, 'a', 64);
  assert_int_equal(uvsmtp_address_canonical(out, sizeof(out), in, 66, 0, NULL, 0), UVSMTP_EADDRESS);
  assert_int_equal(uvsmtp_address_canonical(out, sizeof(out), in, 65, 0, NULL, 0), 0);
}

static void names_are_quoted_where_they_must_be(void **state)
{
  static const struct {
    const char *name, *address, *out;
  } rows[] = {
      {NULL, "a@b", "a@b"},
      {"", "a@b", "a@b"},
      {"John Doe", "a@b", "John Doe <a@b>"},
      {"Doe, John", "a@b", "\"Doe, John\" <a@b>"},
      {"John \"X\" Doe", "a@b", "\"John \\\"X\\\" Doe\" <a@b>"},
      {"J. Doe", "a@b", "\"J. Doe\" <a@b>"},
      {"J.Doe", "a@b", "\"J.Doe\" <a@b>"}, /* atoms have no dots, but in local parts */
      {" a", "a@b", "\" a\" <a@b>"},
      {"a  b", "a@b", "\"a  b\" <a@b>"},
      {"Zo\xc3\xab", "John Doe@b", "Zo\xc3\xab <\"John Doe\"@b>"},
  };
  char out[100];
  for (size_t i = 0; i < COUNT(rows); i++) {
    int len = uvsmtp_address_format(out, sizeof(out), rows[i].name, rows[i].address);
    assert_int_equal(len, (int)strlen(rows[i].out));
    assert_string_equal(out, rows[i].out);
  }
  assert_int_equal(uvsmtp_address_format(out, sizeof(out), "a\nb", "a@b"), UVSMTP_EINJECTION);
  assert_int_equal(uvsmtp_address_format(out, sizeof(out), "a\xff", "a@b"), UVSMTP_ECHARSET);
  assert_int_equal(uvsmtp_address_format(out, sizeof(out), "a\x1b", "a@b"), UVSMTP_ECHARSET);
  assert_int_equal(uvsmtp_address_format(out, sizeof(out), "x", "nobody"), UVSMTP_EADDRESS);
  assert_int_equal(uvsmtp_address_format(out, 8, "abc", "a@b"), UVSMTP_ETOOLONG);
}

static void equal_addresses_ignore_case_in_the_domain_only(void **state)
{
  assert_true(uvsmtp_address_equal("a@Host.Example", "a@hOST.eXAMPLE"));
  assert_false(uvsmtp_address_equal("A@host", "a@host"));
  assert_false(uvsmtp_address_equal("a@host", "a@hosts"));
  assert_false(uvsmtp_address_equal("a@host", "ab@host"));
  assert_false(uvsmtp_address_equal("\"a@b\"@host", "\"a@B\"@host"));
}

static void domains_become_a_labels(void **state)
{
  static const struct {
    const char *in;
    int err;
    const char *out;
  } rows[] = {
    {"Host.EXAMPLE", 0, "host.example"},
    {"xn--bcher-kva.example", 0, "xn--bcher-kva.example"},
    {"a..b", UVSMTP_EADDRESS, ""},
    {"[1.2.3.4]", UVSMTP_EADDRESS, ""},
    {"a\r\nb", UVSMTP_EINJECTION, ""},
#if UVSMTP__IDN
    {"b\xc3\xbc"
     "cher.example",
     0, "xn--bcher-kva.example"},
    {"B\xc3\x9c"
     "CHER.example",
     0, "xn--bcher-kva.example"},
    {"fa\xc3\x9f.example", 0, "xn--fa-hia.example"},
    {"\xe4\xbe\x8b\xe3\x81\x88\xe3\x80\x82\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", 0,
     "xn--r8jz45g.xn--zckzah"},
    {"a\xef\xbc\xa0"
     "b.example",
     UVSMTP_EADDRESS, ""}, /* a full-width "@" */
#else
    {"b\xc3\xbc"
     "cher.example",
     UVSMTP_EIDN, ""},
#endif
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[UVSMTP_DOMAIN_SIZE] = "", detail[200];
    assert_int_equal(uvsmtp_domain_to_ascii(out, sizeof(out), rows[i].in, detail, sizeof(detail)),
                     rows[i].err);
    assert_string_equal(out, rows[i].out);
  }
}

static void ascii_form_converts_the_domain_and_refuses_the_local_part(void **state)
{
  char out[UVSMTP_ADDRESS_SIZE];
  const char *idn = "u@b\xc3\xbc"
                    "cher.example",
             *eai = "\xc3\xbc@host.example";
  int err =
      uvsmtp_address_canonical(out, sizeof(out), idn, strlen(idn), UVSMTP_ADDRESS_ASCII, NULL, 0);
#if UVSMTP__IDN
  assert_int_equal(err, 0);
  assert_string_equal(out, "u@xn--bcher-kva.example");
#else
  assert_int_equal(err, UVSMTP_EIDN);
#endif
  assert_int_equal(
      uvsmtp_address_canonical(out, sizeof(out), eai, strlen(eai), UVSMTP_ADDRESS_ASCII, NULL, 0),
      UVSMTP_EADDRESS);
  assert_int_equal(uvsmtp_address_canonical(out, sizeof(out), "u@[192.0.2.1]", 13,
                                            UVSMTP_ADDRESS_ASCII, NULL, 0),
                   0);
  assert_string_equal(out, "u@[192.0.2.1]");
}

/* ---- Lists ---- */

/* A list as one string: name|address|group; … */
static void describe(char *out, size_t size, const uvsmtp_address_list_t *list)
{
  size_t n = 0;
  out[0] = '\0';
  for (size_t i = 0; i < uvsmtp_address_list_count(list); i++) {
    const uvsmtp_address_t *a = uvsmtp_address_list_at(list, i);
    n += (size_t)snprintf(out + n, size - n, "%s%s|%s|%s", i > 0 ? "; " : "", a->name, a->address,
                          a->group != NULL ? a->group : "-");
  }
}

static const struct {
  const char *text, *want;
} lists[] = {
    {"", ""},
    {"a@b", "|a@b|-"},
    {"a@b\r\n", "|a@b|-"},
    {" a@b , c@d ", "|a@b|-; |c@d|-"},
    {"John <a@b>", "John|a@b|-"},
    {"<a@b>", "|a@b|-"},
    {"John Q. Public <JQB@bar.example>", "John Q. Public|JQB@bar.example|-"},
    {"\"Joe Q. Public\" <john.q.public@example.com>", "Joe Q. Public|john.q.public@example.com|-"},
    {"\"Giant; \\\"Big\\\" Box\" <s@e.net>, Who? <one@y.test>",
     "Giant; \"Big\" Box|s@e.net|-; Who?|one@y.test|-"},
    /* RFC 5322 appendix A.5: white space, comments and other oddities */
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|pete@silly.test|-"},
    {"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
     "         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
     "Chris Jones|c@public.example|A Group; |joe@example.org|A Group; John|jdoe@one.test|A Group"},
    {"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", ""},
    {"Undisclosed recipients:;", ""},
    {"Undisclosed recipients:;, a@b", "|a@b|-"},
    {"g1: a@b, c@d;, e@f, g2: g@h;", "|a@b|g1; |c@d|g1; |e@f|-; |g@h|g2"},
    /* appendix A.6: obsolete forms */
    {"Joe Q. Public <john.q.public@example.com>", "Joe Q. Public|john.q.public@example.com|-"},
    {"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
     "Mary Smith|mary@example.net|-; |jdoe@test.example|-"},
    {"<@a,@b,,@c:u@d>", "|u@d|-"},
    {",,a@b,,", "|a@b|-"},
    {"g:,a@b,,;", "|a@b|g"},
    {"\"John\" . \"Doe\" @ host . example", "|John.Doe@host.example|-"},
    {"\"john doe\"@host", "|\"john doe\"@host|-"},
    {"\"a\r\n b\" <a@b>", "a b|a@b|-"},
    {"a\r\n <a@b>", "a|a@b|-"},
    {"a@[192.0.2.1], b@[IPv6: 2001:db8::1]", "|a@[192.0.2.1]|-; |b@[IPv6:2001:db8::1]|-"},
    {"=?utf-8?q?J=C3=B6rg?= <j@h>", "=?utf-8?q?J=C3=B6rg?=|j@h|-"},
    {"J\xc3\xb6rg <j\xc3\xb6rg@b\xc3\xbc.example>", "J\xc3\xb6rg|j\xc3\xb6rg@b\xc3\xbc.example|-"},
    {"J\xf6rg <j@h>", "J\xf6rg|j@h|-"}, /* Latin-1 is read: it is no part of the envelope */
    {"(only a comment)", ""},
    {"a(\r\n x)@b", "|a@b|-"},
};

static void lists_are_read(void **state)
{
  for (size_t i = 0; i < COUNT(lists); i++) {
    uvsmtp_address_list_t *list;
    char got[500], detail[200] = "";
    int err = uvsmtp_address_list_parse(&list, lists[i].text, strlen(lists[i].text), NULL, detail,
                                        sizeof(detail));
    if (err != 0)
      print_message("%s: %s\n", lists[i].text, detail);
    assert_int_equal(err, 0);
    describe(got, sizeof(got), list);
    assert_string_equal(got, lists[i].want);
    uvsmtp_address_list_free(list);
  }
}

static void bad_lists_are_refused_with_the_place(void **state)
{
  static const struct {
    const char *text, *detail;
  } rows[] = {
      {"a", "byte 2: an address has no domain"},
      {"a, b@c", "byte 2: an address has no domain"},
      {"John Doe a@b", "byte 11: the local part needs quotes"},
      {"a b@c", "byte 4: the local part needs quotes"},
      {"a..b@c", "byte 5: the local part needs quotes"},
      {".a@c", "byte 3: the local part needs quotes"},
      {"a.@c", "byte 3: the local part needs quotes"},
      {"a@b c@d", "byte 5: a character that cannot stand behind an address"},
      {"a@b> ", "byte 4: a character that cannot stand behind an address"},
      {"a@b; c@d", "byte 4: a character that cannot stand behind an address"},
      {"X <a@b", "byte 7: an address is not closed by \">\""},
      {"X <>", "byte 4: an address has no local part"},
      {"X <a>", "byte 5: an address has no domain"},
      {"X <@r a@b>", "byte 7: a route does not end with \":\""},
      {"a@", "byte 3: the domain is empty"},
      {"a@b.", "byte 5: an empty label in the domain"},
      {"a@[1.2.3.4", "byte 11: an address literal is not closed"},
      {"\"a@b", "byte 5: a quote is not closed"},
      {"(a@b", "byte 5: a comment is not closed"},
      {"((a) a@b", "byte 9: a comment is not closed"},
      {"g: a@b", "byte 7: a group is not closed by \";\""},
      {"g: h: a@b;;", "byte 5: a group inside a group"},
      {": a@b;", "byte 1: a group has no name"},
      {"a\r\nb@c", "byte 2: a character that cannot stand here"},
      {"a@b\r\nBcc: x@y", "byte 4: a character that cannot stand behind an address"},
      {"\"a\r\nb\"@c", "byte 3: a control character or line break between quotes"},
      {"(a\r\nb) a@c", "byte 3: a line break that does not fold"},
      {"\"a\x07\"@b", "byte 3: a control character or line break between quotes"},
      {"u\xff@b", "byte 5: the local part is not UTF-8"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_address_list_t *list;
    char detail[200] = "";
    assert_int_equal(uvsmtp_address_list_parse(&list, rows[i].text, strlen(rows[i].text), NULL,
                                               detail, sizeof(detail)),
                     UVSMTP_EADDRESS);
    assert_string_equal(detail, rows[i].detail);
    assert_null(list);
  }
}

static void every_prefix_of_a_list_is_read_or_refused(void **state)
{
  for (size_t i = 0; i < COUNT(lists); i++)
    for (size_t len = 0; len <= strlen(lists[i].text); len++) {
      uvsmtp_address_list_t *list;
      char *exact = malloc(len + 1); /* so that a sanitizer sees a byte too many */
      char *copy = memcpy(exact + 1, lists[i].text, len);
      int err = uvsmtp_address_list_parse(&list, copy, len, NULL, NULL, 0);
      assert_true(err == 0 || err == UVSMTP_EADDRESS);
      uvsmtp_address_list_free(list);
      free(exact);
    }
}

static void a_list_survives_running_out_of_memory(void **state)
{
  const char *text = "g: \"A B\" <a@b>, c@d, e@f, g@h;, i@j, \"k\" <l@m>, n@o";
  for (size_t i = 1;; i++) {
    failing_t f = {.fail_at = i};
    uvsmtp_mem_t mem = FAILING_MEM(&f);
    uvsmtp_address_list_t *list;
    int err = uvsmtp_address_list_parse(&list, text, strlen(text), &mem, NULL, 0);
    if (f.calls < i) {
      assert_int_equal(err, 0);
      assert_true(i > 5);
      uvsmtp_address_list_free(list);
      assert_int_equal(f.live, 0);
      return;
    }
    assert_int_equal(err, UVSMTP_ENOMEM);
    assert_int_equal(f.live, 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(canonical_form_of_good_addresses),
      cmocka_unit_test(bad_addresses_are_refused_with_the_reason),
      cmocka_unit_test(lengths_are_bounded),
      cmocka_unit_test(names_are_quoted_where_they_must_be),
      cmocka_unit_test(equal_addresses_ignore_case_in_the_domain_only),
      cmocka_unit_test(domains_become_a_labels),
      cmocka_unit_test(ascii_form_converts_the_domain_and_refuses_the_local_part),
      cmocka_unit_test(lists_are_read),
      cmocka_unit_test(bad_lists_are_refused_with_the_place),
      cmocka_unit_test(every_prefix_of_a_list_is_read_or_refused),
      cmocka_unit_test(a_list_survives_running_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
