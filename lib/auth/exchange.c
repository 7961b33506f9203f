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
 */
#include "auth/exchange.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "auth/authenticator.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/secret.h"
#include "base/text.h"

#define DEFAULT_CHALLENGES 10
#define DEFAULT_SUSPENSION_MS 60000
/* RFC 4954 section 4 has lines of 12 288 octets; Kerberos tickets can be longer. */
#define MAX_BYTES ((size_t)64 * 1024)
#define MAX_DETAIL 256
/* So much of it for the mechanism's own words, so that the server's find room. */
#define MAX_NOTE 160

typedef enum phase_e {
  START,
  STEPPING,  /* inside the mechanism's step */
  SUSPENDED, /* until resume */
  WAITING,   /* for the server */
  FAILED,    /* err says why; the server's reply to "*" may still come */
  FINISHED,
  CANCELLED
} phase_t;

struct uvsmtp_exchange_s {
  unsigned refs;
  const void *thread; /* where it runs */
  uvsmtp_mem_t mem;
  uvsmtp_auth_t *auth; /* held */
  const uvsmtp_mechanism_t *mechanism;
  uvsmtp_auth_context_t context;
  uvsmtp__buffer_t challenge, response;
  phase_t phase;
  bool resumed; /* the suspension has its result */
  int result;   /* what resume was given */
  int place;    /* of the coroutine */
  int err;
  uvsmtp__verdict_t verdict;
  bool broken_off; /* by "*", which the server has answered */
  unsigned challenges;
  uint64_t now_ms, deadline_ms;
  char detail[MAX_DETAIL];
  max_align_t state[];
};

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

static void wipe_dialogue(uvsmtp_exchange_t *exchange)
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
  wipe_dialogue(exchange);
  uvsmtp__wipe(exchange->state, exchange->mechanism->state_size);
  uvsmtp_auth_free(exchange->auth);
  mem = exchange->mem;
  uvsmtp__free(&mem, exchange);
}

/* Tells a suspended mechanism that what it asked for is not wanted any more. */
static void tell_cancelled(uvsmtp_exchange_t *exchange, phase_t from)
{
  if (from != SUSPENDED || exchange->resumed)
    return;
  exchange->resumed = true; /* a resume from within cancel comes too late */
  if (exchange->mechanism->cancel != NULL)
    exchange->mechanism->cancel(exchange, exchange->state);
}

void uvsmtp_exchange_cancel(uvsmtp_exchange_t *exchange)
{
  phase_t from = exchange->phase;
  if (from == CANCELLED || from == FINISHED)
    return;
  exchange->phase = CANCELLED;
  if (from != FAILED)
    exchange->err = UVSMTP_ECANCELED;
  tell_cancelled(exchange, from);
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
  if (exchange->phase == CANCELLED || exchange->phase == FAILED || exchange->phase == FINISHED)
    return UVSMTP_ECANCELED;
  if (exchange->resumed || (exchange->phase != SUSPENDED && exchange->phase != STEPPING))
    return UVSMTP_ESTATE;
  exchange->resumed = true;
  exchange->result = result;
  if (exchange->phase == SUSPENDED && exchange->context.wake != NULL)
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

static int fail(uvsmtp_exchange_t *exchange, int err)
{
  if (exchange->err == 0)
    exchange->err = err;
  if (exchange->phase != CANCELLED)
    exchange->phase = FAILED;
  exchange->verdict = verdict_of_error(exchange->err);
  wipe_dialogue(exchange);
  return exchange->err;
}

int uvsmtp_exchange_fail(uvsmtp_exchange_t *exchange, int err, const char *detail)
{
  bool awaited = exchange->phase == SUSPENDED && !exchange->resumed;
  if (detail != NULL) {
    exchange->detail[0] = '\0';
    uvsmtp__auth_quote(exchange->detail, sizeof(exchange->detail), detail, strlen(detail));
  }
  /* Inside step its return value says whether it failed. */
  if (err == 0 || exchange->phase == STEPPING || exchange->phase == FINISHED)
    return err;
  err = fail(exchange, err);
  if (awaited && exchange->context.wake != NULL)
    exchange->context.wake(exchange->context.owner);
  return err;
}

int uvsmtp__exchange_fail_text(uvsmtp_exchange_t *exchange, int err, const char *words,
                               const char *text, size_t len)
{
  char detail[MAX_DETAIL] = "";
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

/* ---- Stepping ---- */

static int run(uvsmtp_exchange_t *exchange, const char *challenge, uvsmtp_slice_t *response)
{
  uvsmtp_slice_t given = {challenge, uvsmtp__buffer_len(&exchange->challenge)};
  int err;
  exchange->deadline_ms = uvsmtp__later(exchange->now_ms, DEFAULT_SUSPENSION_MS);
  uvsmtp_exchange_acquire(exchange);
  do {
    uvsmtp__buffer_wipe(&exchange->response);
    exchange->phase = STEPPING;
    exchange->resumed = false;
    err = exchange->mechanism->step(exchange, exchange->state, given);
  } while (err == UVSMTP_PENDING && exchange->resumed && exchange->phase == STEPPING);
  if (exchange->phase == CANCELLED) {
    if (err == UVSMTP_PENDING)
      tell_cancelled(exchange, SUSPENDED);
    err = exchange->err;
  } else if (err == UVSMTP_PENDING) {
    exchange->phase = SUSPENDED;
  } else if (err < 0) {
    err = fail(exchange, err);
  } else {
    exchange->phase = WAITING;
    response->len = uvsmtp__buffer_len(&exchange->response);
    response->base = response->len != 0 ? uvsmtp__buffer_data(&exchange->response) : "";
    err = 0;
  }
  uvsmtp_exchange_release(exchange);
  return err;
}

static const char *given_challenge(const uvsmtp_exchange_t *exchange)
{
  if (exchange->challenges == 0)
    return NULL;
  return uvsmtp__buffer_len(&exchange->challenge) != 0 ? uvsmtp__buffer_data(&exchange->challenge)
                                                       : "";
}

static int start(uvsmtp_exchange_t *exchange, uvsmtp_slice_t *response)
{
  if ((exchange->mechanism->flags & UVSMTP_AUTH_CLIENT_FIRST) != 0)
    return run(exchange, NULL, response);
  exchange->phase = WAITING;
  return 0;
}

static int take_challenge(uvsmtp_exchange_t *exchange, const uvsmtp_slice_t *challenge,
                          uvsmtp_slice_t *response)
{
  int err;
  if (exchange->challenges == exchange->context.max_challenges)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE,
                                "the server does not stop sending challenges");
  exchange->challenges++;
  uvsmtp__buffer_wipe(&exchange->challenge);
  err = uvsmtp__buffer_append(&exchange->challenge, challenge->base, challenge->len);
  if (err == UVSMTP_ETOOLONG)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE, "the challenge is too long");
  if (err != 0)
    return fail(exchange, err);
  return run(exchange, given_challenge(exchange), response);
}

/* Nothing came in time: the mechanism is told, and goes on with that as the result. */
static int expire(uvsmtp_exchange_t *exchange, uvsmtp_slice_t *response)
{
  int err;
  uvsmtp_exchange_acquire(exchange);
  tell_cancelled(exchange, SUSPENDED);
  exchange->result = UVSMTP_ETIMEOUT;
  err = exchange->phase == SUSPENDED ? run(exchange, given_challenge(exchange), response)
                                     : exchange->err;
  uvsmtp_exchange_release(exchange);
  return err;
}

int uvsmtp_exchange_step(uvsmtp_exchange_t *exchange, uint64_t now_ms,
                         const uvsmtp_slice_t *challenge, uvsmtp_slice_t *response)
{
  *response = (uvsmtp_slice_t){NULL, 0};
  exchange->now_ms = now_ms;
  switch (exchange->phase) {
  case START:
    return challenge == NULL ? start(exchange, response) : UVSMTP_ESTATE;
  case WAITING:
    return challenge != NULL ? take_challenge(exchange, challenge, response) : UVSMTP_ESTATE;
  case SUSPENDED:
    if (challenge != NULL)
      return UVSMTP_ESTATE;
    if (exchange->resumed)
      return run(exchange, given_challenge(exchange), response);
    return now_ms < exchange->deadline_ms ? UVSMTP_PENDING : expire(exchange, response);
  case FAILED:
  case CANCELLED:
    return exchange->err;
  default:
    return UVSMTP_ESTATE;
  }
}

uint64_t uvsmtp_exchange_deadline(const uvsmtp_exchange_t *exchange)
{
  if (exchange->phase != SUSPENDED)
    return UINT64_MAX;
  return exchange->resumed ? exchange->now_ms : exchange->deadline_ms;
}

/* ---- The server's verdict ---- */

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
  phase_t from = exchange->phase;
  int err;
  exchange->now_ms = now_ms;
  exchange->broken_off = from == FAILED && code != 0;
  if (from == FAILED || from == CANCELLED)
    return fail(exchange, exchange->err);
  if (from == STEPPING || from == FINISHED)
    return UVSMTP_ESTATE;
  exchange->phase = FINISHED;
  uvsmtp_exchange_acquire(exchange);
  tell_cancelled(exchange, from);
  wipe_dialogue(exchange);
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
