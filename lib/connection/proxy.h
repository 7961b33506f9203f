#ifndef UVSMTP_CONNECTION_PROXY_H
#define UVSMTP_CONNECTION_PROXY_H

/*
 * The dialogue with a proxy, without input and output: SOCKS5 (RFC 1928, 1929) or HTTP CONNECT
 * (RFC 9110 section 9.3.6).
 */
#include <stdbool.h>

#include "uvsmtp/connection.h"

typedef enum uvsmtp__proxy_kind_e {
  UVSMTP__PROXY_NONE,
  UVSMTP__PROXY_SOCKS5,
  UVSMTP__PROXY_HTTP
} uvsmtp__proxy_kind_t;

/* Where a proxy is, and who we are to it. The strings are owned. */
typedef struct uvsmtp__proxy_s {
  uvsmtp__proxy_kind_t kind;
  char *host;
  uint16_t port;
  char *user, *password; /* NULL: none */
} uvsmtp__proxy_t;

/*
 * "socks5://[user:password@]host[:1080]" (or socks5h), "http://[user:password@]host[:80]". Errors
 * as uvsmtp__url_parse, with a sentence. In url.c.
 */
int uvsmtp__proxy_parse(uvsmtp__proxy_t *proxy, const char *url, const uvsmtp_mem_t *mem,
                        char *detail, size_t detail_size);
/* Frees the strings, those of the credentials wiped. */
void uvsmtp__proxy_clear(uvsmtp__proxy_t *proxy, const uvsmtp_mem_t *mem);

/*
 * The proxy can be asked for `host`: 0; UVSMTP_EINJECTION (CR, LF or NUL), UVSMTP_EINVAL (another
 * character that no host name or address has), UVSMTP_ETOOLONG (over 255 octets).
 */
int uvsmtp__proxy_check_host(const char *host);

/* The credentials can be sent: 0; UVSMTP_ETOOLONG (over 255 octets), UVSMTP_EINVAL (a colon in the
 * user of an HTTP proxy). */
int uvsmtp__proxy_check(const uvsmtp__proxy_t *proxy);

#define UVSMTP__PROXY_TEXT_SIZE 640

typedef struct uvsmtp__dialogue_s uvsmtp__dialogue_t;
typedef void (*uvsmtp__dialogue_fn)(uvsmtp__dialogue_t *d);
struct uvsmtp__dialogue_s {
  const uvsmtp__proxy_t *proxy; /* borrowed, as the host */
  const char *host;
  uint16_t port;
  uvsmtp__dialogue_fn state; /* reads what is in `in`; NULL: it is over */
  int err;                   /* why it failed */
  char text[UVSMTP__PROXY_TEXT_SIZE];
  uint8_t in[512];     /* the message, or the line, that is being read */
  size_t in_len, need; /* how much there is; how much there must be for `state` to go on */
  size_t taken;        /* octets of the answer so far */
  bool final;          /* this HTTP answer is no interim one (1xx) */
  char out[2048];      /* to be sent */
  size_t out_len;
};

/* Begins: there is output. `host` has been checked. */
void uvsmtp__dialogue_begin(uvsmtp__dialogue_t *d, const uvsmtp__proxy_t *proxy, const char *host,
                            uint16_t port);
/* What is to be sent now, before anything is read. */
uvsmtp_slice_t uvsmtp__dialogue_output(const uvsmtp__dialogue_t *d);
/* All of it has left: it is wiped, since it may hold a password. */
void uvsmtp__dialogue_sent(uvsmtp__dialogue_t *d);
/*
 * How many octets the proxy's answer has at least from here: whoever reads no more than these
 * reads nothing of the server behind it. 0: there is output to be sent first, or it is over.
 */
size_t uvsmtp__dialogue_wanted(const uvsmtp__dialogue_t *d);
/*
 * Takes what the proxy has sent, and returns how much of it was the proxy's: the rest is the
 * server's. When the dialogue is over, `d->err` is 0 if the server can be talked to, or
 * UVSMTP_EPROXY with what the proxy did in `d->text` ("refused to connect to …").
 */
size_t uvsmtp__dialogue_feed(uvsmtp__dialogue_t *d, const void *bytes, size_t len);
/* The proxy has closed the connection. */
void uvsmtp__dialogue_eof(uvsmtp__dialogue_t *d);

#endif
