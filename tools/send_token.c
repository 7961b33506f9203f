/*
 * --token-command: runs a program for an OAuth access token, while the loop goes on. It prints the
 * token, or the JSON object of RFC 6749 section 5.1 with access_token and expires_in.
 */
#include "tool.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OUTPUT = 64 * 1024 };

typedef struct token_run_s {
  uv_process_t process;
  uv_pipe_t pipe;
  login_t *login; /* NULL: nobody waits any more, and the login may be gone */
  uvsmtp_token_request_t *request;
  unsigned handles; /* that are not closed yet */
  bool exited, ended, full;
  int64_t status;
  int signal, err;
  size_t len;
  char output[MAX_OUTPUT + 1];
} token_run_t;

/* ---- what it printed ---- */

/* What stands behind "name": in a JSON object, as text; NULL if it is not there. */
static const char *member(const char *json, const char *name)
{
  size_t len = strlen(name);

  for (const char *p = strchr(json, '"'); p != NULL; p = strchr(p + 1, '"')) {
    if (strncmp(p + 1, name, len) != 0 || p[len + 1] != '"')
      continue;
    p += len + 2;
    p += strspn(p, " \t\r\n");
    if (*p == ':')
      return p + 1 + strspn(p + 1, " \t\r\n");
    p--;
  }
  return NULL;
}

/* The character of "\\uXXXX" if it is one of ASCII, as all of a token's are; else 0. */
static char escaped(const char *digits)
{
  unsigned code = 0;

  return sscanf(digits, "%4x", &code) == 1 && code < 0x80 ? (char)code : '\0';
}

/* Cuts a JSON string out, in place. */
static const char *cut_string(char *p)
{
  char *out = p, *start = p;

  for (p++; *p != '"' && *p != '\0'; p++) {
    if (p[0] == '\\' && p[1] == 'u' && strlen(p) >= 6) {
      *out++ = escaped(p + 2);
      p += 5;
      continue;
    }
    if (*p == '\\' && p[1] != '\0')
      p++;
    *out++ = *p;
  }
  *out = '\0';
  return start;
}

/* Seconds; some servers write them as a string, or with a fraction. */
static uint64_t lifetime_of(const char *text)
{
  double seconds = strtod(text + (*text == '"'), NULL);

  return seconds > 0 && seconds < 1e15 ? (uint64_t)seconds : 0;
}

static const char *cut_token(char *output, uint64_t *lifetime_s)
{
  size_t blanks = strspn(output, " \t\r\n");
  const char *found;

  *lifetime_s = UVSMTP_TOKEN_UNTIL_REFUSED;
  if (output[blanks] != '{') {
    output += blanks;
    output[strcspn(output, " \t\r\n")] = '\0';
    return output;
  }
  found = member(output, "expires_in");
  if (found != NULL)
    *lifetime_s = lifetime_of(found);
  found = member(output, "access_token");
  return found != NULL && *found == '"' ? cut_string(output + (found - output)) : "";
}

/* ---- running ---- */

static void say_why(token_run_t *run, char *why, size_t size)
{
  why[0] = '\0';
  if (run->err != 0)
    snprintf(why, size, "the token command cannot be run: %s", uvsmtp_strerror(run->err));
  else if (run->signal != 0)
    snprintf(why, size, "the token command was ended by signal %d", run->signal);
  else if (run->status != 0)
    snprintf(why, size, "the token command ended with status %d", (int)run->status);
  else if (run->full)
    snprintf(why, size, "the token command printed more than %d octets", MAX_OUTPUT);
}

static void finish(token_run_t *run)
{
  uint64_t lifetime_s = 0;
  const char *token;
  char why[160];

  run->output[run->len] = '\0';
  say_why(run, why, sizeof why);
  if (run->login != NULL)
    run->login->token_run = NULL;
  token = why[0] == '\0' ? cut_token(run->output, &lifetime_s) : why;
  if (why[0] == '\0' && token[0] == '\0')
    token = strcpy(why, "the token command printed no token");
  uvsmtp_auth_token_set(run->request, why[0] != '\0' ? UVSMTP_EAUTHTOKEN : 0, token, lifetime_s);
  wipe(run, sizeof *run);
  free(run);
}

static void on_closed(uv_handle_t *handle)
{
  token_run_t *run = handle->data;

  if (--run->handles == 0)
    finish(run);
}

static void close_handles(token_run_t *run)
{
  uv_close((uv_handle_t *)&run->process, on_closed);
  uv_close((uv_handle_t *)&run->pipe, on_closed);
}

static void close_if_over(token_run_t *run)
{
  if (run->exited && run->ended)
    close_handles(run);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
  token_run_t *run = process->data;

  run->status = status;
  run->signal = signal;
  run->exited = true;
  close_if_over(run);
}

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  token_run_t *run = handle->data;

  (void)suggested;
  *buf = uv_buf_init(run->output + run->len, (unsigned)(MAX_OUTPUT - run->len));
}

/* Too much output ends it as well: there is no more space. */
static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
  token_run_t *run = stream->data;

  (void)buf;
  if (n >= 0) {
    run->len += (size_t)n;
    return;
  }
  if (n == UV_ENOBUFS)
    run->full = true;
  else if (n != UV_EOF)
    run->err = (int)n;
  uv_read_stop(stream);
  run->ended = true;
  close_if_over(run);
}

static int spawn(token_run_t *run, uv_loop_t *loop, const char *command)
{
  char shell[] = "/bin/sh", option[] = "-c";
  char *arguments[] = {shell, option, (char *)(uintptr_t)command, NULL};
  uv_stdio_container_t streams[3] = {
      {.flags = UV_IGNORE},
      {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&run->pipe},
      {.flags = UV_INHERIT_FD, .data.fd = 2},
  };
  uv_process_options_t options = {.file = shell,
                                  .args = arguments,
                                  .stdio = streams,
                                  .stdio_count = 3,
                                  .exit_cb = on_exit_status};

  return uv_spawn(loop, &run->process, &options);
}

int token_fetch(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data)
{
  login_t *login = data;
  token_run_t *run = calloc(1, sizeof *run);

  (void)auth;
  if (run == NULL)
    return UVSMTP_ENOMEM;
  run->login = login;
  run->request = request;
  run->handles = 2;
  run->process.data = run->pipe.data = run;
  login->token_run = run;
  uv_pipe_init(login->loop, &run->pipe, 0);
  run->err = spawn(run, login->loop, login->token_command);
  /* A handle whose process did not start has to be closed nevertheless. */
  if (run->err != 0) {
    run->exited = run->ended = true;
    close_if_over(run);
    return 0;
  }
  uv_read_start((uv_stream_t *)&run->pipe, on_space, on_output);
  return 0;
}

/* What the command has started in its turn is not looked for; nobody waits for it either. */
void token_cancel(uvsmtp_token_request_t *request, void *data)
{
  login_t *login = data;
  token_run_t *run = login->token_run;

  if (run == NULL || run->request != request)
    return;
  login->token_run = NULL;
  run->login = NULL;
  if (uv_is_closing((uv_handle_t *)&run->process))
    return;
  if (!run->exited)
    uv_process_kill(&run->process, SIGTERM);
  close_handles(run);
}
