/*
 * A message from a program without a loop: each call returns when it is done.
 *
 *     ./blocking smtp://user:password@mail.example:587
 */
#include <stdio.h>
#include <uvsmtp.h>

static const char text[] = "From: ann@here.example\nTo: bob@there.example\nSubject: Hi\n\nHello!\n";

int main(int argc, char **argv)
{
  uvsmtp_recipient_t to = {.address = "bob@there.example"};
  uvsmtp_envelope_t envelope = {.size = sizeof(envelope),
                                .sender = "ann@here.example",
                                .recipients = &to,
                                .recipient_count = 1};
  uvsmtp_blocking_client_t *client;
  const uvsmtp_result_t *result;
  uvsmtp_source_t source;

  if (argc < 2 || uvsmtp_blocking_client_new_url(&client, argv[1]) != 0)
    return 1;
  uvsmtp_source_memory(&source, text, sizeof(text) - 1);
  int err = uvsmtp_blocking_client_send(client, &envelope, &source, &result);
  printf("%s %s\n", uvsmtp_status_name(result->status), result->error_text);
  uvsmtp_blocking_client_close(client);
  return err != 0;
}
