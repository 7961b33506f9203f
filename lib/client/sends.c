/*
 * Sends on their way: queue, connection, and back to the queue or to the caller. A send lies in
 * one of three places: client->queue, a connection (its links are the connection's then), or
 * client->finished, from where the pump tells the caller of an end that no connection saw.
 */
#include <string.h>

#include "base/mem.h"
#include "client/internal.h"

/* ---- results of sends that no connection has seen ----------------------------------------- */

int uvsmtp__sends_reserve(uvsmtp_client_t *client, size_t recipients)
{
  size_t have = client->scratch_next != NULL ? client->scratch_next_size : client->scratch_size;
  if (recipients <= have)
    return 0;
  size_t size = recipients < have * 2 ? have * 2 : recipients < 16 ? 16 : recipients;
  uvsmtp_recipient_result_t *larger = uvsmtp__calloc(&client->mem, size, sizeof(*larger));
  if (larger == NULL)
    return UVSMTP_ENOMEM;
  /* The caller of this may stand in a callback that is reading the present one. */
  if (client->telling) {
    uvsmtp__free(&client->mem, client->scratch_next);
    client->scratch_next = larger;
    client->scratch_next_size = size;
    return 0;
  }
  uvsmtp__free(&client->mem, client->scratch);
  client->scratch = larger;
  client->scratch_size = size;
  return 0;
}

static void use_larger_scratch(uvsmtp_client_t *client)
{
  if (client->scratch_next == NULL)
    return;
  uvsmtp__free(&client->mem, client->scratch);
  client->scratch = client->scratch_next;
  client->scratch_size = client->scratch_next_size;
  client->scratch_next = NULL;
}

void uvsmtp__sends_release(uvsmtp_client_t *client)
{
  uvsmtp__free(&client->mem, client->scratch);
  uvsmtp__free(&client->mem, client->scratch_next);
}

/* Hands the outcome to the caller; `send` is the caller's again. */
static void tell(uvsmtp_client_t *client, uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  uvsmtp_result_t told = *result;
  client->ever.sent++;
  client->ever.accepted += result->status == UVSMTP_ACCEPTED;
  client->ever.rejected += result->status == UVSMTP_REJECTED;
  client->ever.deferred += result->status == UVSMTP_DEFERRED;
  client->ever.unknown += result->status == UVSMTP_UNKNOWN;
  client->ever.partial += result->status == UVSMTP_PARTIAL;
  told.queued_ms = send->client_queued_ms;
  send->client_cb(send, &told);
}

/* A message that cannot be sent so is refused for good; all else may be tried again. */
static uvsmtp_status_t status_of(int err, bool opening)
{
  return uvsmtp_err_class(err) == UVSMTP_CLASS_USAGE && !opening ? UVSMTP_REJECTED
                                                                 : UVSMTP_DEFERRED;
}

static void tell_unsent(uvsmtp_client_t *client, uvsmtp_send_t *send)
{
  bool opening = send->client_err == client->open_err && client->open_err != 0;
  uvsmtp_result_t result = {.err = send->client_err,
                            .status = status_of(send->client_err, opening),
                            .code = opening ? client->open_code : 0,
                            .error_text =
                                opening ? client->open_text : uvsmtp_strerror(send->client_err),
                            .text = "",
                            .peer = "",
                            .recipients = client->scratch,
                            .recipient_count = send->envelope->recipient_count,
                            .retry_is_safe = true,
                            .cancelled = send->client_err == UVSMTP_ECANCELED,
                            .finished_ms = uv_now(client->loop)};
  for (size_t i = 0; i < result.recipient_count; i++)
    client->scratch[i] =
        (uvsmtp_recipient_result_t){.address = send->envelope->recipients[i].address,
                                    .status = result.status,
                                    .code = result.code,
                                    .text = ""};
  tell(client, send, &result);
}

void uvsmtp__sends_tell(uvsmtp_client_t *client)
{
  uvsmtp__link_t ready;
  /* What callbacks finish is told at the next turn: one that sends in its callback cannot keep
   * the loop here. */
  uvsmtp__list_move(&ready, &client->finished);
  client->telling = true;
  while (!uvsmtp__list_empty(&ready)) {
    uvsmtp_send_t *send = uvsmtp__send_of(ready.next);
    uvsmtp__list_remove(ready.next);
    send->cancel_queued = NULL;
    tell_unsent(client, send);
  }
  client->telling = false;
  use_larger_scratch(client);
}

/* ---- the queue ---------------------------------------------------------------------------- */

static void cancel_finished(uvsmtp_send_t *send)
{
  /* Its end is decided already, and comes soon. */
}

static void finish(uvsmtp_client_t *client, uvsmtp_send_t *send, int err)
{
  send->client_err = err;
  send->cancel_queued = cancel_finished;
  uvsmtp__list_push_back(&client->finished, uvsmtp__send_link(send));
  uvsmtp__client_wake(client);
}

static void cancel_waiting(uvsmtp_send_t *send)
{
  uvsmtp_client_t *client = send->client;
  uvsmtp__list_remove(uvsmtp__send_link(send));
  client->queued--;
  finish(client, send, UVSMTP_ECANCELED);
}

/* In the order of the tickets: one that comes back stands before those that came after it. */
static void enqueue(uvsmtp_client_t *client, uvsmtp_send_t *send)
{
  uvsmtp__link_t *at = client->queue.next;
  if (send->client_tries == 0)
    at = &client->queue;
  while (at != &client->queue && uvsmtp__send_of(at)->client_ticket < send->client_ticket)
    at = at->next;
  uvsmtp__list_insert_before(at, uvsmtp__send_link(send));
  send->cancel_queued = cancel_waiting;
  send->client_slot = NULL;
  client->queued++;
  uvsmtp__client_wake(client);
}

void uvsmtp__sends_fail(uvsmtp_client_t *client, int err)
{
  while (!uvsmtp__list_empty(&client->queue)) {
    uvsmtp_send_t *send = uvsmtp__send_of(client->queue.next);
    uvsmtp__list_remove(client->queue.next);
    client->queued--;
    finish(client, send, err);
  }
}

int uvsmtp_client_send(uvsmtp_client_t *client, uvsmtp_send_t *send,
                       const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                       uvsmtp_send_cb cb)
{
  if (client == NULL || send == NULL || cb == NULL)
    return UVSMTP_EINVAL;
  if (envelope == NULL || source == NULL || source->ops == NULL)
    return UVSMTP_EINVAL;
  if (envelope->recipient_count == 0 || envelope->recipients == NULL)
    return UVSMTP_ENORECIPIENTS;
  if (uvsmtp_envelope_check(envelope) != 0)
    return UVSMTP_EINJECTION;
  if (client->closing)
    return UVSMTP_ECLOSING;
  if (client->queued >= client->max_queued)
    return UVSMTP_EQUEUEFULL;
  int err = uvsmtp__sends_reserve(client, envelope->recipient_count);
  if (err != 0)
    return err;
  send->envelope = envelope;
  send->source = source;
  send->owner = send->transaction = NULL;
  send->client_cb = cb;
  send->client = client;
  send->client_queued_ms = uv_now(client->loop);
  send->client_ticket = client->ticket++;
  send->client_tries = 0;
  send->client_err = 0;
  enqueue(client, send);
  return 0;
}

/* ---- on a connection ---------------------------------------------------------------------- */

static bool all_deferred(const uvsmtp_result_t *result)
{
  for (size_t i = 0; i < result->recipient_count; i++)
    if (result->recipients[i].status != UVSMTP_DEFERRED)
      return false;
  return result->status == UVSMTP_DEFERRED;
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  uvsmtp_client_t *client = send->client;
  uvsmtp__member_t *member = send->client_slot;
  uvsmtp__attempt_t attempt = {.err = result->err,
                               .code = result->code,
                               .tries = send->client_tries,
                               .all_deferred = all_deferred(result),
                               .retry_is_safe = result->retry_is_safe,
                               .cancelled = result->cancelled};
  client->in_flight--;
  uvsmtp__pool_done(&client->pool, &member->slot, uvsmtp__pool_is_dead(&attempt),
                    uv_now(client->loop));
  uvsmtp__client_wake(client);
  if (uvsmtp__pool_may_retry(&client->pool, &attempt)) {
    client->ever.retries++;
    enqueue(client, send);
    return;
  }
  tell(client, send, result);
}

/* The connection did not even take it: because it has ended, or because of the message. */
static void refused(uvsmtp_client_t *client, uvsmtp__member_t *member, uvsmtp_send_t *send, int err)
{
  uvsmtp__attempt_t attempt = {.err = err == UVSMTP_ESTATE ? UVSMTP_ECLOSING : err,
                               .tries = send->client_tries,
                               .all_deferred = true,
                               .retry_is_safe = true};
  client->in_flight--;
  uvsmtp__pool_done(&client->pool, &member->slot, uvsmtp__pool_is_dead(&attempt),
                    uv_now(client->loop));
  if (!uvsmtp__pool_may_retry(&client->pool, &attempt)) {
    finish(client, send, err);
    return;
  }
  client->ever.retries++;
  enqueue(client, send);
}

void uvsmtp__sends_start(uvsmtp_client_t *client, uvsmtp__member_t *member)
{
  uvsmtp_send_t *send = uvsmtp__send_of(client->queue.next);
  uvsmtp__list_remove(client->queue.next);
  client->queued--;
  client->in_flight++;
  client->ever.reused += member->slot.given > 0;
  send->cancel_queued = NULL;
  send->client_slot = member;
  send->client_tries++;
  uvsmtp__pool_sent(&client->pool, &member->slot, uv_now(client->loop));
  int err = uvsmtp_connection_send(member->connection, send, send->envelope, send->source, on_sent);
  if (err != 0)
    refused(client, member, send, err);
}
