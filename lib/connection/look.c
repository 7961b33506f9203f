/*
 * The source of a message: opened and looked at before MAIL, read again from its start, closed.
 *
 * A source whose pieces stay in place is looked at once: does it have 8-bit octets, are all its
 * line ends CRLF, how long will it be? Of any other no more is known than what it says itself.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "connection/plain.h"
#include "connection/ways.h"

/* What a look at the content found. */
typedef struct {
  uint64_t length; /* with line ends made CRLF, without the CRLF that a last line may lack */
  bool eightbit, header_8bit, bare;
  bool in_header, after_cr, line_start;
  bool dotless; /* it goes by DATA, and no line was seen that begins with a dot */
} look_t;

static void look_at_line(look_t *look, const char *line, size_t len, bool ended)
{
  bool was_start = look->line_start;
  if (uvsmtp__has_8bit(line, len)) {
    look->eightbit = true;
    look->header_8bit |= look->in_header;
  }
  if (ended && was_start && (len == 0 || (len == 1 && line[0] == '\r')))
    look->in_header = false;
}

/* Counts the CRs in a line that are followed by something else than its LF. */
static size_t bare_crs(const char *line, size_t len, bool ended)
{
  size_t n = 0;
  const char *at = line, *end = line + len, *cr;
  while ((cr = memchr(at, '\r', (size_t)(end - at))) != NULL) {
    if (!ended || cr + 1 != end)
      n++;
    at = cr + 1;
  }
  return n;
}

static void look_at_piece(look_t *look, const char *bytes, size_t len)
{
  while (len > 0) {
    const char *lf = memchr(bytes, '\n', len);
    size_t line = lf != NULL ? (size_t)(lf - bytes) : len;
    bool crlf = lf != NULL && (line > 0 ? bytes[line - 1] == '\r' : look->after_cr);
    size_t crs = bare_crs(bytes, line, lf != NULL);
    bool cut = lf == NULL && bytes[len - 1] == '\r'; /* what follows decides */
    crs -= cut ? 1 : 0;
    if (look->after_cr && !(line == 0 && lf != NULL)) {
      look->bare = true;
      look->length++;
    }
    look_at_line(look, bytes, line, lf != NULL);
    look->bare |= crs > 0 || (lf != NULL && !crlf);
    look->length += line + crs + (lf != NULL) + (lf != NULL && !crlf);
    look->after_cr = cut;
    look->line_start = lf != NULL;
    bytes += line + (lf != NULL);
    len -= line + (lf != NULL);
  }
}

/* Where the header ends, in a piece of which all lines are whole or cut between their octets. */
static void look_for_body(look_t *look, const char *bytes, size_t len)
{
  const char *at = bytes, *end = bytes + len, *lf;
  bool start = look->line_start;
  while ((lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
    if (start && lf == at + 1) {
      look->in_header = false;
      end = lf;
      break;
    }
    start = true;
    at = lf + 1;
  }
  look->header_8bit |= uvsmtp__has_8bit(bytes, (size_t)(end - bytes));
}

/* Most pieces have whole lines that end in CRLF: many octets at a time tell. */
static void look_at_any_piece(look_t *look, const char *bytes, size_t len, bool only)
{
  bool high = false;
  look->dotless = look->dotless && *bytes != '.' && uvsmtp__clean_data(bytes, len, &high) == len;
  if (look->after_cr || (!look->dotless && uvsmtp__clean_lines(bytes, len, &high) != len)) {
    look_at_piece(look, bytes, len);
    return;
  }
  if (look->in_header && (high || !only))
    look_for_body(look, bytes, len);
  look->length += len;
  look->eightbit |= high;
  look->line_start = bytes[len - 1] == '\n';
}

static look_t begin_look(const uvsmtp_connection_t *c)
{
  return (look_t){
      .in_header = true, .line_start = true, .dotless = (c->pump->ways & UVSMTP_WAY_CHUNKING) == 0};
}

static void end_look(look_t *look)
{
  if (!look->after_cr)
    return;
  look->bare = true;
  look->length++;
}

/* Reads a source to its end; keeps the pieces if they are few. */
static int look_at_all(uvsmtp__transaction_t *t, look_t *look)
{
  uvsmtp_source_t *source = t->send->source;
  uvsmtp_slice_t piece, next;
  int err = source->ops->next(source, &piece);
  for (t->kept_count = 0; err == 0 && piece.len > 0; t->kept_count++) {
    if ((err = source->ops->next(source, &next)) != 0)
      return err;
    look_at_any_piece(look, piece.base, piece.len, t->kept_count == 0 && next.len == 0);
    if (t->kept_count < UVSMTP__KEPT)
      t->kept[t->kept_count] = piece;
    piece = next;
  }
  end_look(look);
  return err;
}

/* Reads a source whose pieces stay in place, and opens it again unless all of them are kept. */
static int look_through(uvsmtp__transaction_t *t, unsigned target, look_t *look)
{
  uvsmtp_source_t *source = t->send->source;
  int err = look_at_all(t, look);
  t->kept_all = err == 0 && t->kept_count <= UVSMTP__KEPT;
  if (t->kept_all)
    return 0;
  source->ops->close(source);
  if (err != 0)
    return err == UVSMTP_PENDING ? UVSMTP_ESOURCE : err;
  return source->ops->open(source, target, &t->info);
}

static unsigned target_of(const uvsmtp_connection_t *c)
{
  unsigned extensions = c->terms.offered->extensions, target = 0;
  if ((extensions & UVSMTP_EXT_8BITMIME) != 0)
    target |= UVSMTP_TARGET_8BITMIME;
  if ((extensions & UVSMTP_EXT_SMTPUTF8) != 0)
    target |= UVSMTP_TARGET_SMTPUTF8 | UVSMTP_TARGET_8BITMIME;
  if ((extensions & UVSMTP_EXT_BINARYMIME) != 0 && (c->pump->ways & UVSMTP_WAY_CHUNKING) != 0)
    target |= UVSMTP_TARGET_BINARYMIME;
  return target;
}

static void wake(void *reader)
{
  uvsmtp_connection_t *c = reader;
  uvsmtp__pump_run_soon(c);
}

/* Whether the source has told all that a look would find: nothing to normalise, and how long. */
static bool is_known(const uvsmtp__transaction_t *t)
{
  const unsigned all = UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF;
  return (t->info.content & all) == all && t->info.length != UVSMTP_LENGTH_UNKNOWN;
}

/* What the look found, as the needs of MAIL. */
static void apply_look(const look_t *look, uvsmtp__transaction_t *t)
{
  t->needs.eightbit = look->eightbit;
  t->needs.utf8 = look->header_8bit;
  t->needs.size = uvsmtp__is_binary(t) ? t->info.length : look->length + (look->line_start ? 0 : 2);
  t->clean = uvsmtp__is_binary(t) || (!look->bare && look->line_start);
  t->dotless = t->clean && look->dotless && t->kept_all && !uvsmtp__is_binary(t);
}

/* SMTPUTF8 without 8BITMIME takes 8-bit bytes too, but only where it is made use of. */
static bool takes_8bit(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t)
{
  unsigned extensions = c->terms.offered->extensions;
  return (extensions & UVSMTP_EXT_8BITMIME) != 0 ||
         ((extensions & UVSMTP_EXT_SMTPUTF8) != 0 &&
          (t->send->envelope->flags & UVSMTP_ENVELOPE_SMTPUTF8) != 0);
}

/* What the source says, where its content cannot be looked at before. */
static void apply_info(const uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  bool known = (t->info.content & UVSMTP_CONTENT_KNOWN) != 0;
  t->needs.eightbit = known ? (t->info.content & UVSMTP_CONTENT_8BIT) != 0 : takes_8bit(c, t);
  t->needs.utf8 = known && (t->info.content & UVSMTP_CONTENT_UTF8) != 0;
  t->seven_bit = !known && !takes_8bit(c, t);
  if ((t->info.content & UVSMTP_CONTENT_CRLF) != 0 || uvsmtp__is_binary(t))
    t->needs.size = t->info.length;
}

/* It was looked at: what of it cannot be sent so? */
static int judge_look(const uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const look_t *look)
{
  apply_look(look, t);
  t->size = t->needs.size;
  t->open = true;
  return !t->clean && look->bare && c->config->o.lines == UVSMTP_LINES_REFUSE ? UVSMTP_EBARELINE
                                                                              : 0;
}

/* All of it lies in one piece: true, and nothing has to be opened. */
static bool keep_whole(uvsmtp__transaction_t *t)
{
  if (!uvsmtp__lies_whole(t->send->source, &t->kept[0]))
    return false;
  t->kept_count = 1;
  t->info = (uvsmtp_source_info_t){.length = t->kept[0].len, .content = UVSMTP_CONTENT_STABLE};
  return true;
}

/* Line ends that are made whole only add to what the source gives. */
static bool is_too_big(const uvsmtp_connection_t *c, const uvsmtp__transaction_t *t)
{
  uint64_t max = uvsmtp_protocol_capabilities(c->protocol)->max_message_size;
  return max != 0 && t->info.length != UVSMTP_LENGTH_UNKNOWN && t->info.length > max;
}

static int open_source(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp_source_t *source = t->send->source;
  unsigned target = target_of(c);
  look_t look = begin_look(c);
  int err;
  source->reader = c;
  source->wake = wake;
  err = source->ops->open(source, target, &t->info);
  t->opening = err == UVSMTP_PENDING;
  if (err != 0)
    return err;
  t->needs = (uvsmtp_mail_needs_t){.size = UVSMTP_SIZE_UNKNOWN, .binary = uvsmtp__is_binary(t)};
  if (uvsmtp__is_looked_at(t) && !is_known(t)) {
    err = look_through(t, target, &look);
    return err != 0 ? err : judge_look(c, t, &look);
  }
  t->open = true;
  apply_info(c, t);
  t->clean = is_known(t);
  t->size = t->needs.size;
  return is_too_big(c, t) ? UVSMTP_ETOOBIG : 0;
}

/* What a look at a plain content would find. */
static void note_plain(uvsmtp__transaction_t *t, bool by_data)
{
  t->needs = (uvsmtp_mail_needs_t){.size = t->info.length};
  t->size = t->info.length;
  t->dotless = by_data;
  t->seven_bit = t->at_end = t->read = false;
  t->clean = t->open = true;
}

/* Any other has to be looked at line by line, or to be opened. */
static int open_carefully(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  look_t look;
  t->clean = t->dotless = t->seven_bit = t->at_end = t->read = false;
  if (!t->whole)
    return open_source(c, t);
  t->needs = (uvsmtp_mail_needs_t){.size = UVSMTP_SIZE_UNKNOWN, .binary = uvsmtp__is_binary(t)};
  look = begin_look(c);
  look_at_any_piece(&look, t->kept[0].base, t->kept[0].len, true);
  end_look(&look);
  return judge_look(c, t, &look);
}

int uvsmtp__content_open(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  bool by_data = (c->pump->ways & UVSMTP_WAY_CHUNKING) == 0;
  t->kept_at = 0;
  t->whole = t->kept_all = keep_whole(t);
  if (!t->whole || c->pump->odd == t->send || !uvsmtp__is_plain(&t->kept[0], by_data))
    return open_carefully(c, t);
  note_plain(t, by_data);
  return 0;
}

int uvsmtp__content_rewind(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp_source_t *source = t->send->source;
  int err;
  if (t->kept_all) {
    t->kept_at = 0;
    return 0;
  }
  source->ops->close(source);
  err = source->ops->open(source, target_of(c), &t->info);
  t->open = err == 0;
  return err;
}

void uvsmtp__content_close(uvsmtp__transaction_t *t)
{
  if (!t->open && !t->opening)
    return;
  t->open = t->opening = false;
  if (t->whole)
    return;
  t->send->source->ops->close(t->send->source);
  t->send->source->wake = NULL;
}

void uvsmtp__content_fault(const uvsmtp__transaction_t *t, int err, char *text, size_t size)
{
  uvsmtp_source_t *source = t->send->source;
  const char *detail = "";
  if (UVSMTP__HAS_OP(source->ops, detail))
    detail = source->ops->detail(source);
  snprintf(text, size, "%s%s%s", uvsmtp_strerror(err), *detail != '\0' ? ": " : "", detail);
}
