/*
 * What callers are told of their sends; and the results of those that no connection has seen, for
 * which there is room before they are queued.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "client/internal.h"

/* ---- room for results ---------------------------------------------------------------------- */

static size_t room(const uvsmtp_client_t *client)
{
  return client->scratch_next != NULL ? client->scratch_next_size : client->scratch_size;
}

void uvsmtp__sends_adopt(uvsmtp_client_t *client, uvsmtp_recipient_result_t *scratch, size_t size)
{
  if (size <= room(client)) {
    uvsmtp__free(&client->mem, scratch);
    return;
  }
  /* The caller of this may stand in a callback that is reading the present one. */
  if (client->telling) {
    uvsmtp__free(&client->mem, client->scratch_next);
    client->scratch_next = scratch;
    client->scratch_next_size = size;
    return;
  }
  uvsmtp__free(&client->mem, client->scratch);
  client->scratch = scratch;
  client->scratch_size = size;
}

int uvsmtp__sends_grow(uvsmtp_client_t *client, size_t recipients)
{
  size_t have = room(client);
  if (recipients <= have)
    return 0;
  size_t size = recipients < have * 2 ? have * 2 : recipients < 16 ? 16 : recipients;
  uvsmtp_recipient_result_t *larger = uvsmtp__calloc(&client->mem, size, sizeof(*larger));
  if (larger == NULL)
    return UVSMTP_ENOMEM;
  uvsmtp__sends_adopt(client, larger, size);
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

/* ---- telling ------------------------------------------------------------------------------ */

/* A message that cannot be sent so is refused for good; all else may be tried again. */
static uvsmtp_status_t status_of(int err)
{
  return uvsmtp_err_class(err) == UVSMTP_CLASS_USAGE ? UVSMTP_REJECTED : UVSMTP_DEFERRED;
}

static void explain_delay(const uvsmtp_client_t *client, char *text, size_t size)
{
  char why[400];
  uvsmtp__state_explain(client, why, sizeof(why));
  snprintf(text, size, "%s%s%s", uvsmtp_strerror(UVSMTP_EDEADLINE), why[0] != '\0' ? "; " : "",
           why);
}

void uvsmtp__sends_give(uvsmtp_client_t *client, uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  uvsmtp__stats_told(client, result);
  send->client_cb(send, result);
}

/* Some connection saw it, and what that said of its recipients counts. */
static bool tell_kept(uvsmtp_client_t *client, uvsmtp_send_t *send, uvsmtp_result_t *result)
{
  int err = result->err;
  const char *text = result->error_text;
  uvsmtp_kept_t *kept = uvsmtp_send_settle(send, result->status, text, result);
  if (kept == NULL)
    return false;
  result->err = err;
  result->error_text = text;
  uvsmtp__sends_give(client, send, result);
  uvsmtp_kept_free(kept);
  return true;
}

static void tell_unsent(uvsmtp_client_t *client, uvsmtp_send_t *send)
{
  char words[512];
  uvsmtp_result_t result = {.err = send->client_err,
                            .status = status_of(send->client_err),
                            .error_text = uvsmtp_strerror(send->client_err),
                            .text = "",
                            .peer = "",
                            .queue_id = "",
                            .recipients = client->scratch,
                            .recipient_count = send->envelope->recipient_count,
                            .retry_is_safe = true,
                            .cancelled = send->client_err == UVSMTP_ECANCELED,
                            .queued_ms = send->queued_ms,
                            .finished_ms = uv_now(client->loop)};
  if (send->client_err == 0) {
    /* No connection could be had, which says nothing about the message. */
    result.err = client->failure.err;
    result.error_text = client->failure.text;
    result.code = client->failure.code;
    result.phase = client->failure.command;
    result.phase_known = client->failure.code != 0;
    memcpy(result.enhanced, client->failure.enhanced, sizeof(result.enhanced));
    result.text = client->failure.words;
    result.status = UVSMTP_DEFERRED;
  }
  if (send->client_err == UVSMTP_EDEADLINE) {
    explain_delay(client, words, sizeof(words));
    result.error_text = words;
  }
  if (tell_kept(client, send, &result))
    return;
  for (size_t i = 0; i < result.recipient_count; i++)
    client->scratch[i] = (uvsmtp_recipient_result_t){
        .address = send->envelope->recipients[i].address,
        .status = result.status,
        .code = result.code,
        .phase = result.phase,
        .enhanced = {result.enhanced[0], result.enhanced[1], result.enhanced[2]},
        .text = result.text};
  uvsmtp__sends_give(client, send, &result);
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
