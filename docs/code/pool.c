/* docs/pool.md: ./pool URL URL - one client, two relays, and all that it is told of them */
#include <stdlib.h>

#include "letter.h"

enum { LETTERS = 3 };

static size_t left = LETTERS;

static void sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  printf("%s %s\n", uvsmtp_status_name(result->status), result->error_text);
  if (--left == 0)
    uvsmtp_client_close_within(send->data, UVSMTP_CLOSE_DRAIN, 5000, NULL);
}

static void bound(uvsmtp_client_options_t *options)
{
  options->max_connections = 10; /* to all servers together, opening and closing ones too */
  options->min_idle = 1;         /* ready before the first message */
  options->idle_timeout_ms = 60000;
  options->keepalive_ms = 20000; /* NOOP, so that no firewall forgets it */
  options->max_age_ms = 3600000; /* less up to a tenth */
  options->max_messages = 100;
}

static void pace(uvsmtp_client_options_t *options)
{
  options->message_rate = (uvsmtp_rate_t){.count = 300, .per_ms = 60000, .burst = 50};
  options->recipient_rate = (uvsmtp_rate_t){.count = 1000, .per_ms = 60000, .burst = 1000};
  options->connection_rate = (uvsmtp_rate_t){.count = 5, .burst = 5};
}

static void bound_queue(uvsmtp_client_options_t *options)
{
  options->max_queued = 10000;
  options->max_queued_bytes = 64 << 20;
  options->send_timeout_ms = 3600000;
}

/* What the endpoints are like now: for a page of a daemon's state. */
static void print_state(const uvsmtp_client_t *client)
{
  uvsmtp_client_waiting_t waiting;
  uvsmtp_endpoint_state_t e;
  uvsmtp_client_waiting(client, &waiting);
  printf("%s\n", waiting.text);
  for (size_t i = 0; uvsmtp_client_endpoint(client, i, &e) == 0; i++)
    printf("%s: %zu connections%s%s\n", e.name, e.connections, e.down ? ", down: " : "",
           e.down ? e.error_text : "");
}

static void happened(uvsmtp_client_t *client, const uvsmtp_client_event_t *event)
{
  if (event->type == UVSMTP_CLIENT_DOWN || event->type == UVSMTP_CLIENT_UP)
    print_state(client);
  if (event->type == UVSMTP_CLIENT_RETREAT)
    fprintf(stderr, "%s: %s\n", event->endpoint, event->text);
}

static int make(uvsmtp_client_t **client, uv_loop_t *loop, char **urls)
{
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_endpoint_t endpoints[2] = {UVSMTP_ENDPOINT_INIT, UVSMTP_ENDPOINT_INIT};
  char detail[256];
  int err;

  endpoints[0].url = urls[0];
  endpoints[0].max_connections = 4; /* what this relay is known to bear */
  endpoints[1].url = urls[1];
  endpoints[1].priority = 1; /* only while the first one is out of reach */
  options.endpoints = endpoints;
  options.endpoint_count = 2;

  connection.open_timeout_ms = 60000;
  options.connection = &connection; /* what they have in common */
  options.open_patience_ms = 5000;

  connection.proxy = getenv("UVSMTP_PROXY"); /* "socks5://user:password@proxy.example" */

  bound(&options);
  pace(&options);
  bound_queue(&options);
  options.on_event = happened;
  err = uvsmtp_client_new(client, loop, &options, detail, sizeof(detail));
  if (err != 0)
    fprintf(stderr, "%s\n", detail);
  return err;
}

int main(int argc, char **argv)
{
  static letter_t letters[LETTERS];
  uv_loop_t *loop = uv_default_loop();
  uvsmtp_client_t *client;

  if (argc != 3 || make(&client, loop, argv + 1) != 0)
    return 1;
  for (int i = 0; i < LETTERS; i++) {
    letter_t *l = &letters[i];
    uvsmtp_send_options_t urgent = UVSMTP_SEND_OPTIONS_INIT;
    letter_init(l, client);
    urgent.priority = UVSMTP_PRIORITY_HIGH;
    urgent.timeout_ms = 30000;
    if (uvsmtp_client_send_with(client, &l->send, &l->envelope, &l->source, &urgent, sent) != 0)
      return 1;
  }
  return uv_run(loop, UV_RUN_DEFAULT);
}
