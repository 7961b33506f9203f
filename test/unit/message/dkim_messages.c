/*
 * Writes signed messages for dkim_verify.py: first a line for each key, its selector and what the
 * DNS says of it, and an empty line; then each message in base64 on a line of its own. Every
 * setting of the signer meets messages that its canonical forms treat differently.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "dkim_key.h"
#include "uvsmtp/dkim.h"
#include "uvsmtp/message.h"
#include "uvsmtp/tls.h"

static void check(int err, const char *detail)
{
  if (err == 0)
    return;
  fprintf(stderr, "%s: %s\n", uvsmtp_err_name(err), detail);
  exit(1);
}

static void put(uvsmtp_source_t *source)
{
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece = {NULL, 1};
  char *all = NULL, *text;
  size_t len = 0;
  check(source->ops->open(source, 0, &info), "open");
  while (piece.len > 0) {
    check(source->ops->next(source, &piece), "next");
    all = realloc(all, len + piece.len + 1);
    if (piece.len > 0)
      memcpy(all + len, piece.base, piece.len);
    len += piece.len;
  }
  source->ops->close(source);
  text = calloc(1, uvsmtp__base64_encoded_len(len) + 1);
  uvsmtp__base64_encode(text, all, len);
  puts(text);
  free(text);
  free(all);
}

static void sign(uvsmtp_source_t *given, uvsmtp_dkim_t *const *signers, size_t count)
{
  uvsmtp_signing_options_t o = UVSMTP_SIGNING_OPTIONS_INIT;
  uvsmtp_signing_t *signing;
  uvsmtp_source_t source;
  o.source = given;
  o.signers = signers;
  o.signer_count = count;
  check(uvsmtp_signing_new(&signing, &o), "signing");
  uvsmtp_signing_source(signing, &source);
  put(&source);
  uvsmtp_signing_free(signing);
}

/* A signer by Ed25519; NULL where the library cannot do that. */
static uvsmtp_dkim_t *new_ed25519_signer(void)
{
  uvsmtp_dkim_options_t o = UVSMTP_DKIM_OPTIONS_INIT;
  uvsmtp_dkim_t *signer;
  o.crypto = uvsmtp_tls_crypto();
  o.domain = "sender.example";
  o.selector = "ed";
  o.key = test_ed25519_key;
  return uvsmtp_dkim_new(&signer, &o, NULL, 0) == 0 ? signer : NULL;
}

static uvsmtp_dkim_t *new_signer(unsigned flags, const char *headers, const char *identity)
{
  uvsmtp_dkim_options_t o = UVSMTP_DKIM_OPTIONS_INIT;
  uvsmtp_dkim_t *signer;
  char detail[200] = "";
  o.crypto = uvsmtp_tls_crypto();
  o.domain = "sender.example";
  o.selector = "test";
  o.key = test_key;
  o.flags = flags;
  o.headers = headers;
  o.identity = identity;
  check(uvsmtp_dkim_new(&signer, &o, detail, sizeof(detail)), detail);
  return signer;
}

static void sign_built(uvsmtp_dkim_t *const *signers, size_t count)
{
  uvsmtp_message_options_t options = UVSMTP_MESSAGE_OPTIONS_INIT;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *m;
  uvsmtp_source_t source;
  options.crypto = uvsmtp_tls_crypto();
  check(uvsmtp_message_new(&m, &options), "new");
  uvsmtp_message_address(m, UVSMTP_FROM, "J\xc3\xb6rg", "joerg@sender.example");
  uvsmtp_message_address(m, UVSMTP_TO, NULL, "bob@receiver.example");
  uvsmtp_message_subject(m,
                         "A rather long subject with \xc3\xbcmlauts, so that it has to be folded "
                         "into more than one line");
  uvsmtp_message_text(m, "Hi  there \n\n\tindented\ntrailing \t\n\n\n", SIZE_MAX);
  uvsmtp_message_html(m, "<p>Hi \xe2\x9c\x93</p>\n", SIZE_MAX);
  a.bytes = "\0\1\2\3";
  a.len = 4;
  a.filename = "b.bin";
  uvsmtp_message_attach(m, &a);
  uvsmtp_message_unsubscribe(m, "https://sender.example/u", NULL, 1);
  check(uvsmtp_message_source(m, &source), uvsmtp_message_detail(m));
  sign(&source, signers, count);
  uvsmtp_message_free(m);
}

int main(void)
{
  static const char *const raw[] = {
      "From: a@sender.example\r\n\r\n",
      "From: a@sender.example\r\nSubject:  two  blanks \r\n\tand a fold\r\n\r\n \r\n\r\n",
      "FROM: a@sender.example\r\nTo:\r\n b@c\r\nX-Y: z\r\n\r\nbody  with \t blanks \r\n \r\nend",
      "From: a@sender.example\r\nReceived: x\r\nCc: a@b\r\nCc: c@d\r\n\r\n.dot\r\n..\r\n\r\n\r\n",
  };
  uvsmtp_dkim_t *signers[9];
  size_t count = 8;
  for (unsigned flags = 0; flags < 8; flags++)
    signers[flags] = new_signer(flags, flags == 5 ? "From:Subject:From" : NULL,
                                flags == 6 ? "someone@sub.sender.example" : NULL);
  if ((signers[8] = new_ed25519_signer()) != NULL)
    count++;
  printf("test v=DKIM1; k=rsa; p=%s\n", test_public_key);
  printf("ed v=DKIM1; k=ed25519; p=%s\n\n", test_ed25519_public_key);
  for (size_t k = 0; k < count; k++) {
    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
      uvsmtp_source_t given;
      uvsmtp_source_memory(&given, raw[i], strlen(raw[i]));
      sign(&given, &signers[k], 1);
    }
    sign_built(&signers[k], 1);
  }
  sign_built(signers, count);
  for (size_t k = 0; k < count; k++)
    uvsmtp_dkim_free(signers[k]);
  return 0;
}
