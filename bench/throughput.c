/*
 * How many messages a second go to a server that takes them all:
 *
 *   throughput HOST PORT MESSAGES SIZE CONNECTIONS [tls]
 *
 * Message i, from 0, goes from sender@bench.example to r<i>@bench.example and has SIZE octets.
 * `tls` means STARTTLS. The environment changes how they go:
 *   UVSMTP_BENCH_PIPELINING  none: one command at a time; group: pipelined, with DATA;
 *                            chunking or auto (default): all that the server offers
 *   UVSMTP_BENCH_IN_DOUBT    messages on a connection whose final reply is awaited at a time
 *   UVSMTP_BENCH_WAITING     messages that wait beside those (4096)
 *   UVSMTP_BENCH_WARM        messages that are done before the steady state begins (0)
 *   UVSMTP_BENCH_CA          certificates to trust instead of the system's
 *
 * Prints one line of JSON. "steady_us" is the processor time, of user and system, that a message
 * took from when those of UVSMTP_BENCH_WARM were done until the last of all was issued: all that
 * time the window was full, and no connection was opened or closed. Exit status 0: all were
 * accepted; 1: some were not; 2: wrong usage.
 *
 * A window of requests is used over and over, so that memory does not grow with MESSAGES; it is
 * wide enough for all connections to be full at all times.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uvsmtp/client.h"

/* Beside those that the connections hold, so many wait, so that none has to. */
#define DEFAULT_WAITING 4096
#define DEFAULT_IN_DOUBT 64
#define DEFAULT_IN_DOUBT_BYTES (UINT64_C(4) << 20)
#define LINE_OCTETS 72
#define ADDRESS_OCTETS 48

typedef struct bench_s bench_t;

/* One place of the window. */
typedef struct slot_s {
  uvsmtp_send_t send;
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipient;
  uvsmtp_source_t source;
  char address[ADDRESS_OCTETS];
  bench_t *bench;
} slot_t;

struct bench_s {
  const char *host;
  uint16_t port;
  uint64_t messages, size, connections, in_doubt, waiting, warm;
  bool tls;
  const char *mode;
  uvsmtp_client_t *client;
  slot_t *slots;
  size_t window;
  char *content;
  uint64_t issued, done, accepted;
  uint64_t end_ns;
  double warm_at, steady; /* processor time, seconds: when it was warm; of a message since then */
  char address[ADDRESS_OCTETS]; /* of the next message */
  size_t digits;                /* in it, behind the letter */
  char trouble[512];            /* the first one; "": none */
};

static void note(bench_t *b, const char *what, const char *why)
{
  if (b->trouble[0] == '\0')
    snprintf(b->trouble, sizeof(b->trouble), "%s: %s", what, why);
}

/* ---- the steady state --------------------------------------------------------------------- */

static double seconds_of(uv_timeval_t t)
{
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double processor_time(void)
{
  uv_rusage_t usage = {0};
  uv_getrusage(&usage);
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

/* One more is done, and another one was issued for it if there was one. */
static void note_steady(bench_t *b, bool issued)
{
  if (b->done == b->warm)
    b->warm_at = processor_time();
  if (issued && b->issued == b->messages && b->done > b->warm)
    b->steady = (processor_time() - b->warm_at) / (double)(b->done - b->warm);
}

/* ---- sending ------------------------------------------------------------------------------ */

static void issue(slot_t *slot);

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  slot_t *slot = send->data;
  bench_t *b = slot->bench;

  b->done++;
  if (result->status == UVSMTP_ACCEPTED)
    b->accepted++;
  else
    note(b, slot->address, result->error_text);
  note_steady(b, false);
  if (b->issued < b->messages) {
    issue(slot);
    note_steady(b, true);
  } else if (b->done == b->messages) {
    b->end_ns = uv_hrtime();
    uvsmtp_client_close(b->client, UVSMTP_CLOSE_DRAIN, NULL);
  }
}

/* "r<number>@bench.example" counts on as a text: making each anew would be much of what is
 * measured. */
static void count_address(bench_t *b)
{
  char *first = b->address + 1, *at = b->address + b->digits;

  for (; at >= first && *at == '9'; at--)
    *at = '0';
  if (at >= first) {
    ++*at;
    return;
  }
  b->digits++;
  memmove(first + 1, first, sizeof(b->address) - 2);
  *first = '1';
}

/* A send that is refused at once ends the run: what is under way is cut. */
static void issue(slot_t *slot)
{
  bench_t *b = slot->bench;
  int err;

  memcpy(slot->address, b->address, sizeof(slot->address));
  err = uvsmtp_client_send(b->client, &slot->send, &slot->envelope, &slot->source, on_sent);
  if (err == 0) {
    b->issued++;
    count_address(b);
    return;
  }
  note(b, "send", uvsmtp_strerror(err));
  b->messages = b->issued;
  if (b->done == b->messages)
    b->end_ns = uv_hrtime();
  uvsmtp_client_close(b->client, UVSMTP_CLOSE_ABORT, NULL);
}

/* ---- setting up --------------------------------------------------------------------------- */

/* A short header, then lines; the last octets are a line end. */
static char *make_content(size_t size)
{
  static const char header[] = "Subject: throughput\r\n\r\n";
  char *content = malloc(size);
  size_t i, at = sizeof(header) - 1;

  if (content == NULL)
    return NULL;
  memcpy(content, header, at);
  for (i = 0; at + i < size; i++) {
    size_t column = i % LINE_OCTETS;
    content[at + i] = column == LINE_OCTETS - 2   ? '\r'
                      : column == LINE_OCTETS - 1 ? '\n'
                                                  : (char)('a' + i % 26);
  }
  if (content[size - 3] == '\r')
    content[size - 3] = 'x';
  memcpy(content + size - 2, "\r\n", 2);
  return content;
}

static bool make_window(bench_t *b)
{
  size_t i, wanted = (size_t)(b->connections * b->in_doubt + b->waiting);

  strcpy(b->address, "r0@bench.example");
  b->digits = 1;
  b->window = b->messages < wanted ? (size_t)b->messages : wanted;
  b->slots = calloc(b->window, sizeof(*b->slots));
  b->content = make_content((size_t)b->size);
  if (b->slots == NULL || b->content == NULL)
    return false;
  for (i = 0; i < b->window; i++) {
    slot_t *slot = &b->slots[i];
    slot->bench = b;
    slot->send.data = slot;
    slot->recipient.address = slot->address;
    slot->envelope.size = sizeof(slot->envelope);
    slot->envelope.sender = "sender@bench.example";
    slot->envelope.recipients = &slot->recipient;
    slot->envelope.recipient_count = 1;
    uvsmtp_source_memory(&slot->source, b->content, (size_t)b->size);
  }
  return true;
}

/* The certificates of UVSMTP_BENCH_CA; the client takes the system's where NULL comes back. */
static int make_tls(bench_t *b, uvsmtp_tls_context_t **context)
{
  uvsmtp_tls_options_t options = UVSMTP_TLS_OPTIONS_INIT;

  options.ca_file = getenv("UVSMTP_BENCH_CA");
  if (!b->tls || options.ca_file == NULL)
    return 0;
  return uvsmtp_tls_context_new(context, &options, b->trouble, sizeof(b->trouble));
}

static int make_client(bench_t *b, uv_loop_t *loop, uvsmtp_tls_context_t *tls)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  bool none = strcmp(b->mode, "none") == 0;

  connection.host = b->host;
  connection.port = b->port;
  connection.ehlo_domain = "client.bench.example";
  connection.tls = b->tls ? UVSMTP_TLS_REQUIRED : UVSMTP_TLS_NONE;
  connection.tls_context = tls;
  connection.no_pipelining = none;
  connection.no_chunking = none || strcmp(b->mode, "group") == 0;
  connection.max_in_doubt = (size_t)b->in_doubt;
  /* The octets shall not be the bound where the number of messages was given. */
  if (b->in_doubt > DEFAULT_IN_DOUBT && b->in_doubt * b->size > DEFAULT_IN_DOUBT_BYTES)
    connection.max_in_doubt_bytes = b->in_doubt * b->size;
  options.connection = &connection;
  options.max_connections = (size_t)b->connections;
  return uvsmtp_client_new(&b->client, loop, &options, b->trouble, sizeof(b->trouble));
}

/* ---- reporting ---------------------------------------------------------------------------- */

static void report(const bench_t *b, uint64_t start_ns)
{
  double seconds = (double)(b->end_ns - start_ns) / 1e9;
  uv_rusage_t usage = {0};

  uv_getrusage(&usage);
  printf("{\"client\": \"uvsmtp\", \"mode\": \"%s\", \"tls\": %s, \"messages\": %" PRIu64
         ", \"accepted\": %" PRIu64 ", \"size\": %" PRIu64 ", \"bytes\": %" PRIu64
         ", \"connections\": %" PRIu64 ", \"in_doubt\": %" PRIu64 ", \"seconds\": %.6f"
         ", \"rate\": %.1f, \"cpu_user\": %.6f, \"cpu_system\": %.6f, \"steady_us\": %.4f, "
         "\"peak_kib\": %" PRIu64 "}\n",
         b->mode, b->tls ? "true" : "false", b->messages, b->accepted, b->size,
         b->accepted * b->size, b->connections, b->in_doubt, seconds,
         seconds > 0 ? (double)b->accepted / seconds : 0.0, seconds_of(usage.ru_utime),
         seconds_of(usage.ru_stime), b->steady * 1e6, (uint64_t)usage.ru_maxrss);
}

static int run(bench_t *b)
{
  uvsmtp_tls_context_t *tls = NULL;
  uint64_t start_ns, wanted = b->messages;
  uv_loop_t loop;
  size_t i;
  int err = uv_loop_init(&loop);

  if (err == 0)
    err = make_tls(b, &tls);
  if (err == 0)
    err = make_client(b, &loop, tls);
  if (err != 0) {
    note(b, "cannot start", uvsmtp_strerror(err));
    return err;
  }
  start_ns = uv_hrtime();
  for (i = 0; i < b->window && b->issued < b->messages; i++)
    issue(&b->slots[i]);
  uv_run(&loop, UV_RUN_DEFAULT);
  if (b->end_ns == 0)
    b->end_ns = uv_hrtime();
  report(b, start_ns);
  uvsmtp_tls_context_free(tls);
  uv_loop_close(&loop);
  return b->accepted == wanted ? 0 : -1;
}

/* A number of digits from `least` to `most`. */
static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
  char *end;

  *out = strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0' && *out >= least && *out <= most;
}

static bool read_environment(bench_t *b)
{
  const char *in_doubt = getenv("UVSMTP_BENCH_IN_DOUBT");
  const char *waiting = getenv("UVSMTP_BENCH_WAITING");
  const char *warm = getenv("UVSMTP_BENCH_WARM");
  const char *mode = getenv("UVSMTP_BENCH_PIPELINING");

  b->mode = mode != NULL ? mode : "auto";
  b->in_doubt = DEFAULT_IN_DOUBT;
  b->waiting = DEFAULT_WAITING;
  return (strcmp(b->mode, "none") == 0 || strcmp(b->mode, "group") == 0 ||
          strcmp(b->mode, "chunking") == 0 || strcmp(b->mode, "auto") == 0) &&
         (in_doubt == NULL || number(in_doubt, 1, 1000000, &b->in_doubt)) &&
         (waiting == NULL || number(waiting, 1, 10000000, &b->waiting)) &&
         (warm == NULL || number(warm, 0, UINT32_MAX, &b->warm));
}

static bool read_arguments(bench_t *b, int argc, char **argv)
{
  uint64_t port;

  if (argc < 6 || argc > 7 || (argc == 7 && strcmp(argv[6], "tls") != 0) ||
      !number(argv[2], 1, 65535, &port) || !number(argv[3], 1, UINT32_MAX, &b->messages) ||
      !number(argv[4], 32, UINT32_MAX, &b->size) || !number(argv[5], 1, 100000, &b->connections))
    return false;
  b->host = argv[1];
  b->port = (uint16_t)port;
  b->tls = argc == 7;
  return true;
}

int main(int argc, char **argv)
{
  bench_t b = {0};
  int err = -1;

  if (!read_arguments(&b, argc, argv) || !read_environment(&b)) {
    fprintf(stderr, "usage: throughput HOST PORT MESSAGES SIZE(32…) CONNECTIONS [tls]\n"
                    "UVSMTP_BENCH_PIPELINING=none|group|chunking|auto UVSMTP_BENCH_IN_DOUBT=N "
                    "UVSMTP_BENCH_WAITING=N UVSMTP_BENCH_WARM=N UVSMTP_BENCH_CA=FILE\n");
    return 2;
  }
#ifdef SIGPIPE
  signal(SIGPIPE, SIG_IGN);
#endif
  if (make_window(&b))
    err = run(&b);
  else
    note(&b, "cannot start", "out of memory");
  if (err != 0)
    fprintf(stderr, "throughput: %s\n", b.trouble);
  free(b.slots);
  free(b.content);
  return err == 0 ? 0 : 1;
}
