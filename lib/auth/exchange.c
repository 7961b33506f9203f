/*
 * One run of a mechanism on one connection.
 *
 *     START --step(NULL)--> WAITING --step(challenge)--> WAITING … --finish--> FINISHED
 *       \                    |   ^
 *        \----- PENDING -----v   |
 *                     SUSPENDED -+  by step(NULL) after uvsmtp_exchange_resume
 *
 * From everywhere: an error leads to FAILED, cancel to CANCELLED. A mechanism of the user's runs
 * inside of step and may do there what it likes, even free the connection; so step holds the
 * exchange while it runs, and looks afterwards whether it was cancelled.
 *
 * The mechanism's state stays in memory until the last hold is gone, since a service that was asked
 * may answer long after the connection was lost; what was to be sent is wiped at once.
 *
 * This file makes exchanges, ends them, and has what a mechanism has at hand; exchange_step.c takes
 * the steps, and exchange_verdict.c the server's reply.
 */
#include "auth/exchange_state.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/secret.h"
#include "base/text.h"

#define DEFAULT_CHALLENGES 10
/* RFC 4954 section 4 has lines of 12 288 octets; Kerberos tickets can be longer. */
#define MAX_BYTES ((size_t)64 * 1024)

/* ---- Making and letting go ---- */

static const uvsmtp_mechanism_t *find(const uvsmtp_auth_t *auth, const char *name)
{
  if (name == NULL)
    return auth->mechanisms[0];
  for (size_t i = 0; i < auth->mechanism_count; i++)
    if (uvsmtp__ascii_equal(auth->mechanisms[i]->name, strlen(auth->mechanisms[i]->name), name,
                            strlen(name)))
      return auth->mechanisms[i];
  return NULL;
}

/* The choice has asked this already; it is asked again where the harm would be done. */
static bool is_safe(const uvsmtp_mechanism_t *mechanism, const uvsmtp_auth_context_t *context)
{
  return context->tls || context->allow_plaintext ||
         (mechanism->flags & (UVSMTP_AUTH_PLAINTEXT | UVSMTP_AUTH_GUESSABLE)) == 0;
}

int uvsmtp_exchange_new(uvsmtp_exchange_t **out, uvsmtp_auth_t *auth,
                        const uvsmtp_auth_context_t *context)
{
  uvsmtp_auth_context_t known;
  const uvsmtp_mechanism_t *mechanism;
  uvsmtp_exchange_t *exchange;
  int err = uvsmtp__options_copy(&known, sizeof(known), context);
  if (err != 0)
    return err;
  mechanism = find(auth, known.mechanism);
  if (mechanism == NULL)
    return UVSMTP_EMECHANISM;
  if (!is_safe(mechanism, &known))
    return UVSMTP_EAUTHPLAINTEXT;
  if (mechanism->state_size > SIZE_MAX - sizeof(*exchange))
    return UVSMTP_EINVAL;
  err = uvsmtp_auth_claim(auth);
  if (err != 0)
    return err;
  exchange = uvsmtp__calloc(known.mem, 1, sizeof(*exchange) + mechanism->state_size);
  if (exchange == NULL)
    return UVSMTP_ENOMEM;
  exchange->refs = 1;
  exchange->thread = uvsmtp__auth_thread();
  exchange->mem = *uvsmtp__mem(known.mem);
  exchange->auth = uvsmtp_auth_acquire(auth);
  exchange->mechanism = mechanism;
  exchange->context = known;
  exchange->context.mem = &exchange->mem;
  exchange->context.mechanism = mechanism->name;
  exchange->context.service = known.service != NULL ? known.service : "smtp";
  if (known.max_challenges == 0)
    exchange->context.max_challenges = DEFAULT_CHALLENGES;
  uvsmtp__buffer_init(&exchange->challenge, &exchange->mem, MAX_BYTES);
  uvsmtp__buffer_init(&exchange->response, &exchange->mem, MAX_BYTES);
  *out = exchange;
  return 0;
}

uvsmtp_exchange_t *uvsmtp_exchange_acquire(uvsmtp_exchange_t *exchange)
{
  exchange->refs++;
  return exchange;
}

void uvsmtp__exchange_wipe(uvsmtp_exchange_t *exchange)
{
  uvsmtp__buffer_wipe(&exchange->challenge);
  uvsmtp__buffer_wipe(&exchange->response);
}

void uvsmtp_exchange_release(uvsmtp_exchange_t *exchange)
{
  uvsmtp_mem_t mem;
  if (exchange == NULL || --exchange->refs != 0)
    return;
  exchange->refs = 1; /* for cleanup, which is given the exchange */
  if (exchange->mechanism->cleanup != NULL)
    exchange->mechanism->cleanup(exchange, exchange->state);
  uvsmtp__exchange_wipe(exchange);
  uvsmtp__wipe(exchange->state, exchange->mechanism->state_size);
  uvsmtp_auth_free(exchange->auth);
  mem = exchange->mem;
  uvsmtp__free(&mem, exchange);
}

void uvsmtp__exchange_tell_cancelled(uvsmtp_exchange_t *exchange, uvsmtp__exchange_phase_t from)
{
  if (from != UVSMTP__EXCHANGE_SUSPENDED || exchange->resumed)
    return;
  exchange->resumed = true; /* a resume from within cancel comes too late */
  if (exchange->mechanism->cancel != NULL)
    exchange->mechanism->cancel(exchange, exchange->state);
}

void uvsmtp_exchange_cancel(uvsmtp_exchange_t *exchange)
{
  uvsmtp__exchange_phase_t from = exchange->phase;
  if (from == UVSMTP__EXCHANGE_CANCELLED || from == UVSMTP__EXCHANGE_FINISHED)
    return;
  exchange->phase = UVSMTP__EXCHANGE_CANCELLED;
  if (from != UVSMTP__EXCHANGE_FAILED)
    exchange->err = UVSMTP_ECANCELED;
  uvsmtp__exchange_tell_cancelled(exchange, from);
}

void uvsmtp_exchange_free(uvsmtp_exchange_t *exchange)
{
  if (exchange == NULL)
    return;
  uvsmtp_exchange_cancel(exchange);
  exchange->context.wake = NULL;
  if (exchange->refs > 1)
    uvsmtp__buffer_wipe(&exchange->response);
  uvsmtp_exchange_release(exchange);
}

/* ---- What a mechanism has at hand ---- */

void *uvsmtp_exchange_data(const uvsmtp_exchange_t *exchange)
{
  return exchange->auth->data;
}

const uvsmtp_auth_context_t *uvsmtp_exchange_context(const uvsmtp_exchange_t *exchange)
{
  return &exchange->context;
}

uint64_t uvsmtp_exchange_now(const uvsmtp_exchange_t *exchange)
{
  return exchange->now_ms;
}

const char *uvsmtp_exchange_mechanism(const uvsmtp_exchange_t *exchange)
{
  return exchange->mechanism->name;
}

int uvsmtp_exchange_respond(uvsmtp_exchange_t *exchange, const void *bytes, size_t len)
{
  return uvsmtp__buffer_append(&exchange->response, bytes, len);
}

void uvsmtp_exchange_set_timeout(uvsmtp_exchange_t *exchange, uint64_t timeout_ms)
{
  exchange->deadline_ms = uvsmtp__later(exchange->now_ms, timeout_ms);
}

int *uvsmtp_exchange_place(uvsmtp_exchange_t *exchange)
{
  return &exchange->place;
}

int uvsmtp_exchange_result(const uvsmtp_exchange_t *exchange)
{
  return exchange->result;
}

int uvsmtp_exchange_resume(uvsmtp_exchange_t *exchange, int result)
{
  if (exchange->thread != uvsmtp__auth_thread())
    return UVSMTP_EAUTHTHREAD;
  if (exchange->phase == UVSMTP__EXCHANGE_CANCELLED || exchange->phase == UVSMTP__EXCHANGE_FAILED ||
      exchange->phase == UVSMTP__EXCHANGE_FINISHED)
    return UVSMTP_ECANCELED;
  if (exchange->resumed || (exchange->phase != UVSMTP__EXCHANGE_SUSPENDED &&
                            exchange->phase != UVSMTP__EXCHANGE_STEPPING))
    return UVSMTP_ESTATE;
  exchange->resumed = true;
  exchange->result = result;
  if (exchange->phase == UVSMTP__EXCHANGE_SUSPENDED && exchange->context.wake != NULL)
    exchange->context.wake(exchange->context.owner);
  return 0;
}

void uvsmtp__exchange_run_job(const uvsmtp_exchange_t *exchange, uvsmtp_auth_job_t *job)
{
  const uvsmtp_auth_context_t *context = &exchange->context;
  int err = 0;
  if (context->offload != NULL) {
    err = context->offload(context->owner, job);
    if (err == 0)
      return;
  } else {
    job->work(job);
  }
  job->done(job, err);
}

/* ---- Failing ---- */

static uvsmtp__verdict_t verdict_of_error(int err)
{
  switch (err) {
  case UVSMTP_ENOMEM:
  case UVSMTP_ECANCELED:
  case UVSMTP_EAUTHSERVER:
  case UVSMTP_EAUTHTEMPORARY:
    return UVSMTP__VERDICT_END;
  case UVSMTP_EAUTHTOKEN:
  case UVSMTP_ETIMEOUT:
    return UVSMTP__VERDICT_AUTHENTICATOR;
  default:
    return UVSMTP__VERDICT_MECHANISM;
  }
}

int uvsmtp__exchange_fail(uvsmtp_exchange_t *exchange, int err)
{
  if (exchange->err == 0)
    exchange->err = err;
  if (exchange->phase != UVSMTP__EXCHANGE_CANCELLED)
    exchange->phase = UVSMTP__EXCHANGE_FAILED;
  exchange->verdict = verdict_of_error(exchange->err);
  uvsmtp__exchange_wipe(exchange);
  return exchange->err;
}

int uvsmtp_exchange_fail(uvsmtp_exchange_t *exchange, int err, const char *detail)
{
  bool awaited = exchange->phase == UVSMTP__EXCHANGE_SUSPENDED && !exchange->resumed;
  if (detail != NULL) {
    exchange->detail[0] = '\0';
    uvsmtp__auth_quote(exchange->detail, sizeof(exchange->detail), detail, strlen(detail));
  }
  /* Inside step its return value says whether it failed. */
  if (err == 0 || exchange->phase == UVSMTP__EXCHANGE_STEPPING ||
      exchange->phase == UVSMTP__EXCHANGE_FINISHED)
    return err;
  err = uvsmtp__exchange_fail(exchange, err);
  if (awaited && exchange->context.wake != NULL)
    exchange->context.wake(exchange->context.owner);
  return err;
}

int uvsmtp__exchange_fail_text(uvsmtp_exchange_t *exchange, int err, const char *words,
                               const char *text, size_t len)
{
  char detail[UVSMTP__EXCHANGE_DETAIL] = "";
  uvsmtp__auth_quote(detail, sizeof(detail), words, strlen(words));
  uvsmtp__auth_quote(detail, sizeof(detail), text, len);
  return uvsmtp_exchange_fail(exchange, err, detail);
}

void uvsmtp__auth_quote(char *out, size_t size, const char *text, size_t len)
{
  bool utf8 = uvsmtp__is_utf8(text, len);
  size_t at = strlen(out), cut = 0;
  for (; cut < len && at + cut + 1 < size; cut++) {
    unsigned char c = (unsigned char)text[cut];
    out[at + cut] = c < 0x20 || c == 0x7f || (c > 0x7f && !utf8) ? '?' : text[cut];
  }
  /* Not in the middle of a character. */
  while (utf8 && cut > 0 && cut < len && ((unsigned char)text[cut] & 0xc0) == 0x80)
    cut--;
  out[at + cut] = '\0';
}

const char *uvsmtp_exchange_detail(const uvsmtp_exchange_t *exchange)
{
  return exchange->detail;
}
