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

#define DEFAULT_MAX_QUEUED 10000000
#define DEFAULT_TLS_RETRY_MS 600000

/* ---- the pump ----------------------------------------------------------------------------- */

/* The send at the head is looked at only by rates and borrowers. */
void uvsmtp__client_waiting(const uvsmtp_client_t *client, uvsmtp__waiting_t *waiting)
{
  *waiting = (uvsmtp__waiting_t){.sends = client->queue.count, .borrows = client->borrows_waiting};
  if (waiting->sends == 0 || (waiting->borrows == 0 && !client->pool.paced))
    return;
  const uvsmtp_send_t *send = uvsmtp__backlog_first(&client->queue);
  waiting->recipients = send->envelope->recipient_count;
  if (waiting->borrows == 0)
    return;
  const uvsmtp_borrow_t *borrow =
      UVSMTP__CONTAINER((void *)client->borrows.next, uvsmtp_borrow_t, links);
  waiting->borrow_first = borrow->ticket < send->client_ticket;
}

/* The words of the server that is preferred, and of the others as far as there is room. */
static void give_up(uvsmtp_client_t *client)
{
  uvsmtp__failure_t *failure = &client->failure;
  *failure = uvsmtp__server_of(client->endpoints[0])->failure;
  for (size_t i = 1; i < client->server_count; i++) {
    size_t len = strlen(failure->text);
    snprintf(failure->text + len, sizeof(failure->text) - len, "; %s",
             uvsmtp__server_of(client->endpoints[i])->failure.text);
  }
  uvsmtp__sends_fail(client, 0);
  uvsmtp__borrows_fail(client, 0);
  uvsmtp__pool_gave_up(&client->pool, uv_now(client->loop));
}

static void lend(uvsmtp_client_t *client, uvsmtp__member_t *member)
{
  if (uvsmtp_connection_can_send(member->connection))
    uvsmtp__borrows_lend(client, member);
  else
    uvsmtp__member_lost(member);
}

static void do_steps(uvsmtp_client_t *client)
{
  for (;;) {
    uvsmtp__waiting_t waiting;
    uvsmtp__client_waiting(client, &waiting);
    uvsmtp__step_t step = uvsmtp__pool_next(&client->pool, &waiting, uv_now(client->loop));
    switch (step.kind) {
    case UVSMTP__STEP_OPEN:
      uvsmtp__member_open(client, uvsmtp__server_of(step.endpoint));
      break;
    case UVSMTP__STEP_SEND:
      uvsmtp__sends_start(client, &step);
      break;
    case UVSMTP__STEP_LEND:
      lend(client, uvsmtp__member_of(step.slot));
      break;
    case UVSMTP__STEP_QUIT:
      uvsmtp__member_end(uvsmtp__member_of(step.slot), true);
      break;
    case UVSMTP__STEP_CLOSE:
      uvsmtp__member_end(uvsmtp__member_of(step.slot), false);
      break;
    case UVSMTP__STEP_CHECK:
      uvsmtp__member_check(uvsmtp__member_of(step.slot));
      break;
    case UVSMTP__STEP_GIVE_UP:
      give_up(client);
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
  uvsmtp__events_clear(client);
  uvsmtp__servers_clear(client);
  uvsmtp__free(&mem, client);
}

void uvsmtp__client_handle_closed(uvsmtp_client_t *client)
{
  if (--client->open_handles > 0)
    return;
  if (client->close_cb != NULL)
    client->close_cb(client);
  free_client(client);
}

static void on_handle_closed(uv_handle_t *handle)
{
  uvsmtp__client_handle_closed(handle->data);
}

static void close_handles(uvsmtp_client_t *client)
{
  client->handles_closing = true;
  uvsmtp__poster_end(client);
  uv_close((uv_handle_t *)&client->idle, on_handle_closed);
  uv_close((uv_handle_t *)&client->timer, on_handle_closed);
}

static bool is_done(const uvsmtp_client_t *client)
{
  return client->closing && client->queue.count == 0 && client->borrows_waiting == 0 &&
         client->pool.count == 0 && client->events.count == 0 && uvsmtp__poster_is_empty(client) &&
         uvsmtp__list_empty(&client->finished) && uvsmtp__list_empty(&client->borrows_finished);
}

static void on_timer(uv_timer_t *timer)
{
  uvsmtp_client_t *client = timer->data;
  client->timer_due_ms = UINT64_MAX;
  uvsmtp__client_wake(client);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
  return a < b ? a : b;
}

static void arm_timer(uvsmtp_client_t *client)
{
  uint64_t now = uv_now(client->loop);
  uint64_t due = earlier(client->pool.due_ms, uvsmtp__backlog_due(&client->queue));
  if (!client->pool.aborting)
    due = earlier(due, client->close_deadline_ms);
  if (due == client->timer_due_ms)
    return;
  client->timer_due_ms = due;
  if (due == UINT64_MAX)
    uv_timer_stop(&client->timer);
  else
    uv_timer_start(&client->timer, on_timer, due > now ? due - now : 0, 0);
}

static void abort_all(uvsmtp_client_t *client)
{
  client->pool.aborting = true;
  uvsmtp__sends_fail(client, UVSMTP_ECANCELED);
  uvsmtp__borrows_fail(client, UVSMTP_ECANCELED);
  uvsmtp__member_hurry(client);
}

static void tell_of_room(uvsmtp_client_t *client)
{
  const uvsmtp__backlog_t *queue = &client->queue;
  if (!client->was_full || client->closing || queue->count > client->max_queued / 2 ||
      queue->bytes > client->max_queued_bytes / 2)
    return;
  client->was_full = false;
  uvsmtp__events_note(client, &(uvsmtp_client_event_t){.type = UVSMTP_CLIENT_QUEUE_ROOM});
  if (client->on_room != NULL)
    client->on_room(client);
}

static void on_idle(uv_idle_t *idle)
{
  uvsmtp_client_t *client = idle->data;
  /* First, so that whoever wakes it from now on is heard. */
  client->awake = false;
  uv_idle_stop(idle);
  if (!uvsmtp__list_empty(&client->finished))
    uvsmtp__sends_tell(client);
  if (!uvsmtp__list_empty(&client->borrows_finished))
    uvsmtp__borrows_tell(client);
  if (uv_now(client->loop) >= client->close_deadline_ms && !client->pool.aborting)
    abort_all(client);
  uvsmtp__sends_expire(client);
  if (client->poster != NULL)
    uvsmtp__poster_run(client);
  do_steps(client);
  uvsmtp__stats_settle(client);
  tell_of_room(client);
  if (client->events.ring != NULL) {
    uvsmtp__events_look(client);
    uvsmtp__events_tell(client);
  }
  if (is_done(client))
    close_handles(client);
  else
    arm_timer(client);
}

void uvsmtp__client_rouse(uvsmtp_client_t *client)
{
  if (client->handles_closing)
    return;
  client->awake = true;
  uv_idle_start(&client->idle, on_idle);
}

/* ---- making ------------------------------------------------------------------------------- */

static void init_pool(uvsmtp_client_t *client, const uvsmtp_client_options_t *o)
{
  uvsmtp__pool_limits_t limits;
  uvsmtp__options_limits(o, &limits);
  client->max_queued = o->max_queued != 0 ? o->max_queued : DEFAULT_MAX_QUEUED;
  client->max_queued_bytes = o->max_queued_bytes != 0 ? o->max_queued_bytes : UINT64_MAX;
  client->counts_bytes = o->max_queued_bytes != 0 || o->max_bytes != 0;
  client->resend_unknown = o->resend_unknown;
  client->tls_retry_ms = o->tls_retry_ms != 0 ? o->tls_retry_ms : DEFAULT_TLS_RETRY_MS;
  client->send_timeout_ms = o->send_timeout_ms != 0 ? o->send_timeout_ms : UINT64_MAX;
  client->undemanding = !client->counts_bytes && client->send_timeout_ms == UINT64_MAX;
  client->on_room = o->on_room;
  uvsmtp__pool_init(&client->pool, &limits, client->endpoints, client->server_count,
                    uvsmtp__member_room, client, uv_hrtime() ^ (uint64_t)(uintptr_t)client,
                    uv_now(client->loop));
}

static void init_handles(uvsmtp_client_t *client)
{
  uv_idle_init(client->loop, &client->idle); /* neither of them can fail */
  uv_timer_init(client->loop, &client->timer);
  client->idle.data = client->timer.data = client;
  client->open_handles = 2;
}

static uvsmtp_client_t *allocate(uv_loop_t *loop, const uvsmtp_client_options_t *o)
{
  const uvsmtp_mem_t *mem = uvsmtp__mem(o->mem);
  uvsmtp_client_t *client = uvsmtp__calloc(mem, 1, sizeof(*client));
  if (client == NULL)
    return NULL;
  client->mem = *mem;
  client->loop = loop;
  client->data = o->data;
  client->close_deadline_ms = client->timer_due_ms = UINT64_MAX;
  uvsmtp__list_init(&client->members);
  uvsmtp__backlog_init(&client->queue);
  uvsmtp__list_init(&client->finished);
  uvsmtp__list_init(&client->borrows);
  uvsmtp__list_init(&client->borrows_finished);
  return client;
}

int uvsmtp_client_new(uvsmtp_client_t **out, uv_loop_t *loop,
                      const uvsmtp_client_options_t *options, char *detail, size_t detail_size)
{
  uvsmtp__detail_t sentence = {detail, detail_size};
  uvsmtp_client_options_t o;
  if (detail != NULL && detail_size > 0)
    detail[0] = '\0';
  if (out == NULL || loop == NULL || options == NULL)
    return UVSMTP_EINVAL;
  *out = NULL;
  int err = uvsmtp__options_copy(&o, sizeof(o), options);
  if (err != 0)
    return uvsmtp__refuse(&sentence, err, "client options: the size is wrong");
  if ((err = uvsmtp__options_check(&o, &sentence)) != 0)
    return err;
  uvsmtp_client_t *client = allocate(loop, &o);
  if (client == NULL)
    return UVSMTP_ENOMEM;
  err = uvsmtp__servers_init(client, &o, &sentence);
  if (err == 0)
    err = uvsmtp__events_init(client, o.on_event);
  if (err != 0) {
    free_client(client);
    return err;
  }
  init_pool(client, &o);
  init_handles(client);
  if (o.min_idle > 0)
    uvsmtp__client_wake(client);
  *out = client;
  return 0;
}

int uvsmtp_client_new_url(uvsmtp_client_t **client, uv_loop_t *loop, const char *urls)
{
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  options.urls = urls;
  return uvsmtp_client_new(client, loop, &options, NULL, 0);
}

void *uvsmtp_client_data(const uvsmtp_client_t *client)
{
  return client->data;
}

/* ---- closing ------------------------------------------------------------------------------ */

void uvsmtp_client_close_within(uvsmtp_client_t *client, uvsmtp_close_t how, uint64_t timeout_ms,
                                uvsmtp_client_cb cb)
{
  if (client == NULL || client->handles_closing)
    return;
  if (!client->closing)
    client->close_cb = cb;
  client->closing = true;
  client->undemanding = false;
  uvsmtp__poster_close(client);
  client->pool.draining = true;
  client->close_deadline_ms =
      earlier(client->close_deadline_ms, uvsmtp__later(uv_now(client->loop), timeout_ms));
  if (how == UVSMTP_CLOSE_ABORT && !client->pool.aborting) {
    abort_all(client);
  } else if (how == UVSMTP_CLOSE_FINISH) {
    client->pool.finishing = true;
    uvsmtp__sends_fail(client, UVSMTP_ECANCELED);
    uvsmtp__borrows_fail(client, UVSMTP_ECANCELED);
  }
  uvsmtp__client_wake(client);
}

void uvsmtp_client_close(uvsmtp_client_t *client, uvsmtp_close_t how, uvsmtp_client_cb cb)
{
  uvsmtp_client_close_within(client, how, UINT64_MAX, cb);
}
