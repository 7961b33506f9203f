/*
 * Contents whose pieces come and go, as chunks (RFC 3030): they are copied into one buffer, line
 * ends made CRLF on the way, and it leaves as a chunk when it is full and more is known to follow.
 * So the last chunk always has something in it (old servers cannot do "BDAT 0 LAST"), and memory
 * is bounded whatever the message's size.
 */
#include <string.h>

#include "base/mem.h"
#include "base/wide.h"
#include "connection/connection.h"

#define GATHER_SIZE ((size_t)64 * 1024)
#define TURN 4 /* room that what is put in may need: a CRLF for a CR held back, and one more */

static void put(uvsmtp_connection_t *c, const char *bytes, size_t len)
{
  memcpy(c->pump->gather + c->pump->gathered, bytes, len);
  c->pump->gathered += len;
}

static void put_line_end(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  put(c, "\r\n", 2);
  t->line_start = true;
}

/* Copies some of the piece: 0, or EBARELINE. */
static int copy_some(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  const char *s = t->piece.base;
  size_t room = GATHER_SIZE - TURN - c->pump->gathered, taken;
  size_t len = t->piece.len < room ? t->piece.len : room;
  bool refuse = c->config->o.lines == UVSMTP_LINES_REFUSE, high = false;
  if (uvsmtp__is_binary(t)) {
    put(c, s, taken = len);
  } else if (t->after_cr) { /* it was held back until what follows is known */
    if (refuse && *s != '\n')
      return UVSMTP_EBARELINE;
    t->after_cr = false;
    put_line_end(c, t);
    taken = *s == '\n';
  } else if ((taken = uvsmtp__clean_lines(s, len, &high)) > 0) {
    put(c, s, taken);
    t->line_start = s[taken - 1] == '\n';
  } else if (*s == '\r') {
    t->after_cr = true;
    taken = 1;
  } else {
    if (refuse)
      return UVSMTP_EBARELINE;
    put_line_end(c, t);
    taken = 1;
  }
  t->piece = (uvsmtp_slice_t){s + taken, t->piece.len - taken};
  return 0;
}

/* At the end of the source: a CR that is held back, a last line without its end. */
static int finish(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  bool anything = c->pump->gathered > 0 || t->used & UVSMTP_WAY_CHUNKING;
  if (uvsmtp__is_binary(t))
    return 0;
  if (t->after_cr && c->config->o.lines == UVSMTP_LINES_REFUSE)
    return UVSMTP_EBARELINE;
  if (t->after_cr || (anything && !t->line_start))
    put_line_end(c, t);
  t->after_cr = false;
  return 0;
}

/* Fills the buffer until it is full and more is known to follow, or the source is at its end. */
static int fill(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err = 0;
  while (err == 0 && !t->at_end) {
    if (t->piece.len == 0)
      err = uvsmtp__content_next(t);
    else if (c->pump->gathered + TURN >= GATHER_SIZE)
      return 0;
    else
      err = copy_some(c, t);
  }
  return err != 0 ? err : finish(c, t);
}

static bool is_free(const uvsmtp_connection_t *c)
{
  return uvsmtp_protocol_total_sent(c->protocol) >= c->pump->gather_until;
}

static int issue_chunk(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  uvsmtp_slice_t chunk = {c->pump->gather, c->pump->gathered};
  int err = uvsmtp_protocol_chunk(c->protocol, &chunk, 1, t->at_end, t);
  if (err != 0)
    return err == UVSMTP_EQUEUEFULL ? UVSMTP_PENDING : err;
  t->used |= UVSMTP_WAY_CHUNKING;
  t->chunks += !t->at_end;
  c->pump->gather_until = uvsmtp_protocol_issued(c->protocol);
  c->pump->gathered = 0;
  return 0;
}

int uvsmtp__gather_push(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  int err;
  if (c->pump->gather == NULL && (c->pump->gather = uvsmtp__malloc(c->mem, GATHER_SIZE)) == NULL)
    return UVSMTP_ENOMEM;
  for (;;) {
    if (!is_free(c))
      return UVSMTP_PENDING;
    if ((err = fill(c, t)) != 0)
      return err;
    if (t->at_end && c->pump->gathered == 0 && !uvsmtp__is_binary(t)) {
      t->chunked = false;
      return 0;
    }
    if ((err = issue_chunk(c, t)) != 0 || t->at_end)
      return err;
  }
}

void uvsmtp__gather_free(uvsmtp_connection_t *c)
{
  uvsmtp__free(c->mem, c->pump->gather);
  c->pump->gather = NULL;
  c->pump->gathered = 0;
}
