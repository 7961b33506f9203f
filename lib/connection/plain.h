#ifndef UVSMTP_CONNECTION_PLAIN_H
#define UVSMTP_CONNECTION_PLAIN_H

/* Most contents: whole lines of seven bits, all of them in one piece. */
#include "base/wide.h"
#include "uvsmtp/source.h"

/* A table made by an older header ends before what was added since. */
#define UVSMTP__HAS_OP(ops, op)                                                                    \
  ((ops)->size >= offsetof(uvsmtp_source_ops_t, op) + sizeof((ops)->op) && (ops)->op != NULL)

/* Does all of it, and that is something, lie in one piece? Then nothing has to be opened. */
static inline bool uvsmtp__lies_whole(const uvsmtp_source_t *source, uvsmtp_slice_t *content)
{
  return UVSMTP__HAS_OP(source->ops, whole) && source->ops->whole(source, content) &&
         content->len > 0;
}

/* Can it go as it lies, with BDAT or, `by_data`, with DATA, and ask nothing of the server? */
static inline bool uvsmtp__is_plain(const uvsmtp_slice_t *content, bool by_data)
{
  const char *bytes = content->base;
  size_t len = content->len;
  bool high = false;
  if (by_data)
    return uvsmtp__clean_data(bytes, len, &high) == len && !high && bytes[len - 1] == '\n' &&
           *bytes != '.';
  return uvsmtp__clean_lines(bytes, len, &high) == len && !high && bytes[len - 1] == '\n';
}

#endif
