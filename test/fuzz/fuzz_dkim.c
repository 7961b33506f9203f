/*
 * Signed messages: the signature is the same however the message is cut, and whether its lines end
 * in CRLF, LF or CR, since the sender makes CRLF of all of them. What the signing says of its
 * content is true of it.
 */
#include <stdbool.h>
#include <string.h>

#include "target.h"
#include "uvsmtp/dkim.h"
#include "uvsmtp/tls.h"

/* ---- A key that signs a digest with itself ---- */

static int key_new(uvsmtp_key_t **key, const char *pem, size_t len, const char *password,
                   char *detail, size_t detail_size)
{
  (void)pem;
  (void)len;
  (void)password;
  (void)detail;
  (void)detail_size;
  *key = malloc(1);
  return 0;
}

static void key_free(uvsmtp_key_t *key)
{
  free(key);
}

static uvsmtp_key_type_t key_type(const uvsmtp_key_t *key)
{
  (void)key;
  return UVSMTP_KEY_ED25519;
}

static int sign(uvsmtp_key_t *key, const void *bytes, size_t len, uint8_t *out, size_t *out_len)
{
  (void)key;
  memcpy(out, bytes, len);
  *out_len = len;
  return 0;
}

static uvsmtp_dkim_t *new_signer(unsigned flags)
{
  static uvsmtp_crypto_t crypto;
  uvsmtp_dkim_options_t o = UVSMTP_DKIM_OPTIONS_INIT;
  uvsmtp_dkim_t *signer;

  crypto = *uvsmtp_tls_crypto();
  crypto.key_new = key_new;
  crypto.key_free = key_free;
  crypto.key_type = key_type;
  crypto.sign = sign;
  o.crypto = &crypto;
  o.domain = "a.example";
  o.selector = "s";
  o.key = "";
  o.signed_at = 1;
  o.flags =
      flags & (UVSMTP_DKIM_SIMPLE_HEADER | UVSMTP_DKIM_SIMPLE_BODY | UVSMTP_DKIM_NO_OVERSIGNING);
  FUZZ_CHECK(uvsmtp_dkim_new(&signer, &o, NULL, 0) == 0);
  return signer;
}

/* ---- Signing ---- */

static void check_content(const uvsmtp_source_info_t *info, const char *text, size_t len)
{
  bool eight = false, crlf = len > 0 && text[len - 1] == '\n';

  for (size_t i = 0; i < len; i++) {
    eight = eight || (unsigned char)text[i] > 127;
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r'))
      crlf = false;
    if (text[i] == '\r' && (i + 1 == len || text[i + 1] != '\n'))
      crlf = false;
  }
  FUZZ_CHECK(((info->content & UVSMTP_CONTENT_8BIT) != 0) == eight);
  FUZZ_CHECK(((info->content & UVSMTP_CONTENT_CRLF) != 0) == crlf);
}

/* The signature's field of a message in pieces of `step` octets; NULL if it cannot be signed. */
static char *field_of(uvsmtp_dkim_t *signer, const char *text, size_t len, size_t step, bool hold)
{
  size_t count = (len + step - 1) / step, given = 0;
  uvsmtp_slice_t *slices = calloc(count + 1, sizeof *slices), piece;
  uvsmtp_signing_options_t o = UVSMTP_SIGNING_OPTIONS_INIT;
  uvsmtp_source_t source, signed_one;
  uvsmtp_source_info_t info;
  uvsmtp_signing_t *signing;
  char *field = NULL;

  FUZZ_CHECK(slices != NULL);
  for (size_t i = 0; i < count; i++)
    slices[i] = (uvsmtp_slice_t){text + i * step, len - i * step < step ? len - i * step : step};
  uvsmtp_source_buffers(&source, slices, count);
  o.source = &source;
  o.signers = &signer;
  o.signer_count = 1;
  o.flags = hold ? UVSMTP_SIGNING_HOLD : 0;
  FUZZ_CHECK(uvsmtp_signing_new(&signing, &o) == 0);
  uvsmtp_signing_source(signing, &signed_one);
  if (signed_one.ops->open(&signed_one, 0, &info) == 0) {
    check_content(&info, text, len);
    FUZZ_CHECK(signed_one.ops->next(&signed_one, &piece) == 0 && piece.len > 0);
    field = calloc(1, piece.len + 1);
    FUZZ_CHECK(field != NULL);
    memcpy(field, piece.base, piece.len);
    for (given = piece.len; piece.len > 0; given += piece.len)
      FUZZ_CHECK(signed_one.ops->next(&signed_one, &piece) == 0);
    FUZZ_CHECK(given == info.length);
    signed_one.ops->close(&signed_one);
  }
  uvsmtp_signing_free(signing);
  free(slices);
  return field;
}

/* The message as the sender makes it. */
static char *with_crlf(const char *text, size_t len, size_t *out_len)
{
  char *out = malloc(2 * len + 2);

  FUZZ_CHECK(out != NULL);
  *out_len = 0;
  for (size_t i = 0; i < len; i++) {
    bool end = text[i] == '\r' || text[i] == '\n';
    if (text[i] == '\n' && i > 0 && text[i - 1] == '\r')
      continue;
    if (end)
      out[(*out_len)++] = '\r';
    out[(*out_len)++] = end ? '\n' : text[i];
  }
  return out;
}

static void check_same(char *a, char *b)
{
  FUZZ_CHECK((a == NULL) == (b == NULL));
  FUZZ_CHECK(a == NULL || strcmp(a, b) == 0);
  free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  uvsmtp_dkim_t *signer = new_signer(fuzz_byte(&in));
  size_t step = fuzz_byte(&in) + 1u, len, sent_len;
  char *text = fuzz_piece(&in, size, &len), *sent = with_crlf(text, len, &sent_len);
  char *field = field_of(signer, text, len, len + 1, false);

  check_same(field, field_of(signer, text, len, step, false));
  check_same(field, field_of(signer, text, len, step, true));
  check_same(field, field_of(signer, sent, sent_len, step, false));
  free(field);
  free(sent);
  free(text);
  uvsmtp_dkim_free(signer);
  return 0;
}
