/*
 * What to run next. The rules stand at uvsmtp_auth_choose in uvsmtp/auth.h; here they are in three
 * steps: judge what the last exchange came to, search for the next mechanism, or say why there is
 * none.
 */
#include <stdio.h>
#include <string.h>

#include "auth/authenticator.h"
#include "auth/exchange.h"

#define ALL_TRIED UINT16_MAX

static bool is_bit(uint16_t set, size_t i)
{
  return (set >> i & 1) != 0;
}

static void set_bit(uint16_t *set, size_t i)
{
  *set = (uint16_t)(*set | 1u << i);
}

/* ---- Judging ---- */

/* The first error of its rank is kept: that of the strongest mechanism. Refusals rank highest. */
static void note_error(uvsmtp_auth_choice_t *choice, const uvsmtp_exchange_t *last, int err)
{
  if (choice->err != 0 && (choice->err == UVSMTP_EAUTH || err != UVSMTP_EAUTH))
    return;
  choice->err = err;
  snprintf(choice->detail, sizeof(choice->detail), "%s: %s", uvsmtp_exchange_mechanism(last),
           uvsmtp_exchange_detail(last)[0] != '\0' ? uvsmtp_exchange_detail(last)
                                                   : uvsmtp_strerror(err));
}

/* The server has had its chance with these credentials. */
static void put_to_rest(uvsmtp_auth_choice_t *choice, size_t i, uint64_t now_ms)
{
  choice->tried[i] = ALL_TRIED;
  if (is_bit(choice->rested, i))
    return;
  set_bit(&choice->rested, i);
  uvsmtp__auth_refused(choice->auths[i], choice->host, choice->port, now_ms);
}

static void credentials_refused(uvsmtp_auth_choice_t *choice, size_t i, uint64_t now_ms)
{
  const uvsmtp_mechanism_t *last = choice->auths[i]->mechanisms[choice->at_mechanism];
  if ((last->flags & UVSMTP_AUTH_PLAINTEXT) != 0 || is_bit(choice->refused, i))
    put_to_rest(choice, i, now_ms);
  set_bit(&choice->refused, i);
}

/* True if an exchange was broken off on this connection and something else is left to try. */
static bool note_broken(uvsmtp_auth_choice_t *choice, uint64_t now_ms)
{
  bool any = false;
  for (size_t i = 0; i < choice->auth_count; i++) {
    if (choice->broken[i] == 0)
      continue;
    any = true;
    uvsmtp__auth_avoid(choice->auths[i], choice->host, choice->port, choice->broken[i], now_ms);
  }
  return any;
}

void uvsmtp_auth_choice_lost(uvsmtp_auth_choice_t *choice, uint64_t now_ms)
{
  if (choice->size == sizeof(*choice) && choice->auth != NULL)
    note_broken(choice, now_ms);
}

/* Whether the search may go on; else the error that ends it. */
static int judge(uvsmtp_auth_choice_t *choice, const uvsmtp_exchange_t *last, uint64_t now_ms)
{
  size_t i = choice->at_auth;
  uvsmtp__verdict_t verdict = uvsmtp__exchange_verdict(last);
  int err = uvsmtp__exchange_err(last);
  set_bit(&choice->tried[i], choice->at_mechanism);
  if (uvsmtp__exchange_broken_off(last))
    set_bit(&choice->broken[i], choice->at_mechanism);
  if (verdict == UVSMTP__VERDICT_NONE || verdict == UVSMTP__VERDICT_IN)
    return UVSMTP_ESTATE;
  if (verdict == UVSMTP__VERDICT_END) {
    choice->err = 0;
    note_error(choice, last, err);
    /* The server has not refused us, it has lost its way: another connection may do. */
    return err == UVSMTP_EAUTH && note_broken(choice, now_ms) ? UVSMTP_EAUTHTEMPORARY : err;
  }
  note_error(choice, last, err);
  if (verdict == UVSMTP__VERDICT_AGAIN && !is_bit(choice->again, i)) {
    set_bit(&choice->again, i);
    choice->tried[i] = (uint16_t)(choice->tried[i] & ~(1u << choice->at_mechanism));
  } else if (verdict == UVSMTP__VERDICT_CREDENTIALS || verdict == UVSMTP__VERDICT_AGAIN) {
    credentials_refused(choice, i, now_ms);
  } else if (verdict == UVSMTP__VERDICT_AUTHENTICATOR) {
    choice->tried[i] = ALL_TRIED;
  }
  return 0;
}

/* ---- Searching ---- */

/* Why a mechanism cannot run, for the error if none can. */
typedef struct hindrances_s {
  bool plaintext, resting;
} hindrances_t;

static bool can_run(const uvsmtp_auth_choice_t *choice, const uvsmtp_mechanism_t *mechanism,
                    hindrances_t *hindrances)
{
  if (!uvsmtp__auth_list_has(choice->offered, mechanism->name))
    return false;
  if ((mechanism->flags & UVSMTP_AUTH_BINDING) != 0 && !(choice->tls && choice->channel_binding))
    return false;
  if ((mechanism->flags & (UVSMTP_AUTH_PLAINTEXT | UVSMTP_AUTH_GUESSABLE)) != 0 && !choice->tls &&
      !choice->allow_plaintext) {
    hindrances->plaintext = true;
    return false;
  }
  return true;
}

/* Among those that are not in `without`. */
static bool search_mechanisms(uvsmtp_auth_choice_t *choice, size_t i, unsigned required,
                              uint16_t without, hindrances_t *hindrances)
{
  const uvsmtp_auth_t *auth = choice->auths[i];
  for (size_t j = 0; j < auth->mechanism_count; j++) {
    const uvsmtp_mechanism_t *mechanism = auth->mechanisms[j];
    if (is_bit(without, j) || (mechanism->flags & required) != required ||
        !can_run(choice, mechanism, hindrances))
      continue;
    choice->auth = choice->auths[i];
    choice->mechanism = mechanism->name;
    choice->at_auth = (uint16_t)i;
    choice->at_mechanism = (uint16_t)j;
    return true;
  }
  return false;
}

static bool search_auth(uvsmtp_auth_choice_t *choice, size_t i, uint64_t now_ms,
                        hindrances_t *hindrances)
{
  bool refused = is_bit(choice->refused, i);
  uint16_t tried = choice->tried[i];
  uint16_t avoided = uvsmtp__auth_avoided(choice->auths[i], choice->host, choice->port, now_ms);
  if (uvsmtp_auth_rest_ms(choice->auths[i], choice->host, choice->port, now_ms) != 0) {
    hindrances->resting = true;
    return false;
  }
  /* Refused once: show the password itself rather than prove it in another way. */
  if (refused && search_mechanisms(choice, i, UVSMTP_AUTH_PLAINTEXT, tried, hindrances))
    return true;
  /* Better something that went wrong on an earlier connection than nothing. */
  if (search_mechanisms(choice, i, 0, tried | avoided, hindrances) ||
      search_mechanisms(choice, i, 0, tried, hindrances))
    return true;
  if (refused)
    put_to_rest(choice, i, now_ms);
  return false;
}

/* ---- Explaining ---- */

static void append(uvsmtp_auth_choice_t *choice, const char *text)
{
  uvsmtp__auth_quote(choice->detail, sizeof(choice->detail), text, strlen(text));
}

static void append_ours(uvsmtp_auth_choice_t *choice)
{
  const char *name;
  for (size_t i = 0; i < choice->auth_count; i++) {
    for (size_t j = 0; (name = uvsmtp_auth_mechanism(choice->auths[i], j)) != NULL; j++) {
      append(choice, " ");
      append(choice, name);
    }
  }
}

static void explain_plaintext(uvsmtp_auth_choice_t *choice)
{
  append(choice, choice->doubt == NULL ? "the connection is not encrypted"
                                       : "who the server is, is not known");
  append(choice, ", and of what the server offers (");
  append(choice, choice->offered);
  append(choice,
         choice->doubt == NULL ? ") nothing is safe without TLS" : ") nothing is safe so: ");
  append(choice, choice->doubt == NULL ? "" : choice->doubt);
}

static int explain(uvsmtp_auth_choice_t *choice, const hindrances_t *hindrances)
{
  if (choice->err != 0)
    return choice->err;
  choice->detail[0] = '\0';
  if (hindrances->resting) {
    append(choice, "the server refused the credentials a short while ago; they are not tried again "
                   "yet");
    return UVSMTP_EAUTHBACKOFF;
  }
  if (hindrances->plaintext) {
    explain_plaintext(choice);
    return UVSMTP_EAUTHPLAINTEXT;
  }
  if (choice->offered == NULL || choice->offered[0] == '\0') {
    append(choice, "the server offers no authentication");
    return UVSMTP_EMECHANISM;
  }
  append(choice, "could use");
  append_ours(choice);
  append(choice, "; the server offers ");
  append(choice, choice->offered);
  return UVSMTP_EMECHANISM;
}

static int reset(uvsmtp_auth_choice_t *choice)
{
  if (choice->size != sizeof(*choice) || choice->auth_count == 0 ||
      choice->auth_count > UVSMTP_AUTH_CHOICE_MAX)
    return UVSMTP_EINVAL;
  memset(choice->tried, 0, sizeof(choice->tried));
  memset(choice->broken, 0, sizeof(choice->broken));
  choice->refused = choice->again = choice->rested = 0;
  choice->err = 0;
  choice->detail[0] = '\0';
  return 0;
}

int uvsmtp_auth_choose(uvsmtp_auth_choice_t *choice, uvsmtp_exchange_t *last, uint64_t now_ms)
{
  hindrances_t hindrances = {0};
  int err = last == NULL ? reset(choice) : judge(choice, last, now_ms);
  choice->auth = NULL;
  choice->mechanism = NULL;
  if (err != 0)
    return err;
  for (size_t i = 0; i < choice->auth_count; i++)
    if (search_auth(choice, i, now_ms, &hindrances))
      return 0;
  return explain(choice, &hindrances);
}
