/*
 * The servers of a client, from whichever of the three options says them: the connection's own
 * address, a list of endpoints, or a list of URLs.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/secret.h"
#include "base/text.h"
#include "client/internal.h"

#define MAX_WEIGHT 65535
#define BLANKS " \t"

static const uvsmtp_connection_options_t no_connection = UVSMTP_CONNECTION_OPTIONS_INIT;

/* An element of the caller's array, whose stride is that of the header it was compiled with. */
static const void *element(const uvsmtp_client_options_t *o, size_t i)
{
  return (const char *)o->endpoints + i * o->endpoints[0].size;
}

/* The options of one endpoint: its own or the client's, with its own address if it has one. */
static int merge(uvsmtp_connection_options_t *merged, const uvsmtp_endpoint_t *endpoint,
                 const uvsmtp_connection_options_t *common, const uvsmtp__detail_t *detail)
{
  const uvsmtp_connection_options_t *from =
      endpoint->connection != NULL ? endpoint->connection : common;
  if (uvsmtp__options_copy(merged, sizeof(*merged), from != NULL ? from : &no_connection) != 0)
    return uvsmtp__refuse(detail, UVSMTP_EOPTIONSIZE, "connection options: the size is wrong");
  if (endpoint->url == NULL && endpoint->host == NULL && endpoint->unix_path == NULL)
    return 0;
  merged->url = endpoint->url;
  merged->host = endpoint->host;
  merged->port = endpoint->port;
  merged->unix_path = endpoint->unix_path;
  /* What is learned of one server is not for another. */
  if (endpoint->connection == NULL)
    merged->history = NULL;
  return 0;
}

/* What it is called in sentences; its URL was found to be right already. */
static void name(uvsmtp__server_t *server)
{
  const uvsmtp_connection_options_t *o = &server->settings.options;
  const char *host = o->host, *path = o->unix_path;
  uvsmtp_url_t url = {0};
  unsigned port = o->port;
  if (host == NULL && path == NULL && uvsmtp_url_parse(&url, o->url, NULL, 0) == 0) {
    host = url.host;
    path = url.unix_path;
    port = port != 0 ? port : url.port;
  }
  if (host == NULL)
    snprintf(server->name, sizeof(server->name), "%s", path != NULL ? path : "");
  else if (port == 0)
    snprintf(server->name, sizeof(server->name), "%s", host);
  else
    uvsmtp__print_host_port(server->name, sizeof(server->name), host, port);
  uvsmtp_url_clear(&url);
}

static int add(uvsmtp_client_t *client, const uvsmtp_endpoint_t *endpoint,
               const uvsmtp_connection_options_t *common, const uvsmtp__detail_t *detail)
{
  uvsmtp_connection_options_t merged;
  uvsmtp__server_t *server = &client->servers[client->server_count];
  if (endpoint->weight > MAX_WEIGHT)
    return uvsmtp__refuse(detail, UVSMTP_EINVAL, "weight may be at most %d", MAX_WEIGHT);
  uvsmtp__endpoint_init(&server->endpoint, endpoint->priority,
                        endpoint->weight != 0 ? endpoint->weight : 1,
                        endpoint->max_connections != 0 ? endpoint->max_connections : SIZE_MAX);
  int err = merge(&merged, endpoint, common, detail);
  if (err != 0)
    return err;
  client->server_count++; /* from here on it is cleared with the others */
  err = uvsmtp__settings_init(&server->settings, &merged, &client->mem, detail);
  if (err != 0)
    return err;
  name(server);
  server->own_identity = endpoint->connection != NULL || server->settings.identity_of_url;
  server->endpoint.untried = server->settings.options.auth_count != 0;
  return 0;
}

/* Says which of several endpoints the sentence is about. */
static void say_which(const uvsmtp__detail_t *detail, const char *list, size_t i)
{
  char sentence[512];
  if (detail->text == NULL || detail->size == 0 || detail->text[0] == '\0')
    return;
  snprintf(sentence, sizeof(sentence), "%s[%zu]: %s", list, i, detail->text);
  snprintf(detail->text, detail->size, "%s", sentence);
}

static int add_endpoints(uvsmtp_client_t *client, const uvsmtp_client_options_t *o,
                         const uvsmtp__detail_t *detail)
{
  int err = 0;
  for (size_t i = 0; i < o->endpoint_count && err == 0; i++) {
    uvsmtp_endpoint_t endpoint;
    err = uvsmtp__options_copy(&endpoint, sizeof(endpoint), element(o, i));
    if (err != 0)
      err = uvsmtp__refuse(detail, err, "the size is wrong");
    else
      err = add(client, &endpoint, o->connection, detail);
    if (err != 0)
      say_which(detail, "endpoints", i);
  }
  return err;
}

static int add_urls(uvsmtp_client_t *client, char *urls, const uvsmtp_client_options_t *o,
                    const uvsmtp__detail_t *detail)
{
  int err = 0;
  unsigned i = 0;
  for (char *at = urls; err == 0 && *(at += strspn(at, BLANKS)) != '\0'; i++) {
    uvsmtp_endpoint_t endpoint = UVSMTP_ENDPOINT_INIT;
    size_t len = strcspn(at, BLANKS);
    bool last = at[len] == '\0';
    at[len] = '\0';
    endpoint.url = at;
    endpoint.priority = i;
    err = add(client, &endpoint, o->connection, detail);
    if (err != 0 && (i > 0 || !last))
      say_which(detail, "urls", i);
    at += last ? len : len + 1;
  }
  return err;
}

static size_t count_urls(const char *urls)
{
  size_t count = 0;
  while (*(urls += strspn(urls, BLANKS)) != '\0') {
    urls += strcspn(urls, BLANKS);
    count++;
  }
  return count;
}

/* The best first; those of the same priority in the order given. */
static void sort(uvsmtp__endpoint_t **endpoints, size_t count)
{
  for (size_t i = 1; i < count; i++) {
    uvsmtp__endpoint_t *moved = endpoints[i];
    size_t k = i;
    for (; k > 0 && endpoints[k - 1]->priority > moved->priority; k--)
      endpoints[k] = endpoints[k - 1];
    endpoints[k] = moved;
  }
}

static int add_all(uvsmtp_client_t *client, const uvsmtp_client_options_t *o,
                   const uvsmtp__detail_t *detail)
{
  uvsmtp_endpoint_t only = UVSMTP_ENDPOINT_INIT;
  if (o->endpoints != NULL)
    return add_endpoints(client, o, detail);
  if (o->urls == NULL)
    return add(client, &only, o->connection, detail);
  char *urls = uvsmtp__strdup(&client->mem, o->urls);
  if (urls == NULL)
    return UVSMTP_ENOMEM;
  int err = add_urls(client, urls, o, detail);
  uvsmtp__free_secret(&client->mem, urls); /* may have passwords */
  return err;
}

/* ---- logging in as somebody else ---------------------------------------------------------- */

/* The only server gets whatever credentials come; of several those that have none of their own. */
static bool shares_identity(const uvsmtp_client_t *client, size_t i)
{
  return client->server_count == 1 || !client->servers[i].own_identity;
}

int uvsmtp_client_set_authenticators(uvsmtp_client_t *client, uvsmtp_auth_t *const *auths,
                                     size_t count)
{
  size_t meant = 0;
  if (client == NULL || auths == NULL || count == 0 || count > UVSMTP_AUTH_CHOICE_MAX)
    return UVSMTP_EINVAL;
  if (client->closing)
    return UVSMTP_ECLOSING;
  for (size_t i = 0; i < client->server_count; i++) {
    uvsmtp__server_t *server = &client->servers[i];
    if (!shares_identity(client, i))
      continue;
    int err = uvsmtp__settings_log_in_as(&server->settings, auths, count);
    if (err != 0)
      return err;
    uvsmtp__pool_renew(&client->pool, &server->endpoint);
    meant++;
  }
  client->ever.open_err = 0;
  uvsmtp__client_wake(client);
  return meant > 0 ? 0 : UVSMTP_EINVAL;
}

int uvsmtp_client_set_authenticator(uvsmtp_client_t *client, uvsmtp_auth_t *auth)
{
  return uvsmtp_client_set_authenticators(client, &auth, auth != NULL ? 1 : 0);
}

/* ---- making them -------------------------------------------------------------------------- */

int uvsmtp__servers_init(uvsmtp_client_t *client, const uvsmtp_client_options_t *o,
                         const uvsmtp__detail_t *detail)
{
  size_t most = o->urls != NULL        ? count_urls(o->urls)
                : o->endpoints != NULL ? o->endpoint_count
                                       : 1;
  if (most == 0)
    return uvsmtp__refuse(detail, UVSMTP_EINVAL, "urls has no URL");
  client->servers = uvsmtp__calloc(&client->mem, most, sizeof(*client->servers));
  client->endpoints = uvsmtp__calloc(&client->mem, most, sizeof(uvsmtp__endpoint_t *));
  if (client->servers == NULL || client->endpoints == NULL)
    return UVSMTP_ENOMEM;
  int err = add_all(client, o, detail);
  for (size_t i = 0; i < client->server_count; i++)
    client->endpoints[i] = &client->servers[i].endpoint;
  sort(client->endpoints, client->server_count);
  return err;
}

void uvsmtp__servers_clear(uvsmtp_client_t *client)
{
  for (size_t i = 0; i < client->server_count; i++)
    uvsmtp__settings_clear(&client->servers[i].settings, &client->mem);
  uvsmtp__free(&client->mem, client->servers);
  uvsmtp__free(&client->mem, client->endpoints);
}
