/*
 * The header of haproxy's PROXY protocol, in which a proxy tells a server whom it speaks for:
 * https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, sections 2.1 and 2.2.
 */
#include <stdio.h>
#include <string.h>

#include "connection/proxy_header.h"

static bool is_ip(const struct sockaddr *address)
{
  return address != NULL && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

/* An end of the connection, as one of IPv6 (an IPv4 address mapped) if `six`. */
typedef struct end_s {
  uint8_t ip[16];
  uint16_t port;
} end_t;

static end_t end_of(const struct sockaddr *address, bool six)
{
  end_t end = {.port = 0};
  if (address->sa_family == AF_INET6) {
    memcpy(end.ip, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    end.port = ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return end;
  }
  memcpy(end.ip + (six ? 12 : 0), &((const struct sockaddr_in *)address)->sin_addr, 4);
  if (six)
    memset(end.ip + 10, 0xff, 2);
  end.port = ntohs(((const struct sockaddr_in *)address)->sin_port);
  return end;
}

static size_t write_v1(char *out, bool known, bool six, const end_t *from, const end_t *to)
{
  char source[64], destination[64];
  int family = six ? AF_INET6 : AF_INET;
  if (!known)
    return (size_t)snprintf(out, UVSMTP__PROXY_HEADER_SIZE, "PROXY UNKNOWN\r\n");
  uv_inet_ntop(family, from->ip, source, sizeof(source));
  uv_inet_ntop(family, to->ip, destination, sizeof(destination));
  return (size_t)snprintf(out, UVSMTP__PROXY_HEADER_SIZE, "PROXY TCP%d %s %s %u %u\r\n",
                          six ? 6 : 4, source, destination, (unsigned)from->port,
                          (unsigned)to->port);
}

static uint8_t *write_octets(uint8_t *out, const void *bytes, size_t len)
{
  memcpy(out, bytes, len);
  return out + len;
}

static size_t write_v2(uint8_t *out, bool known, bool six, const end_t *from, const end_t *to)
{
  size_t ip_len = six ? 16 : 4, len = known ? 2 * ip_len + 4 : 0;
  const uint8_t fixed[] = {0x0d,
                           0x0a,
                           0x0d,
                           0x0a,
                           0x00,
                           0x0d,
                           0x0a,
                           0x51,
                           0x55,
                           0x49,
                           0x54,
                           0x0a,                /* the signature */
                           known ? 0x21 : 0x20, /* version 2; PROXY, or LOCAL */
                           !known ? 0x00
                           : six  ? 0x21
                                  : 0x11, /* unspecified, or TCP over IPv6 or IPv4 */
                           0,
                           (uint8_t)len};
  const uint8_t ports[] = {(uint8_t)(from->port >> 8), (uint8_t)from->port,
                           (uint8_t)(to->port >> 8), (uint8_t)to->port};
  out = write_octets(out, fixed, sizeof(fixed));
  if (known) {
    out = write_octets(out, from->ip, ip_len);
    out = write_octets(out, to->ip, ip_len);
    write_octets(out, ports, sizeof(ports));
  }
  return sizeof(fixed) + len;
}

size_t uvsmtp__proxy_header(uint8_t out[UVSMTP__PROXY_HEADER_SIZE], uvsmtp_proxy_header_t version,
                            const struct sockaddr *source, const struct sockaddr *destination)
{
  bool known = is_ip(source) && is_ip(destination);
  bool six = known && (source->sa_family == AF_INET6 || destination->sa_family == AF_INET6);
  end_t from = {.port = 0}, to = {.port = 0};
  if (known) {
    from = end_of(source, six);
    to = end_of(destination, six);
  }
  return version == UVSMTP_PROXY_HEADER_V1 ? write_v1((char *)out, known, six, &from, &to)
                                           : write_v2(out, known, six, &from, &to);
}
