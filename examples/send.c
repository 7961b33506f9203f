/*
 * Sends one message: the program of the README.
 *
 *     ./send smtp://user:password@mail.example:587
 */
#include <stdio.h>
#include <uvsmtp.h>

static const char text[] = "From: ann@here.example\nTo: bob@there.example\nSubject: Hi\n\nHello!\n";

static void sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  printf("%s %s\n", uvsmtp_status_name(result->status), result->error_text);
  uvsmtp_client_close(send->data, UVSMTP_CLOSE_DRAIN, NULL);
}

int main(int argc, char **argv)
{
  uvsmtp_recipient_t to = {.address = "bob@there.example"};
  uvsmtp_envelope_t envelope = {.size = sizeof(envelope),
                                .sender = "ann@here.example",
                                .recipients = &to,
                                .recipient_count = 1};
  uvsmtp_client_t *client;
  uvsmtp_source_t source;

  if (argc < 2 || uvsmtp_client_new_url(&client, uv_default_loop(), argv[1]) != 0)
    return 1;
  uvsmtp_source_memory(&source, text, sizeof(text) - 1);
  uvsmtp_send_t send = {.data = client};
  return uvsmtp_client_send(client, &send, &envelope, &source, sent) != 0 ||
         uv_run(uv_default_loop(), UV_RUN_DEFAULT) != 0;
}
