/*
 * `uvsmtp send`: every FILE becomes a letter, as many at a time as WINDOW says, and goes out
 * through one client. Results are printed as they come. When the last one is there, the client is
 * drained and the loop runs out of work. Ctrl-C ends all at once, and still tells what became of
 * each message.
 */
#include "tool.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Messages that are prepared or under way; each holds a file or at most some 300 KiB. */
enum { WINDOW = 64, CONNECTIONS = 10, RETRY_DELAY_MS = 250 };

/* One --server. */
typedef struct server_s {
  uvsmtp_url_t url;
  login_t login;
  uvsmtp_connection_options_t connection;
} server_t;

typedef struct run_s {
  const settings_t *settings;
  uv_loop_t loop;
  uv_signal_t interrupt, terminate;
  uvsmtp_client_t *client;
  uvsmtp_tls_context_t *tls;
  uvsmtp_dkim_t *signer;
  server_t *servers;
  const char *const *names; /* of files; NULL: one built message */
  size_t count, next, active;
  bool trace_colour;
  int status;
} run_t;

typedef struct task_s {
  uvsmtp_send_t send;
  letter_t letter;
  run_t *run;
} task_t;

static void start_more(run_t *run);

/* ---- messages ---- */

static void task_free(task_t *task)
{
  letter_clear(&task->letter);
  free(task);
}

static void on_sent(uvsmtp_send_t *send, const uvsmtp_result_t *result)
{
  task_t *task = send->data;
  run_t *run = task->run;

  run->status = worse(run->status, report_result(run->settings, &task->letter, result));
  task_free(task);
  run->active--;
  start_more(run);
}

static int prepare(task_t *task, const char *name)
{
  run_t *run = task->run;
  int err;

  if (name == NULL)
    err = letter_build(&task->letter, run->settings, &run->loop);
  else
    err = letter_from_file(&task->letter, run->settings, &run->loop, name);
  if (err == 0 && run->signer != NULL)
    err = letter_sign(&task->letter, run->signer);
  if (err == 0)
    err = uvsmtp_client_send(run->client, &task->send, &task->letter.envelope, task->letter.source,
                             on_sent);
  return err;
}

static void start_one(run_t *run, const char *name)
{
  task_t *task = calloc(1, sizeof *task);
  int err;

  if (task == NULL) {
    run->status = worse(run->status, complain(STATUS_TEMPORARY, "send", "out of memory"));
    return;
  }
  task->run = run;
  task->send.data = task;
  err = prepare(task, name);
  if (err == 0) {
    run->active++;
    return;
  }
  run->status = worse(run->status, report_failure(run->settings, &task->letter, err));
  task_free(task);
}

static void on_client_closed(uvsmtp_client_t *client)
{
  run_t *run = uvsmtp_client_data(client);

  if (run->settings->metrics != NULL)
    run->status = worse(run->status, report_metrics(run->settings->metrics, client));
}

static void start_more(run_t *run)
{
  while (run->active < WINDOW && run->next < run->count) {
    const char *name = run->names == NULL ? NULL : run->names[run->next];
    run->next++;
    start_one(run, name);
  }
  if (run->active > 0 || uv_is_closing((uv_handle_t *)&run->interrupt))
    return;
  uv_close((uv_handle_t *)&run->interrupt, NULL);
  uv_close((uv_handle_t *)&run->terminate, NULL);
  uvsmtp_client_close(run->client, UVSMTP_CLOSE_DRAIN, on_client_closed);
}

/* No more is started; a second signal ends the process as ever. */
static void on_interrupt(uv_signal_t *handle, int number)
{
  run_t *run = handle->data;
  uvsmtp_client_waiting_t waiting;

  (void)number;
  uvsmtp_client_waiting(run->client, &waiting);
  if (waiting.sends > 0)
    complain(STATUS_TEMPORARY, "send", "interrupted: %s", waiting.text);
  uv_signal_stop(&run->interrupt);
  uv_signal_stop(&run->terminate);
  uvsmtp_client_close(run->client, UVSMTP_CLOSE_ABORT, on_client_closed);
}

static void watch_signals(run_t *run)
{
  uv_signal_init(&run->loop, &run->interrupt);
  uv_signal_init(&run->loop, &run->terminate);
  run->interrupt.data = run->terminate.data = run;
  uv_signal_start(&run->interrupt, on_interrupt, SIGINT);
  uv_signal_start(&run->terminate, on_interrupt, SIGTERM);
}

/* ---- the client ---- */

/* Connections have their numbers from 1, since this process has no others. */
static void on_trace(void *data, uvsmtp_connection_t *connection, uvsmtp_trace_t kind,
                     const char *line, size_t len)
{
  const run_t *run = data;

  fprintf(stderr, "%s%llu %c: ", run->trace_colour ? "\033[2m" : "",
          (unsigned long long)uvsmtp_connection_id(connection),
          kind == UVSMTP_TRACE_SENT ? 'C' : 'S');
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)line[i];
    putc(c < 32 || c == 127 ? '?' : c, stderr);
  }
  fprintf(stderr, "%s\n", run->trace_colour ? "\033[0m" : "");
}

static bool tls_mode(const char *name, uvsmtp_tls_mode_t *mode)
{
  static const struct {
    const char *name;
    uvsmtp_tls_mode_t mode;
  } modes[] = {
      {"required", UVSMTP_TLS_REQUIRED},
      {"implicit", UVSMTP_TLS_IMPLICIT},
      {"opportunistic", UVSMTP_TLS_OPPORTUNISTIC},
      {"none", UVSMTP_TLS_NONE},
  };

  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    if (strcmp(modes[i].name, name) == 0) {
      *mode = modes[i].mode;
      return true;
    }
  }
  return false;
}

/* --tls against what the URL says: smtps:// is TLS from the first byte, which satisfies
 * "required" and contradicts the weaker ones. */
static int choose_tls(const settings_t *s, const uvsmtp_url_t *url, uvsmtp_tls_mode_t *mode)
{
  *mode = url->tls;
  if (s->tls == NULL)
    return STATUS_OK;
  if (!tls_mode(s->tls, mode))
    return complain(STATUS_USAGE, "send", "--tls cannot be %s", s->tls);
  if (url->tls != UVSMTP_TLS_IMPLICIT || *mode == UVSMTP_TLS_IMPLICIT)
    return STATUS_OK;
  if (*mode != UVSMTP_TLS_REQUIRED)
    return complain(STATUS_USAGE, "send", "--tls %s contradicts the URL", s->tls);
  *mode = UVSMTP_TLS_IMPLICIT;
  return STATUS_OK;
}

static int make_tls(run_t *run)
{
  const settings_t *s = run->settings;
  uvsmtp_tls_options_t options = UVSMTP_TLS_OPTIONS_INIT;
  char detail[512] = "";
  int err;

  if (s->ca == NULL && s->cert == NULL && !s->insecure && s->pins.count == 0 && s->tls_max == NULL)
    return STATUS_OK;
  options.ca_file = s->ca;
  options.trust_optional = s->tls != NULL && strcmp(s->tls, "opportunistic") == 0;
  options.cert_file = s->cert;
  options.key_file = s->key;
  options.pins = s->pins.at;
  options.pin_count = s->pins.count;
  if (s->tls_max != NULL)
    options.max_version = strcmp(s->tls_max, "1.2") == 0 ? UVSMTP_TLS_1_2 : UVSMTP_TLS_1_3;
  if (s->insecure)
    options.verify = UVSMTP_TLS_VERIFY_NONE_INSECURE;
  err = uvsmtp_tls_context_new(&run->tls, &options, detail, sizeof detail);
  if (err == 0)
    return STATUS_OK;
  return complain(STATUS_CONFIG, "send", "%s", detail[0] != '\0' ? detail : uvsmtp_strerror(err));
}

static void set_timeouts(uvsmtp_connection_options_t *options, uint64_t ms)
{
  options->connect_timeout_ms = options->tls_timeout_ms = ms;
  options->timeouts.greeting_ms = options->timeouts.command_ms = ms;
  options->timeouts.data_ms = options->timeouts.body_ms = options->timeouts.data_end_ms = ms;
}

static void fill_way(uvsmtp_connection_options_t *options, const settings_t *s)
{
  const char *usual = getenv("UVSMTP_PROXY");

  options->proxy = s->proxy;
  if (s->proxy == NULL && options->unix_path == NULL && usual != NULL && *usual != '\0')
    options->proxy = usual;
  if (s->proxy_header != NULL)
    options->proxy_header =
        strcmp(s->proxy_header, "v1") == 0 ? UVSMTP_PROXY_HEADER_V1 : UVSMTP_PROXY_HEADER_V2;
  options->source_address = s->source;
  if (s->ipv4 || s->ipv6)
    options->family = s->ipv4 ? UVSMTP_FAMILY_IPV4 : UVSMTP_FAMILY_IPV6;
}

static void fill_connection(run_t *run, server_t *server)
{
  uvsmtp_connection_options_t *options = &server->connection;
  const uvsmtp_url_t *url = &server->url;
  const settings_t *s = run->settings;

  options->host = url->host;
  options->port = url->port;
  options->unix_path = url->unix_path;
  fill_way(options, s);
  options->lmtp = url->lmtp;
  options->ehlo_domain = s->ehlo != NULL ? s->ehlo : url->ehlo;
  options->tls_context = run->tls;
  options->auths = server->login.auths;
  options->auth_count = server->login.count;
  options->allow_plaintext_auth = s->allow_plaintext_auth;
  if (s->timeout_s > 0)
    set_timeouts(options, s->timeout_s * 1000);
  if (s->trace) {
    run->trace_colour = use_colour(stderr);
    options->trace = on_trace;
    options->trace_data = run;
  }
}

static int make_server(run_t *run, server_t *server, const char *text)
{
  char detail[512] = "";
  int err = uvsmtp_url_parse(&server->url, text, detail, sizeof detail), status;

  server->connection = (uvsmtp_connection_options_t)UVSMTP_CONNECTION_OPTIONS_INIT;
  if (err != 0)
    return complain(STATUS_USAGE, "send", "--server: %s",
                    detail[0] != '\0' ? detail : uvsmtp_strerror(err));
  status = choose_tls(run->settings, &server->url, &server->connection.tls);
  if (status == STATUS_OK)
    status = login_new(&server->login, run->settings, &server->url, &run->loop);
  if (status == STATUS_OK)
    fill_connection(run, server);
  return status;
}

static int make_client_of(run_t *run, uvsmtp_endpoint_t *endpoints)
{
  const settings_t *s = run->settings;
  uvsmtp_client_options_t options = UVSMTP_CLIENT_OPTIONS_INIT;
  char detail[512] = "";
  int err;

  options.endpoints = endpoints;
  options.endpoint_count = s->servers.count;
  options.max_connections = s->connections > 0 ? s->connections : CONNECTIONS;
  options.message_rate = s->rate;
  options.data = run;
  options.retry_delay_ms = RETRY_DELAY_MS;
  err = uvsmtp_client_new(&run->client, &run->loop, &options, detail, sizeof detail);
  if (err == 0)
    return STATUS_OK;
  return complain(err == UVSMTP_ETLSCONFIG ? STATUS_CONFIG : STATUS_USAGE, "send", "%s",
                  detail[0] != '\0' ? detail : uvsmtp_strerror(err));
}

static int make_client(run_t *run)
{
  const texts_t *servers = &run->settings->servers;
  uvsmtp_endpoint_t *endpoints = calloc(servers->count, sizeof *endpoints);
  int status;

  run->servers = calloc(servers->count, sizeof *run->servers);
  if (endpoints == NULL || run->servers == NULL) {
    free(endpoints);
    return complain(STATUS_TEMPORARY, "send", "out of memory");
  }
  status = make_tls(run);
  for (size_t i = 0; i < servers->count && status == STATUS_OK; i++) {
    endpoints[i] = (uvsmtp_endpoint_t)UVSMTP_ENDPOINT_INIT;
    endpoints[i].connection = &run->servers[i].connection;
    endpoints[i].priority = (unsigned)i;
    status = make_server(run, &run->servers[i], servers->at[i]);
  }
  if (status == STATUS_OK)
    status = make_client_of(run, endpoints);
  free(endpoints);
  return status;
}

static void free_servers(run_t *run)
{
  for (size_t i = 0; run->servers != NULL && i < run->settings->servers.count; i++) {
    login_free(&run->servers[i].login);
    uvsmtp_url_clear(&run->servers[i].url);
  }
  free(run->servers);
}

static int make_signer(run_t *run)
{
  char detail[512] = "";
  int err = signer_new(&run->signer, run->settings, &run->loop, detail, sizeof detail);

  if (err == 0)
    return STATUS_OK;
  return complain(STATUS_CONFIG, "send", "%s: %s", uvsmtp_strerror(err), detail);
}

/* ---- all together ---- */

static void name_files(run_t *run)
{
  static const char *const standard_input[] = {"-"};
  const texts_t *files = &run->settings->files;

  run->count = 1;
  if (settings_build(run->settings))
    return;
  run->names = standard_input;
  if (files->count == 0)
    return;
  run->names = files->at;
  run->count = files->count;
}

static int run_all(run_t *run)
{
  int status = make_client(run);

  if (status != STATUS_OK)
    return status;
  watch_signals(run);
  status = make_signer(run);
  if (status == STATUS_OK)
    name_files(run);
  start_more(run); /* closes all where there is nothing to send */
  uv_run(&run->loop, UV_RUN_DEFAULT);
  return worse(run->status, status);
}

int send_main(int argc, char **argv)
{
  settings_t settings;
  run_t run;
  int status = settings_read_send(&settings, argc, argv);

  if (status == STATUS_OK && !settings.help) {
    signal(SIGPIPE, SIG_IGN);
    memset(&run, 0, sizeof run);
    run.settings = &settings;
    uv_loop_init(&run.loop);
    status = run_all(&run);
    free_servers(&run);
    uvsmtp_dkim_free(run.signer);
    uvsmtp_tls_context_free(run.tls);
    uv_loop_close(&run.loop);
  }
  settings_free(&settings);
  return status;
}
