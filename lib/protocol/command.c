/* Lines: how commands are issued, and the trace of the dialogue. */
#include <string.h>

#include "base/secret.h"
#include "base/text.h"
#include "protocol/machine.h"

int uvsmtp__command_line(uvsmtp_protocol_t *p, uvsmtp_command_t command, void *tag, uint8_t flags,
                         const char *line, size_t len)
{
  char *at;
  int err = uvsmtp__queue_reserve(p, 1);
  if (err != 0 || (err = uvsmtp__out_reserve(p, len + 2, 1)) != 0)
    return err;
  at = uvsmtp__out_room(p);
  memcpy(at, line, len);
  memcpy(at + len, "\r\n", 2);
  uvsmtp__out_filled(p, len + 2);
  if (p->tracing)
    uvsmtp__trace_sent(p, line, len);
  uvsmtp__queue_push(p, command, tag, flags, p->issued);
  return 0;
}

int uvsmtp__command_issue(uvsmtp_protocol_t *p, uvsmtp_command_t command, void *tag, uint8_t flags,
                          const uvsmtp_slice_t *parts, size_t count, size_t max_line)
{
  size_t len = 2, start;
  int err;
  for (size_t i = 0; i < count; i++) {
    if (uvsmtp__breaks_line(parts[i].base, parts[i].len))
      return UVSMTP_EINJECTION;
    len += parts[i].len;
  }
  if (len > max_line)
    return UVSMTP_ETOOLONG;
  if (count == 1)
    return uvsmtp__command_line(p, command, tag, flags, parts[0].base, parts[0].len);
  if ((err = uvsmtp__queue_reserve(p, 1)) != 0 || (err = uvsmtp__out_reserve(p, len, 1)) != 0)
    return err;
  start = p->talk->out.used;
  for (size_t i = 0; i < count; i++)
    uvsmtp__out_bytes(p, parts[i].base, parts[i].len);
  uvsmtp__trace_sent(p, p->talk->out.bytes + start, len - 2);
  uvsmtp__out_bytes(p, "\r\n", 2);
  uvsmtp__queue_push(p, command, tag, flags, p->issued);
  return 0;
}

static void trace(uvsmtp_protocol_t *p, char kind, const char *line, size_t len)
{
  uvsmtp__buffer_t *b = &p->aside->trace;
  if (!p->tracing)
    return;
  if (uvsmtp__buffer_reserve(b, len + 2) != 0) {
    p->aside->trace_lost++;
    return;
  }
  uvsmtp__buffer_append(b, &kind, 1);
  uvsmtp__buffer_append(b, line, len);
  b->base[b->end++] = '\n';
}

void uvsmtp__trace_sent(uvsmtp_protocol_t *p, const char *line, size_t len)
{
  trace(p, UVSMTP_TRACE_SENT, line, len);
}

static void trace_received(uvsmtp_protocol_t *p, const char *line, size_t len)
{
  size_t lost = p->aside->trace_lost;
  trace(p, UVSMTP_TRACE_RECEIVED, line, len);
  if (p->aside->sent_secret != NULL && p->aside->trace_lost == lost)
    uvsmtp__blank_secret(p->aside->sent_secret,
                         p->aside->trace.base + p->aside->trace.end - 1 - len, len);
}

void uvsmtp__trace_received(uvsmtp_protocol_t *p, const uvsmtp_reply_t *reply)
{
  const char *at = reply->raw.base, *end = at + reply->raw.len;
  if (!p->tracing)
    return;
  while (at < end) {
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    size_t len = (size_t)((lf != NULL ? lf : end) - at);
    trace_received(p, at, len > 0 && at[len - 1] == '\r' ? len - 1 : len);
    at += len + (lf != NULL);
  }
}

bool uvsmtp_protocol_next_trace(uvsmtp_protocol_t *p, uvsmtp_trace_t *kind, uvsmtp_slice_t *line)
{
  static const char lost[] = "[some lines of the trace did not fit]";
  uvsmtp__buffer_t *b = &p->aside->trace;
  const char *lf;
  if (uvsmtp__buffer_len(b) == 0) {
    if (p->aside->trace_lost == 0)
      return false;
    p->aside->trace_lost = 0;
    *kind = UVSMTP_TRACE_SENT;
    *line = (uvsmtp_slice_t){lost, sizeof(lost) - 1};
    return true;
  }
  lf = memchr(uvsmtp__buffer_data(b), '\n', uvsmtp__buffer_len(b));
  *kind = (uvsmtp_trace_t)*uvsmtp__buffer_data(b);
  *line = (uvsmtp_slice_t){uvsmtp__buffer_data(b) + 1, (size_t)(lf - uvsmtp__buffer_data(b)) - 1};
  uvsmtp__buffer_consume(b, line->len + 2);
  return true;
}
