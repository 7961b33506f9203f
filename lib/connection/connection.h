#ifndef UVSMTP_CONNECTION_CONNECTION_H
#define UVSMTP_CONNECTION_CONNECTION_H

/*
 * What the files of a connection share.
 *
 *   connection.c  opening, closing, failing; who is told what and when
 *   options.c     what the caller asked for, checked and copied
 *   session.c     greeting, EHLO, STARTTLS; login.c  AUTH
 *   stream.c      bytes in and out, TLS between; handshake.c  the TLS handshake
 *   history.c     what connections to one server leave for the next
 *   request.c     commands one by one; pump.h  messages, in files of their own
 *   hub.c         what the connections of a loop share: buffers, a timer, whose turn it is
 *   timer.c       deadlines, and what is due; error.c  sentences
 *
 * A connection goes through the phases below, never back. Whoever finds that it is over calls
 * uvsmtp__connection_fail, which only notes why and starts to close the stream. When the stream is
 * closed, no buffer of a caller is in use any more, and everybody who waits is told, in order
 * ("settled"). Memory goes when the caller has asked for it and no hold is left.
 */
#include <uv.h>

#include "base/list.h"
#include "connection/connector.h"
#include "connection/history.h"
#include "connection/hub.h"
#include "connection/pump.h"
#include "uvsmtp/connection.h"

/* X(NAME, name) */
#define UVSMTP__PHASE_MAP(X)                                                                       \
  X(CONNECTING, "connecting")                                                                      \
  X(TLS_CONTEXT, "loading trusted certificates") /* in a worker thread */                          \
  X(TLS_WAIT, "waiting for a TLS session of another connection")                                   \
  X(HANDSHAKE, "TLS handshake")                                                                    \
  X(SESSION, "opening the session") /* greeting, EHLO, STARTTLS, AUTH */                           \
  X(READY, "ready")                                                                                \
  X(QUITTING, "quitting") /* QUIT was sent */                                                      \
  X(FAILED, "failed")     /* the stream is being closed; nobody was told yet */                    \
  X(SETTLED, "settled")   /* everybody was told */

typedef enum uvsmtp__phase_e {
#define X(name, text) UVSMTP__PHASE_##name,
  UVSMTP__PHASE_MAP(X)
#undef X
} uvsmtp__phase_t;

/* Why a connection has to stay in memory; each is taken and dropped once at a time. */
enum {
  UVSMTP__HOLD_STREAM = 1,   /* the uv_stream_t is open or being closed */
  UVSMTP__HOLD_HUB = 2,      /* it is among the connections of its hub */
  UVSMTP__HOLD_RESOLVE = 4,  /* the connector has not called back */
  UVSMTP__HOLD_OFFLOAD = 8,  /* a worker thread computes for it */
  UVSMTP__HOLD_DELIVERY = 16 /* callbacks of the caller are being run */
};

/* A TLS record that was made: which octets of the protocol's output are in it. */
typedef struct uvsmtp__record_s {
  uint64_t plain_end;  /* octets of the protocol's output up to its end */
  uint64_t cipher_end; /* octets of ciphertext up to its end */
} uvsmtp__record_t;
#define UVSMTP__RECORDS 16

/* What the TLS handshake needs; gone when it is done. */
typedef struct uvsmtp__work_s {
  uv_work_t req; /* in worker threads */
  int err;
  uvsmtp_tls_context_t *context;
  uint64_t deadline;
  uint64_t wait_deadline; /* of TLS_WAIT */
  uint64_t step_at;       /* a step on the loop's thread, if it is due, is so not before this */
  bool step_due;
  char detail[256];
} uvsmtp__work_t;

#define UVSMTP__PEER_SIZE 320 /* for whom a sentence is about */

/* What the owner of one connection or many asked for; strings are owned. Never changed once made,
 * but for `users`. */
struct uvsmtp_connection_settings_s {
  size_t users;
  uvsmtp_mem_t mem;
  uvsmtp_connection_options_t o; /* scalars; its strings point to those below */
  char *host, *unix_path, *source_address, *ehlo_domain, *proxy_header_address;
  uvsmtp__proxy_t proxy;
  uvsmtp_auth_t **auths; /* each is held */
  size_t auth_count;
  uvsmtp_protocol_settings_t *protocol;
  uvsmtp_history_t *history; /* held; NULL: none */
};

/* What uvsmtp_connection_data was given and the protocol has not taken yet. */
typedef struct uvsmtp__content_s {
  uvsmtp_request_t *request;
  const char *bytes;
  size_t len;
} uvsmtp__content_t;

/* What is under way in TLS records. */
typedef struct uvsmtp__secure_s {
  uint64_t cipher_sent; /* octets of ciphertext that the kernel took */
  uint64_t cipher_done; /* of these, those up to the end of the last whole record */
  uint64_t plain_sent;  /* octets of the protocol's output in records that the kernel has */
  unsigned record_first, record_count;       /* made, and not wholly with the kernel */
  uvsmtp__record_t records[UVSMTP__RECORDS]; /* a ring */
} uvsmtp__secure_t;

/* What a connection has at its two ends only: until it is ready, and from its failure on. */
typedef struct uvsmtp__ends_s {
  uvsmtp_connection_cb open_cb; /* NULL once it was called */
  uvsmtp__connector_t *connector;
  char *ehlo_name;       /* found out while the session is opened; NULL: not */
  uvsmtp__work_t *work;  /* NULL but from begin to end of the handshake */
  uvsmtp__visit_t visit; /* to the history, for TLS sessions */
  uvsmtp_connection_t *connection;
  uvsmtp_auth_choice_t *choice; /* NULL but while it logs in, as `exchange` */
  uvsmtp_exchange_t *exchange;
  bool xclient_said;
  bool auth_sent;       /* AUTH of this exchange has been issued */
  bool auth_cancelled;  /* "*" has been issued */
  bool suspended;       /* the exchange */
  char *text;           /* why it failed; NULL: the words for `err` */
  char *words;          /* of the reply because of which it failed */
  int code;             /* of that reply; 0: none */
  uint16_t enhanced[3]; /* likewise */
} uvsmtp__ends_t;

/*
 * There may be thousands that are idle: what only some have, or only for a while, lies behind a
 * pointer, and flags stand together.
 */
struct uvsmtp_connection_s {
  /* What each message needs stands together, in few lines of the cache. */
  uvsmtp_protocol_t *protocol;
  uvsmtp__pump_t *pump;                 /* never NULL: at rest while nothing is sent */
  uvsmtp_connection_settings_t *config; /* one use of it */
  uvsmtp_manners_t *manners;            /* the history's; without one its own */
  uvsmtp_connection_room_cb on_room;
  uint8_t phase; /* uvsmtp__phase_t */
  uint8_t holds;
  uint8_t security; /* uvsmtp_security_t */
  uint8_t answered; /* uvsmtp_command_t: what the last reply was to, while it opens */
  bool quitting;    /* QUIT as soon as nothing is under way */
  bool closing;     /* the owner wants it gone */
  bool was_idle;    /* when it failed */
  bool finishing;   /* it leaves its hub, the last thing */
  bool due;         /* its turn comes (hub.h) */
  /* stream.c */
  bool working;    /* `work` is one of the jobs, and has the TLS engine */
  bool writing;    /* `write` is with libuv */
  bool octet_owed; /* it has left, and the TLS engine, in a worker thread, does not know */
  bool flushing;   /* guards against uvsmtp__connection_flush inside itself */
  bool reading;
  bool tls_done;    /* the handshake is done: output goes through the engine */
  bool tls_failed;  /* the handshake failed: the owner may try without */
  bool tls_due;     /* STARTTLS was accepted: the handshake begins when all events are read */
  bool uses_shared; /* the TLS context of all connections without one: it is to be given back */
  /* timer.c */
  bool trimmed; /* the buffers are given back, and nothing was under way since */
  bool settle_due;
  int write_err; /* writing failed: what the server still says is read, then it is over */
  /* Of its own, beside those of the protocol, the handshake and the exchange; 0: none. For all of
   * opening (the connector keeps to it by itself); then, the buffers of an idle connection are
   * given back; of QUIT; and with `write_err`, it is over. */
  uint64_t deadline;
  uvsmtp__terms_t terms;
  uvsmtp__link_t requests;    /* uvsmtp_request_t, oldest first */
  uvsmtp__content_t *content; /* NULL: none */
  uv_loop_t *loop;
  uvsmtp__hub_t *hub;
  uvsmtp__place_t in_hub;
  char *peer; /* "mx.example:587 (192.0.2.1)"; NULL before there is a stream */
  uint64_t id;
  void *data;
  uv_stream_t *stream;
  uvsmtp_tls_t *tls;
  uvsmtp__secure_t *secure; /* NULL: no record was made since the buffers were given back */
  uv_write_t *write;        /* NULL: the kernel has taken all since the buffers were given back */
  uvsmtp_connection_info_t info;

  const uvsmtp_mem_t *mem; /* that of `config` */
  union {                  /* an owner who wants it gone is not told that it is lost */
    uvsmtp_connection_cb lost;
    uvsmtp_connection_close_cb closed; /* if `closing` or `quitting` */
  } cb;
  uvsmtp__ends_t *ends; /* NULL while it is ready */
  int err;
  unsigned jobs; /* computations in worker threads; above 0: HOLD_OFFLOAD */
};

/* ---- connection.c ---- */

/* It has its ends from now on: 0, or ENOMEM. */
int uvsmtp__connection_need_ends(uvsmtp_connection_t *c);

/* Takes and drops a hold; dropping the last one of a connection that is finishing frees it. */
void uvsmtp__hold(uvsmtp_connection_t *c, unsigned hold);
void uvsmtp__drop(uvsmtp_connection_t *c, unsigned hold);

/* True as long as nothing has ended it: events may be delivered and commands issued. */
static inline bool uvsmtp__connection_alive(const uvsmtp_connection_t *c)
{
  return c->phase < UVSMTP__PHASE_FAILED;
}

/* True once the owner has called quit or close: no new request is taken. */
static inline bool uvsmtp__connection_closing(const uvsmtp_connection_t *c)
{
  return c->quitting || c->closing;
}

/*
 * The connection is over because of `err`. Notes the sentence that `format` makes and starts to
 * close the stream; all who wait are told later, from the loop. Only the first call counts.
 */
void uvsmtp__connection_fail(uvsmtp_connection_t *c, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a reply that ends it: `what` completes "… refused" ("the session"). */
void uvsmtp__connection_fail_reply(uvsmtp_connection_t *c, int err, const uvsmtp_reply_t *reply,
                                   const char *what);
/* RFC 5321 section 3.8: QUIT before it fails, if that makes sense; the answer is of no interest. */
void uvsmtp__connection_say_goodbye(uvsmtp_connection_t *c);
/* Tells everybody; for stream.c, timer.c and the connector's callback. */
void uvsmtp__connection_settle(uvsmtp_connection_t *c);
/* The session is open: phase READY, and the owner is told. */
void uvsmtp__connection_ready(uvsmtp_connection_t *c);
/* QUIT was answered, or will not be: an orderly end. */
void uvsmtp__connection_end(uvsmtp_connection_t *c);
/* Delivers all events of the protocol, then writes. */
void uvsmtp__connection_deliver(uvsmtp_connection_t *c);
/* Lets the pump do what is due from the loop, then fills and writes. */
void uvsmtp__connection_run(uvsmtp_connection_t *c);
/* Issues what is due after events or writes: QUIT. */
void uvsmtp__connection_advance(uvsmtp_connection_t *c);
/* Gives the trace hook what the protocol noted. */
void uvsmtp__connection_trace(uvsmtp_connection_t *c);

/* ---- options.c ---- */

/* Settings for one connection: `stream` may be set. */
int uvsmtp__settings_make(uvsmtp_connection_settings_t **settings,
                          const uvsmtp_connection_options_t *options, char *detail, size_t size);
/* From now on this thread alone uses the authenticators: 0, or UVSMTP_EAUTHTHREAD. */
int uvsmtp__settings_claim(const uvsmtp_connection_settings_t *settings);

/* ---- session.c, login.c ---- */

/* The stream is up (and TLS, if implicit): makes the protocol and waits for the greeting. */
void uvsmtp__session_begin(uvsmtp_connection_t *c);
/* The handshake after STARTTLS is done: EHLO again. */
void uvsmtp__session_tls_started(uvsmtp_connection_t *c);
/* A reply before the session is ready. */
void uvsmtp__session_event(uvsmtp_connection_t *c, const uvsmtp_event_t *event);
/*
 * How long there is no use in connecting, since the server has refused all credentials a short
 * while ago; 0: it may be tried.
 */
uint64_t uvsmtp__login_rest_ms(const uvsmtp_connection_t *c);
/* Logs in, or is ready at once without authenticators. */
void uvsmtp__login_begin(uvsmtp_connection_t *c);
void uvsmtp__login_event(uvsmtp_connection_t *c, const uvsmtp_event_t *event);
/* A suspended exchange may go on, or its time is up. */
void uvsmtp__login_wake(uvsmtp_connection_t *c);
void uvsmtp__login_clear(uvsmtp_connection_t *c);

/* ---- stream.c, handshake.c ---- */

/* Starts to read; a failure ends the connection. */
void uvsmtp__stream_read(uvsmtp_connection_t *c);
void uvsmtp__stream_pause(uvsmtp_connection_t *c);
/* Writes what there is as far as the kernel takes it at once, and no more of it than that. */
void uvsmtp__stream_write(uvsmtp_connection_t *c);
/* Reads plaintext that the engine already has and gives it to the protocol. */
void uvsmtp__stream_decrypt(uvsmtp_connection_t *c);
/* Says goodbye in TLS, if that is possible without waiting, and closes. */
void uvsmtp__stream_close(uvsmtp_connection_t *c);
/* Gives back what an idle connection does not need. */
void uvsmtp__stream_trim(uvsmtp_connection_t *c);

/* Begins TLS: makes the shared context if need be, then shakes hands. */
void uvsmtp__handshake_begin(uvsmtp_connection_t *c);
/* From the loop: does what is due, a step or the end of a wait. */
void uvsmtp__handshake_run(uvsmtp_connection_t *c);
/* Keeps what sessions the server has sent; `heard`: it has also sent data. */
void uvsmtp__handshake_learn(uvsmtp_connection_t *c, bool heard);
/* Goes on with what was read. */
void uvsmtp__handshake_feed(uvsmtp_connection_t *c, const char *bytes, size_t len);
/* Notes that a worker thread begins or has ended to compute for the connection. */
void uvsmtp__offload_begin(uvsmtp_connection_t *c);
void uvsmtp__offload_end(uvsmtp_connection_t *c);
/* Gives back the TLS context that all connections without one of their own share. */
void uvsmtp__shared_context_release(void);

/*
 * Writes what the protocol has. Inside the delivery of events it is done at its end, else at once.
 */
void uvsmtp__connection_flush(uvsmtp_connection_t *c);
/*
 * How many octets of the protocol's output may have reached the server: in the clear those that
 * the kernel took; with TLS those in records whose last octet it took. Exact once the connection
 * has failed and while no write is pending.
 */
uint64_t uvsmtp__connection_reached(const uvsmtp_connection_t *c);

/* ---- request.c ---- */

/* A reply to a request. */
void uvsmtp__request_event(uvsmtp_connection_t *c, const uvsmtp_event_t *event);
/* Hands over more of the content of uvsmtp_connection_data; there is one. */
void uvsmtp__request_fill(uvsmtp_connection_t *c);
void uvsmtp__request_fail(uvsmtp_connection_t *c, const uvsmtp_error_t *error);

/* ---- timer.c ---- */

/* Looks at what is due, and at all deadlines: the hub wakes the connection in time. */
void uvsmtp__timer_note(uvsmtp_connection_t *c);
/* The hub wakes it: something is due, or a deadline may have passed. */
void uvsmtp__timer_run(uvsmtp_connection_t *c);
/* Notes whether something is under way: what is idle for a while gives its buffers back. */
void uvsmtp__timer_idle(uvsmtp_connection_t *c, bool idle);
/* Settles from the loop: there is no stream whose closing would do it. */
void uvsmtp__timer_settle(uvsmtp_connection_t *c);

/* ---- error.c ---- */

/* What it was doing, to complete "… while". */
const char *uvsmtp__connection_phrase(const uvsmtp_connection_t *c);
/* Whom it is about, for sentences: the peer, or what was asked for. */
const char *uvsmtp__connection_whom(const uvsmtp_connection_t *c, char *out, size_t size);
/* What can be done about `err`, as "; do this", or "". */
const char *uvsmtp__error_hint(int err);
/* The first `size` bytes of a reply's text, line ends as blanks. */
void uvsmtp__reply_words(const uvsmtp_reply_t *reply, char *out, size_t size);
/* What may be the matter with a server that has said nothing, as "; …", or "". */
const char *uvsmtp__connection_silence(const uvsmtp_connection_t *c);
/* Keeps the reply because of which it fails. */
void uvsmtp__connection_note_reply(uvsmtp_connection_t *c, const uvsmtp_reply_t *reply,
                                   const char *words);
/* What is known of the failure. */
uvsmtp_error_t uvsmtp__connection_error(const uvsmtp_connection_t *c);

#endif
