/*
 * Replies out of bytes. A short way reads most of them, and a careful one what is cut or odd: each
 * row is read whole and at every cut, and all ways have to agree.
 */
#include "session.h"

#include "protocol/reader.h"

typedef struct read_s {
  int rc, code, enhanced[3];
  unsigned lines;
  char text[64];
  size_t taken; /* of the bytes */
} read_t;

static const struct {
  const char *name, *bytes;
  read_t wanted;
} rows[] = {
    {"one line", "250 ok\r\n", {1, 250, {0, 0, 0}, 1, "ok", 8}},
    {"LF alone", "250 ok\n", {1, 250, {0, 0, 0}, 1, "ok", 7}},
    {"a code alone", "250\r\n", {1, 250, {0, 0, 0}, 1, "", 5}},
    {"a code alone and LF", "250\n", {1, 250, {0, 0, 0}, 1, "", 4}},
    {"a code and a blank", "250 \r\n", {1, 250, {0, 0, 0}, 1, "", 6}},
    {"a code, a blank and LF", "250 \n", {1, 250, {0, 0, 0}, 1, "", 5}},
    {"one letter", "250 x\n", {1, 250, {0, 0, 0}, 1, "x", 6}},
    {"the least code", "200 x\r\n", {1, 200, {0, 0, 0}, 1, "x", 7}},
    {"the greatest code", "599 x\r\n", {1, 599, {0, 0, 0}, 1, "x", 7}},
    {"an enhanced code", "250 2.1.5 ok\r\n", {1, 250, {2, 1, 5}, 1, "ok", 14}},
    {"an enhanced code alone", "250 2.1.5\r\n", {1, 250, {2, 1, 5}, 1, "", 11}},
    {"an enhanced code and a blank", "250 2.1.5 \r\n", {1, 250, {2, 1, 5}, 1, "", 12}},
    {"an enhanced code of long numbers",
     "550 5.123.456 no\r\n",
     {1, 550, {5, 123, 456}, 1, "no", 18}},
    {"an enhanced code of another class",
     "550 2.1.5 no\r\n",
     {1, 550, {0, 0, 0}, 1, "2.1.5 no", 14}},
    {"an enhanced code in a 3xx", "354 3.0.0 go\r\n", {1, 354, {0, 0, 0}, 1, "3.0.0 go", 14}},
    {"an enhanced code and no blank", "250 2.1.5x\r\n", {1, 250, {0, 0, 0}, 1, "2.1.5x", 12}},
    {"an enhanced code with a number missing",
     "250 2..5 x\r\n",
     {1, 250, {0, 0, 0}, 1, "2..5 x", 12}},
    {"an enhanced code with a number too long",
     "250 2.1.1234 x\r\n",
     {1, 250, {0, 0, 0}, 1, "2.1.1234 x", 16}},
    {"words and LF", "250 some words\n", {1, 250, {0, 0, 0}, 1, "some words", 15}},
    {"an enhanced code, words and LF",
     "250 2.1.5 some words\n",
     {1, 250, {2, 1, 5}, 1, "some words", 21}},
    {"two enhanced codes", "250 2.0.0 2.1.5 ok\r\n", {1, 250, {2, 0, 0}, 1, "2.1.5 ok", 20}},
    {"two lines", "250-a\r\n250 b\r\n", {1, 250, {0, 0, 0}, 2, "a\nb", 14}},
    {"two lines with enhanced codes",
     "250-2.1.5 a\r\n250 2.1.5 b\r\n",
     {1, 250, {2, 1, 5}, 2, "a\nb", 26}},
    {"only the first reply is taken", "250 a\r\n251 b\r\n", {1, 250, {0, 0, 0}, 1, "a", 7}},
    {"only the first of two lines",
     "250-a\r\n250 b\r\n251 c\r\n",
     {1, 250, {0, 0, 0}, 2, "a\nb", 14}},
    {"a CR within", "250 a\rb\r\n", {1, 250, {0, 0, 0}, 1, "a?b", 9}},
    {"two CR at the end", "250 a\r\r\n", {1, 250, {0, 0, 0}, 1, "a?", 8}},
    {"8-bit characters and DEL", "250 \xc3\xa4\x7f\r\n", {1, 250, {0, 0, 0}, 1, "\xc3\xa4?", 9}},
    {"no line end", "250 a", {.rc = 0, .taken = 5}},
    {"no last line", "250-a\r\n", {.rc = 0, .taken = 7}},
    {"two digits", "25 x\r\n", {.rc = UVSMTP_EPROTOCOL, .taken = 6}},
    {"letters", "ABC x\r\n", {.rc = UVSMTP_EPROTOCOL, .taken = 7}},
    {"a letter for the second digit", "2x0 x\r\n", {.rc = UVSMTP_EPROTOCOL, .taken = 7}},
    {"a letter for the third digit", "25x x\r\n", {.rc = UVSMTP_EPROTOCOL, .taken = 7}},
    {"below the least code", "199 x\r\n", {.rc = UVSMTP_EPROTOCOL, .taken = 7}},
    {"above the greatest code", "600 x\r\n", {.rc = UVSMTP_EPROTOCOL, .taken = 7}},
    {"another separator", "250:x\r\n", {.rc = UVSMTP_EPROTOCOL, .taken = 7}},
    {"another code in the second line",
     "250-a\r\n251 b\r\n",
     {.rc = UVSMTP_EPROTOCOL, .taken = 14}},
    {"an empty line", "\r\n", {.rc = UVSMTP_EPROTOCOL, .taken = 2}},
};

/* Feeds what lies before and behind `cut`; a cut at the end is none. */
static read_t read_at(const char *bytes, size_t cut, const uvsmtp_protocol_options_t *options)
{
  const char *parts[2] = {bytes, bytes + cut}, *in;
  size_t lens[2] = {cut, strlen(bytes) - cut};
  read_t got = {.rc = 0};
  reader_t reader;
  uvsmtp_slice_t bad = {NULL, 0};
  uvsmtp_reply_t reply = {0};
  uvsmtp__reader_init(&reader, NULL, options);
  for (size_t i = 0; i < 2 && got.rc == 0; i++) {
    size_t len = lens[i];
    in = parts[i];
    got.rc = uvsmtp__reader_next(&reader, options, &in, &len, &reply, &bad);
    got.taken += lens[i] - len;
  }
  if (got.rc == 1) {
    got.code = reply.code;
    got.lines = reply.lines;
    for (size_t i = 0; i < 3; i++)
      got.enhanced[i] = reply.enhanced[i];
    uvsmtp_reply_text(&reply, got.text, sizeof(got.text));
  }
  uvsmtp__buffer_free(&reader.partial);
  return got;
}

static const uvsmtp_protocol_options_t generous = {
    .max_reply_line = 100, .max_reply_lines = 10, .max_reply_bytes = 1000};

static void every_way_to_read_a_reply_finds_the_same(void **state)
{
  for (size_t i = 0; i < COUNT(rows); i++) {
    for (size_t cut = 0; cut <= strlen(rows[i].bytes); cut++) {
      read_t got = read_at(rows[i].bytes, cut, &generous);
      const read_t *want = &rows[i].wanted;
      if (got.rc != want->rc || got.code != want->code || got.lines != want->lines ||
          memcmp(got.enhanced, want->enhanced, sizeof(got.enhanced)) != 0 ||
          strcmp(got.text, want->text) != 0 || got.taken != want->taken)
        fail_msg("%s, cut at %zu: %d %d %u \"%s\", %zu taken", rows[i].name, cut, got.rc, got.code,
                 got.lines, got.text, got.taken);
    }
  }
}

static void each_bound_is_kept_to_the_octet_at_every_cut(void **state)
{
  static const struct {
    const char *name, *bytes;
    uvsmtp_protocol_options_t options;
    int rc;
  } bounds[] = {
      {"a line just short enough",
       "250 1234\r\n",
       {.max_reply_line = 10, .max_reply_lines = 9, .max_reply_bytes = 99},
       1},
      {"a line too long",
       "250 12345\r\n",
       {.max_reply_line = 10, .max_reply_lines = 9, .max_reply_bytes = 99},
       UVSMTP_EREPLYTOOLONG},
      {"a line too long behind another",
       "250-1\r\n250 12345\r\n",
       {.max_reply_line = 10, .max_reply_lines = 9, .max_reply_bytes = 99},
       UVSMTP_EREPLYTOOLONG},
      {"a line too long without its end",
       "250 1234567",
       {.max_reply_line = 10, .max_reply_lines = 9, .max_reply_bytes = 99},
       UVSMTP_EREPLYTOOLONG},
      {"just lines enough",
       "250-1\r\n250 2\r\n",
       {.max_reply_line = 99, .max_reply_lines = 2, .max_reply_bytes = 99},
       1},
      {"a line too many",
       "250-1\r\n250-2\r\n250 3\r\n",
       {.max_reply_line = 99, .max_reply_lines = 2, .max_reply_bytes = 99},
       UVSMTP_EREPLYTOOLONG},
      {"just octets enough",
       "250-1\r\n250 2\r\n",
       {.max_reply_line = 99, .max_reply_lines = 9, .max_reply_bytes = 14},
       1},
      {"an octet too many",
       "250-1\r\n250 23\r\n",
       {.max_reply_line = 99, .max_reply_lines = 9, .max_reply_bytes = 14},
       UVSMTP_EREPLYTOOLONG},
      {"an octet too many in one line",
       "250 1234\r\n",
       {.max_reply_line = 99, .max_reply_lines = 9, .max_reply_bytes = 9},
       UVSMTP_EREPLYTOOLONG},
  };
  for (size_t i = 0; i < COUNT(bounds); i++) {
    for (size_t cut = 0; cut <= strlen(bounds[i].bytes); cut++) {
      int rc = read_at(bounds[i].bytes, cut, &bounds[i].options).rc;
      if (rc != bounds[i].rc)
        fail_msg("%s, cut at %zu: %d", bounds[i].name, cut, rc);
    }
  }
}

static void only_a_whole_success_of_one_line_is_peeked_at(void **state)
{
  static const struct {
    const char *bytes;
    size_t len; /* of the line that is seen, or 0 */
  } peeks[] = {{"250 ok\r\n", 8},
               {"250 2.1.5 ok\r\n250 x", 14},
               {"250-a\r\n250 b\r\n", 0},
               {"250 ok\r", 0},
               {"250 \n250 ok\r\n", 5},
               {"25: ok\r\n", 0},
               {"2\xb5\x30 ok\r\n", 0},
               {"250\n250 ok\r\n", 0},
               {"250 a text that is longer\r\n", 27},
               {"350 ok\r\n", 0},
               {"550 no\r\n", 0},
               {"2x0 what\r\n", 0},
               {"", 0}};
  reader_t reader;
  uvsmtp_reply_t reply;
  const char *in;
  size_t len;
  uvsmtp_slice_t bad;
  for (size_t i = 0; i < COUNT(peeks); i++) {
    uvsmtp__reader_init(&reader, NULL, &generous);
    assert_int_equal(uvsmtp__success_len(&reader, peeks[i].bytes, strlen(peeks[i].bytes)),
                     peeks[i].len);
  }
  /* Not while a reply is held of which the end has not come. */
  uvsmtp__reader_init(&reader, NULL, &generous);
  in = "250-a\r\n25";
  len = strlen(in);
  assert_int_equal(uvsmtp__reader_next(&reader, &generous, &in, &len, &reply, &bad), 0);
  assert_false(uvsmtp__reader_is_free(&reader));
  uvsmtp__buffer_free(&reader.partial);
}

static void a_text_is_cut_where_its_room_ends(void **state)
{
  static const char raw[] = "250-2.1.5 one\r\n250 2.1.5 two\r\n";
  uvsmtp_reply_t reply = {.code = 250, .lines = 2, .raw = {raw, sizeof(raw) - 1}};
  const char *whole = "one\ntwo";
  char text[16];
  assert_int_equal(uvsmtp_reply_text(&reply, text, 0), 0);
  for (size_t size = 1; size < sizeof(text); size++) {
    size_t want = size - 1 < strlen(whole) ? size - 1 : strlen(whole);
    memset(text, 'X', sizeof(text));
    assert_int_equal(uvsmtp_reply_text(&reply, text, size), want);
    assert_memory_equal(text, whole, want);
    assert_int_equal(text[want], '\0');
    assert_int_equal(text[sizeof(text) - 1], 'X');
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_way_to_read_a_reply_finds_the_same),
      cmocka_unit_test(each_bound_is_kept_to_the_octet_at_every_cut),
      cmocka_unit_test(only_a_whole_success_of_one_line_is_peeked_at),
      cmocka_unit_test(a_text_is_cut_where_its_room_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
