/*
 * For the author of a daemon: many messages through one client, and for each recipient of each
 * message what became of it. A window of jobs keeps memory bounded however long the queue is: a job
 * that is done takes the next message.
 *
 *     ./bulk smtp://relay.example COUNT SENDER RECIPIENT…
 *
 * Prints a line for each recipient: message, address, status, and the server's words. The statuses
 * say what to do next:
 *
 *   accepted  forget it
 *   rejected  return it to its sender
 *   deferred  keep it and try again later: it cannot have been delivered
 *   unknown   all of it may have arrived, and the server's last word did not come: to send it again
 *             may double it, not to may lose it. That choice is yours.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uvsmtp.h>

enum { WINDOW = 500 };

typedef struct daemon_s {
  uvsmtp_client_t *client;
  const char *sender;
  uvsmtp_recipient_t *recipients;
  size_t recipient_count;
  unsigned long next, count, active;
} daemon_t;

/* A message on its way. What a send points to stays in place until its callback. */
typedef struct job_s {
  uvsmtp_send_t send;
  uvsmtp_envelope_t envelope;
  uvsmtp_source_t source;
  char text[512];
  unsigned long number;
  daemon_t *daemon;
} job_t;

static void note(const job_t *job, const uvsmtp_recipient_result_t *recipient)
{
  printf("%lu %s %s %d %s\n", job->number, recipient->address,
         uvsmtp_status_name(recipient->status), recipient->code, recipient->text);
}

static void take_next(job_t *job);

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  job_t *job = send->data;

  for (size_t i = 0; i < result->recipient_count; i++)
    note(job, &result->recipients[i]);
  if (result->err != 0)
    fprintf(stderr, "message %lu: %s\n", job->number, result->error_text);
  job->daemon->active--;
  take_next(job);
}

static int start(job_t *job)
{
  daemon_t *d = job->daemon;
  int len = snprintf(job->text, sizeof(job->text),
                     "From: %s\r\nTo: undisclosed-recipients:;\r\nSubject: Message %lu\r\n\r\n"
                     "This is one of many.\r\n",
                     d->sender, job->number);

  uvsmtp_source_memory(&job->source, job->text, (size_t)len);
  job->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  job->envelope.sender = d->sender;
  job->envelope.recipients = d->recipients;
  job->envelope.recipient_count = d->recipient_count;
  job->send.data = job;
  return uvsmtp_client_send(d->client, &job->send, &job->envelope, &job->source, on_sent);
}

/* Gives the job its next message; the last one that is done closes the client. */
static void take_next(job_t *job)
{
  daemon_t *d = job->daemon;

  while (d->next < d->count) {
    int err;
    job->number = ++d->next;
    err = start(job);
    if (err == 0) {
      d->active++;
      return;
    }
    fprintf(stderr, "message %lu cannot be sent: %s\n", job->number, uvsmtp_strerror(err));
  }
  if (d->active == 0)
    uvsmtp_client_close(d->client, UVSMTP_CLOSE_DRAIN, NULL);
}

static int make_client(daemon_t *d, uv_loop_t *loop, const char *url)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  char detail[256] = "";
  int err;

  connection.url = url;
  options.connection = &connection;
  options.max_connections = 20;
  options.max_messages = 1000; /* relays like fresh connections now and then */
  err = uvsmtp_client_new(&d->client, loop, &options, detail, sizeof(detail));
  if (err != 0)
    fprintf(stderr, "%s: %s\n", uvsmtp_strerror(err), detail);
  return err;
}

static void run(daemon_t *d, uv_loop_t *loop, job_t *jobs)
{
  size_t used = d->count < WINDOW ? d->count : WINDOW;

  for (size_t i = 0; i < used; i++)
    jobs[i].daemon = d;
  /* Each job takes one at least, so the client stays open until the last has begun. */
  for (size_t i = 0; i < used && d->next < d->count; i++)
    take_next(&jobs[i]);
  uv_run(loop, UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
  uv_loop_t *loop = uv_default_loop();
  daemon_t d = {0};
  job_t *jobs;

  if (argc < 5 || (d.count = strtoul(argv[2], NULL, 10)) == 0) {
    fprintf(stderr, "usage: bulk URL COUNT SENDER RECIPIENT...\n");
    return 1;
  }
  d.sender = argv[3];
  d.recipient_count = (size_t)argc - 4;
  d.recipients = calloc(d.recipient_count, sizeof(*d.recipients));
  jobs = calloc(WINDOW, sizeof(*jobs));
  for (size_t i = 0; d.recipients != NULL && i < d.recipient_count; i++)
    d.recipients[i].address = argv[4 + i];
  if (d.recipients != NULL && jobs != NULL && make_client(&d, loop, argv[1]) == 0)
    run(&d, loop, jobs);
  free(jobs);
  free(d.recipients);
  return uv_loop_close(loop) == 0 ? 0 : 1;
}
