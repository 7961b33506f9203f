/*
 * The mechanisms of a line or two: PLAIN (RFC 4616), LOGIN (never specified; two prompts), CRAM-MD5
 * (RFC 2195), EXTERNAL (RFC 4422 appendix A) and ANONYMOUS (RFC 4505).
 */
#include <string.h>

#include "auth/credentials.h"
#include "auth/exchange.h"
#include "base/secret.h"

static int respond_text(uvsmtp_exchange_t *exchange, const char *text)
{
  return text == NULL ? 0 : uvsmtp_exchange_respond(exchange, text, strlen(text));
}

/* A second step of a mechanism that says all it has to say in its initial response. */
static int too_many(uvsmtp_exchange_t *exchange)
{
  return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE,
                              "the server sent a challenge where none belongs");
}

static int plain_step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  const uvsmtp__credentials_t *c = uvsmtp_exchange_data(exchange);
  int err;
  (void)state;
  if (challenge.base != NULL)
    return too_many(exchange);
  if ((err = respond_text(exchange, c->authzid)) != 0 ||
      (err = uvsmtp_exchange_respond(exchange, "", 1)) != 0 ||
      (err = respond_text(exchange, c->user)) != 0 ||
      (err = uvsmtp_exchange_respond(exchange, "", 1)) != 0)
    return err;
  return respond_text(exchange, c->password);
}

const uvsmtp_mechanism_t uvsmtp__mechanism_plain = {
    .size = sizeof(uvsmtp_mechanism_t),
    .name = "PLAIN",
    .flags = UVSMTP_AUTH_CLIENT_FIRST | UVSMTP_AUTH_PLAINTEXT,
    .step = plain_step,
};

/* By order and not by wording: servers prompt with "Username:", "User Name", or nothing. */
static int login_step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  const uvsmtp__credentials_t *c = uvsmtp_exchange_data(exchange);
  int err;
  (void)state, (void)challenge;
  UVSMTP_CO_BEGIN(exchange);
  err = respond_text(exchange, c->user);
  if (err != 0)
    return err;
  UVSMTP_CO_SEND();
  err = respond_text(exchange, c->password);
  if (err != 0)
    return err;
  UVSMTP_CO_END();
}

const uvsmtp_mechanism_t uvsmtp__mechanism_login = {
    .size = sizeof(uvsmtp_mechanism_t),
    .name = "LOGIN",
    .flags = UVSMTP_AUTH_PLAINTEXT,
    .step = login_step,
};

static int respond_hex(uvsmtp_exchange_t *exchange, const uint8_t *bytes, size_t len)
{
  static const char digits[] = "0123456789abcdef";
  char hex[2 * UVSMTP_DIGEST_MAX];
  for (size_t i = 0; i < len; i++) {
    hex[2 * i] = digits[bytes[i] >> 4];
    hex[2 * i + 1] = digits[bytes[i] & 15];
  }
  return uvsmtp_exchange_respond(exchange, hex, 2 * len);
}

static int cram_md5_answer(uvsmtp_exchange_t *exchange, uvsmtp_slice_t challenge)
{
  const uvsmtp__credentials_t *c = uvsmtp_exchange_data(exchange);
  const uvsmtp_crypto_t *crypto = uvsmtp_exchange_context(exchange)->crypto;
  uint8_t digest[UVSMTP_DIGEST_MAX];
  size_t len = crypto != NULL ? crypto->digest_len(UVSMTP_DIGEST_MD5) : 0;
  int err;
  if (len == 0)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHUNSUPPORTED, "there is no MD5 here");
  if (challenge.len == 0)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE, "the challenge is empty");
  err = crypto->hmac(UVSMTP_DIGEST_MD5, c->password, strlen(c->password), challenge.base,
                     challenge.len, digest);
  if (err == 0)
    err = respond_text(exchange, c->user);
  if (err == 0)
    err = uvsmtp_exchange_respond(exchange, " ", 1);
  if (err == 0)
    err = respond_hex(exchange, digest, len);
  uvsmtp__wipe(digest, sizeof(digest));
  return err;
}

static int cram_md5_step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  int err;
  (void)state;
  UVSMTP_CO_BEGIN(exchange);
  err = cram_md5_answer(exchange, challenge);
  if (err != 0)
    return err;
  UVSMTP_CO_END();
}

const uvsmtp_mechanism_t uvsmtp__mechanism_cram_md5 = {
    .size = sizeof(uvsmtp_mechanism_t),
    .name = "CRAM-MD5",
    .flags = UVSMTP_AUTH_GUESSABLE,
    .step = cram_md5_step,
};

static int external_step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  const uvsmtp__credentials_t *c = uvsmtp_exchange_data(exchange);
  (void)state;
  return challenge.base != NULL ? too_many(exchange) : respond_text(exchange, c->authzid);
}

const uvsmtp_mechanism_t uvsmtp__mechanism_external = {
    .size = sizeof(uvsmtp_mechanism_t),
    .name = "EXTERNAL",
    .flags = UVSMTP_AUTH_CLIENT_FIRST,
    .step = external_step,
};

static int anonymous_step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  const uvsmtp__credentials_t *c = uvsmtp_exchange_data(exchange);
  (void)state;
  return challenge.base != NULL ? too_many(exchange) : respond_text(exchange, c->user);
}

const uvsmtp_mechanism_t uvsmtp__mechanism_anonymous = {
    .size = sizeof(uvsmtp_mechanism_t),
    .name = "ANONYMOUS",
    .flags = UVSMTP_AUTH_CLIENT_FIRST,
    .step = anonymous_step,
};
