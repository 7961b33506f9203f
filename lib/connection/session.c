/*
 * Opening a session: greeting, EHLO, STARTTLS and EHLO again where TLS is wanted, then login.c.
 *
 *   220 … -> EHLO -> [STARTTLS -> 220 -> handshake -> EHLO] -> [AUTH …] -> ready
 */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "connection/connection.h"
#include "connection/ehlo_name.h"

/* Ends the connection because of a refusal that nothing can be done about here. */
static void refuse(uvsmtp_connection_t *c, const uvsmtp_reply_t *reply, const char *what)
{
  int class = UVSMTP_REPLY_CLASS(reply);
  int err = class == 4 ? UVSMTP_ETEMPORARY : class == 5 ? UVSMTP_EPERMANENT : UVSMTP_EREPLY;
  uvsmtp__connection_fail_reply(c, err, reply, what);
}

static bool needs_tls(const uvsmtp_connection_t *c)
{
  return c->config->o.tls == UVSMTP_TLS_REQUIRED && !c->tls_done;
}

/* HELO would do for a server that does not know EHLO, but neither for TLS nor for a login. */
static void refuse_ehlo(uvsmtp_connection_t *c, const uvsmtp_reply_t *reply,
                        uvsmtp_command_t command)
{
  bool unknown = reply->code >= 500 && reply->code <= 504;
  if (unknown && needs_tls(c))
    uvsmtp__connection_fail_reply(c, UVSMTP_ETLSREQUIRED, reply,
                                  "EHLO, without which there is no TLS");
  else if (unknown && c->config->auth_count != 0)
    uvsmtp__connection_fail_reply(c, UVSMTP_EMECHANISM, reply,
                                  "EHLO, without which there is no login");
  else
    refuse(c, reply, uvsmtp_command_name(command));
}

/* A command could not be issued: out of memory, or the server is closing. */
static void cannot_issue(uvsmtp_connection_t *c, int err, const char *what)
{
  char whom[UVSMTP__PEER_SIZE];
  uvsmtp__connection_fail(c, err, "%s could not be sent to %s: %s", what,
                          uvsmtp__connection_whom(c, whom, sizeof(whom)), uvsmtp_strerror(err));
}

/* The name of this host, kept until the session is open. */
static int find_name(uvsmtp_connection_t *c)
{
  char name[UVSMTP__EHLO_NAME_SIZE];
  int err = uvsmtp__ehlo_name(name, sizeof(name), c->stream);
  if (err != 0)
    return err;
  c->ends->ehlo_name = uvsmtp__strdup(c->mem, name);
  return c->ends->ehlo_name == NULL ? UVSMTP_ENOMEM : 0;
}

static void say_ehlo(uvsmtp_connection_t *c)
{
  const char *name = c->config->o.ehlo_domain;
  bool needs_ehlo = c->config->auth_count != 0 || needs_tls(c);
  int err = 0;
  if (name == NULL && c->ends->ehlo_name == NULL)
    err = find_name(c);
  if (err == 0)
    err = uvsmtp_protocol_send_greeting(c->protocol, name != NULL ? name : c->ends->ehlo_name,
                                        needs_ehlo, NULL);
  if (err != 0)
    cannot_issue(c, err, "EHLO");
}

void uvsmtp__session_begin(uvsmtp_connection_t *c)
{
  int err = uvsmtp_protocol_new_with(&c->protocol, c->config->protocol, uv_now(c->loop));
  if (err != 0) {
    cannot_issue(c, err, "a session");
    return;
  }
  c->phase = UVSMTP__PHASE_SESSION;
  uvsmtp__stream_read(c);
  uvsmtp__timer_note(c);
}

void uvsmtp__session_tls_started(uvsmtp_connection_t *c)
{
  int err = uvsmtp_protocol_tls_started(c->protocol);
  c->phase = UVSMTP__PHASE_SESSION;
  if (uvsmtp_tls_overlooked(c->tls) != NULL)
    uvsmtp_protocol_tls_unverified(c->protocol);
  if (err != 0)
    cannot_issue(c, err, "EHLO");
  else
    say_ehlo(c);
}

/* A gateway says for whom it speaks; then the session begins anew (after_xclient). */
static void say_xclient(uvsmtp_connection_t *c)
{
  char whom[UVSMTP__PEER_SIZE];
  int err = uvsmtp_protocol_xclient(c->protocol, c->config->o.xclient, NULL);
  c->ends->xclient_said = true;
  if (err == 0)
    return;
  uvsmtp__connection_say_goodbye(c);
  uvsmtp__connection_whom(c, whom, sizeof(whom));
  if (err == UVSMTP_EEXTENSION)
    uvsmtp__connection_fail(c, err, "%s does not offer XCLIENT", whom);
  else
    uvsmtp__connection_fail(c, err, "the attributes for XCLIENT cannot be sent to %s: %s", whom,
                            uvsmtp_strerror(err));
}

static void after_xclient(uvsmtp_connection_t *c, const uvsmtp_reply_t *reply)
{
  if (UVSMTP_REPLY_CLASS(reply) == 2)
    say_ehlo(c);
  else
    refuse(c, reply, "XCLIENT");
}

static void go_on(uvsmtp_connection_t *c)
{
  if (c->config->o.xclient != NULL && !c->ends->xclient_said)
    say_xclient(c);
  else
    uvsmtp__login_begin(c);
}

/* Did the server call itself what we called us? Names differ neither by case nor by a last dot. */
static bool answers_with_our_name(const uvsmtp_connection_t *c, const uvsmtp_reply_t *reply)
{
  const char *ours =
      c->config->o.ehlo_domain != NULL ? c->config->o.ehlo_domain : c->ends->ehlo_name;
  uvsmtp_slice_t text = {NULL, 0};
  size_t at = 0, len = 0;
  uvsmtp_reply_next_line(reply, &at, &text);
  while (len < text.len && text.base[len] != ' ')
    len++;
  if (len > 0 && text.base[len - 1] == '.')
    len--;
  return uvsmtp__ascii_equal(text.base, len, ours, strlen(ours));
}

/* What is offered is known: TLS first. */
static void after_ehlo(uvsmtp_connection_t *c, const uvsmtp_reply_t *reply)
{
  const uvsmtp_capabilities_t *offered = uvsmtp_protocol_capabilities(c->protocol);
  const uvsmtp_connection_options_t *o = &c->config->o;
  bool given_up = o->tls == UVSMTP_TLS_OPPORTUNISTIC && o->no_starttls;
  bool wanted = o->tls != UVSMTP_TLS_NONE && !c->tls_done && !given_up;
  char whom[UVSMTP__PEER_SIZE];
  if (o->refuse_own_name && answers_with_our_name(c, reply)) {
    uvsmtp__connection_say_goodbye(c);
    uvsmtp__connection_fail(c, UVSMTP_ELOOP, "%s answers with our own name: it is this host",
                            uvsmtp__connection_whom(c, whom, sizeof(whom)));
  } else if (wanted && (offered->extensions & UVSMTP_EXT_STARTTLS) != 0) {
    int err = uvsmtp_protocol_start_tls(c->protocol, NULL);
    if (err != 0)
      cannot_issue(c, err, "STARTTLS");
  } else if (wanted && o->tls == UVSMTP_TLS_REQUIRED) {
    uvsmtp__connection_say_goodbye(c);
    uvsmtp__connection_fail(c, UVSMTP_ETLSREQUIRED, "%s does not offer STARTTLS",
                            uvsmtp__connection_whom(c, whom, sizeof(whom)));
  } else {
    go_on(c);
  }
}

static void after_starttls(uvsmtp_connection_t *c, const uvsmtp_reply_t *reply)
{
  if (UVSMTP_REPLY_CLASS(reply) == 2)
    c->tls_due = true;
  else if (c->config->o.tls == UVSMTP_TLS_OPPORTUNISTIC && reply->code != 421)
    go_on(c);
  else
    uvsmtp__connection_fail_reply(
        c, UVSMTP_REPLY_CLASS(reply) == 4 ? UVSMTP_ETEMPORARY : UVSMTP_ETLSREQUIRED, reply,
        "STARTTLS");
}

void uvsmtp__session_event(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  bool accepted = UVSMTP_REPLY_CLASS(&event->reply) == 2;
  c->answered = (uint8_t)event->command;
  switch (event->command) {
  case UVSMTP_COMMAND_GREETING:
    if (accepted) {
      uvsmtp__pump_greeted(c, &event->reply);
      say_ehlo(c);
    } else
      refuse(c, &event->reply, "the session");
    break;
  case UVSMTP_COMMAND_EHLO:
  case UVSMTP_COMMAND_LHLO:
  case UVSMTP_COMMAND_HELO:
    if (event->err != 0)
      break; /* what was offered could not be kept: the machine's error comes next */
    if (accepted)
      after_ehlo(c, &event->reply);
    else if (event->last)
      refuse_ehlo(c, &event->reply, event->command);
    break;
  case UVSMTP_COMMAND_STARTTLS:
    after_starttls(c, &event->reply);
    break;
  case UVSMTP_COMMAND_XCLIENT:
    after_xclient(c, &event->reply);
    break;
  case UVSMTP_COMMAND_AUTH:
    uvsmtp__login_event(c, event);
    break;
  default:
    break;
  }
}
