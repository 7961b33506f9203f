/* Certificates that are wrong in one way each, pins, client certificates, and names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"
#include "tls/compat.h"
#include "base/mem.h"
#include "tls/names.h"

static void host_names_are_matched_by_rfc_6125(void **state)
{
  static const struct {
    const char *presented, *wanted;
    bool covers;
  } rows[] = {
      {"mail.example.org", "mail.example.org", true},
      {"MAIL.example.ORG", "mail.EXAMPLE.org", true},
      {"mail.example.org.", "mail.example.org", true},
      {"mail.example.org", "mail2.example.org", false},
      {"mail.example.org", "xmail.example.org", false},
      {"example.org", "mail.example.org", false},
      {"*.example.org", "mail.example.org", true},
      {"*.Example.org", "MAIL.example.org", true},
      {"*.example.org", "a.mail.example.org", false},
      {"*.example.org", "example.org", false},
      {"*.example.org", ".example.org", false},
      {"*.org", "example.org", false},
      {"*", "localhost", false},
      {"*.", "localhost", false},
      {"m*.example.org", "mail.example.org", false},
      {"*l.example.org", "mail.example.org", false},
      {"mail.*.org", "mail.example.org", false},
      {"*.*.org", "mail.example.org", false},
      {"", "mail.example.org", false},
      {"xn--bcher-kva.example", "xn--bcher-kva.example", true},
      {"*.xn--bcher-kva.example", "mail.xn--bcher-kva.example", true},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    if (uvsmtp__tls_dns_name_covers(rows[i].presented, strlen(rows[i].presented), rows[i].wanted) !=
        rows[i].covers)
      fail_msg("%s and %s", rows[i].presented, rows[i].wanted);
  assert_false(
      uvsmtp__tls_dns_name_covers("mail.example.org\0.evil.example", 30, "mail.example.org"));
}

static void wanted_names_are_host_names_or_addresses(void **state)
{
  static const struct {
    const char *text, *kept;
    size_t ip_len;
  } rows[] = {
      {"mail.example.org", "mail.example.org", 0},
      {"mail.example.org.", "mail.example.org", 0},
      {"localhost", "localhost", 0},
      {"under_score.example", "under_score.example", 0},
      {"192.0.2.1", "192.0.2.1", 4},
      {"[192.0.2.1]", "[192.0.2.1]", 4},
      {"2001:db8::1", "2001:db8::1", 16},
      {"[2001:db8::1]", "[2001:db8::1]", 16},
      {"fe80::1%eth0", "fe80::1%eth0", 16},
      {"", NULL, 0},
      {".", NULL, 0},
      {"..", NULL, 0},
      {"a..example", NULL, 0},
      {".example", NULL, 0},
      {"*.example.org", NULL, 0},
      {"b\xc3\xbc"
       "cher.example",
       NULL, 0},
      {"mail.example.org\r\nX", NULL, 0},
      {"a b", NULL, 0},
      {"[mail.example.org]", NULL, 0},
      {"0123456789012345678901234567890123456789012345678901234567890123.example", NULL, 0},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char *name;
    int err = uvsmtp__tls_name_copy(&name, NULL, rows[i].text);
    assert_int_equal(err, rows[i].kept != NULL ? 0 : UVSMTP_EINVAL);
    if (err == 0) {
      assert_string_equal(name, rows[i].kept);
      assert_int_equal(uvsmtp__tls_name_read(name).ip_len, rows[i].ip_len);
    }
    uvsmtp__free(NULL, name);
  }
}

/* A handshake with a server of `spec`; what the client says of it. */
typedef struct row_s {
  const char *what;
  spec_t spec;
  const char *name; /* default mail.example.org */
  int err;
  const char *words[3]; /* that the sentence must have */
} row_t;

static void check_server(const row_t *row, const uvsmtp_tls_options_t *client)
{
  pair_t pair = {0};
  identity_t server;
  uvsmtp_tls_options_t s = server_options();
  make_identity(&server, &row->spec);
  s.cert_pem = server.cert;
  s.key_pem = server.key;
  open_pair(&pair, client, &s, row->name != NULL ? row->name : "mail.example.org");
  shake(&pair);
  if (pair.client.handshake != row->err)
    fail_msg("%s: %s: %s", row->what, uvsmtp_err_name(pair.client.handshake),
             uvsmtp_tls_error_detail(pair.client.tls));
  for (size_t i = 0; i < 3 && row->words[i] != NULL; i++)
    if (strstr(uvsmtp_tls_error_detail(pair.client.tls), row->words[i]) == NULL)
      fail_msg("%s: \"%s\" is not in \"%s\"", row->what, row->words[i],
               uvsmtp_tls_error_detail(pair.client.tls));
  if (row->err != 0) /* the server is told by an alert */
    assert_true(pair.server.handshake < 0 || pair.server.read < 0);
  close_pair(&pair);
  free_identity(&server);
}

#define GOOD_NAMES "DNS:mail.example.org"

static const row_t wrong_certificates[] = {
    {.what = "good", .spec = {.names = GOOD_NAMES, .issuer = &world.ca}},
    {.what = "an RSA key", .spec = {.names = GOOD_NAMES, .issuer = &world.ca, .is_rsa = 1}},
    {.what = "wildcard", .spec = {.names = "DNS:*.example.org", .issuer = &world.ca}},
    {.what = "second of several names",
     .spec = {.names = "DNS:other.example " GOOD_NAMES, .issuer = &world.ca}},
    {.what = "common name without other names", .spec = {.issuer = &world.ca}},
    {.what = "IPv4 address",
     .spec = {.names = "IP:192.0.2.7", .issuer = &world.ca},
     .name = "192.0.2.7"},
    {.what = "IPv6 address in another spelling",
     .spec = {.names = "IP:2001:db8::7", .issuer = &world.ca},
     .name = "[2001:0DB8:0::7]"},
    {.what = "wrong name",
     .spec = {.names = "DNS:a.example DNS:b.example IP:192.0.2.9", .issuer = &world.ca},
     .err = UVSMTP_ETLSNAME,
     .words = {"is for a.example, b.example, 192.0.2.9, not for mail.example.org"}},
    {.what = "common name beside another name does not count",
     .spec = {.names = "DNS:a.example", .issuer = &world.ca},
     .err = UVSMTP_ETLSNAME},
    {.what = "wrong common name",
     .spec = {.subject = "CN=c.example", .issuer = &world.ca},
     .err = UVSMTP_ETLSNAME,
     .words = {"is for c.example"}},
    {.what = "no name at all",
     .spec = {.subject = "O=Nobody", .issuer = &world.ca},
     .err = UVSMTP_ETLSNAME,
     .words = {"is for no name"}},
    {.what = "wildcard over two labels",
     .spec = {.names = "DNS:*.org", .issuer = &world.ca},
     .err = UVSMTP_ETLSNAME},
    {.what = "another IP address",
     .spec = {.names = "IP:192.0.2.8", .issuer = &world.ca},
     .name = "192.0.2.7",
     .err = UVSMTP_ETLSNAME,
     .words = {"not for 192.0.2.7"}},
    {.what = "an address as a DNS name is no IP address",
     .spec = {.names = "DNS:192.0.2.7", .issuer = &world.ca},
     .name = "192.0.2.7",
     .err = UVSMTP_ETLSNAME},
    {.what = "a DNS name of an address's bytes is no IP address",
     .spec = {.names = "DNS:1234", .issuer = &world.ca},
     .name = "49.50.51.52",
     .err = UVSMTP_ETLSNAME},
    {.what = "an address as common name is no IP address",
     .spec = {.subject = "CN=192.0.2.7", .issuer = &world.ca},
     .name = "192.0.2.7",
     .err = UVSMTP_ETLSNAME},
    {.what = "expired",
     .spec = {.names = GOOD_NAMES,
              .issuer = &world.ca,
              .from = "20100101000000",
              .to = "20200229123456"},
     .err = UVSMTP_ETLSEXPIRED,
     .words = {"the server's certificate expired on 2020-02-29 12:34:56 UTC", "mbedTLS -0x2700"}},
    {.what = "not yet valid",
     .spec = {.names = GOOD_NAMES, .issuer = &world.ca, .from = "20990101000000"},
     .err = UVSMTP_ETLSEXPIRED,
     .words = {"is not valid before 2099-01-01 00:00:00 UTC"}},
    {.what = "self-signed",
     .spec = {.names = GOOD_NAMES},
     .err = UVSMTP_ETLSCERT,
     .words = {"is self-signed by \"CN=mail.example.org\", which is not trusted"}},
    {.what = "unknown issuer",
     .spec = {.names = GOOD_NAMES, .issuer = &world.other_ca},
     .err = UVSMTP_ETLSCERT,
     .words = {"is issued by \"CN=Other CA\", which is not trusted"}},
    {.what = "unknown issuer, expired and wrong name: trust comes first, all is said",
     .spec = {.names = "DNS:a.example", .issuer = &world.other_ca, .to = "20200101000000"},
     .err = UVSMTP_ETLSCERT,
     .words = {"expired on 2020", "is for a.example", "Other CA"}},
    {.what = "expired and wrong name",
     .spec = {.names = "DNS:a.example", .issuer = &world.ca, .to = "20200101000000"},
     .err = UVSMTP_ETLSEXPIRED,
     .words = {"expired on 2020", "is for a.example"}},
    {.what = "issued by what is no authority",
     .spec = {.names = GOOD_NAMES, .issuer = &world.server},
     .err = UVSMTP_ETLSCERT},
};

static void every_kind_of_wrong_certificate_has_its_error_and_sentence(void **state)
{
  for (size_t i = 0; i < sizeof(wrong_certificates) / sizeof(wrong_certificates[0]); i++)
    check_server(&wrong_certificates[i], NULL);
}

static void control_characters_of_a_certificate_do_not_reach_the_sentence(void **state)
{
  const row_t row = {.what = "line break",
                     .spec = {.names = "DNS:a.example\r\n\x1b[31m", .issuer = &world.ca},
                     .err = UVSMTP_ETLSNAME,
                     .words = {"is for a.example???[31m, not"}};
  check_server(&row, NULL);
}

static void a_chain_through_an_intermediate_is_followed(void **state)
{
  identity_t middle, server;
  char chain[9000];
  uvsmtp_tls_options_t s = server_options();
  pair_t pair = {0};
  make_identity(&middle, &(spec_t){.subject = "CN=Middle", .issuer = &world.ca, .is_ca = 1});
  make_identity(&server, &(spec_t){.names = GOOD_NAMES, .issuer = &middle});
  strcpy(chain, server.cert);
  strcat(chain, middle.cert);
  s.cert_pem = chain;
  s.key_pem = server.key;
  open_good_pair(&pair, NULL, &s);
  close_pair(&pair);
  s.cert_pem = server.cert; /* the usual mistake of administrators */
  open_pair(&pair, NULL, &s, "mail.example.org");
  shake(&pair);
  assert_int_equal(pair.client.handshake, UVSMTP_ETLSCERT);
  assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls), "is issued by \"CN=Middle\""));
  close_pair(&pair);
  free_identity(&middle);
  free_identity(&server);
}

static void an_expired_intermediate_is_named(void **state)
{
  identity_t middle, server;
  char chain[9000];
  uvsmtp_tls_options_t s = server_options();
  pair_t pair = {0};
  make_identity(
      &middle,
      &(spec_t){.subject = "CN=Middle", .issuer = &world.ca, .is_ca = 1, .to = "20200101000000"});
  make_identity(&server, &(spec_t){.names = GOOD_NAMES, .issuer = &middle});
  strcpy(chain, server.cert);
  strcat(chain, middle.cert);
  s.cert_pem = chain;
  s.key_pem = server.key;
  open_pair(&pair, NULL, &s, "mail.example.org");
  shake(&pair);
  assert_int_equal(pair.client.handshake, UVSMTP_ETLSEXPIRED);
  assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls),
                         "the issuer's certificate \"CN=Middle\" expired on 2020-01-01"));
  close_pair(&pair);
  free_identity(&middle);
  free_identity(&server);
}

#define DNS_EXAMPLE_ORG                                                                            \
  "\x30\x0d\x82\x0b"                                                                               \
  "example.org"

/* An authority with name constraints, and what it has issued for every name that is asked for. */
static void name_constraints_hold_also_where_they_are_not_critical(void **state)
{
  static const struct {
    const char *what, *value;
    size_t len;
    const char *name;
    int refused;
  } rows[] = {
#define CONSTRAINTS(text) text, sizeof(text) - 1
      {"a name below a permitted one", CONSTRAINTS("\x30\x11\xa0\x0f" DNS_EXAMPLE_ORG),
       "mail.example.org", 0},
      {"the permitted name itself", CONSTRAINTS("\x30\x11\xa0\x0f" DNS_EXAMPLE_ORG), "EXAMPLE.org",
       0},
      {"another name", CONSTRAINTS("\x30\x11\xa0\x0f" DNS_EXAMPLE_ORG), "mail.example.net", 1},
      {"a name that only ends alike", CONSTRAINTS("\x30\x11\xa0\x0f" DNS_EXAMPLE_ORG),
       "badexample.org", 1},
      {"a shorter name", CONSTRAINTS("\x30\x11\xa0\x0f" DNS_EXAMPLE_ORG), "org", 1},
      {"an address where names are constrained", CONSTRAINTS("\x30\x11\xa0\x0f" DNS_EXAMPLE_ORG),
       "192.0.2.1", 0},
      {"a name below an excluded one", CONSTRAINTS("\x30\x11\xa1\x0f" DNS_EXAMPLE_ORG),
       "mail.example.org", 1},
      {"a name not excluded", CONSTRAINTS("\x30\x11\xa1\x0f" DNS_EXAMPLE_ORG), "mail.example.net",
       0},
      {"a dot in front", CONSTRAINTS("\x30\x12\xa0\x10\x30\x0e\x82\x0c.example.org"),
       "mail.example.org", 0},
      {"a dot in front, and the name itself",
       CONSTRAINTS("\x30\x12\xa0\x10\x30\x0e\x82\x0c.example.org"), "example.org", 1},
      {"all names excluded", CONSTRAINTS("\x30\x06\xa1\x04\x30\x02\x82\x00"), "mail.example.org",
       1},
      {"an address in a permitted range",
       CONSTRAINTS("\x30\x0e\xa0\x0c\x30\x0a\x87\x08\xc0\0\2\0\xff\xff\xff\0"), "192.0.2.77", 0},
      {"an address beside it",
       CONSTRAINTS("\x30\x0e\xa0\x0c\x30\x0a\x87\x08\xc0\0\2\0\xff\xff\xff\0"), "192.0.3.1", 1},
      {"an IPv6 address where IPv4 ones are permitted",
       CONSTRAINTS("\x30\x0e\xa0\x0c\x30\x0a\x87\x08\xc0\0\2\0\xff\xff\xff\0"), "2001:db8::1", 1},
      {"what cannot be read", CONSTRAINTS("\x30\x11\xa0\x7f" DNS_EXAMPLE_ORG), "mail.example.org",
       1},
      {"another kind of name",
       CONSTRAINTS("\x30\x11\xa0\x0f\x30\x0d\x81\x0b"
                   "example.net"),
       "mail.example.org", 0},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    identity_t authority;
    char names[64];
    uvsmtp_tls_options_t o = client_options();
    row_t row = {.what = rows[i].what, .name = rows[i].name};
    make_identity(&authority, &(spec_t){.subject = "CN=Narrow CA",
                                        .is_ca = 1,
                                        .constraints = rows[i].value,
                                        .constraints_len = rows[i].len});
    o.ca_pem = authority.cert;
    snprintf(names, sizeof(names), strpbrk(rows[i].name, "ghijklmnop") != NULL ? "DNS:%s" : "IP:%s",
             rows[i].name);
    row.spec = (spec_t){.names = names, .issuer = &authority};
    if (rows[i].refused) {
      row.err = UVSMTP_ETLSCERT;
      row.words[0] = "the issuer's certificate \"CN=Narrow CA\" may not vouch for ";
      row.words[1] = rows[i].name;
    }
    check_server(&row, &o);
    free_identity(&authority);
  }
}

/* mbedTLS takes no intermediate certificate that has them. */
static void a_chain_with_critical_constraints_is_refused(void **state)
{
  identity_t between, server;
  char chain[8192];
  pair_t pair = {0};
  uvsmtp_tls_options_t s = server_options();
  make_identity(&between, &(spec_t){.subject = "CN=Between",
                                    .issuer = &world.ca,
                                    .is_ca = 1,
                                    .constraints = "\x30\x11\xa0\x0f" DNS_EXAMPLE_ORG,
                                    .constraints_len = 19,
                                    .constraints_critical = 1});
  make_identity(&server, &(spec_t){.names = GOOD_NAMES, .issuer = &between});
  snprintf(chain, sizeof(chain), "%s%s", server.cert, between.cert);
  s.cert_pem = chain;
  s.key_pem = server.key;
  open_pair(&pair, NULL, &s, "mail.example.org");
  shake(&pair);
  assert_int_equal(pair.client.handshake, UVSMTP_ETLSCERT);
  close_pair(&pair);
  free_identity(&server);
  free_identity(&between);
}

static void modes_without_checks_do_what_their_names_say(void **state)
{
  const row_t wrong_name = {.what = "wrong name",
                            .spec = {.names = "DNS:a.example", .issuer = &world.ca}};
  row_t untrusted = {.what = "untrusted",
                     .spec = {.names = "DNS:a.example", .to = "20200101000000"}};
  uvsmtp_tls_options_t o = client_options();
  o.verify = UVSMTP_TLS_VERIFY_NO_NAME;
  check_server(&wrong_name, &o);
  o.verify = UVSMTP_TLS_VERIFY_NONE_INSECURE;
  check_server(&wrong_name, &o);
  check_server(&untrusted, &o);
  o.ca_pem = NULL;
  check_server(&untrusted, &o);
  o.verify = UVSMTP_TLS_VERIFY_NO_NAME;
  o.ca_pem = world.ca.cert;
  untrusted.err = UVSMTP_ETLSCERT;
  check_server(&untrusted, &o);
}

static void the_info_of_an_unchecked_session_says_unverified(void **state)
{
  static const struct {
    const char *name;
    bool with_ca;
    int verified;
  } rows[] = {{"mail.example.org", true, 1},
              {"other.example.org", true, 0},
              {"mail.example.org", false, 0},
              {NULL, true, 1}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_tls_options_t o = client_options();
    uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
    pair_t pair = {0};
    o.verify = UVSMTP_TLS_VERIFY_NONE_INSECURE;
    o.ca_pem = rows[i].with_ca ? world.ca.cert : NULL;
    open_pair(&pair, &o, NULL, rows[i].name);
    shake(&pair);
    assert_int_equal(pair.client.handshake, 0);
    assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), 0);
    assert_int_equal(info.verified, rows[i].verified);
    close_pair(&pair);
  }
}

static void a_name_is_needed_where_it_is_checked(void **state)
{
  uvsmtp_tls_context_t *context;
  uvsmtp_tls_options_t o = client_options();
  uvsmtp_tls_t *engine = (uvsmtp_tls_t *)&o;
  assert_int_equal(uvsmtp_tls_context_new(&context, &o, NULL, 0), 0);
  assert_int_equal(uvsmtp_tls_new(&engine, context, NULL), UVSMTP_EINVAL);
  assert_null(engine);
  assert_int_equal(uvsmtp_tls_new(&engine, context, "not a name"), UVSMTP_EINVAL);
  assert_null(engine);
  uvsmtp_tls_context_free(context);
}

static void pins_are_checked_in_every_mode(void **state)
{
  static const uvsmtp_tls_verify_t modes[] = {UVSMTP_TLS_VERIFY_FULL, UVSMTP_TLS_VERIFY_NO_NAME,
                                              UVSMTP_TLS_VERIFY_NONE_INSECURE};
  char good[64], bad[64];
  pin_of(&world.server, good);
  pin_of(&world.client, bad);
  for (size_t i = 0; i < 3; i++) {
    const char *both[] = {bad, good};
    uvsmtp_tls_options_t o = client_options();
    pair_t pair = {0};
    o.verify = modes[i];
    o.pins = both;
    o.pin_count = 2;
    open_good_pair(&pair, &o, NULL);
    close_pair(&pair);
    o.pin_count = 1;
    if (modes[i] == UVSMTP_TLS_VERIFY_NONE_INSECURE)
      o.ca_pem = NULL; /* what is not heeded is not said either */
    open_pair(&pair, &o, NULL, "mail.example.org");
    shake(&pair);
    assert_int_equal(pair.client.handshake, UVSMTP_ETLSPIN);
    assert_null(strstr(uvsmtp_tls_error_detail(pair.client.tls), "trusted"));
    assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls), good));
    close_pair(&pair);
  }
}

static void the_info_tells_what_a_pin_must_be(void **state)
{
  pair_t pair = {0};
  char pin[64];
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
  pin_of(&world.server, pin);
  open_good_pair(&pair, NULL, NULL);
  assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), 0);
  assert_string_equal(info.pin, pin);
  assert_string_equal(info.subject, "CN=mail.example.org");
  assert_string_equal(info.issuer, "CN=Test CA, O=Example");
  assert_int_equal(info.not_before, 978307200);   /* 2001-01-01 */
  assert_int_equal(info.not_after, 4102444800LL); /* 2100-01-01 */
  close_pair(&pair);
}

/* ---- client certificates ---- */

/*
 * What the client gets to know, now or (TLS 1.3) with its first read; mbedTLS 2.28 as a server
 * hangs up without an alert where a certificate is missing.
 */
static int client_outcome(pair_t *pair)
{
  if (pair->server.handshake < 0 && pair->client.handshake == UVSMTP_PENDING) {
    uvsmtp_tls_eof(pair->client.tls);
    pair->client.handshake = uvsmtp_tls_handshake(pair->client.tls);
  }
  return pair->client.handshake != 0 ? pair->client.handshake
         : pair->client.read < 0     ? pair->client.read
                                     : 0;
}

static void client_certificates_are_shown_demanded_and_refused(void **state)
{
  identity_t stranger;
  make_identity(&stranger, &(spec_t){.subject = "CN=mallory", .issuer = &world.other_ca});
  const struct {
    uvsmtp_tls_client_cert_t asked;
    const identity_t *shown;
    int client, verified, has_peer;
    const char *words;
  } rows[] = {
      {UVSMTP_TLS_CLIENT_CERT_NONE, NULL, 0, 0, 0, ""},
      {UVSMTP_TLS_CLIENT_CERT_NONE, &world.client, 0, 0, 0, ""},
      {UVSMTP_TLS_CLIENT_CERT_REQUEST, NULL, 0, 0, 0, ""},
      {UVSMTP_TLS_CLIENT_CERT_REQUEST, &world.client, 0, 1, 1, ""},
      {UVSMTP_TLS_CLIENT_CERT_REQUEST, &stranger, 0, 0, 1, ""},
      {UVSMTP_TLS_CLIENT_CERT_REQUIRE, &world.client, 0, 1, 1, ""},
      {UVSMTP_TLS_CLIENT_CERT_REQUIRE, NULL, UVSMTP_ETLSCLIENTCERT, 0, 0, "none is configured"},
      {UVSMTP_TLS_CLIENT_CERT_REQUIRE, &stranger, UVSMTP_ETLSCLIENTCERT, 0, 0,
       "does not accept our certificate"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_tls_options_t c = client_options(), s = server_options();
    uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
    pair_t pair = {0};
    s.client_cert = rows[i].asked;
    s.ca_pem = world.ca.cert;
    if (rows[i].shown != NULL) {
      c.cert_pem = rows[i].shown->cert;
      c.key_pem = rows[i].shown->key;
    }
    open_pair(&pair, &c, &s, "mail.example.org");
    shake(&pair);
    if (client_outcome(&pair) != rows[i].client)
      fail_msg("row %zu: %s", i, uvsmtp_tls_error_detail(pair.client.tls));
    assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls), rows[i].words));
    if (rows[i].client == 0) {
      assert_int_equal(uvsmtp_tls_info(pair.server.tls, &info), 0);
      assert_int_equal(info.verified, rows[i].verified);
      assert_int_equal(info.has_peer, rows[i].has_peer);
      if (rows[i].has_peer)
        assert_string_equal(info.subject, rows[i].shown->subject);
      assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), 0);
      assert_int_equal(info.client_cert_wanted, rows[i].asked != UVSMTP_TLS_CLIENT_CERT_NONE);
    } else {
      assert_true(pair.server.handshake < 0);
      assert_int_equal(uvsmtp_err_class(pair.server.handshake), UVSMTP_CLASS_TLS);
    }
    close_pair(&pair);
  }
  free_identity(&stranger);
}

static void a_server_that_hangs_up_for_want_of_a_certificate_is_understood(void **state)
{
  uvsmtp_tls_options_t s = server_options();
  pair_t pair = {0};
  uvsmtp_slice_t slice = {"220 hello\r\n", 11};
  char buf[64];
  size_t n;
  s.client_cert = UVSMTP_TLS_CLIENT_CERT_REQUEST;
  open_good_pair(&pair, NULL, &s);
  uvsmtp_tls_eof(pair.client.tls);
  assert_int_equal(uvsmtp_tls_read(pair.client.tls, buf, sizeof(buf), &n), UVSMTP_ETLSCLIENTCERT);
  close_pair(&pair);
  /* One that has spoken has taken us as we are. */
  open_good_pair(&pair, NULL, &s);
  send_all(&pair, &pair.server, &pair.client, &slice, 1);
  uvsmtp_tls_eof(pair.client.tls);
  assert_int_equal(uvsmtp_tls_read(pair.client.tls, buf, sizeof(buf), &n), UVSMTP_ETLSTRUNCATED);
  close_pair(&pair);
}

static void alerts_become_errors_that_say_what_the_server_minds(void **state)
{
  static const struct {
    unsigned char number;
    bool asked;
    int err;
    const char *words;
  } rows[] = {
      {40, false, UVSMTP_ETLSVERSION, "alert 40 (handshake failure): no TLS version or cipher"},
      {40, true, UVSMTP_ETLSCLIENTCERT, "alert 40 (handshake failure): it wants a client"},
      {42, true, UVSMTP_ETLSCLIENTCERT, "bad certificate"},
      {48, true, UVSMTP_ETLSCLIENTCERT, "unknown certificate authority"},
      {116, true, UVSMTP_ETLSCLIENTCERT, "certificate required"},
      {70, false, UVSMTP_ETLSVERSION, "protocol version"},
      {71, false, UVSMTP_ETLSVERSION, "insufficient security"},
      {80, false, UVSMTP_ETLS, "alert 80 (internal error) (mbedTLS"},
      {112, false, UVSMTP_ETLS, "unrecognized name"},
      {250, false, UVSMTP_ETLS, "alert 250 (mbedTLS"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    const char alert[] = {21, 3, 3, 0, 2, 2, (char)rows[i].number};
    uvsmtp_tls_options_t c = client_options(), s = server_options();
    pair_t pair = {0};
    c.max_version = UVSMTP_TLS_1_2;
    s.client_cert = rows[i].asked ? UVSMTP_TLS_CLIENT_CERT_REQUEST : UVSMTP_TLS_CLIENT_CERT_NONE;
    open_pair(&pair, &c, &s, "mail.example.org");
    assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), UVSMTP_PENDING);
    move(&pair, &pair.client, &pair.server);
    move(&pair, &pair.server, &pair.client);
    assert_int_equal(pair.client.handshake, UVSMTP_PENDING);
    assert_int_equal(uvsmtp_tls_feed(pair.client.tls, alert, sizeof(alert)), 0);
    assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), rows[i].err);
    if (strstr(uvsmtp_tls_error_detail(pair.client.tls), rows[i].words) == NULL)
      fail_msg("%u: %s", rows[i].number, uvsmtp_tls_error_detail(pair.client.tls));
    close_pair(&pair);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(host_names_are_matched_by_rfc_6125),
      cmocka_unit_test(wanted_names_are_host_names_or_addresses),
      cmocka_unit_test(every_kind_of_wrong_certificate_has_its_error_and_sentence),
      cmocka_unit_test(control_characters_of_a_certificate_do_not_reach_the_sentence),
      cmocka_unit_test(a_chain_through_an_intermediate_is_followed),
      cmocka_unit_test(an_expired_intermediate_is_named),
      cmocka_unit_test(name_constraints_hold_also_where_they_are_not_critical),
      cmocka_unit_test(a_chain_with_critical_constraints_is_refused),
      cmocka_unit_test(modes_without_checks_do_what_their_names_say),
      cmocka_unit_test(the_info_of_an_unchecked_session_says_unverified),
      cmocka_unit_test(a_name_is_needed_where_it_is_checked),
      cmocka_unit_test(pins_are_checked_in_every_mode),
      cmocka_unit_test(the_info_tells_what_a_pin_must_be),
      cmocka_unit_test(client_certificates_are_shown_demanded_and_refused),
      cmocka_unit_test(alerts_become_errors_that_say_what_the_server_minds),
      cmocka_unit_test(a_server_that_hangs_up_for_want_of_a_certificate_is_understood),
  };
  return cmocka_run_group_tests(tests, make_world, free_world);
}
