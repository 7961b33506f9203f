#ifndef UVSMTP_BASE_OPTIONS_H
#define UVSMTP_BASE_OPTIONS_H

#include <stddef.h>

/*
 * Options structs begin with `size_t size`, grow only at their end, and 0 means the default.
 * Copies what the caller knows into `to` (of `to_size` bytes) and zeroes the rest. 0,
 * UVSMTP_EINVAL without a size, UVSMTP_EOPTIONSIZE if the caller set a field unknown here.
 */
int uvsmtp__options_copy(void *to, size_t to_size, const void *from);

#endif
