/*
 * AUTH (RFC 4954). The machine encodes and carries; what is said is for an authenticator. Responses
 * are never traced, and the output buffer that held them is wiped once they have left.
 */
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "protocol/machine.h"

/* RFC 5321 section 4.5.3.1.4, and RFC 4954 section 4 for the lines behind a challenge. */
#define COMMAND_MAX 512
#define RESPONSE_MAX 12288

static bool offered(const uvsmtp_capabilities_t *capabilities, const char *mechanism)
{
  const char *at = capabilities->auth_mechanisms;
  size_t len = strlen(mechanism);
  while (*at != '\0') {
    size_t word = strcspn(at, " ");
    if (uvsmtp__ascii_equal(at, word, mechanism, len))
      return true;
    at += word + (at[word] == ' ');
  }
  return false;
}

/* RFC 4422 section 3.1: 1 to 20 letters, digits, hyphens, underscores. */
static bool valid_name(const char *mechanism)
{
  size_t len = strlen(mechanism);
  for (size_t i = 0; i < len; i++)
    if (!uvsmtp__ascii_alnum(mechanism[i]) && mechanism[i] != '-' && mechanism[i] != '_')
      return false;
  return len > 0 && len <= 20;
}

/* The response as it stands in a line: base64, or `empty` for no octets. The caller wipes it. */
static char *encode(uvsmtp_protocol_t *p, const void *response, size_t len, const char *empty)
{
  size_t encoded = uvsmtp__base64_encoded_len(len);
  char *text;
  if (len == 0)
    return uvsmtp__strdup(&p->shared->mem, empty);
  text = uvsmtp__malloc(&p->shared->mem, encoded + 1);
  if (text == NULL)
    return NULL;
  uvsmtp__base64_encode(text, response, len);
  text[encoded] = '\0';
  return text;
}

static void forget_sent_secret(uvsmtp_protocol_t *p)
{
  if (p->aside->sent_secret == NULL)
    return;
  uvsmtp__free_secret(&p->shared->mem, p->aside->sent_secret);
  p->aside->sent_secret = NULL;
}

/* Some servers repeat the line that they do not like: trace and reply have to hide it then. */
static int note_sent_secret(uvsmtp_protocol_t *p, const char *secret)
{
  if (uvsmtp__aside_wake(p) != 0)
    return UVSMTP_ENOMEM;
  forget_sent_secret(p);
  p->aside->sent_secret = uvsmtp__strdup(&p->shared->mem, secret);
  return p->aside->sent_secret == NULL ? UVSMTP_ENOMEM : 0;
}

/* The reply lies where it was read, which may be the caller's memory: a copy is changed. */
static void hide_sent_secret(uvsmtp_protocol_t *p, uvsmtp_reply_t *reply)
{
  uvsmtp__buffer_t *copy = &p->aside->challenge;
  if (p->aside->sent_secret == NULL)
    return;
  uvsmtp__buffer_clear(copy);
  if (uvsmtp__buffer_append(copy, reply->raw.base, reply->raw.len) != 0)
    reply->raw.len = 0; /* rather no words than these */
  else if (uvsmtp__blank_secret(p->aside->sent_secret, copy->base, reply->raw.len))
    reply->raw.base = copy->base;
}

/* Writes `verb` (may be empty) and a secret as one line. */
static int write_line(uvsmtp_protocol_t *p, const char *verb, const char *secret)
{
  size_t verb_len = strlen(verb), secret_len = strlen(secret);
  char shown[48];
  int err = uvsmtp__out_reserve(p, verb_len + secret_len + 2, 1);
  if (err == 0)
    err = note_sent_secret(p, secret);
  if (err != 0)
    return err;
  p->talk->out.secret = true;
  uvsmtp__out_bytes(p, verb, verb_len);
  uvsmtp__out_bytes(p, secret, secret_len);
  uvsmtp__out_bytes(p, "\r\n", 2);
  memcpy(shown, verb, verb_len);
  memcpy(shown + verb_len, "[secret]", 8);
  uvsmtp__trace_sent(p, shown, verb_len + (secret_len > 0 ? 8 : 0));
  return 0;
}

static int start(uvsmtp_protocol_t *p, const char *mechanism, char *text, void *tag)
{
  char verb[32] = "AUTH ";
  bool late = text != NULL && strlen(mechanism) + strlen(text) + 8 > COMMAND_MAX;
  char *late_response = late ? uvsmtp__strdup(&p->shared->mem, text) : NULL;
  int err = late && late_response == NULL ? UVSMTP_ENOMEM : uvsmtp__queue_reserve(p, 1);
  if (err != 0) {
    uvsmtp__free_secret(&p->shared->mem, late_response);
    return err;
  }
  strcat(verb, mechanism);
  if (text != NULL && !late)
    strcat(verb, " ");
  err = write_line(p, verb, text != NULL && !late ? text : "");
  if (err != 0) {
    uvsmtp__free_secret(&p->shared->mem, late_response);
    return err;
  }
  uvsmtp__queue_push(p, UVSMTP_COMMAND_AUTH, tag, 0, p->issued);
  uvsmtp__free_secret(&p->shared->mem, p->aside->late_response);
  p->aside->late_response = late_response;
  p->state = UVSMTP_STATE_AUTHENTICATING;
  uvsmtp__project(p);
  return 0;
}

int uvsmtp_protocol_authenticate(uvsmtp_protocol_t *p, const char *mechanism, const void *response,
                                 size_t response_len, void *tag)
{
  char *text = NULL;
  int err = uvsmtp__command_ready(p);
  if (err != 0)
    return err;
  if (p->projected != UVSMTP_STATE_READY || p->queue.count > 0 || p->authenticated)
    return UVSMTP_ESTATE;
  if (!valid_name(mechanism))
    return uvsmtp__breaks_line(mechanism, strlen(mechanism)) ? UVSMTP_EINJECTION : UVSMTP_EINVAL;
  if (!offered(p->capabilities, mechanism))
    return UVSMTP_EMECHANISM;
  if (response != NULL && (text = encode(p, response, response_len, "=")) == NULL)
    return UVSMTP_ENOMEM;
  if (text != NULL && strlen(text) + 2 > RESPONSE_MAX)
    err = UVSMTP_ETOOLONG;
  else
    err = start(p, mechanism, text, tag);
  uvsmtp__free_secret(&p->shared->mem, text);
  return err;
}

/* The AUTH whose challenge waits for an answer, or NULL. */
static expectation_t *challenged(uvsmtp_protocol_t *p)
{
  expectation_t *front = uvsmtp__queue_front(p);
  if (p->err != 0 || front == NULL || front->command != UVSMTP_COMMAND_AUTH ||
      (front->flags & EXPECT_CHALLENGED) == 0)
    return NULL;
  return front;
}

static int answer(uvsmtp_protocol_t *p, expectation_t *e, const char *text, uint8_t flags)
{
  int err = write_line(p, "", text);
  if (err == 0) {
    e->flags = flags;
    e->answerable = p->issued;
  }
  return err;
}

int uvsmtp_protocol_send_authentication_data(uvsmtp_protocol_t *p, const void *response, size_t len)
{
  expectation_t *e = challenged(p);
  char *text;
  int err;
  if (e == NULL)
    return UVSMTP_ESTATE;
  if (uvsmtp__base64_encoded_len(len) + 2 > RESPONSE_MAX)
    return UVSMTP_ETOOLONG;
  if ((text = encode(p, response, len, "")) == NULL)
    return UVSMTP_ENOMEM;
  err = answer(p, e, text, 0);
  uvsmtp__free_secret(&p->shared->mem, text);
  return err;
}

int uvsmtp_protocol_cancel_authentication(uvsmtp_protocol_t *p)
{
  expectation_t *e = challenged(p);
  int err;
  if (e == NULL)
    return UVSMTP_ESTATE;
  if ((err = uvsmtp__out_reserve(p, 3, 1)) != 0)
    return err;
  uvsmtp__out_bytes(p, "*\r\n", 3);
  uvsmtp__trace_sent(p, "*", 1);
  e->flags = EXPECT_CANCELLED;
  e->answerable = p->issued;
  return 0;
}

/* Decodes the challenge of a 334, which stands in one line; blanks around it are tolerated. */
static int decode_challenge(uvsmtp_protocol_t *p, uvsmtp_event_t *event)
{
  uvsmtp_slice_t text = {NULL, 0};
  size_t at = 0, len = 0;
  int err;
  uvsmtp_reply_next_line(&event->reply, &at, &text);
  while (text.len > 0 && text.base[0] == ' ')
    text = (uvsmtp_slice_t){text.base + 1, text.len - 1};
  while (text.len > 0 && text.base[text.len - 1] == ' ')
    text.len--;
  uvsmtp__buffer_clear(&p->aside->challenge);
  if (event->reply.lines > 1)
    return UVSMTP_EAUTHCHALLENGE;
  err = uvsmtp__buffer_reserve(&p->aside->challenge, text.len + 1);
  if (err != 0)
    return err == UVSMTP_ENOMEM ? err : UVSMTP_EAUTHCHALLENGE;
  err = uvsmtp__base64_decode(p->aside->challenge.base, &len, text.base, text.len);
  event->challenge = (uvsmtp_slice_t){p->aside->challenge.base, len};
  return err != 0 ? UVSMTP_EAUTHCHALLENGE : 0;
}

static void judge_challenge(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event)
{
  e->flags |= EXPECT_CHALLENGED;
  uvsmtp__queue_put_back(p, e);
  e = uvsmtp__queue_front(p);
  if (p->aside->late_response == NULL) {
    event->last = false;
    event->err = decode_challenge(p, event);
    return;
  }
  /* The challenge asked for the first response, which was too long to go with AUTH. */
  event->type = UVSMTP_EVENT_NONE;
  if (answer(p, e, p->aside->late_response, 0) != 0)
    uvsmtp__protocol_fail(p, UVSMTP_ENOMEM, uvsmtp_strerror(UVSMTP_ENOMEM), NULL, 0);
  uvsmtp__free_secret(&p->shared->mem, p->aside->late_response);
  p->aside->late_response = NULL;
}

void uvsmtp__judge_auth(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event)
{
  int klass = UVSMTP_REPLY_CLASS(&event->reply);
  if (klass == 3 && (e->flags & EXPECT_CANCELLED) == 0) {
    judge_challenge(p, e, event);
    return;
  }
  hide_sent_secret(p, &event->reply);
  forget_sent_secret(p);
  uvsmtp__free_secret(&p->shared->mem, p->aside->late_response);
  p->aside->late_response = NULL;
  p->authenticated = klass == 2 && (e->flags & EXPECT_CANCELLED) == 0;
  p->state = p->authenticated ? UVSMTP_STATE_AUTHENTICATED : UVSMTP_STATE_READY;
  uvsmtp__project(p);
}
