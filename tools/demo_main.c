/*
 * `uvsmtp demo`: a sink on a thread of its own, thousands of messages through the pool of a client,
 * and then the proof: the sink hashed every message with its recipients as it came, and each hash
 * must be one of those that were sent, each exactly once, whatever the order.
 *
 * The messages differ: each has a header of its own and a body cut from one long text, of some
 * hundred bytes to 64 KiB, with lines that start with dots, with 8-bit text, and sometimes without
 * a line end at its end. The dialogue is SMTP on loopback, without TLS.
 */
#include "tool.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "sink/sink.h"

enum {
  MESSAGES = 10000,
  CONNECTIONS = 10,
  WINDOW = 2000, /* messages that are queued or under way */
  TEXT = 192 * 1024,
  LONGEST = 64 * 1024,
  RECIPIENTS = 3,
  BAR_MS = 50,
  BAR_WIDTH = 40
};

typedef struct demo_settings_s {
  uint64_t messages, connections;
  bool json, help;
} demo_settings_t;

/* What was sent and what arrived: messages and recipients in one number. */
typedef struct hashes_s {
  uint64_t *at;
  size_t count, size;
} hashes_t;

typedef struct slot_s slot_t;

typedef struct demo_s {
  demo_settings_t settings;
  uv_loop_t loop;
  uv_timer_t timer;
  uvsmtp_client_t *client;
  slot_t *slots;
  char *text;
  hashes_t sent, arrived; /* the latter belongs to the sink's thread until that has ended */
  uint64_t next, done, accepted, bytes, recipients;
  uint64_t started_ns, finished_ns;
  sink_counters_t counters;
  char first_error[256];
} demo_t;

struct slot_s {
  uvsmtp_send_t send;
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipients[RECIPIENTS];
  uvsmtp_source_t source;
  uvsmtp_slice_t slices[2];
  char addresses[RECIPIENTS][64];
  char header[256];
  demo_t *demo;
};

static const char help[] =
    "usage: uvsmtp demo [--messages N] [--connections N] [--json]\n"
    "Starts a server inside this process, sends it N messages (10000) through a pool of N\n"
    "connections (10), and checks that each arrived intact and exactly once.\n"
    "Exit status: 0 if so, 70 if not.\n";

#define AT(member) offsetof(demo_settings_t, member)
static const option_t options[] = {
    {"messages", OPTION_NUMBER, AT(messages)},
    {"connections", OPTION_NUMBER, AT(connections)},
    {"json", OPTION_FLAG, AT(json)},
    {"help", OPTION_FLAG, AT(help)},
};

/* ---- hashes ---- */

static bool hashes_new(hashes_t *hashes, uint64_t size)
{
  hashes->size = (size_t)size;
  hashes->at = calloc(hashes->size, sizeof *hashes->at);
  return hashes->at != NULL;
}

/* The count goes on where there is no room: a message too many is noticed. */
static void hashes_add(hashes_t *hashes, uint64_t hash)
{
  if (hashes->count < hashes->size)
    hashes->at[hashes->count] = hash;
  hashes->count++;
}

static int compare(const void *a, const void *b)
{
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

  return (x > y) - (x < y);
}

static bool hashes_equal(hashes_t *a, hashes_t *b)
{
  if (a->count != b->count || a->count > a->size || b->count > b->size)
    return false;
  qsort(a->at, a->count, sizeof *a->at, compare);
  qsort(b->at, b->count, sizeof *b->at, compare);
  return memcmp(a->at, b->at, a->count * sizeof *a->at) == 0;
}

static void hash_recipient(sink_hash_t *hash, const char *address)
{
  sink_hash_update(hash, address, strlen(address) + 1);
}

static uint64_t hash_all(sink_hash_t *recipients, uint64_t body)
{
  sink_hash_update(recipients, &body, sizeof body);
  return sink_hash_finish(recipients);
}

/* On the sink's thread. */
static void on_message(sink_t *sink, const sink_message_t *message, void *data)
{
  demo_t *demo = data;
  sink_hash_t hash;

  (void)sink;
  sink_hash_start(&hash);
  for (size_t i = 0; i < message->recipient_count; i++)
    hash_recipient(&hash, message->recipients[i].address);
  hashes_add(&demo->arrived, hash_all(&hash, message->hash));
}

/* ---- messages ---- */

/* Lines of varied lengths, all ended by CRLF; some begin with dots, some are not ASCII. */
static bool make_text(demo_t *demo)
{
  static const char *const starts[] = {"",
                                       ".",
                                       "..",
                                       ("Gr\xc3\xbc\xc3\x9f"
                                        "e: "),
                                       "From ",
                                       ". "};
  size_t at = 0;

  demo->text = malloc(TEXT + 256);
  for (unsigned line = 0; demo->text != NULL && at < TEXT; line++) {
    unsigned len = line * 37 % 71;
    at += (size_t)sprintf(demo->text + at, "%s", starts[line % 6]);
    for (unsigned i = 0; i < len; i++)
      demo->text[at++] = (char)('a' + (line + i * i) % 26);
    at += (size_t)sprintf(demo->text + at, "\r\n");
  }
  return demo->text != NULL;
}

/* Most messages are short, as they are in life: the length is up to 1, 4, 16 or 64 KiB. */
static uvsmtp_slice_t choose_body(const demo_t *demo, uint64_t number)
{
  uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15u;
  size_t most = (size_t)LONGEST >> 2 * (3 - (number % 16 == 0 ? 3 : number % 3));
  size_t start = (size_t)(mixed >> 33) % (TEXT - LONGEST), len = (size_t)(mixed >> 13) % most;
  const char *line = strchr(demo->text + start, '\n') + 1, *end;

  if (number % 10 == 0) /* cut anywhere but inside a line end */
    return (uvsmtp_slice_t){line, len - (len > 0 && line[len - 1] == '\r')};
  end = strchr(line + len, '\n') + 1;
  return (uvsmtp_slice_t){line, (size_t)(end - line)};
}

static void expect(demo_t *demo, const slot_t *slot)
{
  const uvsmtp_slice_t *body = &slot->slices[1];
  bool ended = body->len == 0 || body->base[body->len - 1] == '\n';
  sink_hash_t bytes, all;

  sink_hash_start(&bytes);
  sink_hash_update(&bytes, slot->slices[0].base, slot->slices[0].len);
  sink_hash_update(&bytes, body->base, body->len);
  if (!ended) /* the line end that is added on the way */
    sink_hash_update(&bytes, "\r\n", 2);
  sink_hash_start(&all);
  for (size_t i = 0; i < slot->envelope.recipient_count; i++)
    hash_recipient(&all, slot->addresses[i]);
  hashes_add(&demo->sent, hash_all(&all, sink_hash_finish(&bytes)));
  demo->bytes += slot->slices[0].len + body->len;
  demo->recipients += slot->envelope.recipient_count;
}

static void fill(slot_t *slot, uint64_t number)
{
  size_t count = number % 7 == 0 ? RECIPIENTS : 1;
  int len;

  for (size_t i = 0; i < count; i++) {
    snprintf(slot->addresses[i], sizeof slot->addresses[i], "reader-%" PRIu64 ".%zu@demo.example",
             number, i);
    slot->recipients[i] = (uvsmtp_recipient_t){.address = slot->addresses[i]};
  }
  slot->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  slot->envelope.sender = "writer@demo.example";
  slot->envelope.recipients = slot->recipients;
  slot->envelope.recipient_count = count;
  len = snprintf(slot->header, sizeof slot->header,
                 "From: writer@demo.example\r\nTo: %s\r\nSubject: message %" PRIu64 "\r\n"
                 "Message-ID: <%" PRIu64 "@demo.example>\r\n\r\n",
                 slot->addresses[0], number, number);
  slot->slices[0] = (uvsmtp_slice_t){slot->header, (size_t)len};
  slot->slices[1] = choose_body(slot->demo, number);
  uvsmtp_source_buffers(&slot->source, slot->slices, slot->slices[1].len > 0 ? 2 : 1);
}

static void note_error(demo_t *demo, const char *text)
{
  if (demo->first_error[0] == '\0')
    snprintf(demo->first_error, sizeof demo->first_error, "%s", text);
}

static void finish(demo_t *demo)
{
  if (demo->client == NULL)
    return;
  demo->finished_ns = uv_hrtime();
  uvsmtp_client_close(demo->client, UVSMTP_CLOSE_DRAIN, NULL);
  demo->client = NULL;
  uv_close((uv_handle_t *)&demo->timer, NULL);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result);

static void send_next(slot_t *slot)
{
  demo_t *demo = slot->demo;
  int err;

  while (demo->next < demo->settings.messages) {
    fill(slot, demo->next++);
    expect(demo, slot);
    err = uvsmtp_client_send(demo->client, &slot->send, &slot->envelope, &slot->source, on_sent);
    if (err == 0)
      return;
    note_error(demo, uvsmtp_strerror(err));
    demo->done++;
  }
  if (demo->done == demo->settings.messages)
    finish(demo);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  slot_t *slot = send->data;
  demo_t *demo = slot->demo;

  demo->done++;
  if (result->status == UVSMTP_ACCEPTED)
    demo->accepted++;
  else
    note_error(demo, result->error_text);
  send_next(slot);
}

/* ---- what is shown ---- */

static double seconds(const demo_t *demo, uint64_t until_ns)
{
  return (double)(until_ns - demo->started_ns + 1) / 1e9;
}

static void show_bar(const demo_t *demo)
{
  unsigned full = (unsigned)(demo->done * BAR_WIDTH / demo->settings.messages);
  bool colour = use_colour(stderr);

  fprintf(stderr, "\r%s", colour ? "\033[36m" : "");
  for (unsigned i = 0; i < BAR_WIDTH; i++)
    fputs(i < full ? "#" : ".", stderr);
  fprintf(stderr, "%s %" PRIu64 " of %" PRIu64 ", %.0f a second ", colour ? "\033[0m" : "",
          demo->done, demo->settings.messages, (double)demo->done / seconds(demo, uv_hrtime()));
  fflush(stderr);
}

static void on_timer(uv_timer_t *timer)
{
  show_bar(timer->data);
}

static void show_json(const demo_t *demo, bool intact)
{
  double time = seconds(demo, demo->finished_ns);

  printf("{\"messages\": %" PRIu64 ", \"recipients\": %" PRIu64 ", \"bytes\": %" PRIu64
         ", \"accepted\": %" PRIu64 ", \"arrived\": %zu, \"seconds\": %.6f, \"rate\": %.1f"
         ", \"connections\": %" PRIu64 ", \"violations\": %" PRIu64 ", \"intact\": %s}\n",
         demo->settings.messages, demo->recipients, demo->bytes, demo->accepted,
         demo->arrived.count, time, (double)demo->settings.messages / time,
         demo->counters.connections, sink_violations(&demo->counters), intact ? "true" : "false");
}

static void show_text(const demo_t *demo, bool intact)
{
  double time = seconds(demo, demo->finished_ns);
  bool colour = use_colour(stdout);
  const char *verdict = colour ? (intact ? "\033[32m" : "\033[31m") : "";

  printf("%" PRIu64 " messages to %" PRIu64 " recipients, %.1f MB, in %.2f s\n",
         demo->settings.messages, demo->recipients, (double)demo->bytes / 1e6, time);
  printf("%.0f messages a second through %" PRIu64 " connections\n",
         (double)demo->settings.messages / time, demo->counters.connections);
  if (intact)
    printf("%severy message arrived intact, exactly once%s\n", verdict, colour ? "\033[0m" : "");
  else
    printf("%sSOMETHING WENT WRONG%s: %" PRIu64 " accepted, %zu arrived, %" PRIu64
           " violations of the protocol; %s\n",
           verdict, colour ? "\033[0m" : "", demo->accepted, demo->arrived.count,
           sink_violations(&demo->counters),
           demo->first_error[0] != '\0' ? demo->first_error : "contents differ");
}

static int judge(demo_t *demo)
{
  bool intact = hashes_equal(&demo->sent, &demo->arrived) &&
                demo->accepted == demo->settings.messages && sink_violations(&demo->counters) == 0;

  if (demo->settings.json)
    show_json(demo, intact);
  else
    show_text(demo, intact);
  return intact ? STATUS_OK : STATUS_SOFTWARE;
}

/* ---- running ---- */

static int make_client(demo_t *demo, uint16_t port)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t client = UVSMTP_CLIENT_OPTIONS_INIT;

  connection.host = "127.0.0.1";
  connection.port = port;
  connection.ehlo_domain = "demo.example";
  connection.tls = UVSMTP_TLS_NONE;
  client.connection = &connection;
  client.max_connections = (size_t)demo->settings.connections;
  return uvsmtp_client_new(&demo->client, &demo->loop, &client, demo->first_error,
                           sizeof demo->first_error);
}

static void send_all(demo_t *demo)
{
  bool bar = !demo->settings.json && isatty(fileno(stderr));

  uv_timer_init(&demo->loop, &demo->timer);
  demo->timer.data = demo;
  if (bar)
    uv_timer_start(&demo->timer, on_timer, BAR_MS, BAR_MS);
  demo->started_ns = uv_hrtime();
  for (size_t i = 0; i < WINDOW && demo->next < demo->settings.messages; i++) {
    demo->slots[i].demo = demo;
    demo->slots[i].send.data = &demo->slots[i];
    send_next(&demo->slots[i]);
  }
  uv_run(&demo->loop, UV_RUN_DEFAULT);
  if (bar) {
    show_bar(demo);
    fputs("\n", stderr);
  }
}

static int run(demo_t *demo)
{
  sink_options_t sink = {.body = SINK_HASH, .on_message = on_message, .data = demo};
  sink_thread_t *thread;
  char detail[256] = "";
  int err = sink_thread_start(&thread, &sink, detail, sizeof detail);

  if (err != 0)
    return complain(STATUS_UNAVAILABLE, "demo", "the server does not start: %s", detail);
  err = make_client(demo, sink_thread_port(thread));
  if (err == 0)
    send_all(demo);
  sink_thread_end(thread, &demo->counters);
  if (err != 0)
    return complain(STATUS_SOFTWARE, "demo", "%s", uvsmtp_strerror(err));
  return judge(demo);
}

static int prepare_and_run(demo_t *demo)
{
  uint64_t messages = demo->settings.messages;
  int status = STATUS_TEMPORARY;

  demo->slots = calloc(WINDOW, sizeof *demo->slots);
  /* Room for some that come twice. */
  if (demo->slots != NULL && hashes_new(&demo->sent, messages) &&
      hashes_new(&demo->arrived, messages + 16) && make_text(demo))
    status = run(demo);
  else
    complain(status, "demo", "out of memory");
  free(demo->slots);
  free(demo->text);
  free(demo->sent.at);
  free(demo->arrived.at);
  return status;
}

int demo_main(int argc, char **argv)
{
  demo_t demo;
  texts_t rest = {NULL, 0};
  int status;

  memset(&demo, 0, sizeof demo);
  demo.settings.messages = MESSAGES;
  demo.settings.connections = CONNECTIONS;
  status =
      options_read(options, sizeof options / sizeof options[0], &demo.settings, &rest, argc, argv);
  if (status == STATUS_OK && rest.count > 0)
    status = complain(STATUS_USAGE, argv[0], "unexpected argument %s", rest.at[0]);
  texts_free(&rest);
  if (status != STATUS_OK)
    return status;
  if (demo.settings.help) {
    fputs(help, stdout);
    return STATUS_OK;
  }
  signal(SIGPIPE, SIG_IGN);
  uv_loop_init(&demo.loop);
  status = prepare_and_run(&demo);
  uv_loop_close(&demo.loop);
  return status;
}
