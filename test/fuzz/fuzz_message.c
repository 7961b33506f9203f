/*
 * Built messages: whatever the setters are given, what comes out can go over the wire, and says
 * what was put in. The input is a list of calls: a letter, a length, and as many bytes.
 *
 *   t text   h HTML   i invitation   a attachment   e attached message
 *   f From   r To (a list)   g group   s Subject   x header "name:value"   k mark "key:value"
 *   n the file name of what is attached next
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "target.h"
#include "uvsmtp/message.h"

#define MAX_LEAVES 64

/* A content that was put in, and has to come out. */
typedef struct {
  char *bytes; /* owned */
  size_t len;
  bool text;  /* with CRLF as its line ends */
  bool inner; /* of an attached message, which may be encoded anew inside: not compared */
} leaf_t;

static leaf_t leaves[MAX_LEAVES];
static size_t leaf_count;

static int fake_random(void *out, size_t len)
{
  memset(out, 'r', len);
  return 0;
}

static const uvsmtp_crypto_t crypto = {.random = fake_random};

/* ---- Putting in ---- */

/* Text as it has to arrive: this is the plain way to say it, which the builder's is held against.
 */
static void add_text(const char *text, size_t len)
{
  char *out = malloc(2 * len + 2);
  size_t n = 0;
  FUZZ_CHECK(out != NULL);
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '\n' && i > 0 && text[i - 1] == '\r')
      continue;
    if (text[i] == '\r' || text[i] == '\n') {
      out[n++] = '\r';
      out[n++] = '\n';
    } else {
      out[n++] = text[i];
    }
  }
  if (n > 0 && out[n - 1] != '\n') {
    out[n++] = '\r';
    out[n++] = '\n';
  }
  leaves[leaf_count++] = (leaf_t){out, n, true, false};
}

static void add_bytes(char *bytes, size_t len, bool inner)
{
  leaves[leaf_count++] = (leaf_t){bytes, len, false, inner};
}

/* The texts stand in the tree in this order, whatever the order of the calls. */
enum { TEXT, HTML, CALENDAR, TEXTS };

typedef struct {
  uvsmtp_message_t *m;
  char *texts[TEXTS];
  size_t lens[TEXTS];
  char *name; /* of the next file */
  struct {
    char *bytes;
    size_t len;
    bool inner;
  } files[MAX_LEAVES];
  size_t file_count;
} build_t;

static void set_text(build_t *b, int which, char *text, size_t len)
{
  int err = which == TEXT   ? uvsmtp_message_text(b->m, text, len)
            : which == HTML ? uvsmtp_message_html(b->m, text, len)
                            : uvsmtp_message_invitation(b->m, "REQUEST", text, len);
  if (err != 0) {
    free(text);
    return;
  }
  free(b->texts[which]);
  b->texts[which] = text;
  b->lens[which] = len;
}

static void attach(build_t *b, char *bytes, size_t len, bool message)
{
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  a.bytes = bytes;
  a.len = len;
  a.filename = b->name;
  a.type = message ? "message/rfc822" : len % 2 == 0 ? "text/plain" : NULL;
  a.flags = UVSMTP_ATTACH_COPY;
  if (b->file_count == MAX_LEAVES / 2 || uvsmtp_message_attach(b->m, &a) != 0) {
    free(bytes);
    return;
  }
  b->files[b->file_count].bytes = bytes;
  b->files[b->file_count].len = len;
  b->files[b->file_count++].inner = message || (b->name != NULL && strstr(b->name, ".eml") != NULL);
}

/* "name:value" */
static void pair(build_t *b, char *text,
                 int (*set)(uvsmtp_message_t *m, const char *name, const char *value))
{
  char *colon = strchr(text, ':');
  if (colon != NULL) {
    *colon = '\0';
    set(b->m, text, colon + 1);
  }
}

static void call(build_t *b, char what, char *bytes, size_t len)
{
  char *text = realloc(bytes, len + 1); /* with a NUL behind it for those who want one */
  FUZZ_CHECK(text != NULL);
  text[len] = '\0';
  switch (what) {
  case 't':
    set_text(b, TEXT, text, len);
    return;
  case 'h':
    set_text(b, HTML, text, len);
    return;
  case 'i':
    set_text(b, CALENDAR, text, len);
    return;
  case 'a':
  case 'e':
    attach(b, text, len, what == 'e');
    return;
  case 'n':
    free(b->name);
    b->name = text;
    return;
  case 'f':
    uvsmtp_message_address(b->m, UVSMTP_FROM, text, "a@b.example");
    break;
  case 'r':
    uvsmtp_message_addresses(b->m, UVSMTP_TO, text);
    break;
  case 'g':
    uvsmtp_message_group(b->m, UVSMTP_TO, *text != '\0' ? text : NULL);
    break;
  case 's':
    uvsmtp_message_subject(b->m, text);
    break;
  case 'x':
    pair(b, text, uvsmtp_message_header);
    break;
  case 'k':
    pair(b, text, uvsmtp_message_mark);
    break;
  default:
    break;
  }
  free(text);
}

/* What has to come out, in the order of the tree. */
static void expect(build_t *b)
{
  for (int i = 0; i < TEXTS; i++)
    if (b->texts[i] != NULL)
      add_text(b->texts[i], b->lens[i]);
  for (size_t i = 0; i < b->file_count; i++)
    add_bytes(b->files[i].bytes, b->files[i].len, b->files[i].inner);
  if (leaf_count == 0)
    add_text("", 0);
}

/* ---- What came out ---- */

static void check_lines(const char *all, size_t len, bool eight)
{
  size_t line = 0;
  FUZZ_CHECK(len >= 2 && memcmp(all + len - 2, "\r\n", 2) == 0);
  for (size_t i = 0; i < len; i++) {
    bool crlf = all[i] == '\r' && i + 1 < len && all[i + 1] == '\n';
    FUZZ_CHECK(crlf || (all[i] != '\r' && all[i] != '\n' && all[i] != '\0'));
    FUZZ_CHECK(eight || (unsigned char)all[i] < 128);
    line = crlf ? 0 : line + 1;
    FUZZ_CHECK(line <= 998);
    i += crlf;
  }
}

static const char *find(const char *at, const char *end, const char *what)
{
  size_t n = strlen(what);
  for (; (size_t)(end - at) >= n; at++)
    if (memcmp(at, what, n) == 0)
      return at;
  return NULL;
}

/* The field of a header whose line begins so. */
static const char *find_field(const char *header, const char *body, const char *start)
{
  char line[100];
  size_t n = strlen(start);
  if ((size_t)(body - header) >= n && memcmp(header, start, n) == 0)
    return header;
  snprintf(line, sizeof(line), "\r\n%s", start);
  return find(header, body, line);
}

static int hex(char c)
{
  const char *digits = "0123456789ABCDEF", *at = c != '\0' ? strchr(digits, c) : NULL;
  FUZZ_CHECK(at != NULL);
  return (int)(at - digits);
}

static size_t decode_qp(char *out, const char *s, const char *end)
{
  size_t n = 0;
  while (s < end) {
    if (*s != '=') {
      out[n++] = *s++;
    } else if (end - s >= 3 && s[1] == '\r') {
      s += 3;
    } else {
      FUZZ_CHECK(end - s >= 3);
      out[n++] = (char)(hex(s[1]) << 4 | hex(s[2]));
      s += 3;
    }
  }
  return n;
}

static size_t decode_base64(char *out, const char *s, const char *end)
{
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  unsigned bits = 0, count = 0;
  size_t n = 0;
  for (; s < end; s++) {
    const char *at = strchr(alphabet, *s);
    if (*s == '\r' || *s == '\n' || *s == '=')
      continue;
    FUZZ_CHECK(at != NULL && *s != '\0');
    bits = bits << 6 | (unsigned)(at - alphabet);
    if ((count += 6) >= 8)
      out[n++] = (char)(bits >> (count -= 8) & 255);
  }
  return n;
}

static void check_leaf(const char *header, const char *body, const char *end, size_t *at)
{
  const leaf_t *want = &leaves[(*at)++];
  char *out;
  size_t n = (size_t)(end - body);
  FUZZ_CHECK(*at <= leaf_count);
  if (want->inner)
    return;
  out = malloc(n + 1);
  FUZZ_CHECK(out != NULL);
  if (find_field(header, body, "Content-Transfer-Encoding: quoted-printable\r\n") != NULL) {
    n = decode_qp(out, body, end);
  } else if (find_field(header, body, "Content-Transfer-Encoding: base64\r\n") != NULL) {
    n = decode_base64(out, body, end);
  } else {
    memcpy(out, body, n);
  }
  FUZZ_CHECK(n == want->len);
  FUZZ_CHECK(memcmp(out, want->bytes, n) == 0);
  free(out);
}

/* Walks through a part from `header` to `end`. */
static void check_part(const char *header, const char *end, bool top, size_t *at)
{
  const char *body = find(header, end, "\r\n\r\n"), *type, *boundary;
  char line[100];
  FUZZ_CHECK(body != NULL);
  body += 4;
  type = find_field(header, body, "Content-Type: multipart/");
  if (type == NULL) {
    bool empty_end =
        top && find_field(header, body, "Content-Transfer-Encoding: base64\r\n") != NULL;
    check_leaf(header, body, empty_end ? end - 2 : end, at);
    return;
  }
  boundary = find(type, body, "; boundary=\"");
  if (boundary == NULL)
    boundary = find(type, body, "\r\n boundary=\"");
  FUZZ_CHECK(boundary != NULL);
  boundary = find(boundary, body, "\"") + 1;
  snprintf(line, sizeof(line), "--%.*s", (int)(find(boundary, body, "\"") - boundary), boundary);
  FUZZ_CHECK((size_t)(end - body) > strlen(line) && memcmp(body, line, strlen(line)) == 0);
  for (;;) {
    char next[102];
    const char *part = body + strlen(line), *part_end;
    if (memcmp(part, "--", 2) == 0)
      return;
    snprintf(next, sizeof(next), "\r\n%s", line);
    part_end = find(part, end, next);
    FUZZ_CHECK(part_end != NULL);
    check_part(part + 2, part_end, false, at);
    body = part_end + 2;
  }
}

static void read_out(uvsmtp_message_t *m, unsigned target, bool compare)
{
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece;
  char *all = NULL;
  size_t len = 0, at = 0;
  FUZZ_CHECK(uvsmtp_message_source(m, &source) == 0);
  if (source.ops->open(&source, target, &info) != 0)
    return;
  while (source.ops->next(&source, &piece) == 0 && piece.len > 0) {
    all = realloc(all, len + piece.len);
    FUZZ_CHECK(all != NULL);
    memcpy(all + len, piece.base, piece.len);
    len += piece.len;
  }
  source.ops->close(&source);
  FUZZ_CHECK(info.length == len);
  if ((info.content & UVSMTP_CONTENT_BINARY) == 0)
    check_lines(all, len, (info.content & UVSMTP_CONTENT_8BIT) != 0);
  if (compare) {
    check_part(all, all + len, true, &at);
    FUZZ_CHECK(at == leaf_count);
  }
  free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  uvsmtp_message_options_t o = UVSMTP_MESSAGE_OPTIONS_INIT;
  build_t b = {.name = NULL};
  unsigned target = fuzz_byte(&in) & 7u;
  o.flags = fuzz_byte(&in) & 7u;
  o.crypto = &crypto;
  leaf_count = 0;
  FUZZ_CHECK(uvsmtp_message_new(&b.m, &o) == 0);
  while (in.size > 0) {
    char what = (char)fuzz_byte(&in), *bytes;
    size_t len = fuzz_byte(&in);
    if (len == 255) /* long ones */
      len = (size_t)fuzz_byte(&in) << 4;
    bytes = fuzz_piece(&in, len, &len);
    call(&b, what, bytes, len);
  }
  expect(&b);
  if (uvsmtp_message_source(b.m, &(uvsmtp_source_t){0}) == 0)
    read_out(b.m, target, (o.flags & UVSMTP_MESSAGE_TEMPLATE) == 0);
  else
    FUZZ_CHECK(uvsmtp_message_detail(b.m)[0] != '\0');
  uvsmtp_message_free(b.m);
  for (size_t i = 0; i < leaf_count; i++)
    free(leaves[i].bytes);
  for (int i = 0; i < TEXTS; i++)
    free(b.texts[i]);
  free(b.name);
  return 0;
}
