#include "client/blocking.h"

#include <stdio.h>
#include <string.h>

/* ---- SIGPIPE ------------------------------------------------------------------------------ */

/*
 * A server that closes while something is written to it raises SIGPIPE, in the thread that writes,
 * and by default that ends the program. A library must not change what the whole process does with
 * a signal; the mask of the calling thread is its own.
 */
#ifndef _WIN32
static void hold_sigpipe(uvsmtp__blocking_t *b)
{
  sigset_t pipe, pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  b->had_sigpipe = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &b->signals);
}

static void release_sigpipe(uvsmtp__blocking_t *b)
{
  sigset_t pipe, pending;
  int taken;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  if (!b->had_sigpipe && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE))
    sigwait(&pipe, &taken);
  pthread_sigmask(SIG_SETMASK, &b->signals, NULL);
}
#else
static void hold_sigpipe(uvsmtp__blocking_t *b)
{
}

static void release_sigpipe(uvsmtp__blocking_t *b)
{
}
#endif

/* ---- the loop ----------------------------------------------------------------------------- */

static void on_wake(uv_async_t *wake)
{
  /* The loop has been woken, which is all. */
}

static void on_clock(uv_timer_t *clock)
{
  uvsmtp__blocking_t *b = clock->data;
  b->expired = true;
}

int uvsmtp__blocking_init(uvsmtp__blocking_t *b, const uvsmtp_mem_t *mem)
{
  int err = uv_loop_init(&b->loop);
  if (err != 0)
    return err;
  err = uv_async_init(&b->loop, &b->wake, on_wake);
  if (err != 0) {
    uv_loop_close(&b->loop);
    return err;
  }
  uv_timer_init(&b->loop, &b->clock);
  b->clock.data = b;
  b->mem = *mem;
  atomic_init(&b->cancelled, false);
  return 0;
}

typedef struct count_s {
  const uvsmtp__blocking_t *b;
  size_t others; /* handles that are not ours and not being closed */
} count_t;

static void count_others(uv_handle_t *handle, void *arg)
{
  count_t *count = arg;
  bool ours = handle == (const uv_handle_t *)&count->b->wake ||
              handle == (const uv_handle_t *)&count->b->clock;
  count->others += !ours && !uv_is_closing(handle);
}

int uvsmtp__blocking_end(uvsmtp__blocking_t *b)
{
  count_t count = {.b = b};
  uv_walk(&b->loop, count_others, &count);
  if (count.others > 0)
    return UVSMTP_EBUSY;
  uv_close((uv_handle_t *)&b->wake, NULL);
  uv_close((uv_handle_t *)&b->clock, NULL);
  /* Until what is closing is closed and what the thread pool still does is done. */
  uv_run(&b->loop, UV_RUN_DEFAULT);
  release_sigpipe(b);
  uv_loop_close(&b->loop);
  return 0;
}

int uvsmtp__blocking_enter(uvsmtp__blocking_t *b)
{
  if (b->inside)
    return UVSMTP_EBUSY;
  hold_sigpipe(b);
  b->inside = true;
  b->done = b->expired = false;
  b->stopped = 0;
  b->text[0] = '\0';
  uv_run(&b->loop, UV_RUN_NOWAIT);
  return 0;
}

static int reason_to_stop(uvsmtp__blocking_t *b)
{
  if (atomic_exchange(&b->cancelled, false))
    return UVSMTP_ECANCELED;
  return b->expired ? UVSMTP_EDEADLINE : 0;
}

void uvsmtp__blocking_wait(uvsmtp__blocking_t *b, void (*abort)(void *ctx), void *ctx)
{
  if (b->timeout_ms != 0) {
    uv_update_time(&b->loop);
    uv_timer_start(&b->clock, on_clock, b->timeout_ms, 0);
  }
  while (!b->done) {
    if (b->stopped == 0 && (b->stopped = reason_to_stop(b)) != 0)
      abort(ctx);
    if (!b->done)
      uv_run(&b->loop, UV_RUN_ONCE);
  }
  uv_timer_stop(&b->clock);
}

int uvsmtp__blocking_leave(uvsmtp__blocking_t *b, int err, const char *text)
{
  if (err == UVSMTP_ECANCELED && b->stopped != 0) {
    err = b->stopped;
    text = NULL;
  }
  if (err != 0)
    snprintf(b->text, sizeof(b->text), "%s",
             text != NULL && text[0] != '\0' ? text : uvsmtp_strerror(err));
  b->inside = false;
  release_sigpipe(b);
  return err;
}

void uvsmtp__blocking_cancel(uvsmtp__blocking_t *b)
{
  atomic_store(&b->cancelled, true);
  uv_async_send(&b->wake);
}

/* ---- results ------------------------------------------------------------------------------ */

void uvsmtp__blocking_keep(const uvsmtp__blocking_t *b, uvsmtp__kept_t *kept,
                           const uvsmtp_result_t *result)
{
  uvsmtp_result_t told = *result;
  if (told.cancelled && told.err == UVSMTP_ECANCELED && b->stopped != 0) {
    told.err = b->stopped;
    told.error_text = uvsmtp_strerror(b->stopped);
  }
  uvsmtp__kept_fill(kept, &told);
}

static uvsmtp_result_t without_recipients(int err)
{
  uvsmtp_err_class_t klass = uvsmtp_err_class(err);
  bool later = klass == UVSMTP_CLASS_RESOURCE || klass == UVSMTP_CLASS_CANCELLED;
  return (uvsmtp_result_t){.status = later ? UVSMTP_DEFERRED : UVSMTP_REJECTED,
                           .err = err,
                           .error_text = uvsmtp_strerror(err),
                           .text = "",
                           .peer = "",
                           .queue_id = "",
                           .retry_is_safe = true};
}

const uvsmtp_result_t *uvsmtp__blocking_not_begun(uvsmtp__blocking_t *b, int err)
{
  b->none = without_recipients(err);
  return &b->none;
}

void uvsmtp__blocking_refuse(uvsmtp__kept_t *kept, const uvsmtp_envelope_t *envelope, int err)
{
  uvsmtp_result_t result = without_recipients(err);
  if (envelope->recipients != NULL)
    result.recipient_count = envelope->recipient_count;
  result.recipients = kept->recipients;
  for (size_t i = 0; i < result.recipient_count; i++) {
    const char *address = envelope->recipients[i].address;
    kept->recipients[i] = (uvsmtp_recipient_result_t){
        .address = address != NULL ? address : "", .status = result.status, .text = ""};
  }
  uvsmtp__kept_fill(kept, &result);
}
