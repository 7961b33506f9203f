/*
 * Reading scripts (script.h says what is in them) and finding the rule that applies. A rule is
 * read by three loops, for its conditions, its actions and the strings of an action, over a lexer
 * that knows words, numbers, strings and single signs.
 */
#include "sink/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum token_e { END, WORD, NUMBER, STRING, SIGN, BAD } token_t;

typedef struct reader_s {
  const char *at, *end; /* end: of the line */
  size_t line;
  char *detail;
  size_t detail_size;
  /* the token last read */
  token_t token;
  const char *text;
  size_t len;
  uint64_t number;
} reader_t;

static const char *const point_names[] = {
#define X(name, constant) name,
    SINK_POINTS(X)
#undef X
};

static const char *const action_names[] = {
#define X(name, constant) name,
    SINK_ACTIONS(X)
#undef X
};

static int fail(reader_t *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int fail(reader_t *r, const char *format, ...)
{
  char text[160];
  va_list args;

  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  snprintf(r->detail, r->detail_size, "line %zu: %s", r->line, text);
  return -1;
}

static bool is_word(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

/* The text of a string runs to the quote that no backslash stands before. */
static void read_string(reader_t *r)
{
  const char *start = ++r->at;

  while (r->at < r->end && *r->at != '"')
    r->at += *r->at == '\\' && r->at + 1 < r->end ? 2 : 1;
  r->text = start;
  r->len = (size_t)(r->at - start);
  r->token = r->at < r->end ? STRING : BAD;
  if (r->at < r->end)
    r->at++;
}

static void read_number(reader_t *r)
{
  r->number = 0;
  r->token = NUMBER;
  for (; r->at < r->end && is_digit(*r->at); r->at++) {
    if (r->number > (UINT64_MAX - 10) / 10)
      r->token = BAD;
    else
      r->number = r->number * 10 + (uint64_t)(*r->at - '0');
  }
}

static void next(reader_t *r)
{
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r'))
    r->at++;
  r->text = r->at;
  r->len = 1;
  if (r->at >= r->end || *r->at == '#') {
    r->token = END;
  } else if (*r->at == '"') {
    read_string(r);
  } else if (is_digit(*r->at)) {
    read_number(r);
  } else if (is_word(*r->at)) {
    while (r->at < r->end && is_word(*r->at))
      r->at++;
    r->token = WORD;
    r->len = (size_t)(r->at - r->text);
  } else {
    r->token = SIGN;
    r->at++;
  }
}

static bool is(const reader_t *r, token_t token, const char *text)
{
  return r->token == token && r->len == strlen(text) && memcmp(r->text, text, r->len) == 0;
}

static int hex(char c)
{
  if (is_digit(c))
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Appends what the string token means, and CRLF if `line`. */
static int append_string(reader_t *r, char **bytes, size_t *len, bool line)
{
  static const char letters[] = "rnt0\\\"", values[] = "\r\n\t\0\\\"";
  char *grown = realloc(*bytes, *len + r->len + 3);

  if (grown == NULL)
    return fail(r, "out of memory");
  *bytes = grown;
  for (size_t i = 0; i < r->len; i++) {
    char c = r->text[i];
    if (c == '\\') {
      const char *letter = memchr(letters, r->text[++i], sizeof letters - 1);
      if (letter != NULL) {
        c = values[letter - letters];
      } else if (r->text[i] == 'x' && i + 2 < r->len && hex(r->text[i + 1]) >= 0 &&
                 hex(r->text[i + 2]) >= 0) {
        c = (char)(hex(r->text[i + 1]) * 16 + hex(r->text[i + 2]));
        i += 2;
      } else {
        return fail(r, "unknown escape \\%c", r->text[i]);
      }
    }
    grown[(*len)++] = c;
  }
  if (line) {
    grown[(*len)++] = '\r';
    grown[(*len)++] = '\n';
  }
  grown[*len] = '\0';
  return 0;
}

static int read_range(reader_t *r, sink_range_t *range)
{
  next(r);
  if (r->token != NUMBER || r->number == 0)
    return fail(r, "a number from 1 on is missing");
  range->from = range->to = r->number;
  next(r);
  if (!is(r, SIGN, "-"))
    return 0;
  range->to = UINT64_MAX;
  next(r);
  if (r->token != NUMBER)
    return 0;
  if (r->number < range->from)
    return fail(r, "the range ends before it begins");
  range->to = r->number;
  next(r);
  return 0;
}

static int read_amount(reader_t *r, uint64_t *amount, uint64_t least)
{
  next(r);
  if (r->token != NUMBER || r->number < least)
    return fail(r, "a number from %u on is missing", (unsigned)least);
  *amount = r->number;
  next(r);
  return 0;
}

static int read_match(reader_t *r, sink_rule_t *rule)
{
  size_t len = 0;

  next(r);
  if (r->token != STRING || rule->match != NULL)
    return fail(r, "match takes one string");
  if (append_string(r, &rule->match, &len, false) != 0)
    return -1;
  next(r);
  return 0;
}

static bool has_amount(sink_point_t point)
{
  return point == SINK_AT_BODY || point == SINK_AT_IDLE;
}

static int read_condition(reader_t *r, sink_rule_t *rule)
{
  if (is(r, WORD, "conn"))
    return read_range(r, &rule->conn);
  if (is(r, WORD, "nth"))
    return read_range(r, &rule->nth);
  if (is(r, WORD, "total"))
    return read_range(r, &rule->total);
  if (is(r, WORD, "every"))
    return read_amount(r, &rule->every, 1);
  if (is(r, WORD, "times"))
    return read_amount(r, &rule->times, 1);
  if (is(r, WORD, "after") && has_amount(rule->point))
    return read_amount(r, &rule->after, 0);
  if (is(r, WORD, "match"))
    return read_match(r, rule);
  if (is(r, WORD, "tls"))
    rule->tls = true;
  else if (is(r, WORD, "plain"))
    rule->plain = true;
  else
    return fail(r, "\"%.*s\" is no condition here", (int)r->len, r->text);
  next(r);
  return 0;
}

static int read_lines(reader_t *r, sink_action_t *action)
{
  next(r);
  while (r->token == STRING) {
    action->last = action->len;
    if (append_string(r, &action->bytes, &action->len, true) != 0)
      return -1;
    next(r);
  }
  return 0;
}

/* What stands behind the action's name. */
static int read_arguments(reader_t *r, sink_action_t *action)
{
  switch (action->kind) {
  case SINK_DO_REPLY:
    return read_lines(r, action);
  case SINK_DO_RAW:
    next(r);
    if (r->token != STRING)
      return fail(r, "raw takes a string");
    if (append_string(r, &action->bytes, &action->len, false) != 0)
      return -1;
    next(r);
    return 0;
  case SINK_DO_DELAY:
  case SINK_DO_GARBAGE:
    return read_amount(r, &action->number, 0);
  case SINK_DO_SPLIT:
  case SINK_DO_DEAF:
    next(r);
    action->number = action->kind == SINK_DO_SPLIT ? 1 : UINT64_MAX;
    if (r->token == NUMBER) {
      action->number = r->number;
      next(r);
    }
    return 0;
  default:
    next(r);
    return 0;
  }
}

static int read_action(reader_t *r, sink_rule_t *rule)
{
  unsigned kind = 0;
  sink_action_t *grown = realloc(rule->actions, (rule->action_count + 1) * sizeof *grown);

  if (grown == NULL)
    return fail(r, "out of memory");
  rule->actions = grown;
  while (kind < SINK_ACTION_COUNT && !is(r, WORD, action_names[kind]))
    kind++;
  if (kind == SINK_ACTION_COUNT)
    return fail(r, "\"%.*s\" is no action", (int)r->len, r->text);
  if (rule->point == SINK_AT_SENT && kind != SINK_DO_CLOSE && kind != SINK_DO_RESET)
    return fail(r, "only close and reset are possible at sent");
  grown += rule->action_count++;
  memset(grown, 0, sizeof *grown);
  grown->kind = (sink_action_kind_t)kind;
  if (kind == SINK_DO_REPLY || kind == SINK_DO_DROP || kind == SINK_DO_CLOSE ||
      kind == SINK_DO_RESET || kind == SINK_DO_STALL)
    rule->answers = true;
  return read_arguments(r, grown);
}

/* The word that a line begins with, and the number behind received and sent. */
static int read_point(reader_t *r, sink_rule_t *rule)
{
  unsigned point = 0;

  while (point < SINK_POINT_COUNT && !is(r, WORD, point_names[point]))
    point++;
  if (point == SINK_POINT_COUNT)
    return fail(r, "\"%.*s\" is no point", (int)r->len, r->text);
  rule->point = (sink_point_t)point;
  if (point == SINK_AT_RECEIVED || point == SINK_AT_SENT)
    return read_amount(r, &rule->after, 0);
  next(r);
  return 0;
}

static int read_rule(reader_t *r, sink_rule_t *rule)
{
  const sink_range_t any = {1, UINT64_MAX};

  rule->line = r->line;
  rule->conn = rule->nth = rule->total = any;
  rule->times = UINT64_MAX;
  if (read_point(r, rule) != 0)
    return -1;
  while (!is(r, SIGN, ":")) {
    if (r->token == END)
      return fail(r, "a colon and an action are missing");
    if (read_condition(r, rule) != 0)
      return -1;
  }
  do {
    next(r);
    if (read_action(r, rule) != 0)
      return -1;
  } while (is(r, SIGN, ","));
  if (r->token != END)
    return fail(r, "unexpected \"%.*s\"", (int)r->len, r->text);
  return 0;
}

/* Makes room for a rule and reads it; a half-read one is released with the others. */
static int add_rule(sink_script_t *script, reader_t *r)
{
  sink_rule_t *grown = realloc(script->rules, (script->count + 1) * sizeof *grown);

  if (grown == NULL)
    return fail(r, "out of memory");
  script->rules = grown;
  grown += script->count++;
  memset(grown, 0, sizeof *grown);
  if (read_rule(r, grown) != 0)
    return -1;
  script->has |= 1u << grown->point;
  return 0;
}

int sink__script_parse(sink_script_t *script, const char *text, char *detail, size_t detail_size)
{
  reader_t r = {.detail = detail, .detail_size = detail_size};

  memset(script, 0, sizeof *script);
  while (*text != '\0') {
    size_t len = strcspn(text, "\n");
    r.at = text;
    r.end = text + len;
    r.line++;
    next(&r);
    if (r.token != END && add_rule(script, &r) != 0) {
      sink__script_free(script);
      return -1;
    }
    text += len + (text[len] == '\n');
  }
  return 0;
}

void sink__script_free(sink_script_t *script)
{
  for (size_t i = 0; i < script->count; i++) {
    sink_rule_t *rule = &script->rules[i];
    for (size_t j = 0; j < rule->action_count; j++)
      free(rule->actions[j].bytes);
    free(rule->actions);
    free(rule->match);
  }
  free(script->rules);
  memset(script, 0, sizeof *script);
}

static bool within(const sink_range_t *range, uint64_t n)
{
  return n >= range->from && n <= range->to;
}

static bool applies(const sink_rule_t *rule, const sink_where_t *where)
{
  return rule->point == where->point && rule->after == where->after && rule->used < rule->times &&
         within(&rule->conn, where->conn) && within(&rule->nth, where->nth) &&
         within(&rule->total, where->total) &&
         (rule->every == 0 || where->total % rule->every == 0) && (!rule->tls || where->tls) &&
         (!rule->plain || !where->tls) &&
         (rule->match == NULL ||
          (where->matches != NULL && where->matches(rule->match, where->ctx)));
}

const sink_rule_t *sink__script_find(sink_script_t *script, const sink_where_t *where)
{
  for (size_t i = 0; i < script->count; i++) {
    if (applies(&script->rules[i], where)) {
      script->rules[i].used++;
      return &script->rules[i];
    }
  }
  return NULL;
}

uint64_t sink__script_next(const sink_script_t *script, sink_point_t point, uint64_t conn,
                           uint64_t from)
{
  uint64_t least = UINT64_MAX;

  for (size_t i = 0; i < script->count; i++) {
    const sink_rule_t *rule = &script->rules[i];
    if (rule->point == point && within(&rule->conn, conn) && rule->used < rule->times &&
        rule->after >= from && rule->after < least)
      least = rule->after;
  }
  return least;
}

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* On a mismatch it goes back to the last * and lets that eat one character more. */
bool sink__glob(const char *pattern, const char *text, size_t len)
{
  const char *end = text + len, *star = NULL, *resume = NULL;

  while (text < end) {
    if (*pattern == '*') {
      star = ++pattern;
      resume = text;
    } else if (*pattern != '\0' && (*pattern == '?' || lower(*pattern) == lower(*text))) {
      pattern++;
      text++;
    } else if (star != NULL) {
      pattern = star;
      text = ++resume;
    } else {
      return false;
    }
  }
  while (*pattern == '*')
    pattern++;
  return *pattern == '\0';
}
