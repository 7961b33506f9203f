/* One context, many threads; a handshake that is computed elsewhere than it is fed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"

#define THREADS 4
#define ROUNDS 5

typedef struct shared_s {
  uvsmtp_tls_context_t *client, *server;
} shared_t;

/* cmocka's assertions are not for other threads: 0 or what went wrong. */
static int carry(uvsmtp_tls_t *from, uvsmtp_tls_t *to)
{
  uvsmtp_slice_t slice;
  char *copy;
  int err;
  uvsmtp_tls_output(from, &slice);
  copy = malloc(slice.len + 1);
  memcpy(copy, slice.base != NULL ? slice.base : "", slice.len);
  uvsmtp_tls_sent(from, slice.len);
  err = uvsmtp_tls_feed(to, copy, slice.len);
  if (err == 0)
    err = uvsmtp_tls_handshake(to);
  uvsmtp_tls_keep(to);
  free(copy);
  return err;
}

static int one_round(shared_t *shared)
{
  uvsmtp_tls_t *client = NULL, *server = NULL;
  int a, b = UVSMTP_PENDING;
  if (uvsmtp_tls_new(&client, shared->client, "mail.example.org") != 0 ||
      uvsmtp_tls_new(&server, shared->server, NULL) != 0)
    return UVSMTP_ENOMEM;
  a = uvsmtp_tls_handshake(client);
  for (int turns = 0; turns < 6; turns++) {
    b = carry(client, server);
    a = carry(server, client);
  }
  uvsmtp_tls_free(client);
  uvsmtp_tls_free(server);
  return a != 0 ? a : b;
}

static void *many_rounds(void *arg)
{
  int err = 0;
  for (int i = 0; err == 0 && i < ROUNDS; i++)
    err = one_round(arg);
  return (void *)(intptr_t)err;
}

static void a_context_serves_many_threads_at_once(void **state)
{
  uvsmtp_tls_options_t c = client_options(), s = server_options();
  shared_t shared;
  pthread_t threads[THREADS];
  assert_int_equal(uvsmtp_tls_context_new(&shared.client, &c, NULL, 0), 0);
  assert_int_equal(uvsmtp_tls_context_new(&shared.server, &s, NULL, 0), 0);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, many_rounds, &shared), 0);
  for (int i = 0; i < THREADS; i++) {
    void *err;
    assert_int_equal(pthread_join(threads[i], &err), 0);
    assert_int_equal((intptr_t)err, 0);
  }
  uvsmtp_tls_context_free(shared.client);
  uvsmtp_tls_context_free(shared.server);
}

static void *shake_hands(void *engine)
{
  return (void *)(intptr_t)uvsmtp_tls_handshake(engine);
}

/* As uv_queue_work would: a thread of its own for each call. */
static int handshake_elsewhere(uvsmtp_tls_t *engine)
{
  pthread_t thread;
  void *err;
  assert_int_equal(pthread_create(&thread, NULL, shake_hands, engine), 0);
  assert_int_equal(pthread_join(thread, &err), 0);
  return (int)(intptr_t)err;
}

static void each_handshake_call_may_run_in_another_thread(void **state)
{
  pair_t pair = {0};
  int err = UVSMTP_PENDING;
  open_pair(&pair, NULL, NULL, "mail.example.org");
  for (int turns = 0; turns < 6 && err == UVSMTP_PENDING; turns++) {
    uvsmtp_slice_t slice;
    err = handshake_elsewhere(pair.client.tls);
    move(&pair, &pair.client, &pair.server);
    uvsmtp_tls_output(pair.server.tls, &slice);
    if (slice.len != 0)
      assert_int_equal(uvsmtp_tls_feed(pair.client.tls, slice.base, slice.len), 0);
    assert_int_equal(uvsmtp_tls_keep(pair.client.tls), 0);
    uvsmtp_tls_sent(pair.server.tls, slice.len);
  }
  assert_int_equal(err, 0);
  assert_int_equal(pair.server.handshake, 0);
  close_pair(&pair);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_context_serves_many_threads_at_once),
      cmocka_unit_test(each_handshake_call_may_run_in_another_thread),
  };
  return cmocka_run_group_tests(tests, make_world, free_world);
}
