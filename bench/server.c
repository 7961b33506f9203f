/*
 * A server that is never the bottleneck: it takes whatever it gets, looks at no more of it than it
 * has to, and counts. `uvsmtp sink` is the one that checks; this one only measures.
 *
 *   server PORT [none|group|chunking [CERTIFICATE]]
 *
 * The word says what EHLO offers: nothing, PIPELINING, and CHUNKING. With CERTIFICATE it offers
 * STARTTLS too, and writes the certificate that it makes for itself to that file. It prints
 * "listening" when it is ready, and one line of JSON at the end, on SIGTERM.
 *
 * UVSMTP_BENCH_RTT: so many ms pass before a reply leaves, as if the server were that far away.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "server_late.h"
#include "server_tls.h"

#define READ_SIZE ((size_t)1024 * 1024)
#define REPLIES_SIZE ((size_t)1024 * 1024)
#define PLAIN_SIZE ((size_t)16 * 1024)
#define LINE_SIZE 1024
#define END "\r\n.\r\n"
#define END_LEN 5
#define EHLO_FIRST "250-server.bench.example\r\n"

typedef struct {
  uv_tcp_t tcp;
  enum { COMMAND, DATA, CHUNK } mode;
  uint64_t chunk_left;
  unsigned end_seen; /* octets of END at the end of what was read */
  bool chunk_last, closing, starts_tls, closed;
  unsigned late;     /* pieces of `late` that are its own */
  server_tls_t *tls; /* NULL: in the clear */
  char line[LINE_SIZE];
  size_t line_len;
} peer_t;

static char read_buffer[READ_SIZE], plain[PLAIN_SIZE], replies[REPLIES_SIZE], cipher[REPLIES_SIZE];
static size_t replies_len;
static const char *ehlo;
static bool has_tls;
static struct {
  uint64_t connections, messages, octets;
} counted;

/* ---- replies ------------------------------------------------------------------------------ */

static void flush(peer_t *peer)
{
  size_t len;
  if (peer->tls == NULL) {
    server_late_send(&peer->tcp, replies, replies_len);
  } else {
    if (replies_len > 0 && !server_tls_write(peer->tls, replies, replies_len))
      peer->closing = true;
    while ((len = server_tls_output(peer->tls, cipher, sizeof(cipher))) > 0)
      server_late_send(&peer->tcp, cipher, len);
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

static void greet(peer_t *peer)
{
  reply(peer, EHLO_FIRST, sizeof(EHLO_FIRST) - 1);
  if (has_tls && peer->tls == NULL)
    REPLY(peer, "250-STARTTLS");
  reply(peer, ehlo, strlen(ehlo));
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
    greet(peer);
    break;
  case 's':
    REPLY(peer, "220 2.0.0 Go on");
    peer->starts_tls = true;
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
  peer_t *peer = handle->data;
  server_tls_free(peer->tls);
  free(peer);
}

static void close_peer(peer_t *peer)
{
  if (!peer->closed)
    server_late_close(&peer->tcp, on_closed);
  peer->closed = true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  *buf = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static void take(peer_t *peer, const char *at, size_t len)
{
  const char *end = at + len;
  while (at < end)
    at = peer->mode == COMMAND ? take_line(peer, at, end)
         : peer->mode == CHUNK ? take_chunk(peer, at, end)
                               : take_data(peer, at, end);
  /* A chunk of no octets ends with its line. */
  if (peer->mode == CHUNK && peer->chunk_left == 0)
    take_chunk(peer, at, at);
}

static void take_cipher(peer_t *peer, const char *bytes, size_t len)
{
  int n = server_tls_feed(peer->tls, bytes, len) ? 1 : -1;
  while (n > 0 && (n = server_tls_read(peer->tls, plain, sizeof(plain))) > 0)
    take(peer, plain, (size_t)n);
  if (n < 0)
    peer->closing = true;
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
  peer_t *peer = stream->data;
  if (peer->closed)
    return;
  if (nread < 0) {
    close_peer(peer);
    return;
  }
  if (peer->tls != NULL)
    take_cipher(peer, buf->base, (size_t)nread);
  else
    take(peer, buf->base, (size_t)nread);
  flush(peer);
  if (peer->starts_tls && peer->tls == NULL) {
    peer->tls = server_tls_new();
    peer->closing = peer->tls == NULL;
  }
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
  printf("{\"connections\": %" PRIu64 ", \"messages\": %" PRIu64 ", \"octets\": %" PRIu64
         ", \"tls_handshakes\": %" PRIu64 ", \"tls_resumed\": %" PRIu64 "}\n",
         counted.connections, counted.messages, counted.octets, server_tls_handshakes,
         server_tls_resumed);
  exit(0);
}

static const char *offer(const char *mode)
{
  if (strcmp(mode, "none") == 0)
    return "250-8BITMIME\r\n250 SIZE\r\n";
  if (strcmp(mode, "group") == 0)
    return "250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n";
  if (strcmp(mode, "chunking") == 0)
    return "250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250 SIZE\r\n";
  return NULL;
}

int main(int argc, char **argv)
{
  const char *rtt = getenv("UVSMTP_BENCH_RTT");
  uv_loop_t *loop = uv_default_loop();
  struct sockaddr_in address;
  uv_signal_t term;
  uv_tcp_t server;
  ehlo = offer(argc > 2 ? argv[2] : "chunking");
  if (argc < 2 || argc > 4 || ehlo == NULL) {
    fprintf(stderr, "usage: server PORT [none|group|chunking [CERTIFICATE]]\n");
    return 2;
  }
  has_tls = argc == 4;
  if (has_tls && !server_tls_begin(argv[3])) {
    fprintf(stderr, "server: no TLS: built without OpenSSL, or %s cannot be written\n", argv[3]);
    return 1;
  }
  signal(SIGPIPE, SIG_IGN);
  uv_signal_init(loop, &term);
  uv_signal_start(&term, on_signal, SIGTERM);
  server_late_begin(loop, rtt != NULL ? strtoull(rtt, NULL, 10) : 0);
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
