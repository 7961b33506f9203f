/*
 * Tokens of a hostile server for GSSAPI. Kerberos itself is not meant, and is replaced here by a
 * library that does what the tokens say: the first byte of each is what becomes of it, the rest
 * what comes out. It demands what RFC 2743 does of who calls it, and that all is given back.
 *
 * The first byte of the input says what is refused on the way to the first token, whether jobs are
 * done later, and the verdict; the second, what the first token is; then each challenge is a length
 * and its bytes.
 */
#include "exchange.h"

#include <string.h>

#include "auth/credentials.h"

#if UVSMTP__HAVE_GSSAPI

#include <gssapi/gssapi.h>

enum {
  NO_NAME = 1,
  NO_CREDENTIAL = 2,
  LATER = 4,
  LET_IN = 8,
  WITH_USER = 16,
  WITH_AUTHZID = 32,
  BY_MECHANISM = 64 /* errors have a number of the mechanism */
};

struct gss_ctx_id_struct {
  bool complete, unwrapped;
};

static struct {
  unsigned how;
  uint8_t first;
  int live; /* objects and buffers that were given out */
  bool complete, chosen;
} world;

/* ---- the library -------------------------------------------------------------------------- */

static void *give_out(size_t size)
{
  void *made = calloc(1, size + (size == 0));
  FUZZ_CHECK(made != NULL);
  world.live++;
  return made;
}

static void take_back(void *given)
{
  world.live -= given != NULL;
  free(given);
}

static void give_buffer(gss_buffer_t out, const void *bytes, size_t len)
{
  out->length = len;
  out->value = give_out(len);
  if (len != 0)
    memcpy(out->value, bytes, len);
}

static OM_uint32 refuse(OM_uint32 *minor, OM_uint32 major)
{
  *minor = (world.how & BY_MECHANISM) != 0 ? 42 : 0;
  return major;
}

OM_uint32 gss_import_name(OM_uint32 *minor, gss_buffer_t text, gss_OID type, gss_name_t *name)
{
  (void)type;
  FUZZ_CHECK(strnlen(text->value, text->length) == text->length && *name == GSS_C_NO_NAME);
  if ((world.how & NO_NAME) != 0)
    return refuse(minor, GSS_S_BAD_NAME);
  *name = give_out(1);
  return GSS_S_COMPLETE;
}

OM_uint32 gss_acquire_cred(OM_uint32 *minor, gss_name_t name, OM_uint32 time, gss_OID_set mechs,
                           gss_cred_usage_t usage, gss_cred_id_t *credential, gss_OID_set *actual,
                           OM_uint32 *time_left)
{
  (void)time, (void)mechs, (void)actual, (void)time_left;
  FUZZ_CHECK(name != GSS_C_NO_NAME && usage == GSS_C_INITIATE && *credential == NULL);
  if ((world.how & NO_CREDENTIAL) != 0)
    return refuse(minor, GSS_S_NO_CRED);
  *credential = give_out(1);
  return GSS_S_COMPLETE;
}

OM_uint32 gss_init_sec_context(OM_uint32 *minor, gss_cred_id_t credential, gss_ctx_id_t *context,
                               gss_name_t target, gss_OID mech, OM_uint32 flags, OM_uint32 time,
                               gss_channel_bindings_t bindings, gss_buffer_t in, gss_OID *actual,
                               gss_buffer_t out, OM_uint32 *actual_flags, OM_uint32 *time_left)
{
  const uint8_t *token = in->length > 0 ? in->value : &world.first;
  size_t len = in->length > 0 ? in->length : 1;
  (void)mech, (void)time, (void)bindings, (void)actual, (void)actual_flags, (void)time_left;
  FUZZ_CHECK(target != GSS_C_NO_NAME && out->length == 0 && out->value == NULL);
  FUZZ_CHECK((credential != NULL) == ((world.how & WITH_USER) != 0));
  FUZZ_CHECK((flags & GSS_C_MUTUAL_FLAG) != 0);
  *minor = 0;
  if (*context == NULL)
    *context = give_out(sizeof(**context));
  FUZZ_CHECK(!(*context)->complete);
  if (token[0] % 4 == 3) {
    give_buffer(out, token, token[0] / 4 % 2); /* an error token may come with it */
    return refuse(minor, token[0] / 8 % 2 != 0 ? GSS_S_FAILURE : GSS_S_DEFECTIVE_TOKEN);
  }
  give_buffer(out, token + 1, len - 1);
  (*context)->complete = world.complete = token[0] % 4 == 2;
  return (*context)->complete ? GSS_S_COMPLETE : GSS_S_CONTINUE_NEEDED;
}

OM_uint32 gss_unwrap(OM_uint32 *minor, gss_ctx_id_t context, gss_buffer_t in, gss_buffer_t out,
                     int *conf, gss_qop_t *qop)
{
  const uint8_t *token = in->value;
  (void)conf, (void)qop;
  FUZZ_CHECK(context->complete && !context->unwrapped);
  context->unwrapped = true;
  if (in->length == 0 || token[0] % 2 != 0)
    return refuse(minor, GSS_S_BAD_SIG);
  give_buffer(out, token + 1, in->length - 1);
  return GSS_S_COMPLETE;
}

OM_uint32 gss_wrap(OM_uint32 *minor, gss_ctx_id_t context, int conf, gss_qop_t qop, gss_buffer_t in,
                   int *actual, gss_buffer_t out)
{
  size_t authzid = (world.how & WITH_AUTHZID) != 0 ? strlen("admin") : 0;
  (void)conf, (void)qop, (void)actual;
  FUZZ_CHECK(context->unwrapped);
  /* No security layer, and nobody else. */
  FUZZ_CHECK(in->length == 4 + authzid && memcmp(in->value, "\1\0\0\0admin", in->length) == 0);
  if ((world.how & BY_MECHANISM) != 0)
    return refuse(minor, GSS_S_FAILURE);
  give_buffer(out, in->value, in->length);
  world.chosen = true;
  return GSS_S_COMPLETE;
}

OM_uint32 gss_display_status(OM_uint32 *minor, OM_uint32 status, int type, gss_OID mech,
                             OM_uint32 *more, gss_buffer_t text)
{
  static const char words[] = "No \xc3\xbc or \xff\r\n: No ticket \0here";
  (void)status, (void)mech;
  *minor = *more = 0;
  if (world.first % 8 == 7)
    return GSS_S_BAD_STATUS;
  give_buffer(text, words, type == GSS_C_MECH_CODE ? sizeof(words) - 1 : world.first % 24);
  return GSS_S_COMPLETE;
}

OM_uint32 gss_release_buffer(OM_uint32 *minor, gss_buffer_t buffer)
{
  *minor = 0;
  take_back(buffer->value);
  buffer->value = NULL;
  buffer->length = 0;
  return GSS_S_COMPLETE;
}

OM_uint32 gss_delete_sec_context(OM_uint32 *minor, gss_ctx_id_t *context, gss_buffer_t token)
{
  *minor = 0;
  FUZZ_CHECK(token == GSS_C_NO_BUFFER);
  take_back(*context);
  *context = NULL;
  return GSS_S_COMPLETE;
}

OM_uint32 gss_release_name(OM_uint32 *minor, gss_name_t *name)
{
  *minor = 0;
  take_back(*name);
  *name = GSS_C_NO_NAME;
  return GSS_S_COMPLETE;
}

OM_uint32 gss_release_cred(OM_uint32 *minor, gss_cred_id_t *credential)
{
  *minor = 0;
  take_back(*credential);
  *credential = GSS_C_NO_CREDENTIAL;
  return GSS_S_COMPLETE;
}

/* ---- the target --------------------------------------------------------------------------- */

static void converse(uvsmtp_exchange_t *exchange, fuzz_input_t *in, uvsmtp_auth_job_t **kept)
{
  bool let_in = (world.how & LET_IN) != 0;
  int err = fuzz_challenge(exchange, NULL, kept);

  while (err == 0 && in->size > 0)
    err = fuzz_challenge(exchange, in, kept);
  FUZZ_CHECK(err != 0 || !world.chosen || world.complete);
  err = uvsmtp_exchange_finish(exchange, 0, let_in ? 235 : 535, NULL, "so it is");
  FUZZ_CHECK(err != 0 || (let_in && world.complete));
  FUZZ_CHECK(uvsmtp_exchange_detail(exchange) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_context_t context = UVSMTP_AUTH_CONTEXT_INIT;
  uvsmtp_exchange_t *exchange = NULL;
  uvsmtp_auth_job_t *kept = NULL;
  uvsmtp_auth_t *auth = NULL;

  memset(&world, 0, sizeof(world));
  world.how = fuzz_byte(&in);
  world.first = fuzz_byte(&in);
  options.user = (world.how & WITH_USER) != 0 ? "user" : NULL;
  options.authzid = (world.how & WITH_AUTHZID) != 0 ? "admin" : NULL;
  FUZZ_CHECK(uvsmtp_auth_gssapi_new(&auth, &options) == 0);
  context.mechanism = context.offered = "GSSAPI";
  context.host = "mail.example";
  context.offload = (world.how & LATER) != 0 ? fuzz_keep_job : NULL;
  context.owner = &kept;
  FUZZ_CHECK(uvsmtp_exchange_new(&exchange, auth, &context) == 0);
  converse(exchange, &in, &kept);
  uvsmtp_exchange_free(exchange);
  uvsmtp_auth_free(auth);
  FUZZ_CHECK(world.live == 0);
  return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  uvsmtp_auth_t *auth = NULL;
  (void)data, (void)size;
  FUZZ_CHECK(uvsmtp_auth_gssapi_new(&auth, NULL) == UVSMTP_EAUTHUNSUPPORTED);
  return 0;
}

#endif
