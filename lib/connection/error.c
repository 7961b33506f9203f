/*
 * Sentences about what went wrong: what was being done, with whom, the other side's words, and
 * what can be done about it.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "connection/connection.h"

const char *uvsmtp__connection_whom(const uvsmtp_connection_t *c, char *out, size_t size)
{
  const uvsmtp_connection_options_t *o = &c->config->o;
  if (c->peer != NULL)
    snprintf(out, size, "%s", c->peer);
  else if (o->unix_path != NULL)
    snprintf(out, size, "%s", o->unix_path);
  else if (o->host == NULL)
    snprintf(out, size, "the stream");
  else
    uvsmtp__print_host_port(out, size, o->host, o->port);
  return out;
}

const char *uvsmtp__connection_phrase(const uvsmtp_connection_t *c)
{
  return c->phase < UVSMTP__PHASE_SESSION ? "shaking hands for TLS"
                                          : uvsmtp_protocol_phrase(c->protocol);
}

const char *uvsmtp__error_hint(int err)
{
  static const struct {
    int err;
    const char *hint;
  } hints[] = {
      {UVSMTP_ETLSREQUIRED,
       "; use the port for implicit TLS (465) if there is one, or allow a session in the clear"},
      {UVSMTP_ETLSNAME, "; connect by the name that the certificate carries"},
      {UVSMTP_ETLSCERT, "; name the certificate of its issuer as trusted"},
      {UVSMTP_ETLSINJECTED, "; somebody between may be meddling with the connection"},
      {UVSMTP_EAUTHPLAINTEXT, "; use TLS"},
      {UVSMTP_EAUTHBACKOFF, "; if they have changed, give the new ones"},
  };
  for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++) {
    if (hints[i].err == err)
      return hints[i].hint;
  }
  return "";
}

void uvsmtp__reply_words(const uvsmtp_reply_t *reply, char *out, size_t size)
{
  uvsmtp_reply_text(reply, out, size);
  for (char *at = out; *at != '\0'; at++) {
    if (*at == '\n')
      *at = ' ';
  }
}

/* A server that begins with TLS waits in silence for who waits for its greeting. */
const char *uvsmtp__connection_silence(const uvsmtp_connection_t *c)
{
  bool silent = c->protocol != NULL && c->tls == NULL && c->info.octets_received == 0;
  return silent ? "; if TLS begins at once on this port, ask for implicit TLS (smtps)" : "";
}

void uvsmtp__connection_note_reply(uvsmtp_connection_t *c, const uvsmtp_reply_t *reply,
                                   const char *words)
{
  if (uvsmtp__connection_need_ends(c) != 0)
    return;
  c->ends->code = reply->code;
  memcpy(c->ends->enhanced, reply->enhanced, sizeof(c->ends->enhanced));
  uvsmtp__free(c->mem, c->ends->words);
  c->ends->words = uvsmtp__strdup(c->mem, words);
}

uvsmtp_error_t uvsmtp__connection_error(const uvsmtp_connection_t *c)
{
  const uvsmtp__ends_t *ends = c->ends;
  uvsmtp_error_t error = {.err = c->err, .text = uvsmtp_strerror(c->err)};
  if (ends != NULL && ends->text != NULL)
    error.text = ends->text;
  if (ends != NULL && ends->code != 0) {
    error.code = ends->code;
    memcpy(error.enhanced, ends->enhanced, sizeof(error.enhanced));
    error.words = ends->words;
    error.command = c->answered;
  }
  return error;
}
