/*
 * A hostile proxy: the first byte chooses what it is taken for, the rest is its answer in pieces of
 * any length. It ends with a verdict or wants more, reads nothing behind its answer, and says
 * nothing that could hurt a terminal. Our password stands in no sentence, unless the proxy said it.
 */
#include <string.h>

#include "connection/proxy.h"
#include "target.h"

static const char *const urls[] = {"socks5://p", "socks5://user:secret@p", "http://p",
                                   "http://user:secret@p"};

/* What the proxy has said so far. */
typedef struct {
  char *bytes;
  size_t len;
} said_t;

static void check(const uvsmtp__dialogue_t *d, size_t taken, size_t len, const said_t *said)
{
  FUZZ_CHECK(taken <= len && d->in_len <= sizeof(d->in) && d->out_len <= sizeof(d->out));
  FUZZ_CHECK(taken == len || d->state == NULL);
  FUZZ_CHECK((d->err != 0) == (d->text[0] != '\0'));
  FUZZ_CHECK(d->err == 0 || d->state == NULL);
  for (const char *at = d->text; *at != '\0'; at++)
    FUZZ_CHECK(*at >= ' ' && *at <= '~');
  if (memmem(said->bytes, said->len, "secret", 6) == NULL)
    FUZZ_CHECK(strstr(d->text, "secret") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  uvsmtp__proxy_t proxy;
  uvsmtp__dialogue_t d;
  said_t said = {malloc(size + 1), 0};

  FUZZ_CHECK(uvsmtp__proxy_parse(&proxy, urls[fuzz_byte(&in) % 4], NULL, NULL, 0) == 0);
  uvsmtp__dialogue_begin(&d, &proxy, "mx.example", 587);
  while (in.size > 0) {
    size_t len, most = 1 + fuzz_byte(&in) % 16;
    char *piece = fuzz_piece(&in, most, &len);
    if (most % 2 == 0)
      uvsmtp__dialogue_sent(&d);
    memcpy(said.bytes + said.len, piece, len);
    said.len += len;
    check(&d, uvsmtp__dialogue_feed(&d, piece, len), len, &said);
    free(piece);
  }
  uvsmtp__dialogue_eof(&d);
  check(&d, 0, 0, &said);
  free(said.bytes);
  uvsmtp__proxy_clear(&proxy, NULL);
  return 0;
}
