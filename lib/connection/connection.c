/*
 * The life of a connection: who holds it, how it ends, and who is told.
 *
 * Everything that ends it comes through uvsmtp__connection_fail: errors, the owner's close, an
 * answered QUIT. It changes the phase and starts to close the stream, and calls nobody; from then
 * on no event is delivered and nothing is written. When libuv has given the stream back, or the
 * connector has ended, or at the next turn of the loop if there was neither, everybody who waits
 * is told in the order in which they came. It leaves its hub last, when the owner wants the
 * connection gone; the close callback runs when the last hold is dropped.
 */
#include "connection/connection.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "connection/ways.h"

/* ---- holds ---- */

int uvsmtp__connection_need_ends(uvsmtp_connection_t *c)
{
  if (c->ends == NULL)
    c->ends = uvsmtp__calloc(c->mem, 1, sizeof(*c->ends));
  return c->ends == NULL ? UVSMTP_ENOMEM : 0;
}

static void free_ends(uvsmtp_connection_t *c)
{
  if (c->ends == NULL)
    return;
  assert(!c->ends->visit.leads && !uvsmtp__link_in_list(&c->ends->visit.link));
  uvsmtp__free(c->mem, c->ends->ehlo_name);
  uvsmtp__free(c->mem, c->ends->work);
  uvsmtp__free(c->mem, c->ends->text);
  uvsmtp__free(c->mem, c->ends->words);
  uvsmtp__free(c->mem, c->ends);
  c->ends = NULL;
}

static void destroy(uvsmtp_connection_t *c)
{
  uvsmtp_mem_t mem = *c->mem;
  if (c->closing && c->cb.closed != NULL)
    c->cb.closed(c);
  free_ends(c);
  uvsmtp__pump_clear(c);
  uvsmtp_protocol_free(c->protocol);
  uvsmtp_tls_free(c->tls);
  if (c->hub != NULL)
    uvsmtp__hub_release(c->hub);
  if (c->uses_shared)
    uvsmtp__shared_context_release();
  if (c->config->history == NULL)
    uvsmtp__free(&mem, c->manners);
  uvsmtp_connection_settings_free(c->config);
  uvsmtp__free(&mem, c->peer);
  uvsmtp__free(&mem, c->content);
  uvsmtp__free(&mem, c->write);
  uvsmtp__free(&mem, c->secure);
  uvsmtp__free(&mem, c);
}

void uvsmtp__hold(uvsmtp_connection_t *c, unsigned hold)
{
  assert((c->holds & hold) == 0);
  c->holds |= hold;
}

void uvsmtp__drop(uvsmtp_connection_t *c, unsigned hold)
{
  assert((c->holds & hold) != 0);
  c->holds &= ~hold;
  if (c->finishing && c->holds == 0)
    destroy(c);
}

/* ---- the end ---- */

static void finish(uvsmtp_connection_t *c)
{
  if (c->finishing)
    return;
  c->finishing = true;
  uvsmtp__hub_due(c);
}

void uvsmtp__connection_settle(uvsmtp_connection_t *c)
{
  uvsmtp_error_t error = uvsmtp__connection_error(c);
  uvsmtp_connection_cb open_cb = NULL;
  c->phase = UVSMTP__PHASE_SETTLED;
  uvsmtp__hub_forget(c);
  uvsmtp__hold(c, UVSMTP__HOLD_DELIVERY);
  if (c->ends != NULL) {
    open_cb = c->ends->open_cb;
    c->ends->open_cb = NULL;
    uvsmtp__login_clear(c);
  }
  if (open_cb != NULL)
    open_cb(c, &error);
  uvsmtp__request_fail(c, &error);
  uvsmtp__pump_fail(c, &error);
  if (c->was_idle && !c->closing && c->cb.lost != NULL)
    c->cb.lost(c, &error);
  uvsmtp__drop(c, UVSMTP__HOLD_DELIVERY);
  if (c->closing)
    finish(c);
}

static bool is_busy(const uvsmtp_connection_t *c)
{
  return !uvsmtp__list_empty(&c->requests) || uvsmtp__pump_busy(c);
}

/* The reason stands in `text` and `code` already. */
static void begin_failing(uvsmtp_connection_t *c, int err)
{
  c->was_idle = c->phase == UVSMTP__PHASE_READY && !is_busy(c);
  c->err = err;
  c->phase = UVSMTP__PHASE_FAILED;
  if (c->ends != NULL)
    uvsmtp__history_leave(&c->ends->visit, c->tls_failed);
  c->closing = c->closing || c->quitting;
  if (c->ends != NULL && c->ends->connector != NULL)
    uvsmtp__connector_cancel(c->ends->connector);
  else if (c->stream != NULL)
    uvsmtp__stream_close(c);
  else
    uvsmtp__timer_settle(c);
}

/* Without memory for the sentence, the words for `err` have to do. */
void uvsmtp__connection_fail(uvsmtp_connection_t *c, int err, const char *format, ...)
{
  char text[768];
  va_list args;
  size_t len;
  if (!uvsmtp__connection_alive(c))
    return;
  va_start(args, format);
  vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  len = strlen(text);
  snprintf(text + len, sizeof(text) - len, "%s", uvsmtp__error_hint(err));
  if (uvsmtp__connection_need_ends(c) == 0)
    c->ends->text = uvsmtp__strdup(c->mem, text);
  begin_failing(c, err);
}

void uvsmtp__connection_say_goodbye(uvsmtp_connection_t *c)
{
  if (uvsmtp_protocol_quit(c->protocol, NULL) != 0)
    return;
  uvsmtp__stream_write(c);
  uvsmtp__connection_trace(c);
}

void uvsmtp__connection_fail_reply(uvsmtp_connection_t *c, int err, const uvsmtp_reply_t *reply,
                                   const char *what)
{
  char words[400], whom[UVSMTP__PEER_SIZE];
  if (!uvsmtp__connection_alive(c))
    return;
  uvsmtp__reply_words(reply, words, sizeof(words));
  uvsmtp__connection_note_reply(c, reply, words);
  uvsmtp__connection_say_goodbye(c);
  uvsmtp__connection_fail(c, err, "%s refused %s: %d %s",
                          uvsmtp__connection_whom(c, whom, sizeof(whom)), what, reply->code, words);
}

void uvsmtp__connection_end(uvsmtp_connection_t *c)
{
  uvsmtp__connection_fail(c, UVSMTP_ECANCELED, "the connection was closed by its owner");
}

/* ---- events ---- */

void uvsmtp__connection_trace(uvsmtp_connection_t *c)
{
  uvsmtp_trace_t kind;
  uvsmtp_slice_t line;
  if (c->config->o.trace == NULL)
    return;
  while (uvsmtp_protocol_next_trace(c->protocol, &kind, &line))
    c->config->o.trace(c->config->o.trace_data, c, kind, line.base, line.len);
}

static void deliver_error(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  char whom[UVSMTP__PEER_SIZE];
  if (c->phase == UVSMTP__PHASE_QUITTING)
    uvsmtp__connection_end(c);
  else
    uvsmtp__connection_fail(c, event->err, "%s: %s%s",
                            uvsmtp__connection_whom(c, whom, sizeof(whom)),
                            uvsmtp_protocol_error_text(c->protocol),
                            event->err == UVSMTP_ETIMEOUT ? uvsmtp__connection_silence(c) : "");
}

/* A reply that nobody asked for: 421 before the server goes, as a rule. */
static void deliver_unsolicited(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  char words[400], whom[UVSMTP__PEER_SIZE];
  if (c->phase == UVSMTP__PHASE_QUITTING)
    return;
  if (c->phase == UVSMTP__PHASE_READY && uvsmtp__pump_busy(c)) {
    uvsmtp__pump_unsolicited(c, event);
    return;
  }
  uvsmtp__connection_whom(c, whom, sizeof(whom));
  uvsmtp__reply_words(&event->reply, words, sizeof(words));
  uvsmtp__connection_note_reply(c, &event->reply, words);
  if (event->reply.code == 0)
    uvsmtp__connection_fail(c, UVSMTP_EPROTOCOL, "%s sent something that is no reply", whom);
  else
    uvsmtp__connection_fail(c, event->reply.code == 421 ? UVSMTP_ETEMPORARY : UVSMTP_EREPLY,
                            "%s said without being asked: %d %s", whom, event->reply.code, words);
}

static void deliver_reply(uvsmtp_connection_t *c, const uvsmtp_event_t *event)
{
  const uvsmtp__link_t *oldest = c->requests.next;
  if (event->command == UVSMTP_COMMAND_QUIT)
    uvsmtp__connection_end(c);
  else if (c->phase == UVSMTP__PHASE_SESSION)
    uvsmtp__session_event(c, event);
  else if (oldest != &c->requests &&
           event->tag == UVSMTP__CONTAINER(oldest, uvsmtp_request_t, links))
    uvsmtp__request_event(c, event);
  else if (event->command == UVSMTP_COMMAND_BDAT_LAST || event->command == UVSMTP_COMMAND_DATA_END)
    uvsmtp__pump_end(c, event);
  else
    uvsmtp__pump_reply(c, event);
}

void uvsmtp__connection_deliver(uvsmtp_connection_t *c)
{
  uvsmtp_event_t event;
  bool traced = c->config->o.trace != NULL;
  uvsmtp__hold(c, UVSMTP__HOLD_DELIVERY);
  uvsmtp__connection_trace(c);
  while (uvsmtp__connection_alive(c) && uvsmtp_protocol_next_event(c->protocol, &event)) {
    if (traced) {
      uvsmtp__connection_trace(c);
      if (!uvsmtp__connection_alive(c))
        break;
    }
    if (event.type == UVSMTP_EVENT_REPLY)
      deliver_reply(c, &event);
    else if (event.type == UVSMTP_EVENT_UNSOLICITED)
      deliver_unsolicited(c, &event);
    else if (event.type == UVSMTP_EVENT_ERROR)
      deliver_error(c, &event);
  }
  uvsmtp__drop(c, UVSMTP__HOLD_DELIVERY);
  if (uvsmtp__connection_alive(c) && c->tls_due) {
    c->tls_due = false;
    uvsmtp__handshake_begin(c);
  }
  uvsmtp__connection_flush(c);
  uvsmtp__progress_tell(c);
}

void uvsmtp__connection_run(uvsmtp_connection_t *c)
{
  uvsmtp__hold(c, UVSMTP__HOLD_DELIVERY);
  uvsmtp__pump_run(c);
  uvsmtp__drop(c, UVSMTP__HOLD_DELIVERY);
  uvsmtp__connection_flush(c);
  uvsmtp__progress_tell(c);
}

void uvsmtp__connection_advance(uvsmtp_connection_t *c)
{
  uint64_t limit = c->config->o.quit_timeout_ms;
  if (!c->quitting || c->phase != UVSMTP__PHASE_READY || is_busy(c))
    return;
  if (uvsmtp_protocol_quit(c->protocol, NULL) != 0) {
    uvsmtp__connection_end(c);
    return;
  }
  c->phase = UVSMTP__PHASE_QUITTING;
  if (c->write_err == 0) /* else it is over soon enough */
    c->deadline = uvsmtp__later(uv_now(c->loop), limit);
}

void uvsmtp__connection_ready(uvsmtp_connection_t *c)
{
  static const uvsmtp_error_t none = {.text = ""};
  uvsmtp_connection_cb cb = c->ends->open_cb;
  c->phase = UVSMTP__PHASE_READY;
  uvsmtp__pump_ready(c);
  c->info.ready_ms = uv_now(c->loop);
  if (c->write_err == 0)
    c->deadline = 0;
  if (c->tls_done)
    uvsmtp__handshake_learn(c, true); /* nobody waits for it from now on */
  free_ends(c);
  if (cb != NULL)
    cb(c, &none);
}

/* ---- opening ---- */

static void on_connected(void *data, uv_stream_t *stream, int err, const char *text,
                         const char *peer)
{
  uvsmtp_connection_t *c = data;
  c->ends->connector = NULL;
  if (stream != NULL) {
    c->stream = stream;
    c->info.connected_ms = uv_now(c->loop);
    stream->data = c;
    uvsmtp__hold(c, UVSMTP__HOLD_STREAM);
    c->peer = uvsmtp__strdup(c->mem, peer);
  }
  if (uvsmtp__connection_alive(c)) {
    if (stream == NULL)
      uvsmtp__connection_fail(c, err, "%s", text);
    else if (c->peer == NULL)
      uvsmtp__connection_fail(c, UVSMTP_ENOMEM, "%s", uvsmtp_strerror(UVSMTP_ENOMEM));
    else if (c->config->o.tls == UVSMTP_TLS_IMPLICIT)
      uvsmtp__handshake_begin(c);
    else
      uvsmtp__session_begin(c);
  } else if (stream != NULL) {
    uvsmtp__stream_close(c);
  } else {
    uvsmtp__connection_settle(c);
  }
  uvsmtp__drop(c, UVSMTP__HOLD_RESOLVE);
}

static int start_connector(uvsmtp_connection_t *c)
{
  const uvsmtp_connection_options_t *o = &c->config->o;
  uvsmtp__connector_options_t options = {
      .host = o->host,
      .port = o->port,
      .unix_path = o->unix_path,
      .stream = o->stream,
      .proxy = &c->config->proxy,
      .header = o->proxy_header,
      .header_address = o->proxy_header_address,
      .header_port = o->proxy_header_port,
      .family = o->family,
      .source_address = o->source_address,
      .connect_timeout_ms = o->connect_timeout_ms,
      .attempt_delay_ms = o->attempt_delay_ms,
      .history = c->config->history,
      .mem = c->mem,
  };
  int err = uvsmtp__connector_start(&c->ends->connector, c->loop, &options, on_connected, c);
  if (err == 0)
    uvsmtp__hold(c, UVSMTP__HOLD_RESOLVE);
  return err;
}

/* Loops in several threads make connections. */
static uint64_t next_id(void)
{
  static atomic_uint_fast64_t last;
  return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

static void free_half_made(uvsmtp_connection_t *c, const uvsmtp_connection_settings_t *settings)
{
  if (settings->history == NULL)
    uvsmtp__free(&settings->mem, c->manners);
  if (c->hub != NULL)
    uvsmtp__hub_release(c->hub);
  uvsmtp__free(&settings->mem, c);
}

static int make(uvsmtp_connection_t **out, uv_loop_t *loop, uvsmtp_connection_settings_t *settings)
{
  uvsmtp_connection_t *c = uvsmtp__calloc(&settings->mem, 1, sizeof(*c));
  uvsmtp_history_t *history = settings->history;
  if (c == NULL)
    return UVSMTP_ENOMEM;
  c->manners = history != NULL ? uvsmtp_history_manners(history)
                               : uvsmtp__calloc(&settings->mem, 1, sizeof(*c->manners));
  c->hub = uvsmtp__hub_acquire(loop);
  c->mem = &settings->mem;
  if (c->manners == NULL || c->hub == NULL || uvsmtp__connection_need_ends(c) != 0) {
    free_half_made(c, settings);
    return UVSMTP_ENOMEM;
  }
  settings->users++;
  c->config = settings;
  c->loop = loop;
  c->id = next_id();
  c->info.started_ms = uv_now(loop);
  c->in_hub.wake_at = UINT64_MAX;
  uvsmtp__list_init(&c->requests);
  uvsmtp__pump_init(c);
  *out = c;
  return 0;
}

/* Refused credentials are not taken to the server again and again: it is not even connected. */
static void fail_resting(uvsmtp_connection_t *c, uint64_t rest_ms)
{
  char whom[UVSMTP__PEER_SIZE];
  uvsmtp__connection_fail(
      c, UVSMTP_EAUTHBACKOFF, "%s refused the credentials; they are tried again in %llu s",
      uvsmtp__connection_whom(c, whom, sizeof(whom)), (unsigned long long)(rest_ms / 1000 + 1));
}

/*
 * Starts with the connector, whose refusals need no loop to undo; the hub's handles, which would,
 * cannot fail.
 */
static int start(uvsmtp_connection_t *c, uvsmtp_connection_cb cb)
{
  uint64_t rest_ms = uvsmtp__login_rest_ms(c);
  int err = rest_ms == 0 ? start_connector(c) : 0;
  if (err != 0)
    return err;
  c->ends->open_cb = cb;
  c->deadline = uvsmtp__later(uv_now(c->loop), c->config->o.open_timeout_ms);
  uvsmtp__hub_join(c);
  if (rest_ms != 0)
    fail_resting(c, rest_ms);
  return 0;
}

int uvsmtp_connection_open_with(uvsmtp_connection_t **connection, uv_loop_t *loop,
                                uvsmtp_connection_settings_t *settings, uvsmtp_connection_cb cb)
{
  uvsmtp_connection_t *c;
  int err;
  *connection = NULL;
  if (settings == NULL || loop == NULL)
    return UVSMTP_EINVAL;
  err = uvsmtp__settings_claim(settings);
  if (err == 0)
    err = make(&c, loop, settings);
  if (err != 0)
    return err;
  err = start(c, cb);
  if (err != 0)
    destroy(c);
  else
    *connection = c;
  return err;
}

int uvsmtp_connection_open(uvsmtp_connection_t **connection, uv_loop_t *loop,
                           const uvsmtp_connection_options_t *options, uvsmtp_connection_cb cb,
                           char *detail, size_t detail_size)
{
  uvsmtp_connection_settings_t *settings;
  int err;
  *connection = NULL;
  if (detail != NULL && detail_size != 0)
    detail[0] = '\0';
  if (options == NULL || loop == NULL)
    return UVSMTP_EINVAL;
  err = uvsmtp__settings_make(&settings, options, detail, detail_size);
  if (err != 0)
    return err;
  err = uvsmtp_connection_open_with(connection, loop, settings, cb);
  if (err != 0 && detail != NULL && detail_size != 0)
    snprintf(detail, detail_size, "%s", uvsmtp_strerror(err));
  uvsmtp_connection_settings_free(settings);
  return err;
}

/* ---- closing ---- */

void uvsmtp_connection_close(uvsmtp_connection_t *c, uvsmtp_connection_close_cb cb)
{
  if (c->closing)
    return;
  c->closing = true;
  if (!c->quitting)
    c->cb.closed = cb;
  if (uvsmtp__connection_alive(c))
    uvsmtp__connection_end(c);
  else if (c->phase == UVSMTP__PHASE_SETTLED && (c->holds & UVSMTP__HOLD_DELIVERY) == 0)
    finish(c);
}

void uvsmtp_connection_quit(uvsmtp_connection_t *c, uvsmtp_connection_close_cb cb)
{
  if (uvsmtp__connection_closing(c))
    return;
  if (!uvsmtp__connection_alive(c) || (c->phase < UVSMTP__PHASE_READY && !is_busy(c))) {
    uvsmtp_connection_close(c, cb);
    return;
  }
  c->cb.closed = cb;
  c->quitting = true;
  uvsmtp__connection_flush(c);
}

/* ---- looking ---- */

void uvsmtp_connection_set_data(uvsmtp_connection_t *c, void *data)
{
  c->data = data;
}

void *uvsmtp_connection_get_data(const uvsmtp_connection_t *c)
{
  return c->data;
}

void uvsmtp_connection_on_lost(uvsmtp_connection_t *c, uvsmtp_connection_cb cb)
{
  if (!uvsmtp__connection_closing(c))
    c->cb.lost = cb;
}

void uvsmtp_connection_on_room(uvsmtp_connection_t *c, uvsmtp_connection_room_cb cb)
{
  c->on_room = cb;
}

bool uvsmtp_connection_is_open(const uvsmtp_connection_t *c)
{
  return c->phase == UVSMTP__PHASE_READY && !uvsmtp__connection_closing(c);
}

bool uvsmtp_connection_is_idle(const uvsmtp_connection_t *c)
{
  return c->phase == UVSMTP__PHASE_READY && !uvsmtp__connection_closing(c) && !is_busy(c) &&
         c->write_err == 0 && !uvsmtp_protocol_is_closing(c->protocol) &&
         uvsmtp_protocol_state(c->protocol) <= UVSMTP_STATE_READY;
}

const uvsmtp_protocol_t *uvsmtp_connection_protocol(const uvsmtp_connection_t *c)
{
  return c->protocol;
}

uint64_t uvsmtp_connection_id(const uvsmtp_connection_t *c)
{
  return c->id;
}

const uvsmtp_connection_info_t *uvsmtp_connection_info(const uvsmtp_connection_t *c)
{
  return &c->info;
}

const char *uvsmtp_connection_peer(const uvsmtp_connection_t *c)
{
  return c->peer != NULL ? c->peer : "";
}

uvsmtp_security_t uvsmtp_connection_security(const uvsmtp_connection_t *c)
{
  return (uvsmtp_security_t)c->security;
}

int uvsmtp_connection_tls_info(uvsmtp_connection_t *c, uvsmtp_tls_info_t *info)
{
  return c->tls_done && !c->working ? uvsmtp_tls_info(c->tls, info) : UVSMTP_ESTATE;
}

bool uvsmtp_connection_tls_failed(const uvsmtp_connection_t *c)
{
  return c->tls_failed && c->config->o.tls == UVSMTP_TLS_OPPORTUNISTIC;
}
