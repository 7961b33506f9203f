/*
 * Commands one by one. Each leaves at once, behind those before it; replies come in the same
 * order, so that the oldest request is the one that a reply belongs to.
 */
#include <string.h>

#include "base/mem.h"
#include "connection/ways.h"

static uvsmtp__link_t *link_of(uvsmtp_request_t *req)
{
  return (uvsmtp__link_t *)req->links;
}

/* May a command be issued now? */
static int check(const uvsmtp_connection_t *c)
{
  if (uvsmtp__connection_closing(c) || !uvsmtp__connection_alive(c))
    return UVSMTP_ECLOSING;
  if (c->phase != UVSMTP__PHASE_READY)
    return UVSMTP_ESTATE;
  return uvsmtp__pump_busy(c) ? UVSMTP_EBUSY : 0;
}

/* Queues the request of a command that was issued with `err` as the result. */
static int issued(uvsmtp_connection_t *c, uvsmtp_request_t *req, uvsmtp_reply_cb cb, int err)
{
  if (err != 0)
    return err;
  req->cb = cb;
  req->connection = c;
  uvsmtp__list_push_back(&c->requests, link_of(req));
  uvsmtp__connection_flush(c);
  return 0;
}

int uvsmtp_connection_mail(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                           const uvsmtp_envelope_t *envelope, const uvsmtp_mail_needs_t *needs,
                           uvsmtp_reply_cb cb)
{
  int err = check(c);
  if (err == 0)
    err = uvsmtp_protocol_mail(c->protocol, envelope, needs, req);
  return issued(c, req, cb, err);
}

int uvsmtp_connection_recipient(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                const uvsmtp_recipient_t *recipient, uvsmtp_reply_cb cb)
{
  int err = check(c);
  if (err == 0)
    err = uvsmtp_protocol_recipient(c->protocol, recipient, req);
  return issued(c, req, cb, err);
}

int uvsmtp_connection_chunk(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                            const uvsmtp_slice_t *slices, size_t count, bool last,
                            uvsmtp_reply_cb cb)
{
  int err = check(c);
  if (err == 0)
    err = uvsmtp_protocol_chunk(c->protocol, slices, count, last, req);
  return issued(c, req, cb, err);
}

/* Commands without an argument, and with a string. */
#define COMMAND(name)                                                                              \
  int uvsmtp_connection_##name(uvsmtp_connection_t *c, uvsmtp_request_t *req, uvsmtp_reply_cb cb)  \
  {                                                                                                \
    int err = check(c);                                                                            \
    if (err == 0)                                                                                  \
      err = uvsmtp_protocol_##name(c->protocol, req);                                              \
    return issued(c, req, cb, err);                                                                \
  }
#define COMMAND_WITH(name)                                                                         \
  int uvsmtp_connection_##name(uvsmtp_connection_t *c, uvsmtp_request_t *req, const char *text,    \
                               uvsmtp_reply_cb cb)                                                 \
  {                                                                                                \
    int err = check(c);                                                                            \
    if (err == 0)                                                                                  \
      err = uvsmtp_protocol_##name(c->protocol, text, req);                                        \
    return issued(c, req, cb, err);                                                                \
  }

COMMAND(start_data)
COMMAND(reset)
COMMAND(noop)
COMMAND_WITH(vrfy)
COMMAND_WITH(expn)
COMMAND_WITH(help)
COMMAND_WITH(command)

/* ---- content ---- */

/* Hands over what the protocol takes of the content, and its end behind the last of it. */
static int fill(uvsmtp_connection_t *c)
{
  size_t taken = 0;
  int err = 0;
  uvsmtp__content_t *content = c->content;
  if (content->len != 0)
    err =
        uvsmtp_protocol_data(c->protocol, content->bytes, content->len, c->config->o.lines, &taken);
  content->bytes += taken;
  content->len -= taken;
  if (err == UVSMTP_EQUEUEFULL)
    return 0;
  if (err != 0 || content->len != 0)
    return err;
  err = uvsmtp_protocol_end_data(c->protocol, content->request);
  if (err == UVSMTP_EQUEUEFULL)
    return 0;
  if (err == 0) {
    uvsmtp__free(c->mem, content);
    c->content = NULL;
  }
  return err;
}

/* A content that was begun and cannot be finished must not look finished: the connection ends. */
void uvsmtp__request_fill(uvsmtp_connection_t *c)
{
  int err = fill(c);
  if (err != 0)
    uvsmtp__connection_fail(c, err, "the content could not be sent to the end: %s",
                            uvsmtp_strerror(err));
}

int uvsmtp_connection_data(uvsmtp_connection_t *c, uvsmtp_request_t *req, const char *bytes,
                           size_t len, uvsmtp_reply_cb cb)
{
  int err = check(c);
  if (err == 0 && c->content != NULL)
    err = UVSMTP_EBUSY;
  if (err == 0 && uvsmtp_protocol_state(c->protocol) != UVSMTP_STATE_SEND_DATA)
    err = UVSMTP_ESTATE;
  if (err == 0 && (c->content = uvsmtp__malloc(c->mem, sizeof(*c->content))) == NULL)
    err = UVSMTP_ENOMEM;
  if (err == 0)
    *c->content = (uvsmtp__content_t){req, bytes, len};
  return issued(c, req, cb, err);
}

/* ---- replies ---- */

void uvsmtp__request_event(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  static const uvsmtp_error_t none = {.text = ""};
  uvsmtp_request_t *req = event->tag;
  if (event->last)
    uvsmtp__list_remove(link_of(req));
  if (req->cb != NULL)
    req->cb(req, &event->reply, !event->last, &none);
}

void uvsmtp__request_fail(uvsmtp_connection_t *c, const uvsmtp_error_t *error)
{
  while (!uvsmtp__list_empty(&c->requests)) {
    uvsmtp_request_t *req = UVSMTP__CONTAINER(c->requests.next, uvsmtp_request_t, links);
    uvsmtp__list_remove(link_of(req));
    if (req->cb != NULL)
      req->cb(req, NULL, false, error);
  }
}
