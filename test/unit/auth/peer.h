#ifndef TEST_UNIT_AUTH_PEER_H
#define TEST_UNIT_AUTH_PEER_H

/* What all tests of lib/auth share: a connection without a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/scarce.h"
#include "uvsmtp/auth.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Stands for the connection: holds an exchange, notes wakes, keeps jobs until they are run. */
typedef struct peer_s {
  uvsmtp_auth_context_t context;
  uvsmtp_exchange_t *exchange;
  uvsmtp_slice_t response;
  uint64_t now_ms;
  unsigned wakes;
  uvsmtp_auth_job_t *jobs[16];
  size_t job_count;
  const char *binding_type; /* what TLS can give; NULL: nothing */
} peer_t;

/* Inside TLS, with digests, jobs done at once, nonce "fyko+d2lbbFgONRv9qkxdawL". */
void peer_init(peer_t *peer);
/* From now on jobs wait for peer_run_jobs. */
void peer_offload(peer_t *peer);
void peer_run_jobs(peer_t *peer);
/* TLS can give 32 bytes, 0 to 31, as `type`. */
void peer_bind(peer_t *peer, const char *type);

/* Begins an exchange of `mechanism` and takes its initial response. */
int peer_start(peer_t *peer, uvsmtp_auth_t *auth, const char *mechanism);
/* The server's challenge; without one (peer_continue), a suspended step goes on. */
int peer_challenge(peer_t *peer, const char *challenge);
int peer_continue(peer_t *peer);
int peer_finish(peer_t *peer, int code, const char *text);
void peer_end(peer_t *peer);

/* The last response is these bytes; NULL: there was none. */
#define assert_response(peer, bytes, n)                                                            \
  do {                                                                                             \
    assert_non_null((peer)->response.base);                                                        \
    assert_int_equal((peer)->response.len, (n));                                                   \
    assert_memory_equal((peer)->response.base, (bytes), (n));                                      \
  } while (0)
#define assert_response_text(peer, text) assert_response(peer, text, strlen(text))

/* The password authenticators' usual options. */
uvsmtp_auth_options_t user_options(const char *user, const char *password);

#endif
