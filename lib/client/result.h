#ifndef UVSMTP_CLIENT_RESULT_H
#define UVSMTP_CLIENT_RESULT_H

#include "uvsmtp/client.h"

/*
 * Results that outlive their callback. The place for one is made before the send is begun, so that
 * an outcome is never lost because memory has run out: then only words are missing.
 */
typedef struct uvsmtp__kept_s {
  uvsmtp_result_t result; /* the first, so that one leads to the other */
  uvsmtp_mem_t mem;
  struct uvsmtp__kept_s *next; /* for the owner */
  char *words;                 /* all strings of the result; NULL: there are none yet */
  size_t capacity;
  uvsmtp_recipient_result_t recipients[];
} uvsmtp__kept_t;

/* With room for `recipients`; NULL: out of memory. */
uvsmtp__kept_t *uvsmtp__kept_new(const uvsmtp_mem_t *mem, size_t recipients);
/* With all that follow it. */
void uvsmtp__kept_free(uvsmtp__kept_t *kept);
/*
 * Copies `result`. False: without its words; addresses are those of the envelope then. At most
 * `capacity` recipients.
 */
bool uvsmtp__kept_fill(uvsmtp__kept_t *kept, const uvsmtp_result_t *result);

#endif
