#include "peer.h"

#include "uvsmtp/tls.h"

/* base64 of "fyko+d2lbbFgONRv9qkxdawL", the nonce of RFC 5802 section 5. */
static int fixed_random(void *out, size_t len)
{
  static const uint8_t bytes[] = {0x7f, 0x29, 0x28, 0xf9, 0xdd, 0xa5, 0x6d, 0xb1, 0x60,
                                  0x38, 0xd4, 0x6f, 0xf6, 0xa9, 0x31, 0x75, 0xac, 0x0b};
  assert_true(len <= sizeof(bytes));
  memcpy(out, bytes, len);
  return 0;
}

static void wake(void *owner)
{
  ((peer_t *)owner)->wakes++;
}

static int offload(void *owner, uvsmtp_auth_job_t *job)
{
  peer_t *peer = owner;
  assert_true(peer->job_count < COUNT(peer->jobs));
  peer->jobs[peer->job_count++] = job;
  return 0;
}

static int binding(void *owner, const char *type, uint8_t *out, size_t *len)
{
  const peer_t *peer = owner;
  if (strcmp(type, peer->binding_type) != 0)
    return UVSMTP_EAUTHUNSUPPORTED;
  assert_true(*len >= UVSMTP_CHANNEL_BINDING_MAX);
  for (*len = 0; *len < 32; ++*len)
    out[*len] = (uint8_t)*len;
  return 0;
}

void peer_init(peer_t *peer)
{
  static uvsmtp_crypto_t crypto;
  const uvsmtp_auth_context_t context = UVSMTP_AUTH_CONTEXT_INIT;
  crypto = *uvsmtp_tls_crypto();
  crypto.random = fixed_random;
  *peer = (peer_t){.context = context};
  peer->context.crypto = &crypto;
  peer->context.tls = true;
  peer->context.host = "server.example.com";
  peer->context.port = 587;
  peer->context.owner = peer;
  peer->context.wake = wake;
}

void peer_offload(peer_t *peer)
{
  peer->context.offload = offload;
}

void peer_run_jobs(peer_t *peer)
{
  for (size_t i = 0; i < peer->job_count; i++) {
    peer->jobs[i]->work(peer->jobs[i]);
    peer->jobs[i]->done(peer->jobs[i], 0);
  }
  peer->job_count = 0;
}

void peer_bind(peer_t *peer, const char *type)
{
  peer->binding_type = type;
  peer->context.channel_binding = binding;
}

int peer_start(peer_t *peer, uvsmtp_auth_t *auth, const char *mechanism)
{
  int err;
  peer->context.mechanism = mechanism;
  peer->exchange = NULL;
  err = uvsmtp_exchange_new(&peer->exchange, auth, &peer->context);
  return err != 0 ? err : peer_continue(peer);
}

int peer_challenge(peer_t *peer, const char *challenge)
{
  uvsmtp_slice_t slice = uvsmtp_slice(challenge);
  return uvsmtp_exchange_step(peer->exchange, peer->now_ms, &slice, &peer->response);
}

int peer_continue(peer_t *peer)
{
  return uvsmtp_exchange_step(peer->exchange, peer->now_ms, NULL, &peer->response);
}

int peer_finish(peer_t *peer, int code, const char *text)
{
  return uvsmtp_exchange_finish(peer->exchange, peer->now_ms, code, NULL, text);
}

void peer_end(peer_t *peer)
{
  uvsmtp_exchange_free(peer->exchange);
  peer->exchange = NULL;
}

uvsmtp_auth_options_t user_options(const char *user, const char *password)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  options.user = user;
  options.password = password;
  return options;
}
