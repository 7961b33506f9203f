/*
 * The dialogue: cuts what comes in into lines, finds the command, judges it by the state, answers.
 *
 * Whoever reads this as a server: it is strict where RFC 5321 says MUST to clients, so that a test
 * sees each slip in the bad_… counters, and it answers as a real server would.
 */
#include "sink/internal.h"

#include <stdio.h>
#include <string.h>

enum {
  ANY_TIME = 1, /* before EHLO as well */
  IN_GROUP = 2, /* may be followed by others before its reply (RFC 2920 section 3.1) */
  NO_ARGUMENT = 4,
  COMMAND_MAX = 512 /* RFC 5321 section 4.5.3.1.4, CRLF included */
};

void sink__session_reset(sink_session_t *s)
{
  if (s->in_body) { /* some chunks came, the last did not */
    s->in_body = false;
    sink__store_abort(s);
  }
  s->mail = s->mail_tried = s->rcpt_tried = false;
  s->utf8 = s->eight_bit_ok = s->binary = s->prdr = false;
  s->chunked = s->chunk_failed = false;
  s->rcpt_count = 0;
}

/* A reply without a transaction behind it, to which only the arguments matter. */
static int reply(sink_session_t *s, sink_point_t point, uvsmtp_slice_t args, sink_reply_t what)
{
  return sink__reply(s, point, sink__slice_matches, &args, what);
}

/* Greeting. */

void sink__session_greet(sink_session_t *s)
{
  sink_t *sink = s->sink;
  char text[320];
  int n;

  if (sink->options.max_connections != 0 && sink->counters.open > sink->options.max_connections) {
    sink__reply(s, SINK_AT_GREETING, NULL, NULL, SINK_R_BUSY);
    sink__end(s, SINK_END_FIN);
    return;
  }
  n = snprintf(text, sizeof text, "220 %.255s %s sink ready\r\n", sink->options.hostname,
               sink->options.lmtp ? "LMTP" : "ESMTP");
  s->awaiting = true;
  s->refused = sink__answer(s, SINK_AT_GREETING, NULL, NULL, text, (size_t)n) > 3;
}

void sink__session_start(sink_session_t *s)
{
  sink__note(s, "connected");
  sink__act(s, SINK_AT_CONNECT, 0);
  if (s->mute)
    return;
  if (s->sink->options.tls_implicit)
    sink__tls_start(s);
  else
    sink__session_greet(s);
}

/* Commands. */

static void set_helo(sink_session_t *s, uvsmtp_slice_t name, bool extended)
{
  size_t len = name.len < sizeof s->helo ? name.len : sizeof s->helo - 1;

  memcpy(s->helo, name.base, len);
  s->helo[len] = '\0';
  s->hello = true;
  s->extended = extended;
  sink__session_reset(s);
}

static void do_helo(sink_session_t *s, uvsmtp_slice_t args)
{
  char text[300];
  int n = snprintf(text, sizeof text, "250 %.255s\r\n", s->sink->options.hostname);

  if (s->sink->options.lmtp) {
    SINK_BAD(s, unknown);
    reply(s, SINK_AT_EHLO, args, SINK_R_UNKNOWN);
  } else if (args.len == 0) {
    SINK_BAD(s, syntax);
    reply(s, SINK_AT_EHLO, args, SINK_R_SYNTAX);
  } else if (sink__answer(s, SINK_AT_EHLO, sink__slice_matches, &args, text, (size_t)n) == 2) {
    set_helo(s, args, false);
  }
}

static void do_ehlo(sink_session_t *s, uvsmtp_slice_t args)
{
  sink_text_t *text = &s->sink->scratch;

  if ((s->sink->options.without & SINK_EHLO) != 0) {
    reply(s, SINK_AT_EHLO, args, SINK_R_NOT_OFFERED);
    return;
  }
  if (args.len == 0) {
    SINK_BAD(s, syntax);
    reply(s, SINK_AT_EHLO, args, SINK_R_SYNTAX);
    return;
  }
  sink__ehlo_reply(s, text);
  if (sink__answer(s, SINK_AT_EHLO, sink__slice_matches, &args, text->base, text->len) == 2)
    set_helo(s, args, true);
}

static void do_mailing_ehlo(sink_session_t *s, uvsmtp_slice_t args, bool lmtp)
{
  if (s->sink->options.lmtp == lmtp) {
    do_ehlo(s, args);
    return;
  }
  SINK_BAD(s, unknown);
  reply(s, SINK_AT_EHLO, args, SINK_R_UNKNOWN);
}

static void do_smtp_ehlo(sink_session_t *s, uvsmtp_slice_t args)
{
  do_mailing_ehlo(s, args, false);
}

static void do_lhlo(sink_session_t *s, uvsmtp_slice_t args)
{
  do_mailing_ehlo(s, args, true);
}

/* Takes off "FROM:" or "TO:" and reads the path. */
static bool path_of(sink_path_t *path, uvsmtp_slice_t args, const char *prefix, size_t len)
{
  return args.len > len && sink__same(args.base, len, prefix, len) &&
         sink__path_parse(path, args.base + len, args.len - len);
}

static sink_reply_t judge_mail(sink_session_t *s, const sink_path_t *path)
{
  const sink_options_t *o = &s->sink->options;

  if (s->mail) {
    SINK_BAD(s, sequence);
    return SINK_R_NESTED;
  }
  if (o->tls_required && !s->tls_on)
    return SINK_R_NEED_TLS;
  if (o->auth_required && s->user[0] == '\0')
    return SINK_R_NEED_AUTH;
  sink__session_reset(s);
  return sink__mail_check(s, path);
}

static void do_mail(sink_session_t *s, uvsmtp_slice_t args)
{
  sink_path_t path;
  sink_reply_t verdict;
  uvsmtp_slice_t address;

  if (!path_of(&path, args, "FROM:", 5)) {
    SINK_BAD(s, syntax);
    reply(s, SINK_AT_MAIL, args, SINK_R_SYNTAX);
    return;
  }
  address.base = path.address;
  address.len = path.address_len;
  verdict = judge_mail(s, &path);
  if (verdict == SINK_R_SENDER && !sink__mail_keep(s, &path))
    verdict = SINK_R_MEMORY;
  s->mail_tried = true;
  if (reply(s, SINK_AT_MAIL, address, verdict) == 2 && verdict != SINK_R_NESTED)
    s->mail = true;
}

static void do_rcpt(sink_session_t *s, uvsmtp_slice_t args)
{
  sink_path_t path;
  sink_reply_t verdict = SINK_R_NEED_MAIL;
  uvsmtp_slice_t address;
  bool kept;

  if (!path_of(&path, args, "TO:", 3)) {
    SINK_BAD(s, syntax);
    reply(s, SINK_AT_RCPT, args, SINK_R_SYNTAX);
    return;
  }
  address.base = path.address;
  address.len = path.address_len;
  s->rcpt_tried = true;
  if (s->mail)
    verdict = s->chunked ? SINK_R_NO_MIX : sink__rcpt_check(s, &path);
  else if (!s->mail_tried)
    SINK_BAD(s, sequence);
  kept = s->mail && sink__rcpt_keep(s, &path);
  if (!kept && verdict == SINK_R_RECIPIENT)
    verdict = SINK_R_MEMORY;
  if (reply(s, SINK_AT_RCPT, address, verdict) == 2)
    return;
  s->sink->counters.refused_recipients++;
  if (kept)
    s->rcpt_count--;
}

static sink_reply_t judge_data(sink_session_t *s)
{
  if (!s->mail) {
    if (!s->mail_tried)
      SINK_BAD(s, sequence);
    return SINK_R_NEED_MAIL;
  }
  if (s->chunked || s->binary) {
    SINK_BAD(s, sequence);
    return s->chunked ? SINK_R_NO_MIX : SINK_R_BINARY_DATA;
  }
  if (s->rcpt_count > 0)
    return SINK_R_GO_ON;
  if (!s->rcpt_tried)
    SINK_BAD(s, sequence);
  return SINK_R_NEED_RCPT;
}

static void do_data(sink_session_t *s, uvsmtp_slice_t args)
{
  sink_reply_t verdict = judge_data(s);

  if (sink__reply(s, SINK_AT_DATA, sink__envelope_matches, s, verdict) != 3)
    return;
  s->mode = SINK_MODE_DATA;
  sink__body_begin(s);
}

static sink_reply_t judge_chunk(sink_session_t *s)
{
  if (!s->mail)
    return SINK_R_NEED_MAIL;
  if (s->rcpt_count == 0)
    return SINK_R_NEED_RCPT;
  return s->chunk_failed ? SINK_R_CHUNK_FAILED : SINK_R_CHUNK;
}

/* "BDAT 86 LAST" */
static bool chunk_arguments(uvsmtp_slice_t args, uint64_t *size, bool *last)
{
  size_t i = 0;

  *size = 0;
  for (; i < args.len && args.base[i] >= '0' && args.base[i] <= '9' && i < 18; i++)
    *size = *size * 10 + (uint64_t)(args.base[i] - '0');
  *last = i < args.len;
  return i > 0 && (!*last || (args.len == i + 5 && sink__same(args.base + i, 5, " LAST", 5)));
}

static void do_bdat(sink_session_t *s, uvsmtp_slice_t args)
{
  uint64_t size;
  bool last;

  if ((s->sink->offer & SINK_CHUNKING) == 0 || !s->extended) {
    SINK_BAD(s, unknown);
    reply(s, SINK_AT_OTHER, args, SINK_R_NOT_OFFERED);
    return;
  }
  if (!chunk_arguments(args, &size, &last)) {
    /* what follows cannot be told from commands any more */
    SINK_BAD(s, syntax);
    reply(s, SINK_AT_BDAT, args, SINK_R_SYNTAX);
    sink__end(s, SINK_END_FIN);
    return;
  }
  if (!s->mail_tried)
    SINK_BAD(s, sequence);
  sink__chunk_begin(s, size, last, judge_chunk(s));
}

static void do_rset(sink_session_t *s, uvsmtp_slice_t args)
{
  if (reply(s, SINK_AT_RSET, args, SINK_R_OK) == 2)
    sink__session_reset(s);
}

static void do_noop(sink_session_t *s, uvsmtp_slice_t args)
{
  reply(s, SINK_AT_NOOP, args, SINK_R_OK);
}

static void do_quit(sink_session_t *s, uvsmtp_slice_t args)
{
  if (reply(s, SINK_AT_QUIT, args, SINK_R_BYE) != 2 || s->mute)
    return;
  sink__tls_notify(s);
  sink__end(s, SINK_END_FIN);
}

static void do_vrfy(sink_session_t *s, uvsmtp_slice_t args)
{
  reply(s, SINK_AT_OTHER, args, SINK_R_VRFY);
}

static void do_expn(sink_session_t *s, uvsmtp_slice_t args)
{
  reply(s, SINK_AT_OTHER, args, SINK_R_NOT_OFFERED);
}

static void do_help(sink_session_t *s, uvsmtp_slice_t args)
{
  reply(s, SINK_AT_OTHER, args, SINK_R_HELP);
}

static void do_starttls(sink_session_t *s, uvsmtp_slice_t args)
{
  sink_reply_t verdict = SINK_R_START_TLS;

  if (s->tls != NULL) {
    SINK_BAD(s, sequence);
    verdict = SINK_R_TLS_TWICE;
  } else if ((s->sink->offer & SINK_STARTTLS) == 0) {
    SINK_BAD(s, unknown);
    verdict = SINK_R_NOT_OFFERED;
  }
  if (reply(s, SINK_AT_STARTTLS, args, verdict) == 2 && s->sink->tls != NULL && s->tls == NULL)
    s->tls_starting = true;
}

static void do_auth(sink_session_t *s, uvsmtp_slice_t args)
{
  sink__auth_command(s, args.base, args.len);
}

/* XCLIENT and XFORWARD, where a line of the caller's offers them. XCLIENT begins anew. */
static void do_proxy(sink_session_t *s, uvsmtp_slice_t args, bool anew)
{
  char text[300];
  int n = snprintf(text, sizeof text, "220 %.255s ESMTP sink ready\r\n", s->sink->options.hostname);

  if (!anew) {
    reply(s, SINK_AT_OTHER, args, SINK_R_OK);
  } else if (sink__answer(s, SINK_AT_OTHER, sink__slice_matches, &args, text, (size_t)n) == 2) {
    sink__session_reset(s);
    s->hello = s->extended = false;
  }
}

typedef struct command_s {
  char verb[9];
  unsigned flags;
  void (*run)(sink_session_t *s, uvsmtp_slice_t args);
} command_t;

/* The usual ones first. */
static const command_t commands[] = {
    {"RCPT", IN_GROUP, do_rcpt},
    {"MAIL", IN_GROUP, do_mail},
    {"BDAT", IN_GROUP, do_bdat},
    {"DATA", NO_ARGUMENT, do_data},
    {"RSET", ANY_TIME | IN_GROUP | NO_ARGUMENT, do_rset},
    {"NOOP", ANY_TIME, do_noop},
    {"QUIT", ANY_TIME | NO_ARGUMENT, do_quit},
    {"EHLO", ANY_TIME, do_smtp_ehlo},
    {"LHLO", ANY_TIME, do_lhlo},
    {"HELO", ANY_TIME, do_helo},
    {"STARTTLS", NO_ARGUMENT, do_starttls},
    {"AUTH", 0, do_auth},
    {"VRFY", ANY_TIME, do_vrfy},
    {"EXPN", ANY_TIME, do_expn},
    {"HELP", ANY_TIME, do_help},
};

static bool offers_line(const sink_t *sink, const char *word)
{
  size_t len = strlen(word);

  for (size_t i = 0; i < sink->options.ehlo_count; i++) {
    if (sink__same(sink->ehlo[i], strcspn(sink->ehlo[i], " "), word, len))
      return true;
  }
  return false;
}

static void run_other(sink_session_t *s, const char *verb, size_t verb_len, uvsmtp_slice_t line)
{
  if (sink__is_word(verb, verb_len, "XCLIENT") && offers_line(s->sink, "XCLIENT")) {
    do_proxy(s, line, true);
  } else if (sink__is_word(verb, verb_len, "XFORWARD") && offers_line(s->sink, "XFORWARD")) {
    do_proxy(s, line, false);
  } else {
    SINK_BAD(s, unknown);
    reply(s, SINK_AT_OTHER, line, SINK_R_UNKNOWN);
  }
}

static const command_t *find_command(const char *verb, size_t len)
{
  char upper[4];

  if (len < sizeof upper)
    return NULL;
  for (size_t i = 0; i < sizeof upper; i++)
    upper[i] = (char)(verb[i] & 0xdf); /* upper case, if it is a letter */
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
    const char *name = commands[i].verb;
    if (memcmp(upper, name, sizeof upper) == 0 &&
        (len == sizeof upper ? name[len] == '\0' : sink__is_word(verb, len, name)))
      return &commands[i];
  }
  return NULL;
}

static void run_command(sink_session_t *s, const command_t *command, uvsmtp_slice_t args)
{
  if (s->refused && command->run != do_quit) {
    SINK_BAD(s, sequence);
    reply(s, SINK_AT_OTHER, args, SINK_R_REFUSED);
  } else if ((command->flags & ANY_TIME) == 0 && !s->hello) {
    SINK_BAD(s, sequence);
    reply(s, SINK_AT_OTHER, args, SINK_R_HELLO_FIRST);
  } else if ((command->flags & NO_ARGUMENT) != 0 && args.len > 0) {
    SINK_BAD(s, syntax);
    reply(s, SINK_AT_OTHER, args, SINK_R_SYNTAX);
  } else {
    command->run(s, args);
  }
}

/* How long a command may be: extensions lengthen MAIL and RCPT (RFC 5321 section 4.5.3.1.4). */
static size_t command_max(const sink_session_t *s, const command_t *command)
{
  bool more = command != NULL && (command->run == do_mail || command->run == do_rcpt);

  return more ? COMMAND_MAX + 1024 : COMMAND_MAX;
}

/* May others follow before its reply? Postfix says so of XFORWARD. */
static bool is_grouped(const sink_session_t *s, const command_t *command, const char *verb,
                       size_t len)
{
  if ((s->sink->offer & SINK_PIPELINING) == 0 || !s->extended)
    return false;
  return command != NULL ? (command->flags & IN_GROUP) != 0 : sink__is_word(verb, len, "XFORWARD");
}

/* A line without its end. */
static void take_line(sink_session_t *s, const char *line, size_t len)
{
  const char *space = memchr(line, ' ', len < 10 ? len : 10);
  size_t verb_len = space == NULL ? len : (size_t)(space - line);
  const command_t *command = verb_len == 0 ? NULL : find_command(line, verb_len);
  uvsmtp_slice_t args = {line + len, 0};

  s->sink->counters.commands++;
  if (len + 2 > COMMAND_MAX && len + 2 > command_max(s, command))
    SINK_BAD(s, long_line);
  if (space != NULL) {
    args.base = space + 1;
    args.len = len - verb_len - 1;
  }
  if (command == NULL)
    run_other(s, line, verb_len, (uvsmtp_slice_t){line, len});
  else
    run_command(s, command, args);
  if (!is_grouped(s, command, line, verb_len))
    s->awaiting = true;
}

/* Lines. */

/* Ends it in CRLF, with no other CR, and no NUL? */
static bool is_good(const char *line, size_t len)
{
  return len >= 2 && memchr(line, '\r', len) == line + len - 2 && memchr(line, '\0', len) == NULL;
}

/* A line with its LF. */
static void end_line(sink_session_t *s, const char *line, size_t len)
{
  bool good = is_good(line, len);

  if (s->awaiting)
    SINK_BAD(s, pipelining);
  if (s->sink->options.on_trace != NULL)
    sink__trace(s, 'C', line, good ? len - 2 : len - 1);
  if (!good) {
    SINK_BAD(s, line_end);
    sink__reply(s, SINK_AT_OTHER, NULL, NULL, SINK_R_LINE_END);
    s->awaiting = true;
  } else if (s->mode == SINK_MODE_SASL) {
    sink__auth_response(s, line, len - 2);
    s->awaiting = true;
  } else {
    take_line(s, line, len - 2);
  }
}

/* The end of a line that was too long to keep. */
static void end_long_line(sink_session_t *s)
{
  s->skip_line = false;
  s->line.len = 0;
  SINK_BAD(s, long_line);
  sink__reply(s, SINK_AT_OTHER, NULL, NULL, SINK_R_LONG_LINE);
  s->awaiting = true;
}

/* A piece of a line whose beginning came earlier, or whose end has not come. */
static void join_line(sink_session_t *s, const char *p, size_t len, bool whole)
{
  if (!s->skip_line && (s->line.len + len > SINK_LINE_MAX || !sink__text_add(&s->line, p, len)))
    s->skip_line = true;
  if (!whole)
    return;
  if (s->skip_line) {
    end_long_line(s);
  } else {
    size_t all = s->line.len;
    s->line.len = 0;
    end_line(s, s->line.base, all);
  }
}

static const char *input_line(sink_session_t *s, const char *p, const char *end)
{
  const char *lf = memchr(p, '\n', (size_t)(end - p));
  const char *stop = lf == NULL ? end : lf + 1;

  if (lf != NULL && s->line.len == 0 && !s->skip_line && stop - p <= SINK_LINE_MAX)
    end_line(s, p, (size_t)(stop - p));
  else
    join_line(s, p, (size_t)(stop - p), lf != NULL);
  return stop;
}

void sink__session_input(sink_session_t *s, const char *p, size_t len)
{
  const char *end = p + len;

  while (p < end && !s->mute) {
    if (s->tls_starting) {
      /* RFC 3207 section 4: nothing may follow STARTTLS before the reply; none of it is believed */
      SINK_BAD(s, after_starttls);
      break;
    }
    if (s->mode == SINK_MODE_CHUNK) {
      p = sink__body_chunk(s, p, end);
    } else if (s->mode == SINK_MODE_DATA) {
      if (s->awaiting)
        SINK_BAD(s, pipelining);
      p = sink__body_data(s, p, end);
    } else {
      p = input_line(s, p, end);
    }
  }
  if (s->tls_starting && !s->mute) {
    s->tls_starting = false;
    sink__tls_start(s);
  }
}
