/*
 * Decisions about servers: which way of talking is left after what happened, what a refusal of RCPT
 * means, and what a server calls a message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "connection/connection.h"
#include "connection/manners.h"

enum {
  OVERLAP = UVSMTP_WAY_OVERLAP,
  CHUNKING = UVSMTP_WAY_CHUNKING,
  DATA = UVSMTP_WAY_GROUPED_DATA,
  PIPELINING = UVSMTP_WAY_PIPELINING,
  ALL = OVERLAP | CHUNKING | DATA | PIPELINING
};

static uvsmtp__incident_t refused(unsigned used, uvsmtp_command_t command, int code)
{
  return (uvsmtp__incident_t){
      .kind = UVSMTP__INCIDENT_REFUSED, .used = used, .command = command, .code = code};
}

static unsigned note(uvsmtp_manners_t *m, uvsmtp__incident_kind_t kind, unsigned used)
{
  uvsmtp__incident_t incident = {.kind = kind, .used = used};
  return uvsmtp__manners_note(m, &incident);
}

static void refusals_are_blamed_on_the_way_that_they_are_about(void **state)
{
  static const struct {
    uvsmtp_command_t command;
    int code;
    bool out_of_step;
    unsigned used, blamed;
  } rows[] = {
      {UVSMTP_COMMAND_MAIL, 503, false, ALL, OVERLAP},
      {UVSMTP_COMMAND_MAIL, 500, false, ALL, OVERLAP},
      {UVSMTP_COMMAND_MAIL, 554, true, ALL, OVERLAP},
      {UVSMTP_COMMAND_MAIL, 550, false, ALL, 0},
      {UVSMTP_COMMAND_MAIL, 501, false, ALL, 0},
      {UVSMTP_COMMAND_MAIL, 503, false, PIPELINING | DATA, 0}, /* AUTH first */
      {UVSMTP_COMMAND_MAIL, 500, false, PIPELINING | DATA, PIPELINING},
      {UVSMTP_COMMAND_MAIL, 554, true, PIPELINING, PIPELINING},
      {UVSMTP_COMMAND_MAIL, 500, false, 0, 0},
      {UVSMTP_COMMAND_RCPT, 503, false, ALL, PIPELINING},
      {UVSMTP_COMMAND_RCPT, 500, false, PIPELINING, PIPELINING},
      {UVSMTP_COMMAND_RCPT, 550, true, PIPELINING, PIPELINING},
      {UVSMTP_COMMAND_RCPT, 550, false, ALL, 0},
      {UVSMTP_COMMAND_RCPT, 501, false, ALL, 0},
      {UVSMTP_COMMAND_RCPT, 503, false, OVERLAP, 0},
      {UVSMTP_COMMAND_DATA, 503, false, ALL, DATA},
      {UVSMTP_COMMAND_DATA, 502, false, DATA, DATA},
      {UVSMTP_COMMAND_DATA, 554, false, ALL, 0},
      {UVSMTP_COMMAND_DATA, 503, false, PIPELINING, 0},
      {UVSMTP_COMMAND_BDAT, 500, false, ALL, CHUNKING},
      {UVSMTP_COMMAND_BDAT_LAST, 502, false, ALL, CHUNKING},
      {UVSMTP_COMMAND_BDAT_LAST, 503, false, CHUNKING, CHUNKING},
      {UVSMTP_COMMAND_BDAT_LAST, 554, true, ALL, 0},
      {UVSMTP_COMMAND_BDAT_LAST, 552, false, ALL, 0},
      {UVSMTP_COMMAND_DATA_END, 500, false, ALL, 0},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_manners_t m = {0};
    uvsmtp__incident_t incident = refused(rows[i].used, rows[i].command, rows[i].code);
    incident.out_of_step = rows[i].out_of_step;
    unsigned blamed = uvsmtp__manners_note(&m, &incident);
    if (blamed != rows[i].blamed || m.avoid != rows[i].blamed)
      fail_msg("%s %d: %u instead of %u", uvsmtp_command_name(rows[i].command), rows[i].code,
               blamed, rows[i].blamed);
    /* Others that were under way in the same way get the same verdict. */
    assert_int_equal(uvsmtp__manners_note(&m, &incident), rows[i].blamed);
  }
}

static void the_same_refusal_in_the_plain_way_acquits_the_bold_one(void **state)
{
  uvsmtp_manners_t m = {0};
  uvsmtp__incident_t grouped = refused(PIPELINING, UVSMTP_COMMAND_RCPT, 503);
  uvsmtp__incident_t plain = refused(0, UVSMTP_COMMAND_RCPT, 503);
  uvsmtp__incident_t other = refused(0, UVSMTP_COMMAND_RCPT, 550);
  assert_int_equal(uvsmtp__manners_note(&m, &grouped), PIPELINING);
  assert_int_equal(uvsmtp__manners_note(&m, &other), 0);
  assert_int_equal(m.avoid, PIPELINING);
  assert_int_equal(uvsmtp__manners_note(&m, &plain), 0);
  assert_int_equal(m.avoid, 0);
  /* It is not suspected of that again. */
  assert_int_equal(uvsmtp__manners_note(&m, &grouped), 0);
  assert_int_equal(m.avoid, 0);
}

static void a_loss_is_blamed_on_the_boldest_way_that_has_never_worked(void **state)
{
  uvsmtp_manners_t m = {0};
  assert_int_equal(note(&m, UVSMTP__INCIDENT_LOST, 0), 0);
  assert_int_equal(note(&m, UVSMTP__INCIDENT_LOST, ALL), OVERLAP);
  assert_int_equal(note(&m, UVSMTP__INCIDENT_LOST, ALL & ~OVERLAP), CHUNKING);
  assert_int_equal(note(&m, UVSMTP__INCIDENT_LOST, DATA | PIPELINING), DATA);
  assert_int_equal(note(&m, UVSMTP__INCIDENT_LOST, PIPELINING), PIPELINING);
  assert_int_equal(m.avoid, ALL);
}

static void what_has_worked_is_suspected_after_three_losses(void **state)
{
  uvsmtp_manners_t m = {0};
  uvsmtp__manners_worked(&m, ALL);
  for (int i = 0; i < 2; i++)
    assert_int_equal(note(&m, UVSMTP__INCIDENT_LOST, ALL), 0);
  for (int i = 0; i < 199; i++) /* and one loss is forgotten */
    uvsmtp__manners_worked(&m, ALL);
  assert_int_equal(note(&m, UVSMTP__INCIDENT_LOST, ALL), 0);
  assert_int_equal(m.avoid, 0);
  for (int i = 0; i < 150; i++)
    uvsmtp__manners_worked(&m, ALL);
  assert_int_equal(note(&m, UVSMTP__INCIDENT_LOST, ALL), OVERLAP);
}

static void a_suspicion_is_forgotten_one_day_and_a_proof_is_not(void **state)
{
  uvsmtp_manners_t m = {0};
  uvsmtp__incident_t chunk = refused(ALL, UVSMTP_COMMAND_BDAT_LAST, 500);
  uvsmtp__manners_note(&m, &chunk);
  note(&m, UVSMTP__INCIDENT_LOST, OVERLAP);
  assert_int_equal(m.avoid, CHUNKING | OVERLAP);
  for (int i = 0; i < 999; i++)
    uvsmtp__manners_worked(&m, DATA | PIPELINING);
  assert_int_equal(m.avoid, CHUNKING | OVERLAP);
  uvsmtp__manners_worked(&m, DATA | PIPELINING);
  assert_int_equal(m.avoid, CHUNKING);
}

static void a_limit_is_what_two_sessions_in_a_row_were_closed_after(void **state)
{
  static const struct {
    unsigned closed, ended; /* after so many; 0: not so */
    unsigned limit;         /* from then on */
  } steps[] = {
      {.closed = 7},
      {.ended = 5}, /* says nothing about it */
      {.closed = 9},
      {.closed = 7},
      {.ended = 8}, /* took more: it was something else */
      {.closed = 7},
      {.closed = 7, .limit = 7},
      {.closed = 7, .limit = 7},
      {.closed = 3, .limit = 7},
      {.closed = 3, .limit = 3},
      {.closed = 5}, /* there is no such limit */
      {.closed = 3},
      {.closed = 3, .limit = 3},
  };
  uvsmtp_manners_t m = {0};
  for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
    if (steps[i].closed != 0)
      uvsmtp__manners_closed(&m, steps[i].closed);
    else
      uvsmtp__manners_ended(&m, steps[i].ended, false);
    if (m.max_mails != steps[i].limit)
      fail_msg("step %zu: %u", i, m.max_mails);
  }
}

static void a_limit_is_tried_after_twenty_full_sessions(void **state)
{
  uvsmtp_manners_t m = {.max_mails = 3};
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 20; i++) {
      assert_false(uvsmtp__manners_tries(&m));
      uvsmtp__manners_ended(&m, 2, false);
      uvsmtp__manners_ended(&m, 3, true);
    }
    assert_true(uvsmtp__manners_tries(&m));
  }
  m = (uvsmtp_manners_t){0};
  for (int i = 0; i < 30; i++)
    uvsmtp__manners_ended(&m, 3, true); /* of what the server itself says */
  assert_false(uvsmtp__manners_tries(&m));
}

static void words_that_speak_of_step(void **state)
{
  assert_true(uvsmtp__speaks_of_step("5.5.1 Invalid command: Pipelining not supported"));
  assert_true(uvsmtp__speaks_of_step("SMTP synchronization error"));
  assert_true(uvsmtp__speaks_of_step("improper command PIPELINING"));
  assert_false(uvsmtp__speaks_of_step("5.7.1 Relaying denied"));
  assert_false(uvsmtp__speaks_of_step("pipeli"));
  assert_false(uvsmtp__speaks_of_step(""));
}

static void a_refusal_of_rcpt(void **state)
{
  enum { SOFT = UVSMTP_RCPT_552_TEMPORARY, HARD = UVSMTP_RCPT_552_PERMANENT };
  static const struct {
    int code;
    uint16_t enhanced[3];
    size_t accepted;
    int rcpt_552;
    uvsmtp__verdict_t verdict;
  } rows[] = {
      {250, {0}, 0, SOFT, UVSMTP__RCPT_YES},
      {251, {2, 1, 5}, 3, HARD, UVSMTP__RCPT_YES},
      {550, {5, 1, 1}, 3, SOFT, UVSMTP__RCPT_NO},
      {550, {5, 5, 3}, 3, SOFT, UVSMTP__RCPT_NO},
      {450, {4, 2, 1}, 3, SOFT, UVSMTP__RCPT_LATER},
      {354, {0}, 3, SOFT, UVSMTP__RCPT_LATER},
      {452, {0}, 0, SOFT, UVSMTP__RCPT_LATER},
      {452, {0}, 1, SOFT, UVSMTP__RCPT_TOO_MANY},
      {452, {4, 5, 3}, 1, SOFT, UVSMTP__RCPT_TOO_MANY},
      {452, {4, 2, 2}, 1, SOFT, UVSMTP__RCPT_LATER},
      {452, {4, 3, 1}, 1, SOFT, UVSMTP__RCPT_LATER},
      {451, {4, 5, 3}, 1, SOFT, UVSMTP__RCPT_TOO_MANY},
      {451, {0}, 1, SOFT, UVSMTP__RCPT_LATER},
      {421, {4, 5, 3}, 1, SOFT, UVSMTP__RCPT_LATER},
      {552, {0}, 1, SOFT, UVSMTP__RCPT_TOO_MANY},
      {552, {0}, 0, SOFT, UVSMTP__RCPT_LATER},
      {552, {5, 5, 3}, 2, SOFT, UVSMTP__RCPT_TOO_MANY},
      {552, {5, 2, 2}, 2, SOFT, UVSMTP__RCPT_NO},
      {552, {0}, 2, HARD, UVSMTP__RCPT_NO},
      {552, {5, 5, 3}, 2, HARD, UVSMTP__RCPT_NO},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_reply_t reply = {.code = rows[i].code};
    memcpy(reply.enhanced, rows[i].enhanced, sizeof(reply.enhanced));
    uvsmtp__verdict_t got =
        uvsmtp__judge_recipient(&reply, rows[i].accepted, (uvsmtp_rcpt_552_t)rows[i].rcpt_552);
    if (got != rows[i].verdict)
      fail_msg("row %zu: %d", i, (int)got);
  }
}

static void what_servers_call_a_message(void **state)
{
  static const struct {
    const char *text, *id;
  } rows[] = {
      {"2.0.0 Ok: queued as 4VxQk23PZkz9rxN", "4VxQk23PZkz9rxN"},
      {"Ok: queued as 12AB34", "12AB34"},
      {"OK id=1r7Aqk-000Abc-1X", "1r7Aqk-000Abc-1X"},
      {" 0 byte chunk, total 21\nOK id=1r7Aqk-000Abc-1X", "1r7Aqk-000Abc-1X"},
      {"2.0.0 9b1c5f3d Message accepted for delivery", "9b1c5f3d"},
      {"2.0.0 3AQ9xYzW012345 Message accepted for delivery", "3AQ9xYzW012345"},
      {"2.6.0 <a@b> [InternalId=123456, Hostname=X.example] 1 bytes Queued mail for delivery",
       "123456"},
      {"Message Queued (3D1B5F6A-0001.1)", "3D1B5F6A-0001.1"},
      {"2.0.0 <ada@there.example> aBcD3fG Saved", "aBcD3fG"},
      {"2.0.0 OK  1700000000 a1-20020a0567si123 - gsmtp", "a1-20020a0567si123"},
      {"OK: message queued", ""},
      {"OK", ""},
      {"queued as ", ""},
      {" saved", ""},
      {"", ""},
  };
  char out[64];
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    assert_string_equal(uvsmtp__queue_id(rows[i].text, out, sizeof(out)), rows[i].id);
  assert_string_equal(uvsmtp__queue_id("queued as 12345678", out, 8), "");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refusals_are_blamed_on_the_way_that_they_are_about),
      cmocka_unit_test(the_same_refusal_in_the_plain_way_acquits_the_bold_one),
      cmocka_unit_test(a_loss_is_blamed_on_the_boldest_way_that_has_never_worked),
      cmocka_unit_test(what_has_worked_is_suspected_after_three_losses),
      cmocka_unit_test(a_suspicion_is_forgotten_one_day_and_a_proof_is_not),
      cmocka_unit_test(a_limit_is_what_two_sessions_in_a_row_were_closed_after),
      cmocka_unit_test(a_limit_is_tried_after_twenty_full_sessions),
      cmocka_unit_test(words_that_speak_of_step),
      cmocka_unit_test(a_refusal_of_rcpt),
      cmocka_unit_test(what_servers_call_a_message),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
