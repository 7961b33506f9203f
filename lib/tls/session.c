/*
 * Sessions that can be resumed. A resumed handshake shows no certificate, so a session carries
 * what its first handshake has checked: under which context, and for which name, and when: each
 * resumption yields another session, so that without an end to it no certificate would ever be
 * looked at again.
 */
#include <string.h>
#include <time.h>

#include "tls/compat.h"
#include "tls/internal.h"

#define MAX_AGE_SECONDS (24 * 60 * 60) /* as long as RFC 5246 section F.1.4 has it */

static uvsmtp_tls_session_t *allocate(const uvsmtp_tls_t *engine)
{
  const uvsmtp_mem_t *mem = uvsmtp__tls_mem(engine);
  uvsmtp_tls_session_t *s = uvsmtp__calloc(mem, 1, sizeof(*s));
  if (s == NULL)
    return NULL;
  s->mem = *mem;
  atomic_init(&s->refs, 1);
  s->context_id = engine->context->id;
  s->verified = uvsmtp_tls_verified(engine);
  s->checked_at = engine->checked_at;
  s->not_after = INT64_MAX;
  mbedtls_ssl_session_init(&s->session);
  return s;
}

static int copy_peer(uvsmtp_tls_session_t *s, const uvsmtp_tls_t *engine)
{
  mbedtls_x509_crt scratch;
  const mbedtls_x509_crt *crt;
  int err;
  mbedtls_x509_crt_init(&scratch);
  crt = uvsmtp__tls_peer(engine, &scratch, &err);
  if (crt != NULL) {
    s->peer = uvsmtp__memdup(&s->mem, crt->raw.p, crt->raw.len);
    s->peer_len = crt->raw.len;
    s->not_after = uvsmtp__tls_seconds(&crt->valid_to);
    err = s->peer != NULL ? 0 : UVSMTP_ENOMEM;
  }
  mbedtls_x509_crt_free(&scratch);
  return err;
}

static int fill(uvsmtp_tls_session_t *s, const uvsmtp_tls_t *engine)
{
  const char *overlooked = uvsmtp_tls_overlooked(engine);
  if (overlooked != NULL && (s->overlooked = uvsmtp__strdup(&s->mem, overlooked)) == NULL)
    return UVSMTP_ENOMEM;
  if (engine->name.text != NULL) {
    s->server_name = uvsmtp__strdup(&s->mem, engine->name.text);
    if (s->server_name == NULL)
      return UVSMTP_ENOMEM;
  }
  if (mbedtls_ssl_get_session(&engine->ssl, &s->session) != 0)
    return UVSMTP_ENOMEM;
  if (!uvsmtp__tls_compat_resumable(&s->session))
    return UVSMTP_PENDING;
  return copy_peer(s, engine);
}

int uvsmtp_tls_session_get(uvsmtp_tls_t *engine, uvsmtp_tls_session_t **session)
{
  uvsmtp_tls_session_t *s;
  int err;
  *session = NULL;
  if (!engine->done || engine->err != 0)
    return UVSMTP_ESTATE;
  if (!engine->new_session)
    return UVSMTP_PENDING;
  s = allocate(engine);
  if (s == NULL)
    return UVSMTP_ENOMEM;
  err = fill(s, engine);
  if (err != UVSMTP_ENOMEM)
    engine->new_session = false;
  if (err != 0) {
    uvsmtp__tls_session_unref(s);
    return err;
  }
  *session = s;
  return 0;
}

/* A clock that was set back makes it too old as well. */
static bool is_fresh(const uvsmtp_tls_session_t *s)
{
  int64_t now = (int64_t)time(NULL);
  return now >= s->checked_at && now - s->checked_at < MAX_AGE_SECONDS && now <= s->not_after;
}

static bool fits(const uvsmtp_tls_t *engine, const uvsmtp_tls_session_t *s)
{
  if (s->context_id != engine->context->id || (s->overlooked != NULL && !engine->opportunistic))
    return false;
  if (s->server_name == NULL || engine->name.text == NULL)
    return s->server_name == engine->name.text;
  return strcmp(s->server_name, engine->name.text) == 0;
}

int uvsmtp_tls_session_set(uvsmtp_tls_t *engine, uvsmtp_tls_session_t *session)
{
  int ret;
  if (uvsmtp__tls_compat_state(&engine->ssl) != MBEDTLS_SSL_HELLO_REQUEST ||
      engine->context->is_server || engine->offered != NULL)
    return UVSMTP_ESTATE;
  if (!fits(engine, session) || !is_fresh(session))
    return UVSMTP_EINVAL;
  ret = mbedtls_ssl_set_session(&engine->ssl, &session->session);
  if (ret != 0)
    return uvsmtp__tls_is_no_memory(ret) ? UVSMTP_ENOMEM : UVSMTP_EINVAL;
  atomic_fetch_add(&session->refs, 1);
  engine->offered = session;
  return 0;
}

void uvsmtp__tls_session_unref(uvsmtp_tls_session_t *s)
{
  uvsmtp_mem_t mem = s->mem;
  if (atomic_fetch_sub(&s->refs, 1) != 1)
    return;
  mbedtls_ssl_session_free(&s->session); /* wipes */
  uvsmtp__free(&mem, s->server_name);
  uvsmtp__free(&mem, s->overlooked);
  uvsmtp__free(&mem, s->peer);
  uvsmtp__free(&mem, s);
}

void uvsmtp_tls_session_free(uvsmtp_tls_session_t *session)
{
  if (session != NULL)
    uvsmtp__tls_session_unref(session);
}
