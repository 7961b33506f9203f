/* Paths: what an address becomes on the line, and that it cannot leave its brackets. */
#include "edge.h"
#include "session.h"

#include "protocol/address.h"
#include "protocol/machine.h"

#define LABEL_50 "12345678901234567890123456789012345678901234567890"
#define DOMAIN_255 LABEL_50 "." LABEL_50 "." LABEL_50 "." LABEL_50 "." LABEL_50 "a"

static const struct {
  const char *address, *path; /* NULL: refused */
  int err;
  bool utf8;
} rows[] = {
    {"a@b.example", "<a@b.example>", 0, false},
    {"postmaster", "<postmaster>", 0, false},
    {"a.b.c@x", "<a.b.c@x>", 0, false},
    {"!#$%&'*+-/=?^_`{|}~@x", "<!#$%&'*+-/=?^_`{|}~@x>", 0, false},
    {"A-1_z@a-1_z.Example", "<A-1_z@a-1_z.Example>", 0, false},
    {"a@[192.0.2.1]", "<a@[192.0.2.1]>", 0, false},
    {"a@[IPv6:2001:db8::1]", "<a@[IPv6:2001:db8::1]>", 0, false},
    {"a@" DOMAIN_255, "<a@" DOMAIN_255 ">", 0, false},
    /* quoted where it has to be */
    {"a b@x", "<\"a b\"@x>", 0, false},
    {"a..b@x", "<\"a..b\"@x>", 0, false},
    {".a@x", "<\".a\"@x>", 0, false},
    {"a.@x", "<\"a.\"@x>", 0, false},
    {"a@b@x", "<\"a@b\"@x>", 0, false},
    {"a\"b@x", "<\"a\\\"b\"@x>", 0, false},
    {"a\\b@x", "<\"a\\\\b\"@x>", 0, false},
    {"a>b@x", "<\"a>b\"@x>", 0, false},
    {"\"a b\"@x", "<\"a b\"@x>", 0, false},
    {"\"a\\\"b\"@x", "<\"a\\\"b\"@x>", 0, false},
    {"\"\"@x", "<\"\"@x>", 0, false},
    {"\"a\\\"@x", "<\"\\\"a\\\\\\\"\"@x>", 0, false}, /* its last quote is escaped: none ends it */
    {"\"a\"b\"@x", "<\"\\\"a\\\"b\\\"\"@x>", 0, false},
    {"\"@x", "<\"\\\"\"@x>", 0, false},
    /* UTF-8 */
    {"j\xc3\xb6@x", "<j\xc3\xb6@x>", 0, true},
    {"a@b\xc3\xbc"
     "cher.example",
     "<a@b\xc3\xbc"
     "cher.example>",
     0, true},
    {"j\xc3 \xb6@x", NULL, UVSMTP_EADDRESS, false},
    /* none */
    {"", NULL, UVSMTP_EADDRESS, false},
    {"@x", NULL, UVSMTP_EADDRESS, false},
    {"a@", NULL, UVSMTP_EADDRESS, false},
    {"a@.x", NULL, UVSMTP_EADDRESS, false},
    {"a@x.", NULL, UVSMTP_EADDRESS, false},
    {"a@x..y", NULL, UVSMTP_EADDRESS, false},
    {"a@x y", NULL, UVSMTP_EADDRESS, false},
    {"a@x>", NULL, UVSMTP_EADDRESS, false},
    {"a@x/y", NULL, UVSMTP_EADDRESS, false},
    {"a@[]", NULL, UVSMTP_EADDRESS, false},
    {"a@[192.0.2.1", NULL, UVSMTP_EADDRESS, false},
    {"a@[192.0.2.1>]", NULL, UVSMTP_EADDRESS, false},
    {"a@" DOMAIN_255 "b", NULL, UVSMTP_EADDRESS, false},
    {"a\tb@x", NULL, UVSMTP_EADDRESS, false},
    {"a\x7f@x", NULL, UVSMTP_EADDRESS, false},
    {"a@x\r\nDATA", NULL, UVSMTP_EINJECTION, false},
    {"a\n@x", NULL, UVSMTP_EINJECTION, false},
    {"a\r@x", NULL, UVSMTP_EINJECTION, false},
};

static void addresses_become_paths_or_are_refused(void **state)
{
  session_t s;
  session_ready(&s, NULL, "250 SMTPUTF8");
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp__buffer_t line;
    bool utf8 = false;
    int err;
    uvsmtp__buffer_init(&line, NULL, 4096);
    assert_int_equal(uvsmtp__buffer_append(&line, "RCPT TO:", 8), 0);
    err = uvsmtp__path_append(s.protocol, &line, rows[i].address, &utf8);
    if (err != rows[i].err || utf8 != rows[i].utf8)
      fail_msg("%s: %d", rows[i].address, err);
    if (err == 0) {
      assert_int_equal(uvsmtp__buffer_len(&line), 8 + strlen(rows[i].path));
      assert_memory_equal(uvsmtp__buffer_data(&line) + 8, rows[i].path, strlen(rows[i].path));
    }
    uvsmtp__buffer_free(&line);
  }
  session_free(&s);
}

/* The one thing that must never happen: a ">" outside of quotes before the end. */
static void no_address_of_odd_characters_closes_its_path_early(void **state)
{
  static const char odd[] = "a\"\\>@. <";
  char address[7] = "";
  session_t s;
  session_ready(&s, NULL, NULL);
  for (unsigned n = 0; n < 8 * 8 * 8 * 8 * 8 * 8; n++) {
    uvsmtp__buffer_t line;
    bool utf8 = false, quoted = false;
    const char *path;
    size_t len;
    for (unsigned i = 0, rest = n; i < 6; i++, rest /= 8)
      address[i] = odd[rest % 8];
    uvsmtp__buffer_init(&line, NULL, 64);
    if (uvsmtp__path_append(s.protocol, &line, address, &utf8) == 0) {
      path = uvsmtp__buffer_data(&line);
      len = uvsmtp__buffer_len(&line);
      assert_true(path[0] == '<' && path[len - 1] == '>');
      for (size_t i = 1; i + 1 < len; i++) {
        if (quoted && path[i] == '\\')
          i++;
        else if (path[i] == '"')
          quoted = !quoted;
        else if (!quoted && (path[i] == '>' || path[i] == '<' || path[i] == ' '))
          fail_msg("%s: %.*s", address, (int)len, path);
      }
      if (quoted)
        fail_msg("%s: %.*s does not end its quotes", address, (int)len, path);
    }
    uvsmtp__buffer_free(&line);
  }
  session_free(&s);
}

/* Words with single dots and one "@" between them. */
static bool is_short_address(const char *s, size_t len)
{
  size_t ats = 0, word = 0;
  for (size_t i = 0; i < len; i++) {
    bool cut = s[i] == '.' || s[i] == '@';
    if (cut ? word == 0
            : strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", s[i]) ==
                      NULL ||
                  s[i] == '\0')
      return false;
    ats += s[i] == '@';
    word = cut ? 0 : word + 1;
  }
  return ats == 1 && word > 0;
}

static void a_short_address_is_judged_octet_by_octet(void **state)
{
  edge_t edge = edge_new();
  for (size_t len = 1; len <= 66; len++) {
    for (size_t i = 0; i < len * 256; i++) {
      char *s = edge.base + edge.size - len, out[80]; /* no more can be read */
      memset(s, 'a', len);
      s[len / 2] = '@';
      s[len * 3 / 4] = '.';
      s[i / 256] = (char)i;
      memset(out, '#', sizeof(out));
      assert_int_equal(uvsmtp__put_address(out, s, len),
                       len >= 8 && len <= 64 && is_short_address(s, len));
      if (len >= 8 && len <= 64)
        assert_memory_equal(out, s, len);
      assert_int_equal(out[len], '#');
    }
  }
  edge_free(&edge);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(addresses_become_paths_or_are_refused),
      cmocka_unit_test(no_address_of_odd_characters_closes_its_path_early),
      cmocka_unit_test(a_short_address_is_judged_octet_by_octet),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
