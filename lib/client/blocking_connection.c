/*
 * A connection that waits for each reply: one of its own, or one that a client has lent.
 */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "client/blocking.h"

/* The words of all replies to one command. */
#define WORDS_MAX ((size_t)16 * 1024 * 1024)
#define REPLIES_AT_FIRST 4

struct uvsmtp_blocking_connection_s {
  uvsmtp_mem_t mem;
  uvsmtp__blocking_t own;
  uvsmtp__blocking_t *b;            /* `own`, or that of the client */
  uvsmtp_blocking_client_t *client; /* who has lent it, or NULL */
  uvsmtp_connection_t *connection;  /* NULL: closed */
  bool over;                        /* it has ended: nothing can be sent on it */
  int err;                          /* of the call */
  char text[768];                   /* about `err`; of what is over, why */
  uvsmtp_request_t request;
  uvsmtp_reply_t *replies; /* to the last command */
  size_t reply_count, room;
  uvsmtp__buffer_t words; /* of the replies, one behind the other */
  uvsmtp__kept_t *kept;   /* the result of the last message */
};

static void note_error(uvsmtp_blocking_connection_t *c, const uvsmtp_error_t *error)
{
  c->err = error->err;
  snprintf(c->text, sizeof(c->text), "%s", error->text);
  c->over = true;
  c->b->done = true;
}

/* ---- calls -------------------------------------------------------------------------------- */

static void forget_replies(uvsmtp_blocking_connection_t *c)
{
  c->reply_count = 0;
  uvsmtp__buffer_clear(&c->words);
}

static int begin(uvsmtp_blocking_connection_t *c, const uvsmtp_reply_t **reply)
{
  if (reply != NULL)
    *reply = NULL;
  int err = uvsmtp__blocking_enter(c->b);
  if (err != 0)
    return err;
  forget_replies(c);
  c->err = 0;
  c->request.data = c;
  if (c->over || c->connection == NULL)
    return uvsmtp__blocking_leave(c->b, UVSMTP_ECLOSING, c->text);
  return 0;
}

static void on_closed(uvsmtp_connection_t *connection)
{
  uvsmtp_blocking_connection_t *c = uvsmtp_connection_get_data(connection);
  c->connection = NULL;
  c->b->done = true;
}

/* What is under way on it ends with the connection; those who wait are told. */
static void abort_connection(void *ctx)
{
  uvsmtp_blocking_connection_t *c = ctx;
  c->over = true;
  if (c->client == NULL) {
    uvsmtp_connection_close(c->connection, on_closed);
    return;
  }
  uvsmtp__blocking_client_take_back(c->client, c->connection);
  c->connection = NULL;
}

/* Not an error of the call that saw it. */
static void on_lost(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  uvsmtp_blocking_connection_t *c = uvsmtp_connection_get_data(connection);
  c->over = true;
  snprintf(c->text, sizeof(c->text), "%s", error->text);
}

/* ---- opening and closing ------------------------------------------------------------------ */

static uvsmtp_blocking_connection_t *make(const uvsmtp_mem_t *mem)
{
  uvsmtp_blocking_connection_t *c = uvsmtp__calloc(mem, 1, sizeof(*c));
  if (c == NULL)
    return NULL;
  c->mem = *mem;
  c->replies = uvsmtp__calloc(mem, REPLIES_AT_FIRST, sizeof(*c->replies));
  if (c->replies == NULL) {
    uvsmtp__free(mem, c);
    return NULL;
  }
  c->room = REPLIES_AT_FIRST;
  uvsmtp__buffer_init(&c->words, &c->mem, WORDS_MAX);
  return c;
}

void uvsmtp__blocking_connection_free(uvsmtp_blocking_connection_t *c)
{
  uvsmtp_mem_t mem = c->mem;
  uvsmtp__buffer_free(&c->words);
  uvsmtp__kept_free(c->kept);
  uvsmtp__free(&mem, c->replies);
  uvsmtp__free(&mem, c);
}

static void on_open(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  uvsmtp_blocking_connection_t *c = uvsmtp_connection_get_data(connection);
  if (error->err != 0)
    note_error(c, error);
  c->b->done = true;
}

static void wait_for_close(uvsmtp_blocking_connection_t *c)
{
  c->b->done = c->connection == NULL;
  uvsmtp__blocking_wait(c->b, abort_connection, c);
}

static int open_connection(uvsmtp_blocking_connection_t *c,
                           const uvsmtp_connection_options_t *options, char *detail, size_t size)
{
  int err = uvsmtp_connection_open(&c->connection, &c->b->loop, options, on_open, detail, size);
  if (err != 0)
    return err;
  uvsmtp_connection_set_data(c->connection, c);
  uvsmtp_connection_on_lost(c->connection, on_lost);
  uvsmtp__blocking_wait(c->b, abort_connection, c);
  if (c->err == 0)
    return 0;
  err = c->b->stopped != 0 ? c->b->stopped : c->err;
  if (detail != NULL && size > 0)
    snprintf(detail, size, "%s", c->b->stopped != 0 ? uvsmtp_strerror(err) : c->text);
  if (c->connection != NULL)
    uvsmtp_connection_close(c->connection, on_closed);
  wait_for_close(c);
  return err;
}

int uvsmtp_blocking_connection_open(uvsmtp_blocking_connection_t **out,
                                    const uvsmtp_connection_options_t *options, char *detail,
                                    size_t detail_size)
{
  if (detail != NULL && detail_size > 0)
    detail[0] = '\0';
  if (out == NULL || options == NULL)
    return UVSMTP_EINVAL;
  *out = NULL;
  uvsmtp_blocking_connection_t *c = make(uvsmtp__mem(options->mem));
  if (c == NULL)
    return UVSMTP_ENOMEM;
  c->b = &c->own;
  int err = uvsmtp__blocking_init(c->b, &c->mem);
  if (err != 0) {
    uvsmtp__blocking_connection_free(c);
    return err;
  }
  uvsmtp__blocking_enter(c->b);
  err = open_connection(c, options, detail, detail_size);
  if (err != 0) {
    uvsmtp__blocking_end(c->b);
    uvsmtp__blocking_connection_free(c);
    return err;
  }
  *out = c;
  return uvsmtp__blocking_leave(c->b, 0, NULL);
}

uvsmtp_blocking_connection_t *uvsmtp__blocking_connection_lend(uvsmtp__blocking_t *b,
                                                               uvsmtp_blocking_client_t *client)
{
  uvsmtp_blocking_connection_t *c = make(&b->mem);
  if (c == NULL)
    return NULL;
  c->b = b;
  c->client = client;
  return c;
}

void uvsmtp__blocking_connection_got(uvsmtp_blocking_connection_t *c,
                                     uvsmtp_connection_t *connection)
{
  c->connection = connection;
  uvsmtp_connection_set_data(connection, c);
  uvsmtp_connection_on_lost(connection, on_lost);
}

static int give_back(uvsmtp_blocking_connection_t *c)
{
  uvsmtp__blocking_t *b = c->b;
  if (c->connection != NULL)
    uvsmtp__blocking_client_take_back(c->client, c->connection);
  uvsmtp__blocking_client_returned(c->client);
  uvsmtp__blocking_connection_free(c);
  return uvsmtp__blocking_leave(b, 0, NULL);
}

int uvsmtp_blocking_connection_close(uvsmtp_blocking_connection_t *c)
{
  if (c == NULL)
    return 0;
  int err = uvsmtp__blocking_enter(c->b);
  if (err != 0)
    return err;
  if (c->client != NULL)
    return give_back(c);
  if (c->connection != NULL)
    uvsmtp_connection_quit(c->connection, on_closed);
  wait_for_close(c);
  err = uvsmtp__blocking_end(c->b);
  if (err != 0)
    return uvsmtp__blocking_leave(c->b, err, "the loop has handles that are not closed");
  uvsmtp__blocking_connection_free(c);
  return 0;
}

/* ---- commands ----------------------------------------------------------------------------- */

/* Makes room for one more; without memory, the last one makes way, and its words too. */
static uvsmtp_reply_t *next_place(uvsmtp_blocking_connection_t *c)
{
  if (c->reply_count == c->room) {
    uvsmtp_reply_t *larger =
        uvsmtp__realloc_array(&c->mem, c->replies, c->room * 2, sizeof(*c->replies));
    if (larger == NULL) {
      c->words.end -= c->replies[c->reply_count - 1].raw.len;
      c->err = UVSMTP_ENOMEM;
      snprintf(c->text, sizeof(c->text), "out of memory for the replies");
      return &c->replies[c->reply_count - 1];
    }
    c->replies = larger;
    c->room *= 2;
  }
  return &c->replies[c->reply_count++];
}

static void keep_reply(uvsmtp_blocking_connection_t *c, const uvsmtp_reply_t *reply)
{
  uvsmtp_reply_t *kept = next_place(c);
  *kept = *reply;
  if (uvsmtp__buffer_append(&c->words, reply->raw.base, reply->raw.len) != 0) {
    kept->raw.len = 0;
    kept->lines = 0;
  }
}

/* The words may have moved while they came. */
static void place_words(uvsmtp_blocking_connection_t *c)
{
  const char *at = c->words.base == NULL ? "" : uvsmtp__buffer_data(&c->words);
  for (size_t i = 0; i < c->reply_count; i++) {
    c->replies[i].raw.base = at;
    at += c->replies[i].raw.len;
  }
}

static void on_reply(uvsmtp_request_t *request, const uvsmtp_reply_t *reply, bool more,
                     const uvsmtp_error_t *error)
{
  uvsmtp_blocking_connection_t *c = request->data;
  if (reply == NULL) {
    note_error(c, error);
    return;
  }
  keep_reply(c, reply);
  c->b->done = !more;
}

/* A command was issued with `err` as the result: waits for what it leads to. */
static int end(uvsmtp_blocking_connection_t *c, int err, const uvsmtp_reply_t **reply)
{
  if (err != 0)
    return uvsmtp__blocking_leave(c->b, err, err == UVSMTP_ECLOSING ? c->text : NULL);
  uvsmtp__blocking_wait(c->b, abort_connection, c);
  place_words(c);
  if (reply != NULL && (c->err == 0 || c->err == UVSMTP_ENOMEM))
    *reply = &c->replies[c->reply_count - 1];
  return uvsmtp__blocking_leave(c->b, c->err, c->text);
}

int uvsmtp_blocking_connection_mail(uvsmtp_blocking_connection_t *c,
                                    const uvsmtp_envelope_t *envelope,
                                    const uvsmtp_mail_needs_t *needs, const uvsmtp_reply_t **reply)
{
  int err = begin(c, reply);
  if (err != 0)
    return err;
  err = uvsmtp_connection_mail(c->connection, &c->request, envelope, needs, on_reply);
  return end(c, err, reply);
}

int uvsmtp_blocking_connection_recipient(uvsmtp_blocking_connection_t *c,
                                         const uvsmtp_recipient_t *recipient,
                                         const uvsmtp_reply_t **reply)
{
  int err = begin(c, reply);
  if (err != 0)
    return err;
  err = uvsmtp_connection_recipient(c->connection, &c->request, recipient, on_reply);
  return end(c, err, reply);
}

int uvsmtp_blocking_connection_data(uvsmtp_blocking_connection_t *c, const char *bytes, size_t len,
                                    const uvsmtp_reply_t **reply)
{
  int err = begin(c, reply);
  if (err != 0)
    return err;
  err = uvsmtp_connection_data(c->connection, &c->request, bytes, len, on_reply);
  return end(c, err, reply);
}

int uvsmtp_blocking_connection_chunk(uvsmtp_blocking_connection_t *c, const uvsmtp_slice_t *slices,
                                     size_t count, bool last, const uvsmtp_reply_t **reply)
{
  int err = begin(c, reply);
  if (err != 0)
    return err;
  err = uvsmtp_connection_chunk(c->connection, &c->request, slices, count, last, on_reply);
  return end(c, err, reply);
}

/* Commands without an argument, and with a string. */
#define COMMAND(name)                                                                              \
  int uvsmtp_blocking_connection_##name(uvsmtp_blocking_connection_t *c,                           \
                                        const uvsmtp_reply_t **reply)                              \
  {                                                                                                \
    int err = begin(c, reply);                                                                     \
    if (err != 0)                                                                                  \
      return err;                                                                                  \
    err = uvsmtp_connection_##name(c->connection, &c->request, on_reply);                          \
    return end(c, err, reply);                                                                     \
  }
#define COMMAND_WITH(name)                                                                         \
  int uvsmtp_blocking_connection_##name(uvsmtp_blocking_connection_t *c, const char *text,         \
                                        const uvsmtp_reply_t **reply)                              \
  {                                                                                                \
    int err = begin(c, reply);                                                                     \
    if (err != 0)                                                                                  \
      return err;                                                                                  \
    err = uvsmtp_connection_##name(c->connection, &c->request, text, on_reply);                    \
    return end(c, err, reply);                                                                     \
  }

COMMAND(start_data)
COMMAND(reset)
COMMAND(noop)
COMMAND_WITH(vrfy)
COMMAND_WITH(expn)
COMMAND_WITH(help)
COMMAND_WITH(command)

const uvsmtp_reply_t *uvsmtp_blocking_connection_replies(const uvsmtp_blocking_connection_t *c,
                                                         size_t *count)
{
  *count = c->reply_count;
  return c->replies;
}

/* ---- messages ----------------------------------------------------------------------------- */

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  uvsmtp_blocking_connection_t *c = send->data;
  uvsmtp__blocking_keep(c->b, c->kept, result);
  if (uvsmtp_err_class(result->err) == UVSMTP_CLASS_NETWORK)
    snprintf(c->text, sizeof(c->text), "%s", result->error_text);
  c->b->done = true;
}

static void abort_send(void *ctx)
{
  uvsmtp_send_t *send = ctx;
  uvsmtp_send_cancel(send);
}

static int send_message(uvsmtp_blocking_connection_t *c, const uvsmtp_envelope_t *envelope,
                        uvsmtp_source_t *source)
{
  uvsmtp_send_t send = {.data = c};
  size_t recipients = envelope->recipients != NULL ? envelope->recipient_count : 0;
  uvsmtp__kept_free(c->kept);
  c->kept = uvsmtp__kept_new(&c->mem, recipients);
  if (c->kept == NULL)
    return UVSMTP_ENOMEM;
  int err = uvsmtp_connection_send(c->connection, &send, envelope, source, on_sent);
  if (err != 0)
    uvsmtp__blocking_refuse(c->kept, envelope, err);
  else
    uvsmtp__blocking_wait(c->b, abort_send, &send);
  return c->kept->result.err;
}

/* `*kept` stays NULL if there is no place for a result. */
static int send_and_keep(uvsmtp_blocking_connection_t *c, const uvsmtp_envelope_t *envelope,
                         uvsmtp_source_t *source, uvsmtp__kept_t **kept)
{
  int err = begin(c, NULL);
  if (err != 0)
    return err;
  if (envelope == NULL || source == NULL)
    return uvsmtp__blocking_leave(c->b, UVSMTP_EINVAL, NULL);
  err = send_message(c, envelope, source);
  *kept = c->kept;
  return uvsmtp__blocking_leave(c->b, err, *kept != NULL ? (*kept)->result.error_text : NULL);
}

int uvsmtp_blocking_connection_send(uvsmtp_blocking_connection_t *c,
                                    const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                                    const uvsmtp_result_t **result)
{
  uvsmtp__kept_t *kept = NULL;
  int err = send_and_keep(c, envelope, source, &kept);
  if (result != NULL)
    *result = kept != NULL ? &kept->result : uvsmtp__blocking_not_begun(c->b, err);
  return err;
}

/* ---- looking ------------------------------------------------------------------------------ */

void uvsmtp_blocking_connection_set_timeout(uvsmtp_blocking_connection_t *c, uint64_t timeout_ms)
{
  c->b->timeout_ms = timeout_ms;
}

void uvsmtp_blocking_connection_cancel(uvsmtp_blocking_connection_t *c)
{
  uvsmtp__blocking_cancel(c->b);
}

const char *uvsmtp_blocking_connection_error_text(const uvsmtp_blocking_connection_t *c)
{
  return c->b->text;
}

uvsmtp_connection_t *uvsmtp_blocking_connection_connection(const uvsmtp_blocking_connection_t *c)
{
  return c->connection;
}

uv_loop_t *uvsmtp_blocking_connection_loop(uvsmtp_blocking_connection_t *c)
{
  return &c->b->loop;
}
