/*
 * Random contents, cut at random places and written in random parts, against a reference that is
 * too simple to be wrong: line ends first, then dots, one octet at a time over the whole.
 */
#include "chance.h"
#include "session.h"

enum { ROUNDS = 4000, MAX_BODY = 3000 };

typedef struct text_s {
  char *bytes;
  size_t len;
} text_t;

static void put(text_t *text, char c)
{
  text->bytes[text->len++] = c;
}

static text_t reference(const char *body, size_t len)
{
  text_t lines = {malloc(len * 2 + 3), 0}, out = {malloc(len * 3 + 12), 0};
  for (size_t i = 0; i < len; i++) {
    if (body[i] == '\n' && i > 0 && body[i - 1] == '\r')
      continue;
    if (body[i] == '\n' || body[i] == '\r')
      put(&lines, '\n');
    else
      put(&lines, body[i]);
  }
  if (lines.len > 0 && lines.bytes[lines.len - 1] != '\n')
    put(&lines, '\n');
  for (size_t i = 0; i < lines.len; i++) {
    if (lines.bytes[i] == '.' && (i == 0 || lines.bytes[i - 1] == '\n'))
      put(&out, '.');
    if (lines.bytes[i] == '\n')
      put(&out, '\r');
    put(&out, lines.bytes[i]);
  }
  memcpy(out.bytes + out.len, ".\r\n", 3);
  out.len += 3;
  free(lines.bytes);
  return out;
}

/* Mostly what is awkward, and now and then a run long enough to be sent from where it lies. */
static size_t make_body(chance_t *chance, char *body)
{
  static const char awkward[] = "\r\n.\r\n.\r\n.a";
  size_t len = chance_below(chance, 60), n = 0;
  while (n < len)
    body[n++] = awkward[chance_below(chance, sizeof(awkward) - 1)];
  if (chance_below(chance, 4) == 0) {
    size_t run = chance_below(chance, 900);
    memset(body + n, 'x', run);
    n += run;
    for (size_t i = chance_below(chance, 20); i > 0; i--)
      body[n++] = awkward[chance_below(chance, sizeof(awkward) - 1)];
  }
  return n;
}

static void write_part(session_t *s, chance_t *chance)
{
  uvsmtp_slice_t slices[1];
  if (uvsmtp_protocol_output(s->protocol, slices, 1) == 0)
    return;
  size_t len = chance_piece(chance, slices[0].len);
  s->out = realloc(s->out, s->out_len + len + 1);
  memcpy(s->out + s->out_len, slices[0].base, len);
  s->out_len += len;
  uvsmtp_protocol_sent(s->protocol, len, s->now);
}

static void send_body(session_t *s, chance_t *chance, const char *body, size_t len)
{
  size_t at = 0, taken;
  while (at < len) {
    int err = uvsmtp_protocol_data(s->protocol, body + at, chance_piece(chance, len - at),
                                   UVSMTP_LINES_NORMALIZE, &taken);
    assert_int_equal(err, 0);
    at += taken;
    if (taken == 0 || chance_below(chance, 3) == 0)
      write_part(s, chance);
  }
  assert_int_equal(uvsmtp_protocol_end_data(s->protocol, s), 0);
  session_write(s);
}

static void any_content_is_framed_as_the_reference_frames_it(void **state)
{
  uint64_t seed = chance_seed("body", 5321);
  static char body[MAX_BODY];
  for (unsigned round = 0; round < ROUNDS; round++) {
    chance_t chance = chance_of(seed + round);
    session_t s;
    size_t len = make_body(&chance, body);
    text_t want = reference(body, len);
    session_ready(&s, NULL, NULL);
    session_to_content(&s);
    send_body(&s, &chance, body, len);
    if (s.out_len != want.len || memcmp(s.out, want.bytes, want.len) != 0)
      fail_msg("UVSMTP_TEST_SEED=%llu", (unsigned long long)(seed + round));
    session_say(&s, "250 queued");
    assert_int_equal(s.code, 250);
    free(want.bytes);
    session_free(&s);
  }
}

static void refusing_bare_line_ends_takes_all_before_the_first_one(void **state)
{
  uint64_t seed = chance_seed("bare line ends", 5321);
  static char body[MAX_BODY];
  for (unsigned round = 0; round < ROUNDS; round++) {
    chance_t chance = chance_of(seed + round);
    session_t s;
    size_t len = make_body(&chance, body), bare = 0, taken;
    while (bare < len && body[bare] != '\n' && body[bare] != '\r')
      bare++;
    while (bare + 1 < len && body[bare] == '\r' && body[bare + 1] == '\n')
      for (bare += 2; bare < len && body[bare] != '\n' && body[bare] != '\r';)
        bare++;
    bool is_bare = bare < len && (body[bare] == '\n' || bare + 1 < len);
    session_ready(&s, NULL, NULL);
    session_to_content(&s);
    int err = uvsmtp_protocol_data(s.protocol, body, len, UVSMTP_LINES_REFUSE, &taken);
    assert_int_equal(err, is_bare ? UVSMTP_EBARELINE : 0);
    assert_int_equal(taken, is_bare ? bare : len);
    session_free(&s);
  }
}

/* A body that needs no change is given out where it lies, and a dot does not copy it. */
static void long_contents_are_not_copied(void **state)
{
  static char body[100000];
  session_t s;
  size_t taken, own = 0, all = 0, count;
  uvsmtp_slice_t slices[64];
  memset(body, 'x', sizeof(body));
  memcpy(body + 50000, "\r\n.", 3);
  session_ready(&s, NULL, NULL);
  session_to_content(&s);
  assert_int_equal(uvsmtp_protocol_data(s.protocol, body, sizeof(body), 0, &taken), 0);
  assert_int_equal(taken, sizeof(body));
  count = uvsmtp_protocol_output(s.protocol, slices, 64);
  for (size_t i = 0; i < count; i++) {
    all += slices[i].len;
    if (slices[i].base >= body && slices[i].base < body + sizeof(body))
      own += slices[i].len;
  }
  assert_int_equal(all, sizeof(body) + 1);
  assert_int_equal(own, sizeof(body));
  session_free(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_content_is_framed_as_the_reference_frames_it),
      cmocka_unit_test(refusing_bare_line_ends_takes_all_before_the_first_one),
      cmocka_unit_test(long_contents_are_not_copied),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
