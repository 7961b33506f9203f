#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/octets.h"
#include "base/wide.h"
#include "chance.h"
#include "edge.h"

/* What the wide functions have to find, octet by octet. */
static size_t expected(const char *s, size_t len, bool dots)
{
  for (size_t i = 0; i < len; i++) {
    bool crlf = i + 1 < len && s[i] == '\r' && s[i + 1] == '\n';
    if (s[i] == '\r' && !crlf)
      return i;
    if (s[i] == '\n' && (i == 0 || s[i - 1] != '\r'))
      return i;
    if (dots && s[i] == '.' && i > 0 && s[i - 1] == '\n')
      return i;
  }
  return len;
}

static void check_high(const char *s, size_t len, size_t (*scan)(const char *, size_t, bool *),
                       bool dots)
{
  bool high = false, seen = false;
  size_t stop = scan(s, len, &high);
  assert_int_equal(stop, expected(s, len, dots));
  for (size_t i = 0; i < stop; i++)
    seen |= (unsigned char)s[i] > 127;
  if (seen)
    assert_true(high);
  if (stop == len)
    assert_int_equal(high, seen);
}

static void check(const char *s, size_t len)
{
  check_high(s, len, uvsmtp__clean_lines, false);
  check_high(s, len, uvsmtp__clean_data, true);
}

static void stops_are_found_at_every_place_of_every_length(void **state)
{
  static const char *const stops[] = {"\r",  "\n",  "\r\n",   "\n\r", "\r\n.",
                                      "\n.", "\r.", "\r\r\n", "\xff", "."};
  edge_t edge = edge_new();
  for (size_t len = 0; len <= 1030; len++) {
    if (len > 70 && (len + 3) % (len < 600 ? 64 : 512) > 6) /* about a whole number of steps */
      continue;
    for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
      for (size_t at = 0; at + strlen(stops[i]) <= len; at++) {
        char *s = edge.base + edge.size - len; /* so that reading behind it is noticed */
        memset(s, 'a', len);
        memcpy(s + at, stops[i], strlen(stops[i]));
        check(s, len);
      }
    }
  }
  edge_free(&edge);
}

static void any_two_octets_are_judged_wherever_they_stand(void **state)
{
  char s[521]; /* the last places of a long step, and the first that are looked at one by one */
  memset(s, 'a', sizeof(s));
  for (unsigned pair = 0; pair < 65536; pair++) {
    char *at = s + 500 + pair % 19;
    at[0] = (char)(pair >> 8);
    at[1] = (char)pair;
    check(s, sizeof(s));
    at[0] = at[1] = 'a';
  }
}

static void any_mixture_is_judged_as_octet_by_octet(void **state)
{
  static const char octets[] = {'a', '\r', '\n', '.', '\xff', '\0'};
  chance_t chance = chance_of(chance_seed("wide", 1));
  for (int round = 0; round < 20000; round++) {
    char s[700];
    size_t len = chance_below(&chance, sizeof(s));
    bool mostly_lines = round % 2 == 0;
    for (size_t i = 0; i < len; i++) {
      s[i] = octets[chance_below(&chance, sizeof(octets))];
      if (mostly_lines && chance_below(&chance, 97) != 0)
        s[i] = i > 0 && s[i - 1] == '\r' ? '\n' : chance_below(&chance, 9) == 0 ? '\r' : 'a';
    }
    check(s, len);
  }
}

static void an_octet_is_found_at_every_place(void **state)
{
  edge_t edge = edge_new();
  for (size_t len = 0; len <= 70; len++) {
    char *s = edge.base + edge.size - len; /* as above */
    memset(s, '\xff', len);
    assert_int_equal(uvsmtp__octets_find(s, len, '\n'), len);
    for (size_t at = len; at-- > 0;) {
      s[at] = '\n';
      assert_int_equal(uvsmtp__octets_find(s, len, '\n'), at);
    }
  }
  edge_free(&edge);
}

static void every_octet_has_its_bit(void **state)
{
  char s[UVSMTP__OCTETS];
  for (unsigned bits = 0; bits < 65536; bits++) {
    uvsmtp__octets_t v;
    for (size_t i = 0; i < sizeof(s); i++)
      s[i] = bits >> i & 1 ? 'a' : (char)('a' + 1 + i);
    v = uvsmtp__octets_load(s);
    assert_int_equal(uvsmtp__octets_mask(uvsmtp__octets_equal(v, 'a')), bits);
    assert_int_equal(uvsmtp__octets_mask(uvsmtp__octets_within(v, 'a' + 1, 26)), bits ^ 65535);
  }
}

static void of_two_octets_the_larger_is_taken_or_the_smaller(void **state)
{
  for (unsigned a = 0; a < 256; a++) {
    char all_a[UVSMTP__OCTETS], some[UVSMTP__OCTETS];
    uvsmtp__octets_t larger, smaller;
    memset(all_a, (int)a, sizeof(all_a));
    for (size_t i = 0; i < sizeof(some); i++)
      some[i] = (char)(i * 17);
    larger = uvsmtp__octets_larger(uvsmtp__octets_load(all_a), uvsmtp__octets_load(some));
    smaller = uvsmtp__octets_smaller(uvsmtp__octets_load(all_a), uvsmtp__octets_load(some));
    for (unsigned i = 0; i < sizeof(some); i++) {
      assert_int_equal(larger[i], a > i * 17 ? a : i * 17);
      assert_int_equal(smaller[i], a < i * 17 ? a : i * 17);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stops_are_found_at_every_place_of_every_length),
      cmocka_unit_test(any_two_octets_are_judged_wherever_they_stand),
      cmocka_unit_test(any_mixture_is_judged_as_octet_by_octet),
      cmocka_unit_test(an_octet_is_found_at_every_place),
      cmocka_unit_test(every_octet_has_its_bit),
      cmocka_unit_test(of_two_octets_the_larger_is_taken_or_the_smaller),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
