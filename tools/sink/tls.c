/*
 * TLS of a session: the engine of uvsmtp/tls.h as a server, between the network and the dialogue.
 */
#include "sink/internal.h"

#include <stdio.h>
#include <string.h>

int sink__tls_new(sink_t *sink, char *detail, size_t detail_size)
{
  const sink_options_t *o = &sink->options;
  uvsmtp_tls_options_t tls = UVSMTP_TLS_OPTIONS_INIT;

  if (o->tls_cert == NULL || o->tls_key == NULL) {
    snprintf(detail, detail_size, "TLS needs a certificate and its key");
    return UVSMTP_EINVAL;
  }
  tls.is_server = 1;
  tls.cert_file = o->tls_cert;
  tls.key_file = o->tls_key;
  tls.verify = UVSMTP_TLS_VERIFY_NO_NAME;
  if (o->tls_client_ca != NULL) {
    tls.ca_file = o->tls_client_ca;
    tls.client_cert = UVSMTP_TLS_CLIENT_CERT_REQUIRE;
  }
  if (o->tls_max != 0)
    tls.max_version = o->tls_max == 12 ? UVSMTP_TLS_1_2 : UVSMTP_TLS_1_3;
  return uvsmtp_tls_context_new(&sink->tls, &tls, detail, detail_size);
}

static void send_output(sink_session_t *s)
{
  uvsmtp_slice_t slice;

  for (uvsmtp_tls_output(s->tls, &slice); slice.len > 0; uvsmtp_tls_output(s->tls, &slice)) {
    sink__raw(s, slice.base, slice.len);
    uvsmtp_tls_sent(s->tls, slice.len);
  }
}

static void broken(sink_session_t *s, int err)
{
  sink__note(s, "TLS: %s: %s", uvsmtp_strerror(err), uvsmtp_tls_error_detail(s->tls));
  sink__end(s, SINK_END_FIN);
}

void sink__tls_start(sink_session_t *s)
{
  int err;

  sink__flush(s);
  s->hello = s->extended = false;
  s->user[0] = '\0';
  sink__session_reset(s);
  err = uvsmtp_tls_new(&s->tls, s->sink->tls, NULL);
  if (err != 0) {
    sink__note(s, "TLS: %s", uvsmtp_strerror(err));
    sink__end(s, SINK_END_FIN);
  }
}

static void shaken(sink_session_t *s)
{
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;

  s->tls_on = true;
  s->sink->counters.handshakes++;
  if (uvsmtp_tls_info(s->tls, &info) == 0) {
    s->sink->counters.handshakes_resumed += info.resumed != 0;
    sink__note(s, "%s, %s%s", info.version, info.cipher, info.resumed ? ", resumed" : "");
  }
  if (s->sink->options.tls_implicit)
    sink__session_greet(s);
}

/* True when the handshake is done. */
static bool shake(sink_session_t *s)
{
  size_t before;
  int err;

  do { /* a full output buffer makes it pause as well */
    before = uvsmtp_tls_pending_input(s->tls);
    err = uvsmtp_tls_handshake(s->tls);
    send_output(s);
  } while (err == UVSMTP_PENDING && uvsmtp_tls_pending_input(s->tls) > 0 &&
           uvsmtp_tls_pending_input(s->tls) < before);
  if (err == 0) {
    shaken(s);
    return true;
  }
  if (err != UVSMTP_PENDING) {
    s->sink->counters.handshakes_failed++;
    broken(s, err);
  }
  return false;
}

static void read_all(sink_session_t *s)
{
  while (!s->mute) {
    size_t len = 0;
    int err = uvsmtp_tls_read(s->tls, s->sink->plain_buffer, SINK_PLAIN_SIZE, &len);
    if (err == UVSMTP_PENDING)
      break;
    if (err != 0) {
      broken(s, err);
    } else if (len == 0) {
      sink__note(s, "close_notify came");
      sink__tls_notify(s);
      sink__end(s, SINK_END_FIN);
    } else {
      sink__session_input(s, s->sink->plain_buffer, len);
    }
  }
  send_output(s); /* alerts and the like */
}

void sink__tls_input(sink_session_t *s, const char *bytes, size_t len)
{
  enum { PIECE = 64 * 1024 }; /* the engine takes 128 KiB at most */

  while (len > 0 && !s->mute) {
    size_t n = len < PIECE ? len : PIECE;
    int err = uvsmtp_tls_feed(s->tls, bytes, n);
    if (err != 0)
      broken(s, err);
    else if (s->tls_on || shake(s))
      read_all(s);
    bytes += n;
    len -= n;
  }
}

void sink__tls_write(sink_session_t *s, const char *bytes, size_t len)
{
  while (len > 0 && !s->closing) {
    uvsmtp_slice_t slice = {bytes, len};
    size_t taken = 0;
    int err = uvsmtp_tls_write(s->tls, &slice, 1, &taken);
    send_output(s);
    if (err != 0 && err != UVSMTP_PENDING) {
      sink__session_close(s);
      return;
    }
    bytes += taken;
    len -= taken;
  }
}

void sink__tls_notify(sink_session_t *s)
{
  if (!s->tls_on || s->closing)
    return;
  sink__flush(s);
  uvsmtp_tls_close_notify(s->tls);
  send_output(s);
}
