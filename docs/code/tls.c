/* docs/tls.md: ./tls URL CA-FILE */
#include "letter.h"

static int context_new(uvsmtp_tls_context_t **tls, const char *ca_file)
{
  uvsmtp_tls_options_t options = UVSMTP_TLS_OPTIONS_INIT;
  char detail[256];
  options.ca_file = ca_file; /* none of ca_…: the system's */
  int err = uvsmtp_tls_context_new(tls, &options, detail, sizeof(detail));
  if (err != 0)
    printf("%s: %s\n", uvsmtp_strerror(err), detail);
  return err;
}

static const char *advice(int err)
{
  switch (err) {
  case UVSMTP_ETLSREQUIRED:
    return "the server offers no STARTTLS: wrong port, or somebody took it away on the way";
  case UVSMTP_ETLSCERT:
    return "nobody we trust signed its certificate: is the CA file right?";
  case UVSMTP_ETLSNAME:
    return "the certificate is for another name: use the name that it has";
  case UVSMTP_ETLSEXPIRED:
    return "the certificate's time is over, or this clock is wrong";
  default:
    return uvsmtp_strerror(err);
  }
}

static void sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  uvsmtp_client_t *client = send->data;
  printf("%s\n", uvsmtp_status_name(result->status));
  if (uvsmtp_err_class(result->err) == UVSMTP_CLASS_TLS)
    printf("%s\n%s\n", result->error_text, advice(result->err));
  uvsmtp_client_close(client, UVSMTP_CLOSE_DRAIN, NULL);
}

int main(int argc, char **argv)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  uvsmtp_tls_context_t *tls;
  uvsmtp_client_t *client;
  letter_t letter;

  if (argc != 3 || context_new(&tls, argv[2]) != 0)
    return 1;
  connection.url = argv[1];
  connection.tls_context = tls;
  options.connection = &connection;
  int err = uvsmtp_client_new(&client, uv_default_loop(), &options, NULL, 0);
  if (err == 0) {
    letter_init(&letter, client);
    err = uvsmtp_client_send(client, &letter.send, &letter.envelope, &letter.source, sent);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  }
  uvsmtp_tls_context_free(tls);
  return err != 0;
}
