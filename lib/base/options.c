#include "base/options.h"

#include <string.h>

#include "uvsmtp/errors.h"

int uvsmtp__options_copy(void *to, size_t to_size, const void *from)
{
  size_t size;
  memset(to, 0, to_size);
  if (from == NULL) {
    memcpy(to, &to_size, sizeof(to_size));
    return 0;
  }
  memcpy(&size, from, sizeof(size));
  if (size < sizeof(size))
    return UVSMTP_EINVAL;
  for (size_t i = to_size; i < size; i++)
    if (((const char *)from)[i] != 0)
      return UVSMTP_EOPTIONSIZE;
  memcpy(to, from, size < to_size ? size : to_size);
  memcpy(to, &to_size, sizeof(to_size));
  return 0;
}
