#ifndef UVSMTP_AUTH_EXCHANGE_H
#define UVSMTP_AUTH_EXCHANGE_H

#include "uvsmtp/auth.h"

/* What the outcome of an exchange means for the next choice. */
typedef enum uvsmtp__verdict_e {
  UVSMTP__VERDICT_NONE = 0,      /* not finished */
  UVSMTP__VERDICT_IN,            /* logged in */
  UVSMTP__VERDICT_AGAIN,         /* the same once more */
  UVSMTP__VERDICT_MECHANISM,     /* another mechanism may do */
  UVSMTP__VERDICT_CREDENTIALS,   /* the secret was refused */
  UVSMTP__VERDICT_AUTHENTICATOR, /* another authenticator may do */
  UVSMTP__VERDICT_END            /* nothing else is to be tried */
} uvsmtp__verdict_t;

uvsmtp__verdict_t uvsmtp__exchange_verdict(const uvsmtp_exchange_t *exchange);
/* Whether it failed on this side after AUTH was sent, so that the server had to bear a "*". */
bool uvsmtp__exchange_broken_off(const uvsmtp_exchange_t *exchange);
/* The error that the exchange ended with. */
int uvsmtp__exchange_err(const uvsmtp_exchange_t *exchange);

/*
 * uvsmtp_exchange_fail with a text of others (a server, an OAuth server) behind our own words; the
 * text is bounded and its control characters are replaced.
 */
int uvsmtp__exchange_fail_text(uvsmtp_exchange_t *exchange, int err, const char *words,
                               const char *text, size_t len);

/*
 * Runs a job elsewhere, or here and now where the connection has no elsewhere; its done function is
 * called in any case, on the loop's thread.
 */
void uvsmtp__exchange_run_job(const uvsmtp_exchange_t *exchange, uvsmtp_auth_job_t *job);

/* Appends at most `size` - 1 bytes of printable text to the string in `out`. */
void uvsmtp__auth_quote(char *out, size_t size, const char *text, size_t len);

#endif
