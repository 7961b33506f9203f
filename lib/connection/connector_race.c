#include "connection/connector_state.h"

/*
 * The race of addresses (RFC 8305): an attempt is launched when `pace` fires, or at once when one
 * before it has failed. The first that connects wins, and the others are closed; if there is a
 * proxy, or a header to send, a tunnel then talks on the winner.
 */
#include <string.h>

#include "base/mem.h"
#include "connection/history.h"

#define KEEPALIVE_S 60 /* NATs forget idle connections after minutes */

int uvsmtp__connector_make_attempts(uvsmtp__connector_t *c, size_t count)
{
  c->attempts = uvsmtp__calloc(&c->mem, count, sizeof(*c->attempts));
  if (c->attempts == NULL)
    return UVSMTP_ENOMEM;
  for (size_t i = 0; i < count; i++)
    c->attempts[i].c = c;
  return 0;
}

void uvsmtp__connector_add_address(uvsmtp__connector_t *c, const struct sockaddr *address)
{
  uvsmtp__address_t *to = &c->attempts[c->count++].address;
  if (address->sa_family == AF_INET6) {
    memcpy(&to->six, address, sizeof(to->six));
    to->six.sin6_port = htons(c->port);
  } else {
    memcpy(&to->four, address, sizeof(to->four));
    to->four.sin_port = htons(c->port);
  }
}

static void on_attempt_closed(uv_handle_t *handle)
{
  uvsmtp__attempt_t *a = handle->data;
  uvsmtp__connector_t *c = a->c;
  if (!c->is_foreign)
    uvsmtp__free(&c->mem, a->end);
  a->end = NULL;
  c->open--;
  uvsmtp__connector_maybe_deliver(c);
}

static void close_attempt(uvsmtp__attempt_t *a)
{
  if (a->end == NULL || uv_is_closing(&a->end->handle))
    return;
  a->end->handle.data = a; /* it may have been the tunnel's */
  uv_close(&a->end->handle, on_attempt_closed);
}

void uvsmtp__connector_close_attempts(uvsmtp__connector_t *c)
{
  for (size_t i = 0; i < c->next; i++)
    if (c->winner == NULL || c->attempts[i].end != c->winner)
      close_attempt(&c->attempts[i]);
}

void uvsmtp__connector_give_up_winner(uvsmtp__connector_t *c)
{
  if (c->winner == NULL)
    return;
  c->winner = NULL;
  c->peer[0] = '\0';
  c->open++;
  uvsmtp__connector_close_attempts(c);
}

static void on_tunnel(void *data, int err, const char *text)
{
  uvsmtp__connector_t *c = data;
  if (err != 0)
    uvsmtp__connector_say_tunnel(c, err, text);
  uvsmtp__connector_finish(c, err == 0 || err == UVSMTP_EPROXY ? err : UVSMTP_ECONNECT);
}

static void dig(uvsmtp__connector_t *c)
{
  uvsmtp__tunnel_options_t options = {
      .proxy = c->proxy,
      .host = c->server,
      .port = c->server_port,
      .header = c->header,
      .source = c->header_source.any.sa_family != AF_UNSPEC ? &c->header_source.any : NULL};
  uv_timer_stop(&c->pace);
  uvsmtp__connector_close_attempts(c);
  c->tunnel = uvsmtp__tunnel_begin(&c->winner->stream, &c->mem, &options, on_tunnel, c);
  if (c->tunnel == NULL)
    uvsmtp__connector_fail(c, UVSMTP_ENOMEM);
}

void uvsmtp__connector_win(uvsmtp__connector_t *c, uvsmtp__attempt_t *a)
{
  c->winner = a->end;
  c->open--;
  if (!c->is_path && !c->is_foreign) {
    /* Without these the stream works too, only less well. */
    uv_tcp_nodelay(&a->end->tcp, 1);
    uv_tcp_keepalive(&a->end->tcp, 1, KEEPALIVE_S);
    uvsmtp__history_note_family(c->history, a->address.any.sa_family);
  }
  uvsmtp__connector_print_peer(c, a);
  if (uvsmtp__connector_has_proxy(c) || c->header != UVSMTP_PROXY_HEADER_NONE)
    dig(c);
  else
    uvsmtp__connector_finish(c, 0);
}

static void on_connected(uv_connect_t *req, int status)
{
  uvsmtp__attempt_t *a = req->data;
  uvsmtp__connector_t *c = a->c;
  c->running--;
  if (c->finished || c->winner != NULL)
    return;
  if (status == 0) {
    uvsmtp__connector_win(c, a);
    return;
  }
  a->err = status;
  close_attempt(a);
  uvsmtp__connector_try_next(c);
}

static int connect_tcp(uvsmtp__connector_t *c, uvsmtp__attempt_t *a)
{
  int err = 0;
  if (c->source.any.sa_family != AF_UNSPEC)
    err = uv_tcp_bind(&a->end->tcp, &c->source.any, 0);
  if (err == 0)
    err = uv_tcp_connect(&a->req, &a->end->tcp, &a->address.any, on_connected);
  return err;
}

/* 0 if the connect callback will come, UVSMTP_ENOMEM, or libuv's reason why not. */
static int launch(uvsmtp__connector_t *c, uvsmtp__attempt_t *a)
{
  int err;
  a->end = uvsmtp__calloc(&c->mem, 1, c->is_path ? sizeof(uv_pipe_t) : sizeof(uv_tcp_t));
  if (a->end == NULL)
    return UVSMTP_ENOMEM;
  err = c->is_path ? uv_pipe_init(c->loop, &a->end->pipe, 0) : uv_tcp_init(c->loop, &a->end->tcp);
  if (err != 0) {
    uvsmtp__free(&c->mem, a->end);
    a->end = NULL;
    return err;
  }
  c->open++;
  a->end->handle.data = a;
  a->req.data = a;
  if (c->is_path)
    uv_pipe_connect(&a->req, &a->end->pipe, c->host, on_connected);
  else
    err = connect_tcp(c, a);
  if (err != 0)
    close_attempt(a);
  else
    c->running++;
  return err;
}

static void on_pace(uv_timer_t *timer)
{
  uvsmtp__connector_try_next(timer->data);
}

void uvsmtp__connector_try_next(uvsmtp__connector_t *c)
{
  while (c->next < c->count) {
    uvsmtp__attempt_t *a = &c->attempts[c->next++];
    int err = launch(c, a);
    if (err == UVSMTP_ENOMEM) {
      uvsmtp__connector_fail(c, err);
      return;
    }
    if (err == 0) {
      if (c->next < c->count)
        uv_timer_start(&c->pace, on_pace, c->attempt_delay_ms, 0);
      return;
    }
    a->err = err;
  }
  uv_timer_stop(&c->pace);
  if (c->running == 0)
    uvsmtp__connector_fail(c, UVSMTP_ECONNECT);
}
