/*
 * A client that waits. One send is a batch of one.
 */
#include "client/blocking.h"

#include <stdio.h>

#include "base/list.h"
#include "base/mem.h"
#include "client/internal.h"

struct uvsmtp_blocking_client_s {
  uvsmtp__blocking_t b;
  uvsmtp_client_t *client; /* NULL: closed */
  size_t lent;
  uvsmtp__kept_t *kept; /* of uvsmtp_blocking_client_send */
};

/* ---- making and closing ------------------------------------------------------------------- */

int uvsmtp_blocking_client_new(uvsmtp_blocking_client_t **out,
                               const uvsmtp_client_options_t *options, char *detail,
                               size_t detail_size)
{
  if (detail != NULL && detail_size > 0)
    detail[0] = '\0';
  if (out == NULL || options == NULL)
    return UVSMTP_EINVAL;
  *out = NULL;
  const uvsmtp_mem_t mem = *uvsmtp__mem(options->mem);
  uvsmtp_blocking_client_t *c = uvsmtp__calloc(&mem, 1, sizeof(*c));
  if (c == NULL)
    return UVSMTP_ENOMEM;
  int err = uvsmtp__blocking_init(&c->b, &mem);
  if (err != 0) {
    uvsmtp__free(&mem, c);
    return err;
  }
  uvsmtp__blocking_enter(&c->b);
  err = uvsmtp_client_new(&c->client, &c->b.loop, options, detail, detail_size);
  if (err != 0) {
    uvsmtp__blocking_end(&c->b);
    uvsmtp__free(&mem, c);
    return err;
  }
  uvsmtp__blocking_leave(&c->b, 0, NULL);
  *out = c;
  return 0;
}

int uvsmtp_blocking_client_new_url(uvsmtp_blocking_client_t **client, const char *urls)
{
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  options.urls = urls;
  return uvsmtp_blocking_client_new(client, &options, NULL, 0);
}

static void on_closed(uvsmtp_client_t *client)
{
  uvsmtp_blocking_client_t *c = UVSMTP__CONTAINER(client->loop, uvsmtp_blocking_client_t, b.loop);
  c->client = NULL;
  c->b.done = true;
}

static void abort_close(void *ctx)
{
  uvsmtp_blocking_client_t *c = ctx;
  uvsmtp_client_close(c->client, UVSMTP_CLOSE_ABORT, NULL);
}

static void free_client(uvsmtp_blocking_client_t *c)
{
  uvsmtp_mem_t mem = c->b.mem;
  uvsmtp__kept_free(c->kept);
  uvsmtp__free(&mem, c);
}

int uvsmtp_blocking_client_close(uvsmtp_blocking_client_t *c)
{
  if (c == NULL)
    return 0;
  int err = uvsmtp__blocking_enter(&c->b);
  if (err != 0)
    return err;
  if (c->lent > 0)
    return uvsmtp__blocking_leave(&c->b, UVSMTP_EBUSY, "a connection of the client is still lent");
  if (c->client != NULL) {
    uvsmtp_client_close(c->client, UVSMTP_CLOSE_DRAIN, on_closed);
    uvsmtp__blocking_wait(&c->b, abort_close, c);
  }
  err = uvsmtp__blocking_end(&c->b);
  if (err != 0)
    return uvsmtp__blocking_leave(&c->b, err, "the loop has handles that are not closed");
  free_client(c);
  return 0;
}

/* ---- sending ------------------------------------------------------------------------------ */

typedef struct batch_s {
  uvsmtp_blocking_client_t *client;
  uvsmtp_blocking_send_t *sends;
  size_t count, begun, open; /* open: handed over and not told */
  bool stopped;
} batch_t;

static void drop_results(uvsmtp_blocking_client_t *c)
{
  uvsmtp__kept_free(c->kept);
  c->kept = NULL;
}

static uvsmtp__kept_t *kept_of(uvsmtp_blocking_send_t *s)
{
  return (uvsmtp__kept_t *)(uintptr_t)s->result;
}

/* Makes the place for every result, so that memory cannot run out where one is known. */
static int reserve_results(batch_t *batch)
{
  for (size_t i = 0; i < batch->count; i++) {
    uvsmtp_blocking_send_t *s = &batch->sends[i];
    const uvsmtp_envelope_t *envelope = s->envelope;
    size_t recipients = envelope->recipients != NULL ? envelope->recipient_count : 0;
    uvsmtp__kept_t *kept = uvsmtp__kept_new(&batch->client->b.mem, recipients);
    if (kept == NULL)
      return UVSMTP_ENOMEM;
    kept->next = batch->client->kept;
    batch->client->kept = kept;
    s->result = &kept->result;
  }
  return 0;
}

static void begin_more(batch_t *batch);

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  batch_t *batch = send->data;
  uvsmtp_blocking_send_t *s = UVSMTP__CONTAINER(send, uvsmtp_blocking_send_t, send);
  uvsmtp__blocking_keep(&batch->client->b, kept_of(s), result);
  send->data = NULL;
  batch->open--;
  begin_more(batch);
}

/* 0, or why it cannot be begun; UVSMTP_EQUEUEFULL: not now. */
static int begin(batch_t *batch, uvsmtp_blocking_send_t *s)
{
  if (batch->stopped)
    return batch->client->b.stopped;
  s->send.data = batch;
  int err = uvsmtp_client_send_with(batch->client->client, &s->send, s->envelope, s->source,
                                    s->options, on_sent);
  if (err != 0)
    s->send.data = NULL;
  return err;
}

/* Hands over as many as the client's queue takes; the end of one makes room for the next. */
static void begin_more(batch_t *batch)
{
  while (batch->begun < batch->count) {
    uvsmtp_blocking_send_t *s = &batch->sends[batch->begun];
    int err = begin(batch, s);
    if (err == UVSMTP_EQUEUEFULL && batch->open > 0)
      return;
    batch->begun++;
    if (err == 0)
      batch->open++;
    else
      uvsmtp__blocking_refuse(kept_of(s), s->envelope, err);
  }
  batch->client->b.done = batch->open == 0;
}

static void abort_batch(void *ctx)
{
  batch_t *batch = ctx;
  batch->stopped = true;
  for (size_t i = 0; i < batch->begun; i++)
    if (batch->sends[i].send.data != NULL)
      uvsmtp_send_cancel(&batch->sends[i].send);
  begin_more(batch);
}

static int send_batch(batch_t *batch)
{
  uvsmtp_blocking_client_t *c = batch->client;
  drop_results(c);
  int err = reserve_results(batch);
  if (err != 0) {
    drop_results(c);
    return uvsmtp__blocking_leave(&c->b, err, NULL);
  }
  begin_more(batch);
  uvsmtp__blocking_wait(&c->b, abort_batch, batch);
  for (size_t i = 0; i < batch->count; i++) {
    const uvsmtp_result_t *result = batch->sends[i].result;
    if (result->err != 0)
      return uvsmtp__blocking_leave(&c->b, result->err, result->error_text);
  }
  return uvsmtp__blocking_leave(&c->b, 0, NULL);
}

int uvsmtp_blocking_client_send(uvsmtp_blocking_client_t *c, const uvsmtp_envelope_t *envelope,
                                uvsmtp_source_t *source, const uvsmtp_result_t **result)
{
  uvsmtp_blocking_send_t s = {.envelope = envelope, .source = source};
  int err = uvsmtp_blocking_client_send_many(c, &s, 1);
  if (result != NULL)
    *result = s.result != NULL ? s.result : uvsmtp__blocking_not_begun(&c->b, err);
  return err;
}

int uvsmtp_blocking_client_send_many(uvsmtp_blocking_client_t *c, uvsmtp_blocking_send_t *sends,
                                     size_t count)
{
  batch_t batch = {.client = c, .sends = sends, .count = count};
  bool whole = true;
  for (size_t i = 0; i < count; i++) {
    sends[i].result = NULL;
    whole = whole && sends[i].envelope != NULL && sends[i].source != NULL;
  }
  int err = uvsmtp__blocking_enter(&c->b);
  if (err != 0)
    return err;
  if (!whole)
    return uvsmtp__blocking_leave(&c->b, UVSMTP_EINVAL, "a message has no envelope or no source");
  return send_batch(&batch);
}

/* ---- lending ------------------------------------------------------------------------------ */

typedef struct loan_s {
  uvsmtp_borrow_t borrow;
  uvsmtp_blocking_client_t *client;
  uvsmtp_connection_t *connection;
  int err;
  char text[512];
} loan_t;

static void on_borrowed(uvsmtp_borrow_t *borrow, uvsmtp_connection_t *connection,
                        const uvsmtp_error_t *error)
{
  loan_t *loan = borrow->data;
  loan->connection = connection;
  loan->err = error->err;
  snprintf(loan->text, sizeof(loan->text), "%s", error->text);
  loan->client->b.done = true;
}

static void abort_loan(void *ctx)
{
  loan_t *loan = ctx;
  uvsmtp_borrow_cancel(&loan->borrow);
}

int uvsmtp_blocking_client_borrow(uvsmtp_blocking_client_t *c,
                                  uvsmtp_blocking_connection_t **connection)
{
  loan_t loan = {.client = c};
  *connection = NULL;
  int err = uvsmtp__blocking_enter(&c->b);
  if (err != 0)
    return err;
  uvsmtp_blocking_connection_t *lent = uvsmtp__blocking_connection_lend(&c->b, c);
  if (lent == NULL)
    return uvsmtp__blocking_leave(&c->b, UVSMTP_ENOMEM, NULL);
  loan.borrow.data = &loan;
  loan.err = uvsmtp_client_borrow(c->client, &loan.borrow, on_borrowed);
  if (loan.err == 0)
    uvsmtp__blocking_wait(&c->b, abort_loan, &loan);
  if (loan.err != 0) {
    uvsmtp__blocking_connection_free(lent);
    return uvsmtp__blocking_leave(&c->b, loan.err, loan.text);
  }
  c->lent++;
  uvsmtp__blocking_connection_got(lent, loan.connection);
  *connection = lent;
  return uvsmtp__blocking_leave(&c->b, 0, NULL);
}

void uvsmtp__blocking_client_take_back(uvsmtp_blocking_client_t *c, uvsmtp_connection_t *connection)
{
  uvsmtp_client_give_back(c->client, connection);
}

void uvsmtp__blocking_client_returned(uvsmtp_blocking_client_t *c)
{
  c->lent--;
}

/* ---- looking ------------------------------------------------------------------------------ */

void uvsmtp_blocking_client_set_timeout(uvsmtp_blocking_client_t *c, uint64_t timeout_ms)
{
  c->b.timeout_ms = timeout_ms;
}

void uvsmtp_blocking_client_cancel(uvsmtp_blocking_client_t *c)
{
  uvsmtp__blocking_cancel(&c->b);
}

const char *uvsmtp_blocking_client_error_text(const uvsmtp_blocking_client_t *c)
{
  return c->b.text;
}

uvsmtp_client_t *uvsmtp_blocking_client_client(const uvsmtp_blocking_client_t *c)
{
  return c->client;
}

uv_loop_t *uvsmtp_blocking_client_loop(uvsmtp_blocking_client_t *c)
{
  return &c->b.loop;
}
