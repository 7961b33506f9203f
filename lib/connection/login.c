/*
 * Logging in: authenticators are tried one after another, each exchange step by step.
 *
 *   choose -> exchange -> step(NULL) -> AUTH -> 334 -> step(challenge) -> … -> reply -> finish
 *     ^                                                                               |
 *     +-------------------------- the next, after a refusal -----------------------------+
 *
 * A step that is suspended leaves the connection waiting, with reading on; it goes on by wake, or
 * when its time is up. Nothing is freed while a step may be running: a connection that ends
 * inside one is cleared when it is settled.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "connection/connection.h"

/* ---- what an exchange may use ---- */

static void on_wake(void *owner)
{
  uvsmtp__login_wake(owner);
}

static int on_binding(void *owner, const char *type, uint8_t *out, size_t *len)
{
  uvsmtp_connection_t *c = owner;
  return c->tls_done ? uvsmtp_tls_channel_binding(c->tls, type, out, len) : UVSMTP_ESTATE;
}

/* A job in a worker thread. It may outlive the exchange, and holds the connection. */
typedef struct job_s {
  uv_work_t work;
  uvsmtp_connection_t *connection;
  uvsmtp_auth_job_t *job;
} job_t;

static void work_job(uv_work_t *work)
{
  job_t *job = work->data;
  job->job->work(job->job);
}

static void job_done(uv_work_t *work, int status)
{
  job_t *job = work->data;
  uvsmtp_connection_t *c = job->connection;
  job->job->done(job->job, status == 0 ? 0 : UVSMTP_ECANCELED);
  uvsmtp__free(c->mem, job);
  uvsmtp__offload_end(c);
}

static int on_offload(void *owner, uvsmtp_auth_job_t *auth_job)
{
  uvsmtp_connection_t *c = owner;
  job_t *job = uvsmtp__calloc(c->mem, 1, sizeof(*job));
  int err;
  if (job == NULL)
    return UVSMTP_ENOMEM;
  job->work.data = job;
  job->connection = c;
  job->job = auth_job;
  err = uv_queue_work(c->loop, &job->work, work_job, job_done);
  if (err != 0)
    uvsmtp__free(c->mem, job);
  else
    uvsmtp__offload_begin(c);
  return err;
}

/* ---- one after another ---- */

static void step(uvsmtp_connection_t *c, const uvsmtp_slice_t *challenge);

static int start_exchange(uvsmtp_connection_t *c)
{
  uvsmtp_auth_context_t context = UVSMTP_AUTH_CONTEXT_INIT;
  context.mechanism = c->ends->choice->mechanism;
  context.offered = c->ends->choice->offered;
  context.host = c->ends->choice->host;
  context.port = c->ends->choice->port;
  context.tls = c->ends->choice->tls;
  context.allow_plaintext = c->config->o.allow_plaintext_auth;
  context.crypto = uvsmtp_tls_crypto();
  context.mem = c->mem;
  context.owner = c;
  context.wake = on_wake;
  context.offload = on_offload;
  context.channel_binding = on_binding;
  c->ends->auth_sent = c->ends->auth_cancelled = c->ends->suspended = false;
  return uvsmtp_exchange_new(&c->ends->exchange, c->ends->choice->auth, &context);
}

static void give_up(uvsmtp_connection_t *c, int err, const char *why)
{
  char whom[UVSMTP__PEER_SIZE];
  uvsmtp__connection_say_goodbye(c);
  uvsmtp__connection_fail(c, err, "logging in to %s failed: %s",
                          uvsmtp__connection_whom(c, whom, sizeof(whom)),
                          why[0] != '\0' ? why : uvsmtp_strerror(err));
}

/* Runs what comes next; the finished exchange tells what that is. */
static void try_next(uvsmtp_connection_t *c)
{
  uvsmtp_exchange_t *last = c->ends->exchange;
  int err = uvsmtp_auth_choose(c->ends->choice, last, uv_now(c->loop));
  c->ends->exchange = NULL;
  c->ends->suspended = false;
  uvsmtp_exchange_free(last);
  if (!uvsmtp__connection_alive(c)) /* the mechanism's cleanup has closed it */
    return;
  if (err != 0) {
    give_up(c, err, c->ends->choice->detail);
    return;
  }
  c->ends->code = 0;
  err = start_exchange(c);
  if (err != 0)
    give_up(c, err, "");
  else
    step(c, NULL);
}

/* The name by which refusals are remembered: never that of a CNAME's target. */
static const char *server_name(const uvsmtp_connection_t *c)
{
  return c->config->o.host != NULL ? c->config->o.host : "localhost";
}

uint64_t uvsmtp__login_rest_ms(const uvsmtp_connection_t *c)
{
  uint64_t least_ms = c->config->auth_count != 0 ? UINT64_MAX : 0;
  for (size_t i = 0; i < c->config->auth_count; i++) {
    uint64_t rest_ms = uvsmtp_auth_rest_ms(c->config->auths[i], server_name(c), c->config->o.port,
                                           uv_now(c->loop));
    if (rest_ms < least_ms)
      least_ms = rest_ms;
  }
  return least_ms;
}

void uvsmtp__login_begin(uvsmtp_connection_t *c)
{
  const uvsmtp_connection_options_t *o = &c->config->o;
  if (c->config->auth_count == 0) {
    uvsmtp__connection_ready(c);
    return;
  }
  c->ends->choice = uvsmtp__malloc(c->mem, sizeof(*c->ends->choice));
  if (c->ends->choice == NULL) {
    give_up(c, UVSMTP_ENOMEM, "");
    return;
  }
  *c->ends->choice = (uvsmtp_auth_choice_t)UVSMTP_AUTH_CHOICE_INIT;
  c->ends->choice->auths = c->config->auths;
  c->ends->choice->auth_count = c->config->auth_count;
  c->ends->choice->offered = uvsmtp_protocol_capabilities(c->protocol)->auth_mechanisms;
  c->ends->choice->host = server_name(c);
  c->ends->choice->port = o->port;
  if (c->tls_done)
    c->ends->choice->doubt = uvsmtp_tls_overlooked(c->tls);
  c->ends->choice->tls = c->tls_done && c->ends->choice->doubt == NULL;
  c->ends->choice->allow_plaintext = o->allow_plaintext_auth;
  c->ends->choice->channel_binding = c->tls_done;
  try_next(c);
}

/* ---- one exchange ---- */

static int send_response(uvsmtp_connection_t *c, uvsmtp_slice_t response)
{
  int err;
  if (c->ends->auth_sent)
    return uvsmtp_protocol_send_authentication_data(c->protocol, response.base, response.len);
  err = uvsmtp_protocol_authenticate(c->protocol, c->ends->choice->mechanism, response.base,
                                     response.len, NULL);
  c->ends->auth_sent = err == 0;
  return err;
}

/* This side does not go on: "*", whose 501 ends the exchange; or at once, before AUTH was sent. */
static void break_off(uvsmtp_connection_t *c)
{
  int err = 0;
  if (!c->ends->auth_sent) {
    uvsmtp_exchange_finish(c->ends->exchange, uv_now(c->loop), 0, NULL, NULL);
    try_next(c);
    return;
  }
  if (!c->ends->auth_cancelled)
    err = uvsmtp_protocol_cancel_authentication(c->protocol);
  c->ends->auth_cancelled = true;
  if (err != 0)
    give_up(c, err, "");
}

static void step(uvsmtp_connection_t *c, const uvsmtp_slice_t *challenge)
{
  uvsmtp_slice_t response = {NULL, 0};
  int err = uvsmtp_exchange_step(c->ends->exchange, uv_now(c->loop), challenge, &response);
  if (!uvsmtp__connection_alive(c)) /* the step has closed it */
    return;
  c->ends->suspended = err == UVSMTP_PENDING;
  if (err == UVSMTP_PENDING)
    return;
  if (err < 0) {
    break_off(c);
    return;
  }
  err = send_response(c, response);
  if (err == UVSMTP_ETOOLONG) {
    uvsmtp_exchange_fail(c->ends->exchange, err,
                         "the response is too long for a line of the dialogue");
    break_off(c);
  } else if (err != 0) {
    give_up(c, err, "");
  }
}

void uvsmtp__login_wake(uvsmtp_connection_t *c)
{
  if (!uvsmtp__connection_alive(c) || c->ends == NULL || !c->ends->suspended)
    return;
  step(c, NULL);
  uvsmtp__connection_flush(c);
}

static void clear(uvsmtp_connection_t *c)
{
  uvsmtp_exchange_t *exchange = c->ends->exchange;
  c->ends->exchange = NULL;
  c->ends->suspended = false;
  uvsmtp_exchange_free(exchange);
  uvsmtp__free(c->mem, c->ends->choice);
  c->ends->choice = NULL;
}

static void finish(uvsmtp_connection_t *c, const uvsmtp_reply_t *reply)
{
  char words[400], enhanced[24] = "";
  int err;
  uvsmtp__reply_words(reply, words, sizeof(words));
  if (reply->enhanced[0] != 0)
    snprintf(enhanced, sizeof(enhanced), "%u.%u.%u", reply->enhanced[0], reply->enhanced[1],
             reply->enhanced[2]);
  err = uvsmtp_exchange_finish(c->ends->exchange, uv_now(c->loop), reply->code,
                               enhanced[0] != '\0' ? enhanced : NULL, words);
  if (!uvsmtp__connection_alive(c))
    return;
  if (err == 0) {
    clear(c);
    uvsmtp__connection_ready(c);
    return;
  }
  uvsmtp__connection_note_reply(c, reply, words);
  try_next(c);
}

/* It goes on after "*": what it would take the next AUTH for, nobody knows. */
static void leave(uvsmtp_connection_t *c)
{
  uint64_t now = uv_now(c->loop);
  int err;
  uvsmtp_exchange_finish(c->ends->exchange, now, 334, NULL, NULL);
  err = uvsmtp_auth_choose(c->ends->choice, c->ends->exchange, now);
  /* If there is another mechanism, it is for another connection: login_clear notes which. */
  give_up(c, err != 0 ? err : UVSMTP_EAUTHTEMPORARY, c->ends->choice->detail);
}

void uvsmtp__login_event(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  if (UVSMTP_REPLY_CLASS(&event->reply) != 3) { /* by class, as the protocol has it */
    finish(c, &event->reply);
  } else if (c->ends->auth_cancelled) {
    leave(c);
  } else if (event->err != 0) {
    uvsmtp_exchange_fail(c->ends->exchange, event->err,
                         event->err == UVSMTP_EAUTHCHALLENGE ? "the challenge is not base64"
                                                             : uvsmtp_strerror(event->err));
    break_off(c);
  } else {
    step(c, &event->challenge);
  }
}

void uvsmtp__login_clear(uvsmtp_connection_t *c)
{
  if (c->ends->exchange != NULL && c->err != UVSMTP_ECANCELED)
    uvsmtp_auth_choice_lost(c->ends->choice, uv_now(c->loop));
  clear(c);
}
