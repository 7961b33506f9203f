/*
 * The parts, without sockets: nanoseconds for one of each, the best of several rounds.
 *
 *   micro
 *
 * One line a part: its name, nanoseconds, and octets a second where octets are what counts.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "uvsmtp/crypto.h"
#include "uvsmtp/protocol.h"
#include "uvsmtp/tls.h"

#define ROUNDS 7
#define CONTENT ((size_t)64 * 1024)
#define KEYWORDS                                                                                   \
  "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-ETRN\r\n250-STARTTLS\r\n"          \
  "250-AUTH PLAIN LOGIN SCRAM-SHA-256\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n"   \
  "250-SMTPUTF8\r\n250 CHUNKING\r\n"

static char content[CONTENT];
static volatile size_t sum; /* so that nothing is thought away */

static double seconds_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- a session in memory ------------------------------------------------------------------ */

static size_t hear(uvsmtp_protocol_t *p, const char *bytes, size_t len)
{
  uvsmtp_event_t event;
  size_t events = 0;
  uvsmtp_protocol_feed_bytes(p, bytes, len, 1);
  while (uvsmtp_protocol_next_event(p, &event))
    events += event.type == UVSMTP_EVENT_REPLY;
  return events;
}

static size_t write_out(uvsmtp_protocol_t *p)
{
  uvsmtp_slice_t slices[64];
  size_t count, total = 0;
  while ((count = uvsmtp_protocol_output(p, slices, 64)) > 0) {
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
      len += slices[i].len;
    uvsmtp_protocol_sent(p, len, 1);
    total += len;
  }
  return total;
}

static uvsmtp_protocol_t *session(void)
{
  uvsmtp_protocol_t *p;
  if (uvsmtp_protocol_new(&p, NULL, 1) != 0)
    exit(1);
  hear(p, "220 mx.example\r\n", 16);
  uvsmtp_protocol_send_greeting(p, "client.example", false, NULL);
  write_out(p);
  hear(p, KEYWORDS, sizeof(KEYWORDS) - 1);
  return p;
}

static const uvsmtp_recipient_t bob = {.address = "bob@there.example"};
static const uvsmtp_envelope_t envelope = {.size = sizeof(uvsmtp_envelope_t),
                                           .sender = "ann@here.example",
                                           .recipients = &bob,
                                           .recipient_count = 1};
static const uvsmtp_mail_needs_t needs = {.size = 1024};

/* ---- the parts: each does `times` and returns octets, or 0 -------------------------------- */

static size_t greet(size_t times)
{
  for (size_t i = 0; i < times; i++)
    uvsmtp_protocol_free(session());
  return 0;
}

static size_t noops(size_t times)
{
  uvsmtp_protocol_t *p = session();
  for (size_t i = 0; i < times; i++) {
    uvsmtp_protocol_noop(p, NULL);
    sum += write_out(p) + hear(p, "250 2.0.0 Ok\r\n", 14);
  }
  uvsmtp_protocol_free(p);
  return 0;
}

static size_t envelopes(size_t times)
{
  uvsmtp_protocol_t *p = session();
  for (size_t i = 0; i < times; i++) {
    uvsmtp_protocol_mail(p, &envelope, &needs, NULL);
    uvsmtp_protocol_recipient(p, &bob, NULL);
    uvsmtp_protocol_reset(p, NULL);
    sum += write_out(p) + hear(p, "250 ok\r\n250 ok\r\n250 ok\r\n", 24);
  }
  uvsmtp_protocol_free(p);
  return 0;
}

static size_t flights(size_t times)
{
  uvsmtp_protocol_t *p = session();
  uvsmtp_slice_t slice = {content, 1024};
  uvsmtp_flight_t flight = {&envelope, &needs, &slice, 1, true, NULL, NULL, 0};
  uvsmtp_envelope_look(&envelope, &flight.lengths);
  for (size_t i = 0; i < times; i++) {
    uvsmtp_protocol_flight(p, &flight);
    sum += write_out(p) + hear(p, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n", 32);
  }
  uvsmtp_protocol_free(p);
  return 0;
}

static size_t dot_scan(size_t times)
{
  uvsmtp_protocol_t *p = session();
  size_t taken;
  uvsmtp_protocol_mail(p, &envelope, &needs, NULL);
  uvsmtp_protocol_recipient(p, &bob, NULL);
  uvsmtp_protocol_start_data(p, NULL);
  write_out(p);
  hear(p, "250 ok\r\n250 ok\r\n354 go\r\n", 24);
  for (size_t i = 0; i < times; i++) {
    uvsmtp_protocol_data(p, content, CONTENT, UVSMTP_LINES_NORMALIZE, &taken);
    sum += write_out(p);
  }
  uvsmtp_protocol_free(p);
  return times * CONTENT;
}

static size_t with_memchr(size_t times)
{
  for (size_t i = 0; i < times; i++) {
    content[CONTENT - 1] = (char)i; /* so that each look is a new one */
    sum += memchr(content, 1, CONTENT - 1) != NULL;
  }
  return times * CONTENT;
}

static size_t with_memcpy(size_t times)
{
  static char copy[CONTENT];
  for (size_t i = 0; i < times; i++) {
    memcpy(copy, content, CONTENT);
    sum += (size_t)copy[i % CONTENT];
  }
  return times * CONTENT;
}

static size_t digests(size_t times)
{
  const uvsmtp_crypto_t *crypto = uvsmtp_tls_crypto();
  uint8_t out[UVSMTP_DIGEST_MAX];
  for (size_t i = 0; i < times; i++) {
    uvsmtp_digest_ctx_t ctx;
    if (crypto->digest_start(&ctx, UVSMTP_DIGEST_SHA256) != 0)
      return 0;
    crypto->digest_update(&ctx, content, CONTENT);
    crypto->digest_finish(&ctx, out);
    sum += out[0];
  }
  return times * CONTENT;
}

static void measure(const char *name, size_t times, size_t (*part)(size_t times))
{
  double best = 1e9;
  size_t octets = 0;
  for (int i = 0; i < ROUNDS; i++) {
    double start = seconds_now(), took;
    octets = part(times);
    took = seconds_now() - start;
    best = took < best ? took : best;
  }
  printf("%-34s %10.1f ns", name, best / (double)times * 1e9);
  if (octets > 0)
    printf("  %8.0f MB/s", (double)octets / best / 1e6);
  printf("\n");
}

int main(void)
{
  for (size_t i = 0; i < CONTENT; i++)
    content[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : (char)('a' + i % 26);
  measure("a session with its capabilities", 20000, greet);
  measure("a command and its reply", 500000, noops);
  measure("MAIL, RCPT, RSET and replies", 200000, envelopes);
  measure("a message of 1 KiB as a flight", 500000, flights);
  measure("a content of 64 KiB for DATA", 20000, dot_scan);
  measure("memchr over 64 KiB", 20000, with_memchr);
  measure("memcpy of 64 KiB", 20000, with_memcpy);
  measure("SHA-256 of 64 KiB", 1000, digests);
  return 0;
}
