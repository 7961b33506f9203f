/*
 * Messages through a connection to the fake server: what each recipient is told, compared with
 * what the server has really stored, in lockstep, with PIPELINING and with CHUNKING; and with the
 * connection cut at every octet in either direction.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tls/certs.h"
#include "sink/sink.h"
#include "uvsmtp.h"

enum { MAILS = 4, RECIPIENTS = 3 };

/* How far commands run ahead of replies. */
typedef enum { LOCKSTEP, GROUP, CHUNKS, MODES } flow_t;
enum { IN_LOCKSTEP = 1, IN_GROUP = 2, IN_CHUNKS = 4, IN_ALL = 7 };
static const char *const mode_names[] = {"lockstep", "group", "chunks"};

typedef struct {
  uvsmtp_send_t send;
  uvsmtp_source_t source;
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t recipients[RECIPIENTS];
  char sender[64], addresses[RECIPIENTS][64];
  struct world_s *world;
  int calls, err;
  bool retry_is_safe;
  char told[RECIPIENTS + 1];
  int stored[RECIPIENTS];
  unsigned transactions;
  char queue_id[64];
  bool try_elsewhere; /* one of its recipients may */
  char words[256];    /* the error's */
  /* of a source that gives `text` in pieces */
  const char *text;
  size_t text_len, text_at, piece_size;
  unsigned content;
  bool opened_once;
  /* of a source that answers later */
  size_t piece, pieces, fails_at; /* fails_at 0: never */
  bool waited;
} mail_t;

typedef struct world_s {
  uv_loop_t loop;
  uv_timer_t timer;
  sink_options_t sink_options;
  uvsmtp_connection_options_t options;
  sink_t *sink;
  sink_counters_t seen; /* when the sink was closed */
  uvsmtp_connection_t *connection;
  mail_t mails[MAILS], *waiting;
  size_t mail_count, recipient_count, answered;
  int closed, open_err;
  char path[64];
  char *body; /* of the first message */
  size_t body_len;
  bool body_chunked;
  const char *ehlo[2];
  uint64_t starts[MAILS];  /* octets received when a content was about to come; in lockstep */
  uint64_t received, sent; /* by the server, when the session was ready */
  size_t lines, cancel_at; /* of the dialogue, as the server sees it; when to cancel, 0: never */
  mail_t *cancelled;
  bool begun; /* the server had seen the MAIL of that one before */
} world_t;

/* ---- the server's side ---- */

static void on_message(sink_t *sink, const sink_message_t *message, void *data)
{
  world_t *w = data;
  size_t m = (size_t)(message->sender[1] - '0');
  if (message->recipient_count == 0)
    return; /* a lone dot behind a 354 for nobody */
  assert_true(m < w->mail_count);
  for (size_t i = 0; i < message->recipient_count; i++) {
    unsigned r, owner;
    assert_int_equal(sscanf(message->recipients[i].address, "r%u.m%u@", &r, &owner), 2);
    assert_int_equal(owner, m);
    w->mails[m].stored[r]++;
  }
  if (m > 0)
    return;
  free(w->body); /* of the transaction before */
  w->body_chunked = message->chunked;
  w->body = malloc(message->size + 1);
  assert_non_null(w->body);
  memcpy(w->body, message->body, message->size);
  w->body_len = message->size;
}

static void on_sink_trace(sink_t *sink, uint64_t connection, char direction, const char *text,
                          size_t len, void *data)
{
  world_t *w = data;
  size_t m = w->answered;
  if (direction == 'C' && len >= 4 && memcmp(text, "DATA", 4) == 0 && m < MAILS)
    w->starts[m] = sink_counters(sink)->received;
  if (w->cancelled != NULL && direction == 'C' && len > 12 &&
      memcmp(text, "MAIL FROM:<m", 12) == 0 && text[12] == w->cancelled->sender[1])
    w->begun = true;
  if (++w->lines == w->cancel_at)
    uvsmtp_send_cancel(&w->cancelled->send);
}

static void on_sink_closed(sink_t *sink, void *data)
{
  world_t *w = data;
  w->seen = *sink_counters(sink);
  w->sink = NULL;
}

/* ---- the client's side ---- */

static void on_closed(uvsmtp_connection_t *c)
{
  world_t *w = uvsmtp_connection_get_data(c);
  w->closed++;
  w->connection = NULL;
  uv_close((uv_handle_t *)&w->timer, NULL);
  sink_close(w->sink, on_sink_closed);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  static const char letters[] = "ardup";
  mail_t *mail = send->data;
  world_t *w = mail->world;
  bool unknown = false;
  mail->calls++;
  mail->err = result->err;
  mail->retry_is_safe = result->retry_is_safe;
  mail->transactions = result->transactions;
  snprintf(mail->words, sizeof(mail->words), "%s", result->error_text);
  snprintf(mail->queue_id, sizeof(mail->queue_id), "%s", result->queue_id);
  assert_int_equal(result->connection_id, uvsmtp_connection_id(w->connection));
  assert_true(result->connected_ms >= 1 && result->connected_ms <= result->finished_ms);
  assert_int_equal(result->recipient_count, w->recipient_count);
  for (size_t i = 0; i < result->recipient_count; i++) {
    assert_in_range(result->recipients[i].status, UVSMTP_ACCEPTED, UVSMTP_UNKNOWN);
    assert_ptr_equal(result->recipients[i].address, mail->recipients[i].address);
    mail->told[i] = letters[result->recipients[i].status];
    unknown |= mail->told[i] == 'u';
    mail->try_elsewhere |= result->recipients[i].try_elsewhere;
    assert_true(!result->recipients[i].try_elsewhere || mail->told[i] == 'd');
  }
  assert_int_equal(result->retry_is_safe, !unknown);
  assert_int_equal(result->err == 0, strspn(mail->told, "a") == result->recipient_count);
  if (++w->answered == w->mail_count)
    uvsmtp_connection_quit(w->connection, on_closed);
}

/* Once it is dry, there is no memory. */
static bool dry;

static void *dry_malloc(void *data, size_t size)
{
  return dry ? NULL : malloc(size);
}

static void *dry_realloc(void *data, void *memory, size_t size)
{
  return dry ? NULL : realloc(memory, size);
}

static void dry_free(void *data, void *memory)
{
  free(memory);
}

static const uvsmtp_mem_t dry_mem = {NULL, dry_malloc, dry_realloc, dry_free};

static void on_dry(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  mail_t *mail = send->data;
  world_t *w = mail->world;
  mail->calls++;
  mail->err = result->err;
  assert_int_equal(result->status, UVSMTP_DEFERRED);
  assert_true(result->retry_is_safe);
  dry = ++w->answered < w->mail_count;
  if (!dry)
    uvsmtp_connection_quit(w->connection, on_closed);
}

static void on_open(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  world_t *w = uvsmtp_connection_get_data(c);
  w->open_err = error->err;
  if (error->err != 0) {
    uvsmtp_connection_close(c, on_closed);
    return;
  }
  w->received = sink_counters(w->sink)->received;
  w->sent = sink_counters(w->sink)->sent;
  for (size_t i = 0; i < w->mail_count; i++) {
    mail_t *mail = &w->mails[i];
    assert_int_equal(uvsmtp_connection_send(c, &mail->send, &mail->envelope, &mail->source,
                                            w->options.mem != NULL ? on_dry : on_sent),
                     0);
  }
  dry = w->options.mem != NULL;
}

static void init(world_t *w, flow_t mode, size_t mails, size_t recipients)
{
  memset(w, 0, sizeof(*w));
  assert_int_equal(uv_loop_init(&w->loop), 0);
  assert_int_equal(uv_timer_init(&w->loop, &w->timer), 0);
  w->sink_options.body = SINK_KEEP;
  w->sink_options.on_message = on_message;
  w->sink_options.on_trace = on_sink_trace;
  w->sink_options.data = w;
  w->options = (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
  w->options.host = "127.0.0.1";
  w->options.tls = UVSMTP_TLS_NONE;
  w->options.ehlo_domain = "client.example";
  w->options.no_pipelining = mode == LOCKSTEP;
  w->options.no_chunking = mode != CHUNKS;
  w->mail_count = mails;
  w->recipient_count = recipients;
  for (size_t m = 0; m < mails; m++) {
    mail_t *mail = &w->mails[m];
    mail->world = w;
    mail->send.data = mail;
    snprintf(mail->sender, sizeof(mail->sender), "m%zu@client.example", m);
    mail->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
    mail->envelope.sender = mail->sender;
    mail->envelope.recipients = mail->recipients;
    mail->envelope.recipient_count = recipients;
    for (size_t r = 0; r < recipients; r++) {
      snprintf(mail->addresses[r], sizeof(mail->addresses[r]), "r%zu.m%zu@there.example", r, m);
      mail->recipients[r].address = mail->addresses[r];
    }
  }
}

static void body(world_t *w, size_t m, const char *bytes, size_t len)
{
  uvsmtp_source_memory(&w->mails[m].source, bytes, len);
}

/* ---- a source that gives a text in pieces of one size, in a buffer that it uses again ---- */

static int pieces_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  mail_t *mail = source->data;
  if (mail->opened_once && (mail->content & UVSMTP_CONTENT_ONCE) != 0)
    return UVSMTP_ESOURCE;
  mail->opened_once = true;
  mail->text_at = 0;
  info->length = UVSMTP_LENGTH_UNKNOWN;
  info->content = mail->content;
  return 0;
}

static int pieces_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  static char buffer[100000];
  mail_t *mail = source->data;
  size_t left = mail->text_len - mail->text_at;
  size_t len = left < mail->piece_size ? left : mail->piece_size;
  memset(buffer, 'X', sizeof(buffer));
  memcpy(buffer, mail->text + mail->text_at, len);
  mail->text_at += len;
  *piece = (uvsmtp_slice_t){len > 0 ? buffer : NULL, len};
  return 0;
}

static void pieces_close(uvsmtp_source_t *source)
{
}

static const uvsmtp_source_ops_t pieces = {sizeof(pieces), pieces_open, pieces_next, pieces_close};

static void body_in_pieces(world_t *w, size_t m, const char *bytes, size_t len, size_t piece,
                           unsigned content)
{
  mail_t *mail = &w->mails[m];
  mail->source = (uvsmtp_source_t){.data = mail, .ops = &pieces};
  mail->text = bytes;
  mail->text_len = len;
  mail->piece_size = piece;
  mail->content = content;
}

/* Runs it all: every send is answered exactly once, and everything is closed. */
static void go(world_t *w, const char *script)
{
  char detail[256] = "";
  w->sink_options.script = script;
  if (sink_start(&w->sink, &w->loop, &w->sink_options, detail, sizeof(detail)) != 0)
    fail_msg("sink: %s", detail);
  w->options.port = sink_port(w->sink);
  if (uvsmtp_connection_open(&w->connection, &w->loop, &w->options, on_open, detail,
                             sizeof(detail)) != 0)
    fail_msg("open: %s", detail);
  uvsmtp_connection_set_data(w->connection, w);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(w->closed, 1);
  assert_int_equal(uv_loop_close(&w->loop), 0);
  if (w->open_err != 0)
    return;
  for (size_t i = 0; i < w->mail_count; i++)
    assert_int_equal(w->mails[i].calls, 1);
}

/* Nobody is told that a message was taken that was not, or the other way round. */
static bool is_true(const mail_t *mail, size_t recipients)
{
  for (size_t r = 0; r < recipients; r++) {
    if (mail->stored[r] > 1 || (mail->told[r] == 'a' && mail->stored[r] != 1) ||
        ((mail->told[r] == 'r' || mail->told[r] == 'd') && mail->stored[r] != 0))
      return false;
  }
  return true;
}

static void told(const world_t *w, char *text)
{
  *text = '\0';
  for (size_t m = 0; m < w->mail_count; m++) {
    strcat(text, m > 0 ? " " : "");
    strcat(text, w->mails[m].told);
  }
}

/* ---- outcomes ---- */

typedef struct {
  const char *name, *script;
  const char *expected; /* a letter a recipient, a word a message */
  unsigned modes;
  const char *text;                   /* of the first message; NULL: a short one */
  const char *arrives;                /* what it is at the server; NULL: not looked at */
  uvsmtp_recipient_t bad[RECIPIENTS]; /* addresses to use instead, in the first message */
  unsigned flags, without, extra;
  uint64_t max_size;
  size_t large;          /* octets of the first message instead of `text` */
  bool lmtp, sloppy;     /* sloppy: the script makes the client's order look wrong */
  const char *ehlo;      /* one more line in the reply to EHLO */
  size_t pieces;         /* the first message comes in pieces of that size */
  unsigned content;      /* UVSMTP_CONTENT_… of these */
  unsigned transactions; /* that the first message took; 0: not looked at */
  uvsmtp_rcpt_552_t rcpt_552;
  const uvsmtp_origin_t *forward;
  unsigned elsewhere; /* bits: which messages have a recipient that may be tried elsewhere */
  size_t max_refused;
} outcome_t;

#define SHORT "Subject: x\r\n\r\nHello\r\n"
#define FIFTY "0123456789012345678901234567890123456789012345678\r\n"

static const uvsmtp_origin_t gateway = {
    .name = "client.example", .addr = "2001:db8::1", .proto = "ESMTP", .ident = "not listed"};

static const outcome_t outcomes[] = {
    {"all is well", NULL, "aaa aaa aaa", IN_ALL, SHORT, NULL},
    {"one of three refused", "rcpt match \"r1.m0*\" : reply \"550 5.1.1 No\"", "ara aaa", IN_ALL},
    {"one of three deferred", "rcpt match \"r2.m0*\" : reply \"452 4.5.3 Too many\"", "aad aaa",
     IN_ALL},
    {"all refused", "rcpt match \"*.m0*\" : reply \"550 5.1.1 No\"", "rrr aaa", IN_ALL,
     .sloppy = true},
    {"all deferred", "rcpt match \"*.m1*\" : reply \"450 4.1.1 No\"", "aaa ddd aaa", IN_ALL,
     .sloppy = true},
    {"sender deferred", "mail match \"m0*\" : reply \"450 4.1.8 No\"", "ddd aaa", IN_ALL,
     .sloppy = true},
    {"sender refused", "mail match \"m0*\" : reply \"550 5.1.8 No\"", "rrr aaa", IN_ALL,
     .sloppy = true},
    {"second sender refused", "mail match \"m1*\" : reply \"550 5.1.8 No\"", "aaa rrr aaa", IN_ALL,
     .sloppy = true},
    {"DATA refused", "data match \"m0*\" : reply \"554 5.5.0 No\"", "rrr aaa",
     IN_LOCKSTEP | IN_GROUP, .sloppy = true},
    {"DATA deferred", "data match \"m0*\" : reply \"451 4.3.0 No\"", "ddd aaa",
     IN_LOCKSTEP | IN_GROUP, .sloppy = true},
    {"content deferred", "eod match \"m0*\" : reply \"451 4.3.0 No\"", "ddd aaa", IN_ALL},
    {"content refused", "eod match \"m1*\" : reply \"554 5.7.1 Spam\"", "aaa rrr aaa", IN_ALL},
    {"content refused, and one recipient",
     "rcpt match \"r1.m0*\" : reply \"450 4.1.1 No\"\neod match \"m0*\" : reply \"554 5.7.1 Spam\"",
     "rdr aaa", IN_ALL},
    {"421 to MAIL", "mail nth 1 : reply \"421 4.3.2 Bye\", close", "ddd ddd", IN_ALL},
    {"421 to MAIL of the second", "mail nth 2 : reply \"421 4.3.2 Bye\", close", "aaa ddd", IN_ALL},
    {"421 to RCPT", "rcpt nth 2 : reply \"421 4.3.2 Bye\", close", "ddd ddd", IN_ALL},
    {"421 to RCPT, and on as if nothing was", "rcpt nth 2 : reply \"421 4.7.0 Grey\"", "ddd ddd",
     IN_LOCKSTEP | IN_GROUP},
    {"421 to RCPT of the second, others refused behind it",
     "rcpt nth 4 : reply \"421 4.3.2 Bye\"\nrcpt nth 5- : reply \"503 5.5.1 Gone\"\n"
     "rset nth 2 : reply \"503 5.5.1 Gone\"\nmail nth 3 : reply \"503 5.5.1 Gone\"\n"
     "eod nth 2 : reply \"503 5.5.1 Gone\", close",
     "aaa ddd ddd", IN_CHUNKS},
    {"421 to the content", "eod nth 1 : reply \"421 4.3.2 Bye\", close", "ddd ddd",
     IN_LOCKSTEP | IN_GROUP},
    {"closed at the content without a reply", "eod nth 1 : close", "uuu ddd",
     IN_LOCKSTEP | IN_GROUP},
    {"lost at the content", "eod nth 1 : refuse, close", "uuu ddd", IN_LOCKSTEP | IN_GROUP},
    {"354 for nobody",
     "rcpt match \"*.m0*\" : reply \"550 5.1.1 No\"\ndata nth 1 : reply \"354 Go\"", "rrr aaa",
     IN_GROUP, .sloppy = true},
    {"354 though the sender was refused",
     "mail match \"m0*\" : reply \"550 5.1.8 No\"\nrcpt match \"*.m0*\" : reply \"250 Yes\"\n"
     "data nth 1 : reply \"354 Go\"",
     "rrr ddd", IN_GROUP, .sloppy = true},
    {"refused in the middle of the body", "body after 5000 : reply \"552 5.3.4 Too big\", close",
     "rrr ddd", IN_ALL, .large = 8u << 20},
    {"reset in the middle of the body", "body after 5000 : reset", "ddd ddd", IN_ALL,
     .large = 32u << 20},
    {"closed behind the refused sender", "mail match \"m0*\" : reply \"550 5.7.1 No\", close",
     "rrr ddd", IN_LOCKSTEP | IN_GROUP, .sloppy = true},
    {"RSET refused behind a refusal",
     "rset : reply \"500 5.5.1 No\"\ndata match \"m0*\" : reply \"554 5.5.0 No\"", "rrr ddd",
     IN_LOCKSTEP, .sloppy = true},
    {"RSET refused behind a refusal, and MAIL with it",
     "rset : reply \"500 5.5.1 No\"\ndata match \"m0*\" : reply \"554 5.5.0 No\"\n"
     "mail nth 2 : reply \"503 5.5.1 Nested MAIL\"",
     "rrr ddd ddd", IN_GROUP, .sloppy = true, .elsewhere = 6},
    {"RSET refused behind a refusal, and a sender",
     "rset : reply \"500 5.5.1 No\"\ndata match \"m0*\" : reply \"554 5.5.0 No\"\n"
     "mail nth 2 : reply \"550 5.1.8 No\"",
     "rrr rrr ddd", IN_GROUP, .sloppy = true, .elsewhere = 4},
    {"all or none, all", NULL, "aaa aaa", IN_ALL, .flags = UVSMTP_ENVELOPE_ALL_OR_NONE},
    {"all or none, one refused", "rcpt match \"r1.m0*\" : reply \"550 5.1.1 No\"", "drd aaa",
     IN_ALL, .flags = UVSMTP_ENVELOPE_ALL_OR_NONE},
    {"all or none, the last deferred", "rcpt match \"r2.m0*\" : reply \"450 4.1.1 No\"", "ddd aaa",
     IN_ALL, .flags = UVSMTP_ENVELOPE_ALL_OR_NONE},
    {"LMTP", NULL, "aaa aaa", IN_ALL, .lmtp = true},
    {"LMTP, mixed",
     "eod match \"r0.m0*\" : reply \"550 5.2.1 No\"\neod match \"r2.m0*\" : reply \"452 4.2.2 "
     "Full\"",
     "rad aaa", IN_ALL, .lmtp = true},
    {"LMTP, mixed behind a refused recipient",
     "rcpt match \"r0.m0*\" : reply \"550 5.1.1 No\"\neod match \"r2.m0*\" : reply \"452 4 Full\"",
     "rad aaa", IN_ALL, .lmtp = true},
    {"PRDR", NULL, "aaa aaa", IN_ALL, .extra = SINK_PRDR, .flags = UVSMTP_ENVELOPE_PRDR},
    {"PRDR, mixed", "eod match \"r1.m0*\" : reply \"550 5.7.1 Not me\"", "ara aaa", IN_ALL,
     .extra = SINK_PRDR, .flags = UVSMTP_ENVELOPE_PRDR},
    {"PRDR, mixed behind a refused recipient",
     "rcpt match \"r0.m0*\" : reply \"550 5.1.1 No\"\n"
     "eod match \"r2.m0*\" : reply \"451 4.2.0 Not now\"",
     "rad aaa", IN_ALL, .extra = SINK_PRDR, .flags = UVSMTP_ENVELOPE_PRDR},
    {"PRDR not there", "eod match \"m0*\" : reply \"550 5.7.1 None\"", "rrr aaa", IN_ALL,
     .flags = UVSMTP_ENVELOPE_PRDR},
    {"no PIPELINING there", NULL, "aaa aaa aaa", IN_ALL, .without = SINK_PIPELINING},
    {"no PIPELINING there, all refused", "rcpt match \"*.m0*\" : reply \"550 5.1.1 No\"", "rrr aaa",
     IN_ALL, .without = SINK_PIPELINING},
    {"no PIPELINING there, sender refused", "mail match \"m0*\" : reply \"550 5.1.1 No\"",
     "rrr aaa", IN_ALL, .without = SINK_PIPELINING},
    {"HELO only", NULL, "aaa aaa", IN_ALL, .without = SINK_EHLO},
    {"503 behind the content", "mail nth 2 : reply \"503 5.5.1 Wait\"", "aaa aaa",
     IN_GROUP | IN_CHUNKS, .sloppy = true},
    {"503 behind the content, RSET too",
     "rset nth 1 : reply \"503 5.5.1 Wait\"\nmail nth 2 : reply \"503 5.5.1 Wait\"", "aaa aaa aaa",
     IN_CHUNKS, .sloppy = true},
    {"503 behind the content of three", "mail nth 2 : reply \"503 5.5.1 Wait\"", "aaa aaa aaa",
     IN_GROUP | IN_CHUNKS, .sloppy = true},
    {"452 behind two: another transaction", "rcpt nth 3 : reply \"452 4.5.3 Too many\"", "aaa aaa",
     IN_ALL, .transactions = 2},
    {"452 behind one, twice",
     "rcpt match \"r1.m0*\" times 1 : reply \"452 Too many\"\n"
     "rcpt match \"r2.m0*\" times 2 : reply \"452 Too many\"",
     "aaa aaa", IN_ALL, .transactions = 3},
    {"452 for a reason of its own", "rcpt match \"r1.m0*\" : reply \"452 4.2.2 Full\"", "ada aaa",
     IN_ALL, .transactions = 1},
    {"452 to the first", "rcpt nth 1-3 : reply \"452 4.5.3 Too many\"", "ddd aaa", IN_ALL,
     .transactions = 1, .sloppy = true},
    {"452 behind two, the second transaction refused",
     "rcpt match \"r2.m0*\" times 1 : reply \"452 4.5.3 No\"\n"
     "rcpt match \"r2.m0*\" : reply \"550 5.1.1 No\"",
     "aar aaa", IN_ALL, .transactions = 2, .sloppy = true},
    {"452 behind two, the content refused",
     "rcpt nth 3 : reply \"452 4.5.3 No\"\neod nth 1 : reply \"554 5.6.0 No\"", "rrr aaa", IN_ALL,
     .transactions = 1},
    {"452 behind two, lost in the second transaction",
     "rcpt match \"r2.m0*\" times 1 : reply \"452 4.5.3 No\"\nrcpt match \"r2.m0*\" : close",
     "aad ddd", IN_LOCKSTEP, .transactions = 2},
    {"452 behind two, lost in the second transaction, which came behind the other message",
     "rcpt match \"r2.m0*\" times 1 : reply \"452 4.5.3 No\"\nrcpt match \"r2.m0*\" : close",
     "aad aaa", IN_GROUP, .transactions = 2},
    {"452, and all or none", "rcpt nth 3 : reply \"452 4.5.3 Too many\"", "ddd aaa", IN_ALL,
     .flags = UVSMTP_ENVELOPE_ALL_OR_NONE, .transactions = 1},
    {"452, and a source that cannot be read twice", "rcpt nth 3 : reply \"452 4.5.3 Too many\"",
     "aad aaa", IN_ALL, .pieces = 7, .content = UVSMTP_CONTENT_ONCE, .transactions = 1},
    {"452, and a source in pieces", "rcpt nth 3 : reply \"452 4.5.3 Too many\"", "aaa aaa", IN_ALL,
     SHORT, SHORT, .pieces = 7, .transactions = 2},
    {"452 over LMTP, mixed",
     "rcpt nth 3 : reply \"452 4.5.3 No\"\neod match \"r0.m0*\" : reply \"550 5.2.1 No\"",
     "raa aaa", IN_ALL, .lmtp = true, .transactions = 2},
    {"451 4.5.3 is too many as well", "rcpt nth 3 : reply \"451 4.5.3 Too many\"", "aaa aaa",
     IN_ALL, .transactions = 2},
    {"552 behind two", "rcpt nth 3 : reply \"552 Too many\"", "aaa aaa", IN_ALL, .transactions = 2},
    {"552 to the first", "rcpt nth 1 : reply \"552 Too many\"", "daa aaa", IN_ALL,
     .transactions = 1},
    {"552 for a full mailbox", "rcpt nth 3 : reply \"552 5.2.2 Full\"", "aar aaa", IN_ALL,
     .transactions = 1},
    {"552 for good", "rcpt nth 3 : reply \"552 Too many\"", "aar aaa", IN_ALL,
     .rcpt_552 = UVSMTP_RCPT_552_PERMANENT, .transactions = 1},
    {"RCPTMAX of two", NULL, "aaa aaa", IN_ALL, .ehlo = "LIMITS RCPTMAX=2", .transactions = 2},
    {"RCPTMAX of one", NULL, "aaa aaa", IN_ALL, .ehlo = "LIMITS RCPTMAX=1 MAILMAX=99",
     .transactions = 3},
    {"RCPTMAX, one refused", "rcpt match \"r0.m0*\" : reply \"550 5.1.1 No\"", "raa aaa", IN_ALL,
     .ehlo = "LIMITS RCPTMAX=2", .transactions = 2},
    {"RCPTMAX, the first transaction refused", "rcpt nth 1-2 : reply \"550 5.1.1 No\"", "rra aaa",
     IN_ALL, .ehlo = "LIMITS RCPTMAX=2", .transactions = 2, .sloppy = true},
    {"RCPTMAX, and all or none", NULL, "rrr rrr", IN_ALL, .ehlo = "LIMITS RCPTMAX=2",
     .flags = UVSMTP_ENVELOPE_ALL_OR_NONE},
    {"RCPTMAX that is enough, and all or none", NULL, "aaa aaa", IN_ALL, .ehlo = "LIMITS RCPTMAX=3",
     .flags = UVSMTP_ENVELOPE_ALL_OR_NONE},
    {"too many messages for a session", "mail nth 2- : reply \"452 4.5.3 Too many messages sent\"",
     "aaa ddd ddd", IN_ALL, .sloppy = true},
    {"MAILMAX", NULL, "aaa aaa ddd", IN_ALL, .ehlo = "LIMITS MAILMAX=2"},
    {"MAILMAX in the middle of two messages", NULL, "add add", IN_GROUP | IN_CHUNKS,
     .ehlo = "LIMITS RCPTMAX=1 MAILMAX=2", .transactions = 1},
    {"MAILMAX in the middle of a message", NULL, "aad ddd", IN_LOCKSTEP,
     .ehlo = "LIMITS RCPTMAX=1 MAILMAX=2", .transactions = 2},
    {"RCPTDOMAINMAX", NULL, "ada ddd", IN_ALL, .ehlo = "LIMITS RCPTDOMAINMAX=1",
     .bad = {{0}, {.address = "r1.m0@elsewhere.example"}, {.address = "r2.m0@THERE.example"}}},
    {"recipients refused one after the other end the session",
     "rcpt match \"*.m0*\" : reply \"550 5.1.1 No\"", "rrr ddd ddd", IN_LOCKSTEP | IN_GROUP,
     .sloppy = true, .elsewhere = 6, .max_refused = 3},
    {"recipients refused one after the other of two messages end the session",
     "rcpt match \"r1.m0*\" : reply \"550 5.1.1 No\"\n"
     "rcpt match \"r2.m0*\" : reply \"450 4.1.1 No\"\n"
     "rcpt match \"r0.m1*\" : reply \"550 5.1.1 No\"",
     "ard raa ddd", IN_LOCKSTEP, .elsewhere = 4, .max_refused = 3},
    {"recipients refused with others between do not end the session",
     "rcpt match \"r0.*\" : reply \"550 5.1.1 No\"\n"
     "rcpt match \"r2.*\" : reply \"550 5.1.1 No\"",
     "rar rar rar", IN_ALL, .max_refused = 3},
    {"recipients too many for a transaction do not end the session",
     "rcpt nth 2-3 : reply \"452 4.5.3 Too many\"", "aaa aaa", IN_ALL, .transactions = 2,
     .max_refused = 2},
    {"BDAT not known after all", "eod nth 1 : reply \"502 5.5.1 What?\"", "aaa aaa", IN_CHUNKS,
     .transactions = 2},
    {"a chunk in the middle not known", "bdat nth 1 : reply \"500 5.5.1 What?\"", "aaa aaa",
     IN_CHUNKS, .large = 200000, .pieces = 5000, .transactions = 2, .sloppy = true},
    {"a chunk in the middle refused", "bdat nth 1 : reply \"552 5.3.4 Too big\"", "rrr aaa",
     IN_CHUNKS, .large = 200000, .pieces = 5000, .transactions = 1, .sloppy = true},
    {"DATA only alone", "data nth 1 : reply \"503 5.5.1 No\"", "aaa aaa", IN_GROUP,
     .transactions = 2, .sloppy = true},
    {"RCPT only alone", "rcpt nth 2-3 : reply \"503 5.5.1 MAIL first\"", "aaa aaa",
     IN_GROUP | IN_CHUNKS, .transactions = 2},
    {"RCPT refused with 503 alone as well",
     "rcpt match \"r1.m0*\" : reply \"503 5.5.1 AUTH first\"", "ara aaa", IN_ALL},
    {"out of step at MAIL", "mail nth 1 : reply \"554 SMTP synchronization error\"", "aaa aaa",
     IN_GROUP | IN_CHUNKS, .transactions = 2, .sloppy = true},
    {"bare LF", NULL, "aaa", IN_ALL, "A: b\n\nx\r\ny\n.\nz\n", "A: b\r\n\r\nx\r\ny\r\n.\r\nz\r\n"},
    {"bare CR", NULL, "aaa", IN_ALL, "A: b\r\n\r\nx\ry\r.\rz", "A: b\r\n\r\nx\r\ny\r\n.\r\nz\r\n"},
    {"leading dots", NULL, "aaa aaa", IN_ALL, ".\r\n..\r\nx\r\n.y\r\n.\r\n",
     ".\r\n..\r\nx\r\n.y\r\n.\r\n"},
    {"empty", NULL, "aaa aaa", IN_ALL, "", ""},
    {"only CRLF", NULL, "aaa aaa", IN_ALL, "\r\n", "\r\n"},
    {"a dot before all", NULL, "aaa aaa", IN_ALL, ".x\r\ny\r\n", ".x\r\ny\r\n"},
    {"only a dot", NULL, "aaa aaa", IN_ALL, ".", ".\r\n"},
    {"in pieces", NULL, "aaa aaa", IN_ALL, ".A: b\n\nx\ry\r\n.\n\r\n\n\r.z",
     ".A: b\r\n\r\nx\r\ny\r\n.\r\n\r\n\r\n\r\n.z\r\n", .pieces = 1},
    {"in larger pieces", NULL, "aaa aaa", IN_ALL, "A: b\r\n\r\nx\r", "A: b\r\n\r\nx\r\n",
     .pieces = 3},
    {"empty, in pieces", NULL, "aaa aaa", IN_ALL, "", "", .pieces = 3},
    {"only LF, in pieces", NULL, "aaa aaa", IN_ALL, "\n", "\r\n", .pieces = 3},
    {"8-bit in pieces, without 8BITMIME", NULL, "rrr ddd", IN_LOCKSTEP | IN_GROUP,
     "A: b\r\n\r\n\xc3\xa4\r\n", .pieces = 3, .without = SINK_8BITMIME | SINK_SMTPUTF8},
    {"7-bit in pieces, with SMTPUTF8 and without 8BITMIME", NULL, "aaa aaa", IN_LOCKSTEP | IN_GROUP,
     "A: b\r\n\r\nx\r\n", "A: b\r\n\r\nx\r\n", .pieces = 3, .without = SINK_8BITMIME},
    {"no CRLF at the end", NULL, "aaa aaa", IN_ALL, "A: b\r\n\r\nx", "A: b\r\n\r\nx\r\n"},
    {"8-bit", NULL, "aaa aaa", IN_ALL, "A: b\r\n\r\n\xc3\xa4\r\n", "A: b\r\n\r\n\xc3\xa4\r\n"},
    {"8-bit without 8BITMIME", NULL, "rrr aaa", IN_ALL, "A: b\r\n\r\n\xc3\xa4\r\n",
     .without = SINK_8BITMIME | SINK_SMTPUTF8},
    {"too big for SIZE", NULL, "rrr aaa", IN_ALL, SHORT FIFTY FIFTY, .max_size = 100},
    {"just small enough for SIZE", NULL, "aaa aaa", IN_ALL, FIFTY FIFTY, FIFTY FIFTY,
     .max_size = 102},
    {"dots that are doubled do not count for SIZE", NULL, "aaa", IN_ALL, ".\r\n..\r\n",
     ".\r\n..\r\n", .max_size = 7},
    {"a CR that is added counts for SIZE", NULL, "aaa", IN_ALL, "a\nb\n", "a\r\nb\r\n",
     .max_size = 6},
    {"a CR that is added is too much for SIZE", NULL, "rrr", IN_ALL, "a\nb\n", .max_size = 5},
    {"a recipient that cannot be written among good ones", NULL, "ara aaa", IN_ALL,
     .bad = {{0}, {.address = "r1.m0@z", .notify = UVSMTP_NOTIFY_NEVER}, {0}}, .without = SINK_DSN},
    {"a recipient that cannot be written behind refused ones",
     "rcpt match \"*.m0*\" : reply \"450 4.1.1 No\"", "ddr aaa", IN_ALL,
     .bad = {{0}, {0}, {.address = "r2.m0@z", .notify = UVSMTP_NOTIFY_NEVER}}, .without = SINK_DSN,
     .sloppy = true},
    {"an address that needs SMTPUTF8", NULL, "raa aaa", IN_ALL, .bad = {{.address = "r\xc3\xbc@z"}},
     .without = SINK_SMTPUTF8},
    {"an address that needs SMTPUTF8, and all or none", NULL, "rdd aaa", IN_ALL,
     .bad = {{.address = "r\xc3\xbc@z"}}, .without = SINK_SMTPUTF8,
     .flags = UVSMTP_ENVELOPE_ALL_OR_NONE},
    {"a domain that goes as A-labels", NULL, "aaa aaa", IN_ALL,
     .bad = {{.address = "r0.m0@b\xc3\xbc"
                         "cher.example"}},
     .without = SINK_SMTPUTF8},
    {"XFORWARD", NULL, "aaa aaa", IN_ALL, .ehlo = "XFORWARD NAME ADDR PROTO", .forward = &gateway},
    {"XFORWARD refused", "other nth 1-2 : reply \"501 5.5.4 No\"", "aaa aaa", IN_ALL,
     .ehlo = "XFORWARD NAME ADDR PROTO", .forward = &gateway},
    {"XFORWARD not offered", NULL, "rrr rrr", IN_ALL, .forward = &gateway},
    {"recipients that cannot be written only", NULL, "rrr aaa", IN_ALL,
     .bad = {{.address = "a@z", .notify = UVSMTP_NOTIFY_NEVER},
             {.address = "b@z", .notify = UVSMTP_NOTIFY_NEVER},
             {.address = "c@z", .notify = UVSMTP_NOTIFY_NEVER}},
     .without = SINK_DSN},
};

static char *large_body(size_t len)
{
  static const char line[] = "123456789012345678901234567890123456789012345678\r\n";
  char *bytes = malloc(len);
  assert_non_null(bytes);
  for (size_t i = 0; i + 50 <= len; i += 50)
    memcpy(bytes + i, line, 50);
  memcpy(bytes + len - 2 - len % 50, "\r\n", 2);
  return bytes;
}

static void prepare_outcome(world_t *w, const outcome_t *o, flow_t mode, char **large)
{
  const char *text = o->text != NULL ? o->text : SHORT;
  init(w, mode, (strlen(o->expected) + 1) / (RECIPIENTS + 1), RECIPIENTS);
  for (size_t m = 0; m < w->mail_count; m++)
    body(w, m, m == 0 ? text : SHORT, strlen(m == 0 ? text : SHORT));
  if (o->large > 0) {
    *large = large_body(o->large);
    body(w, 0, *large, o->large - o->large % 50);
    text = *large;
  }
  if (o->pieces > 0)
    body_in_pieces(w, 0, text, o->large > 0 ? o->large - o->large % 50 : strlen(text), o->pieces,
                   o->content);
  for (size_t r = 0; r < RECIPIENTS; r++)
    if (o->bad[r].address != NULL)
      w->mails[0].recipients[r] = o->bad[r];
  for (size_t m = 0; m < w->mail_count; m++) {
    w->mails[m].envelope.flags = o->flags;
    w->mails[m].envelope.forward = o->forward;
  }
  w->options.rcpt_552 = o->rcpt_552;
  w->options.max_refused_recipients = o->max_refused;
  w->ehlo[0] = o->ehlo;
  w->sink_options.ehlo = w->ehlo;
  w->sink_options.ehlo_count = o->ehlo != NULL;
  w->sink_options.without = o->without;
  w->sink_options.extra = o->extra;
  w->sink_options.max_size = o->max_size;
  w->sink_options.lmtp = w->options.lmtp = o->lmtp;
}

static int check_outcome(const outcome_t *o, flow_t mode)
{
  world_t w;
  char text[64], *large = NULL;
  int wrong;
  prepare_outcome(&w, o, mode, &large);
  go(&w, o->script);
  told(&w, text);
  wrong = w.open_err != 0 || strcmp(text, o->expected) != 0 ||
          (!o->sloppy && sink_violations(&w.seen) != 0);
  for (size_t m = 0; m < w.mail_count; m++)
    wrong |= !is_true(&w.mails[m], RECIPIENTS) ||
             (o->elsewhere != 0 && w.mails[m].try_elsewhere != ((o->elsewhere >> m & 1) != 0));
  if (o->transactions != 0 && w.mails[0].transactions != o->transactions) {
    print_message("%u transactions\n", w.mails[0].transactions);
    wrong = 1;
  }
  if (o->arrives != NULL)
    wrong |= w.body == NULL || w.body_len != strlen(o->arrives) ||
             memcmp(w.body, o->arrives, w.body_len) != 0;
  if (wrong)
    print_message("%s (%s): %s, not %s; %d violations\n", o->name, mode_names[mode], text,
                  o->expected, (int)sink_violations(&w.seen));
  free(w.body);
  free(large);
  return wrong;
}

static void every_recipient_is_told_what_the_server_decided(void **state)
{
  int wrong = 0;
  for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
    for (flow_t mode = 0; mode < MODES; mode++)
      if ((outcomes[i].modes & (1u << mode)) != 0)
        wrong += check_outcome(&outcomes[i], mode);
  assert_int_equal(wrong, 0);
}

/* ---- sources that take their time ---- */

static int late_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  mail_t *mail = source->data;
  mail->piece = 0;
  info->length = UVSMTP_LENGTH_UNKNOWN;
  info->content = UVSMTP_CONTENT_KNOWN;
  return 0;
}

static void wake_now(uv_timer_t *timer)
{
  world_t *w = timer->data;
  uvsmtp_source_wake(&w->waiting->source);
}

static int late_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  mail_t *mail = source->data;
  mail->waited = !mail->waited;
  if (mail->waited) {
    mail->world->waiting = mail;
    mail->world->timer.data = mail->world;
    uv_timer_start(&mail->world->timer, wake_now, 0, 0);
    return UVSMTP_PENDING;
  }
  if (mail->fails_at > 0 && mail->piece == mail->fails_at)
    return UVSMTP_ESOURCE;
  *piece =
      mail->piece++ < mail->pieces ? (uvsmtp_slice_t){".x\ny\r\n", 6} : (uvsmtp_slice_t){NULL, 0};
  return 0;
}

static void late_close(uvsmtp_source_t *source)
{
}

static const uvsmtp_source_ops_t late = {sizeof(late), late_open, late_next, late_close};

static void init_late(world_t *w, flow_t mode)
{
  init(w, mode, 2, RECIPIENTS);
  body(w, 1, SHORT, strlen(SHORT));
  w->mails[0].source.ops = &late;
  w->mails[0].source.data = &w->mails[0];
  w->mails[0].pieces = 5;
}

static void a_source_that_answers_later_is_sent_whole(void **state)
{
  for (flow_t mode = 0; mode < MODES; mode++) {
    world_t w;
    init_late(&w, mode);
    w.mail_count = 1;
    go(&w, NULL);
    assert_string_equal(w.mails[0].told, "aaa");
    assert_true(is_true(&w.mails[0], RECIPIENTS));
    assert_int_equal(w.body_len, 5 * 7);
    assert_memory_equal(w.body, ".x\r\ny\r\n.x\r\ny\r\n", 14);
    assert_int_equal(sink_violations(&w.seen), 0);
    free(w.body);
  }
}

static void a_source_that_fails_is_never_completed(void **state)
{
  for (flow_t mode = 0; mode < MODES; mode++) {
    for (size_t at = 1; at <= 5; at++) {
      world_t w;
      init_late(&w, mode);
      w.mails[0].fails_at = at;
      go(&w, NULL);
      assert_null(strpbrk(w.mails[0].told, "au"));
      assert_int_equal(w.mails[0].err, UVSMTP_ESOURCE);
      assert_true(is_true(&w.mails[0], RECIPIENTS));
      assert_true(is_true(&w.mails[1], RECIPIENTS));
      assert_int_equal(w.mails[0].stored[0], 0);
      free(w.body);
    }
  }
}

/* ---- a source that cannot be opened ---- */

static int demanding_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  return UVSMTP_EEXTENSION;
}

static const char *demanding_detail(uvsmtp_source_t *source)
{
  return "the attachment needs BINARYMIME";
}

static const uvsmtp_source_ops_t demanding = {.size = sizeof(demanding),
                                              .open = demanding_open,
                                              .next = pieces_next,
                                              .close = pieces_close,
                                              .detail = demanding_detail};

/* The first message is refused for its envelope, the second for what its source says. */
static void who_cannot_be_sent_for_want_of_memory_is_told(void **state)
{
  for (flow_t mode = LOCKSTEP; mode <= CHUNKS; mode++) {
    world_t w;
    init(&w, mode, MAILS, 1);
    w.options.mem = &dry_mem;
    for (size_t m = 0; m < MAILS; m++)
      body(&w, m, SHORT, strlen(SHORT));
    go(&w, NULL);
    for (size_t m = 0; m < MAILS; m++)
      assert_int_equal(w.mails[m].err, UVSMTP_ENOMEM);
  }
}

/* ---- contents in memory ---- */

static void check_arrived(world_t *w, const char *text)
{
  assert_string_equal(w->mails[0].told, "a");
  assert_int_equal(w->body_len, strlen(text));
  assert_memory_equal(w->body, text, w->body_len);
  free(w->body);
}

static void contents_in_buffers_arrive_as_one(void **state)
{
  static const char *const rows[][3] = {{"A: b\r\n\r\n", "x\r\n", "y\r\n"},
                                        {"A: b\r\n\r\nx", ".\r", "\n.y\r\n"},
                                        {"A: b\r\n\r\n", ".x\r\n", "y\r\n"},
                                        {"A: b\r\n\r\n.", "\r\n.\r\n", "."},
                                        {".\r\n", "", ".\r\n"},
                                        {"A: b\r", "\n\r\nx\r\n", ".y\r\n"}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    for (flow_t mode = LOCKSTEP; mode <= CHUNKS; mode++) {
      uvsmtp_slice_t slices[3];
      char text[64] = "";
      world_t w;
      for (size_t k = 0; k < 3; k++) {
        slices[k] = uvsmtp_slice(rows[i][k]);
        strcat(text, rows[i][k]);
      }
      if (text[strlen(text) - 1] != '\n')
        strcat(text, "\r\n");
      init(&w, mode, 1, 1);
      uvsmtp_source_buffers(&w.mails[0].source, slices, 3);
      go(&w, NULL);
      check_arrived(&w, text);
    }
  }
}

static int opened_all_the_same(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  ((mail_t *)source->data)->opened_once = true;
  return UVSMTP_ESOURCE;
}

static bool whole_text(const uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  const mail_t *mail = source->data;
  *piece = (uvsmtp_slice_t){mail->text, mail->text_len};
  return true; /* of nothing too */
}

static void a_source_that_is_one_piece_is_not_opened(void **state)
{
  static const char *const rows[][2] = {{SHORT, SHORT}, {"A: b\n\n.x", "A: b\r\n\r\n.x\r\n"}};
  uvsmtp_source_ops_t ops = {.size = sizeof(ops), .open = opened_all_the_same, .whole = whole_text};
  for (size_t i = 0; i < 2; i++) {
    for (flow_t mode = LOCKSTEP; mode <= CHUNKS; mode++) {
      world_t w;
      init(&w, mode, 1, 1);
      body_in_pieces(&w, 0, rows[i][0], strlen(rows[i][0]), 0, 0);
      w.mails[0].source.ops = &ops;
      go(&w, NULL);
      assert_false(w.mails[0].opened_once);
      check_arrived(&w, rows[i][1]);
    }
  }
}

static bool whole_text_of_one_cancelled(const uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  mail_t *mail = source->data;
  if (mail == &mail->world->mails[1])
    uvsmtp_send_cancel(&mail->send);
  return whole_text(source, piece);
}

static void a_send_that_its_source_cancels_is_not_sent_and_the_others_are(void **state)
{
  uvsmtp_source_ops_t ops = {
      .size = sizeof(ops), .open = opened_all_the_same, .whole = whole_text_of_one_cancelled};
  for (flow_t mode = GROUP; mode <= CHUNKS; mode++) {
    world_t w;
    init(&w, mode, 3, 1);
    for (size_t i = 0; i < 3; i++) {
      body_in_pieces(&w, i, SHORT, strlen(SHORT), 0, 0);
      w.mails[i].source.ops = &ops;
    }
    go(&w, NULL);
    for (size_t i = 0; i < 3; i++) {
      assert_int_equal(w.mails[i].calls, 1);
      assert_int_equal(w.mails[i].stored[0], i != 1);
      assert_int_equal(w.mails[i].err, i != 1 ? 0 : UVSMTP_ECANCELED);
    }
    free(w.body);
  }
}

static void one_that_cannot_give_itself_whole_is_opened(void **state)
{
  uvsmtp_source_ops_t ops = {.size = sizeof(ops), .open = opened_all_the_same, .whole = whole_text};
  for (int older = 0; older < 2; older++) {
    world_t w;
    init(&w, GROUP, 1, 1);
    body_in_pieces(&w, 0, SHORT, older ? strlen(SHORT) : 0, 0, 0);
    ops.size = older ? offsetof(uvsmtp_source_ops_t, whole) : sizeof(ops);
    w.mails[0].source.ops = &ops;
    go(&w, NULL);
    assert_true(w.mails[0].opened_once);
    assert_int_equal(w.mails[0].err, UVSMTP_ESOURCE);
  }
}

static void a_missing_extension_is_told_by_who_misses_it(void **state)
{
  world_t w;
  init(&w, GROUP, 2, 1);
  w.sink_options.without = SINK_SMTPUTF8;
  body(&w, 0, SHORT, strlen(SHORT));
  w.mails[0].envelope.sender = "m\xc3\xbc@client.example";
  w.mails[1].source = (uvsmtp_source_t){.ops = &demanding};
  go(&w, NULL);
  assert_int_equal(w.mails[0].err, UVSMTP_EEXTENSION);
  assert_non_null(strstr(w.mails[0].words, "(SMTPUTF8)"));
  assert_int_equal(w.mails[1].err, UVSMTP_EEXTENSION);
  assert_non_null(strstr(w.mails[1].words, ": the attachment needs BINARYMIME"));
  assert_null(strstr(w.mails[1].words, "SMTPUTF8"));
}

static void what_is_wrong_with_a_field_is_not_told_of_the_next_content(void **state)
{
  world_t w;
  init(&w, GROUP, 2, 1);
  w.options.lines = UVSMTP_LINES_REFUSE;
  body(&w, 0, SHORT, strlen(SHORT));
  body(&w, 1, "bare\n", 5);
  w.mails[0].envelope.flags = UVSMTP_ENVELOPE_PRIORITY;
  w.mails[0].envelope.priority = 10;
  go(&w, NULL);
  assert_int_equal(w.mails[0].err, UVSMTP_EINVAL);
  assert_non_null(strstr(w.mails[0].words, "priority"));
  assert_int_equal(w.mails[1].err, UVSMTP_EBARELINE);
  assert_string_equal(w.mails[1].words, uvsmtp_strerror(UVSMTP_EBARELINE));
}

/* What cannot be sent so is refused before MAIL, in words that name the field or the limit; that
 * of a recipient is its own. */
static void what_cannot_be_asked_for_is_named(void **state)
{
  static const struct {
    const char *ehlo;
    unsigned flags, notify;
    int64_t by_seconds;
    uint64_t hold_seconds;
    int priority, err;
    const char *told, *words;
  } rows[] = {
      {.ehlo = "DELIVERBY 240",
       .flags = UVSMTP_ENVELOPE_BY_RETURN,
       .by_seconds = 60,
       .err = UVSMTP_ERANGE,
       .told = "rr",
       .words = "an option of the envelope is beyond what the server takes: by_seconds is 60, and "
                "DELIVERBY begins at 240"},
      {.ehlo = "FUTURERELEASE 3600 2030-01-01T00:00:00Z",
       .hold_seconds = 7200,
       .err = UVSMTP_ERANGE,
       .told = "rr",
       .words = "an option of the envelope is beyond what the server takes: hold_seconds is 7200, "
                "and FUTURERELEASE ends at 3600"},
      {.ehlo = "MT-PRIORITY",
       .flags = UVSMTP_ENVELOPE_PRIORITY,
       .priority = 10,
       .err = UVSMTP_EINVAL,
       .told = "rr",
       .words = "invalid argument: priority is not within -9 and 9"},
      {.notify = UVSMTP_NOTIFY_DELAY,
       .err = UVSMTP_EEXTENSION,
       .told = "ra",
       .words = "the server does not offer a needed extension (DSN)"},
      {.ehlo = "DSN",
       .notify = UVSMTP_NOTIFY_DELAY | UVSMTP_NOTIFY_NEVER,
       .err = UVSMTP_EINVAL,
       .told = "ra",
       .words = "invalid argument: notify is neither NEVER alone nor any of the others"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    for (flow_t mode = 0; mode < MODES; mode++) {
      world_t w;
      init(&w, mode, 2, 2);
      for (size_t m = 0; m < 2; m++)
        body(&w, m, SHORT, strlen(SHORT));
      w.sink_options.without = SINK_DSN | SINK_PIPELINING * (mode == LOCKSTEP);
      w.ehlo[0] = rows[i].ehlo;
      w.sink_options.ehlo = w.ehlo;
      w.sink_options.ehlo_count = rows[i].ehlo != NULL;
      w.mails[0].envelope.flags = rows[i].flags;
      w.mails[0].envelope.by_seconds = rows[i].by_seconds;
      w.mails[0].envelope.hold_seconds = rows[i].hold_seconds;
      w.mails[0].envelope.priority = rows[i].priority;
      w.mails[0].recipients[0].notify = rows[i].notify;
      go(&w, rows[i].told[1] == 'r' ? "mail match \"m0*\" : close" : NULL);
      free(w.body);
      assert_string_equal(w.mails[0].told, rows[i].told);
      assert_int_equal(w.mails[0].err, rows[i].err);
      assert_string_equal(w.mails[0].words, rows[i].words);
      assert_string_equal(w.mails[1].told, "aa");
      assert_int_equal(sink_violations(&w.seen), 0);
    }
}

/* ---- what a server has taught is not forgotten ---- */

/* A server that offers PIPELINING and punishes it; the record goes from connection to connection.
 */
static void manners_outlive_the_connection(void **state)
{
  static const char punishes[] =
      "rcpt nth 1 : reply \"554 5.5.0 SMTP synchronization error\", close";
  uvsmtp_history_t *history;
  world_t w;
  assert_int_equal(uvsmtp_history_new(&history, NULL), 0);
  init(&w, GROUP, 2, 1);
  body(&w, 0, SHORT, strlen(SHORT));
  body(&w, 1, SHORT, strlen(SHORT));
  w.options.history = history;
  go(&w, punishes);
  assert_string_equal(w.mails[0].told, "d");
  assert_true(w.mails[0].retry_is_safe && w.mails[0].try_elsewhere);
  assert_int_equal(uvsmtp_history_manners(history)->avoid, UVSMTP_WAY_PIPELINING);
  init(&w, GROUP, 2, 1);
  body(&w, 0, SHORT, strlen(SHORT));
  body(&w, 1, SHORT, strlen(SHORT));
  w.options.history = history;
  /* Without PIPELINING, this sink finds fault with whoever pipelines. */
  w.sink_options.without = SINK_PIPELINING;
  w.ehlo[0] = "PIPELINING";
  w.sink_options.ehlo = w.ehlo;
  w.sink_options.ehlo_count = 1;
  go(&w, NULL);
  free(w.body);
  uvsmtp_history_free(history);
  assert_string_equal(w.mails[0].told, "a");
  assert_string_equal(w.mails[1].told, "a");
  assert_int_equal(sink_violations(&w.seen), 0);
}

/* Each row: what the server does the first time, and which way is left then. */
static void ways_at_which_connections_get_lost_are_left(void **state)
{
  static const struct {
    flow_t mode;
    const char *script;
    unsigned avoid;
  } rows[] = {
      {GROUP, "eod nth 1 : refuse, close", UVSMTP_WAY_OVERLAP},
      {CHUNKS, "eod nth 1 : refuse, close", UVSMTP_WAY_OVERLAP},
      {GROUP, "data nth 1 : close", UVSMTP_WAY_GROUPED_DATA},
      {GROUP, "rcpt nth 2 : close", UVSMTP_WAY_GROUPED_DATA},
      {CHUNKS, "rcpt nth 2 : close", UVSMTP_WAY_OVERLAP},
      {GROUP, "rcpt nth 2 : drop", UVSMTP_WAY_GROUPED_DATA},
      {LOCKSTEP, "rcpt nth 2 : close", 0},
      {LOCKSTEP, "eod nth 1 : refuse, close", 0},
      {GROUP, "mail nth 1 : reply \"421 4.3.2 Bye\", close", 0},
      {CHUNKS, "rcpt nth 2 : reply \"421 4.3.2 Bye\", close", 0},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    uvsmtp_history_t *history;
    world_t w;
    unsigned avoid;
    assert_int_equal(uvsmtp_history_new(&history, NULL), 0);
    init(&w, rows[i].mode, 3, 2);
    for (size_t m = 0; m < 3; m++)
      body(&w, m, SHORT, strlen(SHORT));
    w.options.history = history;
    w.options.timeouts.command_ms = w.options.timeouts.data_ms = 300;
    go(&w, rows[i].script);
    free(w.body);
    for (size_t m = 0; m < 3; m++)
      assert_true(is_true(&w.mails[m], 2));
    avoid = uvsmtp_history_manners(history)->avoid;
    uvsmtp_history_free(history);
    if (avoid != rows[i].avoid)
      fail_msg("%s (%s): %u instead of %u", rows[i].script, mode_names[rows[i].mode], avoid,
               rows[i].avoid);
  }
}

/* ---- a firewall that looks into the dialogue ---- */

/* What is left to write when the end of a content has been issued. */
static void on_trace(void *data, uvsmtp_connection_t *c, uvsmtp_trace_t kind, const char *line,
                     size_t len)
{
  static const char end[] = "[message and the final dot]";
  if (kind == UVSMTP_TRACE_SENT && len == sizeof(end) - 1 && memcmp(line, end, len) == 0)
    *(size_t *)data = uvsmtp_protocol_output_len(uvsmtp_connection_protocol(c));
}

static void behind_a_masked_greeting_the_final_dot_leaves_alone(void **state)
{
  static const char masked[] = "greeting : reply \"220 **************************02**\"";
  static const struct {
    const char *script, *text, *arrives;
    size_t piece, left;
    bool off;
  } rows[] = {
      {masked, SHORT, SHORT, 0, 3},
      {masked, SHORT, SHORT, 4, 3},
      {masked, "x", "x\r\n", 0, 3},
      {masked, "x\r", "x\r\n", 0, 3},
      {masked, "x\r\n.\n", "x\r\n.\r\n", 1, 3},
      {masked, "", "", 0, 3},
      {masked, SHORT, SHORT, 0, sizeof(SHORT) - 1 + 3, true},
      {NULL, SHORT, SHORT, 0, sizeof(SHORT) - 1 + 3, true},
      {"greeting : reply \"220 mx ***02*\"", SHORT, SHORT, 0, sizeof(SHORT) - 1 + 3},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    size_t left = 0;
    bool careful = rows[i].left == 3;
    world_t w;
    /* Without PIPELINING, this sink finds fault with whoever pipelines. */
    init(&w, careful ? CHUNKS : GROUP, 2, 1);
    w.sink_options.without = SINK_PIPELINING;
    w.ehlo[0] = "PIPELINING";
    w.sink_options.ehlo = w.ehlo;
    w.sink_options.ehlo_count = careful;
    w.options.no_pix_workaround = rows[i].off;
    w.options.trace = on_trace;
    w.options.trace_data = &left;
    body(&w, 1, rows[i].text, strlen(rows[i].text));
    if (rows[i].piece > 0)
      body_in_pieces(&w, 0, rows[i].text, strlen(rows[i].text), rows[i].piece, 0);
    else
      body(&w, 0, rows[i].text, strlen(rows[i].text));
    go(&w, rows[i].script);
    assert_string_equal(w.mails[0].told, "a");
    assert_string_equal(w.mails[1].told, "a");
    assert_false(w.body_chunked);
    assert_int_equal(w.body_len, strlen(rows[i].arrives));
    assert_memory_equal(w.body, rows[i].arrives, w.body_len);
    assert_int_equal(sink_violations(&w.seen), 0);
    if (left != rows[i].left)
      fail_msg("row %zu: %zu octets were left", i, left);
    free(w.body);
  }
}

/* ---- contents that are no text ---- */

/* BINARYMIME goes by chunks only, octet by octet; who was told not to use them refuses it. */
static void a_binary_message_goes_as_it_is_or_not_at_all(void **state)
{
  static const char binary[] = "Subject: x\r\n\r\n\0\n.\n\r.\r\n.\r\n\xff";
  for (unsigned i = 0; i < 2 * MODES; i++) {
    flow_t mode = (flow_t)(i % MODES);
    world_t w;
    init(&w, mode, 2, 1);
    w.sink_options.extra = SINK_BINARYMIME;
    w.mails[0].envelope.body = UVSMTP_BODY_BINARYMIME;
    if (i < MODES)
      body(&w, 0, binary, sizeof(binary) - 1);
    else
      body_in_pieces(&w, 0, binary, sizeof(binary) - 1, 5, 0);
    body(&w, 1, SHORT, strlen(SHORT));
    go(&w, NULL);
    assert_string_equal(w.mails[1].told, "a");
    assert_true(is_true(&w.mails[0], 1));
    assert_string_equal(w.mails[0].told, mode == CHUNKS ? "a" : "r");
    if (mode == CHUNKS) {
      assert_int_equal(w.body_len, sizeof(binary) - 1);
      assert_memory_equal(w.body, binary, sizeof(binary) - 1);
    } else {
      assert_int_equal(w.mails[0].err, UVSMTP_EEXTENSION);
      assert_non_null(strstr(w.mails[0].words, "CHUNKING"));
    }
    free(w.body);
  }
}

/* ---- cancelling ---- */

static void check_cancelled(const world_t *w)
{
  char text[64];
  told(w, text);
  for (size_t m = 0; m < w->mail_count; m++) {
    const mail_t *mail = &w->mails[m];
    bool meant = mail == w->cancelled;
    if (!is_true(mail, w->recipient_count))
      fail_msg("line %zu: %s is not the truth", w->cancel_at, text);
    if (mail->err != 0 && mail->err != UVSMTP_ECANCELED)
      fail_msg("line %zu: %s ended with %s", w->cancel_at, mail->sender, mail->words);
    /* Those that were under way beside it cannot go on here, and may elsewhere. */
    if (strchr(mail->told, 'd') != NULL && mail->try_elsewhere == meant)
      fail_msg("line %zu: of %s, message %zu", w->cancel_at, text, m);
  }
}

/* Each of three messages at each line, whole, in pieces, and in pieces that take their time. It is
 * told its real outcome; one of which nothing had left is only taken out of the queue. */
static void cancel_at_every_line(flow_t mode, size_t which, unsigned kind)
{
  bool done = false;
  for (size_t line = 1; !done; line++) {
    world_t w;
    init(&w, mode, 3, 2);
    for (size_t m = 0; m < 3; m++) {
      mail_t *mail = &w.mails[m];
      if (kind == 0)
        body(&w, m, SHORT, strlen(SHORT));
      else if (kind == 1)
        body_in_pieces(&w, m, SHORT, strlen(SHORT), 5, 0);
      else
        mail->source = (uvsmtp_source_t){.ops = &late, .data = mail};
      mail->pieces = 3;
    }
    w.cancelled = &w.mails[which];
    w.cancel_at = line;
    go(&w, NULL);
    free(w.body);
    done = w.lines < line;
    check_cancelled(&w);
    if (mode == LOCKSTEP && !w.begun && which > 0 && !done) {
      assert_string_equal(w.cancelled->told, "dd");
      assert_string_equal(w.mails[0].told, "aa");
    }
  }
}

static void a_message_cancelled_at_any_line_is_told_the_truth(void **state)
{
  for (flow_t mode = 0; mode < MODES; mode++)
    for (size_t which = 0; which < 3; which++)
      for (unsigned kind = 0; kind < 3; kind++)
        cancel_at_every_line(mode, which, kind);
}

/* ---- progress ---- */

static uint64_t progress_last;
static unsigned progress_calls;

static void on_progress(uvsmtp_send_t *send, uint64_t sent, uint64_t total)
{
  mail_t *mail = send->data;
  assert_int_equal(mail->calls, 0);
  assert_true(sent > progress_last && sent <= total);
  assert_int_equal(total, 8u << 20);
  progress_last = sent;
  progress_calls++;
}

static void progress_is_told_as_it_is_made(void **state)
{
  char *bytes = large_body(8u << 20);
  bytes[(8u << 20) - 2] = '\r';
  bytes[(8u << 20) - 1] = '\n';
  memset(bytes + (8u << 20) - 50, 'x', 48);
  for (flow_t mode = 0; mode < MODES; mode++) {
    world_t w;
    init(&w, mode, 1, 1);
    body(&w, 0, bytes, 8u << 20);
    w.mails[0].send.progress = on_progress;
    progress_last = progress_calls = 0;
    go(&w, "body after 100 : deaf 50");
    free(w.body);
    assert_string_equal(w.mails[0].told, "a");
    assert_true(progress_calls >= 2);
  }
  free(bytes);
}

/* ---- for whom a gateway speaks ---- */

static void xclient_begins_the_session_anew(void **state)
{
  for (int offered = 0; offered < 2; offered++) {
    world_t w;
    init(&w, CHUNKS, 1, 1);
    body(&w, 0, SHORT, strlen(SHORT));
    w.options.xclient = &gateway;
    w.ehlo[0] = "XCLIENT NAME ADDR";
    w.sink_options.ehlo = w.ehlo;
    w.sink_options.ehlo_count = (size_t)offered;
    go(&w, NULL);
    free(w.body);
    assert_int_equal(w.open_err, offered ? 0 : UVSMTP_EEXTENSION);
    assert_string_equal(w.mails[0].told, offered ? "a" : "");
    assert_int_equal(sink_violations(&w.seen), 0);
    /* EHLO, XCLIENT, EHLO, MAIL, RCPT, BDAT, QUIT; or EHLO, QUIT */
    assert_int_equal(w.seen.commands, offered ? 7 : 2);
  }
}

/* Attributes that do not fit into one line go in further commands; to a server without PIPELINING
 * one after the other. */
static void xforward_goes_in_as_many_commands_as_it_takes(void **state)
{
  char name[256], helo[256], ident[256];
  uvsmtp_origin_t origin = {.name = name, .helo = helo, .ident = ident, .addr = "192.0.2.1"};
  memset(name, 'n', 255);
  memset(helo, 'h', 255);
  memset(ident, 'i', 255);
  name[255] = helo[255] = ident[255] = '\0';
  for (flow_t mode = 0; mode < MODES; mode++) {
    world_t w;
    init(&w, mode, 2, 1);
    w.sink_options.without = mode == LOCKSTEP ? SINK_PIPELINING : 0;
    w.ehlo[0] = "XFORWARD NAME ADDR PROTO HELO IDENT";
    w.sink_options.ehlo = w.ehlo;
    w.sink_options.ehlo_count = 1;
    for (size_t m = 0; m < 2; m++) {
      body(&w, m, SHORT, strlen(SHORT));
      w.mails[m].envelope.forward = &origin;
    }
    go(&w, "other nth 2 : reply \"501 5.5.4 No\"");
    free(w.body);
    assert_string_equal(w.mails[0].told, "a");
    assert_string_equal(w.mails[1].told, "a");
    assert_int_equal(sink_violations(&w.seen), 0);
    /* EHLO; XFORWARD thrice, MAIL, RCPT, DATA or BDAT; RSET between them if that is in doubt; QUIT
     */
    assert_in_range(w.seen.commands, 1 + 2 * 6 + 1, 1 + 2 * 6 + 1 + 1);
  }
}

/* ---- the connection cut at every octet ---- */

typedef struct {
  flow_t mode;
  const char *point, *action;
  bool lmtp;
  const char *script; /* what the server does besides; NULL: nothing */
  const char *ehlo;   /* one more line in its reply to EHLO */
  size_t pieces;      /* the first message comes in pieces of that size */
  bool tls;
  uint64_t at;
  size_t accepted; /* in the cut before */
} cut_t;

static identity_t identity;
static char cert_file[] = "/tmp/uvsmtp-test-cert-XXXXXX",
            key_file[] = "/tmp/uvsmtp-test-key-XXXXXX";
static uvsmtp_tls_context_t *trusting;

static void use_tls(world_t *w)
{
  w->sink_options.tls_cert = cert_file;
  w->sink_options.tls_key = key_file;
  w->options.tls = UVSMTP_TLS_REQUIRED;
  w->options.tls_context = trusting;
  w->options.tls_on_loop = true;
}

static void init_cut(world_t *w, const cut_t *cut)
{
  static const char text[] = "Subject: cut\r\n\r\n.One\r\n\r\nTwo\r\n";
  init(w, cut->mode, 3, 2);
  w->sink_options.lmtp = w->options.lmtp = cut->lmtp;
  w->sink_options.hostname = "s";
  if (cut->tls)
    use_tls(w);
  if (cut->action == NULL || cut->action[0] == 'c') {
    /* Thousands of TCP connections would use up the ports of the machine. */
    snprintf(w->path, sizeof(w->path), "/tmp/uvsmtp-test-cut-%d", (int)getpid());
    w->sink_options.unix_path = w->options.unix_path = w->path;
    w->options.host = cut->tls ? "localhost" : NULL;
  }
  for (size_t m = 0; m < 3; m++)
    body(w, m, text, sizeof(text) - 1);
  if (cut->pieces > 0)
    body_in_pieces(w, 0, text, sizeof(text) - 1, cut->pieces, 0);
  w->ehlo[0] = cut->ehlo;
  w->sink_options.ehlo = w->ehlo;
  w->sink_options.ehlo_count = cut->ehlo != NULL;
}

static void explain(const world_t *w, const cut_t *cut, const char *what)
{
  char text[64];
  told(w, text);
  fail_msg("%s %s %d : %s: %s: %s, stored %d%d %d%d %d%d", mode_names[cut->mode], cut->point,
           (int)cut->at, cut->action, what, text, w->mails[0].stored[0], w->mails[0].stored[1],
           w->mails[1].stored[0], w->mails[1].stored[1], w->mails[2].stored[0],
           w->mails[2].stored[1]);
}

/* In doubt can be one message where a 354 is waited for, and it must have been asked for. */
static void check_doubt(const world_t *w, const world_t *whole, const cut_t *cut)
{
  size_t doubtful = 0;
  for (size_t m = 0; m < 3; m++) {
    bool in_doubt = strchr(w->mails[m].told, 'u') != NULL;
    doubtful += in_doubt;
    if (in_doubt && cut->mode == LOCKSTEP && !cut->tls && cut->script == NULL &&
        cut->ehlo == NULL && cut->point[0] == 'r' && cut->at < whole->starts[m])
      explain(w, cut, "unknown before its content could begin");
  }
  if (cut->mode != CHUNKS && doubtful > 1)
    explain(w, cut, "more than one unknown");
}

static void check_cut(cut_t *cut, const world_t *whole)
{
  world_t w;
  char script[256];
  size_t accepted = 0;
  init_cut(&w, cut);
  snprintf(script, sizeof(script), "%s\n%s %d : %s", cut->script != NULL ? cut->script : "",
           cut->point, (int)cut->at, cut->action);
  go(&w, script);
  free(w.body);
  if (w.open_err != 0)
    return;
  for (size_t m = 0; m < 3; m++) {
    if (!is_true(&w.mails[m], 2))
      explain(&w, cut, "not the truth");
    for (size_t r = 0; r < 2; r++)
      accepted += w.mails[m].told[r] == 'a';
  }
  check_doubt(&w, whole, cut);
  if (!cut->tls && cut->point[0] == 's' && cut->action[0] == 'c' && accepted < cut->accepted)
    explain(&w, cut, "a reply that was read has been forgotten");
  cut->accepted = accepted;
}

/* From `begin` to `end` of one direction: closed every `stride` octets, reset now and then. */
static void cut_within(cut_t cut, const world_t *whole, uint64_t begin, uint64_t end,
                       uint64_t stride)
{
  static const char *const actions[] = {"close", "reset"};
  for (size_t i = 0; i < 2; i++) {
    cut.action = actions[i];
    cut.accepted = 0;
    for (cut.at = begin; cut.at <= end; cut.at += i == 0 ? stride : stride + 6)
      check_cut(&cut, whole);
  }
}

/* Until the session is ready there is nothing to tell the truth of: `early` is how often to look.
 */
static void cut_everywhere(cut_t cut, uint64_t stride, uint64_t early)
{
  world_t whole;
  init_cut(&whole, &cut);
  go(&whole, cut.script);
  free(whole.body);
  for (size_t m = 0; m < 3; m++) {
    assert_string_equal(whole.mails[m].told, "aa");
    assert_true(is_true(&whole.mails[m], 2));
  }
  for (int sent = 0; sent < 2; sent++) {
    uint64_t ready = sent ? whole.sent : whole.received;
    cut.point = sent ? "sent" : "received";
    cut_within(cut, &whole, 1, ready, early);
    cut_within(cut, &whole, ready + 1, sent ? whole.seen.sent : whole.seen.received, stride);
  }
}

static void a_connection_cut_at_any_octet_tells_the_truth_in_lockstep(void **state)
{
  cut_everywhere((cut_t){.mode = LOCKSTEP}, 1, 1);
}

static void a_connection_cut_at_any_octet_tells_the_truth_with_pipelining(void **state)
{
  cut_everywhere((cut_t){.mode = GROUP}, 1, 1);
}

static void a_connection_cut_at_any_octet_tells_the_truth_with_chunks(void **state)
{
  cut_everywhere((cut_t){.mode = CHUNKS}, 1, 1);
}

static void a_connection_cut_at_any_octet_tells_the_truth_over_lmtp(void **state)
{
  for (flow_t mode = 0; mode < MODES; mode++)
    cut_everywhere((cut_t){.mode = mode, .lmtp = true}, 3, 3);
}

/* Dialogues in which a message takes two transactions, or goes again the plainer way. */
static void a_connection_cut_at_any_octet_tells_the_truth_of_two_transactions(void **state)
{
  static const cut_t rows[] = {
      {.script = "rcpt match \"r1.m0*\" times 1 : reply \"452 4.5.3 Too many\""},
      {.ehlo = "LIMITS RCPTMAX=1"},
      {.script = "mail match \"m1*\" times 1 : reply \"503 5.5.1 Wait\""},
      {.script = "eod match \"m0*\" times 1 : reply \"502 5.5.1 BDAT?\""},
      {.script = "data times 1 : reply \"503 5.5.1 RCPT?\""},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    for (flow_t mode = GROUP; mode < MODES; mode++) {
      cut_t cut = rows[i];
      cut.mode = mode;
      if ((i == 3 && mode == GROUP) || (i == 4 && mode == CHUNKS))
        continue;
      cut_everywhere(cut, 3, 3);
    }
}

static void a_connection_cut_at_any_octet_tells_the_truth_of_a_stream(void **state)
{
  for (flow_t mode = 0; mode < MODES; mode++)
    cut_everywhere((cut_t){.mode = mode, .pieces = 5}, 3, 3);
}

/* Records that were cut say nothing to either side. A handshake each takes time: every third octet
 * of the session, and some of those before it, or as many of all as UVSMTP_CUT_STRIDE says. */
static void cut_tls(flow_t mode)
{
  const char *text = getenv("UVSMTP_CUT_STRIDE");
  uint64_t stride = text != NULL ? strtoull(text, NULL, 10) : 0;
  cut_everywhere((cut_t){.mode = mode, .tls = true}, stride > 0 ? stride : 3,
                 stride > 0 ? stride : 31);
}

static void a_connection_cut_at_any_octet_tells_the_truth_over_tls_in_lockstep(void **state)
{
  cut_tls(LOCKSTEP);
}

static void a_connection_cut_at_any_octet_tells_the_truth_over_tls_with_pipelining(void **state)
{
  cut_tls(GROUP);
}

static void a_connection_cut_at_any_octet_tells_the_truth_over_tls_with_chunks(void **state)
{
  cut_tls(CHUNKS);
}

static int set_up(void **state)
{
  spec_t spec = {.subject = "CN=localhost", .names = "DNS:localhost IP:127.0.0.1", .is_ca = 1};
  uvsmtp_tls_options_t options = UVSMTP_TLS_OPTIONS_INIT;
  signal(SIGPIPE, SIG_IGN);
  make_identity(&identity, &spec);
  write_identity(&identity, cert_file, key_file);
  options.ca_pem = identity.cert;
  assert_int_equal(uvsmtp_tls_context_new(&trusting, &options, NULL, 0), 0);
  return 0;
}

static int tear_down(void **state)
{
  uvsmtp_tls_context_free(trusting);
  free_identity(&identity);
  unlink(cert_file);
  unlink(key_file);
  return 0;
}

/* "tls": the cut test over TLS, which is long. */
int main(int argc, char **argv)
{
  const struct CMUnitTest over_tls[] = {
      cmocka_unit_test(a_connection_cut_at_any_octet_tells_the_truth_over_tls_in_lockstep),
      cmocka_unit_test(a_connection_cut_at_any_octet_tells_the_truth_over_tls_with_pipelining),
      cmocka_unit_test(a_connection_cut_at_any_octet_tells_the_truth_over_tls_with_chunks),
  };
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_recipient_is_told_what_the_server_decided),
      cmocka_unit_test(a_source_that_answers_later_is_sent_whole),
      cmocka_unit_test(a_source_that_fails_is_never_completed),
      cmocka_unit_test(who_cannot_be_sent_for_want_of_memory_is_told),
      cmocka_unit_test(contents_in_buffers_arrive_as_one),
      cmocka_unit_test(a_source_that_is_one_piece_is_not_opened),
      cmocka_unit_test(a_send_that_its_source_cancels_is_not_sent_and_the_others_are),
      cmocka_unit_test(one_that_cannot_give_itself_whole_is_opened),
      cmocka_unit_test(a_missing_extension_is_told_by_who_misses_it),
      cmocka_unit_test(what_is_wrong_with_a_field_is_not_told_of_the_next_content),
      cmocka_unit_test(what_cannot_be_asked_for_is_named),
      cmocka_unit_test(manners_outlive_the_connection),
      cmocka_unit_test(ways_at_which_connections_get_lost_are_left),
      cmocka_unit_test(behind_a_masked_greeting_the_final_dot_leaves_alone),
      cmocka_unit_test(a_binary_message_goes_as_it_is_or_not_at_all),
      cmocka_unit_test(a_message_cancelled_at_any_line_is_told_the_truth),
      cmocka_unit_test(progress_is_told_as_it_is_made),
      cmocka_unit_test(xclient_begins_the_session_anew),
      cmocka_unit_test(xforward_goes_in_as_many_commands_as_it_takes),
      cmocka_unit_test(a_connection_cut_at_any_octet_tells_the_truth_in_lockstep),
      cmocka_unit_test(a_connection_cut_at_any_octet_tells_the_truth_with_pipelining),
      cmocka_unit_test(a_connection_cut_at_any_octet_tells_the_truth_with_chunks),
      cmocka_unit_test(a_connection_cut_at_any_octet_tells_the_truth_over_lmtp),
      cmocka_unit_test(a_connection_cut_at_any_octet_tells_the_truth_of_two_transactions),
      cmocka_unit_test(a_connection_cut_at_any_octet_tells_the_truth_of_a_stream),
  };
  if (argc > 1 && strcmp(argv[1], "tls") == 0)
    return cmocka_run_group_tests(over_tls, set_up, tear_down);
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
