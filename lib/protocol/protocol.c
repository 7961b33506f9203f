/*
 * The machine's frame: making it, feeding it, matching replies to commands, and time. What a reply
 * means is judged by the file of its phase.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/secret.h"
#include "protocol/reader.h"

#define TRACE_MAX (256 * 1024)
#define CHALLENGE_MAX (64 * 1024)
#define LINE_MAX_OCTETS 4096

const char *uvsmtp_state_name(uvsmtp_state_t state)
{
  static const char *const names[] = {
#define X(name, text) text,
      UVSMTP_STATE_MAP(X)
#undef X
  };
  return names[state];
}

const char *uvsmtp_command_name(uvsmtp_command_t command)
{
  static const char *const names[] = {
#define X(name, timeout, phrase) #name,
      UVSMTP_COMMAND_MAP(X)
#undef X
  };
  return names[command];
}

const char *uvsmtp_command_phrase(uvsmtp_command_t command)
{
  static const char *const phrases[] = {
#define X(name, timeout, phrase) phrase,
      UVSMTP_COMMAND_MAP(X)
#undef X
  };
  return phrases[command];
}

static uint64_t timeout_of(const uvsmtp_protocol_t *p, uvsmtp_command_t command)
{
  static const uint8_t places[] = {
#define X(name, timeout, phrase) offsetof(uvsmtp_timeouts_t, timeout) / sizeof(uint64_t),
      UVSMTP_COMMAND_MAP(X)
#undef X
  };
  return (&p->options.timeouts.greeting_ms)[places[command]];
}

#define DEFAULT(field, value)                                                                      \
  if (o->field == 0)                                                                               \
  o->field = (value)

static void fill_defaults(uvsmtp_protocol_options_t *o)
{
  DEFAULT(max_reply_line, 8192);
  DEFAULT(max_reply_lines, 2048);
  DEFAULT(max_reply_bytes, 131072);
  DEFAULT(max_output, 131072);
  DEFAULT(max_outstanding, 65536);
  DEFAULT(timeouts.greeting_ms, 300000);
  DEFAULT(timeouts.command_ms, 300000);
  DEFAULT(timeouts.data_ms, 120000);
  DEFAULT(timeouts.body_ms, 180000);
  DEFAULT(timeouts.data_end_ms, 600000);
  if (o->max_output < 4096)
    o->max_output = 4096;
}

int uvsmtp_protocol_new(uvsmtp_protocol_t **out, const uvsmtp_protocol_options_t *options,
                        uint64_t now_ms)
{
  uvsmtp_protocol_options_t known;
  uvsmtp_protocol_t *p;
  int err = uvsmtp__options_copy(&known, sizeof(known), options);
  *out = NULL;
  if (err != 0)
    return err;
  p = uvsmtp__calloc(known.mem, 1, sizeof(*p));
  if (p == NULL)
    return UVSMTP_ENOMEM;
  p->mem_copy = *uvsmtp__mem(known.mem);
  p->mem = &p->mem_copy;
  p->options = known;
  p->options.mem = p->mem;
  fill_defaults(&p->options);
  p->tls = known.tls;
  p->now_ms = p->progress_ms = now_ms;
  uvsmtp__reader_init(&p->reader, p->mem, &p->options);
  uvsmtp__buffer_init(&p->challenge, p->mem, CHALLENGE_MAX);
  uvsmtp__buffer_init(&p->line, p->mem, LINE_MAX_OCTETS);
  uvsmtp__buffer_init(&p->mail, p->mem, LINE_MAX_OCTETS);
  uvsmtp__buffer_init(&p->trace, p->mem, TRACE_MAX);
  uvsmtp__capabilities_clear(p);
  if ((err = uvsmtp__queue_reserve(p, 1)) != 0) {
    uvsmtp_protocol_free(p);
    return err;
  }
  uvsmtp__queue_push(p, UVSMTP_COMMAND_GREETING, NULL, 0, p->out.issued);
  *out = p;
  return 0;
}

void uvsmtp_protocol_free(uvsmtp_protocol_t *p)
{
  uvsmtp_mem_t mem;
  if (p == NULL)
    return;
  uvsmtp__out_free(p);
  uvsmtp__capabilities_clear(p);
  uvsmtp__buffer_free(&p->reader.partial);
  uvsmtp__buffer_wipe(&p->challenge);
  uvsmtp__buffer_free(&p->line);
  uvsmtp__buffer_free(&p->mail);
  uvsmtp__buffer_free(&p->trace);
  uvsmtp__free_secret(p->mem, p->late_response);
  uvsmtp__free_secret(p->mem, p->sent_secret);
  uvsmtp__free(p->mem, p->domain);
  uvsmtp__free(p->mem, p->error_text);
  uvsmtp__free(p->mem, p->queue.ring);
  mem = p->mem_copy;
  uvsmtp__free(&mem, p);
}

void uvsmtp_protocol_trim(uvsmtp_protocol_t *p)
{
  if (p->out.waiting == 0 && !p->out.lent)
    uvsmtp__out_free(p);
  if (p->queue.count == 0) {
    uvsmtp__free(p->mem, p->queue.ring);
    p->queue = (queue_t){0};
  }
  if (p->reader.done || uvsmtp__buffer_len(&p->reader.partial) == 0) {
    uvsmtp__buffer_free(&p->reader.partial);
    p->reader.done = false;
    p->reader.line = 0;
  }
  uvsmtp__buffer_wipe(&p->challenge);
  uvsmtp__buffer_free(&p->line);
  uvsmtp__buffer_free(&p->mail);
}

uvsmtp_state_t uvsmtp_protocol_state(const uvsmtp_protocol_t *p)
{
  return p->state;
}

uvsmtp_state_t uvsmtp_protocol_projected_state(const uvsmtp_protocol_t *p)
{
  return p->projected;
}

const uvsmtp_capabilities_t *uvsmtp_protocol_capabilities(const uvsmtp_protocol_t *p)
{
  return &p->capabilities;
}

bool uvsmtp_protocol_needs_incoming_data(const uvsmtp_protocol_t *p)
{
  return p->queue.count > 0;
}

size_t uvsmtp_protocol_outstanding(const uvsmtp_protocol_t *p)
{
  return uvsmtp__queue_due(p);
}

bool uvsmtp_protocol_needs_reset(const uvsmtp_protocol_t *p)
{
  return p->needs_reset;
}

uvsmtp_last_reply_t uvsmtp_protocol_last_reply(const uvsmtp_protocol_t *p)
{
  uvsmtp_last_reply_t last = p->last_reply;
  last.accepted = p->accepted;
  if (!last.told && last.command != UVSMTP_COMMAND_GREETING)
    uvsmtp__reader_read_success(p->quiet, p->quiet_len, &last);
  return last;
}

bool uvsmtp_protocol_is_closing(const uvsmtp_protocol_t *p)
{
  return p->closing || p->err != 0;
}

const char *uvsmtp_protocol_missing(const uvsmtp_protocol_t *p)
{
  return p->missing != NULL ? p->missing : "";
}

const char *uvsmtp_protocol_error_text(const uvsmtp_protocol_t *p)
{
  if (p->err == 0)
    return "";
  return p->error_text != NULL ? p->error_text : uvsmtp_strerror(p->err);
}

const char *uvsmtp_protocol_phrase(const uvsmtp_protocol_t *p)
{
  if (p->queue.count > 0)
    return uvsmtp_command_phrase(uvsmtp__awaited(&p->queue.ring[p->queue.head]));
  return p->state == UVSMTP_STATE_SEND_DATA ? "sending the message" : "idle";
}

void uvsmtp__protocol_fail(uvsmtp_protocol_t *p, int err, const char *what, const char *detail,
                           size_t detail_len)
{
  const char *phrase = uvsmtp_protocol_phrase(p);
  uvsmtp__buffer_t text;
  if (p->err != 0)
    return;
  p->err = err;
  p->state = p->projected = UVSMTP_STATE_FINISHED;
  uvsmtp__buffer_init(&text, p->mem, 1024);
  if (uvsmtp__buffer_printf(&text, "%s while %s", what, phrase) != 0)
    return;
  if (detail_len > 200)
    detail_len = 200;
  while (detail_len > 0 && (detail[detail_len - 1] == '\n' || detail[detail_len - 1] == '\r'))
    detail_len--;
  if (detail != NULL && uvsmtp__buffer_printf(&text, ": \"") == 0) {
    for (size_t i = 0; i < detail_len; i++) {
      char c = detail[i];
      c = (unsigned char)c < 32 || c == 127 ? '?' : c;
      if (uvsmtp__buffer_append(&text, &c, 1) != 0)
        break;
    }
    uvsmtp__buffer_append(&text, "\"", 1);
  }
  p->error_text = uvsmtp__memdup(p->mem, uvsmtp__buffer_data(&text), uvsmtp__buffer_len(&text));
  uvsmtp__buffer_free(&text);
}

int uvsmtp_protocol_feed_bytes(uvsmtp_protocol_t *p, const char *bytes, size_t len, uint64_t now_ms)
{
  if (p->in_len > 0)
    return UVSMTP_EBUSY;
  p->now_ms = now_ms;
  if (p->tls_pending && len > 0)
    uvsmtp__protocol_fail(p, UVSMTP_ETLSINJECTED, uvsmtp_strerror(UVSMTP_ETLSINJECTED), NULL, 0);
  p->in = bytes;
  p->in_len = p->err != 0 ? 0 : len;
  p->in_limit = p->out.sent;
  return 0;
}

void uvsmtp_protocol_feed_eof(uvsmtp_protocol_t *p)
{
  p->eof = true;
}

static void judge(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event)
{
  switch ((uvsmtp_command_t)e->command) {
  case UVSMTP_COMMAND_GREETING:
    uvsmtp__judge_greeting(p, e, event);
    break;
  case UVSMTP_COMMAND_EHLO:
  case UVSMTP_COMMAND_HELO:
  case UVSMTP_COMMAND_LHLO:
    uvsmtp__judge_hello(p, e, event);
    break;
  case UVSMTP_COMMAND_STARTTLS:
    uvsmtp__judge_starttls(p, e, event);
    break;
  case UVSMTP_COMMAND_XCLIENT:
    uvsmtp__judge_xclient(p, e, event);
    break;
  case UVSMTP_COMMAND_AUTH:
    uvsmtp__judge_auth(p, e, event);
    break;
  default:
    uvsmtp__judge_transaction(p, e, event);
    break;
  }
}

static void note_last(uvsmtp_protocol_t *p, const expectation_t *e, const uvsmtp_reply_t *reply)
{
  p->last_reply.command = (uvsmtp_command_t)e->command;
  p->last_reply.code = reply->code;
  memcpy(p->last_reply.enhanced, reply->enhanced, sizeof(reply->enhanced));
  p->last_reply.told = true;
}

/* By how many replies are due ahead of the last command of a flight: the last that was a success,
 * and the state that it led to. */
static const struct {
  uint8_t command, state;
} after[UVSMTP__AHEAD] = {{UVSMTP_COMMAND_RCPT, UVSMTP_STATE_RECIPIENT_SENT},
                          {UVSMTP_COMMAND_MAIL, UVSMTP_STATE_MAILTX},
                          {UVSMTP_COMMAND_RSET, UVSMTP_STATE_READY}};

static void note_quiet(uvsmtp_protocol_t *p, uvsmtp_command_t command, uvsmtp_slice_t line)
{
  p->last_reply.command = command;
  p->last_reply.told = false;
  if (line.len >= sizeof(p->quiet) || p->in_len >= sizeof(p->quiet)) {
    p->quiet_len = (uint8_t)(line.len < sizeof(p->quiet) ? line.len : sizeof(p->quiet));
    memcpy(p->quiet, line.base, sizeof(p->quiet)); /* what follows it is there too */
  } else {
    p->quiet_len = (uint8_t)line.len;
    memcpy(p->quiet, line.base, line.len);
  }
}

/* Takes at most `most` successes of one line that come next: how many, and the last of them. */
static unsigned take_successes(uvsmtp_protocol_t *p, unsigned most, uvsmtp_slice_t *last)
{
  const char *in = p->in;
  size_t left = p->in_len, len;
  unsigned n = 0;
  if (!uvsmtp__reader_is_free(&p->reader))
    return 0;
  while (n < most && (len = uvsmtp__success_len(&p->reader, in, left)) != 0) {
    *last = (uvsmtp_slice_t){in, len};
    if (p->options.trace)
      uvsmtp__trace_received(p, &(uvsmtp_reply_t){.raw = *last});
    in += len;
    left -= len;
    n++;
  }
  p->in = in;
  p->in_len = left;
  return n;
}

/* What is ahead of a flight that is held as one; false if nothing of it was a success. */
static bool take_ahead(uvsmtp_protocol_t *p, expectation_t *e)
{
  uvsmtp_slice_t line;
  unsigned taken = take_successes(p, e->ahead, &line);
  if (taken == 0)
    return false;
  p->queue.ahead -= taken;
  e->ahead = (uint8_t)(e->ahead - taken);
  if (e->ahead + taken > 2)
    p->needs_reset = false;
  if (e->ahead + taken > 1) {
    p->accepted = 0;
    p->chunks_begun = p->prdr = false;
  }
  p->accepted += e->ahead == 0;
  if (e->ahead == 0)
    e->flags &= (uint8_t)~EXPECT_QUIET;
  p->state = after[e->ahead].state;
  note_quiet(p, after[e->ahead].command, line);
  return true;
}

static bool take_one(uvsmtp_protocol_t *p, expectation_t *e)
{
  uvsmtp_slice_t line;
  if (p->in_limit < e->answerable || take_successes(p, 1, &line) == 0)
    return false;
  uvsmtp__apply_success(p, e);
  note_quiet(p, (uvsmtp_command_t)e->command, line);
  uvsmtp__queue_pop(p);
  return true;
}

/*
 * Takes replies that only say that a flight goes well. The last of them is noted. Gives what the
 * next reply will answer.
 */
static expectation_t *take_quiet(uvsmtp_protocol_t *p)
{
  expectation_t *e;
  while ((e = uvsmtp__queue_front(p)) != NULL && (e->flags & EXPECT_QUIET) != 0) {
    if (e->ahead > 0 && p->in_limit < e->answerable)
      e = uvsmtp__queue_split(p); /* only some of its lines had been sent */
    if (e->ahead > 0 ? !take_ahead(p, e) : !take_one(p, e))
      break;
    p->progress_ms = p->now_ms;
  }
  return e;
}

/* A whole reply has come: whose is it, and what does it mean? */
static void match(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event)
{
  expectation_t copy;
  if (e != NULL && e->ahead > 0)
    e = uvsmtp__queue_split(p);
  if (p->options.trace)
    uvsmtp__trace_received(p, &event->reply);
  if (event->reply.code == 421) {
    p->closing = true;
    uvsmtp__end_quiet(p, true);
  }
  if (e == NULL || p->in_limit < e->answerable) {
    event->type = UVSMTP_EVENT_UNSOLICITED;
    event->last = true;
    p->closing = true; /* whatever comes next may answer something else */
    return;
  }
  if (p->in_limit < e->complete && UVSMTP_REPLY_CLASS(&event->reply) < 4) {
    /* Before all of a content has been sent it can be refused, not accepted. */
    uvsmtp__protocol_fail(p, UVSMTP_EREPLY, uvsmtp_strerror(UVSMTP_EREPLY), event->reply.raw.base,
                          event->reply.raw.len);
    p->in_len = 0;
    event->type = UVSMTP_EVENT_NONE;
    return;
  }
  p->progress_ms = p->now_ms;
  note_last(p, e, &event->reply);
  event->type = UVSMTP_EVENT_REPLY;
  event->command = e->command;
  event->tag = e->tag;
  event->index = e->replies++;
  event->last = true;
  copy = *e;
  /* The judges see the queue as it will be, and may issue commands. */
  uvsmtp__queue_pop(p);
  judge(p, &copy, event);
  if ((copy.flags & EXPECT_QUIET) != 0 && UVSMTP_REPLY_CLASS(&event->reply) == 2) {
    note_quiet(p, event->command, event->reply.raw);
    event->type = UVSMTP_EVENT_NONE;
  }
}

static bool error_event(uvsmtp_protocol_t *p, uvsmtp_event_t *event)
{
  if (p->error_told)
    return false;
  p->error_told = true;
  event->type = UVSMTP_EVENT_ERROR;
  event->err = p->err;
  event->last = true;
  return true;
}

/* All that was fed is read; is the end of the stream an error? */
static bool at_end_of_input(uvsmtp_protocol_t *p, uvsmtp_event_t *event)
{
  p->in = NULL;
  if (!p->eof || p->state == UVSMTP_STATE_FINISHED)
    return false;
  if (p->queue.count == 0 && p->state != UVSMTP_STATE_SEND_DATA) {
    p->state = p->projected = UVSMTP_STATE_FINISHED;
    p->closing = true;
    return false;
  }
  uvsmtp__protocol_fail(p, UVSMTP_ECONNLOST, "the server closed the connection", NULL, 0);
  return error_event(p, event);
}

/* A line that is no reply: fatal where a reply is owed, told where none is. */
static bool bad_line(uvsmtp_protocol_t *p, uvsmtp_event_t *event, int err, uvsmtp_slice_t bad)
{
  if (err == UVSMTP_EPROTOCOL && p->queue.count == 0 && p->state != UVSMTP_STATE_SEND_DATA) {
    event->type = UVSMTP_EVENT_UNSOLICITED;
    event->last = true;
    p->closing = true;
    event->reply = (uvsmtp_reply_t){.raw = bad, .lines = 1};
    return true;
  }
  uvsmtp__protocol_fail(p, err, uvsmtp_strerror(err), bad.base, bad.len);
  p->in_len = 0;
  return error_event(p, event);
}

/* As uvsmtp__reader_next. */
static int next_reply(uvsmtp_protocol_t *p, uvsmtp_reply_t *reply, uvsmtp_slice_t *bad)
{
  if (p->reader.done || uvsmtp__buffer_len(&p->reader.partial) != 0 ||
      !uvsmtp__read_single(&p->reader, p->in, p->in_len, reply))
    return uvsmtp__reader_next(&p->reader, &p->options, &p->in, &p->in_len, reply, bad);
  p->in += reply->raw.len;
  p->in_len -= reply->raw.len;
  return 1;
}

static bool next_event(uvsmtp_protocol_t *p, uvsmtp_event_t *event)
{
  uvsmtp_slice_t bad = {NULL, 0};
  expectation_t *e;
  int got;
  for (;;) {
    memset(event, 0, sizeof(*event));
    if (p->err != 0)
      return error_event(p, event);
    e = take_quiet(p);
    got = next_reply(p, &event->reply, &bad);
    if (got < 0)
      return bad_line(p, event, got, bad);
    if (got == 0)
      return at_end_of_input(p, event);
    match(p, e, event);
    if (event->type != UVSMTP_EVENT_NONE)
      return true;
  }
}

bool uvsmtp_protocol_next_event(uvsmtp_protocol_t *p, uvsmtp_event_t *event)
{
  if (p->in_len > 0 || p->eof || p->err != 0)
    return next_event(p, event);
  event->type = UVSMTP_EVENT_NONE;
  p->in = NULL;
  return false;
}

uint64_t uvsmtp_protocol_deadline(const uvsmtp_protocol_t *p)
{
  uint64_t timeout;
  if (p->err != 0)
    return UINT64_MAX;
  if (p->out.waiting > 0)
    timeout = p->options.timeouts.body_ms;
  else if (p->queue.count > 0)
    timeout = timeout_of(p, uvsmtp__awaited(&p->queue.ring[p->queue.head]));
  else
    return UINT64_MAX;
  return timeout > UINT64_MAX - p->progress_ms ? UINT64_MAX : p->progress_ms + timeout;
}

void uvsmtp_protocol_expire(uvsmtp_protocol_t *p, uint64_t now_ms)
{
  p->now_ms = now_ms;
  if (p->fresh) {
    p->progress_ms = now_ms;
    p->fresh = false;
  }
  if (now_ms >= uvsmtp_protocol_deadline(p))
    uvsmtp__protocol_fail(p, UVSMTP_ETIMEOUT,
                          p->out.waiting > 0 ? "the server did not read in time"
                                             : uvsmtp_strerror(UVSMTP_ETIMEOUT),
                          NULL, 0);
}
