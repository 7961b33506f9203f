#include "connection/connector_state.h"

/*
 * How a connector works:
 *   1. start notes what is wanted (connector_target.c) and arms two timers: `deadline` for the
 *      whole, and `pace`, whose first run begins the work, so that nothing can call back before
 *      start has returned.
 *   2. A name is looked up (connector_lookup.c); a numeric address or a path needs no lookup.
 *   3. The addresses become attempts that race (connector_race.c), and a proxy is asked on the
 *      stream that wins.
 *   4. Then, as after the last failure, the deadline or cancel, finish() closes everything but a
 *      stream that can be used.
 *   5. When the last handle has closed, the callback runs and the connector is freed.
 *
 * What can fail: the lookup, every attempt (the sentence names each), the proxy, memory, time.
 */
#include "base/mem.h"
#include "connection/history.h"

#define DEFAULT_ATTEMPT_DELAY_MS 250 /* RFC 8305 section 5 */

static const uvsmtp__resolver_t uv_resolver = {uv_getaddrinfo, uv_freeaddrinfo, uv_cancel};

/* ---- ending ------------------------------------------------------------------------------- */

static void deliver(uvsmtp__connector_t *c)
{
  uvsmtp_mem_t mem = c->mem;
  uv_stream_t *stream = c->winner != NULL ? &c->winner->stream : NULL;
  c->delivering = true;
  if (stream != NULL)
    stream->data = NULL;
  c->cb(c->data, stream, c->err, c->text, c->peer);
  uvsmtp__tunnel_free(c->tunnel);
  uvsmtp__free(&mem, c->attempts);
  uvsmtp__free(&mem, c->host);
  uvsmtp__free(&mem, c->server);
  uvsmtp_history_free(c->history);
  uvsmtp__free(&mem, c);
}

void uvsmtp__connector_maybe_deliver(uvsmtp__connector_t *c)
{
  if (c->finished && c->open == 0 && c->lookup == NULL)
    deliver(c);
}

static void on_timer_closed(uv_handle_t *handle)
{
  uvsmtp__connector_t *c = handle->data;
  c->open--;
  uvsmtp__connector_maybe_deliver(c);
}

void uvsmtp__connector_finish(uvsmtp__connector_t *c, int err)
{
  c->finished = true;
  c->err = err;
  if (c->lookup != NULL && err == UVSMTP_ETIMEOUT)
    uvsmtp__connector_abandon_lookup(c);
  else if (c->lookup != NULL)
    uvsmtp__connector_cancel_lookup(c);
  if (err != 0)
    uvsmtp__connector_give_up_winner(c);
  uvsmtp__connector_close_attempts(c);
  uv_close((uv_handle_t *)&c->deadline, on_timer_closed);
  uv_close((uv_handle_t *)&c->pace, on_timer_closed);
}

void uvsmtp__connector_fail(uvsmtp__connector_t *c, int err)
{
  uvsmtp__connector_say_failure(c, err);
  uvsmtp__connector_finish(c, err);
}

static void on_deadline(uv_timer_t *timer)
{
  uvsmtp__connector_fail(timer->data, UVSMTP_ETIMEOUT);
}

/* ---- starting ------------------------------------------------------------------------------ */

/* The first run of `pace`. */
static void on_begin(uv_timer_t *timer)
{
  uvsmtp__connector_t *c = timer->data;
  uvsmtp__address_t address;
  if (c->is_foreign) {
    uvsmtp__connector_win(c, &c->attempts[0]);
    return;
  }
  if (uvsmtp__connector_is_name(c)) {
    uvsmtp__connector_resolve(c);
    return;
  }
  if (uvsmtp__connector_make_attempts(c, 1) != 0) {
    uvsmtp__connector_fail(c, UVSMTP_ENOMEM);
    return;
  }
  if (c->is_path)
    c->count = 1;
  else if (uvsmtp__connector_parse_numeric(&address, c->host, c->port) &&
           uvsmtp__connector_usable(c, address.any.sa_family))
    uvsmtp__connector_add_address(c, &address.any);
  if (c->count == 0)
    uvsmtp__connector_fail_resolving(c, 0);
  else
    uvsmtp__connector_try_next(c);
}

/* A stream of the caller's is an attempt that has succeeded. */
static int adopt(uvsmtp__connector_t *c, uv_stream_t *stream)
{
  if (uvsmtp__connector_make_attempts(c, 1) != 0)
    return UVSMTP_ENOMEM;
  c->is_foreign = true;
  c->attempts[0].end = (uvsmtp__endpoint_t *)(void *)stream;
  c->count = c->next = 1;
  stream->data = &c->attempts[0];
  return 0;
}

static void start_timers(uvsmtp__connector_t *c)
{
  /* The loop's idea of now may be old, if it was not run for a while or runs a long callback. */
  uv_update_time(c->loop);
  uv_timer_init(c->loop, &c->deadline);
  uv_timer_init(c->loop, &c->pace);
  c->deadline.data = c->pace.data = c;
  c->open = c->is_foreign ? 3 : 2;
  if (c->connect_timeout_ms != UINT64_MAX)
    uv_timer_start(&c->deadline, on_deadline, c->connect_timeout_ms, 0);
  uv_timer_start(&c->pace, on_begin, 0, 0);
}

int uvsmtp__connector_start(uvsmtp__connector_t **out, uv_loop_t *loop,
                            const uvsmtp__connector_options_t *options, uvsmtp__connector_cb cb,
                            void *data)
{
  const uvsmtp_mem_t *mem = uvsmtp__mem(options->mem);
  uvsmtp__connector_t *c;
  uvsmtp__address_t numeric;
  int err = uvsmtp__connector_check_target(options);
  if (err != 0)
    return err;
  c = uvsmtp__calloc(mem, 1, sizeof(*c));
  if (c == NULL)
    return UVSMTP_ENOMEM;
  c->mem = *mem;
  c->loop = loop;
  c->cb = cb;
  c->data = data;
  c->resolver = options->resolver != NULL ? *options->resolver : uv_resolver;
  c->connect_timeout_ms =
      options->connect_timeout_ms != 0 ? options->connect_timeout_ms : UVSMTP__CONNECT_TIMEOUT_MS;
  c->attempt_delay_ms =
      options->attempt_delay_ms != 0 ? options->attempt_delay_ms : DEFAULT_ATTEMPT_DELAY_MS;
  err = uvsmtp__connector_set_target(c, options);
  if (err == 0 && options->stream != NULL)
    err = adopt(c, options->stream);
  if (err != 0) {
    uvsmtp__free(mem, c->host);
    uvsmtp__free(mem, c->server);
    uvsmtp__free(mem, c);
    return err;
  }
  c->is_numeric =
      !c->is_path && !c->is_foreign && uvsmtp__connector_parse_numeric(&numeric, c->host, c->port);
  c->history = uvsmtp_history_acquire(options->history);
  start_timers(c);
  *out = c;
  return 0;
}

void uvsmtp__connector_cancel(uvsmtp__connector_t *c)
{
  if (c->delivering)
    return;
  uvsmtp__connector_say_failure(c, UVSMTP_ECANCELED);
  if (!c->finished) {
    uvsmtp__connector_finish(c, UVSMTP_ECANCELED);
    return;
  }
  c->err = UVSMTP_ECANCELED;
  uvsmtp__connector_give_up_winner(c);
}
