#ifndef UVSMTP_AUTH_TOKEN_H
#define UVSMTP_AUTH_TOKEN_H

#include "base/list.h"
#include "uvsmtp/auth.h"

/*
 * Access tokens of one authenticator: a cache of one token, and at most one fetch at a time, for
 * which all exchanges wait that find no token.
 */

/* A token, shared by the cache and the exchanges that use it. */
typedef struct uvsmtp__token_s {
  unsigned refs;
  uvsmtp_mem_t mem;
  char text[];
} uvsmtp__token_t;

typedef struct uvsmtp__token_cache_s {
  uvsmtp_mem_t mem;
  uvsmtp_auth_t *auth; /* whose part this is */
  uvsmtp_token_fetch_cb fetch;
  uvsmtp_token_cancel_cb cancel_fetch;
  void *data;
  uint64_t timeout_ms, grace_ms;
  uvsmtp__token_t *token;          /* NULL: none; a fixed one has no end */
  uint64_t renew_ms;               /* from then on a fresh one is fetched */
  uint64_t end_ms;                 /* until then it is good */
  uvsmtp_token_request_t *request; /* the fetch that runs */
  uvsmtp__link_t waiters;
  unsigned failures; /* fetches that failed in a row */
  uint64_t retry_ms; /* no fetch before that */
  bool undated;      /* the last failure came when nobody knew the time */
  int err;           /* the last failure */
  char why[160];     /* and what the fetch said of it; "": nothing */
} uvsmtp__token_cache_t;

/* An exchange that wants a token; part of its state. */
typedef struct uvsmtp__token_waiter_s {
  uvsmtp__link_t link;
  uvsmtp_exchange_t *exchange;
  uvsmtp__token_t *token; /* held; what it got */
} uvsmtp__token_waiter_t;

/* `options` have been checked: they hold either a token or a fetch callback. */
int uvsmtp__token_cache_init(uvsmtp__token_cache_t *cache, const uvsmtp_auth_options_t *options);
/* Nobody waits any more; a fetch that runs is cancelled. */
void uvsmtp__token_cache_free(uvsmtp__token_cache_t *cache);

/*
 * Gets a token into waiter->token: 0, an error, or UVSMTP_PENDING; then the exchange is resumed
 * with the result. After any error uvsmtp__token_fall_back has the last word.
 */
int uvsmtp__token_get(uvsmtp__token_cache_t *cache, uvsmtp__token_waiter_t *waiter);
/* No fresh token came, for `err`: 0 with the old one if it is still good, or the error. */
int uvsmtp__token_fall_back(uvsmtp__token_cache_t *cache, uvsmtp__token_waiter_t *waiter, int err);
/* The exchange waits no more: it was cancelled, or its time, and with it the fetch's, is up. */
void uvsmtp__token_leave(uvsmtp__token_cache_t *cache, uvsmtp__token_waiter_t *waiter);

/* A server refused the token. True if another can be fetched instead. */
bool uvsmtp__token_refused(uvsmtp__token_cache_t *cache, const uvsmtp__token_t *token);
void uvsmtp__token_clear(uvsmtp__token_cache_t *cache);

void uvsmtp__token_release(uvsmtp__token_t *token);

/* Whether it is not empty and has only the characters of RFC 6750 section 2.1, and a few more. */
bool uvsmtp__token_is_valid(const char *text);

#endif
