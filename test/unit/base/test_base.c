#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/buffer.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/secret.h"
#include "base/text.h"
#include "uvsmtp/base.h"

static void base64_encodes_the_vectors_of_rfc_4648(void **state)
{
  static const struct {
    const char *bytes, *text;
  } rows[] = {{"", ""},
              {"f", "Zg=="},
              {"fo", "Zm8="},
              {"foo", "Zm9v"},
              {"foob", "Zm9vYg=="},
              {"fooba", "Zm9vYmE="},
              {"foobar", "Zm9vYmFy"}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char out[16], back[16];
    size_t len = strlen(rows[i].text), back_len;
    assert_int_equal(uvsmtp__base64_encoded_len(strlen(rows[i].bytes)), len);
    uvsmtp__base64_encode(out, rows[i].bytes, strlen(rows[i].bytes));
    assert_memory_equal(out, rows[i].text, len);
    assert_int_equal(uvsmtp__base64_decode(back, &back_len, rows[i].text, len), 0);
    assert_int_equal(back_len, strlen(rows[i].bytes));
    assert_memory_equal(back, rows[i].bytes, back_len);
  }
}

static void base64_refuses_what_is_not_base64(void **state)
{
  static const char *const rows[] = {
      "Z",    "Zg=",  "Zg",   "Z===", "====",       "Zg==Zg==", "Zm9\n",
      "Zh==", "Zm9=", "Zm 9", "Zg=a", "\xc3\xa4==", "Zm9v="};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char out[16];
    size_t len;
    assert_int_equal(uvsmtp__base64_decode(out, &len, rows[i], strlen(rows[i])), UVSMTP_EENCODING);
  }
}

static void buffer_keeps_its_bytes_and_its_bound(void **state)
{
  uvsmtp__buffer_t b;
  char pattern[1000];
  for (size_t i = 0; i < sizeof(pattern); i++)
    pattern[i] = (char)(i * 7);
  uvsmtp__buffer_init(&b, NULL, 2000);
  assert_int_equal(uvsmtp__buffer_append(&b, pattern, 1000), 0);
  uvsmtp__buffer_consume(&b, 400);
  assert_int_equal(uvsmtp__buffer_append(&b, pattern, 1000), 0);
  assert_int_equal(uvsmtp__buffer_append(&b, pattern, 401), UVSMTP_ETOOLONG);
  assert_int_equal(uvsmtp__buffer_append(&b, pattern, 400), 0);
  assert_int_equal(uvsmtp__buffer_len(&b), 2000);
  assert_memory_equal(uvsmtp__buffer_data(&b), pattern + 400, 600);
  assert_memory_equal(uvsmtp__buffer_data(&b) + 600, pattern, 1000);
  assert_memory_equal(uvsmtp__buffer_data(&b) + 1600, pattern, 400);
  uvsmtp__buffer_wipe(&b);
  assert_int_equal(uvsmtp__buffer_printf(&b, "%d-%s", 42, "x"), 0);
  assert_memory_equal(uvsmtp__buffer_data(&b), "42-x", 4);
  uvsmtp__buffer_free(&b);
}

static void list_keeps_order_and_moves_whole(void **state)
{
  uvsmtp__link_t head, other, a = {0}, b = {0}, c = {0};
  uvsmtp__link_t *const want[] = {&c, &a, &b};
  size_t i = 0;
  uvsmtp__list_init(&head);
  uvsmtp__list_push_back(&head, &a);
  uvsmtp__list_push_back(&head, &b);
  uvsmtp__list_push_front(&head, &c);
  uvsmtp__list_move(&other, &head);
  assert_true(uvsmtp__list_empty(&head));
  UVSMTP__LIST_EACH (it, &other) {
    assert_ptr_equal(it, want[i++]);
    uvsmtp__list_remove(it);
  }
  assert_int_equal(i, 3);
  assert_true(uvsmtp__list_empty(&other));
  assert_false(uvsmtp__link_in_list(&a));
}

typedef struct item_s {
  uvsmtp__heap_node_t node;
  unsigned key;
} item_t;

static bool before(const uvsmtp__heap_node_t *a, const uvsmtp__heap_node_t *b)
{
  return ((const item_t *)(const void *)a)->key < ((const item_t *)(const void *)b)->key;
}

static void a_heap_gives_the_least_whatever_is_added_and_removed(void **state)
{
  static item_t items[300];
  for (unsigned seed = 1; seed <= 50; seed++) {
    uvsmtp__heap_t heap = {NULL, before};
    memset(items, 0, sizeof(items));
    srand(seed);
    for (int step = 0; step < 3000; step++) {
      item_t *item = &items[rand() % 300];
      unsigned least = UINT32_MAX;
      if (uvsmtp__heap_has(&item->node)) {
        uvsmtp__heap_remove(&heap, &item->node);
      } else {
        item->key = (unsigned)rand() % 500;
        uvsmtp__heap_add(&heap, &item->node);
      }
      for (size_t i = 0; i < 300; i++)
        if (uvsmtp__heap_has(&items[i].node) && items[i].key < least)
          least = items[i].key;
      assert_true((heap.root == NULL) == (least == UINT32_MAX));
      if (heap.root != NULL)
        assert_int_equal(((item_t *)(void *)heap.root)->key, least);
    }
  }
}

static void array_sizes_do_not_overflow(void **state)
{
  assert_null(uvsmtp__realloc_array(NULL, NULL, SIZE_MAX / 2, 3));
  assert_null(uvsmtp__calloc(NULL, SIZE_MAX, 2));
}

static void options_of_other_versions_are_read_or_refused(void **state)
{
  struct {
    size_t size;
    int a, b;
  } known;
  struct {
    size_t size;
    int a, b, c, d;
  } newer = {.size = sizeof(newer), .a = 1, .b = 2};
  struct {
    size_t size;
    int a;
  } older = {.size = offsetof(__typeof__(known), b), .a = 5};
  assert_int_equal(uvsmtp__options_copy(&known, sizeof(known), &newer), 0);
  assert_int_equal(known.b, 2);
  newer.d = 1;
  assert_int_equal(uvsmtp__options_copy(&known, sizeof(known), &newer), UVSMTP_EOPTIONSIZE);
  assert_int_equal(uvsmtp__options_copy(&known, sizeof(known), &older), 0);
  assert_int_equal(known.a, 5);
  assert_int_equal(known.b, 0);
  older.size = 0;
  assert_int_equal(uvsmtp__options_copy(&known, sizeof(known), &older), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp__options_copy(&known, sizeof(known), NULL), 0);
  assert_int_equal(known.size, sizeof(known));
}

static void utf8_is_told_from_what_only_looks_like_it(void **state)
{
  static const struct {
    const char *text;
    bool ok;
  } rows[] = {{"plain", true},
              {"\xc3\xa9lise", true},
              {"\xe2\x82\xac", true},
              {"\xf0\x9f\x93\xa7", true},
              {"\xc0\xaf", false},
              {"\xed\xa0\x80", false},
              {"\xf4\x90\x80\x80", false},
              {"\xe2\x82", false},
              {"\x80", false},
              {"\xe0\x80\xaf", false},
              {"\xff", false}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    assert_int_equal(uvsmtp__is_utf8(rows[i].text, strlen(rows[i].text)), rows[i].ok);
}

static void what_breaks_a_line_is_found(void **state)
{
  assert_false(uvsmtp__breaks_line("a b\tc", 5));
  assert_true(uvsmtp__breaks_line("a\rb", 3));
  assert_true(uvsmtp__breaks_line("a\n", 2));
  assert_true(uvsmtp__breaks_line("a\0b", 3));
  for (size_t i = 0; i < 20; i++) {
    char text[20] = "aaaaaaaaaaaaaaaaaaa";
    assert_false(uvsmtp__has_8bit(text, sizeof(text)));
    text[i] = (char)0x80;
    assert_true(uvsmtp__has_8bit(text, sizeof(text)));
    assert_false(uvsmtp__has_8bit(text, i));
  }
  assert_true(uvsmtp__ascii_equal("STARTTLS", 8, "starttls", 8));
  assert_false(uvsmtp__ascii_equal("SIZE", 4, "SIZEABLE", 8));
}

static void a_host_and_its_port_are_told_apart(void **state)
{
  char text[64];
  assert_string_equal(uvsmtp__print_host_port(text, sizeof(text), "mx.example", 587),
                      "mx.example:587");
  assert_string_equal(uvsmtp__print_host_port(text, sizeof(text), "::1", 25), "[::1]:25");
}

static void secrets_compare_and_vanish(void **state)
{
  char secret[] = "hunter2";
  assert_true(uvsmtp__secret_equal(secret, "hunter2", 7));
  assert_false(uvsmtp__secret_equal(secret, "hunter3", 7));
  uvsmtp__wipe(secret, sizeof(secret));
  assert_int_equal(secret[0], 0);
}

static void every_error_has_name_text_and_class(void **state)
{
#define X(name, number, klass, text)                                                               \
  assert_string_equal(uvsmtp_err_name(UVSMTP_##name), "UVSMTP_" #name);                            \
  assert_string_equal(uvsmtp_strerror(UVSMTP_##name), text);                                       \
  assert_int_equal(uvsmtp_err_class(UVSMTP_##name), UVSMTP_CLASS_##klass);                         \
  assert_in_range(-(number), 5000, 5999);
  UVSMTP_ERRNO_MAP(X)
#undef X
  assert_int_equal(uvsmtp_err_class(0), UVSMTP_CLASS_NONE);
  assert_string_equal(uvsmtp_err_name(-4095), "EOF");
  assert_string_equal(uvsmtp_strerror(-987654), "unknown error");
}

static void every_octet_is_judged_at_every_place(void **state)
{
  char text[50], copy[51];
  for (size_t len = 1; len <= sizeof(text); len++)
    for (size_t at = 0; at < len; at++)
      for (int octet = 0; octet < 256; octet++) {
        memset(text, 'a', len);
        text[at] = (char)octet;
        assert_int_equal(uvsmtp__breaks_line(text, len),
                         octet == '\r' || octet == '\n' || octet == 0);
        assert_int_equal(uvsmtp__has_8bit(text, len), octet > 127);
        memset(copy, 'b', sizeof(copy));
        uvsmtp__copy_text(copy, text, len);
        text[at] = octet < 32 || octet == 127 ? '?' : text[at];
        assert_memory_equal(copy, text, len);
        assert_int_equal(copy[len], 'b');
      }
}

static void numbers_are_written_in_decimal(void **state)
{
  static const uint64_t numbers[] = {
      0,    1,    9,     10,    99,     100,        101,        999,
      1000, 9999, 10000, 12345, 100000, 4294967296, UINT64_MAX, 18000000000000000000u};
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
    char want[24], got[24];
    snprintf(want, sizeof(want), "%llu", (unsigned long long)numbers[i]);
    got[uvsmtp__decimal(got, numbers[i])] = '\0';
    assert_string_equal(got, want);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_octet_is_judged_at_every_place),
      cmocka_unit_test(numbers_are_written_in_decimal),
      cmocka_unit_test(base64_encodes_the_vectors_of_rfc_4648),
      cmocka_unit_test(base64_refuses_what_is_not_base64),
      cmocka_unit_test(buffer_keeps_its_bytes_and_its_bound),
      cmocka_unit_test(list_keeps_order_and_moves_whole),
      cmocka_unit_test(a_heap_gives_the_least_whatever_is_added_and_removed),
      cmocka_unit_test(array_sizes_do_not_overflow),
      cmocka_unit_test(options_of_other_versions_are_read_or_refused),
      cmocka_unit_test(utf8_is_told_from_what_only_looks_like_it),
      cmocka_unit_test(what_breaks_a_line_is_found),
      cmocka_unit_test(a_host_and_its_port_are_told_apart),
      cmocka_unit_test(secrets_compare_and_vanish),
      cmocka_unit_test(every_error_has_name_text_and_class),
  };
  return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
