/* Memory that runs out at each allocation, and random bytes from the server. */
#include <stdio.h>

#include "peer.h"

#include "auth/scram.h"
#include "uvsmtp/tls.h"

#define NONCE "fyko+d2lbbFgONRv9qkxdawL"
#define PASSWORD "pencil"
#define TOKEN "ya29.a0AfH6SMBx-long-token"
/* With four iterations, so that many fit into a test. */
#define SIGNATURE "v=usd8qbEVd8W4kaaRZl0GV7WX1a0="

/* ---- Out of memory ---- */

typedef int (*constructor_t)(uvsmtp_auth_t **, const uvsmtp_auth_options_t *);

static int token_at_once(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data)
{
  /* An error would say that the request is still there. */
  uvsmtp_auth_token_set(request, 0, TOKEN, 3600);
  return 0;
}

static int echo_step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
{
  return uvsmtp_exchange_respond(exchange, challenge.base, challenge.len);
}

static int custom_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options)
{
  static const uvsmtp_mechanism_t echo = {
      .size = sizeof(uvsmtp_mechanism_t), .name = "ECHO", .step = echo_step};
  return uvsmtp_auth_custom_new(auth, &echo, NULL, options->mem);
}

typedef struct scenario_s {
  constructor_t constructor;
  const char *mechanism;
  const char *challenges[3];
  bool token;
} scenario_t;

static int dialogue(const scenario_t *scenario, peer_t *peer, uvsmtp_auth_t *auth)
{
  int err = peer_start(peer, auth, scenario->mechanism);
  for (size_t i = 0; err == 0 && i < COUNT(scenario->challenges); i++) {
    if (scenario->challenges[i] == NULL)
      break;
    err = peer_challenge(peer, scenario->challenges[i]);
    if (err == UVSMTP_PENDING) {
      peer_run_jobs(peer);
      err = peer_continue(peer);
    }
  }
  if (err == 0)
    err = peer_finish(peer, 235, "ok");
  return err;
}

/* The keys that the dialogues with SCRAM make of the password are as good as the password. */
static uvsmtp__scram_key_t keys[2];

static int derive_keys(void **state)
{
  static const struct {
    uvsmtp_digest_t digest;
    const char *salt;
    size_t salt_len;
  } rows[] = {
      {UVSMTP_DIGEST_SHA1, "\x41\x25\xc2\x47\xe4\x3a\xb1\xe9\x3c\x6d\xff\x76", 12},
      {UVSMTP_DIGEST_SHA256, "defghijklmnopqrs", 16},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const uvsmtp__scram_recipe_t recipe = {.crypto = uvsmtp_tls_crypto(),
                                           .digest = rows[i].digest,
                                           .password = PASSWORD,
                                           .salt = {rows[i].salt, rows[i].salt_len},
                                           .iterations = 4096};
    if (uvsmtp__scram_derive(&recipe, &keys[i]) != 0)
      return -1;
  }
  return 0;
}

static void watch_secrets(scarce_t *scarce)
{
  scarce_watch(scarce, PASSWORD, strlen(PASSWORD));
  scarce_watch(scarce, TOKEN, strlen(TOKEN));
  for (size_t i = 0; i < COUNT(keys); i++) {
    scarce_watch(scarce, keys[i].client_key, 20);
    scarce_watch(scarce, keys[i].server_key, 20);
  }
}

/* Runs it with the allocation number `fail_at` failing; whether that was one of its own. */
static bool run_scarce(const scenario_t *scenario, size_t fail_at)
{
  uvsmtp_auth_options_t options = user_options("user", PASSWORD);
  uvsmtp_auth_t *auth = NULL;
  scarce_t scarce;
  peer_t peer;
  bool failed;
  int err;
  scarce_init(&scarce, fail_at);
  watch_secrets(&scarce);
  options.mem = &scarce.mem;
  options.fetch = scenario->token ? token_at_once : NULL;
  peer_init(&peer);
  peer_offload(&peer);
  peer.context.mem = &scarce.mem;
  peer_bind(&peer, "tls-exporter");
  err = scenario->constructor(&auth, &options);
  if (err == 0)
    err = dialogue(scenario, &peer, auth);
  failed = scarce.count >= fail_at;
  assert_int_equal(err, failed ? UVSMTP_ENOMEM : 0);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
  assert_int_equal(scarce.held, 0);
  assert_int_equal(scarce.leaks, 0);
  return failed;
}

static void running_out_of_memory_is_an_error_and_leaks_neither_memory_nor_secrets(void **state)
{
  static const scenario_t scenarios[] = {
      {uvsmtp_auth_plain_new, NULL, {NULL}, false},
      {uvsmtp_auth_login_new, NULL, {"User", "Password"}, false},
      {uvsmtp_auth_cram_md5_new, NULL, {"<1@x>"}, false},
      {uvsmtp_auth_password_new,
       "SCRAM-SHA-1",
       {"r=" NONCE "3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
       false},
      {uvsmtp_auth_password_new,
       "SCRAM-SHA-256-PLUS",
       {"r=" NONCE "SrvPlus,s=ZGVmZ2hpamtsbW5vcHFycw==,i=4096",
        "v=X7p7UpZjN+cOBwXDVzmkArGWCszszyc24Zmhomd8YYY="},
       false},
      {uvsmtp_auth_oauth2_new, NULL, {"{}"}, true},
      {uvsmtp_auth_xoauth2_new, NULL, {"{}"}, true},
      {custom_new, NULL, {"x", "", "y"}, false},
  };
  for (size_t i = 0; i < COUNT(scenarios); i++) {
    size_t fail_at = 1;
    while (run_scarce(&scenarios[i], fail_at))
      fail_at++;
    assert_true(fail_at > 3);
  }
}

/* Whatever point of the dialogue it is at, and whether its job still runs. */
static void a_cancelled_exchange_leaves_no_secret(void **state)
{
  static const char first[] = "r=" NONCE "3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
  static const char *const mechanisms[] = {"PLAIN", "CRAM-MD5", "LOGIN", "SCRAM-SHA-1"};
  for (size_t i = 0; i < 2 * COUNT(mechanisms); i++) {
    uvsmtp_auth_options_t options = user_options("user", PASSWORD);
    uvsmtp_auth_t *auth = NULL;
    scarce_t scarce;
    peer_t peer;
    scarce_init(&scarce, 0);
    watch_secrets(&scarce);
    options.mem = &scarce.mem;
    peer_init(&peer);
    peer_offload(&peer);
    peer.context.mem = &scarce.mem;
    assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
    assert_int_equal(peer_start(&peer, auth, mechanisms[i / 2]), 0);
    if (i % 2 == 1)
      peer_challenge(&peer, first);
    uvsmtp_auth_free(auth);
    peer_end(&peer);
    peer_run_jobs(&peer);
    assert_int_equal(scarce.held, 0);
    assert_int_equal(scarce.leaks, 0);
  }
}

/* ---- Random bytes ---- */

static uint32_t seed;

/* xorshift32: the same sequence everywhere. */
static uint32_t next_random(void)
{
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

/* A good challenge with a few bytes changed, cut off or doubled; or nothing but noise. */
static size_t mutate(char *out, size_t room, const char *good)
{
  size_t len = strlen(good);
  if (next_random() % 4 == 0) {
    len = next_random() % room;
    for (size_t i = 0; i < len; i++)
      out[i] = (char)next_random();
    return len;
  }
  memcpy(out, good, len);
  for (uint32_t n = next_random() % 4; n > 0 && len > 0; n--)
    out[next_random() % len] = "=,\0r"[next_random() % 4];
  if (len > 0 && next_random() % 3 == 0)
    len = next_random() % len;
  return len;
}

static int challenge_with(peer_t *peer, const char *bytes, size_t len)
{
  uvsmtp_slice_t challenge;
  int err;
  /* Exactly as long as it is, so that a byte read beyond it is found. */
  char *copy = malloc(len + (len == 0));
  assert_non_null(copy);
  memcpy(copy, bytes, len);
  challenge = (uvsmtp_slice_t){copy, len};
  err = uvsmtp_exchange_step(peer->exchange, 0, &challenge, &peer->response);
  free(copy);
  return err;
}

static void assert_fails_as_documented(int err)
{
  if (err != 0 && err != UVSMTP_EAUTHCHALLENGE && err != UVSMTP_EAUTHSERVER)
    fail_msg("%s", uvsmtp_err_name(err));
}

static void random_challenges_are_answered_or_refused(void **state)
{
  static const struct {
    const char *mechanism;
    const char *good[2];
  } rows[] = {
      {"SCRAM-SHA-1", {"r=" NONCE "3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4", SIGNATURE}},
      {"CRAM-MD5", {"<1896.697170952@postoffice.reston.mci.net>", ""}},
      {"LOGIN", {"VXNlcm5hbWU6", "Password:"}},
      {"PLAIN", {"", ""}},
  };
  uvsmtp_auth_options_t options = user_options("user", "pencil");
  uvsmtp_auth_t *auth;
  unsigned believed = 0;
  options.min_iterations = 1;
  options.max_iterations = 9;
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
  seed = 0x5eed1234;
  for (int run = 0; run < 20000; run++) {
    size_t row = (size_t)run % COUNT(rows), len = 0;
    char bytes[128];
    peer_t peer;
    int err;
    peer_init(&peer);
    err = peer_start(&peer, auth, rows[row].mechanism);
    assert_int_equal(err, 0);
    for (size_t i = 0; err == 0 && i < COUNT(rows[row].good); i++) {
      len = mutate(bytes, sizeof(bytes), rows[row].good[i]);
      err = challenge_with(&peer, bytes, len);
      assert_fails_as_documented(err);
    }
    /* A server is believed only with its own signature. */
    if (row == 0 && peer_finish(&peer, 235, NULL) == 0) {
      assert_true(len >= strlen(SIGNATURE) && memcmp(bytes, SIGNATURE, strlen(SIGNATURE)) == 0);
      believed++;
    }
    peer_end(&peer);
  }
  assert_in_range(believed, 1, 1000);
  uvsmtp_auth_free(auth);
}

static void random_error_texts_of_oauth_servers_are_harmless(void **state)
{
  static const char *const mechanisms[] = {"XOAUTH2", "OAUTHBEARER"};
  uvsmtp_auth_options_t options = user_options("user", NULL);
  uvsmtp_auth_t *auth;
  options.token = "token";
  assert_int_equal(uvsmtp_auth_oauth2_new(&auth, &options), 0);
  seed = 0x5eed5678;
  for (int run = 0; run < 4000; run++) {
    char bytes[512];
    const char *detail;
    peer_t peer;
    peer_init(&peer);
    assert_int_equal(peer_start(&peer, auth, mechanisms[run % 2]), 0);
    assert_int_equal(challenge_with(&peer, bytes, mutate(bytes, sizeof(bytes), "{\"a\":\"b\"}")),
                     0);
    assert_int_equal(peer_finish(&peer, 535, "no"), UVSMTP_EAUTH);
    detail = uvsmtp_exchange_detail(peer.exchange);
    for (const char *c = detail; *c != '\0'; c++)
      assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
    assert_string_equal(detail + strlen(detail) - 6, "535 no");
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void random_first_messages_point_into_themselves(void **state)
{
  seed = 0x5eed9abc;
  for (int run = 0; run < 50000; run++) {
    char bytes[128];
    size_t len = mutate(bytes, sizeof(bytes), "r=oursTheirs,s=QSXCR+Q6sek8bf92,i=4096,x=y");
    uvsmtp_slice_t message = {bytes, len};
    uvsmtp__scram_first_t first;
    if (uvsmtp__scram_read_first(&first, message, "ours") != NULL)
      continue;
    assert_true(first.nonce.base >= bytes && first.nonce.base + first.nonce.len <= bytes + len);
    assert_true(first.salt.base >= bytes && first.salt.base + first.salt.len <= bytes + len);
    assert_true(first.nonce.len > 4 && first.salt.len > 0 && first.iterations > 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(running_out_of_memory_is_an_error_and_leaks_neither_memory_nor_secrets),
      cmocka_unit_test(a_cancelled_exchange_leaves_no_secret),
      cmocka_unit_test(random_challenges_are_answered_or_refused),
      cmocka_unit_test(random_error_texts_of_oauth_servers_are_harmless),
      cmocka_unit_test(random_first_messages_point_into_themselves),
  };
  return cmocka_run_group_tests_name("auth/memory", tests, derive_keys, NULL);
}
