/*
 * What is wrong with a chain of certificates, in flags and in words. mbedTLS builds the chain and
 * checks signatures and dates; names and pins are checked here. It asks about each certificate,
 * from the root down to the peer's own (depth 0), with the flags that it found.
 */
#include <string.h>

#include <mbedtls/md.h>
#include <mbedtls/oid.h>

#include "base/base64.h"
#include "base/secret.h"
#include "tls/internal.h"

int uvsmtp__tls_pin(const mbedtls_x509_crt *crt, uint8_t digest[PIN_LEN])
{
  return mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), crt->pk_raw.p, crt->pk_raw.len,
                    digest);
}

void uvsmtp__tls_pin_text(const uint8_t digest[PIN_LEN], char text[PIN_TEXT_SIZE])
{
  memcpy(text, "sha256//", 8);
  uvsmtp__base64_encode(text + 8, digest, PIN_LEN);
  text[PIN_TEXT_SIZE - 1] = '\0';
}

/* Without pins every key will do. */
static bool pin_matches(const uvsmtp_tls_context_t *context, const mbedtls_x509_crt *crt)
{
  uint8_t digest[PIN_LEN];
  if (context->pin_count == 0)
    return true;
  if (uvsmtp__tls_pin(crt, digest) != 0)
    return false;
  for (size_t i = 0; i < context->pin_count; i++)
    if (memcmp(context->pins[i], digest, PIN_LEN) == 0)
      return true;
  return false;
}

static void say_name(uvsmtp__tls_say_t *say, const mbedtls_x509_name *name)
{
  char text[256];
  int len = mbedtls_x509_dn_gets(text, sizeof(text), name);
  if (len < 0)
    uvsmtp__tls_say(say, "(a name that is too long)");
  else
    uvsmtp__tls_say_bytes(say, text, (size_t)len);
}

static void say_time(uvsmtp__tls_say_t *say, const mbedtls_x509_time *t)
{
  uvsmtp__tls_say(say, "%04d-%02d-%02d %02d:%02d:%02d UTC", t->year, t->mon, t->day, t->hour,
                  t->min, t->sec);
}

static void say_untrusted(uvsmtp__tls_say_t *say, const mbedtls_x509_crt *crt)
{
  bool own_issuer = crt->issuer_raw.len == crt->subject_raw.len &&
                    memcmp(crt->issuer_raw.p, crt->subject_raw.p, crt->issuer_raw.len) == 0;
  uvsmtp__tls_say(say, own_issuer ? " is self-signed by \"" : " is issued by \"");
  say_name(say, &crt->issuer);
  uvsmtp__tls_say(say, "\", which is not trusted");
}

static void say_wrong_name(uvsmtp__tls_say_t *say, const char *wanted, const mbedtls_x509_crt *crt)
{
  uvsmtp__tls_say(say, " is for ");
  uvsmtp__tls_say_names(say, crt);
  uvsmtp__tls_say(say, ", not for %s", wanted);
}

static void say_wrong_key(uvsmtp__tls_say_t *say, const mbedtls_x509_crt *crt)
{
  uint8_t digest[PIN_LEN];
  char text[PIN_TEXT_SIZE];
  if (uvsmtp__tls_pin(crt, digest) != 0)
    return;
  uvsmtp__tls_pin_text(digest, text);
  uvsmtp__tls_say(say, " has the public key %s, which is not one of those pinned", text);
}

/* Flags that need no more than a phrase. */
static const struct {
  uint32_t flag;
  const char *phrase;
} plain[] = {
    {MBEDTLS_X509_BADCERT_BAD_MD, " is signed with a digest that is too weak"},
    {MBEDTLS_X509_BADCERT_BAD_PK, " is signed with an unacceptable algorithm"},
    {MBEDTLS_X509_BADCERT_BAD_KEY, " is signed with a key that is too weak"},
    {MBEDTLS_X509_BADCERT_REVOKED, " was revoked"},
    {MBEDTLS_X509_BADCERT_KEY_USAGE, " has a key that is not for this use"},
    {MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, " is not for this use"},
    {MBEDTLS_X509_BADCERT_MISSING, " is missing"},
    {MBEDTLS_X509_BADCERT_OTHER, " is not acceptable"},
};

static void say_whose(uvsmtp__tls_say_t *say, const uvsmtp_tls_t *engine,
                      const mbedtls_x509_crt *crt, int depth)
{
  uvsmtp__tls_say(say, "%s", say->len == 0 ? "" : "; ");
  if (depth == 0) {
    uvsmtp__tls_say(say, "the %s's certificate", engine->context->is_server ? "client" : "server");
    return;
  }
  uvsmtp__tls_say(say, "the issuer's certificate \"");
  say_name(say, &crt->subject);
  uvsmtp__tls_say(say, "\"");
}

static void say_problem(uvsmtp__tls_say_t *say, const uvsmtp_tls_t *engine,
                        const mbedtls_x509_crt *crt, int depth, uint32_t flag)
{
  say_whose(say, engine, crt, depth);
  if (flag == MBEDTLS_X509_BADCERT_EXPIRED) {
    uvsmtp__tls_say(say, " expired on ");
    say_time(say, &crt->valid_to);
  } else if (flag == MBEDTLS_X509_BADCERT_FUTURE) {
    uvsmtp__tls_say(say, " is not valid before ");
    say_time(say, &crt->valid_from);
  } else if (flag == MBEDTLS_X509_BADCERT_NOT_TRUSTED) {
    say_untrusted(say, crt);
  } else if (flag == MBEDTLS_X509_BADCERT_CN_MISMATCH) {
    say_wrong_name(say, engine->name, crt);
  } else if (flag == PROBLEM_PIN) {
    say_wrong_key(say, crt);
  } else if (flag == PROBLEM_CONSTRAINT) {
    uvsmtp__tls_say(say, " may not vouch for %s, by its name constraints", engine->name);
  } else {
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
      if (plain[i].flag == flag)
        uvsmtp__tls_say(say, "%s", plain[i].phrase);
  }
}

uint32_t uvsmtp__tls_fatal_problems(const uvsmtp_tls_t *engine, uint32_t problems)
{
  bool heeds_all =
      engine->context->is_server || engine->context->verify != UVSMTP_TLS_VERIFY_NONE_INSECURE;
  return heeds_all ? problems : problems & PROBLEM_PIN;
}

/* The words are a comfort: without memory for them the flags still decide. */
static void note_problems(uvsmtp_tls_t *engine, const mbedtls_x509_crt *crt, int depth,
                          uint32_t flags)
{
  engine->problems |= flags;
  flags = uvsmtp__tls_fatal_problems(engine, flags);
  if (engine->reasons == NULL)
    engine->reasons = uvsmtp__calloc(uvsmtp__tls_mem(engine), 1, sizeof(*engine->reasons));
  for (uint32_t flag = 1; engine->reasons != NULL && flag <= PROBLEM_PIN; flag <<= 1)
    if ((flags & flag) != 0)
      say_problem(engine->reasons, engine, crt, depth, flag);
}

/* What is wrong with a certificate as one for the name that is wanted. */
static uint32_t name_problems(const char *wanted, const mbedtls_x509_crt *crt, int depth)
{
  uvsmtp__tls_name_t name = uvsmtp__tls_name_read(wanted);
  if (depth == 0)
    return uvsmtp__tls_name_matches(&name, crt) ? 0 : MBEDTLS_X509_BADCERT_CN_MISMATCH;
  return uvsmtp__tls_name_permitted(&name, crt) ? 0 : PROBLEM_CONSTRAINT;
}

int uvsmtp__tls_verify(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
  uvsmtp_tls_t *engine = arg;
  const uvsmtp_tls_context_t *context = engine->context;
  bool name_counts =
      !context->is_server && context->verify != UVSMTP_TLS_VERIFY_NO_NAME && engine->name != NULL;
  uint32_t problems;
  *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_CN_MISMATCH; /* mbedTLS's opinion */
  if (name_counts)
    *flags |= name_problems(engine->name, crt, depth);
  problems = *flags;
  if (depth == 0 && !pin_matches(context, crt))
    problems |= PROBLEM_PIN;
  if (problems != 0)
    note_problems(engine, crt, depth, problems);
  /* A pin is checked in each mode, so it must not depend on flags that a mode may ignore. */
  return (problems & PROBLEM_PIN) != 0 && !engine->opportunistic ? MBEDTLS_ERR_X509_FATAL_ERROR : 0;
}
