#include "session.h"

void session_init(session_t *s, const uvsmtp_protocol_options_t *options)
{
  *s = (session_t){.now = 1000};
  assert_int_equal(uvsmtp_protocol_new(&s->protocol, options, s->now), 0);
}

void session_ready(session_t *s, const uvsmtp_protocol_options_t *options, const char *keywords)
{
  session_init(s, options);
  session_greet(s, keywords);
}

void session_greet(session_t *s, const char *keywords)
{
  session_say(s, "220 mx.example ESMTP");
  assert_int_equal(uvsmtp_protocol_send_greeting(s->protocol, "client.example", false, s), 0);
  session_write(s);
  if (keywords != NULL)
    session_feed(s, "250-mx.example\r\n", 16);
  session_say(s, keywords != NULL ? keywords : "250 mx.example");
  assert_int_equal(uvsmtp_protocol_state(s->protocol), UVSMTP_STATE_READY);
  s->out_len = 0;
}

void session_free(session_t *s)
{
  uvsmtp_protocol_free(s->protocol);
  free(s->out);
}

void session_feed(session_t *s, const char *bytes, size_t len)
{
  uvsmtp_event_t event;
  uvsmtp_protocol_feed_bytes(s->protocol, bytes, len, s->now);
  while (uvsmtp_protocol_next_event(s->protocol, &event)) {
    if (event.type == UVSMTP_EVENT_ERROR) {
      s->errors++;
      s->err = event.err;
      continue;
    }
    s->replies++;
    s->code = event.reply.code;
  }
}

void session_say(session_t *s, const char *line)
{
  size_t len = strlen(line);
  char *copy = malloc(len + 2);
  memcpy(copy, line, len);
  memcpy(copy + len, "\r\n", 2);
  session_feed(s, copy, len + 2);
  free(copy);
}

void session_write(session_t *s)
{
  uvsmtp_slice_t slices[8];
  size_t count;
  while ((count = uvsmtp_protocol_output(s->protocol, slices, COUNT(slices))) > 0) {
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
      s->out = realloc(s->out, s->out_len + slices[i].len + 1);
      memcpy(s->out + s->out_len, slices[i].base, slices[i].len);
      s->out_len += slices[i].len;
      len += slices[i].len;
    }
    uvsmtp_protocol_sent(s->protocol, len, s->now);
  }
}

void session_written(session_t *s, const char *octets)
{
  session_write(s);
  if (s->out != NULL)
    s->out[s->out_len] = 0;
  assert_string_equal(s->out_len > 0 ? s->out : "", octets);
  s->out_len = 0;
}

int session_mail(session_t *s, const char *sender)
{
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  envelope.sender = sender;
  return uvsmtp_protocol_mail(s->protocol, &envelope, NULL, s);
}

int session_rcpt(session_t *s, const char *address)
{
  uvsmtp_recipient_t recipient = {.address = address};
  return uvsmtp_protocol_recipient(s->protocol, &recipient, s);
}

void session_to_content(session_t *s)
{
  assert_int_equal(session_mail(s, "a@x.example"), 0);
  assert_int_equal(session_rcpt(s, "b@y.example"), 0);
  assert_int_equal(uvsmtp_protocol_start_data(s->protocol, s), 0);
  session_write(s);
  session_say(s, "250 ok\r\n250 ok\r\n354 go");
  assert_int_equal(uvsmtp_protocol_state(s->protocol), UVSMTP_STATE_SEND_DATA);
  s->out_len = 0;
}
