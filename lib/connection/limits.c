/*
 * How much the server takes (LIMITS, RFC 9422): MAILMAX transactions and RCPTDOMAINMAX domains in a
 * session, RCPTMAX recipients in a transaction; all of them count commands, refused ones too. What
 * it takes without saying so: some close after so many messages, and all that are behind those are
 * in doubt. And how much is asked of one that refuses: many servers count errors, and punish the
 * session.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "connection/manners.h"
#include "connection/ways.h"

static const uvsmtp_capabilities_t *offered(const uvsmtp_connection_t *c)
{
  return c->terms.offered;
}

/* FNV-1a over the domain in lower case. Two domains that collide pass for one: then it is for the
 * server to refuse. */
static uint64_t domain_of(const char *address)
{
  const char *at = strrchr(address, '@');
  uint64_t hash = 14695981039346656037u;
  for (at = at != NULL ? at + 1 : ""; *at != '\0'; at++)
    hash = (hash ^ (unsigned char)uvsmtp__ascii_lower(*at)) * 1099511628211u;
  return hash;
}

static size_t count_domains(const uvsmtp_connection_t *c)
{
  return c->terms.domains != NULL ? c->terms.domains->count : 0;
}

static bool knows_domain(const uvsmtp_connection_t *c, uint64_t domain)
{
  for (size_t i = 0; i < count_domains(c); i++)
    if (c->terms.domains->hashes[i] == domain)
      return true;
  return false;
}

static bool has_room_for(const uvsmtp_connection_t *c, const char *address)
{
  return offered(c)->max_domains == 0 || count_domains(c) < offered(c)->max_domains ||
         knows_domain(c, domain_of(address));
}

static int add_domain(uvsmtp_connection_t *c, const char *address)
{
  uint64_t domain = domain_of(address);
  uvsmtp__domains_t *domains = c->terms.domains;
  size_t count = count_domains(c);
  if (knows_domain(c, domain))
    return 0;
  if (domains == NULL || count == domains->room) {
    size_t room = count * 2 + 8;
    domains = uvsmtp__realloc_array(c->mem, domains, 1,
                                    sizeof(*domains) + room * sizeof(*domains->hashes));
    if (domains == NULL)
      return UVSMTP_ENOMEM;
    domains->room = room;
    c->terms.domains = domains;
  }
  domains->hashes[count] = domain;
  domains->count = count + 1;
  return 0;
}

uvsmtp__limit_t uvsmtp__limits_admit(uvsmtp_connection_t *c, size_t asked, const char *address)
{
  const uvsmtp_capabilities_t *o = offered(c);
  if (o->max_recipients != 0 && asked >= o->max_recipients)
    return UVSMTP__LIMIT_TRANSACTION;
  if (o->max_domains == 0 || address == NULL)
    return UVSMTP__LIMIT_NONE;
  if (!has_room_for(c, address) || add_domain(c, address) != 0) {
    c->terms.left = 0;
    return UVSMTP__LIMIT_SESSION;
  }
  return UVSMTP__LIMIT_NONE;
}

/* How many of the open recipients the session takes, by their domains. */
static size_t admitted(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t, size_t *open)
{
  size_t count = t->send->envelope->recipient_count, n = 0;
  *open = 0;
  for (size_t i = 0; i < count; i++) {
    if ((int)t->results[i].status != UVSMTP__RCPT_OPEN)
      continue;
    ++*open;
    n += t->results[i].address == NULL || has_room_for(c, t->results[i].address);
  }
  return n;
}

int uvsmtp__limits_check(uvsmtp_connection_t *c, const uvsmtp__transaction_t *t, char *text,
                         size_t size)
{
  const uvsmtp_capabilities_t *o = offered(c);
  bool all = uvsmtp__wants_all(t);
  size_t open, n;
  if (o->max_domains == 0 && !(all && o->max_recipients != 0))
    return 0;
  n = admitted(c, t, &open);
  if (all && o->max_recipients != 0 && open > o->max_recipients) {
    snprintf(text, size, "the server takes %u recipients at a time, and all or none was asked for",
             (unsigned)o->max_recipients);
    return UVSMTP_ELIMIT;
  }
  if (n > 0 && (!all || n == open))
    return 0;
  c->terms.left = 0;
  snprintf(text, size, "the server takes recipients of %u domains in one session",
           (unsigned)o->max_domains);
  return UVSMTP_ELIMIT;
}

void uvsmtp__limits_note_recipient(uvsmtp_connection_t *c, bool accepted)
{
  c->terms.refused_in_row = accepted ? 0 : c->terms.refused_in_row + 1;
  if (c->terms.refused_in_row >= c->config->o.max_refused_recipients)
    c->terms.left = 0;
}

/*
 * In a session that tries whether there is such a limit still, the last ones below it and the first
 * beyond it go one command at a time: if the server closes, no content is under way.
 */
void uvsmtp__limits_heed(uvsmtp_connection_t *c)
{
  uint64_t begun = c->terms.taken + c->pump->flying, most = c->manners->max_mails;
  if (c->terms.taken > most) {
    c->manners->max_mails = 0;
    c->terms.trying = false;
    uvsmtp__pump_speak_plainly(c, false);
  } else if (!c->terms.trying) {
    uint64_t left = most > begun ? most - begun : 0;
    c->terms.left = left < c->terms.left ? left : c->terms.left;
  } else if (begun + c->config->o.max_in_doubt >= most) {
    uvsmtp__pump_speak_plainly(c, true);
  }
}

/*
 * It closed without a word while messages followed one another, as one that has had enough. If it
 * had answered the next one in part, that may be to blame: it would end any session.
 */
static bool was_closed(const uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  const uvsmtp__transaction_t *t = uvsmtp__pump_front(c);
  bool closed = error->err == UVSMTP_ECONNLOST || error->err == UVSMTP_ETLSTRUNCATED ||
                error->err == UV_ECONNRESET || error->err == UV_EPIPE;
  return closed && error->code == 0 && !c->terms.farewell && c->terms.taken > 0 && t != NULL &&
         !t->has_phase && (t->overlapped || c->terms.trying);
}

bool uvsmtp__limits_ended(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  if (!was_closed(c, error)) {
    uvsmtp__manners_ended(c->manners, c->terms.taken, c->terms.left == 0);
    return false;
  }
  uvsmtp__manners_closed(c->manners, c->terms.taken);
  return c->manners->max_mails == c->terms.taken;
}

void uvsmtp__limits_clear(uvsmtp_connection_t *c)
{
  uvsmtp__free(c->mem, c->terms.domains);
  c->terms.domains = NULL;
}
