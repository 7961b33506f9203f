/*
 * Numbers of a run for Prometheus, as its node exporter collects them from files: it may look at
 * any moment, so the file is written beside and put into its place when it is whole.
 */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int write_file(const char *name, const char *text, size_t len)
{
  FILE *file = fopen(name, "w");
  bool good;

  if (file == NULL)
    return errno;
  good = fwrite(text, 1, len, file) == len;
  return fclose(file) == 0 && good ? 0 : EIO;
}

static int replace_file(const char *name, const char *text, size_t len)
{
  size_t size = strlen(name) + 8;
  char *beside = malloc(size);
  int err;

  if (beside == NULL)
    return ENOMEM;
  snprintf(beside, size, "%s.new", name);
  err = write_file(beside, text, len);
  if (err == 0 && rename(beside, name) != 0)
    err = errno;
  if (err != 0)
    remove(beside);
  free(beside);
  return err;
}

int report_metrics(const char *file, const uvsmtp_client_t *client)
{
  size_t len = uvsmtp_client_prometheus(&client, NULL, 1, NULL, 0);
  char *text = malloc(len + 1);
  int err = ENOMEM;

  if (text != NULL) {
    uvsmtp_client_prometheus(&client, NULL, 1, text, len + 1);
    err = replace_file(file, text, len);
  }
  free(text);
  if (err == 0)
    return STATUS_OK;
  return complain(STATUS_CONFIG, "send", "--metrics: %s: %s", file, strerror(err));
}
