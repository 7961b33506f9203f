/*
 * A server that says anything, cut anywhere, to a client that issues anything, with memory that
 * may run out: nothing crashes, no command is answered twice, no error comes twice, and what is
 * written is what was asked for. Seeded and bounded, so that it is a test like others.
 */
#include "chance.h"
#include "scarce.h"
#include "session.h"

enum { SESSIONS = 3000, STEPS = 60, MAX_TAGS = 256 };

typedef struct fuzz_s {
  chance_t chance;
  uvsmtp_protocol_t *protocol;
  uint64_t now;
  unsigned issued, errors;
  uint8_t answers[MAX_TAGS]; /* last replies to each command */
  uint8_t tags[MAX_TAGS];
} fuzz_t;

/* Half of a real server's words, half of what breaks them. */
static const char *const words[] = {"220 mx.example ESMTP\r\n",
                                    "250-mx.example\r\n",
                                    "250-PIPELINING\r\n",
                                    "250-SIZE 1000000\r\n",
                                    "250-AUTH PLAIN LOGIN\r\n",
                                    "250-CHUNKING\r\n",
                                    "250-STARTTLS\r\n",
                                    "250-LIMITS RCPTMAX=3\r\n",
                                    "250-DSN\r\n",
                                    "250 SMTPUTF8\r\n",
                                    "250 ok\r\n",
                                    "250 ok\r\n",
                                    "250 ok\r\n",
                                    "354 go\r\n",
                                    "354 go\r\n",
                                    "550 5.1.1 no\r\n",
                                    "452 4.2.2 full\r\n",
                                    "334 VXNlcm5hbWU6\r\n",
                                    "334 \r\n",
                                    "334 !\r\n",
                                    "235 welcome\r\n",
                                    "502 what\r\n",
                                    "421 bye\r\n",
                                    "221 bye\r\n",
                                    "250",
                                    "-",
                                    " ",
                                    "\r",
                                    "\n",
                                    "\r\n",
                                    "999 x\r\n",
                                    "250-\r\n",
                                    "250 4.9999.1\r\n",
                                    "353 go\r\n"};

static void hear(fuzz_t *f)
{
  uvsmtp_event_t event;
  char text[64];
  while (uvsmtp_protocol_next_event(f->protocol, &event)) {
    assert_int_equal(f->errors, 0);
    uint8_t *tag = event.tag;
    if (event.type == UVSMTP_EVENT_ERROR) {
      assert_true(event.err < 0);
      assert_true(strlen(uvsmtp_protocol_error_text(f->protocol)) > 0);
      assert_int_equal(uvsmtp_protocol_state(f->protocol), UVSMTP_STATE_FINISHED);
      f->errors++;
      continue;
    }
    assert_true(uvsmtp_reply_text(&event.reply, text, sizeof(text)) < sizeof(text));
    if (event.type == UVSMTP_EVENT_UNSOLICITED || event.command == UVSMTP_COMMAND_GREETING)
      continue;
    assert_true(tag >= f->tags && tag < f->tags + f->issued);
    assert_int_equal(f->answers[tag - f->tags], 0);
    f->answers[tag - f->tags] += event.last;
  }
}

static void server(fuzz_t *f)
{
  char said[600];
  size_t len = 0, at = 0;
  for (size_t i = 1 + chance_below(&f->chance, 6); i > 0; i--) {
    const char *word = words[chance_below(&f->chance, COUNT(words))];
    memcpy(said + len, word, strlen(word));
    len += strlen(word);
  }
  if (chance_below(&f->chance, 10) == 0)
    said[chance_below(&f->chance, len)] = (char)chance_next(&f->chance);
  while (at < len) {
    size_t piece = chance_piece(&f->chance, len - at);
    char *copy = malloc(piece);
    memcpy(copy, said + at, piece);
    uvsmtp_protocol_feed_bytes(f->protocol, copy, piece, f->now);
    hear(f);
    free(copy);
    at += piece;
  }
}

static void envelope_command(fuzz_t *f, void *tag)
{
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_recipient_t recipient = {.address = "b@y.example"};
  envelope.sender = "a@x.example";
  if (chance_below(&f->chance, 2) == 0)
    uvsmtp_protocol_mail(f->protocol, &envelope, NULL, tag);
  else
    uvsmtp_protocol_recipient(f->protocol, &recipient, tag);
}

static void other_command(fuzz_t *f, void *tag)
{
  uvsmtp_protocol_t *p = f->protocol;
  switch (chance_below(&f->chance, 8)) {
  case 0:
    uvsmtp_protocol_authenticate(p, "PLAIN", "\0u\0p", 4, tag);
    break;
  case 1:
    uvsmtp_protocol_authenticate(p, "LOGIN", NULL, 0, tag);
    break;
  case 2:
    uvsmtp_protocol_send_authentication_data(p, "u", 1);
    break;
  case 3:
    uvsmtp_protocol_cancel_authentication(p);
    break;
  case 4:
    uvsmtp_protocol_start_tls(p, tag);
    break;
  case 5:
    uvsmtp_protocol_tls_started(p);
    break;
  case 6:
    uvsmtp_protocol_quit(p, tag);
    break;
  default:
    uvsmtp_protocol_trim(p);
    break;
  }
}

static void client(fuzz_t *f)
{
  static const char body[] = ".\r\nHi\r.\n..\n";
  static const uvsmtp_slice_t chunk = {body, sizeof(body) - 1};
  uvsmtp_protocol_t *p = f->protocol;
  void *tag = &f->tags[f->issued++];
  size_t taken;
  switch (chance_below(&f->chance, 10)) {
  case 0:
    uvsmtp_protocol_send_greeting(p, "client.example", false, tag);
    break;
  case 1:
    uvsmtp_protocol_start_data(p, tag);
    break;
  case 2:
    uvsmtp_protocol_data(p, body, chance_piece(&f->chance, sizeof(body) - 1), 0, &taken);
    break;
  case 3:
    uvsmtp_protocol_end_data(p, tag);
    break;
  case 4:
    uvsmtp_protocol_chunk(p, &chunk, 1, chance_below(&f->chance, 2) == 0, tag);
    break;
  case 5:
    uvsmtp_protocol_reset(p, tag);
    break;
  case 6:
    other_command(f, tag);
    break;
  default:
    envelope_command(f, tag);
    break;
  }
}

static void write_some(fuzz_t *f)
{
  uvsmtp_slice_t slices[3];
  size_t len = 0, count = uvsmtp_protocol_output(f->protocol, slices, COUNT(slices));
  for (size_t i = 0; i < count; i++) {
    assert_true(slices[i].len > 0);
    len += slices[i].len;
  }
  assert_true(len <= uvsmtp_protocol_output_len(f->protocol));
  if (len > 0)
    uvsmtp_protocol_sent(f->protocol, chance_piece(&f->chance, len), f->now);
  assert_int_equal(uvsmtp_protocol_issued(f->protocol) - uvsmtp_protocol_total_sent(f->protocol),
                   uvsmtp_protocol_output_len(f->protocol));
}

static void step(fuzz_t *f)
{
  switch (chance_below(&f->chance, 12)) {
  case 0:
    f->now += chance_below(&f->chance, 100000);
    uvsmtp_protocol_expire(f->protocol, f->now);
    hear(f);
    break;
  case 1:
  case 2:
  case 3:
    server(f);
    break;
  case 4:
  case 5:
  case 6:
    write_some(f);
    break;
  default:
    client(f);
    break;
  }
}

static void play(uint64_t seed)
{
  fuzz_t f = {.chance = chance_of(seed)};
  scarce_t scarce;
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  scarce_init(&scarce, chance_below(&f.chance, 3) == 0 ? 1 + chance_below(&f.chance, 40) : 0);
  options.mem = &scarce.mem;
  options.lmtp = chance_below(&f.chance, 3) == 0;
  options.trace = chance_below(&f.chance, 3) == 0;
  options.max_reply_bytes = 200;
  options.max_outstanding = 20;
  if (uvsmtp_protocol_new(&f.protocol, &options, 0) != 0) {
    assert_int_equal(scarce.held, 0);
    return;
  }
  for (unsigned i = 0; i < STEPS; i++)
    step(&f);
  uvsmtp_protocol_feed_eof(f.protocol);
  hear(&f);
  assert_true(uvsmtp_protocol_is_closing(f.protocol));
  uvsmtp_protocol_free(f.protocol);
  assert_int_equal(scarce.held, 0);
}

static void nothing_that_a_server_says_breaks_the_machine(void **state)
{
  uint64_t seed = chance_seed("fuzz", 2821);
  for (uint64_t i = 0; i < SESSIONS; i++)
    play(seed + i);
}

/* Bytes without any sense: an error at the latest when a line gets too long, and no more memory. */
static void noise_ends_the_session(void **state)
{
  uint64_t seed = chance_seed("noise", 821);
  for (uint64_t i = 0; i < 200; i++) {
    chance_t chance = chance_of(seed + i);
    char noise[200];
    session_t s;
    session_init(&s, NULL);
    for (unsigned round = 0; round < 60 && s.errors == 0; round++) {
      for (size_t n = 0; n < sizeof(noise); n++)
        noise[n] = (char)chance_next(&chance);
      session_feed(&s, noise, sizeof(noise));
    }
    assert_int_equal(s.errors, 1);
    session_free(&s);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_that_a_server_says_breaks_the_machine),
      cmocka_unit_test(noise_ends_the_session),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
