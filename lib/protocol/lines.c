/* The rare ways of lines: see lines.h. */
#include <string.h>

#include "protocol/lines.h"

/* The most that the output may have free for lines as things are. */
static size_t most_room(const uvsmtp_protocol_t *p, const lines_t *lines)
{
  size_t taken = p->talk->out.used + lines->behind, max = p->shared->options.max_output;
  if (taken >= max)
    return 0;
  return max - taken < UVSMTP__LINES_MOST ? max - taken : UVSMTP__LINES_MOST;
}

bool uvsmtp__lines_again(uvsmtp_protocol_t *p, lines_t *lines, int *err)
{
  size_t room = lines->text.max, most = most_room(p, lines);
  p->queue.count = lines->queued;
  if (*err != UVSMTP_ETOOLONG || room >= UVSMTP__LINES_MOST)
    return false;
  *err = room < most
             ? uvsmtp__out_reserve(p, lines->behind + (room < most / 2 ? room * 2 : most), 1)
             : UVSMTP_EQUEUEFULL;
  if (*err != 0)
    return false;
  uvsmtp__lines_open(p, lines);
  return true;
}

void uvsmtp__lines_trace(uvsmtp_protocol_t *p, const char *lines, size_t len)
{
  const char *end = lines + len;
  while (lines < end) {
    const char *lf = memchr(lines, '\n', (size_t)(end - lines));
    uvsmtp__trace_sent(p, lines, (size_t)(lf - lines) - 1);
    lines = lf + 1;
  }
}
