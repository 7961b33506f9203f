/*
 * Contents. For DATA (RFC 5321 section 4.5.2): every line that begins with a dot gets one more, a
 * CR or LF that is not part of a CRLF becomes one (or is refused), and the last line is completed,
 * so that nothing in a content can end it, however it is cut into pieces. Two bits are carried
 * across cuts: whether the next octet begins a line, and whether the last one was a CR of which it
 * is not yet known what follows; that CR is held back. For BDAT (RFC 3030) octets go as they are.
 */
#include <string.h>

#include "base/wide.h"
#include "protocol/chunk.h"

/* Room that one turn of the loop below may need: a short run, and what is put in. */
#define TURN_OCTETS 512
#define TURN_SEGMENTS 3

/* A CR was held back: what comes next decides what it was. Returns how many octets that took. */
static size_t settle_cr(uvsmtp_protocol_t *p, char next)
{
  p->talk->after_cr = false;
  uvsmtp__out_bytes(p, "\r\n", 2);
  p->talk->line_start = true;
  return next == '\n';
}

/* What stopped the run at `s`: a dot at a line's start is no stop, the others are taken here. */
static size_t take_stop(uvsmtp_protocol_t *p, const char *s, size_t len)
{
  if (*s == '\n') {
    uvsmtp__out_bytes(p, "\r\n", 2);
    p->talk->line_start = true;
    return 1;
  }
  if (*s != '\r')
    return 0;
  if (len == 1) {
    p->talk->after_cr = true;
    return 1;
  }
  uvsmtp__out_bytes(p, "\r\n", 2);
  p->talk->line_start = true;
  return 1;
}

/* The octet at `s` is a CR or LF that is not part of a CRLF. */
static bool is_bare(const char *s, size_t len)
{
  return *s == '\n' || (*s == '\r' && len > 1 && s[1] != '\n');
}

/* May something of a content be issued? */
static int content_allowed(const uvsmtp_protocol_t *p)
{
  if (p->err != 0)
    return UVSMTP_ECLOSING;
  return p->state == UVSMTP_STATE_SEND_DATA && p->projected == UVSMTP_STATE_SEND_DATA
             ? 0
             : UVSMTP_ESTATE;
}

int uvsmtp_protocol_data(uvsmtp_protocol_t *p, const char *bytes, size_t len, uvsmtp_lines_t lines,
                         size_t *taken)
{
  size_t at = 0, run;
  bool high = false; /* of no interest here */
  int err = 0;
  *taken = 0;
  if ((err = content_allowed(p)) != 0)
    return err;
  while (at < len) {
    if ((err = uvsmtp__out_reserve(p, TURN_OCTETS, TURN_SEGMENTS)) != 0)
      break;
    if (p->talk->after_cr) {
      if (lines == UVSMTP_LINES_REFUSE && bytes[at] != '\n')
        return UVSMTP_EBARELINE;
      at += settle_cr(p, bytes[at]);
      *taken = at;
      continue;
    }
    if (p->talk->line_start && bytes[at] == '.')
      uvsmtp__out_bytes(p, ".", 1);
    run = uvsmtp__clean_data(bytes + at, len - at, &high);
    if (run > 0) {
      uvsmtp__out_ref(p, bytes + at, run);
      p->talk->line_start = bytes[at + run - 1] == '\n';
      at += run;
      *taken = at;
      continue;
    }
    if (lines == UVSMTP_LINES_REFUSE && is_bare(bytes + at, len - at))
      return UVSMTP_EBARELINE;
    at += take_stop(p, bytes + at, len - at);
    *taken = at;
  }
  return err == UVSMTP_EQUEUEFULL ? 0 : err;
}

/* The dot: there is room for it. */
static void issue_dot(uvsmtp_protocol_t *p, void *tag)
{
  uvsmtp__out_bytes(p, ".\r\n", 3);
  uvsmtp__trace_sent(p, "[message and the final dot]", 27);
  uvsmtp__queue_push(p, UVSMTP_COMMAND_DATA_END, tag, 0, p->issued);
  /* A server may refuse while the content is still on its way. */
  uvsmtp__queue_last(p)->answerable = p->talk->content_at;
  uvsmtp__queue_last(p)->complete = p->issued;
  p->state = UVSMTP_STATE_DATA_SENT;
  p->projected = UVSMTP_STATE_READY;
}

int uvsmtp_protocol_end_data(uvsmtp_protocol_t *p, void *tag)
{
  int err = content_allowed(p);
  if (err != 0 || (err = uvsmtp__queue_reserve(p, 1)) != 0 ||
      (err = uvsmtp__out_reserve(p, 5, 1)) != 0)
    return err;
  if (p->talk->after_cr || !p->talk->line_start)
    uvsmtp__out_bytes(p, "\r\n", 2);
  issue_dot(p, tag);
  return 0;
}

int uvsmtp_protocol_clean_data(uvsmtp_protocol_t *p, const uvsmtp_slice_t *slices, size_t count,
                               void *tag)
{
  size_t copied;
  int err = content_allowed(p);
  uvsmtp__chunk_measure(slices, count, &copied);
  if (err == 0 && p->issued != p->talk->content_at)
    err = UVSMTP_ESTATE;
  if (err != 0 || (err = uvsmtp__queue_reserve(p, 1)) != 0 ||
      (err = uvsmtp__out_reserve(p, copied + 3, count + 1)) != 0)
    return err;
  uvsmtp__chunk_content(p, slices, count);
  issue_dot(p, tag);
  return 0;
}

static int chunk_allowed(uvsmtp_protocol_t *p)
{
  int err = uvsmtp__command_ready(p);
  if (err != 0)
    return err;
  if (p->projected != UVSMTP_STATE_RECIPIENT_SENT)
    return UVSMTP_ESTATE;
  return uvsmtp__need(p, UVSMTP_EXT_CHUNKING);
}

int uvsmtp_protocol_chunk(uvsmtp_protocol_t *p, const uvsmtp_slice_t *slices, size_t count,
                          bool last, void *tag)
{
  char line[40];
  size_t len, copied;
  uint64_t size;
  int err = chunk_allowed(p);
  if (err != 0)
    return err;
  size = uvsmtp__chunk_measure(slices, count, &copied);
  len = uvsmtp__chunk_line(line, size, last);
  if ((err = uvsmtp__out_reserve(p, len + 2 + copied, count + 1)) != 0 ||
      (err = uvsmtp__command_line(p, last ? UVSMTP_COMMAND_BDAT_LAST : UVSMTP_COMMAND_BDAT, tag, 0,
                                  line, len)) != 0)
    return err;
  uvsmtp__chunk_content(p, slices, count);
  uvsmtp__queue_last(p)->complete = p->issued;
  p->in_chunks = !last;
  if (last)
    p->projected = UVSMTP_STATE_READY;
  return 0;
}
