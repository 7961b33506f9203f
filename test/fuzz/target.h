#ifndef TEST_FUZZ_TARGET_H
#define TEST_FUZZ_TARGET_H

/*
 * What every fuzz target has: the function that libFuzzer calls, and means to cut up its input. A
 * target returns 0 for every input; what must not be is an abort, a sanitizer's report or a hang.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                                      \
  do {                                                                                             \
    if (!(condition))                                                                              \
      abort();                                                                                     \
  } while (0)

typedef struct fuzz_input_s {
  const uint8_t *data;
  size_t size;
} fuzz_input_t;

/* The next byte; 0 at the end. */
static inline uint8_t fuzz_byte(fuzz_input_t *in)
{
  if (in->size == 0)
    return 0;
  in->size--;
  return *in->data++;
}

/* The next bytes, at most `most`, in a block of their own, so that reading beyond them shows. */
static inline char *fuzz_piece(fuzz_input_t *in, size_t most, size_t *len)
{
  char *piece;
  size_t i;

  *len = in->size < most ? in->size : most;
  piece = malloc(*len + (*len == 0));
  FUZZ_CHECK(piece != NULL);
  for (i = 0; i < *len; i++)
    piece[i] = (char)fuzz_byte(in);
  return piece;
}

/* All that is left as a C string (up to its first NUL for those who read it). */
static inline char *fuzz_string(fuzz_input_t *in)
{
  char *text = malloc(in->size + 1);
  size_t at = 0;

  FUZZ_CHECK(text != NULL);
  while (in->size > 0)
    text[at++] = (char)fuzz_byte(in);
  text[at] = '\0';
  return text;
}

#endif
