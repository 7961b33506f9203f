/*
 * The octets of a message on their way from its source to the protocol.
 *
 * A clean content whose pieces stay in place goes from where it lies, in one chunk if the server
 * takes chunks. Of any other source only one piece is held at a time.
 */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "connection/ways.h"

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
  if (!uvsmtp__is_stable(t) && uvsmtp_protocol_output_len(c->protocol) > 0)
    return UVSMTP_PENDING; /* the piece before is still being written */
  return uvsmtp__content_next(t);
}

/* Where the dot has to leave alone, what is before it leaves first, the end of its last line too.
 */
static int let_leave(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  size_t taken;
  if (!c->terms.dot_alone)
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
    return t->dotless && !c->terms.dot_alone ? push_clean(c, t) : push_data(c, t);
  if (!uvsmtp__is_looked_at(t))
    return uvsmtp__gather_push(c, t);
  err = push_stable_chunk(c, t);
  if (err != UVSMTP_EQUEUEFULL)
    return err;
  again = uvsmtp__content_rewind(c, t);
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
                            .data = !t->chunked,
                            .lengths = t->send->lengths};
  int err = t->kept_all || flight.data ? 0 : keep_pieces(t), again;
  if (err != 0) {
    again = uvsmtp__content_rewind(c, t);
    return again != 0 ? again : err;
  }
  flight.count = flight.data ? 0 : t->kept_count;
  return uvsmtp_protocol_flight(c->protocol, &flight);
}
