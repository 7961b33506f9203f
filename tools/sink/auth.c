/*
 * SASL on the server's side: PLAIN, LOGIN, CRAM-MD5, SCRAM, XOAUTH2 and OAUTHBEARER for one user.
 * A mechanism is a function that is given the client's decoded response, and says what comes next:
 * a challenge, success, or failure. Steps are counted from 0; a mechanism in which the server
 * speaks first is given an empty response at step 0 when the client sent no initial one.
 */
#include "sink/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RESPONSE_MAX = 12288, ITERATIONS = 4096, NONCE_LEN = 18 };

typedef enum outcome_e { MORE, SUCCESS, FAILURE, MALFORMED } outcome_t;

typedef struct step_s {
  const char *text; /* the response; a NUL stands behind it */
  size_t len;
  char challenge[1024]; /* for MORE */
  size_t challenge_len;
} step_t;

typedef struct mechanism_s {
  const char *name;
  unsigned bit;
  bool server_first;
  uvsmtp_digest_t digest;
  int keys; /* index of its SCRAM keys */
  outcome_t (*run)(sink_session_t *s, sink_exchange_t *x, step_t *step);
} mechanism_t;

struct sink_exchange_s {
  const mechanism_t *mechanism;
  unsigned step;
  char user[128];   /* LOGIN */
  char secret[256]; /* what the server has to remember: its challenge, or the auth message */
  char first[512];  /* SCRAM: client-first-message-bare */
  char nonce[128];  /* SCRAM: both nonces */
};

/* Base64 (RFC 4648 section 4). */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t encode(char *out, const void *bytes, size_t len)
{
  const unsigned char *p = bytes;
  char *start = out;

  for (; len > 0; p += 3) {
    size_t n = len < 3 ? len : 3;
    uint32_t x = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0u);
    *out++ = alphabet[x >> 18];
    *out++ = alphabet[x >> 12 & 63];
    *out++ = n > 1 ? alphabet[x >> 6 & 63] : '=';
    *out++ = n > 2 ? alphabet[x & 63] : '=';
    len -= n;
  }
  *out = '\0';
  return (size_t)(out - start);
}

/* The value of a sign; '=' and strangers are -1. */
static int sign_value(char c)
{
  const char *found = c == '\0' ? NULL : strchr(alphabet, c);

  return found == NULL ? -1 : (int)(found - alphabet);
}

/* False unless `text` is whole groups with right padding. */
static bool decode(char *out, size_t *out_len, const char *text, size_t len)
{
  size_t padding = 0, n = 0;

  if (len % 4 != 0)
    return false;
  while (padding < 2 && padding < len && text[len - padding - 1] == '=')
    padding++;
  for (size_t i = 0; i < len; i += 4) {
    uint32_t x = 0;
    for (size_t j = i; j < i + 4; j++) {
      int value = j >= len - padding ? 0 : sign_value(text[j]);
      if (value < 0)
        return false;
      x = x << 6 | (uint32_t)value;
    }
    out[n++] = (char)(x >> 16);
    out[n++] = (char)(x >> 8);
    out[n++] = (char)x;
  }
  *out_len = n - padding;
  return true;
}

/* Helpers of the mechanisms. */

static bool equal(const char *text, size_t len, const char *secret)
{
  size_t secret_len = strlen(secret);
  unsigned char difference = len != secret_len;

  for (size_t i = 0; i < len && i < secret_len; i++)
    difference |= (unsigned char)(text[i] ^ secret[i]);
  return difference == 0;
}

static outcome_t challenge(step_t *step, const char *text)
{
  step->challenge_len = (size_t)snprintf(step->challenge, sizeof step->challenge, "%s", text);
  return MORE;
}

static outcome_t check(sink_session_t *s, const char *user, size_t user_len, const char *password,
                       size_t password_len)
{
  const sink_options_t *o = &s->sink->options;
  bool good = equal(user, user_len, o->user);

  return equal(password, password_len, o->password) && good ? SUCCESS : FAILURE;
}

static bool make_nonce(sink_session_t *s, char *out)
{
  uint8_t bytes[NONCE_LEN];

  if (s->sink->crypto == NULL || s->sink->crypto->random(bytes, sizeof bytes) != 0)
    return false;
  encode(out, bytes, sizeof bytes);
  return true;
}

/* PLAIN (RFC 4616): authzid NUL user NUL password. Nobody may be somebody else here. */
static outcome_t run_plain(sink_session_t *s, sink_exchange_t *x, step_t *step)
{
  const char *first = memchr(step->text, '\0', step->len), *second, *end = step->text + step->len;
  size_t authzid_len = first != NULL ? (size_t)(first - step->text) : 0;

  if (first == NULL || (second = memchr(first + 1, '\0', (size_t)(end - first - 1))) == NULL ||
      memchr(second + 1, '\0', (size_t)(end - second - 1)) != NULL)
    return MALFORMED;
  if (authzid_len != 0 && (authzid_len != (size_t)(second - first - 1) ||
                           memcmp(step->text, first + 1, authzid_len) != 0))
    return FAILURE;
  return check(s, first + 1, (size_t)(second - first - 1), second + 1, (size_t)(end - second - 1));
}

static outcome_t run_login(sink_session_t *s, sink_exchange_t *x, step_t *step)
{
  if (x->step == 0 && step->len == 0)
    return challenge(step, "Username:");
  if (x->user[0] == '\0') {
    if (step->len == 0 || step->len >= sizeof x->user)
      return MALFORMED;
    memcpy(x->user, step->text, step->len + 1);
    return challenge(step, "Password:");
  }
  return check(s, x->user, strlen(x->user), step->text, step->len);
}

static void to_hex(char *out, const uint8_t *bytes, size_t len)
{
  static const char digits[] = "0123456789abcdef";

  for (size_t i = 0; i < len; i++) {
    *out++ = digits[bytes[i] >> 4];
    *out++ = digits[bytes[i] & 15];
  }
  *out = '\0';
}

/* CRAM-MD5 (RFC 2195): user, blank, HMAC of the challenge in hexadecimal. */
static outcome_t run_cram(sink_session_t *s, sink_exchange_t *x, step_t *step)
{
  const sink_options_t *o = &s->sink->options;
  uint8_t mac[UVSMTP_DIGEST_MAX];
  char hex[33], nonce[NONCE_LEN * 2];
  const char *space;

  if (x->step == 0) {
    if (step->len > 0 || !make_nonce(s, nonce))
      return MALFORMED;
    snprintf(x->secret, sizeof x->secret, "<%s.%lld@%.64s>", nonce, (long long)time(NULL),
             o->hostname);
    return challenge(step, x->secret);
  }
  for (space = step->text + step->len; space > step->text && *space != ' ';)
    space--;
  if (*space != ' ')
    return MALFORMED;
  if (s->sink->crypto->hmac(UVSMTP_DIGEST_MD5, o->password, strlen(o->password), x->secret,
                            strlen(x->secret), mac) != 0)
    return FAILURE;
  to_hex(hex, mac, 16);
  return equal(space + 1, step->len - (size_t)(space + 1 - step->text), hex) &&
                 equal(step->text, (size_t)(space - step->text), o->user)
             ? SUCCESS
             : FAILURE;
}

/* SCRAM (RFC 5802, 7677), without channel binding. */

static const uvsmtp_crypto_t *scram_keys(sink_session_t *s, const mechanism_t *m,
                                         sink_scram_keys_t **out)
{
  const uvsmtp_crypto_t *c = s->sink->crypto;
  sink_scram_keys_t *keys = &s->sink->scram[m->keys];
  const char *password = s->sink->options.password;
  uint8_t salted[UVSMTP_DIGEST_MAX], client[UVSMTP_DIGEST_MAX];
  uvsmtp_digest_ctx_t digest;
  size_t len = c == NULL ? 0 : c->digest_len(m->digest);

  *out = keys;
  if (len == 0 || keys->ready)
    return len == 0 ? NULL : c;
  if (c->random(keys->salt, sizeof keys->salt) != 0 ||
      c->pbkdf2(m->digest, password, strlen(password), keys->salt, sizeof keys->salt, ITERATIONS,
                salted, len) != 0 ||
      c->hmac(m->digest, salted, len, "Client Key", 10, client) != 0 ||
      c->hmac(m->digest, salted, len, "Server Key", 10, keys->server) != 0 ||
      c->digest_start(&digest, m->digest) != 0)
    return NULL;
  if (c->digest_update(&digest, client, len) != 0) {
    c->digest_abort(&digest);
    return NULL;
  }
  keys->ready = c->digest_finish(&digest, keys->stored) == 0;
  return keys->ready ? c : NULL;
}

/* "n,,n=user,r=nonce": remembers what comes behind the second comma, and answers. */
static outcome_t scram_first(sink_session_t *s, sink_exchange_t *x, step_t *step,
                             const sink_scram_keys_t *keys)
{
  const char *comma = memchr(step->text, ',', step->len);
  const char *bare = comma == NULL ? NULL : strchr(comma + 1, ',');
  const char *nonce = bare == NULL ? NULL : strstr(bare, ",r=");
  const char *user = bare == NULL ? NULL : bare + 1;
  char ours[NONCE_LEN * 2], salt[32];
  size_t user_len;

  if (nonce == NULL || (step->text[0] != 'n' && step->text[0] != 'y') ||
      strncmp(user, "n=", 2) != 0 || strlen(user) >= sizeof x->first || strlen(nonce + 3) > 80 ||
      !make_nonce(s, ours))
    return MALFORMED;
  user_len = strcspn(user, ",");
  snprintf(x->user, sizeof x->user, "%.*s", (int)user_len - 2, user + 2);
  snprintf(x->first, sizeof x->first, "%s", user);
  snprintf(x->nonce, sizeof x->nonce, "%.*s%s", (int)strcspn(nonce + 3, ","), nonce + 3, ours);
  encode(salt, keys->salt, sizeof keys->salt);
  snprintf(x->secret, sizeof x->secret, "r=%s,s=%s,i=%d", x->nonce, salt, ITERATIONS);
  return challenge(step, x->secret);
}

/* Puts back what SCRAM escapes in names: =2C and =3D. */
static void unescape(char *name)
{
  char *to = name;

  for (; *name != '\0'; name++) {
    if (strncmp(name, "=2C", 3) == 0 || strncmp(name, "=3D", 3) == 0) {
      *to++ = name[1] == '2' ? ',' : '=';
      name += 2;
    } else {
      *to++ = *name;
    }
  }
  *to = '\0';
}

/* Is the proof made with the right password? RFC 5802 section 3. */
static bool proof_holds(const uvsmtp_crypto_t *c, const mechanism_t *m,
                        const sink_scram_keys_t *keys, const char *message, const char *proof)
{
  uint8_t signature[UVSMTP_DIGEST_MAX], hash[UVSMTP_DIGEST_MAX];
  char given[UVSMTP_DIGEST_MAX + 3];
  size_t len = c->digest_len(m->digest), given_len, proof_len = strlen(proof);
  uvsmtp_digest_ctx_t digest;
  unsigned char difference = 0;

  if (proof_len > 88 || !decode(given, &given_len, proof, proof_len) || given_len != len ||
      c->hmac(m->digest, keys->stored, len, message, strlen(message), signature) != 0 ||
      c->digest_start(&digest, m->digest) != 0)
    return false;
  for (size_t i = 0; i < len; i++)
    signature[i] ^= (uint8_t)given[i];
  c->digest_update(&digest, signature, len);
  if (c->digest_finish(&digest, hash) != 0)
    return false;
  for (size_t i = 0; i < len; i++)
    difference |= (unsigned char)(hash[i] ^ keys->stored[i]);
  return difference == 0;
}

/* "c=biws,r=nonces,p=proof" */
static outcome_t scram_final(sink_session_t *s, sink_exchange_t *x, step_t *step,
                             const uvsmtp_crypto_t *c, const sink_scram_keys_t *keys)
{
  const mechanism_t *m = x->mechanism;
  const char *proof = strstr(step->text, ",p="), *nonce = strstr(step->text, ",r=");
  char message[2048], signature64[96];
  uint8_t signature[UVSMTP_DIGEST_MAX];
  size_t nonce_len = strlen(x->nonce);

  if (proof == NULL || nonce == NULL || step->len > 1024 || strncmp(step->text, "c=", 2) != 0)
    return MALFORMED;
  if (strncmp(nonce + 3, x->nonce, nonce_len) != 0 || nonce + 3 + nonce_len != proof)
    return FAILURE;
  snprintf(message, sizeof message, "%s,%s,%.*s", x->first, x->secret, (int)(proof - step->text),
           step->text);
  unescape(x->user);
  if (!proof_holds(c, m, keys, message, proof + 3) ||
      !equal(x->user, strlen(x->user), s->sink->options.user) ||
      c->hmac(m->digest, keys->server, c->digest_len(m->digest), message, strlen(message),
              signature) != 0)
    return FAILURE;
  encode(signature64, signature, c->digest_len(m->digest));
  snprintf(step->challenge, sizeof step->challenge, "v=%s", signature64);
  step->challenge_len = strlen(step->challenge);
  return MORE;
}

static outcome_t run_scram(sink_session_t *s, sink_exchange_t *x, step_t *step)
{
  sink_scram_keys_t *keys;
  const uvsmtp_crypto_t *c = scram_keys(s, x->mechanism, &keys);

  if (c == NULL)
    return FAILURE;
  if (strlen(step->text) != step->len)
    return MALFORMED;
  if (x->step == 0 && step->len == 0)
    return challenge(step, "");
  if (x->first[0] == '\0')
    return scram_first(s, x, step, keys);
  if (step->len == 0) /* the client has seen our signature */
    return strncmp(x->secret, "done", 4) == 0 ? SUCCESS : MALFORMED;
  if (scram_final(s, x, step, c, keys) != MORE)
    return FAILURE;
  snprintf(x->secret, sizeof x->secret, "done");
  return MORE;
}

/* XOAUTH2 and OAUTHBEARER (RFC 7628): "…auth=Bearer token^A^A"; errors are told as a challenge. */
static outcome_t run_bearer(sink_session_t *s, sink_exchange_t *x, step_t *step)
{
  static const char prefix[] = "auth=Bearer ";
  const char *token = strstr(step->text, prefix);
  const char *end = token == NULL ? NULL : strchr(token, '\1');

  if (x->first[0] != '\0')
    return FAILURE;
  if (x->step == 0 && step->len == 0)
    return challenge(step, "");
  if (end == NULL)
    return MALFORMED;
  token += sizeof prefix - 1;
  if (equal(token, (size_t)(end - token), s->sink->options.password))
    return SUCCESS;
  x->first[0] = '!';
  return challenge(step, "{\"status\":\"invalid_token\",\"schemes\":\"bearer\"}");
}

static const mechanism_t mechanisms[] = {
    {"PLAIN", SINK_PLAIN, false, 0, 0, run_plain},
    {"LOGIN", SINK_LOGIN, true, 0, 0, run_login},
    {"CRAM-MD5", SINK_CRAM_MD5, true, UVSMTP_DIGEST_MD5, 0, run_cram},
    {"SCRAM-SHA-256", SINK_SCRAM_SHA_256, false, UVSMTP_DIGEST_SHA256, 0, run_scram},
    {"SCRAM-SHA-1", SINK_SCRAM_SHA_1, false, UVSMTP_DIGEST_SHA1, 1, run_scram},
    {"SCRAM-SHA-512", SINK_SCRAM_SHA_512, false, UVSMTP_DIGEST_SHA512, 2, run_scram},
    {"XOAUTH2", SINK_XOAUTH2, false, 0, 0, run_bearer},
    {"OAUTHBEARER", SINK_OAUTHBEARER, false, 0, 0, run_bearer},
};

enum { MECHANISM_COUNT = sizeof mechanisms / sizeof mechanisms[0] };

static bool is_offered(const sink_t *sink, const mechanism_t *m)
{
  unsigned usual = SINK_PLAIN | SINK_LOGIN | SINK_CRAM_MD5 | SINK_SCRAM_SHA_256;
  unsigned bits = sink->options.mechanisms != 0 ? sink->options.mechanisms : usual;

  return (bits & m->bit) != 0 &&
         (m->digest == 0 || (sink->crypto != NULL && sink->crypto->digest_len(m->digest) > 0));
}

void sink__auth_offer(const sink_t *sink, sink_text_t *text)
{
  sink__text_add(text, "AUTH", 4);
  for (size_t i = 0; i < MECHANISM_COUNT; i++) {
    if (is_offered(sink, &mechanisms[i])) {
      sink__text_add(text, " ", 1);
      sink__text_add(text, mechanisms[i].name, strlen(mechanisms[i].name));
    }
  }
}

/* The exchange. */

void sink__auth_drop(sink_session_t *s)
{
  volatile char *p = (volatile char *)s->exchange;

  if (p == NULL)
    return;
  for (size_t i = 0; i < sizeof *s->exchange; i++)
    p[i] = 0;
  free(s->exchange);
  s->exchange = NULL;
  s->mode = SINK_MODE_COMMAND;
}

static void end_exchange(sink_session_t *s, sink_reply_t reply)
{
  sink_point_t point = s->mode == SINK_MODE_SASL ? SINK_AT_CHALLENGE : SINK_AT_AUTH;

  sink__auth_drop(s);
  if (reply == SINK_R_AUTHENTICATED)
    snprintf(s->user, sizeof s->user, "%s", s->sink->options.user);
  if (sink__reply(s, point, NULL, NULL, reply) == 2) {
    s->sink->counters.auth_ok++;
    if (s->user[0] == '\0') /* the script says so */
      snprintf(s->user, sizeof s->user, "%s", s->sink->options.user);
    return;
  }
  s->user[0] = '\0';
  s->sink->counters.auth_failed++;
}

static void send_challenge(sink_session_t *s, const step_t *step)
{
  char line[4 + sizeof step->challenge * 4 / 3 + 8] = "334 ";
  size_t len = 4 + encode(line + 4, step->challenge, step->challenge_len);
  sink_point_t point = s->mode == SINK_MODE_SASL ? SINK_AT_CHALLENGE : SINK_AT_AUTH;

  memcpy(line + len, "\r\n", 2);
  s->mode = SINK_MODE_SASL;
  if (sink__answer(s, point, NULL, NULL, line, len + 2) != 3) {
    s->sink->counters.auth_failed++;
    sink__auth_drop(s);
    s->mode = SINK_MODE_COMMAND;
  }
}

/* `text` has room for a NUL behind it. */
static void go_on(sink_session_t *s, char *text, size_t len)
{
  step_t step = {.text = text, .len = len};
  outcome_t outcome;

  text[len] = '\0';
  outcome = s->exchange->mechanism->run(s, s->exchange, &step);
  s->exchange->step++;
  if (outcome == MALFORMED)
    SINK_BAD(s, auth);
  if (outcome == MORE)
    send_challenge(s, &step);
  else
    end_exchange(s, outcome == SUCCESS ? SINK_R_AUTHENTICATED : SINK_R_BAD_CREDENTIALS);
}

/* A response in base64; "=" is the empty initial one. */
static void take_response(sink_session_t *s, const char *text, size_t len, bool initial)
{
  char decoded[RESPONSE_MAX + 4];
  size_t decoded_len = 0;

  if (initial && len == 1 && *text == '=')
    len = 0;
  if (len > RESPONSE_MAX || !decode(decoded, &decoded_len, text, len)) {
    SINK_BAD(s, auth);
    end_exchange(s, SINK_R_BAD_BASE64);
    return;
  }
  go_on(s, decoded, decoded_len);
}

void sink__auth_response(sink_session_t *s, const char *line, size_t len)
{
  if (len == 1 && *line == '*')
    end_exchange(s, SINK_R_CANCELLED);
  else
    take_response(s, line, len, false);
}

/* Why AUTH is not possible now, or SINK_R_OK. */
static sink_reply_t obstacle(sink_session_t *s)
{
  const sink_options_t *o = &s->sink->options;

  if ((s->sink->offer & SINK_AUTH) == 0 || !s->extended)
    return SINK_R_NOT_OFFERED;
  if (o->auth_tls_only && !s->tls_on)
    return SINK_R_AUTH_NEEDS_TLS;
  if (s->user[0] != '\0')
    return SINK_R_AUTH_TWICE;
  return s->mail ? SINK_R_AUTH_IN_MAIL : SINK_R_OK;
}

static const mechanism_t *find_mechanism(const sink_t *sink, const char *name, size_t len)
{
  for (size_t i = 0; i < MECHANISM_COUNT; i++) {
    if (sink__is_word(name, len, mechanisms[i].name) && is_offered(sink, &mechanisms[i]))
      return &mechanisms[i];
  }
  return NULL;
}

void sink__auth_command(sink_session_t *s, const char *args, size_t len)
{
  uvsmtp_slice_t slice = {args, len};
  const char *space = memchr(args, ' ', len);
  size_t name_len = space == NULL ? len : (size_t)(space - args);
  const mechanism_t *m = find_mechanism(s->sink, args, name_len);
  sink_reply_t why = obstacle(s);

  if (why != SINK_R_OK)
    SINK_BAD(s, sequence);
  else if (m == NULL)
    why = SINK_R_NO_MECHANISM;
  else if ((s->exchange = calloc(1, sizeof *s->exchange)) == NULL)
    why = SINK_R_MEMORY;
  if (why != SINK_R_OK) {
    sink__reply(s, SINK_AT_AUTH, sink__slice_matches, &slice, why);
    return;
  }
  s->exchange->mechanism = m;
  if (space != NULL) {
    take_response(s, space + 1, len - name_len - 1, true);
  } else {
    step_t step = {.text = "", .len = 0};
    if (m->server_first)
      m->run(s, s->exchange, &step);
    s->exchange->step++;
    send_challenge(s, &step);
  }
}
