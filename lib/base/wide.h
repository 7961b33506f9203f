#ifndef UVSMTP_BASE_WIDE_H
#define UVSMTP_BASE_WIDE_H

#include <stdbool.h>
#include <stddef.h>

/* Looks at many octets of a content at a time. */

/*
 * How many of the `len` octets at `s` stand in lines that need no change: up to the first CR or LF
 * that is not part of a CRLF, or `len`. A CR that is the last octet stops too, for what follows it
 * is not known. `*high` is set if an octet above 127 was seen; behind a stop it may have been.
 */
size_t uvsmtp__clean_lines(const char *s, size_t len, bool *high);

/* The same for DATA (RFC 5321 section 4.5.2): a dot behind a LF stops as well. */
size_t uvsmtp__clean_data(const char *s, size_t len, bool *high);

#endif
