/*
 * The TLS handshake, off the loop's thread: its computations take milliseconds, and reading the
 * system's trust store tens of them. While a worker thread has the engine, the connection does not
 * read, and touches it in no way; a connection that ends meanwhile stays in memory until the
 * worker is done.
 *
 * A caller who has other work for libuv's threads can have the handshakes on the loop's thread.
 * Then a turn of the loop takes a few short steps or one long one, however many begin at a time, so
 * that those that deliver get their turn.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "connection/connection.h"

/* For another connection's session: a tenth of what a handshake may take, 3 s by default. */
#define WAIT_MS(limit) ((limit) == UINT64_MAX ? 3000 : (limit) / 10)
/* Of the loop: steps of resumed handshakes are short; a long one has the turn for itself. */
#define STEPS_A_TURN 4
#define LONG_STEP_NS 500000

void uvsmtp__offload_begin(uvsmtp_connection_t *c)
{
  if (c->jobs++ == 0)
    uvsmtp__hold(c, UVSMTP__HOLD_OFFLOAD);
}

void uvsmtp__offload_end(uvsmtp_connection_t *c)
{
  if (--c->jobs == 0)
    uvsmtp__drop(c, UVSMTP__HOLD_OFFLOAD);
}

static void run(uvsmtp_connection_t *c, uv_work_cb work, uv_after_work_cb done)
{
  c->ends->work->req.data = c;
  c->working = true;
  uvsmtp__offload_begin(c);
  uv_queue_work(c->loop, &c->ends->work->req, work, done);
}

/* ---- the context that connections without one of their own share ---- */

static uv_once_t shared_once = UV_ONCE_INIT;
static uv_mutex_t shared_mutex;
static uvsmtp_tls_context_t *shared;
static size_t shared_users;

static void init_shared(void)
{
  uv_mutex_init(&shared_mutex);
}

static void shared_acquire(uv_work_t *work)
{
  uvsmtp_connection_t *c = work->data;
  uvsmtp_tls_options_t options = UVSMTP_TLS_OPTIONS_INIT;
  options.trust_optional = c->config->o.tls == UVSMTP_TLS_OPPORTUNISTIC;
  c->ends->work->err = 0;
  uv_once(&shared_once, init_shared);
  uv_mutex_lock(&shared_mutex);
  if (shared_users == 0)
    c->ends->work->err = uvsmtp_tls_context_new(&shared, &options, c->ends->work->detail,
                                                sizeof(c->ends->work->detail));
  if (c->ends->work->err == 0) {
    shared_users++;
    c->ends->work->context = shared;
  }
  uv_mutex_unlock(&shared_mutex);
}

void uvsmtp__shared_context_release(void)
{
  uv_mutex_lock(&shared_mutex);
  if (--shared_users == 0) {
    uvsmtp_tls_context_free(shared);
    shared = NULL;
  }
  uv_mutex_unlock(&shared_mutex);
}

/* ---- the handshake ---- */

static void fail(uvsmtp_connection_t *c, int err, const char *detail)
{
  char whom[UVSMTP__PEER_SIZE];
  c->tls_failed = true;
  uvsmtp__connection_fail(c, err, "TLS handshake with %s failed: %s",
                          uvsmtp__connection_whom(c, whom, sizeof(whom)), detail);
}

static bool keeps_credentials_back(const uvsmtp_connection_t *c)
{
  return uvsmtp_tls_overlooked(c->tls) != NULL && c->config->auth_count > 0 &&
         !c->config->o.allow_plaintext_auth;
}

static void complete(uvsmtp_connection_t *c)
{
  c->tls_done = true;
  c->security = uvsmtp_tls_verified(c->tls) ? UVSMTP_SECURITY_VERIFIED : UVSMTP_SECURITY_UNVERIFIED;
  uvsmtp__free(c->mem, c->ends->work);
  c->ends->work = NULL;
  c->info.tls_ended_ms = uv_now(c->loop);
  if (keeps_credentials_back(c)) /* until it was mended: the next one looks again */
    c->ends->visit.resumes = false;
  uvsmtp__history_shaken(&c->ends->visit, c->tls);
  if (c->protocol == NULL)
    uvsmtp__session_begin(c);
  else
    uvsmtp__session_tls_started(c);
  if (!uvsmtp__connection_alive(c))
    return;
  uvsmtp__stream_read(c);
  uvsmtp__stream_decrypt(c); /* what came with the last message of the handshake */
}

/* Once the session is ready the server has sent something, so nobody waits. */
void uvsmtp__handshake_learn(uvsmtp_connection_t *c, bool heard)
{
  uvsmtp__visit_t late = {.history = c->config->history,
                          .resumes = !c->config->o.no_tls_resumption && !keeps_credentials_back(c)};
  uvsmtp__history_learn(c->ends != NULL ? &c->ends->visit : &late, c->tls, heard);
}

/* What one step of the handshake has led to. */
static void stepped(uvsmtp_connection_t *c, int err)
{
  uvsmtp__stream_write(c); /* after an error too: it is an alert for the server */
  if (err == 0)
    complete(c);
  else if (err == UVSMTP_PENDING)
    uvsmtp__stream_read(c);
  else
    fail(c, err, uvsmtp_tls_error_detail(c->tls));
}

static void shake(uv_work_t *work)
{
  uvsmtp_connection_t *c = work->data;
  c->ends->work->err = uvsmtp_tls_handshake(c->tls);
}

static void shaken(uv_work_t *work, int status)
{
  uvsmtp_connection_t *c = work->data;
  c->working = false;
  if (uvsmtp__connection_alive(c))
    stepped(c, c->ends->work->err);
  uvsmtp__offload_end(c);
}

static void step_on_loop(uvsmtp_connection_t *c)
{
  uvsmtp__hub_t *turn = c->hub;
  uint64_t now = uv_now(c->loop), begun;
  int err;
  if (turn->steps_at != now) {
    turn->steps_at = now;
    turn->steps = 0;
  }
  if (turn->steps == STEPS_A_TURN) {
    c->ends->work->step_at = now + 1;
    return;
  }
  turn->steps++;
  c->ends->work->step_due = false;
  begun = uv_hrtime();
  err = uvsmtp_tls_handshake(c->tls);
  if (uv_hrtime() - begun > LONG_STEP_NS)
    turn->steps = STEPS_A_TURN;
  stepped(c, err);
}

static void go_on(uvsmtp_connection_t *c)
{
  uvsmtp__stream_pause(c);
  if (!c->config->o.tls_on_loop) {
    run(c, shake, shaken);
    return;
  }
  c->ends->work->step_due = true;
  c->ends->work->step_at = uv_now(c->loop);
  uvsmtp__timer_note(c);
}

/* Begins with a session, or without one, or waits for one. */
static void begin(uvsmtp_connection_t *c)
{
  bool patient = uv_now(c->loop) < c->ends->work->wait_deadline;
  bool may_go = uvsmtp__history_begin(&c->ends->visit, c->tls, patient);
  c->phase = may_go ? UVSMTP__PHASE_HANDSHAKE : UVSMTP__PHASE_TLS_WAIT;
  if (may_go)
    go_on(c);
  else
    uvsmtp__timer_note(c);
}

static void wake(uvsmtp__visit_t *visit)
{
  begin(UVSMTP__CONTAINER(visit, uvsmtp__ends_t, visit)->connection);
}

static void start(uvsmtp_connection_t *c, uvsmtp_tls_context_t *context)
{
  const uvsmtp_connection_options_t *o = &c->config->o;
  int err = o->tls == UVSMTP_TLS_OPPORTUNISTIC
                ? uvsmtp_tls_new_opportunistic(&c->tls, context, o->host)
                : uvsmtp_tls_new(&c->tls, context, o->host);
  c->info.tls_started_ms = uv_now(c->loop);
  c->phase = UVSMTP__PHASE_HANDSHAKE;
  if (err != 0) {
    fail(c, err, o->host == NULL ? "no host name was given to check" : uvsmtp_strerror(err));
    return;
  }
  c->ends->visit = (uvsmtp__visit_t){
      .history = c->config->history, .resumes = !o->no_tls_resumption, .wake = wake};
  c->ends->work->wait_deadline = uvsmtp__later(uv_now(c->loop), WAIT_MS(o->tls_timeout_ms));
  begin(c);
}

static void have_context(uv_work_t *work, int status)
{
  uvsmtp_connection_t *c = work->data;
  c->working = false;
  if (c->ends->work->err == 0)
    c->uses_shared = !uvsmtp__history_keep_context(c->config->history, c->ends->work->context);
  if (uvsmtp__connection_alive(c)) {
    if (c->ends->work->err == 0)
      start(c, c->ends->work->context);
    else
      fail(c, c->ends->work->err, c->ends->work->detail);
  }
  uvsmtp__offload_end(c);
}

void uvsmtp__handshake_begin(uvsmtp_connection_t *c)
{
  uvsmtp_tls_context_t *context = c->config->o.tls_context;
  uint64_t limit = c->config->o.tls_timeout_ms;
  char whom[UVSMTP__PEER_SIZE];
  c->ends->work = uvsmtp__calloc(c->mem, 1, sizeof(*c->ends->work));
  if (c->ends->work == NULL) {
    uvsmtp__connection_fail(c, UVSMTP_ENOMEM, "TLS handshake with %s failed: %s",
                            uvsmtp__connection_whom(c, whom, sizeof(whom)),
                            uvsmtp_strerror(UVSMTP_ENOMEM));
    return;
  }
  c->ends->connection = c;
  c->ends->work->deadline = uvsmtp__later(uv_now(c->loop), limit);
  uvsmtp__stream_pause(c);
  if (context == NULL)
    context = uvsmtp__history_context(c->config->history);
  if (context != NULL) {
    start(c, context);
  } else {
    c->phase = UVSMTP__PHASE_TLS_CONTEXT;
    run(c, shared_acquire, have_context);
  }
  if (uvsmtp__connection_alive(c))
    uvsmtp__timer_note(c);
}

void uvsmtp__handshake_run(uvsmtp_connection_t *c)
{
  if (c->phase == UVSMTP__PHASE_TLS_WAIT)
    begin(c);
  else if (c->ends->work->step_due)
    step_on_loop(c);
}

void uvsmtp__handshake_feed(uvsmtp_connection_t *c, const char *bytes, size_t len)
{
  int err = uvsmtp_tls_feed(c->tls, bytes, len);
  if (err == 0)
    err = uvsmtp_tls_keep(c->tls);
  if (err != 0)
    fail(c, err, uvsmtp_strerror(err));
  else
    go_on(c);
}
