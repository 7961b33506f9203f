/*
 * Authenticators made of a name and perhaps a password: what they are checked for, how they are
 * kept, and which mechanisms each constructor gives.
 */
#include "auth/credentials.h"

#include <string.h>

#include "auth/authenticator.h"
#include "auth/saslprep.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/secret.h"
#include "base/text.h"

/* RFC 7677 section 4 asks servers for at least so many. */
#define DEFAULT_MIN_ITERATIONS 4096
/* About a second of one core; ten times what servers use. */
#define DEFAULT_MAX_ITERATIONS 1000000

static int check_text(const char *text, bool needed)
{
  size_t len = text != NULL ? strlen(text) : 0;
  if (len == 0)
    return needed ? UVSMTP_EINVAL : 0;
  if (uvsmtp__breaks_line(text, len))
    return UVSMTP_EINJECTION;
  return uvsmtp__is_utf8(text, len) ? 0 : UVSMTP_ECHARSET;
}

/* RFC 4505 section 2. */
static bool is_long_trace(const char *trace)
{
  size_t characters = 0;
  for (; trace != NULL && *trace != '\0'; trace++)
    characters += ((unsigned char)*trace & 0xc0) != 0x80 ? 1 : 0;
  return characters > 255;
}

int uvsmtp__credentials_check(const uvsmtp_auth_options_t *options, unsigned needs)
{
  int err = check_text(options->user, (needs & UVSMTP__NEEDS_USER) != 0);
  if (err == 0)
    err = check_text(options->password, (needs & UVSMTP__NEEDS_PASSWORD) != 0);
  if (err == 0)
    err = check_text(options->authzid, false);
  if (err == 0 && options->authzid != NULL && (needs & UVSMTP__NO_AUTHZID) != 0)
    err = UVSMTP_EINVAL;
  if (err == 0 && (needs & UVSMTP__USER_IS_TRACE) != 0 && is_long_trace(options->user))
    err = UVSMTP_ETOOLONG;
  return err;
}

static void credentials_free(void *data)
{
  uvsmtp__credentials_t *c = data;
  uvsmtp_mem_t mem = c->mem;
  uvsmtp__scram_keys_free(&c->keys);
  uvsmtp__free(&mem, c->user);
  uvsmtp__free(&mem, c->authzid);
  uvsmtp__free(&mem, c->prepared_user);
  uvsmtp__free_secret(&mem, c->password);
  uvsmtp__free_secret(&mem, c->prepared_password);
  uvsmtp__free(&mem, c);
}

static int copy_text(uvsmtp__credentials_t *c, char **out, const char *text)
{
  *out = uvsmtp__strdup(&c->mem, text);
  return text != NULL && *out == NULL ? UVSMTP_ENOMEM : 0;
}

/* That SCRAM cannot run with a password is no reason for PLAIN not to. */
static int prepare(uvsmtp__credentials_t *c)
{
  if (c->user == NULL || c->password == NULL)
    return 0;
  c->prepared_err = uvsmtp__saslprep(&c->prepared_user, c->user, &c->mem);
  if (c->prepared_err == 0)
    c->prepared_err = uvsmtp__saslprep(&c->prepared_password, c->password, &c->mem);
  if (c->prepared_err == 0 && c->prepared_user[0] == '\0')
    c->prepared_err = UVSMTP_ECHARSET;
  return c->prepared_err == UVSMTP_ENOMEM ? UVSMTP_ENOMEM : 0;
}

static int credentials_new(uvsmtp__credentials_t **out, const uvsmtp_auth_options_t *options)
{
  uvsmtp__credentials_t *c = uvsmtp__calloc(options->mem, 1, sizeof(*c));
  int err;
  if (c == NULL)
    return UVSMTP_ENOMEM;
  c->mem = *uvsmtp__mem(options->mem);
  c->min_iterations =
      options->min_iterations != 0 ? options->min_iterations : DEFAULT_MIN_ITERATIONS;
  c->max_iterations =
      options->max_iterations != 0 ? options->max_iterations : DEFAULT_MAX_ITERATIONS;
  uvsmtp__scram_keys_init(&c->keys, &c->mem);
  if ((err = copy_text(c, &c->user, options->user)) != 0 ||
      (err = copy_text(c, &c->password, options->password)) != 0 ||
      (err = copy_text(c, &c->authzid, options->authzid)) != 0 || (err = prepare(c)) != 0) {
    credentials_free(c);
    return err;
  }
  *out = c;
  return 0;
}

int uvsmtp__credentials_auth_new(uvsmtp_auth_t **out, const uvsmtp_auth_options_t *given,
                                 unsigned needs, const uvsmtp_mechanism_t *const *table,
                                 size_t count)
{
  uvsmtp_auth_options_t options;
  uvsmtp__credentials_t *credentials;
  unsigned required;
  int err = uvsmtp__options_copy(&options, sizeof(options), given);
  if (err == 0)
    err = uvsmtp__credentials_check(&options, needs);
  if (err == 0)
    err = credentials_new(&credentials, &options);
  if (err != 0)
    return err;
  err = uvsmtp__auth_new(out, options.mem, options.backoff_ms, credentials, credentials_free);
  if (err != 0) {
    credentials_free(credentials);
    return err;
  }
  credentials->keys.auth = *out;
  required = (options.flags & UVSMTP_AUTH_REQUIRE_BINDING) != 0 ? UVSMTP_AUTH_BINDING : 0;
  err = uvsmtp__auth_add_named(*out, table, count, options.mechanisms, required);
  if (err != 0) {
    uvsmtp_auth_free(*out);
    *out = NULL;
  }
  return err;
}

/* ---- The public constructors ---- */

#define PASSWORD (UVSMTP__NEEDS_USER | UVSMTP__NEEDS_PASSWORD)

int uvsmtp_auth_password_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  static const uvsmtp_mechanism_t *const all[] = {&uvsmtp__mechanism_scram_sha512_plus,
                                                  &uvsmtp__mechanism_scram_sha256_plus,
                                                  &uvsmtp__mechanism_scram_sha1_plus,
                                                  &uvsmtp__mechanism_scram_sha512,
                                                  &uvsmtp__mechanism_scram_sha256,
                                                  &uvsmtp__mechanism_scram_sha1,
                                                  &uvsmtp__mechanism_cram_md5,
                                                  &uvsmtp__mechanism_plain,
                                                  &uvsmtp__mechanism_login};
  /* CRAM-MD5 and LOGIN would log in as another than the one asked for. */
  static const uvsmtp_mechanism_t *const with_authzid[] = {&uvsmtp__mechanism_scram_sha512_plus,
                                                           &uvsmtp__mechanism_scram_sha256_plus,
                                                           &uvsmtp__mechanism_scram_sha1_plus,
                                                           &uvsmtp__mechanism_scram_sha512,
                                                           &uvsmtp__mechanism_scram_sha256,
                                                           &uvsmtp__mechanism_scram_sha1,
                                                           &uvsmtp__mechanism_plain};
  uvsmtp_auth_options_t known;
  int err = uvsmtp__options_copy(&known, sizeof(known), options);
  if (err != 0)
    return err;
  if (known.authzid != NULL)
    return uvsmtp__credentials_auth_new(auth, &known, PASSWORD, with_authzid,
                                        sizeof(with_authzid) / sizeof(with_authzid[0]));
  return uvsmtp__credentials_auth_new(auth, &known, PASSWORD, all, sizeof(all) / sizeof(all[0]));
}

int uvsmtp_auth_scram_new(uvsmtp_auth_t **auth, uvsmtp_digest_t digest,
                          const uvsmtp_auth_options_t *options)
{
  static const uvsmtp_mechanism_t *const all[] = {
      &uvsmtp__mechanism_scram_sha512_plus, &uvsmtp__mechanism_scram_sha256_plus,
      &uvsmtp__mechanism_scram_sha1_plus,   &uvsmtp__mechanism_scram_sha512,
      &uvsmtp__mechanism_scram_sha256,      &uvsmtp__mechanism_scram_sha1};
  static const uvsmtp_mechanism_t *const sha512[] = {&uvsmtp__mechanism_scram_sha512_plus,
                                                     &uvsmtp__mechanism_scram_sha512};
  static const uvsmtp_mechanism_t *const sha256[] = {&uvsmtp__mechanism_scram_sha256_plus,
                                                     &uvsmtp__mechanism_scram_sha256};
  static const uvsmtp_mechanism_t *const sha1[] = {&uvsmtp__mechanism_scram_sha1_plus,
                                                   &uvsmtp__mechanism_scram_sha1};
  switch ((int)digest) {
  case 0:
    return uvsmtp__credentials_auth_new(auth, options, PASSWORD, all, 6);
  case UVSMTP_DIGEST_SHA512:
    return uvsmtp__credentials_auth_new(auth, options, PASSWORD, sha512, 2);
  case UVSMTP_DIGEST_SHA256:
    return uvsmtp__credentials_auth_new(auth, options, PASSWORD, sha256, 2);
  case UVSMTP_DIGEST_SHA1:
    return uvsmtp__credentials_auth_new(auth, options, PASSWORD, sha1, 2);
  default:
    return UVSMTP_EINVAL;
  }
}

static int new_with(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options, unsigned needs,
                    const uvsmtp_mechanism_t *mechanism)
{
  return uvsmtp__credentials_auth_new(auth, options, needs, &mechanism, 1);
}

int uvsmtp_auth_plain_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  return new_with(auth, options, PASSWORD, &uvsmtp__mechanism_plain);
}

int uvsmtp_auth_login_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  return new_with(auth, options, PASSWORD | UVSMTP__NO_AUTHZID, &uvsmtp__mechanism_login);
}

int uvsmtp_auth_cram_md5_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  return new_with(auth, options, PASSWORD | UVSMTP__NO_AUTHZID, &uvsmtp__mechanism_cram_md5);
}

int uvsmtp_auth_external_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  return new_with(auth, options, 0, &uvsmtp__mechanism_external);
}

int uvsmtp_auth_anonymous_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  return new_with(auth, options, UVSMTP__USER_IS_TRACE, &uvsmtp__mechanism_anonymous);
}
