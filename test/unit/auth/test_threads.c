/* An authenticator belongs to the first thread that uses it; others are refused, without a race. */
#include <pthread.h>
#include <stdatomic.h>

#include "peer.h"

typedef struct visit_s {
  uvsmtp_auth_t *auth;
  peer_t *peer; /* of the other thread: suspended */
  uvsmtp_token_request_t *request;
  int errs[6];
} visit_t;

static int keep_request(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data)
{
  *(uvsmtp_token_request_t **)data = request;
  return 0;
}

static uvsmtp_auth_t *fetching(uvsmtp_token_request_t **request)
{
  uvsmtp_auth_options_t options = user_options("user", NULL);
  uvsmtp_auth_t *auth = NULL;
  options.fetch = keep_request;
  options.data = request;
  assert_int_equal(uvsmtp_auth_oauth2_new(&auth, &options), 0);
  return auth;
}

static void run_on_a_thread(void *(*function)(void *), void *data)
{
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, function, data), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *use(void *data)
{
  visit_t *visit = data;
  uvsmtp_auth_context_t context = UVSMTP_AUTH_CONTEXT_INIT;
  uvsmtp_exchange_t *exchange = NULL;
  context.tls = true;
  visit->errs[0] = uvsmtp_auth_claim(visit->auth);
  visit->errs[1] = uvsmtp_exchange_new(&exchange, visit->auth, &context);
  visit->errs[5] = uvsmtp_auth_check_thread(visit->auth);
  visit->errs[2] = uvsmtp_auth_clear_cached_token(visit->auth);
  visit->errs[3] = uvsmtp_exchange_resume(visit->peer->exchange, 0);
  visit->errs[4] = uvsmtp_auth_token_set(visit->request, 0, "token", 3600);
  uvsmtp_auth_free(uvsmtp_auth_acquire(visit->auth));
  return NULL;
}

static void another_thread_is_refused_and_changes_nothing(void **state)
{
  visit_t visit = {0};
  peer_t peer;
  visit.auth = fetching(&visit.request);
  visit.peer = &peer;
  peer_init(&peer);
  peer.context.tls = true;
  assert_int_equal(peer_start(&peer, visit.auth, NULL), UVSMTP_PENDING);
  run_on_a_thread(use, &visit);
  for (size_t i = 0; i < COUNT(visit.errs); i++)
    assert_int_equal(visit.errs[i], UVSMTP_EAUTHTHREAD);
  assert_int_equal(peer.wakes, 0);
  /* The request is still open. */
  assert_int_equal(uvsmtp_auth_token_set(visit.request, 0, "token", 3600), 0);
  assert_int_equal(peer_continue(&peer), 0);
  peer_end(&peer);
  uvsmtp_auth_free(visit.auth);
}

static void *log_in(void *data)
{
  peer_t peer;
  peer_init(&peer);
  if (peer_start(&peer, data, NULL) == 0 && peer_finish(&peer, 235, NULL) == 0)
    uvsmtp_auth_free(data);
  peer_end(&peer);
  return NULL;
}

static void one_that_is_made_here_may_be_used_there(void **state)
{
  uvsmtp_auth_options_t options = user_options("user", "pencil");
  scarce_t scarce;
  uvsmtp_auth_t *auth;
  scarce_init(&scarce, 0);
  options.mem = &scarce.mem;
  assert_int_equal(uvsmtp_auth_plain_new(&auth, &options), 0);
  run_on_a_thread(log_in, auth);
  assert_int_equal(scarce.held, 0);
}

/* Ten threads want it at once; one gets it. All hold it for a while, and the last to go frees it.
 */
typedef struct crowd_s {
  uvsmtp_auth_t *auth;
  atomic_uint owners, refused;
} crowd_t;

static void *want(void *data)
{
  crowd_t *crowd = data;
  for (int i = 0; i < 100; i++) {
    uvsmtp_auth_t *held = uvsmtp_auth_acquire(crowd->auth);
    atomic_fetch_add(uvsmtp_auth_claim(held) == 0 ? &crowd->owners : &crowd->refused, 1);
    uvsmtp_auth_free(held);
  }
  uvsmtp_auth_free(crowd->auth);
  return NULL;
}

static void one_of_many_threads_gets_it(void **state)
{
  uvsmtp_auth_options_t options = user_options("user", "pencil");
  pthread_t threads[10];
  crowd_t crowd = {0};
  assert_int_equal(uvsmtp_auth_plain_new(&crowd.auth, &options), 0);
  for (size_t i = 1; i < COUNT(threads); i++)
    uvsmtp_auth_acquire(crowd.auth);
  for (size_t i = 0; i < COUNT(threads); i++)
    assert_int_equal(pthread_create(&threads[i], NULL, want, &crowd), 0);
  for (size_t i = 0; i < COUNT(threads); i++)
    assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_int_equal(crowd.owners + crowd.refused, 1000);
  assert_in_range(crowd.owners, 100, 1000);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(another_thread_is_refused_and_changes_nothing),
      cmocka_unit_test(one_that_is_made_here_may_be_used_there),
      cmocka_unit_test(one_of_many_threads_gets_it),
  };
  return cmocka_run_group_tests_name("auth/threads", tests, NULL, NULL);
}
