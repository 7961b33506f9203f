/*
 * SCRAM. The vectors are those of RFC 5802 and RFC 7677; those with SHA-512, channel binding and
 * authorization identity were computed with another implementation of the digests.
 */
#include <stdio.h>

#include "peer.h"

#include "auth/saslprep.h"
#include "auth/scram.h"
#include "uvsmtp/tls.h"

#define NONCE "fyko+d2lbbFgONRv9qkxdawL"
#define OURS "n,,n=user,r=" NONCE
#define FIRST "r=" NONCE "3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
#define FINAL "c=biws,r=" NONCE "3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
#define SIGNATURE "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="

static uvsmtp_auth_t *make(const char *user, const char *password, const char *authzid)
{
  uvsmtp_auth_options_t options = user_options(user, password);
  uvsmtp_auth_t *auth = NULL;
  options.authzid = authzid;
  assert_int_equal(uvsmtp_auth_scram_new(&auth, (uvsmtp_digest_t)0, &options), 0);
  return auth;
}

static void start(peer_t *peer, uvsmtp_auth_t *auth)
{
  peer_init(peer);
  assert_int_equal(peer_start(peer, auth, "SCRAM-SHA-1"), 0);
}

/* Up to where the server has to prove itself. */
static void start_and_prove(peer_t *peer, uvsmtp_auth_t *auth)
{
  start(peer, auth);
  assert_int_equal(peer_challenge(peer, FIRST), 0);
}

static void scram_speaks_the_dialogues_of_the_vectors(void **state)
{
  static const struct {
    const char *mechanism, *user, *password, *authzid, *binding, *offered;
    const char *ours, *first, *final, *signature;
  } rows[] = {
      {"SCRAM-SHA-1", "user", "pencil", NULL, NULL, NULL, OURS, FIRST, FINAL, SIGNATURE},
      {"SCRAM-SHA-512", "user", "pencil", NULL, NULL, NULL, OURS,
       "r=" NONCE "Srv512nonce,s=AAECAwQFBgcICQoLDA0ODw==,i=10000",
       "c=biws,r=" NONCE "Srv512nonce,p=6VCk3sCn0TFwLrDuVmluxhMWaBVfOSDQ0urf91CP2tW/h15Uiu7S+"
       "qXFw05pJo30ZrhGtq4O92v95b4fmOngxg==",
       "v=8JK3L4rScvRmLTVI7EnLBL1Nj7oxtoYRlH4u2Q4dPvMDouEQu5NsAXs++C05Zc3heTSnQMBM5EEBB7hLsRyFVQ="
       "="},
      {"SCRAM-SHA-256-PLUS", "user", "pencil", NULL, "tls-exporter", NULL,
       "p=tls-exporter,,n=user,r=" NONCE, "r=" NONCE "SrvPlus,s=ZGVmZ2hpamtsbW5vcHFycw==,i=4096",
       "c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,r=" NONCE
       "SrvPlus,p=vQDqef+Yp+DeORLa03rlP2kOlZKOkeQmRRH2lsJ2F2o=",
       "v=X7p7UpZjN+cOBwXDVzmkArGWCszszyc24Zmhomd8YYY="},
      {"SCRAM-SHA-256", "us=er,", "pencil", "ad,min", "tls-unique", "PLAIN SCRAM-SHA-256",
       "y,a=ad=2Cmin,n=us=3Der=2C,r=" NONCE, "r=" NONCE "SrvY,s=ZGVmZ2hpamtsbW5vcHFycw==,i=4096",
       "c=eSxhPWFkPTJDbWluLA==,r=" NONCE "SrvY,p=t9Lwdry1XbIDnmptLJ8L0pTrcDzCtqITIu0ftYdKFDg=",
       "v=UmKqUbjsFFSeSEjZZItpFAGccXXq1/5UNUMBc2v75+M="},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_auth_t *auth = make(rows[i].user, rows[i].password, rows[i].authzid);
    peer_t peer;
    peer_init(&peer);
    if (rows[i].binding != NULL)
      peer_bind(&peer, rows[i].binding);
    peer.context.offered = rows[i].offered;
    assert_int_equal(peer_start(&peer, auth, rows[i].mechanism), 0);
    assert_response_text(&peer, rows[i].ours);
    assert_int_equal(peer_challenge(&peer, rows[i].first), 0);
    assert_response_text(&peer, rows[i].final);
    assert_int_equal(peer_challenge(&peer, rows[i].signature), 0);
    assert_response_text(&peer, "");
    assert_int_equal(peer_finish(&peer, 235, "ok"), 0);
    peer_end(&peer);
    uvsmtp_auth_free(auth);
  }
}

static void scram_sha_256_computes_the_proof_of_rfc_7677(void **state)
{
  static const char message[] =
      "n=user,r=rOprNGfwEbeRWgbNEkqO,"
      "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  static const uint8_t salt[] = {0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e,
                                 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81};
  static const uint8_t want_proof[] = {0x74, 0x7c, 0xdb, 0x65, 0xaa, 0x56, 0x22, 0x4e,
                                       0x23, 0x52, 0x13, 0x7e, 0x52, 0xd7, 0xbd, 0xca,
                                       0xd6, 0xa0, 0xf7, 0x38, 0xdf, 0x30, 0x78, 0x2c,
                                       0xaa, 0x69, 0xa2, 0xcf, 0xb0, 0x27, 0x75, 0x54};
  uint8_t proof[UVSMTP_DIGEST_MAX], signature[UVSMTP_DIGEST_MAX];
  const uvsmtp__scram_recipe_t recipe = {.crypto = uvsmtp_tls_crypto(),
                                         .digest = UVSMTP_DIGEST_SHA256,
                                         .password = "pencil",
                                         .salt = {(const char *)salt, sizeof(salt)},
                                         .iterations = 4096};
  uvsmtp__scram_key_t key;
  assert_int_equal(uvsmtp__scram_derive(&recipe, &key), 0);
  assert_int_equal(uvsmtp__scram_sign(recipe.crypto, recipe.digest, &key, uvsmtp_slice(message),
                                      proof, signature),
                   0);
  assert_memory_equal(proof, want_proof, 32);
}

/* What the server may say first, and what becomes of it. */
static void malformed_first_challenges_end_the_exchange(void **state)
{
  static const struct {
    const char *challenge, *detail;
  } rows[] = {
      {"", "no nonce"},
      {"r=", "nonce does not continue ours"},
      {"r=" NONCE ",s=QSXCR+Q6sek8bf92,i=4096", "nonce does not continue ours"},
      {"r=other,s=QSXCR+Q6sek8bf92,i=4096", "nonce does not continue ours"},
      {"r=" NONCE "\x01,s=QSXCR+Q6sek8bf92,i=4096", "no nonce"},
      {"r=" NONCE "x", "no salt"},
      {"r=" NONCE "x,s=,i=4096", "no salt"},
      {"r=" NONCE "x,s=QSX,i=4096", "not base64"},
      {"r=" NONCE "x,s=QSXCR+Q6sek8bf92", "no iteration count"},
      {"r=" NONCE "x,s=QSXCR+Q6sek8bf92,i=", "no iteration count"},
      {"r=" NONCE "x,s=QSXCR+Q6sek8bf92,i=-1", "no iteration count"},
      {"r=" NONCE "x,s=QSXCR+Q6sek8bf92,i=04096", "no iteration count"},
      {"r=" NONCE "x,s=QSXCR+Q6sek8bf92,i=4096 ", "no iteration count"},
      {"r=" NONCE "x,s=QSXCR+Q6sek8bf92,i=99999999999", "no iteration count"},
      {"r=" NONCE "x,s=QSXCR+Q6sek8bf92,i=4294967296", "no iteration count"},
      {"r=" NONCE "x,s=QSXCR+Q6sek8bf92,i=4095", "4095 iterations; 4096 to 1000000"},
      {"r=" NONCE "x,s=QSXCR+Q6sek8bf92,i=1000001", "1000001 iterations"},
      {"m=ext,r=" NONCE "x,s=QSXCR+Q6sek8bf92,i=4096", "extension"},
      {"s=QSXCR+Q6sek8bf92,r=" NONCE "x,i=4096", "no nonce"},
  };
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  for (size_t i = 0; i < COUNT(rows); i++) {
    peer_t peer;
    start(&peer, auth);
    assert_int_equal(peer_challenge(&peer, rows[i].challenge), UVSMTP_EAUTHCHALLENGE);
    assert_non_null(strstr(uvsmtp_exchange_detail(peer.exchange), rows[i].detail));
    assert_int_equal(peer_finish(&peer, 501, "cancelled"), UVSMTP_EAUTHCHALLENGE);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void a_challenge_or_salt_too_long_is_refused(void **state)
{
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  static char challenge[10000];
  peer_t peer;
  for (size_t len = 1400; len <= 9000; len += 7600) {
    int at = snprintf(challenge, sizeof(challenge), "r=%sx,s=", NONCE);
    memset(challenge + at, 'A', len);
    strcpy(challenge + at + len, ",i=4096");
    start(&peer, auth);
    assert_int_equal(peer_challenge(&peer, challenge), UVSMTP_EAUTHCHALLENGE);
    assert_non_null(strstr(uvsmtp_exchange_detail(peer.exchange), "too long"));
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void extensions_behind_the_iteration_count_are_ignored(void **state)
{
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  peer_t peer;
  start(&peer, auth);
  assert_int_equal(peer_challenge(&peer, FIRST ",x=y"), 0);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void success_without_the_servers_signature_is_not_believed(void **state)
{
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  for (int steps = 0; steps < 3; steps++) {
    peer_t peer;
    start(&peer, auth);
    if (steps >= 1)
      assert_int_equal(peer_challenge(&peer, FIRST), 0);
    if (steps >= 2)
      assert_int_equal(peer_challenge(&peer, "e=other-error"), 0);
    assert_int_equal(peer_finish(&peer, 235, "welcome"), UVSMTP_EAUTHSERVER);
    assert_non_null(strstr(uvsmtp_exchange_detail(peer.exchange), "without proving"));
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void a_wrong_server_signature_ends_the_exchange(void **state)
{
  static const char *const rows[] = {
      "v=rmF9pqV8S7suAoZWja4dJRkFsKR=", "v=smF9pqV8S7suAoZWja4dJRkFsKQ=", "v=", "", "v=rmF9",
      "x=rmF9pqV8S7suAoZWja4dJRkFsKQ="};
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  for (size_t i = 0; i < COUNT(rows); i++) {
    peer_t peer;
    start_and_prove(&peer, auth);
    assert_int_equal(peer_challenge(&peer, rows[i]), UVSMTP_EAUTHSERVER);
    assert_int_equal(peer_finish(&peer, 235, "welcome"), UVSMTP_EAUTHSERVER);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void the_servers_error_stands_in_the_detail(void **state)
{
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  peer_t peer;
  start_and_prove(&peer, auth);
  assert_int_equal(peer_challenge(&peer, "e=invalid-proof"), 0);
  assert_response_text(&peer, "");
  assert_int_equal(peer_finish(&peer, 535, "5.7.8 no"), UVSMTP_EAUTH);
  assert_string_equal(uvsmtp_exchange_detail(peer.exchange),
                      "SCRAM error invalid-proof; the server said: 535 5.7.8 no");
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

/* RFC 5802 section 6: the server's answer to "y", and to a binding that is not its own. */
static void a_server_that_sees_another_connection_ends_all_attempts(void **state)
{
  static const struct {
    const char *mechanism, *offered, *first, *final;
  } rows[] = {
      {"SCRAM-SHA-1", "SCRAM-SHA-1 PLAIN", "e=server-does-support-channel-binding", NULL},
      {"SCRAM-SHA-1", "SCRAM-SHA-1 PLAIN", FIRST, "e=server-does-support-channel-binding"},
      {"SCRAM-SHA-1-PLUS", "SCRAM-SHA-1-PLUS PLAIN", FIRST, "e=channel-bindings-dont-match"},
  };
  uvsmtp_auth_t *auth;
  uvsmtp_auth_options_t options = user_options("user", "pencil");
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_auth_choice_t choice = UVSMTP_AUTH_CHOICE_INIT;
    peer_t peer;
    int err;
    peer_init(&peer);
    peer_bind(&peer, "tls-unique");
    peer.context.offered = choice.offered = rows[i].offered;
    choice.auths = &auth;
    choice.auth_count = 1;
    choice.tls = choice.channel_binding = true;
    assert_int_equal(uvsmtp_auth_choose(&choice, NULL, 0), 0);
    assert_string_equal(choice.mechanism, rows[i].mechanism);
    assert_int_equal(peer_start(&peer, auth, choice.mechanism), 0);
    err = peer_challenge(&peer, rows[i].first);
    if (rows[i].final != NULL) {
      assert_int_equal(err, 0);
      err = peer_challenge(&peer, rows[i].final);
    }
    assert_int_equal(err, UVSMTP_EAUTHSERVER);
    assert_int_equal(peer_finish(&peer, 501, "cancelled"), UVSMTP_EAUTHSERVER);
    assert_int_equal(uvsmtp_auth_choose(&choice, peer.exchange, 0), UVSMTP_EAUTHSERVER);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void after_the_servers_error_there_is_nothing_more_to_say(void **state)
{
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  for (int late = 0; late < 2; late++) {
    peer_t peer;
    start(&peer, auth);
    if (late)
      assert_int_equal(peer_challenge(&peer, FIRST), 0);
    assert_int_equal(peer_challenge(&peer, "e=other-error"), 0);
    assert_response_text(&peer, "");
    assert_int_equal(peer_challenge(&peer, "e=other-error"), UVSMTP_EAUTHCHALLENGE);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void the_binding_flag_tells_the_server_what_we_saw(void **state)
{
  static const struct {
    const char *mechanism, *binding, *offered, *header;
    bool tls;
  } rows[] = {
      {"SCRAM-SHA-1", NULL, "SCRAM-SHA-1", "n,,", true},
      {"SCRAM-SHA-1", "tls-unique", "SCRAM-SHA-1 PLAIN", "y,,", true},
      {"SCRAM-SHA-1", "tls-unique", "SCRAM-SHA-1", "n,,", false},
      {"SCRAM-SHA-1", "tls-unique", "SCRAM-SHA-1 SCRAM-SHA-1-PLUS", "n,,", true},
      {"SCRAM-SHA-1", "tls-unique", "SCRAM-SHA-1 SCRAM-SHA-256-PLUS", "n,,", true},
      {"SCRAM-SHA-1", "tls-unique", NULL, "n,,", true},
      {"SCRAM-SHA-1-PLUS", "tls-unique", "SCRAM-SHA-1-PLUS", "p=tls-unique,,", true},
      {"SCRAM-SHA-1-PLUS", "tls-server-end-point", NULL, "p=tls-server-end-point,,", true},
  };
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  for (size_t i = 0; i < COUNT(rows); i++) {
    peer_t peer;
    peer_init(&peer);
    if (rows[i].binding != NULL)
      peer_bind(&peer, rows[i].binding);
    peer.context.offered = rows[i].offered;
    peer.context.tls = rows[i].tls;
    assert_int_equal(peer_start(&peer, auth, rows[i].mechanism), 0);
    assert_memory_equal(peer.response.base, rows[i].header, strlen(rows[i].header));
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

static void plus_without_a_binding_cannot_run(void **state)
{
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  peer_t peer;
  peer_init(&peer);
  assert_int_equal(peer_start(&peer, auth, "SCRAM-SHA-1-PLUS"), UVSMTP_EAUTHUNSUPPORTED);
  peer_end(&peer);
  peer_bind(&peer, "tls-future");
  assert_int_equal(peer_start(&peer, auth, "SCRAM-SHA-1-PLUS"), UVSMTP_EAUTHUNSUPPORTED);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

/* ---- Keys ---- */

static unsigned stretched;

static int counting_pbkdf2(uvsmtp_digest_t digest, const void *password, size_t password_len,
                           const void *salt, size_t salt_len, uint32_t iterations, uint8_t *out,
                           size_t out_len)
{
  stretched++;
  return uvsmtp_tls_crypto()->pbkdf2(digest, password, password_len, salt, salt_len, 1, out,
                                     out_len);
}

static void count_stretching(peer_t *peer, uvsmtp_crypto_t *crypto)
{
  peer_init(peer);
  *crypto = *peer->context.crypto;
  crypto->pbkdf2 = counting_pbkdf2;
  peer->context.crypto = crypto;
}

static void a_key_is_computed_once_for_all_connections(void **state)
{
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  uvsmtp_crypto_t crypto;
  peer_t peers[5];
  stretched = 0;
  for (size_t i = 0; i < COUNT(peers); i++) {
    count_stretching(&peers[i], &crypto);
    peer_offload(&peers[i]);
    assert_int_equal(peer_start(&peers[i], auth, "SCRAM-SHA-1"), 0);
    assert_int_equal(peer_challenge(&peers[i], FIRST), UVSMTP_PENDING);
    assert_int_equal(peers[i].job_count, i == 0 ? 1 : 0);
  }
  peer_end(&peers[2]);
  peer_run_jobs(&peers[0]);
  for (size_t i = 0; i < COUNT(peers); i++) {
    if (i == 2)
      continue;
    assert_int_equal(peers[i].wakes, 1);
    assert_int_equal(peer_continue(&peers[i]), 0);
    assert_memory_equal(peers[i].response.base, "c=biws,r=", 9);
    peer_end(&peers[i]);
  }
  assert_int_equal(peers[2].wakes, 0);
  assert_int_equal(peer_start(&peers[2], auth, "SCRAM-SHA-1"), 0);
  assert_int_equal(peer_challenge(&peers[2], FIRST), 0);
  peer_end(&peers[2]);
  assert_int_equal(stretched, 1);
  uvsmtp_auth_free(auth);
}

static void other_salts_counts_and_digests_make_other_keys(void **state)
{
  static const char *const rows[][2] = {{"SCRAM-SHA-1", "r=" NONCE "x,s=AAAA,i=4096"},
                                        {"SCRAM-SHA-1", "r=" NONCE "x,s=AAAB,i=4096"},
                                        {"SCRAM-SHA-1", "r=" NONCE "x,s=AAAA,i=4097"},
                                        {"SCRAM-SHA-256", "r=" NONCE "x,s=AAAA,i=4096"},
                                        {"SCRAM-SHA-1", "r=" NONCE "x,s=AAAAAAAA,i=4096"}};
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  uvsmtp_crypto_t crypto;
  stretched = 0;
  for (size_t i = 0; i < 2 * COUNT(rows); i++) {
    peer_t peer;
    count_stretching(&peer, &crypto);
    assert_int_equal(peer_start(&peer, auth, rows[i % COUNT(rows)][0]), 0);
    assert_int_equal(peer_challenge(&peer, rows[i % COUNT(rows)][1]), 0);
    peer_end(&peer);
  }
  assert_int_equal(stretched, COUNT(rows));
  uvsmtp_auth_free(auth);
}

static void a_server_that_changes_its_salts_does_not_fill_the_memory(void **state)
{
  scarce_t scarce;
  uvsmtp_auth_options_t options = user_options("user", "pencil");
  uvsmtp_auth_t *auth;
  uvsmtp_crypto_t crypto;
  size_t held = 0;
  scarce_init(&scarce, 0);
  options.mem = &scarce.mem;
  assert_int_equal(uvsmtp_auth_scram_new(&auth, UVSMTP_DIGEST_SHA1, &options), 0);
  for (int i = 0; i < 100; i++) {
    char challenge[100];
    peer_t peer;
    snprintf(challenge, sizeof(challenge), "r=%sx,s=AAAA,i=%d", NONCE, 4096 + i);
    count_stretching(&peer, &crypto);
    assert_int_equal(peer_start(&peer, auth, "SCRAM-SHA-1"), 0);
    assert_int_equal(peer_challenge(&peer, challenge), 0);
    peer_end(&peer);
    if (i == 20)
      held = scarce.held;
  }
  assert_int_equal(scarce.held, held);
  uvsmtp_auth_free(auth);
  assert_int_equal(scarce.held, 0);
}

static void a_running_job_outlives_connection_and_authenticator(void **state)
{
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  peer_t peer;
  peer_init(&peer);
  peer_offload(&peer);
  assert_int_equal(peer_start(&peer, auth, "SCRAM-SHA-1"), 0);
  assert_int_equal(peer_challenge(&peer, FIRST), UVSMTP_PENDING);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
  peer_run_jobs(&peer);
  assert_int_equal(peer.wakes, 0);
}

static void a_job_that_did_not_run_fails_those_who_wait_and_is_not_kept(void **state)
{
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  peer_t peer;
  peer_init(&peer);
  peer_offload(&peer);
  assert_int_equal(peer_start(&peer, auth, "SCRAM-SHA-1"), 0);
  assert_int_equal(peer_challenge(&peer, FIRST), UVSMTP_PENDING);
  peer.jobs[0]->done(peer.jobs[0], UVSMTP_ECANCELED);
  peer.job_count = 0;
  assert_int_equal(peer_continue(&peer), UVSMTP_ECANCELED);
  peer_end(&peer);
  assert_int_equal(peer_start(&peer, auth, "SCRAM-SHA-1"), 0);
  assert_int_equal(peer_challenge(&peer, FIRST), UVSMTP_PENDING);
  peer_run_jobs(&peer);
  assert_int_equal(peer_continue(&peer), 0);
  assert_response_text(&peer, FINAL);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static int refuse_job(void *owner, uvsmtp_auth_job_t *job)
{
  return UVSMTP_ENOMEM;
}

static void a_job_that_cannot_be_offloaded_does_not_stop_the_loop(void **state)
{
  uvsmtp_auth_t *auth = make("user", "pencil", NULL);
  uvsmtp_crypto_t crypto;
  peer_t peer;
  stretched = 0;
  count_stretching(&peer, &crypto);
  peer.context.offload = refuse_job;
  assert_int_equal(peer_start(&peer, auth, "SCRAM-SHA-1"), 0);
  assert_int_equal(peer_challenge(&peer, FIRST), UVSMTP_ENOMEM);
  assert_int_equal(stretched, 0);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

/* ---- SASLprep ---- */

static void saslprep_gives_the_examples_of_rfc_4013(void **state)
{
  static const struct {
    const char *in, *out;
    int err;
  } rows[] = {{"I\xc2\xadX", "IX", 0},
              {"user", "user", 0},
              {"USER", "USER", 0},
              {"\xc2\xaa", "a", 0},
              {"\xe2\x85\xa8", "IX", 0},
              {"\x07", NULL, UVSMTP_ECHARSET},
              {"\xd8\xa7\x31", NULL, UVSMTP_ECHARSET},
              {"\xff", NULL, UVSMTP_ECHARSET}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char *out = NULL;
    int err = uvsmtp__saslprep(&out, rows[i].in, NULL);
    if (err == UVSMTP_EAUTHUNSUPPORTED) {
      assert_null(out);
      continue;
    }
    assert_int_equal(err, rows[i].err);
    if (rows[i].out != NULL)
      assert_string_equal(out, rows[i].out);
    free(out);
  }
}

static void scram_prepares_name_and_password(void **state)
{
  uvsmtp_auth_t *auth = make("I\xc2\xadX", "\xc2\xaa", NULL);
  peer_t peer;
  int err;
  peer_init(&peer);
  err = peer_start(&peer, auth, "SCRAM-SHA-1");
  if (err == UVSMTP_EAUTHUNSUPPORTED) { /* built without libidn: says so */
    assert_non_null(strstr(uvsmtp_exchange_detail(peer.exchange), "SASLprep"));
  } else {
    assert_int_equal(err, 0);
    assert_response_text(&peer, "n,,n=IX,r=" NONCE);
    assert_int_equal(peer_challenge(&peer, "r=" NONCE "SrvPrep,s=AAECAwQFBgcICQoLDA0ODw==,i=4096"),
                     0);
    assert_response_text(&peer, "c=biws,r=" NONCE "SrvPrep,p=ghAsGOBPRFaeJtpWBy9Y3JmIzGw=");
  }
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void what_saslprep_prohibits_fails_scram_alone(void **state)
{
  uvsmtp_auth_options_t options = user_options("user", "pen\tcil");
  uvsmtp_auth_t *auth;
  peer_t peer;
  peer_init(&peer);
  assert_int_equal(uvsmtp_auth_password_new(&auth, &options), 0);
  assert_int_equal(peer_start(&peer, auth, "SCRAM-SHA-1"), UVSMTP_ECHARSET);
  peer_end(&peer);
  assert_int_equal(peer_start(&peer, auth, "PLAIN"), 0);
  peer_end(&peer);
  uvsmtp_auth_free(auth);
}

static void iteration_bounds_are_the_callers(void **state)
{
  uvsmtp_auth_options_t options = user_options("user", "pencil");
  uvsmtp_auth_t *auth;
  peer_t peer;
  options.min_iterations = 10;
  options.max_iterations = 20;
  assert_int_equal(uvsmtp_auth_scram_new(&auth, UVSMTP_DIGEST_SHA1, &options), 0);
  for (int i = 9; i <= 21; i += 3) {
    char challenge[100];
    snprintf(challenge, sizeof(challenge), "r=%sx,s=AAAA,i=%d", NONCE, i);
    start(&peer, auth);
    assert_int_equal(peer_challenge(&peer, challenge),
                     i < 10 || i > 20 ? UVSMTP_EAUTHCHALLENGE : 0);
    peer_end(&peer);
  }
  uvsmtp_auth_free(auth);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scram_speaks_the_dialogues_of_the_vectors),
      cmocka_unit_test(scram_sha_256_computes_the_proof_of_rfc_7677),
      cmocka_unit_test(malformed_first_challenges_end_the_exchange),
      cmocka_unit_test(a_challenge_or_salt_too_long_is_refused),
      cmocka_unit_test(extensions_behind_the_iteration_count_are_ignored),
      cmocka_unit_test(success_without_the_servers_signature_is_not_believed),
      cmocka_unit_test(a_wrong_server_signature_ends_the_exchange),
      cmocka_unit_test(the_servers_error_stands_in_the_detail),
      cmocka_unit_test(a_server_that_sees_another_connection_ends_all_attempts),
      cmocka_unit_test(after_the_servers_error_there_is_nothing_more_to_say),
      cmocka_unit_test(the_binding_flag_tells_the_server_what_we_saw),
      cmocka_unit_test(plus_without_a_binding_cannot_run),
      cmocka_unit_test(a_key_is_computed_once_for_all_connections),
      cmocka_unit_test(other_salts_counts_and_digests_make_other_keys),
      cmocka_unit_test(a_server_that_changes_its_salts_does_not_fill_the_memory),
      cmocka_unit_test(a_running_job_outlives_connection_and_authenticator),
      cmocka_unit_test(a_job_that_did_not_run_fails_those_who_wait_and_is_not_kept),
      cmocka_unit_test(a_job_that_cannot_be_offloaded_does_not_stop_the_loop),
      cmocka_unit_test(saslprep_gives_the_examples_of_rfc_4013),
      cmocka_unit_test(scram_prepares_name_and_password),
      cmocka_unit_test(what_saslprep_prohibits_fails_scram_alone),
      cmocka_unit_test(iteration_bounds_are_the_callers),
  };
  return cmocka_run_group_tests_name("auth/scram", tests, NULL, NULL);
}
