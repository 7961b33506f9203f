#ifndef UVSMTP_CONNECTION_TUNNEL_H
#define UVSMTP_CONNECTION_TUNNEL_H

/*
 * What has to be said on a stream that has just been connected, before the server can be talked to:
 * the dialogue with a proxy, and the header of the PROXY protocol.
 */
#include "connection/proxy.h"

typedef struct uvsmtp__tunnel_s uvsmtp__tunnel_t;
/* `err` is 0, UVSMTP_EPROXY, or one of libuv's; `text` what the proxy did, "" if it is not that. */
typedef void (*uvsmtp__tunnel_cb)(void *data, int err, const char *text);

typedef struct uvsmtp__tunnel_options_s {
  const uvsmtp__proxy_t *proxy; /* borrowed; kind NONE: no dialogue */
  const char *host;             /* of the server, for the proxy; borrowed */
  uint16_t port;
  uvsmtp_proxy_header_t header;
  const struct sockaddr *source; /* that the header tells; NULL: the stream's own; for the call */
} uvsmtp__tunnel_options_t;

/*
 * Begins on `stream`, whose `data` is the tunnel's until the callback. That runs once, with nothing
 * of the server's read and no request left on the stream, unless the stream is closed first: then
 * the tunnel is to be freed in the close callback, and says nothing. NULL: out of memory.
 */
uvsmtp__tunnel_t *uvsmtp__tunnel_begin(uv_stream_t *stream, const uvsmtp_mem_t *mem,
                                       const uvsmtp__tunnel_options_t *options,
                                       uvsmtp__tunnel_cb cb, void *data);
/* Wipes and frees; NULL is fine. */
void uvsmtp__tunnel_free(uvsmtp__tunnel_t *tunnel);

#endif
