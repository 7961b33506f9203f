/*
 * `uvsmtp compose`: builds a message and prints it, signed if that is asked for. Its source never
 * has to wait, so no loop is needed.
 */
#include "tool.h"

#include <string.h>

/* Writes the message as a server without extensions would get it. */
static int print_source(uvsmtp_source_t *source)
{
  uvsmtp_source_info_t info = {0};
  uvsmtp_slice_t piece = {NULL, 0};
  int err = source->ops->open(source, 0, &info);

  if (err != 0)
    return err;
  do {
    err = source->ops->next(source, &piece);
    if (err == 0 && piece.len > 0 && fwrite(piece.base, 1, piece.len, stdout) != piece.len)
      err = UV_EIO;
  } while (err == 0 && piece.len > 0);
  source->ops->close(source);
  return err == 0 && fflush(stdout) != 0 ? UV_EIO : err;
}

static int compose(letter_t *letter, const settings_t *settings, uvsmtp_dkim_t *signer)
{
  int err = letter_build(letter, settings, NULL);

  if (err == 0 && signer != NULL)
    err = letter_sign(letter, signer);
  if (err == 0)
    err = print_source(letter->source);
  if (err == 0)
    return STATUS_OK;
  if (letter->detail[0] == '\0' && letter->message != NULL)
    snprintf(letter->detail, sizeof letter->detail, "%s", uvsmtp_message_detail(letter->message));
  return complain(status_of(err), "compose", "%s%s%s", uvsmtp_strerror(err),
                  letter->detail[0] != '\0' ? ": " : "", letter->detail);
}

int compose_main(int argc, char **argv)
{
  settings_t settings;
  letter_t letter;
  uvsmtp_dkim_t *signer = NULL;
  char detail[512] = "";
  int status = settings_read_compose(&settings, argc, argv), err;

  memset(&letter, 0, sizeof letter);
  if (status == STATUS_OK && !settings.help) {
    err = signer_new(&signer, &settings, NULL, detail, sizeof detail);
    if (err != 0)
      status = complain(STATUS_CONFIG, "compose", "%s: %s", uvsmtp_strerror(err), detail);
    else
      status = compose(&letter, &settings, signer);
  }
  letter_clear(&letter);
  uvsmtp_dkim_free(signer);
  settings_free(&settings);
  return status;
}
