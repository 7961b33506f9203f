/*
 * A message as one flight (RFC 2920, RFC 3030): all its lines are put together, judged once, and
 * go into the output, the content behind them if it goes as a chunk. What the server says to it
 * without refusing anything is taken where it is read and told by the last reply alone.
 */
#include <string.h>

#include "protocol/chunk.h"
#include "protocol/lines.h"

#define RECIPIENTS_MAX 1024
#define USUAL_MAIL 128
#define DIGITS 20 /* of the largest number */

static int may_fly(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  int err = uvsmtp__command_ready(p);
  if (err != 0)
    return err;
  if (flight->envelope->recipient_count == 0 || p->projected < UVSMTP_STATE_AUTHENTICATED ||
      p->projected == UVSMTP_STATE_SEND_DATA ||
      (p->projected > UVSMTP_STATE_READY && !flight->reset))
    return UVSMTP_ESTATE;
  if (flight->data && (flight->count > 0 || flight->envelope->body == UVSMTP_BODY_BINARYMIME ||
                       (flight->needs != NULL && flight->needs->binary)))
    return UVSMTP_EINVAL;
  err = uvsmtp__need(p, UVSMTP_EXT_PIPELINING);
  return err != 0 || flight->data ? err : uvsmtp__need(p, UVSMTP_EXT_CHUNKING);
}

static int add_recipients(uvsmtp_protocol_t *p, lines_t *lines, const uvsmtp_flight_t *flight)
{
  const uvsmtp_envelope_t *envelope = flight->envelope;
  char *tag = flight->recipient_tag;
  int err = 0;
  for (size_t i = 0; i < envelope->recipient_count && err == 0; i++) {
    err = uvsmtp__lines_rcpt(p, lines, &envelope->recipients[i], tag, EXPECT_QUIET);
    tag += flight->recipient_stride;
  }
  return err;
}

/* A line of our own. */
static int add_line(uvsmtp_protocol_t *p, lines_t *lines, uvsmtp_command_t command,
                    const char *line, size_t len, void *tag, uint8_t flags)
{
  size_t start = uvsmtp__buffer_len(&lines->text);
  int err = uvsmtp__buffer_append(&lines->text, line, len);
  return err != 0 ? err : uvsmtp__lines_end(p, lines, start, command, tag, flags);
}

static int add_lines(uvsmtp_protocol_t *p, lines_t *lines, const uvsmtp_flight_t *flight,
                     uint64_t size)
{
  char end[40];
  int err = 0;
  if (flight->reset)
    err = add_line(p, lines, UVSMTP_COMMAND_RSET, "RSET", 4, flight->tag, EXPECT_QUIET);
  if (err != 0 ||
      (err = uvsmtp__lines_mail(p, lines, flight->envelope, flight->needs, flight->tag,
                                EXPECT_QUIET)) != 0 ||
      (err = add_recipients(p, lines, flight)) != 0)
    return err;
  if (flight->data)
    return add_line(p, lines, UVSMTP_COMMAND_DATA, "DATA", 4, flight->tag, 0);
  return add_line(p, lines, UVSMTP_COMMAND_BDAT_LAST, end, uvsmtp__chunk_line(end, size, true),
                  flight->tag, 0);
}

/* A number in decimal, with room behind it so that it can be copied in one go. */
typedef struct {
  char digits[DIGITS];
  size_t len;
} number_t;

static char *put_number(char *at, const number_t *number)
{
  memcpy(at, number->digits, DIGITS);
  return at + number->len;
}

/* Writes the last line; returns its end. */
static char *put_end(char *at, const uvsmtp_flight_t *flight, const number_t *size)
{
  if (flight->data) {
    memcpy(at, "DATA\r\n", 6);
    return at + 6;
  }
  memcpy(at, "BDAT ", 5);
  at = put_number(at + 5, size);
  memcpy(at, " LAST\r\n", 7);
  return at + 7;
}

/* Writes " SIZE=…" and the end of MAIL; it is the size of the content, as a rule. */
static char *put_size(const uvsmtp_protocol_t *p, char *at, uint64_t said, uint64_t size,
                      const number_t *number)
{
  if (said != UVSMTP_SIZE_UNKNOWN && (p->capabilities->extensions & UVSMTP_EXT_SIZE) != 0) {
    memcpy(at, " SIZE=", 6);
    at = said == size ? put_number(at + 6, number) : at + 6 + uvsmtp__decimal(at + 6, said);
  }
  memcpy(at, "\r\n", 2);
  return at + 2;
}

/* Room for "RSET", MAIL and its size, RCPT, and BDAT, each with its end. */
_Static_assert(6 + USUAL_MAIL + 28 + 10 + UVSMTP__USUAL_PATH + 42 <= UVSMTP__LINES_ROOM,
               "a usual flight has room");

/* One recipient, nothing out of the ordinary, and no more octets than the server takes. */
static bool is_usual(const uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  const uvsmtp_envelope_t *envelope = flight->envelope;
  uint64_t max = p->capabilities->max_message_size;
  return envelope->recipient_count == 1 && envelope->recipients[0].address != NULL &&
         !uvsmtp__mail_needs_more(envelope, flight->needs) &&
         !uvsmtp__rcpt_needs_more(envelope->recipients) && (max == 0 || flight->needs->size <= max);
}

/* Queues the last command, with those ahead of it; the places are the ends of their lines. */
static expectation_t *hold_as_one(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight,
                                  const char *reset, const char *mail, const char *rcpt,
                                  const char *end)
{
  expectation_t *e =
      uvsmtp__queue_push(p, flight->data ? UVSMTP_COMMAND_DATA : UVSMTP_COMMAND_BDAT_LAST,
                         flight->tag, EXPECT_QUIET, p->issued);
  e->recipient = flight->recipient_tag;
  e->ahead = flight->reset ? 3 : 2;
  e->behind[0] = (uint16_t)(end - rcpt);
  e->behind[1] = (uint16_t)(end - mail);
  e->behind[2] = (uint16_t)(end - reset);
  p->queue.ahead += e->ahead;
  return e;
}

/*
 * Most flights go from the sender of the one before to one recipient, by short lines without
 * options: such a one is written in one go and held as one. NULL, with nothing done, for all
 * others; there is room for UVSMTP__LINES_ROOM octets.
 */
static expectation_t *put_usual(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight, uint64_t size)
{
  char *start = uvsmtp__out_room(p), *reset, *mail, *rcpt, *end;
  number_t number;
  size_t len;
  if (!is_usual(p, flight) || (len = uvsmtp__mail_known(p, flight->envelope->sender)) == 0 ||
      len > USUAL_MAIL)
    return NULL;
  memcpy(start, "RSET\r\n", 6);
  reset = start + (flight->reset ? 6 : 0);
  memcpy(reset, p->talk->mail.base, len);
  number.len = uvsmtp__decimal(number.digits, size);
  mail = put_size(p, reset + len, flight->needs->size, size, &number);
  memcpy(mail, "RCPT TO:", 8);
  len = uvsmtp__path_usual(mail + 8, flight->envelope->recipients[0].address);
  if (len == 0)
    return NULL;
  rcpt = mail + 8 + len + 2;
  memcpy(rcpt - 2, "\r\n", 2);
  end = put_end(rcpt, flight, &number);
  uvsmtp__out_filled(p, (size_t)(end - start));
  if (p->tracing)
    uvsmtp__lines_trace(p, start, (size_t)(end - start));
  return hold_as_one(p, flight, reset, mail, rcpt, end);
}

/* Any other: line by line, each judged by itself, all of them or none. */
static int put_any(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight, uint64_t size,
                   size_t copied)
{
  lines_t lines;
  int err =
      uvsmtp__lines_begin(p, &lines, flight->envelope->recipient_count + 3, copied, flight->count);
  if (err != 0)
    return err;
  do
    err = add_lines(p, &lines, flight, size);
  while (err != 0 && uvsmtp__lines_again(p, &lines, &err));
  if (err == 0)
    uvsmtp__lines_issue(p, &lines);
  return err;
}

int uvsmtp_protocol_flight(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  size_t copied, recipients = flight->envelope->recipient_count;
  uint64_t size = uvsmtp__chunk_measure(flight->slices, flight->count, &copied);
  expectation_t *last = NULL;
  int err = may_fly(p, flight);
  if (err != 0)
    return err;
  uvsmtp__line_begin(p);
  if (recipients > RECIPIENTS_MAX)
    return UVSMTP_ETOOLONG; /* their lines would not fit either */
  if ((err = uvsmtp__queue_reserve(p, (unsigned)recipients + 3)) != 0)
    return err;
  err = uvsmtp__out_reserve(p, copied + UVSMTP__LINES_ROOM, flight->count + 1);
  if (err == 0)
    last = put_usual(p, flight, size);
  if (last == NULL) {
    if (err == UVSMTP_ENOMEM || (err = put_any(p, flight, size, copied)) != 0)
      return err;
    last = uvsmtp__queue_last(p);
  }
  p->in_chunks = p->binary = false;
  p->projected = flight->data ? UVSMTP_STATE_SEND_DATA : UVSMTP_STATE_READY;
  if (flight->data)
    return 0;
  uvsmtp__chunk_content(p, flight->slices, flight->count);
  last->complete = p->issued;
  return 0;
}
