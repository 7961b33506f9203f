/* Two engines talk in memory: handshakes, data, endings, sessions, and memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"
#include "tls/compat.h"
#include "tls/internal.h"

static bool has_13(void)
{
  return uvsmtp__tls_compat_max_version() == UVSMTP_TLS_1_3;
}

/* The versions that the linked mbedTLS has, each on its own. */
static const uvsmtp_tls_version_t versions[] = {UVSMTP_TLS_1_2, UVSMTP_TLS_1_3};

static size_t version_count(void)
{
  return has_13() ? 2 : 1;
}

static char *pattern(size_t len)
{
  char *bytes = malloc(len + 1);
  assert_non_null(bytes);
  for (size_t i = 0; i < len; i++)
    bytes[i] = (char)(i * 31 + i / 251);
  return bytes;
}

static void handshake_works_whole_byte_by_byte_and_at_random_cuts(void **state)
{
  static const cut_t cuts[] = {WHOLE, BYTES, RANDOM};
  for (size_t v = 0; v < version_count(); v++)
    for (size_t i = 0; i < 3; i++) {
      pair_t pair = {.cut = cuts[i]};
      uvsmtp_tls_options_t o = client_options();
      uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
      o.min_version = o.max_version = versions[v];
      open_good_pair(&pair, &o, NULL);
      assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), 0);
      assert_string_equal(info.version, versions[v] == UVSMTP_TLS_1_2 ? "TLSv1.2" : "TLSv1.3");
      assert_true(info.verified);
      assert_false(info.resumed);
      close_pair(&pair);
    }
}

static void data_of_all_sizes_arrives_in_both_directions_at_all_cuts(void **state)
{
  static const size_t sizes[] = {1, 2, 100, 16383, 16384, 16385, 65536, 300000};
  static const cut_t cuts[] = {WHOLE, BYTES, RANDOM};
  for (size_t v = 0; v < version_count(); v++)
    for (size_t c = 0; c < 3; c++) {
      pair_t pair = {.cut = cuts[c]};
      uvsmtp_tls_options_t o = client_options();
      o.min_version = o.max_version = versions[v];
      open_good_pair(&pair, &o, NULL);
      for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *bytes = pattern(sizes[i]);
        uvsmtp_slice_t slice = {bytes, sizes[i]};
        forget(&pair.server);
        forget(&pair.client);
        send_all(&pair, &pair.client, &pair.server, &slice, 1);
        send_all(&pair, &pair.server, &pair.client, &slice, 1);
        assert_int_equal(pair.server.got_len, sizes[i]);
        assert_memory_equal(pair.server.got, bytes, sizes[i]);
        assert_int_equal(pair.client.got_len, sizes[i]);
        assert_memory_equal(pair.client.got, bytes, sizes[i]);
        free(bytes);
      }
      close_pair(&pair);
    }
}

/* Walks the records of a flight; RFC 8446 section 5.1. */
static size_t count_records(const char *bytes, size_t len, size_t *longest)
{
  size_t count = 0;
  *longest = 0;
  while (len >= 5) {
    size_t n = (size_t)(unsigned char)bytes[3] << 8 | (unsigned char)bytes[4];
    assert_int_equal(bytes[0], 23);
    assert_true(len >= n + 5);
    *longest = n > *longest ? n : *longest;
    bytes += n + 5;
    len -= n + 5;
    count++;
  }
  assert_int_equal(len, 0);
  return count;
}

static void records_are_filled_across_slices(void **state)
{
  pair_t pair = {0};
  char *bytes = pattern(50000);
  uvsmtp_slice_t slices[12] = {{0}};
  size_t taken, longest;
  uvsmtp_slice_t out;
  open_good_pair(&pair, NULL, NULL);
  for (size_t i = 0; i < 10; i++)
    slices[i + 1] = (uvsmtp_slice_t){bytes + i * 5000, 5000};
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, slices, 12, &taken), 0);
  assert_int_equal(taken, 50000);
  uvsmtp_tls_output(pair.client.tls, &out);
  assert_int_equal(count_records(out.base, out.len, &longest), 4);
  assert_true(longest >= 16384 && longest < 16384 + 256);
  move(&pair, &pair.client, &pair.server);
  assert_int_equal(pair.server.got_len, 50000);
  assert_memory_equal(pair.server.got, bytes, 50000);
  free(bytes);
  close_pair(&pair);
}

static void output_is_bounded_and_goes_on_when_it_was_sent(void **state)
{
  pair_t pair = {0};
  uvsmtp_tls_options_t o = client_options();
  char *bytes = pattern(1000000);
  uvsmtp_slice_t slice = {bytes, 1000000}, out;
  size_t taken, none;
  o.max_output_bytes = 20000;
  open_good_pair(&pair, &o, NULL);
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &slice, 1, &taken), 0);
  assert_in_range(taken, 16383, 16384); /* mbedTLS 3.6 leaves a byte free in TLS 1.3 */
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &slice, 1, &none), UVSMTP_PENDING);
  assert_int_equal(none, 0);
  uvsmtp_tls_output(pair.client.tls, &out);
  assert_in_range(out.len, 16384, 20000);
  move(&pair, &pair.client, &pair.server);
  slice.base += taken;
  slice.len -= taken;
  send_all(&pair, &pair.client, &pair.server, &slice, 1);
  assert_int_equal(pair.server.got_len, 1000000);
  assert_memory_equal(pair.server.got, bytes, 1000000);
  free(bytes);
  close_pair(&pair);
}

static void output_can_be_sent_in_parts(void **state)
{
  pair_t pair = {0};
  char *bytes = pattern(40000), wire[60000];
  uvsmtp_slice_t slice = {bytes, 40000}, out;
  size_t taken, have = 0;
  open_good_pair(&pair, NULL, NULL);
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &slice, 1, &taken), 0);
  assert_int_equal(taken, 40000);
  for (uvsmtp_tls_output(pair.client.tls, &out); out.len != 0;
       uvsmtp_tls_output(pair.client.tls, &out)) {
    size_t n = out.len < 777 ? out.len : 777;
    memcpy(wire + have, out.base, n);
    have += n;
    uvsmtp_tls_sent(pair.client.tls, n);
  }
  assert_int_equal(uvsmtp_tls_feed(pair.server.tls, wire, have), 0);
  for (size_t done = 0; done < 40000;) {
    char buf[40000];
    size_t len;
    assert_int_equal(uvsmtp_tls_read(pair.server.tls, buf, sizeof(buf), &len), 0);
    assert_memory_equal(buf, bytes + done, len);
    done += len;
  }
  free(bytes);
  close_pair(&pair);
}

static void a_slice_that_is_lent_stays_in_place_while_more_is_written(void **state)
{
  pair_t pair = {0};
  char *bytes = pattern(60000), before[700];
  uvsmtp_slice_t small = {bytes, 500}, big = {bytes + 500, 50000}, out, more;
  size_t taken;
  open_good_pair(&pair, NULL, NULL);
  uvsmtp_tls_idle(pair.client.tls);
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &small, 1, &taken), 0);
  uvsmtp_tls_output(pair.client.tls, &out);
  assert_true(out.len < sizeof(before));
  memcpy(before, out.base, out.len);
  /* The small buffer must not grow now: what it lends may be in the kernel's hands. */
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &big, 1, &taken), UVSMTP_PENDING);
  big.len = 1024 - out.len - 5; /* the plaintext would fit, the record would not */
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &big, 1, &taken), UVSMTP_PENDING);
  small.base += 500;
  small.len = 100;
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &small, 1, &taken), 0);
  assert_int_equal(taken, 100);
  assert_memory_equal(out.base, before, out.len);
  assert_int_equal(uvsmtp_tls_feed(pair.server.tls, before, out.len), 0);
  uvsmtp_tls_sent(pair.client.tls, out.len);
  uvsmtp_tls_output(pair.client.tls, &more);
  assert_true(more.len > 100);
  move(&pair, &pair.client, &pair.server);
  assert_int_equal(pair.server.got_len, 600);
  assert_memory_equal(pair.server.got, bytes, 600);
  free(bytes);
  close_pair(&pair);
}

static void a_flight_that_finds_no_room_goes_on_when_the_slice_is_given_back(void **state)
{
  pair_t pair = {0};
  uvsmtp_tls_options_t c = client_options(), s = server_options();
  uvsmtp_slice_t hello;
  char chain[32768] = "";
  strcat(chain, world.client.cert);
  for (int i = 0; i < 10; i++) /* long enough for no buffer that was made for a ClientHello */
    strcat(chain, world.ca.cert);
  c.cert_pem = chain;
  c.key_pem = world.client.key;
  s.client_cert = UVSMTP_TLS_CLIENT_CERT_REQUIRE;
  s.ca_pem = world.ca.cert;
  open_pair(&pair, &c, &s, "mail.example.org");
  assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), UVSMTP_PENDING);
  uvsmtp_tls_output(pair.client.tls, &hello); /* the kernel has not said yet that it is gone */
  assert_int_equal(uvsmtp_tls_feed(pair.server.tls, hello.base, hello.len), 0);
  pair.server.handshake = uvsmtp_tls_handshake(pair.server.tls);
  move(&pair, &pair.server, &pair.client);
  assert_int_equal(pair.client.handshake, UVSMTP_PENDING);
  uvsmtp_tls_sent(pair.client.tls, hello.len);
  uvsmtp_tls_output(pair.client.tls, &hello);
  assert_true(hello.len > 3000); /* all that mbedTLS held back, without any other call */
  shake(&pair);
  assert_int_equal(pair.client.handshake, 0);
  assert_int_equal(pair.server.handshake, 0);
  close_pair(&pair);
}

static void input_that_waits_for_room_in_the_output_is_copied(void **state)
{
  pair_t pair = {0};
  uvsmtp_tls_options_t c = client_options(), s = server_options();
  char chain[32768] = "", *piece, buf[16];
  uvsmtp_slice_t hello, flight;
  size_t n;
  for (int i = 0; i < 10; i++)
    strcat(chain, i == 0 ? world.client.cert : world.ca.cert);
  c.cert_pem = chain;
  c.key_pem = world.client.key;
  s.client_cert = UVSMTP_TLS_CLIENT_CERT_REQUEST;
  open_pair(&pair, &c, &s, "mail.example.org");
  assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), UVSMTP_PENDING);
  uvsmtp_tls_output(pair.client.tls, &hello);
  assert_int_equal(uvsmtp_tls_feed(pair.server.tls, hello.base, hello.len), 0);
  assert_int_equal(uvsmtp_tls_handshake(pair.server.tls), UVSMTP_PENDING);
  uvsmtp_tls_output(pair.server.tls, &flight);
  piece = malloc(flight.len + 3);
  memcpy(piece, flight.base, flight.len);
  memcpy(piece + flight.len, "???", 3);
  assert_int_equal(uvsmtp_tls_feed(pair.client.tls, piece, flight.len + 3), 0);
  assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), UVSMTP_PENDING);
  memset(piece, 0, flight.len + 3);
  free(piece);
  assert_int_equal(uvsmtp_tls_pending_input(pair.client.tls), 3);
  uvsmtp_tls_sent(pair.client.tls, hello.len);
  /* Reads the rest: from memory that is gone, were it not copied (AddressSanitizer sees that). */
  if (uvsmtp_tls_handshake(pair.client.tls) == 0) /* TLS 1.3 waits for nothing more */
    assert_int_equal(uvsmtp_tls_read(pair.client.tls, buf, sizeof(buf), &n), UVSMTP_PENDING);
  assert_int_equal(uvsmtp_tls_pending_input(pair.client.tls), 0);
  close_pair(&pair);
}

static void input_is_taken_whole_or_kept_on_demand(void **state)
{
  pair_t pair = {0};
  char *bytes = pattern(40000), buf[100], *wire;
  uvsmtp_slice_t slice = {bytes, 40000}, out;
  size_t taken, len, done = 0;
  open_good_pair(&pair, NULL, NULL);
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &slice, 1, &taken), 0);
  uvsmtp_tls_output(pair.client.tls, &out);
  wire = malloc(out.len);
  memcpy(wire, out.base, out.len);
  assert_int_equal(uvsmtp_tls_feed(pair.server.tls, wire, out.len), 0);
  assert_int_equal(uvsmtp_tls_pending_input(pair.server.tls), out.len);
  assert_int_equal(uvsmtp_tls_read(pair.server.tls, buf, sizeof(buf), &len), 0);
  done += len;
  assert_in_range(uvsmtp_tls_pending_input(pair.server.tls), 1, out.len - 16384);
  assert_int_equal(uvsmtp_tls_keep(pair.server.tls), 0);
  free(wire); /* the reader pauses, and the shared buffer goes to another connection */
  while (uvsmtp_tls_read(pair.server.tls, buf, sizeof(buf), &len) == 0) {
    assert_memory_equal(buf, bytes + done, len);
    done += len;
  }
  assert_int_equal(done, 40000);
  assert_int_equal(uvsmtp_tls_pending_input(pair.server.tls), 0);
  free(bytes);
  close_pair(&pair);
}

static void input_that_nobody_reads_is_bounded(void **state)
{
  pair_t pair = {0};
  char *bytes = calloc(1, 100000);
  open_good_pair(&pair, NULL, NULL);
  assert_int_equal(uvsmtp_tls_feed(pair.server.tls, bytes, 100000), 0);
  assert_int_equal(uvsmtp_tls_feed(pair.server.tls, bytes, 100000), UVSMTP_ETOOLONG);
  free(bytes);
  close_pair(&pair);
}

static void calls_in_the_wrong_order_are_refused_and_harm_nothing(void **state)
{
  pair_t pair = {0};
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
  uvsmtp_tls_session_t *session;
  uvsmtp_slice_t slice = {"x", 1};
  uint8_t binding[UVSMTP_TLS_BINDING_MAX];
  size_t n = sizeof(binding);
  char buf[4];
  open_pair(&pair, NULL, NULL, "mail.example.org");
  assert_int_equal(uvsmtp_tls_read(pair.client.tls, buf, sizeof(buf), &n), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &slice, 1, &n), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_tls_close_notify(pair.client.tls), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_tls_session_get(pair.client.tls, &session), UVSMTP_ESTATE);
  assert_int_equal(uvsmtp_tls_channel_binding(pair.client.tls, "tls-unique", binding, &n),
                   UVSMTP_ESTATE);
  assert_string_equal(uvsmtp_tls_error_detail(pair.client.tls), "");
  shake(&pair);
  assert_int_equal(pair.client.handshake, 0);
  assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), 0);
  assert_int_equal(uvsmtp_tls_read(pair.client.tls, buf, 0, &n), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &slice, 0, &n), 0);
  info.size = 1;
  assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), UVSMTP_EINVAL);
  close_pair(&pair);
}

static void close_notify_ends_one_direction(void **state)
{
  pair_t pair = {0};
  uvsmtp_slice_t slice = {"the last words", 14};
  size_t n;
  open_good_pair(&pair, NULL, NULL);
  assert_int_equal(uvsmtp_tls_close_notify(pair.client.tls), 0);
  assert_int_equal(uvsmtp_tls_close_notify(pair.client.tls), 0);
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &slice, 1, &n), UVSMTP_ESTATE);
  move(&pair, &pair.client, &pair.server);
  assert_true(pair.server.ended);
  send_all(&pair, &pair.server, &pair.client, &slice, 1);
  assert_int_equal(pair.client.got_len, 14);
  /* What comes behind it does not count any more, and the end of the stream is no surprise. */
  uvsmtp_tls_feed(pair.server.tls, "garbage", 7);
  assert_int_equal(uvsmtp_tls_pending_input(pair.server.tls), 0);
  uvsmtp_tls_eof(pair.server.tls);
  assert_int_equal(uvsmtp_tls_read(pair.server.tls, &(char[4]){0}, 4, &n), 0);
  assert_int_equal(n, 0);
  close_pair(&pair);
}

static void a_close_notify_without_room_follows_when_there_is_some(void **state)
{
  pair_t pair = {0};
  uvsmtp_slice_t byte = {"x", 1}, out;
  size_t n, written = 0;
  open_good_pair(&pair, NULL, NULL);
  uvsmtp_tls_idle(pair.client.tls);
  do {
    n = 0;
    if (uvsmtp_tls_write(pair.client.tls, &byte, 1, &n) == UVSMTP_PENDING)
      break;
    if (written++ == 0) /* from now on the buffer stays as it is */
      uvsmtp_tls_output(pair.client.tls, &out);
  } while (n == 1);
  assert_int_equal(uvsmtp_tls_close_notify(pair.client.tls), 0);
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &byte, 1, &n), UVSMTP_ESTATE);
  uvsmtp_tls_sent(pair.client.tls, 0);
  move(&pair, &pair.client, &pair.server);
  assert_int_equal(pair.server.got_len, written);
  assert_true(pair.server.ended);
  close_pair(&pair);
}

static void an_end_without_close_notify_is_an_error_behind_the_data(void **state)
{
  static const size_t cut_off[] = {0, 1, 20};
  for (size_t i = 0; i < 3; i++) {
    pair_t pair = {0};
    uvsmtp_slice_t slice = {"250 ok\r\n", 8}, out;
    char buf[64], wire[256];
    size_t n;
    open_good_pair(&pair, NULL, NULL);
    send_all(&pair, &pair.server, &pair.client, &slice, 1);
    assert_int_equal(uvsmtp_tls_write(pair.server.tls, &slice, 1, &n), 0);
    uvsmtp_tls_output(pair.server.tls, &out);
    memcpy(wire, out.base, out.len);
    assert_int_equal(uvsmtp_tls_feed(pair.client.tls, wire, out.len - cut_off[i]), 0);
    uvsmtp_tls_eof(pair.client.tls);
    if (cut_off[i] == 0) {
      assert_int_equal(uvsmtp_tls_read(pair.client.tls, buf, sizeof(buf), &n), 0);
      assert_int_equal(n, 8);
    }
    for (int again = 0; again < 2; again++)
      assert_int_equal(uvsmtp_tls_read(pair.client.tls, buf, sizeof(buf), &n),
                       UVSMTP_ETLSTRUNCATED);
    assert_int_equal(uvsmtp_tls_write(pair.client.tls, &slice, 1, &n), UVSMTP_ETLSTRUNCATED);
    assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls), "close_notify"));
    close_pair(&pair);
  }
}

static void an_end_during_the_handshake_is_truncation(void **state)
{
  pair_t pair = {0};
  open_pair(&pair, NULL, NULL, "mail.example.org");
  assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), UVSMTP_PENDING);
  uvsmtp_tls_eof(pair.client.tls);
  assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), UVSMTP_ETLSTRUNCATED);
  assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls), "during the TLS handshake"));
  assert_int_equal(uvsmtp_tls_feed(pair.client.tls, "x", 1), UVSMTP_ETLSTRUNCATED);
  close_pair(&pair);
}

static void a_server_that_does_not_speak_tls_is_named_so(void **state)
{
  static const char greeting[] = "220 mail.example.org ESMTP ready\r\n";
  pair_t pair = {0};
  open_pair(&pair, NULL, NULL, "mail.example.org");
  assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), UVSMTP_PENDING);
  assert_int_equal(uvsmtp_tls_feed(pair.client.tls, greeting, strlen(greeting)), 0);
  assert_int_equal(uvsmtp_tls_handshake(pair.client.tls), UVSMTP_ETLS);
  assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls),
                         "does not speak TLS here, but greets in the clear"));
  assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls), "mbedTLS -0x"));
  close_pair(&pair);
}

static void a_changed_record_is_fatal_and_the_peer_is_told(void **state)
{
  pair_t pair = {0};
  uvsmtp_slice_t slice = {"RCPT TO:<bob@example.org>\r\n", 27}, out;
  char wire[256], buf[64];
  size_t n;
  open_good_pair(&pair, NULL, NULL);
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &slice, 1, &n), 0);
  uvsmtp_tls_output(pair.client.tls, &out);
  memcpy(wire, out.base, out.len);
  wire[out.len - 3] ^= 1;
  uvsmtp_tls_sent(pair.client.tls, out.len);
  assert_int_equal(uvsmtp_tls_feed(pair.server.tls, wire, out.len), 0);
  assert_int_equal(uvsmtp_tls_read(pair.server.tls, buf, sizeof(buf), &n), UVSMTP_ETLS);
  assert_int_equal(n, 0);
  move(&pair, &pair.server, &pair.client);
  assert_int_equal(pair.client.read, UVSMTP_ETLS);
  assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls), "bad record MAC"));
  close_pair(&pair);
}

static void an_engine_outlives_its_context(void **state)
{
  pair_t pair = {0};
  uvsmtp_slice_t slice = {"hello", 5};
  open_pair(&pair, NULL, NULL, "mail.example.org");
  uvsmtp_tls_context_free(pair.client.context);
  pair.client.context = NULL;
  shake(&pair);
  send_all(&pair, &pair.client, &pair.server, &slice, 1);
  assert_int_equal(pair.server.got_len, 5);
  close_pair(&pair);
}

static void idle_engines_hold_no_buffers(void **state)
{
  pair_t pair = {0};
  uvsmtp_slice_t slice = {"hello", 5}, out;
  size_t n;
  open_good_pair(&pair, NULL, NULL);
  assert_int_equal(uvsmtp_tls_write(pair.client.tls, &slice, 1, &n), 0);
  uvsmtp_tls_idle(pair.client.tls); /* not idle: nothing may be lost */
  uvsmtp_tls_output(pair.client.tls, &out);
  assert_true(out.len > 5);
  move(&pair, &pair.client, &pair.server);
  uvsmtp_tls_idle(pair.client.tls);
  uvsmtp_tls_output(pair.client.tls, &out);
  assert_null(out.base);
  send_all(&pair, &pair.client, &pair.server, &slice, 1);
  assert_int_equal(pair.server.got_len, 10);
  close_pair(&pair);
}

/* ---- sessions ---- */

/* A second connection under the same contexts. */
static void reopen(pair_t *pair, const char *name)
{
  uvsmtp_tls_free(pair->client.tls);
  uvsmtp_tls_free(pair->server.tls);
  assert_int_equal(uvsmtp_tls_new(&pair->client.tls, pair->client.context, name), 0);
  assert_int_equal(uvsmtp_tls_new(&pair->server.tls, pair->server.context, NULL), 0);
  pair->client.handshake = pair->server.handshake = UVSMTP_PENDING;
}

static uvsmtp_tls_session_t *get_session(pair_t *pair)
{
  uvsmtp_tls_session_t *session;
  assert_int_equal(uvsmtp_tls_session_get(pair->client.tls, &session), 0);
  assert_non_null(session);
  return session;
}

static void sessions_are_resumed_with_all_that_is_known_of_the_peer(void **state)
{
  for (size_t v = 0; v < version_count(); v++) {
    pair_t pair = {0};
    uvsmtp_tls_options_t o = client_options();
    uvsmtp_tls_info_t first = UVSMTP_TLS_INFO_INIT, second = UVSMTP_TLS_INFO_INIT;
    uvsmtp_tls_session_t *session, *again;
    uvsmtp_slice_t slice = {"hello", 5};
    o.min_version = o.max_version = versions[v];
    open_good_pair(&pair, &o, NULL);
    assert_int_equal(uvsmtp_tls_info(pair.client.tls, &first), 0);
    assert_false(first.resumed);
    session = get_session(&pair);
    if (versions[v] == UVSMTP_TLS_1_2)
      assert_int_equal(uvsmtp_tls_session_get(pair.client.tls, &again), UVSMTP_PENDING);
    reopen(&pair, "mail.example.org");
    assert_int_equal(uvsmtp_tls_session_set(pair.client.tls, session), 0);
    uvsmtp_tls_session_free(session);
    shake(&pair);
    assert_int_equal(pair.client.handshake, 0);
    assert_int_equal(pair.server.handshake, 0);
    uvsmtp_tls_idle(pair.client.tls);
    assert_null(pair.client.tls->offered); /* the session is not kept for it */
    assert_null(pair.client.tls->name);
    assert_int_equal(uvsmtp_tls_info(pair.client.tls, &second), 0);
    assert_true(second.resumed);
    assert_string_equal(second.server_name, "mail.example.org");
    assert_true(second.verified);
    assert_true(second.has_peer);
    assert_string_equal(second.names, "mail.example.org, 192.0.2.1");
    assert_memory_equal(second.fingerprint, first.fingerprint, 32);
    assert_int_equal(uvsmtp_tls_info(pair.server.tls, &first), 0);
    assert_true(first.resumed);
    send_all(&pair, &pair.server, &pair.client, &slice, 1);
    assert_int_equal(pair.client.got_len, 5);
    close_pair(&pair);
  }
}

static void a_session_of_another_name_or_context_is_refused(void **state)
{
  pair_t pair = {0}, other = {0};
  uvsmtp_tls_session_t *session;
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
  open_good_pair(&pair, NULL, NULL);
  session = get_session(&pair);
  assert_int_equal(uvsmtp_tls_session_set(pair.client.tls, session), UVSMTP_ESTATE);
  open_pair(&other, NULL, NULL, "mail.example.org");
  assert_int_equal(uvsmtp_tls_session_set(other.client.tls, session), UVSMTP_EINVAL);
  close_pair(&other);
  reopen(&pair, "192.0.2.1");
  assert_int_equal(uvsmtp_tls_session_set(pair.client.tls, session), UVSMTP_EINVAL);
  shake(&pair);
  assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), 0);
  assert_false(info.resumed);
  uvsmtp_tls_session_free(session);
  close_pair(&pair);
}

static void a_resumed_session_is_no_better_than_the_first(void **state)
{
  pair_t pair = {0};
  uvsmtp_tls_options_t o = client_options();
  uvsmtp_tls_session_t *session;
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
  o.verify = UVSMTP_TLS_VERIFY_NONE_INSECURE;
  open_pair(&pair, &o, NULL, "wrong.example.org");
  shake(&pair);
  session = get_session(&pair);
  reopen(&pair, "wrong.example.org");
  assert_int_equal(uvsmtp_tls_session_set(pair.client.tls, session), 0);
  uvsmtp_tls_session_free(session);
  shake(&pair);
  assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), 0);
  assert_true(info.resumed);
  assert_false(info.verified);
  close_pair(&pair);
}

static void a_server_that_forgot_the_session_gets_a_full_handshake(void **state)
{
  pair_t pair = {0}, other = {0};
  uvsmtp_tls_session_t *session;
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
  open_good_pair(&pair, NULL, NULL);
  session = get_session(&pair);
  open_pair(&other, NULL, NULL, "mail.example.org");
  reopen(&pair, "mail.example.org");
  assert_int_equal(uvsmtp_tls_session_set(pair.client.tls, session), 0);
  uvsmtp_tls_session_free(session);
  uvsmtp_tls_free(pair.server.tls);
  pair.server.tls = other.server.tls; /* with other ticket keys */
  other.server.tls = NULL;
  shake(&pair);
  assert_int_equal(pair.client.handshake, 0);
  assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), 0);
  assert_false(info.resumed);
  assert_true(info.verified);
  close_pair(&pair);
  close_pair(&other);
}

/* ---- what is negotiated ---- */

static void alpn_and_the_server_name_reach_the_other_side(void **state)
{
  static const char *const offered[] = {"h2", "smtp"}, *const known[] = {"smtp"};
  pair_t pair = {0};
  uvsmtp_tls_options_t c = client_options(), s = server_options();
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
  c.alpn = offered;
  c.alpn_count = 2;
  s.alpn = known;
  s.alpn_count = 1;
  open_pair(&pair, &c, &s, "Mail.Example.ORG.");
  shake(&pair);
  assert_int_equal(pair.client.handshake, 0);
  assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), 0);
  assert_string_equal(info.alpn, "smtp");
  assert_int_equal(uvsmtp_tls_info(pair.server.tls, &info), 0);
  assert_string_equal(info.alpn, "smtp");
  assert_string_equal(info.server_name, "Mail.Example.ORG"); /* RFC 6066: no final dot */
  assert_false(info.has_peer);
  close_pair(&pair);
}

static void an_ip_address_is_checked_and_not_sent_as_a_name(void **state)
{
  static const char *const spellings[] = {"192.0.2.1", "[192.0.2.1]"};
  for (size_t i = 0; i < 2; i++) {
    pair_t pair = {0};
    uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
    open_pair(&pair, NULL, NULL, spellings[i]);
    shake(&pair);
    assert_int_equal(pair.client.handshake, 0);
    assert_int_equal(uvsmtp_tls_info(pair.server.tls, &info), 0);
    assert_string_equal(info.server_name, "");
    close_pair(&pair);
  }
}

static void the_cipher_suite_is_the_one_asked_for(void **state)
{
  pair_t pair = {0};
  uvsmtp_tls_options_t o = client_options();
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
  o.ciphers = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
  open_good_pair(&pair, &o, NULL);
  assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), 0);
  assert_string_equal(info.cipher, o.ciphers);
  assert_string_equal(info.version, "TLSv1.2");
  close_pair(&pair);
  if (!has_13())
    return;
  o.ciphers = "TLS_AES_256_GCM_SHA384";
  open_good_pair(&pair, &o, NULL);
  assert_int_equal(uvsmtp_tls_info(pair.client.tls, &info), 0);
  assert_string_equal(info.cipher, o.ciphers);
  close_pair(&pair);
}

static void no_common_cipher_or_version_is_said_on_both_sides(void **state)
{
  pair_t pair = {0};
  uvsmtp_tls_options_t c = client_options(), s = server_options();
  /* The server's key is ECDSA. */
  c.ciphers = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
  open_pair(&pair, &c, NULL, "mail.example.org");
  shake(&pair);
  assert_int_equal(pair.client.handshake, UVSMTP_ETLSVERSION);
  assert_int_equal(pair.server.handshake, UVSMTP_ETLSVERSION);
  assert_non_null(strstr(uvsmtp_tls_error_detail(pair.client.tls), "in common"));
  close_pair(&pair);
  if (!has_13())
    return;
  c.ciphers = NULL;
  c.min_version = UVSMTP_TLS_1_3;
  s.max_version = UVSMTP_TLS_1_2;
  open_pair(&pair, &c, &s, "mail.example.org");
  shake(&pair);
  assert_int_equal(pair.client.handshake, UVSMTP_ETLSVERSION);
  assert_int_equal(pair.server.handshake, UVSMTP_ETLSVERSION);
  close_pair(&pair);
  c.min_version = 0;
  c.max_version = UVSMTP_TLS_1_2;
  s.min_version = s.max_version = UVSMTP_TLS_1_3;
  open_pair(&pair, &c, &s, "mail.example.org");
  shake(&pair);
  assert_int_equal(pair.client.handshake, UVSMTP_ETLSVERSION);
  close_pair(&pair);
}

static void both_sides_have_the_same_channel_bindings(void **state)
{
  for (size_t v = 0; v < version_count(); v++) {
    static const char *const types[] = {"tls-server-end-point", "tls-unique", "tls-exporter"};
    bool is_13 = versions[v] == UVSMTP_TLS_1_3;
    pair_t pair = {0};
    uvsmtp_tls_options_t o = client_options();
    uvsmtp_tls_session_t *session;
    o.min_version = o.max_version = versions[v];
    open_good_pair(&pair, &o, NULL);
    for (int round = 0; round < 2; round++) {
      for (size_t i = 0; i < 3; i++) {
        static const size_t lengths[] = {32, 12, 32};
        uint8_t a[UVSMTP_TLS_BINDING_MAX], b[UVSMTP_TLS_BINDING_MAX];
        size_t a_len = sizeof(a), b_len = sizeof(b), little = 3;
        int err = uvsmtp_tls_channel_binding(pair.client.tls, types[i], a, &a_len);
        assert_int_equal(uvsmtp_tls_channel_binding(pair.server.tls, types[i], b, &b_len), err);
        if (err == UVSMTP_EEXTENSION) {
          assert_true(is_13 ? i != 0 : i == 2);
          continue;
        }
        assert_int_equal(err, 0);
        assert_int_equal(a_len, lengths[i]);
        assert_int_equal(b_len, lengths[i]);
        assert_memory_equal(a, b, a_len);
        assert_int_equal(uvsmtp_tls_channel_binding(pair.client.tls, types[i], a, &little),
                         UVSMTP_EINVAL);
      }
      if (round == 0) {
        session = get_session(&pair);
        reopen(&pair, "mail.example.org");
        assert_int_equal(uvsmtp_tls_session_set(pair.client.tls, session), 0);
        uvsmtp_tls_session_free(session);
        shake(&pair);
        assert_int_equal(pair.client.handshake, 0);
      }
    }
    close_pair(&pair);
  }
}

static void tls_unique_is_the_first_finished_message(void **state)
{
  pair_t pair = {0};
  uvsmtp_tls_options_t o = client_options();
  uvsmtp_tls_session_t *session;
  o.max_version = UVSMTP_TLS_1_2;
  open_good_pair(&pair, &o, NULL);
  for (int resumed = 0; resumed < 2; resumed++) {
    /* The client's in a full handshake, the server's in a resumed one (RFC 5246 section 7.3). */
    const uvsmtp_tls_t *first = resumed ? pair.server.tls : pair.client.tls;
    uint8_t out[UVSMTP_TLS_BINDING_MAX];
    size_t len = sizeof(out);
    const void *finished = NULL;
    assert_int_equal(uvsmtp__tls_compat_finished(&first->ssl, true, &finished), 12);
    assert_int_equal(uvsmtp_tls_channel_binding(pair.client.tls, "tls-unique", out, &len), 0);
    assert_memory_equal(out, finished, 12);
    if (!resumed) {
      session = get_session(&pair);
      reopen(&pair, "mail.example.org");
      assert_int_equal(uvsmtp_tls_session_set(pair.client.tls, session), 0);
      uvsmtp_tls_session_free(session);
      shake(&pair);
    }
  }
  close_pair(&pair);
}

static void tls_unique_needs_an_extended_master_secret(void **state)
{
  pair_t pair = {0};
  uvsmtp_tls_options_t o = client_options();
  uint8_t out[UVSMTP_TLS_BINDING_MAX];
  size_t len = sizeof(out);
  o.max_version = UVSMTP_TLS_1_2;
  open_pair(&pair, &o, NULL, "mail.example.org");
  /* A server that does not know of RFC 7627. */
  mbedtls_ssl_conf_extended_master_secret(&pair.server.context->conf,
                                          MBEDTLS_SSL_EXTENDED_MS_DISABLED);
  shake(&pair);
  assert_int_equal(pair.client.handshake, 0);
  assert_int_equal(uvsmtp_tls_channel_binding(pair.client.tls, "tls-unique", out, &len),
                   UVSMTP_EEXTENSION);
  assert_int_equal(uvsmtp_tls_channel_binding(pair.client.tls, "tls-server-end-point", out, &len),
                   0);
  close_pair(&pair);
}

static void an_unknown_channel_binding_is_refused(void **state)
{
  pair_t pair = {0};
  uint8_t out[UVSMTP_TLS_BINDING_MAX];
  size_t len = sizeof(out);
  open_good_pair(&pair, NULL, NULL);
  assert_int_equal(uvsmtp_tls_channel_binding(pair.client.tls, "tls-magic", out, &len),
                   UVSMTP_EINVAL);
  close_pair(&pair);
}

/* ---- memory ---- */

/* Fails the allocation number `fail_at`, and counts what is still held. */
typedef struct fault_s {
  size_t count, fail_at, held;
} fault_t;

static void *fault_realloc(void *ctx, void *p, size_t size)
{
  fault_t *f = ctx;
  void *q;
  if (++f->count == f->fail_at)
    return NULL;
  q = realloc(p, size);
  f->held += p == NULL && q != NULL;
  return q;
}

static void *fault_malloc(void *ctx, size_t size)
{
  return fault_realloc(ctx, NULL, size);
}

static void fault_free(void *ctx, void *p)
{
  ((fault_t *)ctx)->held -= p != NULL;
  free(p);
}

/* Moves all output of one engine to another and lets that work. The first error, or 0. */
static int carry(uvsmtp_tls_t *from, uvsmtp_tls_t *to, bool *done)
{
  uvsmtp_slice_t slice;
  char wire[8192], buf[256];
  size_t len;
  int err;
  uvsmtp_tls_output(from, &slice);
  assert_true(slice.len <= sizeof(wire));
  if (slice.len != 0)
    memcpy(wire, slice.base, slice.len);
  uvsmtp_tls_sent(from, slice.len);
  err = uvsmtp_tls_feed(to, wire, slice.len);
  if (err == 0 && (err = uvsmtp_tls_handshake(to)) == 0) {
    *done = true;
    while ((err = uvsmtp_tls_read(to, buf, sizeof(buf), &len)) == 0 && len > 0)
      continue;
  }
  if (err == 0 || err == UVSMTP_PENDING)
    err = uvsmtp_tls_keep(to);
  return err;
}

static int whole_handshake(uvsmtp_tls_t *client, uvsmtp_tls_t *server)
{
  bool client_done = false, server_done = false;
  int err = uvsmtp_tls_handshake(client);
  for (int turns = 0; turns < 8 && (err == 0 || err == UVSMTP_PENDING); turns++) {
    err = carry(client, server, &server_done);
    if (err == 0)
      err = carry(server, client, &client_done);
  }
  if (err == 0 || err == UVSMTP_PENDING)
    assert_true(client_done && server_done);
  return err == UVSMTP_PENDING ? 0 : err;
}

static int use(uvsmtp_tls_t *client, uvsmtp_tls_t *server, uvsmtp_tls_session_t **session)
{
  uvsmtp_tls_info_t info = UVSMTP_TLS_INFO_INIT;
  uvsmtp_slice_t slices[] = {{"MAIL FROM:<>\r\n", 14}, {"RCPT TO:<a@b>\r\n", 15}};
  bool done;
  size_t n;
  int err = whole_handshake(client, server);
  if (err == 0)
    err = uvsmtp_tls_info(client, &info);
  if (err == 0)
    err = uvsmtp_tls_info(server, &info);
  if (err == 0 && *session == NULL)
    err = uvsmtp_tls_session_get(client, session);
  if (err == 0)
    err = uvsmtp_tls_write(client, slices, 2, &n);
  if (err == 0)
    err = carry(client, server, &done);
  return err;
}

/* Two connections, the second resumed. */
static int scenario(const uvsmtp_mem_t *mem)
{
  static const char *const alpn[] = {"smtp"};
  char pin[64], detail[100];
  const char *const pins[] = {pin};
  uvsmtp_tls_options_t c = client_options(), s = server_options();
  uvsmtp_tls_context_t *client_context = NULL, *server_context = NULL;
  uvsmtp_tls_t *client = NULL, *server = NULL;
  uvsmtp_tls_session_t *session = NULL;
  int err;
  pin_of(&world.server, pin);
  c.mem = s.mem = mem;
  c.pins = pins;
  c.pin_count = c.alpn_count = s.alpn_count = 1;
  c.alpn = s.alpn = alpn;
  c.ciphers = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
  c.cert_pem = world.client.cert;
  c.key_pem = world.client.key;
  err = uvsmtp_tls_context_new(&client_context, &c, detail, sizeof(detail));
  if (err == 0)
    err = uvsmtp_tls_context_new(&server_context, &s, detail, sizeof(detail));
  for (int round = 0; err == 0 && round < 2; round++) {
    err = uvsmtp_tls_new(&client, client_context, "mail.example.org");
    if (err == 0)
      err = uvsmtp_tls_new(&server, server_context, NULL);
    if (err == 0 && session != NULL)
      err = uvsmtp_tls_session_set(client, session);
    if (err == 0)
      err = use(client, server, &session);
    uvsmtp_tls_free(client);
    uvsmtp_tls_free(server);
    client = server = NULL;
  }
  uvsmtp_tls_session_free(session);
  uvsmtp_tls_context_free(client_context);
  uvsmtp_tls_context_free(server_context);
  return err;
}

static void out_of_memory_at_each_allocation_is_an_error_and_no_leak(void **state)
{
  size_t fail_at = 0;
  int err;
  do {
    fault_t fault = {.fail_at = ++fail_at};
    uvsmtp_mem_t mem = {&fault, fault_malloc, fault_realloc, fault_free};
    err = scenario(&mem);
    assert_int_equal(fault.held, 0);
    if (fault.count < fail_at)
      break; /* the scenario has fewer allocations: none failed */
    assert_int_equal(err, UVSMTP_ENOMEM);
    assert_true(fail_at < 1000);
  } while (true);
  assert_int_equal(err, 0);
  assert_true(fail_at > 25);
}

static void out_of_memory_while_a_failure_is_put_into_words_keeps_its_code(void **state)
{
  for (size_t fail_at = 1; fail_at < 20; fail_at++) {
    fault_t fault = {.fail_at = 0};
    uvsmtp_mem_t mem = {&fault, fault_malloc, fault_realloc, fault_free};
    uvsmtp_tls_options_t c = client_options();
    pair_t pair = {0};
    c.mem = &mem;
    c.ca_pem = world.other_ca.cert;
    open_pair(&pair, &c, NULL, "mail.example.org");
    fault.count = 0;
    fault.fail_at = fail_at;
    shake(&pair);
    if (pair.client.handshake != UVSMTP_ENOMEM)
      assert_int_equal(pair.client.handshake, UVSMTP_ETLSCERT);
    assert_string_not_equal(uvsmtp_tls_error_detail(pair.client.tls), "");
    close_pair(&pair);
    assert_int_equal(fault.held, 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(handshake_works_whole_byte_by_byte_and_at_random_cuts),
      cmocka_unit_test(data_of_all_sizes_arrives_in_both_directions_at_all_cuts),
      cmocka_unit_test(records_are_filled_across_slices),
      cmocka_unit_test(output_is_bounded_and_goes_on_when_it_was_sent),
      cmocka_unit_test(output_can_be_sent_in_parts),
      cmocka_unit_test(a_slice_that_is_lent_stays_in_place_while_more_is_written),
      cmocka_unit_test(a_flight_that_finds_no_room_goes_on_when_the_slice_is_given_back),
      cmocka_unit_test(input_that_waits_for_room_in_the_output_is_copied),
      cmocka_unit_test(input_is_taken_whole_or_kept_on_demand),
      cmocka_unit_test(input_that_nobody_reads_is_bounded),
      cmocka_unit_test(calls_in_the_wrong_order_are_refused_and_harm_nothing),
      cmocka_unit_test(close_notify_ends_one_direction),
      cmocka_unit_test(a_close_notify_without_room_follows_when_there_is_some),
      cmocka_unit_test(an_end_without_close_notify_is_an_error_behind_the_data),
      cmocka_unit_test(an_end_during_the_handshake_is_truncation),
      cmocka_unit_test(a_server_that_does_not_speak_tls_is_named_so),
      cmocka_unit_test(a_changed_record_is_fatal_and_the_peer_is_told),
      cmocka_unit_test(an_engine_outlives_its_context),
      cmocka_unit_test(idle_engines_hold_no_buffers),
      cmocka_unit_test(sessions_are_resumed_with_all_that_is_known_of_the_peer),
      cmocka_unit_test(a_session_of_another_name_or_context_is_refused),
      cmocka_unit_test(a_resumed_session_is_no_better_than_the_first),
      cmocka_unit_test(a_server_that_forgot_the_session_gets_a_full_handshake),
      cmocka_unit_test(alpn_and_the_server_name_reach_the_other_side),
      cmocka_unit_test(an_ip_address_is_checked_and_not_sent_as_a_name),
      cmocka_unit_test(the_cipher_suite_is_the_one_asked_for),
      cmocka_unit_test(no_common_cipher_or_version_is_said_on_both_sides),
      cmocka_unit_test(both_sides_have_the_same_channel_bindings),
      cmocka_unit_test(tls_unique_is_the_first_finished_message),
      cmocka_unit_test(tls_unique_needs_an_extended_master_secret),
      cmocka_unit_test(an_unknown_channel_binding_is_refused),
      cmocka_unit_test(out_of_memory_at_each_allocation_is_an_error_and_no_leak),
      cmocka_unit_test(out_of_memory_while_a_failure_is_put_into_words_keeps_its_code),
  };
  return cmocka_run_group_tests(tests, make_world, free_world);
}
