/*
 * The life of a sink: options, listening, closing. Everything is freed when the listener and the
 * last session have closed.
 */
#include "sink/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sink__text_add(sink_text_t *text, const void *bytes, size_t len)
{
  if (text->size - text->len < len) {
    size_t size = text->size < 256 ? 256 : text->size;
    char *grown;
    while (size - text->len < len) {
      if (size > SIZE_MAX / 2)
        return false;
      size *= 2;
    }
    grown = realloc(text->base, size);
    if (grown == NULL)
      return false;
    text->base = grown;
    text->size = size;
  }
  if (len > 0)
    memcpy(text->base + text->len, bytes, len);
  text->len += len;
  return true;
}

static char upper(char c)
{
  return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

bool sink__same(const char *a, size_t a_len, const char *b, size_t b_len)
{
  if (a_len != b_len)
    return false;
  if (memcmp(a, b, a_len) == 0)
    return true;
  for (size_t i = 0; i < a_len; i++) {
    if (upper(a[i]) != upper(b[i]))
      return false;
  }
  return true;
}

bool sink__is_word(const char *text, size_t len, const char *word)
{
  return sink__same(text, len, word, strlen(word));
}

void sink__text_free(sink_text_t *text)
{
  free(text->base);
  memset(text, 0, sizeof *text);
}

void sink__trace(sink_session_t *s, char direction, const char *text, size_t len)
{
  sink_t *sink = s->sink;

  if (sink->options.on_trace != NULL)
    sink->options.on_trace(sink, s->number, direction, text, len, sink->options.data);
}

void sink__note(sink_session_t *s, const char *format, ...)
{
  char text[256];
  va_list args;

  if (s->sink->options.on_trace == NULL)
    return;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  sink__trace(s, '*', text, strlen(text));
}

uint64_t sink_violations(const sink_counters_t *counters)
{
  uint64_t sum = 0;

#define X(name)                                                                                    \
  if (strncmp(#name, "bad_", 4) == 0)                                                              \
    sum += counters->name;
  SINK_COUNTERS(X)
#undef X
  return sum;
}

/* Releasing. */

static void wipe_free(char *secret)
{
  volatile char *p = secret;

  while (p != NULL && *p != '\0')
    *p++ = '\0';
  free(secret);
}

static void free_strings(sink_t *sink)
{
  const sink_options_t *o = &sink->options;
  const char *const strings[] = {o->listen,  o->unix_path,     o->hostname, o->user,    o->tls_cert,
                                 o->tls_key, o->tls_client_ca, o->script,   o->maildir, o->mbox};

  for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
    free((char *)(uintptr_t)strings[i]);
  wipe_free((char *)(uintptr_t)o->password);
  for (size_t i = 0; sink->ehlo != NULL && i < o->ehlo_count; i++)
    free(sink->ehlo[i]);
  free(sink->ehlo);
}

static void sink_free(sink_t *sink)
{
  sink__store_close(sink);
  sink__script_free(&sink->script);
  uvsmtp_tls_context_free(sink->tls);
  free_strings(sink);
  sink__text_free(&sink->scratch);
  free(sink->recipients);
  free(sink->read_buffer);
  free(sink->plain_buffer);
  free(sink->gather.base);
  free(sink);
}

static void maybe_closed(sink_t *sink)
{
  if (!sink->closing || sink->listening || sink->sessions.next != &sink->sessions)
    return;
  if (sink->on_close != NULL)
    sink->on_close(sink, sink->options.data);
  sink_free(sink);
}

void sink__session_gone(sink_t *sink)
{
  maybe_closed(sink);
}

static void on_listener_closed(uv_handle_t *handle)
{
  sink_t *sink = handle->data;

  sink->listening = false;
  maybe_closed(sink);
}

void sink_stop(sink_t *sink)
{
  if (sink->listening && !uv_is_closing(&sink->listener.any))
    uv_close(&sink->listener.any, on_listener_closed);
}

typedef void (*each_fn)(sink_session_t *s, sink_end_t end);

static void each_session(sink_t *sink, each_fn fn, sink_end_t end)
{
  sink_link_t *link = sink->sessions.next;

  while (link != &sink->sessions) {
    sink_session_t *s = (sink_session_t *)((char *)link - offsetof(sink_session_t, link));
    link = link->next;
    fn(s, end);
  }
}

static void close_session(sink_session_t *s, sink_end_t end)
{
  sink__session_close(s);
}

void sink_drop(sink_t *sink, bool reset)
{
  each_session(sink, sink__cut, reset ? SINK_END_RST : SINK_END_FIN);
}

/* The listener may have been closed long before: then nothing else would tell. */
static void on_nothing(uv_handle_t *handle)
{
  on_listener_closed(handle);
}

void sink_close(sink_t *sink, sink_close_cb cb)
{
  if (sink->closing)
    return;
  sink->closing = true;
  sink->on_close = cb;
  each_session(sink, close_session, SINK_END_NOT);
  if (!sink->listening) {
    /* the callback never runs inside this call: any handle's closing brings it */
    sink->listening = true;
    uv_tcp_init(sink->loop, &sink->listener.tcp);
    sink->listener.any.data = sink;
    uv_close(&sink->listener.any, on_nothing);
    return;
  }
  sink_stop(sink);
}

/* Starting. */

static int fail(char *detail, size_t size, int err, const char *what)
{
  snprintf(detail, size, "%s: %s", what, uvsmtp_strerror(err));
  return err;
}

static bool copy_strings(sink_t *sink, const sink_options_t *from)
{
  sink_options_t *to = &sink->options;
  const char *const given[] = {from->listen,   from->unix_path, from->hostname, from->user,
                               from->password, from->tls_cert,  from->tls_key,  from->tls_client_ca,
                               from->script,   from->maildir,   from->mbox};
  const char **const copies[] = {&to->listen,   &to->unix_path, &to->hostname, &to->user,
                                 &to->password, &to->tls_cert,  &to->tls_key,  &to->tls_client_ca,
                                 &to->script,   &to->maildir,   &to->mbox};
  bool ok = true;

  for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
    const char *s = given[i];
    if (copies[i] == &to->listen && s == NULL)
      s = "127.0.0.1";
    if (copies[i] == &to->hostname && s == NULL)
      s = "sink.example";
    *copies[i] = s == NULL ? NULL : strdup(s);
    ok = ok && (s == NULL || *copies[i] != NULL);
  }
  to->ehlo = NULL;
  sink->ehlo = calloc(from->ehlo_count + 1, sizeof *sink->ehlo);
  for (size_t i = 0; sink->ehlo != NULL && i < from->ehlo_count; i++) {
    sink->ehlo[i] = strdup(from->ehlo[i]);
    ok = ok && sink->ehlo[i] != NULL;
  }
  return ok && sink->ehlo != NULL;
}

static bool make_buffers(sink_t *sink)
{
  sink->read_buffer = malloc(SINK_READ_SIZE);
  sink->plain_buffer = malloc(SINK_PLAIN_SIZE);
  sink->gather.base = malloc(SINK_GATHER_SIZE);
  return sink->read_buffer != NULL && sink->plain_buffer != NULL && sink->gather.base != NULL;
}

/* What EHLO offers, of what there is. */
static void choose_offer(sink_t *sink)
{
  const sink_options_t *o = &sink->options;
  unsigned optional = SINK_BINARYMIME | SINK_PRDR;

  sink->offer = (SINK_ALL & ~optional) | (o->extra & optional);
  if (o->tls_cert == NULL || o->tls_implicit)
    sink->offer &= ~(unsigned)SINK_STARTTLS;
  if (o->user == NULL)
    sink->offer &= ~(unsigned)SINK_AUTH;
  sink->offer &= ~o->without;
}

static int listen_unix(sink_t *sink)
{
  uv_fs_t request;
  int err;

  uv_pipe_init(sink->loop, &sink->listener.pipe, 0);
  sink->listener.any.data = sink;
  sink->listening = true;
  if (uv_fs_stat(NULL, &request, sink->options.unix_path, NULL) == 0 &&
      (request.statbuf.st_mode & 0170000) == 0140000) { /* S_IFMT, S_IFSOCK */
    uv_fs_t unlink_request;
    uv_fs_unlink(NULL, &unlink_request, sink->options.unix_path, NULL);
    uv_fs_req_cleanup(&unlink_request);
  }
  uv_fs_req_cleanup(&request);
  err = uv_pipe_bind(&sink->listener.pipe, sink->options.unix_path);
  return err;
}

static int listen_tcp(sink_t *sink)
{
  struct sockaddr_storage address;
  int err = uv_ip4_addr(sink->options.listen, sink->options.port, (struct sockaddr_in *)&address);

  if (err != 0)
    err = uv_ip6_addr(sink->options.listen, sink->options.port, (struct sockaddr_in6 *)&address);
  if (err != 0)
    return err;
  uv_tcp_init(sink->loop, &sink->listener.tcp);
  sink->listener.any.data = sink;
  sink->listening = true;
  return uv_tcp_bind(&sink->listener.tcp, (struct sockaddr *)&address, 0);
}

static void on_connection(uv_stream_t *listener, int status)
{
  if (status == 0)
    sink__accept(listener->data);
}

static int start_listening(sink_t *sink)
{
  int err = sink->options.unix_path != NULL ? listen_unix(sink) : listen_tcp(sink);

  return err != 0 ? err : uv_listen(&sink->listener.stream, 4096, on_connection);
}

static int prepare(sink_t *sink, char *detail, size_t size)
{
  const sink_options_t *o = &sink->options;

  if ((o->user == NULL) != (o->password == NULL))
    return fail(detail, size, UVSMTP_EINVAL, "user and password go together");
  if (o->script != NULL && sink__script_parse(&sink->script, o->script, detail, size) != 0)
    return UVSMTP_EINVAL;
  sink->keep_envelope = o->on_message != NULL || sink->script.count > 0;
  sink->crypto = uvsmtp_tls_crypto();
  choose_offer(sink);
  sink__replies_make(sink);
  if (o->tls_cert != NULL || o->tls_key != NULL || o->tls_implicit) {
    int err = sink__tls_new(sink, detail, size);
    if (err != 0)
      return err;
  }
  return sink__store_open(sink, detail, size);
}

int sink_start(sink_t **out, uv_loop_t *loop, const sink_options_t *options, char *detail,
               size_t size)
{
  sink_t *sink = calloc(1, sizeof *sink);
  int err;

  *out = NULL;
  if (sink == NULL)
    return fail(detail, size, UVSMTP_ENOMEM, "the sink");
  sink->loop = loop;
  sink->options = *options;
  sink->sessions.prev = sink->sessions.next = &sink->sessions;
  sink->noise = 88172645463325252u;
  if (!copy_strings(sink, options) || !make_buffers(sink)) {
    sink_free(sink);
    return fail(detail, size, UVSMTP_ENOMEM, "the sink");
  }
  err = prepare(sink, detail, size);
  if (err == 0 && (err = start_listening(sink)) != 0)
    fail(detail, size, err, "cannot listen");
  if (err == 0)
    *out = sink;
  else if (sink->listening)
    sink_close(sink, NULL);
  else
    sink_free(sink);
  return err;
}

uint16_t sink_port(const sink_t *sink)
{
  struct sockaddr_storage address;
  int len = sizeof address;

  if (!sink->listening || sink->options.unix_path != NULL ||
      uv_tcp_getsockname(&sink->listener.tcp, (struct sockaddr *)&address, &len) != 0)
    return 0;
  return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                             : ((struct sockaddr_in *)&address)->sin_port);
}

void *sink_data(const sink_t *sink)
{
  return sink->options.data;
}

const sink_counters_t *sink_counters(const sink_t *sink)
{
  return &sink->counters;
}
