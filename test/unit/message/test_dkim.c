#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base64.h"
#include "dkim_key.h"
#include "message/canon.h"
#include "support.h"
#include "uvsmtp/dkim.h"
#include "uvsmtp/message.h"
#include "uvsmtp/tls.h"

/* ---- Canonical forms ---- */

/* Hashes a body in pieces of `step` bytes and writes the digest in base64. */
static void hash_body(char out[45], const char *body, size_t len, bool relaxed, size_t step)
{
  uvsmtp__body_hash_t h;
  uint8_t digest[32];
  assert_int_equal(uvsmtp__body_hash_start(&h, uvsmtp_tls_crypto(), relaxed), 0);
  for (size_t at = 0; at < len; at += step)
    uvsmtp__body_hash_update(&h, body + at, len - at < step ? len - at : step);
  assert_int_equal(uvsmtp__body_hash_finish(&h, digest), 0);
  uvsmtp__base64_encode(out, digest, 32);
  out[44] = '\0';
}

static void known_bodies_have_the_known_hashes(void **state)
{
  /* RFC 6376 sections 3.4.3 and 3.4.4, RFC 8463 appendix A.3 */
  static const struct {
    const char *body;
    bool relaxed;
    const char *hash;
  } rows[] = {
      {"", false, "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="},
      {"\r\n\r\n", false, "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="},
      {"", true, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
      {" \r\n\t\r\n", true, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
      {"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n", true,
       "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="},
      {"Hi.\n\nWe lost the game. \t Are you hungry yet? \n\nJoe.\n\n \n", true,
       "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="},
      {"Hi.\r\rWe lost the game. Are you hungry yet?\r\rJoe.", true,
       "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    for (size_t step = 1; step < 60; step++) {
      char got[45];
      hash_body(got, rows[i].body, strlen(rows[i].body), rows[i].relaxed, step);
      assert_string_equal(got, rows[i].hash);
    }
}

static void what_differs_has_another_hash(void **state)
{
  static const struct {
    const char *one, *other;
    bool relaxed, same;
  } rows[] = {
      {"a\r\n", "a", false, true},
      {"a\r\n\r\n", "a\r\n", false, true},
      {"a \r\n", "a\r\n", false, false},
      {"a \r\n", "a\r\n", true, true},
      {"a  b\r\n", "a b\r\n", true, true},
      {"a  b\r\n", "a b\r\n", false, false},
      {" a\r\n", "a\r\n", true, false},
      {"a\r\n\r\nb", "a\r\nb", true, false},
      {"a\r\n \r\nb", "a\r\n\r\nb", true, true},
      {"a\n\rb", "a\r\n\r\nb", false, true},
      {"\r\na\r\n", "a\r\n", true, false},
      {"a\r\n \t\r\n", "a\r\n", true, true},
      {"a\r\n \t\r\n", "a\r\n", false, false},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    for (size_t step = 1; step < 6; step++) {
      char one[45], other[45];
      hash_body(one, rows[i].one, strlen(rows[i].one), rows[i].relaxed, step);
      hash_body(other, rows[i].other, strlen(rows[i].other), rows[i].relaxed, 100);
      assert_int_equal(strcmp(one, other) == 0, rows[i].same);
    }
}

static void fields_have_the_canonical_forms_of_the_rfc(void **state)
{
  static const struct {
    const char *field;
    bool relaxed;
    const char *want;
  } rows[] = {
      {"A: X\r\n", true, "a:X\r\n"}, /* RFC 6376 section 3.4.5 */
      {"B : Y\t\r\n\tZ  \r\n", true, "b:Y Z\r\n"},
      {"A: X\r\n", false, "A: X\r\n"},
      {"B : Y\t\r\n\tZ  \r\n", false, "B : Y\t\r\n\tZ  \r\n"},
      {"B : Y\t\n\tZ  \n", false, "B : Y\t\r\n\tZ  \r\n"},
      {"C:\r\n", true, "c:\r\n"},
      {"C:  \r\n  \r\n", true, "c:\r\n"},
      {"D:x", true, "d:x\r\n"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp__fields_t place = {.bytes = rows[i].field, .len = strlen(rows[i].field)};
    uvsmtp__field_t field;
    uvsmtp__buffer_t out;
    uvsmtp__buffer_init(&out, NULL, 1000);
    assert_int_equal(uvsmtp__fields_next(&place, &field, NULL, 0), 1);
    assert_int_equal(uvsmtp__canon_field(&out, rows[i].field, &field, rows[i].relaxed), 0);
    assert_int_equal(uvsmtp__buffer_len(&out), strlen(rows[i].want));
    assert_memory_equal(uvsmtp__buffer_data(&out), rows[i].want, strlen(rows[i].want));
    uvsmtp__buffer_free(&out);
  }
}

/* ---- Signers ---- */

static uvsmtp_dkim_options_t test_options(void)
{
  uvsmtp_dkim_options_t o = UVSMTP_DKIM_OPTIONS_INIT;
  o.crypto = uvsmtp_tls_crypto();
  o.domain = "Sender.example";
  o.selector = "sel.2026";
  o.key = test_key;
  o.signed_at = 1790000000;
  return o;
}

static uvsmtp_dkim_t *new_signer(const uvsmtp_dkim_options_t *options)
{
  uvsmtp_dkim_t *signer;
  char detail[200] = "";
  int err = uvsmtp_dkim_new(&signer, options, detail, sizeof(detail));
  if (err != 0)
    fail_msg("%s: %s", uvsmtp_err_name(err), detail);
  return signer;
}

static void wrong_settings_are_refused_by_name(void **state)
{
  static const struct {
    size_t offset;
    const char *value;
    int err;
    const char *detail;
  } rows[] = {
#define AT(member) offsetof(uvsmtp_dkim_options_t, member)
      {AT(domain), NULL, UVSMTP_EINVAL, "no domain (d=)"},
      {AT(domain), "a\r\nb", UVSMTP_EINJECTION, "CR or LF in a domain"},
      {AT(domain), "a..b", UVSMTP_EADDRESS, "not a domain name: an empty label in the domain"},
      {AT(selector), NULL, UVSMTP_EINVAL, "the selector (s=) is not a name in a domain"},
      {AT(selector), "a;b", UVSMTP_EINVAL, "the selector (s=) is not a name in a domain"},
      {AT(selector), "a\nb", UVSMTP_EINJECTION, "CR or LF in the selector (s=)"},
      {AT(identity), "@other.example", UVSMTP_EINVAL,
       "the identity (i=) is not in the signing domain"},
      {AT(identity), "@notsender.example", UVSMTP_EINVAL,
       "the identity (i=) is not in the signing domain"},
      {AT(identity), "x\n@sender.example", UVSMTP_EINJECTION, "CR or LF in the identity (i=)"},
      {AT(headers), "To:Subject", UVSMTP_EINVAL, "the headers to be signed lack From"},
      {AT(headers), "From:a;b=c", UVSMTP_EINVAL,
       "a header to be signed is not the name of a field"},
      {AT(key), NULL, UVSMTP_EINVAL, "either a key or the file of one is needed"},
      {AT(key), short_key, UVSMTP_EKEY, "an RSA key of under 1024 bits"},
      {AT(key_file), "/nonexistent", UVSMTP_EINVAL, "either a key or the file of one is needed"},
#undef AT
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_dkim_options_t o = test_options();
    uvsmtp_dkim_t *signer;
    char detail[200] = "";
    memcpy((char *)&o + rows[i].offset, &rows[i].value, sizeof(rows[i].value));
    assert_int_equal(uvsmtp_dkim_new(&signer, &o, detail, sizeof(detail)), rows[i].err);
    assert_string_equal(detail, rows[i].detail);
    assert_null(signer);
  }
}

static void times_and_identities_that_cannot_be_written_are_refused(void **state)
{
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer;
  char detail[200], identity[700];
  o.expire_seconds = UINT64_MAX;
  assert_int_equal(uvsmtp_dkim_new(&signer, &o, detail, sizeof(detail)), UVSMTP_EINVAL);
  assert_string_equal(detail, "the times (t=, x=) have more than twelve digits");
  o.expire_seconds = 0;
  o.signed_at = -1;
  assert_int_equal(uvsmtp_dkim_new(&signer, &o, detail, sizeof(detail)), UVSMTP_EINVAL);
  o.signed_at = 0;
  memset(identity, 'x', sizeof(identity));
  memcpy(identity + 320 - 15, "@sender.example", 16);
  o.identity = identity;
  uvsmtp_dkim_free(new_signer(&o));
  identity[305] = 'x';
  memcpy(identity + 321 - 15, "@sender.example", 16);
  assert_int_equal(uvsmtp_dkim_new(&signer, &o, detail, sizeof(detail)), UVSMTP_EINVAL);
  assert_string_equal(detail, "the identity (i=) has over 320 octets");
}

static void a_key_comes_from_memory_or_a_file(void **state)
{
  char path[] = "/tmp/uvsmtp-dkim-XXXXXX";
  int fd = mkstemp(path);
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer;
  char detail[200] = "";
  assert_int_equal(write(fd, test_key, sizeof(test_key) - 1), (int)sizeof(test_key) - 1);
  close(fd);
  o.key = NULL;
  o.key_file = path;
  uvsmtp_dkim_free(new_signer(&o));
  assert_int_equal(truncate(path, 100), 0);
  assert_int_equal(uvsmtp_dkim_new(&signer, &o, detail, sizeof(detail)), UVSMTP_EKEY);
  assert_true(detail[0] != '\0');
  remove(path);
  assert_int_equal(uvsmtp_dkim_new(&signer, &o, detail, sizeof(detail)), UVSMTP_EKEY);
  assert_string_equal(strchr(detail, ':'), ": No such file or directory");
}

/* ---- Signed messages ---- */

static const char message[] = "From: Ann <ann@sender.example>\r\n"
                              "To: bob@receiver.example\r\n"
                              "Subject: Is dinner\r\n ready?\r\n"
                              "X-Other: unsigned\r\n"
                              "List-Id: one\r\n"
                              "List-Id: two\r\n"
                              "\r\n"
                              "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

static uvsmtp_signing_t *new_signing(uvsmtp_source_t *source, uvsmtp_dkim_t *const *signers,
                                     size_t count, unsigned flags)
{
  uvsmtp_signing_options_t o = UVSMTP_SIGNING_OPTIONS_INIT;
  uvsmtp_signing_t *signing;
  o.source = source;
  o.signers = signers;
  o.signer_count = count;
  o.flags = flags;
  assert_int_equal(uvsmtp_signing_new(&signing, &o), 0);
  return signing;
}

/* Removes the value of b=, whose base64 is checked for its form. */
static char *without_signature(char *text)
{
  char *start = strstr(text, " b=") + 3, *end = start;
  size_t characters = 0;
  for (; strncmp(end, "\r\n ", 3) == 0; end = strstr(end + 2, "\r\n"))
    characters += (size_t)(strstr(end + 2, "\r\n") - end) - 3;
  assert_int_equal(characters, 344); /* 256 bytes */
  memmove(start, end, strlen(end) + 1);
  return text;
}

static void the_field_says_what_is_signed_and_how(void **state)
{
  static const struct {
    unsigned flags;
    const char *headers, *identity;
    uint64_t expire;
    const char *want;
  } rows[] = {
      {0, NULL, NULL, 0,
       "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example;\r\n"
       " s=sel.2026; t=1790000000; h=from:from:reply-to:subject:subject:date:to:to:cc:\r\n"
       " message-id:in-reply-to:references:mime-version:content-type:\r\n"
       " content-transfer-encoding:list-id:list-id:list-unsubscribe:\r\n"
       " list-unsubscribe-post; bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=\r\n"},
      {UVSMTP_DKIM_SIMPLE_HEADER | UVSMTP_DKIM_SIMPLE_BODY | UVSMTP_DKIM_NO_OVERSIGNING, NULL,
       "x@sub.sender.example", 3600,
       "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=sender.example;\r\n"
       " s=sel.2026; i=x@sub.sender.example; t=1790000000; x=1790003600; h=from:\r\n"
       " subject:to:list-id:list-id; bh=4bLNXImK9drULnmePzZNEBleUanJCX5PIsDIFoH4KTQ=;\r\n"
       " b=\r\n"},
      {0, "FROM:To: Subject :From", NULL, 0,
       "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example;\r\n"
       " s=sel.2026; t=1790000000; h=from:to:subject:from;\r\n"
       " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=\r\n"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_dkim_options_t o = test_options();
    uvsmtp_dkim_t *signer;
    uvsmtp_signing_t *signing;
    uvsmtp_source_t given, source;
    uvsmtp_source_info_t info;
    size_t len;
    char *got, *at;
    o.flags = rows[i].flags;
    o.headers = rows[i].headers;
    o.identity = rows[i].identity;
    o.expire_seconds = rows[i].expire;
    signer = new_signer(&o);
    uvsmtp_source_memory(&given, message, sizeof(message) - 1);
    signing = new_signing(&given, &signer, 1, 0);
    uvsmtp_signing_source(signing, &source);
    assert_int_equal(uvsmtp_source_length(&source), sizeof(message) - 1);
    got = slurp(&source, 0, &info, &len);
    assert_int_equal(info.length, len);
    at = strstr(got, "From: Ann");
    assert_string_equal(at, message);
    *at = '\0';
    for (char *line = got; *line != '\0'; line = strstr(line, "\r\n") + 2)
      assert_true(strstr(line, "\r\n") - line <= 78);
    assert_string_equal(without_signature(got), rows[i].want);
    free(got);
    uvsmtp_signing_free(signing);
    uvsmtp_dkim_free(signer);
  }
}

/* A source whose pieces come one by one, each after a wait; can be opened `opens` times. */
typedef struct {
  size_t at, step;
  int opens;
  bool waiting, asked; /* said that it waits, and must not be asked before it wakes */
  unsigned content;
} slow_t;

static int slow_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  slow_t *slow = source->data;
  slow->at = 0;
  slow->waiting = true;
  slow->asked = false;
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN, .content = slow->content};
  return slow->opens-- > 0 ? 0 : UVSMTP_ESOURCE;
}

static int slow_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  slow_t *slow = source->data;
  size_t left = sizeof(message) - 1 - slow->at;
  assert_false(slow->waiting && slow->asked);
  slow->asked = slow->waiting;
  if (slow->waiting)
    return UVSMTP_PENDING;
  slow->waiting = slow->step < 10000;
  *piece = (uvsmtp_slice_t){message + slow->at, left < slow->step ? left : slow->step};
  slow->at += piece->len;
  return 0;
}

static void slow_close(uvsmtp_source_t *source)
{
}

static const uvsmtp_source_ops_t slow_ops = {
    .size = sizeof(slow_ops), .open = slow_open, .next = slow_next, .close = slow_close};

static void note_wake(void *reader)
{
  ++*(int *)reader;
}

/* Reads a source that waits: wakes `slow` whenever it does, and counts that the wake came on. */
static char *slurp_slowly(uvsmtp_source_t *source, uvsmtp_source_t *given, size_t *len)
{
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece = {NULL, 1};
  char *all = malloc(10000);
  int woken = 0, err = 0;
  bool opened = false;
  *len = 0;
  source->wake = note_wake;
  source->reader = &woken;
  while (!opened || err == UVSMTP_PENDING || piece.len > 0) {
    err = opened ? source->ops->next(source, &piece) : source->ops->open(source, 0, &info);
    if (err == UVSMTP_PENDING) {
      int before = woken;
      if (opened)
        assert_int_equal(source->ops->next(source, &piece), UVSMTP_PENDING);
      else
        assert_int_equal(source->ops->open(source, 0, &info), UVSMTP_PENDING);
      ((slow_t *)given->data)->waiting = false;
      uvsmtp_source_wake(given);
      assert_int_equal(woken, before + 1);
      piece.len = 1;
      continue;
    }
    assert_int_equal(err, 0);
    if (opened && piece.len > 0) {
      memcpy(all + *len, piece.base, piece.len);
      *len += piece.len;
    }
    opened = true;
  }
  source->ops->close(source);
  assert_int_equal(info.length, *len);
  all[*len] = '\0';
  return all;
}

static void a_source_that_waits_gives_the_same_signature(void **state)
{
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer = new_signer(&o);
  uvsmtp_source_t given, source;
  uvsmtp_signing_t *signing;
  char *want, *got;
  size_t want_len, len;
  uvsmtp_source_memory(&given, message, sizeof(message) - 1);
  signing = new_signing(&given, &signer, 1, 0);
  uvsmtp_signing_source(signing, &source);
  want = slurp(&source, 0, NULL, &want_len);
  uvsmtp_signing_free(signing);
  for (size_t step = 1; step < 200; step += 13)
    for (int once = 0; once < 2; once++) {
      slow_t slow = {
          .step = step, .opens = once ? 1 : 2, .content = once ? UVSMTP_CONTENT_ONCE : 0};
      given = (uvsmtp_source_t){.data = &slow, .ops = &slow_ops};
      signing = new_signing(&given, &signer, 1, 0);
      uvsmtp_signing_source(signing, &source);
      got = slurp_slowly(&source, &given, &len);
      assert_int_equal(len, want_len);
      assert_string_equal(got, want);
      free(got);
      if (once) { /* held: it can be read again though the given source cannot */
        got = slurp(&source, 0, NULL, &len);
        assert_string_equal(got, want);
        free(got);
      }
      uvsmtp_signing_free(signing);
    }
  free(want);
  uvsmtp_dkim_free(signer);
}

static void several_signers_sign_in_their_order(void **state)
{
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signers[2];
  uvsmtp_source_t given, source;
  uvsmtp_source_info_t info;
  uvsmtp_signing_t *signing;
  char *got, *first, *second;
  size_t len;
  signers[0] = new_signer(&o);
  o.domain = "other.example";
  o.flags = UVSMTP_DKIM_SIMPLE_BODY;
  signers[1] = new_signer(&o);
  uvsmtp_source_memory(&given, message, sizeof(message) - 1);
  signing = new_signing(&given, signers, 2, 0);
  uvsmtp_signing_source(signing, &source);
  got = slurp(&source, 0, &info, &len);
  assert_int_equal(info.length, len);
  first = strstr(got, "d=sender.example");
  second = strstr(got, "d=other.example");
  assert_true(first != NULL && second != NULL && first < second);
  assert_non_null(strstr(first, "bh=2jUSOH9N"));
  assert_non_null(strstr(second, "bh=4bLNXImK"));
  free(got);
  uvsmtp_signing_free(signing);
  uvsmtp_dkim_free(signers[0]);
  uvsmtp_dkim_free(signers[1]);
}

static void what_is_signed_is_built_of_seven_bit_encodings(void **state)
{
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_message_options_t mo = UVSMTP_MESSAGE_OPTIONS_INIT;
  uvsmtp_dkim_t *signer = new_signer(&o);
  uvsmtp_source_t given, source;
  uvsmtp_source_info_t info;
  uvsmtp_signing_t *signing;
  uvsmtp_message_t *m;
  size_t len;
  char *got;
  mo.crypto = uvsmtp_tls_crypto();
  assert_int_equal(uvsmtp_message_new(&m, &mo), 0);
  uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@sender.example");
  uvsmtp_message_text(m, "some text with \xc3\xa4\n", SIZE_MAX);
  assert_int_equal(uvsmtp_message_source(m, &given), 0);
  signing = new_signing(&given, &signer, 1, 0);
  uvsmtp_signing_source(signing, &source);
  got = slurp(&source, UVSMTP_TARGET_8BITMIME | UVSMTP_TARGET_BINARYMIME, &info, &len);
  assert_non_null(strstr(got, "Content-Transfer-Encoding: quoted-printable\r\n"));
  assert_int_equal(info.content & UVSMTP_CONTENT_8BIT, 0);
  free(got);
  uvsmtp_signing_free(signing);
  uvsmtp_message_free(m);
  uvsmtp_dkim_free(signer);
}

static void a_signed_message_knows_what_it_is_made_of(void **state)
{
  static const struct {
    const char *message;
    unsigned content;
  } rows[] = {
      {"From: a@b\r\n\r\nbody\r\n", UVSMTP_CONTENT_CRLF},
      {"From: a@b\r\n\r\nbody", 0},
      {"From: a@b\r\n\r\nbody\r", 0},
      {"From: a@b\r\n\r\nbody\n", 0},
      {"From: a@b\r\n\r\nbo\rdy\r\n", 0},
      {"From: a@b\r\n\r\n\rbody\r\n", 0},
      {"From: a@b\n\r\nbody\r\n", 0},
      {"From: a@b\r\n\r\nb\xc3\xb6\r\n", UVSMTP_CONTENT_CRLF | UVSMTP_CONTENT_8BIT},
      {"From: \xc3\xb6@b\r\n\r\nbody\r\n",
       UVSMTP_CONTENT_CRLF | UVSMTP_CONTENT_8BIT | UVSMTP_CONTENT_UTF8},
  };
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer = new_signer(&o);
  for (size_t i = 0; i < COUNT(rows); i++)
    for (size_t cut = 0; cut <= strlen(rows[i].message); cut++) {
      uvsmtp_slice_t pieces[2] = {{rows[i].message, cut},
                                  {rows[i].message + cut, strlen(rows[i].message) - cut}};
      uvsmtp_source_t given, source;
      uvsmtp_source_info_t info;
      uvsmtp_signing_t *signing;
      size_t len;
      uvsmtp_source_buffers(&given, pieces, 2);
      signing = new_signing(&given, &signer, 1, 0);
      uvsmtp_signing_source(signing, &source);
      free(slurp(&source, 0, &info, &len));
      assert_int_equal(info.length, len);
      assert_int_equal(info.content,
                       rows[i].content | UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_STABLE);
      uvsmtp_signing_free(signing);
    }
  uvsmtp_dkim_free(signer);
}

/* A source with 8-bit bytes that must not be encoded. */
static int eight_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN};
  source->at = 0;
  return (target & UVSMTP_TARGET_8BITMIME) != 0 ? 0 : UVSMTP_E8BIT;
}

static int eight_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  *piece = (uvsmtp_slice_t){"From: a@b\r\n\r\n\xc3\xb6\r\n", source->at++ == 0 ? 17 : 0};
  return 0;
}

static const uvsmtp_source_ops_t eight_ops = {
    .size = sizeof(eight_ops), .open = eight_open, .next = eight_next, .close = slow_close};

static void what_must_not_be_encoded_is_signed_as_8bit_if_the_server_takes_that(void **state)
{
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer = new_signer(&o);
  uvsmtp_source_t given = {.ops = &eight_ops}, source;
  uvsmtp_source_info_t info;
  uvsmtp_signing_t *signing = new_signing(&given, &signer, 1, 0);
  size_t len;
  uvsmtp_signing_source(signing, &source);
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_E8BIT);
  for (int i = 0; i < 2; i++) { /* the second time with the signature of the first */
    free(slurp(&source, UVSMTP_TARGET_8BITMIME, &info, &len));
    assert_int_equal(info.content,
                     UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_8BIT | UVSMTP_CONTENT_CRLF);
    assert_int_equal(info.length, len);
  }
  uvsmtp_signing_free(signing);
  uvsmtp_dkim_free(signer);
}

/* ---- Work elsewhere ---- */

/* "Another thread": a list of jobs that the test runs when it likes. */
typedef struct {
  struct {
    void (*run)(void *), (*done)(void *);
    void *arg;
  } jobs[20];
  size_t count;
  bool refuse;
} worker_t;

static int worker_add(void *ctx, void (*run)(void *), void (*done)(void *), void *arg)
{
  worker_t *w = ctx;
  if (w->refuse)
    return UVSMTP_ENOMEM;
  w->jobs[w->count].run = run;
  w->jobs[w->count].done = done;
  w->jobs[w->count++].arg = arg;
  return 0;
}

static void worker_run(worker_t *w, size_t i)
{
  w->jobs[i].run(w->jobs[i].arg);
  w->jobs[i].done(w->jobs[i].arg);
}

static void signatures_are_made_elsewhere_four_at_a_time(void **state)
{
  worker_t worker = {.count = 0};
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer;
  uvsmtp_source_t given[7], source[7];
  uvsmtp_source_info_t info;
  uvsmtp_signing_t *signing[7];
  uvsmtp_slice_t piece;
  int woken[7] = {0};
  o.work = worker_add;
  o.work_ctx = &worker;
  signer = new_signer(&o);
  for (int i = 0; i < 7; i++) {
    uvsmtp_source_memory(&given[i], message, sizeof(message) - 1);
    signing[i] = new_signing(&given[i], &signer, 1, 0);
    uvsmtp_signing_source(signing[i], &source[i]);
    source[i].wake = note_wake;
    source[i].reader = &woken[i];
    assert_int_equal(source[i].ops->open(&source[i], 0, &info), UVSMTP_PENDING);
    assert_int_equal(source[i].ops->open(&source[i], 0, &info), UVSMTP_PENDING);
  }
  assert_int_equal(worker.count, 4); /* the others wait for a key */
  uvsmtp_signing_free(signing[5]);   /* which this one will not need any more */
  worker_run(&worker, 0);
  assert_int_equal(worker.count, 5);
  assert_int_equal(woken[0], 1);
  assert_int_equal(source[0].ops->open(&source[0], 0, &info), 0);
  assert_true(info.length > sizeof(message) && info.length < 3000);
  assert_int_equal(source[0].ops->open(&source[0], 0, &info), UVSMTP_EBUSY);
  assert_int_equal(source[0].ops->next(&source[0], &piece), 0);
  assert_memory_equal(piece.base, "DKIM-Signature: ", 16);
  source[0].ops->close(&source[0]);
  source[1].ops->close(&source[1]); /* nobody waits for this one while it is made */
  uvsmtp_dkim_free(signer);         /* stays until its last signature is done */
  for (size_t i = 1; i < 6; i++)
    worker_run(&worker, i);
  assert_int_equal(worker.count, 6); /* of the seven */
  for (int i = 1; i < 7; i++)
    assert_int_equal(woken[i], i != 1 && i != 5);
  for (int i = 0; i < 7; i++)
    if (i != 5)
      uvsmtp_signing_free(signing[i]);
}

static void where_nothing_runs_elsewhere_it_runs_here(void **state)
{
  worker_t worker = {.refuse = true};
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer;
  uvsmtp_source_t given, source;
  uvsmtp_signing_t *signing;
  size_t len;
  char *got;
  o.work = worker_add;
  o.work_ctx = &worker;
  signer = new_signer(&o);
  uvsmtp_source_memory(&given, message, sizeof(message) - 1);
  signing = new_signing(&given, &signer, 1, 0);
  uvsmtp_signing_source(signing, &source);
  got = slurp(&source, 0, NULL, &len);
  assert_memory_equal(got, "DKIM-Signature: ", 16);
  free(got);
  uvsmtp_signing_free(signing);
  uvsmtp_dkim_free(signer);
}

/* Signs what comes in `count` pieces of `len` bytes, and counts how often others get their turn. */
static size_t turns_of(size_t count, size_t len)
{
  worker_t worker = {.count = 0};
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer;
  uvsmtp_slice_t slices[41] = {{"From: a@b\r\n\r\n", 13}};
  uvsmtp_source_t given, source;
  uvsmtp_source_info_t info;
  uvsmtp_signing_t *signing;
  uvsmtp_slice_t piece;
  char *big = malloc(len);
  size_t ran = 0, total = 0;
  int woken = 0, err;
  memset(big, 'x', len);
  for (size_t i = 1; i <= count; i++)
    slices[i] = (uvsmtp_slice_t){big, len};
  o.work = worker_add;
  o.work_ctx = &worker;
  signer = new_signer(&o);
  uvsmtp_source_buffers(&given, slices, count + 1);
  signing = new_signing(&given, &signer, 1, 0);
  uvsmtp_signing_source(signing, &source);
  source.wake = note_wake;
  source.reader = &woken;
  while ((err = source.ops->open(&source, 0, &info)) == UVSMTP_PENDING) {
    assert_int_equal(worker.count, ran + 1);
    worker_run(&worker, ran++);
    assert_int_equal(woken, ran);
  }
  assert_int_equal(err, 0);
  do {
    assert_int_equal(source.ops->next(&source, &piece), 0);
    total += piece.len;
  } while (piece.len > 0);
  assert_int_equal(total, info.length);
  assert_true(total > count * len + 13);
  source.ops->close(&source);
  uvsmtp_signing_free(signing);
  uvsmtp_dkim_free(signer);
  free(big);
  return ran;
}

static void a_long_body_gives_way_to_others(void **state)
{
  assert_int_equal(turns_of(40, 100000), 4); /* three pauses and a signature */
  assert_int_equal(turns_of(1, 4000000), 4); /* though it comes in one piece */
}

/* ---- Failures ---- */

static void what_cannot_be_signed_is_refused(void **state)
{
  static const struct {
    const char *message;
    const char *detail;
  } rows[] = {
      {"To: a@b\r\n\r\n", "From: missing, and must be signed"},
      {"", "From: missing, and must be signed"},
      {"From: a@b\r\nbroken\r\n\r\n",
       "line 2: neither a header field nor the empty line before the body: \"broken\""},
  };
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer = new_signer(&o);
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_source_t given, source;
    uvsmtp_source_info_t info;
    uvsmtp_signing_t *signing;
    uvsmtp_source_memory(&given, rows[i].message, strlen(rows[i].message));
    signing = new_signing(&given, &signer, 1, 0);
    uvsmtp_signing_source(signing, &source);
    assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_EHEADER);
    assert_string_equal(uvsmtp_signing_detail(signing), rows[i].detail);
    uvsmtp_signing_free(signing);
  }
  uvsmtp_dkim_free(signer);
}

static void a_signing_says_why_the_message_cannot_be_read(void **state)
{
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer = new_signer(&o);
  for (int opens = 0; opens < 2; opens++) {
    uvsmtp_source_t torn = {.data = &opens, .ops = &torn_ops}, source;
    uvsmtp_signing_t *signing = new_signing(&torn, &signer, 1, 0);
    uvsmtp_source_info_t info;
    uvsmtp_signing_source(signing, &source);
    assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_ESOURCE);
    assert_string_equal(source.ops->detail(&source), "the tape is torn");
    uvsmtp_signing_free(signing);
  }
  uvsmtp_dkim_free(signer);
}

/* As many fields as a header can have: each is looked at a few times, not as often as there are
 * others. */
static void a_header_of_very_many_fields_is_signed_or_refused(void **state)
{
  static const struct {
    const char *field;
    int err;
  } rows[] = {{"Cc:\r\n", UVSMTP_EHEADER}, {"X:\r\n", 0}};
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer = new_signer(&o);
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t n = 1000 * 1000 / strlen(rows[i].field), len = strlen("From: a@b\r\n");
    char *bytes = malloc(1000 * 1000 + 40);
    uvsmtp_source_t given, source;
    uvsmtp_source_info_t info;
    uvsmtp_signing_t *signing;
    memcpy(bytes, "From: a@b\r\n", len);
    for (; n > 0; n--, len += strlen(rows[i].field))
      memcpy(bytes + len, rows[i].field, strlen(rows[i].field));
    uvsmtp_source_memory(&given, bytes, len);
    signing = new_signing(&given, &signer, 1, 0);
    uvsmtp_signing_source(signing, &source);
    assert_int_equal(source.ops->open(&source, 0, &info), rows[i].err);
    assert_string_equal(uvsmtp_signing_detail(signing),
                        rows[i].err != 0 ? "the header has too many fields to be signed" : "");
    uvsmtp_signing_free(signing);
    free(bytes);
  }
  uvsmtp_dkim_free(signer);
}

static void a_message_that_changes_between_the_readings_fails(void **state)
{
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer = new_signer(&o);
  uvsmtp_source_t given, source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t slices[1] = {{message, sizeof(message) - 1}}, piece = {NULL, 1};
  for (int longer = 0; longer < 2; longer++) {
    uvsmtp_signing_t *signing;
    int err = 0;
    slices[0].len = sizeof(message) - 2;
    uvsmtp_source_buffers(&given, slices, 1);
    signing = new_signing(&given, &signer, 1, 0);
    uvsmtp_signing_source(signing, &source);
    assert_int_equal(source.ops->open(&source, 0, &info), 0);
    slices[0].len += longer ? 1 : (size_t)-1;
    for (piece.len = 1; err == 0 && piece.len > 0;)
      err = source.ops->next(&source, &piece);
    assert_int_equal(err, UVSMTP_ESOURCE);
    source.ops->close(&source);
    uvsmtp_signing_free(signing);
  }
  uvsmtp_dkim_free(signer);
}

/* A reading for another kind of server that comes to nothing leaves no trace. */
static void a_reading_that_was_stopped_is_begun_anew(void **state)
{
  slow_t slow = {.step = 10, .opens = 9};
  uvsmtp_source_t given = {.data = &slow, .ops = &slow_ops}, source;
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer = new_signer(&o);
  uvsmtp_signing_t *signing = new_signing(&given, &signer, 1, 0);
  uvsmtp_source_info_t info, again;
  uvsmtp_signing_source(signing, &source);
  for (int time = 0; time < 2; time++) {
    size_t total = 0;
    int err;
    uvsmtp_slice_t piece = {NULL, 1};
    while ((err = source.ops->open(&source, 0, &again)) == UVSMTP_PENDING) {
      slow.waiting = false;
      uvsmtp_source_wake(&given);
    }
    assert_int_equal(err, 0);
    if (time == 0)
      info = again;
    assert_int_equal(again.length, info.length);
    assert_int_equal(again.content, info.content);
    while (piece.len > 0) {
      err = source.ops->next(&source, &piece);
      if (err == UVSMTP_PENDING) {
        slow.waiting = false;
        uvsmtp_source_wake(&given);
        piece.len = 1;
        continue;
      }
      assert_int_equal(err, 0);
      total += piece.len;
    }
    assert_int_equal(total, info.length);
    source.ops->close(&source);
    if (time == 0) { /* another server, whose connection is lost meanwhile */
      assert_int_equal(source.ops->open(&source, UVSMTP_TARGET_SMTPUTF8, &again), UVSMTP_PENDING);
      source.ops->close(&source);
    }
  }
  uvsmtp_signing_free(signing);
  uvsmtp_dkim_free(signer);
}

static void a_message_with_an_attachment_that_can_be_read_once_is_held(void **state)
{
  slow_t slow = {.step = 10000, .opens = 1, .content = UVSMTP_CONTENT_ONCE};
  uvsmtp_source_t given = {.data = &slow, .ops = &slow_ops}, built, source;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer = new_signer(&o);
  uvsmtp_signing_t *signing;
  uvsmtp_message_t *m;
  uvsmtp_source_info_t info;
  size_t len;
  a.source = &given;
  assert_int_equal(uvsmtp_message_new(&m, NULL), 0);
  uvsmtp_message_id(m, "x@sender.example");
  uvsmtp_message_address(m, UVSMTP_FROM, NULL, "ann@sender.example");
  assert_int_equal(uvsmtp_message_attach(m, &a), 0);
  assert_int_equal(uvsmtp_message_source(m, &built), 0);
  signing = new_signing(&built, &signer, 1, 0);
  uvsmtp_signing_source(signing, &source);
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_PENDING);
  slow.waiting = false;
  uvsmtp_source_wake(&given);
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  for (int again = 0; again < 2; again++) {
    source.ops->close(&source);
    free(slurp(&source, 0, &info, &len));
    assert_int_equal(len, info.length);
    assert_int_equal(source.ops->open(&source, 0, &info), 0);
  }
  source.ops->close(&source);
  uvsmtp_signing_free(signing);
  uvsmtp_message_free(m);
  uvsmtp_dkim_free(signer);
}

static void what_can_be_read_once_is_held_up_to_a_maximum(void **state)
{
  slow_t slow = {.step = 10000, .opens = 1, .content = UVSMTP_CONTENT_ONCE};
  uvsmtp_source_t given = {.data = &slow, .ops = &slow_ops}, source;
  uvsmtp_signing_options_t so = UVSMTP_SIGNING_OPTIONS_INIT;
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_dkim_t *signer = new_signer(&o);
  uvsmtp_signing_t *signing;
  uvsmtp_source_info_t info;
  so.source = &given;
  so.signers = &signer;
  so.signer_count = 1;
  so.max_held_bytes = 100;
  assert_int_equal(uvsmtp_signing_new(&signing, &so), 0);
  uvsmtp_signing_source(signing, &source);
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_PENDING);
  slow.waiting = false;
  uvsmtp_source_wake(&given);
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_ESOURCE);
  assert_string_equal(source.ops->detail(&source),
                      "the message can be read only once, and is too long to be held for signing");
  uvsmtp_signing_free(signing);
  uvsmtp_dkim_free(signer);
}

static int sign_with(const uvsmtp_mem_t *mem)
{
  uvsmtp_dkim_options_t o = test_options();
  uvsmtp_signing_options_t so = UVSMTP_SIGNING_OPTIONS_INIT;
  uvsmtp_dkim_t *signer;
  uvsmtp_signing_t *signing = NULL;
  uvsmtp_source_t given, source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece = {NULL, 1};
  int err;
  o.mem = so.mem = mem;
  o.identity = "@sender.example";
  o.headers = "From:To";
  if ((err = uvsmtp_dkim_new(&signer, &o, NULL, 0)) != 0)
    return err;
  uvsmtp_source_memory(&given, message, sizeof(message) - 1);
  so.source = &given;
  so.signers = &signer;
  so.signer_count = 1;
  so.flags = UVSMTP_SIGNING_HOLD;
  if ((err = uvsmtp_signing_new(&signing, &so)) == 0) {
    uvsmtp_signing_source(signing, &source);
    if ((err = source.ops->open(&source, 0, &info)) == 0) {
      while (err == 0 && piece.len > 0)
        err = source.ops->next(&source, &piece);
      source.ops->close(&source);
    }
  }
  uvsmtp_signing_free(signing);
  uvsmtp_dkim_free(signer);
  return err;
}

static void running_out_of_memory_is_an_error_without_a_leak(void **state)
{
  for (size_t i = 1;; i++) {
    failing_t f = {.fail_at = i};
    uvsmtp_mem_t mem = FAILING_MEM(&f);
    int err = sign_with(&mem);
    assert_int_equal(f.live, 0);
    if (f.calls < i) {
      assert_int_equal(err, 0);
      assert_true(i > 10);
      return;
    }
    assert_int_equal(err, UVSMTP_ENOMEM);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_bodies_have_the_known_hashes),
      cmocka_unit_test(what_differs_has_another_hash),
      cmocka_unit_test(fields_have_the_canonical_forms_of_the_rfc),
      cmocka_unit_test(wrong_settings_are_refused_by_name),
      cmocka_unit_test(times_and_identities_that_cannot_be_written_are_refused),
      cmocka_unit_test(a_key_comes_from_memory_or_a_file),
      cmocka_unit_test(the_field_says_what_is_signed_and_how),
      cmocka_unit_test(a_source_that_waits_gives_the_same_signature),
      cmocka_unit_test(several_signers_sign_in_their_order),
      cmocka_unit_test(what_is_signed_is_built_of_seven_bit_encodings),
      cmocka_unit_test(a_signed_message_knows_what_it_is_made_of),
      cmocka_unit_test(what_must_not_be_encoded_is_signed_as_8bit_if_the_server_takes_that),
      cmocka_unit_test(signatures_are_made_elsewhere_four_at_a_time),
      cmocka_unit_test(where_nothing_runs_elsewhere_it_runs_here),
      cmocka_unit_test(a_long_body_gives_way_to_others),
      cmocka_unit_test(what_cannot_be_signed_is_refused),
      cmocka_unit_test(a_signing_says_why_the_message_cannot_be_read),
      cmocka_unit_test(a_header_of_very_many_fields_is_signed_or_refused),
      cmocka_unit_test(a_message_that_changes_between_the_readings_fails),
      cmocka_unit_test(a_reading_that_was_stopped_is_begun_anew),
      cmocka_unit_test(a_message_with_an_attachment_that_can_be_read_once_is_held),
      cmocka_unit_test(what_can_be_read_once_is_held_up_to_a_maximum),
      cmocka_unit_test(running_out_of_memory_is_an_error_without_a_leak),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
