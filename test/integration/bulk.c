/*
 * Sends many messages, each with a content of its own, over the public interface, and says what
 * became of each recipient; bulk.py compares that with what the server has stored.
 *
 *     bulk URL COUNT CONNECTIONS CA-FILE TARGET [WAY…]
 *
 * URL is the server's; TARGET a recipient that is taken, NAME@DOMAIN. Of every 7 messages one has a
 * second recipient that is refused (refused@DOMAIN), of every 11 one goes to refused@ and busy@
 * only, and of every 13 one has the sender late@, whom the servers refuse after the data. WAY:
 * no-pipelining, no-overlap, no-chunking; taken: nobody is refused; fresh: a connection for each.
 * Contents come from memory, from buffers, and in pieces of a callback, in turn.
 *
 * Output: "message N OCTETS SHA256" and "recipient N ADDRESS STATUS CODE" for each, and at the end
 * "summary TRANSACTIONS RETRIES". The digest is that of the body with LF as line ends.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uvsmtp.h>

enum { WINDOW = 200, LINES = 400, LINE = 120, HEADER = 300 };

typedef struct bulk_s {
  uvsmtp_client_t *client;
  const char *target, *domain;
  unsigned long next, count, active, transactions;
  bool taken, fresh;
} bulk_t;

typedef struct job_s {
  uvsmtp_send_t send;
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipients[2];
  char other[2][256], sender[256];
  uvsmtp_source_t source;
  uvsmtp_slice_t slices[3];
  char text[HEADER + LINES * (LINE + 2)];
  size_t len, at;
  unsigned long number;
  bulk_t *bulk;
} job_t;

/* ---- contents ---- */

static uint32_t next_random(uint32_t *state)
{
  return *state = *state * 1664525u + 1013904223u;
}

/* Adds a line to the text, and to the digest with LF alone behind it. */
static void add_line(job_t *job, uvsmtp_digest_ctx_t *digest, const char *line, size_t len)
{
  memcpy(job->text + job->len, line, len);
  memcpy(job->text + job->len + len, "\r\n", 2);
  job->len += len + 2;
  uvsmtp_tls_crypto()->digest_update(digest, line, len);
  uvsmtp_tls_crypto()->digest_update(digest, "\n", 1);
}

/* Lines of random lengths; some begin with dots, some are empty, some are a dot alone. */
static void write_body(job_t *job, uvsmtp_digest_ctx_t *digest)
{
  uint32_t state = (uint32_t)job->number * 2654435761u + 1;
  size_t lines = 1 + next_random(&state) % (job->number % 50 == 0 ? LINES : 40);
  char line[LINE];
  for (size_t i = 0; i < lines; i++) {
    size_t len = next_random(&state) / 65536 % LINE;
    for (size_t k = 0; k < len; k++)
      line[k] = (char)(' ' + 1 + next_random(&state) / 65536 % 94);
    if (len > 0 && i % 5 == 0)
      line[0] = '.';
    add_line(job, digest, line, i % 17 == 3 && len > 0 ? 1 : len);
  }
  add_line(job, digest, "end", 3);
}

static void write_text(job_t *job)
{
  uvsmtp_digest_ctx_t digest;
  uint8_t out[UVSMTP_DIGEST_MAX];
  size_t body;
  job->len = (size_t)snprintf(job->text, HEADER,
                              "From: ada@%s\r\nTo: %s\r\nSubject: bulk\r\nX-Bulk: %lu\r\n\r\n",
                              job->bulk->domain, job->bulk->target, job->number);
  body = job->len;
  uvsmtp_tls_crypto()->digest_start(&digest, UVSMTP_DIGEST_SHA256);
  write_body(job, &digest);
  uvsmtp_tls_crypto()->digest_finish(&digest, out);
  printf("message %lu %zu ", job->number, job->len - body);
  for (size_t i = 0; i < 32; i++)
    printf("%02x", out[i]);
  printf("\n");
}

/* ---- a source that gives pieces ---- */

static int pieces_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  job_t *job = source->data;
  (void)target;
  job->at = 0;
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN};
  return 0;
}

static int pieces_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  job_t *job = source->data;
  size_t left = job->len - job->at, len = left < 700 ? left : 700;
  *piece = (uvsmtp_slice_t){job->text + job->at, len};
  job->at += len;
  return 0;
}

static void pieces_close(uvsmtp_source_t *source)
{
  (void)source;
}

static const uvsmtp_source_ops_t pieces = {
    .size = sizeof(pieces), .open = pieces_open, .next = pieces_next, .close = pieces_close};

static void make_source(job_t *job)
{
  size_t third = job->len / 3;
  if (job->number % 3 == 0) {
    uvsmtp_source_memory(&job->source, job->text, job->len);
  } else if (job->number % 3 == 1) {
    job->slices[0] = (uvsmtp_slice_t){job->text, third};
    job->slices[1] = (uvsmtp_slice_t){job->text + third, third};
    job->slices[2] = (uvsmtp_slice_t){job->text + 2 * third, job->len - 2 * third};
    uvsmtp_source_buffers(&job->source, job->slices, 3);
  } else {
    memset(&job->source, 0, sizeof(job->source));
    job->source.data = job;
    job->source.ops = &pieces;
  }
}

/* ---- sending ---- */

static void make_envelope(job_t *job)
{
  const bulk_t *b = job->bulk;
  const char *sender = job->number % 13 == 5 && !b->taken ? "late" : "ada";
  snprintf(job->sender, sizeof(job->sender), "%s@%s", sender, b->domain);
  snprintf(job->other[0], sizeof(job->other[0]), "refused@%s", b->domain);
  snprintf(job->other[1], sizeof(job->other[1]), "busy@%s", b->domain);
  job->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  job->envelope.sender = job->sender;
  job->envelope.recipients = job->recipients;
  job->envelope.recipient_count = 1;
  memset(job->recipients, 0, sizeof(job->recipients));
  job->recipients[0].address = b->target;
  if (job->number % 11 == 2 && !b->taken) {
    job->recipients[0].address = job->other[0];
    job->recipients[1].address = job->other[1];
    job->envelope.recipient_count = 2;
  } else if (job->number % 7 == 3 && !b->taken) {
    job->recipients[1].address = job->other[0];
    job->envelope.recipient_count = 2;
  }
}

static void take_next(job_t *job);

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  job_t *job = send->data;
  for (size_t i = 0; i < result->recipient_count; i++)
    printf("recipient %lu %s %s %d\n", job->number, result->recipients[i].address,
           uvsmtp_status_name(result->recipients[i].status), result->recipients[i].code);
  if (result->err != 0 && uvsmtp_err_class(result->err) != UVSMTP_CLASS_PERMANENT &&
      uvsmtp_err_class(result->err) != UVSMTP_CLASS_TEMPORARY)
    fprintf(stderr, "message %lu: %s\n", job->number, result->error_text);
  job->bulk->transactions += result->transactions;
  job->bulk->active--;
  take_next(job);
}

static void take_next(job_t *job)
{
  bulk_t *b = job->bulk;
  int err;
  if (b->next < b->count) {
    job->number = ++b->next;
    write_text(job);
    make_source(job);
    make_envelope(job);
    memset(&job->send, 0, sizeof(job->send));
    job->send.data = job;
    err = uvsmtp_client_send(b->client, &job->send, &job->envelope, &job->source, on_sent);
    if (err != 0) {
      fprintf(stderr, "message %lu cannot be sent: %s\n", job->number, uvsmtp_strerror(err));
      exit(1);
    }
    b->active++;
  } else if (b->active == 0) {
    uvsmtp_client_stats_t stats;
    uvsmtp_client_stats(b->client, &stats);
    printf("summary %lu %llu\n", b->transactions, (unsigned long long)stats.retries);
    uvsmtp_client_close(b->client, UVSMTP_CLOSE_DRAIN, NULL);
  }
}

static void set_ways(bulk_t *b, uvsmtp_connection_options_t *o, int count, char **ways)
{
  for (int i = 0; i < count; i++) {
    b->taken |= strcmp(ways[i], "taken") == 0;
    b->fresh |= strcmp(ways[i], "fresh") == 0;
    o->no_pipelining |= strcmp(ways[i], "no-pipelining") == 0;
    o->no_overlap |= strcmp(ways[i], "no-overlap") == 0;
    o->no_chunking |= strcmp(ways[i], "no-chunking") == 0;
  }
}

static int make_client(bulk_t *b, uv_loop_t *loop, char **argv, int argc)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_tls_options_t tls = UVSMTP_TLS_OPTIONS_INIT;
  static uvsmtp_tls_context_t *context;
  char detail[256] = "";
  int err;
  tls.ca_file = argv[4];
  err = uvsmtp_tls_context_new(&context, &tls, detail, sizeof(detail));
  connection.url = argv[1];
  connection.ehlo_domain = "client.test.example";
  connection.tls_context = context;
  connection.allow_plaintext_auth = true;
  set_ways(b, &connection, argc - 6, argv + 6);
  options.connection = &connection;
  options.max_connections = strtoul(argv[3], NULL, 10);
  options.max_messages = b->fresh ? 1 : 0;
  if (err == 0)
    err = uvsmtp_client_new(&b->client, loop, &options, detail, sizeof(detail));
  if (err != 0)
    fprintf(stderr, "%s: %s\n", uvsmtp_strerror(err), detail);
  return err;
}

int main(int argc, char **argv)
{
  static job_t jobs[WINDOW];
  uv_loop_t *loop = uv_default_loop();
  bulk_t b = {0};
  const char *at = argc > 5 ? strchr(argv[5], '@') : NULL;
  if (at == NULL) {
    fprintf(stderr, "usage: bulk URL COUNT CONNECTIONS CA-FILE TARGET [WAY...]\n");
    return 64;
  }
  b.count = strtoul(argv[2], NULL, 10);
  b.target = argv[5];
  b.domain = at + 1;
  signal(SIGPIPE, SIG_IGN);
  if (make_client(&b, loop, argv, argc) != 0)
    return 1;
  for (size_t i = 0; i < WINDOW && b.next < b.count; i++) {
    jobs[i].bulk = &b;
    take_next(&jobs[i]);
  }
  uv_run(loop, UV_RUN_DEFAULT);
  return b.next == b.count && b.active == 0 ? 0 : 1;
}
