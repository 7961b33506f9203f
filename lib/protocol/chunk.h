#ifndef UVSMTP_PROTOCOL_CHUNK_H
#define UVSMTP_PROTOCOL_CHUNK_H

/* What goes by BDAT (RFC 3030); all of it is on the way of every message, so it is inline. */
#include <string.h>

#include "base/text.h"
#include "protocol/machine.h"

/* The octets in all, and those that will be copied. */
static inline uint64_t uvsmtp__chunk_measure(const uvsmtp_slice_t *slices, size_t count,
                                             size_t *copied)
{
  uint64_t size = 0;
  *copied = 0;
  for (size_t i = 0; i < count; i++) {
    size += slices[i].len;
    *copied += slices[i].len < UVSMTP__COPY_BELOW ? slices[i].len : 0;
  }
  return size;
}

/* Writes "BDAT <size>[ LAST]" to 40 octets at `line`; returns the length. */
static inline size_t uvsmtp__chunk_line(char *line, uint64_t size, bool last)
{
  size_t len = 5;
  memcpy(line, "BDAT ", 5);
  len += uvsmtp__decimal(line + len, size);
  if (last) {
    memcpy(line + len, " LAST", 5);
    len += 5;
  }
  return len;
}

/* After a reserve of what was measured. */
static inline void uvsmtp__chunk_content(uvsmtp_protocol_t *p, const uvsmtp_slice_t *slices,
                                         size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (slices[i].len > 0)
      uvsmtp__out_ref(p, slices[i].base, slices[i].len);
}

#endif
