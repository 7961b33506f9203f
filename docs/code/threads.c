/* docs/threads.md, docs/seeing.md: ./threads URL - several threads, one client */
#include <stdlib.h>

#include "letter.h"

enum { THREADS = 3 };

typedef struct worker_s {
  uv_thread_t thread;
  uvsmtp_poster_t *poster;
  letter_t letter;
} worker_t;

/* On the loop's thread, whoever has posted it. */
static void sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  (void)send;
  printf("%s %s\n", uvsmtp_status_name(result->status), result->error_text);
}

static void work(void *arg)
{
  worker_t *w = arg;
  letter_t *l = &w->letter;
  int err;
  letter_init(l, NULL);
  do
    err = uvsmtp_poster_post(w->poster, &l->send, &l->envelope, &l->source, sent);
  while (err == UVSMTP_EQUEUEFULL && uvsmtp_poster_wait(w->poster, UINT64_MAX) == 0);
  if (err != 0)
    fprintf(stderr, "%s\n", uvsmtp_strerror(err));
  uvsmtp_poster_free(w->poster);
}

static void happened(uvsmtp_client_t *client, const uvsmtp_client_event_t *event)
{
  (void)client;
  fprintf(stderr, "%s %s: %s\n", event->endpoint, uvsmtp_client_event_name(event->type),
          event->type == UVSMTP_CLIENT_RETIRED ? uvsmtp_retire_name(event->cause) : event->text);
}

static void print_numbers(const uvsmtp_client_t *client)
{
  size_t len = uvsmtp_client_prometheus(&client, NULL, 1, NULL, 0);
  char *page = malloc(len + 1);
  if (page == NULL)
    return;
  uvsmtp_client_prometheus(&client, NULL, 1, page, len + 1);
  fputs(page, stdout);
  free(page);
}

static void closed(uvsmtp_client_t *client)
{
  const uvsmtp_histogram_t *sends = uvsmtp_client_latency(client, UVSMTP_LATENCY_SEND);
  print_numbers(client);
  fprintf(stderr, "99 of 100 took at most %llu ms\n",
          (unsigned long long)uvsmtp_histogram_percentile_ms(sends, 99));
}

int main(int argc, char **argv)
{
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uv_loop_t *loop = uv_default_loop();
  uvsmtp_client_t *client;
  uvsmtp_poster_t *poster;
  worker_t workers[THREADS];

  if (argc != 2)
    return 1;
  options.urls = argv[1];
  options.on_event = happened;
  options.idle_timeout_ms = 100;
  if (uvsmtp_client_new(&client, loop, &options, NULL, 0) != 0 ||
      uvsmtp_poster_new(&poster, client, NULL) != 0)
    return 1;
  for (int i = 0; i < THREADS; i++) {
    workers[i].poster = uvsmtp_poster_acquire(poster);
    uv_thread_create(&workers[i].thread, work, &workers[i]);
  }
  uvsmtp_poster_free(poster);
  uv_run(loop, UV_RUN_DEFAULT); /* until nobody can post and nothing is left to do */
  for (int i = 0; i < THREADS; i++)
    uv_thread_join(&workers[i].thread);
  uvsmtp_client_close(client, UVSMTP_CLOSE_DRAIN, closed);
  uv_run(loop, UV_RUN_DEFAULT);
  return 0;
}
