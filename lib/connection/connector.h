#ifndef UVSMTP_CONNECTION_CONNECTOR_H
#define UVSMTP_CONNECTION_CONNECTOR_H

#include "connection/proxy.h"
#include "uvsmtp/connection.h"

/*
 * Gets one connected stream to a server: a Unix socket, a numeric address, or a name whose
 * addresses are tried beside one another until one connects (RFC 8305).
 */
typedef struct uvsmtp__connector_s uvsmtp__connector_t;

/*
 * Runs exactly once for each start that returned 0, on the loop's thread, never before start has
 * returned, and with no handle of the connector left in the loop. The connector is gone when it
 * returns; to cancel it in here does nothing.
 *
 * `stream` is connected: a uv_tcp_t or uv_pipe_t allocated with the `mem` of the options, which is
 * the callee's from now on, to uv_close() and then free; or the one that was given, which has been
 * closed where the callback gives none. Its `data` is NULL. Or it is NULL, and `err` is
 * UVSMTP_ERESOLVE, ECONNECT, EPROXY, ETIMEOUT, ECANCELED or ENOMEM. `text` is a sentence about
 * the failure, "" without one. `peer` is "mx.example:587 (192.0.2.1)", "192.0.2.1:587" or the path
 * of the socket, "" without a stream. Both are borrowed until the callback returns.
 */
typedef void (*uvsmtp__connector_cb)(void *data, uv_stream_t *stream, int err, const char *text,
                                     const char *peer);

/* What resolves names: libuv's functions, or those of a test. */
typedef struct uvsmtp__resolver_s {
  int (*getaddrinfo)(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb, const char *node,
                     const char *service, const struct addrinfo *hints);
  void (*freeaddrinfo)(struct addrinfo *list);
  int (*cancel)(uv_req_t *req);
} uvsmtp__resolver_t;

#define UVSMTP__CONNECT_TIMEOUT_MS 30000 /* default */

typedef struct uvsmtp__connector_options_s {
  const char *host;             /* name or numeric address without brackets; copied */
  uint16_t port;                /* required with host */
  const char *unix_path;        /* goes before host; copied */
  uvsmtp_family_t family;       /* which addresses may be used */
  uv_stream_t *stream;          /* connected already; goes before both; not freed */
  const uvsmtp__proxy_t *proxy; /* to reach host through; borrowed until the callback; NULL:
                                   none */
  uvsmtp_proxy_header_t header;
  const char *header_address; /* numeric; NULL: that of the socket */
  uint16_t header_port;
  const char *source_address;         /* numeric, or NULL; only addresses of its family are tried */
  uint64_t connect_timeout_ms;        /* the whole; 0: the default; UINT64_MAX: none */
  uint64_t attempt_delay_ms;          /* 0: 250; UINT64_MAX: one address after another */
  uvsmtp_history_t *history;          /* held; NULL: no address family is known to answer */
  const uvsmtp_mem_t *mem;            /* copied; NULL: malloc */
  const uvsmtp__resolver_t *resolver; /* copied; NULL: libuv's */
} uvsmtp__connector_options_t;

/* What uvsmtp__connector_start would say to these options, memory aside. */
int uvsmtp__connector_check(const uvsmtp__connector_options_t *options);

/*
 * 0; UVSMTP_EINVAL (no host, no port, a source address that is not numeric or not of `family`, a
 * path too long for a socket, a host that a proxy cannot be asked for), UVSMTP_EINJECTION (CR or LF
 * in host or path), UVSMTP_ETOOLONG (a host for a proxy), UVSMTP_ENOMEM.
 */
int uvsmtp__connector_start(uvsmtp__connector_t **out, uv_loop_t *loop,
                            const uvsmtp__connector_options_t *options, uvsmtp__connector_cb cb,
                            void *data);

/*
 * Gives up: the callback follows with UVSMTP_ECANCELED, asynchronously, once all requests and
 * handles are done. A lookup that already runs in libuv's thread pool has to end first.
 */
void uvsmtp__connector_cancel(uvsmtp__connector_t *connector);

#endif
