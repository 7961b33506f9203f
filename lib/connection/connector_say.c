#include "connection/connector_state.h"

/* What a connector says: where the stream goes to, and in a sentence why there is none. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

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

static void print_address(const uvsmtp__address_t *address, char *out, size_t size)
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

/* "mx.example:587 through the proxy 192.0.2.1:1080" */
static void print_way(const uvsmtp__connector_t *c, char *out, size_t size)
{
  size_t len;
  if (!uvsmtp__connector_has_proxy(c)) {
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
static void print_foreign_peer(uvsmtp__connector_t *c, const uvsmtp__attempt_t *a)
{
  uvsmtp__address_t address = {.any.sa_family = AF_UNSPEC};
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

void uvsmtp__connector_print_peer(uvsmtp__connector_t *c, const uvsmtp__attempt_t *a)
{
  char address[64];
  size_t len;
  if (c->is_foreign) {
    print_foreign_peer(c, a);
    return;
  }
  print_way(c, c->peer, sizeof(c->peer));
  if (!uvsmtp__connector_is_name(c) || uvsmtp__connector_has_proxy(c))
    return;
  len = strlen(c->peer);
  print_address(&a->address, address, sizeof(address));
  snprintf(c->peer + len, sizeof(c->peer) - len, " (%s)", address);
}

/* What became of each attempt so far, each behind `before`. */
static void say_attempts(uvsmtp__connector_t *c, const char *before)
{
  for (size_t i = 0; i < c->next; i++) {
    const uvsmtp__attempt_t *a = &c->attempts[i];
    char address[64];
    say(c, "%s", i == 0 ? before : "; ");
    if (uvsmtp__connector_is_name(c)) {
      print_address(&a->address, address, sizeof(address));
      say(c, "%s: ", address);
    }
    if (a->err == 0)
      say(c, "no answer");
    else
      say_error(c, a->err);
  }
}

void uvsmtp__connector_say_failure(uvsmtp__connector_t *c, int err)
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
    if (uvsmtp__connector_is_name(c) && c->tunnel == NULL)
      say_attempts(c, "; ");
  } else if (err == UVSMTP_ECONNECT) {
    say_attempts(c, "");
  } else {
    say(c, "%s", uvsmtp_strerror(err));
  }
}

void uvsmtp__connector_say_unresolved(uvsmtp__connector_t *c, int status)
{
  const char *kind = c->family == AF_INET ? "IPv4 " : c->family == AF_INET6 ? "IPv6 " : "";
  say(c, "resolving %s: ", c->host);
  if (status != 0)
    say_error(c, status);
  else
    say(c, "it has no %saddress", kind);
  if (status != 0 && c->family != AF_UNSPEC)
    say(c, "; only %saddresses were asked for", kind); /* it may have others */
}

void uvsmtp__connector_say_tunnel(uvsmtp__connector_t *c, int err, const char *text)
{
  char target[640];
  c->text[0] = '\0';
  if (err == UVSMTP_EPROXY) {
    print_target(c, target, sizeof(target));
    say(c, "the proxy %s %s", target, text);
  } else {
    print_way(c, target, sizeof(target));
    say(c, "connecting to %s: ", target);
    say_error(c, err);
  }
}
