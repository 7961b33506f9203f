#include "message/signer.h"

/*
 * Signatures that are made, on other threads where there are any.
 *
 * Every signature needs a key for itself; a signer has a few of the same, and what comes beyond
 * them waits in a queue. A signer lives until its last job is done.
 */
#include "base/mem.h"

static void run_job(void *arg)
{
  uvsmtp__job_t *job = arg;
  uvsmtp_dkim_t *s = job->signer;
  if (job->pause)
    return;
  job->signature_len = sizeof(job->signature);
  job->err = s->crypto->sign(s->keys[job->key], job->digest, sizeof(job->digest), job->signature,
                             &job->signature_len);
}

static void run_waiting(uvsmtp_dkim_t *s);

/* Tells that a job is done. Whatever is called from there may start others, or free the signer:
 * that has this job until it has returned. */
static void finish_job(uvsmtp__job_t *job)
{
  uvsmtp_dkim_t *s = job->signer;
  if (!job->pause)
    s->busy &= ~(1u << job->key);
  job->done = true;
  if (job->finished != NULL)
    job->finished(job->who);
  else
    uvsmtp__free(&job->mem, job);
  s->jobs--;
}

/* Frees a signer that its owner has freed, once it has no job. */
static void let_go(uvsmtp_dkim_t *s)
{
  if (s->freed && s->jobs == 0)
    uvsmtp__signer_free(s);
}

static void job_done(void *arg)
{
  uvsmtp_dkim_t *s = ((uvsmtp__job_t *)arg)->signer;
  finish_job(arg);
  run_waiting(s);
  let_go(s);
}

/* Runs a job that has what it needs. */
static void begin_job(uvsmtp__job_t *job)
{
  uvsmtp_dkim_t *s = job->signer;
  job->begun = true;
  if (s->work != NULL && s->work(s->work_ctx, run_job, job_done, job) == 0)
    return;
  run_job(job);
  finish_job(job);
}

/* Takes a key that nobody uses. */
static bool take_key(uvsmtp_dkim_t *s, size_t *key)
{
  for (*key = 0; *key < s->key_count; ++*key) {
    if ((s->busy & 1u << *key) != 0)
      continue;
    s->busy |= 1u << *key;
    return true;
  }
  return false;
}

/* Runs what waits, as far as there are keys. */
static void run_waiting(uvsmtp_dkim_t *s)
{
  size_t key;
  while (s->waiting != NULL && take_key(s, &key)) {
    uvsmtp__job_t *job = s->waiting;
    s->waiting = job->next;
    job->key = key;
    begin_job(job);
  }
}

void uvsmtp__job_start(uvsmtp__job_t *job)
{
  uvsmtp_dkim_t *s = job->signer;
  s->jobs++;
  job->next = NULL;
  if (job->pause) {
    begin_job(job);
  } else {
    if (s->waiting == NULL)
      s->waiting = job;
    else
      s->last_waiting->next = job;
    s->last_waiting = job;
    run_waiting(s);
  }
  let_go(s);
}

/* Takes a job that nobody wants any more out of the queue, so that it costs no signature. */
static void forget_job(uvsmtp__job_t *job)
{
  uvsmtp_dkim_t *s = job->signer;
  uvsmtp__job_t *before = NULL;
  for (uvsmtp__job_t *at = s->waiting; at != job; at = at->next)
    before = at;
  if (before != NULL)
    before->next = job->next;
  else
    s->waiting = job->next;
  if (s->last_waiting == job)
    s->last_waiting = before;
  s->jobs--;
  uvsmtp__free(&job->mem, job);
  let_go(s);
}

void uvsmtp__job_release(uvsmtp__job_t *job)
{
  if (job == NULL)
    return;
  job->finished = NULL;
  if (job->done)
    uvsmtp__free(&job->mem, job);
  else if (!job->begun)
    forget_job(job);
}
