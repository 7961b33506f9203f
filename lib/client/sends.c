/*
 * Sends on their way: queue, connection, and back to the queue or to the caller. A send lies in
 * one of three places: client->queue, a connection (its links are the connection's then), or
 * client->finished, from where the pump tells the caller of an end that no connection saw (told.c).
 */
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "client/internal.h"

enum { MOST_SPARED = 10 }; /* how often a message was only the next one when its session ended */

/* ---- the queue ---------------------------------------------------------------------------- */

static void cancel_finished(uvsmtp_send_t *send)
{
  /* Its end is decided already, and comes soon. */
}

void uvsmtp__sends_finish(uvsmtp_client_t *client, uvsmtp_send_t *send, int err)
{
  send->client_err = err;
  send->cancel_queued = cancel_finished;
  uvsmtp__list_push_back(&client->finished, uvsmtp__send_link(send));
  uvsmtp__client_wake(client);
}

static void cancel_waiting(uvsmtp_send_t *send)
{
  uvsmtp_client_t *client = send->client;
  uvsmtp__backlog_remove(&client->queue, send);
  uvsmtp__sends_finish(client, send, UVSMTP_ECANCELED);
}

/* It is in the queue. */
static inline void note_queued(uvsmtp_client_t *client, uvsmtp_send_t *send)
{
  send->cancel_queued = cancel_waiting;
  uvsmtp__client_wake(client);
}

static void enqueue(uvsmtp_client_t *client, uvsmtp_send_t *send)
{
  uvsmtp__backlog_push(&client->queue, send);
  note_queued(client, send);
}

void uvsmtp__sends_fail(uvsmtp_client_t *client, int err)
{
  while (client->queue.count > 0)
    uvsmtp__sends_finish(client, uvsmtp__backlog_take(&client->queue), err);
}

void uvsmtp__sends_expire(uvsmtp_client_t *client)
{
  uvsmtp_send_t *late;
  while ((late = uvsmtp__backlog_late(&client->queue, uv_now(client->loop))) != NULL) {
    uvsmtp__backlog_remove(&client->queue, late);
    uvsmtp__sends_finish(client, late, UVSMTP_EDEADLINE);
  }
}

/* ---- taking a send ------------------------------------------------------------------------ */

uint64_t uvsmtp__sends_bytes(bool counted, const uvsmtp_source_t *source)
{
  uint64_t length = counted ? uvsmtp_source_length(source) : 0;
  return length != UVSMTP_LENGTH_UNKNOWN ? length : 0;
}

bool uvsmtp__sends_fits(const uvsmtp_client_t *client, uint64_t bytes)
{
  const uvsmtp__backlog_t *queue = &client->queue;
  if (queue->count >= client->max_queued)
    return false;
  return client->max_queued_bytes == UINT64_MAX || queue->count == 0 ||
         (queue->bytes <= client->max_queued_bytes &&
          bytes <= client->max_queued_bytes - queue->bytes);
}

static UVSMTP__RARE int read_options(uvsmtp_send_t *send, const uvsmtp_send_options_t *options)
{
  uvsmtp_send_options_t o = UVSMTP_SEND_OPTIONS_INIT;
  int err = uvsmtp__options_copy(&o, sizeof(o), options);
  if (err != 0)
    return err;
  if ((unsigned)o.priority > UVSMTP_PRIORITY_LOW)
    return UVSMTP_EINVAL;
  send->client_priority = (unsigned char)o.priority;
  if (o.timeout_ms != 0)
    send->client_deadline_ms = o.timeout_ms;
  return 0;
}

/* Until it is accepted, the deadline is how long it may wait. */
int uvsmtp__sends_describe(uvsmtp_send_t *send, const uvsmtp_envelope_t *envelope,
                           uvsmtp_source_t *source, const uvsmtp_send_options_t *options,
                           uint64_t timeout_ms, uvsmtp_send_cb cb)
{
  int err = 0;
  if (send == NULL || cb == NULL || envelope == NULL || source == NULL || source->ops == NULL)
    return UVSMTP_EINVAL;
  if (envelope->recipient_count == 0 || envelope->recipients == NULL)
    return UVSMTP_ENORECIPIENTS;
  send->envelope = envelope;
  send->source = source;
  send->owner = send->transaction = NULL;
  send->client_cb = cb;
  send->client_deadline_ms = timeout_ms;
  send->client_bytes = 0;
  send->client_tries = 0;
  send->client_err = 0;
  send->client_priority = UVSMTP_PRIORITY_NORMAL;
  send->client_again = false;
  send->client_spared = send->unused = 0;
  if (options != NULL)
    err = read_options(send, options);
  if (uvsmtp_envelope_look(envelope, &send->lengths) != 0)
    return UVSMTP_EINJECTION;
  return err;
}

static inline void number(uvsmtp_client_t *client, uvsmtp_send_t *send)
{
  send->client = client;
  send->queued_ms = uv_now(client->loop);
  send->client_ticket = client->ticket++;
}

void uvsmtp__sends_number(uvsmtp_client_t *client, uvsmtp_send_t *send)
{
  number(client, send);
  if (send->client_deadline_ms != UINT64_MAX)
    send->client_deadline_ms = uvsmtp__later(send->queued_ms, send->client_deadline_ms);
}

void uvsmtp__sends_accept(uvsmtp_client_t *client, uvsmtp_send_t *send)
{
  uvsmtp__sends_number(client, send);
  enqueue(client, send);
}

static void note_full(uvsmtp_client_t *client)
{
  if (!client->was_full)
    uvsmtp__events_note(client, &(uvsmtp_client_event_t){.type = UVSMTP_CLIENT_QUEUE_FULL});
  client->was_full = true;
}

/* It is described: into the queue, if there is room for it and its results. */
static int take(uvsmtp_client_t *client, uvsmtp_send_t *send)
{
  if (client->closing)
    return UVSMTP_ECLOSING;
  send->client_bytes = uvsmtp__sends_bytes(client->counts_bytes, send->source);
  if (!uvsmtp__sends_fits(client, send->client_bytes)) {
    note_full(client);
    return UVSMTP_EQUEUEFULL;
  }
  int err = uvsmtp__sends_reserve(client, send->envelope->recipient_count);
  if (err == 0)
    uvsmtp__sends_accept(client, send);
  return err;
}

int uvsmtp_client_send_with(uvsmtp_client_t *client, uvsmtp_send_t *send,
                            const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                            const uvsmtp_send_options_t *options, uvsmtp_send_cb cb)
{
  if (client == NULL)
    return UVSMTP_EINVAL;
  int err = uvsmtp__sends_describe(send, envelope, source, options, client->send_timeout_ms, cb);
  return err == 0 ? take(client, send) : err;
}

int uvsmtp_client_send(uvsmtp_client_t *client, uvsmtp_send_t *send,
                       const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                       uvsmtp_send_cb cb)
{
  if (client == NULL || !client->undemanding)
    return uvsmtp_client_send_with(client, send, envelope, source, NULL, cb);
  int err = uvsmtp__sends_describe(send, envelope, source, NULL, UINT64_MAX, cb);
  if (err != 0)
    return err;
  if (client->queue.count >= client->max_queued || envelope->recipient_count > client->scratch_size)
    return take(client, send);
  number(client, send);
  uvsmtp__backlog_append(&client->queue, send);
  note_queued(client, send);
  return 0;
}

/* ---- on a connection ---------------------------------------------------------------------- */

static void note_retry(const uvsmtp__member_t *member, const uvsmtp_send_t *send,
                       const uvsmtp__attempt_t *attempt, const char *words)
{
  uvsmtp_client_t *client = member->client;
  client->ever.retries++;
  uvsmtp__events_note(
      client, &(uvsmtp_client_event_t){.type = UVSMTP_CLIENT_RETRY,
                                       .endpoint = uvsmtp__server_of(member->slot.endpoint)->name,
                                       .connection = uvsmtp_connection_id(member->connection),
                                       .err = attempt->err,
                                       .code = attempt->code,
                                       .text = words,
                                       .tries = send->client_tries});
}

/* It was the last on its connection: if the server takes no more there, it is told goodbye. */
static void note_last(uvsmtp__member_t *member)
{
  if (uvsmtp_connection_is_spent(member->connection))
    member->slot.retiring = true;
}

/* A session that ended under a message after it had served others may have taken all that it takes.
 * Where it is the message that ends them, that has an end. */
static bool is_spared(uvsmtp_send_t *send, bool served, const uvsmtp__attempt_t *attempt)
{
  if (!served || attempt->doubtful || send->client_spared >= MOST_SPARED ||
      uvsmtp__attempt_ending(attempt) != UVSMTP__ENDING_DEAD)
    return false;
  send->client_spared++;
  return true;
}

/* The same for one that may have failed: true if there may be another try. */
static bool may_go_back(uvsmtp_client_t *client, uvsmtp_send_t *send, uvsmtp__attempt_t *attempt)
{
  uvsmtp__member_t *member = send->client_slot;
  if (attempt->cancelled)
    uvsmtp__slot_blame(&member->slot, UVSMTP_RETIRE_CANCELLED);
  if (attempt->code != 0)
    member->slot.unproven = false; /* it was not dead: the server has said a word */
  bool served = member->slot.delivered > 0;
  client->in_flight--;
  uvsmtp__client_wake(client);
  if (member->slot.in_flight == 1)
    note_last(member);
  bool innocent = uvsmtp__pool_done(&client->pool, &member->slot, uvsmtp__attempt_ending(attempt),
                                    uv_now(client->loop));
  /* What the session's limit left is no failure either: the next session takes some of it. */
  if (innocent || (attempt->err == UVSMTP_ELIMIT && attempt->elsewhere) ||
      is_spared(send, served, attempt)) {
    send->client_tries--;
    attempt->tries--;
  }
  return !client->pool.aborting && !client->pool.finishing &&
         uvsmtp__attempt_again(attempt, client->pool.limits.max_tries);
}

static UVSMTP__RARE void go_back(uvsmtp_client_t *client, uvsmtp_send_t *send,
                                 const uvsmtp__attempt_t *attempt, const char *words)
{
  note_retry(send->client_slot, send, attempt, words);
  enqueue(client, send);
}

/* What it says of the server is kept for those who wait in vain. */
static void note_failure(uvsmtp__member_t *member, const uvsmtp_result_t *result)
{
  uvsmtp__failure_t *failure = &uvsmtp__server_of(member->slot.endpoint)->failure;
  failure->err = result->err;
  failure->code = result->code;
  failure->command = result->phase;
  memcpy(failure->enhanced, result->enhanced, sizeof(failure->enhanced));
  snprintf(failure->words, sizeof(failure->words), "%s", result->text);
  snprintf(failure->text, sizeof(failure->text), "%s", result->error_text);
}

static bool any_elsewhere(const uvsmtp_client_t *client, const uvsmtp_result_t *result)
{
  for (size_t i = 0; i < result->recipient_count; i++)
    if (result->recipients[i].try_elsewhere ||
        (client->resend_unknown && result->recipients[i].status == UVSMTP_UNKNOWN))
      return true;
  return false;
}

/* The server has refused it to all. */
static bool is_for_nobody(const uvsmtp_result_t *result)
{
  if (result->status == UVSMTP_ACCEPTED || result->code == 0)
    return false;
  for (size_t i = 0; i < result->recipient_count; i++)
    if (result->recipients[i].status != UVSMTP_REJECTED &&
        result->recipients[i].status != UVSMTP_DEFERRED)
      return false;
  return true;
}

/* All recipients were accepted, and the server said nothing else. */
static bool is_delivered(const uvsmtp_result_t *result)
{
  return result->err == 0 && result->code >= 200 && result->code < 300 && !result->cancelled;
}

static UVSMTP__RARE void on_not_delivered(uvsmtp_client_t *client, uvsmtp_send_t *send,
                                          const uvsmtp_result_t *result)
{
  uvsmtp__attempt_t attempt = {
      .err = result->err,
      .code = result->code,
      .enhanced = {result->enhanced[0], result->enhanced[1], result->enhanced[2]},
      .tries = send->client_tries,
      .elsewhere = any_elsewhere(client, result),
      .refused = is_for_nobody(result),
      .doubtful = !result->retry_is_safe,
      .cancelled = result->cancelled,
      .open = uvsmtp_connection_is_open(((uvsmtp__member_t *)send->client_slot)->connection)};
  if (uvsmtp__attempt_ending(&attempt) == UVSMTP__ENDING_DEAD)
    note_failure(send->client_slot, result);
  if (may_go_back(client, send, &attempt)) {
    char words[256];
    snprintf(words, sizeof(words), "%s", result->error_text); /* keeping lets go of them */
    if (uvsmtp_send_keep(send, result, client->resend_unknown) > 0) {
      go_back(client, send, &attempt, words);
      return;
    }
  }
  uvsmtp__sends_give(client, send, result);
}

/* A delivered one changes more than numbers. */
static void note_delivered(uvsmtp_client_t *client, uvsmtp__member_t *member)
{
  if (member->slot.in_flight == 0)
    note_last(member);
  uvsmtp__pool_delivered(&client->pool, &member->slot, uv_now(client->loop));
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  uvsmtp_client_t *client = send->client;
  uvsmtp__member_t *member = send->client_slot;
  if (!is_delivered(result)) {
    on_not_delivered(client, send, result);
    return;
  }
  client->in_flight--;
  uvsmtp__client_wake(client);
  if (!uvsmtp__slot_delivered(&member->slot))
    note_delivered(client, member);
  uvsmtp__stats_accepted(client, result);
  send->client_cb(send, result);
}

/* The connection did not even take it: because it has ended, or because of the message. */
static UVSMTP__RARE void refused(uvsmtp_client_t *client, uvsmtp_send_t *send, int err)
{
  bool ended = err == UVSMTP_ESTATE || err == UVSMTP_ECLOSING;
  uvsmtp__attempt_t attempt = {
      .err = ended ? UVSMTP_ECLOSING : err, .tries = send->client_tries, .elsewhere = ended};
  if (may_go_back(client, send, &attempt))
    go_back(client, send, &attempt, uvsmtp_strerror(err));
  else
    uvsmtp__sends_finish(client, send, err);
}

/* The first `count` that wait go to the connection; false: something else has to be done first. */
static bool start(uvsmtp_client_t *client, uvsmtp__member_t *member, size_t count, uint64_t now)
{
  uvsmtp_send_t *sends[UVSMTP__RUN_MAX];
  if (member->slot.room == 0) { /* idle, and it has ended without having told so yet */
    uvsmtp__member_lost(member);
    return false;
  }
  uvsmtp__backlog_take_run(&client->queue, sends, count);
  client->in_flight += count;
  client->ever.reused += member->slot.given > 0 ? count : count - 1;
  for (size_t i = 0; i < count; i++) {
    sends[i]->client_slot = member;
    sends[i]->client_tries++;
    sends[i]->client_again = true;
  }
  uvsmtp__pool_sent(&client->pool, &member->slot, count, sends[0]->envelope->recipient_count,
                    sends[0]->client_bytes, now);
  int err = uvsmtp_connection_resume(member->connection, sends, count, on_sent);
  for (size_t i = 0; err != 0 && i < count; i++)
    refused(client, sends[i], err);
  return err == 0;
}

void uvsmtp__sends_start(uvsmtp_client_t *client, const uvsmtp__step_t *step)
{
  uvsmtp__slot_t *slot = step->slot;
  size_t left = step->more + 1;
  uint64_t now = uv_now(client->loop);
  while (left > 0 && slot != NULL) {
    size_t count = uvsmtp__pool_run(&client->pool, slot, left);
    if (!start(client, uvsmtp__member_of(slot), count, now))
      return;
    left -= count;
    slot = left > 0 ? uvsmtp__pool_again(&client->pool, now) : NULL;
  }
}

/* One whose time is up is told so in the client's turn. */
void uvsmtp__sends_go_on(uvsmtp_client_t *client, uvsmtp__member_t *member)
{
  uint64_t now = uv_now(client->loop);
  size_t count;
  if (client->borrows_waiting > 0 || uvsmtp__backlog_due(&client->queue) <= now)
    return;
  do
    count = uvsmtp__pool_goes_on(&client->pool, &member->slot, client->queue.count, now);
  while (count > 0 && start(client, member, count, now));
}
