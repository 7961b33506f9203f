/* Server URLs: nothing that could end a command line gets into EHLO. */
#include <string.h>

#include "connection/url.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  char *text = fuzz_string(&in);
  uvsmtp_url_t url = {0};
  char detail[128];
  int err = uvsmtp__url_parse(&url, text, NULL, detail, sizeof(detail));

  if (err == 0) {
    FUZZ_CHECK(url.host != NULL || url.unix_path != NULL);
    FUZZ_CHECK(url.ehlo == NULL || strpbrk(url.ehlo, "\r\n") == NULL);
  } else {
    FUZZ_CHECK(err < 0 && memchr(detail, '\0', sizeof(detail)) != NULL);
  }
  uvsmtp__url_clear(&url, NULL);
  free(text);
  return 0;
}
