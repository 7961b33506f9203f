/*
 * The engine: mbedTLS between two pieces of memory.
 *
 * Input is borrowed: mbedTLS asks for exactly the bytes of the record that it is reading and
 * copies them, so that a fed piece is used up when it says that it wants more.
 * Output is one buffer of our own, which grows up to the context's bound. It does not move while
 * the caller holds a slice of it (the kernel may be reading it), so what mbedTLS wants to send
 * then may find no room; mbedTLS keeps it, we note that it is stuck, and uvsmtp_tls_sent moves
 * it on. Application data never gets stuck, because a record is only begun when all of it fits:
 * mbedtls_ssl_write would take new data for the rest of the old otherwise.
 */
#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "tls/compat.h"
#include "tls/internal.h"

#define MAX_KEPT ((size_t)128 * 1024)
#define FIRST_OUTPUT ((size_t)1024)

/* ---- what is kept of the input ---- */

static size_t kept_len(const uvsmtp_tls_t *e)
{
  return e->kept != NULL ? uvsmtp__buffer_len(e->kept) : 0;
}

static int keep(uvsmtp_tls_t *e, const void *bytes, size_t len)
{
  if (e->kept == NULL) {
    e->kept = uvsmtp__malloc(uvsmtp__tls_mem(e), sizeof(*e->kept));
    if (e->kept == NULL)
      return UVSMTP_ENOMEM;
    uvsmtp__buffer_init(e->kept, uvsmtp__tls_mem(e), MAX_KEPT);
  }
  return uvsmtp__buffer_append(e->kept, bytes, len);
}

void uvsmtp__tls_forget_kept(uvsmtp_tls_t *e)
{
  if (e->kept != NULL)
    uvsmtp__buffer_free(e->kept);
  uvsmtp__free(uvsmtp__tls_mem(e), e->kept);
  e->kept = NULL;
}

/* ---- output ---- */

static size_t room_behind(const uvsmtp_tls_t *e)
{
  return e->out_size - e->out_end;
}

static int move_output(uvsmtp_tls_t *e, size_t size)
{
  char *out = uvsmtp__malloc(uvsmtp__tls_mem(e), size);
  if (out == NULL)
    return UVSMTP_ENOMEM;
  if (e->out != NULL)
    memcpy(out, e->out + e->out_start, e->out_end - e->out_start);
  uvsmtp__free(uvsmtp__tls_mem(e), e->out);
  e->out = out;
  e->out_size = (uint32_t)size;
  e->out_end -= e->out_start;
  e->out_start = 0;
  return 0;
}

/* Makes room for `len` bytes, or as many of them as the bound and a lent slice allow. */
static int make_room(uvsmtp_tls_t *e, size_t len)
{
  size_t held = e->out_end - e->out_start, max = e->context->max_output, size = FIRST_OUTPUT;
  if (room_behind(e) >= len || e->lent)
    return 0;
  if (e->out_size - held >= len || e->out_size == max) {
    if (held != 0)
      memmove(e->out, e->out + e->out_start, held);
    e->out_start = 0;
    e->out_end = (uint32_t)held;
    return 0;
  }
  while (size < max && size < held + len)
    size *= 2;
  return move_output(e, size < max ? size : max);
}

static int bio_send(void *arg, const unsigned char *bytes, size_t len)
{
  uvsmtp_tls_t *e = arg;
  size_t room;
  e->messages += bytes[0] != MBEDTLS_SSL_MSG_CHANGE_CIPHER_SPEC;
  if (make_room(e, len) != 0) {
    e->no_memory = true;
    return MBEDTLS_ERR_SSL_ALLOC_FAILED;
  }
  room = room_behind(e);
  if (room == 0) {
    e->stuck = true;
    return MBEDTLS_ERR_SSL_WANT_WRITE;
  }
  len = len < room ? len : room;
  memcpy(e->out + e->out_end, bytes, len);
  e->out_end += (uint32_t)len;
  return (int)len;
}

/*
 * While mbedTLS holds unsent bytes, a call to send an alert sends those and nothing else: the one
 * public way to flush it in every state.
 */
static void unstick(uvsmtp_tls_t *e)
{
  if (!e->stuck)
    return;
  e->stuck = false;
  mbedtls_ssl_send_alert_message(&e->ssl, MBEDTLS_SSL_ALERT_LEVEL_WARNING,
                                 MBEDTLS_SSL_ALERT_MSG_CLOSE_NOTIFY);
}

void uvsmtp_tls_output(uvsmtp_tls_t *e, uvsmtp_slice_t *slice)
{
  *slice = (uvsmtp_slice_t){e->out + e->out_start, e->out_end - e->out_start};
  e->lent = slice->len != 0;
}

void uvsmtp_tls_sent(uvsmtp_tls_t *e, size_t len)
{
  size_t held = e->out_end - e->out_start;
  e->lent = false;
  e->out_start += (uint32_t)(len < held ? len : held);
  if (e->out_start == e->out_end)
    e->out_start = e->out_end = 0;
  unstick(e);
}

void uvsmtp_tls_idle(uvsmtp_tls_t *e)
{
  e->lent = false;
  if (e->out_start == e->out_end) {
    uvsmtp__free(uvsmtp__tls_mem(e), e->out);
    e->out = NULL;
    e->out_size = e->out_start = e->out_end = 0;
  }
  if (kept_len(e) == 0)
    uvsmtp__tls_forget_kept(e);
  if (e->done && e->offered != NULL) {
    uvsmtp__tls_session_unref(e->offered);
    e->offered = NULL;
  }
  if (e->check != NULL) { /* it has the name, too */
    uvsmtp__free(uvsmtp__tls_mem(e), e->name);
    e->name = NULL;
  }
}

/* ---- input ---- */

static size_t take(uvsmtp_tls_t *e, unsigned char *to, size_t len)
{
  size_t kept = kept_len(e);
  if (kept != 0) {
    len = len < kept ? len : kept;
    memcpy(to, uvsmtp__buffer_data(e->kept), len);
    uvsmtp__buffer_consume(e->kept, len);
    return len;
  }
  len = len < e->fed.len ? len : e->fed.len;
  if (len != 0)
    memcpy(to, e->fed.base, len);
  e->fed.base += len;
  e->fed.len -= len;
  return len;
}

static int bio_recv(void *arg, unsigned char *to, size_t len)
{
  uvsmtp_tls_t *e = arg;
  size_t n = take(e, to, len);
  if (n != 0)
    return (int)n;
  return e->eof ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
}

size_t uvsmtp_tls_pending_input(const uvsmtp_tls_t *e)
{
  return kept_len(e) + e->fed.len;
}

int uvsmtp_tls_keep(uvsmtp_tls_t *e)
{
  int err = 0;
  if (e->fed.len != 0)
    err = keep(e, e->fed.base, e->fed.len);
  if (err == 0)
    e->fed = (uvsmtp_slice_t){NULL, 0};
  return err;
}

int uvsmtp_tls_feed(uvsmtp_tls_t *e, const void *bytes, size_t len)
{
  int err;
  if (e->err != 0)
    return e->err;
  if (len == 0 || e->ended) /* RFC 8446 section 6.1: nothing behind a close_notify counts */
    return 0;
  if (!e->any_input) {
    e->any_input = true;
    e->first_byte = *(const unsigned char *)bytes;
  }
  if (uvsmtp_tls_pending_input(e) == 0) {
    e->fed = (uvsmtp_slice_t){bytes, len};
    return 0;
  }
  err = uvsmtp_tls_keep(e);
  return err != 0 ? err : keep(e, bytes, len);
}

void uvsmtp_tls_eof(uvsmtp_tls_t *e)
{
  e->eof = true;
}

/*
 * mbedTLS has to wait. For input: then it has taken all there was. For room in the output: then
 * the caller's bytes are copied, so that it need not tell the two apart.
 */
static int wait_for_peer(uvsmtp_tls_t *e)
{
  int err = uvsmtp_tls_keep(e);
  return err != 0 ? uvsmtp__tls_fail(e, err, uvsmtp_strerror(err)) : UVSMTP_PENDING;
}

static bool must_wait(int ret)
{
  return ret == MBEDTLS_ERR_SSL_WANT_READ || ret == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* ---- handshake ---- */

/* One step, and what can be learned from watching: who shows certificates resumes nothing. */
static int handshake_step(uvsmtp_tls_t *e)
{
  int state = uvsmtp__tls_compat_state(&e->ssl), ret;
  bool was_stuck = e->stuck;
  unsigned messages = e->messages;
  e->stuck = false;
  ret = mbedtls_ssl_handshake_step(&e->ssl);
  if (state == MBEDTLS_SSL_SERVER_CERTIFICATE)
    e->full_handshake = true;
  if (state == MBEDTLS_SSL_SERVER_HELLO && uvsmtp__tls_compat_state(&e->ssl) != state)
    e->extended_master = uvsmtp__tls_compat_hello_has(&e->ssl, e->context->is_server,
                                                      MBEDTLS_TLS_EXT_EXTENDED_MASTER_SECRET);
  if (!e->context->is_server && !was_stuck &&
      uvsmtp__tls_compat_cert_wanted(&e->ssl, state, e->messages != messages))
    e->cert_wanted = true;
  return uvsmtp__tls_compat_is_ticket(ret) ? 0 : ret;
}

/* Of what is wrong with the certificate, what was overlooked stays; without memory, all of it. */
static void cut_reasons(uvsmtp_tls_t *e)
{
  const uvsmtp_mem_t *mem = uvsmtp__tls_mem(e);
  uvsmtp__tls_say_t *cut;
  if (e->reasons == NULL)
    return;
  if (uvsmtp_tls_overlooked(e) == NULL) {
    uvsmtp__free(mem, e->reasons);
    e->reasons = NULL;
    return;
  }
  cut = uvsmtp__realloc_array(mem, e->reasons, 1, sizeof(cut->len) + e->reasons->len + 1);
  e->reasons = cut != NULL ? cut : e->reasons;
}

int uvsmtp_tls_handshake(uvsmtp_tls_t *e)
{
  if (e->err != 0)
    return e->err;
  while (!uvsmtp__tls_compat_done(&e->ssl)) {
    int ret = handshake_step(e);
    if (must_wait(ret))
      return wait_for_peer(e);
    if (ret != 0)
      return uvsmtp__tls_fail_mbedtls(e, ret);
  }
  if (!e->done) {
    e->done = true;
    if (e->opportunistic && e->full_handshake) /* what mbedTLS has found besides, as key usage */
      e->problems |= mbedtls_ssl_get_verify_result(&e->ssl);
    e->checked_at = (int64_t)time(NULL);
    if (uvsmtp_tls_resumed(e) && e->offered != NULL)
      e->check = uvsmtp__tls_check_ref(e->offered->check);
    cut_reasons(e);
    e->new_session =
        !e->context->is_server && uvsmtp__tls_compat_version(&e->ssl) == UVSMTP_TLS_1_2;
  }
  return 0;
}

/* ---- data ---- */

static int end_of_input(uvsmtp_tls_t *e)
{
  if (e->cert_wanted && !e->context->has_own && !e->heard)
    return uvsmtp__tls_fail(e, UVSMTP_ETLSCLIENTCERT,
                            "the server asked for a client certificate, got none, and closed the "
                            "connection");
  return uvsmtp__tls_fail(e, UVSMTP_ETLSTRUNCATED,
                          "the connection ended without a close_notify: what was received may not "
                          "be all");
}

/*
 * mbedtls_ssl_read without its two ways of telling about a session ticket: TLS 1.3 of mbedTLS 3.6
 * says that it wants to read when it has seen one and has yet to look into it, and then that it has
 * received one.
 */
static int read_some(uvsmtp_tls_t *e, void *buf, size_t size)
{
  bool again = true;
  for (;;) {
    int ret = mbedtls_ssl_read(&e->ssl, buf, size);
    if (uvsmtp__tls_compat_is_ticket(ret))
      e->new_session = again = true;
    else if (ret == MBEDTLS_ERR_SSL_WANT_READ && again && !uvsmtp__tls_compat_done(&e->ssl))
      again = false;
    else
      return ret;
  }
}

int uvsmtp_tls_read(uvsmtp_tls_t *e, void *buf, size_t size, size_t *len)
{
  int ret;
  *len = 0;
  if (e->ended)
    return 0;
  if (e->err != 0)
    return e->err;
  if (!e->done)
    return UVSMTP_ESTATE;
  if (size == 0)
    return UVSMTP_EINVAL;
  ret = read_some(e, buf, size);
  if (ret > 0) {
    e->heard = true;
    *len = (size_t)ret;
    return 0;
  }
  if (ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
    e->ended = true;
    e->fed.len = 0;
    return 0;
  }
  if (must_wait(ret))
    return wait_for_peer(e);
  return ret == 0 || ret == MBEDTLS_ERR_SSL_CONN_EOF ? end_of_input(e)
                                                     : uvsmtp__tls_fail_mbedtls(e, ret);
}

/* A place in an array of slices. */
typedef struct cursor_s {
  const uvsmtp_slice_t *slice;
  size_t offset;
} cursor_t;

/*
 * The next `len` bytes as one piece: where they lie, or gathered at `room`. `room` is where the
 * record will come to lie: mbedTLS copies the plaintext into its own buffer before it hands over
 * the first byte of ciphertext.
 */
static const char *gather(cursor_t *at, size_t len, char *room)
{
  const char *whole = NULL;
  size_t have = 0;
  while (at->offset == at->slice->len) {
    at->slice++;
    at->offset = 0;
  }
  if (at->slice->len - at->offset >= len) {
    whole = at->slice->base + at->offset;
    at->offset += len;
    return whole;
  }
  while (have < len) {
    size_t n = at->slice->len - at->offset;
    n = n < len - have ? n : len - have;
    if (n != 0)
      memcpy(room + have, at->slice->base + at->offset, n);
    have += n;
    at->offset += n;
    if (have < len) {
      at->slice++;
      at->offset = 0;
    }
  }
  return room;
}

/* Encrypts one record. mbedTLS takes all of it, since there is room for what it makes of it. */
static int write_record(uvsmtp_tls_t *e, cursor_t *at, size_t len)
{
  char *room = e->out + e->out_end;
  const char *bytes = gather(at, len, room);
  int ret = mbedtls_ssl_write(&e->ssl, (const unsigned char *)bytes, len);
  if (ret == (int)len)
    return 0;
  if (bytes == room)
    uvsmtp__wipe(room, len);
  return uvsmtp__tls_fail_mbedtls(e, ret < 0 ? ret : MBEDTLS_ERR_SSL_INTERNAL_ERROR);
}

static int write_records(uvsmtp_tls_t *e, cursor_t *at, size_t left, size_t *taken)
{
  int payload = mbedtls_ssl_get_max_out_record_payload(&e->ssl);
  int around = mbedtls_ssl_get_record_expansion(&e->ssl);
  size_t max, records;
  if (payload <= 0 || around < 0)
    return uvsmtp__tls_fail_mbedtls(e, payload <= 0 ? payload : around);
  max = (size_t)payload;
  records = left / max + 1;
  if (make_room(e, left + records * (size_t)around) != 0)
    return uvsmtp__tls_fail(e, UVSMTP_ENOMEM, "out of memory");
  while (left > 0) {
    size_t len = left < max ? left : max;
    int err;
    if (len + (size_t)around > room_behind(e))
      break;
    err = write_record(e, at, len);
    if (err != 0)
      return err;
    *taken += len;
    left -= len;
  }
  return *taken != 0 ? 0 : UVSMTP_PENDING;
}

int uvsmtp_tls_write(uvsmtp_tls_t *e, const uvsmtp_slice_t *slices, size_t count, size_t *taken)
{
  cursor_t at = {slices, 0};
  size_t left = 0;
  *taken = 0;
  if (e->err != 0)
    return e->err;
  if (!e->done || e->closed)
    return UVSMTP_ESTATE;
  for (size_t i = 0; i < count; i++)
    left += slices[i].len;
  if (left == 0)
    return 0;
  unstick(e);
  return e->stuck ? UVSMTP_PENDING : write_records(e, &at, left, taken);
}

int uvsmtp_tls_close_notify(uvsmtp_tls_t *e)
{
  int ret;
  if (e->err != 0)
    return e->err;
  if (!e->done)
    return UVSMTP_ESTATE;
  if (e->closed)
    return 0;
  unstick(e);
  if (e->stuck)
    return UVSMTP_PENDING;
  ret = mbedtls_ssl_close_notify(&e->ssl);
  if (ret != 0 && !must_wait(ret))
    return uvsmtp__tls_fail_mbedtls(e, ret);
  e->closed = true;
  return 0;
}

/* ---- life ---- */

static int set_up(uvsmtp_tls_t *e, const char *server_name)
{
  const uvsmtp_tls_context_t *context = e->context;
  const char *host = NULL;
  int err = 0, ret;
  if (server_name != NULL)
    err = uvsmtp__tls_name_copy(&e->name, &context->mem, server_name);
  if (err != 0)
    return err;
  if (e->name != NULL && uvsmtp__tls_name_read(e->name).ip_len == 0)
    host = e->name;
  ret = mbedtls_ssl_setup(&e->ssl, e->opportunistic ? &context->lenient : &context->conf);
  /* mbedTLS 3.6 insists on hearing that there is no name; the name is checked by verify.c. */
  if (ret == 0 && !context->is_server)
    ret = mbedtls_ssl_set_hostname(&e->ssl, host);
  if (ret != 0)
    return UVSMTP_ENOMEM;
  mbedtls_ssl_set_verify(&e->ssl, uvsmtp__tls_verify, e);
  mbedtls_ssl_set_bio(&e->ssl, e, bio_send, bio_recv, NULL);
  return 0;
}

static int make(uvsmtp_tls_t **engine, uvsmtp_tls_context_t *context, const char *server_name,
                bool opportunistic)
{
  uvsmtp_tls_t *e;
  int err;
  *engine = NULL;
  if (context->is_server)
    server_name = NULL;
  else if (server_name == NULL && context->verify == UVSMTP_TLS_VERIFY_FULL)
    return UVSMTP_EINVAL;
  e = uvsmtp__calloc(&context->mem, 1, sizeof(*e));
  if (e == NULL)
    return UVSMTP_ENOMEM;
  atomic_fetch_add(&context->refs, 1);
  e->context = context;
  e->opportunistic = opportunistic;
  mbedtls_ssl_init(&e->ssl);
  err = set_up(e, server_name);
  if (err == 0 && context->no_trust != NULL && !opportunistic)
    uvsmtp__tls_fail(e, UVSMTP_ETLSCONFIG, context->no_trust);
  if (err != 0)
    uvsmtp_tls_free(e);
  else
    *engine = e;
  return err;
}

int uvsmtp_tls_new(uvsmtp_tls_t **engine, uvsmtp_tls_context_t *context, const char *server_name)
{
  return make(engine, context, server_name, false);
}

int uvsmtp_tls_new_opportunistic(uvsmtp_tls_t **engine, uvsmtp_tls_context_t *context,
                                 const char *server_name)
{
  *engine = NULL;
  return context->is_server ? UVSMTP_EINVAL : make(engine, context, server_name, true);
}

void uvsmtp_tls_free(uvsmtp_tls_t *e)
{
  uvsmtp_tls_context_t *context;
  if (e == NULL)
    return;
  context = e->context;
  mbedtls_ssl_free(&e->ssl);
  uvsmtp__free(&context->mem, e->name);
  uvsmtp__tls_forget_kept(e);
  uvsmtp__free(&context->mem, e->out);
  uvsmtp__free(&context->mem, e->reasons);
  uvsmtp__free(&context->mem, e->detail);
  uvsmtp__free(&context->mem, e->info);
  if (e->offered != NULL)
    uvsmtp__tls_session_unref(e->offered);
  uvsmtp__tls_check_unref(e->check);
  uvsmtp__free(&context->mem, e);
  uvsmtp__tls_context_unref(context);
}

const char *uvsmtp_tls_error_detail(const uvsmtp_tls_t *e)
{
  if (e->err == 0)
    return "";
  return e->detail != NULL ? e->detail : uvsmtp_strerror(e->err);
}
