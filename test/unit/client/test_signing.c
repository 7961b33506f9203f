/*
 * Messages that are signed off the loop's thread, through a client to the fake server: where the
 * signatures are made, what arrives, and what becomes of a message whose signature fails or comes
 * too late.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../message/dkim_key.h"
#include "sink/sink.h"
#include "uvsmtp.h"

enum { MAILS = 6 };

typedef struct {
  uvsmtp_send_t send;
  uvsmtp_source_t given, signed_one;
  uvsmtp_signing_t *signing;
  struct world_s *world;
  char bytes[200];
  int calls, err, stored;
  char text[200];
} mail_t;

typedef struct world_s {
  uv_loop_t loop;
  uv_timer_t late;
  sink_t *sink;
  sink_counters_t seen;
  uvsmtp_client_t *client;
  uvsmtp_dkim_t *signer;
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipient;
  mail_t mails[MAILS];
  size_t answered;
  bool abort_when_signing;
} world_t;

/* ---- a key that is watched ---- */

static uvsmtp_crypto_t watched;
static uv_thread_t loop_thread;
static struct {
  int elsewhere, here;
} signatures; /* one key signs one after the other */
static int fails_at;

static int watched_sign(uvsmtp_key_t *key, const void *bytes, size_t len, uint8_t *out,
                        size_t *out_len)
{
  uv_thread_t self = uv_thread_self();
  int *count = uv_thread_equal(&self, &loop_thread) ? &signatures.here : &signatures.elsewhere;
  if (++*count == fails_at)
    return UVSMTP_EKEY;
  return uvsmtp_tls_crypto()->sign(key, bytes, len, out, out_len);
}

/* ---- both sides ---- */

static void on_message(sink_t *sink, const sink_message_t *message, void *data)
{
  world_t *w = data;
  const char *body = message->body, *number = memmem(body, message->size, "Subject: ", 9);
  char size[40];
  assert_memory_equal(body, "DKIM-Signature: v=1; a=rsa-sha256;", 34);
  assert_non_null(number);
  snprintf(size, sizeof(size), "SIZE=%d", (int)message->size);
  assert_string_equal(message->params, size); /* known, and nothing else is needed */
  w->mails[number[9] - '0'].stored++;
}

static void on_sink_closed(sink_t *sink, void *data)
{
  world_t *w = data;
  w->seen = *sink_counters(sink);
}

static void on_client_closed(uvsmtp_client_t *client)
{
  world_t *w = uvsmtp_client_data(client);
  sink_close(w->sink, on_sink_closed);
  uv_close((uv_handle_t *)&w->late, NULL);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  mail_t *mail = send->data;
  world_t *w = mail->world;
  mail->calls++;
  mail->err = result->err;
  snprintf(mail->text, sizeof(mail->text), "%s", result->error_text);
  if (++w->answered == MAILS && !w->abort_when_signing)
    uvsmtp_client_close(w->client, UVSMTP_CLOSE_DRAIN, on_client_closed);
}

static void on_late(uv_timer_t *timer)
{
  world_t *w = timer->data;
  uvsmtp_client_close(w->client, UVSMTP_CLOSE_ABORT, on_client_closed);
}

static int work_and_abort(void *ctx, void (*run)(void *), void (*done)(void *), void *arg)
{
  world_t *w = ctx;
  uv_timer_start(&w->late, on_late, 0, 0);
  return uvsmtp_loop_work(&w->loop, run, done, arg);
}

/* ---- the world ---- */

static void start_sink(world_t *w)
{
  sink_options_t o = {.body = SINK_KEEP, .on_message = on_message, .data = w};
  char detail[256] = "";
  if (sink_start(&w->sink, &w->loop, &o, detail, sizeof(detail)) != 0)
    fail_msg("sink: %s", detail);
}

static void make_client(world_t *w, bool pipelining, bool chunking)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t o = UVSMTP_CLIENT_OPTIONS_INIT;
  connection.host = "127.0.0.1";
  connection.port = sink_port(w->sink);
  connection.tls = UVSMTP_TLS_NONE;
  connection.ehlo_domain = "client.example";
  connection.no_pipelining = !pipelining;
  connection.no_chunking = !chunking;
  o.connection = &connection;
  o.max_connections = 1;
  o.data = w;
  assert_int_equal(uvsmtp_client_new(&w->client, &w->loop, &o, NULL, 0), 0);
}

static void make_signer(world_t *w)
{
  uvsmtp_dkim_options_t o = UVSMTP_DKIM_OPTIONS_INIT;
  watched = *uvsmtp_tls_crypto();
  watched.sign = watched_sign;
  o.crypto = &watched;
  o.domain = "client.example";
  o.selector = "s";
  o.key = test_key;
  o.work = w->abort_when_signing ? work_and_abort : uvsmtp_loop_work;
  o.work_ctx = w->abort_when_signing ? (void *)w : (void *)&w->loop;
  assert_int_equal(uvsmtp_dkim_new(&w->signer, &o, NULL, 0), 0);
}

static void send_all(world_t *w)
{
  w->recipient.address = "r@there.example";
  w->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  w->envelope.sender = "s@client.example";
  w->envelope.recipients = &w->recipient;
  w->envelope.recipient_count = 1;
  for (int i = 0; i < MAILS; i++) {
    mail_t *mail = &w->mails[i];
    uvsmtp_signing_options_t o = UVSMTP_SIGNING_OPTIONS_INIT;
    mail->world = w;
    mail->send.data = mail;
    snprintf(mail->bytes, sizeof(mail->bytes),
             "From: s@client.example\r\nSubject: %d\r\n\r\nHello\r\n.\r\n", i);
    uvsmtp_source_memory(&mail->given, mail->bytes, strlen(mail->bytes));
    o.source = &mail->given;
    o.signers = &w->signer;
    o.signer_count = 1;
    assert_int_equal(uvsmtp_signing_new(&mail->signing, &o), 0);
    uvsmtp_signing_source(mail->signing, &mail->signed_one);
    assert_int_equal(
        uvsmtp_client_send(w->client, &mail->send, &w->envelope, &mail->signed_one, on_sent), 0);
  }
}

static void go(world_t *w, bool pipelining, bool chunking)
{
  memset(&signatures, 0, sizeof(signatures));
  loop_thread = uv_thread_self();
  assert_int_equal(uv_loop_init(&w->loop), 0);
  assert_int_equal(uv_timer_init(&w->loop, &w->late), 0);
  w->late.data = w;
  start_sink(w);
  make_client(w, pipelining, chunking);
  make_signer(w);
  send_all(w);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&w->loop), 0);
  for (int i = 0; i < MAILS; i++) {
    assert_int_equal(w->mails[i].calls, 1);
    uvsmtp_signing_free(w->mails[i].signing);
  }
  uvsmtp_dkim_free(w->signer);
  assert_int_equal(sink_violations(&w->seen), 0);
}

/* ---- tests ---- */

static void signatures_are_made_in_the_thread_pool(void **state)
{
  for (int mode = 0; mode < 3; mode++) {
    world_t w = {.answered = 0};
    fails_at = 0;
    go(&w, mode > 0, mode > 1);
    for (int i = 0; i < MAILS; i++) {
      assert_int_equal(w.mails[i].err, 0);
      assert_int_equal(w.mails[i].stored, 1);
    }
    assert_int_equal(signatures.elsewhere, MAILS);
    assert_int_equal(signatures.here, 0);
    assert_int_equal(w.seen.connections, 1);
  }
}

static void a_signature_that_fails_costs_one_message_and_no_connection(void **state)
{
  for (int mode = 0; mode < 3; mode++) {
    world_t w = {.answered = 0};
    fails_at = 3;
    go(&w, mode > 0, mode > 1);
    for (int i = 0; i < MAILS; i++) {
      assert_int_equal(w.mails[i].err, i == 2 ? UVSMTP_EKEY : 0);
      assert_int_equal(w.mails[i].stored, i != 2);
    }
    assert_string_equal(w.mails[2].text, "the signing key cannot be used: the signing key failed");
    assert_int_equal(w.seen.connections, 1);
    assert_int_equal(w.seen.cut_messages, 0);
  }
}

static void closing_while_a_signature_is_made_answers_every_send(void **state)
{
  for (int mode = 0; mode < 3; mode++) {
    world_t w = {.abort_when_signing = true};
    fails_at = 0;
    go(&w, mode > 0, mode > 1);
    for (int i = 0; i < MAILS; i++) {
      assert_int_equal(uvsmtp_err_class(w.mails[i].err), UVSMTP_CLASS_CANCELLED);
      assert_int_equal(w.mails[i].stored, 0);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(signatures_are_made_in_the_thread_pool),
      cmocka_unit_test(a_signature_that_fails_costs_one_message_and_no_connection),
      cmocka_unit_test(closing_while_a_signature_is_made_answers_every_send),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
