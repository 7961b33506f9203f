/*
 * Challenges of a hostile server: the first byte chooses the mechanism, the second the verdict and
 * whether long computations are done later; then each challenge is a length and its bytes. No
 * server that does not know the password can make SCRAM believe it.
 */
#include <string.h>

#include "exchange.h"
#include "uvsmtp/tls.h"

/* Corpora name them by their number: new ones go to the end. */
static const struct {
  const char *name;
  int (*make)(uvsmtp_auth_t **, const uvsmtp_auth_options_t *);
} mechanisms[] = {
    {"SCRAM-SHA-256", uvsmtp_auth_password_new},
    {"SCRAM-SHA-1", uvsmtp_auth_password_new},
    {"SCRAM-SHA-512", uvsmtp_auth_password_new},
    {"CRAM-MD5", uvsmtp_auth_password_new},
    {"LOGIN", uvsmtp_auth_password_new},
    {"PLAIN", uvsmtp_auth_password_new},
    {"OAUTHBEARER", uvsmtp_auth_oauth2_new},
    {"XOAUTH2", uvsmtp_auth_oauth2_new},
    {"SCRAM-SHA-256-PLUS", uvsmtp_auth_password_new},
    {"EXTERNAL", uvsmtp_auth_external_new},
    {"ANONYMOUS", uvsmtp_auth_anonymous_new},
};

/* The same nonce each time, so that the corpus can hold challenges that answer it. */
static int fixed_random(void *out, size_t len)
{
  memset(out, 0, len);
  return 0;
}

static int fixed_binding(void *owner, const char *type, uint8_t *out, size_t *len)
{
  (void)owner, (void)type;
  *len = 32;
  memset(out, 0, *len);
  return 0;
}

static uvsmtp_auth_t *make_auth(size_t which)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth = NULL;

  options.user = "user";
  options.min_iterations = 1; /* quick */
  options.max_iterations = 100;
  if (mechanisms[which].make == uvsmtp_auth_oauth2_new)
    options.token = "token";
  else
    options.password = "pencil";
  FUZZ_CHECK(mechanisms[which].make(&auth, &options) == 0);
  return auth;
}

static void converse(uvsmtp_exchange_t *exchange, fuzz_input_t *in, int code,
                     uvsmtp_auth_job_t **kept)
{
  const char *name = uvsmtp_exchange_mechanism(exchange);
  int err = fuzz_challenge(exchange, NULL, kept);

  while (err == 0 && in->size > 0)
    err = fuzz_challenge(exchange, in, kept);
  err = uvsmtp_exchange_finish(exchange, 0, code, NULL, "5.7.8 so it is");
  FUZZ_CHECK(err != 0 || (code == 235 && strncmp(name, "SCRAM", 5) != 0));
  FUZZ_CHECK(uvsmtp_exchange_detail(exchange) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  size_t which = fuzz_byte(&in) % (sizeof(mechanisms) / sizeof(mechanisms[0]));
  uint8_t how = fuzz_byte(&in);
  uvsmtp_auth_context_t context = UVSMTP_AUTH_CONTEXT_INIT;
  uvsmtp_crypto_t crypto = *uvsmtp_tls_crypto();
  uvsmtp_exchange_t *exchange = NULL;
  uvsmtp_auth_job_t *kept = NULL;
  uvsmtp_auth_t *auth = make_auth(which);

  context.mechanism = context.offered = mechanisms[which].name;
  context.host = "mail.example";
  context.tls = true;
  context.channel_binding = fixed_binding;
  context.offload = how % 4 >= 2 ? fuzz_keep_job : NULL;
  context.owner = &kept;
  crypto.random = fixed_random;
  context.crypto = &crypto;
  FUZZ_CHECK(uvsmtp_exchange_new(&exchange, auth, &context) == 0);
  converse(exchange, &in, how % 2 == 0 ? 235 : 535, &kept);
  uvsmtp_exchange_free(exchange);
  uvsmtp_auth_free(auth);
  return 0;
}
