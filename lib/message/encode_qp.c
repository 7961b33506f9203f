#include "message/encode.h"

#include <string.h>

#define MAX_LINE 76

/* Bytes that stand for themselves wherever they are: printable ASCII without "=". */
static bool is_plain(char c)
{
  return c > ' ' && c < 127 && c != '=';
}

static bool at_line_end(const uvsmtp__qp_t *qp, size_t at)
{
  return at == qp->len || (qp->text[at] == '\r' && at + 1 < qp->len && qp->text[at + 1] == '\n');
}

/* Whether the byte at the place must be written as "=XX". */
static bool must_escape(const uvsmtp__qp_t *qp)
{
  char c = qp->text[qp->at];
  if (c == ' ' || c == '\t') /* RFC 2045 section 6.7 rule 3 */
    return at_line_end(qp, qp->at + 1);
  if (c == 'F' && qp->column == 0) /* mailboxes of the mbox kind change "From " */
    return qp->len - qp->at >= 5 && memcmp(qp->text + qp->at, "From ", 5) == 0;
  return !is_plain(c);
}

static size_t put_byte(char *out, char c, bool escape)
{
  static const char hex[] = "0123456789ABCDEF";
  if (!escape) {
    out[0] = c;
    return 1;
  }
  out[0] = '=';
  out[1] = hex[(unsigned char)c >> 4];
  out[2] = hex[(unsigned char)c & 15];
  return 3;
}

/* Copies what stands for itself, up to where a soft line break may be due. A blank does if what
 * follows is neither a line end nor another blank. */
static size_t put_run(uvsmtp__qp_t *qp, char *out, size_t room)
{
  const char *text = qp->text + qp->at;
  size_t n = 0, most = MAX_LINE - 1 - qp->column, left = qp->len - qp->at;
  if (most > room)
    most = room;
  if (most > left)
    most = left;
  while (n < most &&
         (is_plain(text[n]) || (text[n] == ' ' && n + 1 < left && is_plain(text[n + 1]))))
    n++;
  memcpy(out, text, n);
  qp->at += n;
  qp->column += n;
  return n;
}

/* Writes a byte, behind a soft line break if the line is full. */
static size_t put_one(uvsmtp__qp_t *qp, char *out)
{
  size_t n = 0, width = must_escape(qp) ? 3 : 1;
  size_t most = at_line_end(qp, qp->at + 1) ? MAX_LINE : MAX_LINE - 1;
  if (qp->column + width > most) {
    memcpy(out, "=\r\n", 3);
    n = 3;
    qp->column = 0;
    width = must_escape(qp) ? 3 : 1;
  }
  n += put_byte(out + n, qp->text[qp->at], width == 3);
  qp->at++;
  qp->column += width;
  return n;
}

size_t uvsmtp__qp_encode(uvsmtp__qp_t *qp, char *out, size_t out_size)
{
  size_t n = 0;
  while (qp->at < qp->len && out_size - n >= 6) {
    if (at_line_end(qp, qp->at)) {
      out[n++] = '\r';
      out[n++] = '\n';
      qp->at += 2;
      qp->column = 0;
    } else {
      n += put_one(qp, out + n);
      if (qp->column > 0 && qp->column < MAX_LINE - 1)
        n += put_run(qp, out + n, out_size - n);
    }
  }
  return n;
}

uint64_t uvsmtp__qp_length(const char *text, size_t len)
{
  uvsmtp__qp_t qp = {.text = text, .len = len};
  uint64_t total = 0;
  char scratch[4096];
  while (qp.at < qp.len)
    total += uvsmtp__qp_encode(&qp, scratch, sizeof(scratch));
  return total;
}
