/*
 * GSSAPI (RFC 4752): Kerberos, through MIT's library.
 *
 *     C: token, S: token, …            until the context stands, both sides proven
 *     C: (empty, if nothing is left to say)
 *     S: wrap(layers offered, size)
 *     C: wrap(no layer, 0, authzid)    TLS is our security layer
 *
 * Making a context may ask a key distribution centre over the network, so it runs as a job. While
 * the job runs nobody else touches the context; the job holds the exchange.
 */
#include "auth/credentials.h"

#if UVSMTP__HAVE_GSSAPI

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <string.h>

#include "auth/exchange.h"
#include "base/mem.h"
#include "base/secret.h"

#define NO_SECURITY_LAYER 1
#define FLAGS (GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG)

typedef struct gssapi_s {
  uvsmtp_auth_job_t job; /* first: work and done are given only this */
  uvsmtp_exchange_t *exchange;
  const char *user;    /* of the authenticator */
  char *service;       /* "smtp@host" */
  gss_buffer_desc in;  /* the server's token, copied for the job */
  gss_buffer_desc out; /* ours */
  gss_cred_id_t credential;
  gss_name_t target;
  gss_ctx_id_t context;
  bool began;    /* a token of ours has been sent */
  bool complete; /* both sides have proven themselves */
  OM_uint32 major;
  char why[200]; /* after an error; GSSAPI knows it on the thread of the call only */
} gssapi_t;

/* ---- On another thread ---- */

static void explain_code(gssapi_t *g, OM_uint32 code, int type)
{
  OM_uint32 ignored, more = 0;
  gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
  if (gss_display_status(&ignored, code, type, GSS_C_NO_OID, &more, &text) != GSS_S_COMPLETE)
    return;
  uvsmtp__auth_quote(g->why, sizeof(g->why), text.value, text.length);
  gss_release_buffer(&ignored, &text);
}

/* Kerberos knows more than GSS_S_FAILURE; and where it has looked for tickets. */
static void explain(gssapi_t *g, OM_uint32 major, OM_uint32 minor)
{
  OM_uint32 error = GSS_ROUTINE_ERROR(major);
  if (minor != 0 && (error == GSS_S_FAILURE || error == GSS_S_NO_CRED))
    explain_code(g, minor, GSS_C_MECH_CODE);
  else
    explain_code(g, major, GSS_C_GSS_CODE);
}

static OM_uint32 import_name(gssapi_t *g, const char *text, gss_OID type, gss_name_t *name)
{
  gss_buffer_desc given = {.length = strlen(text), .value = (void *)(uintptr_t)text};
  OM_uint32 minor, major = gss_import_name(&minor, &given, type, name);
  if (GSS_ERROR(major))
    explain(g, major, minor);
  return major;
}

/* The principal that the caller named, of the process's credentials cache. */
static OM_uint32 get_credential(gssapi_t *g)
{
  gss_name_t name = GSS_C_NO_NAME;
  OM_uint32 major = import_name(g, g->user, GSS_C_NT_USER_NAME, &name), minor;
  if (GSS_ERROR(major))
    return major;
  major = gss_acquire_cred(&minor, name, GSS_C_INDEFINITE, GSS_C_NO_OID_SET, GSS_C_INITIATE,
                           &g->credential, NULL, NULL);
  if (GSS_ERROR(major))
    explain(g, major, minor);
  gss_release_name(&minor, &name);
  return major;
}

static void work(uvsmtp_auth_job_t *job)
{
  gssapi_t *g = (gssapi_t *)job;
  OM_uint32 minor;
  g->major = GSS_S_COMPLETE;
  if (g->user != NULL && g->credential == GSS_C_NO_CREDENTIAL)
    g->major = get_credential(g);
  if (!GSS_ERROR(g->major) && g->target == GSS_C_NO_NAME)
    g->major = import_name(g, g->service, GSS_C_NT_HOSTBASED_SERVICE, &g->target);
  if (GSS_ERROR(g->major))
    return;
  g->major = gss_init_sec_context(&minor, g->credential, &g->context, g->target,
                                  (gss_OID)(uintptr_t)gss_mech_krb5, FLAGS, 0,
                                  GSS_C_NO_CHANNEL_BINDINGS, &g->in, NULL, &g->out, NULL, NULL);
  if (GSS_ERROR(g->major))
    explain(g, g->major, minor);
}

/* ---- On the loop's thread ---- */

static void done(uvsmtp_auth_job_t *job, int err)
{
  gssapi_t *g = (gssapi_t *)job;
  uvsmtp_exchange_t *exchange = g->exchange;
  uvsmtp_exchange_resume(exchange, err);
  uvsmtp_exchange_release(exchange);
}

static void free_input(gssapi_t *g)
{
  uvsmtp__free(uvsmtp_exchange_context(g->exchange)->mem, g->in.value);
  g->in = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
}

static int make_service(uvsmtp_exchange_t *exchange, gssapi_t *g)
{
  const uvsmtp_auth_context_t *context = uvsmtp_exchange_context(exchange);
  const uvsmtp__credentials_t *c = uvsmtp_exchange_data(exchange);
  size_t size;
  if (context->host == NULL)
    return uvsmtp_exchange_fail(exchange, UVSMTP_EINVAL, "GSSAPI needs the server's name");
  size = strlen(context->service) + strlen(context->host) + 2;
  g->service = uvsmtp__malloc(context->mem, size);
  if (g->service == NULL)
    return UVSMTP_ENOMEM;
  snprintf(g->service, size, "%s@%s", context->service, context->host);
  g->user = c->user;
  return 0;
}

/* Starts the job that makes of the server's token the next one of ours. */
static int negotiate(uvsmtp_exchange_t *exchange, gssapi_t *g, uvsmtp_slice_t challenge)
{
  const uvsmtp_mem_t *mem = uvsmtp_exchange_context(exchange)->mem;
  OM_uint32 minor;
  g->exchange = exchange;
  free_input(g);
  gss_release_buffer(&minor, &g->out);
  if (challenge.len != 0) {
    g->in.value = uvsmtp__memdup(mem, challenge.base, challenge.len);
    if (g->in.value == NULL)
      return UVSMTP_ENOMEM;
    g->in.length = challenge.len;
  }
  g->job = (uvsmtp_auth_job_t){work, done};
  uvsmtp_exchange_acquire(exchange);
  uvsmtp__exchange_run_job(exchange, &g->job);
  return UVSMTP_PENDING;
}

static int negotiated(uvsmtp_exchange_t *exchange, gssapi_t *g)
{
  if (GSS_ERROR(g->major))
    return uvsmtp__exchange_fail_text(
        exchange, g->began ? UVSMTP_EAUTHCHALLENGE : UVSMTP_EAUTHTOKEN,
        g->began ? "Kerberos refuses the server: " : "no ticket can be had: ", g->why,
        strlen(g->why));
  g->began = true;
  g->complete = (g->major & GSS_S_CONTINUE_NEEDED) == 0;
  return uvsmtp_exchange_respond(exchange, g->out.value, g->out.length);
}

static int read_offer(uvsmtp_exchange_t *exchange, gssapi_t *g, uvsmtp_slice_t challenge)
{
  gss_buffer_desc given = {.length = challenge.len, .value = (void *)(uintptr_t)challenge.base};
  gss_buffer_desc offer = GSS_C_EMPTY_BUFFER;
  OM_uint32 minor, major = gss_unwrap(&minor, g->context, &given, &offer, NULL, NULL);
  bool good = !GSS_ERROR(major) && offer.length == 4 &&
              (((const unsigned char *)offer.value)[0] & NO_SECURITY_LAYER) != 0;
  gss_release_buffer(&minor, &offer);
  return good ? 0
              : uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE,
                                     "the server's offer of security layers is not usable");
}

/* No layer, hence size 0, and whom we want to be (RFC 4752 section 3.1). */
static int respond_choice(uvsmtp_exchange_t *exchange, gssapi_t *g)
{
  const uvsmtp__credentials_t *c = uvsmtp_exchange_data(exchange);
  const uvsmtp_mem_t *mem = uvsmtp_exchange_context(exchange)->mem;
  size_t authzid_len = c->authzid != NULL ? strlen(c->authzid) : 0;
  gss_buffer_desc choice = {.length = 4 + authzid_len,
                            .value = uvsmtp__calloc(mem, 1, 4 + authzid_len)};
  gss_buffer_desc wrapped = GSS_C_EMPTY_BUFFER;
  OM_uint32 minor, major;
  int err;
  if (choice.value == NULL)
    return UVSMTP_ENOMEM;
  ((char *)choice.value)[0] = NO_SECURITY_LAYER;
  if (authzid_len != 0)
    memcpy((char *)choice.value + 4, c->authzid, authzid_len);
  major = gss_wrap(&minor, g->context, 0, GSS_C_QOP_DEFAULT, &choice, NULL, &wrapped);
  uvsmtp__free(mem, choice.value);
  if (GSS_ERROR(major))
    return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHCHALLENGE, "GSSAPI cannot wrap the answer");
  err = uvsmtp_exchange_respond(exchange, wrapped.value, wrapped.length);
  gss_release_buffer(&minor, &wrapped);
  return err;
}

static int step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  gssapi_t *g = state;
  int err;
  UVSMTP_CO_BEGIN(exchange);
  err = make_service(exchange, g);
  if (err != 0)
    return err;
  while (!g->complete) {
    UVSMTP_CO_AWAIT(err, negotiate(exchange, g, challenge));
    if (err == 0)
      err = negotiated(exchange, g);
    if (err != 0)
      return err;
    UVSMTP_CO_SEND();
  }
  err = read_offer(exchange, g, challenge);
  if (err == 0)
    err = respond_choice(exchange, g);
  if (err != 0)
    return err;
  UVSMTP_CO_END();
}

static int finish(uvsmtp_exchange_t *exchange, void *state, int code)
{
  const gssapi_t *g = state;
  if (code / 100 != 2 || g->complete)
    return 0;
  return uvsmtp_exchange_fail(exchange, UVSMTP_EAUTHSERVER,
                              "the server reported success before it had proven itself");
}

static void cleanup(uvsmtp_exchange_t *exchange, void *state)
{
  gssapi_t *g = state;
  OM_uint32 minor;
  g->exchange = exchange;
  free_input(g);
  uvsmtp__free(uvsmtp_exchange_context(exchange)->mem, g->service);
  gss_release_buffer(&minor, &g->out);
  gss_delete_sec_context(&minor, &g->context, GSS_C_NO_BUFFER);
  gss_release_name(&minor, &g->target);
  gss_release_cred(&minor, &g->credential);
}

static const uvsmtp_mechanism_t gssapi = {
    .size = sizeof(uvsmtp_mechanism_t),
    .name = "GSSAPI",
    .flags = UVSMTP_AUTH_CLIENT_FIRST,
    .state_size = sizeof(gssapi_t),
    .step = step,
    .finish = finish,
    .cleanup = cleanup,
};

int uvsmtp_auth_gssapi_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  static const uvsmtp_mechanism_t *const one[] = {&gssapi};
  return uvsmtp__credentials_auth_new(auth, options, 0, one, 1);
}

#else

int uvsmtp_auth_gssapi_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  (void)auth, (void)options;
  return UVSMTP_EAUTHUNSUPPORTED;
}

#endif
