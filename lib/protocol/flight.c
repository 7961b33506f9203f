/*
 * A message as one flight (RFC 2920, RFC 3030): all its lines are put together, judged once, and
 * go into the output, the content behind them if it goes as a chunk. What the server says to it
 * without refusing anything is taken where it is read and told by the last reply alone.
 */
#include <string.h>

#include "base/text.h"
#include "protocol/machine.h"

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
  if ((p->capabilities.extensions & UVSMTP_EXT_PIPELINING) == 0)
    p->missing = "PIPELINING";
  else if (!flight->data && (p->capabilities.extensions & UVSMTP_EXT_CHUNKING) == 0)
    p->missing = "CHUNKING";
  else
    return 0;
  return UVSMTP_EEXTENSION;
}

/* Ends the line that begins at `start` of p->line, and queues what waits for its reply. */
static inline int end_line(uvsmtp_protocol_t *p, size_t start, uvsmtp_command_t command, void *tag,
                           uint8_t flags)
{
  uvsmtp__buffer_t *line = &p->line;
  int err = uvsmtp__buffer_len(line) - start > UVSMTP__LINE_OCTETS - 2
                ? UVSMTP_ETOOLONG
                : uvsmtp__buffer_append(line, "\r\n", 2);
  if (err != 0)
    return err;
  uvsmtp__queue_push(p, command, tag, flags);
  uvsmtp__queue_last(p)->answerable += uvsmtp__buffer_len(line);
  return 0;
}

static int add_mail(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  size_t start = uvsmtp__buffer_len(&p->line);
  int err = uvsmtp__buffer_append(&p->line, "MAIL FROM:", 10);
  if (err != 0 ||
      (err = uvsmtp__mail_parameters(p, &p->line, flight->envelope, flight->needs)) != 0)
    return err;
  return end_line(p, start, UVSMTP_COMMAND_MAIL, flight->tag,
                  p->prdr_asked ? EXPECT_QUIET | EXPECT_PRDR : EXPECT_QUIET);
}

static int add_recipients(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  const uvsmtp_envelope_t *envelope = flight->envelope;
  char *tag = flight->recipient_tag;
  for (size_t i = 0; i < envelope->recipient_count; i++, tag += flight->recipient_stride) {
    size_t start = uvsmtp__buffer_len(&p->line);
    int err = uvsmtp__buffer_append(&p->line, "RCPT TO:", 8);
    if (err != 0 || (err = uvsmtp__rcpt_parameters(p, &p->line, &envelope->recipients[i])) != 0 ||
        (err = end_line(p, start, UVSMTP_COMMAND_RCPT, tag, EXPECT_QUIET)) != 0)
      return err;
  }
  return 0;
}

/* The last line. */
static int add_end(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight, uint64_t size)
{
  char line[40] = "DATA";
  size_t start = uvsmtp__buffer_len(&p->line);
  size_t len = flight->data ? 4 : uvsmtp__chunk_line(line, size, true);
  int err = uvsmtp__buffer_append(&p->line, line, len);
  if (err != 0)
    return err;
  return end_line(p, start, flight->data ? UVSMTP_COMMAND_DATA : UVSMTP_COMMAND_BDAT_LAST,
                  flight->tag, 0);
}

static int add_lines(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight, uint64_t size)
{
  int err;
  uvsmtp__line_begin(p);
  if (flight->reset &&
      ((err = uvsmtp__buffer_append(&p->line, "RSET", 4)) != 0 ||
       (err = end_line(p, 0, UVSMTP_COMMAND_RSET, flight->tag, EXPECT_QUIET)) != 0))
    return err;
  if ((err = add_mail(p, flight)) != 0 || (err = add_recipients(p, flight)) != 0)
    return err;
  return add_end(p, flight, size);
}

static void trace_lines(uvsmtp_protocol_t *p)
{
  const char *line = uvsmtp__buffer_data(&p->line), *end = line + uvsmtp__buffer_len(&p->line);
  while (line < end) {
    const char *lf = memchr(line, '\n', (size_t)(end - line));
    uvsmtp__trace_sent(p, line, (size_t)(lf - line) - 1);
    line = lf + 1;
  }
}

int uvsmtp_protocol_flight(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  uint32_t queued = p->queue.count;
  size_t copied;
  uint64_t size = uvsmtp__chunk_measure(flight->slices, flight->count, &copied);
  int err = may_fly(p, flight);
  if (err != 0)
    return err;
  if (flight->envelope->recipient_count > p->line.max)
    return UVSMTP_ETOOLONG; /* their lines would not fit either */
  if ((err = uvsmtp__queue_reserve(p, (unsigned)flight->envelope->recipient_count + 3)) != 0 ||
      (err = uvsmtp__out_reserve(p, copied, flight->count + 1)) != 0)
    return err;
  if ((err = add_lines(p, flight, size)) != 0 ||
      (err = uvsmtp__out_reserve(p, uvsmtp__buffer_len(&p->line) + copied, flight->count + 1)) !=
          0) {
    p->queue.count = queued;
    return err;
  }
  uvsmtp__out_bytes(p, uvsmtp__buffer_data(&p->line), uvsmtp__buffer_len(&p->line));
  if (p->options.trace)
    trace_lines(p);
  p->in_chunks = p->binary = false;
  p->projected = flight->data ? UVSMTP_STATE_SEND_DATA : UVSMTP_STATE_READY;
  if (flight->data)
    return 0;
  uvsmtp__chunk_content(p, flight->slices, flight->count);
  uvsmtp__queue_last(p)->complete = p->out.issued;
  return 0;
}
