#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "connection/connector.h"
#include "connection/history.h"
#include "failing_mem.h"

/*
 * Loopback has many addresses: a server that listens on 127.0.0.1 alone makes 127.0.0.2 one that
 * refuses, and one whose queue is full makes 127.0.0.3 one that never answers. Which of them a
 * name has is up to a resolver of our own.
 */
#define GOOD "127.0.0.1"
#define REFUSES "127.0.0.2"
#define SILENT "127.0.0.3"
#define FILLERS 4
#define MAX_NAMES 120 /* that are tried */
#define LONG_MS 20000 /* a deadline that only a bug reaches */

static uv_loop_t loop;
static uint16_t port;
static int server, silent, fillers[FILLERS];
static failing_mem_t memory;

/* ---- a resolver ---------------------------------------------------------------------------- */

static struct {
  const char *const *names; /* up to NULL */
  int status, at_once;      /* errors: through the callback, or returned */
  bool hangs;               /* until it is cancelled or released */
  bool stubborn;            /* cannot be cancelled */
  int calls, cancels, freed;
  int family; /* that was asked for */
  uv_getaddrinfo_t *req;
  uv_getaddrinfo_cb cb;
  uv_timer_t timer;
  struct addrinfo list[MAX_NAMES + 1];
  struct sockaddr_storage addresses[MAX_NAMES + 1];
} fake;

static struct addrinfo *fake_list(void)
{
  size_t n = 0;
  for (; fake.names != NULL && fake.names[n] != NULL; n++) {
    struct addrinfo *to = &fake.list[n];
    memset(to, 0, sizeof(*to));
    to->ai_addr = (struct sockaddr *)&fake.addresses[n];
    if (uv_ip4_addr(fake.names[n], 0, (struct sockaddr_in *)to->ai_addr) != 0)
      assert_int_equal(uv_ip6_addr(fake.names[n], 0, (struct sockaddr_in6 *)to->ai_addr), 0);
    to->ai_family = to->ai_addr->sa_family;
    if (n > 0)
      fake.list[n - 1].ai_next = to;
  }
  return n > 0 ? fake.list : NULL;
}

static void fake_answer(uv_timer_t *timer)
{
  uv_close((uv_handle_t *)timer, NULL);
  fake.cb(fake.req, fake.status, fake.status == 0 ? fake_list() : NULL);
}

static int fake_getaddrinfo(uv_loop_t *on, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb,
                            const char *node, const char *service, const struct addrinfo *hints)
{
  fake.calls++;
  assert_string_equal(node, "mx.example");
  assert_null(service);
  assert_int_equal(hints->ai_socktype, SOCK_STREAM);
  fake.family = hints->ai_family;
  if (fake.at_once != 0)
    return fake.at_once;
  fake.req = req;
  fake.cb = cb;
  uv_timer_init(on, &fake.timer);
  uv_timer_start(&fake.timer, fake_answer, fake.hangs ? 1000000 : 0, 0);
  return 0;
}

static void fake_release(void)
{
  uv_timer_start(&fake.timer, fake_answer, 0, 0);
}

static void fake_freeaddrinfo(struct addrinfo *list)
{
  (void)list;
  fake.freed++;
}

static int fake_cancel(uv_req_t *req)
{
  assert_ptr_equal(req, fake.req);
  fake.cancels++;
  if (fake.stubborn)
    return UV_EBUSY;
  fake.status = UV_EAI_CANCELED;
  fake_release();
  return 0;
}

static const uvsmtp__resolver_t resolver = {fake_getaddrinfo, fake_freeaddrinfo, fake_cancel};

/* ---- servers --------------------------------------------------------------------------------- */

static struct sockaddr_in ipv4(const char *ip, uint16_t at)
{
  struct sockaddr_in address;
  assert_int_equal(uv_ip4_addr(ip, at, &address), 0);
  return address;
}

/* A listening socket, its port in `*at` if that is 0; -1 if the address is not to be had. */
static int listen_on(const struct sockaddr *address, socklen_t len, int backlog)
{
  int fd = socket(address->sa_family, SOCK_STREAM, 0);
  if (fd >= 0 && (bind(fd, address, len) != 0 || listen(fd, backlog) != 0)) {
    close(fd);
    fd = -1;
  }
  return fd;
}

/* One whose queue is full: the next connection's SYN stays without an answer. */
static void make_silent(void)
{
  struct sockaddr_in address = ipv4(SILENT, port);
  silent = listen_on((struct sockaddr *)&address, sizeof(address), 0);
  assert_true(silent >= 0);
  for (int i = 0; i < FILLERS; i++) {
    fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
  }
}

static int setup(void **state)
{
  struct sockaddr_in address = ipv4(GOOD, 0);
  socklen_t len = sizeof(address);
  (void)state;
  server = listen_on((struct sockaddr *)&address, len, 100);
  assert_true(server >= 0);
  assert_int_equal(getsockname(server, (struct sockaddr *)&address, &len), 0);
  port = ntohs(address.sin_port);
  silent = -1;
  memset(&fake, 0, sizeof(fake));
  failing_mem_init(&memory, 0);
  return uv_loop_init(&loop);
}

static int teardown(void **state)
{
  (void)state;
  close(server);
  if (silent >= 0) {
    close(silent);
    for (int i = 0; i < FILLERS; i++)
      close(fillers[i]);
  }
  assert_int_equal(uv_loop_close(&loop), 0);
  assert_int_equal(memory.live, 0);
  return 0;
}

/* ---- an outcome ------------------------------------------------------------------------------ */

typedef struct outcome_s {
  uvsmtp__connector_t *connector;
  bool started;
  int calls, err;
  uv_stream_t *stream;
  char text[1200], peer[400];
  void (*then)(struct outcome_s *o);
} outcome_t;

static void count_handle(uv_handle_t *handle, void *count)
{
  /* Timers and sockets are the connector's, but for the resolver's own. */
  if (!uv_is_closing(handle) && handle != (uv_handle_t *)&fake.timer &&
      handle->type != UV_PREPARE && handle->type != UV_CHECK)
    ++*(int *)count;
}

static void on_done(void *data, uv_stream_t *stream, int err, const char *text, const char *peer)
{
  outcome_t *o = data;
  int handles = 0;
  assert_true(o->started);
  assert_int_equal(++o->calls, 1);
  assert_true((stream != NULL) == (err == 0));
  assert_true((text[0] == '\0') == (err == 0));
  assert_true((peer[0] == '\0') == (err != 0));
  o->err = err;
  o->stream = stream;
  snprintf(o->text, sizeof(o->text), "%s", text);
  snprintf(o->peer, sizeof(o->peer), "%s", peer);
  if (o->then != NULL) {
    o->then(o);
    return;
  }
  uv_walk(&loop, count_handle, &handles);
  assert_int_equal(handles, stream != NULL ? 1 : 0);
}

static void start(outcome_t *o, const uvsmtp__connector_options_t *options)
{
  uvsmtp__connector_options_t full = *options;
  memset(o, 0, offsetof(outcome_t, then));
  full.mem = &memory.mem;
  full.resolver = &resolver;
  if (full.unix_path == NULL && full.port == 0)
    full.port = port;
  if (full.connect_timeout_ms == 0)
    full.connect_timeout_ms = LONG_MS;
  assert_int_equal(uvsmtp__connector_start(&o->connector, &loop, &full, on_done, o), 0);
  o->started = true;
}

static void free_stream(uv_handle_t *handle)
{
  memory.mem.free(memory.mem.ctx, handle);
}

static void drop(outcome_t *o)
{
  if (o->stream != NULL)
    uv_close((uv_handle_t *)o->stream, free_stream);
  o->stream = NULL;
  assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
}

static outcome_t run(const uvsmtp__connector_options_t *options)
{
  outcome_t o = {0};
  start(&o, options);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(o.calls, 1);
  return o;
}

static void expect(const outcome_t *o, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The sentence of a failure or the peer of a success. */
static void expect(const outcome_t *o, int err, const char *format, ...)
{
  char want[1200];
  va_list args;
  va_start(args, format);
  vsnprintf(want, sizeof(want), format, args);
  va_end(args);
  assert_string_equal(err == 0 ? o->peer : o->text, want);
  assert_int_equal(o->err, err);
}

/* ---- one address ------------------------------------------------------------------------------
 */

static void an_ipv4_address_gives_a_working_tcp_stream(void **state)
{
  outcome_t o = run(&(uvsmtp__connector_options_t){.host = GOOD});
  char byte = 'x';
  uv_buf_t buf = uv_buf_init(&byte, 1);
  int fd, nodelay = 0, keepalive = 0, peer;
  socklen_t len = sizeof(int);
  (void)state;
  expect(&o, 0, GOOD ":%u", port);
  assert_int_equal(fake.calls, 0);
  assert_int_equal(o.stream->type, UV_TCP);
  assert_null(o.stream->data);
  assert_int_equal(uv_fileno((uv_handle_t *)o.stream, &fd), 0);
  assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len), 0);
  assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &len), 0);
  assert_true(nodelay && keepalive);
  assert_int_equal(uv_try_write(o.stream, &buf, 1), 1);
  peer = accept(server, NULL, NULL);
  byte = 0;
  assert_int_equal(read(peer, &byte, 1), 1);
  assert_int_equal(byte, 'x');
  close(peer);
  drop(&o);
}

static void an_ipv6_address_is_connected(void **state)
{
  struct sockaddr_in6 address;
  int six;
  outcome_t o;
  (void)state;
  uv_ip6_addr("::1", port, &address);
  six = listen_on((struct sockaddr *)&address, sizeof(address), 5);
  if (six < 0)
    skip();
  o = run(&(uvsmtp__connector_options_t){.host = "::1"});
  expect(&o, 0, "[::1]:%u", port);
  drop(&o);
  close(six);
}

static void a_unix_socket_is_connected(void **state)
{
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char dir[] = "/tmp/uvsmtp-test-XXXXXX";
  int fd;
  outcome_t o;
  (void)state;
  assert_non_null(mkdtemp(dir));
  snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
  o = run(&(uvsmtp__connector_options_t){.unix_path = address.sun_path});
  expect(&o, UVSMTP_ECONNECT, "connecting to %s: no such file or directory", address.sun_path);
  fd = listen_on((struct sockaddr *)&address, sizeof(address), 5);
  assert_true(fd >= 0);
  o = run(&(uvsmtp__connector_options_t){.unix_path = address.sun_path, .host = "ignored"});
  expect(&o, 0, "%s", address.sun_path);
  assert_int_equal(o.stream->type, UV_NAMED_PIPE);
  drop(&o);
  close(fd);
  unlink(address.sun_path);
  rmdir(dir);
}

static void a_refused_address_is_an_error_that_says_so(void **state)
{
  outcome_t o = run(&(uvsmtp__connector_options_t){.host = REFUSES});
  (void)state;
  expect(&o, UVSMTP_ECONNECT, "connecting to " REFUSES ":%u: connection refused", port);
}

static void a_silent_address_costs_no_more_than_the_deadline(void **state)
{
  outcome_t o;
  (void)state;
  make_silent();
  o = run(&(uvsmtp__connector_options_t){.host = SILENT, .connect_timeout_ms = 5});
  expect(&o, UVSMTP_ETIMEOUT, "connecting to " SILENT ":%u: no connection within 5 ms", port);
}

static void the_deadline_counts_from_the_start_even_if_the_loop_is_late(void **state)
{
  outcome_t o = {0};
  uint64_t before = uv_now(&loop);
  (void)state;
  uv_sleep(20); /* the loop's clock, which timers count from, stands still meanwhile */
  start(&o, &(uvsmtp__connector_options_t){.host = GOOD});
  assert_true(uv_now(&loop) >= before + 20);
  uv_run(&loop, UV_RUN_DEFAULT);
  drop(&o);
}

static void a_source_address_is_what_the_server_sees(void **state)
{
  struct sockaddr_in from;
  socklen_t len = sizeof(from);
  char text[32];
  int peer;
  outcome_t o = run(&(uvsmtp__connector_options_t){.host = GOOD, .source_address = "127.0.0.9"});
  (void)state;
  assert_int_equal(o.err, 0);
  peer = accept(server, (struct sockaddr *)&from, &len);
  uv_ip4_name(&from, text, sizeof(text));
  assert_string_equal(text, "127.0.0.9");
  close(peer);
  drop(&o);
  o = run(&(uvsmtp__connector_options_t){.host = GOOD, .source_address = "203.0.113.77"});
  expect(&o, UVSMTP_ECONNECT, "connecting to " GOOD ":%u: address not available", port);
}

/* ---- several addresses --------------------------------------------------------------------------
 */

static outcome_t run_name(const char *const *names, uint64_t delay_ms)
{
  fake.names = names;
  return run(&(uvsmtp__connector_options_t){.host = "mx.example", .attempt_delay_ms = delay_ms});
}

static void a_failed_attempt_is_followed_by_the_next_without_delay(void **state)
{
  static const char *const names[] = {REFUSES, "127.0.0.4", GOOD, NULL};
  outcome_t o = run_name(names, UINT64_MAX);
  (void)state;
  expect(&o, 0, "mx.example:%u (" GOOD ")", port);
  assert_int_equal(fake.freed, 1);
  drop(&o);
}

static void a_silent_address_is_overtaken_by_the_next(void **state)
{
  static const char *const names[] = {SILENT, SILENT, GOOD, NULL};
  outcome_t o;
  (void)state;
  make_silent();
  o = run_name(names, 1);
  expect(&o, 0, "mx.example:%u (" GOOD ")", port);
  drop(&o);
}

static void a_refusal_beside_a_silent_address_starts_the_next(void **state)
{
  static const char *const names[] = {SILENT, REFUSES, GOOD, NULL};
  outcome_t o;
  (void)state;
  make_silent();
  o = run_name(names, 20);
  expect(&o, 0, "mx.example:%u (" GOOD ")", port);
  drop(&o);
}

/* RFC 8305 section 4: the resolver's first, then the families in turns, unless history knows. */
static void all_refusals_are_told_families_in_turns(void **state)
{
  static const struct {
    int known; /* to have answered */
    const char *names[6], *order[5];
  } rows[] = {
      {AF_UNSPEC,
       {"::1", REFUSES, "127.0.0.4", "::ffff:127.0.0.6", "127.0.0.5"},
       {"::1: ", REFUSES ": ", "::ffff:127.0.0.6: ", "127.0.0.4: ", "127.0.0.5: "}},
      {AF_UNSPEC,
       {REFUSES, "127.0.0.4", "127.0.0.5", "::1", "::ffff:127.0.0.6"},
       {REFUSES ": ", "::1: ", "127.0.0.4: ", "::ffff:127.0.0.6: ", "127.0.0.5: "}},
      {AF_INET6,
       {REFUSES, "127.0.0.4", "::1", "::ffff:127.0.0.6"},
       {"::1: ", REFUSES ": ", "::ffff:127.0.0.6: ", "127.0.0.4: "}},
      {AF_INET,
       {"::1", "::ffff:127.0.0.6", REFUSES, "127.0.0.4"},
       {REFUSES ": ", "::1: ", "127.0.0.4: ", "::ffff:127.0.0.6: "}},
      {AF_INET6, {REFUSES, "127.0.0.4"}, {REFUSES ": ", "127.0.0.4: "}},
  };
  (void)state;
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char begin[64];
    const char *at;
    uvsmtp_history_t *history;
    outcome_t o;
    assert_int_equal(uvsmtp_history_new(&history, NULL), 0);
    uvsmtp__history_note_family(history, rows[i].known);
    fake.names = rows[i].names;
    o = run(&(uvsmtp__connector_options_t){
        .host = "mx.example", .attempt_delay_ms = UINT64_MAX, .history = history});
    uvsmtp_history_free(history);
    assert_int_equal(o.err, UVSMTP_ECONNECT);
    assert_int_equal(fake.family, AF_UNSPEC);
    at = o.text + snprintf(begin, sizeof(begin), "connecting to mx.example:%u: ", port);
    assert_memory_equal(o.text, begin, strlen(begin));
    for (size_t n = 0; n < 5 && rows[i].order[n] != NULL; n++) {
      assert_non_null(at);
      assert_memory_equal(at, rows[i].order[n], strlen(rows[i].order[n]));
      at = strstr(at, "; ");
      at = at != NULL ? at + 2 : NULL;
    }
    assert_null(at);
  }
}

static void the_family_that_answers_is_remembered(void **state)
{
  static const char *const names[] = {"::1", REFUSES, GOOD, NULL};
  uvsmtp_history_info_t info = UVSMTP_HISTORY_INFO_INIT;
  uvsmtp__connector_options_t options = {.host = "mx.example", .attempt_delay_ms = UINT64_MAX};
  outcome_t o;
  (void)state;
  fake.names = names;
  assert_int_equal(uvsmtp_history_new(&options.history, NULL), 0);
  o = run(&options);
  expect(&o, 0, "mx.example:%u (" GOOD ")", port);
  drop(&o);
  uvsmtp_history_info(options.history, &info);
  uvsmtp_history_free(options.history);
  assert_int_equal(info.family, UVSMTP_FAMILY_IPV4);
}

static void the_deadline_tells_who_refused_and_who_was_silent(void **state)
{
  static const char *const names[] = {REFUSES, SILENT, "127.0.0.4", NULL};
  outcome_t o;
  (void)state;
  make_silent();
  fake.names = names;
  o = run(&(uvsmtp__connector_options_t){
      .host = "mx.example", .connect_timeout_ms = 300, .attempt_delay_ms = UINT64_MAX});
  expect(&o, UVSMTP_ETIMEOUT,
         "connecting to mx.example:%u: no connection within 300 ms; " REFUSES
         ": connection refused; " SILENT ": no answer",
         port);
}

static void a_refusal_does_not_end_what_is_still_under_way(void **state)
{
  static const char *const names[] = {SILENT, REFUSES, NULL};
  outcome_t o;
  (void)state;
  make_silent();
  fake.names = names;
  o = run(&(uvsmtp__connector_options_t){
      .host = "mx.example", .connect_timeout_ms = 300, .attempt_delay_ms = 1});
  assert_int_equal(o.err, UVSMTP_ETIMEOUT);
}

static void each_of_many_addresses_is_tried(void **state)
{
  const char *names[MAX_NAMES + 1];
  outcome_t o;
  (void)state;
  for (int i = 0; i < MAX_NAMES - 1; i++)
    names[i] = REFUSES;
  names[MAX_NAMES - 1] = GOOD;
  names[MAX_NAMES] = NULL;
  o = run_name(names, UINT64_MAX);
  expect(&o, 0, "mx.example:%u (" GOOD ")", port);
  drop(&o);
}

static void addresses_without_number_have_an_end(void **state)
{
  const char *names[MAX_NAMES + 2];
  outcome_t o;
  (void)state;
  for (int i = 0; i < MAX_NAMES; i++)
    names[i] = REFUSES;
  names[MAX_NAMES] = GOOD;
  names[MAX_NAMES + 1] = NULL;
  o = run_name(names, UINT64_MAX);
  assert_int_equal(o.err, UVSMTP_ECONNECT);
}

static void only_the_family_that_is_wanted_is_tried(void **state)
{
  static const char *const names[] = {"::1", REFUSES, NULL};
  static const struct {
    uvsmtp_family_t family;
    const char *source;
    int asked;
    const char *tried, *not_tried;
  } rows[] = {
      {UVSMTP_FAMILY_IPV4, NULL, AF_INET, REFUSES ":", "::1:"},
      {UVSMTP_FAMILY_IPV6, NULL, AF_INET6, "::1:", REFUSES ":"},
      {UVSMTP_FAMILY_ANY, "127.0.0.9", AF_INET, REFUSES ":", "::1:"},
      {UVSMTP_FAMILY_ANY, "::1", AF_INET6, "::1:", REFUSES ":"},
  };
  (void)state;
  fake.names = names;
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    outcome_t o = run(&(uvsmtp__connector_options_t){
        .host = "mx.example", .family = rows[i].family, .source_address = rows[i].source});
    assert_int_equal(o.err, UVSMTP_ECONNECT);
    assert_int_equal(fake.family, rows[i].asked);
    assert_non_null(strstr(o.text, rows[i].tried));
    assert_null(strstr(o.text, rows[i].not_tried));
  }
}

/* ---- names
 * ----------------------------------------------------------------------------------------- */

static void a_name_without_a_usable_address_is_an_error_that_says_why(void **state)
{
  static const char *const four[] = {GOOD, NULL};
  static const struct {
    int status, at_once;
    uvsmtp_family_t family;
    const char *host;
    int err;
    const char *text;
  } rows[] = {
      {.status = UV_EAI_NONAME,
       .err = UVSMTP_ERESOLVE,
       .text = "resolving mx.example: unknown node or service"},
      {.status = UV_EAI_NONAME,
       .family = UVSMTP_FAMILY_IPV6,
       .err = UVSMTP_ERESOLVE,
       .text = "resolving mx.example: unknown node or service; only IPv6 addresses were asked for"},
      {.at_once = UV_EINVAL,
       .err = UVSMTP_ERESOLVE,
       .text = "resolving mx.example: invalid argument"},
      {.status = UV_EAI_MEMORY,
       .err = UVSMTP_ENOMEM,
       .text = "resolving mx.example: out of memory"},
      {.at_once = UV_ENOMEM,
       .err = UVSMTP_ENOMEM,
       .text = "resolving mx.example: not enough memory"},
      {.family = UVSMTP_FAMILY_IPV6,
       .err = UVSMTP_ERESOLVE,
       .text = "resolving mx.example: it has no IPv6 address"},
      {.family = UVSMTP_FAMILY_IPV6,
       .host = GOOD,
       .err = UVSMTP_ERESOLVE,
       .text = "resolving " GOOD ": it has no IPv6 address"},
      {.family = UVSMTP_FAMILY_IPV4,
       .host = "::1",
       .err = UVSMTP_ERESOLVE,
       .text = "resolving ::1: it has no IPv4 address"},
  };
  outcome_t o;
  (void)state;
  fake.names = four;
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    fake.status = rows[i].status;
    fake.at_once = rows[i].at_once;
    o = run(&(uvsmtp__connector_options_t){
        .host = rows[i].host != NULL ? rows[i].host : "mx.example", .family = rows[i].family});
    expect(&o, rows[i].err, "%s", rows[i].text);
  }
  fake.names = NULL;
  fake.at_once = fake.status = 0;
  o = run(&(uvsmtp__connector_options_t){.host = "mx.example"});
  expect(&o, UVSMTP_ERESOLVE, "resolving mx.example: it has no address");
}

static void localhost_is_found_by_the_real_resolver(void **state)
{
  uvsmtp__connector_options_t options = {
      .host = "localhost", .port = port, .family = UVSMTP_FAMILY_IPV4, .mem = &memory.mem};
  outcome_t o = {0};
  (void)state;
  assert_int_equal(uvsmtp__connector_start(&o.connector, &loop, &options, on_done, &o), 0);
  o.started = true;
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(o.calls, 1);
  expect(&o, 0, "localhost:%u (127.0.0.1)", port);
  drop(&o);
}

static void a_lookup_that_hangs_does_not_stretch_the_deadline(void **state)
{
  outcome_t o = {0};
  (void)state;
  fake.hangs = fake.stubborn = true;
  start(&o, &(uvsmtp__connector_options_t){.host = "mx.example", .connect_timeout_ms = 5});
  while (o.calls == 0)
    uv_run(&loop, UV_RUN_ONCE);
  expect(&o, UVSMTP_ETIMEOUT, "resolving mx.example: no answer within 5 ms");
  assert_int_equal(memory.live, 0);
  assert_int_equal(fake.freed, 0);
  fake_release();
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(o.calls, 1);
  assert_int_equal(fake.freed, 1);
}

/* ---- cancel
 * ------------------------------------------------------------------------------------------ */

static void cancel_before_the_loop_runs_does_no_work(void **state)
{
  outcome_t o = {0};
  (void)state;
  start(&o, &(uvsmtp__connector_options_t){.host = "mx.example"});
  uvsmtp__connector_cancel(o.connector);
  uvsmtp__connector_cancel(o.connector);
  assert_int_equal(o.calls, 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  expect(&o, UVSMTP_ECANCELED, "connecting to mx.example:%u: cancelled", port);
  assert_int_equal(fake.calls, 0);
}

static void cancel_waits_for_a_lookup_that_cannot_be_stopped(void **state)
{
  outcome_t o = {0};
  (void)state;
  fake.hangs = fake.stubborn = true;
  start(&o, &(uvsmtp__connector_options_t){.host = "mx.example"});
  while (fake.calls == 0)
    uv_run(&loop, UV_RUN_NOWAIT);
  uvsmtp__connector_cancel(o.connector);
  for (int i = 0; i < 5; i++)
    uv_run(&loop, UV_RUN_NOWAIT);
  assert_int_equal(fake.cancels, 1);
  assert_int_equal(o.calls, 0);
  fake_release();
  uv_run(&loop, UV_RUN_DEFAULT);
  expect(&o, UVSMTP_ECANCELED, "resolving mx.example: cancelled");
}

/* Cancels at the n-th step; the loop has two a turn: before it polls, and right after. */
static struct {
  uv_prepare_t prepare;
  uv_check_t check;
  outcome_t o;
  int step, at;
  bool cancelled;
} steps;

static void step(void)
{
  if (steps.o.calls == 0 && steps.step++ == steps.at) {
    uvsmtp__connector_cancel(steps.o.connector);
    steps.cancelled = true;
    assert_int_equal(steps.o.calls, 0);
  }
  if (steps.o.calls != 0 && !uv_is_closing((uv_handle_t *)&steps.check)) {
    uv_close((uv_handle_t *)&steps.prepare, NULL);
    uv_close((uv_handle_t *)&steps.check, NULL);
  }
}

static void on_prepare(uv_prepare_t *handle)
{
  (void)handle;
  step();
}

static void on_check(uv_check_t *handle)
{
  (void)handle;
  step();
}

/* How many steps a whole run has; each cancelled once. */
static int cancel_each_step(const uvsmtp__connector_options_t *options)
{
  for (int at = 0;; at++) {
    memset(&steps, 0, sizeof(steps));
    steps.at = at;
    uv_prepare_init(&loop, &steps.prepare);
    uv_check_init(&loop, &steps.check);
    uv_prepare_start(&steps.prepare, on_prepare);
    uv_check_start(&steps.check, on_check);
    fake.status = 0;
    start(&steps.o, options);
    uv_unref((uv_handle_t *)&steps.prepare);
    uv_unref((uv_handle_t *)&steps.check);
    while (steps.o.calls == 0)
      uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(steps.o.calls, 1);
    if (steps.cancelled) {
      assert_int_equal(steps.o.err, UVSMTP_ECANCELED);
      assert_non_null(strstr(steps.o.text, "cancelled"));
    }
    drop(&steps.o);
    if (!uv_is_closing((uv_handle_t *)&steps.check)) {
      uv_close((uv_handle_t *)&steps.prepare, NULL);
      uv_close((uv_handle_t *)&steps.check, NULL);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(memory.live, 0);
    if (!steps.cancelled)
      return at;
  }
}

static void cancel_at_every_step_of_a_success(void **state)
{
  static const char *const names[] = {SILENT, REFUSES, GOOD, NULL};
  (void)state;
  make_silent();
  fake.names = names;
  assert_true(cancel_each_step(&(uvsmtp__connector_options_t){.host = "mx.example",
                                                              .attempt_delay_ms = 1}) >= 4);
}

static void cancel_at_every_step_of_a_failure(void **state)
{
  static const char *const names[] = {REFUSES, "127.0.0.4", NULL};
  (void)state;
  fake.names = names;
  assert_true(cancel_each_step(&(uvsmtp__connector_options_t){.host = "mx.example"}) >= 3);
}

/* ---- in the callback
 * ------------------------------------------------------------------------------------ */

static outcome_t second;

static void start_another(outcome_t *o)
{
  uvsmtp__connector_cancel(o->connector); /* too late, and harmless */
  start(&second, &(uvsmtp__connector_options_t){.host = GOOD});
  uv_close((uv_handle_t *)o->stream, free_stream);
  o->stream = NULL;
}

static void the_callback_may_close_cancel_and_start_again(void **state)
{
  outcome_t o = {.then = start_another};
  (void)state;
  memset(&second, 0, sizeof(second));
  start(&o, &(uvsmtp__connector_options_t){.host = GOOD});
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(o.calls, 1);
  assert_int_equal(o.err, 0);
  assert_int_equal(second.calls, 1);
  assert_int_equal(second.err, 0);
  drop(&second);
}

/* ---- refusals and memory
 * ---------------------------------------------------------------------------------- */

static void wrong_options_are_refused_before_any_work(void **state)
{
  char long_path[200];
  const struct {
    uvsmtp__connector_options_t options;
    int err;
  } rows[] = {
      {{.port = 25}, UVSMTP_EINVAL},
      {{.host = "", .port = 25}, UVSMTP_EINVAL},
      {{.host = "mx.example"}, UVSMTP_EINVAL},
      {{.unix_path = ""}, UVSMTP_EINVAL},
      {{.unix_path = long_path}, UVSMTP_EINVAL},
      {{.host = "mx.example\r\n", .port = 25}, UVSMTP_EINJECTION},
      {{.unix_path = "/run/a\nb"}, UVSMTP_EINJECTION},
      {{.host = "h", .port = 25, .source_address = "me.example"}, UVSMTP_EINVAL},
      {{.host = "h", .port = 25, .source_address = "::1", .family = UVSMTP_FAMILY_IPV4},
       UVSMTP_EINVAL},
      {{.host = "h", .port = 25, .source_address = GOOD, .family = UVSMTP_FAMILY_IPV6},
       UVSMTP_EINVAL},
  };
  (void)state;
  memset(long_path, 'x', sizeof(long_path) - 1);
  long_path[sizeof(long_path) - 1] = '\0';
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp__connector_options_t options = rows[i].options;
    uvsmtp__connector_t *c;
    options.mem = &memory.mem;
    assert_int_equal(uvsmtp__connector_start(&c, &loop, &options, on_done, NULL), rows[i].err);
    assert_int_equal(memory.live, 0);
    assert_false(uv_loop_alive(&loop));
  }
}

static void running_out_of_memory_is_an_error_and_no_leak(void **state)
{
  static const char *const names[] = {SILENT, REFUSES, GOOD, NULL};
  uvsmtp__connector_options_t options = {.host = "mx.example",
                                         .port = port,
                                         .connect_timeout_ms = LONG_MS,
                                         .attempt_delay_ms = 1,
                                         .mem = &memory.mem,
                                         .resolver = &resolver};
  int err = UVSMTP_ENOMEM, fail_at;
  (void)state;
  make_silent();
  fake.names = names;
  for (fail_at = 1; err != 0; fail_at++) {
    outcome_t o = {0};
    failing_mem_init(&memory, fail_at);
    err = uvsmtp__connector_start(&o.connector, &loop, &options, on_done, &o);
    o.started = true;
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(o.calls, err == 0 ? 1 : 0);
    if (err == 0)
      err = o.err;
    assert_true(err == 0 || err == UVSMTP_ENOMEM);
    drop(&o);
    assert_int_equal(memory.live, 0);
  }
  assert_int_equal(fail_at, 8); /* connector, host, attempts, three streams; then a success */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(an_ipv4_address_gives_a_working_tcp_stream),
      TEST(an_ipv6_address_is_connected),
      TEST(a_unix_socket_is_connected),
      TEST(a_refused_address_is_an_error_that_says_so),
      TEST(a_silent_address_costs_no_more_than_the_deadline),
      TEST(the_deadline_counts_from_the_start_even_if_the_loop_is_late),
      TEST(a_source_address_is_what_the_server_sees),
      TEST(a_failed_attempt_is_followed_by_the_next_without_delay),
      TEST(a_silent_address_is_overtaken_by_the_next),
      TEST(a_refusal_beside_a_silent_address_starts_the_next),
      TEST(all_refusals_are_told_families_in_turns),
      TEST(the_family_that_answers_is_remembered),
      TEST(the_deadline_tells_who_refused_and_who_was_silent),
      TEST(a_refusal_does_not_end_what_is_still_under_way),
      TEST(each_of_many_addresses_is_tried),
      TEST(addresses_without_number_have_an_end),
      TEST(only_the_family_that_is_wanted_is_tried),
      TEST(a_name_without_a_usable_address_is_an_error_that_says_why),
      TEST(localhost_is_found_by_the_real_resolver),
      TEST(a_lookup_that_hangs_does_not_stretch_the_deadline),
      TEST(cancel_before_the_loop_runs_does_no_work),
      TEST(cancel_waits_for_a_lookup_that_cannot_be_stopped),
      TEST(cancel_at_every_step_of_a_success),
      TEST(cancel_at_every_step_of_a_failure),
      TEST(the_callback_may_close_cancel_and_start_again),
      TEST(wrong_options_are_refused_before_any_work),
      TEST(running_out_of_memory_is_an_error_and_no_leak),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
