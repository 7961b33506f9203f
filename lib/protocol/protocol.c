/* The machine's frame: making it, what is known of it, its end, and time. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/secret.h"
#include "protocol/machine.h"

#define TRACE_MAX (256 * 1024)
#define CHALLENGE_MAX (64 * 1024)
#define LINE_MAX_OCTETS 4096

const char *uvsmtp_state_name(uvsmtp_state_t state)
{
  static const char *const names[] = {
#define X(name, text) text,
      UVSMTP_STATE_MAP(X)
#undef X
  };
  return names[state];
}

const char *uvsmtp_command_name(uvsmtp_command_t command)
{
  static const char *const names[] = {
#define X(name, timeout, phrase) #name,
      UVSMTP_COMMAND_MAP(X)
#undef X
  };
  return names[command];
}

const char *uvsmtp_command_phrase(uvsmtp_command_t command)
{
  static const char *const phrases[] = {
#define X(name, timeout, phrase) phrase,
      UVSMTP_COMMAND_MAP(X)
#undef X
  };
  return phrases[command];
}

static uint64_t timeout_of(const uvsmtp_protocol_t *p, uvsmtp_command_t command)
{
  static const uint8_t places[] = {
#define X(name, timeout, phrase) offsetof(uvsmtp_timeouts_t, timeout),
      UVSMTP_COMMAND_MAP(X)
#undef X
  };
  uint64_t ms;
  memcpy(&ms, (const char *)&p->options.timeouts + places[command], sizeof(ms));
  return ms;
}

#define DEFAULT(field, value)                                                                      \
  if (o->field == 0)                                                                               \
  o->field = (value)

static void fill_defaults(uvsmtp_protocol_options_t *o)
{
  DEFAULT(max_reply_line, 8192);
  DEFAULT(max_reply_lines, 2048);
  DEFAULT(max_reply_bytes, 131072);
  DEFAULT(max_output, 131072);
  DEFAULT(max_outstanding, 65536);
  DEFAULT(timeouts.greeting_ms, 300000);
  DEFAULT(timeouts.command_ms, 300000);
  DEFAULT(timeouts.data_ms, 120000);
  DEFAULT(timeouts.body_ms, 180000);
  DEFAULT(timeouts.data_end_ms, 600000);
  if (o->max_output < 4096)
    o->max_output = 4096;
}

int uvsmtp_protocol_new(uvsmtp_protocol_t **out, const uvsmtp_protocol_options_t *options,
                        uint64_t now_ms)
{
  uvsmtp_protocol_options_t known;
  uvsmtp_protocol_t *p;
  int err = uvsmtp__options_copy(&known, sizeof(known), options);
  *out = NULL;
  if (err != 0)
    return err;
  p = uvsmtp__calloc(known.mem, 1, sizeof(*p));
  if (p == NULL)
    return UVSMTP_ENOMEM;
  p->mem_copy = *uvsmtp__mem(known.mem);
  p->mem = &p->mem_copy;
  p->options = known;
  p->options.mem = p->mem;
  fill_defaults(&p->options);
  p->tls = known.tls;
  p->now_ms = p->progress_ms = now_ms;
  uvsmtp__reader_init(&p->reader, p->mem, &p->options);
  uvsmtp__buffer_init(&p->challenge, p->mem, CHALLENGE_MAX);
  uvsmtp__buffer_init(&p->line, p->mem, LINE_MAX_OCTETS);
  uvsmtp__buffer_init(&p->mail, p->mem, LINE_MAX_OCTETS);
  uvsmtp__buffer_init(&p->trace, p->mem, TRACE_MAX);
  uvsmtp__capabilities_clear(p);
  if ((err = uvsmtp__queue_reserve(p, 1)) != 0) {
    uvsmtp_protocol_free(p);
    return err;
  }
  uvsmtp__queue_push(p, UVSMTP_COMMAND_GREETING, NULL, 0, p->out.issued);
  *out = p;
  return 0;
}

void uvsmtp_protocol_free(uvsmtp_protocol_t *p)
{
  uvsmtp_mem_t mem;
  if (p == NULL)
    return;
  uvsmtp__out_free(p);
  uvsmtp__capabilities_clear(p);
  uvsmtp__buffer_free(&p->reader.partial);
  uvsmtp__buffer_wipe(&p->challenge);
  uvsmtp__buffer_free(&p->line);
  uvsmtp__buffer_free(&p->mail);
  uvsmtp__buffer_free(&p->trace);
  uvsmtp__free_secret(p->mem, p->late_response);
  uvsmtp__free_secret(p->mem, p->sent_secret);
  uvsmtp__free(p->mem, p->domain);
  uvsmtp__free(p->mem, p->error_text);
  uvsmtp__free(p->mem, p->queue.ring);
  mem = p->mem_copy;
  uvsmtp__free(&mem, p);
}

void uvsmtp_protocol_trim(uvsmtp_protocol_t *p)
{
  if (p->out.waiting == 0 && !p->out.lent)
    uvsmtp__out_free(p);
  if (p->queue.count == 0) {
    uvsmtp__free(p->mem, p->queue.ring);
    p->queue = (queue_t){0};
  }
  if (p->reader.done || uvsmtp__buffer_len(&p->reader.partial) == 0) {
    uvsmtp__buffer_free(&p->reader.partial);
    p->reader.done = false;
    p->reader.line = 0;
  }
  uvsmtp__buffer_wipe(&p->challenge);
  uvsmtp__buffer_free(&p->line);
  uvsmtp__buffer_free(&p->mail);
}

uvsmtp_state_t uvsmtp_protocol_state(const uvsmtp_protocol_t *p)
{
  return p->state;
}

uvsmtp_state_t uvsmtp_protocol_projected_state(const uvsmtp_protocol_t *p)
{
  return p->projected;
}

const uvsmtp_capabilities_t *uvsmtp_protocol_capabilities(const uvsmtp_protocol_t *p)
{
  return &p->capabilities;
}

bool uvsmtp_protocol_needs_incoming_data(const uvsmtp_protocol_t *p)
{
  return p->queue.count > 0;
}

size_t uvsmtp_protocol_outstanding(const uvsmtp_protocol_t *p)
{
  return uvsmtp__queue_due(p);
}

bool uvsmtp_protocol_needs_reset(const uvsmtp_protocol_t *p)
{
  return p->needs_reset;
}

uvsmtp_last_reply_t uvsmtp_protocol_last_reply(const uvsmtp_protocol_t *p)
{
  uvsmtp_last_reply_t last = p->last_reply;
  last.accepted = p->accepted;
  if (!last.told && last.command != UVSMTP_COMMAND_GREETING)
    uvsmtp__reader_read_success(p->quiet, p->quiet_len, &last);
  return last;
}

bool uvsmtp_protocol_is_closing(const uvsmtp_protocol_t *p)
{
  return p->closing || p->err != 0;
}

const char *uvsmtp_protocol_missing(const uvsmtp_protocol_t *p)
{
  return p->missing != NULL ? p->missing : "";
}

const char *uvsmtp_protocol_error_text(const uvsmtp_protocol_t *p)
{
  if (p->err == 0)
    return "";
  return p->error_text != NULL ? p->error_text : uvsmtp_strerror(p->err);
}

const char *uvsmtp_protocol_phrase(const uvsmtp_protocol_t *p)
{
  if (p->queue.count > 0)
    return uvsmtp_command_phrase(uvsmtp__awaited(&p->queue.ring[p->queue.head]));
  return p->state == UVSMTP_STATE_SEND_DATA ? "sending the message" : "idle";
}

void uvsmtp__protocol_fail(uvsmtp_protocol_t *p, int err, const char *what, const char *detail,
                           size_t detail_len)
{
  const char *phrase = uvsmtp_protocol_phrase(p);
  uvsmtp__buffer_t text;
  if (p->err != 0)
    return;
  p->err = err;
  p->state = p->projected = UVSMTP_STATE_FINISHED;
  uvsmtp__buffer_init(&text, p->mem, 1024);
  if (uvsmtp__buffer_printf(&text, "%s while %s", what, phrase) != 0)
    return;
  if (detail_len > 200)
    detail_len = 200;
  while (detail_len > 0 && (detail[detail_len - 1] == '\n' || detail[detail_len - 1] == '\r'))
    detail_len--;
  if (detail != NULL && uvsmtp__buffer_printf(&text, ": \"") == 0) {
    for (size_t i = 0; i < detail_len; i++) {
      char c = detail[i];
      c = (unsigned char)c < 32 || c == 127 ? '?' : c;
      if (uvsmtp__buffer_append(&text, &c, 1) != 0)
        break;
    }
    uvsmtp__buffer_append(&text, "\"", 1);
  }
  p->error_text = uvsmtp__memdup(p->mem, uvsmtp__buffer_data(&text), uvsmtp__buffer_len(&text));
  uvsmtp__buffer_free(&text);
}

uint64_t uvsmtp_protocol_deadline(const uvsmtp_protocol_t *p)
{
  uint64_t timeout;
  if (p->err != 0)
    return UINT64_MAX;
  if (p->out.waiting > 0)
    timeout = p->options.timeouts.body_ms;
  else if (p->queue.count > 0)
    timeout = timeout_of(p, uvsmtp__awaited(&p->queue.ring[p->queue.head]));
  else
    return UINT64_MAX;
  return timeout > UINT64_MAX - p->progress_ms ? UINT64_MAX : p->progress_ms + timeout;
}

void uvsmtp_protocol_expire(uvsmtp_protocol_t *p, uint64_t now_ms)
{
  p->now_ms = now_ms;
  if (p->fresh) {
    p->progress_ms = now_ms;
    p->fresh = false;
  }
  if (now_ms >= uvsmtp_protocol_deadline(p))
    uvsmtp__protocol_fail(p, UVSMTP_ETIMEOUT,
                          p->out.waiting > 0 ? "the server did not read in time"
                                             : uvsmtp_strerror(UVSMTP_ETIMEOUT),
                          NULL, 0);
}
