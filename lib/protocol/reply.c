/*
 * Replies (RFC 5321 section 4.2): lines of "ddd-text" that end with "ddd text", "ddd " or "ddd".
 * A reply that lies whole in the bytes fed is given out where it lies; only one that is cut is
 * copied. Each byte is looked at once, however the stream is cut.
 */
#include <string.h>

#include "base/text.h"
#include "protocol/reader.h"

void uvsmtp__reader_init(reader_t *reader, const uvsmtp_mem_t *mem,
                         const uvsmtp_protocol_options_t *options)
{
  *reader = (reader_t){0};
  uvsmtp__buffer_init(&reader->partial, mem, options->max_reply_bytes);
  reader->max_single = options->max_reply_line < options->max_reply_bytes
                           ? options->max_reply_line
                           : options->max_reply_bytes;
}

static size_t without_end(const char *line, size_t len)
{
  if (len > 0 && line[len - 1] == '\n')
    len--;
  if (len > 0 && line[len - 1] == '\r')
    len--;
  return len;
}

/* Judges one line, its end included: 1 the last of its reply, 0 not the last, or an error. */
static int read_line(reader_t *reader, const uvsmtp_protocol_options_t *options, const char *line,
                     size_t len)
{
  size_t text = without_end(line, len);
  int code;
  if (text < 3 || line[0] < '2' || line[0] > '5' || !uvsmtp__ascii_digit(line[1]) ||
      !uvsmtp__ascii_digit(line[2]) || (text > 3 && line[3] != ' ' && line[3] != '-'))
    return UVSMTP_EPROTOCOL;
  code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  if (reader->lines > 0 && code != reader->code)
    return UVSMTP_EPROTOCOL;
  reader->code = code;
  if (++reader->lines > options->max_reply_lines)
    return UVSMTP_EREPLYTOOLONG;
  return text == 3 || line[3] == ' ';
}

/* Reads "c.s.d" at the start of `text`; returns its length, 0 if there is none. */
static size_t enhanced_code(const char *text, size_t len, int klass, uint16_t out[3])
{
  size_t at = 0;
  for (int part = 0; part < 3; part++) {
    size_t digits = 0;
    unsigned value = 0;
    if (part > 0 && (at >= len || text[at++] != '.'))
      return 0;
    while (at < len && uvsmtp__ascii_digit(text[at]) && digits < 4) {
      value = value * 10 + (unsigned)(text[at++] - '0');
      digits++;
    }
    if (digits == 0 || digits > 3)
      return 0;
    out[part] = (uint16_t)value;
  }
  if (out[0] != klass || klass == 3 || (at < len && text[at] != ' '))
    return 0;
  return at;
}

void uvsmtp__reader_enhanced(uvsmtp_reply_t *reply, const char *text, size_t len)
{
  if (enhanced_code(text, len, reply->code / 100, reply->enhanced) == 0)
    memset(reply->enhanced, 0, sizeof(reply->enhanced));
}

void uvsmtp__reader_codes(const char *line, size_t len, last_reply_t *last)
{
  const char *lf = memchr(line, '\n', len);
  uvsmtp_reply_t reply = {.code = 0};
  size_t text = without_end(line, lf != NULL ? (size_t)(lf - line) + 1 : len);
  reply.code = uvsmtp__code_of(uvsmtp__code_digits(line));
  uvsmtp__reader_enhanced(&reply, line + 4, text < 4 ? 0 : text - 4);
  last->code = (uint16_t)reply.code;
  memcpy(last->enhanced, reply.enhanced, sizeof(last->enhanced));
}

/* One whole reply lies at `raw`. Its enhanced code is that of its first line. */
static int give(reader_t *reader, const char *raw, size_t len, uvsmtp_reply_t *reply)
{
  const char *lf = memchr(raw, '\n', len);
  size_t end = without_end(raw, lf != NULL ? (size_t)(lf - raw) + 1 : len);
  reply->code = reader->code;
  reply->lines = reader->lines;
  reply->raw = (uvsmtp_slice_t){raw, len};
  uvsmtp__reader_enhanced(reply, raw + 4, end < 4 ? 0 : end - 4);
  reader->lines = 0;
  return 1;
}

/* Adds to the reply that is held; 1 whole, 0 more is needed, or an error. */
static int read_held(reader_t *reader, const uvsmtp_protocol_options_t *options, const char **in,
                     size_t *in_len, uvsmtp_reply_t *reply, uvsmtp_slice_t *bad)
{
  uvsmtp__buffer_t *held = &reader->partial;
  while (*in_len > 0) {
    const char *lf = memchr(*in, '\n', *in_len);
    size_t take = lf != NULL ? (size_t)(lf - *in) + 1 : *in_len;
    size_t line_len = uvsmtp__buffer_len(held) - reader->line + take;
    int err = line_len > options->max_reply_line ? UVSMTP_EREPLYTOOLONG
                                                 : uvsmtp__buffer_append(held, *in, take);
    *bad = (uvsmtp_slice_t){*in, take};
    if (err != 0)
      return err == UVSMTP_ETOOLONG ? UVSMTP_EREPLYTOOLONG : err;
    *in += take;
    *in_len -= take;
    if (lf == NULL)
      return 0;
    *bad = (uvsmtp_slice_t){uvsmtp__buffer_data(held) + reader->line, line_len};
    err = read_line(reader, options, bad->base, bad->len);
    reader->line = uvsmtp__buffer_len(held);
    if (err == 1) {
      reader->done = true;
      return give(reader, uvsmtp__buffer_data(held), uvsmtp__buffer_len(held), reply);
    }
    if (err < 0)
      return err;
  }
  return 0;
}

/* Reads a reply where it lies; what is cut at the end goes to `partial`. */
static int read_in_place(reader_t *reader, const uvsmtp_protocol_options_t *options,
                         const char **in, size_t *in_len, uvsmtp_reply_t *reply,
                         uvsmtp_slice_t *bad)
{
  const char *start = *in, *line = *in, *end = *in + *in_len, *lf;
  int err = 0;
  while ((lf = memchr(line, '\n', (size_t)(end - line))) != NULL) {
    *bad = (uvsmtp_slice_t){line, (size_t)(lf - line) + 1};
    err = bad->len > options->max_reply_line ? UVSMTP_EREPLYTOOLONG
                                             : read_line(reader, options, bad->base, bad->len);
    line = lf + 1;
    if (err >= 0 && (size_t)(line - start) > options->max_reply_bytes)
      err = UVSMTP_EREPLYTOOLONG;
    if (err != 0)
      break;
  }
  *in_len = (size_t)(end - line);
  *in = line;
  if (err == 1)
    return give(reader, start, (size_t)(line - start), reply);
  if (err < 0)
    return err;
  *bad = (uvsmtp_slice_t){line, (size_t)(end - line)};
  reader->line = (size_t)(line - start);
  *in = end;
  *in_len = 0;
  if (bad->len > options->max_reply_line)
    return UVSMTP_EREPLYTOOLONG;
  err = uvsmtp__buffer_append(&reader->partial, start, (size_t)(end - start));
  return err == UVSMTP_ETOOLONG ? UVSMTP_EREPLYTOOLONG : err;
}

int uvsmtp__reader_next(reader_t *reader, const uvsmtp_protocol_options_t *options, const char **in,
                        size_t *in_len, uvsmtp_reply_t *reply, uvsmtp_slice_t *bad)
{
  int err;
  if (reader->done) {
    uvsmtp__buffer_clear(&reader->partial);
    reader->done = false;
    reader->line = 0;
  }
  if (*in_len == 0)
    return 0;
  if (uvsmtp__buffer_len(&reader->partial) == 0 &&
      uvsmtp__read_single(reader, *in, *in_len, reply)) {
    *in += reply->raw.len;
    *in_len -= reply->raw.len;
    return 1;
  }
  if (uvsmtp__buffer_len(&reader->partial) > 0)
    err = read_held(reader, options, in, in_len, reply, bad);
  else
    err = read_in_place(reader, options, in, in_len, reply, bad);
  if (err < 0) {
    reader->lines = 0;
    reader->done = true;
  }
  return err;
}

/* A line behind its code, without its end. */
static uvsmtp_slice_t text_of(const char *line, size_t len)
{
  len = without_end(line, len);
  return len > 4 ? (uvsmtp_slice_t){line + 4, len - 4} : (uvsmtp_slice_t){line + len, 0};
}

bool uvsmtp_reply_next_line(const uvsmtp_reply_t *reply, size_t *at, uvsmtp_slice_t *text)
{
  const char *line = reply->raw.base + *at, *lf;
  size_t left = reply->raw.len - *at, len;
  if (left == 0)
    return false;
  lf = memchr(line, '\n', left);
  len = lf != NULL ? (size_t)(lf - line) + 1 : left;
  *at += len;
  *text = text_of(line, len);
  return true;
}

/* Where the text begins that stands behind the enhanced code, if there is one. */
static size_t code_len(const uvsmtp_reply_t *reply, const char *text, size_t len)
{
  uint16_t code[3];
  size_t skip = enhanced_code(text, len, reply->code / 100, code);
  return skip > 0 && skip < len ? skip + 1 : skip;
}

/* Writes what stands in each line behind its codes, as much as there is room for. */
static __attribute__((noinline)) size_t put_lines(const uvsmtp_reply_t *reply, char *out,
                                                  size_t room)
{
  size_t at = 0, len = 0;
  uvsmtp_slice_t text;
  bool first = true;
  while (uvsmtp_reply_next_line(reply, &at, &text)) {
    size_t skip = code_len(reply, text.base, text.len), left;
    if (!first && len < room)
      out[len++] = '\n';
    first = false;
    left = room - len;
    len += uvsmtp__copy_text(out + len, text.base + skip,
                             text.len - skip < left ? text.len - skip : left);
  }
  out[len] = '\0';
  return len;
}

/* Most are one line of some words and CRLF, behind an enhanced code of single digits or none. */
static inline bool is_usual(const uvsmtp_reply_t *reply)
{
  const char *line = reply->raw.base;
  return reply->lines == 1 && reply->raw.len > 12 && (reply->enhanced[0] == 0 || line[9] == ' ') &&
         memcmp(line + reply->raw.len - 2, "\r\n", 2) == 0;
}

size_t uvsmtp_reply_text(const uvsmtp_reply_t *reply, char *out, size_t size)
{
  size_t skip = reply->enhanced[0] == 0 ? 4 : 10, len = reply->raw.len - 2 - skip;
  if (size == 0)
    return 0;
  if (!is_usual(reply))
    return put_lines(reply, out, size - 1);
  len = len < size - 1 ? len : size - 1;
  out[len] = '\0';
  return uvsmtp__copy_text(out, reply->raw.base + skip, len);
}
