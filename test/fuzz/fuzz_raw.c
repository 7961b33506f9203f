/*
 * Messages that somebody else wrote: read in pieces or as a whole, they are the same, and what is
 * made of them for a server without 8BITMIME can go there.
 */
#include <stdbool.h>
#include <string.h>

#include "target.h"
#include "uvsmtp/message.h"

/* The first byte chooses the length of the pieces. */
static int feed(uvsmtp_raw_t *raw, const char *bytes, size_t len, size_t step)
{
  size_t at, n, used;
  int err = UVSMTP_PENDING;

  for (at = 0; at < len && err == UVSMTP_PENDING; at += n) {
    n = len - at < step ? len - at : step;
    err = uvsmtp_raw_feed(raw, bytes + at, n, &used);
    FUZZ_CHECK(used <= n);
  }
  return err == UVSMTP_PENDING ? uvsmtp_raw_feed(raw, "", 0, NULL) : err;
}

/* What a source gives for a server without 8BITMIME; NULL if it cannot be opened. */
static char *read_out(uvsmtp_source_t *source, size_t *len)
{
  uvsmtp_source_info_t info = {0};
  uvsmtp_slice_t piece = {0};
  char *all = malloc(1);

  *len = 0;
  FUZZ_CHECK(all != NULL);
  if (source->ops->open(source, 0, &info) != 0) {
    free(all);
    return NULL;
  }
  while (source->ops->next(source, &piece) == 0 && piece.len > 0) {
    all = realloc(all, *len + piece.len);
    FUZZ_CHECK(all != NULL);
    memcpy(all + *len, piece.base, piece.len);
    *len += piece.len;
  }
  FUZZ_CHECK(info.length == UVSMTP_LENGTH_UNKNOWN || info.length == *len || piece.len > 0);
  source->ops->close(source);
  return all;
}

/* Has 8-bit octets, or a line of over 998. */
static bool has_to_change(const char *text, size_t len)
{
  size_t line = 0;

  for (size_t i = 0; i < len; i++) {
    line = text[i] == '\r' || text[i] == '\n' ? 0 : line + 1;
    if ((unsigned char)text[i] > 127 || line > 998)
      return true;
  }
  return false;
}

/* What is read and what is filtered go alike where they have to be encoded anew. */
static void compare(uvsmtp_raw_t *read, uvsmtp_raw_t *fed, const char *text, size_t len,
                    size_t step)
{
  size_t count = (len + step - 1) / step, lens[2];
  uvsmtp_slice_t *slices = calloc(count + 1, sizeof *slices);
  uvsmtp_source_t source, whole, filter;
  char *outs[2];

  FUZZ_CHECK(slices != NULL && uvsmtp_raw_source(read, &source) == 0);
  for (size_t i = 0; i < count; i++)
    slices[i] = (uvsmtp_slice_t){text + i * step, len - i * step < step ? len - i * step : step};
  uvsmtp_source_buffers(&whole, slices, count);
  FUZZ_CHECK(uvsmtp_raw_filter(fed, &filter, &whole) == 0);
  outs[0] = read_out(&source, &lens[0]);
  outs[1] = read_out(&filter, &lens[1]);
  FUZZ_CHECK(outs[0] == NULL || !has_to_change(outs[0], lens[0]));
  if (has_to_change(text, len)) {
    FUZZ_CHECK((outs[0] == NULL) == (outs[1] == NULL));
    FUZZ_CHECK(outs[0] == NULL || (lens[0] == lens[1] && memcmp(outs[0], outs[1], lens[0]) == 0));
  }
  free(outs[0]);
  free(outs[1]);
  free(slices);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_raw_t *whole, *pieces;
  size_t len, step = fuzz_byte(&in) + 1u;
  char *text = fuzz_piece(&in, size, &len);
  int err;

  FUZZ_CHECK(uvsmtp_raw_new(&whole, NULL) == 0 && uvsmtp_raw_new(&pieces, NULL) == 0);
  err = uvsmtp_raw_read(whole, text, len);
  FUZZ_CHECK(feed(pieces, text, len, step) == err);
  if (err == 0) {
    FUZZ_CHECK(uvsmtp_raw_body_offset(whole) == uvsmtp_raw_body_offset(pieces));
    FUZZ_CHECK(uvsmtp_raw_body_offset(whole) <= len);
    uvsmtp_raw_envelope(whole, UVSMTP_RAW_SENDER | UVSMTP_RAW_RECIPIENTS, &envelope);
    compare(whole, pieces, text, len, step);
  }
  uvsmtp_raw_free(pieces);
  uvsmtp_raw_free(whole);
  free(text);
  return 0;
}
