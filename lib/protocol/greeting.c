/* The phase before a session is ready: greeting, EHLO, HELO, LHLO, STARTTLS. */
#include <string.h>

#include "base/mem.h"
#include "protocol/machine.h"

#define LINE_MAX_OCTETS 512

void uvsmtp__judge_greeting(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event)
{
  (void)e;
  if (UVSMTP_REPLY_CLASS(&event->reply) == 2)
    p->state = UVSMTP_STATE_GREETING_RECEIVED;
  uvsmtp__project(p);
}

static int say_hello(uvsmtp_protocol_t *p, uvsmtp_command_t command, uint8_t flags, void *tag)
{
  static const char *const verbs[] = {"EHLO ", "HELO ", "LHLO "};
  uvsmtp_slice_t parts[2];
  parts[0] = uvsmtp_slice(verbs[command - UVSMTP_COMMAND_EHLO]);
  parts[1] = uvsmtp_slice(p->aside->domain);
  return uvsmtp__command_issue(p, command, tag, flags, parts, 2, LINE_MAX_OCTETS);
}

int uvsmtp_protocol_send_greeting(uvsmtp_protocol_t *p, const char *domain, bool needs_ehlo,
                                  void *tag)
{
  char *copy;
  int err = uvsmtp__command_ready(p);
  if (err != 0)
    return err;
  if (p->projected != UVSMTP_STATE_GREETING_RECEIVED && p->projected != UVSMTP_STATE_READY &&
      p->projected != UVSMTP_STATE_AUTHENTICATED)
    return UVSMTP_ESTATE;
  if (domain == NULL || *domain == '\0' || strpbrk(domain, " \t<>") != NULL)
    return domain == NULL || *domain == '\0' ? UVSMTP_EINVAL : UVSMTP_EINJECTION;
  if (uvsmtp__aside_wake(p) != 0 || (copy = uvsmtp__strdup(&p->shared->mem, domain)) == NULL)
    return UVSMTP_ENOMEM;
  uvsmtp__free(&p->shared->mem, p->aside->domain);
  p->aside->domain = copy;
  err = say_hello(p, p->shared->options.lmtp ? UVSMTP_COMMAND_LHLO : UVSMTP_COMMAND_EHLO,
                  needs_ehlo ? EXPECT_NEEDS_EHLO : 0, tag);
  if (err == 0)
    p->projected = UVSMTP_STATE_READY;
  return err;
}

/* A server without extensions says 500, 501, 502 or 504 to EHLO; 421 and others mean no. */
static bool try_helo(uvsmtp_protocol_t *p, const expectation_t *e, int code)
{
  return e->command == UVSMTP_COMMAND_EHLO && (e->flags & EXPECT_NEEDS_EHLO) == 0 &&
         (code == 500 || code == 501 || code == 502 || code == 504) &&
         say_hello(p, UVSMTP_COMMAND_HELO, 0, e->tag) == 0;
}

void uvsmtp__judge_hello(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event)
{
  int err = 0;
  if (UVSMTP_REPLY_CLASS(&event->reply) == 2) {
    uvsmtp__capabilities_clear(p);
    if (e->command != UVSMTP_COMMAND_HELO)
      err = uvsmtp__capabilities_read(p, &event->reply);
    event->err = err;
    if (err != 0)
      uvsmtp__protocol_fail(p, err, uvsmtp_strerror(err), NULL, 0);
    else
      p->state = p->authenticated ? UVSMTP_STATE_AUTHENTICATED : UVSMTP_STATE_READY;
  } else if (try_helo(p, e, event->reply.code)) {
    event->last = false;
  }
  uvsmtp__project(p);
}

int uvsmtp_protocol_start_tls(uvsmtp_protocol_t *p, void *tag)
{
  uvsmtp_slice_t line = uvsmtp_slice("STARTTLS");
  int err = uvsmtp__command_ready(p);
  if (err != 0)
    return err;
  if (p->projected != UVSMTP_STATE_READY || p->state != UVSMTP_STATE_READY || p->tls)
    return UVSMTP_ESTATE;
  if ((err = uvsmtp__need(p, UVSMTP_EXT_STARTTLS)) != 0)
    return err;
  err = uvsmtp__command_issue(p, UVSMTP_COMMAND_STARTTLS, tag, 0, &line, 1, LINE_MAX_OCTETS);
  p->alone = err == 0;
  return err;
}

void uvsmtp__judge_starttls(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event)
{
  (void)e;
  p->alone = false;
  if (UVSMTP_REPLY_CLASS(&event->reply) != 2)
    return;
  /* What stands behind the 220 was said in the clear, by whomever (CVE-2011-0411). */
  if (uvsmtp__in_left(p) > 0)
    uvsmtp__protocol_fail(p, UVSMTP_ETLSINJECTED, uvsmtp_strerror(UVSMTP_ETLSINJECTED), p->in,
                          uvsmtp__in_left(p));
  p->in = p->in_end;
  p->tls_pending = true;
}

int uvsmtp_protocol_tls_started(uvsmtp_protocol_t *p)
{
  if (!p->tls_pending || p->err != 0)
    return UVSMTP_ESTATE;
  p->tls_pending = false;
  p->tls = true;
  uvsmtp__capabilities_clear(p);
  p->state = p->projected = UVSMTP_STATE_GREETING_RECEIVED;
  return 0;
}

void uvsmtp_protocol_tls_unverified(uvsmtp_protocol_t *p)
{
  p->doubted = true;
}
