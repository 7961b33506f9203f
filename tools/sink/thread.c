/*
 * A sink on a thread of its own. Other threads leave a request and wake the loop; those that want
 * an answer wait for a semaphore.
 */
#include "sink/sink.h"

#include <uvsmtp/errors.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum request_e { NONE, COUNTERS, DROP, DROP_RESET, END } request_t;

struct sink_thread_s {
  uv_thread_t thread;
  uv_loop_t loop;
  uv_async_t wake;
  uv_sem_t started, done;
  uv_mutex_t lock;
  request_t request; /* under the lock */
  sink_t *sink;
  const sink_options_t *options; /* until it has started */
  int err;
  uint16_t port;
  char detail[256];
  sink_counters_t counters; /* the answer */
};

static void on_closed(sink_t *sink, void *data)
{
  (void)data;
  (void)sink;
}

static void on_wake(uv_async_t *wake)
{
  sink_thread_t *t = wake->data;
  request_t request;

  uv_mutex_lock(&t->lock);
  request = t->request;
  t->request = NONE;
  uv_mutex_unlock(&t->lock);
  if (request == NONE)
    return;
  if (request == DROP || request == DROP_RESET)
    sink_drop(t->sink, request == DROP_RESET);
  t->counters = *sink_counters(t->sink);
  if (request == END) {
    sink_close(t->sink, on_closed);
    uv_close((uv_handle_t *)wake, NULL);
  }
  uv_sem_post(&t->done);
}

static void run(void *arg)
{
  sink_thread_t *t = arg;

  t->err = sink_start(&t->sink, &t->loop, t->options, t->detail, sizeof t->detail);
  t->port = t->err == 0 ? sink_port(t->sink) : 0;
  if (t->err != 0)
    uv_close((uv_handle_t *)&t->wake, NULL);
  uv_sem_post(&t->started);
  uv_run(&t->loop, UV_RUN_DEFAULT);
}

static void release(sink_thread_t *t)
{
  uv_loop_close(&t->loop);
  uv_sem_destroy(&t->started);
  uv_sem_destroy(&t->done);
  uv_mutex_destroy(&t->lock);
  free(t);
}

int sink_thread_start(sink_thread_t **thread, const sink_options_t *options, char *detail,
                      size_t detail_size)
{
  sink_thread_t *t = calloc(1, sizeof *t);
  int err;

  *thread = NULL;
  if (t == NULL)
    return UVSMTP_ENOMEM;
  t->options = options;
  uv_loop_init(&t->loop);
  uv_async_init(&t->loop, &t->wake, on_wake);
  t->wake.data = t;
  uv_sem_init(&t->started, 0);
  uv_sem_init(&t->done, 0);
  uv_mutex_init(&t->lock);
  err = uv_thread_create(&t->thread, run, t);
  if (err != 0) {
    uv_close((uv_handle_t *)&t->wake, NULL);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    snprintf(detail, detail_size, "no thread: %s", uvsmtp_strerror(err));
    release(t);
    return err;
  }
  uv_sem_wait(&t->started);
  err = t->err;
  if (err == 0) {
    *thread = t;
    return 0;
  }
  uv_thread_join(&t->thread);
  snprintf(detail, detail_size, "%s", t->detail);
  release(t);
  return err;
}

uint16_t sink_thread_port(const sink_thread_t *thread)
{
  return thread->port;
}

static void ask(sink_thread_t *t, request_t request, sink_counters_t *counters)
{
  uv_mutex_lock(&t->lock);
  t->request = request;
  uv_mutex_unlock(&t->lock);
  uv_async_send(&t->wake);
  uv_sem_wait(&t->done);
  if (counters != NULL)
    *counters = t->counters;
}

void sink_thread_counters(sink_thread_t *thread, sink_counters_t *counters)
{
  ask(thread, COUNTERS, counters);
}

void sink_thread_drop(sink_thread_t *thread, bool reset)
{
  ask(thread, reset ? DROP_RESET : DROP, NULL);
}

void sink_thread_end(sink_thread_t *thread, sink_counters_t *counters)
{
  ask(thread, END, counters);
  uv_thread_join(&thread->thread);
  release(thread);
}
