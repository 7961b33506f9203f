/* Settings of a context: what is taken, what is refused and in which words; where trust is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pair.h"
#include "tls/ciphers.h"
#include "tls/compat.h"

static char dir[64];

static const char *path_of(const char *name)
{
  static char paths[32][128];
  static int turn;
  char *path = paths[turn++ % 32];
  snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
  return path;
}

static void write_file(const char *name, const char *text)
{
  FILE *file = fopen(path_of(name), "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
  fclose(file);
}

static int make_files(void **state)
{
  char both[9000];
  make_world(state);
  strcpy(dir, "/tmp/uvsmtp-tls-XXXXXX");
  if (mkdtemp(dir) == NULL || mkdir(path_of("certs"), 0700) != 0)
    return -1;
  snprintf(both, sizeof(both), "%s%s", world.client.key, world.client.cert);
  write_file("ca.pem", world.ca.cert);
  write_file("certs/one.pem", world.ca.cert);
  write_file("cert.pem", world.client.cert);
  write_file("key.pem", world.client.key);
  write_file("both.pem", both);
  write_file("empty.pem", "");
  write_file("garbage.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  return 0;
}

static int remove_files(void **state)
{
  static const char *const names[] = {"ca.pem",   "certs/one.pem", "cert.pem",   "key.pem",
                                      "both.pem", "empty.pem",     "garbage.pem"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    unlink(path_of(names[i]));
  rmdir(path_of("certs"));
  rmdir(dir);
  return free_world(state);
}

static void expect(const char *what, const uvsmtp_tls_options_t *o, int err, const char *words)
{
  uvsmtp_tls_context_t *context = (uvsmtp_tls_context_t *)&err;
  char detail[256] = "";
  int got = uvsmtp_tls_context_new(&context, o, detail, sizeof(detail));
  if (got != err || strstr(detail, words) == NULL)
    fail_msg("%s: %s: %s", what, uvsmtp_err_name(got), detail);
  assert_true((err == 0) == (context != NULL));
  uvsmtp_tls_context_free(context);
}

typedef struct bad_s {
  const char *what;
  uvsmtp_tls_options_t o;
  int err;
  const char *words;
} bad_t;

static void expect_all(const bad_t *rows, size_t count)
{
  setenv("SSL_CERT_FILE", path_of("ca.pem"), 1); /* whatever this system trusts */
  for (size_t i = 0; i < count; i++) {
    uvsmtp_tls_options_t o = rows[i].o;
    o.size = sizeof(o);
    expect(rows[i].what, &o, rows[i].err, rows[i].words);
  }
  unsetenv("SSL_CERT_FILE");
}

static void files_that_cannot_be_used_are_named(void **state)
{
  const bad_t rows[] = {
      {"no such file", {.ca_file = path_of("none")}, UVSMTP_ETLSCONFIG, "none cannot be read: No"},
      {"a folder", {.ca_file = dir}, UVSMTP_ETLSCONFIG, "cannot be read: Is a directory"},
      {"endless", {.ca_file = "/dev/zero"}, UVSMTP_ETLSCONFIG, "/dev/zero is too long"},
      {"empty", {.ca_file = path_of("empty.pem")}, UVSMTP_ETLSCONFIG, "holds no certificate"},
      {"garbage", {.ca_file = path_of("garbage.pem")}, UVSMTP_ETLSCONFIG, "mbedTLS -0x"},
      {"no such folder", {.ca_dir = path_of("x")}, UVSMTP_ETLSCONFIG, "holds no certificate"},
      {"bad text", {.ca_pem = "hello"}, UVSMTP_ETLSCONFIG, "ca_pem holds no certificate"},
      {"certificate without key",
       {.cert_file = path_of("cert.pem")},
       UVSMTP_ETLSCONFIG,
       "cert.pem holds no private key"},
      {"key of another certificate",
       {.cert_file = path_of("cert.pem"), .key_pem = world.server.key},
       UVSMTP_ETLSCONFIG,
       "the private key of key_pem does not belong to the certificate"},
      {"bad key",
       {.cert_file = path_of("cert.pem"), .key_file = path_of("ca.pem")},
       UVSMTP_ETLSCONFIG,
       "ca.pem holds no private key"},
  };
  expect_all(rows, sizeof(rows) / sizeof(rows[0]));
}

static void settings_that_contradict_one_another_are_refused(void **state)
{
  const bad_t rows[] = {
      {"two certificates",
       {.cert_file = path_of("cert.pem"), .cert_pem = world.client.cert},
       UVSMTP_EINVAL,
       "cert_file and cert_pem"},
      {"two keys",
       {.cert_file = "x", .key_file = "x", .key_pem = "x"},
       UVSMTP_EINVAL,
       "key_file and key_pem"},
      {"key alone", {.key_file = path_of("key.pem")}, UVSMTP_EINVAL, "without its certificate"},
      {"server without certificate", {.is_server = 1}, UVSMTP_EINVAL, "needs a certificate"},
      {"client that asks for certificates",
       {.client_cert = UVSMTP_TLS_CLIENT_CERT_REQUEST},
       UVSMTP_EINVAL,
       "for servers"},
      {"demand without authority",
       {.is_server = 1,
        .cert_file = path_of("both.pem"),
        .client_cert = UVSMTP_TLS_CLIENT_CERT_REQUIRE},
       UVSMTP_EINVAL,
       "needs a ca_file"},
      {"mode", {.verify = (uvsmtp_tls_verify_t)9}, UVSMTP_EINVAL, "verify"},
      {"versions crossed",
       {.min_version = UVSMTP_TLS_1_3, .max_version = UVSMTP_TLS_1_2},
       UVSMTP_EINVAL,
       "higher than max_version"},
      {"old version",
       {.min_version = (uvsmtp_tls_version_t)0x0301},
       UVSMTP_ETLSCONFIG,
       "below 1.2"},
      {"future version",
       {.min_version = (uvsmtp_tls_version_t)0x0305},
       UVSMTP_ETLSCONFIG,
       "than the linked mbedTLS"},
  };
  expect_all(rows, sizeof(rows) / sizeof(rows[0]));
}

static void ciphers_and_pins_that_are_none_are_quoted(void **state)
{
  static const char *const bad_pins[] = {"sha256//AAAA", "sha1//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NM",
                                         "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF=="};
  const bad_t rows[] = {
      {"unknown cipher",
       {.ca_file = path_of("ca.pem"), .ciphers = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:TLS_NONE"},
       UVSMTP_ETLSCONFIG,
       "\"TLS_NONE\""},
      {"short pin",
       {.ca_file = path_of("ca.pem"), .pins = &bad_pins[0], .pin_count = 1},
       UVSMTP_ETLSCONFIG,
       "is no pin"},
      {"other digest",
       {.ca_file = path_of("ca.pem"), .pins = &bad_pins[1], .pin_count = 1},
       UVSMTP_ETLSCONFIG,
       "is no pin"},
      {"31 bytes",
       {.ca_file = path_of("ca.pem"), .pins = &bad_pins[2], .pin_count = 1},
       UVSMTP_ETLSCONFIG,
       "is no pin"},
  };
  expect_all(rows, sizeof(rows) / sizeof(rows[0]));
}

static void tls_1_3_is_refused_where_it_is_not_linked(void **state)
{
  uvsmtp_tls_options_t o = client_options();
  o.min_version = UVSMTP_TLS_1_3;
  if (uvsmtp__tls_compat_max_version() == UVSMTP_TLS_1_3)
    expect("1.3", &o, 0, "");
  else
    expect("1.3", &o, UVSMTP_ETLSCONFIG, "min_version is higher than the linked mbedTLS has");
  o.min_version = 0;
  o.max_version = UVSMTP_TLS_1_3; /* the highest that there is */
  expect("up to 1.3", &o, 0, "");
}

static void options_of_a_newer_program_are_refused_only_if_used(void **state)
{
  struct {
    uvsmtp_tls_options_t o;
    long newer;
  } n = {.o = client_options()};
  n.o.size = sizeof(n);
  expect("unused", &n.o, 0, "");
  n.newer = 1;
  expect("used", &n.o, UVSMTP_EOPTIONSIZE, "newer version");
  n.o.size = 0;
  expect("no size", &n.o, UVSMTP_EINVAL, "");
}

/* A client with these trusted certificates accepts world.server. */
static void accepts(const uvsmtp_tls_options_t *client)
{
  pair_t pair = {0};
  open_good_pair(&pair, client, NULL);
  close_pair(&pair);
}

static void trust_comes_from_file_folder_memory_or_all(void **state)
{
  uvsmtp_tls_options_t o = UVSMTP_TLS_OPTIONS_INIT;
  char not_ended[4096];
  size_t len = strlen(world.ca.cert);
  o.ca_file = path_of("ca.pem");
  accepts(&o);
  o.ca_pem = world.other_ca.cert;
  accepts(&o);
  o.ca_file = NULL;
  o.ca_dir = path_of("certs");
  accepts(&o);
  memcpy(not_ended, world.ca.cert, len);
  memset(not_ended + len, 'x', 10);
  o = (uvsmtp_tls_options_t)UVSMTP_TLS_OPTIONS_INIT;
  o.ca_pem = not_ended;
  o.ca_pem_len = len;
  accepts(&o);
}

static void the_system_store_is_found_by_its_environment_variables(void **state)
{
  uvsmtp_tls_options_t o = UVSMTP_TLS_OPTIONS_INIT;
  char list[300];
  setenv("SSL_CERT_FILE", path_of("ca.pem"), 1);
  accepts(NULL);
  accepts(&o);
  setenv("SSL_CERT_FILE", path_of("none"), 1);
  expect("file that is not there", &o, UVSMTP_ETLSCONFIG, "(named by SSL_CERT_FILE)");
  unsetenv("SSL_CERT_FILE");
  snprintf(list, sizeof(list), "%s::%s", path_of("nowhere"), path_of("certs"));
  setenv("SSL_CERT_DIR", list, 1);
  accepts(&o);
  setenv("SSL_CERT_DIR", path_of("nowhere"), 1);
  expect("folder that is not there", &o, UVSMTP_ETLSCONFIG, "SSL_CERT_DIR names no folder");
  o.verify = UVSMTP_TLS_VERIFY_NONE_INSECURE; /* needs none */
  expect("nothing to trust", &o, 0, "");
  unsetenv("SSL_CERT_DIR");
}

static void own_certificates_come_from_files_too_and_keys_beside_them(void **state)
{
  static const struct {
    const char *cert, *key;
  } rows[] = {{"cert.pem", "key.pem"}, {"both.pem", NULL}, {"cert.pem", "both.pem"}};
  for (size_t i = 0; i < 3; i++) {
    uvsmtp_tls_options_t o = client_options();
    o.cert_file = path_of(rows[i].cert);
    o.key_file = rows[i].key != NULL ? path_of(rows[i].key) : NULL;
    expect(rows[i].cert, &o, 0, "");
  }
}

static void encrypted_keys_open_with_their_password(void **state)
{
  /* openssl ec -aes128, password "sesame"; the key belongs to no certificate here. */
  static const char key[] = "-----BEGIN EC PRIVATE KEY-----\n"
                            "Proc-Type: 4,ENCRYPTED\n"
                            "DEK-Info: AES-128-CBC,A897B97AEFED1D1A50D2A742741FE6D2\n"
                            "\n"
                            "BldwZcyyJawF7DUlESHNBuJIsMIwwzNGqExQh3lzqgbSEz1nAw4HIUB4nNDfsKud\n"
                            "hcWK5o8qZWPFY3aVeuBoyhOG5A4DNSqj3qrR95po6KH3juRRiFamhC7tx44U8A3n\n"
                            "8D83RlnhZD7lbFNojdvHmK6hG7NR9S/vv2ziyrgCQr8=\n"
                            "-----END EC PRIVATE KEY-----\n";
  uvsmtp_tls_options_t o = client_options();
  o.cert_pem = world.client.cert;
  o.key_pem = key;
  o.key_password = "sesame";
  expect("right password", &o, UVSMTP_ETLSCONFIG, "does not belong to the certificate");
  o.key_password = "simsim";
  expect("wrong password", &o, UVSMTP_ETLSCONFIG, "holds no private key that can be used");
  o.key_password = NULL;
  expect("no password", &o, UVSMTP_ETLSCONFIG, "holds no private key that can be used");
}

static void the_detail_is_cut_to_its_room(void **state)
{
  uvsmtp_tls_options_t o = client_options();
  uvsmtp_tls_context_t *context;
  char detail[8] = "1234567";
  o.ca_pem = "hello";
  assert_int_equal(uvsmtp_tls_context_new(&context, &o, detail, sizeof(detail)), UVSMTP_ETLSCONFIG);
  assert_string_equal(detail, "ca_pem ");
  assert_int_equal(uvsmtp_tls_context_new(&context, &o, NULL, 0), UVSMTP_ETLSCONFIG);
}

static void cipher_names_are_ianas(void **state)
{
  static const char names[] = "tls_ecdhe_rsa_with_chacha20_poly1305_sha256:"
                              "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
  uvsmtp__tls_say_t say = {0};
  int *suites;
  char name[64];
  assert_int_equal(uvsmtp__tls_parse_suites(&suites, NULL, names, &say), 0);
  assert_int_equal(suites[0], 0xcca8);
  assert_int_equal(suites[1], 0xc02b);
  assert_int_equal(suites[2], 0);
  free(suites);
  assert_int_equal(uvsmtp__tls_parse_suites(&suites, NULL, "::", &say), UVSMTP_ETLSCONFIG);
  uvsmtp__tls_iana_name(name, sizeof(name), "TLS1-3-AES-128-GCM-SHA256");
  assert_string_equal(name, "TLS_AES_128_GCM_SHA256");
  uvsmtp__tls_iana_name(name, sizeof(name), "TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256");
  assert_string_equal(name, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_that_cannot_be_used_are_named),
      cmocka_unit_test(settings_that_contradict_one_another_are_refused),
      cmocka_unit_test(ciphers_and_pins_that_are_none_are_quoted),
      cmocka_unit_test(tls_1_3_is_refused_where_it_is_not_linked),
      cmocka_unit_test(options_of_a_newer_program_are_refused_only_if_used),
      cmocka_unit_test(trust_comes_from_file_folder_memory_or_all),
      cmocka_unit_test(the_system_store_is_found_by_its_environment_variables),
      cmocka_unit_test(own_certificates_come_from_files_too_and_keys_beside_them),
      cmocka_unit_test(encrypted_keys_open_with_their_password),
      cmocka_unit_test(the_detail_is_cut_to_its_room),
      cmocka_unit_test(cipher_names_are_ianas),
  };
  unsetenv("SSL_CERT_FILE");
  unsetenv("SSL_CERT_DIR");
  return cmocka_run_group_tests(tests, make_files, remove_files);
}
