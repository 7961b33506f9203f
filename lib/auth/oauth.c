/*
 * OAUTHBEARER (RFC 7628) and XOAUTH2 (as published by Google and Microsoft).
 *
 *     C: the user and the token
 *     S: 235
 *  or S: {"status":"401",…}          why not, as JSON
 *     C: ^A (OAUTHBEARER) or nothing (XOAUTH2)
 *     S: 535
 */
#include <stdio.h>
#include <string.h>

#include "auth/authenticator.h"
#include "auth/credentials.h"
#include "auth/exchange.h"
#include "auth/saslprep.h"
#include "auth/token.h"
#include "base/mem.h"
#include "base/options.h"

typedef struct oauth_s {
  uvsmtp_mem_t mem;
  char *user, *authzid;
  uvsmtp__token_cache_t tokens;
} oauth_t;

typedef struct state_s {
  uvsmtp__token_waiter_t waiter;
  bool refused; /* by an error challenge */
} state_t;

static int respond_text(uvsmtp_exchange_t *exchange, const char *text)
{
  return uvsmtp_exchange_respond(exchange, text, strlen(text));
}

static int respond_all(uvsmtp_exchange_t *exchange, const char *const *texts, size_t count)
{
  int err = 0;
  for (size_t i = 0; i < count && err == 0; i++)
    err = respond_text(exchange, texts[i]);
  return err;
}

/* ---- The two formats ---- */

static int respond_xoauth2(uvsmtp_exchange_t *exchange, const oauth_t *oauth, const char *token)
{
  const char *const parts[] = {"user=", oauth->user, "\1auth=Bearer ", token, "\1\1"};
  return respond_all(exchange, parts, sizeof(parts) / sizeof(parts[0]));
}

static int respond_name(uvsmtp_exchange_t *exchange, const char *name)
{
  uvsmtp_slice_t piece;
  int err = 0;
  while (err == 0 && uvsmtp__saslname_next(&name, &piece))
    err = uvsmtp_exchange_respond(exchange, piece.base, piece.len);
  return err;
}

static int respond_oauthbearer(uvsmtp_exchange_t *exchange, const oauth_t *oauth, const char *token)
{
  const uvsmtp_auth_context_t *context = uvsmtp_exchange_context(exchange);
  char port[8];
  const char *const host_parts[] = {"\1host=", context->host};
  const char *const port_parts[] = {"\1port=", port};
  const char *const token_parts[] = {"\1auth=Bearer ", token, "\1\1"};
  int err;
  snprintf(port, sizeof(port), "%u", (unsigned)context->port);
  err = respond_text(exchange, "n,a=");
  if (err == 0)
    err = respond_name(exchange, oauth->authzid != NULL ? oauth->authzid : oauth->user);
  if (err == 0)
    err = respond_text(exchange, ",");
  if (err == 0 && context->host != NULL && context->host[0] != '\0')
    err = respond_all(exchange, host_parts, 2);
  if (err == 0 && context->port != 0)
    err = respond_all(exchange, port_parts, 2);
  return err == 0 ? respond_all(exchange, token_parts, 3) : err;
}

/* ---- The dialogue ---- */

static int get_token(uvsmtp_exchange_t *exchange, state_t *state)
{
  oauth_t *oauth = uvsmtp_exchange_data(exchange);
  state->waiter.exchange = exchange;
  return uvsmtp__token_get(&oauth->tokens, &state->waiter);
}

static int no_token(uvsmtp_exchange_t *exchange, int err)
{
  const oauth_t *oauth = uvsmtp_exchange_data(exchange);
  const char *why =
      uvsmtp_strerror(err == UVSMTP_EAUTHTOKEN && oauth->tokens.err != 0 ? oauth->tokens.err : err);
  if (oauth->tokens.why[0] != '\0')
    why = oauth->tokens.why;
  return uvsmtp__exchange_fail_text(exchange, err, "the access token could not be fetched: ", why,
                                    strlen(why));
}

/* The error of the OAuth server is for people to read; the reply that follows decides. */
static void note_error(uvsmtp_exchange_t *exchange, uvsmtp_slice_t challenge)
{
  uvsmtp__exchange_fail_text(exchange, 0, "the token was refused: ", challenge.base, challenge.len);
}

/* What is alike in both mechanisms. */
static int step(uvsmtp_exchange_t *exchange, state_t *state, uvsmtp_slice_t challenge,
                int (*respond)(uvsmtp_exchange_t *, const oauth_t *, const char *),
                const char *error_answer)
{
  oauth_t *oauth = uvsmtp_exchange_data(exchange);
  int err;
  UVSMTP_CO_BEGIN(exchange);
  UVSMTP_CO_AWAIT(err, get_token(exchange, state));
  if (err != 0)
    err = uvsmtp__token_fall_back(&oauth->tokens, &state->waiter, err);
  if (err != 0)
    return no_token(exchange, err);
  err = respond(exchange, oauth, state->waiter.token->text);
  if (err != 0)
    return err;
  UVSMTP_CO_SEND();
  state->refused = true;
  note_error(exchange, challenge);
  err = respond_text(exchange, error_answer);
  if (err != 0)
    return err;
  UVSMTP_CO_END();
}

static int xoauth2_step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  return step(exchange, state, challenge, respond_xoauth2, "");
}

static int oauthbearer_step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  return step(exchange, state, challenge, respond_oauthbearer, "\1");
}

static int finish(uvsmtp_exchange_t *exchange, void *opaque, int code)
{
  oauth_t *oauth = uvsmtp_exchange_data(exchange);
  const state_t *state = opaque;
  bool refused =
      state->refused || uvsmtp__exchange_verdict(exchange) == UVSMTP__VERDICT_CREDENTIALS;
  if (code / 100 != 5 || !refused || state->waiter.token == NULL)
    return 0;
  return uvsmtp__token_refused(&oauth->tokens, state->waiter.token) ? UVSMTP_AUTH_AGAIN : 0;
}

static void cancel(uvsmtp_exchange_t *exchange, void *opaque)
{
  oauth_t *oauth = uvsmtp_exchange_data(exchange);
  state_t *state = opaque;
  uvsmtp__token_leave(&oauth->tokens, &state->waiter);
}

static void cleanup(uvsmtp_exchange_t *exchange, void *opaque)
{
  state_t *state = opaque;
  (void)exchange;
  uvsmtp__token_release(state->waiter.token);
}

#define MECHANISM(identifier, text, step_function)                                                 \
  static const uvsmtp_mechanism_t identifier = {                                                   \
      .size = sizeof(uvsmtp_mechanism_t),                                                          \
      .name = text,                                                                                \
      .flags = UVSMTP_AUTH_CLIENT_FIRST | UVSMTP_AUTH_PLAINTEXT,                                   \
      .state_size = sizeof(state_t),                                                               \
      .step = step_function,                                                                       \
      .finish = finish,                                                                            \
      .cancel = cancel,                                                                            \
      .cleanup = cleanup,                                                                          \
  }

MECHANISM(oauthbearer, "OAUTHBEARER", oauthbearer_step);
MECHANISM(xoauth2, "XOAUTH2", xoauth2_step);

/* ---- Making one ---- */

static void oauth_free(void *data)
{
  oauth_t *oauth = data;
  uvsmtp_mem_t mem = oauth->mem;
  uvsmtp__token_cache_free(&oauth->tokens);
  uvsmtp__free(&mem, oauth->user);
  uvsmtp__free(&mem, oauth->authzid);
  uvsmtp__free(&mem, oauth);
}

/* The fields of the response end with ^A, so no field may contain one. */
static bool has_control_a(const char *text)
{
  return text != NULL && strchr(text, '\1') != NULL;
}

static int check(const uvsmtp_auth_options_t *options)
{
  int err = uvsmtp__credentials_check(options, UVSMTP__NEEDS_USER);
  if (err != 0)
    return err;
  if (has_control_a(options->user) || has_control_a(options->authzid))
    return UVSMTP_EINJECTION;
  if ((options->token == NULL) == (options->fetch == NULL))
    return UVSMTP_EINVAL;
  return options->token == NULL || uvsmtp__token_is_valid(options->token) ? 0 : UVSMTP_EINVAL;
}

static int oauth_new(oauth_t **out, const uvsmtp_auth_options_t *options)
{
  oauth_t *oauth = uvsmtp__calloc(options->mem, 1, sizeof(*oauth));
  int err;
  if (oauth == NULL)
    return UVSMTP_ENOMEM;
  oauth->mem = *uvsmtp__mem(options->mem);
  err = uvsmtp__token_cache_init(&oauth->tokens, options);
  oauth->user = uvsmtp__strdup(&oauth->mem, options->user);
  oauth->authzid = uvsmtp__strdup(&oauth->mem, options->authzid);
  if (err != 0 || oauth->user == NULL || (options->authzid != NULL && oauth->authzid == NULL)) {
    oauth_free(oauth);
    return UVSMTP_ENOMEM;
  }
  *out = oauth;
  return 0;
}

static int auth_new(uvsmtp_auth_t **out, const uvsmtp_auth_options_t *given,
                    const uvsmtp_mechanism_t *const *table, size_t count)
{
  uvsmtp_auth_options_t options;
  oauth_t *oauth;
  int err = uvsmtp__options_copy(&options, sizeof(options), given);
  if (err == 0)
    err = check(&options);
  if (err == 0)
    err = oauth_new(&oauth, &options);
  if (err != 0)
    return err;
  err = uvsmtp__auth_new(out, options.mem, options.backoff_ms, oauth, oauth_free);
  if (err != 0) {
    oauth_free(oauth);
    return err;
  }
  oauth->tokens.auth = *out;
  err = uvsmtp__auth_add_named(*out, table, count, options.mechanisms, 0);
  if (err != 0) {
    uvsmtp_auth_free(*out);
    *out = NULL;
  }
  return err;
}

int uvsmtp_auth_oauth2_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  static const uvsmtp_mechanism_t *const both[] = {&oauthbearer, &xoauth2};
  return auth_new(auth, options, both, 2);
}

int uvsmtp_auth_oauthbearer_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  static const uvsmtp_mechanism_t *const one[] = {&oauthbearer};
  return auth_new(auth, options, one, 1);
}

int uvsmtp_auth_xoauth2_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  static const uvsmtp_mechanism_t *const one[] = {&xoauth2};
  return auth_new(auth, options, one, 1);
}

int uvsmtp_auth_clear_cached_token(uvsmtp_auth_t *auth)
{
  int err = uvsmtp_auth_claim(auth);
  /* Only those of this file have tokens. */
  if (err == 0 && auth->free_data == oauth_free)
    uvsmtp__token_clear(&((oauth_t *)auth->data)->tokens);
  return err;
}
