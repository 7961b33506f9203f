/*
 * Sends that come from other threads.
 *
 *   any thread      puts the send into the inbox and wakes the loop, under the lock
 *   loop's thread   the pump takes as many as the client's queue has room for, under the lock, and
 *                   queues them when it has let go of it
 *
 * A poster is held by those who use it and by its client. `closed` says that nothing more is taken;
 * it is set on the loop's thread before the async handle is closed, and looked at under the same
 * lock as the handle is used, so that nobody wakes a handle that is going. Its memory goes with the
 * last hold, in whatever thread.
 */
#include "base/mem.h"
#include "base/options.h"
#include "client/internal.h"

#define DEFAULT_MAX_POSTED 10000
#define RECIPIENTS_AT_FIRST 16

struct uvsmtp_poster_s {
  uvsmtp_mem_t mem;
  uvsmtp_client_t *client; /* the loop's thread */
  uv_async_t wake;
  size_t max_posted;
  uint64_t send_timeout_ms; /* this and the next as the client has it */
  bool counts_bytes;
  uv_mutex_t lock; /* for all that follows */
  uv_cond_t room;
  size_t holds; /* one of them is the client's */
  bool closed;
  uvsmtp__link_t inbox; /* sends */
  size_t count;
  /* Room for the results of `recipients` recipients is with the client, or here for it to take: so
   * any send that is in the inbox can be told, whatever becomes of it. */
  uvsmtp_recipient_result_t *scratch;
  size_t recipients;
};

/* ---- holds -------------------------------------------------------------------------------- */

static void destroy(uvsmtp_poster_t *p)
{
  uvsmtp_mem_t mem = p->mem;
  uv_mutex_destroy(&p->lock);
  uv_cond_destroy(&p->room);
  uvsmtp__free(&mem, p->scratch);
  uvsmtp__free(&mem, p);
}

/* True if it was the last. */
static bool drop_hold(uvsmtp_poster_t *p)
{
  uv_mutex_lock(&p->lock);
  size_t left = --p->holds;
  /* With nobody to post, the client has to know that the loop need not wait for posts. */
  if (left == 1 && !p->closed)
    uv_async_send(&p->wake);
  uv_mutex_unlock(&p->lock);
  return left == 0;
}

uvsmtp_poster_t *uvsmtp_poster_acquire(uvsmtp_poster_t *p)
{
  uv_mutex_lock(&p->lock);
  p->holds++;
  uv_mutex_unlock(&p->lock);
  return p;
}

void uvsmtp_poster_free(uvsmtp_poster_t *p)
{
  if (p != NULL && drop_hold(p))
    destroy(p);
}

/* ---- any thread --------------------------------------------------------------------------- */

/* Makes room for the results of so many recipients, without the lock while it is allocated. */
static int reserve(uvsmtp_poster_t *p, size_t recipients)
{
  uv_mutex_lock(&p->lock);
  bool enough = recipients <= p->recipients;
  uv_mutex_unlock(&p->lock);
  if (enough)
    return 0;
  uvsmtp_recipient_result_t *larger = uvsmtp__calloc(&p->mem, recipients, sizeof(*larger));
  if (larger == NULL)
    return UVSMTP_ENOMEM;
  uv_mutex_lock(&p->lock);
  if (recipients > p->recipients) {
    uvsmtp_recipient_result_t *old = p->scratch;
    p->scratch = larger;
    p->recipients = recipients;
    larger = old;
  }
  uv_mutex_unlock(&p->lock);
  uvsmtp__free(&p->mem, larger);
  return 0;
}

static void cancel_posted(uvsmtp_send_t *send);

static int put(uvsmtp_poster_t *p, uvsmtp_send_t *send)
{
  int err = 0;
  uv_mutex_lock(&p->lock);
  if (p->closed) {
    err = UVSMTP_ECLOSING;
  } else if (p->count >= p->max_posted) {
    err = UVSMTP_EQUEUEFULL;
  } else {
    send->client = p->client;
    uvsmtp__list_push_back(&p->inbox, uvsmtp__send_link(send));
    if (p->count++ == 0)
      uv_async_send(&p->wake);
  }
  uv_mutex_unlock(&p->lock);
  return err;
}

int uvsmtp_poster_post_with(uvsmtp_poster_t *p, uvsmtp_send_t *send,
                            const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                            const uvsmtp_send_options_t *options, uvsmtp_send_cb cb)
{
  int err = uvsmtp__sends_describe(send, envelope, source, options, p->send_timeout_ms, cb);
  if (err == 0)
    err = reserve(p, envelope->recipient_count);
  if (err != 0)
    return err;
  send->client_bytes = uvsmtp__sends_bytes(p->counts_bytes, source);
  send->cancel_queued = cancel_posted;
  return put(p, send);
}

int uvsmtp_poster_post(uvsmtp_poster_t *p, uvsmtp_send_t *send, const uvsmtp_envelope_t *envelope,
                       uvsmtp_source_t *source, uvsmtp_send_cb cb)
{
  return uvsmtp_poster_post_with(p, send, envelope, source, NULL, cb);
}

int uvsmtp_poster_wait(uvsmtp_poster_t *p, uint64_t timeout_ms)
{
  uint64_t start = uv_hrtime(), limit = UINT64_MAX;
  int err = 0;
  if (timeout_ms < UINT64_MAX / 1000000)
    limit = timeout_ms * 1000000;
  uv_mutex_lock(&p->lock);
  while (!p->closed && p->count >= p->max_posted) {
    uint64_t passed = uv_hrtime() - start;
    if (limit == UINT64_MAX) {
      uv_cond_wait(&p->room, &p->lock);
    } else if (passed >= limit) {
      err = UVSMTP_EQUEUEFULL;
      break;
    } else {
      uv_cond_timedwait(&p->room, &p->lock, limit - passed);
    }
  }
  if (p->closed)
    err = UVSMTP_ECLOSING;
  uv_mutex_unlock(&p->lock);
  return err;
}

/* ---- the loop's thread -------------------------------------------------------------------- */

static void on_wake(uv_async_t *wake)
{
  uvsmtp__client_wake(wake->data);
}

static int init(uvsmtp_poster_t *p, uvsmtp_client_t *client)
{
  int err = uv_mutex_init(&p->lock);
  if (err != 0)
    return err;
  err = uv_cond_init(&p->room);
  if (err == 0) {
    err = uv_async_init(client->loop, &p->wake, on_wake);
    if (err == 0)
      return 0;
    uv_cond_destroy(&p->room);
  }
  uv_mutex_destroy(&p->lock);
  return err;
}

static int make(uvsmtp_poster_t **out, uvsmtp_client_t *client, size_t max_posted)
{
  int err = uvsmtp__sends_reserve(client, RECIPIENTS_AT_FIRST);
  if (err != 0)
    return err;
  uvsmtp_poster_t *p = uvsmtp__calloc(&client->mem, 1, sizeof(*p));
  if (p == NULL)
    return UVSMTP_ENOMEM;
  err = init(p, client);
  if (err != 0) {
    uvsmtp__free(&client->mem, p);
    return err;
  }
  p->mem = client->mem;
  p->client = client;
  p->wake.data = client;
  p->max_posted = max_posted != 0 ? max_posted : DEFAULT_MAX_POSTED;
  p->send_timeout_ms = client->send_timeout_ms;
  p->counts_bytes = client->counts_bytes;
  p->recipients = RECIPIENTS_AT_FIRST;
  p->holds = 2;
  uvsmtp__list_init(&p->inbox);
  client->open_handles++;
  client->poster = *out = p;
  return 0;
}

int uvsmtp_poster_new(uvsmtp_poster_t **poster, uvsmtp_client_t *client,
                      const uvsmtp_poster_options_t *options)
{
  static const uvsmtp_poster_options_t defaults = UVSMTP_POSTER_OPTIONS_INIT;
  uvsmtp_poster_options_t o;
  if (poster == NULL)
    return UVSMTP_EINVAL;
  *poster = NULL;
  if (client == NULL)
    return UVSMTP_EINVAL;
  int err = uvsmtp__options_copy(&o, sizeof(o), options != NULL ? options : &defaults);
  if (err != 0)
    return err;
  if (client->closing)
    return UVSMTP_ECLOSING;
  if (client->poster == NULL)
    return make(poster, client, o.max_posted);
  *poster = uvsmtp_poster_acquire(client->poster);
  return 0;
}

/* Takes `send`, or the first, out of the inbox, and what was allocated for results. */
static uvsmtp_send_t *take(uvsmtp_poster_t *p, uvsmtp_send_t *send)
{
  uv_mutex_lock(&p->lock);
  if (send == NULL)
    send = uvsmtp__send_of(p->inbox.next);
  uvsmtp__list_remove(uvsmtp__send_link(send));
  p->count--;
  uv_cond_signal(&p->room);
  uvsmtp_recipient_result_t *scratch = p->scratch;
  size_t recipients = p->recipients;
  p->scratch = NULL;
  uv_mutex_unlock(&p->lock);
  if (scratch != NULL)
    uvsmtp__sends_adopt(p->client, scratch, recipients);
  return send;
}

/* It never comes to the queue. */
static void give_up(uvsmtp_poster_t *p, uvsmtp_send_t *send)
{
  uvsmtp__sends_number(p->client, send);
  uvsmtp__sends_finish(p->client, send, UVSMTP_ECANCELED);
}

static void cancel_posted(uvsmtp_send_t *send)
{
  const uvsmtp_client_t *client = send->client;
  give_up(client->poster, take(client->poster, send));
}

/* What waits is cancelled. */
static bool is_giving_up(const uvsmtp_client_t *client)
{
  return client->pool.aborting || client->pool.finishing;
}

/* All of them when they are to be cancelled, else as long as there is room in the queue. */
static bool is_due(uvsmtp_poster_t *p)
{
  uv_mutex_lock(&p->lock);
  bool some = p->count > 0;
  uint64_t bytes = some ? uvsmtp__send_of(p->inbox.next)->client_bytes : 0;
  uv_mutex_unlock(&p->lock);
  return some && (is_giving_up(p->client) || uvsmtp__sends_fits(p->client, bytes));
}

static void take_what_fits(uvsmtp_poster_t *p)
{
  while (is_due(p)) {
    uvsmtp_send_t *send = take(p, NULL);
    if (is_giving_up(p->client))
      give_up(p, send);
    else
      uvsmtp__sends_accept(p->client, send);
  }
}

static void on_wake_closed(uv_handle_t *handle)
{
  uvsmtp_client_t *client = handle->data;
  uvsmtp_poster_free(UVSMTP__CONTAINER(handle, uvsmtp_poster_t, wake));
  uvsmtp__client_handle_closed(client);
}

void uvsmtp__poster_run(uvsmtp_client_t *client)
{
  uvsmtp_poster_t *p = client->poster;
  if (p == NULL)
    return;
  take_what_fits(p);
  uv_mutex_lock(&p->lock);
  bool deserted = p->holds == 1 && p->count == 0;
  p->closed = p->closed || deserted;
  uv_mutex_unlock(&p->lock);
  if (deserted)
    uvsmtp__poster_end(client);
}

bool uvsmtp__poster_is_empty(const uvsmtp_client_t *client)
{
  uvsmtp_poster_t *p = client->poster;
  if (p == NULL)
    return true;
  uv_mutex_lock(&p->lock);
  bool empty = p->count == 0;
  uv_mutex_unlock(&p->lock);
  return empty;
}

void uvsmtp__poster_close(uvsmtp_client_t *client)
{
  uvsmtp_poster_t *p = client->poster;
  if (p == NULL)
    return;
  uv_mutex_lock(&p->lock);
  p->closed = true;
  uv_cond_broadcast(&p->room);
  uv_mutex_unlock(&p->lock);
}

void uvsmtp__poster_end(uvsmtp_client_t *client)
{
  uvsmtp_poster_t *p = client->poster;
  if (p == NULL)
    return;
  client->poster = NULL;
  uv_close((uv_handle_t *)&p->wake, on_wake_closed);
}
