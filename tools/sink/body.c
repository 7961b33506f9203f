/*
 * Bodies: DATA, which ends at CRLF . CRLF and nowhere else, and BDAT, which is counted.
 *
 * Bytes are handed on in pieces where they lie; of DATA the dots of RFC 5321 section 4.5.2 are
 * taken out. A stretch of 128 bytes in which no line begins with a dot, or in which all line ends
 * are CRLF, is recognised by a loop that compilers turn into vector instructions; only other
 * stretches are looked at byte by byte.
 */
#include "sink/internal.h"

#include <string.h>

enum { STRETCH = 128, LANES = 16 };

/* Pieces. */

/* Looks at single bytes for what the fast scan has found, or could not look at. */
static void scan_slowly(sink_session_t *s, const unsigned char *p, size_t len)
{
  unsigned char last = s->last;

  for (size_t i = 0; i < len; i++) {
    if (p[i] == '\n' && last != '\r')
      s->bare_lf = true;
    if (last == '\r' && p[i] != '\n')
      s->bare_cr = true;
    if (p[i] > 127)
      s->eight_bit = true;
    last = p[i];
  }
  s->last = last;
}

/* 0xff for true, which vector compares give for nothing. */
static unsigned char mask(bool is)
{
  return (unsigned char)-(int)is;
}

/* Are there only right line ends, and 7-bit bytes? p[-1] is looked at too. */
static bool is_plain(const unsigned char *p)
{
  unsigned char wrong[LANES] = {0}, all[LANES] = {0};
  uint64_t w[2], a[2];

  for (int i = 0; i < STRETCH; i += LANES) {
    for (int j = 0; j < LANES; j++) {
      wrong[j] |= mask(p[i + j] == '\n') ^ mask(p[i + j - 1] == '\r');
      all[j] |= p[i + j];
    }
  }
  memcpy(w, wrong, sizeof w);
  memcpy(a, all, sizeof a);
  return ((w[0] | w[1]) | ((a[0] | a[1]) & 0x8080808080808080u)) == 0;
}

/* The last stretch overlaps the one before it: to look twice does no harm. */
static void scan(sink_session_t *s, const unsigned char *p, size_t len)
{
  if (len == 0)
    return;
  scan_slowly(s, p, 1);
  p++;
  len--;
  if (len < STRETCH) {
    scan_slowly(s, p, len);
    return;
  }
  for (const unsigned char *end = p + len; p < end; p += STRETCH) {
    if (end - p < STRETCH)
      p = end - STRETCH;
    if (!is_plain(p)) {
      s->last = p[-1];
      scan_slowly(s, p, STRETCH);
    }
  }
  s->last = p[-1];
}

/* `body after N` */
static void look_for_rules(sink_session_t *s)
{
  while (s->size >= s->body_stop && !s->mute) {
    uint64_t stop = s->body_stop;
    s->body_stop = sink__script_next(&s->sink->script, SINK_AT_BODY, s->number, stop + 1);
    sink__act(s, SINK_AT_BODY, stop);
  }
}

static void piece(sink_session_t *s, const char *bytes, size_t len)
{
  const sink_options_t *o = &s->sink->options;

  if (len == 0)
    return;
  s->size += len;
  if (!s->chunked || (o->body & SINK_NO_SCAN) == 0)
    scan(s, (const unsigned char *)bytes, len);
  sink__store_piece(s, bytes, len);
  if (s->body_stop != SINK_NEVER)
    look_for_rules(s);
}

void sink__body_begin(sink_session_t *s)
{
  s->in_body = true;
  s->answered = s->bare_lf = s->bare_cr = s->eight_bit = false;
  s->last = '\n';
  s->dot = SINK_DOT_LINE;
  s->size = 0;
  s->body_stop = SINK_NEVER;
  if (sink__script_has(&s->sink->script, SINK_AT_BODY))
    s->body_stop = sink__script_next(&s->sink->script, SINK_AT_BODY, s->number, 0);
  sink__store_begin(s);
}

/* The end of a message. */

static void count_faults(sink_session_t *s)
{
  if (s->last == '\r')
    s->bare_cr = true;
  if (s->bare_lf && !s->binary)
    SINK_BAD(s, bare_lf);
  if (s->bare_cr && !s->binary)
    SINK_BAD(s, bare_cr);
  if (s->eight_bit && !s->eight_bit_ok && !s->utf8)
    SINK_BAD(s, eight_bit);
}

static bool recipient_matches(const char *pattern, const void *ctx)
{
  const char *address = ctx;

  return sink__glob(pattern, address, strlen(address));
}

/* One reply for each recipient (RFC 2033 section 4.2). True if one of them is taken. */
static bool answer_each(sink_session_t *s, const char *usual, size_t len)
{
  bool taken = false;

  for (uint32_t i = 0; i < s->rcpt_count; i++) {
    sink_rcpt_t *rcpt = &s->rcpts[i];
    const char *address = s->sink->keep_envelope ? s->envelope.base + rcpt->address : "";
    rcpt->refused = sink__answer(s, SINK_AT_EOD, recipient_matches, address, usual, len) != 2;
    taken = taken || !rcpt->refused;
  }
  return taken;
}

/* The final reply, or replies; true if the message is taken for somebody. */
static bool answer_end(sink_session_t *s, const char *usual, size_t len)
{
  bool taken;

  if (s->answered)
    return false;
  if (s->sink->options.lmtp)
    return answer_each(s, usual, len);
  if (!s->prdr)
    return sink__answer(s, SINK_AT_EOD, sink__envelope_matches, s, usual, len) == 2;
  sink__out(s, s->sink->replies[SINK_R_PRDR].text, s->sink->replies[SINK_R_PRDR].len);
  taken = answer_each(s, usual, len);
  sink__out(s, taken ? usual : "550 No recipient took it\r\n", taken ? len : 26);
  return taken;
}

static void end_message(sink_session_t *s)
{
  sink_t *sink = s->sink;
  char queued[64];
  const char *usual = queued;
  size_t len = 0;

  s->in_body = false;
  count_faults(s);
  if (sink->options.max_size != 0 && s->size > sink->options.max_size) {
    usual = sink->replies[SINK_R_TOO_BIG].text;
    len = sink->replies[SINK_R_TOO_BIG].len;
  } else if (!sink__store_ready(s)) {
    usual = sink->replies[SINK_R_STORAGE].text;
    len = sink->replies[SINK_R_STORAGE].len;
  } else {
    len = sink__queued_reply(sink, queued, sink->counters.messages + 1);
  }
  if (answer_end(s, usual, len)) {
    sink__store_commit(s);
  } else {
    sink->counters.refused_messages++;
    sink__store_abort(s);
  }
  if ((sink->offer & SINK_PIPELINING) == 0 || !s->extended)
    s->awaiting = true;
  sink__session_reset(s);
}

/* DATA. */

/* Is there no dot that an LF stands before? p[-1] is looked at too. */
static bool no_dotted_line(const char *p)
{
  unsigned char dotted[LANES] = {0};
  uint64_t halves[2];

  for (int i = 0; i < STRETCH; i += LANES) {
    for (int j = 0; j < LANES; j++)
      dotted[j] |= mask(p[i + j] == '.') & mask(p[i + j - 1] == '\n');
  }
  memcpy(halves, dotted, sizeof halves);
  return (halves[0] | halves[1]) == 0;
}

/* Goes over stretches without a dotted line; at least one byte of the body lies before `p`. */
static const char *skip(sink_session_t *s, const char *p, const char *end)
{
  const char *start = p;

  while (end - p >= STRETCH && no_dotted_line(p))
    p += STRETCH;
  if (p == start)
    return p;
  if (p[-1] == '\r')
    s->dot = SINK_DOT_CR;
  else
    s->dot = p[-1] == '\n' && p[-2] == '\r' ? SINK_DOT_LINE : SINK_DOT_TEXT;
  return p;
}

static sink_dot_t after_byte(sink_dot_t dot, char c)
{
  if (c == '\r')
    return SINK_DOT_CR;
  return dot == SINK_DOT_CR && c == '\n' ? SINK_DOT_LINE : SINK_DOT_TEXT;
}

/* What is left to hand on when the bytes have come to their end: not a CR behind a lone dot. */
static void rest(sink_session_t *s, const char *from, const char *end)
{
  if (s->dot == SINK_DOT_DOT_CR && from < end)
    end--;
  piece(s, from, (size_t)(end - from));
}

const char *sink__body_data(sink_session_t *s, const char *start, const char *end)
{
  const char *p = start, *from = start; /* [from, p) is seen and not handed on */

  while (p < end && !s->mute) {
    if (s->dot < SINK_DOT_DOT && p > start && end - p >= STRETCH) {
      const char *q = skip(s, p, end);
      if (q > p) {
        p = q;
        continue;
      }
    }
    for (const char *stop = end - p > STRETCH ? p + STRETCH : end; p < stop; p++) {
      if (s->dot == SINK_DOT_LINE && *p == '.') {
        piece(s, from, (size_t)(p - from));
        from = p + 1;
        s->dot = SINK_DOT_DOT;
      } else if (s->dot == SINK_DOT_DOT && *p == '\r') {
        s->dot = SINK_DOT_DOT_CR;
      } else if (s->dot == SINK_DOT_DOT_CR && *p == '\n') {
        s->mode = SINK_MODE_COMMAND;
        end_message(s);
        return p + 1;
      } else if (s->dot == SINK_DOT_DOT_CR) {
        if (from == p) /* the CR came with bytes that are gone */
          piece(s, "\r", 1);
        s->dot = after_byte(SINK_DOT_CR, *p);
      } else {
        s->dot = after_byte(s->dot, *p);
      }
    }
  }
  rest(s, from, p);
  return p;
}

/* BDAT (RFC 3030). */

static void end_refused_chunk(sink_session_t *s, sink_reply_t refusal)
{
  sink__reply(s, SINK_AT_BDAT, sink__envelope_matches, s, refusal);
  if (s->in_body) {
    s->in_body = false;
    sink__store_abort(s);
  }
  if (!s->mail)
    return;
  if (s->chunk_last)
    sink__session_reset(s);
  else
    s->chunk_failed = true;
}

static void end_chunk(sink_session_t *s)
{
  s->mode = SINK_MODE_COMMAND;
  if (s->chunk_refused) {
    end_refused_chunk(s, s->refusal);
  } else if (s->chunk_last) {
    end_message(s);
  } else if (s->answered ||
             sink__reply(s, SINK_AT_BDAT, sink__envelope_matches, s, SINK_R_CHUNK) != 2) {
    s->in_body = false;
    s->chunk_failed = true;
    sink__store_abort(s);
  }
  if ((s->sink->offer & SINK_PIPELINING) == 0)
    s->awaiting = true;
}

void sink__chunk_begin(sink_session_t *s, uint64_t len, bool last, sink_reply_t verdict)
{
  s->chunk_refused = verdict != SINK_R_CHUNK;
  s->refusal = verdict;
  s->chunk_left = len;
  s->chunk_last = last;
  if (!s->chunk_refused && !s->chunked) {
    s->chunked = true;
    sink__body_begin(s);
  }
  s->mode = SINK_MODE_CHUNK;
  if (len == 0)
    end_chunk(s);
}

const char *sink__body_chunk(sink_session_t *s, const char *p, const char *end)
{
  size_t len = (size_t)(end - p) < s->chunk_left ? (size_t)(end - p) : (size_t)s->chunk_left;

  if (!s->chunk_refused)
    piece(s, p, len);
  s->chunk_left -= len;
  if (s->chunk_left == 0 && !s->mute)
    end_chunk(s);
  return p + len;
}
