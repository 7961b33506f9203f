/*
 * What --json prints: one object a line.
 */
#include "sink/json.h"

#include <inttypes.h>

/* The length of a well-formed UTF-8 sequence at `p`, or 0. */
static int utf8_len(const unsigned char *p)
{
  int len = p[0] >= 0xc2 && p[0] < 0xe0   ? 2
            : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
            : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                          : 0;

  for (int i = 1; i < len; i++) {
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  }
  if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
      (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
    return 0;
  return len;
}

void sink__json_string(FILE *f, const char *text)
{
  const unsigned char *p = (const unsigned char *)text;

  putc('"', f);
  while (*p != '\0') {
    int len = *p < 128 ? 0 : utf8_len(p);
    if (len > 0) {
      fwrite(p, 1, (size_t)len, f);
      p += len;
      continue;
    }
    if (*p == '"' || *p == '\\')
      fprintf(f, "\\%c", *p);
    else if (*p < 32 || *p > 126)
      fprintf(f, "\\u%04x", *p);
    else
      putc(*p, f);
    p++;
  }
  putc('"', f);
}

static void text(FILE *f, const char *name, const char *value)
{
  fprintf(f, ", \"%s\": ", name);
  if (value != NULL)
    sink__json_string(f, value);
  else
    fputs("null", f);
}

static void flag(FILE *f, const char *name, bool value)
{
  fprintf(f, ", \"%s\": %s", name, value ? "true" : "false");
}

static void recipients(FILE *f, const sink_message_t *m)
{
  fputs(", \"to\": [", f);
  for (size_t i = 0; i < m->recipient_count; i++) {
    fputs(i == 0 ? "{\"address\": " : ", {\"address\": ", f);
    sink__json_string(f, m->recipients[i].address);
    text(f, "params", m->recipients[i].params);
    putc('}', f);
  }
  putc(']', f);
}

void sink__json_message(FILE *f, const sink_message_t *m, unsigned body)
{
  fprintf(f, "{\"message\": %" PRIu64 ", \"connection\": %" PRIu64, m->number, m->connection);
  flag(f, "tls", m->tls);
  text(f, "helo", m->helo);
  text(f, "user", m->user);
  text(f, "from", m->sender);
  text(f, "params", m->params);
  recipients(f, m);
  fprintf(f, ", \"size\": %" PRIu64, m->size);
  if ((body & SINK_SHA256) != 0) {
    fputs(", \"sha256\": \"", f);
    for (size_t i = 0; i < sizeof m->sha256; i++)
      fprintf(f, "%02x", m->sha256[i]);
    putc('"', f);
  }
  if ((body & SINK_HASH) != 0)
    fprintf(f, ", \"hash\": \"%016" PRIx64 "\"", m->hash);
  flag(f, "chunked", m->chunked);
  flag(f, "bare_lf", m->bare_lf);
  flag(f, "bare_cr", m->bare_cr);
  flag(f, "eight_bit", m->eight_bit);
  if (m->file != NULL)
    text(f, "file", m->file);
  fputs("}\n", f);
}

void sink__json_counters(FILE *f, const sink_counters_t *c)
{
  fputs("{\"counters\": {", f);
#define X(name) fprintf(f, "\"%s\": %" PRIu64 ", ", #name, c->name);
  SINK_COUNTERS(X)
#undef X
  fprintf(f, "\"violations\": %" PRIu64 "}}\n", sink_violations(c));
}
