#include "bench.h"

static void on_message(sink_t *sink, const sink_message_t *message, void *data)
{
  bench_t *b = data;
  for (size_t i = 0; i < message->recipient_count; i++) {
    unsigned n;
    if (sscanf(message->recipients[i].address, "u%u@", &n) != 1 || i != 0)
      continue;
    b->mails[n].stored++;
    b->mails[n].place = ++b->stored;
  }
}

void bench_on_closed(uvsmtp_client_t *client)
{
  bench_t *b = uvsmtp_client_data(client);
  uvsmtp_client_stats(client, &b->stats);
  assert_false(b->closed);
  assert_false(b->in_call);
  assert_int_equal(b->done, b->sent);
  b->closed = true;
  if (b->sink == NULL)
    return;
  b->counters = *sink_counters(b->sink);
  sink_close(b->sink, NULL);
  for (size_t i = 0; i < BENCH_SINKS; i++)
    if (b->others[i] != NULL)
      sink_close(b->others[i], NULL);
}

void bench_end(bench_t *b, uvsmtp_close_t how)
{
  b->in_call = true;
  uvsmtp_client_close(b->client, how, bench_on_closed);
  b->in_call = false;
}

void bench_on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  mail_t *mail = send->data;
  bench_t *b = mail->bench;
  assert_false(b->in_call);
  assert_false(b->closed);
  mail->calls++;
  mail->status = result->status;
  mail->err = result->err;
  mail->results = result->recipient_count;
  mail->cancelled = result->cancelled;
  mail->started_ms = result->started_ms;
  mail->connection = result->connection_id;
  snprintf(mail->text, sizeof(mail->text), "%s", result->error_text);
  for (size_t i = 0; b->people != NULL && i < result->recipient_count; i++)
    b->told[i] = "ardu"[result->recipients[i].status];
  assert_string_equal(result->recipients[0].address, mail->envelope.recipients[0].address);
  assert_true((result->err == 0) == (result->status == UVSMTP_ACCEPTED));
  assert_true(result->err == 0 || result->error_text[0] != '\0');
  b->done++;
  if (b->done == b->close_after)
    bench_end(b, b->how);
}

sink_t *bench_sink(bench_t *b, const char *script, uint16_t port)
{
  sink_options_t options = {.script = script, .port = port, .on_message = on_message, .data = b};
  char detail[256] = "";
  size_t i = 0;
  while (b->others[i] != NULL)
    i++;
  assert_true(i < BENCH_SINKS);
  if (sink_start(&b->others[i], &b->loop, &options, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
  return b->others[i];
}

void bench_open(bench_t *b, sink_options_t *sink)
{
  char detail[256] = "";
  memset(b, 0, sizeof(*b));
  assert_int_equal(uv_loop_init(&b->loop), 0);
  sink->on_message = on_message;
  sink->data = b;
  if (sink_start(&b->sink, &b->loop, sink, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
}

void bench_client(bench_t *b, uvsmtp_client_options_t *options,
                  uvsmtp_connection_options_t *connection)
{
  char detail[256] = "", host[] = "127.0.0.1";
  connection->host = host;
  connection->port = sink_port(b->sink);
  connection->tls = UVSMTP_TLS_NONE;
  connection->ehlo_domain = "client.example";
  options->connection = connection;
  options->data = b;
  if (uvsmtp_client_new(&b->client, &b->loop, options, detail, sizeof(detail)) != 0)
    fail_msg("%s", detail);
  memset(host, 'x', sizeof(host) - 1); /* it must have been copied */
}

void bench_start_with(bench_t *b, sink_options_t *sink, uvsmtp_client_options_t *options,
                      uvsmtp_connection_options_t *connection)
{
  bench_open(b, sink);
  bench_client(b, options, connection);
}

void bench_start(bench_t *b, const char *script, size_t connections)
{
  sink_options_t sink = {.script = script};
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  options.max_connections = connections;
  options.retry_delay_ms = 2;
  bench_start_with(b, &sink, &options, &connection);
}

int bench_post(bench_t *b, size_t i)
{
  return bench_post_with(b, i, NULL);
}

int bench_post_with(bench_t *b, size_t i, const uvsmtp_send_options_t *options)
{
  mail_t *mail = &b->mails[i];
  mail->bench = b;
  snprintf(mail->to, sizeof(mail->to), "u%zu@sink.example", i);
  snprintf(mail->body, sizeof(mail->body), "Subject: %zu\r\n\r\n.dots\r\nand text\r\n", i);
  mail->recipients[0].address = mail->to;
  mail->recipients[1].address = "second@sink.example";
  mail->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  mail->envelope.sender = "me@client.example";
  mail->envelope.recipients = mail->recipients;
  mail->envelope.recipient_count = 1 + i % 2;
  if (b->people != NULL) {
    mail->envelope.recipients = b->people;
    mail->envelope.recipient_count = 5;
  }
  mail->send.data = mail;
  uvsmtp_source_memory(&mail->source, mail->body, strlen(mail->body));
  b->in_call = true;
  int err = uvsmtp_client_send_with(b->client, &mail->send, &mail->envelope, &mail->source, options,
                                    bench_on_sent);
  b->in_call = false;
  mail->started = err == 0;
  b->sent += err == 0;
  return err;
}

void bench_post_many(bench_t *b, size_t count)
{
  for (size_t i = 0; i < count; i++)
    assert_int_equal(bench_post(b, i), 0);
}

void bench_finish(bench_t *b)
{
  uv_run(&b->loop, UV_RUN_DEFAULT);
  assert_true(b->closed);
  assert_int_equal(uv_loop_close(&b->loop), 0);
  assert_int_equal(b->done, b->sent);
  assert_int_equal(sink_violations(&b->counters), 0);
  for (size_t i = 0; i < MAX_MAILS; i++) {
    const mail_t *mail = &b->mails[i];
    assert_int_equal(mail->calls, mail->started ? 1 : 0);
    if (!mail->started)
      continue;
    assert_int_equal(mail->results, mail->envelope.recipient_count);
    if (mail->status == UVSMTP_ACCEPTED  ? mail->stored != 1
        : mail->status == UVSMTP_UNKNOWN ? mail->stored > 1
                                         : mail->stored != 0)
      fail_msg("message %zu: %s (%s), stored %u times", i, uvsmtp_status_name(mail->status),
               uvsmtp_err_name(mail->err), mail->stored);
  }
}

size_t bench_count_of(const bench_t *b, uvsmtp_status_t status)
{
  size_t count = 0;
  for (size_t i = 0; i < MAX_MAILS; i++)
    count += b->mails[i].started && b->mails[i].status == status;
  return count;
}
