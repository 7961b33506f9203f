#include "connection/connector_state.h"

/*
 * Resolving: a name is looked up, and its addresses become attempts, IPv6 and IPv4 in turns (RFC
 * 8305 section 4): the family that answered last time first, else that of the address that the
 * resolver put first, since it knows which families this machine can reach (RFC 6724).
 *
 * A lookup cannot be stopped once a thread of the pool works on it. On cancel the callback waits
 * for it; a deadline must not, so there the lookup is left to end alone. It is therefore allocated
 * with malloc, since the caller's allocator may be gone by then.
 */
#include "base/mem.h"
#include "connection/history.h"

/* All are tried; more than this would take longer than the default timeout allows. */
#define MAX_ATTEMPTS 120

struct uvsmtp__lookup_s {
  uv_getaddrinfo_t req;
  uvsmtp__connector_t *c; /* NULL: nobody waits for it any more */
  void (*freeaddrinfo)(struct addrinfo *list);
};

/* The first of `list` of that family, or NULL. */
static const struct addrinfo *first_of(const struct addrinfo *list, int family)
{
  while (list != NULL && list->ai_family != family)
    list = list->ai_next;
  return list;
}

static size_t length(const struct addrinfo *list)
{
  size_t n = 0;
  for (; list != NULL; list = list->ai_next)
    n++;
  return n;
}

static bool six_comes_first(const uvsmtp__connector_t *c, const struct addrinfo *list)
{
  int family = uvsmtp__history_family(c->history);
  return (family != AF_UNSPEC ? family : list->ai_family) != AF_INET;
}

/* Takes over a lookup's addresses, the families in turns. */
static int add_list(uvsmtp__connector_t *c, const struct addrinfo *list)
{
  const struct addrinfo *six =
      uvsmtp__connector_usable(c, AF_INET6) ? first_of(list, AF_INET6) : NULL;
  const struct addrinfo *four =
      uvsmtp__connector_usable(c, AF_INET) ? first_of(list, AF_INET) : NULL;
  size_t most = length(list);
  bool six_next = list != NULL && six_comes_first(c, list);
  if (most > MAX_ATTEMPTS)
    most = MAX_ATTEMPTS;
  if (most != 0 && uvsmtp__connector_make_attempts(c, most) != 0)
    return UVSMTP_ENOMEM;
  while (c->count < most && (six != NULL || four != NULL)) {
    bool take_six = six != NULL && (six_next || four == NULL);
    const struct addrinfo **from = take_six ? &six : &four;
    uvsmtp__connector_add_address(c, (*from)->ai_addr);
    *from = first_of((*from)->ai_next, (*from)->ai_family);
    six_next = !take_six;
  }
  return 0;
}

void uvsmtp__connector_fail_resolving(uvsmtp__connector_t *c, int status)
{
  uvsmtp__connector_say_unresolved(c, status);
  uvsmtp__connector_finish(c, status == UV_ENOMEM || status == UV_EAI_MEMORY ? UVSMTP_ENOMEM
                                                                             : UVSMTP_ERESOLVE);
}

static void use_addresses(uvsmtp__connector_t *c, int status, const struct addrinfo *list)
{
  if (status == 0 && add_list(c, list) != 0)
    uvsmtp__connector_fail(c, UVSMTP_ENOMEM);
  else if (c->count == 0)
    uvsmtp__connector_fail_resolving(c, status);
  else
    uvsmtp__connector_try_next(c);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
  uvsmtp__lookup_t *lookup = req->data;
  uvsmtp__connector_t *c = lookup->c;
  if (c != NULL) {
    c->lookup = NULL;
    if (!c->finished)
      use_addresses(c, status, list);
  }
  lookup->freeaddrinfo(list);
  uvsmtp__free(NULL, lookup);
  if (c != NULL)
    uvsmtp__connector_maybe_deliver(c);
}

void uvsmtp__connector_resolve(uvsmtp__connector_t *c)
{
  struct addrinfo hints = {.ai_family = c->family, .ai_socktype = SOCK_STREAM};
  uvsmtp__lookup_t *lookup = uvsmtp__calloc(NULL, 1, sizeof(*lookup));
  int err = UV_ENOMEM;
  if (lookup != NULL) {
    *lookup = (uvsmtp__lookup_t){.c = c, .freeaddrinfo = c->resolver.freeaddrinfo};
    lookup->req.data = lookup;
    err = c->resolver.getaddrinfo(c->loop, &lookup->req, on_resolved, c->host, NULL, &hints);
  }
  if (err == 0) {
    c->lookup = lookup;
  } else {
    uvsmtp__free(NULL, lookup);
    uvsmtp__connector_fail_resolving(c, err);
  }
}

void uvsmtp__connector_cancel_lookup(uvsmtp__connector_t *c)
{
  c->resolver.cancel((uv_req_t *)&c->lookup->req);
}

void uvsmtp__connector_abandon_lookup(uvsmtp__connector_t *c)
{
  c->lookup->c = NULL;
  uvsmtp__connector_cancel_lookup(c);
  c->lookup = NULL;
}
