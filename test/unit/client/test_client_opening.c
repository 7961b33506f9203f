/*
 * A client that is closed while its connections are being opened, at every turn of the loop: the
 * name is looked up, the worker threads shake hands, the greeting and EHLO are awaited, a token
 * service has not answered yet. And one that runs out of memory there.
 */
#include <signal.h>
#include <unistd.h>

#include "../../lib/scarce.h"
#include "../tls/certs.h"
#include "bench.h"
#include "uvsmtp.h"

#define TURNS_MAX 2000
#define MAILS 4

static identity_t identity;
static char cert_file[] = "/tmp/uvsmtp-test-cert-XXXXXX",
            key_file[] = "/tmp/uvsmtp-test-key-XXXXXX";

static int set_up_group(void **state)
{
  signal(SIGPIPE, SIG_IGN);
  make_identity(
      &identity,
      &(spec_t){.subject = "CN=localhost", .names = "DNS:localhost IP:127.0.0.1", .is_ca = 1});
  write_identity(&identity, cert_file, key_file);
  return 0;
}

static int tear_down_group(void **state)
{
  free_identity(&identity);
  unlink(cert_file);
  unlink(key_file);
  return 0;
}

/* ---- a token service ---- */

typedef struct service_s {
  uv_timer_t timer;
  uvsmtp_token_request_t *request; /* NULL: none is under way */
  int fetches, answers, cancels;
} service_t;

static void answer(uv_timer_t *timer)
{
  service_t *service = timer->data;
  uvsmtp_token_request_t *request = service->request;
  service->request = NULL;
  service->answers++;
  uvsmtp_auth_token_set(request, 0, "token", 3600);
}

static int fetch(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data)
{
  service_t *service = data;
  assert_null(service->request); /* one at a time */
  service->fetches++;
  service->request = request;
  uv_timer_start(&service->timer, answer, 3, 0);
  return 0;
}

static void cancel_fetch(uvsmtp_token_request_t *request, void *data)
{
  service_t *service = data;
  assert_ptr_equal(request, service->request);
  service->request = NULL;
  service->cancels++;
  uv_timer_stop(&service->timer);
  uvsmtp_auth_token_set(request, UVSMTP_ECANCELED, NULL, 0); /* and it is freed */
}

/* ---- the stage ---- */

typedef struct way_s {
  const char *host;
  uvsmtp_tls_mode_t tls;
  bool on_loop;
} way_t;

static const way_t ways[] = {{"localhost", UVSMTP_TLS_REQUIRED, false},
                             {"127.0.0.1", UVSMTP_TLS_REQUIRED, true},
                             {"127.0.0.1", UVSMTP_TLS_IMPLICIT, false}};

typedef struct stage_s {
  bench_t b;
  service_t service;
  uvsmtp_tls_context_t *tls;
  uvsmtp_auth_t *auth;
} stage_t;

static void make_tokens(stage_t *s)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  options.user = "ann";
  options.fetch = fetch;
  options.cancel_fetch = cancel_fetch;
  options.data = &s->service;
  assert_int_equal(uvsmtp_auth_oauth2_new(&s->auth, &options), 0);
}

static stage_t *begin(const way_t *way)
{
  stage_t *s = calloc(1, sizeof(*s));
  uvsmtp_tls_options_t tls = UVSMTP_TLS_OPTIONS_INIT;
  sink_options_t sink = {.tls_cert = cert_file,
                         .tls_key = key_file,
                         .tls_implicit = way->tls == UVSMTP_TLS_IMPLICIT,
                         .user = "ann",
                         .password = "token",
                         .auth_required = true,
                         .mechanisms = SINK_XOAUTH2 | SINK_OAUTHBEARER};
  bench_open(&s->b, &sink);
  tls.ca_pem = identity.cert;
  assert_int_equal(uvsmtp_tls_context_new(&s->tls, &tls, NULL, 0), 0);
  uv_timer_init(&s->b.loop, &s->service.timer);
  s->service.timer.data = &s->service;
  make_tokens(s);
  uv_unref((uv_handle_t *)&s->service.timer);
  return s;
}

/* 0, or why there is no client. */
static int make_client(stage_t *s, const way_t *way, const uvsmtp_mem_t *mem)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  connection.host = way->host;
  connection.port = sink_port(s->b.sink);
  connection.tls = way->tls;
  connection.tls_context = s->tls;
  connection.tls_on_loop = way->on_loop;
  connection.ehlo_domain = "client.example";
  connection.auths = &s->auth;
  connection.auth_count = 1;
  options.connection = &connection;
  options.data = &s->b;
  options.max_connections = 2;
  options.retry_delay_ms = 1;
  options.mem = mem;
  return uvsmtp_client_new(&s->b.client, &s->b.loop, &options, NULL, 0);
}

static void end(stage_t *s)
{
  uv_run(&s->b.loop, UV_RUN_DEFAULT);
  assert_true(s->b.closed);
  uvsmtp_auth_free(s->auth);
  assert_null(s->service.request);
  assert_int_equal(s->service.fetches, s->service.answers + s->service.cancels);
  uv_close((uv_handle_t *)&s->service.timer, NULL);
  uvsmtp_tls_context_free(s->tls);
  bench_finish(&s->b);
  free(s);
}

/* Closes after so many turns; false if the messages were there before. */
static bool close_after(const way_t *way, int turns, uvsmtp_close_t how)
{
  stage_t *s = begin(way);
  bool early;
  assert_int_equal(make_client(s, way, NULL), 0);
  bench_post_many(&s->b, MAILS);
  for (int i = 0; i < turns && s->b.done == 0; i++)
    uv_run(&s->b.loop, UV_RUN_ONCE);
  early = s->b.done == 0;
  s->b.in_call = true;
  uvsmtp_client_close_within(s->b.client, how, how == UVSMTP_CLOSE_DRAIN ? 0 : UINT64_MAX,
                             bench_on_closed);
  s->b.in_call = false;
  end(s);
  return early;
}

static void a_client_can_be_closed_at_every_turn_of_opening(void **state)
{
  for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
    int turns = 0;
    while (close_after(&ways[i], turns, UVSMTP_CLOSE_ABORT)) {
      close_after(&ways[i], turns, UVSMTP_CLOSE_FINISH);
      close_after(&ways[i], turns, UVSMTP_CLOSE_DRAIN);
      assert_true(++turns < TURNS_MAX);
    }
    assert_true(turns > 8); /* it was not over at once */
  }
}

/* Two clients share the authenticator: the one that has asked for the token goes, the other stays.
 */
static void a_token_is_fetched_on_for_those_who_stay(void **state)
{
  stage_t *s = begin(&ways[1]);
  uvsmtp_client_t *first;
  assert_int_equal(make_client(s, &ways[1], NULL), 0);
  first = s->b.client;
  bench_post_many(&s->b, 1);
  while (s->service.request == NULL)
    uv_run(&s->b.loop, UV_RUN_ONCE);
  assert_int_equal(make_client(s, &ways[1], NULL), 0);
  uvsmtp_client_close(first, UVSMTP_CLOSE_ABORT, NULL);
  assert_int_equal(bench_post(&s->b, 1), 0);
  while (s->b.mails[1].calls == 0)
    uv_run(&s->b.loop, UV_RUN_ONCE);
  assert_int_equal(s->b.mails[0].err, UVSMTP_ECANCELED);
  assert_int_equal(s->b.mails[1].status, UVSMTP_ACCEPTED);
  assert_int_equal(s->service.fetches, 1);
  bench_end(&s->b, UVSMTP_CLOSE_DRAIN);
  end(s);
}

/* ---- memory ---- */

static bool fail_allocation(const way_t *way, size_t fail_at)
{
  stage_t *s = begin(way);
  scarce_t scarce;
  bool failed;
  int err;
  scarce_init(&scarce, fail_at);
  scarce_watch(&scarce, "token", 5);
  err = make_client(s, way, &scarce.mem);
  if (err == 0) {
    for (size_t i = 0; i < MAILS; i++) {
      err = bench_post(&s->b, i);
      assert_true(err == 0 || err == UVSMTP_ENOMEM);
    }
    bench_end(&s->b, UVSMTP_CLOSE_DRAIN);
  } else {
    assert_int_equal(err, UVSMTP_ENOMEM);
    sink_close(s->b.sink, NULL);
    s->b.closed = true;
  }
  end(s);
  failed = scarce.count >= fail_at;
  assert_int_equal(scarce.held, 0);
  assert_int_equal(scarce.leaks, 0);
  return failed;
}

static void any_allocation_of_opening_may_fail(void **state)
{
  for (size_t i = 0; i < 2; i++) {
    size_t n = 1;
    while (fail_allocation(&ways[i], n))
      assert_true(++n < TURNS_MAX);
    assert_true(n > 20);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_client_can_be_closed_at_every_turn_of_opening),
      cmocka_unit_test(a_token_is_fetched_on_for_those_who_stay),
      cmocka_unit_test(any_allocation_of_opening_may_fail)};
  return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
