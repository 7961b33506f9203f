/*
 * --token-command: runs a program for an OAuth access token, while the loop goes on. It prints the
 * token, or the JSON object of RFC 6749 section 5.1 with access_token and expires_in.
 */
#include "tool.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_OUTPUT = 64 * 1024 };

typedef struct run_s {
  uv_process_t process;
  uv_pipe_t pipe;
  uvsmtp_token_request_t *request;
  unsigned handles; /* that are not closed yet */
  bool exited, ended;
  int64_t status;
  int err;
  size_t len;
  char output[MAX_OUTPUT + 1];
} run_t;

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

/* Cuts a JSON string out, in place. Tokens have no character that needs more than "\/". */
static const char *cut_string(char *p)
{
  char *out = p, *start = p;

  for (p++; *p != '"' && *p != '\0'; p++) {
    if (*p == '\\' && p[1] != '\0')
      p++;
    *out++ = *p;
  }
  *out = '\0';
  return start;
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
    *lifetime_s = strtoull(found + (*found == '"'), NULL, 10);
  found = member(output, "access_token");
  return found != NULL && *found == '"' ? cut_string(output + (found - output)) : "";
}

/* ---- running ---- */

static void finish(run_t *run)
{
  uint64_t lifetime_s = 0;
  const char *token = "";

  run->output[run->len] = '\0';
  if (run->err == 0 && run->status != 0)
    run->err = UVSMTP_EAUTHTOKEN;
  if (run->err == 0)
    token = cut_token(run->output, &lifetime_s);
  uvsmtp_auth_token_set(run->request, run->err, token, lifetime_s);
  wipe(run, sizeof *run);
  free(run);
}

static void on_closed(uv_handle_t *handle)
{
  run_t *run = handle->data;

  if (--run->handles == 0)
    finish(run);
}

static void close_if_over(run_t *run)
{
  if (!run->exited || !run->ended)
    return;
  uv_close((uv_handle_t *)&run->process, on_closed);
  uv_close((uv_handle_t *)&run->pipe, on_closed);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
  run_t *run = process->data;

  run->status = signal != 0 ? -1 : status;
  run->exited = true;
  close_if_over(run);
}

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  run_t *run = handle->data;

  (void)suggested;
  *buf = uv_buf_init(run->output + run->len, (unsigned)(MAX_OUTPUT - run->len));
}

/* Too much output ends it as well: there is no more space. */
static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
  run_t *run = stream->data;

  (void)buf;
  if (n >= 0) {
    run->len += (size_t)n;
    return;
  }
  if (n != UV_EOF)
    run->err = (int)n;
  uv_read_stop(stream);
  run->ended = true;
  close_if_over(run);
}

static int spawn(run_t *run, uv_loop_t *loop, const char *command)
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
  run_t *run = calloc(1, sizeof *run);

  (void)auth;
  if (run == NULL)
    return UVSMTP_ENOMEM;
  run->request = request;
  run->handles = 2;
  run->process.data = run->pipe.data = run;
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
