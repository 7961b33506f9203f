/* Encoders and the writer of header fields by themselves. */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/base64.h"
#include "message/encode.h"
#include "message/scan.h"
#include "message/writer.h"
#include "support.h"

/* ---- base64 ---- */

/* Encodes with pieces of `step` bytes and an output of `room` characters. */
static size_t encode_in_steps(char *out, const unsigned char *in, size_t len, size_t step,
                              size_t room)
{
  uvsmtp__b64_t state = {.carried = 0};
  size_t n = 0;
  for (size_t at = 0; at < len; at += step) {
    const unsigned char *piece = in + at;
    size_t left = len - at < step ? len - at : step;
    while (left > 0)
      n += uvsmtp__b64_update(&state, &piece, &left, out + n, room);
  }
  return n + uvsmtp__b64_finish(&state, out + n);
}

/* What it must be: lines of 76 made by the plain encoder. */
static size_t encode_plainly(char *out, const unsigned char *in, size_t len)
{
  size_t n = 0;
  for (size_t at = 0; at < len; at += 57) {
    size_t part = len - at < 57 ? len - at : 57;
    if (at > 0)
      n += (size_t)sprintf(out + n, "\r\n");
    uvsmtp__base64_encode(out + n, in + at, part);
    n += uvsmtp__base64_encoded_len(part);
  }
  return n;
}

static void base64_lines_are_the_same_whatever_the_pieces(void **state)
{
  unsigned char in[1000];
  char want[1500], got[1500];
  for (size_t i = 0; i < sizeof(in); i++)
    in[i] = (unsigned char)(i * 97 + i / 7 * 13);
  for (size_t len = 0; len < sizeof(in); len += len < 130 ? 1 : 61) {
    size_t n = encode_plainly(want, in, len);
    assert_int_equal(uvsmtp__b64_length(len), n);
    for (size_t step = 1; step < 130; step += 7) {
      assert_int_equal(encode_in_steps(got, in, len, step, 78), n);
      assert_memory_equal(got, want, n);
      assert_int_equal(encode_in_steps(got, in, len, step, 200), n);
      assert_memory_equal(got, want, n);
    }
  }
}

static void base64_of_every_value_at_every_place_is_right(void **state)
{
  for (int value = 0; value < 64; value++) { /* all sextets, in every lane of a wide encoder */
    unsigned char in[57];
    char want[80], got[80];
    for (size_t i = 0; i < 19; i++) {
      in[3 * i] = (unsigned char)(value << 2 | ((int)i & 3));
      in[3 * i + 1] = (unsigned char)(value << 4 | value >> 2);
      in[3 * i + 2] = (unsigned char)(value << 6 | (63 - value));
    }
    assert_int_equal(encode_plainly(want, in, 57), 76);
    assert_int_equal(encode_in_steps(got, in, 57, 57, 78), 76);
    assert_memory_equal(got, want, 76);
  }
}

/* ---- quoted-printable ---- */

static size_t qp(char *out, const char *text, size_t len, size_t room)
{
  uvsmtp__qp_t state = {.text = text, .len = len};
  size_t n = 0;
  while (state.at < state.len)
    n += uvsmtp__qp_encode(&state, out + n, room);
  return n;
}

static void quoted_printable_follows_the_rules(void **state)
{
  static const struct {
    const char *text, *want;
  } rows[] = {
      {"", ""},
      {"a=b", "a=3Db"},
      {"a \r\nb\t\r\n", "a=20\r\nb=09\r\n"},
      {"a b\tc", "a b\tc"},
      {"end ", "end=20"},
      {"\r", "=0D"},
      {"a\nb", "a=0Ab"},
      {"\r\r\n", "=0D\r\n"},
      {"From x\r\nFrom\r\n>From x", "=46rom x\r\nFrom\r\n>From x"},
      {"\xc3\xa4\x7f", "=C3=A4=7F"},
      {"0123456789012345678901234567890123456789012345678901234567890123456789012345",
       "0123456789012345678901234567890123456789012345678901234567890123456789012345"},
      {"01234567890123456789012345678901234567890123456789012345678901234567890123456",
       "012345678901234567890123456789012345678901234567890123456789012345678901234=\r\n56"},
      {"01234567890123456789012345678901234567890123456789012345678901234567890123=x",
       "01234567890123456789012345678901234567890123456789012345678901234567890123=\r\n=3Dx"},
      {"0123456789012345678901234567890123456789012345678901234567890123456789012=\r\n",
       "0123456789012345678901234567890123456789012345678901234567890123456789012=3D\r\n"},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    for (size_t room = 6; room < 100; room++) {
      char out[300];
      size_t n = qp(out, rows[i].text, strlen(rows[i].text), room);
      out[n] = '\0';
      assert_string_equal(out, rows[i].want);
      assert_int_equal(uvsmtp__qp_length(rows[i].text, strlen(rows[i].text)), n);
    }
}

static int hex(char c)
{
  return c >= 'A' ? c - 'A' + 10 : c - '0';
}

/* Decodes what is right, and fails on what is not. */
static size_t qp_decode(char *out, const char *in, size_t len)
{
  size_t n = 0, column = 0;
  for (size_t i = 0; i < len; i++) {
    if (in[i] == '\r') {
      assert_true(i + 1 < len && in[i + 1] == '\n');
      assert_true(column == 0 || (in[i - 1] != ' ' && in[i - 1] != '\t'));
      column = 0;
      out[n++] = '\r';
      out[n++] = '\n';
      i++;
      continue;
    }
    assert_true(++column <= 76);
    assert_true((in[i] >= ' ' && in[i] < 127) || in[i] == '\t');
    if (in[i] != '=') {
      out[n++] = in[i];
    } else if (in[i + 1] == '\r') {
      i += 2;
      column = 0;
    } else {
      out[n++] = (char)(hex(in[i + 1]) << 4 | hex(in[i + 2]));
      i += 2;
      assert_true((column += 2) <= 76);
    }
  }
  return n;
}

static void quoted_printable_of_any_bytes_comes_back(void **state)
{
  unsigned seed = 4711;
  for (int round = 0; round < 3000; round++) {
    static const char often[] = "\r\n \t=From. \xc3\xa4xyz";
    char in[400], out[1400], back[1400];
    size_t len = (size_t)(round % 400), n;
    for (size_t i = 0; i < len; i++) {
      seed = seed * 1103515245 + 12345;
      in[i] =
          (seed >> 16 & 3) != 0 ? often[(seed >> 18) % (sizeof(often) - 1)] : (char)(seed >> 20);
    }
    n = qp(out, in, len, 6 + (size_t)round % 90);
    assert_int_equal(qp_decode(back, out, n), len);
    assert_memory_equal(back, in, len);
  }
}

/* ---- Scans ---- */

/* The rules of RFC 2045 section 6.7, byte by byte, as plainly as they can be said. */
static size_t plain_qp(char *out, const char *s, size_t len)
{
  size_t n = 0, column = 0;
  for (size_t i = 0; i < len; i++) {
    char token[4];
    bool last, blank = s[i] == ' ' || s[i] == '\t';
    if (s[i] == '\r' && i + 1 < len && s[i + 1] == '\n') {
      n += (size_t)sprintf(out + n, "\r\n");
      column = 0;
      i++;
      continue;
    }
    last = i + 1 == len || (s[i + 1] == '\r' && i + 2 < len && s[i + 2] == '\n');
    for (int again = 0; again < 2; again++) { /* at the start of a line a byte may need more room */
      bool from = column == 0 && len - i >= 5 && memcmp(s + i, "From ", 5) == 0;
      if (from || (blank ? last : s[i] < '!' || s[i] > '~' || s[i] == '='))
        sprintf(token, "=%02X", (unsigned char)s[i]);
      else
        sprintf(token, "%c", s[i]);
      if (column + strlen(token) <= (last ? 76 : 75))
        break;
      n += (size_t)sprintf(out + n, "=\r\n");
      column = 0;
    }
    n += (size_t)sprintf(out + n, "%s", token);
    column += strlen(token);
  }
  return n;
}

static void quoted_printable_is_what_the_rules_say_whatever_the_pieces(void **state)
{
  static const char *const words[] = {"a",
                                      " ",
                                      "  ",
                                      "=",
                                      "\t",
                                      "\r\n",
                                      "\r",
                                      "\n",
                                      "From ",
                                      "\xc3\xbc",
                                      "abcdefghij klm nopq",
                                      ".",
                                      "\177",
                                      "F",
                                      "word ",
                                      "x\r\n\r\n"};
  uint64_t seed = 20261126;
  for (int round = 0; round < 3000; round++) {
    char text[600], want[3000], got[3000];
    size_t len = 0, n = 0, want_len;
    uvsmtp__qp_t qp;
    for (int i = (int)(seed >> 40) % 40; i >= 0; i--) {
      const char *word;
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      word = words[(seed >> 33) % COUNT(words)];
      memcpy(text + len, word, strlen(word));
      len += strlen(word);
      if ((seed >> 50) % 8 == 0 && len < 300) {
        memset(text + len, 'y', 100);
        len += (seed >> 53) % 100;
      }
      if (len > 450)
        break;
    }
    want_len = plain_qp(want, text, len);
    qp = (uvsmtp__qp_t){.text = text, .len = len};
    while (qp.at < len)
      n += uvsmtp__qp_encode(&qp, got + n, 16 + (size_t)(seed >> 45) % 200);
    assert_int_equal(n, want_len);
    assert_memory_equal(got, want, n);
    assert_int_equal(uvsmtp__qp_length(text, len), n);
  }
}

static void a_scan_tells_what_a_content_is_made_of(void **state)
{
  static const struct {
    const char *bytes;
    size_t len;
    uvsmtp__scan_t want;
  } rows[] = {
      {"", 0, {.lines = true}},
      {"ab\r\n", 4, {.lines = true, .longest = 2}},
      {"ab", 2, {.longest = 2}},
      {"ab\n", 3, {.longest = 2}},
      {"a\rb\r\n", 5, {.longest = 3, .controls = true}},
      {"ab\r", 3, {.longest = 3, .controls = true}},
      {"\xc3\xa4\r\n", 4, {.lines = true, .eight = true, .longest = 2}},
      {"a\0\r\n", 4, {.lines = true, .controls = true, .longest = 2}},
      {"a\t\f\r\n", 5, {.lines = true, .longest = 3}},
      {"x\r\nFrom me\r\n", 12, {.lines = true, .longest = 7, .from_line = true}},
      {"x From me\r\n", 11, {.lines = true, .longest = 9}},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uvsmtp__scan_t got;
    uvsmtp__scan(&got, rows[i].bytes, rows[i].len);
    assert_int_equal(got.eight, rows[i].want.eight);
    assert_int_equal(got.lines, rows[i].want.lines);
    assert_int_equal(got.controls, rows[i].want.controls);
    assert_int_equal(got.from_line, rows[i].want.from_line);
    assert_int_equal(got.longest, rows[i].want.longest);
  }
}

/* ---- Header fields ---- */

typedef void (*write_fn)(uvsmtp__writer_t *w, const char *text, size_t len);

static void write_field(char *out, write_fn write, const char *text, bool utf8)
{
  char detail[UVSMTP__DETAIL_SIZE];
  uvsmtp__buffer_t buffer;
  uvsmtp__writer_t w = {.out = &buffer, .detail = detail, .utf8 = utf8};
  uvsmtp__buffer_init(&buffer, NULL, 100000);
  uvsmtp__field_begin(&w, "Subject");
  write(&w, text, strlen(text));
  uvsmtp__field_end(&w);
  assert_int_equal(w.err, 0);
  memcpy(out, uvsmtp__buffer_data(&buffer), uvsmtp__buffer_len(&buffer));
  out[uvsmtp__buffer_len(&buffer)] = '\0';
  uvsmtp__buffer_free(&buffer);
}

static void text_in_fields_is_folded_and_encoded_where_it_must_be(void **state)
{
  static const struct {
    const char *text, *want;
    bool utf8;
  } rows[] = {
      {"", "Subject:\r\n", false},
      {"plain", "Subject: plain\r\n", false},
      {"two  blanks\tand a tab", "Subject: two  blanks\tand a tab\r\n", false},
      {"gr\xc3\xb6\xc3\x9f"
       "e",
       "Subject: =?utf-8?q?gr=C3=B6=C3=9Fe?=\r\n", false},
      {"a \xc3\xb6 b", "Subject: a =?utf-8?b?w7Y=?= b\r\n", false},
      {"a \xc3\xb6 b \xc3\xb6 c", "Subject: a =?utf-8?q?=C3=B6_b_=C3=B6?= c\r\n", false},
      {"a  \xc3\xb6 b", "Subject: =?utf-8?q?a__=C3=B6?= b\r\n", false},
      {"a \xc3\xb6\tb", "Subject: a =?utf-8?q?=C3=B6=09b?=\r\n", false},
      {" edge", "Subject: =?utf-8?q?_edge?=\r\n", false},
      {"edge ", "Subject: =?utf-8?q?edge_?=\r\n", false},
      {"x edge  ", "Subject: x =?utf-8?q?edge__?=\r\n", false},
      {"   ", "Subject: =?utf-8?q?___?=\r\n", false},
      {"looks =?like?= a word", "Subject: looks =?utf-8?q?=3D=3Flike=3F=3D?= a word\r\n", false},
      {"bell \x07", "Subject: bell =?utf-8?q?=07?=\r\n", false},
      {"gr\xc3\xb6\xc3\x9f"
       "e",
       "Subject: gr\xc3\xb6\xc3\x9f"
       "e\r\n",
       true},
      {"bell \x07", "Subject: bell =?utf-8?q?=07?=\r\n", true},
      {"012345678901234567890123456789012345678901234567890123456789012345 yz",
       "Subject: 012345678901234567890123456789012345678901234567890123456789012345 yz\r\n", false},
      {"012345678901234567890123456789012345678901234567890123456789012345 xyz",
       "Subject: 012345678901234567890123456789012345678901234567890123456789012345\r\n xyz\r\n",
       false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[1000];
    write_field(out, uvsmtp__field_text, rows[i].text, rows[i].utf8);
    assert_string_equal(out, rows[i].want);
  }
}

static void write_phrase(uvsmtp__writer_t *w, const char *text, size_t len)
{
  uvsmtp__field_phrase(w, text, len);
}

static void names_become_atoms_quotes_or_words(void **state)
{
  static const struct {
    const char *text, *want;
    bool utf8;
  } rows[] = {
      {"John Doe", "Subject: John Doe\r\n", false},
      {"Doe, John", "Subject: \"Doe, John\"\r\n", false},
      {"J. \"X\" D", "Subject: \"J. \\\"X\\\" D\"\r\n", false},
      {"J.Doe", "Subject: \"J.Doe\"\r\n", false},
      {"J\xc3\xb6rg", "Subject: =?utf-8?q?J=C3=B6rg?=\r\n", false},
      {"J\xc3\xb6rg", "Subject: J\xc3\xb6rg\r\n", true},
      {"J\xc3\xb6rg, D.", "Subject: \"J\xc3\xb6rg, D.\"\r\n", true},
      {"=?x?=", "Subject: =?utf-8?b?PT94Pz0=?=\r\n", false},
      {"a  b", "Subject: \"a  b\"\r\n", false},
      {"12345678901234567890, 12345678901234567890, 12345678901234567890, 1234567890",
       "Subject: =?utf-8?q?12345678901234567890=2C_12345678901234567890=2C_1234567?=\r\n"
       " =?utf-8?q?8901234567890=2C_1234567890?=\r\n",
       false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[1000];
    write_field(out, write_phrase, rows[i].text, rows[i].utf8);
    assert_string_equal(out, rows[i].want);
  }
}

static void write_param(uvsmtp__writer_t *w, const char *text, size_t len)
{
  uvsmtp__field_word(w, "a/b", 3);
  uvsmtp__field_param(w, "filename", text);
}

static void parameters_take_the_plainest_form_that_holds_them(void **state)
{
  static const struct {
    const char *text, *want;
  } rows[] = {
      {"a.pdf", "Subject: a/b; filename=a.pdf\r\n"},
      {"", "Subject: a/b; filename=\"\"\r\n"},
      {"a b.pdf", "Subject: a/b; filename=\"a b.pdf\"\r\n"},
      {"q\"\\", "Subject: a/b; filename=\"q\\\"\\\\\"\r\n"},
      {"50%", "Subject: a/b; filename=\"50%\"\r\n"},
      {"it's", "Subject: a/b; filename=\"it's\"\r\n"},
      {"*", "Subject: a/b; filename=\"*\"\r\n"},
      {"\xc3\xa4 b", "Subject: a/b; filename*=utf-8''%C3%A4%20b\r\n"},
      {"tab\t", "Subject: a/b; filename*=utf-8''tab%09\r\n"},
      {"123456789012345678901234567890123456789012345678901234567890",
       "Subject: a/b;\r\n filename*0*=utf-8''1234567890123456789012345678901234567890123456789012;"
       "\r\n filename*1*=34567890\r\n"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[1000];
    write_field(out, write_param, rows[i].text, false);
    assert_string_equal(out, rows[i].want);
  }
}

static void encoded_words_are_cut_between_characters(void **state)
{
  for (size_t width = 2; width <= 4; width++) {
    static const char *const characters[] = {NULL, NULL, "\xc3\xa4", "\xe5\xb1\xb1",
                                             "\xf0\x9f\x98\x80"};
    char text[1000] = "", out[6000];
    for (int shift = 0; shift < 20; shift++) {
      size_t n = (size_t)shift, line = 0, padded = 0;
      memset(text, 'x', n);
      for (int i = 0; i < 60; i++, n += width)
        memcpy(text + n, characters[width], width);
      text[n] = '\0';
      write_field(out, uvsmtp__field_text, text, false);
      for (char *c = strtok(out, "\r\n"); c != NULL; c = strtok(NULL, "\r\n"), line++) {
        char *word = strstr(c, "=?utf-8?"), decoded[100];
        size_t len, whole = strlen(c);
        assert_true(whole <= 76);
        assert_non_null(word);
        assert_true(strlen(word) <= 75);
        if (word[8] != 'b')
          continue;
        len = strlen(word) - 12;
        padded += word[len + 9] == '=';
        assert_int_equal(uvsmtp__base64_decode(decoded, &len, word + 10, len), 0);
        assert_true(uvsmtp__bad_text_at(decoded, len) == 0);
      }
      assert_true(line > 1);
      assert_true(padded <= 1); /* the last one only: GMime reads no word behind a padded one */
    }
  }
}

static void dates_are_those_of_the_calendar(void **state)
{
  static const struct {
    int64_t seconds;
    int offset;
    const char *want;
  } rows[] = {
      {0, 0, "Thu, 1 Jan 1970 00:00:00 +0000"},
      {-1, 0, "Wed, 31 Dec 1969 23:59:59 +0000"},
      {951782400, 0, "Tue, 29 Feb 2000 00:00:00 +0000"},
      {951868800, 0, "Wed, 1 Mar 2000 00:00:00 +0000"},
      {4107542400, 0, "Mon, 1 Mar 2100 00:00:00 +0000"},
      {1704067199, 60, "Mon, 1 Jan 2024 00:59:59 +0100"},
      {1704067200, -570, "Sun, 31 Dec 2023 14:30:00 -0930"},
      {880128000, 0, "Fri, 21 Nov 1997 16:00:00 +0000"},
  };
  char out[UVSMTP__DATE_SIZE];
  for (size_t i = 0; i < COUNT(rows); i++) {
    assert_int_equal(uvsmtp__format_date(out, rows[i].seconds, rows[i].offset), 0);
    assert_string_equal(out, rows[i].want);
  }
  assert_int_equal(uvsmtp__format_date(out, INT64_MIN, 0), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp__format_date(out, 253402300799, 0), 0); /* the last second of 9999 */
  assert_int_equal(uvsmtp__format_date(out, 253402300799, 1), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp__format_date(out, -2208988800, 0), 0); /* the first of 1900 */
  assert_int_equal(uvsmtp__format_date(out, -2208988800, -1), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp__format_date(out, INT64_MAX, 1439), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp__format_date(out, 0, INT_MIN), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp__format_date(out, 0, 1440), UVSMTP_EINVAL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(base64_lines_are_the_same_whatever_the_pieces),
      cmocka_unit_test(base64_of_every_value_at_every_place_is_right),
      cmocka_unit_test(quoted_printable_follows_the_rules),
      cmocka_unit_test(quoted_printable_of_any_bytes_comes_back),
      cmocka_unit_test(quoted_printable_is_what_the_rules_say_whatever_the_pieces),
      cmocka_unit_test(a_scan_tells_what_a_content_is_made_of),
      cmocka_unit_test(text_in_fields_is_folded_and_encoded_where_it_must_be),
      cmocka_unit_test(names_become_atoms_quotes_or_words),
      cmocka_unit_test(parameters_take_the_plainest_form_that_holds_them),
      cmocka_unit_test(encoded_words_are_cut_between_characters),
      cmocka_unit_test(dates_are_those_of_the_calendar),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
