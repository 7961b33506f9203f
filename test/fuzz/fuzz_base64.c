/* base64: what is taken is exactly what the encoder writes, in place or not. */
#include <string.h>

#include "base/base64.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  size_t len, out_len, again_len;
  char *text = fuzz_piece(&in, size, &len);
  char *out = malloc(len / 4 * 3 + 1), *again = malloc(len + 1);

  FUZZ_CHECK(out != NULL && again != NULL);
  if (uvsmtp__base64_decode(out, &out_len, text, len) == 0) {
    FUZZ_CHECK(out_len <= len / 4 * 3);
    FUZZ_CHECK(uvsmtp__base64_encoded_len(out_len) == len);
    uvsmtp__base64_encode(again, out, out_len);
    FUZZ_CHECK(memcmp(again, text, len) == 0);
    FUZZ_CHECK(uvsmtp__base64_decode(text, &again_len, text, len) == 0);
    FUZZ_CHECK(again_len == out_len && memcmp(text, out, out_len) == 0);
  }
  free(again);
  free(out);
  free(text);
  return 0;
}
