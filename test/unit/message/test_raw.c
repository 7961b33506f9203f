#include <stdbool.h>
#include <stdio.h>

#include "support.h"

static uvsmtp_raw_t *new_raw(void)
{
  uvsmtp_raw_t *raw;
  assert_int_equal(uvsmtp_raw_new(&raw, NULL), 0);
  return raw;
}

/* Writes the envelope as "sender > recipient recipient". */
static int envelope_text(uvsmtp_raw_t *raw, char *out, size_t size)
{
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  size_t n;
  int err = uvsmtp_raw_envelope(raw, UVSMTP_RAW_SENDER | UVSMTP_RAW_RECIPIENTS, &envelope);
  if (err != 0)
    return err;
  n = (size_t)snprintf(out, size, "%s >", envelope.sender);
  for (size_t i = 0; i < envelope.recipient_count; i++)
    n += (size_t)snprintf(out + n, size - n, " %s", envelope.recipients[i].address);
  return 0;
}

static const struct {
  const char *name, *message, *envelope, *sent;
} good[] = {
    {"plain", "From: a@b\r\nTo: c@d\r\n\r\nHi\r\n", "a@b > c@d",
     "From: a@b\r\nTo: c@d\r\n\r\nHi\r\n"},
    {"bcc is left out with its folds",
     "From: a@b\r\nBcc: x@y,\r\n z@y\r\nSubject: s\r\n\r\nBcc: stays\r\n", "a@b > x@y z@y",
     "From: a@b\r\nSubject: s\r\n\r\nBcc: stays\r\n"},
    {"bcc first, last, in any case, with a blank before the colon",
     "bcc: x@y\r\nFrom: a@b\r\nBCC : p@q\r\n\r\nB", "a@b > x@y p@q", "From: a@b\r\n\r\nB"},
    {"lines ended by LF", "From: a@b\nBcc: x@y,\n\tz@y\n\nB\n", "a@b > x@y z@y",
     "From: a@b\n\nB\n"},
    {"lines ended by CR", "From: a@b\rBcc: x@y,\r z@y\r\rB\r", "a@b > x@y z@y", "From: a@b\r\rB\r"},
    {"sender before from", "From: a@b, c@d\r\nSender: s@t\r\nTo: c@d\r\n\r\n", "s@t > c@d",
     "From: a@b, c@d\r\nSender: s@t\r\nTo: c@d\r\n\r\n"},
    {"duplicates once, in the order of the header",
     "From: a@b\r\nTo: z@Y, c@d, Z <z@y>\r\nCc: c@d, C@d, \"c\"@D\r\nTo: e@f\r\n\r\n",
     "a@b > z@Y c@d C@d e@f",
     "From: a@b\r\nTo: z@Y, c@d, Z <z@y>\r\nCc: c@d, C@d, \"c\"@D\r\nTo: e@f\r\n\r\n"},
    {"groups and comments",
     "From: (me) Me <a@b>\r\nTo: All: X <x@y>, p@q;,\r\n Undisclosed:;\r\n\r\n", "a@b > x@y p@q",
     "From: (me) Me <a@b>\r\nTo: All: X <x@y>, p@q;,\r\n Undisclosed:;\r\n\r\n"},
    {"resent block instead of the plain fields",
     "Resent-From: r@s\r\nResent-To: t@u\r\nResent-Bcc: v@w\r\nFrom: a@b\r\nTo: c@d\r\n\r\nB",
     "r@s > t@u v@w", "Resent-From: r@s\r\nResent-To: t@u\r\nFrom: a@b\r\nTo: c@d\r\n\r\nB"},
    {"resent-sender before resent-from",
     "Resent-From: r@s, q@s\r\nResent-Sender: p@s\r\nResent-Cc: t@u\r\n\r\n", "p@s > t@u",
     "Resent-From: r@s, q@s\r\nResent-Sender: p@s\r\nResent-Cc: t@u\r\n\r\n"},
    {"of two blocks the upper one",
     "Resent-Date: now\r\nResent-From: new@s\r\nResent-To: new@u\r\n"
     "Resent-Date: then\r\nResent-From: old@s\r\nResent-To: old@u\r\nResent-Bcc: oldb@u\r\n\r\n",
     "new@s > new@u",
     "Resent-Date: now\r\nResent-From: new@s\r\nResent-To: new@u\r\n"
     "Resent-Date: then\r\nResent-From: old@s\r\nResent-To: old@u\r\n\r\n"},
    {"a trace field ends the block",
     "Received: 1\r\nResent-From: new@s\r\nX-Y: z\r\nResent-To: new@u\r\nReceived: 2\r\n"
     "Resent-Cc: old@u\r\n\r\n",
     "new@s > new@u",
     "Received: 1\r\nResent-From: new@s\r\nX-Y: z\r\nResent-To: new@u\r\nReceived: 2\r\n"
     "Resent-Cc: old@u\r\n\r\n"},
    {"a From with a blank before the colon is no line of an mbox",
     "From : a@b\r\nTo \t: c@d\r\n\r\nHi\r\n", "a@b > c@d",
     "From : a@b\r\nTo \t: c@d\r\n\r\nHi\r\n"},
    {"a byte order mark is left out",
     "\xef\xbb\xbf"
     "From: a@b\r\nTo: c@d\r\n\r\n",
     "a@b > c@d", "From: a@b\r\nTo: c@d\r\n\r\n"},
    {"the From_ line of an mbox is left out",
     "From a@b Sat Jan  3 01:05:34 1996\nFrom: a@b\nTo: c@d\n\nB", "a@b > c@d",
     "From: a@b\nTo: c@d\n\nB"},
    {"a header without a body", "From: a@b\r\nTo: c@d\r\nBcc: e@f", "a@b > c@d e@f",
     "From: a@b\r\nTo: c@d\r\n"},
    {"a line of blanks continues a field", "From: a@b\r\nTo: c@d\r\n \r\nBcc: e@f\r\n\r\nB",
     "a@b > c@d e@f", "From: a@b\r\nTo: c@d\r\n \r\n\r\nB"},
    {"international addresses", "From: \xc3\xa4@b\xc3\xbc.example\r\nTo: \xe4\xb8\x80@d\r\n\r\n",
     "\xc3\xa4@b\xc3\xbc.example > \xe4\xb8\x80@d",
     "From: \xc3\xa4@b\xc3\xbc.example\r\nTo: \xe4\xb8\x80@d\r\n\r\n"},
    {"a body of its own line ends", "From: a@b\r\nTo: c@d\r\n\r\n\r\nBcc: x\r\n", "a@b > c@d",
     "From: a@b\r\nTo: c@d\r\n\r\n\r\nBcc: x\r\n"},
};

static void a_message_in_memory_gives_envelope_and_source(void **state)
{
  for (size_t i = 0; i < COUNT(good); i++) {
    uvsmtp_raw_t *raw = new_raw();
    uvsmtp_source_t source;
    uvsmtp_source_info_t info;
    char envelope[200] = "", *sent;
    size_t len;
    assert_int_equal(uvsmtp_raw_read(raw, good[i].message, strlen(good[i].message)), 0);
    if (envelope_text(raw, envelope, sizeof(envelope)) != 0)
      fail_msg("%s: %s", good[i].name, uvsmtp_raw_detail(raw));
    assert_string_equal(envelope, good[i].envelope);
    assert_int_equal(uvsmtp_raw_source(raw, &source), 0);
    for (int again = 0; again < 2; again++) {
      sent = slurp(&source, UVSMTP_TARGET_8BITMIME, &info, &len);
      assert_string_equal(sent, good[i].sent);
      assert_int_equal(info.length, len);
      assert_int_equal(uvsmtp_source_length(&source), len);
      assert_int_equal(info.content, UVSMTP_CONTENT_STABLE);
      free(sent);
    }
    uvsmtp_raw_free(raw);
  }
}

static void the_source_does_not_copy(void **state)
{
  static const char message[] = "Bcc: x@y\r\nFrom: a@b\r\n\r\nBody";
  uvsmtp_raw_t *raw = new_raw();
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece;
  assert_int_equal(uvsmtp_raw_read(raw, message, strlen(message)), 0);
  assert_int_equal(uvsmtp_raw_source(raw, &source), 0);
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  assert_int_equal(source.ops->next(&source, &piece), 0);
  assert_ptr_equal(piece.base, message + 10);
  assert_int_equal(piece.len, strlen(message) - 10);
  source.ops->close(&source);
  uvsmtp_raw_free(raw);
}

/* Feeds `message` in pieces of `step` bytes; returns what feed said last. */
static int feed_all(uvsmtp_raw_t *raw, const char *message, size_t step, size_t *header)
{
  size_t len = strlen(message), used;
  int err = UVSMTP_PENDING;
  *header = 0;
  for (size_t at = 0; at < len && err == UVSMTP_PENDING; at += step) {
    size_t n = len - at < step ? len - at : step;
    err = uvsmtp_raw_feed(raw, message + at, n, &used);
    *header += used;
  }
  return err == UVSMTP_PENDING ? uvsmtp_raw_feed(raw, NULL, 0, &used) : err;
}

static void a_message_in_pieces_of_any_size_gives_the_same(void **state)
{
  for (size_t i = 0; i < COUNT(good); i++)
    for (size_t step = 1; step < 40; step++) {
      uvsmtp_raw_t *raw = new_raw();
      uvsmtp_source_t source;
      char envelope[200] = "", whole[1000], *sent;
      size_t len, header, body;
      assert_int_equal(feed_all(raw, good[i].message, step, &header), 0);
      body = (size_t)uvsmtp_raw_body_offset(raw);
      assert_int_equal(header, body);
      assert_int_equal(envelope_text(raw, envelope, sizeof(envelope)), 0);
      assert_string_equal(envelope, good[i].envelope);
      assert_int_equal(uvsmtp_raw_source(raw, &source), 0);
      sent = slurp(&source, 0, NULL, &len);
      snprintf(whole, sizeof(whole), "%s%s", sent, good[i].message + body);
      assert_string_equal(whole, good[i].sent);
      free(sent);
      uvsmtp_raw_free(raw);
    }
}

/* Cuts a message into buffers of `step` bytes. */
static size_t cut(uvsmtp_slice_t *slices, const char *message, size_t step)
{
  size_t n = 0, len = strlen(message);
  for (size_t at = 0; at < len; at += step)
    slices[n++] = (uvsmtp_slice_t){message + at, len - at < step ? len - at : step};
  return n;
}

static void a_filter_leaves_out_the_same_whatever_the_pieces(void **state)
{
  for (size_t i = 0; i < COUNT(good); i++)
    for (size_t step = 1; step < 60; step++) {
      uvsmtp_raw_t *raw = new_raw();
      uvsmtp_source_t whole, source;
      uvsmtp_source_info_t info;
      uvsmtp_slice_t slices[500];
      size_t len, header;
      char *sent;
      assert_int_equal(feed_all(raw, good[i].message, 7, &header), 0);
      uvsmtp_source_buffers(&whole, slices, cut(slices, good[i].message, step));
      assert_int_equal(uvsmtp_raw_filter(raw, &source, &whole), 0);
      for (int again = 0; again < 2; again++) {
        sent = slurp(&source, UVSMTP_TARGET_8BITMIME, &info, &len);
        assert_string_equal(sent, good[i].sent);
        assert_int_equal(info.length, len);
        assert_int_equal(uvsmtp_source_length(&source), strlen(good[i].message));
        free(sent);
      }
      uvsmtp_raw_free(raw);
    }
}

static void a_filter_over_another_message_fails(void **state)
{
  uvsmtp_raw_t *raw = new_raw();
  uvsmtp_source_t whole, source;
  uvsmtp_source_info_t info;
  assert_int_equal(uvsmtp_raw_read(raw, "From: a@b\r\nBcc: c@d\r\n\r\n", 23), 0);
  uvsmtp_source_memory(&whole, "From", 4);
  assert_int_equal(uvsmtp_raw_filter(raw, &source, &whole), 0);
  for (unsigned target = 0; target <= UVSMTP_TARGET_8BITMIME; target++) {
    assert_int_equal(source.ops->open(&source, target, &info), UVSMTP_ESOURCE);
    assert_string_equal(source.ops->detail(&source), "not the message whose header was read");
  }
  uvsmtp_raw_free(raw);
}

/* A source that is not ready when asked the first time. */
static int slow_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN,
                                 .content = UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF};
  source->at = 0;
  return 0;
}

static int slow_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  static const char bytes[] = "From: a@b\r\nBcc: c@d\r\n\r\nB\r\n";
  *piece = source->at == 1 ? uvsmtp_slice(bytes) : (uvsmtp_slice_t){NULL, 0};
  return source->at++ == 0 ? UVSMTP_PENDING : 0;
}

static void slow_close(uvsmtp_source_t *source)
{
}

static void note_wake(void *reader)
{
  ++*(int *)reader;
}

static void a_filter_passes_waiting_and_waking_on(void **state)
{
  static const uvsmtp_source_ops_t slow_ops = {sizeof(slow_ops), slow_open, slow_next, slow_close};
  uvsmtp_source_t slow = {.ops = &slow_ops}, source;
  uvsmtp_raw_t *raw = new_raw();
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece;
  int woken = 0;
  assert_int_equal(uvsmtp_raw_read(raw, "From: a@b\r\nBcc: c@d\r\n\r\nB\r\n", 26), 0);
  assert_int_equal(uvsmtp_raw_filter(raw, &source, &slow), 0);
  assert_int_equal(source.ops->open(&source, UVSMTP_TARGET_8BITMIME, &info), 0);
  assert_true(info.length == UVSMTP_LENGTH_UNKNOWN);
  assert_int_equal(info.content, UVSMTP_CONTENT_CRLF); /* not KNOWN: Bcc may have been the 8-bit */
  source.wake = note_wake;
  source.reader = &woken;
  assert_int_equal(source.ops->next(&source, &piece), UVSMTP_PENDING);
  uvsmtp_source_wake(&slow);
  assert_int_equal(woken, 1);
  assert_int_equal(source.ops->next(&source, &piece), 0);
  assert_int_equal(piece.len, 11);
  source.ops->close(&source);
  uvsmtp_source_wake(&slow);
  assert_int_equal(woken, 1);
  uvsmtp_raw_free(raw);
}

static void a_filter_says_why_the_message_cannot_be_read(void **state)
{
  for (int opens = 0; opens < 2; opens++) {
    uvsmtp_source_t torn = {.data = &opens, .ops = &torn_ops}, source;
    uvsmtp_raw_t *raw = new_raw();
    uvsmtp_source_info_t info;
    uvsmtp_slice_t piece;
    assert_int_equal(uvsmtp_raw_read(raw, "From: a@b\r\n\r\nB\r\n", 16), 0);
    assert_int_equal(uvsmtp_raw_filter(raw, &source, &torn), 0);
    assert_int_equal(source.ops->open(&source, UVSMTP_TARGET_8BITMIME, &info),
                     opens ? 0 : UVSMTP_ESOURCE);
    if (opens)
      assert_int_equal(source.ops->next(&source, &piece), UVSMTP_ESOURCE);
    assert_string_equal(source.ops->detail(&source), "the tape is torn");
    if (opens)
      source.ops->close(&source);
    uvsmtp_raw_free(raw);
  }
}

static void malformed_headers_are_refused_by_name(void **state)
{
  static const struct {
    const char *message;
    int err; /* of the envelope; 0: reading fails already */
    const char *detail;
  } rows[] = {
      {"Hello\r\n\r\n", 0,
       "line 1: neither a header field nor the empty line before the body: \"Hello\""},
      {"From: a@b\r\nno field\r\n\r\n", 0,
       "line 2: neither a header field nor the empty line before the body: \"no field\""},
      {"From: a@b\r\n c\r\n: x\r\n\r\n", 0,
       "line 3: neither a header field nor the empty line before the body: \": x\""},
      {"Fr\xc3\xb6m: a@b\r\n\r\n", 0,
       "line 1: neither a header field nor the empty line before the body: \"Fr??m: a@b\""},
      {" From: a@b\r\n\r\n", 0, "line 1: goes on from a field, but there is none before it"},
      {"From x\n y\n\n", 0, "line 2: goes on from a field, but there is none before it"},
      {"To: a@b\r\n\r\n", UVSMTP_EHEADER, "From: missing, so the sender is not known"},
      {"\r\nFrom: a@b", UVSMTP_EHEADER, "From: missing, so the sender is not known"},
      {"", UVSMTP_EHEADER, "From: missing, so the sender is not known"},
      {"From: a@b\r\n\r\n", UVSMTP_ENORECIPIENTS, "the header names no recipient"},
      {"From: a@b\r\nTo: none:;\r\n\r\n", UVSMTP_ENORECIPIENTS, "the header names no recipient"},
      {"From: a@b\r\nFROM: c@d\r\nTo: a@b\r\n\r\n", UVSMTP_EHEADER,
       "From: occurs twice, so the sender is not known"},
      {"From: a@b, c@d\r\nTo: a@b\r\n\r\n", UVSMTP_EHEADER,
       "From: holds several addresses, and there is no Sender field"},
      {"Sender: a@b, c@d\r\nTo: a@b\r\n\r\n", UVSMTP_EHEADER, "Sender: holds several addresses"},
      {"From: x:;\r\nTo: a@b\r\n\r\n", UVSMTP_EHEADER, "From: holds no address"},
      {"From: <>\r\nTo: a@b\r\n\r\n", UVSMTP_EHEADER, "From: byte 3: an address has no local part"},
      {"From: a@b\r\nTo: x y@z\r\n\r\n", UVSMTP_EHEADER, "To: byte 5: the local part needs quotes"},
      {"From: a@b\r\nbcc: x\r\n\r\n", UVSMTP_EHEADER, "bcc: byte 3: an address has no domain"},
      {"From: a@b\r\nTo: c@d\r\nResent-To: e@f\r\n\r\n", UVSMTP_EHEADER,
       "Resent-From: missing, so the sender is not known"},
      {"From: a@b\r\nTo: c@d\r\nResent-From: e@f\r\n\r\n", UVSMTP_ENORECIPIENTS,
       "the header names no recipient"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_raw_t *raw = new_raw();
    char text[200];
    int err = uvsmtp_raw_read(raw, rows[i].message, strlen(rows[i].message));
    assert_int_equal(err, rows[i].err == 0 ? UVSMTP_EHEADER : 0);
    if (rows[i].err != 0)
      assert_int_equal(envelope_text(raw, text, sizeof(text)), rows[i].err);
    assert_string_equal(uvsmtp_raw_detail(raw), rows[i].detail);
    uvsmtp_raw_free(raw);
  }
}

static void only_what_is_asked_for_is_read_and_set(void **state)
{
  static const char message[] = "From: broken\r\nTo: a@b\r\n\r\n";
  uvsmtp_raw_t *raw = new_raw();
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  envelope.sender = "given@x";
  envelope.envid = "id";
  assert_int_equal(uvsmtp_raw_read(raw, message, strlen(message)), 0);
  assert_int_equal(uvsmtp_raw_envelope(raw, UVSMTP_RAW_RECIPIENTS, &envelope), 0);
  assert_string_equal(envelope.sender, "given@x");
  assert_string_equal(envelope.envid, "id");
  assert_int_equal(envelope.recipient_count, 1);
  assert_int_equal(uvsmtp_raw_envelope(raw, UVSMTP_RAW_SENDER, &envelope), UVSMTP_EHEADER);
  uvsmtp_raw_free(raw);
}

static void bcc_is_kept_on_demand_and_ranges_tell_what_is_not(void **state)
{
  static const char message[] = "Bcc: a@b\r\nResent-Bcc: c@d\r\nTo: x@y\r\nBcc: e@f\r\n\r\nB";
  uvsmtp_raw_options_t options = UVSMTP_RAW_OPTIONS_INIT;
  uvsmtp_raw_t *raw = new_raw();
  const uvsmtp_range_t *ranges;
  size_t count;
  assert_int_equal(uvsmtp_raw_read(raw, message, strlen(message)), 0);
  ranges = uvsmtp_raw_omitted(raw, &count);
  assert_int_equal(count, 2); /* neighbours are one range */
  assert_int_equal(ranges[0].offset, 0);
  assert_int_equal(ranges[0].len, 27);
  assert_int_equal(ranges[1].offset, 36);
  assert_int_equal(ranges[1].len, 10);
  assert_int_equal(uvsmtp_raw_body_offset(raw), 48);
  uvsmtp_raw_free(raw);
  options.flags = UVSMTP_RAW_KEEP_BCC;
  assert_int_equal(uvsmtp_raw_new(&raw, &options), 0);
  assert_int_equal(uvsmtp_raw_read(raw, message, strlen(message)), 0);
  uvsmtp_raw_omitted(raw, &count);
  assert_int_equal(count, 0);
  uvsmtp_raw_free(raw);
}

static void a_header_without_end_is_bounded(void **state)
{
  uvsmtp_raw_options_t options = UVSMTP_RAW_OPTIONS_INIT;
  uvsmtp_raw_t *raw;
  char big[300];
  int err = UVSMTP_PENDING;
  memset(big, 'x', sizeof(big));
  big[1] = ':';
  options.max_header_bytes = 200;
  assert_int_equal(uvsmtp_raw_new(&raw, &options), 0);
  assert_int_equal(uvsmtp_raw_read(raw, big, sizeof(big)), UVSMTP_EHEADER);
  assert_string_equal(uvsmtp_raw_detail(raw),
                      "the header has over 200 bytes without the empty line that ends it");
  uvsmtp_raw_free(raw);
  assert_int_equal(uvsmtp_raw_new(&raw, &options), 0);
  for (size_t i = 0; i < sizeof(big) && err == UVSMTP_PENDING; i += 10)
    err = uvsmtp_raw_feed(raw, big + i, 10, NULL);
  assert_int_equal(err, UVSMTP_EHEADER);
  assert_int_equal(uvsmtp_raw_feed(raw, "\n\n", 2, NULL), UVSMTP_ESTATE);
  uvsmtp_raw_free(raw);
  memcpy(big + 196, "\r\n\r\n", 4); /* exactly as long as allowed, with a body behind it */
  assert_int_equal(uvsmtp_raw_new(&raw, &options), 0);
  assert_int_equal(uvsmtp_raw_read(raw, big, sizeof(big)), 0);
  uvsmtp_raw_free(raw);
}

static void the_header_ends_at_the_first_empty_line(void **state)
{
  static const struct {
    const char *message;
    size_t body;
  } rows[] = {
      {"A: b\r\n\r\nB", 8},
      {"A: b\n\nB", 6},
      {"A: b\r\rB", 6},
      {"A: b\r\r\nB", 7},
      {"A: b\n\r\nB", 7},
      {"A: b\n\rB", 6},
      {"\r\nB", 2},
      {"\nB", 1},
      {"\rB", 1},
      {"A: b\r\n", 6},
      {"A: b", 4},
      {"A: b\r\n\r", 7},
      {"A: b\r\n \r\nB: c\r\n\r\n\r\n", 17},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_raw_t *raw = new_raw();
    size_t header;
    assert_int_equal(uvsmtp_raw_body_offset(raw), 0);
    assert_int_equal(uvsmtp_raw_read(raw, rows[i].message, strlen(rows[i].message)), 0);
    assert_int_equal(uvsmtp_raw_body_offset(raw), rows[i].body);
    uvsmtp_raw_free(raw);
    raw = new_raw();
    assert_int_equal(feed_all(raw, rows[i].message, 1, &header), 0);
    assert_int_equal(uvsmtp_raw_body_offset(raw), rows[i].body);
    uvsmtp_raw_free(raw);
  }
}

static void calls_out_of_order_are_refused(void **state)
{
  uvsmtp_raw_t *raw = new_raw();
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_source_t source;
  assert_int_equal(uvsmtp_raw_envelope(raw, UVSMTP_RAW_SENDER, &envelope), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_raw_source(raw, &source), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_raw_filter(raw, &source, &source), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_raw_feed(raw, "A", 1, NULL), UVSMTP_PENDING);
  assert_int_equal(uvsmtp_raw_read(raw, "A: b\n\n", 6), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_raw_feed(raw, ": b\n\n", 5, NULL), 0);
  assert_int_equal(uvsmtp_raw_feed(raw, "x", 1, NULL), UVSMTP_ESTATE);
  uvsmtp_raw_free(raw);
  raw = new_raw();
  assert_int_equal(uvsmtp_raw_read(raw, "A: b\n\n", 6), 0);
  assert_int_equal(uvsmtp_raw_feed(raw, "A", 1, NULL), UVSMTP_ESTATE);
  uvsmtp_raw_free(raw);
}

static int run_with(const uvsmtp_mem_t *mem, bool feed)
{
  static const char message[] = "Bcc: a@b\r\nFrom: s@t\r\nBcc: g: c@d, e@f, a@b;\r\nX: y\r\n"
                                "Bcc: u@v\r\nTo: w@x\r\nBcc: y@z\r\n\r\nB";
  uvsmtp_raw_options_t options = UVSMTP_RAW_OPTIONS_INIT;
  uvsmtp_source_t source;
  uvsmtp_raw_t *raw;
  char text[200];
  int err;
  options.mem = mem;
  if ((err = uvsmtp_raw_new(&raw, &options)) != 0)
    return err;
  err = feed ? uvsmtp_raw_feed(raw, message, strlen(message), NULL)
             : uvsmtp_raw_read(raw, message, strlen(message));
  if (err == 0)
    err = envelope_text(raw, text, sizeof(text));
  if (err == 0)
    err = uvsmtp_raw_source(raw, &source);
  uvsmtp_raw_free(raw);
  return err;
}

static void running_out_of_memory_is_an_error_without_a_leak(void **state)
{
  for (int feed = 0; feed < 2; feed++)
    for (size_t i = 1;; i++) {
      failing_t f = {.fail_at = i};
      uvsmtp_mem_t mem = FAILING_MEM(&f);
      int err = run_with(&mem, feed);
      assert_int_equal(f.live, 0);
      if (f.calls < i) {
        assert_int_equal(err, 0);
        assert_true(i > 20);
        break;
      }
      assert_int_equal(err, UVSMTP_ENOMEM);
    }
}

static void many_equal_recipients_are_one(void **state)
{
  size_t count = 20000, n = 0;
  char *message = malloc(count * 12 + 100);
  uvsmtp_raw_t *raw = new_raw();
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  n += (size_t)sprintf(message, "From: a@b\r\nTo: x@y");
  for (size_t i = 0; i < count; i++)
    n += (size_t)sprintf(message + n, ",\r\n u%zu@y", i % 100);
  assert_int_equal(uvsmtp_raw_read(raw, message, n), 0);
  assert_int_equal(uvsmtp_raw_envelope(raw, UVSMTP_RAW_RECIPIENTS, &envelope), 0);
  assert_int_equal(envelope.recipient_count, 101);
  assert_string_equal(envelope.recipients[0].address, "x@y");
  assert_string_equal(envelope.recipients[100].address, "u99@y");
  uvsmtp_raw_free(raw);
  free(message);
}

static void empty_buffers_are_no_end(void **state)
{
  uvsmtp_slice_t slices[] = {{NULL, 0}, {"a", 1}, {"", 0}, {"b", 1}, {NULL, 0}};
  uvsmtp_source_t source;
  size_t len;
  char *all;
  uvsmtp_source_buffers(&source, slices, COUNT(slices));
  all = slurp(&source, 0, NULL, &len);
  assert_string_equal(all, "ab");
  free(all);
  uvsmtp_source_memory(&source, NULL, 0);
  all = slurp(&source, 0, NULL, &len);
  assert_string_equal(all, "");
  free(all);
  uvsmtp_source_wake(&source); /* harmless: nobody reads */
}

/* ---- Servers without 8BITMIME ---- */

#define AE "\xc3\xa4"

static const struct {
  const char *name, *message, *sent;
} recoded[] = {
    {"7-bit messages stay as they are", "From: a@b\nX: y\n\nplain\n", "From: a@b\nX: y\n\nplain\n"},
    {"text without MIME fields", "From: a@b\r\n\r\n" AE " = \r\n",
     "From: a@b\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4 "
     "=3D=20\r\n"},
    {"the old encoding is replaced, Bcc is left out, folds stay",
     "Bcc: x@y\r\nContent-Transfer-Encoding:\r\n 8bit\r\nFrom: a@b\r\n\r\nx" AE "\r\n",
     "From: a@b\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
     "quoted-printable\r\n\r\nx=C3=A4\r\n"},
    {"a version that is there stays alone", "mime-version: 1.0\r\nFrom: a@b\r\n\r\n" AE " = \r\n",
     "mime-version: 1.0\r\nFrom: a@b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
     "=C3=A4 =3D=20\r\n"},
    {"8-bit bytes in Bcc do not matter", "Bcc: " AE " <x@y>\r\nFrom: a@b\r\n\r\nb\r\n",
     "From: a@b\r\n\r\nb\r\n"},
    {"what is not text becomes base64",
     "Content-Type: image/png\r\nContent-Transfer-Encoding: BINARY\r\n\r\n\xff\n\xfe",
     "Content-Type: image/png\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
     "base64\r\n\r\n/wr+\r\n"},
    {"much 8-bit text becomes base64", "From: a@b\r\n\r\n" AE AE AE AE AE "\r\n",
     "From: a@b\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
     "base64\r\n\r\nw6TDpMOkw6TDpA0K\r\n"},
    {"line ends become CRLF before they are encoded", "From: a@b\n\nx" AE "\ny\rz",
     "From: a@b\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
     "quoted-printable\r\n\nx=C3=A4\r\ny\r\nz"},
    {"only parts that need it, and the multipart's encoding",
     "Content-Type: multipart/mixed;\r\n boundary=\"=b?\"\r\nContent-Transfer-Encoding: 8bit\r\n"
     "\r\npreamble\r\n--=b?\r\n\r\nplain\r\n--=b?\t\r\nContent-Type: text/html\r\n\r\n<p>" AE
     "</p>\r\n--=b?\r\nContent-Type: application/x\r\n\r\n\xff\r\n--=b?--\r\nepilogue\r\n",
     "Content-Type: multipart/mixed;\r\n boundary=\"=b?\"\r\nMIME-Version: "
     "1.0\r\nContent-Transfer-Encoding: 7bit\r\n"
     "\r\npreamble\r\n--=b?\r\n\r\nplain\r\n--=b?\t\r\nContent-Type: text/html\r\n"
     "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=C3=A4</p>\r\n--=b?\r\n"
     "Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n/w==\r\n"
     "--=b?--\r\nepilogue\r\n"},
    {"multiparts and messages in one another",
     "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n"
     "Content-Transfer-Encoding: 8bit\n\nFrom: x@y\nDKIM-Signature: old\n"
     "Content-Type: Multipart/Alternative; x=\"; boundary=no\"; Boundary = \"b\"\n\n--b\n\ntext "
     "x" AE "\n--b--\n--a--\n",
     "Content-Type: multipart/mixed; boundary=a\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
     "7bit\r\n\n--a\n"
     "Content-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\r\n\nFrom: x@y\n"
     "DKIM-Signature: old\n"
     "Content-Type: Multipart/Alternative; x=\"; boundary=no\"; Boundary = \"b\"\n"
     "Content-Transfer-Encoding: 7bit\r\n\n--b\nContent-Transfer-Encoding: quoted-printable\r\n"
     "\ntext x=C3=A4\n--b--\n--a--\n"},
    {"a message in a digest is one though its header does not say so",
     "Content-Type: multipart/digest; boundary=a\n\n--a\n\nFrom: x@y\n\ntext x" AE "\n--a--\n",
     "Content-Type: multipart/digest; boundary=a\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
     "7bit\r\n\n--a\n"
     "Content-Transfer-Encoding: 7bit\r\n\nFrom: x@y\nContent-Transfer-Encoding: "
     "quoted-printable\r\n\ntext x=C3=A4\n--a--\n"},
    {"what may hold UTF-8 in its header may be encoded",
     "Content-Type: message/global\r\n\r\nSubject: " AE "\r\n\r\nx\r\n",
     "Content-Type: message/global\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
     "base64\r\n\r\nU3ViamVjdDogw6QNCg0KeA0K\r\n"},
    {"signed parts that are 7-bit are no hindrance",
     "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/signed; "
     "boundary=s\r\n\r\n--s--\r\n--a\r\n\r\ntext x" AE "\r\n--a--\r\n",
     "Content-Type: multipart/mixed; boundary=a\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: "
     "7bit\r\n\r\n--a\r\n"
     "Content-Type: multipart/signed; boundary=s\r\n\r\n--s--\r\n--a\r\n"
     "Content-Transfer-Encoding: quoted-printable\r\n\r\ntext x=C3=A4\r\n--a--\r\n"},
};

static void eight_bit_parts_are_encoded_for_a_server_without_8bitmime(void **state)
{
  for (size_t i = 0; i < COUNT(recoded); i++) {
    uvsmtp_raw_t *raw = new_raw();
    uvsmtp_source_t source;
    uvsmtp_source_info_t info;
    size_t len;
    assert_int_equal(uvsmtp_raw_read(raw, recoded[i].message, strlen(recoded[i].message)), 0);
    assert_int_equal(uvsmtp_raw_source(raw, &source), 0);
    for (int again = 0; again < 2; again++) {
      char *sent = slurp(&source, 0, &info, &len);
      assert_string_equal(sent, recoded[i].sent);
      assert_int_equal(info.length, len);
      free(sent);
    }
    uvsmtp_raw_free(raw);
  }
}

static void what_must_not_be_touched_is_refused_with_the_reason(void **state)
{
  static const struct {
    const char *message, *detail;
  } rows[] = {
      {"Subject: " AE "\r\n\r\nx\r\n", "8-bit bytes in a header"},
      {"From: a@b\r\nDKIM-Signature: v=1\r\n\r\n" AE "\r\n",
       "8-bit bytes under a DKIM signature, which a change would break"},
      {"Content-Type: multipart/signed; boundary=a\r\n\r\n--a\r\n\r\n" AE "\r\n--a--\r\n",
       "8-bit bytes in a part that is signed or encrypted"},
      {"Content-Type: application/pkcs7-mime\r\n\r\n" AE "\r\n",
       "8-bit bytes in a part that is signed or encrypted"},
      {"Content-Transfer-Encoding: base64\r\n\r\n" AE "\r\n",
       "8-bit bytes in a part that is encoded, as its header says"},
      {"Content-Type: multipart/mixed\r\n\r\n" AE "\r\n",
       "8-bit bytes in a multipart without a boundary that can be read"},
      {"Content-Type: multipart/mixed; boundary=a\r\n\r\n" AE "\r\n--a--\r\n",
       "8-bit bytes outside the parts of a multipart"},
      {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a--\r\n" AE,
       "8-bit bytes outside the parts of a multipart"},
      {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nno field\r\n\r\n" AE
       "\r\n--a--\r\n",
       "8-bit bytes in a part whose header cannot be read"},
      {"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a\r\n\r\nX: " AE "\r\n",
       "8-bit bytes in a part that must not be encoded"},
      {"Content-Type: message/partial; id=x; number=2\r\n\r\n\r\n\r\n" AE "\r\n",
       "8-bit bytes in a part that must not be encoded"},
      {"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
       "Subject: =C3=A4\r\n\r\n" AE "\r\n",
       "8-bit bytes in a part that is encoded, as its header says"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_raw_t *raw = new_raw();
    uvsmtp_source_t source;
    uvsmtp_source_info_t info;
    size_t len;
    char *sent;
    assert_int_equal(uvsmtp_raw_read(raw, rows[i].message, strlen(rows[i].message)), 0);
    assert_int_equal(uvsmtp_raw_source(raw, &source), 0);
    assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_E8BIT);
    assert_string_equal(uvsmtp_raw_detail(raw), rows[i].detail);
    sent = slurp(&source, UVSMTP_TARGET_8BITMIME, &info, &len); /* elsewhere it goes as it is */
    assert_string_equal(sent, rows[i].message);
    free(sent);
    uvsmtp_raw_free(raw);
  }
}

/* A source that gives a string in pieces, each after a wait. */
typedef struct {
  const char *message;
  size_t step, at;
  bool ready;
  unsigned content;
  int open, opened;
} pieces_t;

static int pieces_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  pieces_t *p = source->data;
  p->at = 0;
  p->ready = false;
  p->open++;
  p->opened++;
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN, .content = p->content};
  return 0;
}

static int pieces_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  pieces_t *p = source->data;
  size_t left = strlen(p->message) - p->at;
  p->ready = !p->ready;
  if (p->ready)
    return UVSMTP_PENDING;
  *piece = (uvsmtp_slice_t){p->message + p->at, left < p->step ? left : p->step};
  p->at += piece->len;
  return 0;
}

static void pieces_close(uvsmtp_source_t *source)
{
  ((pieces_t *)source->data)->open--;
}

static const uvsmtp_source_ops_t pieces_ops = {
    .size = sizeof(pieces_ops), .open = pieces_open, .next = pieces_next, .close = pieces_close};

/* Reads a message through a filter that may hold `max` bytes: what it gives, or its words. */
static char *filter_slowly(pieces_t *p, size_t max, int *err)
{
  uvsmtp_raw_options_t o = UVSMTP_RAW_OPTIONS_INIT;
  uvsmtp_source_t whole = {.data = p, .ops = &pieces_ops}, source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece = {NULL, 1};
  uvsmtp_raw_t *raw;
  size_t header, len = 0;
  char *all = malloc(2 * strlen(p->message) + 1000);
  o.max_held_bytes = max;
  assert_int_equal(uvsmtp_raw_new(&raw, &o), 0);
  assert_int_equal(feed_all(raw, p->message, 7, &header), 0);
  assert_int_equal(uvsmtp_raw_filter(raw, &source, &whole), 0);
  while ((*err = source.ops->open(&source, 0, &info)) == UVSMTP_PENDING)
    continue;
  assert_int_equal(p->open, *err == 0);
  while (*err == 0 && piece.len > 0) {
    while ((*err = source.ops->next(&source, &piece)) == UVSMTP_PENDING)
      continue;
    if (*err == 0 && piece.len > 0)
      memcpy(all + len, piece.base, piece.len);
    len += piece.len;
  }
  if (*err == 0) {
    assert_true(info.length == len || info.length == UVSMTP_LENGTH_UNKNOWN);
    assert_int_equal(info.content & UVSMTP_CONTENT_ONCE, p->content);
    source.ops->close(&source);
    assert_int_equal(p->open, 0);
  } else {
    len = (size_t)sprintf(all, "%s", source.ops->detail(&source));
  }
  all[len] = '\0';
  uvsmtp_raw_free(raw);
  return all;
}

static void a_filter_encodes_what_it_can_hold(void **state)
{
  for (size_t i = 0; i < COUNT(recoded); i++)
    for (size_t step = 1; step < 200; step += 1 + step / 3) {
      pieces_t p = {.message = recoded[i].message, .step = step};
      int err;
      char *sent;
      p.content = step % 2 == 0 ? UVSMTP_CONTENT_ONCE : 0;
      sent = filter_slowly(&p, 0, &err);
      assert_int_equal(err, 0);
      assert_string_equal(sent, recoded[i].sent);
      assert_int_equal(p.opened, p.content != 0 ? 1 : 2);
      free(sent);
    }
}

#define FORTY "0123456789012345678901234567890123456789"

static void a_filter_gives_what_it_cannot_hold_as_it_stands(void **state)
{
  static const struct {
    const char *message;
    unsigned content;
    int err;
    const char *sent;
  } rows[] = {
      {"Bcc: x@y\r\nFrom: a@b\r\n\r\n" FORTY, UVSMTP_CONTENT_ONCE, 0, "From: a@b\r\n\r\n" FORTY},
      {"Bcc: x@y\r\nFrom: a@b\r\n\r\n" FORTY, 0, 0, "From: a@b\r\n\r\n" FORTY},
      {"From: a@b\r\n\r\n" AE FORTY, UVSMTP_CONTENT_ONCE, UVSMTP_E8BIT,
       "8-bit bytes in a message of over 20 octets, which is too long to be held and encoded anew"},
      {"From: a@b\r\n\r\n" FORTY AE, 0, UVSMTP_E8BIT,
       "8-bit bytes in a message of over 20 octets, which is too long to be held and encoded anew"},
      {"From: a@b\r\n\r\n" FORTY AE, UVSMTP_CONTENT_ONCE, 0, /* the sender will see it */
       "From: a@b\r\n\r\n" FORTY AE},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    for (size_t step = 1; step < 20; step++) {
      pieces_t p = {.message = rows[i].message, .step = step, .content = rows[i].content};
      int err;
      char *sent = filter_slowly(&p, 20, &err);
      assert_int_equal(err, rows[i].err);
      assert_string_equal(sent, rows[i].sent);
      free(sent);
    }
}

static void a_filter_may_be_closed_while_it_reads(void **state)
{
  pieces_t p = {.message = recoded[1].message, .step = 3};
  uvsmtp_source_t whole = {.data = &p, .ops = &pieces_ops}, source;
  uvsmtp_source_info_t info;
  uvsmtp_raw_t *raw = new_raw();
  assert_int_equal(uvsmtp_raw_read(raw, p.message, strlen(p.message)), 0);
  assert_int_equal(uvsmtp_raw_filter(raw, &source, &whole), 0);
  for (size_t until = 1; until < 5; until++) {
    for (size_t waits = 0; waits < until; waits++)
      assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_PENDING);
    source.ops->close(&source);
    assert_int_equal(p.open, 0);
  }
  uvsmtp_raw_free(raw);
}

/* ---- Lines of over 998 octets ---- */

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define L990                                                                                       \
  HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED TEN TEN TEN TEN TEN TEN  \
      TEN TEN TEN
#define L998 L990 "12345678"
#define L76 "0123456789012345678901234567890123456789012345678901234567890123456789012345"

/* What becomes of a message as a whole and through a filter. */
static void check_long(const char *name, const char *message, unsigned flags, int err,
                       const char *detail, const char *part)
{
  uvsmtp_raw_options_t o = UVSMTP_RAW_OPTIONS_INIT;
  uvsmtp_raw_t *raw;
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  size_t len;
  char *sent;
  o.flags = flags;
  assert_int_equal(uvsmtp_raw_new(&raw, &o), 0);
  assert_int_equal(uvsmtp_raw_read(raw, message, strlen(message)), 0);
  assert_int_equal(uvsmtp_raw_source(raw, &source), 0);
  if (err != 0) {
    assert_int_equal(source.ops->open(&source, UVSMTP_TARGET_8BITMIME, &info), err);
    assert_string_equal(source.ops->detail(&source), detail);
  } else {
    sent = slurp(&source, UVSMTP_TARGET_8BITMIME, &info, &len);
    assert_int_equal(info.length, len);
    if (strstr(sent, part) == NULL)
      fail_msg("%s: %s", name, sent);
    free(sent);
  }
  uvsmtp_raw_free(raw);
}

static void a_line_that_is_too_long_is_encoded_or_refused(void **state)
{
  static const struct {
    const char *name, *message;
    unsigned flags;
    int err;
    const char *detail, *part;
  } rows[] = {
      {"998 octets are allowed", "From: a@b\r\n\r\n" L998 "\r\n" L998 "\n" L998 "\r", 0, 0, NULL,
       "\r\n\r\n" L998 "\r\n" L998 "\n" L998 "\r"},
      {"999 are not", "From: a@b\n\nx\n" L998 "9\n", 0, 0, NULL,
       "From: a@b\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\nx\r\n012"},
      {"unless somebody says so", "From: a@b\n\n" L998 "9\n", UVSMTP_RAW_LONG_LINES, 0, NULL,
       "From: a@b\n\n" L998 "9\n"},
      {"the last line counts too", "Content-Type: a/b\n\n" L998 "9", 0, 0, NULL,
       "Content-Type: a/b\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\nMDEy"},
      {"8-bit parts with short lines stay",
       "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n" AE "\n--b\n\n" L998 "9\n--b--\n", 0,
       0, NULL,
       "boundary=b\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\n--b\n\n" AE
       "\n--b\nContent-Transfer-Encoding: quoted-printable\r\n\n012"},
      {"base64 gets new lines",
       "Content-Type: a/b\nContent-Transfer-Encoding: base64\n\n" L76 L76 "\r\n01" L998 "\n", 0, 0,
       NULL, "base64\n\n" L76 "\r\n" L76 "\r\n01" TEN},
      {"a header cannot", "From: a@b\nX: " L998 "\n\nx\n", 0, UVSMTP_ELINETOOLONG,
       "a line of over 998 octets in a header", NULL},
      {"nor what is signed", "From: a@b\nDKIM-Signature: x\n\n" L998 "9\n", 0, UVSMTP_ELINETOOLONG,
       "a line of over 998 octets under a DKIM signature, which a change would break", NULL},
      {"nor quoted-printable", "Content-Transfer-Encoding: quoted-printable\n\n" L998 "9\n", 0,
       UVSMTP_ELINETOOLONG,
       "a line of over 998 octets in a part that is encoded, as its header says", NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    check_long(rows[i].name, rows[i].message, rows[i].flags, rows[i].err, rows[i].detail,
               rows[i].part);
}

/* Reads the message through a filter in pieces of `step` bytes; how reading ends. */
static int filter_in_steps(const char *message, size_t step, unsigned flags)
{
  uvsmtp_raw_options_t o = UVSMTP_RAW_OPTIONS_INIT;
  uvsmtp_raw_t *raw;
  uvsmtp_source_t whole, source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t pieces[4000], piece = {NULL, 1};
  size_t len = strlen(message), count = 0;
  int err = 0;
  o.flags = flags;
  assert_int_equal(uvsmtp_raw_new(&raw, &o), 0);
  assert_int_equal(uvsmtp_raw_read(raw, message, len), 0);
  for (size_t at = 0; at < len; at += step)
    pieces[count++] = (uvsmtp_slice_t){message + at, len - at < step ? len - at : step};
  uvsmtp_source_buffers(&whole, pieces, count);
  assert_int_equal(uvsmtp_raw_filter(raw, &source, &whole), 0);
  assert_int_equal(source.ops->open(&source, UVSMTP_TARGET_8BITMIME, &info), 0);
  while (err == 0 && piece.len > 0)
    err = source.ops->next(&source, &piece);
  source.ops->close(&source);
  if (err != 0)
    assert_string_equal(source.ops->detail(&source), "a line has over 998 octets");
  uvsmtp_raw_free(raw);
  return err;
}

static void a_filter_encodes_lines_that_are_too_long_where_it_looks(void **state)
{
  pieces_t p = {.message = "From: a@b\n\n" L998 "9\n", .step = 100};
  int err;
  char *sent = filter_slowly(&p, 0, &err);
  assert_int_equal(err, 0);
  assert_non_null(strstr(sent, "\r\nContent-Transfer-Encoding: quoted-printable\r\n\n012"));
  free(sent);
  sent = filter_slowly(&p, 1000, &err);
  assert_int_equal(err, UVSMTP_ELINETOOLONG);
  assert_string_equal(sent, "a line of over 998 octets in a message of over 1000 octets, which is "
                            "too long to be held and encoded anew");
  free(sent);
}

static void a_filter_refuses_lines_that_are_too_long(void **state)
{
  for (size_t step = 1; step < 3100; step += 1 + step / 7) {
    assert_int_equal(filter_in_steps("From: a@b\r\n\r\n" L998 "\r\n" L998 "\n" L998, step, 0), 0);
    assert_int_equal(filter_in_steps("From: a@b\r\n\r\nx\r\n" L998 "9\r\n", step, 0),
                     UVSMTP_ELINETOOLONG);
    assert_int_equal(filter_in_steps("From: a@b\r\n\r\n" L998 "9", step, 0), UVSMTP_ELINETOOLONG);
    assert_int_equal(filter_in_steps("From: a@b\r\n\r\n" L998 "9", step, UVSMTP_RAW_LONG_LINES), 0);
  }
}

/* ---- Binary parts ---- */

#define BIN "Content-Transfer-Encoding: Binary\r\n"
#define V "MIME-Version: 1.0\r\n"

/* A server with 8BITMIME would get them in lines, and their bare CR and LF changed. */
static void what_only_binarymime_would_carry_is_encoded(void **state)
{
  static const struct {
    const char *name, *message, *sent; /* NULL: refused */
  } rows[] = {
      {"a message", V "Content-Type: a/b\r\n" BIN "\r\n\xff\n\xfe\r",
       V "Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n/wr+DQ==\r\n"},
      {"one that has no 8-bit bytes", V "Content-Type: a/b\r\n" BIN "\r\na\nb\r",
       V "Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nYQpiDQ==\r\n"},
      {"one whose header is sent in two pieces",
       V "Content-Type: a/b\r\n" BIN "Bcc: x@y\r\n\r\n\xff\n\xfe\r",
       V "Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n/wr+DQ==\r\n"},
      {"a part, and not those beside it",
       V "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" AE
         "\r\n--b\r\nContent-Type: a/b\r\n" BIN "\r\n\xff\n\xfe\r\n--b--\r\n",
       V "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
         "--b\r\n\r\n" AE "\r\n--b\r\nContent-Type: a/b\r\n"
         "Content-Transfer-Encoding: base64\r\n\r\n/wr+\r\n--b--\r\n"},
      {"lines that only say so", V "Content-Type: a/b\r\n" BIN "\r\n" AE "\r\nx\r\n",
       V "Content-Type: a/b\r\n" BIN "\r\n" AE "\r\nx\r\n"},
      {"a part whose header cannot be read",
       V "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b\r\n" BIN
         "no field\r\n\r\na\nb\r\n--b--\r\n",
       V "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
         "--b\r\nContent-Type: a/b\r\n" BIN "no field\r\n\r\na\nb\r\n--b--\r\n"},
      {"text", V BIN "\r\n" AE "\nx\n", V BIN "\r\n" AE "\nx\n"},
      {"text that speaks of it", V "\r\n" BIN AE "\n", V "\r\n" BIN AE "\n"},
      {"signed lines", V "DKIM-Signature: x\r\nContent-Type: a/b\r\n" BIN "\r\n" AE "\r\n",
       V "DKIM-Signature: x\r\nContent-Type: a/b\r\n" BIN "\r\n" AE "\r\n"},
      {"signed parts that only say so",
       "DKIM-Signature: x\r\nContent-Type: multipart/mixed; boundary=b\r\n" BIN "\r\n--b\r\n" BIN
       "\r\n" AE "\r\n--b--\r\n",
       "DKIM-Signature: x\r\nContent-Type: multipart/mixed; boundary=b\r\n" BIN "\r\n--b\r\n" BIN
       "\r\n" AE "\r\n--b--\r\n"},
      {"signed", V "DKIM-Signature: x\r\nContent-Type: a/b\r\n" BIN "\r\n" AE "\n", NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp_raw_t *raw = new_raw();
    uvsmtp_source_t source;
    uvsmtp_source_info_t info;
    size_t len;
    char *sent;
    assert_int_equal(uvsmtp_raw_read(raw, rows[i].message, strlen(rows[i].message)), 0);
    assert_int_equal(uvsmtp_raw_source(raw, &source), 0);
    if (rows[i].sent == NULL) {
      assert_int_equal(source.ops->open(&source, UVSMTP_TARGET_8BITMIME, &info), UVSMTP_E8BIT);
      assert_string_equal(uvsmtp_raw_detail(raw),
                          "binary bytes under a DKIM signature, which a change would break");
    } else {
      sent = slurp(&source, UVSMTP_TARGET_8BITMIME, &info, &len);
      if (strcmp(sent, rows[i].sent) != 0)
        fail_msg("%s: %s", rows[i].name, sent);
      assert_int_equal(info.length, len);
      free(sent);
    }
    uvsmtp_raw_free(raw);
  }
}

static void a_long_8bit_part_is_encoded_in_pieces(void **state)
{
  size_t len, size = 300000, n;
  for (int text = 0; text < 2; text++) {
    char *message = malloc(size + 100), *sent;
    uvsmtp_raw_t *raw = new_raw();
    uvsmtp_source_t source;
    uvsmtp_source_info_t info;
    n = (size_t)sprintf(message, "Content-Type: %s\r\n\r\n", text ? "text/plain" : "image/png");
    for (size_t i = 0; i < size; i++)
      message[n + i] = i % 60 == 58 ? '\r' : i % 60 == 59 ? '\n' : i % 60 == 0 ? '\xff' : 'x';
    assert_int_equal(uvsmtp_raw_read(raw, message, n + size), 0);
    assert_int_equal(uvsmtp_raw_source(raw, &source), 0);
    sent = slurp(&source, 0, &info, &len);
    assert_int_equal(info.length, len);
    assert_true(len > size);
    assert_null(memchr(sent, '\xff', len));
    free(sent);
    free(message);
    uvsmtp_raw_free(raw);
  }
}

static int recode_with(const uvsmtp_mem_t *mem)
{
  uvsmtp_raw_options_t options = UVSMTP_RAW_OPTIONS_INIT;
  uvsmtp_source_t source, whole, filter;
  uvsmtp_source_info_t info;
  uvsmtp_raw_t *raw;
  int err;
  options.mem = mem;
  if ((err = uvsmtp_raw_new(&raw, &options)) != 0)
    return err;
  err = uvsmtp_raw_read(raw, recoded[9].message, strlen(recoded[9].message));
  if (err == 0 && (err = uvsmtp_raw_source(raw, &source)) == 0 &&
      (err = source.ops->open(&source, 0, &info)) == 0)
    source.ops->close(&source);
  uvsmtp_source_memory(&whole, recoded[9].message, strlen(recoded[9].message));
  if (err == 0 && (err = uvsmtp_raw_filter(raw, &filter, &whole)) == 0 &&
      (err = filter.ops->open(&filter, 0, &info)) == 0)
    filter.ops->close(&filter);
  uvsmtp_raw_free(raw);
  return err;
}

static void encoding_survives_running_out_of_memory(void **state)
{
  for (size_t i = 1;; i++) {
    failing_t f = {.fail_at = i};
    uvsmtp_mem_t mem = FAILING_MEM(&f);
    int err = recode_with(&mem);
    assert_int_equal(f.live, 0);
    if (f.calls < i) {
      assert_int_equal(err, 0);
      assert_true(i > 5);
      return;
    }
    assert_int_equal(err, UVSMTP_ENOMEM);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_message_in_memory_gives_envelope_and_source),
      cmocka_unit_test(the_source_does_not_copy),
      cmocka_unit_test(a_message_in_pieces_of_any_size_gives_the_same),
      cmocka_unit_test(a_filter_leaves_out_the_same_whatever_the_pieces),
      cmocka_unit_test(a_filter_over_another_message_fails),
      cmocka_unit_test(a_filter_passes_waiting_and_waking_on),
      cmocka_unit_test(a_filter_says_why_the_message_cannot_be_read),
      cmocka_unit_test(malformed_headers_are_refused_by_name),
      cmocka_unit_test(only_what_is_asked_for_is_read_and_set),
      cmocka_unit_test(bcc_is_kept_on_demand_and_ranges_tell_what_is_not),
      cmocka_unit_test(a_header_without_end_is_bounded),
      cmocka_unit_test(the_header_ends_at_the_first_empty_line),
      cmocka_unit_test(calls_out_of_order_are_refused),
      cmocka_unit_test(running_out_of_memory_is_an_error_without_a_leak),
      cmocka_unit_test(many_equal_recipients_are_one),
      cmocka_unit_test(empty_buffers_are_no_end),
      cmocka_unit_test(eight_bit_parts_are_encoded_for_a_server_without_8bitmime),
      cmocka_unit_test(what_must_not_be_touched_is_refused_with_the_reason),
      cmocka_unit_test(a_filter_encodes_what_it_can_hold),
      cmocka_unit_test(a_filter_gives_what_it_cannot_hold_as_it_stands),
      cmocka_unit_test(a_filter_may_be_closed_while_it_reads),
      cmocka_unit_test(a_line_that_is_too_long_is_encoded_or_refused),
      cmocka_unit_test(a_filter_encodes_lines_that_are_too_long_where_it_looks),
      cmocka_unit_test(a_filter_refuses_lines_that_are_too_long),
      cmocka_unit_test(what_only_binarymime_would_carry_is_encoded),
      cmocka_unit_test(a_long_8bit_part_is_encoded_in_pieces),
      cmocka_unit_test(encoding_survives_running_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
