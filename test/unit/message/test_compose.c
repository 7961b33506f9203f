/*
 * The builder as a whole: how parts are encoded, what must be refused, envelopes, templates. What
 * the common shapes look like is in test_golden.c.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compose_support.h"
#include "message/mime_table.h"

/* ---- Encodings ---- */

static uvsmtp_message_t *with_text(const char *text)
{
  uvsmtp_message_t *m = minimal(0);
  assert_int_equal(uvsmtp_message_text(m, text, SIZE_MAX), 0);
  return m;
}

static void the_encoding_follows_from_the_content_and_the_server(void **state)
{
  static char long_line[1200];
  const struct {
    const char *text;
    unsigned target;
    const char *want; /* the encoding and what comes behind the header */
  } rows[] = {
      {"plain\n", 0, "7bit\r\n\r\nplain\r\n"},
      {"plain\n", ALL, "7bit\r\n\r\nplain\r\n"},
      {"no line end", 0, "7bit\r\n\r\nno line end\r\n"},
      {"a\rb\r\nc\n\nd", 0, "7bit\r\n\r\na\r\nb\r\nc\r\n\r\nd\r\n"},
      {"\xc3\xa4h\n", 0, "quoted-printable\r\n\r\n=C3=A4h\r\n"},
      {"\xc3\xa4h\n", UVSMTP_TARGET_8BITMIME, "8bit\r\n\r\n\xc3\xa4h\r\n"},
      {"\xe5\xb1\xb1\xe7\x94\xb0\xe5\xa4\xaa\xe9\x83\x8e", 0,
       "base64\r\n\r\n5bGx55Sw5aSq6YOODQo=\r\n"},
      {"From me\n", ALL, "quoted-printable\r\n\r\n=46rom me\r\n"},
      {"\x1b[1m and much text that would make base64 longer than this\n", 0,
       "quoted-printable\r\n\r\n=1B[1m and much text that would make base64 longer than this\r\n"},
      {"--=_000102030405060708090a0b_1\n", 0, "7bit\r\n\r\n--=_000102030405060708090a0b_1\r\n"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_message_t *m = with_text(rows[i].text);
    char *got = render_text(m, rows[i].target);
    char *at = strstr(got, "Content-Transfer-Encoding: ");
    assert_string_equal(at + 27, rows[i].want);
    free(got);
    uvsmtp_message_free(m);
  }
  for (int over = 0; over < 2; over++) {
    uvsmtp_message_t *m;
    char *got;
    memset(long_line, 'x', sizeof(long_line));
    long_line[998 + over] = '\0';
    m = with_text(long_line);
    got = render_text(m, ALL);
    assert_non_null(strstr(got, over ? "Encoding: quoted-printable" : "Encoding: 7bit"));
    free(got);
    uvsmtp_message_free(m);
  }
}

static void binary_goes_unchanged_only_where_it_is_wanted_and_taken(void **state)
{
  for (int wanted = 0; wanted < 2; wanted++)
    for (int taken = 0; taken < 2; taken++) {
      uvsmtp_message_t *m = minimal(wanted ? UVSMTP_MESSAGE_BINARY : 0);
      uvsmtp_source_info_t info;
      size_t len;
      char *got;
      uvsmtp_message_text(m, "T", SIZE_MAX);
      attach_bytes(m, "x.png", png, sizeof(png) - 1);
      got = render(m, taken ? ALL : 0, &info, &len);
      assert_int_equal((info.content & UVSMTP_CONTENT_BINARY) != 0, wanted && taken);
      assert_int_equal(strstr(got, "Encoding: binary\r\nContent-Disp") != NULL, wanted && taken);
      assert_int_equal(strstr(got, "Encoding: base64\r\nContent-Disp") != NULL, !(wanted && taken));
      if (wanted && taken) {
        assert_null(strstr(got, "Encoding: base64"));
        assert_int_equal(info.content & UVSMTP_CONTENT_CRLF, 0);
      }
      free(got);
      uvsmtp_message_free(m);
    }
}

static void an_attached_message_is_never_encoded_but_its_parts(void **state)
{
  static const char eight[] = "From: x@y\nDKIM-Signature: old\n\nx\xc3\xa4\n";
  uvsmtp_message_t *m = minimal(0);
  char *got;
  attach_bytes(m, "m.eml", eight, sizeof(eight) - 1);
  got = render_text(m, UVSMTP_TARGET_8BITMIME);
  assert_non_null(strstr(got, "Content-Type: multipart/mixed;"));
  assert_non_null(strstr(got, "\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--"));
  assert_non_null(
      strstr(got, "\r\n\r\nFrom: x@y\r\nDKIM-Signature: old\r\n\r\nx\xc3\xa4\r\n\r\n--"));
  free(got);
  got = render_text(m, 0);
  assert_null(strstr(got, "8bit"));
  assert_non_null(strstr(got, "name=m.eml\r\nContent-Transfer-Encoding: 7bit\r\n"));
  assert_non_null(strstr(got,
                         "\r\n\r\nFrom: x@y\r\nDKIM-Signature: old\r\nMIME-Version: 1.0\r\n"
                         "Content-Transfer-Encoding: quoted-printable\r\n\r\nx=C3=A4\r\n\r\n--"));
  free(got);
  uvsmtp_message_free(m);
}

static void an_attached_message_that_must_not_be_touched_needs_8bitmime(void **state)
{
  static const struct {
    const char *type, *bytes, *detail;
  } rows[] = {
      {"message/rfc822", "From: x@y\nContent-Type: application/pkcs7-mime\n\n\xc3\xa4\n",
       "message/rfc822: 8-bit bytes in a part that is signed or encrypted"},
      {"Message/Delivery-Status", "Reporting-MTA: dns; a\n\nDiagnostic-Code: x; \xc3\xa4\n",
       "Message/Delivery-Status: 8-bit bytes in a part that must not be encoded"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_message_t *m = minimal(0);
    uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
    uvsmtp_source_t source;
    uvsmtp_source_info_t info;
    a.type = rows[i].type;
    a.bytes = rows[i].bytes;
    a.len = strlen(rows[i].bytes);
    assert_int_equal(uvsmtp_message_attach(m, &a), 0);
    assert_int_equal(uvsmtp_message_source(m, &source), 0);
    assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_E8BIT);
    assert_string_equal(source.ops->detail(&source), rows[i].detail);
    assert_int_equal(source.ops->open(&source, UVSMTP_TARGET_8BITMIME, &info), 0);
    source.ops->close(&source);
    uvsmtp_message_free(m);
  }
}

static void the_boundary_occurs_in_no_part(void **state)
{
  static const char evil[] = "From: x@y\n\n--=_000102030405060708090a0b_1\n";
  uvsmtp_message_t *m = minimal(0);
  char *got;
  attach_bytes(m, "m.eml", evil, sizeof(evil) - 1);
  got = render_text(m, 0);
  assert_null(strstr(got, "boundary=\"=_000102030405060708090a0b"));
  assert_non_null(strstr(got, "boundary=\"=_0c0d0e0f1011121314151617_1\""));
  assert_non_null(strstr(got, "\r\n--=_0c0d0e0f1011121314151617_1--\r\n"));
  free(got);
  uvsmtp_message_free(m);
}

/* RFC 2046 section 5.1.1: a line that begins with a boundary counts as that. */
static void no_boundary_begins_another_one(void **state)
{
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_part_t *outer, *inner, *text;
  char *got, *at, boundary[80] = "\r\n--";
  size_t count = 0;
  assert_int_equal(uvsmtp_part_multipart(m, &inner, "mixed"), 0);
  assert_int_equal(uvsmtp_part_multipart(m, &outer, "mixed"), 0); /* number 1 */
  for (int i = 0; i < 9; i++) {
    uvsmtp_part_text(m, &text, "plain", "x", SIZE_MAX);
    assert_int_equal(uvsmtp_part_add(i < 8 ? outer : inner, text), 0);
  }
  for (int i = 0; i < 5; i++) { /* numbers 11 to 15 */
    uvsmtp_part_t *deeper;
    assert_int_equal(uvsmtp_part_multipart(m, &deeper, "mixed"), 0);
    assert_int_equal(uvsmtp_part_add(deeper, inner), 0);
    inner = deeper;
  }
  uvsmtp_part_add(outer, inner);
  uvsmtp_message_root(m, outer);
  got = render_text(m, 0);
  at = strstr(got, "boundary=\"") + 10; /* the outermost is the first */
  strncat(boundary, at, strcspn(at, "\""));
  for (at = got; (at = strstr(at, boundary)) != NULL; at++)
    count++;
  assert_int_equal(count, 9 + 1);
  free(got);
  uvsmtp_message_free(m);
}

static void utf8_headers_go_only_where_smtputf8_goes(void **state)
{
  for (int need = 0; need < 2; need++)
    for (int taken = 0; taken < 2; taken++) {
      uvsmtp_message_t *m = minimal(need ? 0 : UVSMTP_MESSAGE_UTF8);
      uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
      uvsmtp_source_info_t info;
      uvsmtp_source_t source;
      size_t len;
      char *got;
      if (need)
        uvsmtp_message_address(m, UVSMTP_TO, NULL, "\xc3\xbc@b\xc3\xbc.example");
      uvsmtp_message_subject(m, "\xc3\xa4h");
      assert_int_equal(uvsmtp_message_envelope(m, &envelope), 0);
      assert_int_equal(envelope.flags, need ? UVSMTP_ENVELOPE_SMTPUTF8 : 0);
      if (need && !taken) {
        assert_int_equal(uvsmtp_message_source(m, &source), 0);
        assert_int_equal(source.ops->open(&source, UVSMTP_TARGET_8BITMIME, &info),
                         UVSMTP_EEXTENSION);
        uvsmtp_message_free(m);
        continue;
      }
      got = render(m, taken ? ALL : 0, &info, &len);
      assert_int_equal((info.content & UVSMTP_CONTENT_UTF8) != 0, taken);
      assert_non_null(strstr(got, taken ? "Subject: \xc3\xa4h\r\n" : "Subject: =?utf-8?b?w6Ro?="));
      free(got);
      uvsmtp_message_free(m);
    }
}

static void an_idn_domain_becomes_a_labels_where_that_helps(void **state)
{
  uvsmtp_message_t *m = minimal(0);
  char *got;
  uvsmtp_source_info_t info;
  size_t len;
  uvsmtp_message_address(m, UVSMTP_CC, NULL,
                         "u@b\xc3\xbc"
                         "cher.example");
  got = render(m, ALL, &info, &len);
#if UVSMTP__IDN
  assert_non_null(strstr(got, "Cc: u@xn--bcher-kva.example\r\n"));
  assert_int_equal(info.content & UVSMTP_CONTENT_UTF8, 0);
#else
  assert_non_null(strstr(got, "Cc: u@b\xc3\xbc"
                              "cher.example\r\n"));
#endif
  free(got);
  uvsmtp_message_free(m);
}

/* ---- Contents that are read while sending ---- */

static char *temporary_file(const void *bytes, size_t len)
{
  static char path[] = "/tmp/uvsmtp-compose-XXXXXX";
  FILE *file;
  int fd;
  strcpy(path, "/tmp/uvsmtp-compose-XXXXXX");
  fd = mkstemp(path);
  assert_true(fd >= 0);
  file = fdopen(fd, "wb");
  assert_int_equal(fwrite(bytes, 1, len, file), len);
  fclose(file);
  return path;
}

static void a_file_gives_the_same_as_its_bytes(void **state)
{
  static const size_t sizes[] = {0, 1, 56, 57, 58, 14591, 14592, 14593, 100000};
  char *bytes = malloc(100000);
  for (size_t i = 0; i < 100000; i++)
    bytes[i] = (char)(i * 31 + i / 256);
  for (size_t i = 0; i < COUNT(sizes); i++) {
    uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
    uvsmtp_message_t *file = minimal(0), *memory = minimal(0);
    uvsmtp_source_info_t info;
    char *got, *want;
    size_t len;
    a.path = temporary_file(bytes, sizes[i]);
    a.filename = "f.bin";
    assert_int_equal(uvsmtp_message_attach(file, &a), 0);
    attach_bytes(memory, "f.bin", bytes, sizes[i]);
    fake_random_next = 0;
    got = render(file, ALL, &info, &len);
    assert_true(info.length != UVSMTP_LENGTH_UNKNOWN);
    fake_random_next = 0;
    want = render_text(memory, 0);
    if (sizes[i] > 0) /* nothing is 7bit, but a file is always base64 */
      assert_string_equal(got, want);
    remove(a.path);
    free(got);
    free(want);
    uvsmtp_message_free(file);
    uvsmtp_message_free(memory);
  }
  free(bytes);
}

static void a_file_that_changed_fails_the_message(void **state)
{
  for (int change = 0; change < 3; change++) {
    uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
    uvsmtp_message_t *m = minimal(0);
    uvsmtp_source_t source;
    uvsmtp_source_info_t info;
    uvsmtp_slice_t piece = {NULL, 1};
    FILE *file;
    int err = 0;
    a.path = temporary_file("0123456789", 10);
    assert_int_equal(uvsmtp_message_attach(m, &a), 0);
    file = change < 2 ? fopen(a.path, "wb") : NULL;
    if (file != NULL) {
      fprintf(file, change == 0 ? "short" : "longer than before");
      fclose(file);
    } else {
      remove(a.path);
    }
    assert_int_equal(uvsmtp_message_source(m, &source), 0);
    assert_int_equal(source.ops->open(&source, 0, &info), 0);
    while (err == 0 && piece.len > 0)
      err = source.ops->next(&source, &piece);
    assert_int_equal(err, UVSMTP_ESOURCE);
    source.ops->close(&source);
    remove(a.path);
    uvsmtp_message_free(m);
  }
}

static void a_file_that_cannot_be_read_is_refused_when_attached(void **state)
{
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *m = minimal(0);
  a.path = "/nonexistent/file.pdf";
  assert_int_equal(uvsmtp_message_attach(m, &a), UVSMTP_ESOURCE);
  assert_string_equal(uvsmtp_message_detail(m), "/nonexistent/file.pdf: No such file or directory");
  uvsmtp_message_free(m);
  m = minimal(0);
  a.path = "/tmp";
  assert_int_equal(uvsmtp_message_attach(m, &a), UVSMTP_ESOURCE);
  uvsmtp_message_free(m);
}

static void a_pipe_is_read_whole_and_once(void **state)
{
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *m = minimal(0), *memory = minimal(0);
  char bytes[10000], path[40], *want;
  int ends[2];
  for (size_t i = 0; i < sizeof(bytes); i++)
    bytes[i] = (char)(i * 31 + i / 256);
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], bytes, sizeof(bytes)), sizeof(bytes));
  close(ends[1]);
  snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
  a.path = path;
  a.filename = "f.bin";
  assert_int_equal(uvsmtp_message_attach(m, &a), 0);
  close(ends[0]);
  attach_bytes(memory, "f.bin", bytes, sizeof(bytes));
  fake_random_next = 0;
  want = render_text(memory, 0);
  fake_random_next = 0;
  for (int again = 0; again < 2; again++) {
    char *got = render_text(m, 0);
    assert_string_equal(got, want);
    free(got);
  }
  free(want);
  uvsmtp_message_free(m);
  uvsmtp_message_free(memory);
}

/* A source that gives `pieces` bytes one by one and is not ready before each. */
typedef struct {
  size_t pieces, at;
  int opened, closed;
  bool ready;
} slow_t;

static int slow_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  slow_t *slow = source->data;
  slow->at = 0;
  slow->opened++;
  slow->ready = false;
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN};
  return 0;
}

static int slow_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  slow_t *slow = source->data;
  slow->ready = !slow->ready;
  if (slow->ready)
    return UVSMTP_PENDING;
  *piece = slow->at < slow->pieces ? (uvsmtp_slice_t){"x", 1} : (uvsmtp_slice_t){NULL, 0};
  slow->at++;
  return 0;
}

static void slow_close(uvsmtp_source_t *source)
{
  ((slow_t *)source->data)->closed++;
}

static const uvsmtp_source_ops_t slow_ops = {sizeof(slow_ops), slow_open, slow_next, slow_close};

static void count_wake(void *reader)
{
  ++*(int *)reader;
}

static void an_attached_source_may_keep_the_reader_waiting(void **state)
{
  slow_t slow = {.pieces = 100};
  uvsmtp_source_t inner = {.data = &slow, .ops = &slow_ops}, source, second;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece = {NULL, 1};
  size_t waits = 0, total = 0;
  int woken = 0, err = 0;
  a.source = &inner;
  a.filename = "s.bin";
  assert_int_equal(uvsmtp_message_attach(m, &a), 0);
  assert_int_equal(uvsmtp_message_source(m, &source), 0);
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  assert_true(info.length == UVSMTP_LENGTH_UNKNOWN);
  source.wake = count_wake;
  source.reader = &woken;
  while (err == UVSMTP_PENDING || piece.len > 0) {
    err = source.ops->next(&source, &piece);
    assert_true(err == 0 || err == UVSMTP_PENDING);
    total += piece.len;
    if (err == UVSMTP_PENDING && ++waits == 1) {
      uvsmtp_source_wake(&inner);
      assert_int_equal(woken, 1);
      assert_int_equal(uvsmtp_message_source(m, &second), 0);
      assert_int_equal(second.ops->open(&second, 0, &info), UVSMTP_EBUSY);
      assert_string_equal(second.ops->detail(&second), "s.bin: another reading goes on");
      piece.len = 1;
    }
  }
  source.ops->close(&source);
  assert_int_equal(waits, 101);
  assert_true(total > 400);
  assert_int_equal(slow.opened, 1);
  assert_int_equal(slow.closed, 1);
  uvsmtp_source_wake(&inner); /* nobody reads: harmless */
  assert_int_equal(woken, 1);
  uvsmtp_message_free(m);
}

/* A source that cannot be opened at once, nor read twice, and knows its length. */
static int once_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  slow_t *once = source->data;
  *info = (uvsmtp_source_info_t){.length = 3, .content = UVSMTP_CONTENT_ONCE};
  once->ready = !once->ready;
  once->at = 0;
  if (once->ready)
    return UVSMTP_PENDING;
  return once->opened++ == 0 ? 0 : UVSMTP_ESOURCE;
}

static int once_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  *piece = (uvsmtp_slice_t){"abc", ((slow_t *)source->data)->at++ == 0 ? 3 : 0};
  return 0;
}

static void what_attached_sources_say_is_known_before_anything_is_sent(void **state)
{
  static const uvsmtp_source_ops_t ops = {sizeof(ops), once_open, once_next, slow_close};
  slow_t once = {.at = 0};
  uvsmtp_source_t inner = {.data = &once, .ops = &ops}, source;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece = {NULL, 1};
  size_t total = 0;
  int woken = 0;
  a.source = &inner;
  uvsmtp_message_attach(m, &a);
  assert_int_equal(uvsmtp_message_source(m, &source), 0);
  source.wake = count_wake;
  source.reader = &woken;
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_PENDING);
  source.ops->close(&source); /* given up; and once more */
  assert_int_equal(once.closed, 1);
  once.ready = false;
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_PENDING);
  uvsmtp_source_wake(&inner);
  assert_int_equal(woken, 1);
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  assert_true((info.content & UVSMTP_CONTENT_ONCE) != 0);
  while (piece.len > 0) {
    assert_int_equal(source.ops->next(&source, &piece), 0);
    total += piece.len;
  }
  assert_int_equal(total, info.length);
  source.ops->close(&source);
  assert_int_equal(once.closed, 2);
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_PENDING);
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_ESOURCE);
  assert_int_equal(once.closed, 2);
  uvsmtp_message_free(m);
}

static void one_source_may_be_attached_twice(void **state)
{
  slow_t slow = {.pieces = 3};
  uvsmtp_source_t inner = {.data = &slow, .ops = &slow_ops}, source;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece = {NULL, 1};
  char all[2000] = "";
  a.source = &inner;
  uvsmtp_message_attach(m, &a);
  uvsmtp_message_attach(m, &a);
  assert_int_equal(uvsmtp_message_source(m, &source), 0);
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  while (piece.len > 0) {
    while (source.ops->next(&source, &piece) == UVSMTP_PENDING)
      assert_int_equal(slow.opened, slow.closed + 1);
    if (piece.len > 0)
      strncat(all, piece.base, piece.len);
  }
  source.ops->close(&source);
  assert_int_equal(slow.opened, 2);
  assert_int_equal(slow.closed, 2);
  assert_non_null(strstr(strstr(all, "\r\n\r\neHh4\r\n--") + 1, "\r\n\r\neHh4\r\n--"));
  uvsmtp_message_free(m);
}

static void an_attached_source_of_another_length_fails_the_message(void **state)
{
  static const uvsmtp_source_ops_t ops = {sizeof(ops), once_open, slow_next, slow_close};
  for (size_t pieces = 2; pieces <= 4; pieces++) { /* it says three */
    slow_t slow = {.pieces = pieces, .ready = true};
    uvsmtp_source_t inner = {.data = &slow, .ops = &ops}, source;
    uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
    uvsmtp_message_t *m = minimal(0);
    uvsmtp_source_info_t info;
    uvsmtp_slice_t piece = {NULL, 1};
    int err = 0;
    a.source = &inner;
    a.filename = "x.bin";
    uvsmtp_message_attach(m, &a);
    assert_int_equal(uvsmtp_message_source(m, &source), 0);
    assert_int_equal(source.ops->open(&source, 0, &info), 0);
    while (err == UVSMTP_PENDING || (err == 0 && piece.len > 0))
      if ((err = source.ops->next(&source, &piece)) == UVSMTP_PENDING)
        piece.len = 1;
    assert_int_equal(err, pieces == 3 ? 0 : UVSMTP_ESOURCE);
    if (pieces != 3)
      assert_string_equal(source.ops->detail(&source), "x.bin: its length has changed");
    source.ops->close(&source);
    uvsmtp_message_free(m);
  }
}

static void a_source_that_fails_is_named(void **state)
{
  for (int opens = 0; opens < 2; opens++) {
    uvsmtp_source_t torn = {.data = &opens, .ops = &torn_ops}, source;
    uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
    uvsmtp_message_t *m = minimal(0);
    uvsmtp_source_info_t info;
    uvsmtp_slice_t piece;
    int err = 0;
    a.source = &torn;
    a.filename = "tape.tar";
    assert_int_equal(uvsmtp_message_attach(m, &a), 0);
    assert_int_equal(uvsmtp_message_source(m, &source), 0);
    err = source.ops->open(&source, 0, &info);
    assert_int_equal(err, opens ? 0 : UVSMTP_ESOURCE);
    while (err == 0)
      err = source.ops->next(&source, &piece);
    assert_int_equal(err, UVSMTP_ESOURCE);
    assert_string_equal(source.ops->detail(&source), "tape.tar: the tape is torn");
    if (opens)
      source.ops->close(&source);
    assert_string_equal(source.ops->detail(&source), "tape.tar: the tape is torn");
    uvsmtp_source_wake(&torn); /* nobody reads it */
    uvsmtp_message_free(m);
  }
}

static uint64_t length_of(uvsmtp_message_t *m)
{
  uvsmtp_source_t source;
  assert_int_equal(uvsmtp_message_source(m, &source), 0);
  return uvsmtp_source_length(&source);
}

static void what_the_parts_hold_is_known_before_it_is_opened(void **state)
{
  slow_t slow = {.pieces = 100};
  uvsmtp_source_t unknown = {.data = &slow, .ops = &slow_ops}, known;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *m = minimal(UVSMTP_MESSAGE_TEMPLATE), *copy;
  uvsmtp_source_memory(&known, "four", 4);
  uvsmtp_message_text(m, "replaced", SIZE_MAX);
  uvsmtp_message_text(m, "Dear {{who}}\r\n", SIZE_MAX); /* "Dear Ann" */
  attach_bytes(m, "m.bin", "0123456789", 10);
  a.path = temporary_file("0123456789", 10);
  uvsmtp_message_attach(m, &a);
  remove(a.path);
  a = (uvsmtp_attachment_t)UVSMTP_ATTACHMENT_INIT;
  a.filename = "s.bin";
  a.source = &unknown;
  uvsmtp_message_attach(m, &a);
  a.source = &known;
  assert_int_equal(uvsmtp_message_attach(m, &a), 0);
  assert_int_equal(uvsmtp_message_copy(&copy, m), 0);
  uvsmtp_message_mark(copy, "who", "Ann");
  assert_int_equal(length_of(copy), strlen("Dear Ann\r\n") + 10 + 10 + 4);
  uvsmtp_message_free(copy);
  uvsmtp_message_free(m);
}

static void two_readers_do_not_disturb_each_other(void **state)
{
  uvsmtp_message_t *m = with_everything();
  uvsmtp_source_t one, two;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t a = {NULL, 1}, b;
  char *first = render_text(m, 0), *second;
  assert_int_equal(uvsmtp_message_source(m, &one), 0);
  assert_int_equal(uvsmtp_message_source(m, &two), 0);
  assert_int_equal(one.ops->open(&one, 0, &info), 0);
  assert_int_equal(two.ops->open(&two, ALL, &info), 0);
  while (a.len > 0) {
    assert_int_equal(one.ops->next(&one, &a), 0);
    assert_int_equal(two.ops->next(&two, &b), 0);
  }
  one.ops->close(&one);
  two.ops->close(&two);
  second = render_text(m, 0);
  assert_string_equal(first, second);
  free(first);
  free(second);
  uvsmtp_message_free(m);
}

/* ---- What is refused ---- */

static int call_setter(uvsmtp_message_t *m, int which, const char *bad)
{
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_part_t *part = NULL;
  a.bytes = "x";
  a.len = 1;
  a.type = "text/plain";
  switch (which) {
  case 0:
    return uvsmtp_message_address(m, UVSMTP_FROM, bad, "a@b");
  case 1:
    return uvsmtp_message_address(m, UVSMTP_TO, NULL, bad);
  case 2:
    return uvsmtp_message_group(m, UVSMTP_CC, bad);
  case 3:
    return uvsmtp_message_addresses(m, UVSMTP_BCC, bad);
  case 4:
    return uvsmtp_message_subject(m, bad);
  case 5:
    return uvsmtp_message_id(m, bad);
  case 6:
    return uvsmtp_message_in_reply_to(m, bad);
  case 7:
    return uvsmtp_message_references(m, bad);
  case 8:
    return uvsmtp_message_header(m, "X-A", bad);
  case 9:
    return uvsmtp_message_header(m, bad, "x");
  case 10:
    return uvsmtp_message_unsubscribe(m, bad, NULL, 0);
  case 11:
    return uvsmtp_message_unsubscribe(m, NULL, bad, 0);
  case 12:
    a.filename = bad;
    return uvsmtp_message_attach(m, &a);
  case 13:
    a.content_id = bad;
    return uvsmtp_message_attach(m, &a);
  case 14:
    a.description = bad;
    return uvsmtp_message_attach(m, &a);
  case 15:
    a.type = bad;
    return uvsmtp_message_attach(m, &a);
  case 16:
    assert_int_equal(uvsmtp_part_leaf(m, &part, &a), 0);
    return uvsmtp_part_header(part, "X-B", bad);
  default:
    assert_int_equal(uvsmtp_part_leaf(m, &part, &a), 0);
    return uvsmtp_part_param(part, "p", bad);
  }
}

static void line_breaks_are_refused_with_the_name_of_the_field(void **state)
{
  static const char *const names[] = {"From",
                                      "To",
                                      "Cc",
                                      "Bcc",
                                      "Subject",
                                      "Message-ID",
                                      "In-Reply-To",
                                      "References",
                                      "X-A",
                                      "CR or LF in the name of a field",
                                      "List-Unsubscribe",
                                      "List-Unsubscribe",
                                      "filename",
                                      "Content-ID",
                                      "Content-Description",
                                      "Content-Type",
                                      "X-B",
                                      "p"};
  static const char *const bad[] = {"a\r\nBcc: x@y", "a\nb", "a\rb", "\n", "a@b\r\n"};
  for (size_t i = 0; i < COUNT(names); i++)
    for (size_t k = 0; k < COUNT(bad); k++) {
      uvsmtp_message_t *m = new_message(0);
      uvsmtp_source_t source;
      assert_int_equal(call_setter(m, (int)i, bad[k]), UVSMTP_EINJECTION);
      assert_memory_equal(uvsmtp_message_detail(m), names[i], strlen(names[i]));
      assert_int_equal(uvsmtp_message_source(m, &source), UVSMTP_EINJECTION); /* it is kept */
      uvsmtp_message_free(m);
    }
}

static void text_that_is_not_utf8_is_refused_with_its_place(void **state)
{
  static const struct {
    const char *text;
    size_t len;
    const char *detail;
  } rows[] = {
      {"ab\xff", 3, "text/plain: byte 3 is not UTF-8"},
      {"\xc3", 1, "text/plain: byte 1 is not UTF-8"},
      {"\xc3\xa4\xed\xa0\x80", 5, "text/plain: byte 3 is not UTF-8"},
      {"a\0b", 3, "text/plain: byte 2 is a NUL"},
      {"\xc3\xa4\0\xff", 4, "text/plain: byte 3 is a NUL"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_message_t *m = new_message(0);
    assert_int_equal(uvsmtp_message_text(m, rows[i].text, rows[i].len), UVSMTP_ECHARSET);
    assert_string_equal(uvsmtp_message_detail(m), rows[i].detail);
    uvsmtp_message_free(m);
  }
  for (int i = 0; i < 18; i++) {
    uvsmtp_message_t *m = new_message(0);
    int err = call_setter(m, i, "a\xff");
    assert_true(err == UVSMTP_ECHARSET || err == UVSMTP_EADDRESS || err == UVSMTP_EHEADER);
    uvsmtp_message_free(m);
  }
}

static void overlong_values_are_refused_not_cut(void **state)
{
  char *big = malloc(70000);
  memset(big, 'x', 69999);
  big[69999] = '\0';
  for (int i = 0; i < 18; i++) {
    uvsmtp_message_t *m = new_message(0);
    int err = call_setter(m, i, big);
    assert_true(err == UVSMTP_EHEADER || err == UVSMTP_EADDRESS);
    assert_true(uvsmtp_message_detail(m)[0] != '\0');
    uvsmtp_message_free(m);
  }
  big[950] = '\0'; /* a word that no line can hold */
  {
    uvsmtp_message_t *m = new_message(0);
    assert_int_equal(uvsmtp_message_header(m, "X-Word", big), UVSMTP_EHEADER);
    assert_string_equal(uvsmtp_message_detail(m), "X-Word: a word that no line can hold");
    uvsmtp_message_free(m);
  }
  free(big);
}

static void a_header_is_bounded_as_a_whole(void **state)
{
  uvsmtp_message_options_t options = UVSMTP_MESSAGE_OPTIONS_INIT;
  uvsmtp_message_t *m;
  uvsmtp_source_t source;
  options.crypto = &fake_crypto;
  options.max_header_bytes = 2000;
  assert_int_equal(uvsmtp_message_new(&m, &options), 0);
  uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@b");
  for (int i = 0; i < 200; i++)
    uvsmtp_message_address(m, UVSMTP_TO, NULL, "someone@host.example");
  assert_int_equal(uvsmtp_message_source(m, &source), UVSMTP_EHEADER);
  assert_string_equal(uvsmtp_message_detail(m), "To: the header is longer than 2000 bytes");
  uvsmtp_message_free(m);
}

static int incomplete(int which, uvsmtp_message_t *m)
{
  uvsmtp_source_t source;
  uvsmtp_part_t *part, *other;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  switch (which) {
  case 0:
    break;
  case 1:
    uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@b");
    uvsmtp_message_address(m, UVSMTP_FROM, NULL, "c@d");
    break;
  case 2:
    uvsmtp_message_address(m, UVSMTP_SENDER, NULL, "a@b");
    uvsmtp_message_address(m, UVSMTP_SENDER, NULL, "a@b");
    break;
  case 3:
    uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@b");
    uvsmtp_part_multipart(m, &part, "mixed");
    break;
  case 4:
    uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@b");
    uvsmtp_message_text(m, "x", 1);
    uvsmtp_part_text(m, &part, "plain", "y", 1);
    uvsmtp_message_root(m, part);
    break;
  case 5:
    uvsmtp_part_multipart(m, &part, "mixed");
    return uvsmtp_part_add(part, part);
  case 6:
    uvsmtp_part_multipart(m, &part, "mixed");
    uvsmtp_part_multipart(m, &other, "mixed");
    uvsmtp_part_add(part, other);
    return uvsmtp_part_add(other, part);
  case 7:
    uvsmtp_part_text(m, &part, "plain", "y", 1);
    uvsmtp_part_text(m, &other, "plain", "y", 1);
    return uvsmtp_part_add(part, other);
  case 8:
    a.bytes = "x";
    a.path = "y";
    return uvsmtp_message_attach(m, &a);
  case 9:
    return uvsmtp_message_attach(m, &a);
  case 10:
    a.bytes = "x";
    a.type = "multipart/mixed";
    return uvsmtp_message_attach(m, &a);
  case 11:
    a.bytes = "x";
    a.type = "nonsense";
    return uvsmtp_message_attach(m, &a);
  case 12:
    return uvsmtp_message_header(m, "Bcc", "x@y");
  case 13:
    return uvsmtp_message_header(m, "a b", "x");
  case 14:
    return uvsmtp_message_unsubscribe(m, NULL, "mailto:x@y", 1);
  case 15:
    return uvsmtp_message_unsubscribe(m, "http://x", NULL, 0);
  case 16:
    return uvsmtp_message_date(m, INT64_MAX, 0);
  case 17:
    return uvsmtp_message_id(m, "<a b@c>");
  case 18:
    return uvsmtp_message_invitation(m, "RE QUEST", "x", 1);
  case 19:
    uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@b");
    uvsmtp_part_text(m, &part, "plain", "y", 1);
    break;
  case 20:
    return uvsmtp_part_multipart(m, &part,
                                 "a-subtype-of-so-many-characters-that-no-registry-would-have-it-"
                                 "a-subtype-of-so-many-characters-that-no-registry-would-have-it-");
  case 21:
    return uvsmtp_message_references(m, "<a@b> <c@d");
  case 22:
    assert_int_equal(uvsmtp_message_address(m, UVSMTP_BCC, NULL, "postmaster"), 0);
    return uvsmtp_message_address(m, UVSMTP_TO, NULL, "postmaster");
  case 23:
    assert_int_equal(uvsmtp_message_references(m, "old-style"), 0);
    return uvsmtp_message_id(m, "old-style");
  case 24:
    uvsmtp_part_text(m, &part, "plain", "y", 1);
    assert_int_equal(uvsmtp_part_param(part, "format", "flowed"), 0);
    return uvsmtp_part_param(part, "Format", "fixed");
  default:
    return uvsmtp_message_mark(m, "key", "value");
  }
  return uvsmtp_message_source(m, &source);
}

static void impossible_messages_are_refused_with_the_reason(void **state)
{
  static const struct {
    int err;
    const char *detail;
  } rows[] = {
      {UVSMTP_EHEADER, "From: missing"},
      {UVSMTP_EHEADER, "From: several addresses, and no Sender"},
      {UVSMTP_EHEADER, "Sender: only one address is allowed"},
      {UVSMTP_EHEADER, "multipart/mixed: without any part"},
      {UVSMTP_EINVAL, "text, HTML or attachments beside a body of the caller's own"},
      {UVSMTP_EINVAL, "a part cannot hold itself"},
      {UVSMTP_EINVAL, "a part cannot hold itself"},
      {UVSMTP_EINVAL, "a part cannot be put there"},
      {UVSMTP_EINVAL, "an attachment has one content, not 2"},
      {UVSMTP_EINVAL, "an attachment has one content, not 0"},
      {UVSMTP_EHEADER, "Content-Type: a multipart has no content"},
      {UVSMTP_EHEADER, "Content-Type: \"nonsense\" is no type"},
      {UVSMTP_EHEADER, "Bcc: written by the builder itself"},
      {UVSMTP_EHEADER, "\"a b\" is not the name of a field"},
      {UVSMTP_EINVAL, "List-Unsubscribe: no URL"},
      {UVSMTP_EHEADER, "List-Unsubscribe: not an https or mailto URL"},
      {UVSMTP_EINVAL, "Date: outside the years 1900 to 9999"},
      {UVSMTP_EHEADER, "Message-ID: not a message id"},
      {UVSMTP_EHEADER, "Content-Type: not a method of a calendar"},
      {UVSMTP_EINVAL, "text/plain: a part that was put nowhere and is not the body"},
      {UVSMTP_EHEADER,
       "Content-Type: \"multipart/a-subtype-of-so-many-characters-that-no-registry-would-have-it-"
       "a-subtype-of-so-many-characters-that-no-registry-would-have-it-\" is no type"},
      {UVSMTP_EHEADER, "References: not a message id"},
      {UVSMTP_EADDRESS, "To: \"postmaster\" has no domain, without which no field can name it"},
      {UVSMTP_EHEADER, "Message-ID: without \"@\""},
      {UVSMTP_EHEADER, "Content-Type: Format occurs twice"},
      {UVSMTP_EINVAL, "the message is no template"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_message_t *m = new_message(0);
    assert_int_equal(incomplete((int)i, m), rows[i].err);
    assert_string_equal(uvsmtp_message_detail(m), rows[i].detail);
    uvsmtp_message_free(m);
  }
}

static void a_message_id_needs_random_bytes(void **state)
{
  uvsmtp_message_t *m;
  uvsmtp_source_t source;
  assert_int_equal(uvsmtp_message_new(&m, NULL), 0);
  uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@b");
  assert_int_equal(uvsmtp_message_source(m, &source), UVSMTP_EHEADER);
  assert_string_equal(uvsmtp_message_detail(m),
                      "Message-ID: none given, and no random bytes to make one of");
  uvsmtp_message_free(m);
}

static void a_completed_message_cannot_be_changed(void **state)
{
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_source_t source;
  uvsmtp_part_t *part;
  assert_int_equal(uvsmtp_message_source(m, &source), 0);
  assert_int_equal(uvsmtp_message_subject(m, "x"), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_message_text(m, "x", 1), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_message_address(m, UVSMTP_TO, NULL, "a@b"), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_part_multipart(m, &part, "mixed"), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_message_header(m, "X-A", "b"), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_message_source(m, &source), 0);
  uvsmtp_message_free(m);
}

/* ---- Envelope ---- */

static void the_envelope_follows_from_the_header(void **state)
{
  uvsmtp_message_t *m = from_a_list();
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  envelope.envid = "kept";
  assert_int_equal(uvsmtp_message_envelope(m, &envelope), 0);
  assert_string_equal(envelope.sender, "list@sender.example");
  assert_string_equal(envelope.envid, "kept");
  assert_int_equal(envelope.recipient_count, 4);
  assert_string_equal(envelope.recipients[0].address, "one@host.example");
  assert_string_equal(envelope.recipients[2].address, "three@host.example");
  assert_string_equal(envelope.recipients[3].address, "hidden@host.example");
  uvsmtp_message_free(m);
  m = minimal(0);
  uvsmtp_message_address(m, UVSMTP_CC, NULL, "bob@RECEIVER.example");
  uvsmtp_message_address(m, UVSMTP_BCC, NULL, "\"bob\"@receiver.example");
  assert_int_equal(uvsmtp_message_envelope(m, &envelope), 0);
  assert_int_equal(envelope.recipient_count, 1);
  uvsmtp_message_free(m);
  m = new_message(0);
  uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@b");
  assert_int_equal(uvsmtp_message_envelope(m, &envelope), UVSMTP_ENORECIPIENTS);
  uvsmtp_message_free(m);
}

/* RFC 2047 section 5 (3): blanks stand around an encoded word of a phrase. */
static void the_name_of_a_group_may_be_encoded(void **state)
{
  uvsmtp_message_t *m = minimal(0);
  char *got;
  uvsmtp_message_group(m, UVSMTP_TO, "Group \xc3\xa4");
  uvsmtp_message_address(m, UVSMTP_TO, "One", "one@host.example");
  uvsmtp_message_group(m, UVSMTP_TO, "Empty \xc3\xa4");
  uvsmtp_message_group(m, UVSMTP_TO, "c.d");
  got = render_text(m, 0);
  assert_non_null(strstr(got, "\r\nTo: bob@receiver.example, =?utf-8?q?Group_=C3=A4?= : One\r\n"
                              " <one@host.example>;, =?utf-8?q?Empty_=C3=A4?= :;, \"c.d\":;\r\n"));
  free(got);
  uvsmtp_message_free(m);
}

static void bcc_is_never_written(void **state)
{
  uvsmtp_message_t *m = from_a_list();
  char *got = render_text(m, 0);
  assert_null(strstr(got, "hidden"));
  assert_null(strstr(got, "Bcc"));
  free(got);
  uvsmtp_message_free(m);
}

/* ---- Templates ---- */

static uvsmtp_message_t *pattern(void)
{
  uvsmtp_message_t *m = minimal(UVSMTP_MESSAGE_TEMPLATE);
  uvsmtp_message_subject(m, "Hello {{name}}");
  uvsmtp_message_text(m, "Dear {{ name }},\nyour code: {{code}}\n", SIZE_MAX);
  uvsmtp_message_html(m, "<p>{{name}} {{{code}}} {{ no mark }} {{}}</p>", SIZE_MAX);
  uvsmtp_message_header(m, "X-Campaign", "spring");
  uvsmtp_message_header(m, "X-Code", "{{code}}");
  uvsmtp_message_mark(m, "code", "<none>");
  attach_bytes(m, "a.png", png, sizeof(png) - 1);
  return m;
}

static void copies_replace_fields_and_marks_only(void **state)
{
  uvsmtp_message_t *p = pattern(), *one, *two;
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  char *a, *b;
  assert_int_equal(uvsmtp_message_copy(&one, p), 0);
  assert_int_equal(uvsmtp_message_copy(&two, p), 0);
  uvsmtp_message_mark(one, "name", "Ann & <Co>");
  uvsmtp_message_mark(two, "name", "J\xc3\xb6rg");
  uvsmtp_message_mark(two, "code", "4711");
  uvsmtp_message_header(two, "x-campaign", "summer");
  uvsmtp_message_address(two, UVSMTP_TO, "J\xc3\xb6rg", "joerg@host.example");
  uvsmtp_message_date(two, 0, 0);
  a = render_text(one, 0);
  b = render_text(two, 0);
  assert_non_null(strstr(a, "\r\nSubject: Hello Ann & <Co>\r\n"));
  assert_non_null(strstr(a, "\r\n\r\nDear Ann & <Co>,\r\nyour code: <none>\r\n"));
  assert_non_null(strstr(a, "<p>Ann &amp; &lt;Co&gt; <none> {{ no mark }} {{}}</p>\r\n"));
  assert_non_null(strstr(a, "\r\nX-Campaign: spring\r\nX-Code: <none>\r\n"));
  assert_non_null(strstr(a, "\r\nTo: bob@receiver.example\r\n"));
  assert_non_null(strstr(b, "\r\nSubject: Hello =?utf-8?q?J=C3=B6rg?=\r\n"));
  assert_non_null(strstr(b, "\r\n\r\nDear J=C3=B6rg,\r\nyour code: 4711\r\n"));
  assert_non_null(strstr(b, "\r\nX-Code: 4711\r\nx-campaign: summer\r\n"));
  assert_null(strstr(b, "bob@"));
  assert_non_null(strstr(b, "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"));
  assert_int_equal(uvsmtp_message_envelope(two, &envelope), 0);
  assert_int_equal(envelope.recipient_count, 1);
  assert_string_equal(envelope.recipients[0].address, "joerg@host.example");
  assert_string_not_equal(strstr(a, "Message-ID: "), strstr(b, "Message-ID: "));
  free(a);
  free(b);
  uvsmtp_message_free(one);
  uvsmtp_message_free(two);
  uvsmtp_message_free(p);
}

/* What a copy costs does not depend on what is attached: from the completion of the pattern on, the
 * attachment may not even be looked at, until its bytes are read to be sent. */
static void a_copy_does_not_look_at_the_attachments_again(void **state)
{
  size_t size = 1 << 16, len, most = 0;
  char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  failing_t counted = {.fail_at = 0};
  uvsmtp_mem_t mem = FAILING_MEM(&counted);
  uvsmtp_message_options_t o = UVSMTP_MESSAGE_OPTIONS_INIT;
  uvsmtp_message_t *m, *copy;
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  char *text;
  assert_true(bytes != MAP_FAILED);
  memset(bytes, 'x', size);
  o.mem = &mem;
  o.crypto = &fake_crypto;
  o.flags = UVSMTP_MESSAGE_TEMPLATE;
  assert_int_equal(uvsmtp_message_new(&m, &o), 0);
  uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@sender.example");
  uvsmtp_message_text(m, "Dear {{name}}", SIZE_MAX);
  for (int i = 0; i < 30; i++)
    attach_bytes(m, "big.bin", bytes, size);
  assert_int_equal(uvsmtp_message_copy(&copy, m), 0); /* completes the pattern */
  uvsmtp_message_free(copy);
  assert_int_equal(mprotect(bytes, size, PROT_NONE), 0);
  for (int i = 0; i < 5; i++) {
    size_t before = counted.calls;
    assert_int_equal(uvsmtp_message_copy(&copy, m), 0);
    uvsmtp_message_address(copy, UVSMTP_TO, NULL, "b@host.example");
    uvsmtp_message_mark(copy, "name", "Bob");
    assert_int_equal(uvsmtp_message_envelope(copy, &envelope), 0);
    assert_int_equal(uvsmtp_message_source(copy, &source), 0);
    most = counted.calls - before > most ? counted.calls - before : most;
    assert_int_equal(source.ops->open(&source, 0, &info), 0);
    assert_true(info.length > 30 * (uint64_t)size);
    source.ops->close(&source);
    uvsmtp_message_free(copy);
  }
  assert_true(most < 30); /* not even one for each attachment */
  assert_int_equal(mprotect(bytes, size, PROT_READ), 0);
  uvsmtp_message_mark(m, "name", "all");
  text = render(m, 0, &info, &len);
  assert_non_null(strstr(text, "Dear all"));
  free(text);
  uvsmtp_message_free(m);
  munmap(bytes, size);
}

static void a_copy_can_take_away_what_the_pattern_has(void **state)
{
  uvsmtp_message_t *m = minimal(0), *copy;
  char *text;
  uvsmtp_message_addresses(m, UVSMTP_CC, "Carl <carl@host.example>");
  uvsmtp_message_unsubscribe(m, "https://host.example/u", NULL, 1);
  assert_int_equal(uvsmtp_message_copy(&copy, m), 0);
  assert_int_equal(uvsmtp_message_addresses(copy, UVSMTP_CC, ""), 0);
  assert_int_equal(uvsmtp_message_unsubscribe(copy, NULL, "mailto:leave@host.example", 0), 0);
  text = render_text(copy, 0);
  assert_null(strstr(text, "Cc:"));
  assert_non_null(strstr(text, "List-Unsubscribe: <mailto:leave@host.example>\r\n"));
  assert_null(strstr(text, "List-Unsubscribe-Post")); /* for it there is no https any more */
  free(text);
  uvsmtp_message_free(copy);
  text = render_text(m, 0);
  assert_non_null(strstr(text, "Cc: Carl <carl@host.example>\r\n"));
  assert_non_null(strstr(text, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
  free(text);
  uvsmtp_message_free(m);
}

static void a_text_that_was_replaced_is_no_part_of_the_message(void **state)
{
  uvsmtp_message_t *m = minimal(UVSMTP_MESSAGE_TEMPLATE);
  uvsmtp_source_t source;
  char *text;
  uvsmtp_message_text(m, "Dear {{name}}", SIZE_MAX); /* a mark that gets no value */
  uvsmtp_message_text(m, "Dear all", SIZE_MAX);
  assert_int_equal(uvsmtp_message_source(m, &source), 0);
  assert_int_equal(uvsmtp_source_length(&source), 10);
  text = render_text(m, 0);
  assert_non_null(strstr(text, "\r\n\r\nDear all\r\n"));
  assert_null(strstr(text, "name"));
  free(text);
  uvsmtp_message_free(m);
}

static void structured_fields_are_never_encoded(void **state)
{
  char url[899] = "https://host.example/?a==?b&", longest[1000];
  uvsmtp_message_t *m = minimal(0);
  char *text;
  memset(url + strlen(url), 'x', sizeof(url) - 1 - strlen(url));
  uvsmtp_message_unsubscribe(m, "https://one.example/", NULL, 1);
  assert_int_equal(uvsmtp_message_unsubscribe(m, url, "mailto:leave@host.example", 1), 0);
  assert_int_equal(uvsmtp_message_references(m, "<a@b><c@d>\t<e@f> g@h"), 0);
  text = render_text(m, 0);
  snprintf(longest, sizeof(longest), "List-Unsubscribe: <%s>,\r\n <mailto:", url);
  assert_non_null(strstr(text, longest));
  assert_null(strstr(text, "one.example"));
  assert_non_null(strstr(text, "References: <a@b> <c@d> <e@f> <g@h>\r\n"));
  free(text);
  uvsmtp_message_free(m);
}

static void marks_in_urls_are_encoded_and_stay_urls(void **state)
{
  static const struct {
    const char *https, *mailto, *value, *field; /* NULL: refused */
  } rows[] = {
      {"https://x/u?a={{v}}&b=1", NULL, "Ä & <b@c>",
       "<https://x/u?a=%C3%84%20%26%20%3Cb%40c%3E&b=1>"},
      {"https://x/{{{v}}}", "mailto:u-{{v}}@x", "a/b", "<https://x/a/b>, <mailto:u-a%2Fb@x>"},
      {"https://x/{{{v}}}", NULL, "a>", NULL},
      {"https://x/{{{v}}}", NULL, "a b", NULL},
      {"https://x/{{{v}}}", NULL, "\xc3\xa4", NULL},
      {"https://x/{{w}}", NULL, "no value for w", NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_message_t *m = minimal(UVSMTP_MESSAGE_TEMPLATE), *copy;
    uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
    uvsmtp_message_text(m, "x", SIZE_MAX);
    assert_int_equal(uvsmtp_message_unsubscribe(m, rows[i].https, rows[i].mailto, 1), 0);
    assert_int_equal(uvsmtp_message_copy(&copy, m), 0);
    uvsmtp_message_mark(copy, "v", rows[i].value);
    if (rows[i].field == NULL) {
      assert_int_not_equal(uvsmtp_message_envelope(copy, &envelope), 0);
      assert_non_null(strstr(uvsmtp_message_detail(copy), "List-Unsubscribe: "));
    } else {
      char *got = render_text(copy, 0), *at = strstr(got, "\r\nList-Unsubscribe: ");
      assert_non_null(at);
      assert_non_null(strstr(at, "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
      for (char *to = at += 20; *at != '\0'; *to++ = *at++) /* without folds */
        *to = *at == '\r' && at[2] == ' ' ? *(at += 2) : *at;
      if (strstr(got, rows[i].field) == NULL)
        fail_msg("%s", got);
      free(got);
    }
    uvsmtp_message_free(copy);
    uvsmtp_message_free(m);
  }
}

static void marks_cannot_inject_or_be_forgotten(void **state)
{
  static const struct {
    const char *name;
    int err;
    const char *detail;
  } rows[] = {
      {NULL, UVSMTP_EINVAL, "Subject: no value for the mark \"name\""},
      {"a\r\nBcc: x@y", UVSMTP_EINJECTION, "Subject: CR or LF in the value of a mark"},
      {"\xff", UVSMTP_ECHARSET, "mark name: byte 1 is not UTF-8"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_message_t *p = pattern(), *copy;
    uvsmtp_source_t source;
    assert_int_equal(uvsmtp_message_copy(&copy, p), 0);
    if (rows[i].name != NULL)
      uvsmtp_message_mark(copy, "name", rows[i].name);
    assert_int_equal(uvsmtp_message_source(copy, &source), rows[i].err);
    assert_string_equal(uvsmtp_message_detail(copy), rows[i].detail);
    uvsmtp_message_free(copy);
    uvsmtp_message_free(p);
  }
}

static void marks_are_escaped_in_html_however_that_is_written(void **state)
{
  uvsmtp_message_t *m = minimal(UVSMTP_MESSAGE_TEMPLATE);
  uvsmtp_part_t *part;
  char *got;
  assert_int_equal(uvsmtp_part_text(m, &part, "HTML", "<p>{{v}} {{{v}}}</p>", SIZE_MAX), 0);
  assert_int_equal(uvsmtp_message_root(m, part), 0);
  assert_int_equal(uvsmtp_message_mark(m, "v", "<b>"), 0);
  got = render_text(m, 0);
  assert_non_null(strstr(got, "\r\n\r\n<p>&lt;b&gt; <b></p>\r\n"));
  free(got);
  uvsmtp_message_free(m);
}

/* RFC 5545 section 3.3.11: a line break would end the property, and begin another one. */
static void a_mark_adds_no_line_to_an_invitation(void **state)
{
  uvsmtp_message_t *m = minimal(UVSMTP_MESSAGE_TEMPLATE);
  char *got;
  assert_int_equal(
      uvsmtp_message_invitation(m, "REQUEST", "SUMMARY:{{v}}\nX-RAW:{{{v}}}\n", SIZE_MAX), 0);
  assert_int_equal(uvsmtp_message_mark(m, "v", "a\\b; c, d\r\nATTENDEE:e\nf\rg"), 0);
  got = render_text(m, 0);
  assert_non_null(
      strstr(got, "\r\nSUMMARY:a\\\\b\\; c\\, d\\nATTENDEE:e\\nf\\ng\r\nX-RAW:a\\b; c, d\r\n"));
  free(got);
  uvsmtp_message_free(m);
}

static void a_mark_that_holds_the_boundary_gets_encoded(void **state)
{
  uvsmtp_message_t *p = pattern(), *copy;
  char *got;
  assert_int_equal(uvsmtp_message_copy(&copy, p), 0);
  uvsmtp_message_mark(copy, "name", "--=_000102030405060708090a0b_3--");
  got = render_text(copy, 0);
  assert_non_null(strstr(got, "boundary=\"=_000102030405060708090a0b_"));
  assert_non_null(strstr(got, "Dear --=3D_000102030405060708090a0b_3--,\r\n"));
  free(got);
  uvsmtp_message_free(copy);
  uvsmtp_message_free(p);
}

static void a_copy_has_no_parts_of_its_own(void **state)
{
  uvsmtp_message_t *p = pattern(), *copy, *again;
  assert_int_equal(uvsmtp_message_copy(&copy, p), 0);
  assert_int_equal(uvsmtp_message_text(copy, "x", 1), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_message_subject(p, "x"), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_message_copy(&again, copy), UVSMTP_EINVAL);
  assert_null(again);
  uvsmtp_message_free(copy);
  uvsmtp_message_free(p);
}

/* ---- Memory ---- */

static int everything_with(const uvsmtp_mem_t *mem, const char *path)
{
  uvsmtp_source_t attached;
  uvsmtp_message_options_t options = UVSMTP_MESSAGE_OPTIONS_INIT;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *m, *copy = NULL;
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece = {NULL, 1};
  int err;
  options.mem = mem;
  options.crypto = &fake_crypto;
  options.domain = "x.example";
  options.flags = UVSMTP_MESSAGE_TEMPLATE;
  if ((err = uvsmtp_message_new(&m, &options)) != 0)
    return err;
  uvsmtp_message_addresses(m, UVSMTP_FROM, "A <a@b>");
  uvsmtp_message_addresses(m, UVSMTP_TO, "g: c@d, e@f;");
  uvsmtp_message_subject(m, "{{x}}");
  uvsmtp_message_header(m, "X-Y", "{{x}} z");
  uvsmtp_message_references(m, "a@b c@d");
  uvsmtp_message_text(m, "{{x}} \xc3\xa4", SIZE_MAX);
  uvsmtp_message_html(m, "{{x}}", SIZE_MAX);
  a.bytes = png;
  a.len = sizeof(png);
  a.content_id = "c@d";
  a.flags = UVSMTP_ATTACH_COPY;
  for (int i = 0; i < 6; i++)
    uvsmtp_message_attach(m, &a);
  a.content_id = NULL;
  a.filename = "m.eml"; /* whose text has to be encoded anew */
  a.bytes = "From: x@y\n\n\xc3\xa4\n";
  a.len = strlen(a.bytes);
  uvsmtp_message_attach(m, &a);
  a = (uvsmtp_attachment_t)UVSMTP_ATTACHMENT_INIT;
  a.path = path;
  uvsmtp_message_attach(m, &a);
  uvsmtp_source_memory(&attached, png, sizeof(png));
  a.path = NULL;
  a.source = &attached;
  uvsmtp_message_attach(m, &a);
  uvsmtp_message_unsubscribe(m, "https://x/", NULL, 1);
  err = uvsmtp_message_copy(&copy, m);
  if (err == 0) {
    uvsmtp_message_mark(copy, "x", "y");
    err = uvsmtp_message_envelope(copy, &envelope);
  }
  if (err == 0 && (err = uvsmtp_message_source(copy, &source)) == 0 &&
      (err = source.ops->open(&source, 0, &info)) == 0) {
    while (err == 0 && piece.len > 0)
      err = source.ops->next(&source, &piece);
    source.ops->close(&source);
  }
  uvsmtp_message_free(copy);
  uvsmtp_message_free(m);
  return err;
}

static void running_out_of_memory_is_an_error_without_a_leak(void **state)
{
  const char *path = temporary_file("0123456789", 10);
  for (size_t i = 1;; i++) {
    failing_t f = {.fail_at = i};
    uvsmtp_mem_t mem = FAILING_MEM(&f);
    int err = everything_with(&mem, path);
    assert_int_equal(f.live, 0);
    if (f.calls < i) {
      remove(path);
      assert_int_equal(err, 0);
      assert_true(i > 20);
      return;
    }
    assert_int_equal(err, UVSMTP_ENOMEM);
  }
}

static void every_ending_of_the_table_is_found(void **state)
{
  for (size_t i = 0; i < COUNT(mime_rows); i++) {
    char name[40] = "a.b.";
    strcat(name, mime_rows[i].ending);
    assert_string_equal(uvsmtp_mime_type(name), mime_names + mime_rows[i].type);
    assert_true(i == 0 || strcmp(mime_rows[i - 1].ending, mime_rows[i].ending) < 0);
  }
}

static void types_follow_from_names(void **state)
{
  static const struct {
    const char *name, *type;
  } rows[] = {
      {"a.pdf", "application/pdf"},
      {"A.JPG", "image/jpeg"},
      {"x.tar.gz", "application/gzip"},
      {"noending", "application/octet-stream"},
      {"strange.xyzzy", "application/octet-stream"},
      {".", "application/octet-stream"},
      {"", "application/octet-stream"},
      {"a.3gp", "video/3gpp"},
      {"a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
      {"a.ts", "video/mp2t"},
      {"a.an-ending-longer-than-any", "application/octet-stream"},
      {"a.\xc3\xa4", "application/octet-stream"},
      {"a.zst", "application/zstd"},
      {"a.html", "text/html"},
      {"a.htm", "text/html"},
      {"a.ht", "application/octet-stream"},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    assert_string_equal(uvsmtp_mime_type(rows[i].name), rows[i].type);
  assert_string_equal(uvsmtp_mime_type(NULL), "application/octet-stream");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_encoding_follows_from_the_content_and_the_server),
      cmocka_unit_test(binary_goes_unchanged_only_where_it_is_wanted_and_taken),
      cmocka_unit_test(an_attached_message_is_never_encoded_but_its_parts),
      cmocka_unit_test(an_attached_message_that_must_not_be_touched_needs_8bitmime),
      cmocka_unit_test(the_boundary_occurs_in_no_part),
      cmocka_unit_test(no_boundary_begins_another_one),
      cmocka_unit_test(utf8_headers_go_only_where_smtputf8_goes),
      cmocka_unit_test(an_idn_domain_becomes_a_labels_where_that_helps),
      cmocka_unit_test(a_file_gives_the_same_as_its_bytes),
      cmocka_unit_test(a_file_that_changed_fails_the_message),
      cmocka_unit_test(a_file_that_cannot_be_read_is_refused_when_attached),
      cmocka_unit_test(a_pipe_is_read_whole_and_once),
      cmocka_unit_test(an_attached_source_may_keep_the_reader_waiting),
      cmocka_unit_test(what_attached_sources_say_is_known_before_anything_is_sent),
      cmocka_unit_test(one_source_may_be_attached_twice),
      cmocka_unit_test(an_attached_source_of_another_length_fails_the_message),
      cmocka_unit_test(a_source_that_fails_is_named),
      cmocka_unit_test(what_the_parts_hold_is_known_before_it_is_opened),
      cmocka_unit_test(two_readers_do_not_disturb_each_other),
      cmocka_unit_test(line_breaks_are_refused_with_the_name_of_the_field),
      cmocka_unit_test(text_that_is_not_utf8_is_refused_with_its_place),
      cmocka_unit_test(overlong_values_are_refused_not_cut),
      cmocka_unit_test(a_header_is_bounded_as_a_whole),
      cmocka_unit_test(impossible_messages_are_refused_with_the_reason),
      cmocka_unit_test(a_message_id_needs_random_bytes),
      cmocka_unit_test(a_completed_message_cannot_be_changed),
      cmocka_unit_test(the_envelope_follows_from_the_header),
      cmocka_unit_test(the_name_of_a_group_may_be_encoded),
      cmocka_unit_test(bcc_is_never_written),
      cmocka_unit_test(copies_replace_fields_and_marks_only),
      cmocka_unit_test(a_copy_does_not_look_at_the_attachments_again),
      cmocka_unit_test(a_copy_can_take_away_what_the_pattern_has),
      cmocka_unit_test(a_text_that_was_replaced_is_no_part_of_the_message),
      cmocka_unit_test(structured_fields_are_never_encoded),
      cmocka_unit_test(marks_in_urls_are_encoded_and_stay_urls),
      cmocka_unit_test(marks_cannot_inject_or_be_forgotten),
      cmocka_unit_test(marks_are_escaped_in_html_however_that_is_written),
      cmocka_unit_test(a_mark_adds_no_line_to_an_invitation),
      cmocka_unit_test(a_mark_that_holds_the_boundary_gets_encoded),
      cmocka_unit_test(a_copy_has_no_parts_of_its_own),
      cmocka_unit_test(running_out_of_memory_is_an_error_without_a_leak),
      cmocka_unit_test(every_ending_of_the_table_is_found),
      cmocka_unit_test(types_follow_from_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
