/*
 * A server that is never the bottleneck: it takes whatever it gets, looks at no more of it than it
 * has to, and counts. `uvsmtp sink` is the one that checks; this one only measures.
 *
 *   server PORT [none|group|chunking]     what EHLO offers: nothing, PIPELINING, and CHUNKING
 *
 * Prints "listening" when it is ready, and one line of JSON at the end, on SIGTERM.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#define READ_SIZE ((size_t)1024 * 1024)
#define REPLIES_SIZE ((size_t)1024 * 1024)
#define LINE_SIZE 1024
#define END "\r\n.\r\n"
#define END_LEN 5

typedef struct {
  uv_tcp_t tcp;
  enum { COMMAND, DATA, CHUNK } mode;
  uint64_t chunk_left;
  unsigned end_seen; /* octets of END at the end of what was read */
  bool chunk_last, closing;
  char line[LINE_SIZE];
  size_t line_len;
} peer_t;

typedef struct {
  uv_write_t write;
  char bytes[];
} late_t;

static char read_buffer[READ_SIZE], replies[REPLIES_SIZE];
static size_t replies_len;
static const char *ehlo;
static struct {
  uint64_t connections, messages, octets;
} counted;

/* ---- replies ------------------------------------------------------------------------------ */

static void on_late(uv_write_t *write, int status)
{
  free(write->data);
}

/* What the socket does not take at once is left with libuv. */
static void flush(peer_t *peer)
{
  uv_buf_t buf = uv_buf_init(replies, (unsigned)replies_len);
  int n = replies_len > 0 ? uv_try_write((uv_stream_t *)&peer->tcp, &buf, 1) : 0;
  size_t left = replies_len - (n > 0 ? (size_t)n : 0);
  late_t *late = left > 0 ? malloc(sizeof(*late) + left) : NULL;
  if (late != NULL) {
    memcpy(late->bytes, replies + replies_len - left, left);
    late->write.data = late;
    buf = uv_buf_init(late->bytes, (unsigned)left);
    if (uv_write(&late->write, (uv_stream_t *)&peer->tcp, &buf, 1, on_late) != 0)
      free(late);
  }
  replies_len = 0;
}

static void reply(peer_t *peer, const char *text, size_t len)
{
  if (len > sizeof(replies) - replies_len)
    flush(peer);
  memcpy(replies + replies_len, text, len);
  replies_len += len;
}

#define REPLY(peer, text) reply(peer, text "\r\n", sizeof(text "\r\n") - 1)

/* ---- the dialogue ------------------------------------------------------------------------- */

static void begin_chunk(peer_t *peer, const char *line, size_t len)
{
  size_t at = 5;
  peer->chunk_left = 0;
  while (at < len && line[at] >= '0' && line[at] <= '9')
    peer->chunk_left = peer->chunk_left * 10 + (uint64_t)(line[at++] - '0');
  peer->chunk_last = at + 4 < len && line[at] == ' ';
  peer->mode = CHUNK;
}

static void command(peer_t *peer, const char *line, size_t len)
{
  switch (len > 0 ? line[0] | 32 : 0) {
  case 'm':
    REPLY(peer, "250 2.1.0 Ok");
    break;
  case 'r':
    REPLY(peer, "250 2.1.5 Ok");
    break;
  case 'b':
    begin_chunk(peer, line, len);
    break;
  case 'd':
    REPLY(peer, "354 Go on");
    peer->mode = DATA;
    peer->end_seen = 2;
    break;
  case 'e':
    reply(peer, ehlo, strlen(ehlo));
    break;
  case 'q':
    REPLY(peer, "221 2.0.0 Bye");
    peer->closing = true;
    break;
  default:
    REPLY(peer, "250 2.0.0 Ok");
    break;
  }
}

static void end_message(peer_t *peer)
{
  counted.messages++;
  peer->mode = COMMAND;
  REPLY(peer, "250 2.0.0 Ok: queued as 4242424242");
}

static const char *take_chunk(peer_t *peer, const char *at, const char *end)
{
  uint64_t len = (uint64_t)(end - at) < peer->chunk_left ? (uint64_t)(end - at) : peer->chunk_left;
  counted.octets += len;
  peer->chunk_left -= len;
  if (peer->chunk_left > 0)
    return at + len;
  if (peer->chunk_last) {
    end_message(peer);
  } else {
    peer->mode = COMMAND;
    REPLY(peer, "250 2.0.0 Ok");
  }
  return at + len;
}

/* One octet more or less of the end of a content. */
static void match_end(peer_t *peer, char octet)
{
  if (octet == END[peer->end_seen])
    peer->end_seen++;
  else
    peer->end_seen = octet == '\r';
}

static const char *take_data(peer_t *peer, const char *at, const char *end)
{
  const char *start = at;
  while (at < end && peer->end_seen < END_LEN) {
    const char *dot;
    if (peer->end_seen > 0 || end - at < END_LEN) {
      match_end(peer, *at++);
      continue;
    }
    /* From dot to dot: only behind a line end one matters. */
    dot = memchr(at + 2, '.', (size_t)(end - at - 2));
    at = dot != NULL ? dot - 2 : end - 2;
    match_end(peer, *at++);
  }
  counted.octets += (uint64_t)(at - start);
  if (peer->end_seen == END_LEN)
    end_message(peer);
  return at;
}

static const char *take_line(peer_t *peer, const char *at, const char *end)
{
  const char *lf = memchr(at, '\n', (size_t)(end - at));
  size_t len = (size_t)((lf != NULL ? lf : end) - at);
  if (lf != NULL && peer->line_len == 0) {
    command(peer, at, len);
    return lf + 1;
  }
  if (len > LINE_SIZE - peer->line_len)
    len = LINE_SIZE - peer->line_len;
  memcpy(peer->line + peer->line_len, at, len);
  peer->line_len += len;
  if (lf == NULL)
    return end;
  len = peer->line_len;
  peer->line_len = 0;
  command(peer, peer->line, len);
  return lf + 1;
}

/* ---- the loop ----------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
  free(handle->data);
}

static void close_peer(peer_t *peer)
{
  if (!uv_is_closing((uv_handle_t *)&peer->tcp))
    uv_close((uv_handle_t *)&peer->tcp, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  *buf = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
  peer_t *peer = stream->data;
  const char *at = buf->base, *end = nread > 0 ? at + nread : at;
  if (nread < 0) {
    close_peer(peer);
    return;
  }
  while (at < end)
    at = peer->mode == COMMAND ? take_line(peer, at, end)
         : peer->mode == CHUNK ? take_chunk(peer, at, end)
                               : take_data(peer, at, end);
  /* A chunk of no octets ends with its line. */
  if (peer->mode == CHUNK && peer->chunk_left == 0)
    take_chunk(peer, at, at);
  flush(peer);
  if (peer->closing)
    close_peer(peer);
}

static void on_connection(uv_stream_t *server, int status)
{
  peer_t *peer = status == 0 ? calloc(1, sizeof(*peer)) : NULL;
  if (peer == NULL)
    return;
  uv_tcp_init(server->loop, &peer->tcp);
  peer->tcp.data = peer;
  if (uv_accept(server, (uv_stream_t *)&peer->tcp) != 0) {
    close_peer(peer);
    return;
  }
  counted.connections++;
  uv_tcp_nodelay(&peer->tcp, 1);
  REPLY(peer, "220 server.bench.example ESMTP");
  flush(peer);
  uv_read_start((uv_stream_t *)&peer->tcp, on_alloc, on_read);
}

static void on_signal(uv_signal_t *handle, int number)
{
  printf("{\"connections\": %" PRIu64 ", \"messages\": %" PRIu64 ", \"octets\": %" PRIu64 "}\n",
         counted.connections, counted.messages, counted.octets);
  exit(0);
}

static const char *offer(const char *mode)
{
  if (strcmp(mode, "none") == 0)
    return "250-server.bench.example\r\n250-8BITMIME\r\n250 SIZE\r\n";
  if (strcmp(mode, "group") == 0)
    return "250-server.bench.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n";
  if (strcmp(mode, "chunking") == 0)
    return "250-server.bench.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n"
           "250 SIZE\r\n";
  return NULL;
}

int main(int argc, char **argv)
{
  uv_loop_t *loop = uv_default_loop();
  struct sockaddr_in address;
  uv_signal_t term;
  uv_tcp_t server;
  ehlo = offer(argc > 2 ? argv[2] : "chunking");
  if (argc < 2 || ehlo == NULL) {
    fprintf(stderr, "usage: server PORT [none|group|chunking]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  uv_signal_init(loop, &term);
  uv_signal_start(&term, on_signal, SIGTERM);
  uv_tcp_init(loop, &server);
  if (uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address) != 0 ||
      uv_tcp_bind(&server, (const struct sockaddr *)&address, 0) != 0 ||
      uv_listen((uv_stream_t *)&server, 1024, on_connection) != 0) {
    fprintf(stderr, "server: port %s cannot be used\n", argv[1]);
    return 1;
  }
  printf("listening\n");
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
