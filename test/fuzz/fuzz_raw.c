/* Messages that somebody else wrote: read in pieces or as a whole, they are the same. */
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

static void read_out(uvsmtp_raw_t *raw, uint64_t len)
{
  uvsmtp_source_t source = {0};
  uvsmtp_source_info_t info = {0};
  uvsmtp_slice_t piece = {0};
  uint64_t given = 0;

  FUZZ_CHECK(uvsmtp_raw_source(raw, &source) == 0);
  if (source.ops->open(&source, 0, &info) != 0)
    return;
  while (source.ops->next(&source, &piece) == 0 && piece.len > 0)
    given += piece.len;
  FUZZ_CHECK(info.length == UVSMTP_LENGTH_UNKNOWN || info.length == given || piece.len > 0);
  FUZZ_CHECK(uvsmtp_raw_body_offset(raw) <= len);
  source.ops->close(&source);
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
    uvsmtp_raw_envelope(whole, UVSMTP_RAW_SENDER | UVSMTP_RAW_RECIPIENTS, &envelope);
    read_out(whole, len);
  }
  uvsmtp_raw_free(pieces);
  uvsmtp_raw_free(whole);
  free(text);
  return 0;
}
