#include "auth/exchange_state.h"

/* The end of an exchange: what the server's reply says, and what may be tried after it. */
#include <stdio.h>
#include <string.h>

/* So much of it for the mechanism's own words, so that the server's find room. */
#define MAX_NOTE 160

/*
 * Whether an enhanced status code speaks of the mechanism and not of the credentials: RFC 5248's
 * registry, and 5.7.139, by which one provider says that passwords are switched off.
 */
static bool blames_mechanism(const char *enhanced, const char *text)
{
  static const char *const codes[] = {"5.5.4", "5.7.4", "5.7.9", "5.7.11", "5.7.139"};
  const char *from = enhanced != NULL ? enhanced : text;
  size_t len = from != NULL ? strcspn(from, " \t\r\n") : 0;
  for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
    if (strlen(codes[i]) == len && memcmp(codes[i], from, len) == 0)
      return true;
  return false;
}

static uvsmtp__verdict_t verdict_of_reply(int code, const char *enhanced, const char *text)
{
  switch (code) {
  case 432: /* the server wants to see the password once, RFC 4954 section 6 */
    return UVSMTP__VERDICT_CREDENTIALS;
  case 500: /* the command or its argument is not known */
  case 501:
  case 502:
  case 503:
  case 504:
  case 530: /* TLS is wanted first */
  case 534: /* too weak */
  case 538: /* needs encryption */
    return UVSMTP__VERDICT_MECHANISM;
  case 521: /* "bad protocol", and the server is gone: says nothing of the credentials */
    return UVSMTP__VERDICT_END;
  default:
    return blames_mechanism(enhanced, text) ? UVSMTP__VERDICT_MECHANISM
                                            : UVSMTP__VERDICT_CREDENTIALS;
  }
}

static void append_detail(uvsmtp_exchange_t *exchange, const char *text)
{
  uvsmtp__auth_quote(exchange->detail, sizeof(exchange->detail), text, strlen(text));
}

/* The note of the mechanism, if it made one, and the server's words. */
static void describe(uvsmtp_exchange_t *exchange, int code, const char *enhanced, const char *text)
{
  char note[MAX_NOTE] = "", digits[16];
  uvsmtp__auth_quote(note, sizeof(note), exchange->detail, strlen(exchange->detail));
  exchange->detail[0] = '\0';
  append_detail(exchange, note);
  append_detail(exchange, note[0] != '\0' ? "; the server said: " : "the server said: ");
  snprintf(digits, sizeof(digits), "%d", code);
  append_detail(exchange, digits);
  if (enhanced != NULL && (text == NULL || strncmp(text, enhanced, strlen(enhanced)) != 0)) {
    append_detail(exchange, " ");
    append_detail(exchange, enhanced);
  }
  if (text != NULL && text[0] != '\0') {
    append_detail(exchange, " ");
    append_detail(exchange, text);
  }
}

static int end(uvsmtp_exchange_t *exchange, uvsmtp__verdict_t verdict, int err)
{
  exchange->verdict = verdict;
  exchange->err = err;
  return err;
}

static int succeed(uvsmtp_exchange_t *exchange, int code)
{
  int err = 0;
  if (exchange->mechanism->finish != NULL)
    err = exchange->mechanism->finish(exchange, exchange->state, code);
  if (err < 0)
    return end(exchange, UVSMTP__VERDICT_END, err);
  exchange->detail[0] = '\0';
  uvsmtp__auth_accepted(exchange->auth, exchange->context.host, exchange->context.port);
  return end(exchange, UVSMTP__VERDICT_IN, 0);
}

static int refuse(uvsmtp_exchange_t *exchange, int code, const char *enhanced, const char *text)
{
  int again = 0;
  exchange->verdict = verdict_of_reply(code, enhanced, text);
  if (exchange->mechanism->finish != NULL)
    again = exchange->mechanism->finish(exchange, exchange->state, code);
  if (again == UVSMTP_AUTH_AGAIN && exchange->verdict == UVSMTP__VERDICT_CREDENTIALS)
    exchange->verdict = UVSMTP__VERDICT_AGAIN;
  return end(exchange, exchange->verdict, UVSMTP_EAUTH);
}

int uvsmtp_exchange_finish(uvsmtp_exchange_t *exchange, uint64_t now_ms, int code,
                           const char *enhanced, const char *text)
{
  uvsmtp__exchange_phase_t from = exchange->phase;
  int err;
  exchange->now_ms = now_ms;
  exchange->broken_off = from == UVSMTP__EXCHANGE_FAILED && code != 0;
  if (from == UVSMTP__EXCHANGE_FAILED || from == UVSMTP__EXCHANGE_CANCELLED)
    return uvsmtp__exchange_fail(exchange, exchange->err);
  if (from == UVSMTP__EXCHANGE_STEPPING || from == UVSMTP__EXCHANGE_FINISHED)
    return UVSMTP_ESTATE;
  exchange->phase = UVSMTP__EXCHANGE_FINISHED;
  uvsmtp_exchange_acquire(exchange);
  uvsmtp__exchange_tell_cancelled(exchange, from);
  uvsmtp__exchange_wipe(exchange);
  if (code / 100 != 2)
    describe(exchange, code, enhanced, text);
  if (code / 100 == 2)
    err = succeed(exchange, code);
  else if (code / 100 == 5 || code == 432)
    err = refuse(exchange, code, enhanced, text);
  else if (code / 100 == 4)
    err = end(exchange, UVSMTP__VERDICT_END, UVSMTP_EAUTHTEMPORARY);
  else
    err = end(exchange, UVSMTP__VERDICT_MECHANISM, UVSMTP_EAUTHCHALLENGE);
  uvsmtp_exchange_release(exchange);
  return err;
}

uvsmtp__verdict_t uvsmtp__exchange_verdict(const uvsmtp_exchange_t *exchange)
{
  return exchange->verdict;
}

bool uvsmtp__exchange_broken_off(const uvsmtp_exchange_t *exchange)
{
  return exchange->broken_off;
}

int uvsmtp__exchange_err(const uvsmtp_exchange_t *exchange)
{
  return exchange->err;
}
