/*
 * A connection's bytes and times: accepting, reading, what is to leave now or later, ending.
 *
 * A turn begins with a read or a timer and ends with sink__flush: what was gathered is encrypted
 * if TLS is on, and goes to the network at once, unless a round-trip time or a delay holds it back
 * in the session's queue. One timer serves all of a session's times; it is set to the earliest.
 *
 * A session ends by FIN or RST behind all that waits before it. After FIN we read on and throw
 * away until the client closes as well (or SINK_LINGER_MS have passed): closing with unread
 * input would make the kernel send RST, which can destroy replies that are on their way.
 */
#include "sink/internal.h"

#include <stdlib.h>
#include <string.h>

static void read_start(sink_session_t *s);
static void set_timer(sink_session_t *s);

/* Closing. */

static void free_queue(sink_session_t *s)
{
  while (s->queue != NULL) {
    sink_chunk_t *chunk = s->queue;
    s->queue = chunk->next;
    free(chunk);
  }
  s->queue_end = &s->queue;
}

static void on_closed(uv_handle_t *handle)
{
  sink_session_t *s = handle->data;
  sink_t *sink = s->sink;

  if (--s->open_handles > 0)
    return;
  s->link.prev->next = s->link.next;
  s->link.next->prev = s->link.prev;
  free_queue(s);
  sink__store_abort(s);
  sink__auth_drop(s);
  uvsmtp_tls_free(s->tls);
  sink__text_free(&s->line);
  sink__text_free(&s->flying);
  sink__text_free(&s->waiting);
  sink__text_free(&s->envelope);
  sink__text_free(&s->kept);
  free(s->rcpts);
  free(s);
  sink__session_gone(sink);
}

/* The dialogue is over. What the session holds lives on to the end of the turn, in on_closed. */
static void let_go(sink_session_t *s)
{
  s->closing = s->mute = true;
  s->sink->counters.open--;
  if (s->in_body)
    s->sink->counters.cut_messages++;
  uv_close((uv_handle_t *)&s->timer, on_closed);
}

void sink__session_close(sink_session_t *s)
{
  if (s->closing)
    return;
  sink__note(s, "closed");
  let_go(s);
  uv_close(&s->handle.any, on_closed);
}

static void reset(sink_session_t *s)
{
  sink__note(s, "reset");
  let_go(s);
  /* A shutdown under way makes a reset impossible, and so does a socket that is no TCP. */
  if (s->handle.any.type != UV_TCP || uv_tcp_close_reset(&s->handle.tcp, on_closed) != 0)
    uv_close(&s->handle.any, on_closed);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
  sink_session_t *s = request->data;

  if (status != 0 && !s->closing)
    sink__session_close(s);
}

static void send_fin(sink_session_t *s)
{
  if (s->eof) {
    sink__session_close(s);
    return;
  }
  s->shut = true;
  s->shutdown.data = s;
  if (uv_shutdown(&s->shutdown, &s->handle.stream, on_shutdown) != 0) {
    sink__session_close(s);
    return;
  }
  sink__note(s, "sent FIN");
  s->linger_at = uv_now(s->sink->loop) + SINK_LINGER_MS;
  s->deaf_until = 0;
  read_start(s);
  set_timer(s);
}

/* The time for the end has come. */
static void finish(sink_session_t *s, sink_end_t end)
{
  if (s->closing || s->shut)
    return;
  s->mute = true;
  s->ending = end;
  if (end == SINK_END_RST)
    reset(s);
  else if (s->writing)
    s->end_after_write = end;
  else
    send_fin(s);
}

/* Writing. */

static void write_waiting(sink_session_t *s);

static void on_write(uv_write_t *request, int status)
{
  sink_session_t *s = request->data;

  s->writing = false;
  s->flying.len = 0;
  if (s->closing)
    return;
  if (status != 0) {
    sink__session_close(s);
    return;
  }
  if (s->waiting.len > 0) {
    write_waiting(s);
    return;
  }
  if (s->paused) {
    s->paused = false;
    read_start(s);
  }
  if (s->end_after_write != SINK_END_NOT)
    finish(s, s->end_after_write);
}

static void write_waiting(sink_session_t *s)
{
  sink_text_t full = s->waiting;
  uv_buf_t buf;

  s->waiting = s->flying;
  s->waiting.len = 0;
  s->flying = full;
  buf = uv_buf_init(full.base, (unsigned)full.len);
  s->write.data = s;
  s->sink->counters.writes++;
  if (uv_write(&s->write, &s->handle.stream, &buf, 1, on_write) != 0)
    sink__session_close(s);
  else
    s->writing = true;
}

/* Takes what the kernel did not. */
static void keep_waiting(sink_session_t *s, const char *bytes, size_t len)
{
  if (!sink__text_add(&s->waiting, bytes, len)) {
    sink__session_close(s);
    return;
  }
  if (s->waiting.len > SINK_BACKLOG_MAX && !s->paused) {
    s->paused = true;
    uv_read_stop(&s->handle.stream);
  }
  if (!s->writing)
    write_waiting(s);
}

static void write_now(sink_session_t *s, const char *bytes, size_t len)
{
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
  int n = UV_EAGAIN;

  s->sent += len;
  s->sink->counters.sent += len;
  if (!s->writing) {
    s->sink->counters.writes++;
    n = uv_try_write(&s->handle.stream, &buf, 1);
  }
  if (n == UV_EAGAIN)
    n = 0;
  if (n < 0)
    sink__session_close(s);
  else if ((size_t)n < len)
    keep_waiting(s, bytes + n, len - (size_t)n);
}

/* Stops at each point of `sent N`, and goes on behind it. */
static void raw_write(sink_session_t *s, const char *bytes, size_t len)
{
  while (len > 0 && !s->closing && !s->shut && s->end_after_write == SINK_END_NOT) {
    uint64_t stop = s->sent_stop, left = stop - s->sent;
    size_t n = left < len ? (size_t)left : len;
    write_now(s, bytes, n);
    bytes += n;
    len -= n;
    if (s->sent == stop) {
      s->sent_stop = sink__script_next(&s->sink->script, SINK_AT_SENT, s->number, stop + 1);
      sink__act(s, SINK_AT_SENT, stop);
    }
  }
}

/* Waiting for the time to leave. */

static bool enqueue(sink_session_t *s, uint64_t release, const char *bytes, size_t len,
                    sink_end_t end)
{
  sink_chunk_t *chunk = malloc(sizeof *chunk + len);

  if (chunk == NULL)
    return false;
  chunk->next = NULL;
  chunk->release = release;
  chunk->end = end;
  chunk->len = len;
  if (len > 0)
    memcpy(chunk->bytes, bytes, len);
  *s->queue_end = chunk;
  s->queue_end = &chunk->next;
  set_timer(s);
  return true;
}

/* When something that is ready now may leave. */
static uint64_t release_time(const sink_session_t *s)
{
  uint64_t pipe = uv_now(s->sink->loop) + s->sink->options.rtt_ms;

  return s->not_before > pipe ? s->not_before : pipe;
}

void sink__raw(sink_session_t *s, const char *bytes, size_t len)
{
  uint64_t release = release_time(s);

  if (len == 0 || s->closing || s->shut)
    return;
  if (s->queue == NULL && release <= uv_now(s->sink->loop))
    raw_write(s, bytes, len);
  else if (!enqueue(s, release, bytes, len, SINK_END_NOT))
    sink__session_close(s);
}

static void release_queue(sink_session_t *s)
{
  uint64_t now = uv_now(s->sink->loop);

  while (s->queue != NULL && s->queue->release <= now && !s->closing) {
    sink_chunk_t *chunk = s->queue;
    s->queue = chunk->next;
    if (s->queue == NULL) {
      s->queue_end = &s->queue;
      s->awaiting = false;
    }
    if (chunk->end != SINK_END_NOT)
      finish(s, chunk->end);
    else
      raw_write(s, chunk->bytes, chunk->len);
    free(chunk);
  }
}

void sink__delay(sink_session_t *s, uint64_t ms)
{
  sink__flush(s);
  s->not_before = release_time(s) + ms;
}

void sink__end(sink_session_t *s, sink_end_t end)
{
  sink__flush(s);
  s->mute = true;
  if (s->closing || s->shut || s->ending != SINK_END_NOT)
    return;
  s->ending = end;
  if (s->queue == NULL && release_time(s) <= uv_now(s->sink->loop))
    finish(s, end);
  else if (!enqueue(s, release_time(s), NULL, 0, end))
    sink__session_close(s);
}

void sink__cut(sink_session_t *s, sink_end_t end)
{
  free_queue(s);
  s->end_after_write = SINK_END_NOT;
  finish(s, end);
}

/* Gathering. */

static void leave(sink_session_t *s, const char *bytes, size_t len)
{
  if (s->tls_on)
    sink__tls_write(s, bytes, len);
  else
    sink__raw(s, bytes, len);
}

void sink__flush(sink_session_t *s)
{
  size_t len = s->sink->gather.len;

  s->sink->gather.len = 0;
  if (len > 0)
    leave(s, s->sink->gather.base, len);
  if (s->queue == NULL)
    s->awaiting = false;
}

/* Byte by byte: each one a write, and a TLS record, of its own. */
static void leave_split(sink_session_t *s, const char *bytes, size_t len)
{
  sink__flush(s);
  for (size_t i = 0; i < len && !s->closing; i++) {
    leave(s, bytes + i, 1);
    s->not_before = release_time(s) + s->split_ms;
  }
}

void sink__out(sink_session_t *s, const char *bytes, size_t len)
{
  if (s->mute)
    return;
  if (s->sink->options.on_trace != NULL)
    sink__trace(s, 'S', bytes, len >= 2 ? len - 2 : len);
  if (s->split) {
    leave_split(s, bytes, len);
    return;
  }
  while (len > 0) {
    size_t room = SINK_GATHER_SIZE - s->sink->gather.len, n = len < room ? len : room;
    memcpy(s->sink->gather.base + s->sink->gather.len, bytes, n);
    s->sink->gather.len += n;
    bytes += n;
    len -= n;
    if (len > 0)
      sink__flush(s);
  }
}

/* Reading. */

static void feed(sink_session_t *s, const char *bytes, size_t len)
{
  if (s->tls != NULL)
    sink__tls_input(s, bytes, len);
  else
    sink__session_input(s, bytes, len);
}

/* Stops at each point of `received N`, and goes on behind it. */
static void take(sink_session_t *s, const char *bytes, size_t len)
{
  while (len > 0 && !s->mute) {
    uint64_t left = s->received_stop - s->received;
    size_t n = left < len ? (size_t)left : len;
    s->received += n;
    feed(s, bytes, n);
    bytes += n;
    len -= n;
    if (s->received == s->received_stop && !s->mute) {
      sink__flush(s);
      sink__act(s, SINK_AT_RECEIVED, s->received);
      s->received_stop =
          sink__script_next(&s->sink->script, SINK_AT_RECEIVED, s->number, s->received + 1);
    }
  }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  sink_session_t *s = handle->data;

  *buf = uv_buf_init(s->sink->read_buffer, SINK_READ_SIZE);
}

static void on_end(sink_session_t *s, ssize_t status)
{
  if (status != UV_EOF) {
    sink__session_close(s);
    return;
  }
  s->eof = true;
  uv_read_stop(&s->handle.stream);
  if (s->shut)
    sink__session_close(s);
  else if (s->ending == SINK_END_NOT)
    sink__end(s, SINK_END_FIN);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
  sink_session_t *s = stream->data;

  if (n == 0)
    return;
  if (n < 0) {
    on_end(s, n);
    return;
  }
  s->sink->counters.reads++;
  s->sink->counters.received += (uint64_t)n;
  if (s->mute)
    return;
  take(s, buf->base, (size_t)n);
  sink__flush(s);
  if (sink__script_has(&s->sink->script, SINK_AT_IDLE)) {
    s->quiet_since = uv_now(s->sink->loop);
    s->idle_next = sink__script_next(&s->sink->script, SINK_AT_IDLE, s->number, 0);
    set_timer(s);
  }
}

static void read_start(sink_session_t *s)
{
  if (!s->closing && !s->eof && !s->paused && s->deaf_until == 0)
    uv_read_start(&s->handle.stream, on_alloc, on_read);
}

void sink__deaf(sink_session_t *s, uint64_t ms)
{
  uint64_t now = uv_now(s->sink->loop);

  s->deaf_until = ms > SINK_NEVER - now ? SINK_NEVER : now + ms;
  uv_read_stop(&s->handle.stream);
  set_timer(s);
}

/* Times. */

static bool is_idle(const sink_session_t *s)
{
  return s->mode == SINK_MODE_COMMAND && s->hello && !s->mail && s->line.len == 0 &&
         s->queue == NULL && !s->mute;
}

static uint64_t idle_time(const sink_session_t *s)
{
  return s->idle_next == SINK_NEVER || s->mute ? SINK_NEVER : s->quiet_since + s->idle_next;
}

static void on_timer(uv_timer_t *timer)
{
  sink_session_t *s = timer->data;
  uint64_t now = uv_now(s->sink->loop);

  release_queue(s);
  if (s->closing)
    return;
  if (s->linger_at <= now) {
    sink__session_close(s);
    return;
  }
  if (s->deaf_until != 0 && s->deaf_until <= now) {
    s->deaf_until = 0;
    read_start(s);
  }
  if (idle_time(s) <= now) {
    uint64_t after = s->idle_next;
    if (is_idle(s)) {
      s->idle_next = sink__script_next(&s->sink->script, SINK_AT_IDLE, s->number, after + 1);
      sink__act(s, SINK_AT_IDLE, after);
      sink__flush(s);
    } else {
      s->quiet_since = now + 1;
    }
  }
  set_timer(s);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

static void set_timer(sink_session_t *s)
{
  uint64_t now = uv_now(s->sink->loop), at = earlier(s->linger_at, idle_time(s));

  if (s->closing)
    return;
  if (s->queue != NULL)
    at = earlier(at, s->queue->release);
  if (s->deaf_until != 0)
    at = earlier(at, s->deaf_until);
  if (at == SINK_NEVER)
    uv_timer_stop(&s->timer);
  else
    uv_timer_start(&s->timer, on_timer, at > now ? at - now : 0, 0);
}

/* Beginning. */

static void init_handles(sink_session_t *s)
{
  if (s->sink->options.unix_path != NULL)
    uv_pipe_init(s->sink->loop, &s->handle.pipe, 0);
  else
    uv_tcp_init(s->sink->loop, &s->handle.tcp);
  uv_timer_init(s->sink->loop, &s->timer);
  s->handle.any.data = s->timer.data = s;
  s->open_handles = 2;
}

static sink_session_t *session_new(sink_t *sink)
{
  sink_session_t *s = calloc(1, sizeof *s);

  if (s == NULL)
    return NULL;
  s->sink = sink;
  s->number = ++sink->counters.connections;
  s->queue_end = &s->queue;
  s->linger_at = SINK_NEVER;
  s->body_stop = SINK_NEVER;
  s->file = -1;
  s->received_stop = sink__script_next(&sink->script, SINK_AT_RECEIVED, s->number, 0);
  s->sent_stop = sink__script_next(&sink->script, SINK_AT_SENT, s->number, 0);
  s->idle_next = sink__script_next(&sink->script, SINK_AT_IDLE, s->number, 0);
  s->quiet_since = uv_now(sink->loop);
  s->link.prev = sink->sessions.prev;
  s->link.next = &sink->sessions;
  s->link.prev->next = s->link.next->prev = &s->link;
  if (++sink->counters.open > sink->counters.open_max)
    sink->counters.open_max = sink->counters.open;
  init_handles(s);
  return s;
}

void sink__accept(sink_t *sink)
{
  sink_session_t *s = session_new(sink);

  if (s == NULL)
    return;
  if (uv_accept(&sink->listener.stream, &s->handle.stream) != 0) {
    sink__session_close(s);
    return;
  }
  if (s->handle.any.type == UV_TCP)
    uv_tcp_nodelay(&s->handle.tcp, 1);
  read_start(s);
  if (s->received_stop == 0) {
    s->received_stop = sink__script_next(&sink->script, SINK_AT_RECEIVED, s->number, 1);
    sink__act(s, SINK_AT_RECEIVED, 0);
  }
  if (s->sent_stop == 0) {
    s->sent_stop = sink__script_next(&sink->script, SINK_AT_SENT, s->number, 1);
    sink__act(s, SINK_AT_SENT, 0);
  }
  if (!s->mute)
    sink__session_start(s);
  sink__flush(s);
  set_timer(s);
}
