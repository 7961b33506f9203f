/*
 * Writes generated messages with a description of what is in them, for readback.py to read with a
 * parser that nobody here wrote. One message is one line of JSON: the bytes in base64, and beside
 * them what they must say. The seed and the number of messages are arguments, so that a failure can
 * be repeated.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "fake_crypto.h"
#include "uvsmtp/message.h"

static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(seed >> 33) % below;
}

/* ---- Random content ---- */

static size_t put_char(char *out, uint32_t c)
{
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 63));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 63));
    out[2] = (char)(0x80 | (c & 63));
    return 3;
  }
  out[0] = (char)(0xf0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 63));
  out[2] = (char)(0x80 | (c >> 6 & 63));
  out[3] = (char)(0x80 | (c & 63));
  return 4;
}

/* A character of a script; what a reader may treat as white space or line end is left out. */
static uint32_t random_char(int script)
{
  static const uint32_t special[] = {'"', '\\', '(', ')', '<', '>', ',', ';', ':',  '@',
                                     '=', '?',  '_', '.', '[', ']', '%', '*', '\'', '/'};
  switch (script) {
  case 0:
    return 'a' + rnd(26);
  case 1:
    return rnd(3) != 0 ? 'a' + rnd(26) : 0xe0 + rnd(23);
  case 2:
    return 0x410 + rnd(64);
  case 3:
    return 0x4e00 + rnd(0x5000);
  case 4:
    return 0x1f600 + rnd(64);
  case 5:
    return special[rnd(sizeof(special) / sizeof(special[0]))];
  default:
    return 0x5d0 + rnd(27);
  }
}

/* Words with single blanks between them. */
static char *random_words(size_t words, bool ascii)
{
  char *out = malloc(words * 81 + 1);
  size_t n = 0;
  for (size_t i = 0; i < words; i++) {
    int script = ascii ? (int)rnd(2) * 5 : (int)rnd(7);
    size_t len = 1 + rnd(rnd(8) == 0 ? 20 : 8);
    if (i > 0)
      out[n++] = ' ';
    for (size_t k = 0; k < len; k++)
      n += put_char(out + n, random_char(script));
  }
  out[n] = '\0';
  return out;
}

static char *random_text(void)
{
  size_t lines = rnd(12), n = 0;
  char *out = malloc(lines * 40 * 81 + 3000);
  for (size_t i = 0; i < lines; i++) {
    char *line = random_words(rnd(20), rnd(2) == 0);
    n += (size_t)sprintf(out + n, "%s%s%s\n",
                         rnd(9) == 0   ? "From "
                         : rnd(9) == 0 ? "."
                                       : "",
                         line, rnd(5) == 0 ? " \t" : "");
    free(line);
  }
  if (rnd(10) == 0) {
    memset(out + n, 'x', 1500);
    n += 1500;
  }
  out[n] = '\0';
  return out;
}

static unsigned char *random_bytes(size_t *len)
{
  static const size_t sizes[] = {0, 1, 2, 3, 56, 57, 58, 100, 5000};
  unsigned char *out;
  *len = sizes[rnd(9)] + rnd(3);
  out = malloc(*len + 1);
  for (size_t i = 0; i < *len; i++)
    out[i] = (unsigned char)(rnd(3) == 0 ? "\r\n=-. "[rnd(6)] : (int)rnd(256));
  return out;
}

/* ---- JSON ---- */

static void put_json(const char *name, const char *text)
{
  printf(",\"%s\":\"", name);
  for (; *text != '\0'; text++)
    if (*text == '"' || *text == '\\' || (unsigned char)*text < ' ')
      printf("\\u%04x", (unsigned)*text);
    else
      putchar(*text);
  putchar('"');
}

static void put_base64(const char *name, const void *bytes, size_t len)
{
  char *text = calloc(1, uvsmtp__base64_encoded_len(len) + 1);
  uvsmtp__base64_encode(text, bytes, len);
  printf("%s\"%s\":\"%s\"", strcmp(name, "message") == 0 ? "{" : ",", name, text);
  free(text);
}

/* ---- Messages ---- */

static void check(int err, const uvsmtp_message_t *m)
{
  if (err == 0)
    return;
  fprintf(stderr, "%s: %s\n", uvsmtp_err_name(err), uvsmtp_message_detail(m));
  exit(1);
}

static void put_message(uvsmtp_message_t *m, unsigned target)
{
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece = {NULL, 1};
  char *all = NULL;
  size_t len = 0;
  check(uvsmtp_message_source(m, &source), m);
  check(source.ops->open(&source, target, &info), m);
  while (piece.len > 0) {
    check(source.ops->next(&source, &piece), m);
    all = realloc(all, len + piece.len + 1);
    if (piece.len > 0)
      memcpy(all + len, piece.base, piece.len);
    len += piece.len;
  }
  source.ops->close(&source);
  put_base64("message", all, len);
  printf(",\"length\":%llu", (unsigned long long)info.length);
  free(all);
}

typedef struct {
  char *subject, *name, *other, *text, *html, *filename;
  unsigned char *bytes;
  size_t len;
} content_t;

static uvsmtp_message_t *make(content_t *c)
{
  uvsmtp_message_options_t options = UVSMTP_MESSAGE_OPTIONS_INIT;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *m;
  options.crypto = &fake_crypto;
  options.flags = rnd(2) ? UVSMTP_MESSAGE_BINARY : 0;
  check(uvsmtp_message_new(&m, &options), NULL);
  check(uvsmtp_message_address(m, UVSMTP_FROM, c->name, "from@host.example"), m);
  check(uvsmtp_message_address(m, UVSMTP_TO, c->other, "john doe@host.example"), m);
  check(uvsmtp_message_address(m, UVSMTP_TO, NULL, "plain@host.example"), m);
  check(uvsmtp_message_subject(m, c->subject), m);
  check(uvsmtp_message_text(m, c->text, SIZE_MAX), m);
  if (c->html != NULL)
    check(uvsmtp_message_html(m, c->html, SIZE_MAX), m);
  a.bytes = c->bytes;
  a.len = c->len;
  a.filename = c->filename;
  a.type = rnd(3) == 0 ? "text/plain" : "application/octet-stream";
  if (c->filename != NULL)
    check(uvsmtp_message_attach(m, &a), m);
  return m;
}

static void generate(void)
{
  static const unsigned targets[] = {0, UVSMTP_TARGET_8BITMIME,
                                     UVSMTP_TARGET_8BITMIME | UVSMTP_TARGET_BINARYMIME};
  content_t c = {
      .subject = random_words(rnd(3) == 0 ? rnd(40) : rnd(8), rnd(3) == 0),
      .name = random_words(rnd(5), rnd(2) == 0),
      .other = random_words(rnd(12), rnd(2) == 0),
      .text = random_text(),
      .html = rnd(2) ? random_text() : NULL,
      .filename = rnd(3) != 0 ? random_words(1 + rnd(12), rnd(2) == 0) : NULL,
  };
  uvsmtp_message_t *m;
  c.bytes = random_bytes(&c.len);
  /* Python takes "<" and ">" around a parameter's value for quotes, and quotes inside it too. */
  if (c.filename != NULL && strchr("<\"", c.filename[0]) != NULL)
    c.filename[0] = '{';
  m = make(&c);
  put_message(m, targets[rnd(3)]);
  put_json("subject", c.subject);
  put_json("from", c.name);
  put_json("to", c.other);
  put_json("text", c.text);
  if (c.html != NULL)
    put_json("html", c.html);
  if (c.filename != NULL) {
    put_json("filename", c.filename);
    put_base64("bytes", c.bytes, c.len);
  }
  printf("}\n");
  uvsmtp_message_free(m);
  free(c.subject);
  free(c.name);
  free(c.other);
  free(c.text);
  free(c.html);
  free(c.filename);
  free(c.bytes);
}

int main(int argc, char **argv)
{
  long count = argc > 1 ? atol(argv[1]) : 100;
  seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
  for (long i = 0; i < count; i++)
    generate();
  return 0;
}
