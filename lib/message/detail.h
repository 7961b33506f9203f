#ifndef UVSMTP_MESSAGE_DETAIL_H
#define UVSMTP_MESSAGE_DETAIL_H

#include <stddef.h>

#include "uvsmtp/base.h"

/* Room for the sentence that an object keeps about its last failure. */
#define UVSMTP__DETAIL_SIZE 256

/*
 * Writes a sentence about a failure to `detail`, cut to its size, with a '?' for every byte that
 * could disturb a terminal or a log; nothing where there is no room. Returns `err`, so that a
 * function can end with it.
 */
int uvsmtp__detail(char *detail, size_t size, int err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
