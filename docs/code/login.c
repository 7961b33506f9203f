/* docs/login.md: ./login URL USER PASSWORD|token:TOKEN */
#include <stdlib.h>

#include "letter.h"

static int password_new(uvsmtp_auth_t **auth, const char *user, const char *password)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  options.user = user;
  options.password = password;
  return uvsmtp_auth_password_new(auth, &options);
}

/* Here a real program asks its identity provider, and answers when that has answered. */
static int fetch_token(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data)
{
  (void)auth;
  uvsmtp_auth_token_set(request, 0, data, 3600);
  return 0;
}

static int token_new(uvsmtp_auth_t **auth, const char *user, char *token)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  options.user = user;
  options.fetch = fetch_token;
  options.data = token;
  return uvsmtp_auth_oauth2_new(auth, &options);
}

static void sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  uvsmtp_client_t *client = send->data;
  printf("%s\n", uvsmtp_status_name(result->status));
  if (uvsmtp_err_class(result->err) == UVSMTP_CLASS_AUTH)
    printf("cannot log in: %s\n", result->error_text);
  uvsmtp_client_close(client, UVSMTP_CLOSE_DRAIN, NULL);
}

static int client_new(uvsmtp_client_t **client, const char *url, uvsmtp_auth_t *auth)
{
  uvsmtp_connection_options_t connection = UVSMTP_CONNECTION_OPTIONS_INIT;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  char detail[256];
  connection.url = url;
  connection.auths = &auth;
  connection.auth_count = 1;
  connection.allow_plaintext_auth = getenv("ALLOW_PLAINTEXT") != NULL; /* for a test's server */
  options.connection = &connection;
  int err = uvsmtp_client_new(client, uv_default_loop(), &options, detail, sizeof(detail));
  if (err != 0)
    printf("%s: %s\n", uvsmtp_strerror(err), detail);
  return err;
}

int main(int argc, char **argv)
{
  uvsmtp_client_t *client;
  uvsmtp_auth_t *auth;
  letter_t letter;

  if (argc != 4)
    return 1;
  bool token = strncmp(argv[3], "token:", 6) == 0;
  int err = token ? token_new(&auth, argv[2], argv[3] + 6) : password_new(&auth, argv[2], argv[3]);
  if (err == 0 && (err = client_new(&client, argv[1], auth)) == 0) {
    uvsmtp_auth_free(auth); /* the client has its own hold */
    letter_init(&letter, client);
    err = uvsmtp_client_send(client, &letter.send, &letter.envelope, &letter.source, sent);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  }
  return err != 0;
}
