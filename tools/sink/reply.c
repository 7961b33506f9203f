/*
 * Replies: the texts, made once; the reply to EHLO; and the detour through the script.
 */
#include "sink/internal.h"

#include <stdio.h>
#include <string.h>

void sink__replies_make(sink_t *sink)
{
  static const struct {
    const char *code, *enhanced, *text;
  } table[] = {
#define X(name, code, enhanced, text) {code, enhanced, text},
      SINK_REPLIES(X)
#undef X
  };

  for (size_t i = 0; i < SINK_REPLY_COUNT; i++) {
    bool enhanced = table[i].enhanced != NULL && (sink->offer & SINK_ENHANCEDSTATUSCODES) != 0;
    int n = snprintf(sink->replies[i].text, sizeof sink->replies[i].text, "%s %s%s%s\r\n",
                     table[i].code, enhanced ? table[i].enhanced : "", enhanced ? " " : "",
                     table[i].text);
    sink->replies[i].len = (size_t)n;
  }
}

size_t sink__queued_reply(const sink_t *sink, char *out, uint64_t number)
{
  static const char digits[] = "0123456789ABCDEF";
  static const char rich[] = "250 2.0.0 Ok: queued as ", poor[] = "250 Ok: queued as ";
  bool enhanced = (sink->offer & SINK_ENHANCEDSTATUSCODES) != 0;
  size_t len = enhanced ? sizeof rich - 1 : sizeof poor - 1;
  int shift = 28;

  memcpy(out, enhanced ? rich : poor, len);
  while (shift < 60 && number >> (shift + 4) != 0)
    shift += 4;
  for (; shift >= 0; shift -= 4)
    out[len++] = digits[number >> shift & 15];
  out[len++] = '\r';
  out[len++] = '\n';
  return len;
}

/* EHLO. */

static void add_line(sink_text_t *text, const char *line)
{
  sink__text_add(text, "250-", 4);
  sink__text_add(text, line, strlen(line));
  sink__text_add(text, "\r\n", 2);
}

static void add_size(const sink_t *sink, sink_text_t *text)
{
  char line[40] = "SIZE";

  if (sink->options.max_size != 0)
    snprintf(line, sizeof line, "SIZE %llu", (unsigned long long)sink->options.max_size);
  add_line(text, line);
}

static void add_auth(const sink_session_t *s, sink_text_t *text)
{
  if (s->sink->options.auth_tls_only && !s->tls_on)
    return;
  sink__text_add(text, "250-", 4);
  sink__auth_offer(s->sink, text);
  sink__text_add(text, "\r\n", 2);
}

void sink__ehlo_reply(sink_session_t *s, sink_text_t *text)
{
  static const struct {
    unsigned bit;
    const char *line;
  } plain[] = {{SINK_PIPELINING, "PIPELINING"},
               {SINK_8BITMIME, "8BITMIME"},
               {SINK_SMTPUTF8, "SMTPUTF8"},
               {SINK_CHUNKING, "CHUNKING"},
               {SINK_BINARYMIME, "BINARYMIME"},
               {SINK_DSN, "DSN"},
               {SINK_PRDR, "PRDR"},
               {SINK_ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES"}};
  const sink_t *sink = s->sink;
  size_t last = 0;

  text->len = 0;
  add_line(text, sink->options.hostname);
  for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
    if ((sink->offer & plain[i].bit) != 0)
      add_line(text, plain[i].line);
  }
  if ((sink->offer & SINK_SIZE) != 0)
    add_size(sink, text);
  if ((sink->offer & SINK_STARTTLS) != 0 && s->tls == NULL)
    add_line(text, "STARTTLS");
  if ((sink->offer & SINK_AUTH) != 0)
    add_auth(s, text);
  for (size_t i = 0; i < sink->options.ehlo_count; i++)
    add_line(text, sink->ehlo[i]);
  for (size_t i = 0; i + 2 < text->len; i++) {
    if (text->base[i] == '\n')
      last = i + 1;
  }
  if (text->len > 0)
    text->base[last + 3] = ' ';
}

/* The script. */

static const sink_rule_t *find_rule(sink_session_t *s, sink_point_t point, uint64_t after,
                                    bool (*matches)(const char *, const void *), const void *ctx)
{
  sink_where_t where = {.point = point,
                        .conn = s->number,
                        .nth = ++s->nth[point],
                        .total = ++s->sink->script.totals[point],
                        .after = after,
                        .tls = s->tls_on,
                        .matches = matches,
                        .ctx = ctx};
  const sink_rule_t *rule = sink__script_find(&s->sink->script, &where);

  if (rule != NULL) {
    s->sink->counters.scripted++;
    sink__note(s, "rule of line %zu", rule->line);
  }
  return rule;
}

/* Bytes that look like nothing: xorshift, the same in each run. */
static void garbage(sink_session_t *s, uint64_t count)
{
  uint64_t x = s->sink->noise;

  while (count > 0) {
    char bytes[64];
    size_t n = 0;
    for (; n < sizeof bytes && count > 0; count--) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      bytes[n++] = (char)(x >> 32);
    }
    sink__out(s, bytes, n);
  }
  s->sink->noise = x;
}

static void end_by_script(sink_session_t *s, sink_point_t point, sink_end_t end)
{
  if (point == SINK_AT_SENT)
    sink__cut(s, end);
  else
    sink__end(s, end);
}

/* What does not change what the reply means. */
static void run_action(sink_session_t *s, const sink_action_t *action, sink_point_t point)
{
  switch (action->kind) {
  case SINK_DO_RAW:
    sink__out(s, action->bytes, action->len);
    break;
  case SINK_DO_GARBAGE:
    garbage(s, action->number);
    break;
  case SINK_DO_DELAY:
    sink__delay(s, action->number);
    break;
  case SINK_DO_SPLIT:
    s->split = true;
    s->split_ms = action->number;
    break;
  case SINK_DO_CLOSE:
    end_by_script(s, point, SINK_END_FIN);
    break;
  case SINK_DO_RESET:
    end_by_script(s, point, SINK_END_RST);
    break;
  case SINK_DO_NOTIFY:
    sink__tls_notify(s);
    break;
  case SINK_DO_STALL:
    sink__flush(s);
    s->mute = true;
    break;
  case SINK_DO_DEAF:
    sink__deaf(s, action->number);
    break;
  default:
    break;
  }
}

/* Runs a rule; `usual` may be empty. Returns the digit that the state has to follow. */
static int run_rule(sink_session_t *s, const sink_rule_t *rule, const char *usual, size_t len)
{
  int digit = len > 0 ? usual[0] - '0' : 2;
  bool refused = false;

  for (size_t i = 0; i < rule->action_count; i++) {
    const sink_action_t *action = &rule->actions[i];
    if (action->kind == SINK_DO_REFUSE) {
      refused = true;
    } else if (action->kind == SINK_DO_REPLY && action->bytes != NULL) {
      sink__out(s, action->bytes, action->len);
      digit = action->bytes[action->last] - '0';
    } else if (action->kind == SINK_DO_REPLY) {
      sink__out(s, usual, len);
    } else {
      run_action(s, action, rule->point);
    }
  }
  if (!rule->answers)
    sink__out(s, usual, len);
  s->split = false;
  return refused ? 5 : digit;
}

int sink__answer_slow(sink_session_t *s, sink_point_t point, uint64_t after,
                      bool (*matches)(const char *, const void *), const void *ctx,
                      const char *usual, size_t len)
{
  const sink_rule_t *rule = find_rule(s, point, after, matches, ctx);

  if (rule != NULL)
    return run_rule(s, rule, usual, len);
  sink__out(s, usual, len);
  return usual[0] - '0';
}

void sink__act(sink_session_t *s, sink_point_t point, uint64_t after)
{
  const sink_rule_t *rule = NULL;

  if (sink__script_has(&s->sink->script, point))
    rule = find_rule(s, point, after, sink__envelope_matches, s);
  if (rule == NULL)
    return;
  if (run_rule(s, rule, "", 0) != 2 || (point == SINK_AT_BODY && rule->answers))
    s->answered = true;
}
