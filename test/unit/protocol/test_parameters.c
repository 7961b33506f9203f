/* The parameters of MAIL and RCPT, where a table of cases says more than a dialogue. */
#include "edge.h"
#include "session.h"

#include <time.h>

#include "protocol/machine.h"

#define ALL_OFFERED                                                                                \
  "250-DSN\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-RRVS\r\n250-DELIVERBY\r\n"      \
  "250-MT-PRIORITY\r\n250-FUTURERELEASE\r\n250 AUTH PLAIN"

/* A fresh session each time, since a transaction takes one MAIL. */
static int mail_line(const uvsmtp_envelope_t *envelope, const uvsmtp_mail_needs_t *needs,
                     char *line, size_t size)
{
  session_t s;
  int err;
  session_ready(&s, NULL, ALL_OFFERED);
  err = uvsmtp_protocol_mail(s.protocol, envelope, needs, NULL);
  s.out_len = 0;
  session_write(&s);
  snprintf(line, size, "%.*s", (int)s.out_len, s.out != NULL ? s.out : "");
  session_free(&s);
  return err;
}

static int rcpt_line(const uvsmtp_recipient_t *recipient, char *line, size_t size)
{
  session_t s;
  int err;
  session_ready(&s, NULL, ALL_OFFERED);
  session_mail(&s, "a@x");
  session_write(&s);
  s.out_len = 0;
  err = uvsmtp_protocol_recipient(s.protocol, recipient, NULL);
  session_write(&s);
  snprintf(line, size, "%.*s", (int)s.out_len, s.out != NULL ? s.out : "");
  session_free(&s);
  return err;
}

/* Every day of eight centuries at some second of it, against the C library's calendar. */
static void times_are_those_of_the_calendar(void **state)
{
  session_t s;
  session_ready(&s, NULL, ALL_OFFERED);
  session_mail(&s, "a@x");
  session_write(&s);
  for (int64_t day = 1; day < 800 * 366; day += 13) {
    int64_t seconds = day * 86400 + day * 7919 % 86400;
    uvsmtp_recipient_t to = {.address = "b@y", .rrvs = seconds};
    time_t t = (time_t)seconds;
    struct tm tm;
    char want[80], when[40];
    gmtime_r(&t, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(want, sizeof(want), "RCPT TO:<b@y> RRVS=%s\r\n", when);
    s.out_len = 0;
    assert_int_equal(uvsmtp_protocol_recipient(s.protocol, &to, NULL), 0);
    session_written(&s, want);
    session_say(&s, "250 ok");
  }
  session_free(&s);
}

/* The same days, in the zone that a number makes of it. */
static void times_are_read_in_every_zone(void **state)
{
  for (int64_t day = -719162; day < 800 * 366; day += 13) {
    int64_t seconds = day * 86400 + (day * 7919 % 86400 + 86400) % 86400, read;
    int zone = (int)(day % 1440); /* minutes */
    time_t t = (time_t)(seconds + zone * 60);
    struct tm tm;
    char text[80], clock[40];
    gmtime_r(&t, &tm);
    snprintf(clock, sizeof(clock), "%04d-%02d-%02d%c%02d:%02d:%02d", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, day % 2 == 0 ? 'T' : 't', tm.tm_hour, tm.tm_min, tm.tm_sec);
    snprintf(text, sizeof(text), "%s%s%c%02d:%02d", clock, day % 3 == 0 ? ".25" : "",
             zone < 0 ? '-' : '+', abs(zone) / 60, abs(zone) % 60);
    if (!uvsmtp__rfc3339_read(text, &read) || read != seconds)
      fail_msg("%s: %lld", text, (long long)read);
  }
}

static void what_is_no_time_is_not_read(void **state)
{
  static const char *const good[] = {"2030-01-01T00:00:00Z", "2028-02-29t23:59:60z",
                                     "2000-02-29T00:00:00.123456789-23:59", "0000-01-01T00:00:00Z"};
  static const char *const bad[] = {
      "",
      "2030",
      "2030-01-01",
      "2030-01-01T00:00:00",
      "2030-01-01 00:00:00Z",
      "2030-00-01T00:00:00Z",
      "2030-13-01T00:00:00Z",
      "2030-01-00T00:00:00Z",
      "2030-04-31T00:00:00Z",
      "2030-02-29T00:00:00Z",
      "2100-02-29T00:00:00Z",
      "2030-01-01T24:00:00Z",
      "2030-01-01T00:60:00Z",
      "2030-01-01T00:00:61Z",
      "2030-01-01T00:00:00.Z",
      "2030-01-01T00:00:00+24:00",
      "2030-01-01T00:00:00+01:60",
      "2030-01-01T00:00:00+0100",
      "2030-01-01T00:00:00Zz",
      "30-01-01T00:00:00Z",
      "+030-01-01T00:00:00Z",
  };
  int64_t seconds;
  for (size_t i = 0; i < COUNT(good); i++)
    if (!uvsmtp__rfc3339_read(good[i], &seconds))
      fail_msg("%s", good[i]);
  for (size_t i = 0; i < COUNT(bad); i++)
    if (uvsmtp__rfc3339_read(bad[i], &seconds))
      fail_msg("%s", bad[i]);
}

static void times_before_1970_and_behind_9999_are_refused(void **state)
{
  uvsmtp_recipient_t to = {.address = "b@y"};
  char line[200];
  to.rrvs = -1;
  assert_int_equal(rcpt_line(&to, line, sizeof(line)), UVSMTP_EINVAL);
  to.rrvs = 253402300799;
  assert_int_equal(rcpt_line(&to, line, sizeof(line)), 0);
  assert_string_equal(line, "RCPT TO:<b@y> RRVS=9999-12-31T23:59:59Z\r\n");
  to.rrvs++;
  assert_int_equal(rcpt_line(&to, line, sizeof(line)), UVSMTP_EINVAL);
}

static void notify_takes_never_alone_or_any_of_the_others(void **state)
{
  for (unsigned bits = 0; bits < 32; bits++) {
    uvsmtp_recipient_t to = {.address = "b@y", .notify = bits};
    bool good = bits == 0 || bits == UVSMTP_NOTIFY_NEVER || (bits % 2 == 0 && bits < 16);
    char line[200], want[200];
    snprintf(want, sizeof(want), "%s%s%s%s%s", bits & 1 ? ",NEVER" : "", bits & 2 ? ",SUCCESS" : "",
             bits & 4 ? ",FAILURE" : "", bits & 8 ? ",DELAY" : "", "");
    assert_int_equal(rcpt_line(&to, line, sizeof(line)), good ? 0 : UVSMTP_EINVAL);
    if (bits != 0 && good) {
      assert_memory_equal(line, "RCPT TO:<b@y> NOTIFY=", 21);
      line[strlen(line) - 2] = '\0';
      assert_string_equal(line + 21, want + 1);
    }
  }
}

/* RFC 3461 section 4: what is not printable ASCII, "+" and "=" are written in hexadecimal. */
static void every_octet_of_an_envid_is_xtext(void **state)
{
  for (unsigned c = 1; c < 128; c++) {
    uvsmtp_envelope_t e = UVSMTP_ENVELOPE_INIT;
    char id[2] = {(char)c, 0}, line[200], want[200];
    bool plain = c > 32 && c < 127 && c != '+' && c != '=';
    int err;
    e.sender = "a@x";
    e.envid = id;
    err = mail_line(&e, NULL, line, sizeof(line));
    if (c == '\r' || c == '\n') {
      assert_true(err == 0 || err == UVSMTP_EINJECTION);
      assert_null(strstr(line, "ENVID=\r"));
      assert_null(strstr(line, "ENVID=\n"));
      continue;
    }
    assert_int_equal(err, 0);
    snprintf(want, sizeof(want),
             plain ? "MAIL FROM:<a@x> ENVID=%c\r\n" : "MAIL FROM:<a@x> ENVID=+%02X\r\n", c);
    assert_string_equal(line, want);
  }
}

/* RFC 3461 section 4.2, and RFC 6533 section 3 for addresses of UTF-8. */
static void an_original_recipient_is_written_by_its_type(void **state)
{
  static const struct {
    const char *given, *written; /* NULL: refused */
    int err;
  } rows[] = {
      {"rfc822;a+b=c@x", "rfc822;a+2Bb+3Dc@x", 0},
      {"a@x", "rfc822;a@x", 0},
      {"X-400;a b", "X-400;a+20b", 0},
      {"utf-8;a@x", "utf-8;a@x", 0},
      {"UTF-8;a+b=c\\d e\x7f@x", "utf-8;a\\x{2B}b\\x{3D}c\\x{5C}d\\x{20}e\\x{7F}@x", 0},
      {"rfc822;j\xc3\xb6@x", "utf-8;j\\x{F6}@x", 0},
      {"j\xe2\x82\xac\xf0\x9f\x93\xa7k@x", "utf-8;j\\x{20AC}\\x{1F4E7}k@x", 0},
      {"\xc2\x80@x", "utf-8;\\x{80}@x", 0},
      {"", NULL, UVSMTP_EINVAL},
      {"rfc822;", NULL, UVSMTP_EINVAL},
      {";a@x", NULL, UVSMTP_EINVAL},
      {"rfc 822;a@x", NULL, UVSMTP_EINVAL},
      {"rfc822;\xff", NULL, UVSMTP_ECHARSET},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_recipient_t to = {.address = "b@y", .orcpt = rows[i].given};
    char line[300], want[300];
    snprintf(want, sizeof(want), "RCPT TO:<b@y> ORCPT=%s\r\n", rows[i].written);
    assert_int_equal(rcpt_line(&to, line, sizeof(line)), rows[i].err);
    assert_string_equal(line, rows[i].err == 0 ? want : "");
  }
}

static void further_parameters_have_no_control_characters(void **state)
{
  for (unsigned c = 1; c < 128; c++) {
    char params[] = "X=?";
    uvsmtp_recipient_t to = {.address = "b@y", .params = params};
    char line[200];
    int want = c == '\r' || c == '\n' ? UVSMTP_EINJECTION : c < 32 || c == 127 ? UVSMTP_EINVAL : 0;
    params[2] = (char)c;
    assert_int_equal(rcpt_line(&to, line, sizeof(line)), want);
  }
}

/* MAIL may have looked at other recipients than these. */
static void a_recipient_of_utf8_needs_smtputf8_by_itself(void **state)
{
  uvsmtp_recipient_t to = {.address = "j\xc3\xb6@y"};
  char line[200];
  session_t s;
  session_ready(&s, NULL, "250 PIPELINING");
  session_mail(&s, "a@x");
  assert_int_equal(uvsmtp_protocol_recipient(s.protocol, &to, NULL), UVSMTP_EEXTENSION);
  assert_string_equal(uvsmtp_protocol_missing(s.protocol), "SMTPUTF8");
  session_free(&s);
  assert_int_equal(rcpt_line(&to, line, sizeof(line)), 0);
  assert_string_equal(line, "RCPT TO:<j\xc3\xb6@y>\r\n");
}

static void prdr_is_asked_for_where_it_is_wanted_and_makes_a_difference(void **state)
{
  static const uvsmtp_recipient_t to[2] = {{.address = "b@y"}, {.address = "c@y"}};
  for (unsigned i = 0; i < 8; i++) {
    bool wanted = i & 1, several = i & 2, offered = i & 4;
    uvsmtp_envelope_t e = UVSMTP_ENVELOPE_INIT;
    session_t s;
    session_ready(&s, NULL, offered ? "250 PRDR" : "250 DSN");
    session_write(&s);
    s.out_len = 0;
    e.sender = "a@x";
    e.recipients = to;
    e.recipient_count = several ? 2 : 1;
    e.flags = wanted ? UVSMTP_ENVELOPE_PRDR : 0;
    assert_int_equal(uvsmtp_protocol_mail(s.protocol, &e, NULL, NULL), 0);
    session_written(&s, wanted && several && offered ? "MAIL FROM:<a@x> PRDR\r\n"
                                                     : "MAIL FROM:<a@x>\r\n");
    session_free(&s);
  }
}

static void numbers_are_within_their_bounds(void **state)
{
  static const struct {
    const char *name;
    uvsmtp_envelope_t envelope;
    const char *words; /* NULL: refused */
  } rows[] = {
      {"priority at its least",
       {.flags = UVSMTP_ENVELOPE_PRIORITY, .priority = -9},
       "MT-PRIORITY=-9"},
      {"priority at its greatest",
       {.flags = UVSMTP_ENVELOPE_PRIORITY, .priority = 9},
       "MT-PRIORITY=9"},
      {"priority of nothing", {.flags = UVSMTP_ENVELOPE_PRIORITY}, "MT-PRIORITY=0"},
      {"priority too low", {.flags = UVSMTP_ENVELOPE_PRIORITY, .priority = -10}, NULL},
      {"priority too high", {.flags = UVSMTP_ENVELOPE_PRIORITY, .priority = 10}, NULL},
      {"hold at its longest", {.hold_seconds = 999999999}, "HOLDFOR=999999999"},
      {"hold too long", {.hold_seconds = 1000000000}, NULL},
      {"hold until", {.hold_until = "2030-01-01T00:00:00Z"}, "HOLDUNTIL=2030-01-01T00:00:00Z"},
      {"hold until no time", {.hold_until = "tomorrow"}, NULL},
      {"hold until and for", {.hold_until = "2030-01-01T00:00:00Z", .hold_seconds = 1}, NULL},
      {"by a second", {.flags = UVSMTP_ENVELOPE_BY_RETURN, .by_seconds = 1}, "BY=1;R"},
      {"by nothing", {.flags = UVSMTP_ENVELOPE_BY_RETURN}, NULL},
      {"by the past, with a notice",
       {.flags = UVSMTP_ENVELOPE_BY_NOTIFY | UVSMTP_ENVELOPE_BY_TRACE, .by_seconds = -999999999},
       "BY=-999999999;NT"},
      {"by a past too far", {.flags = UVSMTP_ENVELOPE_BY_NOTIFY, .by_seconds = -1000000000}, NULL},
      {"by at its longest",
       {.flags = UVSMTP_ENVELOPE_BY_RETURN, .by_seconds = 999999999},
       "BY=999999999;R"},
      {"by too long", {.flags = UVSMTP_ENVELOPE_BY_RETURN, .by_seconds = 1000000000}, NULL},
      {"by both modes",
       {.flags = UVSMTP_ENVELOPE_BY_RETURN | UVSMTP_ENVELOPE_BY_NOTIFY, .by_seconds = 1},
       NULL},
      {"by without a mode", {.by_seconds = 1}, NULL},
      {"trace without a mode", {.flags = UVSMTP_ENVELOPE_BY_TRACE}, NULL},
      {"an empty envelope identifier", {.envid = ""}, NULL},
      {"AUTH of nobody", {.auth = "<>"}, "AUTH=<>"},
      {"AUTH of somebody", {.auth = "a+b@x"}, "AUTH=a+2Bb@x"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_envelope_t e = rows[i].envelope;
    char line[200], want[200];
    int err;
    e.size = sizeof(e);
    e.sender = "a@x";
    err = mail_line(&e, NULL, line, sizeof(line));
    snprintf(want, sizeof(want), "MAIL FROM:<a@x> %s\r\n", rows[i].words);
    if ((rows[i].words == NULL && (err != UVSMTP_EINVAL || line[0] != '\0')) ||
        (rows[i].words != NULL && (err != 0 || strcmp(line, want) != 0)))
      fail_msg("%s: %d %s", rows[i].name, err, line);
  }
}

static void an_envelope_identifier_has_at_most_a_hundred_octets(void **state)
{
  uvsmtp_envelope_t e = UVSMTP_ENVELOPE_INIT;
  char id[102], line[300];
  memset(id, 'x', sizeof(id));
  e.sender = "a@x";
  e.envid = id;
  id[101] = '\0';
  assert_int_equal(mail_line(&e, NULL, line, sizeof(line)), UVSMTP_EINVAL);
  id[100] = '\0';
  assert_int_equal(mail_line(&e, NULL, line, sizeof(line)), 0);
}

static void a_size_is_compared_with_what_the_server_takes(void **state)
{
  static const struct {
    uint64_t size;
    int err;
    const char *line;
  } rows[] = {
      {0, 0, "MAIL FROM:<a@x> SIZE=0\r\n"},
      {1000, 0, "MAIL FROM:<a@x> SIZE=1000\r\n"},
      {1001, UVSMTP_ETOOBIG, ""},
      {UVSMTP_SIZE_UNKNOWN, 0, "MAIL FROM:<a@x>\r\n"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_envelope_t e = UVSMTP_ENVELOPE_INIT;
    uvsmtp_mail_needs_t needs = {.size = rows[i].size};
    char line[200];
    e.sender = "a@x";
    assert_int_equal(mail_line(&e, &needs, line, sizeof(line)), rows[i].err);
    assert_string_equal(line, rows[i].line);
  }
}

/* ---- what is said of what is wrong ---- */

/* The fault of a MAIL to a server with such extensions: its error; `size` octets of message. */
static int mail_fault(const char *offered, const uvsmtp_envelope_t *envelope, uint64_t size,
                      char *words, size_t room)
{
  uvsmtp_mail_needs_t needs = {.size = size};
  uvsmtp_envelope_t e = *envelope;
  session_t s;
  int err;
  e.size = sizeof(e);
  e.sender = "a@x";
  session_ready(&s, NULL, offered);
  session_write(&s);
  s.out_len = 0;
  err = uvsmtp_protocol_mail(s.protocol, &e, &needs, NULL);
  snprintf(words, room, "%s", uvsmtp_protocol_fault(s.protocol));
  session_write(&s);
  assert_int_equal(s.out_len == 0, err != 0);
  session_free(&s);
  return err;
}

/* RFC 2852 section 2 and RFC 4865 section 3: what EHLO tells is compared before MAIL. */
static void limits_of_the_server_are_named_before_mail(void **state)
{
  enum { BY_RETURN = UVSMTP_ENVELOPE_BY_RETURN, BY_NOTIFY = UVSMTP_ENVELOPE_BY_NOTIFY };
  static const struct {
    const char *offered;
    uvsmtp_envelope_t envelope;
    const char *words; /* NULL: taken */
  } rows[] = {
      {"250 DELIVERBY 240", {.flags = BY_RETURN, .by_seconds = 240}, NULL},
      {"250 DELIVERBY 240",
       {.flags = BY_RETURN, .by_seconds = 239},
       "by_seconds is 239, and DELIVERBY begins at 240"},
      {"250 DELIVERBY 240,X=1",
       {.flags = BY_RETURN, .by_seconds = 1},
       "by_seconds is 1, and DELIVERBY begins at 240"},
      {"250 DELIVERBY 240", {.flags = BY_NOTIFY, .by_seconds = 1}, NULL},
      {"250 DELIVERBY", {.flags = BY_RETURN, .by_seconds = 1}, NULL},
      {"250 DELIVERBY soon", {.flags = BY_RETURN, .by_seconds = 1}, NULL},
      {"250 DELIVERBY ,X", {.flags = BY_RETURN, .by_seconds = 1}, NULL},
      {"250 FUTURERELEASE 600 2030-01-01T00:00:00Z", {.hold_seconds = 600}, NULL},
      {"250 FUTURERELEASE 600 2030-01-01T00:00:00Z",
       {.hold_seconds = 601},
       "hold_seconds is 601, and FUTURERELEASE ends at 600"},
      {"250 FUTURERELEASE 600 2030-01-01T00:00:00Z",
       {.hold_until = "2030-01-01T01:00:00+01:00"},
       NULL},
      {"250 FUTURERELEASE 600 2030-01-01T00:00:00Z",
       {.hold_until = "2029-12-31T23:00:01-01:00"},
       "hold_until is 2029-12-31T23:00:01-01:00, and FUTURERELEASE ends at 2030-01-01T00:00:00Z"},
      {"250 FUTURERELEASE", {.hold_seconds = 999999999}, NULL},
      {"250 FUTURERELEASE", {.hold_until = "9999-12-31T23:59:59Z"}, NULL},
      {"250 FUTURERELEASE 600", {.hold_until = "9999-12-31T23:59:59Z"}, NULL},
      {"250 FUTURERELEASE 600 999999999", {.hold_until = "9999-12-31T23:59:59Z"}, NULL},
      {"250 FUTURERELEASE x 2030-01-01T00:00:00Z", {.hold_seconds = 999999999}, NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char words[200];
    int err =
        mail_fault(rows[i].offered, &rows[i].envelope, UVSMTP_SIZE_UNKNOWN, words, sizeof(words));
    if (err != (rows[i].words != NULL ? UVSMTP_ERANGE : 0) ||
        strcmp(words, rows[i].words != NULL ? rows[i].words : "") != 0)
      fail_msg("%s (row %zu): %d %s", rows[i].offered, i, err, words);
  }
}

static void the_field_that_makes_no_sense_is_named(void **state)
{
  static const struct {
    uvsmtp_envelope_t envelope;
    int err;
    const char *field;
  } rows[] = {
      {{.envid = ""}, UVSMTP_EINVAL, "envid"},
      {{.flags = UVSMTP_ENVELOPE_PRIORITY, .priority = 10}, UVSMTP_EINVAL, "priority"},
      {{.by_seconds = 1}, UVSMTP_EINVAL, "by_seconds"},
      {{.flags = UVSMTP_ENVELOPE_BY_RETURN}, UVSMTP_EINVAL, "by_seconds"},
      {{.flags = UVSMTP_ENVELOPE_BY_NOTIFY, .by_seconds = 1000000000}, UVSMTP_EINVAL, "by_seconds"},
      {{.flags = UVSMTP_ENVELOPE_BY_NOTIFY | UVSMTP_ENVELOPE_BY_RETURN, .by_seconds = 1},
       UVSMTP_EINVAL,
       "BY_RETURN and BY_NOTIFY"},
      {{.hold_seconds = 1000000000}, UVSMTP_EINVAL, "hold_seconds"},
      {{.hold_until = "2030-01-01"}, UVSMTP_EINVAL, "hold_until"},
      {{.hold_until = "2030-01-01T00:00:00Z", .hold_seconds = 1},
       UVSMTP_EINVAL,
       "hold_seconds and"},
      {{.auth = "ada"}, UVSMTP_EADDRESS, "auth"},
      {{.auth = ""}, UVSMTP_EADDRESS, "auth"},
      {{.auth = "<ada@x>"}, UVSMTP_EADDRESS, "auth"},
      {{.auth = "ada@x y"}, UVSMTP_EADDRESS, "auth"},
      {{.params = "X=\t"}, UVSMTP_EINVAL, "params"},
  };
  char words[200];
  for (size_t i = 0; i < COUNT(rows); i++) {
    int err = mail_fault(ALL_OFFERED, &rows[i].envelope, UVSMTP_SIZE_UNKNOWN, words, sizeof(words));
    if (err != rows[i].err || strncmp(words, rows[i].field, strlen(rows[i].field)) != 0)
      fail_msg("row %zu: %d %s", i, err, words);
  }
  assert_int_equal(mail_fault(ALL_OFFERED, &(uvsmtp_envelope_t){0}, 1001, words, sizeof(words)),
                   UVSMTP_ETOOBIG);
  assert_string_equal(words, "it has 1001 octets, and SIZE ends at 1000");
}

static void the_field_of_a_recipient_is_named_until_the_next_command(void **state)
{
  static const struct {
    uvsmtp_recipient_t to;
    int err;
    const char *field;
  } rows[] = {
      {{.notify = UVSMTP_NOTIFY_NEVER | UVSMTP_NOTIFY_DELAY}, UVSMTP_EINVAL, "notify"},
      {{.orcpt = "rfc822;"}, UVSMTP_EINVAL, "orcpt"},
      {{.orcpt = "x y;z"}, UVSMTP_EINVAL, "orcpt"},
      {{.orcpt = "\xff"}, UVSMTP_ECHARSET, "orcpt"},
      {{.rrvs = -1}, UVSMTP_EINVAL, "rrvs"},
      {{.params = "\x7f"}, UVSMTP_EINVAL, "params"},
  };
  session_t s;
  session_ready(&s, NULL, ALL_OFFERED);
  session_mail(&s, "a@x");
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_recipient_t to = rows[i].to;
    to.address = "b@y";
    assert_int_equal(uvsmtp_protocol_recipient(s.protocol, &to, NULL), rows[i].err);
    assert_memory_equal(uvsmtp_protocol_fault(s.protocol), rows[i].field, strlen(rows[i].field));
    to.address = "";
    assert_int_equal(uvsmtp_protocol_recipient(s.protocol, &to, NULL), UVSMTP_EADDRESS);
    assert_string_equal(uvsmtp_protocol_fault(s.protocol), "");
  }
  session_free(&s);
}

static void line_breaks_of_a_gateway_are_refused_with_the_envelope(void **state)
{
  uvsmtp_origin_t origin = {.name = "x"};
  uvsmtp_envelope_t e = UVSMTP_ENVELOPE_INIT;
  e.forward = &origin;
  assert_int_equal(uvsmtp_envelope_check(&e), 0);
  origin.dest_port = "1\r\nRSET";
  assert_int_equal(uvsmtp_envelope_check(&e), UVSMTP_EINJECTION);
}

static void line_breaks_are_refused_wherever_they_stand_in_an_envelope(void **state)
{
  uvsmtp_address_lengths_t lengths;
  uvsmtp_recipient_t recipient;
  uvsmtp_envelope_t e;
  const char **const places[] = {&e.sender,        &e.envid,         &e.hold_until,
                                 &e.auth,          &e.params,        &recipient.address,
                                 &recipient.orcpt, &recipient.params};
  for (size_t i = 0; i < COUNT(places); i++) {
    e = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
    recipient = (uvsmtp_recipient_t){.address = "b@y.example"};
    e.recipients = &recipient;
    e.recipient_count = 1;
    *places[i] = "well";
    assert_int_equal(uvsmtp_envelope_check(&e), 0);
    assert_int_equal(uvsmtp_envelope_look(&e, &lengths), 0);
    *places[i] = "not\nwell";
    assert_int_equal(uvsmtp_envelope_check(&e), UVSMTP_EINJECTION);
    assert_int_equal(uvsmtp_envelope_look(&e, &lengths), UVSMTP_EINJECTION);
    assert_int_equal(lengths.sender + lengths.recipient, 0);
  }
}

/* Strings of each length with a line break at each place. */
static void a_line_break_is_seen_at_every_place_of_two_addresses(void **state)
{
  edge_t edge = edge_new();
  uvsmtp_recipient_t recipient = {0};
  uvsmtp_envelope_t e = UVSMTP_ENVELOPE_INIT;
  e.recipients = &recipient;
  e.recipient_count = 1;
  for (size_t len = 1; len <= 80; len++) {
    for (size_t i = 0; i <= len; i++) {
      char text[81], *copy;
      uvsmtp_address_lengths_t lengths;
      bool is_short = i == len && len <= 64;
      memset(text, 'a', len);
      text[i] = i % 2 == 0 ? '\r' : '\n';
      text[len] = '\0';
      copy = edge_put(&edge, text, len + 1); /* no more can be read */
      for (size_t k = 0; k < 2; k++) {
        const char *other = "b@y.example";
        e.sender = k == 0 ? copy : other;
        recipient.address = k == 0 ? other : copy;
        assert_int_equal(uvsmtp_envelope_look(&e, &lengths), i == len ? 0 : UVSMTP_EINJECTION);
        assert_int_equal(lengths.sender, !is_short ? 0 : k == 0 ? len : strlen(other));
        assert_int_equal(lengths.recipient, !is_short ? 0 : k == 0 ? strlen(other) : len);
      }
    }
  }
  edge_free(&edge);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(times_are_those_of_the_calendar),
      cmocka_unit_test(times_are_read_in_every_zone),
      cmocka_unit_test(what_is_no_time_is_not_read),
      cmocka_unit_test(times_before_1970_and_behind_9999_are_refused),
      cmocka_unit_test(notify_takes_never_alone_or_any_of_the_others),
      cmocka_unit_test(every_octet_of_an_envid_is_xtext),
      cmocka_unit_test(an_original_recipient_is_written_by_its_type),
      cmocka_unit_test(further_parameters_have_no_control_characters),
      cmocka_unit_test(a_recipient_of_utf8_needs_smtputf8_by_itself),
      cmocka_unit_test(prdr_is_asked_for_where_it_is_wanted_and_makes_a_difference),
      cmocka_unit_test(numbers_are_within_their_bounds),
      cmocka_unit_test(an_envelope_identifier_has_at_most_a_hundred_octets),
      cmocka_unit_test(a_size_is_compared_with_what_the_server_takes),
      cmocka_unit_test(limits_of_the_server_are_named_before_mail),
      cmocka_unit_test(the_field_that_makes_no_sense_is_named),
      cmocka_unit_test(the_field_of_a_recipient_is_named_until_the_next_command),
      cmocka_unit_test(line_breaks_of_a_gateway_are_refused_with_the_envelope),
      cmocka_unit_test(line_breaks_are_refused_wherever_they_stand_in_an_envelope),
      cmocka_unit_test(a_line_break_is_seen_at_every_place_of_two_addresses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
