#ifndef UVSMTP_CONNECTION_CONNECTOR_STATE_H
#define UVSMTP_CONNECTION_CONNECTOR_STATE_H

/* What a connector is made of, and what its files (connector.c says which) do for one another. */
#include "connection/connector.h"
#include "connection/tunnel.h"

typedef union uvsmtp__address_u {
  struct sockaddr any;
  struct sockaddr_in four;
  struct sockaddr_in6 six;
} uvsmtp__address_t;

/* What is handed over: one block, as large as that of the two which it holds. */
typedef union uvsmtp__endpoint_u {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_tcp_t tcp;
  uv_pipe_t pipe;
} uvsmtp__endpoint_t;

typedef struct uvsmtp__attempt_s {
  uvsmtp__connector_t *c;
  uvsmtp__endpoint_t *end; /* NULL before it is launched and after it has closed */
  uv_connect_t req;
  uvsmtp__address_t address; /* not used by a Unix socket */
  int err;                   /* of libuv; 0: not tried, or under way */
} uvsmtp__attempt_t;

typedef struct uvsmtp__lookup_s uvsmtp__lookup_t;

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
  uvsmtp__address_t header_source; /* family AF_UNSPEC: that of the socket */
  uvsmtp__tunnel_t *tunnel;
  int family;                /* AF_UNSPEC: both */
  uvsmtp_history_t *history; /* held, or NULL */
  uvsmtp__address_t source;  /* family AF_UNSPEC: none */
  uint64_t connect_timeout_ms, attempt_delay_ms;

  uv_timer_t deadline, pace;
  uvsmtp__lookup_t *lookup; /* while one runs */
  uvsmtp__attempt_t *attempts;
  size_t count, next; /* attempts there are; the first that is not launched */
  size_t running;     /* attempts that wait for their connect callback */
  size_t open;        /* handles that have not closed, but for the winner's */

  uvsmtp__endpoint_t *winner;
  bool finished, delivering;
  int err;
  char peer[320];
  char text[1024];
};

/* ---- connector.c ---- */

/* Closes all but what can be used. Handles close from the loop, so the callback never runs in here.
 */
void uvsmtp__connector_finish(uvsmtp__connector_t *c, int err);
/* The same after a failure that say_failure has words for. */
void uvsmtp__connector_fail(uvsmtp__connector_t *c, int err);
/* Calls back once all has ended; the connector may be gone then. */
void uvsmtp__connector_maybe_deliver(uvsmtp__connector_t *c);

/* ---- connector_target.c ---- */

int uvsmtp__connector_check_target(const uvsmtp__connector_options_t *options);
/* Where to connect to, and what for. */
int uvsmtp__connector_set_target(uvsmtp__connector_t *c,
                                 const uvsmtp__connector_options_t *options);
/* Has to be looked up, and may have several addresses. */
bool uvsmtp__connector_is_name(const uvsmtp__connector_t *c);
bool uvsmtp__connector_has_proxy(const uvsmtp__connector_t *c);
/* Whether addresses of that family may be tried. */
bool uvsmtp__connector_usable(const uvsmtp__connector_t *c, int family);
bool uvsmtp__connector_parse_numeric(uvsmtp__address_t *address, const char *text, uint16_t port);

/* ---- connector_lookup.c ---- */

void uvsmtp__connector_resolve(uvsmtp__connector_t *c);
/* No address could be used: `status` of the lookup, or 0. */
void uvsmtp__connector_fail_resolving(uvsmtp__connector_t *c, int status);
void uvsmtp__connector_cancel_lookup(uvsmtp__connector_t *c);
/* Nobody waits for the lookup any more: it frees itself when it ends. */
void uvsmtp__connector_abandon_lookup(uvsmtp__connector_t *c);

/* ---- connector_race.c ---- */

/* Room for so many attempts; add_address then fills it. */
int uvsmtp__connector_make_attempts(uvsmtp__connector_t *c, size_t count);
void uvsmtp__connector_add_address(uvsmtp__connector_t *c, const struct sockaddr *address);
/* Launches one more attempt, passing over those that fail at once. */
void uvsmtp__connector_try_next(uvsmtp__connector_t *c);
void uvsmtp__connector_win(uvsmtp__connector_t *c, uvsmtp__attempt_t *a);
/* All but the winner. */
void uvsmtp__connector_close_attempts(uvsmtp__connector_t *c);
/* A winner that is not handed over is closed like the rest. */
void uvsmtp__connector_give_up_winner(uvsmtp__connector_t *c);

/* ---- connector_say.c ---- */

/* Writes `peer`: the other end of what has connected. */
void uvsmtp__connector_print_peer(uvsmtp__connector_t *c, const uvsmtp__attempt_t *a);
/* Write `text`: why it failed; what became of a lookup; of a tunnel. */
void uvsmtp__connector_say_failure(uvsmtp__connector_t *c, int err);
void uvsmtp__connector_say_unresolved(uvsmtp__connector_t *c, int status);
void uvsmtp__connector_say_tunnel(uvsmtp__connector_t *c, int err, const char *text);

#endif
