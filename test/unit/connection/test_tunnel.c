/*
 * Connections through a proxy, behind a header, and on a stream of the caller's: against the fake
 * server, with a proxy between that follows a script and then relays.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tls/certs.h"
#include "connection/connection.h"
#include "sink/sink.h"
#include "uvsmtp.h"

/* ---- the proxy ---- */

/* When that much was received, or up to this end, the answer is sent. */
typedef struct turn_s {
  size_t len;
  const char *end;
  const char *answer;
  size_t answer_len;
} turn_t;

#define AFTER(len, answer)                                                                         \
  {                                                                                                \
    len, NULL, answer, sizeof(answer) - 1                                                          \
  }
#define AFTER_END(end, answer)                                                                     \
  {                                                                                                \
    0, end, answer, sizeof(answer) - 1                                                             \
  }

typedef struct proxy_s {
  uv_tcp_t listener, client, server;
  int handles;
  uv_connect_t connect;
  uint16_t port, server_port;
  const turn_t *turns; /* up to one without an end */
  size_t turn;
  bool relaying, hangs_up; /* after its last turn */
  char got[2048];          /* all of the dialogue */
  size_t got_len, used;
  char buf[4096];
} proxy_t;

typedef struct parcel_s {
  uv_write_t write;
  char bytes[];
} parcel_t;

static void on_parcel_sent(uv_write_t *write, int status)
{
  free(write);
}

static void post(uv_tcp_t *to, const char *bytes, size_t len, const char *more, size_t more_len)
{
  parcel_t *parcel = malloc(sizeof(*parcel) + len + more_len);
  uv_buf_t buf = uv_buf_init(parcel->bytes, (unsigned)(len + more_len));
  memcpy(parcel->bytes, bytes, len);
  memcpy(parcel->bytes + len, more, more_len);
  if (uv_is_closing((uv_handle_t *)to) ||
      uv_write(&parcel->write, (uv_stream_t *)to, &buf, 1, on_parcel_sent) != 0)
    free(parcel);
}

static void on_handle_closed(uv_handle_t *handle)
{
  ((proxy_t *)handle->data)->handles--;
}

static void close_one(proxy_t *p, uv_tcp_t *handle)
{
  if (handle->data == p && !uv_is_closing((uv_handle_t *)handle))
    uv_close((uv_handle_t *)handle, on_handle_closed);
}

static void close_proxy(proxy_t *p)
{
  close_one(p, &p->listener);
  close_one(p, &p->client);
  close_one(p, &p->server);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  proxy_t *p = handle->data;
  *buf = uv_buf_init(p->buf, sizeof(p->buf));
}

/* The last answer leaves together with the server's first words. */
static void on_server_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
  proxy_t *p = stream->data;
  const turn_t *last = &p->turns[p->turn];
  if (nread < 0) {
    close_proxy(p);
    return;
  }
  if (p->relaying)
    post(&p->client, buf->base, (size_t)nread, "", 0);
  else
    post(&p->client, last->answer, last->answer_len, buf->base, (size_t)nread);
  p->relaying = true;
}

static void on_server_connected(uv_connect_t *connect, int status)
{
  proxy_t *p = connect->handle->data;
  if (status != 0)
    return;
  uv_read_start((uv_stream_t *)&p->server, on_alloc, on_server_read);
}

static void connect_server(proxy_t *p)
{
  struct sockaddr_in address;
  uv_tcp_init(p->listener.loop, &p->server);
  p->server.data = p;
  p->handles++;
  uv_ip4_addr("127.0.0.1", p->server_port, &address);
  uv_tcp_connect(&p->connect, &p->server, (struct sockaddr *)&address, on_server_connected);
}

static bool is_turns_end(const proxy_t *p, const turn_t *turn)
{
  if (turn->end != NULL)
    return strstr(p->got + p->used, turn->end) != NULL;
  return p->got_len - p->used >= turn->len;
}

static void take_turns(proxy_t *p)
{
  const turn_t *turn = &p->turns[p->turn];
  if ((turn->len == 0 && turn->end == NULL) || !is_turns_end(p, turn))
    return;
  p->used = turn->end != NULL ? p->got_len : p->used + turn->len;
  if (turn[1].len != 0 || turn[1].end != NULL) {
    post(&p->client, turn->answer, turn->answer_len, "", 0);
    p->turn++;
    take_turns(p);
  } else if (p->server_port != 0) {
    connect_server(p);
  } else {
    post(&p->client, turn->answer, turn->answer_len, "", 0);
    if (p->hangs_up)
      close_one(p, &p->client);
  }
}

static void on_client_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
  proxy_t *p = stream->data;
  if (nread < 0) {
    close_proxy(p);
  } else if (p->relaying) {
    post(&p->server, buf->base, (size_t)nread, "", 0);
  } else if (nread > 0) {
    assert_true(p->got_len + (size_t)nread < sizeof(p->got));
    memcpy(p->got + p->got_len, buf->base, (size_t)nread);
    p->got_len += (size_t)nread;
    take_turns(p);
  }
}

static void on_client(uv_stream_t *listener, int status)
{
  proxy_t *p = listener->data;
  uv_tcp_init(listener->loop, &p->client);
  p->client.data = p;
  p->handles++;
  assert_int_equal(uv_accept(listener, (uv_stream_t *)&p->client), 0);
  uv_read_start((uv_stream_t *)&p->client, on_alloc, on_client_read);
  close_one(p, &p->listener);
}

static void start_proxy(proxy_t *p, uv_loop_t *loop, const turn_t *turns)
{
  struct sockaddr_in address;
  int len = sizeof(address);
  memset(p, 0, sizeof(*p));
  p->turns = turns;
  uv_tcp_init(loop, &p->listener);
  p->listener.data = p;
  p->handles = 1;
  uv_ip4_addr("127.0.0.1", 0, &address);
  assert_int_equal(uv_tcp_bind(&p->listener, (struct sockaddr *)&address, 0), 0);
  assert_int_equal(uv_listen((uv_stream_t *)&p->listener, 1, on_client), 0);
  uv_tcp_getsockname(&p->listener, (struct sockaddr *)&address, &len);
  p->port = ntohs(address.sin_port);
}

/* ---- the world around it ---- */

static identity_t identity;
static char cert_file[] = "/tmp/uvsmtp-test-cert-XXXXXX",
            key_file[] = "/tmp/uvsmtp-test-key-XXXXXX";
static uvsmtp_tls_context_t *trusting;

static int set_up_group(void **state)
{
  uvsmtp_tls_options_t options = UVSMTP_TLS_OPTIONS_INIT;
  signal(SIGPIPE, SIG_IGN);
  make_identity(&identity, &(spec_t){.subject = "CN=x", .names = "DNS:mx.example", .is_ca = 1});
  write_identity(&identity, cert_file, key_file);
  options.ca_pem = identity.cert;
  return uvsmtp_tls_context_new(&trusting, &options, NULL, 0);
}

static int tear_down_group(void **state)
{
  uvsmtp_tls_context_free(trusting);
  free_identity(&identity);
  unlink(cert_file);
  unlink(key_file);
  return 0;
}

typedef struct world_s {
  uv_loop_t loop;
  proxy_t proxy;
  sink_t *sink;
  sink_counters_t seen;
  char url[128];
  uvsmtp_connection_options_t options;
  uvsmtp_connection_t *connection;
  int opened, closed, err, trace_lines;
  char text[1024], peer[400];
  uvsmtp_tls_info_t tls;
} world_t;

static void on_sink_closed(sink_t *sink, void *data)
{
  world_t *w = data;
  w->seen = *sink_counters(sink);
  w->sink = NULL;
}

static void on_closed(uvsmtp_connection_t *c)
{
  world_t *w = uvsmtp_connection_get_data(c);
  w->closed++;
  w->connection = NULL;
  close_proxy(&w->proxy);
  sink_close(w->sink, on_sink_closed);
}

static void on_open(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  world_t *w = uvsmtp_connection_get_data(c);
  w->opened++;
  w->err = error->err;
  snprintf(w->text, sizeof(w->text), "%s", error->text);
  snprintf(w->peer, sizeof(w->peer), "%s", uvsmtp_connection_peer(c));
  if (error->err != 0)
    uvsmtp_connection_close(c, on_closed);
  else
    uvsmtp_connection_quit(c, on_closed);
}

static void on_trace(void *data, uvsmtp_connection_t *c, uvsmtp_trace_t kind, const char *line,
                     size_t len)
{
  world_t *w = data;
  w->trace_lines++;
  assert_null(memmem(line, len, "hunter2", 7));
}

/* `scheme` "socks5", "http", or NULL: no proxy, but a header. */
static void init(world_t *w, const char *scheme, const char *login, const turn_t *turns)
{
  sink_options_t sink = {.tls_cert = cert_file, .tls_key = key_file, .data = w};
  char detail[256] = "";
  memset(w, 0, sizeof(*w));
  assert_int_equal(uv_loop_init(&w->loop), 0);
  if (sink_start(&w->sink, &w->loop, &sink, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
  start_proxy(&w->proxy, &w->loop, turns);
  w->proxy.server_port = sink_port(w->sink);
  w->options = (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
  w->options.tls_context = trusting;
  w->options.ehlo_domain = "client.example";
  w->options.trace = on_trace;
  w->options.trace_data = w;
  if (scheme == NULL) {
    w->options.host = "127.0.0.1";
    w->options.port = w->proxy.port;
    w->options.tls = UVSMTP_TLS_NONE;
    return;
  }
  snprintf(w->url, sizeof(w->url), "%s://%s127.0.0.1:%u", scheme, login, w->proxy.port);
  w->options.proxy = w->url;
  w->options.host = "mx.example"; /* which no resolver here knows */
}

static void open_it(world_t *w)
{
  char detail[256] = "";
  int err = uvsmtp_connection_open(&w->connection, &w->loop, &w->options, on_open, detail,
                                   sizeof(detail));
  if (err != 0)
    fail_msg("open: %s", detail);
  uvsmtp_connection_set_data(w->connection, w);
  memset(w->url, 'x', sizeof(w->url) - 1); /* it has been copied */
}

static void end(world_t *w)
{
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(w->opened, 1);
  assert_int_equal(w->closed, 1);
  assert_int_equal(w->proxy.handles, 0);
  assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void go(world_t *w)
{
  open_it(w);
  end(w);
}

static const turn_t socks[] = {AFTER(3, "\5\0"), AFTER(17, "\5\0\0\1\0\0\0\0\0\0"), {0}};
static const turn_t socks_login[] = {
    AFTER(4, "\5\2"), AFTER(12, "\1\0"), AFTER(17, "\5\0\0\3\4exit\0\1"), {0}};
static const turn_t http[] = {AFTER_END("\r\n\r\n", "HTTP/1.1 200 OK\r\nVia: x\r\n\r\n"), {0}};

/* ---- through a proxy ---- */

static void a_session_with_tls_opens_through_each_kind_of_proxy(void **state)
{
  static const struct {
    const char *scheme, *login, *asked;
    size_t asked_len;
    const turn_t *turns;
  } rows[] = {
      {"socks5", "", "\5\1\0\5\1\0\3\x0amx.example\x02\x4b", 20, socks},
      {"socks5h", "me:hunter2@", "\5\2\0\2\1\2me\7hunter2\5\1\0\3\x0amx.example\x02\x4b", 33,
       socks_login},
      {"http", "", "CONNECT mx.example:587 HTTP/1.1\r\nHost: mx.example:587\r\n\r\n", 57, http},
      {"http", "me:hunter2@",
       "CONNECT mx.example:587 HTTP/1.1\r\nHost: mx.example:587\r\n"
       "Proxy-Authorization: Basic bWU6aHVudGVyMg==\r\n\r\n",
       102, http},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    world_t w;
    char peer[64];
    init(&w, rows[i].scheme, rows[i].login, rows[i].turns);
    snprintf(peer, sizeof(peer), "mx.example:587 through the proxy 127.0.0.1:%u", w.proxy.port);
    go(&w);
    if (w.err != 0)
      fail_msg("%s: %s", rows[i].scheme, w.text);
    assert_string_equal(w.peer, peer);
    assert_int_equal(w.seen.handshakes, 1);
    assert_true(w.trace_lines > 5);
    assert_int_equal(w.proxy.got_len, rows[i].asked_len);
    assert_memory_equal(w.proxy.got, rows[i].asked, w.proxy.got_len);
  }
}

static void what_goes_wrong_with_a_proxy_is_said(void **state)
{
  static const turn_t refused[] = {AFTER_END("\r\n\r\n", "HTTP/1.1 403 Not from here\r\n\r\n"),
                                   {0}};
  static const turn_t login[] = {AFTER(3, "\5\xff"), {0}};
  static const turn_t greets[] = {AFTER(3, "220 mx.example\r\n"), {0}};
  static const turn_t silent[] = {AFTER(3, "\5"), {0}};
  static const turn_t hangs_up[] = {AFTER_END("\r\n\r\n", ""), {0}};
  static const struct {
    const char *scheme;
    const turn_t *turns;
    bool hangs_up;
    uint64_t timeout_ms;
    int err;
    const char *text; /* with the proxy's port once or twice */
  } rows[] = {
      {"http", refused, false, 0, UVSMTP_EPROXY,
       "the proxy 127.0.0.1:%u refused to connect to mx.example:587: 403 Not from here"},
      {"socks5", login, false, 0, UVSMTP_EPROXY,
       "the proxy 127.0.0.1:%u wants a login, and no user is configured"},
      {"socks5", greets, false, 0, UVSMTP_EPROXY, "the proxy 127.0.0.1:%u does not speak SOCKS5"},
      {"http", hangs_up, true, 0, UVSMTP_EPROXY,
       "the proxy 127.0.0.1:%u closed the connection before it had answered"},
      {"socks5", silent, false, 50, UVSMTP_ETIMEOUT,
       "connecting to mx.example:587 through the proxy 127.0.0.1:%u: no answer within 50 ms"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    world_t w;
    char text[256];
    init(&w, rows[i].scheme, "", rows[i].turns);
    w.proxy.server_port = 0;
    w.proxy.hangs_up = rows[i].hangs_up;
    w.options.connect_timeout_ms = rows[i].timeout_ms;
    snprintf(text, sizeof(text), rows[i].text, w.proxy.port);
    go(&w);
    assert_string_equal(w.text, text);
    assert_int_equal(w.err, rows[i].err);
    assert_int_equal(w.seen.connections, 0);
  }
}

static void a_proxy_that_is_not_there_is_named(void **state)
{
  world_t w;
  char text[256];
  init(&w, "socks5", "", socks);
  snprintf(text, sizeof(text),
           "connecting to mx.example:587 through the proxy 127.0.0.1:%u: connection refused",
           w.proxy.port);
  close_proxy(&w.proxy);
  uv_run(&w.loop, UV_RUN_NOWAIT);
  go(&w);
  assert_string_equal(w.text, text);
  assert_int_equal(w.err, UVSMTP_ECONNECT);
}

static void closing_at_every_turn_of_the_loop_calls_back_once(void **state)
{
  static const char *const schemes[] = {"socks5", "http", NULL};
  static const turn_t header[] = {AFTER_END("\r\n", ""), {0}};
  const turn_t *turns[] = {socks_login, http, header};
  for (int i = 0; i < 3; i++) {
    for (int n = 0, opened = 0; !opened; n++) {
      world_t w;
      assert_true(n < 500);
      init(&w, schemes[i], "me:hunter2@", turns[i]);
      if (schemes[i] == NULL)
        w.options.proxy_header = UVSMTP_PROXY_HEADER_V1;
      open_it(&w);
      for (int turn = 0; turn < n && !w.opened; turn++)
        uv_run(&w.loop, UV_RUN_ONCE);
      opened = w.opened;
      uvsmtp_connection_close(w.connection, on_closed);
      end(&w);
      assert_int_equal(w.err, opened ? 0 : UVSMTP_ECANCELED);
    }
  }
}

/* ---- behind a header ---- */

static void a_header_comes_before_everything(void **state)
{
  static const turn_t v1[] = {AFTER_END("\r\n", ""), {0}};
  static const turn_t v2[] = {AFTER(28, ""), {0}};
  world_t w;
  char line[128];
  init(&w, NULL, "", v1);
  w.options.proxy_header = UVSMTP_PROXY_HEADER_V1;
  w.options.proxy_header_address = "192.0.2.1";
  w.options.proxy_header_port = 4711;
  snprintf(line, sizeof(line), "PROXY TCP4 192.0.2.1 127.0.0.1 4711 %u\r\n", w.proxy.port);
  go(&w);
  assert_int_equal(w.err, 0);
  assert_string_equal(w.proxy.got, line);

  init(&w, NULL, "", v2);
  w.options.proxy_header = UVSMTP_PROXY_HEADER_V2; /* with our own address */
  go(&w);
  assert_int_equal(w.err, 0);
  assert_memory_equal(w.proxy.got + 12, "\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1", 12);
  assert_int_equal((uint8_t)w.proxy.got[26] << 8 | (uint8_t)w.proxy.got[27], w.proxy.port);
}

static void a_header_goes_through_the_proxy_to_the_server(void **state)
{
  static const turn_t turns[] = {AFTER_END("\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
                                 AFTER_END("PROXY TCP4 192.0.2.1 127.0.0.1 4711 ", ""),
                                 {0}};
  world_t w;
  init(&w, "http", "", turns);
  w.options.proxy_header = UVSMTP_PROXY_HEADER_V1;
  w.options.proxy_header_address = "192.0.2.1";
  w.options.proxy_header_port = 4711;
  go(&w);
  assert_int_equal(w.err, 0);
  assert_int_equal(w.seen.handshakes, 1);
}

/* ---- on a stream of the caller's ---- */

typedef struct own_s {
  uv_tcp_t tcp;
  uv_connect_t connect;
  int connected;
} own_t;

static void on_own_connected(uv_connect_t *connect, int status)
{
  own_t *own = (own_t *)(void *)connect->handle;
  assert_int_equal(status, 0);
  own->connected = 1;
}

static void connect_own(own_t *own, world_t *w)
{
  struct sockaddr_in address;
  own->connected = 0;
  uv_tcp_init(&w->loop, &own->tcp);
  uv_ip4_addr("127.0.0.1", sink_port(w->sink), &address);
  uv_tcp_connect(&own->connect, &own->tcp, (struct sockaddr *)&address, on_own_connected);
  while (!own->connected)
    uv_run(&w->loop, UV_RUN_ONCE);
}

static void a_session_opens_on_a_stream_of_the_callers(void **state)
{
  for (int with_host = 0; with_host < 2; with_host++) {
    world_t w;
    own_t own;
    char peer[64];
    init(&w, NULL, "", socks);
    close_proxy(&w.proxy);
    connect_own(&own, &w);
    w.options.host = with_host ? "mx.example" : NULL;
    w.options.tls = with_host ? UVSMTP_TLS_REQUIRED : UVSMTP_TLS_NONE;
    w.options.port = 0;
    w.options.stream = (uv_stream_t *)&own.tcp;
    snprintf(peer, sizeof(peer), with_host ? "mx.example (127.0.0.1:%u)" : "127.0.0.1:%u",
             sink_port(w.sink));
    go(&w);
    assert_int_equal(w.err, 0);
    assert_string_equal(w.peer, peer);
    assert_int_equal(w.seen.handshakes, with_host);
    assert_true(uv_is_closing((uv_handle_t *)&own.tcp));
  }
}

static void a_stream_of_the_callers_is_closed_with_the_connection_at_every_turn(void **state)
{
  for (int n = 0, opened = 0; !opened; n++) {
    world_t w;
    own_t own;
    init(&w, NULL, "", socks);
    close_proxy(&w.proxy);
    connect_own(&own, &w);
    w.options.host = NULL;
    w.options.stream = (uv_stream_t *)&own.tcp;
    open_it(&w);
    for (int turn = 0; turn < n && !w.opened; turn++)
      uv_run(&w.loop, UV_RUN_ONCE);
    opened = w.opened;
    uvsmtp_connection_close(w.connection, on_closed);
    end(&w);
    assert_true(uv_is_closing((uv_handle_t *)&own.tcp));
  }
}

/* ---- options ---- */

static void options_that_contradict_are_refused_with_a_sentence(void **state)
{
  uv_loop_t loop;
  uv_tcp_t stream; /* not connected */
  uvsmtp_connection_options_t o = UVSMTP_CONNECTION_OPTIONS_INIT;
  struct {
    const char *proxy, *unix_path, *header_address, *source;
    uv_stream_t *stream;
    int header, err;
    const char *detail;
  } rows[] = {
      {.proxy = "ftp://p",
       .err = UVSMTP_EURL,
       .detail = "proxy: the URL's scheme is not socks5, socks5h or http"},
      {.proxy = "socks5://p",
       .unix_path = "/x",
       .err = UVSMTP_EINVAL,
       .detail = "no proxy leads to a Unix socket"},
      {.stream = (uv_stream_t *)&stream, .err = UVSMTP_EINVAL, .detail = "stream is not connected"},
      {.stream = (uv_stream_t *)&stream,
       .proxy = "socks5://p",
       .err = UVSMTP_EINVAL,
       .detail = "stream is connected already: no unix_path or proxy"},
      {.header = 3, .err = UVSMTP_EINVAL, .detail = "proxy_header has no such value"},
      {.header_address = "localhost",
       .err = UVSMTP_EINVAL,
       .detail = "proxy_header_address is no numeric address"},
      {.source = "localhost",
       .err = UVSMTP_EINVAL,
       .detail = "source_address is no numeric address"},
  };
  uv_loop_init(&loop);
  uv_tcp_init(&loop, &stream);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_connection_t *c;
    char detail[128];
    o.host = rows[i].unix_path == NULL ? "mx.example" : NULL;
    o.unix_path = rows[i].unix_path;
    o.proxy = rows[i].proxy;
    o.proxy_header = (uvsmtp_proxy_header_t)rows[i].header;
    o.proxy_header_address = rows[i].header_address;
    o.source_address = rows[i].source;
    o.stream = rows[i].stream;
    assert_int_equal(uvsmtp_connection_open(&c, &loop, &o, on_open, detail, sizeof(detail)),
                     rows[i].err);
    assert_string_equal(detail, rows[i].detail);
  }
  uv_close((uv_handle_t *)&stream, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&loop), 0);
}

/* ---- from a client ---- */

static void on_client_closed(uvsmtp_client_t *client)
{
  world_t *w = uvsmtp_client_data(client);
  close_proxy(&w->proxy);
  sink_close(w->sink, on_sink_closed);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  world_t *w = send->data;
  w->err = result->err;
  snprintf(w->text, sizeof(w->text), "%s", result->error_text);
}

static void a_client_sends_through_a_proxy_too(void **state)
{
  static const uvsmtp_recipient_t to = {.address = "b@x.example"};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_client_t *client;
  uvsmtp_source_t source;
  world_t w;
  uvsmtp_send_t send = {.data = &w};
  init(&w, "socks5", "me:hunter2@", socks_login);
  options.connection = &w.options;
  options.data = &w;
  envelope.sender = "a@x.example";
  envelope.recipients = &to;
  envelope.recipient_count = 1;
  uvsmtp_source_memory(&source, "Subject: x\r\n\r\nHi\r\n", 18);
  assert_int_equal(uvsmtp_client_new(&client, &w.loop, &options, NULL, 0), 0);
  memset(w.url, 'x', sizeof(w.url) - 1);
  assert_int_equal(uvsmtp_client_send(client, &send, &envelope, &source, on_sent), 0);
  uvsmtp_client_close(client, UVSMTP_CLOSE_DRAIN, on_client_closed);
  uv_run(&w.loop, UV_RUN_DEFAULT);
  assert_string_equal(w.text, "");
  assert_int_equal(w.err, 0);
  assert_int_equal(w.seen.messages, 1);
  assert_int_equal(uv_loop_close(&w.loop), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_session_with_tls_opens_through_each_kind_of_proxy),
      cmocka_unit_test(what_goes_wrong_with_a_proxy_is_said),
      cmocka_unit_test(a_proxy_that_is_not_there_is_named),
      cmocka_unit_test(closing_at_every_turn_of_the_loop_calls_back_once),
      cmocka_unit_test(a_header_comes_before_everything),
      cmocka_unit_test(a_header_goes_through_the_proxy_to_the_server),
      cmocka_unit_test(a_session_opens_on_a_stream_of_the_callers),
      cmocka_unit_test(a_stream_of_the_callers_is_closed_with_the_connection_at_every_turn),
      cmocka_unit_test(options_that_contradict_are_refused_with_a_sentence),
      cmocka_unit_test(a_client_sends_through_a_proxy_too),
  };
  return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
