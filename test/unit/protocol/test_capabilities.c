/* What EHLO offers: keywords are found whole and in any case, numbers only where they are ones. */
#include "session.h"

static void keywords_are_found_whole_and_in_any_case(void **state)
{
  static const struct {
    const char *keyword, *parameters; /* NULL: not offered */
  } rows[] = {
      {"SIZE", "1000"},         {"size", "1000"},    {"SiZe", "1000"},   {"SIZ", NULL},
      {"SIZES", NULL},          {"DSN", ""},         {"X-TWO", "a b=c"}, {"PIPELINING", NULL},
      {"AUTH", "PLAIN LOGIN"},  {"", NULL},          {"X", "="},         {"HELP", ""},
      {"SMTPUTF8", "whatever"}, {"SIZE 1000", NULL},
  };
  session_t s;
  session_ready(&s, NULL,
                "250-SIZE 1000\r\n250-dsn\r\n250-X-Two a b=c\r\n250-AUTH=PLAIN LOGIN\r\n250-\r\n"
                "250-x =\r\n250-SMTPUTF8 whatever\r\n250 HELP ");
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *found =
        uvsmtp_capabilities_find(uvsmtp_protocol_capabilities(s.protocol), rows[i].keyword);
    if ((found == NULL) != (rows[i].parameters == NULL) ||
        (found != NULL && strcmp(found, rows[i].parameters) != 0))
      fail_msg("%s: %s", rows[i].keyword, found != NULL ? found : "not offered");
  }
  session_free(&s);
}

static void every_extension_has_its_bit(void **state)
{
  static const struct {
    const char *keyword;
    unsigned bit;
  } rows[] = {
#define X(name, keyword) {keyword, UVSMTP_EXT_##name},
      UVSMTP_EXTENSION_MAP(X)
#undef X
  };
  unsigned all = 0;
  for (size_t i = 0; i < COUNT(rows); i++) {
    char line[64];
    session_t s;
    snprintf(line, sizeof(line), "250 %s", rows[i].keyword);
    session_ready(&s, NULL, line);
    assert_int_equal(uvsmtp_protocol_capabilities(s.protocol)->extensions, rows[i].bit);
    assert_int_equal(all & rows[i].bit, 0);
    all |= rows[i].bit;
    session_free(&s);
  }
}

static void sizes_and_limits_are_numbers_or_not_said(void **state)
{
  static const struct {
    const char *line;
    uint64_t size;
    uint32_t mails, recipients, domains;
  } rows[] = {
      {"250 SIZE 18446744073709551615", UINT64_MAX, 0, 0, 0},
      {"250 SIZE 18446744073709551616", 0, 0, 0, 0},
      {"250 SIZE 99999999999999999999", 0, 0, 0, 0},
      {"250 SIZE -1", 0, 0, 0, 0},
      {"250 SIZE 0x10", 0, 0, 0, 0},
      {"250 SIZE 10 20", 10, 0, 0, 0},
      {"250 LIMITS RCPTMAX=20 MAILMAX=5 RCPTDOMAINMAX=1", 0, 5, 20, 1},
      {"250 LIMITS rcptmax=20", 0, 0, 20, 0},
      {"250 LIMITS RCPTMAX=999999 MAILMAX=1000000", 0, 0, 999999, 0},
      {"250 LIMITS RCPTMAX= MAILMAX=x RCPTDOMAINMAX=3", 0, 0, 0, 3},
      {"250 LIMITS RCPTMAX MAILMAX=7", 0, 7, 0, 0},
      {"250 LIMITS XMAILMAX=7 MAILMAXX=8", 0, 0, 0, 0},
      {"250 LIMITS", 0, 0, 0, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const uvsmtp_capabilities_t *c;
    session_t s;
    session_ready(&s, NULL, rows[i].line);
    c = uvsmtp_protocol_capabilities(s.protocol);
    if (c->max_message_size != rows[i].size || c->max_mails != rows[i].mails ||
        c->max_recipients != rows[i].recipients || c->max_domains != rows[i].domains)
      fail_msg("%s: %llu %u %u %u", rows[i].line, (unsigned long long)c->max_message_size,
               c->max_mails, c->max_recipients, c->max_domains);
    session_free(&s);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keywords_are_found_whole_and_in_any_case),
      cmocka_unit_test(every_extension_has_its_bit),
      cmocka_unit_test(sizes_and_limits_are_numbers_or_not_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
