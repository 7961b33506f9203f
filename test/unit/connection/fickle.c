#include "fickle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chance.h"

static uint64_t hash(const char *s, size_t len, uint64_t start)
{
  uint64_t h = start ^ UINT64_C(14695981039346656037);
  for (size_t i = 0; i < len; i++)
    h = (h ^ (unsigned char)s[i]) * UINT64_C(1099511628211);
  return h;
}

/* What chance says to this question. */
static chance_t chance_for(const fickle_t *server, const char *verb, const char *about)
{
  return chance_of(hash(about, strlen(about), hash(verb, strlen(verb), server->seed)));
}

/* ---- saying ---- */

void fickle_hang_up(fickle_t *server)
{
  if (!server->open)
    return;
  server->open = false;
  uv_close((uv_handle_t *)&server->pipe, NULL);
  uv_close((uv_handle_t *)&server->turn, NULL);
}

/* One piece a turn. */
static void on_turn(uv_idle_t *turn)
{
  fickle_t *server = turn->data;
  chance_t chance = chance_of(server->seed + ++server->turns);
  size_t len = server->out_len - server->left;
  uv_buf_t buf;
  int n;
  if (chance_below(&chance, 4) == 0)
    len = 1 + chance_below(&chance, len);
  if (server->cut_out != 0 && server->left + len >= server->cut_out)
    len = (size_t)(server->cut_out - server->left);
  buf = uv_buf_init(server->out + server->left, (unsigned)len);
  n = len > 0 ? uv_try_write((uv_stream_t *)&server->pipe, &buf, 1) : 0;
  server->left += n > 0 ? (size_t)n : 0;
  if ((n < 0 && n != UV_EAGAIN) || (server->cut_out != 0 && server->left >= server->cut_out))
    fickle_hang_up(server);
  else if (server->left == server->out_len)
    uv_idle_stop(turn);
}

static void say(fickle_t *server, const char *text)
{
  size_t len = strlen(text);
  if (server->out_len + len > server->out_room) {
    server->out_room = (server->out_len + len) * 2;
    server->out = realloc(server->out, server->out_room);
  }
  memcpy(server->out + server->out_len, text, len);
  server->out_len += len;
  if (server->open)
    uv_idle_start(&server->turn, on_turn);
}

/* A reply with some words, in one line as a rule. */
static void reply(fickle_t *server, chance_t *chance, int code, const char *enhanced)
{
  static const char words[] = "Ok: queued as 4F2C1A7B99 (for now, and no longer than that)";
  size_t len = chance_below(chance, 3) == 0 ? chance_below(chance, sizeof(words)) : 2;
  bool has_code = chance_below(chance, 4) != 0;
  char text[256];
  if (chance_below(chance, 8) == 0) {
    snprintf(text, sizeof(text), "%d-%s%s there is more to say\r\n", code, has_code ? enhanced : "",
             has_code ? " " : "");
    say(server, text);
  }
  snprintf(text, sizeof(text), "%d %s%s%.*s%s\n", code, has_code ? enhanced : "",
           has_code ? " " : "", (int)len, words, chance_below(chance, 16) != 0 ? "\r" : "");
  say(server, text);
}

/* ---- answers ---- */

/* Something that no server should say there; true if that was all. */
static bool errs(fickle_t *server, chance_t *chance)
{
  static const char *const errors[] = {"421 4.3.2 Bye\r\n",
                                       "503 5.5.1 Out of step\r\n",
                                       "500 5.5.2 What?\r\n",
                                       "452 4.5.3 Too many\r\n",
                                       "250-2.0.0 Ok\r\n251 2.0.0 Or not\r\n",
                                       "Hello\r\n",
                                       "354 Go\r\n",
                                       "250 2.0.0 One\r\n250 2.0.0 Two\r\n"};
  if (server->errs == 0 || chance_below(chance, server->errs) != 0)
    return false;
  say(server, errors[chance_below(chance, sizeof(errors) / sizeof(errors[0]))]);
  server->erred = true;
  return true;
}

/* Is it refused? If so, that is said. */
static bool refuses(fickle_t *server, chance_t *chance)
{
  if (server->refuses == 0 || chance_below(chance, server->refuses) != 0)
    return false;
  if (chance_below(chance, 2) == 0)
    reply(server, chance, 550, "5.1.1");
  else
    reply(server, chance, 450, "4.2.0");
  return true;
}

static void on_hello(fickle_t *server, chance_t *chance)
{
  static const char *const keywords[] = {"PIPELINING", "CHUNKING", "8BITMIME", "PRDR"};
  char line[64];
  say(server, "250-mx.example\r\n");
  for (unsigned i = 0; i < 4; i++)
    if ((server->offers >> i & 1) != 0) {
      snprintf(line, sizeof(line), "250-%s\r\n", keywords[i]);
      say(server, line);
    }
  say(server, chance_below(chance, 2) == 0 ? "250 SIZE 100000\r\n" : "250 SIZE\r\n");
}

static void end_mail(fickle_t *server)
{
  server->in_mail = false;
  server->recipient_count = 0;
}

static void on_mail(fickle_t *server, chance_t *chance, const char *path)
{
  snprintf(server->sender, sizeof(server->sender), "%s", path);
  if (server->in_mail) {
    reply(server, chance, 503, "5.5.1");
    return;
  }
  if (errs(server, chance) || refuses(server, chance))
    return;
  server->in_mail = true;
  reply(server, chance, 250, "2.1.0");
}

static void on_rcpt(fickle_t *server, chance_t *chance, const char *path)
{
  if (!server->in_mail) {
    reply(server, chance, 503, "5.5.1");
    return;
  }
  if (errs(server, chance) || refuses(server, chance))
    return;
  if (server->recipient_count < 8)
    snprintf(server->recipients[server->recipient_count++], 96, "%s", path);
  reply(server, chance, 250, "2.1.5");
}

/* The content is there; LMTP answers for each recipient. */
static void on_end(fickle_t *server)
{
  size_t count = server->lmtp ? server->recipient_count : 1;
  char about[256];
  for (size_t i = 0; i < count; i++) {
    chance_t chance;
    snprintf(about, sizeof(about), "%s%s", server->sender, server->recipients[i]);
    chance = chance_for(server, "end", about);
    if (errs(server, &chance) || refuses(server, &chance))
      continue;
    for (size_t k = i; k < (server->lmtp ? i + 1 : server->recipient_count); k++)
      server->on_stored(server, server->recipients[k]);
    reply(server, &chance, 250, "2.0.0");
  }
  end_mail(server);
}

static void on_data(fickle_t *server, chance_t *chance)
{
  if (server->recipient_count == 0) {
    reply(server, chance, 503, "5.5.1");
    return;
  }
  if (errs(server, chance) || refuses(server, chance))
    return;
  server->in_data = true;
  reply(server, chance, 354, "2.0.0");
}

static void command(fickle_t *server, const char *line, size_t len)
{
  char verb[5] = "", path[96] = "";
  const char *end = memchr(line, '>', len);
  chance_t chance;
  memcpy(verb, line, len < 4 ? len : 4);
  if (end != NULL)
    snprintf(path, sizeof(path), "%.*s", (int)(end + 1 - line), line);
  chance = chance_for(server, verb, path);
  if (strcmp(verb, "EHLO") == 0 || strcmp(verb, "LHLO") == 0)
    on_hello(server, &chance);
  else if (strcmp(verb, "MAIL") == 0)
    on_mail(server, &chance, path);
  else if (strcmp(verb, "RCPT") == 0)
    on_rcpt(server, &chance, path);
  else if (strcmp(verb, "DATA") == 0)
    on_data(server, &chance);
  else if (strcmp(verb, "QUIT") == 0)
    reply(server, &chance, 221, "2.0.0");
  else if (strcmp(verb, "RSET") == 0 && !errs(server, &chance)) {
    end_mail(server);
    reply(server, &chance, 250, "2.0.0");
  }
}

/* ---- reading ---- */

/* Octets of the next command or content that are there as a whole; 0: more have to come. */
static size_t whole(const fickle_t *server, bool *is_end)
{
  const char *at = server->in + server->at, *end = server->in + server->in_len, *lf;
  size_t len;
  *is_end = false;
  if (server->in_data) {
    for (const char *line = at; (lf = memchr(line, '\n', (size_t)(end - line))) != NULL;
         line = lf + 1)
      if (lf - line == 2 && *line == '.') {
        *is_end = true;
        return (size_t)(lf + 1 - at);
      }
    return 0;
  }
  if ((lf = memchr(at, '\n', (size_t)(end - at))) == NULL)
    return 0;
  len = (size_t)(lf + 1 - at);
  if (len > 5 && memcmp(at, "BDAT ", 5) == 0) {
    size_t content = strtoul(at + 5, NULL, 10);
    *is_end = memcmp(lf - 6, " LAST\r", 6) == 0;
    return (size_t)(end - at) < len + content ? 0 : len + content;
  }
  return len;
}

static void on_chunk(fickle_t *server, bool last)
{
  chance_t chance = chance_for(server, "BDAT", server->sender);
  if (server->recipient_count == 0)
    reply(server, &chance, 503, "5.5.1");
  else if (last)
    on_end(server);
  else
    reply(server, &chance, 250, "2.0.0");
}

static void take_commands(fickle_t *server)
{
  size_t len;
  bool is_end;
  while (server->open && (len = whole(server, &is_end)) > 0) {
    const char *at = server->in + server->at;
    server->at += len;
    server->commands++;
    if (server->in_data) {
      server->in_data = false;
      on_end(server);
    } else if (len > 5 && memcmp(at, "BDAT ", 5) == 0) {
      on_chunk(server, is_end);
    } else {
      command(server, at, len);
    }
    server->on_command(server);
  }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  fickle_t *server = handle->data;
  size_t most = 65536;
  if (server->cut_in != 0 && server->cut_in - server->in_len < most)
    most = (size_t)(server->cut_in - server->in_len);
  if (server->in_len + most > server->room) {
    server->room = (server->in_len + most) * 2;
    server->in = realloc(server->in, server->room);
  }
  *buf = uv_buf_init(server->in + server->in_len, (unsigned)most);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
  fickle_t *server = stream->data;
  if (n < 0) {
    fickle_hang_up(server);
    return;
  }
  server->in_len += (size_t)n;
  take_commands(server);
  if (server->cut_in != 0 && server->in_len >= server->cut_in)
    fickle_hang_up(server);
}

void fickle_start(fickle_t *server, uv_loop_t *loop, int fd)
{
  if (uv_pipe_init(loop, &server->pipe, 0) != 0 || uv_pipe_open(&server->pipe, fd) != 0 ||
      uv_idle_init(loop, &server->turn) != 0)
    abort();
  server->pipe.data = server->turn.data = server;
  server->open = true;
  say(server, "220 mx.example\r\n");
  if (uv_read_start((uv_stream_t *)&server->pipe, on_alloc, on_read) != 0)
    abort();
}

void fickle_free(fickle_t *server)
{
  free(server->in);
  free(server->out);
}
