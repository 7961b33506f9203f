/*
 * What the connections to one server leave for the next: the address family that answered, the
 * server's manners (manners.c), and TLS sessions.
 *
 * Sessions are kept newest last. Each is used once as long as there is another (RFC 8446 appendix
 * C.4); the last one is used again and again, since a full handshake would hide nothing from an
 * observer who sees the same two addresses.
 *
 * Of many connections that begin together, one leads: it makes the full handshake, and the others
 * wait for the session that comes of it. With TLS 1.3 that arrives behind the handshake, so the
 * leader leads until it has read something. A server that gave no session is not waited for again.
 * A leader that fails wakes all; the first of them leads then.
 */
#include "connection/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "connection/connection.h"

/* More than the two tickets that a server sends at a time, and bounded. */
#define MAX_SESSIONS 8

typedef struct kept_s {
  uvsmtp_tls_session_t *session;
  bool used;
} kept_t;

struct uvsmtp_history_s {
  uvsmtp_mem_t mem;
  size_t refs; /* the owner's and one for each connection */
  kept_t kept[MAX_SESSIONS];
  size_t count;
  size_t leaders;
  bool barren; /* the last leader got no session */
  uvsmtp__link_t waiting;
  uvsmtp_tls_context_t *context; /* one use of the shared one; NULL: not known */
  int family;
  uvsmtp_manners_t manners;
  uint64_t retreats;
  char retreat[256]; /* the last one, for people */
  uint64_t handshakes, resumptions;
};

/* ---- life ---- */

int uvsmtp_history_new(uvsmtp_history_t **history, const uvsmtp_mem_t *mem)
{
  uvsmtp_history_t *h;
  mem = uvsmtp__mem(mem);
  *history = h = uvsmtp__calloc(mem, 1, sizeof(*h));
  if (h == NULL)
    return UVSMTP_ENOMEM;
  h->mem = *mem;
  h->refs = 1;
  h->family = AF_UNSPEC;
  uvsmtp__list_init(&h->waiting);
  return 0;
}

uvsmtp_manners_t *uvsmtp_history_manners(uvsmtp_history_t *h)
{
  return &h->manners;
}

uvsmtp_history_t *uvsmtp_history_acquire(uvsmtp_history_t *h)
{
  if (h != NULL)
    h->refs++;
  return h;
}

void uvsmtp_history_free(uvsmtp_history_t *h)
{
  uvsmtp_mem_t mem;
  if (h == NULL || --h->refs != 0)
    return;
  mem = h->mem;
  for (size_t i = 0; i < h->count; i++)
    uvsmtp_tls_session_free(h->kept[i].session);
  if (h->context != NULL)
    uvsmtp__shared_context_release();
  uvsmtp__free(&mem, h);
}

int uvsmtp_history_info(const uvsmtp_history_t *h, uvsmtp_history_info_t *info)
{
  uvsmtp_history_info_t full = {.size = info->size,
                                .tls_handshakes = h->handshakes,
                                .tls_resumptions = h->resumptions,
                                .tls_sessions = h->count,
                                .avoid = h->manners.avoid,
                                .retreats = h->retreats,
                                .retreat = h->retreat,
                                .max_mails = h->manners.max_mails,
                                .family = h->family == AF_INET    ? UVSMTP_FAMILY_IPV4
                                          : h->family == AF_INET6 ? UVSMTP_FAMILY_IPV6
                                                                  : UVSMTP_FAMILY_ANY};
  if (info->size < sizeof(info->size))
    return UVSMTP_EINVAL;
  memcpy(info, &full, info->size < sizeof(full) ? info->size : sizeof(full));
  return 0;
}

/* ---- sessions ---- */

static void drop(uvsmtp_history_t *h, size_t i)
{
  uvsmtp_tls_session_free(h->kept[i].session);
  h->count--;
  memmove(&h->kept[i], &h->kept[i + 1], (h->count - i) * sizeof(h->kept[0]));
}

static void drop_session(uvsmtp_history_t *h, const uvsmtp_tls_session_t *session)
{
  for (size_t i = h->count; i > 0; i--)
    if (h->kept[i - 1].session == session)
      drop(h, i - 1);
}

/* A used one has done its duty when there is a fresh one. */
static void keep(uvsmtp_history_t *h, uvsmtp_tls_session_t *session)
{
  for (size_t i = h->count; i > 0; i--)
    if (h->kept[i - 1].used)
      drop(h, i - 1);
  if (h->count == MAX_SESSIONS)
    drop(h, 0);
  h->kept[h->count++] = (kept_t){session, false};
}

/* The newest that the engine takes: not one of another name or policy, and none too old. */
static uvsmtp_tls_session_t *offer(uvsmtp_history_t *h, uvsmtp_tls_t *tls)
{
  while (h->count > 0) {
    kept_t *newest = &h->kept[h->count - 1];
    uvsmtp_tls_session_t *session = newest->session;
    int err = uvsmtp_tls_session_set(tls, session);
    if (err != 0 && err != UVSMTP_EINVAL)
      return NULL;
    newest->used = true;
    if (err != 0 || h->count > 1)
      drop(h, h->count - 1); /* if it was taken, the engine has a reference */
    if (err == 0)
      return session;
  }
  return NULL;
}

/* ---- who shakes hands first ---- */

static void stop_waiting(uvsmtp__visit_t *visit)
{
  if (uvsmtp__link_in_list(&visit->link))
    uvsmtp__list_remove(&visit->link);
}

static void stop_leading(uvsmtp__visit_t *visit)
{
  uvsmtp_history_t *h = visit->history;
  uvsmtp__link_t waiting;
  if (!visit->leads)
    return;
  visit->leads = false;
  h->leaders--;
  uvsmtp__list_move(&waiting, &h->waiting);
  while (!uvsmtp__list_empty(&waiting)) {
    uvsmtp__visit_t *next = UVSMTP__CONTAINER(waiting.next, uvsmtp__visit_t, link);
    uvsmtp__list_remove(&next->link);
    next->wake(next);
  }
}

bool uvsmtp__history_begin(uvsmtp__visit_t *visit, uvsmtp_tls_t *tls, bool patient)
{
  uvsmtp_history_t *h = visit->history;
  if (h == NULL || !visit->resumes)
    return true;
  stop_waiting(visit);
  visit->offered = offer(h, tls);
  if (visit->offered != NULL)
    return true;
  if (h->leaders > 0 && !h->barren && patient) {
    uvsmtp__list_push_back(&h->waiting, &visit->link);
    return false;
  }
  visit->leads = true;
  h->leaders++;
  return true;
}

void uvsmtp__history_shaken(uvsmtp__visit_t *visit, uvsmtp_tls_t *tls)
{
  uvsmtp_history_t *h = visit->history;
  bool resumed = uvsmtp_tls_resumed(tls);
  if (h == NULL)
    return;
  h->handshakes++;
  h->resumptions += resumed;
  if (visit->offered != NULL && !resumed)
    drop_session(h, visit->offered);
  visit->offered = NULL;
  uvsmtp__history_learn(visit, tls, false);
}

void uvsmtp__history_learn(uvsmtp__visit_t *visit, uvsmtp_tls_t *tls, bool heard)
{
  uvsmtp_history_t *h = visit->history;
  uvsmtp_tls_session_t *session;
  if (h == NULL || !visit->resumes)
    return;
  if (uvsmtp_tls_session_get(tls, &session) == 0) {
    keep(h, session);
    h->barren = false;
    stop_leading(visit);
  } else if (heard && visit->leads) {
    h->barren = true;
    stop_leading(visit);
  }
}

void uvsmtp__history_leave(uvsmtp__visit_t *visit, bool tls_failed)
{
  if (visit->history == NULL)
    return;
  if (tls_failed && visit->offered != NULL)
    drop_session(visit->history, visit->offered);
  stop_waiting(visit);
  stop_leading(visit);
}

/* ---- the rest ---- */

void uvsmtp__history_retreat(uvsmtp_history_t *h, unsigned way, const char *format, ...)
{
  static const struct {
    unsigned way;
    const char *name;
  } names[UVSMTP_WAYS] = {{UVSMTP_WAY_OVERLAP, "commands behind a content"},
                          {UVSMTP_WAY_CHUNKING, "CHUNKING"},
                          {UVSMTP_WAY_GROUPED_DATA, "DATA in one group with RCPT"},
                          {UVSMTP_WAY_PIPELINING, "PIPELINING"}};
  va_list args;
  size_t i = 0, len;
  if (h == NULL || way == 0)
    return;
  while (i < UVSMTP_WAYS - 1 && names[i].way != way)
    i++;
  len = (size_t)snprintf(h->retreat, sizeof(h->retreat), "no more %s: ", names[i].name);
  va_start(args, format);
  vsnprintf(h->retreat + len, sizeof(h->retreat) - len, format, args);
  va_end(args);
  h->retreats++;
}

uvsmtp_tls_context_t *uvsmtp__history_context(const uvsmtp_history_t *h)
{
  return h != NULL ? h->context : NULL;
}

bool uvsmtp__history_keep_context(uvsmtp_history_t *h, uvsmtp_tls_context_t *context)
{
  if (h == NULL || h->context != NULL)
    return false;
  h->context = context;
  return true;
}

int uvsmtp__history_family(const uvsmtp_history_t *h)
{
  return h != NULL ? h->family : AF_UNSPEC;
}

void uvsmtp__history_note_family(uvsmtp_history_t *h, int family)
{
  if (h != NULL)
    h->family = family;
}
