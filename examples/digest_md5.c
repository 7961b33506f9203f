/*
 * DIGEST-MD5 (RFC 2831) as a mechanism of one's own. uvsmtp does not build it in, since RFC 6331
 * has retired it for good reasons; where a server knows nothing else, this much code brings it
 * back.
 *
 *     S: realm="…",nonce="…",qop="auth",…
 *     C: username="…",realm="…",nonce="…",…,response=…    that we know the password
 *     S: rspauth=…                                        that the server knows it too
 *     C: (empty)
 *
 *     digest_md5 URL USER PASSWORD [FILE with trusted certificates]
 *
 * logs in to the server and quits.
 */
#include <stdio.h>
#include <string.h>

#include <uv.h>
#include <uvsmtp.h>

/* `data` of uvsmtp_auth_custom_new. */
typedef struct login_s {
  const char *user, *password;
} login_t;

/* What is kept between challenges. */
typedef struct digest_s {
  const uvsmtp_crypto_t *crypto;
  char realm[256], nonce[256], cnonce[33], uri[300];
  char response[33], expected[33]; /* what we prove, and what the server has to */
  bool verified;
} digest_t;

/* ---- Digests ---- */

static void hex(char *out, const uint8_t *bytes, size_t len)
{
  for (size_t i = 0; i < len; i++)
    snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* MD5 of `first` (of `first_len` bytes) and the texts behind it, up to NULL, with colons between.
 */
static int md5(const uvsmtp_crypto_t *crypto, uint8_t *out, const void *first, size_t first_len,
               const char *const *texts)
{
  uvsmtp_digest_ctx_t ctx;
  int err = crypto->digest_start(&ctx, UVSMTP_DIGEST_MD5);
  if (err != 0)
    return err;
  err = crypto->digest_update(&ctx, first, first_len);
  for (; err == 0 && *texts != NULL; texts++) {
    err = crypto->digest_update(&ctx, ":", 1);
    if (err == 0)
      err = crypto->digest_update(&ctx, *texts, strlen(*texts));
  }
  if (err == 0)
    return crypto->digest_finish(&ctx, out);
  crypto->digest_abort(&ctx);
  return err;
}

/* The proof of RFC 2831 section 2.1.2.1; `method` is "AUTHENTICATE" for ours, "" for the server's.
 */
static int prove(const digest_t *d, const login_t *login, const char *method, char *out)
{
  const char *const who[] = {d->realm, login->password, NULL};
  const char *const session[] = {d->nonce, d->cnonce, NULL};
  const char *const what[] = {d->uri, NULL};
  char a1[33], a2[33];
  uint8_t bytes[16];
  int err;
  if ((err = md5(d->crypto, bytes, login->user, strlen(login->user), who)) != 0 ||
      (err = md5(d->crypto, bytes, bytes, sizeof(bytes), session)) != 0)
    return err;
  hex(a1, bytes, sizeof(bytes));
  if ((err = md5(d->crypto, bytes, method, strlen(method), what)) != 0)
    return err;
  hex(a2, bytes, sizeof(bytes));
  const char *const all[] = {d->nonce, "00000001", d->cnonce, "auth", a2, NULL};
  err = md5(d->crypto, bytes, a1, strlen(a1), all);
  hex(out, bytes, sizeof(bytes));
  return err;
}

/* ---- The mechanism ---- */

/* Copies what stands in name="…"; false if it is not there, or too long. */
static bool find(uvsmtp_slice_t challenge, const char *name, char *out, size_t size)
{
  char text[2048], *at, *end;
  if (challenge.len >= sizeof(text))
    return false;
  memcpy(text, challenge.base, challenge.len);
  text[challenge.len] = '\0';
  at = strstr(text, name);
  end = at != NULL ? strchr(at + strlen(name), '"') : NULL;
  if (end == NULL || (size_t)(end - at) - strlen(name) >= size)
    return false;
  *end = '\0';
  strcpy(out, at + strlen(name));
  return true;
}

static int answer(uvsmtp_exchange_t *exchange, digest_t *d, uvsmtp_slice_t challenge)
{
  const uvsmtp_auth_context_t *context = uvsmtp_exchange_context(exchange);
  const login_t *login = uvsmtp_exchange_data(exchange);
  uint8_t random[16];
  char text[1500];
  int err, len;
  d->crypto = context->crypto;
  if (!find(challenge, "nonce=\"", d->nonce, sizeof(d->nonce)))
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE, "the challenge has no nonce");
  if (!find(challenge, "realm=\"", d->realm, sizeof(d->realm)))
    snprintf(d->realm, sizeof(d->realm), "%s", context->host);
  snprintf(d->uri, sizeof(d->uri), "%s/%s", context->service, context->host);
  if ((err = d->crypto->random(random, sizeof(random))) != 0)
    return err;
  hex(d->cnonce, random, sizeof(random));
  if ((err = prove(d, login, "AUTHENTICATE", d->response)) != 0 ||
      (err = prove(d, login, "", d->expected)) != 0)
    return err;
  len = snprintf(text, sizeof(text),
                 "charset=utf-8,username=\"%s\",realm=\"%s\",nonce=\"%s\",nc=00000001,"
                 "cnonce=\"%s\",digest-uri=\"%s\",response=%s,qop=auth",
                 login->user, d->realm, d->nonce, d->cnonce, d->uri, d->response);
  if (len < 0 || (size_t)len >= sizeof(text))
    return UVSMTP_ETOOLONG;
  return uvsmtp_exchange_respond(exchange, text, (size_t)len);
}

static int step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  digest_t *d = state;
  int err;
  UVSMTP_CO_BEGIN(exchange);
  err = answer(exchange, d, challenge);
  if (err != 0)
    return err;
  UVSMTP_CO_SEND();
  if (challenge.len != 40 || memcmp(challenge.base, "rspauth=", 8) != 0 ||
      memcmp(challenge.base + 8, d->expected, 32) != 0)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHSERVER, "the server does not know us");
  d->verified = true;
  UVSMTP_CO_END();
}

/* Success without rspauth is not believed. */
static int finish(uvsmtp_exchange_t *exchange, void *state, int code)
{
  const digest_t *d = state;
  (void)exchange;
  return code / 100 != 2 || d->verified ? 0 : UVSMTP_EAUTHSERVER;
}

static const uvsmtp_mechanism_t mechanism = {
    .size = sizeof(uvsmtp_mechanism_t),
    .name = "DIGEST-MD5",
    .flags = UVSMTP_AUTH_GUESSABLE, /* never without TLS */
    .state_size = sizeof(digest_t),
    .step = step,
    .finish = finish,
};

/* ---- Logging in with it ---- */

static int status = 1;

static void opened(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  status = error->err == 0 ? 0 : 1;
  puts(error->err == 0 ? "logged in" : error->text);
  uvsmtp_connection_quit(connection, NULL);
}

int main(int argc, char **argv)
{
  uvsmtp_connection_options_t options = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_tls_options_t tls = UVSMTP_TLS_OPTIONS_INIT;
  uvsmtp_tls_context_t *context = NULL;
  uvsmtp_connection_t *connection;
  uvsmtp_auth_t *auth = NULL;
  char detail[256] = "";
  int err;
  if (argc != 4 && argc != 5) {
    fputs("usage: digest_md5 URL USER PASSWORD [CERTIFICATES]\n", stderr);
    return 1;
  }
  login_t login = {argv[2], argv[3]};
  tls.ca_file = argc == 5 ? argv[4] : NULL;
  err = uvsmtp_tls_context_new(&context, &tls, detail, sizeof(detail));
  if (err == 0)
    err = uvsmtp_auth_custom_new(&auth, &mechanism, &login, NULL);
  options.url = argv[1];
  options.tls_context = context;
  options.auths = &auth;
  options.auth_count = 1;
  if (err == 0)
    err = uvsmtp_connection_open(&connection, uv_default_loop(), &options, opened, detail,
                                 sizeof(detail));
  if (err != 0)
    fprintf(stderr, "%s %s\n", uvsmtp_strerror(err), detail);
  else
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  uvsmtp_auth_free(auth);
  uvsmtp_tls_context_free(context);
  return status;
}
