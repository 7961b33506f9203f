/*
 * Writes generated messages with a description of what is in them, for readback.py to compare with
 * what a parser that nobody here wrote reads. One message is one line of JSON: the bytes in base64,
 * and beside them what they must say. The number of messages and the seed are arguments, so that a
 * failure can be repeated.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fake_crypto.h"
#include "base/base64.h"
#include "chance.h"
#include "uvsmtp/message.h"

#define MAX_PARTS 4
#define MAX_PEOPLE 6

static chance_t chance;

static uint32_t rnd(uint32_t below)
{
  return (uint32_t)chance_below(&chance, below);
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

/* Any character of Unicode but controls, surrogates, and what readers treat as white space. */
static uint32_t any_char(void)
{
  for (;;) {
    uint32_t c = rnd(4) != 0 ? rnd(0x3000) : rnd(0x110000);
    bool control = c < ' ' || (c >= 127 && c <= 0xa0), surrogate = c >= 0xd800 && c < 0xe000;
    bool space = c == 0x1680 || (c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
                 (c >= 0x205f && c <= 0x206f) || c == 0x3000 || c == 0xfeff;
    if (!control && !surrogate && !space && c != ' ' && (c & 0xfffe) != 0xfffe)
      return c;
  }
}

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
    return any_char();
  }
}

/* Words with single blanks between them. */
static char *random_words(size_t words, bool ascii)
{
  char *out = malloc(words * 121 + 1);
  size_t n = 0;
  for (size_t i = 0; i < words; i++) {
    int script = ascii ? (int)rnd(2) * 5 : (int)rnd(8);
    size_t len = 1 + rnd(rnd(8) == 0 ? 30 : 8);
    if (i > 0)
      out[n++] = ' ';
    for (size_t k = 0; k < len; k++)
      n += put_char(out + n, random_char(script));
  }
  out[n] = '\0';
  return out;
}

/* A line for a header: with more than one blank here and there, and what looks encoded. */
static char *random_line(size_t words)
{
  char *text = random_words(words, rnd(3) == 0), *out = malloc(3 * strlen(text) + 30);
  size_t n = 0;
  for (const char *c = text; *c != '\0'; c++) {
    out[n++] = *c;
    if (*c == ' ' && rnd(6) == 0)
      out[n++] = ' ';
  }
  strcpy(out + n, rnd(12) == 0 ? " =?utf-8?q?no?=" : "");
  free(text);
  return out;
}

static char *random_text(void)
{
  size_t lines = rnd(12), n = 0;
  char *out = malloc(lines * 20 * 130 + 3000);
  for (size_t i = 0; i < lines; i++) {
    char *line = random_words(rnd(20), rnd(2) == 0);
    n += (size_t)sprintf(out + n, "%s%s%s\n",
                         rnd(9) == 0   ? "From "
                         : rnd(9) == 0 ? "."
                         : rnd(9) == 0 ? "--"
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

static void put_string(const char *text)
{
  putchar('"');
  for (; *text != '\0'; text++)
    if (*text == '"' || *text == '\\' || (unsigned char)*text < ' ')
      printf("\\u%04x", (unsigned)*text);
    else
      putchar(*text);
  putchar('"');
}

static void put_json(const char *name, const char *text)
{
  printf(",\"%s\":", name);
  if (text != NULL)
    put_string(text);
  else
    printf("null");
}

static void put_base64(const char *name, const void *bytes, size_t len)
{
  char *text = calloc(1, uvsmtp__base64_encoded_len(len) + 1);
  uvsmtp__base64_encode(text, bytes, len);
  printf("\"%s\":\"%s\"", name, text);
  free(text);
}

/* ---- What is in a message ---- */

typedef struct {
  char *group, *name; /* group: NULL, or that of the one before, or a new one */
  const char *address;
} person_t;

typedef struct {
  char *filename;
  const char *type, *cid;
  bool copy;
  unsigned char *bytes;
  size_t len;
  uvsmtp_source_t source; /* gives the bytes, if it has ops */
} attached_t;

typedef struct {
  char *subject, *from, *header, *text, *html, *calendar;
  char *message; /* one that is attached */
  person_t people[MAX_PEOPLE];
  size_t person_count;
  attached_t attached[MAX_PARTS];
  size_t attached_count;
} content_t;

static void make_people(content_t *c)
{
  static const char *const addresses[] = {"plain@host.example", "\"john doe\"@host.example",
                                          "o'brien+tag@sub.host.example", "a@[192.0.2.1]"};
  char *group = NULL;
  c->person_count = 1 + rnd(MAX_PEOPLE);
  for (size_t i = 0; i < c->person_count; i++) {
    if (rnd(4) == 0)
      group = group == NULL || rnd(2) ? random_words(1 + rnd(6), rnd(2) == 0) : NULL;
    c->people[i] = (person_t){group, random_words(rnd(8), rnd(2) == 0), addresses[rnd(4)]};
  }
}

static void make_attached(content_t *c)
{
  static const char *const types[] = {"application/octet-stream", "text/plain", "text/csv",
                                      "image/png"};
  c->attached_count = rnd(MAX_PARTS);
  for (size_t i = 0; i < c->attached_count; i++) {
    attached_t *a = &c->attached[i];
    bool image = c->html != NULL && rnd(3) == 0;
    a->type = image ? "image/png" : types[rnd(4)];
    a->cid = image ? (i == 0 ? "first@host.example" : "another.image") : NULL;
    a->filename = random_words(1 + rnd(12), rnd(2) == 0);
    a->bytes = random_bytes(&a->len);
    if (rnd(4) == 0)
      uvsmtp_source_memory(&a->source, a->bytes, a->len);
    /* Python takes "<" and ">" around a parameter's value for quotes, and quotes inside it too. */
    if (strchr("<\"", a->filename[0]) != NULL)
      a->filename[0] = '{';
  }
}

static void make_content(content_t *c)
{
  memset(c, 0, sizeof(*c));
  c->subject = random_line(rnd(3) == 0 ? rnd(40) : rnd(8));
  c->header = random_line(1 + rnd(30));
  c->from = random_words(rnd(5), rnd(2) == 0);
  c->text = random_text();
  c->html = rnd(2) ? random_text() : NULL;
  c->calendar = rnd(6) == 0 ? random_text() : NULL;
  if (rnd(6) == 0) {
    char *body = random_words(20, true);
    c->message = malloc(strlen(body) + 100);
    sprintf(c->message, "From: x@y.example\r\nSubject: old\r\n\r\n%s\r\n", body);
    free(body);
  }
  make_people(c);
  make_attached(c);
}

static void free_content(content_t *c)
{
  free(c->subject);
  free(c->header);
  free(c->from);
  free(c->text);
  free(c->html);
  free(c->calendar);
  free(c->message);
  for (size_t i = 0; i < c->person_count; i++) {
    if (c->people[i].group != NULL && (i == 0 || c->people[i - 1].group != c->people[i].group))
      free(c->people[i].group);
    free(c->people[i].name);
  }
  for (size_t i = 0; i < c->attached_count; i++) {
    free(c->attached[i].filename);
    free(c->attached[i].bytes);
  }
}

/* ---- Building it ---- */

static void check(int err, const uvsmtp_message_t *m)
{
  if (err == 0)
    return;
  fprintf(stderr, "%s: %s\n", uvsmtp_err_name(err), m != NULL ? uvsmtp_message_detail(m) : "");
  exit(1);
}

static void add_people(uvsmtp_message_t *m, const content_t *c)
{
  const char *group = NULL;
  for (size_t i = 0; i < c->person_count; i++) {
    if (c->people[i].group != group)
      check(uvsmtp_message_group(m, UVSMTP_TO, group = c->people[i].group), m);
    check(uvsmtp_message_address(m, UVSMTP_TO, c->people[i].name, c->people[i].address), m);
  }
}

static void add_attached(uvsmtp_message_t *m, content_t *c)
{
  for (size_t i = 0; i < c->attached_count; i++) {
    attached_t *from = &c->attached[i];
    uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
    if (from->source.ops != NULL)
      a.source = &from->source;
    else
      a.bytes = from->bytes;
    a.len = from->len;
    a.filename = from->filename;
    a.content_id = from->cid;
    a.type = from->type;
    check(uvsmtp_message_attach(m, &a), m);
  }
  if (c->message != NULL) {
    uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
    a.bytes = c->message;
    a.len = strlen(c->message);
    a.filename = "old.eml";
    check(uvsmtp_message_attach(m, &a), m);
  }
}

static uvsmtp_message_t *make(content_t *c)
{
  uvsmtp_message_options_t options = UVSMTP_MESSAGE_OPTIONS_INIT;
  uvsmtp_message_t *m;
  options.crypto = &fake_crypto;
  options.flags = rnd(2) ? UVSMTP_MESSAGE_BINARY : 0;
  check(uvsmtp_message_new(&m, &options), NULL);
  check(uvsmtp_message_address(m, UVSMTP_FROM, c->from, "from@host.example"), m);
  add_people(m, c);
  check(uvsmtp_message_subject(m, c->subject), m);
  check(uvsmtp_message_header(m, "X-Any", c->header), m);
  check(uvsmtp_message_text(m, c->text, SIZE_MAX), m);
  if (c->html != NULL)
    check(uvsmtp_message_html(m, c->html, SIZE_MAX), m);
  if (c->calendar != NULL)
    check(uvsmtp_message_invitation(m, "REQUEST", c->calendar, SIZE_MAX), m);
  add_attached(m, c);
  return m;
}

/* ---- Writing it ---- */

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
  printf("{");
  put_base64("message", all, len);
  printf(",\"binary\":%s,\"length\":", (info.content & UVSMTP_CONTENT_BINARY) ? "true" : "false");
  if (info.length != UVSMTP_LENGTH_UNKNOWN)
    printf("%llu", (unsigned long long)info.length);
  else
    printf("null");
  free(all);
}

static void put_people(const content_t *c)
{
  printf(",\"to\":[");
  for (size_t i = 0; i < c->person_count; i++) {
    printf(i > 0 ? ",[" : "[");
    put_string(c->people[i].group != NULL ? c->people[i].group : "");
    printf(",");
    put_string(c->people[i].name);
    printf(",");
    put_string(c->people[i].address);
    printf("]");
  }
  printf("]");
}

static void put_attached(const content_t *c)
{
  printf(",\"attachments\":[");
  for (size_t i = 0; i < c->attached_count; i++) {
    const attached_t *a = &c->attached[i];
    printf(i > 0 ? ",{" : "{");
    put_base64("bytes", a->bytes, a->len);
    put_json("type", a->type);
    put_json("cid", a->cid);
    put_json("filename", a->filename);
    printf("}");
  }
  printf("]");
}

static void generate(void)
{
  static const unsigned targets[] = {0, UVSMTP_TARGET_8BITMIME,
                                     UVSMTP_TARGET_8BITMIME | UVSMTP_TARGET_BINARYMIME};
  uvsmtp_message_t *m;
  content_t c;
  make_content(&c);
  m = make(&c);
  put_message(m, targets[rnd(3)]);
  put_json("subject", c.subject);
  put_json("header", c.header);
  put_json("from", c.from);
  put_json("text", c.text);
  put_json("html", c.html);
  put_json("calendar", c.calendar);
  put_json("attached_message", c.message);
  put_people(&c);
  put_attached(&c);
  printf("}\n");
  uvsmtp_message_free(m);
  free_content(&c);
}

int main(int argc, char **argv)
{
  long count = argc > 1 ? atol(argv[1]) : 100;
  chance = chance_of(argc > 2 ? strtoull(argv[2], NULL, 0) : 1);
  for (long i = 0; i < count; i++)
    generate();
  return 0;
}
