/*
 * What the server says: replies are matched to commands, and become events. What a reply means is
 * judged by the file of its phase; what only says that a flight goes well is taken as it is read.
 */
#include <string.h>

#include "protocol/reader.h"

/* Apart, so that it costs nothing where there is one that talks already. */
static __attribute__((noinline)) int feed_first(uvsmtp_protocol_t *p, const char *bytes, size_t len,
                                                uint64_t now_ms)
{
  int err = uvsmtp__talk_wake(p);
  return err != 0 ? err : uvsmtp_protocol_feed_bytes(p, bytes, len, now_ms);
}

/* Replies are taken as a whole where one is to begin, and nothing else is asked for. */
static size_t whole_room(const uvsmtp_protocol_t *p)
{
  bool may_be = p->err == 0 && !p->tracing && p->talk->reader.max_single >= UVSMTP__SHORT_LINE &&
                uvsmtp__reader_is_free(&p->talk->reader);
  return may_be ? UVSMTP__AHEAD * UVSMTP__SHORT_LINE : SIZE_MAX;
}

int uvsmtp_protocol_feed_bytes(uvsmtp_protocol_t *p, const char *bytes, size_t len, uint64_t now_ms)
{
  if (uvsmtp__in_left(p) > 0)
    return UVSMTP_EBUSY;
  if (p->talk == &uvsmtp__talk_at_rest)
    return feed_first(p, bytes, len, now_ms);
  p->now_ms = now_ms;
  p->in = bytes;
  p->in_end = p->err != 0 || p->tls_pending ? bytes : bytes + len;
  p->in_limit = p->sent;
  p->whole_room = whole_room(p);
  if (p->tls_pending && len > 0)
    uvsmtp__protocol_fail(p, UVSMTP_ETLSINJECTED, uvsmtp_strerror(UVSMTP_ETLSINJECTED), NULL, 0);
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

/* Apart, for hardly any reply is that short. */
static __attribute__((noinline)) void keep_few(uvsmtp_protocol_t *p, const char *line, size_t len)
{
  memcpy(p->talk->last, line, len);
}

/* Keeps the beginning of a reply at `line`, where `room` octets can be read. */
static inline void note_last(uvsmtp_protocol_t *p, uvsmtp_command_t command, bool told,
                             const char *line, size_t room)
{
  talk_t *talk = p->talk;
  const size_t half = sizeof(talk->last) / 2;
  p->last_reply.command = (uint8_t)command;
  p->last_reply.told = told;
  talk->last_len = (uint8_t)(room < sizeof(talk->last) ? room : sizeof(talk->last));
  if (room < half) {
    keep_few(p, line, room);
  } else { /* the halves of what is there, which may overlap */
    memcpy(talk->last, line, half);
    memcpy(talk->last + talk->last_len - half, line + talk->last_len - half, half);
  }
}

/* By how many replies are due ahead of the last command of a flight: the last that was a success,
 * and the state that it led to. */
static const struct {
  uint8_t command, state;
} after[UVSMTP__AHEAD] = {{UVSMTP_COMMAND_RCPT, UVSMTP_STATE_RECIPIENT_SENT},
                          {UVSMTP_COMMAND_MAIL, UVSMTP_STATE_MAILTX},
                          {UVSMTP_COMMAND_RSET, UVSMTP_STATE_READY}};

/* Takes successes of one line, `most` at most: how many, and the last of them. */
static unsigned take_lines(uvsmtp_protocol_t *p, unsigned most, uvsmtp_slice_t *last)
{
  const char *in = p->in;
  size_t left = uvsmtp__in_left(p), len;
  unsigned n = most;
  *last = (uvsmtp_slice_t){NULL, 0};
  if (!uvsmtp__reader_is_free(&p->talk->reader))
    return 0;
  while (n > 0 && (len = uvsmtp__success_len(&p->talk->reader, in, left)) != 0) {
    *last = (uvsmtp_slice_t){in, len};
    if (p->tracing)
      uvsmtp__trace_received(p, &(uvsmtp_reply_t){.raw = *last});
    in += len;
    left -= len;
    n--;
  }
  p->in = in;
  return most - n;
}

/* What is ahead of a flight that is held as one; false if nothing of it was a success. */
static bool take_ahead(uvsmtp_protocol_t *p, expectation_t *e)
{
  unsigned before = e->ahead, taken;
  uvsmtp_slice_t line;
  if ((taken = take_lines(p, before, &line)) == 0)
    return false;
  p->queue.ahead -= taken;
  e->ahead = (uint8_t)(before - taken);
  if (before == 3)
    p->needs_reset = false;
  if (before > 1) {
    p->accepted = 0;
    p->chunks_begun = p->prdr = false;
  }
  if (e->ahead == 0) {
    p->accepted++;
    e->flags &= (uint8_t)~EXPECT_QUIET;
  }
  p->state = after[e->ahead].state;
  note_last(p, after[e->ahead].command, false, line.base, line.len + uvsmtp__in_left(p));
  return true;
}

static bool take_one(uvsmtp_protocol_t *p, expectation_t *e)
{
  uvsmtp_slice_t line;
  if (p->in_limit < e->answerable || take_lines(p, 1, &line) == 0)
    return false;
  uvsmtp__apply_success(p, e);
  note_last(p, (uvsmtp_command_t)e->command, false, line.base, line.len + uvsmtp__in_left(p));
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
  if (p->tracing)
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
    p->in = p->in_end;
    event->type = UVSMTP_EVENT_NONE;
    return;
  }
  p->progress_ms = p->now_ms;
  event->type = UVSMTP_EVENT_REPLY;
  event->command = e->command;
  event->tag = e->tag;
  event->index = e->replies++;
  event->last = true;
  copy = *e;
  /* The judges see the queue as it will be, and may issue commands. */
  uvsmtp__queue_pop(p);
  judge(p, &copy, event);
  if ((copy.flags & EXPECT_QUIET) != 0 && UVSMTP_REPLY_CLASS(&event->reply) == 2)
    event->type = UVSMTP_EVENT_NONE;
  note_last(p, event->command, event->type != UVSMTP_EVENT_NONE, event->reply.raw.base,
            event->reply.raw.len);
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
  p->in = p->in_end = NULL;
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
  p->in = p->in_end;
  return error_event(p, event);
}

/* As uvsmtp__reader_next. */
static int next_reply(uvsmtp_protocol_t *p, uvsmtp_reply_t *reply, uvsmtp_slice_t *bad)
{
  size_t left = uvsmtp__in_left(p);
  if (p->talk->reader.done || uvsmtp__buffer_len(&p->talk->reader.partial) != 0 ||
      !uvsmtp__read_single(&p->talk->reader, p->in, left, reply))
    return uvsmtp__reader_next(&p->talk->reader, &p->shared->options, &p->in, &left, reply, bad);
  p->in += reply->raw.len;
  return 1;
}

/* Reads on until there is an event. */
static bool read_on(uvsmtp_protocol_t *p, uvsmtp_event_t *event)
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

static __attribute__((noinline)) bool read_event(uvsmtp_protocol_t *p, uvsmtp_event_t *event)
{
  bool more = read_on(p, event);
  if (uvsmtp__in_left(p) > 0)
    p->whole_room = whole_room(p);
  return more;
}

/* Apart, so that it costs nothing to ask for what is quick. */
static __attribute__((noinline)) bool next_event(uvsmtp_protocol_t *p, uvsmtp_event_t *event)
{
  if (uvsmtp__in_left(p) > 0 || p->eof || p->err != 0)
    return read_event(p, event);
  event->type = UVSMTP_EVENT_NONE;
  p->in = p->in_end = NULL;
  return false;
}

/* The front was a success, all of it; `line` is the last, with room for a short one. */
static inline void note_whole(uvsmtp_protocol_t *p, const expectation_t *e, const char *line)
{
  if (e->ahead > 2)
    p->needs_reset = false;
  p->queue.ahead -= e->ahead;
  p->accepted = 1;
  p->chunks_begun = p->prdr = false;
  p->state = UVSMTP_STATE_READY;
  p->progress_ms = p->now_ms;
  note_last(p, UVSMTP_COMMAND_BDAT_LAST, true, line, UVSMTP__SHORT_LINE);
  uvsmtp__queue_pop(p);
}

/* Apart, as most enhanced codes are short. */
static __attribute__((noinline)) bool tell_enhanced(uvsmtp_reply_t *reply)
{
  const char *line = reply->raw.base;
  size_t end = reply->raw.len - 1;
  uvsmtp__reader_enhanced(reply, line + 4, end - 4 - (line[end - 1] == '\r'));
  return true;
}

/* All is set, for what was there before is of any event. */
static inline bool tell_whole(uvsmtp_event_t *event, void *tag, uvsmtp_slice_t line)
{
  uint64_t enhanced = uvsmtp__enhanced_digits(line.base + 4);
  event->type = UVSMTP_EVENT_REPLY;
  event->command = UVSMTP_COMMAND_BDAT_LAST;
  event->tag = tag;
  event->last = true;
  event->index = 0;
  event->reply.code = 250;
  event->reply.lines = 1;
  event->reply.raw = line;
  event->challenge = (uvsmtp_slice_t){NULL, 0};
  event->err = 0;
  if (!uvsmtp__is_enhanced(enhanced, 2))
    return tell_enhanced(&event->reply);
  uvsmtp__note_enhanced(&event->reply, enhanced);
  return true;
}

/*
 * A message that goes well is told in one go: are all replies there to a flight that is held as
 * one, short ones but for the last, `line`?
 */
static inline bool is_whole(const uvsmtp_protocol_t *p, const expectation_t *e,
                            uvsmtp_slice_t *line)
{
  line->base = p->in;
  return e->command == UVSMTP_COMMAND_BDAT_LAST && e->flags == EXPECT_QUIET && e->ahead >= 2 &&
         p->in_limit >= e->complete && uvsmtp__skip_short(&line->base) &&
         uvsmtp__skip_short(&line->base) && (e->ahead == 2 || uvsmtp__skip_short(&line->base)) &&
         uvsmtp__find_end(line, p->in_end) && uvsmtp__is_250(line->base) &&
         line->len <= p->talk->reader.max_single;
}

bool uvsmtp_protocol_next_event(uvsmtp_protocol_t *p, uvsmtp_event_t *event)
{
  const expectation_t *e = uvsmtp__queue_front(p);
  uvsmtp_slice_t line;
  if (uvsmtp__in_left(p) < p->whole_room || e == NULL || !is_whole(p, e, &line))
    return next_event(p, event);
  p->in = line.base + line.len;
  note_whole(p, e, line.base);
  return tell_whole(event, e->tag, line);
}
