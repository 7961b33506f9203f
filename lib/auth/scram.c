/*
 * SCRAM (RFC 5802; SHA-256: RFC 7677; tls-exporter: RFC 9266).
 *
 *     C: gs2-header n=user,r=NONCE                          what we are bound to, who we are
 *     S: r=NONCE+,s=SALT,i=COUNT                            how the password is to be stretched
 *     C: c=base64(gs2-header, binding),r=NONCE+,p=PROOF     that we know the password
 *     S: v=SIGNATURE                                        that the server knows it too
 *     C: (empty)
 *     S: 235
 *
 * A 235 without a right signature before it is not believed: whoever answers for the server need
 * not know the password to say 235. Whatever is wrong in the last challenge is therefore
 * UVSMTP_EAUTHSERVER, which ends all attempts, so that the password is not shown to it by PLAIN.
 */
#include "auth/scram.h"

#include <stdio.h>
#include <string.h>

#include "auth/authenticator.h"
#include "auth/credentials.h"
#include "auth/exchange.h"
#include "auth/saslprep.h"
#include "base/base64.h"
#include "base/buffer.h"
#include "base/secret.h"

/* 144 bits; the nonce is their base64. */
#define NONCE_BYTES 18
#define NONCE_LEN 24
/* Salts are 16 to 64 bytes in practice. */
#define MAX_SALT 1024
/* Room for all extensions that anybody may think of. */
#define MAX_CHALLENGE 8192
#define MAX_MESSAGE ((size_t)64 * 1024)

typedef struct scram_s {
  const uvsmtp_crypto_t *crypto;
  uvsmtp_digest_t digest;
  uvsmtp__buffer_t binding; /* gs2-header and channel binding data: what goes into c= */
  uvsmtp__buffer_t message; /* the AuthMessage as it grows */
  char nonce[NONCE_LEN + 1];
  uvsmtp__scram_first_t first; /* points into the challenge */
  uvsmtp__scram_waiter_t waiter;
  uvsmtp__scram_key_t key;
  uint8_t server_signature[UVSMTP_DIGEST_MAX];
  bool refused;  /* by "e=…" */
  bool verified; /* the server's signature was right */
} scram_t;

/* ---- Pieces ---- */

static uvsmtp_digest_t digest_of(const char *mechanism)
{
  if (strncmp(mechanism, "SCRAM-SHA-512", 13) == 0)
    return UVSMTP_DIGEST_SHA512;
  if (strncmp(mechanism, "SCRAM-SHA-256", 13) == 0)
    return UVSMTP_DIGEST_SHA256;
  return UVSMTP_DIGEST_SHA1;
}

static bool ends_with_plus(const char *name, size_t len)
{
  return len >= 5 && memcmp(name + len - 5, "-PLUS", 5) == 0;
}

static int append_name(uvsmtp__buffer_t *b, const char *name)
{
  uvsmtp_slice_t piece;
  int err = 0;
  while (err == 0 && uvsmtp__saslname_next(&name, &piece))
    err = uvsmtp__buffer_append(b, piece.base, piece.len);
  return err;
}

static int append_base64(uvsmtp__buffer_t *b, const void *bytes, size_t len)
{
  size_t encoded = uvsmtp__base64_encoded_len(len);
  int err = uvsmtp__buffer_reserve(b, encoded);
  if (err != 0)
    return err;
  uvsmtp__base64_encode(b->base + b->end, bytes, len);
  b->end += encoded;
  return 0;
}

static uvsmtp_slice_t content(const uvsmtp__buffer_t *b)
{
  return (uvsmtp_slice_t){uvsmtp__buffer_data(b), uvsmtp__buffer_len(b)};
}

static int bad_challenge(uvsmtp_exchange_t *exchange, const char *detail)
{
  return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE, detail);
}

/* ---- The first message ---- */

/* The best channel binding that TLS gives here; false if none. */
static bool get_binding(const uvsmtp_auth_context_t *context, const char **type, uint8_t *data,
                        size_t *len)
{
  static const char *const types[] = {"tls-exporter", "tls-unique", "tls-server-end-point"};
  if (!context->tls || context->channel_binding == NULL)
    return false;
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
    *type = types[i];
    *len = UVSMTP_CHANNEL_BINDING_MAX;
    if (context->channel_binding(context->owner, types[i], data, len) == 0)
      return true;
  }
  return false;
}

static bool offers_plus(const char *offered)
{
  uvsmtp_slice_t word;
  while (uvsmtp__auth_next_word(&offered, &word))
    if (ends_with_plus(word.base, word.len))
      return true;
  return false;
}

/*
 * The gs2-header, and the binding's data behind it. "y" says that we could bind, but the server
 * seems not to (RFC 5802 section 6): had somebody taken -PLUS out of the EHLO reply, the server
 * finds out by it. "n" where -PLUS is offered and something else was chosen.
 */
static int make_binding(uvsmtp_exchange_t *exchange, scram_t *s, const char *authzid,
                        size_t *header_len)
{
  const uvsmtp_auth_context_t *context = uvsmtp_exchange_context(exchange);
  bool plus = ends_with_plus(context->mechanism, strlen(context->mechanism));
  uint8_t data[UVSMTP_CHANNEL_BINDING_MAX];
  size_t len = 0;
  const char *type = NULL;
  bool can_bind = get_binding(context, &type, data, &len);
  int err;
  if (plus && !can_bind)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHUNSUPPORTED,
                                "TLS gives no channel binding here");
  if (plus)
    err = uvsmtp__buffer_printf(&s->binding, "p=%s,", type);
  else if (can_bind && context->offered != NULL && !offers_plus(context->offered))
    err = uvsmtp__buffer_append_str(&s->binding, "y,");
  else
    err = uvsmtp__buffer_append_str(&s->binding, "n,");
  if (err == 0 && authzid != NULL)
    err = uvsmtp__buffer_append_str(&s->binding, "a=");
  if (err == 0 && authzid != NULL)
    err = append_name(&s->binding, authzid);
  if (err == 0)
    err = uvsmtp__buffer_append_str(&s->binding, ",");
  *header_len = uvsmtp__buffer_len(&s->binding);
  return err != 0 || !plus ? err : uvsmtp__buffer_append(&s->binding, data, len);
}

static int make_nonce(scram_t *s)
{
  uint8_t bytes[NONCE_BYTES];
  int err = s->crypto->random(bytes, sizeof(bytes));
  uvsmtp__base64_encode(s->nonce, bytes, err == 0 ? sizeof(bytes) : 0);
  return err;
}

/* Whether everything is there that SCRAM takes. */
static int prepare(uvsmtp_exchange_t *exchange, scram_t *s, const uvsmtp__credentials_t *c)
{
  const uvsmtp_auth_context_t *context = uvsmtp_exchange_context(exchange);
  s->crypto = context->crypto;
  s->digest = digest_of(context->mechanism);
  s->waiter.exchange = exchange;
  s->waiter.key = &s->key;
  uvsmtp__buffer_init(&s->binding, context->mem, MAX_MESSAGE);
  uvsmtp__buffer_init(&s->message, context->mem, MAX_MESSAGE);
  if (s->crypto == NULL || s->crypto->digest_len(s->digest) == 0)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHUNSUPPORTED,
                                "the digest is not built into the TLS library");
  if (c->prepared_err == UVSMTP_EAUTHUNSUPPORTED)
    return uvsmtp_exchange_fail(exchange, c->prepared_err,
                                "a user name or password beyond ASCII needs SASLprep, which was "
                                "not built into this library");
  if (c->prepared_err != 0)
    return uvsmtp_exchange_fail(exchange, c->prepared_err,
                                "the user name or password has characters that SASLprep prohibits");
  return 0;
}

static int client_first(uvsmtp_exchange_t *exchange, scram_t *s)
{
  const uvsmtp__credentials_t *c = uvsmtp_exchange_data(exchange);
  size_t header_len = 0;
  int err;
  if ((err = prepare(exchange, s, c)) != 0 ||
      (err = make_binding(exchange, s, c->authzid, &header_len)) != 0 ||
      (err = make_nonce(s)) != 0 || (err = uvsmtp__buffer_append_str(&s->message, "n=")) != 0 ||
      (err = append_name(&s->message, c->prepared_user)) != 0 ||
      (err = uvsmtp__buffer_append_str(&s->message, ",r=")) != 0 ||
      (err = uvsmtp__buffer_append(&s->message, s->nonce, NONCE_LEN)) != 0)
    return err;
  err = uvsmtp_exchange_respond(exchange, uvsmtp__buffer_data(&s->binding), header_len);
  if (err != 0)
    return err;
  return uvsmtp_exchange_respond(exchange, uvsmtp__buffer_data(&s->message),
                                 uvsmtp__buffer_len(&s->message));
}

/* ---- What the server says first ---- */

/* Takes "X=value" and the comma behind it. */
static bool take_attribute(uvsmtp_slice_t *rest, char name, uvsmtp_slice_t *value)
{
  const char *comma;
  if (rest->len < 2 || rest->base[0] != name || rest->base[1] != '=')
    return false;
  value->base = rest->base + 2;
  comma = memchr(value->base, ',', rest->len - 2);
  value->len = comma != NULL ? (size_t)(comma - value->base) : rest->len - 2;
  rest->base = comma != NULL ? comma + 1 : value->base + value->len;
  rest->len -= value->len + 2 + (comma != NULL ? 1 : 0);
  return true;
}

static bool read_count(uvsmtp_slice_t digits, uint32_t *count)
{
  uint64_t n = 0;
  if (digits.len == 0 || digits.len > 10 || digits.base[0] == '0')
    return false;
  for (size_t i = 0; i < digits.len; i++) {
    if (digits.base[i] < '0' || digits.base[i] > '9')
      return false;
    n = n * 10 + (unsigned)(digits.base[i] - '0');
  }
  *count = (uint32_t)n;
  return n <= UINT32_MAX;
}

static bool is_nonce(uvsmtp_slice_t nonce)
{
  for (size_t i = 0; i < nonce.len; i++)
    if (nonce.base[i] <= 0x20 || nonce.base[i] >= 0x7f)
      return false;
  return true;
}

const char *uvsmtp__scram_read_first(uvsmtp__scram_first_t *first, uvsmtp_slice_t message,
                                     const char *our_nonce)
{
  size_t our_len = strlen(our_nonce);
  uvsmtp_slice_t count, extension;
  if (message.len > MAX_CHALLENGE)
    return "the challenge is too long";
  if (take_attribute(&message, 'm', &extension))
    return "the server demands an extension of SCRAM that is not known here";
  if (!take_attribute(&message, 'r', &first->nonce) || !is_nonce(first->nonce))
    return "the challenge has no nonce";
  if (first->nonce.len <= our_len || memcmp(first->nonce.base, our_nonce, our_len) != 0)
    return "the challenge's nonce does not continue ours";
  if (!take_attribute(&message, 's', &first->salt) || first->salt.len == 0)
    return "the challenge has no salt";
  if (!take_attribute(&message, 'i', &count) || !read_count(count, &first->iterations))
    return "the challenge has no iteration count";
  return NULL;
}

static int check_iterations(uvsmtp_exchange_t *exchange, uint32_t iterations)
{
  const uvsmtp__credentials_t *c = uvsmtp_exchange_data(exchange);
  char detail[128];
  if (iterations >= c->min_iterations && iterations <= c->max_iterations)
    return 0;
  snprintf(detail, sizeof(detail), "the server asks for %lu iterations; %lu to %lu are allowed",
           (unsigned long)iterations, (unsigned long)c->min_iterations,
           (unsigned long)c->max_iterations);
  return bad_challenge(exchange, detail);
}

static int read_first(uvsmtp_exchange_t *exchange, scram_t *s, uvsmtp_slice_t challenge)
{
  const char *wrong = uvsmtp__scram_read_first(&s->first, challenge, s->nonce);
  return wrong != NULL ? bad_challenge(exchange, wrong)
                       : check_iterations(exchange, s->first.iterations);
}

static int get_key(uvsmtp_exchange_t *exchange, scram_t *s)
{
  uvsmtp__credentials_t *c = uvsmtp_exchange_data(exchange);
  char salt[MAX_SALT];
  uvsmtp__scram_recipe_t recipe = {.crypto = s->crypto,
                                   .digest = s->digest,
                                   .password = c->prepared_password,
                                   .salt = {salt, 0},
                                   .iterations = s->first.iterations};
  if (s->first.salt.len > sizeof(salt) ||
      uvsmtp__base64_decode(salt, &recipe.salt.len, s->first.salt.base, s->first.salt.len) != 0)
    return bad_challenge(exchange, "the challenge's salt is not base64, or too long");
  return uvsmtp__scram_keys_get(&c->keys, &recipe, &s->waiter);
}

/* ---- The proof ---- */

int uvsmtp__scram_sign(const uvsmtp_crypto_t *crypto, uvsmtp_digest_t digest,
                       const uvsmtp__scram_key_t *key, uvsmtp_slice_t message, uint8_t *proof,
                       uint8_t *server_signature)
{
  size_t len = crypto->digest_len(digest);
  uint8_t stored_key[UVSMTP_DIGEST_MAX];
  uvsmtp_digest_ctx_t ctx;
  int err = crypto->digest_start(&ctx, digest);
  if (err != 0)
    return err;
  err = crypto->digest_update(&ctx, key->client_key, len);
  if (err == 0)
    err = crypto->digest_finish(&ctx, stored_key);
  else
    crypto->digest_abort(&ctx);
  if (err == 0)
    err = crypto->hmac(digest, stored_key, len, message.base, message.len, proof);
  for (size_t i = 0; err == 0 && i < len; i++)
    proof[i] ^= key->client_key[i];
  if (err == 0)
    err = crypto->hmac(digest, key->server_key, len, message.base, message.len, server_signature);
  uvsmtp__wipe(stored_key, sizeof(stored_key));
  return err;
}

/* "c=…,r=…", which the proof is about and which stands before it. */
static int append_final(uvsmtp__buffer_t *b, const scram_t *s)
{
  int err = uvsmtp__buffer_append_str(b, "c=");
  if (err == 0)
    err = append_base64(b, uvsmtp__buffer_data(&s->binding), uvsmtp__buffer_len(&s->binding));
  if (err == 0)
    err = uvsmtp__buffer_append_str(b, ",r=");
  return err == 0 ? uvsmtp__buffer_append(b, s->first.nonce.base, s->first.nonce.len) : err;
}

static int respond_final(uvsmtp_exchange_t *exchange, const scram_t *s, const uint8_t *proof,
                         size_t final_at)
{
  char encoded[UVSMTP_DIGEST_MAX * 2];
  size_t len = s->crypto->digest_len(s->digest);
  int err = uvsmtp_exchange_respond(exchange, uvsmtp__buffer_data(&s->message) + final_at,
                                    uvsmtp__buffer_len(&s->message) - final_at);
  uvsmtp__base64_encode(encoded, proof, len);
  if (err == 0)
    err = uvsmtp_exchange_respond(exchange, ",p=", 3);
  return err == 0 ? uvsmtp_exchange_respond(exchange, encoded, uvsmtp__base64_encoded_len(len))
                  : err;
}

static int client_final(uvsmtp_exchange_t *exchange, scram_t *s, uvsmtp_slice_t challenge)
{
  uint8_t proof[UVSMTP_DIGEST_MAX];
  size_t final_at;
  int err;
  if ((err = uvsmtp__buffer_append_str(&s->message, ",")) != 0 ||
      (err = uvsmtp__buffer_append(&s->message, challenge.base, challenge.len)) != 0 ||
      (err = uvsmtp__buffer_append_str(&s->message, ",")) != 0)
    return err;
  final_at = uvsmtp__buffer_len(&s->message);
  err = append_final(&s->message, s);
  if (err == 0)
    err = uvsmtp__scram_sign(s->crypto, s->digest, &s->key, content(&s->message), proof,
                             s->server_signature);
  if (err == 0)
    err = respond_final(exchange, s, proof, final_at);
  uvsmtp__wipe(&s->key, sizeof(s->key));
  uvsmtp__wipe(proof, sizeof(proof));
  return err;
}

/* ---- The server's proof ---- */

static bool signature_matches(const scram_t *s, uvsmtp_slice_t encoded)
{
  uint8_t signature[UVSMTP_DIGEST_MAX * 2];
  size_t len;
  return encoded.len <= sizeof(signature) &&
         uvsmtp__base64_decode(signature, &len, encoded.base, encoded.len) == 0 &&
         len == s->crypto->digest_len(s->digest) &&
         uvsmtp__secret_equal(signature, s->server_signature, len);
}

static int check_server(uvsmtp_exchange_t *exchange, scram_t *s, uvsmtp_slice_t challenge)
{
  uvsmtp_slice_t value;
  if (!take_attribute(&challenge, 'v', &value) || !signature_matches(s, value))
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHSERVER,
                                "the server's signature is not that of one who knows the password");
  s->verified = true;
  return 0;
}

static bool is_text(uvsmtp_slice_t slice, const char *text)
{
  return slice.len == strlen(text) && memcmp(slice.base, text, slice.len) == 0;
}

/*
 * "e=…" in the place of an answer: an empty response, upon which the server refuses. Two errors
 * say that the server at the other end of TLS is not the one that we talk to (RFC 5802 section 6):
 * that ends all attempts, or the password would be shown to whoever stands between.
 */
static int read_error(uvsmtp_exchange_t *exchange, scram_t *s, uvsmtp_slice_t challenge)
{
  uvsmtp_slice_t value;
  s->refused = take_attribute(&challenge, 'e', &value);
  if (!s->refused)
    return 0;
  if (is_text(value, "channel-bindings-dont-match"))
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHSERVER,
                                "the TLS connection that the server sees is not ours");
  if (is_text(value, "server-does-support-channel-binding"))
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHSERVER,
                                "somebody has taken the mechanisms with channel binding out of the "
                                "server's offer");
  return uvsmtp__exchange_fail_text(exchange, 0, "SCRAM error ", value.base, value.len);
}

static int step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  scram_t *s = state;
  int err;
  UVSMTP_CO_BEGIN(exchange);
  err = client_first(exchange, s);
  if (err != 0)
    return err;
  UVSMTP_CO_SEND();
  err = read_error(exchange, s, challenge);
  if (err == 0 && !s->refused)
    err = read_first(exchange, s, challenge);
  if (err != 0)
    return err;
  if (!s->refused) {
    UVSMTP_CO_AWAIT(err, get_key(exchange, s));
    if (err == 0)
      err = client_final(exchange, s, challenge);
    if (err != 0)
      return err;
    UVSMTP_CO_SEND();
    err = read_error(exchange, s, challenge);
    if (err == 0 && !s->refused)
      err = check_server(exchange, s, challenge);
    if (err != 0)
      return err;
  }
  UVSMTP_CO_END();
}

static int finish(uvsmtp_exchange_t *exchange, void *state, int code)
{
  const scram_t *s = state;
  if (code / 100 != 2 || s->verified)
    return 0;
  return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHSERVER,
                              "the server reported success without proving that it knows the "
                              "password");
}

static void cancel(uvsmtp_exchange_t *exchange, void *state)
{
  (void)exchange;
  uvsmtp__scram_keys_leave(&((scram_t *)state)->waiter);
}

static void cleanup(uvsmtp_exchange_t *exchange, void *state)
{
  scram_t *s = state;
  cancel(exchange, state);
  uvsmtp__buffer_wipe(&s->binding);
  uvsmtp__buffer_wipe(&s->message);
}

#define MECHANISM(identifier, text, more_flags)                                                    \
  const uvsmtp_mechanism_t identifier = {                                                          \
      .size = sizeof(uvsmtp_mechanism_t),                                                          \
      .name = text,                                                                                \
      .flags = UVSMTP_AUTH_CLIENT_FIRST | (more_flags),                                            \
      .state_size = sizeof(scram_t),                                                               \
      .step = step,                                                                                \
      .finish = finish,                                                                            \
      .cancel = cancel,                                                                            \
      .cleanup = cleanup,                                                                          \
  }

MECHANISM(uvsmtp__mechanism_scram_sha1, "SCRAM-SHA-1", 0);
MECHANISM(uvsmtp__mechanism_scram_sha1_plus, "SCRAM-SHA-1-PLUS", UVSMTP_AUTH_BINDING);
MECHANISM(uvsmtp__mechanism_scram_sha256, "SCRAM-SHA-256", 0);
MECHANISM(uvsmtp__mechanism_scram_sha256_plus, "SCRAM-SHA-256-PLUS", UVSMTP_AUTH_BINDING);
MECHANISM(uvsmtp__mechanism_scram_sha512, "SCRAM-SHA-512", 0);
MECHANISM(uvsmtp__mechanism_scram_sha512_plus, "SCRAM-SHA-512-PLUS", UVSMTP_AUTH_BINDING);
