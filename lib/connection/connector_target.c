#include "connection/connector_state.h"

/*
 * What a connector is to connect to, read from its options: a host, a proxy in front of it, a Unix
 * socket, or a stream of the caller's; from which address, and with which header.
 */
#include <string.h>
#if !defined(_WIN32)
#include <sys/un.h>
#endif

#include "base/mem.h"
#include "base/text.h"

bool uvsmtp__connector_is_name(const uvsmtp__connector_t *c)
{
  return !c->is_path && !c->is_numeric;
}

bool uvsmtp__connector_has_proxy(const uvsmtp__connector_t *c)
{
  return c->proxy->kind != UVSMTP__PROXY_NONE;
}

bool uvsmtp__connector_usable(const uvsmtp__connector_t *c, int family)
{
  return (family == AF_INET || family == AF_INET6) &&
         (c->family == AF_UNSPEC || c->family == family);
}

bool uvsmtp__connector_parse_numeric(uvsmtp__address_t *address, const char *text, uint16_t port)
{
  memset(address, 0, sizeof(*address));
  return uv_ip4_addr(text, port, &address->four) == 0 ||
         uv_ip6_addr(text, port, &address->six) == 0;
}

int uvsmtp__connector_check_target(const uvsmtp__connector_options_t *options)
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
  if (!uvsmtp__connector_parse_numeric(&c->source, options->source_address, 0))
    return UVSMTP_EINVAL;
  bound = c->source.any.sa_family;
  if (!uvsmtp__connector_usable(c, bound))
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
  return uvsmtp__connector_parse_numeric(&c->header_source, options->header_address,
                                         options->header_port)
             ? 0
             : UVSMTP_EINVAL;
}

/* The next host to connect to, and the one beyond a proxy. */
static int set_host(uvsmtp__connector_t *c, const uvsmtp__connector_options_t *options)
{
  static const uvsmtp__proxy_t none = {.kind = UVSMTP__PROXY_NONE};
  const char *host = options->unix_path != NULL ? options->unix_path : options->host;
  c->is_path = options->unix_path != NULL;
  c->port = options->port;
  c->proxy = options->proxy != NULL ? options->proxy : &none;
  if (uvsmtp__connector_has_proxy(c)) {
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

int uvsmtp__connector_set_target(uvsmtp__connector_t *c, const uvsmtp__connector_options_t *options)
{
  int err = set_families(c, options);
  if (err == 0)
    err = set_header(c, options);
  if (err == 0)
    err = set_host(c, options);
  return err;
}

int uvsmtp__connector_check(const uvsmtp__connector_options_t *options)
{
  uvsmtp__connector_t unused;
  int err = uvsmtp__connector_check_target(options);
  return err != 0 ? err : set_families(&unused, options);
}
