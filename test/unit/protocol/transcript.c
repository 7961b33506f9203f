/*
 * Plays transcripts (test/transcripts, see the README there) into a protocol: the program's
 * arguments are files, each row of a file is one test, and each is played whole, byte by byte, at
 * random cuts, and over TLS (secure.h): there all octets of both sides are encrypted, carried in
 * random pieces and decrypted, from the first one on, as the protocol does not know of it. A
 * failure names the file, the line, and how the bytes were cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chance.h"
#include "secure.h"
#include "uvsmtp/protocol.h"

enum {
  RANDOM_PLAYS = 25,
  TLS_PLAYS = 10,
  MAX_EVENTS = 128,
  EVENT_SIZE = 400,
  MAX_COMMANDS = 256,
  WORD_MAX = 32
};

typedef enum cut_e { CUT_WHOLE, CUT_BYTES, CUT_RANDOM, CUT_TLS } cut_t;
static const char *const cut_names[] = {"whole", "byte by byte", "at random cuts", "over TLS"};

/* One row of a file. */
typedef struct row_s {
  const char *file;
  char *title;
  char *text; /* its lines, without the title */
  unsigned first_line;
  uint64_t seed;
} row_t;

/* A word of a line, unescaped; a NUL stands behind it. */
typedef struct word_s {
  char *base;
  size_t len;
} word_t;

/* What `tag` points to: which command was issued as number `order`. */
typedef struct issued_s {
  unsigned order;
  const char *verb;
} issued_t;

typedef struct play_s {
  const row_t *row;
  unsigned line;
  cut_t cut;
  uint64_t seed;
  chance_t chance;
  uvsmtp_protocol_options_t options;
  uvsmtp_protocol_t *protocol;
  uint64_t now;
  bool rc_due; /* a `do` has returned `rc` and no line has judged it */
  int rc;
  char *input; /* what S lines said and was not fed yet */
  size_t input_len;
  size_t fed_len; /* how much of it has been fed meanwhile */
  char events[MAX_EVENTS][EVENT_SIZE];
  size_t event_head, event_count;
  char reply_text[8192];
  bool unsent_ok;
  issued_t issued[MAX_COMMANDS];
  unsigned issued_count;
  unsigned last_order;      /* of the newest command that was answered */
  char *kept[MAX_COMMANDS]; /* contents that the protocol borrows */
  size_t kept_count;
} play_t;

static void complain(const play_t *play, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

static void complain(const play_t *play, const char *format, ...)
{
  char text[6000];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  print_error("%s:%u: (%s, UVSMTP_TEST_SEED=%llu) %s\n", play->row->file, play->line,
              cut_names[play->cut], (unsigned long long)play->seed, text);
  _fail(play->row->file, (int)play->line);
  abort(); /* _fail does not return, but does not say so */
}

/* ---- words and escapes ------------------------------------------------------------------- */

static int hex_digit(char c)
{
  const char *digits = "0123456789abcdef";
  const char *at = c != 0 ? strchr(digits, c | 0x20) : NULL;
  return at != NULL ? (int)(at - digits) : -1;
}

/* Reads what follows a backslash at `*at`. */
static char unescape(const play_t *play, char **at)
{
  char c = *(*at)++;
  switch (c) {
  case 'r':
    return '\r';
  case 'n':
    return '\n';
  case 't':
    return '\t';
  case 'x':
    if (hex_digit((*at)[0]) < 0 || hex_digit((*at)[1]) < 0)
      complain(play, "\\x needs two digits");
    *at += 2;
    return (char)(hex_digit((*at)[-2]) * 16 + hex_digit((*at)[-1]));
  case 0:
    complain(play, "nothing behind a backslash");
  default:
    return c;
  }
}

/* Takes the next word of a line; blanks within quotes belong to it. False at the end. */
static bool next_word(const play_t *play, char **at, word_t *word)
{
  char *in = *at + strspn(*at, " "), *out = in;
  bool quoted = false;
  if (*in == 0)
    return false;
  word->base = out;
  while (*in != 0 && (quoted || *in != ' ')) {
    char c = *in++;
    if (c == '"')
      quoted = !quoted;
    else
      *out++ = c == '\\' ? unescape(play, &in) : c;
  }
  *at = *in != 0 ? in + 1 : in;
  word->len = (size_t)(out - word->base);
  *out = 0;
  return true;
}

static size_t split_words(const play_t *play, char *line, word_t words[WORD_MAX])
{
  size_t count = 0;
  while (count < WORD_MAX && next_word(play, &line, &words[count]))
    count++;
  return count;
}

/*
 * The octets that a C or S line stands for, written over the line: parts between bars, each with
 * CRLF behind it. A part loses one blank at each end. In the raw form ("S=") nothing is added.
 */
static char *octets_of(const play_t *play, char *text, bool raw, size_t *len)
{
  char *out = malloc(strlen(text) * 2 + 3), *to = out, *part = out;
  text += *text == ' ';
  while (*text != 0) {
    bool bar = *text == '|' && !raw;
    if (!bar) {
      char c = *text++;
      *to++ = c == '\\' ? unescape(play, &text) : c;
      continue;
    }
    text++;
    text += *text == ' ';
    to -= to > part && to[-1] == ' ';
    *to++ = '\r';
    *to++ = '\n';
    part = to;
  }
  if (!raw) {
    *to++ = '\r';
    *to++ = '\n';
  }
  *len = (size_t)(to - out);
  return out;
}

/* `bytes` so that they can be printed. */
static const char *shown(char *out, size_t size, const char *bytes, size_t len)
{
  size_t n = 0;
  for (size_t i = 0; i < len && n + 5 < size; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c == '\r' || c == '\n')
      n += (size_t)snprintf(out + n, size - n, "\\%c", c == '\r' ? 'r' : 'n');
    else if (c < 32 || c > 126)
      n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
    else
      out[n++] = (char)c;
  }
  out[n] = 0;
  return out;
}

static size_t piece_of(play_t *play, size_t len)
{
  if (play->cut == CUT_WHOLE)
    return len;
  return play->cut == CUT_BYTES ? 1 : chance_piece(&play->chance, len);
}

/* ---- events ------------------------------------------------------------------------------ */

/* Replies come in the order in which their commands were issued, with the tags of those. */
static void check_tag(play_t *play, const uvsmtp_event_t *event)
{
  const issued_t *issued = event->tag;
  const char *name = uvsmtp_command_name(event->command);
  if (event->command == UVSMTP_COMMAND_GREETING)
    return;
  if (issued == NULL)
    complain(play, "the event of %s has no tag", name);
  if (event->command == UVSMTP_COMMAND_HELO)
    name = "EHLO"; /* the machine's own second try */
  if (strcmp(issued->verb, name) != 0 && strcmp(issued->verb, "FLIGHT") != 0)
    complain(play, "the tag of %s came with an event of %s", issued->verb, name);
  if (issued->order < play->last_order)
    complain(play, "a reply to %s came after the reply to a later command", name);
  play->last_order = issued->order;
}

static void render_reply(char *out, const uvsmtp_event_t *event)
{
  const uvsmtp_reply_t *reply = &event->reply;
  size_t n = 0;
  char text[200];
  if (event->type == UVSMTP_EVENT_UNSOLICITED)
    n = (size_t)snprintf(out, EVENT_SIZE, "unsolicited %d", reply->code);
  else
    n = (size_t)snprintf(out, EVENT_SIZE, "reply %s %d", uvsmtp_command_name(event->command),
                         reply->code);
  if (reply->enhanced[0] != 0)
    n += (size_t)snprintf(out + n, EVENT_SIZE - n, " %u.%u.%u", reply->enhanced[0],
                          reply->enhanced[1], reply->enhanced[2]);
  if (event->type == UVSMTP_EVENT_UNSOLICITED)
    return;
  n += (size_t)snprintf(out + n, EVENT_SIZE - n, event->last ? " last" : " more");
  if (event->index != 0 &&
      (event->command == UVSMTP_COMMAND_DATA_END || event->command == UVSMTP_COMMAND_BDAT_LAST))
    n += (size_t)snprintf(out + n, EVENT_SIZE - n, " #%u", event->index);
  if (event->challenge.base != NULL && event->err == 0)
    n += (size_t)snprintf(out + n, EVENT_SIZE - n, " challenge '%s'",
                          shown(text, sizeof(text), event->challenge.base, event->challenge.len));
  if (event->err != 0)
    snprintf(out + n, EVENT_SIZE - n, " err %s", uvsmtp_err_name(event->err) + strlen("UVSMTP_"));
}

static void take_events(play_t *play)
{
  uvsmtp_event_t event;
  while (uvsmtp_protocol_next_event(play->protocol, &event)) {
    if (play->event_count == MAX_EVENTS)
      complain(play, "more events than a transcript may have");
    char *out = play->events[play->event_count++];
    if (event.type == UVSMTP_EVENT_ERROR) {
      snprintf(out, EVENT_SIZE, "error %s", uvsmtp_err_name(event.err) + strlen("UVSMTP_"));
      continue;
    }
    if (event.type == UVSMTP_EVENT_REPLY)
      check_tag(play, &event);
    uvsmtp_reply_text(&event.reply, play->reply_text, sizeof(play->reply_text));
    render_reply(out, &event);
  }
}

/* Feeds one piece, a copy of it so that a read beyond what was fed is seen. */
static void feed_piece(void *ctx, const char *bytes, size_t len)
{
  play_t *play = ctx;
  char *copy = malloc(len);
  memcpy(copy, bytes, len);
  int err = uvsmtp_protocol_feed_bytes(play->protocol, copy, len, play->now);
  if (err != 0 && uvsmtp_protocol_state(play->protocol) != UVSMTP_STATE_FINISHED)
    complain(play, "feed_bytes: %s", uvsmtp_err_name(err));
  take_events(play);
  free(copy);
  play->fed_len += len;
}

static void feed(play_t *play)
{
  play->fed_len = 0;
  if (play->cut == CUT_TLS)
    secure_to_client(play->input, play->input_len, feed_piece, play);
  while (play->cut != CUT_TLS && play->fed_len < play->input_len)
    feed_piece(play, play->input + play->fed_len, piece_of(play, play->input_len - play->fed_len));
  if (play->fed_len != play->input_len)
    complain(play, "%zu of %zu octets came through", play->fed_len, play->input_len);
  free(play->input);
  play->input = NULL;
  play->input_len = 0;
}

static void no_event_left(play_t *play)
{
  if (play->event_head < play->event_count)
    complain(play, "unexpected event: %s", play->events[play->event_head]);
}

/* ---- lines: server and client ------------------------------------------------------------ */

static void line_server(play_t *play, char *text, bool raw)
{
  size_t len, left = uvsmtp_protocol_output_len(play->protocol);
  if (left > 0 && !play->unsent_ok)
    complain(play, "%zu octets of output stand before this line", left);
  char *octets = octets_of(play, text, raw, &len);
  play->input = realloc(play->input, play->input_len + len + 1);
  memcpy(play->input + play->input_len, octets, len);
  play->input_len += len;
  free(octets);
}

/* As many octets of the output as one write takes: gathered if whole, else part of one slice. */
static size_t write_some(play_t *play, char *out, size_t max)
{
  uvsmtp_slice_t slices[16];
  size_t n = 0, count = uvsmtp_protocol_output(play->protocol, slices, 16);
  if (play->cut != CUT_WHOLE && count > 1)
    count = 1;
  for (size_t i = 0; i < count && n < max; i++) {
    size_t len = slices[i].len < max - n ? slices[i].len : max - n;
    if (len > 0)
      len = piece_of(play, len);
    memcpy(out + n, slices[i].base, len);
    n += len;
  }
  return n;
}

/* Decrypted octets on their way into a buffer. */
typedef struct arrival_s {
  char *out;
  size_t len, max;
} arrival_t;

static void take_arrival(void *ctx, const char *bytes, size_t len)
{
  arrival_t *arrival = ctx;
  assert_true(len <= arrival->max - arrival->len);
  memcpy(arrival->out + arrival->len, bytes, len);
  arrival->len += len;
}

/* Replaces the octets of one write by what the server decrypts of them. */
static void go_over_tls(play_t *play, char *bytes, size_t len)
{
  char *sent = malloc(len + 1);
  arrival_t arrival = {bytes, 0, len};
  memcpy(sent, bytes, len);
  memset(bytes, 0, len);
  secure_to_server(sent, len, take_arrival, &arrival);
  free(sent);
  if (arrival.len != len)
    complain(play, "%zu of %zu octets came through", arrival.len, len);
}

static void line_client(play_t *play, char *text, bool raw)
{
  size_t len, at = 0;
  char want[1500], got[1500];
  char *octets = octets_of(play, text, raw, &len), *out = malloc(len + 1);
  no_event_left(play);
  while (at < len) {
    size_t n = write_some(play, out + at, len - at);
    if (play->cut == CUT_TLS)
      go_over_tls(play, out + at, n);
    if (n == 0 || memcmp(out + at, octets + at, n) != 0) {
      at += n;
      complain(play, "output is\n  '%s'%s instead of\n  '%s'", shown(got, sizeof(got), out, at),
               n == 0 ? " and no more" : "", shown(want, sizeof(want), octets, len));
    }
    uvsmtp_protocol_sent(play->protocol, n, play->now);
    at += n;
  }
  free(octets);
  free(out);
}

/* ---- lines: commands --------------------------------------------------------------------- */

static issued_t *tag_of(play_t *play, const char *verb)
{
  if (play->issued_count == MAX_COMMANDS)
    complain(play, "more commands than a transcript may have");
  issued_t *issued = &play->issued[play->issued_count];
  *issued = (issued_t){++play->issued_count, verb};
  return issued;
}

static char *keep(play_t *play, const word_t *word)
{
  char *copy = malloc(word->len + 1);
  memcpy(copy, word->base, word->len);
  if (play->kept_count == MAX_COMMANDS)
    complain(play, "more contents than a transcript may have");
  return play->kept[play->kept_count++] = copy;
}

static bool has_word(const word_t *words, size_t count, const char *text)
{
  for (size_t i = 0; i < count; i++)
    if (strcmp(words[i].base, text) == 0)
      return true;
  return false;
}

/* What stands behind `key=`, or NULL. */
static const char *value_of(const word_t *words, size_t count, const char *key)
{
  size_t len = strlen(key);
  for (size_t i = 0; i < count; i++)
    if (strncmp(words[i].base, key, len) == 0 && words[i].base[len] == '=')
      return words[i].base + len + 1;
  return NULL;
}

static long long number_of(const word_t *words, size_t count, const char *key, long long usual)
{
  const char *text = value_of(words, count, key);
  return text != NULL ? strtoll(text, NULL, 10) : usual;
}

/* The place of `value` among `names`, or 0. */
static int choice_of(const char *value, const char *const *names)
{
  for (int i = 1; value != NULL && names[i] != NULL; i++)
    if (strcmp(value, names[i]) == 0)
      return i;
  return 0;
}

static int do_greeting(play_t *play, const word_t *args, size_t count)
{
  issued_t *issued = tag_of(play, play->options.lmtp ? "LHLO" : "EHLO");
  return uvsmtp_protocol_send_greeting(play->protocol, args[0].base,
                                       has_word(args, count, "needs_ehlo"), issued);
}

static unsigned mail_flags(const word_t *args, size_t count)
{
  static const struct {
    const char *word;
    unsigned flag;
  } rows[] = {{"smtputf8", UVSMTP_ENVELOPE_SMTPUTF8},   {"requiretls", UVSMTP_ENVELOPE_REQUIRETLS},
              {"prdr", UVSMTP_ENVELOPE_PRDR},           {"by_return", UVSMTP_ENVELOPE_BY_RETURN},
              {"by_notify", UVSMTP_ENVELOPE_BY_NOTIFY}, {"by_trace", UVSMTP_ENVELOPE_BY_TRACE}};
  unsigned flags = value_of(args, count, "priority") != NULL ? UVSMTP_ENVELOPE_PRIORITY : 0;
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    if (has_word(args, count, rows[i].word))
      flags |= rows[i].flag;
  return flags;
}

static int do_mail(play_t *play, const word_t *args, size_t count)
{
  static const char *const bodies[] = {"", "7bit", "8bit", "binary", NULL};
  static const char *const rets[] = {"", "full", "hdrs", NULL};
  static const uvsmtp_recipient_t everyone[] = {
      {.address = "b@y.example"}, {.address = "c@y.example"}, {.address = "d@y.example"}};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_mail_needs_t needs = {
      .size = (uint64_t)number_of(args, count, "size", -1),
      .eightbit = has_word(args, count, "eightbit"),
      .utf8 = has_word(args, count, "utf8"),
      .binary = has_word(args, count, "binary"),
  };
  envelope.sender = strcmp(args[0].base, "<>") != 0 ? args[0].base : NULL;
  envelope.flags = mail_flags(args, count);
  envelope.body = (uvsmtp_body_t)choice_of(value_of(args, count, "body"), bodies);
  envelope.ret = (uvsmtp_ret_t)choice_of(value_of(args, count, "ret"), rets);
  envelope.envid = value_of(args, count, "envid");
  envelope.by_seconds = number_of(args, count, "by", 0);
  envelope.hold_seconds = (uint64_t)number_of(args, count, "hold", 0);
  envelope.hold_until = value_of(args, count, "hold_until");
  envelope.priority = (int)number_of(args, count, "priority", 0);
  envelope.auth = value_of(args, count, "auth");
  envelope.params = value_of(args, count, "params");
  envelope.recipients = everyone;
  envelope.recipient_count = (size_t)number_of(args, count, "recipients", 0);
  return uvsmtp_protocol_mail(play->protocol, &envelope, &needs, tag_of(play, "MAIL"));
}

static int do_rcpt(play_t *play, const word_t *args, size_t count)
{
  static const char *const names[] = {"never", "success", "failure", "delay"};
  const char *notify = value_of(args, count, "notify");
  uvsmtp_recipient_t recipient = {.address = args[0].base};
  for (unsigned i = 0; notify != NULL && i < 4; i++)
    recipient.notify |= strstr(notify, names[i]) != NULL ? 1u << i : 0;
  recipient.orcpt = value_of(args, count, "orcpt");
  recipient.rrvs = number_of(args, count, "rrvs", 0);
  recipient.params = value_of(args, count, "params");
  return uvsmtp_protocol_recipient(play->protocol, &recipient, tag_of(play, "RCPT"));
}

static void read_origin(uvsmtp_origin_t *origin, const word_t *args, size_t count)
{
  const struct {
    const char *key;
    const char **field;
  } rows[] = {{"name", &origin->name},   {"addr", &origin->addr},    {"port", &origin->port},
              {"helo", &origin->helo},   {"ident", &origin->ident},  {"proto", &origin->proto},
              {"login", &origin->login}, {"source", &origin->source}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    *rows[i].field = value_of(args, count, rows[i].key);
}

static int do_xclient(play_t *play, const word_t *args, size_t count)
{
  uvsmtp_origin_t origin = {0};
  read_origin(&origin, args, count);
  return uvsmtp_protocol_xclient(play->protocol, &origin, tag_of(play, "XCLIENT"));
}

static int do_xforward(play_t *play, const word_t *args, size_t count)
{
  uvsmtp_origin_t origin = {0};
  read_origin(&origin, args, count);
  unsigned next = 0;
  int err;
  do {
    err = uvsmtp_protocol_xforward(play->protocol, &origin, &next, tag_of(play, "OTHER"));
  } while (err == UVSMTP_PENDING);
  return err;
}

static int do_data(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_start_data(play->protocol, tag_of(play, "DATA"));
}

/* body "…" [refuse]: pieces as the play cuts; bytes not taken are told as an error. */
static int do_body(play_t *play, const word_t *args, size_t count)
{
  uvsmtp_lines_t lines =
      has_word(args, count, "refuse") ? UVSMTP_LINES_REFUSE : UVSMTP_LINES_NORMALIZE;
  const char *bytes = keep(play, &args[0]);
  size_t at = 0;
  while (at < args[0].len) {
    size_t taken = 0, len = piece_of(play, args[0].len - at);
    int err = uvsmtp_protocol_data(play->protocol, bytes + at, len, lines, &taken);
    if (err != 0)
      return err;
    if (taken < len)
      complain(play, "only %zu of %zu octets of the body were taken", at + taken, args[0].len);
    at += len;
  }
  return 0;
}

static int do_end(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_end_data(play->protocol, tag_of(play, "DATA_END"));
}

/* A content in pieces as the play cuts, at most 64. */
static size_t slices_of(play_t *play, const word_t *content, uvsmtp_slice_t *slices)
{
  const char *bytes = keep(play, content);
  size_t n = 0;
  for (size_t at = 0; at < content->len; at += slices[n++].len) {
    size_t left = content->len - at, len = n < 63 ? piece_of(play, left) : left;
    slices[n] = (uvsmtp_slice_t){bytes + at, len};
  }
  return n;
}

/* clean "…": body and end of what needs no change */
static int do_clean(play_t *play, const word_t *args, size_t count)
{
  uvsmtp_slice_t slices[64];
  size_t n = slices_of(play, &args[0], slices);
  return uvsmtp_protocol_clean_data(play->protocol, slices, n, tag_of(play, "DATA_END"));
}

static int do_bdat(play_t *play, const word_t *args, size_t count)
{
  uvsmtp_slice_t slices[64];
  bool last = has_word(args + 1, count - 1, "last");
  size_t n = slices_of(play, &args[0], slices);
  return uvsmtp_protocol_chunk(play->protocol, slices, n, last,
                               tag_of(play, last ? "BDAT_LAST" : "BDAT"));
}

/* flight FROM TO[,TO …] "…" [reset] [dsn] [data] */
static int do_flight(play_t *play, const word_t *args, size_t count)
{
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_mail_needs_t needs = {.size = args[2].len};
  uvsmtp_recipient_t recipients[8] = {{0}};
  uvsmtp_slice_t slices[64];
  char *to = keep(play, &args[1]);
  issued_t *tag = tag_of(play, "FLIGHT");
  uvsmtp_flight_t flight = {.envelope = &envelope,
                            .needs = &needs,
                            .slices = slices,
                            .count = slices_of(play, &args[2], slices),
                            .reset = has_word(args + 3, count - 3, "reset"),
                            .data = has_word(args + 3, count - 3, "data"),
                            .tag = tag,
                            .recipient_tag = tag};
  to[args[1].len] = 0;
  for (char *at = strtok(to, ","); at != NULL; at = strtok(NULL, ","))
    recipients[envelope.recipient_count++].address = at;
  envelope.sender = strcmp(args[0].base, "<>") != 0 ? args[0].base : NULL;
  envelope.recipients = recipients;
  envelope.ret = has_word(args + 3, count - 3, "dsn") ? UVSMTP_RET_FULL : UVSMTP_RET_UNSAID;
  uvsmtp_envelope_look(&envelope, &flight.lengths);
  return uvsmtp_protocol_flight(play->protocol, &flight);
}

static int do_starttls(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_start_tls(play->protocol, tag_of(play, "STARTTLS"));
}

static int do_tls_started(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_tls_started(play->protocol);
}

static int do_auth(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_authenticate(play->protocol, args[0].base, count > 1 ? args[1].base : NULL,
                                      count > 1 ? args[1].len : 0, tag_of(play, "AUTH"));
}

static int do_respond(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_send_authentication_data(play->protocol, args[0].base, args[0].len);
}

static int do_cancel(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_cancel_authentication(play->protocol);
}

static int do_rset(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_reset(play->protocol, tag_of(play, "RSET"));
}

static int do_noop(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_noop(play->protocol, tag_of(play, "NOOP"));
}

static int do_quit(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_quit(play->protocol, tag_of(play, "QUIT"));
}

static int do_vrfy(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_vrfy(play->protocol, args[0].base, tag_of(play, "OTHER"));
}

static int do_command(play_t *play, const word_t *args, size_t count)
{
  return uvsmtp_protocol_command(play->protocol, args[0].base, tag_of(play, "OTHER"));
}

static int do_eof(play_t *play, const word_t *args, size_t count)
{
  uvsmtp_protocol_feed_eof(play->protocol);
  take_events(play);
  return 0;
}

static int do_expire(play_t *play, const word_t *args, size_t count)
{
  play->now += strtoull(args[0].base, NULL, 10);
  uvsmtp_protocol_expire(play->protocol, play->now);
  take_events(play);
  return 0;
}

static void line_do(play_t *play, char *text)
{
  static const struct {
    const char *verb;
    size_t min_args;
    int (*run)(play_t *play, const word_t *args, size_t count);
  } rows[] = {
      {"greeting", 1, do_greeting}, {"mail", 1, do_mail},     {"rcpt", 1, do_rcpt},
      {"data", 0, do_data},         {"body", 1, do_body},     {"end", 0, do_end},
      {"clean", 1, do_clean},       {"bdat", 1, do_bdat},     {"flight", 3, do_flight},
      {"starttls", 0, do_starttls}, {"auth", 1, do_auth},     {"tls_started", 0, do_tls_started},
      {"respond", 1, do_respond},   {"cancel", 0, do_cancel}, {"rset", 0, do_rset},
      {"noop", 0, do_noop},         {"quit", 0, do_quit},     {"vrfy", 1, do_vrfy},
      {"command", 1, do_command},   {"eof", 0, do_eof},       {"xclient", 1, do_xclient},
      {"xforward", 1, do_xforward}, {"expire", 1, do_expire}};
  word_t words[WORD_MAX];
  size_t count = split_words(play, text, words);
  no_event_left(play);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    if (count <= rows[i].min_args || strcmp(words[0].base, rows[i].verb) != 0)
      continue;
    play->rc = rows[i].run(play, words + 1, count - 1);
    play->rc_due = true;
    return;
  }
  complain(play, "no such command, or arguments are missing: %s", text);
}

/* ---- lines: what is expected ------------------------------------------------------------- */

static void line_event(play_t *play, char *text)
{
  if (play->event_head == play->event_count)
    complain(play, "no event, but expected: %s", text);
  const char *got = play->events[play->event_head++];
  if (strcmp(got, text) != 0)
    complain(play, "event is\n  %s instead of\n  %s", got, text);
}

static void line_state(play_t *play, char *text)
{
  const char *got = uvsmtp_state_name(uvsmtp_protocol_state(play->protocol));
  no_event_left(play);
  if (strcmp(got, text) != 0)
    complain(play, "state is %s instead of %s", got, text);
}

static void line_projected(play_t *play, char *text)
{
  const char *got = uvsmtp_state_name(uvsmtp_protocol_projected_state(play->protocol));
  if (strcmp(got, text) != 0)
    complain(play, "projected state is %s instead of %s", got, text);
}

/* The name of an error code, or that of a command that was done. */
static void line_fails(play_t *play, char *text)
{
  const char *got = play->rc != 0 ? uvsmtp_err_name(play->rc) : "UVSMTP_0";
  if (!play->rc_due)
    complain(play, "'fails' stands behind no 'do'");
  play->rc_due = false;
  if (strcmp(got + strlen("UVSMTP_"), text) != 0)
    complain(play, "the command gave %s instead of %s", got, text);
}

static void expect_number(const play_t *play, const char *what, unsigned long long got,
                          const char *text)
{
  unsigned long long want = strcmp(text, "yes") == 0 ? 1 : strtoull(text, NULL, 10);
  if (got != want)
    complain(play, "%s is %llu instead of %s", what, got, text);
}

static void expect_text(const play_t *play, const char *what, const char *got, const char *want)
{
  if (got == NULL || strcmp(got, want) != 0)
    complain(play, "%s is '%s' instead of '%s'", what, got != NULL ? got : "(not there)", want);
}

static void line_closing(play_t *play, char *text)
{
  expect_number(play, "closing", uvsmtp_protocol_is_closing(play->protocol), text);
}

static void line_needs_reset(play_t *play, char *text)
{
  expect_number(play, "needs_reset", uvsmtp_protocol_needs_reset(play->protocol), text);
}

static void line_outstanding(play_t *play, char *text)
{
  expect_number(play, "outstanding", uvsmtp_protocol_outstanding(play->protocol), text);
}

static void line_unsent(play_t *play, char *text)
{
  expect_number(play, "unsent", uvsmtp_protocol_output_len(play->protocol), text);
  play->unsent_ok = true;
}

static void line_missing(play_t *play, char *text)
{
  expect_text(play, "missing", uvsmtp_protocol_missing(play->protocol), text);
}

static void line_text(play_t *play, char *text)
{
  word_t word;
  next_word(play, &text, &word);
  expect_text(play, "text", play->reply_text, word.base);
}

static void line_error_text(play_t *play, char *text)
{
  const char *got = uvsmtp_protocol_error_text(play->protocol);
  if (strstr(got, text) == NULL)
    complain(play, "'%s' is not in the error's text: '%s'", text, got);
}

/* deadline MS (from now) or none */
static void line_deadline(play_t *play, char *text)
{
  uint64_t at = uvsmtp_protocol_deadline(play->protocol);
  uint64_t want = strcmp(text, "none") == 0 ? UINT64_MAX : play->now + strtoull(text, NULL, 10);
  if (at != want)
    complain(play, "the deadline is %lld from now instead of %s", (long long)(at - play->now),
             text);
}

/* cap KEYWORD none | cap KEYWORD "parameters" | cap auth "…" | cap size N | cap mails N … */
static void line_cap(play_t *play, char *text)
{
  const uvsmtp_capabilities_t *caps = uvsmtp_protocol_capabilities(play->protocol);
  word_t words[WORD_MAX];
  if (split_words(play, text, words) < 2)
    complain(play, "cap needs a name and a value");
  const char *name = words[0].base, *want = words[1].base;
  const char *found = uvsmtp_capabilities_find(caps, name);
  if (strcmp(name, "mechanisms") == 0)
    expect_text(play, name, caps->auth_mechanisms, want);
  else if (strcmp(name, "domain") == 0)
    expect_text(play, name, caps->domain, want);
  else if (strcmp(name, "max_size") == 0)
    expect_number(play, name, caps->max_message_size, want);
  else if (strcmp(name, "max_mails") == 0)
    expect_number(play, name, caps->max_mails, want);
  else if (strcmp(name, "max_recipients") == 0)
    expect_number(play, name, caps->max_recipients, want);
  else if (strcmp(name, "max_domains") == 0)
    expect_number(play, name, caps->max_domains, want);
  else if (strcmp(name, "lines") == 0)
    expect_number(play, name, caps->line_count, want);
  else if (strcmp(want, "none") != 0)
    expect_text(play, name, found, want);
  else if (found != NULL)
    complain(play, "%s is offered", name);
}

/* ---- the play ---------------------------------------------------------------------------- */

static void play_line(play_t *play, char *line);

/* start [KEYWORD | KEYWORD …]: the greeting and an EHLO or LHLO that offers these. */
static void line_start(play_t *play, char *text)
{
  char reply[2000] = "S: 250", *at = text;
  const char *hello = play->options.lmtp ? "LHLO" : "EHLO";
  size_t n = strlen(reply);
  n += (size_t)snprintf(reply + n, sizeof(reply) - n, "%cmx.example", *at != 0 ? '-' : ' ');
  while (*at != 0) {
    size_t len = strcspn(at, "|");
    size_t used = len > 0 && at[len] == '|' && at[len - 1] == ' ' ? len - 1 : len;
    n += (size_t)snprintf(reply + n, sizeof(reply) - n, " | 250%c%.*s", at[len] != 0 ? '-' : ' ',
                          (int)used, at);
    at += len;
    at += strspn(at, "| ");
  }
  char lines[][80] = {"S: 220 mx.example ESMTP",
                      "event reply GREETING 220 last",
                      "do greeting client.example",
                      "C: EHLO client.example",
                      "",
                      "state ready"};
  memcpy(lines[3] + 3, hello, 4);
  snprintf(lines[4], sizeof(lines[4]), "event reply %s 250 last", hello);
  for (size_t i = 0; i < 4; i++)
    play_line(play, lines[i]);
  play_line(play, reply);
  play_line(play, lines[4]);
  play_line(play, lines[5]);
}

/* Stands in for libidn2: one domain that it knows, all others it refuses. */
static int to_ascii(char *out, size_t size, const char *domain)
{
  if (strcmp(domain, "b\xc3\xbc"
                     "cher.example") != 0)
    return UVSMTP_EADDRESS;
  snprintf(out, size, "xn--bcher-kva.example");
  return 0;
}

/* option NAME[=NUMBER], before anything else */
static void line_option(play_t *play, char *text)
{
  uvsmtp_protocol_options_t *o = &play->options;
  const struct {
    const char *name;
    size_t *value;
  } sizes[] = {{"max_reply_line", &o->max_reply_line},
               {"max_reply_lines", &o->max_reply_lines},
               {"max_reply_bytes", &o->max_reply_bytes},
               {"max_output", &o->max_output},
               {"max_outstanding", &o->max_outstanding}};
  const char *equals = strchr(text, '=');
  size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
  o->lmtp |= strcmp(text, "lmtp") == 0;
  o->tls |= strcmp(text, "tls") == 0;
  if (strcmp(text, "a_labels") == 0)
    o->domain_to_ascii = to_ascii;
  for (size_t i = 0; equals != NULL && i < sizeof(sizes) / sizeof(sizes[0]); i++)
    if (strlen(sizes[i].name) == len && strncmp(sizes[i].name, text, len) == 0)
      *sizes[i].value = strtoull(equals + 1, NULL, 10);
  uvsmtp_protocol_free(play->protocol);
  play->protocol = NULL;
  if (uvsmtp_protocol_new(&play->protocol, o, play->now) != 0)
    complain(play, "the options were refused");
}

typedef void (*line_fn)(play_t *play, char *text);

static line_fn line_function(char **line)
{
  static const struct {
    const char *word;
    line_fn play;
  } rows[] = {{"do", line_do},
              {"event", line_event},
              {"state", line_state},
              {"projected", line_projected},
              {"fails", line_fails},
              {"closing", line_closing},
              {"needs_reset", line_needs_reset},
              {"outstanding", line_outstanding},
              {"unsent", line_unsent},
              {"missing", line_missing},
              {"text", line_text},
              {"error_text", line_error_text},
              {"deadline", line_deadline},
              {"cap", line_cap},
              {"start", line_start},
              {"option", line_option}};
  size_t len = strcspn(*line, " ");
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    if (strlen(rows[i].word) != len || strncmp(rows[i].word, *line, len) != 0)
      continue;
    *line += len + ((*line)[len] == ' ');
    return rows[i].play;
  }
  return NULL;
}

/* A `do` that no `fails` follows has to have worked. */
static void judge_command(play_t *play, const char *line)
{
  if (!play->rc_due || strncmp(line, "fails ", 6) == 0)
    return;
  play->rc_due = false;
  if (play->rc != 0) {
    play->line--;
    complain(play, "the command gave %s", uvsmtp_err_name(play->rc));
  }
}

static void play_line(play_t *play, char *line)
{
  bool server = strncmp(line, "S:", 2) == 0 || strncmp(line, "S=", 2) == 0;
  if (!server && play->input_len > 0)
    feed(play);
  judge_command(play, line);
  if (server) {
    line_server(play, line + 2, line[1] == '=');
    return;
  }
  play->unsent_ok = false;
  if (strncmp(line, "C:", 2) == 0 || strncmp(line, "C=", 2) == 0) {
    line_client(play, line + 2, line[1] == '=');
    return;
  }
  line_fn run = line_function(&line);
  if (run == NULL)
    complain(play, "this line means nothing: %s", line);
  run(play, line);
}

static void play_end(play_t *play)
{
  if (play->input_len > 0)
    feed(play);
  judge_command(play, "");
  no_event_left(play);
  if (uvsmtp_protocol_output_len(play->protocol) > 0 && !play->unsent_ok)
    complain(play, "output is left at the end");
  uvsmtp_protocol_free(play->protocol);
  for (size_t i = 0; i < play->kept_count; i++)
    free(play->kept[i]);
}

static void play_row(const row_t *row, cut_t cut, uint64_t seed)
{
  play_t *play = calloc(1, sizeof(*play));
  char *text = strdup(row->text), *at = text;
  play->row = row;
  play->cut = cut;
  play->seed = seed;
  play->chance = chance_of(seed);
  play->now = 1000;
  play->line = row->first_line;
  if (cut == CUT_TLS)
    secure_begin(seed);
  play->options = (uvsmtp_protocol_options_t)UVSMTP_PROTOCOL_OPTIONS_INIT;
  assert_int_equal(uvsmtp_protocol_new(&play->protocol, &play->options, play->now), 0);
  while (*at != 0) {
    char *end = at + strcspn(at, "\n"), *next = end + (*end != 0);
    *end = 0;
    play->line++;
    if (*at != 0 && *at != '#')
      play_line(play, at);
    at = next;
  }
  play_end(play);
  if (cut == CUT_TLS)
    secure_end();
  free(text);
  free(play);
}

static void plays_in_every_cut(void **state)
{
  const row_t *row = *state;
  play_row(row, CUT_WHOLE, row->seed);
  play_row(row, CUT_BYTES, row->seed);
  for (uint64_t i = 0; i < RANDOM_PLAYS; i++)
    play_row(row, CUT_RANDOM, row->seed + i);
  for (uint64_t i = 0; i < TLS_PLAYS; i++)
    play_row(row, CUT_TLS, row->seed + i);
}

/* ---- files ------------------------------------------------------------------------------- */

static char *read_file(const char *path)
{
  FILE *file = fopen(path, "rb");
  if (file == NULL)
    return NULL;
  char *text = calloc(1, 1 << 20);
  size_t len = fread(text, 1, (1 << 20) - 1, file);
  text[len] = 0;
  fclose(file);
  return text;
}

/* Adds the rows of `text`: each begins with a line "## title". Returns their number. */
static size_t split_rows(const char *file, char *text, uint64_t seed, row_t *rows, size_t max)
{
  size_t count = 0;
  unsigned line = 0;
  for (char *at = text; *at != 0;) {
    char *end = at + strcspn(at, "\n"), *next = end + (*end != 0);
    line++;
    if (strncmp(at, "## ", 3) == 0 && count < max) {
      if (at > text)
        at[-1] = 0;
      *end = 0;
      rows[count++] = (row_t){file, at + 3, next, line, seed};
    }
    at = next;
  }
  return count;
}

int main(int argc, char **argv)
{
  static row_t rows[400];
  static struct CMUnitTest tests[400];
  size_t count = 0;
  uint64_t seed = chance_seed("transcripts", 20261124);
  char *texts[32];
  for (int i = 1; i < argc && i < 32; i++) {
    texts[i] = read_file(argv[i]);
    if (texts[i] == NULL) {
      fprintf(stderr, "%s cannot be read\n", argv[i]);
      return 1;
    }
    const char *slash = strrchr(argv[i], '/');
    count +=
        split_rows(slash != NULL ? slash + 1 : argv[i], texts[i], seed, rows + count, 400 - count);
  }
  for (size_t i = 0; i < count; i++)
    tests[i] = (struct CMUnitTest){rows[i].title, plays_in_every_cut, NULL, NULL, &rows[i]};
  int failed = count > 0 ? _cmocka_run_group_tests("transcripts", tests, count, NULL, NULL) : 1;
  secure_close();
  for (int i = 1; i < argc && i < 32; i++)
    free(texts[i]);
  return failed;
}
