#include <stdlib.h>

#include "base/mem.h"
#include "uvsmtp/connection.h"

/* A job in libuv's thread pool. */
typedef struct job_s {
  uv_work_t work;
  void (*run)(void *arg);
  void (*done)(void *arg);
  void *arg;
} job_t;

static void work(uv_work_t *work)
{
  job_t *job = work->data;
  job->run(job->arg);
}

/* A job that was cancelled (by nobody here: its request is private) runs late rather than never,
 * since whoever waits for it counts on its result. */
static void after_work(uv_work_t *work, int status)
{
  job_t job = *(job_t *)work->data;
  uvsmtp__free(NULL, work->data);
  if (status != 0)
    job.run(job.arg);
  job.done(job.arg);
}

int uvsmtp_loop_work(void *loop, void (*run)(void *arg), void (*done)(void *arg), void *arg)
{
  job_t *job = uvsmtp__calloc(NULL, 1, sizeof(*job));
  int err;
  if (job == NULL)
    return UVSMTP_ENOMEM;
  *job = (job_t){.run = run, .done = done, .arg = arg};
  job->work.data = job;
  err = uv_queue_work(loop, &job->work, work, after_work);
  if (err != 0)
    uvsmtp__free(NULL, job);
  return err;
}
