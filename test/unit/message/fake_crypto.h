#ifndef TEST_MESSAGE_FAKE_CRYPTO_H
#define TEST_MESSAGE_FAKE_CRYPTO_H

#include "uvsmtp/crypto.h"

/* "Random" bytes that count up, so that golden files stay the same. */
static unsigned char fake_random_next;

static int fake_random(void *out, size_t len)
{
  for (size_t i = 0; i < len; i++)
    ((unsigned char *)out)[i] = fake_random_next++;
  return 0;
}

static const uvsmtp_crypto_t fake_crypto = {.random = fake_random};

#endif
