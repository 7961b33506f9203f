/*
 * The client itself: making, the pump, closing. See internal.h for how the parts work together.
 *
 * Closing: new sends are refused from the first moment; the pool ends its connections, at once or
 * after the queue has run dry; when nothing waits, nothing is to be told and no connection is left,
 * the two handles are closed, and the last of their callbacks frees the client.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "client/internal.h"

_Static_assert(sizeof(uvsmtp__link_t) == sizeof(((uvsmtp_send_t *)0)->links), "links hold a link");

#define DEFAULT_MAX_CONNECTIONS 50
#define DEFAULT_MAX_QUEUED 10000000
#define DEFAULT_IDLE_TIMEOUT_MS 30000
#define DEFAULT_MAX_TRIES 3
#define DEFAULT_RETRY_DELAY_MS 1000

/* ---- the pump ----------------------------------------------------------------------------- */

void uvsmtp__client_waiting(const uvsmtp_client_t *client, uvsmtp__waiting_t *waiting)
{
  waiting->sends = client->queued;
  waiting->borrows = client->borrows_waiting;
  waiting->borrow_first = false;
  if (waiting->sends == 0 || waiting->borrows == 0)
    return;
  const uvsmtp_send_t *send = uvsmtp__send_of(client->queue.next);
  const uvsmtp_borrow_t *borrow =
      UVSMTP__CONTAINER((void *)client->borrows.next, uvsmtp_borrow_t, links);
  waiting->borrow_first = borrow->ticket < send->client_ticket;
}

static void do_steps(uvsmtp_client_t *client)
{
  for (;;) {
    uvsmtp__waiting_t waiting;
    uvsmtp__client_waiting(client, &waiting);
    uvsmtp__step_t step = uvsmtp__pool_next(&client->pool, &waiting, uv_now(client->loop));
    uvsmtp__member_t *member =
        step.slot == NULL ? NULL : UVSMTP__CONTAINER(step.slot, uvsmtp__member_t, slot);
    switch (step.kind) {
    case UVSMTP__STEP_OPEN:
      uvsmtp__member_open(client);
      break;
    case UVSMTP__STEP_SEND:
      if (uvsmtp__member_is_alive(member))
        uvsmtp__sends_start(client, member);
      break;
    case UVSMTP__STEP_LEND:
      if (uvsmtp__member_is_alive(member))
        uvsmtp__borrows_lend(client, member);
      break;
    case UVSMTP__STEP_QUIT:
      uvsmtp__member_end(member, true);
      break;
    case UVSMTP__STEP_CLOSE:
      uvsmtp__member_end(member, false);
      break;
    case UVSMTP__STEP_NONE:
      return;
    }
  }
}

static void free_client(uvsmtp_client_t *client)
{
  uvsmtp_mem_t mem = client->mem;
  uvsmtp__sends_release(client);
  uvsmtp__settings_clear(&client->settings, &mem);
  uvsmtp__free(&mem, client);
}

static void on_handle_closed(uv_handle_t *handle)
{
  uvsmtp_client_t *client = handle->data;
  if (--client->open_handles > 0)
    return;
  if (client->close_cb != NULL)
    client->close_cb(client);
  free_client(client);
}

static void close_handles(uvsmtp_client_t *client)
{
  client->handles_closing = true;
  uv_close((uv_handle_t *)&client->idle, on_handle_closed);
  uv_close((uv_handle_t *)&client->timer, on_handle_closed);
}

static bool is_done(const uvsmtp_client_t *client)
{
  return client->closing && client->queued == 0 && client->borrows_waiting == 0 &&
         client->pool.count == 0 && uvsmtp__list_empty(&client->finished) &&
         uvsmtp__list_empty(&client->borrows_finished);
}

static void on_timer(uv_timer_t *timer)
{
  uvsmtp__client_wake(timer->data);
}

static void arm_timer(uvsmtp_client_t *client)
{
  uvsmtp__waiting_t waiting;
  uvsmtp__client_waiting(client, &waiting);
  uint64_t due = uvsmtp__pool_due(&client->pool, &waiting), now = uv_now(client->loop);
  if (due == UINT64_MAX)
    uv_timer_stop(&client->timer);
  else
    uv_timer_start(&client->timer, on_timer, due > now ? due - now : 0, 0);
}

static void on_idle(uv_idle_t *idle)
{
  uvsmtp_client_t *client = idle->data;
  /* First, so that whoever wakes it from now on is heard. */
  uv_idle_stop(idle);
  uvsmtp__sends_tell(client);
  uvsmtp__borrows_tell(client);
  do_steps(client);
  if (is_done(client))
    close_handles(client);
  else
    arm_timer(client);
}

void uvsmtp__client_wake(uvsmtp_client_t *client)
{
  if (!client->handles_closing)
    uv_idle_start(&client->idle, on_idle);
}

/* ---- making ------------------------------------------------------------------------------- */

static void set_limits(uvsmtp_client_t *client, const uvsmtp_client_options_t *o)
{
  uvsmtp__pool_limits_t limits = {
      .max_connections = o->max_connections != 0 ? o->max_connections : DEFAULT_MAX_CONNECTIONS,
      .idle_timeout_ms = o->idle_timeout_ms != 0 ? o->idle_timeout_ms : DEFAULT_IDLE_TIMEOUT_MS,
      .max_messages = o->max_messages,
      .max_age_ms = o->max_age_ms,
      .max_tries = o->max_tries != 0 ? o->max_tries : DEFAULT_MAX_TRIES,
      .retry_delay_ms = o->retry_delay_ms != 0 ? o->retry_delay_ms : DEFAULT_RETRY_DELAY_MS};
  client->max_queued = o->max_queued != 0 ? o->max_queued : DEFAULT_MAX_QUEUED;
  uvsmtp__pool_init(&client->pool, &limits, uvsmtp__member_takes, client,
                    uv_hrtime() ^ (uint64_t)(uintptr_t)client);
}

static void init_handles(uvsmtp_client_t *client)
{
  uv_idle_init(client->loop, &client->idle); /* neither of them can fail */
  uv_timer_init(client->loop, &client->timer);
  client->idle.data = client->timer.data = client;
  client->open_handles = 2;
}

static int check(const uvsmtp_client_options_t *o, int err, char *detail, size_t detail_size)
{
  const char *what = NULL;
  if (err != 0)
    what = "client options: the size is wrong";
  else if (o->connection == NULL)
    what = "connection is required";
  if (what == NULL)
    return 0;
  if (detail != NULL && detail_size > 0)
    snprintf(detail, detail_size, "%s", what);
  return err != 0 ? err : UVSMTP_EINVAL;
}

int uvsmtp_client_new(uvsmtp_client_t **out, uv_loop_t *loop,
                      const uvsmtp_client_options_t *options, char *detail, size_t detail_size)
{
  uvsmtp_client_options_t o;
  if (detail != NULL && detail_size > 0)
    detail[0] = '\0';
  if (out == NULL || loop == NULL || options == NULL)
    return UVSMTP_EINVAL;
  *out = NULL;
  int err = uvsmtp__options_copy(&o, sizeof(o), options);
  err = check(&o, err, detail, detail_size);
  if (err != 0)
    return err;
  const uvsmtp_mem_t *mem = uvsmtp__mem(o.mem);
  uvsmtp_client_t *client = uvsmtp__calloc(mem, 1, sizeof(*client));
  if (client == NULL)
    return UVSMTP_ENOMEM;
  client->mem = *mem;
  client->loop = loop;
  client->data = o.data;
  uvsmtp__list_init(&client->members);
  uvsmtp__list_init(&client->queue);
  uvsmtp__list_init(&client->finished);
  uvsmtp__list_init(&client->borrows);
  uvsmtp__list_init(&client->borrows_finished);
  err = uvsmtp__settings_init(&client->settings, o.connection, &client->mem, detail, detail_size);
  if (err != 0) {
    free_client(client);
    return err;
  }
  set_limits(client, &o);
  client->pool.unproven = client->settings.options.auth_count != 0;
  init_handles(client);
  *out = client;
  return 0;
}

int uvsmtp_client_new_url(uvsmtp_client_t **client, uv_loop_t *loop, const char *url)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  connection.url = url;
  options.connection = &connection;
  return uvsmtp_client_new(client, loop, &options, NULL, 0);
}

void *uvsmtp_client_data(const uvsmtp_client_t *client)
{
  return client->data;
}

void uvsmtp_client_stats(const uvsmtp_client_t *client, uvsmtp_client_stats_t *stats)
{
  const size_t *counts = client->pool.counts;
  uvsmtp_history_info_t history = UVSMTP_HISTORY_INFO_INIT;
  uvsmtp_history_info(client->settings.options.history, &history);
  *stats = client->ever;
  stats->tls_handshakes = history.tls_handshakes;
  stats->tls_resumptions = history.tls_resumptions;
  stats->queued = client->queued;
  stats->in_flight = client->in_flight;
  stats->connections = client->pool.count;
  stats->opening = counts[UVSMTP__SLOT_OPENING];
  stats->idle = counts[UVSMTP__SLOT_IDLE];
  stats->busy = counts[UVSMTP__SLOT_BUSY] + counts[UVSMTP__SLOT_FULL];
  stats->lent = counts[UVSMTP__SLOT_LENT];
}

/* ---- logging in as somebody else ---------------------------------------------------------- */

int uvsmtp_client_set_authenticators(uvsmtp_client_t *client, uvsmtp_auth_t *const *auths,
                                     size_t count)
{
  if (client == NULL || auths == NULL || count == 0 || count > UVSMTP_AUTH_CHOICE_MAX)
    return UVSMTP_EINVAL;
  if (client->closing)
    return UVSMTP_ECLOSING;
  int err = uvsmtp__settings_log_in_as(&client->settings, auths, count, &client->mem);
  if (err != 0)
    return err;
  uvsmtp__pool_renew(&client->pool);
  client->pool.unproven = true;
  client->ever.open_err = 0;
  uvsmtp__client_wake(client);
  return 0;
}

int uvsmtp_client_set_authenticator(uvsmtp_client_t *client, uvsmtp_auth_t *auth)
{
  return uvsmtp_client_set_authenticators(client, &auth, auth != NULL ? 1 : 0);
}

/* ---- closing ------------------------------------------------------------------------------ */

void uvsmtp_client_close(uvsmtp_client_t *client, uvsmtp_close_t how, uvsmtp_client_cb cb)
{
  if (client == NULL || client->handles_closing)
    return;
  if (!client->closing)
    client->close_cb = cb;
  client->closing = true;
  client->pool.draining = true;
  if (how == UVSMTP_CLOSE_ABORT && !client->pool.aborting) {
    client->pool.aborting = true;
    uvsmtp__sends_fail(client, UVSMTP_ECANCELED);
    uvsmtp__borrows_fail(client, UVSMTP_ECANCELED);
    uvsmtp__member_hurry(client);
  }
  uvsmtp__client_wake(client);
}
