/*
 * The options that connections are opened with. They are opened long after uvsmtp_client_new has
 * returned, so everything the caller's struct points to is copied or held here.
 */
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/secret.h"
#include "base/text.h"
#include "client/internal.h"

static int copy_string(const char **field, const char *name, const uvsmtp_mem_t *mem,
                       const uvsmtp__detail_t *detail)
{
  const char *given = *field;
  *field = NULL;
  if (given == NULL)
    return 0;
  if (uvsmtp__breaks_line(given, strlen(given)))
    return uvsmtp__refuse(detail, UVSMTP_EINJECTION, "%s has a CR, LF or NUL", name);
  *field = uvsmtp__strdup(mem, given);
  return *field == NULL ? UVSMTP_ENOMEM : 0;
}

static int copy_strings(uvsmtp_connection_options_t *o, const uvsmtp_mem_t *mem,
                        const uvsmtp__detail_t *detail)
{
  const struct {
    const char **field;
    const char *name;
  } rows[] = {{&o->url, "url"},
              {&o->host, "host"},
              {&o->unix_path, "unix_path"},
              {&o->source_address, "source_address"},
              {&o->ehlo_domain, "ehlo_domain"},
              {&o->proxy, "proxy"},
              {&o->proxy_header_address, "proxy_header_address"}};
  int err = 0;
  /* All of them are looked at, so that none is left that belongs to the caller. */
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    if (err != 0)
      *rows[i].field = NULL;
    else
      err = copy_string(rows[i].field, rows[i].name, mem, detail);
  }
  return err;
}

static void let_go(uvsmtp_auth_t *const *auths, size_t count)
{
  for (size_t i = 0; i < count; i++)
    uvsmtp_auth_free(auths[i]);
}

int uvsmtp__settings_log_in_as(uvsmtp__settings_t *s, uvsmtp_auth_t *const *auths, size_t count)
{
  uvsmtp_auth_t *before[UVSMTP_AUTH_CHOICE_MAX];
  size_t before_count = s->options.auth_count;
  int err = count <= UVSMTP_AUTH_CHOICE_MAX ? 0 : UVSMTP_EINVAL;
  for (size_t i = 0; i < count && err == 0; i++)
    err = uvsmtp_auth_check_thread(auths[i]);
  if (err != 0 || count == 0)
    return err;
  memcpy(before, s->auths, sizeof(before));
  for (size_t i = 0; i < count; i++)
    s->auths[i] = uvsmtp_auth_acquire(auths[i]);
  s->options.auths = s->auths;
  s->options.auth_count = count;
  let_go(before, before_count);
  uvsmtp__settings_changed(s);
  return 0;
}

/*
 * Credentials of the URL become one authenticator for all connections, so that tokens, keys and
 * the memory of a refusal are shared.
 */
static int log_in_by_url(uvsmtp__settings_t *s, const uvsmtp_url_t *url, const uvsmtp_mem_t *mem,
                         const uvsmtp__detail_t *detail)
{
  uvsmtp_auth_t *auth;
  int err;
  if (s->options.auth_count != 0 || url->user == NULL)
    return 0;
  err = uvsmtp_url_auth_new(&auth, url, mem);
  if (err != 0)
    return uvsmtp__refuse(detail, err, "%s",
                          url->password == NULL ? "the URL names a user without a password"
                                                : "the URL's credentials cannot be used");
  err = uvsmtp__settings_log_in_as(s, &auth, 1);
  uvsmtp_auth_free(auth);
  s->identity_of_url = true;
  return err;
}

/* Reads the URL for what is wrong with it, and for who logs in. */
static int look_at_url(uvsmtp__settings_t *s, const uvsmtp_mem_t *mem,
                       const uvsmtp__detail_t *detail)
{
  char text[256] = "";
  uvsmtp_url_t url;
  if (s->options.url == NULL)
    return 0;
  int err = uvsmtp_url_parse(&url, s->options.url, text, sizeof(text));
  if (err != 0)
    return uvsmtp__refuse(detail, err, "%s", text);
  err = log_in_by_url(s, &url, mem, detail);
  uvsmtp_url_clear(&url);
  return err;
}

/* What cannot be opened is better known now than when the first message waits. */
static int check(const uvsmtp_connection_options_t *o, const uvsmtp__detail_t *detail)
{
  char text[256] = "";
  int err = uvsmtp_connection_options_check(o, text, sizeof(text));
  return err != 0 ? uvsmtp__refuse(detail, err, "%s", text) : 0;
}

int uvsmtp__settings_init(uvsmtp__settings_t *s, const uvsmtp_connection_options_t *options,
                          const uvsmtp_mem_t *mem, const uvsmtp__detail_t *detail)
{
  uvsmtp_connection_options_t *o = &s->options;
  memset(s, 0, sizeof(*s));
  int err = uvsmtp__options_copy(o, sizeof(*o), options);
  if (err != 0) {
    memset(o, 0, sizeof(*o));
    return uvsmtp__refuse(detail, err, "connection options: the size is wrong");
  }
  s->mem = o->mem != NULL ? *o->mem : *mem;
  o->mem = &s->mem;
  uvsmtp_auth_t *const *auths = o->auths;
  size_t auth_count = o->auth_count;
  o->auths = NULL;
  o->auth_count = 0;
  uvsmtp_history_acquire(o->history);
  err = copy_strings(o, mem, detail);
  if (err == 0 && o->history == NULL)
    err = uvsmtp_history_new(&o->history, &s->mem);
  if (err == 0 && (err = uvsmtp__settings_log_in_as(s, auths, auth_count)) != 0)
    uvsmtp__refuse(detail, err, "%s", uvsmtp_strerror(err));
  if (err == 0 && o->stream != NULL)
    err = uvsmtp__refuse(detail, UVSMTP_EINVAL,
                         "a client opens its connections by itself: stream cannot be set");
  if (err == 0 && o->url == NULL && o->host == NULL && o->unix_path == NULL)
    err = uvsmtp__refuse(detail, UVSMTP_EINVAL, "one of url, host and unix_path is required");
  if (err == 0)
    err = look_at_url(s, mem, detail);
  return err != 0 ? err : check(o, detail);
}

int uvsmtp__settings_get(uvsmtp__settings_t *s, uvsmtp_connection_settings_t **made, char *detail,
                         size_t detail_size)
{
  int err = 0;
  if (s->made == NULL)
    err = uvsmtp_connection_settings_new(&s->made, &s->options, detail, detail_size);
  *made = s->made;
  return err;
}

void uvsmtp__settings_changed(uvsmtp__settings_t *s)
{
  uvsmtp_connection_settings_free(s->made);
  s->made = NULL;
}

void uvsmtp__settings_clear(uvsmtp__settings_t *s, const uvsmtp_mem_t *mem)
{
  uvsmtp_connection_options_t *o = &s->options;
  uvsmtp__settings_changed(s);
  uvsmtp__free_secret(mem, (char *)(uintptr_t)o->url); /* may have a password, as the proxy's */
  uvsmtp__free_secret(mem, (char *)(uintptr_t)o->proxy);
  uvsmtp__free(mem, (char *)(uintptr_t)o->proxy_header_address);
  uvsmtp__free(mem, (char *)(uintptr_t)o->host);
  uvsmtp__free(mem, (char *)(uintptr_t)o->unix_path);
  uvsmtp__free(mem, (char *)(uintptr_t)o->source_address);
  uvsmtp__free(mem, (char *)(uintptr_t)o->ehlo_domain);
  uvsmtp_history_free(o->history);
  let_go(s->auths, o->auth_count);
  memset(s, 0, sizeof(*s));
}
