/*
 *   the dialogue's output -> written -> its answer, read octet by octet as far as it goes for sure
 *   -> … -> the header, written -> the callback
 *
 * Nothing that the server says behind the proxy's answer is read here: so it need not be kept.
 */
#include "connection/tunnel.h"

#include "base/mem.h"
#include "connection/proxy_header.h"

struct uvsmtp__tunnel_s {
  uvsmtp_mem_t mem;
  uv_stream_t *stream;
  uvsmtp__tunnel_cb cb;
  void *data;
  uv_write_t write;
  bool in_dialogue; /* else in the header */
  bool over;
  uvsmtp__dialogue_t dialogue;
  uint8_t header[UVSMTP__PROXY_HEADER_SIZE];
  size_t header_len;
  char in[512];
};

static void finish(uvsmtp__tunnel_t *t, int err, const char *text)
{
  if (t->over)
    return;
  t->over = true;
  uv_read_stop(t->stream);
  t->cb(t->data, err, text);
}

static void go_on(uvsmtp__tunnel_t *t);

static void on_written(uv_write_t *write, int status)
{
  uvsmtp__tunnel_t *t = write->data;
  if (t->over || uv_is_closing((uv_handle_t *)t->stream))
    return;
  if (status != 0) {
    finish(t, status, "");
  } else if (t->in_dialogue) {
    uvsmtp__dialogue_sent(&t->dialogue);
    go_on(t);
  } else {
    finish(t, 0, "");
  }
}

static void send_octets(uvsmtp__tunnel_t *t, const void *bytes, size_t len)
{
  uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);
  int err;
  t->write.data = t;
  err = uv_write(&t->write, t->stream, &buf, 1, on_written);
  if (err != 0)
    finish(t, err, "");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  uvsmtp__tunnel_t *t = handle->data;
  size_t wanted = uvsmtp__dialogue_wanted(&t->dialogue);
  *buf = uv_buf_init(t->in, (unsigned)(wanted < sizeof(t->in) ? wanted : sizeof(t->in)));
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
  uvsmtp__tunnel_t *t = stream->data;
  if (nread == 0)
    return;
  if (nread > 0)
    uvsmtp__dialogue_feed(&t->dialogue, buf->base, (size_t)nread);
  else if (nread == UV_EOF)
    uvsmtp__dialogue_eof(&t->dialogue);
  else
    finish(t, (int)nread, "");
  if (!t->over && uvsmtp__dialogue_wanted(&t->dialogue) == 0) {
    uv_read_stop(stream);
    go_on(t);
  }
}

static void send_header(uvsmtp__tunnel_t *t)
{
  t->in_dialogue = false;
  if (t->header_len != 0)
    send_octets(t, t->header, t->header_len);
  else
    finish(t, 0, "");
}

/* The dialogue has something to send, or to read, or is over. */
static void go_on(uvsmtp__tunnel_t *t)
{
  uvsmtp_slice_t out = uvsmtp__dialogue_output(&t->dialogue);
  if (out.len != 0) {
    send_octets(t, out.base, out.len);
  } else if (uvsmtp__dialogue_wanted(&t->dialogue) != 0) {
    int err = uv_read_start(t->stream, on_alloc, on_read);
    if (err != 0)
      finish(t, err, "");
  } else if (t->dialogue.err != 0) {
    finish(t, t->dialogue.err, t->dialogue.text);
  } else {
    send_header(t);
  }
}

static const struct sockaddr *name_of(const uv_stream_t *stream,
                                      int (*ask)(const uv_tcp_t *, struct sockaddr *, int *),
                                      struct sockaddr_storage *name)
{
  int len = sizeof(*name);
  if (stream->type != UV_TCP || ask((const uv_tcp_t *)stream, (struct sockaddr *)name, &len) != 0)
    return NULL;
  return (struct sockaddr *)name;
}

static void make_header(uvsmtp__tunnel_t *t, const uvsmtp__tunnel_options_t *o)
{
  struct sockaddr_storage ours, theirs;
  const struct sockaddr *from = o->source, *to = name_of(t->stream, uv_tcp_getpeername, &theirs);
  if (from == NULL)
    from = name_of(t->stream, uv_tcp_getsockname, &ours);
  t->header_len = uvsmtp__proxy_header(t->header, o->header, from, to);
}

uvsmtp__tunnel_t *uvsmtp__tunnel_begin(uv_stream_t *stream, const uvsmtp_mem_t *mem,
                                       const uvsmtp__tunnel_options_t *options,
                                       uvsmtp__tunnel_cb cb, void *data)
{
  uvsmtp__tunnel_t *t = uvsmtp__calloc(mem, 1, sizeof(*t));
  if (t == NULL)
    return NULL;
  t->mem = *mem;
  t->stream = stream;
  t->cb = cb;
  t->data = data;
  stream->data = t;
  if (options->header != UVSMTP_PROXY_HEADER_NONE)
    make_header(t, options);
  t->in_dialogue = options->proxy->kind != UVSMTP__PROXY_NONE;
  if (t->in_dialogue) {
    uvsmtp__dialogue_begin(&t->dialogue, options->proxy, options->host, options->port);
    go_on(t);
  } else {
    send_header(t);
  }
  return t;
}

void uvsmtp__tunnel_free(uvsmtp__tunnel_t *t)
{
  uvsmtp_mem_t mem;
  if (t == NULL)
    return;
  mem = t->mem;
  uvsmtp__dialogue_sent(&t->dialogue);
  uvsmtp__free(&mem, t);
}
