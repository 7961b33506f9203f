/*
 * What the owner asked for, checked and copied. A URL fills in what the fields leave open.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "connection/connection.h"
#include "connection/ehlo_name.h"
#include "connection/url.h"
#include "uvsmtp/address.h"

static int refuse(char *detail, size_t size, int err, const char *sentence)
{
  if (detail != NULL && size != 0 && detail[0] == '\0')
    snprintf(detail, size, "%s", sentence);
  return err;
}

/* Copies `from`, or what stands in the URL where that is NULL. */
static int copy(char **to, const uvsmtp_mem_t *mem, const char *from, const char *of_url)
{
  if (from == NULL)
    from = of_url;
  *to = uvsmtp__strdup(mem, from);
  return from != NULL && *to == NULL ? UVSMTP_ENOMEM : 0;
}

static int copy_strings(uvsmtp_connection_settings_t *config, const uvsmtp_mem_t *mem,
                        const uvsmtp_url_t *url)
{
  uvsmtp_connection_options_t *o = &config->o;
  bool has_place = o->host != NULL || o->unix_path != NULL;
  int err = copy(&config->host, mem, o->host, has_place ? NULL : url->host);
  if (err == 0)
    err = copy(&config->unix_path, mem, o->unix_path, has_place ? NULL : url->unix_path);
  if (err == 0)
    err = copy(&config->source_address, mem, o->source_address, NULL);
  if (err == 0)
    err = copy(&config->ehlo_domain, mem, o->ehlo_domain, url->ehlo);
  if (err == 0)
    err = copy(&config->proxy_header_address, mem, o->proxy_header_address, NULL);
  o->host = config->host;
  o->unix_path = config->unix_path;
  o->source_address = config->source_address;
  o->ehlo_domain = config->ehlo_domain;
  o->proxy_header_address = config->proxy_header_address;
  o->url = NULL;
  config->history = uvsmtp_history_acquire(o->history);
  return err;
}

int uvsmtp_url_auth_new(uvsmtp_auth_t **auth, const uvsmtp_url_t *url, const uvsmtp_mem_t *mem)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  options.mem = mem;
  options.user = url->user;
  options.password = url->password;
  options.mechanisms = url->mechanisms;
  return uvsmtp_auth_password_new(auth, &options);
}

/* The authenticators of the options; without any, one of the URL's user and password. */
static int take_auths(uvsmtp_connection_settings_t *config, const uvsmtp_mem_t *mem,
                      const uvsmtp_url_t *url)
{
  size_t count = config->o.auth_count;
  bool from_url = count == 0 && url->user != NULL;
  int err = 0;
  if (from_url)
    count = 1;
  if (count == 0)
    return 0;
  config->auths = uvsmtp__realloc_array(mem, NULL, count, sizeof(*config->auths));
  if (config->auths == NULL)
    return UVSMTP_ENOMEM;
  if (from_url)
    err = uvsmtp_url_auth_new(&config->auths[0], url, mem);
  for (size_t i = 0; !from_url && i < count; i++)
    config->auths[i] = uvsmtp_auth_acquire(config->o.auths[i]);
  if (err == 0)
    config->auth_count = count;
  for (size_t i = 0; err == 0 && i < count; i++)
    err = uvsmtp_auth_check_thread(config->auths[i]);
  return err;
}

/* A sentence about its URL begins with "proxy: ". */
static int take_proxy(uvsmtp_connection_settings_t *config, const uvsmtp_mem_t *mem, char *detail,
                      size_t size)
{
  static const char prefix[] = "proxy: ";
  const char *url = config->o.proxy;
  size_t len = size > sizeof(prefix) ? sizeof(prefix) - 1 : 0;
  int err;
  config->o.proxy = NULL;
  if (url == NULL)
    return 0;
  err = uvsmtp__proxy_parse(&config->proxy, url, mem, detail == NULL ? NULL : detail + len,
                            detail == NULL ? 0 : size - len);
  if (detail != NULL && err != 0)
    memcpy(detail, prefix, len);
  return err;
}

static void set_defaults(uvsmtp_connection_options_t *o, const uvsmtp_url_t *url)
{
  if (o->tls == UVSMTP_TLS_REQUIRED)
    o->tls = url->tls;
  o->lmtp = o->lmtp || url->lmtp;
  if (o->port == 0)
    o->port = url->port;
  if (o->port == 0)
    o->port = o->lmtp                         ? 24
              : o->tls == UVSMTP_TLS_IMPLICIT ? 465
              : o->tls == UVSMTP_TLS_NONE     ? 25
                                              : 587;
  if (o->tls_timeout_ms == 0)
    o->tls_timeout_ms = 30000;
  if (o->quit_timeout_ms == 0)
    o->quit_timeout_ms = 5000;
  if (o->open_timeout_ms == 0)
    o->open_timeout_ms = UINT64_MAX;
  if (o->connect_timeout_ms == 0)
    o->connect_timeout_ms = UVSMTP__CONNECT_TIMEOUT_MS;
  if (o->connect_timeout_ms > o->open_timeout_ms)
    o->connect_timeout_ms = o->open_timeout_ms;
  if (o->max_in_doubt == 0)
    o->max_in_doubt = UVSMTP__IN_DOUBT;
  if (o->max_refused_recipients == 0)
    o->max_refused_recipients = 25; /* servers that count hang up sooner or later: OpenSMTPD's */
  if (o->max_in_doubt_bytes == 0)
    o->max_in_doubt_bytes = (uint64_t)4 * 1024 * 1024;
}

static bool is_address(const char *text)
{
  unsigned char address[16];
  return uv_inet_pton(AF_INET, text, address) == 0 || uv_inet_pton(AF_INET6, text, address) == 0;
}

/* How the server is reached. */
static int check_way(const uvsmtp_connection_options_t *o, char *detail, size_t size)
{
  const uv_handle_t *handle = (const uv_handle_t *)o->stream;
  if (o->stream != NULL && (o->unix_path != NULL || o->proxy != NULL))
    return refuse(detail, size, UVSMTP_EINVAL,
                  "stream is connected already: no unix_path or proxy");
  if (o->stream != NULL &&
      (uv_is_closing(handle) || !uv_is_readable(o->stream) || !uv_is_writable(o->stream)))
    return refuse(detail, size, UVSMTP_EINVAL, "stream is not connected");
  if (o->proxy != NULL && o->unix_path != NULL)
    return refuse(detail, size, UVSMTP_EINVAL, "no proxy leads to a Unix socket");
  if ((unsigned)o->proxy_header > UVSMTP_PROXY_HEADER_V2)
    return refuse(detail, size, UVSMTP_EINVAL, "proxy_header has no such value");
  if (o->proxy_header_address != NULL && !is_address(o->proxy_header_address))
    return refuse(detail, size, UVSMTP_EINVAL, "proxy_header_address is no numeric address");
  if (o->source_address != NULL && !is_address(o->source_address))
    return refuse(detail, size, UVSMTP_EINVAL, "source_address is no numeric address");
  return 0;
}

/* Where the server is: its name, and the address to connect from. */
static int check_place(const uvsmtp_connection_options_t *o, char *detail, size_t size)
{
  uvsmtp__connector_options_t place = {.host = o->host,
                                       .port = o->port,
                                       .unix_path = o->unix_path,
                                       .stream = o->stream,
                                       .family = o->family,
                                       .source_address = o->source_address};
  int err = uvsmtp__connector_check(&place);
  if (err != 0)
    return refuse(detail, size, err,
                  err == UVSMTP_EINJECTION ? "host or unix_path has a CR or LF"
                  : o->unix_path != NULL   ? "unix_path is too long for a socket"
                                           : "source_address is no address of the family");
  err = o->proxy != NULL ? uvsmtp__proxy_check_host(o->host) : 0;
  return err == 0 ? 0 : refuse(detail, size, err, "no proxy can be asked for this host");
}

static int check(const uvsmtp_connection_options_t *o, char *detail, size_t size)
{
  int err = check_way(o, detail, size);
  if (err != 0)
    return err;
  if (o->host == NULL && o->unix_path == NULL && o->stream == NULL)
    return refuse(detail, size, UVSMTP_EINVAL, "no server: set url, host, unix_path or stream");
  if (o->host != NULL && o->host[0] == '\0')
    return refuse(detail, size, UVSMTP_EINVAL, "host is empty");
  if ((unsigned)o->tls > UVSMTP_TLS_NONE || (unsigned)o->family > UVSMTP_FAMILY_IPV6 ||
      (unsigned)o->lines > UVSMTP_LINES_REFUSE)
    return refuse(detail, size, UVSMTP_EINVAL, "tls, family or lines has no such value");
  err = check_place(o, detail, size);
  if (err != 0)
    return err;
  err = o->ehlo_domain != NULL ? uvsmtp__ehlo_check(o->ehlo_domain) : 0;
  if (err != 0)
    return refuse(detail, size, err, "ehlo_domain is neither a domain nor an address literal");
  if (o->auth_count != 0 && o->auths == NULL)
    return refuse(detail, size, UVSMTP_EINVAL, "auth_count is given without auths");
  if (o->auth_count > UVSMTP_AUTH_CHOICE_MAX)
    return refuse(detail, size, UVSMTP_EINVAL, "there are too many authenticators");
  return 0;
}

static int to_ascii(char *out, size_t out_size, const char *domain)
{
  return uvsmtp_domain_to_ascii(out, out_size, domain, NULL, 0);
}

static int make_protocol_settings(uvsmtp_connection_settings_t *config)
{
  const uvsmtp_connection_options_t *o = &config->o;
  uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
  options.lmtp = o->lmtp;
  options.tls = o->tls == UVSMTP_TLS_IMPLICIT;
  options.trace = o->trace != NULL;
  options.timeouts = o->timeouts;
  options.mem = &config->mem;
  options.domain_to_ascii = to_ascii;
  return uvsmtp_protocol_settings_new(&config->protocol, &options);
}

static int fill(uvsmtp_connection_settings_t *config, const uvsmtp_mem_t *mem,
                const uvsmtp_url_t *url, char *detail, size_t size)
{
  int err;
  set_defaults(&config->o, url);
  err = copy_strings(config, mem, url);
  if (err == 0)
    err = check(&config->o, detail, size);
  if (err == 0)
    err = take_proxy(config, mem, detail, size);
  if (err == 0) {
    err = take_auths(config, mem, url);
    if (err != 0)
      refuse(detail, size, err, uvsmtp_strerror(err));
  }
  return err == 0 ? make_protocol_settings(config) : err;
}

static int init(uvsmtp_connection_settings_t *config, const uvsmtp_connection_options_t *options,
                char *detail, size_t size)
{
  uvsmtp_url_t url = {0};
  int err = uvsmtp__options_copy(&config->o, sizeof(config->o), options);
  if (err == 0 && config->o.url != NULL)
    err = uvsmtp__url_parse(&url, config->o.url, &config->mem, detail, size);
  if (err == 0)
    err = fill(config, &config->mem, &url, detail, size);
  uvsmtp__url_clear(&url, &config->mem);
  return err;
}

int uvsmtp__settings_make(uvsmtp_connection_settings_t **out,
                          const uvsmtp_connection_options_t *options, char *detail, size_t size)
{
  const uvsmtp_mem_t *mem = uvsmtp__mem(options->mem);
  uvsmtp_connection_settings_t *s = uvsmtp__calloc(mem, 1, sizeof(*s));
  int err;
  *out = NULL;
  if (s == NULL)
    return UVSMTP_ENOMEM;
  s->users = 1;
  s->mem = *mem;
  err = init(s, options, detail, size);
  if (err != 0)
    uvsmtp_connection_settings_free(s);
  else
    *out = s;
  return err;
}

int uvsmtp_connection_settings_new(uvsmtp_connection_settings_t **settings,
                                   const uvsmtp_connection_options_t *options, char *detail,
                                   size_t detail_size)
{
  int err;
  *settings = NULL;
  if (options == NULL)
    return UVSMTP_EINVAL;
  if (detail != NULL && detail_size > 0)
    detail[0] = '\0';
  err = uvsmtp__settings_make(settings, options, detail, detail_size);
  if (err != 0 || (*settings)->o.stream == NULL)
    return err;
  uvsmtp_connection_settings_free(*settings);
  *settings = NULL;
  return refuse(detail, detail_size, UVSMTP_EINVAL, "a stream is for one connection only");
}

int uvsmtp__settings_claim(const uvsmtp_connection_settings_t *config)
{
  int err = 0;
  for (size_t i = 0; err == 0 && i < config->auth_count; i++)
    err = uvsmtp_auth_claim(config->auths[i]);
  return err;
}

int uvsmtp_connection_options_check(const uvsmtp_connection_options_t *options, char *detail,
                                    size_t detail_size)
{
  uvsmtp_connection_settings_t *settings;
  int err;
  if (options == NULL)
    return UVSMTP_EINVAL;
  if (detail != NULL && detail_size > 0)
    detail[0] = '\0';
  err = uvsmtp__settings_make(&settings, options, detail, detail_size);
  uvsmtp_connection_settings_free(settings);
  return err;
}

void uvsmtp_connection_settings_free(uvsmtp_connection_settings_t *config)
{
  uvsmtp_mem_t mem;
  if (config == NULL || --config->users > 0)
    return;
  mem = config->mem;
  for (size_t i = 0; i < config->auth_count; i++)
    uvsmtp_auth_free(config->auths[i]);
  uvsmtp__free(&mem, config->auths);
  uvsmtp__free(&mem, config->host);
  uvsmtp__free(&mem, config->unix_path);
  uvsmtp__free(&mem, config->source_address);
  uvsmtp__free(&mem, config->ehlo_domain);
  uvsmtp__free(&mem, config->proxy_header_address);
  uvsmtp__proxy_clear(&config->proxy, &mem);
  uvsmtp_protocol_settings_free(config->protocol);
  uvsmtp_history_free(config->history);
  uvsmtp__free(&mem, config);
}
