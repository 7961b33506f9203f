/*
 * Most messages go a short way through the pump, and those of which more is asked go step by step.
 * Nobody can tell: the same messages, to a server whose answers are a matter of chance, once as
 * they are and once so that they go the long way, have the same results, word for word, and the
 * same octets on the wire.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "chance.h"
#include "fickle.h"
#include "scarce.h"
#include "uvsmtp.h"

enum { MAILS = 12, RECIPIENTS = 3, SESSIONS = 3 };

/* How the messages are sent. */
typedef enum {
  AS_THEY_ARE,
  TRACED,      /* each reply is read by itself */
  WATCHED,     /* their progress is told */
  WITHOUT_ALL, /* their sources cannot give all at once, but a piece that stays in place */
  WAYS
} way_t;

typedef struct {
  uvsmtp_send_t send;
  uvsmtp_source_t source;
  uvsmtp_source_ops_t ops;
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipients[RECIPIENTS];
  char addresses[RECIPIENTS][100];
  struct world_s *world;
  unsigned number;
  bool sent, kept, told;
  char status[RECIPIENTS];
  unsigned stored[RECIPIENTS];
  char *text;
  size_t text_len;
} mail_t;

typedef struct world_s {
  uv_loop_t loop;
  chance_t chance;
  uint64_t seed;
  way_t way;
  uvsmtp_connection_options_t options;
  fickle_t servers[SESSIONS];
  uv_pipe_t pipes[SESSIONS];
  uvsmtp_history_t *history;
  scarce_t scarce;
  size_t sessions;
  uvsmtp_connection_t *connection;
  mail_t mails[MAILS];
  unsigned mail_count, next, under_way, cancel_at, cancelled;
  char *record; /* all that was told */
  size_t record_len, record_room;
} world_t;

static void note(world_t *w, const char *format, ...)
{
  va_list arguments;
  if (w->record_room - w->record_len < 4096) {
    w->record_room = w->record_room * 2 + 8192;
    w->record = realloc(w->record, w->record_room);
  }
  va_start(arguments, format);
  w->record_len += (size_t)vsnprintf(w->record + w->record_len, 4096, format, arguments);
  va_end(arguments);
}

/* ---- messages ---- */

static const char *const senders[] = {"sender@x.example", "a-much-longer.sender_of@mail.x.example",
                                      "s@x", "x+y@z.example", NULL};

static void make_address(char *out, size_t size, chance_t *chance, unsigned mail, unsigned r)
{
  static const char *const forms[] = {"r%u.m%u@there.example",
                                      "r%u.m%u@there.example",
                                      "r%u.m%u@there.example",
                                      ("r%u.m%u@a-very-long-name-of-a-"
                                       "host-that-does-not-fit.there-at-all.example"),
                                      "r%u.m%u@t",
                                      "r%u.m%u+odd@there.example",
                                      "r%u.m%u odd@there.example",
                                      "r%u.m%u..@there.example",
                                      "r%u.m%u@th\xc3\xa9re.example",
                                      "r%u.m%u"};
  size_t form = chance_below(chance, chance_below(chance, 3) == 0 ? 10 : 3);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  snprintf(out, size, forms[form], r, mail);
#pragma GCC diagnostic pop
}

static void make_text(mail_t *mail, chance_t *chance)
{
  static const char *const lines[] = {"Hello\r\n", "And some more of it, as letters are\r\n",
                                      "\r\n", "x\r\n"};
  static const char *const odd[] = {".\r\n",
                                    "..and so on\r\n",
                                    "\xe4\xf6\xfc\r\n",
                                    "bare\nline\n",
                                    "bare\rcr\r\n",
                                    "no end",
                                    "\r",
                                    ""};
  size_t most = chance_below(chance, chance_below(chance, 6) == 0 ? 3000 : 200);
  bool plain = chance_below(chance, 3) != 0;
  char *at;
  if (chance_below(chance, 24) == 0) /* more than goes out at a time, or than the server takes */
    most = 60000 + chance_below(chance, 60000);
  at = mail->text = malloc(most + 64);
  assert_non_null(at);
  while ((size_t)(at - mail->text) < most)
    at = stpcpy(at, lines[chance_below(chance, 4)]);
  if (!plain)
    at = stpcpy(at, odd[chance_below(chance, 8)]);
  mail->text_len = (size_t)(at - mail->text);
}

static void make_mail(world_t *w, unsigned number)
{
  mail_t *mail = &w->mails[number];
  uvsmtp_envelope_t *envelope = &mail->envelope;
  chance_t *chance = &w->chance;
  mail->world = w;
  mail->number = number;
  *envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  envelope->sender = senders[chance_below(chance, chance_below(chance, 4) == 0 ? 5 : 2)];
  envelope->recipients = mail->recipients;
  envelope->recipient_count = chance_below(chance, 4) == 0 ? 1 + chance_below(chance, 3) : 1;
  for (unsigned r = 0; r < envelope->recipient_count; r++) {
    make_address(mail->addresses[r], sizeof(mail->addresses[r]), chance, number, r);
    mail->recipients[r].address = mail->addresses[r];
  }
  if (chance_below(chance, 8) == 0)
    envelope->flags |= UVSMTP_ENVELOPE_PRDR;
  if (chance_below(chance, 16) == 0)
    envelope->flags |= UVSMTP_ENVELOPE_ALL_OR_NONE;
  if (chance_below(chance, 16) == 0)
    mail->recipients[0].notify = UVSMTP_NOTIFY_FAILURE;
  make_text(mail, chance);
}

static void on_progress(uvsmtp_send_t *send, uint64_t sent, uint64_t total)
{
}

static void prepare(mail_t *mail, way_t way)
{
  uvsmtp_source_memory(&mail->source, mail->text, mail->text_len);
  mail->send.data = mail;
  if (way == WATCHED)
    mail->send.progress = on_progress;
  if (way == WITHOUT_ALL) {
    mail->ops = *mail->source.ops;
    mail->ops.whole = NULL;
    mail->source.ops = &mail->ops;
  }
}

/* ---- sending ---- */

static void begin_session(world_t *w);
static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result);

static void send_some(world_t *w)
{
  chance_t chance = chance_of(w->seed + w->next);
  size_t count = 1 + chance_below(&chance, MAILS);
  for (; count > 0 && w->next < w->mail_count; count--) {
    mail_t *mail = &w->mails[w->next++];
    int err =
        uvsmtp_connection_send(w->connection, &mail->send, &mail->envelope, &mail->source, on_sent);
    mail->sent = err == 0;
    w->under_way += mail->sent;
    if (err != 0)
      note(w, "m%u: not taken, %s\n", mail->number, uvsmtp_err_name(err));
  }
}

static void on_closed(uvsmtp_connection_t *c)
{
  world_t *w = uvsmtp_connection_get_data(c);
  w->connection = NULL;
  note(w, "closed\n");
  for (unsigned i = 0; i < w->mail_count; i++)
    if (w->mails[i].kept) {
      begin_session(w);
      return;
    }
}

static void note_result(world_t *w, mail_t *mail, const uvsmtp_result_t *result)
{
  note(w, "m%u: %s %s \"%s\" %d %d %d %u.%u.%u \"%s\" id \"%s\" %u%s%s\n", mail->number,
       uvsmtp_status_name(result->status), uvsmtp_err_name(result->err), result->error_text,
       result->phase_known, (int)result->phase, result->code, result->enhanced[0],
       result->enhanced[1], result->enhanced[2], result->text, result->queue_id,
       result->transactions, result->retry_is_safe ? " safe" : "",
       result->cancelled ? " cancelled" : "");
  memset(mail->status, (char)result->status, RECIPIENTS); /* without memory it holds for all */
  for (size_t i = 0; i < result->recipient_count; i++) {
    const uvsmtp_recipient_result_t *r = &result->recipients[i];
    mail->status[i] = (char)r->status;
    note(w, "  <%s> %s %d %d.%d.%d %d \"%s\"%s\n", r->address, uvsmtp_status_name(r->status),
         r->code, r->enhanced[0], r->enhanced[1], r->enhanced[2], r->code != 0 ? (int)r->phase : 0,
         r->text, r->try_elsewhere ? " elsewhere" : "");
  }
}

/* What callers do in callbacks, too. */
static void meddle(world_t *w, unsigned number)
{
  chance_t chance = chance_of(w->seed + 100 + number);
  mail_t *other = &w->mails[chance_below(&chance, w->mail_count)];
  switch (chance_below(&chance, 100)) {
  case 0:
  case 1:
    if (other->sent && !other->told)
      uvsmtp_send_cancel(&other->send);
    break;
  case 2:
    uvsmtp_connection_close(w->connection, on_closed);
    break;
  default:
    break;
  }
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  mail_t *mail = send->data;
  world_t *w = mail->world;
  assert_true(mail->sent && !mail->told);
  note_result(w, mail, result);
  w->under_way--;
  mail->kept =
      w->sessions < SESSIONS && w->options.mem == NULL && uvsmtp_send_keep(send, result, false) > 0;
  mail->told = !mail->kept;
  meddle(w, mail->number);
  if (w->next < w->mail_count && uvsmtp_connection_room(w->connection) > 0)
    send_some(w);
  if (w->under_way == 0 && w->next < w->mail_count && uvsmtp_connection_is_open(w->connection))
    send_some(w);
  if (w->under_way == 0)
    uvsmtp_connection_quit(w->connection, on_closed);
}

static void on_open(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  world_t *w = uvsmtp_connection_get_data(c);
  uvsmtp_send_t *kept[MAILS];
  size_t count = 0;
  note(w, "open: %s \"%s\"\n", uvsmtp_err_name(error->err), error->text);
  for (unsigned i = 0; i < w->mail_count; i++)
    if (w->mails[i].kept)
      kept[count++] = &w->mails[i].send;
  if (count > 0 && uvsmtp_connection_resume(c, kept, count, on_sent) == 0) {
    w->under_way += (unsigned)count;
    for (unsigned i = 0; i < w->mail_count; i++)
      w->mails[i].kept = false;
  }
  if (error->err == 0)
    send_some(w);
  if (w->under_way == 0)
    uvsmtp_connection_close(c, on_closed);
}

/* ---- the server's side ---- */

static void on_command(fickle_t *server)
{
  world_t *w = server->data;
  if (server == &w->servers[0] && server->commands == w->cancel_at && w->mails[w->cancelled].sent)
    uvsmtp_send_cancel(&w->mails[w->cancelled].send);
}

static void on_stored(fickle_t *server, const char *recipient)
{
  world_t *w = server->data;
  const char *at = strstr(recipient, "r");
  unsigned r, m;
  while (at != NULL && sscanf(at, "r%u.m%u", &r, &m) != 2)
    at = strstr(at + 1, "r");
  assert_non_null(at);
  w->mails[m].stored[r]++;
}

static void begin_session(world_t *w)
{
  fickle_t *server = &w->servers[w->sessions];
  uv_pipe_t *pipe = &w->pipes[w->sessions];
  int ends[2];
  server->seed += w->sessions++;
  server->data = w;
  server->on_command = on_command;
  server->on_stored = on_stored;
  assert_int_equal(uv_socketpair(SOCK_STREAM, 0, ends, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE), 0);
  fickle_start(server, &w->loop, ends[0]);
  assert_int_equal(uv_pipe_init(&w->loop, pipe, 0), 0);
  assert_int_equal(uv_pipe_open(pipe, ends[1]), 0);
  w->options.stream = (uv_stream_t *)pipe;
  if (uvsmtp_connection_open(&w->connection, &w->loop, &w->options, on_open, NULL, 0) == 0) {
    uvsmtp_connection_set_data(w->connection, w);
    return;
  }
  assert_non_null(w->options.mem);
  uv_close((uv_handle_t *)pipe, NULL);
}

static void make_servers(world_t *w, bool tame)
{
  chance_t *chance = &w->chance;
  for (size_t i = 0; i < SESSIONS; i++) {
    fickle_t *server = &w->servers[i];
    *server = (fickle_t){.seed = chance_next(chance), .lmtp = w->options.lmtp};
    server->offers = (unsigned)(chance_next(chance) % 16);
    if (chance_below(chance, 4) != 0)
      server->offers |= FICKLE_PIPELINING;
    server->refuses = (unsigned)chance_below(chance, 3) * 4;
    if (tame)
      continue;
    server->errs = chance_below(chance, 2) == 0 ? 5 + (unsigned)chance_below(chance, 40) : 0;
    if (chance_below(chance, 3) == 0)
      server->cut_in = 30 + chance_below(chance, 3000);
    else if (chance_below(chance, 2) == 0)
      server->cut_out = 100 + chance_below(chance, 1500);
  }
}

static void on_trace(void *data, uvsmtp_connection_t *c, uvsmtp_trace_t kind, const char *line,
                     size_t len)
{
}

static void make_world(world_t *w, uint64_t seed, way_t way)
{
  memset(w, 0, sizeof(*w));
  w->chance = chance_of(seed);
  w->seed = seed;
  w->way = way;
  assert_int_equal(uv_loop_init(&w->loop), 0);
  w->options = (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
  w->options.host = "mx.example";
  w->options.tls = UVSMTP_TLS_NONE;
  w->options.ehlo_domain = "client.example";
  w->options.trace = way == TRACED ? on_trace : NULL;
  w->options.lmtp = chance_below(&w->chance, 4) == 0;
  w->options.no_chunking = chance_below(&w->chance, 4) == 0;
  w->options.no_overlap = chance_below(&w->chance, 8) == 0;
  w->options.max_in_doubt = chance_below(&w->chance, 3);
  w->options.lines =
      chance_below(&w->chance, 4) == 0 ? UVSMTP_LINES_REFUSE : UVSMTP_LINES_NORMALIZE;
  assert_int_equal(uvsmtp_history_new(&w->history, NULL), 0);
  w->options.history = w->history;
  make_servers(w, chance_below(&w->chance, 3) == 0);
  w->mail_count = 1 + (unsigned)chance_below(&w->chance, MAILS);
  for (unsigned i = 0; i < w->mail_count; i++) {
    make_mail(w, i);
    prepare(&w->mails[i], way);
  }
  if (chance_below(&w->chance, 6) == 0)
    w->cancel_at = 1 + (unsigned)chance_below(&w->chance, 40);
  w->cancelled = (unsigned)chance_below(&w->chance, w->mail_count);
}

static void end_world(world_t *w)
{
  for (size_t i = 0; i < SESSIONS; i++)
    fickle_free(&w->servers[i]);
  for (unsigned i = 0; i < w->mail_count; i++)
    free(w->mails[i].text);
  uvsmtp_history_free(w->history);
  free(w->record);
}

/* Nobody is told that a message was taken that was not, or the other way round. */
static void is_true(const world_t *w)
{
  for (size_t i = 0; i < w->sessions; i++)
    if (w->servers[i].erred)
      return;
  for (unsigned m = 0; m < w->mail_count; m++)
    for (unsigned r = 0; w->mails[m].told && r < w->mails[m].envelope.recipient_count; r++) {
      const mail_t *mail = &w->mails[m];
      unsigned stored = mail->stored[r];
      bool well = mail->status[r] == UVSMTP_ACCEPTED  ? stored == 1
                  : mail->status[r] == UVSMTP_UNKNOWN ? stored <= 1
                                                      : stored == 0;
      if (!well)
        fail_msg("seed %llu: %s of message %u was stored %u times:\n%s",
                 (unsigned long long)w->seed, mail->addresses[r], m, stored, w->record);
    }
}

/* Where each waits for the other, the server gives up. */
static void run_loop(world_t *w)
{
  uint64_t before = 0;
  unsigned still = 0;
  while (uv_run(&w->loop, UV_RUN_NOWAIT) != 0) {
    fickle_t *server = &w->servers[w->sessions - 1];
    uint64_t now = w->record_len + server->in_len + server->left + w->sessions;
    still = now == before ? still + 1 : 0;
    before = now;
    if (still == 100)
      fickle_hang_up(server);
  }
}

static void run(world_t *w)
{
  begin_session(w);
  run_loop(w);
  assert_int_equal(uv_loop_close(&w->loop), 0);
  for (unsigned i = 0; i < w->mail_count; i++)
    if (w->mails[i].sent != w->mails[i].told)
      fail_msg("seed %llu: message %u was sent and not told", (unsigned long long)w->seed, i);
  note(w, "end\n");
  is_true(w);
}

static void differ(const world_t *a, const char *ours, size_t len, const char *other,
                   size_t other_len)
{
  fprintf(stderr, "%.*s\n---- and the long way:\n%.*s\n", (int)len, ours, (int)other_len, other);
  fail_msg("seed %llu", (unsigned long long)a->seed);
}

static void same(const world_t *a, const world_t *b)
{
  if (strcmp(a->record, b->record) != 0)
    differ(a, a->record, a->record_len, b->record, b->record_len);
  for (size_t i = 0; i < SESSIONS; i++) {
    const fickle_t *x = &a->servers[i], *y = &b->servers[i];
    if (x->in_len != y->in_len || (x->in_len > 0 && memcmp(x->in, y->in, x->in_len) != 0))
      differ(a, x->in, x->in_len, y->in, y->in_len);
  }
}

static uint64_t rounds(void)
{
  const char *text = getenv("UVSMTP_TEST_ROUNDS");
  return text != NULL ? strtoull(text, NULL, 0) : 1500;
}

static void nobody_can_tell_the_short_way_from_the_long_one(void **state)
{
  static world_t worlds[WAYS];
  uint64_t seed = chance_seed("short way", 1), end = seed + rounds();
  for (; seed < end; seed++) {
    for (int way = 0; way < WAYS; way++) {
      make_world(&worlds[way], seed, (way_t)way);
      run(&worlds[way]);
    }
    for (int way = 1; way < WAYS; way++)
      same(&worlds[AS_THEY_ARE], &worlds[way]);
    for (int way = 0; way < WAYS; way++)
      end_world(&worlds[way]);
  }
}

/* Memory that ends at any moment, for once or for good. */
static void without_memory_everybody_is_told_the_truth(void **state)
{
  static world_t w;
  uint64_t seed = chance_seed("short way", 1), end = seed + rounds();
  for (; seed < end; seed++) {
    make_world(&w, seed, AS_THEY_ARE);
    scarce_init(&w.scarce, 1 + chance_below(&w.chance, 120));
    w.scarce.for_good = chance_below(&w.chance, 2) == 0;
    w.options.mem = &w.scarce.mem;
    run(&w);
    assert_int_equal(w.scarce.held, 0);
    end_world(&w);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nobody_can_tell_the_short_way_from_the_long_one),
      cmocka_unit_test(without_memory_everybody_is_told_the_truth),
  };
  signal(SIGPIPE, SIG_IGN);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
