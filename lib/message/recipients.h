#ifndef UVSMTP_MESSAGE_RECIPIENTS_H
#define UVSMTP_MESSAGE_RECIPIENTS_H

#include "uvsmtp/envelope.h"

/*
 * Makes recipients of addresses: each once, in the order of the first occurrences. `*out` is an
 * array of `mem`, which borrows the addresses. 0, UVSMTP_ENOMEM.
 */
int uvsmtp__recipients_unique(const uvsmtp_mem_t *mem, const char *const *addresses, size_t count,
                              uvsmtp_recipient_t **out, size_t *out_count);

#endif
