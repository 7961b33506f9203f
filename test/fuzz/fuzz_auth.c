/*
 * Challenges of a hostile server: the first byte chooses the mechanism, then each challenge is a
 * length and its bytes, and what comes last is the verdict. No server that does not know the
 * password can make SCRAM believe it.
 */
#include <string.h>

#include "target.h"
#include "uvsmtp/auth.h"
#include "uvsmtp/tls.h"

static const char *const mechanisms[] = {"SCRAM-SHA-256", "SCRAM-SHA-1", "SCRAM-SHA-512",
                                         "CRAM-MD5",      "LOGIN",       "PLAIN",
                                         "OAUTHBEARER",   "XOAUTH2"};
#define FIRST_TOKEN_MECHANISM 6

/* The same nonce each time, so that the corpus can hold challenges that answer it. */
static int fixed_random(void *out, size_t len)
{
  memset(out, 0, len);
  return 0;
}

static uvsmtp_auth_t *make_auth(size_t which)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth = NULL;

  options.user = "user";
  options.min_iterations = 1; /* quick */
  options.max_iterations = 100;
  if (which < FIRST_TOKEN_MECHANISM) {
    options.password = "pencil";
    FUZZ_CHECK(uvsmtp_auth_password_new(&auth, &options) == 0);
  } else {
    options.token = "token";
    FUZZ_CHECK(uvsmtp_auth_oauth2_new(&auth, &options) == 0);
  }
  return auth;
}

static void converse(uvsmtp_exchange_t *exchange, fuzz_input_t *in, size_t which)
{
  uvsmtp_slice_t challenge, response;
  int err = uvsmtp_exchange_step(exchange, 0, NULL, &response);
  int code = fuzz_byte(in) % 2 == 0 ? 235 : 535;
  size_t len;

  while (err == 0 && in->size > 0) {
    char *bytes = fuzz_piece(in, fuzz_byte(in), &len);
    challenge.base = bytes;
    challenge.len = len;
    err = uvsmtp_exchange_step(exchange, 0, &challenge, &response);
    FUZZ_CHECK(err <= UVSMTP_PENDING);
    free(bytes);
  }
  err = uvsmtp_exchange_finish(exchange, 0, code, NULL, "5.7.8 so it is");
  FUZZ_CHECK(err != 0 || (code == 235 && which > 2));
  FUZZ_CHECK(uvsmtp_exchange_detail(exchange) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  size_t which = fuzz_byte(&in) % (sizeof(mechanisms) / sizeof(mechanisms[0]));
  uvsmtp_auth_context_t context = UVSMTP_AUTH_CONTEXT_INIT;
  uvsmtp_crypto_t crypto = *uvsmtp_tls_crypto();
  uvsmtp_exchange_t *exchange = NULL;
  uvsmtp_auth_t *auth = make_auth(which);

  context.mechanism = context.offered = mechanisms[which];
  context.host = "mail.example";
  context.tls = true;
  crypto.random = fixed_random;
  context.crypto = &crypto;
  FUZZ_CHECK(uvsmtp_exchange_new(&exchange, auth, &context) == 0);
  converse(exchange, &in, which);
  uvsmtp_exchange_free(exchange);
  uvsmtp_auth_free(auth);
  return 0;
}
