#ifndef TEST_FUZZ_EXCHANGE_H
#define TEST_FUZZ_EXCHANGE_H

/* What targets share that drive exchanges. */
#include "target.h"
#include "uvsmtp/auth.h"

/* An offload that only remembers the job, where the context's owner points to. */
static inline int fuzz_keep_job(void *owner, uvsmtp_auth_job_t *job)
{
  *(uvsmtp_auth_job_t **)owner = job;
  return 0;
}

/* One challenge, in a block of its own, or none; and what was put off because of it. */
static inline int fuzz_challenge(uvsmtp_exchange_t *exchange, fuzz_input_t *in,
                                 uvsmtp_auth_job_t **kept)
{
  uvsmtp_slice_t given, response;
  char *bytes = in != NULL ? fuzz_piece(in, fuzz_byte(in), &given.len) : NULL;
  int err;

  given.base = bytes;
  err = uvsmtp_exchange_step(exchange, 0, in != NULL ? &given : NULL, &response);
  free(bytes); /* before it is resumed: nothing may point there */
  FUZZ_CHECK((err == UVSMTP_PENDING) == (*kept != NULL));
  if (*kept != NULL) {
    uvsmtp_auth_job_t *job = *kept;
    *kept = NULL;
    job->work(job);
    job->done(job, 0);
    err = uvsmtp_exchange_step(exchange, 0, NULL, &response);
  }
  return err;
}

#endif
