/*
 * A message as one flight (RFC 2920, RFC 3030): all its lines are put together, judged once, and
 * go into the output, the content behind them if it goes as a chunk. Most flights are put together
 * in one go instead, by usual.c.
 */
#include <string.h>

#include "protocol/chunk.h"
#include "protocol/lines.h"

#define RECIPIENTS_MAX 1024

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

/* Line by line, each judged by itself, all of them or none. */
static int put_lines(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight, uint64_t size,
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

int uvsmtp__any_flight(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  size_t copied, recipients = flight->envelope->recipient_count;
  uint64_t size = uvsmtp__chunk_measure(flight->slices, flight->count, &copied);
  int err = may_fly(p, flight);
  if (err != 0)
    return err;
  uvsmtp__line_begin(p);
  if (recipients > RECIPIENTS_MAX)
    return UVSMTP_ETOOLONG; /* their lines would not fit either */
  if ((err = put_lines(p, flight, size, copied)) != 0)
    return err;
  p->in_chunks = p->binary = false;
  p->projected = flight->data ? UVSMTP_STATE_SEND_DATA : UVSMTP_STATE_READY;
  if (flight->data)
    return 0;
  uvsmtp__chunk_content(p, flight->slices, flight->count);
  uvsmtp__queue_last(p)->complete = p->issued;
  return 0;
}
