#include "server_late.h"

#include <stdlib.h>
#include <string.h>

/* What the socket has not taken yet, or is not to get yet. */
typedef struct late_s {
  uv_write_t write;
  struct late_s *next;
  uv_tcp_t *tcp;
  uv_close_cb close; /* NULL: `bytes` are sent */
  uint64_t due_ms;
  size_t len;
  char bytes[];
} late_t;

static uint64_t rtt;
static uv_timer_t timer;
static late_t *late, **late_end = &late; /* oldest first: all wait for the same time */

static late_t *make(uv_tcp_t *tcp, const char *bytes, size_t len)
{
  late_t *l = malloc(sizeof(*l) + len);
  if (l == NULL)
    abort();
  l->tcp = tcp;
  l->close = NULL;
  l->len = len;
  if (len > 0)
    memcpy(l->bytes, bytes, len);
  return l;
}

static void on_written(uv_write_t *write, int status)
{
  free(write->data);
}

/* What the socket does not take at once is left with libuv. */
static void send_now(uv_tcp_t *tcp, char *bytes, size_t len)
{
  uv_buf_t buf = uv_buf_init(bytes, (unsigned)len);
  int n = len > 0 ? uv_try_write((uv_stream_t *)tcp, &buf, 1) : 0;
  size_t left = len - (n > 0 ? (size_t)n : 0);
  late_t *l;
  if (left == 0)
    return;
  l = make(tcp, bytes + len - left, left);
  l->write.data = l;
  buf = uv_buf_init(l->bytes, (unsigned)left);
  if (uv_write(&l->write, (uv_stream_t *)tcp, &buf, 1, on_written) != 0)
    free(l);
}

static void on_timer(uv_timer_t *handle)
{
  uint64_t now = uv_now(handle->loop);
  late_t *l;
  while ((l = late) != NULL && l->due_ms <= now) {
    late = l->next;
    if (late == NULL)
      late_end = &late;
    if (l->close != NULL)
      uv_close((uv_handle_t *)l->tcp, l->close);
    else
      send_now(l->tcp, l->bytes, l->len);
    free(l);
  }
  if (late != NULL)
    uv_timer_start(&timer, on_timer, late->due_ms - now, 0);
}

static void put(late_t *l)
{
  l->next = NULL;
  l->due_ms = uv_now(timer.loop) + rtt;
  if (late == NULL)
    uv_timer_start(&timer, on_timer, rtt, 0);
  *late_end = l;
  late_end = &l->next;
}

void server_late_begin(uv_loop_t *loop, uint64_t rtt_ms)
{
  rtt = rtt_ms;
  uv_timer_init(loop, &timer);
}

void server_late_send(uv_tcp_t *tcp, char *bytes, size_t len)
{
  if (rtt > 0 && len > 0)
    put(make(tcp, bytes, len));
  else
    send_now(tcp, bytes, len);
}

void server_late_close(uv_tcp_t *tcp, uv_close_cb cb)
{
  late_t *l;
  if (rtt == 0) {
    uv_close((uv_handle_t *)tcp, cb);
    return;
  }
  l = make(tcp, NULL, 0);
  l->close = cb;
  put(l);
}
