#include "tls/random.h"

#include <errno.h>

#include <mbedtls/entropy.h>

#include "uvsmtp/errors.h"

#if defined(__linux__) || defined(__FreeBSD__)

#include <sys/random.h>
#include <sys/types.h>

int uvsmtp__tls_random(void *out, size_t len)
{
  unsigned char *at = out;
  while (len > 0) {
    ssize_t n = getrandom(at, len, 0);
    if (n < 0 && errno != EINTR)
      return UVSMTP_ETLS;
    if (n > 0) {
      at += n;
      len -= (size_t)n;
    }
  }
  return 0;
}

#else

/* mbedTLS knows the sources of the other systems; a pool of its own for each call keeps threads
   apart. */
static int draw(mbedtls_entropy_context *entropy, unsigned char *at, size_t len)
{
  while (len > 0) {
    size_t n = len < MBEDTLS_ENTROPY_BLOCK_SIZE ? len : MBEDTLS_ENTROPY_BLOCK_SIZE;
    if (mbedtls_entropy_func(entropy, at, n) != 0)
      return UVSMTP_ETLS;
    at += n;
    len -= n;
  }
  return 0;
}

int uvsmtp__tls_random(void *out, size_t len)
{
  mbedtls_entropy_context entropy;
  int err;
  mbedtls_entropy_init(&entropy);
  err = draw(&entropy, out, len);
  mbedtls_entropy_free(&entropy);
  return err;
}

#endif

int uvsmtp__tls_rng(void *unused, unsigned char *out, size_t len)
{
  return uvsmtp__tls_random(out, len) == 0 ? 0 : MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
}
