/*
 * XCLIENT and XFORWARD (Postfix): a gateway says for whom it speaks. Of the attributes only those
 * go that the server lists behind the keyword; values are xtext (RFC 3461 section 4).
 */
#include <string.h>

#include "base/text.h"
#include "protocol/machine.h"

#define LINE_MAX_OCTETS 512

typedef struct {
  const char *name, *value;
} attribute_t;

enum { ATTRIBUTES = 10 };

static void list_attributes(const uvsmtp_origin_t *o, attribute_t list[ATTRIBUTES])
{
  const attribute_t all[ATTRIBUTES] = {{"NAME", o->name},          {"ADDR", o->addr},
                                       {"PORT", o->port},          {"PROTO", o->proto},
                                       {"HELO", o->helo},          {"IDENT", o->ident},
                                       {"SOURCE", o->source},      {"LOGIN", o->login},
                                       {"DESTADDR", o->dest_addr}, {"DESTPORT", o->dest_port}};
  memcpy(list, all, sizeof(all));
}

bool uvsmtp__origin_breaks(const uvsmtp_origin_t *origin)
{
  attribute_t list[ATTRIBUTES];
  list_attributes(origin, list);
  for (size_t i = 0; i < ATTRIBUTES; i++)
    if (list[i].value != NULL && uvsmtp__breaks_line(list[i].value, strlen(list[i].value)))
      return true;
  return false;
}

static bool is_listed(const char *words, const char *name)
{
  size_t len = strlen(name);
  while (*words != '\0') {
    size_t word = strcspn(words, " ");
    if (uvsmtp__ascii_equal(words, word, name, len))
      return true;
    words += word + (words[word] == ' ');
  }
  return false;
}

/* " NAME=value"; an IPv6 address gets the prefix that tells it (RFC 5321 section 4.1.3). */
static int append_attribute(uvsmtp__buffer_t *line, const attribute_t *a)
{
  bool is_address = strcmp(a->name, "ADDR") == 0 || strcmp(a->name, "DESTADDR") == 0;
  bool bare_ipv6 = is_address && strchr(a->value, ':') != NULL &&
                   !uvsmtp__ascii_equal(a->value, strcspn(a->value, ":"), "IPV6", 4);
  int err;
  if (uvsmtp__breaks_line(a->value, strlen(a->value)))
    return UVSMTP_EINJECTION;
  if (*a->value == '\0' || strlen(a->value) > 255)
    return UVSMTP_EINVAL;
  err = uvsmtp__buffer_printf(line, " %s=%s", a->name, bare_ipv6 ? "IPV6:" : "");
  return err != 0 ? err : uvsmtp__append_xtext(line, a->value);
}

static int issue(uvsmtp_protocol_t *p, uvsmtp_command_t command, void *tag, size_t len)
{
  uvsmtp_slice_t line = {uvsmtp__buffer_data(&p->aside->line), len};
  return uvsmtp__command_issue(p, command, tag, 0, &line, 1, LINE_MAX_OCTETS);
}

/* Checks the state, and gives what the server lists. */
static int begin(uvsmtp_protocol_t *p, unsigned bit, const char *verb, const char **listed)
{
  int err = uvsmtp__command_ready(p);
  if (err != 0)
    return err;
  if (p->projected != UVSMTP_STATE_READY && p->projected != UVSMTP_STATE_AUTHENTICATED)
    return UVSMTP_ESTATE;
  if ((err = uvsmtp__need(p, bit)) != 0)
    return err;
  *listed = uvsmtp_capabilities_find(p->capabilities, verb);
  uvsmtp__line_begin(p);
  if ((err = uvsmtp__aside_wake(p)) != 0)
    return err;
  uvsmtp__buffer_clear(&p->aside->line);
  return uvsmtp__buffer_append_str(&p->aside->line, verb);
}

int uvsmtp_protocol_xclient(uvsmtp_protocol_t *p, const uvsmtp_origin_t *origin, void *tag)
{
  attribute_t list[ATTRIBUTES];
  const char *listed = NULL;
  size_t verb;
  int err = begin(p, UVSMTP_EXT_XCLIENT, "XCLIENT", &listed);
  verb = uvsmtp__buffer_len(&p->aside->line);
  list_attributes(origin, list);
  for (size_t i = 0; err == 0 && i < ATTRIBUTES; i++)
    if (list[i].value != NULL && is_listed(listed, list[i].name))
      err = append_attribute(&p->aside->line, &list[i]);
  if (err == 0 && uvsmtp__buffer_len(&p->aside->line) == verb)
    return UVSMTP_EINVAL;
  if (err == 0)
    err = issue(p, UVSMTP_COMMAND_XCLIENT, tag, uvsmtp__buffer_len(&p->aside->line));
  if (err == 0) {
    p->projected = UVSMTP_STATE_GREETING_RECEIVED;
    p->alone = true;
  }
  return err;
}

int uvsmtp_protocol_xforward(uvsmtp_protocol_t *p, const uvsmtp_origin_t *origin, unsigned *next,
                             void *tag)
{
  attribute_t list[ATTRIBUTES];
  const char *listed = NULL;
  unsigned i = *next;
  size_t verb, len;
  int err = begin(p, UVSMTP_EXT_XFORWARD, "XFORWARD", &listed);
  verb = len = uvsmtp__buffer_len(&p->aside->line);
  list_attributes(origin, list);
  for (; err == 0 && i < ATTRIBUTES; i++) {
    if (list[i].value == NULL || !is_listed(listed, list[i].name))
      continue;
    err = append_attribute(&p->aside->line, &list[i]);
    if (err == 0 && uvsmtp__buffer_len(&p->aside->line) + 2 > LINE_MAX_OCTETS && len > verb)
      break; /* the next command begins with it */
    len = uvsmtp__buffer_len(&p->aside->line);
  }
  if (err == 0 && len > verb)
    err = issue(p, UVSMTP_COMMAND_OTHER, tag, len);
  if (err != 0)
    return err;
  *next = i;
  return i < ATTRIBUTES ? UVSMTP_PENDING : 0;
}

/* The session begins anew, as if a client of the origin had just been greeted. */
void uvsmtp__judge_xclient(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event)
{
  (void)e;
  p->alone = false;
  if (UVSMTP_REPLY_CLASS(&event->reply) == 2) {
    uvsmtp__capabilities_clear(p);
    p->authenticated = false;
    p->state = UVSMTP_STATE_GREETING_RECEIVED;
  }
  uvsmtp__project(p);
}
