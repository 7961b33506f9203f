#ifndef UVSMTP_AUTH_SASLPREP_H
#define UVSMTP_AUTH_SASLPREP_H

#include <stdbool.h>

#include "uvsmtp/base.h"

/*
 * SASLprep (RFC 4013), so that a name or password gives the same bytes however it was typed. ASCII
 * needs no library; for other text libidn does it. `*out` is the caller's, freed with `mem`.
 * Returns 0, UVSMTP_ECHARSET (characters that may not occur), UVSMTP_EAUTHUNSUPPORTED (not ASCII,
 * and uvsmtp was built without libidn), UVSMTP_ENOMEM.
 */
int uvsmtp__saslprep(char **out, const char *text, const uvsmtp_mem_t *mem);

/*
 * Takes the next piece of `*name` as a saslname (RFC 5801 section 4, RFC 5802 section 7), in which
 * "," and "=" are escaped; false at its end.
 */
bool uvsmtp__saslname_next(const char **name, uvsmtp_slice_t *piece);

#endif
