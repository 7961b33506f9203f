/*
 * How fast a message's bytes are made: base64, quoted-printable, the look that decides between
 * them; in megabytes of input a second, the best of several runs. Beside them memcpy, which nothing
 * that writes as many bytes can outrun.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <uvsmtp.h>

enum { SIZE = 16 << 20, RUNS = 7 };

typedef struct input_s {
  const char *name, *type;
  char *bytes;
  size_t len;
} input_t;

/* Fills the input with a pattern, whole times. */
static void fill(input_t *input, const char *pattern)
{
  size_t len = strlen(pattern);

  input->bytes = malloc(SIZE);
  if (input->bytes == NULL)
    exit(1);
  for (input->len = 0; input->len + len <= SIZE; input->len += len)
    memcpy(input->bytes + input->len, pattern, len);
}

/* Time on a processor: what others do on the machine does not count. */
static double seconds(void)
{
  return (double)clock() / CLOCKS_PER_SEC;
}

static void check(int err)
{
  if (err == 0)
    return;
  fprintf(stderr, "%s\n", uvsmtp_strerror(err));
  exit(1);
}

/* Reads a source to its end; returns how many bytes it gave. */
static uint64_t drain(uvsmtp_source_t *source)
{
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece;
  uint64_t total = 0;

  check(source->ops->open(source, 0, &info));
  do {
    check(source->ops->next(source, &piece));
    total += piece.len;
  } while (piece.len > 0);
  source->ops->close(source);
  return total;
}

static uvsmtp_message_t *build(const input_t *input)
{
  uvsmtp_message_options_t options = UVSMTP_MESSAGE_OPTIONS_INIT;
  uvsmtp_attachment_t attachment = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *message;

  options.crypto = uvsmtp_tls_crypto();
  attachment.bytes = input->bytes;
  attachment.len = input->len;
  attachment.type = input->type;
  attachment.filename = "f";
  check(uvsmtp_message_new(&message, &options));
  check(uvsmtp_message_address(message, UVSMTP_FROM, NULL, "a@b.example"));
  check(uvsmtp_message_attach(message, &attachment));
  return message;
}

static void report(const char *name, double best, uint64_t out)
{
  printf("%-44s %8.0f MB/s  %.2f bytes out for each in\n", name, SIZE / best / 1e6,
         (double)out / SIZE);
}

/* Completing (which looks at all of it) and reading, apart. */
static void measure(const input_t *input)
{
  double looked = 1e9, read = 1e9;
  uint64_t out = 0;
  char name[100];

  for (int i = 0; i < RUNS; i++) {
    uvsmtp_message_t *message = build(input);
    uvsmtp_source_t source;
    double start = seconds(), middle, end;

    check(uvsmtp_message_source(message, &source));
    middle = seconds();
    out = drain(&source);
    end = seconds();
    looked = middle - start < looked ? middle - start : looked;
    read = end - middle < read ? end - middle : read;
    uvsmtp_message_free(message);
  }
  snprintf(name, sizeof name, "%s: completing", input->name);
  report(name, looked, 0);
  snprintf(name, sizeof name, "%s: encoding", input->name);
  report(name, read, out);
}

static void measure_memcpy(const char *bytes)
{
  char *to = malloc(SIZE);
  double best = 1e9;

  if (to == NULL)
    exit(1);
  for (int i = 0; i < RUNS; i++) {
    double start = seconds();
    memcpy(to, bytes, SIZE);
    best = seconds() - start < best ? seconds() - start : best;
  }
  printf("%-44s %8.0f MB/s  %d\n", "memcpy", SIZE / best / 1e6, to[SIZE - 1]);
  free(to);
}

int main(void)
{
  input_t inputs[] = {
      {.name = "bytes as base64", .type = "image/png"},
      {.name = "English as 7bit", .type = "text/plain"},
      {.name = "German as quoted-printable", .type = "text/plain"},
      {.name = "code with = as quoted-printable", .type = "text/plain"},
  };

  fill(&inputs[0], "\x89PNG\1\2\3\4\5\xff\xfe\x80 some bytes of all kinds\r\n\0");
  fill(&inputs[1], "Many words of a text that is plain and has lines as people write "
                   "them.\r\n");
  fill(&inputs[2], "Viele W\xc3\xb6rter eines Textes, wie ihn Leute schreiben, mit "
                   "Umlauten: \xc3\xbc.\r\n");
  fill(&inputs[3], "  if (a == b && c != d) x[i] = y; /* \xc3\xa9 */\r\n");
  measure_memcpy(inputs[0].bytes);
  for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
    measure(&inputs[i]);
    free(inputs[i].bytes);
  }
  return 0;
}
