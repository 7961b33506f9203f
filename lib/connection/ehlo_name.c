#include "connection/ehlo_name.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "uvsmtp/base.h"

#define MAX_DOMAIN 255 /* RFC 5321 section 4.5.3.1.2 */
#define MAX_LABEL 63   /* RFC 1035 section 2.3.4 */

static bool is_label(const char *label, size_t len)
{
  if (len == 0 || len > MAX_LABEL || label[0] == '-' || label[len - 1] == '-')
    return false;
  for (size_t i = 0; i < len; i++)
    if (!uvsmtp__ascii_alnum(label[i]) && label[i] != '-')
      return false;
  return true;
}

/* The grammar would let "192.0.2.1" pass for a domain, but it is an address without its brackets.*/
static bool is_domain(const char *s)
{
  bool letters = false;
  if (strlen(s) > MAX_DOMAIN)
    return false;
  for (;;) {
    size_t len = strcspn(s, ".");
    if (!is_label(s, len))
      return false;
    letters = strspn(s, "0123456789") < len;
    if (s[len] == '\0')
      return letters;
    s += len + 1;
  }
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3), without a zone. */
static bool is_literal(const char *s)
{
  static const char tag[] = "IPv6:";
  unsigned char address[16];
  char inside[64];
  size_t len = strlen(s);
  if (len < 2 || len - 2 >= sizeof(inside) || s[0] != '[' || s[len - 1] != ']')
    return false;
  memcpy(inside, s + 1, len - 2);
  inside[len - 2] = '\0';
  if (strchr(inside, '%') != NULL)
    return false;
  if (len - 2 > strlen(tag) && uvsmtp__ascii_equal(inside, strlen(tag), tag, strlen(tag)))
    return uv_inet_pton(AF_INET6, inside + strlen(tag), address) == 0;
  return uv_inet_pton(AF_INET, inside, address) == 0;
}

int uvsmtp__ehlo_check(const char *domain)
{
  if (uvsmtp__breaks_line(domain, strlen(domain)))
    return UVSMTP_EINJECTION;
  return is_domain(domain) || is_literal(domain) ? 0 : UVSMTP_EINVAL;
}

static void print_literal(char *out, size_t size, const struct sockaddr *address)
{
  static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
  char text[64] = "127.0.0.1";
  const char *tag = "";
  if (address != NULL && address->sa_family == AF_INET) {
    uv_ip4_name((const struct sockaddr_in *)address, text, sizeof(text));
  } else if (address != NULL && address->sa_family == AF_INET6) {
    const unsigned char *bytes = ((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr;
    bool is_mapped = memcmp(bytes, mapped, sizeof(mapped)) == 0;
    tag = is_mapped ? "" : "IPv6:";
    if (is_mapped)
      uv_inet_ntop(AF_INET, bytes + sizeof(mapped), text, sizeof(text));
    else
      uv_inet_ntop(AF_INET6, bytes, text, sizeof(text));
  }
  snprintf(out, size, "[%s%s]", tag, text);
}

int uvsmtp__ehlo_name_from(char *out, size_t size, const char *hostname,
                           const struct sockaddr *address)
{
  char name[UVSMTP__EHLO_NAME_SIZE];
  if (hostname != NULL && strchr(hostname, '.') != NULL && is_domain(hostname))
    snprintf(name, sizeof(name), "%s", hostname);
  else
    print_literal(name, sizeof(name), address);
  if (strlen(name) < size) {
    memcpy(out, name, strlen(name) + 1);
    return 0;
  }
  if (size > 0)
    out[0] = '\0';
  return UVSMTP_ETOOLONG;
}

int uvsmtp__ehlo_name(char *out, size_t size, const uv_stream_t *stream)
{
  char host[UV_MAXHOSTNAMESIZE];
  size_t host_size = sizeof(host);
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  int len = sizeof(address);
  bool named = uv_os_gethostname(host, &host_size) == 0;
  if (stream == NULL || stream->type != UV_TCP ||
      uv_tcp_getsockname((const uv_tcp_t *)stream, (struct sockaddr *)&address, &len) != 0)
    address.ss_family = AF_UNSPEC;
  return uvsmtp__ehlo_name_from(out, size, named ? host : NULL, (struct sockaddr *)&address);
}
