#include "connection/connector.h"

/*
 * How a connector works:
 *   1. start notes what is wanted and arms two timers: `deadline` for the whole, and `pace`, whose
 *      first run begins the work, so that nothing can call back before start has returned.
 *   2. A name is looked up; a numeric address or a path needs no lookup.
 *   3. The addresses become attempts, IPv6 and IPv4 in turns (RFC 8305 section 4): the family that
 *      answered last time first, else that of the address that the resolver put first, since it
 *      knows which families this machine can reach (RFC 6724). An attempt is launched when `pace`
 *      fires, or at once when one before it has failed.
 *   4. The first attempt that connects wins, and the others are closed. If there is a proxy, or a
 *      header to send, a tunnel talks on the winner; then, as after the last failure, the deadline
 *      or cancel, finish() closes everything but a stream that can be used.
 *   5. When the last handle has closed, the callback runs and the connector is freed.
 *
 * What can fail: the lookup, every attempt (the sentence names each), the proxy, memory, time.
 *
 * A lookup cannot be stopped once a thread of the pool works on it. On cancel the callback waits
 * for it; a deadline must not, so there the lookup is left to end alone. It is therefore allocated
 * with malloc, since the caller's allocator may be gone by then.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#if !defined(_WIN32)
#include <sys/un.h>
#endif

#include "base/mem.h"
#include "base/text.h"
#include "connection/history.h"
#include "connection/tunnel.h"

/* All are tried; more than this would take longer than the default timeout allows. */
#define MAX_ATTEMPTS 120
#define DEFAULT_ATTEMPT_DELAY_MS 250 /* RFC 8305 section 5 */
#define KEEPALIVE_S 60               /* NATs forget idle connections after minutes */

typedef union address_u {
  struct sockaddr any;
  struct sockaddr_in four;
  struct sockaddr_in6 six;
} address_t;

/* What is handed over: one block, as large as that of the two which it holds. */
typedef union endpoint_u {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_tcp_t tcp;
  uv_pipe_t pipe;
} endpoint_t;

typedef struct attempt_s {
  uvsmtp__connector_t *c;
  endpoint_t *end; /* NULL before it is launched and after it has closed */
  uv_connect_t req;
  address_t address; /* not used by a Unix socket */
  int err;           /* of libuv; 0: not tried, or under way */
} attempt_t;

typedef struct lookup_s {
  uv_getaddrinfo_t req;
  uvsmtp__connector_t *c; /* NULL: nobody waits for it any more */
  void (*freeaddrinfo)(struct addrinfo *list);
} lookup_t;

struct uvsmtp__connector_s {
  uvsmtp_mem_t mem;
  uv_loop_t *loop;
  uvsmtp__connector_cb cb;
  void *data;
  uvsmtp__resolver_t resolver;
  char *host; /* or the path */
  bool is_path;
  bool is_numeric;
  bool is_foreign; /* the stream is the caller's */
  uint16_t port;
  const uvsmtp__proxy_t *proxy; /* `host` is this, and the server is beyond; kind NONE: none */
  char *server;                 /* beyond the proxy */
  uint16_t server_port;
  uvsmtp_proxy_header_t header;
  address_t header_source; /* family AF_UNSPEC: that of the socket */
  uvsmtp__tunnel_t *tunnel;
  int family;                /* AF_UNSPEC: both */
  uvsmtp_history_t *history; /* held, or NULL */
  address_t source;          /* family AF_UNSPEC: none */
  uint64_t connect_timeout_ms, attempt_delay_ms;

  uv_timer_t deadline, pace;
  lookup_t *lookup; /* while one runs */
  attempt_t *attempts;
  size_t count, next; /* attempts there are; the first that is not launched */
  size_t running;     /* attempts that wait for their connect callback */
  size_t open;        /* handles that have not closed, but for the winner's */

  endpoint_t *winner;
  bool finished, delivering;
  int err;
  char peer[320];
  char text[1024];
};

static const uvsmtp__resolver_t uv_resolver = {uv_getaddrinfo, uv_freeaddrinfo, uv_cancel};

static void try_next(uvsmtp__connector_t *c);

/* ---- sentences ---------------------------------------------------------------------------- */

/* Appends; what does not fit is cut off. */
static void say(uvsmtp__connector_t *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(uvsmtp__connector_t *c, const char *format, ...)
{
  size_t len = strlen(c->text);
  va_list args;
  va_start(args, format);
  vsnprintf(c->text + len, sizeof(c->text) - len, format, args);
  va_end(args);
}

static void say_error(uvsmtp__connector_t *c, int err)
{
  char text[128];
  say(c, "%s", uv_strerror_r(err, text, sizeof(text)));
}

/* Has to be looked up, and may have several addresses. */
static bool is_name(const uvsmtp__connector_t *c)
{
  return !c->is_path && !c->is_numeric;
}

static void print_address(const address_t *address, char *out, size_t size)
{
  out[0] = '\0';
  if (address->any.sa_family == AF_INET6)
    uv_ip6_name(&address->six, out, size);
  else
    uv_ip4_name(&address->four, out, size);
}

/* "mx.example:587", "[2001:db8::1]:587", "/run/lmtp" */
static void print_target(const uvsmtp__connector_t *c, char *out, size_t size)
{
  if (c->is_foreign)
    snprintf(out, size, "%s", c->host != NULL ? c->host : "the stream");
  else if (c->is_path)
    snprintf(out, size, "%s", c->host);
  else
    uvsmtp__print_host_port(out, size, c->host, c->port);
}

static bool has_proxy(const uvsmtp__connector_t *c)
{
  return c->proxy->kind != UVSMTP__PROXY_NONE;
}

/* "mx.example:587 through the proxy 192.0.2.1:1080" */
static void print_way(const uvsmtp__connector_t *c, char *out, size_t size)
{
  size_t len;
  if (!has_proxy(c)) {
    print_target(c, out, size);
    return;
  }
  uvsmtp__print_host_port(out, size, c->server, c->server_port);
  len = strlen(out);
  snprintf(out + len, size - len, " through the proxy ");
  len = strlen(out);
  print_target(c, out + len, size - len);
}

/* The other end of a stream that the caller has connected: "mx.example (192.0.2.1:587)". */
static void print_foreign_peer(uvsmtp__connector_t *c, const attempt_t *a)
{
  address_t address = {.any.sa_family = AF_UNSPEC};
  int size = sizeof(address);
  char ip[64], where[80];
  size_t len;
  print_target(c, c->peer, sizeof(c->peer));
  if (a->end->handle.type != UV_TCP || uv_tcp_getpeername(&a->end->tcp, &address.any, &size) != 0)
    return;
  print_address(&address, ip, sizeof(ip));
  uvsmtp__print_host_port(where, sizeof(where), ip,
                          ntohs(address.four.sin_port)); /* as sin6_port */
  len = c->host != NULL ? strlen(c->peer) : 0;
  snprintf(c->peer + len, sizeof(c->peer) - len, len != 0 ? " (%s)" : "%s", where);
}

static void print_peer(uvsmtp__connector_t *c, const attempt_t *a)
{
  char address[64];
  size_t len;
  if (c->is_foreign) {
    print_foreign_peer(c, a);
    return;
  }
  print_way(c, c->peer, sizeof(c->peer));
  if (!is_name(c) || has_proxy(c))
    return;
  len = strlen(c->peer);
  print_address(&a->address, address, sizeof(address));
  snprintf(c->peer + len, sizeof(c->peer) - len, " (%s)", address);
}

/* What became of each attempt so far, each behind `before`. */
static void say_attempts(uvsmtp__connector_t *c, const char *before)
{
  for (size_t i = 0; i < c->next; i++) {
    const attempt_t *a = &c->attempts[i];
    char address[64];
    say(c, "%s", i == 0 ? before : "; ");
    if (is_name(c)) {
      print_address(&a->address, address, sizeof(address));
      say(c, "%s: ", address);
    }
    if (a->err == 0)
      say(c, "no answer");
    else
      say_error(c, a->err);
  }
}

static void say_failure(uvsmtp__connector_t *c, int err)
{
  char target[640];
  print_way(c, target, sizeof(target));
  c->text[0] = '\0';
  if (c->lookup != NULL)
    say(c, "resolving %s: ", c->host);
  else
    say(c, "connecting to %s: ", target);
  if (err == UVSMTP_ETIMEOUT) {
    say(c, "no %s within %llu ms", c->lookup != NULL || c->tunnel != NULL ? "answer" : "connection",
        (unsigned long long)c->connect_timeout_ms);
    if (is_name(c) && c->tunnel == NULL)
      say_attempts(c, "; ");
  } else if (err == UVSMTP_ECONNECT) {
    say_attempts(c, "");
  } else {
    say(c, "%s", uvsmtp_strerror(err));
  }
}

/* ---- ending ------------------------------------------------------------------------------- */

static void deliver(uvsmtp__connector_t *c)
{
  uvsmtp_mem_t mem = c->mem;
  uv_stream_t *stream = c->winner != NULL ? &c->winner->stream : NULL;
  c->delivering = true;
  if (stream != NULL)
    stream->data = NULL;
  c->cb(c->data, stream, c->err, c->text, c->peer);
  uvsmtp__tunnel_free(c->tunnel);
  uvsmtp__free(&mem, c->attempts);
  uvsmtp__free(&mem, c->host);
  uvsmtp__free(&mem, c->server);
  uvsmtp_history_free(c->history);
  uvsmtp__free(&mem, c);
}

static void maybe_deliver(uvsmtp__connector_t *c)
{
  if (c->finished && c->open == 0 && c->lookup == NULL)
    deliver(c);
}

static void on_timer_closed(uv_handle_t *handle)
{
  uvsmtp__connector_t *c = handle->data;
  c->open--;
  maybe_deliver(c);
}

static void on_attempt_closed(uv_handle_t *handle)
{
  attempt_t *a = handle->data;
  uvsmtp__connector_t *c = a->c;
  if (!c->is_foreign)
    uvsmtp__free(&c->mem, a->end);
  a->end = NULL;
  c->open--;
  maybe_deliver(c);
}

static void close_attempt(attempt_t *a)
{
  if (a->end == NULL || uv_is_closing(&a->end->handle))
    return;
  a->end->handle.data = a; /* it may have been the tunnel's */
  uv_close(&a->end->handle, on_attempt_closed);
}

/* All but the winner. */
static void close_attempts(uvsmtp__connector_t *c)
{
  for (size_t i = 0; i < c->next; i++)
    if (c->winner == NULL || c->attempts[i].end != c->winner)
      close_attempt(&c->attempts[i]);
}

/* A winner that is not handed over is closed like the rest. */
static void give_up_winner(uvsmtp__connector_t *c)
{
  if (c->winner == NULL)
    return;
  c->winner = NULL;
  c->peer[0] = '\0';
  c->open++;
  close_attempts(c);
}

/* Nobody waits for the lookup any more: it frees itself when it ends. */
static void abandon_lookup(uvsmtp__connector_t *c)
{
  c->lookup->c = NULL;
  c->resolver.cancel((uv_req_t *)&c->lookup->req);
  c->lookup = NULL;
}

/* Closes all but what can be used. Handles close from the loop, so the callback never runs in here.
 */
static void finish(uvsmtp__connector_t *c, int err)
{
  c->finished = true;
  c->err = err;
  if (c->lookup != NULL && err == UVSMTP_ETIMEOUT)
    abandon_lookup(c);
  else if (c->lookup != NULL)
    c->resolver.cancel((uv_req_t *)&c->lookup->req);
  if (err != 0)
    give_up_winner(c);
  close_attempts(c);
  uv_close((uv_handle_t *)&c->deadline, on_timer_closed);
  uv_close((uv_handle_t *)&c->pace, on_timer_closed);
}

static void fail(uvsmtp__connector_t *c, int err)
{
  say_failure(c, err);
  finish(c, err);
}

static void on_deadline(uv_timer_t *timer)
{
  fail(timer->data, UVSMTP_ETIMEOUT);
}

/* ---- attempts ------------------------------------------------------------------------------ */

static void on_tunnel(void *data, int err, const char *text)
{
  uvsmtp__connector_t *c = data;
  char target[640];
  if (err == 0) {
    finish(c, 0);
    return;
  }
  c->text[0] = '\0';
  if (err == UVSMTP_EPROXY) {
    print_target(c, target, sizeof(target));
    say(c, "the proxy %s %s", target, text);
  } else {
    print_way(c, target, sizeof(target));
    say(c, "connecting to %s: ", target);
    say_error(c, err);
    err = UVSMTP_ECONNECT;
  }
  finish(c, err);
}

static void dig(uvsmtp__connector_t *c)
{
  uvsmtp__tunnel_options_t options = {
      .proxy = c->proxy,
      .host = c->server,
      .port = c->server_port,
      .header = c->header,
      .source = c->header_source.any.sa_family != AF_UNSPEC ? &c->header_source.any : NULL};
  uv_timer_stop(&c->pace);
  close_attempts(c);
  c->tunnel = uvsmtp__tunnel_begin(&c->winner->stream, &c->mem, &options, on_tunnel, c);
  if (c->tunnel == NULL)
    fail(c, UVSMTP_ENOMEM);
}

static void win(uvsmtp__connector_t *c, attempt_t *a)
{
  c->winner = a->end;
  c->open--;
  if (!c->is_path && !c->is_foreign) {
    /* Without these the stream works too, only less well. */
    uv_tcp_nodelay(&a->end->tcp, 1);
    uv_tcp_keepalive(&a->end->tcp, 1, KEEPALIVE_S);
    uvsmtp__history_note_family(c->history, a->address.any.sa_family);
  }
  print_peer(c, a);
  if (has_proxy(c) || c->header != UVSMTP_PROXY_HEADER_NONE)
    dig(c);
  else
    finish(c, 0);
}

static void on_connected(uv_connect_t *req, int status)
{
  attempt_t *a = req->data;
  uvsmtp__connector_t *c = a->c;
  c->running--;
  if (c->finished || c->winner != NULL)
    return;
  if (status == 0) {
    win(c, a);
    return;
  }
  a->err = status;
  close_attempt(a);
  try_next(c);
}

static int connect_tcp(uvsmtp__connector_t *c, attempt_t *a)
{
  int err = 0;
  if (c->source.any.sa_family != AF_UNSPEC)
    err = uv_tcp_bind(&a->end->tcp, &c->source.any, 0);
  if (err == 0)
    err = uv_tcp_connect(&a->req, &a->end->tcp, &a->address.any, on_connected);
  return err;
}

/* 0 if the connect callback will come, UVSMTP_ENOMEM, or libuv's reason why not. */
static int launch(uvsmtp__connector_t *c, attempt_t *a)
{
  int err;
  a->end = uvsmtp__calloc(&c->mem, 1, c->is_path ? sizeof(uv_pipe_t) : sizeof(uv_tcp_t));
  if (a->end == NULL)
    return UVSMTP_ENOMEM;
  err = c->is_path ? uv_pipe_init(c->loop, &a->end->pipe, 0) : uv_tcp_init(c->loop, &a->end->tcp);
  if (err != 0) {
    uvsmtp__free(&c->mem, a->end);
    a->end = NULL;
    return err;
  }
  c->open++;
  a->end->handle.data = a;
  a->req.data = a;
  if (c->is_path)
    uv_pipe_connect(&a->req, &a->end->pipe, c->host, on_connected);
  else
    err = connect_tcp(c, a);
  if (err != 0)
    close_attempt(a);
  else
    c->running++;
  return err;
}

static void on_pace(uv_timer_t *timer)
{
  try_next(timer->data);
}

/* Launches one more attempt, passing over those that fail at once. */
static void try_next(uvsmtp__connector_t *c)
{
  while (c->next < c->count) {
    attempt_t *a = &c->attempts[c->next++];
    int err = launch(c, a);
    if (err == UVSMTP_ENOMEM) {
      fail(c, err);
      return;
    }
    if (err == 0) {
      if (c->next < c->count)
        uv_timer_start(&c->pace, on_pace, c->attempt_delay_ms, 0);
      return;
    }
    a->err = err;
  }
  uv_timer_stop(&c->pace);
  if (c->running == 0)
    fail(c, UVSMTP_ECONNECT);
}

/* ---- addresses ----------------------------------------------------------------------------- */

static bool usable(const uvsmtp__connector_t *c, int family)
{
  return (family == AF_INET || family == AF_INET6) &&
         (c->family == AF_UNSPEC || c->family == family);
}

/* The first of `list` of that family, or NULL. */
static const struct addrinfo *first_of(const struct addrinfo *list, int family)
{
  while (list != NULL && list->ai_family != family)
    list = list->ai_next;
  return list;
}

static int make_attempts(uvsmtp__connector_t *c, size_t count)
{
  c->attempts = uvsmtp__calloc(&c->mem, count, sizeof(*c->attempts));
  if (c->attempts == NULL)
    return UVSMTP_ENOMEM;
  for (size_t i = 0; i < count; i++)
    c->attempts[i].c = c;
  return 0;
}

static void add_address(uvsmtp__connector_t *c, const struct sockaddr *address)
{
  address_t *to = &c->attempts[c->count++].address;
  if (address->sa_family == AF_INET6) {
    memcpy(&to->six, address, sizeof(to->six));
    to->six.sin6_port = htons(c->port);
  } else {
    memcpy(&to->four, address, sizeof(to->four));
    to->four.sin_port = htons(c->port);
  }
}

static size_t length(const struct addrinfo *list)
{
  size_t n = 0;
  for (; list != NULL; list = list->ai_next)
    n++;
  return n;
}

static bool six_comes_first(const uvsmtp__connector_t *c, const struct addrinfo *list)
{
  int family = uvsmtp__history_family(c->history);
  return (family != AF_UNSPEC ? family : list->ai_family) != AF_INET;
}

/* Takes over a lookup's addresses, the families in turns. */
static int add_list(uvsmtp__connector_t *c, const struct addrinfo *list)
{
  const struct addrinfo *six = usable(c, AF_INET6) ? first_of(list, AF_INET6) : NULL;
  const struct addrinfo *four = usable(c, AF_INET) ? first_of(list, AF_INET) : NULL;
  size_t most = length(list);
  bool six_next = list != NULL && six_comes_first(c, list);
  if (most > MAX_ATTEMPTS)
    most = MAX_ATTEMPTS;
  if (most != 0 && make_attempts(c, most) != 0)
    return UVSMTP_ENOMEM;
  while (c->count < most && (six != NULL || four != NULL)) {
    bool take_six = six != NULL && (six_next || four == NULL);
    const struct addrinfo **from = take_six ? &six : &four;
    add_address(c, (*from)->ai_addr);
    *from = first_of((*from)->ai_next, (*from)->ai_family);
    six_next = !take_six;
  }
  return 0;
}

static void fail_resolving(uvsmtp__connector_t *c, int status)
{
  const char *kind = c->family == AF_INET ? "IPv4 " : c->family == AF_INET6 ? "IPv6 " : "";
  say(c, "resolving %s: ", c->host);
  if (status != 0)
    say_error(c, status);
  else
    say(c, "it has no %saddress", kind);
  if (status != 0 && c->family != AF_UNSPEC)
    say(c, "; only %saddresses were asked for", kind); /* it may have others */
  finish(c, status == UV_ENOMEM || status == UV_EAI_MEMORY ? UVSMTP_ENOMEM : UVSMTP_ERESOLVE);
}

static void use_addresses(uvsmtp__connector_t *c, int status, const struct addrinfo *list)
{
  if (status == 0 && add_list(c, list) != 0)
    fail(c, UVSMTP_ENOMEM);
  else if (c->count == 0)
    fail_resolving(c, status);
  else
    try_next(c);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
  lookup_t *lookup = req->data;
  uvsmtp__connector_t *c = lookup->c;
  if (c != NULL) {
    c->lookup = NULL;
    if (!c->finished)
      use_addresses(c, status, list);
  }
  lookup->freeaddrinfo(list);
  uvsmtp__free(NULL, lookup);
  if (c != NULL)
    maybe_deliver(c);
}

static void resolve(uvsmtp__connector_t *c)
{
  struct addrinfo hints = {.ai_family = c->family, .ai_socktype = SOCK_STREAM};
  lookup_t *lookup = uvsmtp__calloc(NULL, 1, sizeof(*lookup));
  int err = UV_ENOMEM;
  if (lookup != NULL) {
    *lookup = (lookup_t){.c = c, .freeaddrinfo = c->resolver.freeaddrinfo};
    lookup->req.data = lookup;
    err = c->resolver.getaddrinfo(c->loop, &lookup->req, on_resolved, c->host, NULL, &hints);
  }
  if (err == 0) {
    c->lookup = lookup;
  } else {
    uvsmtp__free(NULL, lookup);
    fail_resolving(c, err);
  }
}

static bool parse_numeric(address_t *address, const char *text, uint16_t port)
{
  memset(address, 0, sizeof(*address));
  return uv_ip4_addr(text, port, &address->four) == 0 ||
         uv_ip6_addr(text, port, &address->six) == 0;
}

/* The first run of `pace`. */
static void on_begin(uv_timer_t *timer)
{
  uvsmtp__connector_t *c = timer->data;
  address_t address;
  if (c->is_foreign) {
    win(c, &c->attempts[0]);
    return;
  }
  if (is_name(c)) {
    resolve(c);
    return;
  }
  if (make_attempts(c, 1) != 0) {
    fail(c, UVSMTP_ENOMEM);
    return;
  }
  if (c->is_path)
    c->count = 1;
  else if (parse_numeric(&address, c->host, c->port) && usable(c, address.any.sa_family))
    add_address(c, &address.any);
  if (c->count == 0)
    fail_resolving(c, 0);
  else
    try_next(c);
}

/* ---- starting ------------------------------------------------------------------------------ */

static int check_target(const uvsmtp__connector_options_t *options)
{
  const char *name = options->unix_path != NULL ? options->unix_path : options->host;
  if (options->stream != NULL)
    return 0;
  if (name == NULL || name[0] == '\0')
    return UVSMTP_EINVAL;
  if (uvsmtp__breaks_line(name, strlen(name)))
    return UVSMTP_EINJECTION;
#if !defined(_WIN32)
  /* libuv would cut it, and connect to another socket. */
  if (options->unix_path != NULL && strlen(name) >= sizeof(((struct sockaddr_un *)0)->sun_path))
    return UVSMTP_EINVAL;
#endif
  return options->unix_path == NULL && options->port == 0 ? UVSMTP_EINVAL : 0;
}

static int set_families(uvsmtp__connector_t *c, const uvsmtp__connector_options_t *options)
{
  int bound;
  c->family = options->family == UVSMTP_FAMILY_IPV4   ? AF_INET
              : options->family == UVSMTP_FAMILY_IPV6 ? AF_INET6
                                                      : AF_UNSPEC;
  c->source.any.sa_family = AF_UNSPEC;
  if (options->source_address == NULL)
    return 0;
  if (!parse_numeric(&c->source, options->source_address, 0))
    return UVSMTP_EINVAL;
  bound = c->source.any.sa_family;
  if (!usable(c, bound))
    return UVSMTP_EINVAL;
  c->family = bound;
  return 0;
}

static int set_header(uvsmtp__connector_t *c, const uvsmtp__connector_options_t *options)
{
  c->header = options->header;
  c->header_source.any.sa_family = AF_UNSPEC;
  if (options->header_address == NULL)
    return 0;
  return parse_numeric(&c->header_source, options->header_address, options->header_port)
             ? 0
             : UVSMTP_EINVAL;
}

/* Where to connect to, and what for. */
static int set_target(uvsmtp__connector_t *c, const uvsmtp__connector_options_t *options)
{
  static const uvsmtp__proxy_t none = {.kind = UVSMTP__PROXY_NONE};
  const char *host = options->unix_path != NULL ? options->unix_path : options->host;
  c->is_path = options->unix_path != NULL;
  c->port = options->port;
  c->proxy = options->proxy != NULL ? options->proxy : &none;
  if (has_proxy(c)) {
    int err = uvsmtp__proxy_check_host(host);
    if (err != 0)
      return err;
    c->server = uvsmtp__strdup(&c->mem, host);
    c->server_port = options->port;
    host = c->proxy->host;
    c->port = c->proxy->port;
    if (c->server == NULL)
      return UVSMTP_ENOMEM;
  }
  c->host = uvsmtp__strdup(&c->mem, host);
  return host != NULL && c->host == NULL ? UVSMTP_ENOMEM : 0;
}

/* A stream of the caller's is an attempt that has succeeded. */
static int adopt(uvsmtp__connector_t *c, uv_stream_t *stream)
{
  if (make_attempts(c, 1) != 0)
    return UVSMTP_ENOMEM;
  c->is_foreign = true;
  c->attempts[0].end = (endpoint_t *)(void *)stream;
  c->count = c->next = 1;
  stream->data = &c->attempts[0];
  return 0;
}

int uvsmtp__connector_check(const uvsmtp__connector_options_t *options)
{
  uvsmtp__connector_t unused;
  int err = check_target(options);
  return err != 0 ? err : set_families(&unused, options);
}

static void start_timers(uvsmtp__connector_t *c)
{
  /* The loop's idea of now may be old, if it was not run for a while or runs a long callback. */
  uv_update_time(c->loop);
  uv_timer_init(c->loop, &c->deadline);
  uv_timer_init(c->loop, &c->pace);
  c->deadline.data = c->pace.data = c;
  c->open = c->is_foreign ? 3 : 2;
  if (c->connect_timeout_ms != UINT64_MAX)
    uv_timer_start(&c->deadline, on_deadline, c->connect_timeout_ms, 0);
  uv_timer_start(&c->pace, on_begin, 0, 0);
}

int uvsmtp__connector_start(uvsmtp__connector_t **out, uv_loop_t *loop,
                            const uvsmtp__connector_options_t *options, uvsmtp__connector_cb cb,
                            void *data)
{
  const uvsmtp_mem_t *mem = uvsmtp__mem(options->mem);
  uvsmtp__connector_t *c;
  address_t numeric;
  int err = check_target(options);
  if (err != 0)
    return err;
  c = uvsmtp__calloc(mem, 1, sizeof(*c));
  if (c == NULL)
    return UVSMTP_ENOMEM;
  c->mem = *mem;
  c->loop = loop;
  c->cb = cb;
  c->data = data;
  c->resolver = options->resolver != NULL ? *options->resolver : uv_resolver;
  c->connect_timeout_ms =
      options->connect_timeout_ms != 0 ? options->connect_timeout_ms : UVSMTP__CONNECT_TIMEOUT_MS;
  c->attempt_delay_ms =
      options->attempt_delay_ms != 0 ? options->attempt_delay_ms : DEFAULT_ATTEMPT_DELAY_MS;
  err = set_families(c, options);
  if (err == 0)
    err = set_header(c, options);
  if (err == 0)
    err = set_target(c, options);
  if (err == 0 && options->stream != NULL)
    err = adopt(c, options->stream);
  if (err != 0) {
    uvsmtp__free(mem, c->host);
    uvsmtp__free(mem, c->server);
    uvsmtp__free(mem, c);
    return err;
  }
  c->is_numeric = !c->is_path && !c->is_foreign && parse_numeric(&numeric, c->host, c->port);
  c->history = uvsmtp_history_acquire(options->history);
  start_timers(c);
  *out = c;
  return 0;
}

void uvsmtp__connector_cancel(uvsmtp__connector_t *c)
{
  if (c->delivering)
    return;
  say_failure(c, UVSMTP_ECANCELED);
  if (!c->finished) {
    finish(c, UVSMTP_ECANCELED);
    return;
  }
  c->err = UVSMTP_ECANCELED;
  give_up_winner(c);
}
