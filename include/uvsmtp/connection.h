#ifndef UVSMTP_CONNECTION_H
#define UVSMTP_CONNECTION_H

/*
 * A connection: one TCP, TLS or Unix-socket stream to a server. It resolves, connects, greets,
 * switches to TLS, logs in, and then carries commands or messages one after another.
 *
 * The contract, for all of uvsmtp that touches a loop:
 *   1. A function that returns an error never calls its callback; one that returns 0 calls it
 *      exactly once, on the loop's thread, and never before it has returned.
 *   2. Everything is legal in every callback, closing too.
 *   3. On close, requests that wait complete in order with UVSMTP_ECANCELED or their real outcome,
 *      then the close callback runs, last, once.
 *   4. Requests and what they point to are yours, and stay in place until their callback.
 *
 * As with all of libuv, a Unix program has to ignore SIGPIPE: a server may close at any time.
 */
#include <uv.h>

#include "uvsmtp/auth.h"
#include "uvsmtp/base.h"
#include "uvsmtp/envelope.h"
#include "uvsmtp/manners.h"
#include "uvsmtp/protocol.h"
#include "uvsmtp/source.h"
#include "uvsmtp/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvsmtp_connection_s uvsmtp_connection_t;

/** How a connection is protected. */
typedef enum uvsmtp_tls_mode_e {
  UVSMTP_TLS_REQUIRED = 0,  /* STARTTLS, or no session; port 587 */
  UVSMTP_TLS_IMPLICIT,      /* from the first byte; port 465 */
  UVSMTP_TLS_OPPORTUNISTIC, /* STARTTLS if offered, whatever the certificate, else in the clear (RFC
                               7435): some protection from those who listen, none from those who can
                               change what is sent */
  UVSMTP_TLS_NONE           /* in the clear; port 25 */
} uvsmtp_tls_mode_t;

/**
 * What the connections to one server leave for the next: TLS sessions to resume, which address
 * family answered, and the server's manners (uvsmtp/manners.h). One for each server and each set of TLS settings; a client makes its own.
 */
typedef struct uvsmtp_history_s uvsmtp_history_t;

/** A header in front of everything, for a server behind a load balancer (haproxy's protocol). */
typedef enum uvsmtp_proxy_header_e {
  UVSMTP_PROXY_HEADER_NONE = 0,
  UVSMTP_PROXY_HEADER_V1, /* a line of text */
  UVSMTP_PROXY_HEADER_V2  /* binary */
} uvsmtp_proxy_header_t;

typedef enum uvsmtp_family_e { UVSMTP_FAMILY_ANY = 0, UVSMTP_FAMILY_IPV4, UVSMTP_FAMILY_IPV6 } uvsmtp_family_t;

/** What a 552 to RCPT means, which once was "too many recipients" (RFC 5321 section 4.5.3.1.10). */
typedef enum uvsmtp_rcpt_552_e {
  UVSMTP_RCPT_552_TEMPORARY = 0, /* like 452, unless an enhanced code says something else */
  UVSMTP_RCPT_552_PERMANENT      /* a refusal for good */
} uvsmtp_rcpt_552_t;

/**
 * A line of the dialogue of `connection` (uvsmtp_connection_id, _peer), secrets blanked; `line` is
 * borrowed until the hook returns, and has no NUL behind it. The hook runs as the line is made or
 * read, inside the call that makes it too.
 */
typedef void (*uvsmtp_trace_cb)(void *data, uvsmtp_connection_t *connection, uvsmtp_trace_t kind,
                                const char *line, size_t len);

typedef struct uvsmtp_connection_options_s {
  size_t size;             /* set by UVSMTP_CONNECTION_OPTIONS_INIT */
  const char *url;         /* see uvsmtp_url_parse; its parts fill the fields below that are 0 */
  const char *host;        /* name or address; this or url or unix_path is required; copied */
  uint16_t port;           /* 0: 587; 465 with TLS_IMPLICIT; 25 with TLS_NONE; 24 with lmtp */
  const char *unix_path;   /* a Unix socket instead of host and port; copied. With TLS, `host` beside
                              it is the name that the certificate must carry */
  bool lmtp;               /* RFC 2033 */
  uvsmtp_family_t family;  /* which addresses may be used */
  const char *source_address; /* local address to connect from, numeric; copied */
  const char *ehlo_domain; /* copied; NULL: this host's FQDN, else the address literal */
  uvsmtp_tls_mode_t tls;   /* 0: STARTTLS required */
  uvsmtp_tls_context_t *tls_context; /* borrowed until the close callback; NULL: one with the
                                        system's trust store, made at the first need */
  uvsmtp_auth_t *const *auths; /* in order of preference; the array is copied, each is acquired */
  size_t auth_count;
  bool allow_plaintext_auth; /* credentials may go without TLS, or with TLS_OPPORTUNISTIC to a server
                                whose certificate did not pass; on loopback and Unix sockets too only
                                if this says so */
  uint64_t connect_timeout_ms; /* resolve and connect, all addresses; default 30 000 */
  uint64_t tls_timeout_ms;     /* handshake; default 30 000 */
  uint64_t quit_timeout_ms;    /* for the reply to QUIT; default 5 000 */
  uvsmtp_timeouts_t timeouts;  /* of the dialogue */
  uint64_t attempt_delay_ms;   /* before the next address is tried beside (RFC 8305); default 250 */
  uvsmtp_lines_t lines;        /* what is done with bare CR and LF in messages */
  bool no_pipelining;          /* one command at a time even if the server offers more */
  bool no_chunking;            /* DATA even if the server offers CHUNKING */
  bool no_overlap;             /* no command of the next message before the reply to the last */
  size_t max_in_doubt;         /* messages whose final reply is awaited at a time; default 64: some
                                  1 200 a second on a line of 50 ms, and not more that are unknown
                                  if it breaks. Half as many with Exim, which ends sessions with
                                  the eleventh message that it refuses, and takes back nothing of
                                  what is behind it */
  uint64_t max_in_doubt_bytes; /* and their octets; default 4 MiB; one message may be larger */
  uvsmtp_trace_cb trace;
  void *trace_data;
  const uvsmtp_mem_t *mem; /* NULL: malloc */
  bool no_starttls;        /* with TLS_OPPORTUNISTIC: stay in the clear, for a server whose TLS has
                              been found broken; a client does so by itself for a while (see
                              uvsmtp_client_options_t.tls_retry_ms) */
  uvsmtp_history_t *history; /* what this connection begins with and leaves behind; NULL: it learns
                                nothing (a client then has one of its own); held until it closes */
  bool no_tls_resumption;    /* each TLS handshake is a full one, and no session is kept */
  bool tls_on_loop;          /* TLS handshakes are computed on the loop's thread, one long step a turn
                                for all connections together, instead of in libuv's threads */
  const uvsmtp_origin_t *xclient; /* a gateway speaks for this client (XCLIENT, before AUTH);
                              required if set; borrowed until the close callback */
  bool no_grouped_data;    /* DATA waits for the replies to RCPT */
  uvsmtp_rcpt_552_t rcpt_552;  /* default: temporary */
  /*
   * The way to the server. A proxy is a URL, "socks5://[user:password@]host[:1080]" (RFC 1928; names
   * are resolved by the proxy, so that socks5h means the same) or "http://[user:password@]host[:80]"
   * (the method CONNECT, Basic credentials), percent-encoded; copied, and wiped in the end. Its
   * dialogue counts into connect_timeout_ms. The proxy sees neither mail nor password where TLS is
   * used.
   */
  const char *proxy;
  uvsmtp_proxy_header_t proxy_header; /* sent when the server (through the proxy) is connected */
  const char *proxy_header_address;   /* numeric: the client that the header names; copied; NULL:
                                         the addresses of this connection's socket */
  uint16_t proxy_header_port;
  uv_stream_t *stream; /* a stream of yours, connected and on the same loop, instead of connecting;
                          `host` is then for the certificate and for sentences. From a successful
                          open on it is the connection's, its `data` too, which closes it with
                          uv_close before its own close callback; the memory stays yours */
  bool refuse_own_name;    /* UVSMTP_ELOOP if the server answers EHLO with the name that was given to
                              it: a mail server that relays has reached itself. Off by default: a
                              program that submits mail on its mail server's own host shares its
                              name, and is right to go on */
  size_t max_refused_recipients; /* one after the other, in one message or many, none accepted
                              between: then the session takes no further message (see
                              uvsmtp_connection_is_spent), before the server minds; default 25;
                              SIZE_MAX: no bound */
  bool no_pix_workaround;  /* Firewalls that look into SMTP (Cisco's PIX) mask the greeting by stars,
                              and some miss the end of a content unless the final dot comes in a
                              packet of its own. Behind such a greeting messages go by DATA, one
                              command at a time, and their dot in a write of its own; not so if this
                              is set */
  uint64_t open_timeout_ms; /* all of opening, from resolving to ready, waits for other connections'
                               TLS sessions and for authenticators included; default: none but those
                               of its parts. RFC 5321 lets a server take five minutes to greet */
} uvsmtp_connection_options_t;
#define UVSMTP_CONNECTION_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_connection_options_t)

/* ---- opening and closing ----------------------------------------------------------------- */

/**
 * What is known of a failure: the code, a sentence (what was being done, with whom, the server's
 * words), and the server's reply code if it was one. Borrowed until the callback returns.
 */
typedef struct uvsmtp_error_s {
  int err;                  /* 0: no error */
  const char *text;         /* never NULL */
  int code;                 /* the server's reply code, or 0 */
  uint16_t enhanced[3];     /* of that reply; class 0: none */
  const char *words;        /* its text; NULL: there was none */
  uvsmtp_command_t command; /* that it answered; only where `code` is not 0 */
} uvsmtp_error_t;

typedef void (*uvsmtp_connection_cb)(uvsmtp_connection_t *connection, const uvsmtp_error_t *error);
typedef void (*uvsmtp_connection_close_cb)(uvsmtp_connection_t *connection);
typedef void (*uvsmtp_connection_room_cb)(uvsmtp_connection_t *connection);

/**
 * Makes a connection and starts to open it. `cb` runs once it is ready (logged in, if there are
 * authenticators) or has failed; after a failure it still has to be closed. `detail` (of
 * `detail_size` bytes, may be NULL) gets a sentence if options are refused. UVSMTP_EINVAL,
 * UVSMTP_EURL, UVSMTP_EINJECTION, UVSMTP_EAUTHTHREAD, UVSMTP_EOPTIONSIZE, UVSMTP_ENOMEM, libuv's
 * codes. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_connection_open(uvsmtp_connection_t **connection, uv_loop_t *loop,
                                         const uvsmtp_connection_options_t *options,
                                         uvsmtp_connection_cb cb, char *detail,
                                         size_t detail_size);

/**
 * Says whether uvsmtp_connection_open would take these options, without opening anything; a bad
 * one gets a sentence in `detail`. Errors as above. Any thread. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_connection_options_check(const uvsmtp_connection_options_t *options,
                                                  char *detail, size_t detail_size);

/**
 * Options that were checked and copied once, for any number of connections of one loop: each keeps
 * a use of them, and no copy of its own. What uvsmtp_connection_open borrows until the close
 * callback is borrowed until the last of these connections has called that back. Not for a `stream`.
 * Errors as of uvsmtp_connection_open. Since 0.1
 */
typedef struct uvsmtp_connection_settings_s uvsmtp_connection_settings_t;
UVSMTP_EXTERN int uvsmtp_connection_settings_new(uvsmtp_connection_settings_t **settings,
                                                 const uvsmtp_connection_options_t *options,
                                                 char *detail, size_t detail_size);
/**
 * Gives them up, on the loop's thread; connections that have them go on with them. NULL is fine.
 * Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_connection_settings_free(uvsmtp_connection_settings_t *settings);
/** Opens a connection, as uvsmtp_connection_open does with options. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_connection_open_with(uvsmtp_connection_t **connection, uv_loop_t *loop,
                                              uvsmtp_connection_settings_t *settings,
                                              uvsmtp_connection_cb cb);

/** A place for the caller's pointer. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_connection_set_data(uvsmtp_connection_t *connection, void *data);
UVSMTP_EXTERN void *uvsmtp_connection_get_data(const uvsmtp_connection_t *connection);

/**
 * Ends the dialogue politely: what is queued is finished, then QUIT, its reply awaited for
 * quit_timeout_ms, then closed as by uvsmtp_connection_close. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_connection_quit(uvsmtp_connection_t *connection,
                                          uvsmtp_connection_close_cb cb);

/**
 * Closes at once and frees: requests complete with their real outcome so far, then `cb` (may be
 * NULL) runs; `connection` is gone when it returns. A second call is ignored, its cb too; after
 * uvsmtp_connection_quit it only hurries, and the cb given there runs. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_connection_close(uvsmtp_connection_t *connection,
                                           uvsmtp_connection_close_cb cb);

/**
 * Called when the connection ends by itself while nothing is under way on it (421, end of stream,
 * reset): it can only be closed then. NULL: nobody is told. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_connection_on_lost(uvsmtp_connection_t *connection,
                                             uvsmtp_connection_cb cb);

/**
 * Called when sends have ended, once for all whose replies were read together and after all of their
 * callbacks: what is sent in it, or was in those, leaves in one write. For who has many connections
 * and more to send: a connection that goes on at once is still in the processor's caches. NULL:
 * nobody is told. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_connection_on_room(uvsmtp_connection_t *connection,
                                             uvsmtp_connection_room_cb cb);

/** True from when it is ready until it fails or its owner ends it, busy or not. Since 0.1 */
UVSMTP_EXTERN bool uvsmtp_connection_is_open(const uvsmtp_connection_t *connection);
/** True if it is open, nothing is under way, and a message may be sent on it. Since 0.1 */
UVSMTP_EXTERN bool uvsmtp_connection_is_idle(const uvsmtp_connection_t *connection);
/**
 * How many more sends it takes now, by the bounds on what is in doubt and those of the server; 0
 * unless it is open. Since 0.1
 */
UVSMTP_EXTERN size_t uvsmtp_connection_room(const uvsmtp_connection_t *connection);
/** True if there is room for one. Since 0.1 */
UVSMTP_EXTERN bool uvsmtp_connection_can_send(const uvsmtp_connection_t *connection);
/** Sends that are under way on it. Since 0.1 */
UVSMTP_EXTERN size_t uvsmtp_connection_pending(const uvsmtp_connection_t *connection);
/**
 * The state machine, to look at; commands go through the functions below. NULL before it is
 * connected. Since 0.1
 */
UVSMTP_EXTERN const uvsmtp_protocol_t *
uvsmtp_connection_protocol(const uvsmtp_connection_t *connection);
/** A number that no other connection of this process has or had, from 1; for logs. Since 0.1 */
UVSMTP_EXTERN uint64_t uvsmtp_connection_id(const uvsmtp_connection_t *connection);
/** How far a connection got and when (of uv_now; 0: not yet), and what went over it. */
typedef struct uvsmtp_connection_info_s {
  uint64_t started_ms;
  uint64_t connected_ms;                 /* the stream is up */
  uint64_t tls_started_ms, tls_ended_ms; /* the handshake */
  uint64_t ready_ms;                     /* the session is open */
  uint64_t octets_sent, octets_received; /* on the wire */
} uvsmtp_connection_info_t;
/** Live, good until the close callback has returned. Since 0.1 */
UVSMTP_EXTERN const uvsmtp_connection_info_t *
uvsmtp_connection_info(const uvsmtp_connection_t *connection);
/** The peer as text, "mx.example:587 (192.0.2.1)"; "" before it is connected. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_connection_peer(const uvsmtp_connection_t *connection);
/**
 * True if the server takes no further message on it (LIMITS MAILMAX, or recipients of more domains
 * than RCPTDOMAINMAX, RFC 9422; or 452 4.5.3 to MAIL; or as many as it was found to take), or if it has refused
 * max_refused_recipients one after the other: the next one needs another connection.
 * Since 0.1
 */
UVSMTP_EXTERN bool uvsmtp_connection_is_spent(const uvsmtp_connection_t *connection);
/** How it is protected, from when it is ready. Since 0.1 */
UVSMTP_EXTERN uvsmtp_security_t
uvsmtp_connection_security(const uvsmtp_connection_t *connection);
/** TLS facts; 0, or UVSMTP_ESTATE without TLS. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_connection_tls_info(uvsmtp_connection_t *connection,
                                             uvsmtp_tls_info_t *info);

/**
 * True if opening with UVSMTP_TLS_OPPORTUNISTIC failed in the handshake: another connection, with
 * `no_starttls`, may do. Since 0.1
 */
UVSMTP_EXTERN bool uvsmtp_connection_tls_failed(const uvsmtp_connection_t *connection);

/**
 * Makes a history for the connections of one loop to one server. `mem` is copied, NULL: malloc.
 * With it, TLS sessions are resumed (TLS 1.2 and 1.3; only under the same TLS context and server
 * name, and for a day since the certificate was checked), and of many connections that begin at
 * the same time one makes a full handshake, while the others wait for its session, a tenth of
 * tls_timeout_ms at most. The address family that answered last is tried first. UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_history_new(uvsmtp_history_t **history, const uvsmtp_mem_t *mem);
/** One more hold on it, to be given up likewise. NULL is fine. Since 0.1 */
UVSMTP_EXTERN uvsmtp_history_t *uvsmtp_history_acquire(uvsmtp_history_t *history);
/**
 * Gives it up, on the loop's thread; connections that have it go on with it. Sessions are wiped.
 * NULL is fine. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_history_free(uvsmtp_history_t *history);

/**
 * What was learned of the server's manners; good until the history is given up. To be looked at, or
 * changed before a connection is opened. Since 0.1
 */
UVSMTP_EXTERN uvsmtp_manners_t *uvsmtp_history_manners(uvsmtp_history_t *history);

typedef struct uvsmtp_history_info_s {
  size_t size;              /* set by UVSMTP_HISTORY_INFO_INIT */
  uint64_t tls_handshakes;  /* that were finished, resumptions included */
  uint64_t tls_resumptions; /* of these: those that resumed a session */
  size_t tls_sessions;      /* that are kept for the next */
  uvsmtp_family_t family;   /* that answered last; UVSMTP_FAMILY_ANY: not known */
  unsigned avoid;           /* ways of talking that are left, see uvsmtp/manners.h */
  uint64_t retreats;        /* how often one was */
  const char *retreat;      /* the last time, for people: "no more PIPELINING: MAIL was answered 503
                               …", or ""; good until the loop's next turn */
  unsigned max_mails;       /* messages that a session was found to take; 0: not known */
} uvsmtp_history_info_t;
#define UVSMTP_HISTORY_INFO_INIT {.size = sizeof(uvsmtp_history_info_t)}
/** Fills `info`. 0, or UVSMTP_EINVAL without its size. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_history_info(const uvsmtp_history_t *history,
                                      uvsmtp_history_info_t *info);

/* ---- commands one by one ----------------------------------------------------------------- */

typedef struct uvsmtp_request_s uvsmtp_request_t;
/**
 * `reply` is the server's, borrowed until the callback returns, or NULL if none came: then
 * `error` says why. A reply of 4yz or 5yz is no error here. LMTP's content gets a call for each
 * accepted recipient, all but the last with `more`.
 */
typedef void (*uvsmtp_reply_cb)(uvsmtp_request_t *request, const uvsmtp_reply_t *reply, bool more,
                                const uvsmtp_error_t *error);
/** A command that waits for its reply; caller-owned, in place until the (last) callback. */
struct uvsmtp_request_s {
  void *data; /* yours */
  /* private */
  uvsmtp_reply_cb cb;
  uvsmtp_connection_t *connection;
  void *links[2];
};

/*
 * Each sends one command at once (behind those before it, without waiting for their replies) and
 * calls back with the reply. Errors as those of the uvsmtp_protocol_… function of the same name,
 * and UVSMTP_EBUSY while a send is under way.  Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_connection_mail(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                         const uvsmtp_envelope_t *envelope,
                                         const uvsmtp_mail_needs_t *needs, uvsmtp_reply_cb cb);
UVSMTP_EXTERN int uvsmtp_connection_recipient(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                              const uvsmtp_recipient_t *recipient,
                                              uvsmtp_reply_cb cb);
UVSMTP_EXTERN int uvsmtp_connection_start_data(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                               uvsmtp_reply_cb cb);
/** The whole content and its end, after the 354; `bytes` borrowed until the callback. */
UVSMTP_EXTERN int uvsmtp_connection_data(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                         const char *bytes, size_t len, uvsmtp_reply_cb cb);
UVSMTP_EXTERN int uvsmtp_connection_chunk(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                          const uvsmtp_slice_t *slices, size_t count, bool last,
                                          uvsmtp_reply_cb cb);
UVSMTP_EXTERN int uvsmtp_connection_reset(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                          uvsmtp_reply_cb cb);
UVSMTP_EXTERN int uvsmtp_connection_noop(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                         uvsmtp_reply_cb cb);
UVSMTP_EXTERN int uvsmtp_connection_vrfy(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                         const char *who, uvsmtp_reply_cb cb);
UVSMTP_EXTERN int uvsmtp_connection_expn(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                         const char *list, uvsmtp_reply_cb cb);
UVSMTP_EXTERN int uvsmtp_connection_help(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                         const char *topic, uvsmtp_reply_cb cb);
UVSMTP_EXTERN int uvsmtp_connection_command(uvsmtp_connection_t *c, uvsmtp_request_t *req,
                                            const char *line, uvsmtp_reply_cb cb);

/* ---- messages ---------------------------------------------------------------------------- */

/** What became of a recipient, or of a message. */
typedef enum uvsmtp_status_e {
  UVSMTP_ACCEPTED = 0, /* the server took responsibility */
  UVSMTP_REJECTED,     /* refused for good (5yz), or it cannot be sent so */
  UVSMTP_DEFERRED,     /* refused for now (4yz), or never handed over: try again later */
  UVSMTP_UNKNOWN,      /* all of it may have reached the server, and no final reply was read */
  UVSMTP_PARTIAL       /* of a message only: its recipients differ */
} uvsmtp_status_t;

/** "accepted" and so on. Static. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_status_name(uvsmtp_status_t status);

typedef struct uvsmtp_recipient_result_s {
  const char *address; /* the envelope's */
  uvsmtp_status_t status;
  int code;             /* of the reply that decided; 0: there was none */
  uint16_t enhanced[3]; /* class 0: none */
  const char *text;     /* the server's words; "" if there was no reply */
  uvsmtp_command_t phase; /* to which the deciding reply was; only where `code` is not 0 */
  bool try_elsewhere;     /* deferred for no reason of its own: the connection ended, or the server
                             takes no more on it; another connection may do at once */
} uvsmtp_recipient_result_t;

/** What became of a message. All of it is borrowed until the callback returns. */
typedef struct uvsmtp_result_s {
  uvsmtp_status_t status;
  int err;                /* 0 only if all recipients accepted; else the first cause */
  const char *error_text; /* a sentence; "" if err is 0 */
  uvsmtp_command_t phase; /* in which it was decided */
  bool phase_known;       /* false: it failed before any command was sent, or answered */
  int code;               /* the final reply (the last one read for this message); 0: none */
  uint16_t enhanced[3];
  const char *text;
  const uvsmtp_recipient_result_t *recipients; /* in the envelope's order */
  size_t recipient_count;
  const char *peer;       /* whom it went to; "" if nobody */
  bool retry_is_safe;     /* nothing of it can have been delivered to those not accepted */
  bool cancelled;         /* uvsmtp_send_cancel was called */
  uint64_t queued_ms, started_ms, finished_ms; /* of uv_now; 0: did not happen. `started`: its
                                                  first command was handed to the stream */
  uint64_t connected_ms;  /* when the session that it went on was ready */
  uint64_t connection_id; /* which that was, see uvsmtp_connection_id; 0: none */
  const char *queue_id;   /* the server's name for it, out of the final reply; "" if none is seen */
  unsigned transactions;  /* that were begun for it: more than one where the server takes no more
                             recipients at a time, or was served a plainer way */
  uvsmtp_security_t security; /* of the session that it went on */
} uvsmtp_result_t;

typedef struct uvsmtp_send_s uvsmtp_send_t;
typedef void (*uvsmtp_send_cb)(uvsmtp_send_t *send, const uvsmtp_result_t *result);

/**
 * Some of a content has left: `sent` octets as they stand on the wire, of about `total` (the SIZE
 * of the message; UVSMTP_SIZE_UNKNOWN), `sent` never above it. From the loop only, once a write at
 * most; it begins at 0 again where the message goes again. Anything is legal in it.
 */
typedef void (*uvsmtp_progress_cb)(uvsmtp_send_t *send, uint64_t sent, uint64_t total);

/**
 * A send: caller-owned, in place until its callback. Zero it, then set `data` and `progress` as
 * you like.
 */
struct uvsmtp_send_s {
  void *data; /* yours */
  uvsmtp_progress_cb progress; /* NULL: not told; may be set and changed at any time */
  /* private */
  uvsmtp_send_cb cb;
  void *owner;
  const uvsmtp_envelope_t *envelope;
  uvsmtp_source_t *source;
  void *links[3];
  void *transaction;
  uint64_t queued_ms, started_ms;
  /* private to the client: a connection leaves these alone, but uvsmtp_send_cancel calls the first
   * instead of its own work where it is not NULL, and uvsmtp_connection_send makes it NULL */
  void (*cancel_queued)(uvsmtp_send_t *send); /* set while a client has it and no connection */
  uvsmtp_send_cb client_cb;
  void *client, *client_slot;
  uint64_t client_ticket, client_deadline_ms, client_bytes;
  void *client_timer[3];
  unsigned client_tries;
  int client_err;
  unsigned char client_priority;
  bool client_again;
  unsigned char client_spared, unused;
  uvsmtp_address_lengths_t lengths; /* of the envelope; not the client's alone */
};

/**
 * Sends one message. Several may be queued at a time; they go out in order, overlapping as far as
 * the server and the options allow. `send`, `envelope` and `source` are borrowed until `cb`. The
 * callback gets a result for every recipient, whatever happens. UVSMTP_ENORECIPIENTS,
 * UVSMTP_ECLOSING, UVSMTP_EINJECTION, UVSMTP_EADDRESS, UVSMTP_EINVAL, UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_connection_send(uvsmtp_connection_t *connection, uvsmtp_send_t *send,
                                         const uvsmtp_envelope_t *envelope,
                                         uvsmtp_source_t *source, uvsmtp_send_cb cb);

/**
 * Gives a send up: its callback comes soon, and tells the truth: UVSMTP_ECANCELED if nothing of it
 * had left, else the real outcome or UVSMTP_UNKNOWN. A connection on which it was under way is
 * closed, and other sends there get their own outcome. Works for sends of clients too. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_send_cancel(uvsmtp_send_t *send);

/*
 * A send that goes on with another connection, for those who keep a pool of their own (a client
 * does it by itself): what became of its recipients so far stays with it, and only those that
 * another connection may serve go again.
 */

/**
 * Inside the callback of a send: how many of its recipients may go again, with `unknown_too` those
 * whose fate is unknown, who may then get the message twice. Above 0, all results stay with the
 * send until uvsmtp_connection_resume or uvsmtp_send_settle. Since 0.1
 */
UVSMTP_EXTERN size_t uvsmtp_send_keep(uvsmtp_send_t *send, const uvsmtp_result_t *result,
                                      bool unknown_too);
/**
 * uvsmtp_connection_send for `count` sends at once, each with results that were kept, or with none
 * yet; their envelopes and sources are their own, and looked through already, and they were queued
 * when they were first. After an error none was taken, and results are still kept.
 * UVSMTP_ECLOSING, UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_connection_resume(uvsmtp_connection_t *connection,
                                           uvsmtp_send_t *const *sends, size_t count,
                                           uvsmtp_send_cb cb);
/** Results that were kept. */
typedef struct uvsmtp_kept_s uvsmtp_kept_t;
/**
 * There is no further try: those who were to go again get this status and text, which is borrowed.
 * Fills the recipients, the status and retry_is_safe of `result`, which is good until what is
 * returned has been given to uvsmtp_kept_free; NULL if the send has no results. Since 0.1
 */
UVSMTP_EXTERN uvsmtp_kept_t *uvsmtp_send_settle(uvsmtp_send_t *send, uvsmtp_status_t status,
                                                const char *text, uvsmtp_result_t *result);
/** NULL is fine. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_kept_free(uvsmtp_kept_t *kept);

/* ---- work elsewhere ------------------------------------------------------------------------ */

/**
 * Runs something in libuv's thread pool: a uvsmtp_work_fn for uvsmtp_dkim_options_t, with the
 * uv_loop_t as its context. The loop stays alive until `done` was called on its thread.
 * Returns    0, or an error after which neither `run` nor `done` is called           Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_loop_work(void *loop, void (*run)(void *arg), void (*done)(void *arg),
                                   void *arg);

/* ---- files as sources -------------------------------------------------------------------- */

/**
 * A file as a source, read ahead with uv_fs_read, never whole. It is opened at once, which may
 * block as fopen does, and stays open until uvsmtp_source_release. Can be read twice. libuv's
 * codes, UVSMTP_ESOURCE if it is no regular file, UVSMTP_EINVAL, UVSMTP_ENOMEM. If its length
 * changes before it has been sent, the send fails with UVSMTP_ESOURCE. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_source_file(uvsmtp_source_t *source, uv_loop_t *loop, const char *path);
/** An open, blocking descriptor (standard input); read once, never closed here. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_source_fd(uvsmtp_source_t *source, uv_loop_t *loop, uv_file fd);
/** Frees what the two above keep; not while a send uses the source. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_source_release(uvsmtp_source_t *source);
/** uvsmtp_source_file as a table, for uvsmtp_message_options_t; its context is the uv_loop_t.
 *  Static. Since 0.1 */
UVSMTP_EXTERN const uvsmtp_files_t *uvsmtp_loop_files(void);

/* ---- URLs -------------------------------------------------------------------------------- */

/**
 * A server as a URL: smtp://user:pass@host:587 (STARTTLS required), smtps:// (implicit TLS),
 * lmtp://host:24, smtp+unix:///path, lmtp+unix:///path; [IPv6] addresses; user and password
 * percent-decoded; `?tls=none|opportunistic|required|implicit`, `?ehlo=NAME`,
 * `?auth=MECHANISM[,MECHANISM]` behind it. Since 0.1
 */
typedef struct uvsmtp_url_s {
  char *host, *unix_path, *user, *password, *ehlo, *mechanisms; /* NULL: not said */
  uint16_t port;                                                 /* 0: not said */
  uvsmtp_tls_mode_t tls;
  bool lmtp;
} uvsmtp_url_t;
/**
 * UVSMTP_EURL, or UVSMTP_EINJECTION for a CR, LF or NUL, with a sentence in `detail`;
 * UVSMTP_ENOMEM. Unix sockets are without TLS, all others but smtps with STARTTLS required, unless
 * `?tls=` says otherwise. The strings are yours. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_url_parse(uvsmtp_url_t *url, const char *text, char *detail,
                                   size_t detail_size);
/** Frees the strings, the password wiped. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_url_clear(uvsmtp_url_t *url);
/**
 * The authenticator that a URL's user, password and mechanisms make, as options without one use it.
 * Errors of uvsmtp_auth_password_new. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_url_auth_new(uvsmtp_auth_t **auth, const uvsmtp_url_t *url,
                                      const uvsmtp_mem_t *mem);

#ifdef __cplusplus
}
#endif
#endif
