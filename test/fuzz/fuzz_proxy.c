/*
 * A hostile proxy: the first byte chooses what it is taken for, the rest is its answer in pieces of
 * any length. It ends with a verdict or wants more, reads nothing behind its answer, and says
 * nothing that could hurt a terminal.
 */
#include <string.h>

#include "connection/proxy.h"
#include "target.h"

static const char *const urls[] = {"socks5://p", "socks5://user:secret@p", "http://p",
                                   "http://user:secret@p"};

static void check(const uvsmtp__dialogue_t *d, size_t taken, size_t len)
{
  FUZZ_CHECK(taken <= len && d->in_len <= sizeof(d->in) && d->out_len <= sizeof(d->out));
  FUZZ_CHECK(taken == len || d->state == NULL);
  FUZZ_CHECK((d->err != 0) == (d->text[0] != '\0'));
  FUZZ_CHECK(d->err == 0 || d->state == NULL);
  for (const char *at = d->text; *at != '\0'; at++)
    FUZZ_CHECK(*at >= ' ' && *at <= '~');
  FUZZ_CHECK(strstr(d->text, "secret") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  uvsmtp__proxy_t proxy;
  uvsmtp__dialogue_t d;

  FUZZ_CHECK(uvsmtp__proxy_parse(&proxy, urls[fuzz_byte(&in) % 4], NULL, NULL, 0) == 0);
  uvsmtp__dialogue_begin(&d, &proxy, "mx.example", 587);
  while (in.size > 0) {
    size_t len, most = 1 + fuzz_byte(&in) % 16;
    char *piece = fuzz_piece(&in, most, &len);
    if (most % 2 == 0)
      uvsmtp__dialogue_sent(&d);
    check(&d, uvsmtp__dialogue_feed(&d, piece, len), len);
    free(piece);
  }
  uvsmtp__dialogue_eof(&d);
  check(&d, 0, 0);
  uvsmtp__proxy_clear(&proxy, NULL);
  return 0;
}
