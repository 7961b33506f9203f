/*
 * What the network alone allows: sockets, and no client behind them. It knows all replies in
 * advance, and only counts their lines.
 *
 *   bare HOST PORT MESSAGES SIZE CONNECTIONS none|group|chunking [tls]
 *
 *   none      one command at a time
 *   group     MAIL, RCPT and DATA of a message leave together with the content of the one before
 *   chunking  MAIL, RCPT and BDAT of all messages follow one another without any wait
 *
 * `tls` means STARTTLS first, with mbedTLS straight on the socket; UVSMTP_BENCH_CA names
 * certificates to trust instead of any. Prints one line of JSON. Exit status 0: all replies came;
 * 1: not; 2: wrong usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bare_tls.h"

#define MAIL "MAIL FROM:<sender@bench.example>\r\n"
#define RCPT "RCPT TO:<r0000000@bench.example>\r\n"
#define BATCH ((size_t)256 * 1024) /* octets of messages that stand ready for one write */
#define STEPS 4

/* What is written in one go. */
typedef struct {
  char *bytes;
  size_t len;
  unsigned lines;    /* that the server says to it */
  uint64_t messages; /* that are complete with it */
} step_t;

typedef struct {
  int fd;
  bare_tls_t *tls; /* NULL: in the clear */
  uint64_t left;   /* messages not complete yet */
  unsigned at;     /* the step under way */
  size_t written;
  uint64_t lines, due; /* read, and awaited */
  bool inside;         /* a line has been read in part */
} peer_t;

/* Steps are done in their order; from the last one of the round it goes on with the first of it. */
static step_t steps[STEPS];
static unsigned step_count, round_first, round_last, final_step;
static unsigned leads_on; /* the round begins a message beyond those that it completes */
static bool waits, with_tls;

static void die(const char *what)
{
  fprintf(stderr, "bare: %s: %s\n", what, errno != 0 ? strerror(errno) : "refused");
  exit(1);
}

static double seconds_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- what is written ---------------------------------------------------------------------- */

static char *make_content(size_t size)
{
  char *content = malloc(size + 1);
  if (content == NULL)
    die("memory");
  for (size_t i = 0; i < size; i++)
    content[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : (char)('a' + i % 26);
  if (content[size - 3] == '\r')
    content[size - 3] = 'x';
  memcpy(content + size - 2, "\r\n", 3);
  return content;
}

static void add_step(unsigned lines, uint64_t messages, uint64_t times, const char *a,
                     const char *b, const char *c)
{
  size_t len = strlen(a) + strlen(b) + strlen(c);
  step_t *step = &steps[step_count++];
  *step = (step_t){malloc(len * times + 1), 0, lines * (unsigned)times, messages * times};
  if (step->bytes == NULL)
    die("memory");
  for (uint64_t i = 0; i < times; i++)
    step->len += (size_t)sprintf(step->bytes + step->len, "%s%s%s", a, b, c);
}

static bool make_steps(const char *mode, size_t size, uint64_t each)
{
  char *content = make_content(size), bdat[40];
  waits = strcmp(mode, "chunking") != 0;
  if (strcmp(mode, "none") == 0) {
    add_step(1, 0, 1, MAIL, "", "");
    add_step(1, 0, 1, RCPT, "", "");
    add_step(1, 0, 1, "DATA\r\n", "", "");
    add_step(1, 1, 1, content, ".\r\n", "");
    round_first = 0;
    round_last = final_step = 3;
  } else if (strcmp(mode, "group") == 0) {
    add_step(3, 0, 1, MAIL, RCPT, "DATA\r\n");
    add_step(4, 1, 1, content, ".\r\n", MAIL RCPT "DATA\r\n");
    add_step(1, 1, 1, content, ".\r\n", "");
    round_first = round_last = 1;
    final_step = 2;
    leads_on = 1;
  } else if (!waits) {
    uint64_t most = BATCH / (size + sizeof(MAIL) + sizeof(RCPT)) + 1;
    snprintf(bdat, sizeof(bdat), "BDAT %zu LAST\r\n", size);
    add_step(3, 1, most < each ? most : each, MAIL RCPT, bdat, content);
    add_step(3, 1, 1, MAIL RCPT, bdat, content);
    round_first = round_last = 0;
    final_step = 1;
  } else {
    return false;
  }
  free(content);
  return true;
}

/* ---- a connection ------------------------------------------------------------------------- */

static ssize_t read_some(peer_t *peer, void *bytes, size_t size)
{
  return peer->tls != NULL ? bare_tls_read(peer->tls, bytes, size) : read(peer->fd, bytes, size);
}

static ssize_t write_some(peer_t *peer, const void *bytes, size_t len)
{
  return peer->tls != NULL ? bare_tls_write(peer->tls, bytes, len) : write(peer->fd, bytes, len);
}

/* Waits for a line that begins with `code`; greeting and EHLO, before it is measured. */
static void await(peer_t *peer, const char *code)
{
  char bytes[4096];
  size_t len = 0;
  for (;;) {
    ssize_t n = read_some(peer, bytes + len, sizeof(bytes) - 1 - len);
    if (n <= 0)
      die("opening");
    len += (size_t)n;
    bytes[len] = '\0';
    for (char *line = bytes; line != NULL && *line != '\0';
         line = strchr(line, '\n') != NULL ? strchr(line, '\n') + 1 : NULL)
      if (strncmp(line, code, 4) == 0 && strchr(line, '\n') != NULL)
        return;
  }
}

static void say(peer_t *peer, const char *line, const char *code)
{
  if (write_some(peer, line, strlen(line)) != (ssize_t)strlen(line))
    die("writing");
  await(peer, code);
}

static void open_peer(peer_t *peer, const struct addrinfo *address, uint64_t messages)
{
  int yes = 1;
  peer->left = messages;
  peer->fd = socket(address->ai_family, SOCK_STREAM, 0);
  if (peer->fd < 0 || connect(peer->fd, address->ai_addr, address->ai_addrlen) != 0)
    die("connecting");
  setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  await(peer, "220 ");
  say(peer, "EHLO bare.example\r\n", "250 ");
  if (with_tls) {
    say(peer, "STARTTLS\r\n", "220 ");
    peer->tls = bare_tls_open(peer->fd, getenv("UVSMTP_BENCH_CA"));
    if (peer->tls == NULL)
      die("TLS");
    say(peer, "EHLO bare.example\r\n", "250 ");
  }
  fcntl(peer->fd, F_SETFL, fcntl(peer->fd, F_GETFL) | O_NONBLOCK);
}

/* The next step, once one is written. */
static void advance(peer_t *peer)
{
  const step_t *done = &steps[peer->at];
  peer->written = 0;
  peer->due += done->lines;
  peer->left -= done->messages;
  if (peer->at != final_step || final_step == round_last)
    peer->at = peer->at == round_last ? round_first : peer->at + 1;
  /* A round may lead on to a message that is not there any more, or have too many. */
  if (peer->at == round_last && peer->left < steps[round_last].messages + leads_on)
    peer->at = final_step;
}

/* Writes as far as the socket and the replies that are awaited let it. */
static void write_peer(peer_t *peer)
{
  while (peer->left > 0 && !(waits && peer->lines < peer->due)) {
    const step_t *step = &steps[peer->at];
    ssize_t n = write_some(peer, step->bytes + peer->written, step->len - peer->written);
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0)
      die("writing");
    peer->written += (size_t)n;
    if (peer->written == step->len)
      advance(peer);
  }
}

static void count_lines(peer_t *peer, const char *at, const char *end)
{
  for (; at < end; at++) {
    if (!peer->inside && *at > '3') {
      errno = 0;
      die("a command");
    }
    at = memchr(at, '\n', (size_t)(end - at));
    peer->inside = at == NULL;
    if (at == NULL)
      break;
    peer->lines++;
  }
}

/* Counts the lines that have come. With TLS several records may lie ready. */
static void read_peer(peer_t *peer)
{
  static char bytes[256 * 1024];
  ssize_t n;
  do {
    n = read_some(peer, bytes, sizeof(bytes));
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0)
      die("reading");
    count_lines(peer, bytes, bytes + n);
  } while (peer->tls != NULL);
}

/* ---- all of them -------------------------------------------------------------------------- */

static bool is_done(const peer_t *peer)
{
  return peer->left == 0 && peer->lines == peer->due;
}

static void run(peer_t *peers, struct pollfd *polls, size_t count)
{
  size_t open = count;
  for (size_t i = 0; i < count; i++)
    write_peer(&peers[i]);
  while (open > 0) {
    for (size_t i = 0; i < count; i++) {
      bool blocked = peers[i].left > 0 && !(waits && peers[i].lines < peers[i].due);
      polls[i] = (struct pollfd){.fd = is_done(&peers[i]) ? -1 : peers[i].fd,
                                 .events = (short)(POLLIN | (blocked ? POLLOUT : 0))};
    }
    if (poll(polls, count, -1) < 0)
      die("waiting");
    open = count;
    for (size_t i = 0; i < count; i++) {
      if ((polls[i].revents & (POLLIN | POLLHUP)) != 0)
        read_peer(&peers[i]);
      if (polls[i].revents != 0)
        write_peer(&peers[i]);
      open -= is_done(&peers[i]);
    }
  }
}

static void report(const char *mode, uint64_t messages, uint64_t size, size_t connections,
                   double seconds)
{
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"client\": \"bare\", \"mode\": \"%s\", \"tls\": %s, \"messages\": %llu, "
         "\"accepted\": %llu, \"size\": %llu, \"bytes\": %llu, \"connections\": %zu, "
         "\"seconds\": %.6f, \"rate\": %.1f, \"cpu_user\": %.6f, \"cpu_system\": %.6f, "
         "\"peak_kib\": %ld}\n",
         mode, with_tls ? "true" : "false", (unsigned long long)messages,
         (unsigned long long)messages, (unsigned long long)size,
         (unsigned long long)(messages * size), connections, seconds, (double)messages / seconds,
         (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
         (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6, usage.ru_maxrss);
}

int main(int argc, char **argv)
{
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *address;
  uint64_t messages = argc >= 7 ? strtoull(argv[3], NULL, 10) : 0;
  size_t size = argc >= 7 ? strtoull(argv[4], NULL, 10) : 0;
  size_t count = argc >= 7 ? strtoull(argv[5], NULL, 10) : 0;
  struct pollfd *polls = calloc(count + 1, sizeof(*polls));
  peer_t *peers = calloc(count + 1, sizeof(*peers));
  double start;
  with_tls = argc == 8 && strcmp(argv[7], "tls") == 0;
  if (argc > 8 || (argc == 8 && !with_tls) || messages == 0 || size < 32 || count == 0 ||
      count > messages || !make_steps(argv[6], size, messages / count)) {
    fprintf(stderr, "usage: bare HOST PORT MESSAGES SIZE(32…) CONNECTIONS none|group|chunking "
                    "[tls]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  if (peers == NULL || polls == NULL || getaddrinfo(argv[1], argv[2], &hints, &address) != 0)
    die("starting");
  for (size_t i = 0; i < count; i++)
    open_peer(&peers[i], address, messages / count + (i < messages % count));
  start = seconds_now();
  run(peers, polls, count);
  report(argv[6], messages, size, count, seconds_now() - start);
  for (size_t i = 0; i < count; i++)
    bare_tls_free(peers[i].tls);
  freeaddrinfo(address);
  free(peers);
  free(polls);
  return 0;
}
