/*
 * Messages that come as bytes: from a file or standard input.
 *
 * The beginning is read at once, before the loop has anything to do with it. A message that ends
 * there is sent from memory. Of a longer one the header is read, and the rest goes from the disk to
 * the server in pieces: a file is read again from its start, a pipe is read on from where we are,
 * with what we have in front of it. Either way Bcc is left out.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <unistd.h>

/* A message up to this size is held in memory; a longer header is read nevertheless. */
enum { PIECE = 64 * 1024, BEGINNING = 256 * 1024 };

/* ---- what was read and the rest of a pipe, as one source ---- */

static void rest_wake(void *reader)
{
  uvsmtp_source_wake(reader);
}

static int joined_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  letter_t *letter = source->data;
  int err = letter->whole.ops->open(&letter->whole, target, info);

  if (err != 0)
    return err;
  letter->stage = 0;
  letter->whole.wake = rest_wake;
  letter->whole.reader = source;
  info->length = UVSMTP_LENGTH_UNKNOWN;
  info->content = UVSMTP_CONTENT_ONCE;
  return 0;
}

static int joined_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  letter_t *letter = source->data;

  if (letter->stage > 0)
    return letter->whole.ops->next(&letter->whole, piece);
  letter->stage = 1;
  piece->base = letter->bytes;
  piece->len = letter->len;
  return 0;
}

static void joined_close(uvsmtp_source_t *source)
{
  letter_t *letter = source->data;

  letter->whole.wake = NULL;
  letter->whole.ops->close(&letter->whole);
}

static const uvsmtp_source_ops_t joined_ops = {
    .size = sizeof(uvsmtp_source_ops_t),
    .open = joined_open,
    .next = joined_next,
    .close = joined_close,
};

/* ---- the beginning ---- */

static int read_error(letter_t *letter, int error)
{
  snprintf(letter->detail, sizeof letter->detail, "cannot be read: %s", strerror(error));
  return UVSMTP_ESOURCE;
}

/* Reads one piece more to the end of `bytes`; `*got` is 0 at the end of the file. */
static int read_piece(letter_t *letter, size_t *got)
{
  char *bytes = realloc(letter->bytes, letter->len + PIECE);
  ssize_t n;

  if (bytes == NULL)
    return UVSMTP_ENOMEM;
  letter->bytes = bytes;
  do
    n = read(letter->fd, bytes + letter->len, PIECE);
  while (n < 0 && errno == EINTR);
  if (n < 0)
    return read_error(letter, errno);
  letter->len += (size_t)n;
  *got = (size_t)n;
  return 0;
}

/* The message is longer than the beginning: reads on to the end of its header. */
static int read_header(letter_t *letter)
{
  size_t got = letter->len;
  int err = uvsmtp_raw_feed(letter->raw, letter->bytes, letter->len, NULL);

  while (err == UVSMTP_PENDING && got > 0) {
    int failed = read_piece(letter, &got);
    if (failed != 0)
      return failed;
    err = uvsmtp_raw_feed(letter->raw, letter->bytes + letter->len - got, got, NULL);
  }
  return err;
}

static int take_rest(letter_t *letter, uv_loop_t *loop)
{
  struct stat status;
  int err;

  letter->piped =
      fstat(letter->fd, &status) != 0 || !S_ISREG(status.st_mode) || strcmp(letter->name, "-") == 0;
  letter->has_file = true;
  if (!letter->piped) {
    close(letter->fd);
    letter->fd = -1;
    free(letter->bytes);
    letter->bytes = NULL;
    err = uvsmtp_source_file(&letter->whole, loop, letter->name);
  } else {
    err = uvsmtp_source_fd(&letter->whole, loop, letter->fd);
  }
  if (err != 0) {
    letter->has_file = false;
    return err;
  }
  letter->joined.data = letter;
  letter->joined.ops = &joined_ops;
  return uvsmtp_raw_filter(letter->raw, &letter->filtered,
                           letter->piped ? &letter->joined : &letter->whole);
}

static int take_bytes(letter_t *letter, uv_loop_t *loop)
{
  size_t got = 1;
  int err = 0;

  while (err == 0 && got > 0 && letter->len < BEGINNING)
    err = read_piece(letter, &got);
  if (err != 0)
    return err;
  if (got == 0) {
    err = uvsmtp_raw_read(letter->raw, letter->bytes, letter->len);
    return err == 0 ? uvsmtp_raw_source(letter->raw, &letter->filtered) : err;
  }
  err = read_header(letter);
  return err == 0 ? take_rest(letter, loop) : err;
}

/* ---- the envelope ---- */

/* An address of the command line. A name without a domain is for the server to know. */
static int check_address(letter_t *letter, const char *option, const char *address)
{
  char canonical[UVSMTP_ADDRESS_SIZE], why[256] = "";
  int err;

  if (address[0] != '\0' && strchr(address, '@') == NULL)
    return 0;
  err = uvsmtp_address_canonical(canonical, sizeof canonical, address, strlen(address), 0, why,
                                 sizeof why);
  if (err != 0)
    snprintf(letter->detail, sizeof letter->detail, "%s: %s", option, why);
  return err;
}

/* What the options say of sender and recipients. */
static int take_given(letter_t *letter, const settings_t *s)
{
  int err = 0;

  if (s->from != NULL && strcmp(s->from, "") != 0 && strcmp(s->from, "<>") != 0) {
    letter->envelope.sender = s->from;
    err = check_address(letter, "--from", s->from);
  }
  if (s->to.count == 0)
    return err;
  letter->recipients = calloc(s->to.count, sizeof *letter->recipients);
  if (letter->recipients == NULL)
    return UVSMTP_ENOMEM;
  letter->envelope.recipients = letter->recipients;
  letter->envelope.recipient_count = s->to.count;
  for (size_t i = 0; i < s->to.count; i++) {
    letter->recipients[i].address = s->to.at[i];
    if (err == 0)
      err = check_address(letter, "--to", s->to.at[i]);
  }
  return err;
}

/* What is left to the header. */
static int take_envelope(letter_t *letter, const settings_t *s)
{
  unsigned what =
      (s->from == NULL ? UVSMTP_RAW_SENDER : 0u) | (s->from_headers ? UVSMTP_RAW_RECIPIENTS : 0u);

  return what == 0 ? 0 : uvsmtp_raw_envelope(letter->raw, what, &letter->envelope);
}

int letter_from_file(letter_t *letter, const settings_t *settings, uv_loop_t *loop,
                     const char *name)
{
  int err;

  letter->name = name;
  letter->envelope.size = sizeof letter->envelope;
  letter->fd = -1;
  letter->source = &letter->filtered;
  err = take_given(letter, settings);
  if (err != 0)
    return err;
  letter->fd = strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
  if (letter->fd < 0)
    return read_error(letter, errno);
  err = uvsmtp_raw_new(&letter->raw, NULL);
  if (err == 0)
    err = take_bytes(letter, loop);
  if (err == 0)
    err = take_envelope(letter, settings);
  if (err != 0 && letter->detail[0] == '\0')
    snprintf(letter->detail, sizeof letter->detail, "%s",
             letter->raw != NULL ? uvsmtp_raw_detail(letter->raw) : "");
  return err;
}
