/*
 * The state machine between a hostile server and a hasty caller: the input is a list of steps, each
 * a byte that chooses what is done, some with a length and bytes of the server behind it.
 */
#include <string.h>

#include "target.h"
#include "uvsmtp/protocol.h"

#define MAX_SERVER_BYTES 4096

static const char content[] = ".Subject: x\r\n\r\n.\n..\rend";

typedef struct session_s {
  uvsmtp_protocol_t *p;
  uint64_t now;
  char *kept; /* bytes fed and not read out */
} session_t;

static void read_out(session_t *s)
{
  uvsmtp_event_t event;
  uvsmtp_slice_t line;
  uvsmtp_trace_t kind;
  char text[200];

  while (uvsmtp_protocol_next_event(s->p, &event)) {
    if (event.type == UVSMTP_EVENT_REPLY || event.type == UVSMTP_EVENT_UNSOLICITED) {
      /* A line that is no reply has no code; it is told only where none is owed. */
      FUZZ_CHECK((event.reply.code >= 200 && event.reply.code <= 599) ||
                 (event.reply.code == 0 && event.type == UVSMTP_EVENT_UNSOLICITED));
      FUZZ_CHECK(uvsmtp_reply_text(&event.reply, text, sizeof(text)) < sizeof(text));
    } else {
      FUZZ_CHECK(event.type == UVSMTP_EVENT_ERROR && event.err < 0);
      FUZZ_CHECK(uvsmtp_protocol_state(s->p) == UVSMTP_STATE_FINISHED);
    }
  }
  while (uvsmtp_protocol_next_trace(s->p, &kind, &line))
    FUZZ_CHECK(memchr(line.base, '\n', line.len) == NULL);
  free(s->kept);
  s->kept = NULL;
}

static void serve(session_t *s, fuzz_input_t *in)
{
  size_t len, most = (size_t)fuzz_byte(in) * 8;

  s->kept = fuzz_piece(in, most < MAX_SERVER_BYTES ? most : MAX_SERVER_BYTES, &len);
  uvsmtp_protocol_feed_bytes(s->p, s->kept, len, s->now);
  read_out(s);
}

/* Writes, at times not all there is. */
static void flush(session_t *s, size_t most)
{
  uvsmtp_slice_t slices[8];
  size_t i, n = uvsmtp_protocol_output(s->p, slices, 8), total = 0;

  for (i = 0; i < n; i++)
    total += slices[i].len;
  FUZZ_CHECK(total <= uvsmtp_protocol_output_len(s->p));
  uvsmtp_protocol_sent(s->p, total < most ? total : most, s->now);
}

static void transact(session_t *s, unsigned what)
{
  static const uvsmtp_recipient_t recipient = {.address = "r@h.example"};
  static const uvsmtp_slice_t chunk = {content, sizeof(content) - 1};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_mail_needs_t needs = {.size = sizeof(content)};
  uvsmtp_flight_t flight = {.envelope = &envelope,
                            .needs = &needs,
                            .slices = &chunk,
                            .count = 1,
                            .reset = true,
                            .tag = s,
                            .recipient_tag = s};
  size_t taken = 0;

  envelope.sender = "s@h.example";
  envelope.recipients = &recipient;
  envelope.recipient_count = 1;
  switch (what) {
  case 0:
    uvsmtp_protocol_mail(s->p, &envelope, &needs, s);
    break;
  case 1:
    uvsmtp_protocol_recipient(s->p, &recipient, s);
    break;
  case 2:
    uvsmtp_protocol_start_data(s->p, s);
    break;
  case 3:
    uvsmtp_protocol_data(s->p, content, sizeof(content) - 1, UVSMTP_LINES_NORMALIZE, &taken);
    FUZZ_CHECK(taken < sizeof(content));
    break;
  case 4:
    uvsmtp_protocol_end_data(s->p, s);
    break;
  case 5:
    uvsmtp_envelope_look(&envelope, &flight.lengths);
    uvsmtp_protocol_flight(s->p, &flight);
    break;
  default:
    uvsmtp_protocol_chunk(s->p, &chunk, 1, what % 2 == 0, s);
  }
}

static void command(session_t *s, unsigned what)
{
  switch (what) {
  case 0:
    uvsmtp_protocol_send_greeting(s->p, "c.example", false, s);
    break;
  case 1:
    uvsmtp_protocol_start_tls(s->p, s);
    break;
  case 2:
    uvsmtp_protocol_tls_started(s->p);
    break;
  case 3:
    uvsmtp_protocol_authenticate(s->p, "PLAIN", "\0u\0p", 4, s);
    break;
  case 4:
    uvsmtp_protocol_send_authentication_data(s->p, "secret", 6);
    break;
  case 5:
    uvsmtp_protocol_cancel_authentication(s->p);
    break;
  case 6:
    uvsmtp_protocol_reset(s->p, s);
    break;
  default:
    uvsmtp_protocol_quit(s->p, s);
  }
}

static void step(session_t *s, fuzz_input_t *in)
{
  uint8_t byte = fuzz_byte(in);

  switch (byte >> 5) {
  case 0:
  case 1:
    serve(s, in);
    break;
  case 2:
    transact(s, byte % 8);
    break;
  case 3:
    command(s, byte % 8);
    break;
  case 4:
    s->now += (uint64_t)(byte % 32) * 20000;
    uvsmtp_protocol_expire(s->p, s->now);
    read_out(s);
    break;
  case 5:
    flush(s, byte % 32 == 31 ? SIZE_MAX : byte % 32);
    break;
  case 6:
    uvsmtp_protocol_trim(s->p);
    break;
  default:
    if (byte == 255)
      uvsmtp_protocol_feed_eof(s->p);
    read_out(s);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  session_t s = {NULL, 1000, NULL};
  uint8_t flags = fuzz_byte(&in);

  options.lmtp = flags & 1;
  options.tls = flags & 2;
  options.trace = true;
  options.max_reply_bytes = flags & 4 ? 600 : 0;
  FUZZ_CHECK(uvsmtp_protocol_new(&s.p, &options, s.now) == 0);
  while (in.size > 0) {
    step(&s, &in);
    FUZZ_CHECK(uvsmtp_protocol_total_sent(s.p) <= uvsmtp_protocol_issued(s.p));
    FUZZ_CHECK(uvsmtp_protocol_capabilities(s.p) != NULL);
  }
  uvsmtp_protocol_free(s.p);
  free(s.kept);
  return 0;
}
