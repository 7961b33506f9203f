/*
 * Bytes in and out.
 *
 * Reading is on as long as the connection lives, also while it is idle: that is how the end of a
 * parked connection is noticed. All connections of a loop read into one buffer.
 *
 * Writing is tried at once. When the kernel takes no more, one single octet is left with libuv,
 * whose callback says that there is room again: so it is known at every moment exactly which
 * octets the kernel has taken, which a longer write that fails half-way would not tell.
 *
 * With TLS, each record is noted with the octets of the protocol's output that are in it, since a
 * record that has not left as a whole says nothing to the server.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "connection/ways.h"

/* What a TLS record takes at most (RFC 8446 section 5.1) but for one octet: with TLS 1.3, mbedTLS
 * pads the content and its type to a multiple of 16, and would need another record for that one. */
#define RECORD_SIZE ((size_t)16383)
#define SLICES 128                   /* commands and contents of 64 messages */
#define RECORD_SLICES 256            /* for a record of small messages */
#define BUDGET ((size_t)1024 * 1024) /* octets a turn of the loop, for the sake of others */
#define WRITE_ERR_GRACE_MS 2000      /* for the server's last words after writing failed */

/* ---- writing ---- */

static void on_written(uv_write_t *write, int status);

static bool write_failed(uvsmtp_connection_t *c, int err)
{
  if (uvsmtp__connection_alive(c) && c->write_err == 0) {
    uint64_t at = uv_now(c->loop) + WRITE_ERR_GRACE_MS;
    c->write_err = err;
    if (c->phase == UVSMTP__PHASE_READY || at < c->deadline)
      c->deadline = at;
    uvsmtp__timer_note(c);
  }
  return false;
}

/* Has libuv write one octet when there is room; false. */
static bool wait_for_room(uvsmtp_connection_t *c, const char *octet)
{
  uv_buf_t buf = uv_buf_init((char *)octet, 1);
  int err;
  if (!uvsmtp__connection_alive(c))
    return false;
  if (c->write == NULL)
    c->write = uvsmtp__malloc(c->mem, sizeof(*c->write));
  err = c->write == NULL ? UVSMTP_ENOMEM : uv_write(c->write, c->stream, &buf, 1, on_written);
  if (err != 0)
    return write_failed(c, err);
  c->writing = true;
  return false;
}

/* What uv_try_write took, or 0 with the reason dealt with: it will be tried again, or never. */
static size_t try_write(uvsmtp_connection_t *c, const uv_buf_t *bufs, unsigned count)
{
  int n = uv_try_write(c->stream, bufs, count);
  if (n > 0) {
    c->info.octets_sent += (unsigned)n;
    return (size_t)n;
  }
  if (n == UV_EAGAIN || n == 0)
    wait_for_room(c, bufs[0].base);
  else
    write_failed(c, n);
  return 0;
}

/* The slices as libuv has them; where it lays them out as we do, they are the same. */
static const uv_buf_t *as_bufs(const uvsmtp_slice_t *slices, size_t count, uv_buf_t *room)
{
  if (sizeof(uv_buf_t) == sizeof(uvsmtp_slice_t) && sizeof(room->len) == sizeof(slices->len) &&
      offsetof(uv_buf_t, base) == offsetof(uvsmtp_slice_t, base))
    return (const uv_buf_t *)(const void *)slices;
  for (size_t i = 0; i < count; i++)
    room[i] = uv_buf_init((char *)slices[i].base, (unsigned)slices[i].len);
  return room;
}

/* The three below return true when all is written, and false when they must not go on now. */

static bool write_clear(uvsmtp_connection_t *c, size_t *budget)
{
  uvsmtp_slice_t slices[SLICES];
  uv_buf_t room[SLICES];
  size_t count, n;
  while (uvsmtp_protocol_output_len(c->protocol) != 0) {
    count = uvsmtp_protocol_output(c->protocol, slices, SLICES);
    if (*budget == 0)
      return wait_for_room(c, slices[0].base);
    n = try_write(c, as_bufs(slices, count, room), (unsigned)count);
    if (n == 0)
      return false;
    uvsmtp_protocol_sent(c->protocol, n, uv_now(c->loop));
    *budget -= n < *budget ? n : *budget;
  }
  return true;
}

static void cipher_left(uvsmtp_connection_t *c, size_t len)
{
  uvsmtp__secure_t *s = c->secure;
  uvsmtp_tls_sent(c->tls, len);
  if (s == NULL)
    return;
  s->cipher_sent += len;
  while (s->record_count > 0 && s->records[s->record_first].cipher_end <= s->cipher_sent) {
    s->plain_sent = s->records[s->record_first].plain_end;
    s->cipher_done = s->records[s->record_first].cipher_end;
    s->record_first = (s->record_first + 1) % UVSMTP__RECORDS;
    s->record_count--;
  }
}

static bool drain(uvsmtp_connection_t *c, size_t *budget)
{
  uvsmtp_slice_t slice;
  uv_buf_t buf;
  size_t n;
  for (;;) {
    uvsmtp_tls_output(c->tls, &slice);
    if (slice.len == 0)
      return true;
    if (*budget == 0)
      return wait_for_room(c, slice.base);
    buf = uv_buf_init((char *)slice.base, (unsigned)slice.len);
    n = try_write(c, &buf, 1);
    if (n == 0)
      return false;
    cipher_left(c, n);
    *budget -= n < *budget ? n : *budget;
  }
}

/* Cuts slices to one record's worth; how many are left. */
static size_t cut(uvsmtp_slice_t *slices, size_t count)
{
  size_t left = RECORD_SIZE;
  for (size_t i = 0; i < count; i++) {
    if (slices[i].len >= left) {
      slices[i].len = left;
      return i + 1;
    }
    left -= slices[i].len;
  }
  return count;
}

/* One record's worth of the protocol's output, also where that is many small pieces. */
static size_t next_record(uvsmtp_connection_t *c, uvsmtp_slice_t *slices)
{
  size_t count = cut(slices, uvsmtp_protocol_output(c->protocol, slices, SLICES));
  if (count == SLICES)
    count = cut(slices, uvsmtp_protocol_output(c->protocol, slices, RECORD_SLICES));
  return count;
}

static void note_record(uvsmtp_connection_t *c)
{
  uvsmtp__secure_t *s = c->secure;
  unsigned at = (s->record_first + s->record_count++) % UVSMTP__RECORDS;
  uvsmtp_slice_t made;
  uvsmtp_tls_output(c->tls, &made);
  uvsmtp_tls_sent(c->tls, 0); /* looked only */
  s->records[at].plain_end = uvsmtp_protocol_total_sent(c->protocol);
  s->records[at].cipher_end = s->cipher_sent + made.len;
}

static void tls_broke(uvsmtp_connection_t *c, int err)
{
  char whom[UVSMTP__PEER_SIZE];
  uvsmtp__connection_fail(c, err, "TLS with %s failed: %s",
                          uvsmtp__connection_whom(c, whom, sizeof(whom)),
                          uvsmtp_tls_error_detail(c->tls));
}

/* All that the protocol gave before has left in records of their own, or in the clear. */
static bool have_records(uvsmtp_connection_t *c)
{
  if (c->secure == NULL) {
    c->secure = uvsmtp__calloc(c->mem, 1, sizeof(*c->secure));
    if (c->secure == NULL)
      return write_failed(c, UVSMTP_ENOMEM);
    c->secure->plain_sent = uvsmtp_protocol_total_sent(c->protocol);
  }
  return true;
}

/* Makes records as far as there is room for them; false if the engine broke. */
static bool encrypt(uvsmtp_connection_t *c)
{
  uvsmtp_slice_t slices[RECORD_SLICES];
  size_t count, taken;
  if (uvsmtp_protocol_output_len(c->protocol) == 0)
    return true;
  if (!have_records(c))
    return false;
  while (c->secure->record_count < UVSMTP__RECORDS && (count = next_record(c, slices)) != 0) {
    int err = uvsmtp_tls_write(c->tls, slices, count, &taken);
    if (err == UVSMTP_PENDING)
      return true;
    if (err != 0) {
      tls_broke(c, err);
      return false;
    }
    uvsmtp_protocol_sent(c->protocol, taken, uv_now(c->loop));
    note_record(c);
  }
  return true;
}

static bool write_tls(uvsmtp_connection_t *c, size_t *budget)
{
  do {
    if (!encrypt(c) || !drain(c, budget))
      return false;
  } while (uvsmtp_protocol_output_len(c->protocol) != 0);
  return true;
}

static bool write_out(uvsmtp_connection_t *c, size_t *budget)
{
  if (c->writing || c->working || c->write_err != 0 || c->stream == NULL)
    return false;
  if (c->octet_owed) {
    c->octet_owed = false;
    cipher_left(c, 1);
  }
  if (c->tls_done)
    return write_tls(c, budget);
  if (c->tls != NULL)
    return drain(c, budget);
  return c->protocol == NULL || write_clear(c, budget);
}

void uvsmtp__stream_write(uvsmtp_connection_t *c)
{
  size_t budget = BUDGET;
  write_out(c, &budget);
}

static bool has_output(const uvsmtp_connection_t *c)
{
  return c->protocol != NULL && uvsmtp_protocol_output_len(c->protocol) != 0;
}

/* Sends have ended: there may be more. */
static void ask_owner(uvsmtp_connection_t *c)
{
  c->pump->ended = false;
  if (c->on_room == NULL || uvsmtp__connection_closing(c))
    return;
  uvsmtp__hold(c, UVSMTP__HOLD_DELIVERY);
  c->on_room(c);
  uvsmtp__drop(c, UVSMTP__HOLD_DELIVERY);
}

/* What was read or written made room for more. */
static void issue_more(uvsmtp_connection_t *c)
{
  if (c->pump->ended)
    ask_owner(c);
  uvsmtp__pump_fill(c);
  if (c->content != NULL && uvsmtp__connection_alive(c))
    uvsmtp__request_fill(c);
  if (c->quitting && uvsmtp__connection_alive(c))
    uvsmtp__connection_advance(c);
}

/* Is there more to issue as soon as the output has left? */
static bool waits_for_room(const uvsmtp_connection_t *c)
{
  return (c->pump->stalled || c->content != NULL) && has_output(c);
}

void uvsmtp__connection_flush(uvsmtp_connection_t *c)
{
  size_t budget = BUDGET;
  bool again;
  if (!uvsmtp__connection_alive(c) || c->flushing || (c->holds & UVSMTP__HOLD_DELIVERY) != 0)
    return;
  c->flushing = true;
  do {
    if (c->phase == UVSMTP__PHASE_READY)
      issue_more(c);
    if (c->protocol != NULL)
      uvsmtp__connection_trace(c);
    again = waits_for_room(c);
  } while (uvsmtp__connection_alive(c) && write_out(c, &budget) && again);
  c->flushing = false;
  if (!uvsmtp__connection_alive(c))
    return;
  uvsmtp__timer_idle(c, !uvsmtp__pump_busy(c) && c->phase == UVSMTP__PHASE_READY &&
                            uvsmtp__list_empty(&c->requests) && !has_output(c));
  uvsmtp__timer_note(c);
}

static void on_written(uv_write_t *write, int status)
{
  uvsmtp_connection_t *c = write->handle->data;
  c->writing = false;
  c->info.octets_sent += status == 0;
  if (status == 0 && c->tls != NULL && c->working)
    c->octet_owed = true; /* the engine is told when it is back */
  else if (status == 0 && c->tls != NULL)
    cipher_left(c, 1);
  else if (status == 0 && c->tls == NULL)
    uvsmtp_protocol_sent(c->protocol, 1, uv_now(c->loop));
  if (!uvsmtp__connection_alive(c))
    return;
  if (status != 0) {
    write_failed(c, status);
    return;
  }
  uvsmtp__connection_flush(c);
  uvsmtp__progress_tell(c);
}

/* Sound also where TLS makes more than one record of what it was given at a time: then it may say
 * too much, never too little. */
uint64_t uvsmtp__connection_reached(const uvsmtp_connection_t *c)
{
  const uvsmtp__secure_t *s = c->secure;
  uint64_t handed, len;
  if (c->protocol == NULL)
    return 0;
  if (s == NULL)
    return uvsmtp_protocol_total_sent(c->protocol);
  if (s->record_count == 0)
    return s->plain_sent;
  len = s->records[s->record_first].plain_end - s->plain_sent;
  if (len <= 1024) /* smaller than any limit of a record */
    return s->plain_sent;
  handed = s->cipher_sent - s->cipher_done;
  return s->plain_sent + (handed < len ? handed : len - 1);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  uvsmtp_connection_t *c = handle->data;
  *buf = uv_buf_init(c->hub->read, UVSMTP__READ_SIZE);
}

static void give_protocol(uvsmtp_connection_t *c, const char *bytes, size_t len)
{
  char whom[UVSMTP__PEER_SIZE];
  int err = uvsmtp_protocol_feed_bytes(c->protocol, bytes, len, uv_now(c->loop));
  if (err != 0)
    uvsmtp__connection_fail(c, err, "what %s said could not be read: %s",
                            uvsmtp__connection_whom(c, whom, sizeof(whom)), uvsmtp_strerror(err));
  else
    uvsmtp__connection_deliver(c);
}

/* The server has ended its side. Whether that was due, the protocol knows. */
static void server_ended(uvsmtp_connection_t *c)
{
  char whom[UVSMTP__PEER_SIZE];
  uvsmtp__connection_whom(c, whom, sizeof(whom));
  if (c->protocol != NULL) {
    uvsmtp_protocol_feed_eof(c->protocol);
    uvsmtp__connection_deliver(c);
  }
  if (!uvsmtp__connection_alive(c))
    return;
  if (c->phase == UVSMTP__PHASE_QUITTING)
    uvsmtp__connection_end(c);
  else if (c->write_err != 0)
    uvsmtp__connection_fail(c, c->write_err, "writing to %s failed while %s: %s", whom,
                            uvsmtp__connection_phrase(c), uvsmtp_strerror(c->write_err));
  else if (c->phase < UVSMTP__PHASE_SESSION)
    uvsmtp__connection_fail(c, UVSMTP_ECONNLOST, "%s closed the connection in the TLS handshake",
                            whom);
  else
    uvsmtp__connection_fail(c, UVSMTP_ECONNLOST, "%s closed the connection", whom);
}

void uvsmtp__stream_decrypt(uvsmtp_connection_t *c)
{
  bool heard = false;
  c->flushing = true; /* what all that was read leads to leaves together */
  while (uvsmtp__connection_alive(c)) {
    size_t len;
    int err = uvsmtp_tls_read(c->tls, c->hub->plain, UVSMTP__PLAIN_SIZE, &len);
    if (err == UVSMTP_PENDING)
      break;
    if (err != 0 && err != UVSMTP_ETLSTRUNCATED)
      tls_broke(c, err);
    else if (err != 0 || len == 0)
      server_ended(c);
    else
      give_protocol(c, c->hub->plain, len);
    heard = true;
  }
  c->flushing = false;
  if (uvsmtp__connection_alive(c))
    uvsmtp__handshake_learn(c, heard);
  uvsmtp__connection_flush(c); /* TLS has something to say by itself too */
}

/*
 * A server that refuses our certificate, or misses it, may cut the connection without a word; with
 * TLS 1.3 after the handshake. The engine knows that it asked for one.
 */
static bool refuses_our_certificate(uvsmtp_connection_t *c)
{
  size_t len;
  int err;
  uvsmtp_tls_eof(c->tls);
  err = c->tls_done ? uvsmtp_tls_read(c->tls, c->hub->plain, UVSMTP__PLAIN_SIZE, &len)
                    : uvsmtp_tls_handshake(c->tls);
  return err == UVSMTP_ETLSCLIENTCERT;
}

static void on_end(uvsmtp_connection_t *c, int err)
{
  char whom[UVSMTP__PEER_SIZE];
  if (c->phase == UVSMTP__PHASE_HANDSHAKE)
    c->tls_failed = true;
  if (c->phase == UVSMTP__PHASE_QUITTING) {
    uvsmtp__connection_end(c);
  } else if (c->tls != NULL && refuses_our_certificate(c)) {
    tls_broke(c, UVSMTP_ETLSCLIENTCERT);
  } else if (err != UV_EOF) {
    uvsmtp__connection_fail(c, err, "the connection with %s broke while %s: %s",
                            uvsmtp__connection_whom(c, whom, sizeof(whom)),
                            uvsmtp__connection_phrase(c), uvsmtp_strerror(err));
  } else if (c->tls_done) {
    uvsmtp__stream_decrypt(c);
  } else {
    server_ended(c);
  }
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
  uvsmtp_connection_t *c = stream->data;
  if (nread == 0 || !uvsmtp__connection_alive(c))
    return;
  if (nread > 0)
    c->info.octets_received += (size_t)nread;
  if (nread < 0) {
    uvsmtp__stream_pause(c);
    on_end(c, (int)nread);
  } else if (c->tls_done) {
    int err = uvsmtp_tls_feed(c->tls, buf->base, (size_t)nread);
    if (err != 0)
      tls_broke(c, err);
    else
      uvsmtp__stream_decrypt(c);
  } else if (c->tls != NULL) {
    uvsmtp__handshake_feed(c, buf->base, (size_t)nread);
  } else if (c->protocol != NULL) {
    give_protocol(c, buf->base, (size_t)nread);
  }
}

void uvsmtp__stream_read(uvsmtp_connection_t *c)
{
  char whom[UVSMTP__PEER_SIZE];
  int err = c->reading ? 0 : uv_read_start(c->stream, on_alloc, on_read);
  c->reading = true;
  if (err != 0)
    uvsmtp__connection_fail(c, err, "reading from %s failed: %s",
                            uvsmtp__connection_whom(c, whom, sizeof(whom)), uvsmtp_strerror(err));
}

void uvsmtp__stream_pause(uvsmtp_connection_t *c)
{
  if (c->reading)
    uv_read_stop(c->stream);
  c->reading = false;
}

/* ---- closing ---- */

void uvsmtp__stream_trim(uvsmtp_connection_t *c)
{
  if (!c->writing) {
    uvsmtp__free(c->mem, c->write);
    c->write = NULL;
  }
  if (c->secure != NULL && c->secure->record_count == 0) {
    uvsmtp__free(c->mem, c->secure);
    c->secure = NULL;
  }
  if (c->tls_done && !c->writing)
    uvsmtp_tls_idle(c->tls);
}

static void on_closed(uv_handle_t *handle)
{
  uvsmtp_connection_t *c = handle->data;
  if (c->stream != c->config->o.stream)
    uvsmtp__free(c->mem, c->stream);
  c->stream = NULL;
  uvsmtp__connection_settle(c);
  uvsmtp__drop(c, UVSMTP__HOLD_STREAM);
}

void uvsmtp__stream_close(uvsmtp_connection_t *c)
{
  size_t budget = BUDGET;
  uvsmtp__stream_pause(c);
  if (c->tls_done && !c->working && !c->writing && c->write_err == 0) {
    uvsmtp_tls_close_notify(c->tls);
    drain(c, &budget);
  }
  uv_close((uv_handle_t *)c->stream, on_closed);
}
