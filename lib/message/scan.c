#include "message/scan.h"

#include <string.h>

#include "base/text.h"

/* All eight bytes of a word. */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether a word of ASCII bytes has one below the blank, or DEL; perhaps also if it has not. */
static bool may_have_control(uint64_t word)
{
  uint64_t del = word ^ EACH(127);
  return ((((word - EACH(' ')) & ~word) | ((del - EACH(1)) & ~del)) & EACH(128)) != 0;
}

static bool is_bad_control(char c)
{
  return ((unsigned char)c < ' ' && c != '\t' && c != '\f') || c == 127;
}

static bool has_control(const char *bytes, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (is_bad_control(bytes[i]))
      return true;
  return false;
}

/* A line without its line end: eight bytes at a time. */
static void scan_line(uvsmtp__scan_t *scan, const char *line, size_t len)
{
  uint64_t all = 0, word;
  size_t i = 0;
  for (; i + sizeof(word) <= len; i += sizeof(word)) {
    memcpy(&word, line + i, sizeof(word));
    all |= word;
    if (may_have_control(word) && !scan->controls)
      scan->controls = has_control(line + i, sizeof(word));
  }
  scan->controls = scan->controls || has_control(line + i, len - i);
  for (; i < len; i++)
    all |= (unsigned char)line[i];
  scan->eight |= (all & EACH(128)) != 0;
  if (len >= 5 && memcmp(line, "From ", 5) == 0)
    scan->from_line = true;
  if (len > scan->longest)
    scan->longest = len;
}

void uvsmtp__scan(uvsmtp__scan_t *scan, const char *bytes, size_t len)
{
  size_t at = 0;
  *scan = (uvsmtp__scan_t){.lines = true};
  while (at < len) {
    const char *end = memchr(bytes + at, '\n', len - at);
    size_t line = end != NULL ? (size_t)(end - bytes) - at : len - at;
    bool crlf = end != NULL && line > 0 && end[-1] == '\r';
    size_t text = crlf ? line - 1 : line;
    if (!crlf || memchr(bytes + at, '\r', text) != NULL)
      scan->lines = false;
    scan_line(scan, bytes + at, text);
    at += line + 1;
  }
}

/* The length of what stands before the next CR or LF. */
static size_t run_len(const char *text, size_t len)
{
  const char *lf = memchr(text, '\n', len);
  size_t line = lf != NULL ? (size_t)(lf - text) : len;
  const char *cr = memchr(text, '\r', line);
  return cr != NULL ? (size_t)(cr - text) : line;
}

size_t uvsmtp__long_line(const char *bytes, size_t len, size_t max)
{
  size_t at = 0;
  while (len - at > max) { /* a line end among the next bytes, the last one if there are several */
    size_t end = at + max + 1;
    while (end > at && bytes[end - 1] != '\r' && bytes[end - 1] != '\n')
      end--;
    if (end == at)
      return at + 1;
    at = end;
  }
  return 0;
}

size_t uvsmtp__to_crlf(char *out, const char *text, size_t len)
{
  size_t n = 0, at = 0;
  while (at < len) {
    size_t run = run_len(text + at, len - at);
    if (out != NULL) {
      memcpy(out + n, text + at, run);
      memcpy(out + n + run, "\r\n", 2);
    }
    n += run + 2;
    at += run;
    if (len - at >= 2 && text[at] == '\r' && text[at + 1] == '\n')
      at += 2;
    else if (at < len)
      at++;
  }
  return n;
}

size_t uvsmtp__bad_text_at(const char *text, size_t len)
{
  const char *nul = len > 0 ? memchr(text, '\0', len) : NULL;
  size_t good = 0, bad = nul != NULL ? (size_t)(nul - text) : len;
  if (uvsmtp__is_utf8(text, bad))
    return nul != NULL ? bad + 1 : 0;
  while (good < bad) { /* the longest prefix that is UTF-8 ends before a character */
    size_t n = 1;
    while (n <= 4 && good + n <= bad && !uvsmtp__is_utf8(text + good, n))
      n++;
    if (n > 4 || good + n > bad)
      break;
    good += n;
  }
  return good + 1;
}
