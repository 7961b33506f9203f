/* The table of digests, random bytes and signatures against the RFCs' vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <mbedtls/pk.h>

#include "certs.h"
#include "uvsmtp/tls.h"

static const uvsmtp_crypto_t *crypto;

static int set_up(void **state)
{
  crypto = uvsmtp_tls_crypto();
  return crypto != NULL ? 0 : -1;
}

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
  char text[512];
  assert_true(len * 2 < sizeof(text));
  for (size_t i = 0; i < len; i++)
    snprintf(text + 2 * i, 3, "%02x", bytes[i]);
  assert_string_equal(text, hex);
}

static void digests_are_those_of_the_standards(void **state)
{
  static const struct {
    uvsmtp_digest_t digest;
    const char *text, *hex;
  } rows[] = {
      /* RFC 1321 appendix A.5, RFC 3174 section 7.3, RFC 6234 section 8.5 */
      {UVSMTP_DIGEST_MD5, "", "d41d8cd98f00b204e9800998ecf8427e"},
      {UVSMTP_DIGEST_MD5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
      {UVSMTP_DIGEST_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
      {UVSMTP_DIGEST_SHA256, "abc",
       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {UVSMTP_DIGEST_SHA512, "abc",
       "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
       "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_digest_ctx_t ctx;
    uint8_t out[UVSMTP_DIGEST_MAX];
    assert_int_equal(crypto->digest_start(&ctx, rows[i].digest), 0);
    for (const char *at = rows[i].text; *at != '\0'; at++)
      assert_int_equal(crypto->digest_update(&ctx, at, 1), 0);
    assert_int_equal(crypto->digest_finish(&ctx, out), 0);
    crypto->digest_abort(&ctx);
    assert_int_equal(crypto->digest_len(rows[i].digest) * 2, strlen(rows[i].hex));
    assert_hex(out, crypto->digest_len(rows[i].digest), rows[i].hex);
  }
}

static void digests_that_are_not_there_are_refused(void **state)
{
  uvsmtp_digest_ctx_t ctx;
  uint8_t out[UVSMTP_DIGEST_MAX];
  assert_int_equal(crypto->digest_len((uvsmtp_digest_t)99), 0);
  assert_int_equal(crypto->digest_start(&ctx, (uvsmtp_digest_t)99), UVSMTP_EINVAL);
  crypto->digest_abort(&ctx);
  assert_int_equal(crypto->hmac((uvsmtp_digest_t)99, "k", 1, "d", 1, out), UVSMTP_EINVAL);
  assert_int_equal(crypto->pbkdf2((uvsmtp_digest_t)99, "p", 1, "s", 1, 1, out, 16), UVSMTP_EINVAL);
}

static void an_abandoned_digest_leaks_nothing(void **state)
{
  uvsmtp_digest_ctx_t ctx;
  assert_int_equal(crypto->digest_start(&ctx, UVSMTP_DIGEST_SHA512), 0);
  assert_int_equal(crypto->digest_update(&ctx, "abc", 3), 0);
  crypto->digest_abort(&ctx);
}

/* `key_byte` or `data_byte` repeated, where there is no text. */
typedef struct hmac_row_s {
  uvsmtp_digest_t digest;
  const char *key;
  uint8_t key_byte;
  size_t key_len;
  const char *data;
  uint8_t data_byte;
  size_t data_len;
  const char *hex;
} hmac_row_t;

static void hmac_gives_the_vectors_of_rfc_2202_and_4231(void **state)
{
  static const char larger[] = "Test Using Larger Than Block-Size Key - Hash Key First";
  static const char jefe[] = "what do ya want for nothing?";
  static const char both[] = "This is a test using a larger than block-size key and a larger than "
                             "block-size data. The key needs to be hashed before being used by the "
                             "HMAC algorithm.";
  const hmac_row_t rows[] = {
      {UVSMTP_DIGEST_MD5, NULL, 0x0b, 16, "Hi There", 0, 8, "9294727a3638bb1c13f48ef8158bfc9d"},
      {UVSMTP_DIGEST_MD5, "Jefe", 0, 4, jefe, 0, 28, "750c783e6ab0b503eaa86e310a5db738"},
      {UVSMTP_DIGEST_MD5, NULL, 0xaa, 16, NULL, 0xdd, 50, "56be34521d144c88dbb8c733f0e8b3f6"},
      {UVSMTP_DIGEST_MD5, NULL, 0xaa, 80, larger, 0, 54, "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
      {UVSMTP_DIGEST_SHA1, NULL, 0x0b, 20, "Hi There", 0, 8,
       "b617318655057264e28bc0b6fb378c8ef146be00"},
      {UVSMTP_DIGEST_SHA1, "Jefe", 0, 4, jefe, 0, 28, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
      {UVSMTP_DIGEST_SHA1, NULL, 0xaa, 20, NULL, 0xdd, 50,
       "125d7342b9ac11cd91a39af48aa17b4f63f175d3"},
      {UVSMTP_DIGEST_SHA1, NULL, 0xaa, 80, larger, 0, 54,
       "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
      {UVSMTP_DIGEST_SHA256, NULL, 0x0b, 20, "Hi There", 0, 8,
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {UVSMTP_DIGEST_SHA256, "Jefe", 0, 4, jefe, 0, 28,
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {UVSMTP_DIGEST_SHA256, NULL, 0xaa, 20, NULL, 0xdd, 50,
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {UVSMTP_DIGEST_SHA256, NULL, 0xaa, 131, larger, 0, 54,
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {UVSMTP_DIGEST_SHA256, NULL, 0xaa, 131, both, 0, 152,
       "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
      {UVSMTP_DIGEST_SHA512, NULL, 0x0b, 20, "Hi There", 0, 8,
       "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
       "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
      {UVSMTP_DIGEST_SHA512, NULL, 0xaa, 131, larger, 0, 54,
       "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
       "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    const hmac_row_t *row = &rows[i];
    uint8_t key[200], data[200], out[UVSMTP_DIGEST_MAX];
    memset(key, row->key_byte, sizeof(key));
    memset(data, row->data_byte, sizeof(data));
    if (row->key != NULL)
      memcpy(key, row->key, row->key_len);
    if (row->data != NULL)
      memcpy(data, row->data, row->data_len);
    assert_int_equal(crypto->hmac(row->digest, key, row->key_len, data, row->data_len, out), 0);
    assert_hex(out, crypto->digest_len(row->digest), row->hex);
  }
}

static void pbkdf2_gives_the_vectors_of_rfc_6070_and_7914(void **state)
{
  static const struct {
    uvsmtp_digest_t digest;
    const char *password;
    size_t password_len;
    const char *salt;
    size_t salt_len;
    uint32_t iterations;
    size_t len;
    const char *hex;
  } rows[] = {
      {UVSMTP_DIGEST_SHA1, "password", 8, "salt", 4, 1, 20,
       "0c60c80f961f0e71f3a9b524af6012062fe037a6"},
      {UVSMTP_DIGEST_SHA1, "password", 8, "salt", 4, 2, 20,
       "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"},
      {UVSMTP_DIGEST_SHA1, "password", 8, "salt", 4, 4096, 20,
       "4b007901b765489abead49d926f721d065a429c1"},
      {UVSMTP_DIGEST_SHA1, "passwordPASSWORDpassword", 24, "saltSALTsaltSALTsaltSALTsaltSALTsalt",
       36, 4096, 25, "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"},
      {UVSMTP_DIGEST_SHA1, "pass\0word", 9, "sa\0lt", 5, 4096, 16,
       "56fa6aa75548099dcc37d7f03425e0c3"},
      {UVSMTP_DIGEST_SHA256, "passwd", 6, "salt", 4, 1, 64,
       "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
       "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"},
      {UVSMTP_DIGEST_SHA256, "Password", 8, "NaCl", 4, 80000, 64,
       "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
       "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"},
      {UVSMTP_DIGEST_SHA512, "password", 8, "salt", 4, 1000, 100,
       "afe6c5530785b6cc6b1c6453384731bd5ee432ee549fd42fb6695779"
       "ad8a1c5bf59de69c48f774efc4007d5298f9033c0241d5ab69305e7b"
       "64eceeb8d834cfec6afdec3c1c23982a121f2d4be008889378a49a0d"
       "fb104f0d2856e38f44271cdaf6de4341"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uint8_t out[128];
    assert_int_equal(crypto->pbkdf2(rows[i].digest, rows[i].password, rows[i].password_len,
                                    rows[i].salt, rows[i].salt_len, rows[i].iterations, out,
                                    rows[i].len),
                     0);
    assert_hex(out, rows[i].len, rows[i].hex);
  }
}

static void pbkdf2_without_iterations_is_refused(void **state)
{
  uint8_t out[20];
  assert_int_equal(
      crypto->pbkdf2(UVSMTP_DIGEST_SHA1, "password", 8, "salt", 4, 0, out, sizeof(out)),
      UVSMTP_EINVAL);
}

static void random_bytes_differ(void **state)
{
  uint8_t a[1000] = {0}, b[1000] = {0};
  size_t zeros = 0;
  assert_int_equal(crypto->random(a, sizeof(a)), 0);
  assert_int_equal(crypto->random(b, sizeof(b)), 0);
  assert_memory_not_equal(a, b, sizeof(a));
  for (size_t i = 0; i < sizeof(a); i++)
    zeros += a[i] == 0;
  assert_true(zeros < 50); /* all of it was written: chance gives 4 */
  assert_int_equal(crypto->random(a, 0), 0);
}

/* openssl genrsa -traditional 1024 */
static const char rsa_key[] = "-----BEGIN RSA PRIVATE KEY-----\n"
                              "MIICXgIBAAKBgQDNmdWhtZem7CqHnfOZAiNtwvCTVqT1+DxY7U3PJK7XzQzX5Pwz\n"
                              "Rmhv08WN9nQ9ixo7pRilWZQrYlDF5b9mpfTsb6FYPYXTqkAp5Y7uY7aYoEkLs8rX\n"
                              "ZOH7dAl90Y/d9K0k2NbypnhSL8LOzx4Mi4o+lWa32VmrLn7xTkJzi09s3wIDAQAB\n"
                              "AoGBAMTd9WpXODQUVRDwlI1BN+1kyPk78M65eAdqiqO7K1PlutOLJlZup5fUfojV\n"
                              "oS5A4MiV6EiDwtXb2R31RNWkOSToz1mpA659APWK8VXEMvw4zDQSzxCsKb8+uW3D\n"
                              "DrDSiVxvYPTFU1HZxNVvpObHjUsHMMmDmYP411RVpHM7EuWZAkEA5e3/ulR133JF\n"
                              "P4tAtIMGeGh2C27he+HZL8qIpa88JQRrGlneoQIrg4p0XgGXF4uXv/YEkm8/clol\n"
                              "YbI6M7A5HQJBAOTpqYV77um9w8SrCmJrGm6QnGJ6IF1L+2lg9U7gq1X5tSKlg3KA\n"
                              "cmyibFUf4Cy4w36HDIbEiEYIgS8VmFwKGSsCQA2QPpelR9bIjOE0u7pqSEVuFBiU\n"
                              "j+SY7BDvp6PudGPSoObLCmEBGcQGtNqeyWTwLSF7x8VDnsCGJNJgiyJlcNkCQQDO\n"
                              "S94glB4tvH0PYm2LYKaDegPVo+ZC7lT3FRA+M691XgLl5G/f4u48BOzIkl9/LkvQ\n"
                              "XXjmg3ukUcnKWxXh7J/dAkEAh5att6LT/eH1P4FI3BdXbAEqSeGwOvjCaVaB1FQX\n"
                              "0iRzzkwz7dQsUYczCxPMpKrO7LZLX5eQFEFVa4xjpqH4iQ==\n"
                              "-----END RSA PRIVATE KEY-----\n";

/* The same key's signature of the digest of "uvsmtp", by openssl dgst -sha256 -sign. */
static const char rsa_signature[] =
    "bcddcb9fd84d3008b6f1c544dd0930abf59f5c09e1980e0f954c222aa2ba3003"
    "6233007dcc8b799fca131419c76f127174b300727a209ad54b8fa5a8950a45fb"
    "9c63a8618435254c01e385116af6b37b1a8f515e857c63e78b9b711ebfd879df"
    "5e26b4029be3037fa3b9602bb6c23cd3e1357988029decdf1735afda7abf785d";

static void rsa_signs_as_openssl_does(void **state)
{
  uvsmtp_key_t *key;
  uvsmtp_digest_ctx_t ctx;
  uint8_t digest[32], signature[256];
  size_t len = sizeof(signature);
  char detail[200] = "";
  assert_int_equal(crypto->key_new(&key, rsa_key, strlen(rsa_key), NULL, detail, sizeof(detail)),
                   0);
  assert_int_equal(crypto->key_type(key), UVSMTP_KEY_RSA);
  assert_int_equal(crypto->key_bits(key), 1024);
  assert_int_equal(crypto->digest_start(&ctx, UVSMTP_DIGEST_SHA256), 0);
  assert_int_equal(crypto->digest_update(&ctx, "uvsmtp", 6), 0);
  assert_int_equal(crypto->digest_finish(&ctx, digest), 0);
  assert_int_equal(crypto->sign(key, digest, 32, signature, &len), 0);
  assert_int_equal(len, 128);
  assert_hex(signature, len, rsa_signature);
  len = 127;
  assert_int_equal(crypto->sign(key, digest, 32, signature, &len), UVSMTP_EINVAL);
  len = sizeof(signature);
  assert_int_equal(crypto->sign(key, digest, 20, signature, &len), UVSMTP_EINVAL);
  crypto->key_free(key);
  crypto->key_free(NULL);
}

static void signatures_verify_with_the_public_key(void **state)
{
  identity_t identity;
  uvsmtp_key_t *key;
  uint8_t digest[32], signature[512];
  size_t len = sizeof(signature);
  make_identity(&identity, &(spec_t){.is_rsa = 1});
  assert_int_equal(crypto->key_new(&key, identity.key, strlen(identity.key), NULL, NULL, 0), 0);
  assert_int_equal(crypto->random(digest, sizeof(digest)), 0);
  assert_int_equal(crypto->sign(key, digest, sizeof(digest), signature, &len), 0);
  assert_int_equal(
      mbedtls_pk_verify(&identity.pk, MBEDTLS_MD_SHA256, digest, sizeof(digest), signature, len),
      0);
  digest[0] ^= 1;
  assert_int_not_equal(
      mbedtls_pk_verify(&identity.pk, MBEDTLS_MD_SHA256, digest, sizeof(digest), signature, len),
      0);
  crypto->key_free(key);
  free_identity(&identity);
}

/* The first two keys of RFC 8032 section 7.1, and what they sign; the second with its public key in
 * the PEM, as RFC 5958 allows. */
static void ed25519_signs_as_the_standard_says(void **state)
{
  static const struct {
    const char *pem, *message, *signature;
  } rows[] = {
      {"-----BEGIN PRIVATE KEY-----\n"
       "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
       "-----END PRIVATE KEY-----\n",
       "",
       "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
       "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
      {"-----BEGIN PRIVATE KEY-----\r\n"
       "MFECAQEwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\r\n"
       "gSEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\r\n"
       "-----END PRIVATE KEY-----\r\n",
       "r",
       "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
       "458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_key_t *key;
    uint8_t signature[64];
    size_t len = sizeof(signature);
    char detail[200] = "", hex[129];
    int err = crypto->key_new(&key, rows[i].pem, strlen(rows[i].pem), NULL, detail, sizeof(detail));
    if (err != 0 && strstr(detail, "without libsodium") != NULL)
      skip();
    assert_int_equal(err, 0);
    assert_int_equal(crypto->key_type(key), UVSMTP_KEY_ED25519);
    assert_int_equal(crypto->sign(key, rows[i].message, strlen(rows[i].message), signature, &len),
                     0);
    assert_int_equal(len, sizeof(signature));
    for (size_t k = 0; k < len; k++)
      snprintf(hex + 2 * k, 3, "%02x", signature[k]);
    assert_string_equal(hex, rows[i].signature);
    len = 63;
    assert_int_equal(crypto->sign(key, "", 0, signature, &len), UVSMTP_EINVAL);
    crypto->key_free(key);
  }
}

static void keys_that_cannot_sign_are_refused_with_a_sentence(void **state)
{
  identity_t ec;
  make_identity(&ec, &(spec_t){0});
  const struct {
    const char *pem, *words;
  } rows[] = {{"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIM3UNy+Uk2qrQYUf\n"
               "-----END PRIVATE KEY-----\n",
               "Ed25519"},
              {"-----BEGIN PRIVATE KEY-----\n"
               "MC4CAQAwBQYDK2VwBCIEIM3UNy+Uk2qrQYUfH3u5Fo/vanI0Jtl9exQGtB4OSKRc\n",
               "Ed25519"},
              {ec.key, "EC, not RSA"},
              {ec.cert, "no private key"},
              {"", "no private key"}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_key_t *key = (uvsmtp_key_t *)&ec;
    char detail[200] = "";
    assert_int_equal(
        crypto->key_new(&key, rows[i].pem, strlen(rows[i].pem), NULL, detail, sizeof(detail)),
        UVSMTP_EKEY);
    assert_null(key);
    assert_non_null(strstr(detail, rows[i].words));
  }
  free_identity(&ec);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(digests_are_those_of_the_standards),
      cmocka_unit_test(digests_that_are_not_there_are_refused),
      cmocka_unit_test(an_abandoned_digest_leaks_nothing),
      cmocka_unit_test(hmac_gives_the_vectors_of_rfc_2202_and_4231),
      cmocka_unit_test(pbkdf2_gives_the_vectors_of_rfc_6070_and_7914),
      cmocka_unit_test(pbkdf2_without_iterations_is_refused),
      cmocka_unit_test(random_bytes_differ),
      cmocka_unit_test(rsa_signs_as_openssl_does),
      cmocka_unit_test(signatures_verify_with_the_public_key),
      cmocka_unit_test(ed25519_signs_as_the_standard_says),
      cmocka_unit_test(keys_that_cannot_sign_are_refused_with_a_sentence),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
