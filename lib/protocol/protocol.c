/* The machine's frame: making it, what is known of it, its end, and time. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/machine.h"

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
  memcpy(&ms, (const char *)&p->shared->options.timeouts + places[command], sizeof(ms));
  return ms;
}

int uvsmtp_protocol_new_with(uvsmtp_protocol_t **out, uvsmtp_protocol_settings_t *settings,
                             uint64_t now_ms)
{
  uvsmtp_protocol_t *p = uvsmtp__calloc(&settings->mem, 1, sizeof(*p));
  int err;
  *out = NULL;
  if (p == NULL)
    return UVSMTP_ENOMEM;
  settings->users++;
  p->shared = settings;
  p->tracing = settings->options.trace;
  p->tls = settings->options.tls;
  p->now_ms = p->progress_ms = now_ms;
  p->capabilities = &uvsmtp__no_capabilities;
  p->talk = (talk_t *)&uvsmtp__talk_at_rest;
  p->aside = (aside_t *)&uvsmtp__aside_at_rest;
  err = p->tracing ? uvsmtp__aside_wake(p) : 0;
  if (err != 0 || (err = uvsmtp__queue_reserve(p, 1)) != 0) {
    uvsmtp_protocol_free(p);
    return err;
  }
  uvsmtp__queue_push(p, UVSMTP_COMMAND_GREETING, NULL, 0, p->issued);
  *out = p;
  return 0;
}

int uvsmtp_protocol_new(uvsmtp_protocol_t **out, const uvsmtp_protocol_options_t *options,
                        uint64_t now_ms)
{
  uvsmtp_protocol_settings_t *settings;
  int err = uvsmtp_protocol_settings_new(&settings, options);
  *out = NULL;
  if (err != 0)
    return err;
  err = uvsmtp_protocol_new_with(out, settings, now_ms);
  uvsmtp_protocol_settings_free(settings);
  return err;
}

void uvsmtp_protocol_free(uvsmtp_protocol_t *p)
{
  uvsmtp_protocol_settings_t *settings;
  if (p == NULL)
    return;
  settings = p->shared;
  uvsmtp__talk_free(p);
  uvsmtp__aside_free(p);
  uvsmtp__capabilities_clear(p);
  uvsmtp__free(&settings->mem, p->queue.ring);
  uvsmtp__free(&settings->mem, p);
  uvsmtp_protocol_settings_free(settings);
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
  return p->capabilities;
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
  last_reply_t last = p->last_reply;
  if (p->talk->last_len > 0)
    uvsmtp__reader_codes(p->talk->last, p->talk->last_len, &last);
  return (uvsmtp_last_reply_t){.command = (uvsmtp_command_t)last.command,
                               .code = last.code,
                               .enhanced = {last.enhanced[0], last.enhanced[1], last.enhanced[2]},
                               .accepted = p->accepted,
                               .told = last.told};
}

bool uvsmtp_protocol_is_closing(const uvsmtp_protocol_t *p)
{
  return p->closing;
}

const char *uvsmtp_protocol_missing(const uvsmtp_protocol_t *p)
{
  static const char *const keywords[] = {"",
#define X(name, keyword) keyword,
                                         UVSMTP_EXTENSION_MAP(X)
#undef X
  };
  return keywords[p->missing];
}

const char *uvsmtp_protocol_error_text(const uvsmtp_protocol_t *p)
{
  if (p->err == 0)
    return "";
  return p->aside->error_text != NULL ? p->aside->error_text : uvsmtp_strerror(p->err);
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
  p->closing = true;
  p->whole_room = SIZE_MAX;
  p->state = p->projected = UVSMTP_STATE_FINISHED;
  uvsmtp__buffer_init(&text, &p->shared->mem, 1024);
  if (uvsmtp__aside_wake(p) != 0 || uvsmtp__buffer_printf(&text, "%s while %s", what, phrase) != 0)
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
  p->aside->error_text =
      uvsmtp__memdup(&p->shared->mem, uvsmtp__buffer_data(&text), uvsmtp__buffer_len(&text));
  uvsmtp__buffer_free(&text);
}

uint64_t uvsmtp_protocol_deadline(const uvsmtp_protocol_t *p)
{
  uint64_t timeout;
  if (p->err != 0)
    return UINT64_MAX;
  if (p->issued != p->sent)
    timeout = p->shared->options.timeouts.body_ms;
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
                          p->issued != p->sent ? "the server did not read in time"
                                               : uvsmtp_strerror(UVSMTP_ETIMEOUT),
                          NULL, 0);
}
