/*
 * The octets of a message on their way from its source to the protocol.
 *
 * A source whose pieces stay in place is looked at once before MAIL: does it have 8-bit octets,
 * are all its line ends CRLF, how long will it be? A clean one then goes from where it lies, in one
 * chunk if the server takes chunks. Of any other source only one piece is held at a time.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/wide.h"
#include "connection/ways.h"

/* A table made by an older header ends before what was added since. */
#define HAS_OP(ops, op)                                                                            \
  ((ops)->size >= offsetof(uvsmtp_source_ops_t, op) + sizeof((ops)->op) && (ops)->op != NULL)

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
      .in_header = true, .line_start = true, .dotless = (c->pump.ways & UVSMTP_WAY_CHUNKING) == 0};
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
  unsigned extensions = c->pump.offered->extensions, target = 0;
  if ((extensions & UVSMTP_EXT_8BITMIME) != 0)
    target |= UVSMTP_TARGET_8BITMIME;
  if ((extensions & UVSMTP_EXT_SMTPUTF8) != 0)
    target |= UVSMTP_TARGET_SMTPUTF8 | UVSMTP_TARGET_8BITMIME;
  if ((extensions & UVSMTP_EXT_BINARYMIME) != 0 && (c->pump.ways & UVSMTP_WAY_CHUNKING) != 0)
    target |= UVSMTP_TARGET_BINARYMIME;
  return target;
}

static void wake(void *reader)
{
  uvsmtp_connection_t *c = reader;
  uvsmtp__pump_run_soon(c);
}

static bool is_stable(const uvsmtp__transaction_t *t)
{
  return (t->info.content & UVSMTP_CONTENT_STABLE) != 0;
}

/* Its pieces stay in place, and it can be opened again: it was read through before MAIL. */
static bool is_looked_at(const uvsmtp__transaction_t *t)
{
  return is_stable(t) && uvsmtp__may_read_again(t);
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
  unsigned extensions = c->pump.offered->extensions;
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
  const uvsmtp_source_t *source = t->send->source;
  if (!HAS_OP(source->ops, whole) || !source->ops->whole(source, &t->kept[0]))
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
  if (is_looked_at(t) && !is_known(t)) {
    err = look_through(t, target, &look);
    return err != 0 ? err : judge_look(c, t, &look);
  }
  t->open = true;
  apply_info(c, t);
  t->clean = is_known(t);
  t->size = t->needs.size;
  return is_too_big(c, t) ? UVSMTP_ETOOBIG : 0;
}

/* Most contents are whole lines of seven bits: true, and what a look would find is noted. */
static bool is_plain(const uvsmtp_connection_t *c, uvsmtp__transaction_t *t, uvsmtp_slice_t content)
{
  bool by_data = (c->pump.ways & UVSMTP_WAY_CHUNKING) == 0, high = false;
  size_t clean = by_data ? uvsmtp__clean_data(content.base, content.len, &high)
                         : uvsmtp__clean_lines(content.base, content.len, &high);
  if (clean != content.len || high || content.base[content.len - 1] != '\n' ||
      (by_data && *content.base == '.'))
    return false;
  t->needs = (uvsmtp_mail_needs_t){.size = content.len};
  t->size = content.len;
  t->dotless = by_data;
  t->seven_bit = t->at_end = t->read = false;
  t->clean = t->open = true;
  return true;
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
  t->kept_at = 0;
  t->whole = t->kept_all = keep_whole(t);
  return t->whole && is_plain(c, t, t->kept[0]) ? 0 : open_carefully(c, t);
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
  if (HAS_OP(source->ops, detail))
    detail = source->ops->detail(source);
  snprintf(text, size, "%s%s%s", uvsmtp_strerror(err), *detail != '\0' ? ": " : "", detail);
}

/* The next piece, of those that are kept if they are all. */
static int read_piece(uvsmtp__transaction_t *t)
{
  uvsmtp_source_t *source = t->send->source;
  if (!t->kept_all)
    return source->ops->next(source, &t->piece);
  t->piece = t->kept_at < t->kept_count ? t->kept[t->kept_at++] : (uvsmtp_slice_t){NULL, 0};
  return 0;
}

int uvsmtp__content_next(uvsmtp__transaction_t *t)
{
  int err = read_piece(t);
  t->read = true;
  if (err != 0)
    return err;
  t->at_end = t->piece.len == 0;
  return t->seven_bit && uvsmtp__has_8bit(t->piece.base, t->piece.len) ? UVSMTP_E8BIT : 0;
}

/* Makes sure that a piece is held: 0, PENDING, or an error. At the end, `at_end` and no piece. */
static int next_piece(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  if (t->piece.len > 0 || t->at_end)
    return 0;
  if (!is_stable(t) && uvsmtp_protocol_output_len(c->protocol) > 0)
    return UVSMTP_PENDING; /* the piece before is still being written */
  return uvsmtp__content_next(t);
}

/* What was read was not taken: the source has to be read again from its start. */
static int rewind_source(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
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

/* Where the dot has to leave alone, what is before it leaves first, the end of its last line too.
 */
static int let_leave(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  size_t taken;
  if (!c->pump.dot_alone)
    return 0;
  if (!t->line_start) {
    int err = uvsmtp_protocol_data(c->protocol, t->after_cr ? "\n" : "\r\n", t->after_cr ? 1 : 2,
                                   c->config->o.lines, &taken);
    if (err != 0 || taken == 0)
      return err != 0 ? err : UVSMTP_PENDING;
    t->line_start = true;
  }
  return uvsmtp_protocol_output_len(c->protocol) > 0 ? UVSMTP_PENDING : 0;
}

static void note_last_octet(uvsmtp__transaction_t *t, char last)
{
  t->line_start = last == '\n';
  t->after_cr = last == '\r';
}

static int push_data(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  size_t taken;
  int err;
  for (;;) {
    if ((err = next_piece(c, t)) != 0)
      return err;
    if (t->at_end)
      break;
    err =
        uvsmtp_protocol_data(c->protocol, t->piece.base, t->piece.len, c->config->o.lines, &taken);
    if (taken > 0)
      note_last_octet(t, t->piece.base[taken - 1]);
    t->piece = (uvsmtp_slice_t){t->piece.base + taken, t->piece.len - taken};
    if (err != 0)
      return err;
    if (t->piece.len > 0)
      return UVSMTP_PENDING;
  }
  if ((err = let_leave(c, t)) != 0)
    return err;
  err = uvsmtp_protocol_end_data(c->protocol, t);
  return err == UVSMTP_EQUEUEFULL ? UVSMTP_PENDING : err;
}

/* Pieces that stay in place: all of them as one chunk, the last. */
static int push_stable_chunk(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp_slice_t few[16], *slices = few, *more;
  size_t count = 0, room = 16;
  int err;
  while ((err = read_piece(t)) == 0 && t->piece.len > 0) {
    if (count == room) {
      more =
          uvsmtp__realloc_array(c->mem, slices == few ? NULL : slices, room * 4, sizeof(*slices));
      if (more == NULL) {
        err = UVSMTP_ENOMEM;
        break;
      }
      if (slices == few)
        memcpy(more, few, sizeof(few));
      slices = more;
      room *= 4;
    }
    slices[count++] = t->piece;
  }
  t->piece = (uvsmtp_slice_t){NULL, 0};
  t->read = true;
  t->used |= UVSMTP_WAY_CHUNKING;
  if (err == UVSMTP_PENDING && count > 0)
    err = UVSMTP_ESOURCE; /* what was read before is not kept: never go on without it */
  if (err == 0)
    err = uvsmtp_protocol_chunk(c->protocol, slices, count, true, t);
  if (slices != few)
    uvsmtp__free(c->mem, slices);
  return err;
}

/* As it lies, with its end. */
static int push_clean(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err = uvsmtp_protocol_clean_data(c->protocol, t->kept, t->kept_count, t);
  t->read = true;
  return err == UVSMTP_EQUEUEFULL ? UVSMTP_PENDING : err;
}

int uvsmtp__content_push(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err, again;
  if (!t->chunked)
    return t->dotless && !c->pump.dot_alone ? push_clean(c, t) : push_data(c, t);
  if (!is_looked_at(t))
    return uvsmtp__gather_push(c, t);
  err = push_stable_chunk(c, t);
  if (err != UVSMTP_EQUEUEFULL)
    return err;
  again = rewind_source(c, t);
  return again != 0 ? again : UVSMTP_PENDING;
}

/* Reads and keeps the pieces, ETOOLONG if they are not few. */
static int keep_pieces(uvsmtp__transaction_t *t)
{
  uvsmtp_source_t *source = t->send->source;
  uvsmtp_slice_t piece;
  int err;
  t->kept_count = 0;
  while ((err = source->ops->next(source, &piece)) == 0 && piece.len > 0) {
    if (t->kept_count == UVSMTP__KEPT)
      return UVSMTP_ETOOLONG;
    t->kept[t->kept_count++] = piece;
  }
  t->kept_all = err == 0;
  return err;
}

int uvsmtp__content_fly(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp_flight_t flight = {.envelope = t->send->envelope,
                            .needs = &t->needs,
                            .slices = t->kept,
                            .reset = t->reset,
                            .tag = t,
                            .recipient_tag = t->results,
                            .recipient_stride = sizeof(*t->results),
                            .data = !t->chunked};
  int err = t->kept_all || flight.data ? 0 : keep_pieces(t), again;
  if (err != 0) {
    again = rewind_source(c, t);
    return again != 0 ? again : err;
  }
  flight.count = flight.data ? 0 : t->kept_count;
  return uvsmtp_protocol_flight(c->protocol, &flight);
}
