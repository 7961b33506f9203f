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
  mbedtls_ssl_session_init(&s->session);
  return s;
}

/* ---- what was checked ---- */

uvsmtp__tls_check_t *uvsmtp__tls_check_ref(uvsmtp__tls_check_t *check)
{
  atomic_fetch_add(&check->refs, 1);
  return check;
}

void uvsmtp__tls_check_unref(uvsmtp__tls_check_t *check)
{
  uvsmtp_mem_t mem;
  if (check == NULL || atomic_fetch_sub(&check->refs, 1) != 1)
    return;
  mem = check->mem;
  uvsmtp__free(&mem, check->server_name);
  uvsmtp__free(&mem, check->overlooked);
  uvsmtp__free(&mem, check->peer);
  uvsmtp__free(&mem, check);
}

static int fill_check(uvsmtp__tls_check_t *check, const uvsmtp_tls_t *engine)
{
  const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&engine->ssl);
  const char *overlooked = uvsmtp_tls_overlooked(engine);
  check->verified = uvsmtp_tls_verified(engine);
  check->checked_at = engine->checked_at;
  check->not_after = INT64_MAX;
  if (engine->name != NULL &&
      (check->server_name = uvsmtp__strdup(&check->mem, engine->name)) == NULL)
    return UVSMTP_ENOMEM;
  if (overlooked != NULL && (check->overlooked = uvsmtp__strdup(&check->mem, overlooked)) == NULL)
    return UVSMTP_ENOMEM;
  if (crt == NULL)
    return 0;
  check->not_after = uvsmtp__tls_seconds(&crt->valid_to);
  check->peer = uvsmtp__memdup(&check->mem, crt->raw.p, crt->raw.len);
  check->peer_len = crt->raw.len;
  return check->peer != NULL ? 0 : UVSMTP_ENOMEM;
}

/* That of the session that was resumed, or one of the certificates of this handshake. */
static int take_check(uvsmtp__tls_check_t **out, const uvsmtp_tls_t *engine)
{
  const uvsmtp_mem_t *mem = uvsmtp__tls_mem(engine);
  uvsmtp__tls_check_t *check;
  if (engine->check != NULL) {
    *out = uvsmtp__tls_check_ref(engine->check);
    return 0;
  }
  *out = check = uvsmtp__calloc(mem, 1, sizeof(*check));
  if (check == NULL)
    return UVSMTP_ENOMEM;
  check->mem = *mem;
  atomic_init(&check->refs, 1);
  return fill_check(check, engine);
}

/* ---- sessions ---- */

static int fill(uvsmtp_tls_session_t *s, const uvsmtp_tls_t *engine)
{
  if (mbedtls_ssl_get_session(&engine->ssl, &s->session) != 0)
    return UVSMTP_ENOMEM;
  if (!uvsmtp__tls_compat_resumable(&s->session))
    return UVSMTP_PENDING;
  return take_check(&s->check, engine);
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
  const uvsmtp__tls_check_t *check = s->check;
  return now >= check->checked_at && now - check->checked_at < MAX_AGE_SECONDS &&
         now <= check->not_after;
}

static bool fits(const uvsmtp_tls_t *engine, const uvsmtp_tls_session_t *s)
{
  if (s->context_id != engine->context->id ||
      (s->check->overlooked != NULL && !engine->opportunistic))
    return false;
  if (s->check->server_name == NULL || engine->name == NULL)
    return s->check->server_name == engine->name;
  return strcmp(s->check->server_name, engine->name) == 0;
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
  uvsmtp__tls_check_unref(s->check);
  uvsmtp__free(&mem, s);
}

void uvsmtp_tls_session_free(uvsmtp_tls_session_t *session)
{
  if (session != NULL)
    uvsmtp__tls_session_unref(session);
}
