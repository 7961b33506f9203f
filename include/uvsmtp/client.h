#ifndef UVSMTP_CLIENT_H
#define UVSMTP_CLIENT_H

/*
 * A client: one server or several, TLS and authentication settings, and the pool of connections
 * that carries messages to them. What an application holds. The contract of uvsmtp/connection.h
 * applies.
 *
 * A send waits in the client's queue until a connection takes it. Connections are opened as the
 * queue grows, up to a cap that counts those that open and those that close too; they are used
 * again for the same endpoint only, and so under the same TLS policy and identity. What a server
 * cannot bear is noticed: after failures the client stands back, longer each time and with jitter,
 * and it opens fewer connections where more were refused. uvsmtp_client_waiting says at any time
 * why sends wait.
 */
#include "uvsmtp/connection.h"
#include "uvsmtp/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*uvsmtp_client_cb)(uvsmtp_client_t *client);

/**
 * A rate: `count` events in `per_ms` milliseconds, evenly, and up to `burst` of them at once after
 * a quiet time. {.count = 14} is 14 a second, one at a time; {.count = 300, .per_ms = 60000,
 * .burst = 50} is 300 a minute, 50 of which may come together. In any span of T milliseconds there
 * are at most burst + (T + 1) * count / per_ms events. Each number is at most 1 000 000 000.
 */
typedef struct uvsmtp_rate_s {
  uint64_t count;  /* 0: no limit; then the others have to be 0 too */
  uint64_t per_ms; /* default 1 000 */
  uint64_t burst;  /* default 1 */
} uvsmtp_rate_t;

/**
 * One server of several. Those with the lowest `priority` number are used; the next ones only
 * while all of these are out of reach (RFC 5321 section 5.1). Among equals connections and sends
 * are shared by `weight`. A server that was out of reach is tried again in the background, and
 * takes over again once it has answered.
 */
typedef struct uvsmtp_endpoint_s {
  size_t size;     /* set by UVSMTP_ENDPOINT_INIT */
  const char *url; /* the server; or host and port, or unix_path; copied */
  const char *host;
  uint16_t port; /* 0: as in uvsmtp_connection_options_t */
  const char *unix_path;
  const uvsmtp_connection_options_t *connection; /* all else, TLS and authenticators too; borrowed
                                                    for the call; NULL: the client's */
  unsigned priority;      /* lower is better; default 0 */
  unsigned weight;        /* share among those of the same priority; default 1, at most 65 535 */
  size_t max_connections; /* to this one; 0: the client's cap alone */
} uvsmtp_endpoint_t;
#define UVSMTP_ENDPOINT_INIT UVSMTP__SIZED(uvsmtp_endpoint_t)

typedef struct uvsmtp_client_options_s {
  size_t size; /* set by UVSMTP_CLIENT_OPTIONS_INIT */
  /* ---- the server, or the servers: one of the three is required ---- */
  const uvsmtp_connection_options_t *connection; /* how to connect; with `endpoints` or `urls` what
                                                    they have in common; borrowed for the call */
  const uvsmtp_endpoint_t *endpoints; /* borrowed for the call */
  size_t endpoint_count;
  const char *urls; /* instead of endpoints: URLs separated by blanks, the best first, each used
                       only while those before it are out of reach; copied */
  /* ---- connections ---- */
  size_t max_connections; /* opening and closing ones count too; default 50 */
  size_t min_idle;        /* kept open and ready, from the start on and beyond idle_timeout_ms;
                             default 0 */
  uint64_t idle_timeout_ms; /* an idle connection is closed after it; default 30 000, UINT64_MAX:
                               none */
  uint64_t keepalive_ms;    /* NOOP on a connection that is idle for so long; 0: none */
  uint64_t max_messages;    /* on one connection; 0: no limit */
  uint64_t max_bytes;       /* of messages on one connection, as uvsmtp_source_length tells; 0: no
                               limit */
  uint64_t max_refused;     /* messages that went to nobody on one connection: servers count errors
                               and the RSETs behind them, and cut off whom they take for a spammer
                               (Exim after ten); default 6, UINT64_MAX: no limit */
  uint64_t max_age_ms;      /* of a connection, less up to a tenth of it at random, so that those
                               which were opened together are not replaced together; 0: no limit */
  /* ---- the queue ---- */
  size_t max_queued;         /* sends that wait; then UVSMTP_EQUEUEFULL; default 10 000 000 */
  uint64_t max_queued_bytes; /* of messages that wait, as uvsmtp_source_length tells: a source of
                                unknown length counts nothing; a message larger than it is taken by
                                an empty queue; 0: no limit */
  uvsmtp_client_cb on_room;  /* after UVSMTP_EQUEUEFULL: the queue is half empty again (a "drain"
                                callback); on the loop's thread; NULL: nobody is told */
  uint64_t send_timeout_ms;  /* for sends that say none of their own, see
                                uvsmtp_send_options_t.timeout_ms; 0: none */
  /* ---- pacing, applied before a send is begun and before a connection is opened; of the client,
   * over all of its endpoints ---- */
  uvsmtp_rate_t message_rate;
  uvsmtp_rate_t recipient_rate; /* a message with more recipients than `burst` waits for the whole
                                   burst, and those after it wait for the difference */
  uvsmtp_rate_t connection_rate;
  /* ---- failures ---- */
  unsigned max_tries;         /* of a message that cannot have been delivered; default 3. When a
                                 connection ends, that is a try of the oldest message under way on
                                 it, not of those behind; and of none if it had been parked and was
                                 found dead at its first command, or if it had served others before
                                 (this only ten times a message: it might be what ends them) */
  bool resend_unknown; /* messages go again, within max_tries, also where all of them may have
                          reached the server and its answer was not read: they may arrive twice;
                          those whose second try fails too stay unknown */
  unsigned max_connect_tries; /* rounds of connecting that fail at all endpoints in a row, then what
                                 waits is told so; default 3, UINT_MAX: it waits until its timeout */
  uint64_t retry_delay_ms;    /* after a failed connect, a refused login, or a server that asked to
                                 slow down; doubled each time, and shortened by up to half at
                                 random; default 1 000 */
  uint64_t max_retry_delay_ms; /* default 60 000, or retry_delay_ms if that is longer */
  bool fixed_connections;      /* do not open fewer connections where the server refused more */
  void *data;                  /* see uvsmtp_client_data */
  const uvsmtp_mem_t *mem;     /* NULL: malloc */
  uvsmtp_client_event_cb on_event; /* told what happens to connections and the queue; see
                                      uvsmtp_client_event_t; NULL: nobody */
  uint64_t open_patience_ms; /* with several endpoints: nobody waits for an opening that takes
                                longer, say because the greeting does not come. Another endpoint is
                                tried beside it, of the next priority if need be; at
                                max_connections the slow one is given up for that. Default 10 000;
                                UINT64_MAX: patience without end. See also
                                uvsmtp_connection_options_t.open_timeout_ms */
  uint64_t tls_retry_ms; /* with UVSMTP_TLS_OPPORTUNISTIC: an endpoint whose TLS was found broken is
                            connected to in the clear for so long, then TLS is tried again; default
                            600 000, UINT64_MAX: never */
} uvsmtp_client_options_t;
#define UVSMTP_CLIENT_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_client_options_t)

/**
 * Makes a client on `loop`; unless min_idle says otherwise, no connection is opened before the
 * first send. `detail` (may be NULL) gets a sentence on what is wrong with the options.
 * UVSMTP_EINVAL, UVSMTP_EOPTIONSIZE, UVSMTP_EURL, UVSMTP_EINJECTION, UVSMTP_ETLSCONFIG,
 * UVSMTP_ENOMEM, libuv's codes. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_client_new(uvsmtp_client_t **client, uv_loop_t *loop,
                                    const uvsmtp_client_options_t *options, char *detail,
                                    size_t detail_size);
/**
 * The same with all defaults, to the server of `urls`, or to several, separated by blanks: see
 * uvsmtp_client_options_t.urls. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_client_new_url(uvsmtp_client_t **client, uv_loop_t *loop,
                                        const char *urls);
/** The `data` of the options. Since 0.1 */
UVSMTP_EXTERN void *uvsmtp_client_data(const uvsmtp_client_t *client);

/**
 * Queues one message. `send`, `envelope` and `source` are borrowed until `cb`, which gets a result
 * for every recipient whatever happens. Recipients that the message cannot have been delivered to
 * because of the network, a 421, or a limit of the session are tried again on another connection,
 * up to max_tries times in all; nothing else is (but see resend_unknown). What is
 * wrong with addresses or options comes as a result. UVSMTP_EINVAL (no send, envelope, source or
 * cb), UVSMTP_ENORECIPIENTS, UVSMTP_ECLOSING, UVSMTP_EQUEUEFULL, UVSMTP_ENOMEM. uvsmtp_send_cancel
 * gives a send up. Legal in any callback. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_client_send(uvsmtp_client_t *client, uvsmtp_send_t *send,
                                     const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                                     uvsmtp_send_cb cb);

/**
 * Replaces those who log in (`auths` in order of preference; the array is copied, each is held),
 * because a server has refused the old ones, or they have been renewed.
 *
 * - Sends and borrowers that wait stay where they are, and get connections that have logged in
 *   anew. Those that have been told of a failure by then are not brought back.
 * - A connection that is open has logged in as before: it finishes what is under way on it, gets
 *   nothing more, and says QUIT; if it is lent, when it is given back.
 * - A connection that is being opened is given up, and its exchange cancelled.
 * - Delays after failures are over: the new credentials are tried at once.
 *
 * Where a client has several endpoints, those with `connection` options or URL credentials of their
 * own keep theirs, so that no server is shown the credentials of another; UVSMTP_EINVAL if all have.
 *
 * Until a server has accepted them one connection at a time tries the new credentials, so that
 * wrong ones do not lock the account.
 *
 * Credentials that a server has refused rest (uvsmtp_auth_options_t.backoff_ms): sends that need a
 * new connection meanwhile end with UVSMTP_EAUTHBACKOFF, and the server is not asked.
 * uvsmtp_client_stats_t.open_err tells of it.
 * Returns    0; UVSMTP_EINVAL (none, or more than UVSMTP_AUTH_CHOICE_MAX), UVSMTP_ECLOSING,
 *            UVSMTP_EAUTHTHREAD; after an error all is as before. Legal in any callback. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_client_set_authenticators(uvsmtp_client_t *client,
                                                   uvsmtp_auth_t *const *auths, size_t count);
/** The same with a single one. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_client_set_authenticator(uvsmtp_client_t *client, uvsmtp_auth_t *auth);

/**
 * Which of the sends that wait goes first. Each priority is first come, first served. While all
 * three wait, they get 16, 4 and 1 of 21 turns, so that even the lowest is never starved.
 */
typedef enum uvsmtp_priority_e {
  UVSMTP_PRIORITY_NORMAL = 0,
  UVSMTP_PRIORITY_HIGH, /* a password reset: somebody waits for it */
  UVSMTP_PRIORITY_LOW   /* a newsletter */
} uvsmtp_priority_t;

typedef struct uvsmtp_send_options_s {
  size_t size; /* set by UVSMTP_SEND_OPTIONS_INIT */
  uvsmtp_priority_t priority;
  uint64_t timeout_ms; /* how long it may wait in the queue, between tries too: then it is told
                          UVSMTP_EDEADLINE, deferred. What is on a connection is left to finish,
                          within the timeouts of the dialogue; uvsmtp_send_cancel does not wait for
                          that. 0: the client's send_timeout_ms; UINT64_MAX: none */
} uvsmtp_send_options_t;
#define UVSMTP_SEND_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_send_options_t)

/**
 * The same with options of its own, which are borrowed for the call. UVSMTP_EOPTIONSIZE and
 * UVSMTP_EINVAL (no such priority) besides. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_client_send_with(uvsmtp_client_t *client, uvsmtp_send_t *send,
                                          const uvsmtp_envelope_t *envelope,
                                          uvsmtp_source_t *source,
                                          const uvsmtp_send_options_t *options, uvsmtp_send_cb cb);

/** A wish for a connection of one's own; caller-owned, in place until its callback. */
typedef struct uvsmtp_borrow_s uvsmtp_borrow_t;
typedef void (*uvsmtp_borrow_cb)(uvsmtp_borrow_t *borrow, uvsmtp_connection_t *connection,
                                 const uvsmtp_error_t *error);
struct uvsmtp_borrow_s {
  void *data; /* yours */
  /* private */
  uvsmtp_borrow_cb cb;
  uvsmtp_client_t *client;
  void *links[2];
  uint64_t ticket;
  int err;
  bool finished;
};
/**
 * Borrows a connection of the pool on which nothing is under way; it comes in the callback, or
 * NULL and the error. Borrowers and sends are served in the order in which they came. While it is
 * lent, its data (uvsmtp_connection_set_data) and its on_lost are the borrower's; it counts against
 * max_connections. `borrow` is yours and stays in place until the callback. UVSMTP_EINVAL,
 * UVSMTP_ECLOSING. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_client_borrow(uvsmtp_client_t *client, uvsmtp_borrow_t *borrow,
                                       uvsmtp_borrow_cb cb);
/**
 * Takes a wish back: its callback comes with UVSMTP_ECANCELED. Only for a wish whose callback has
 * not run: afterwards `borrow` may be anything, and calling this is the caller's mistake. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_borrow_cancel(uvsmtp_borrow_t *borrow);
/**
 * Gives a borrowed connection back; do not close it yourself. If something is under way on it, or
 * it has ended, the client closes it. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_client_give_back(uvsmtp_client_t *client,
                                           uvsmtp_connection_t *connection);

/**
 * Copies a result with all its words, so that it outlives the callback; uvsmtp_result_free releases
 * it (NULL is fine). `mem` NULL: malloc. UVSMTP_EINVAL, UVSMTP_ENOMEM. Any thread. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_result_copy(uvsmtp_result_t **copy, const uvsmtp_result_t *result,
                                     const uvsmtp_mem_t *mem);
UVSMTP_EXTERN void uvsmtp_result_free(uvsmtp_result_t *copy);

/** Why sends wait. */
typedef enum uvsmtp_wait_e {
  UVSMTP_WAIT_NONE = 0,    /* they do not, or only for the loop's next turn */
  UVSMTP_WAIT_OPENING,     /* connections are being opened */
  UVSMTP_WAIT_CONNECTIONS, /* all max_connections of the client are in use */
  UVSMTP_WAIT_SERVER,      /* the endpoint's max_connections are, or as many as the server bears */
  UVSMTP_WAIT_PACING,      /* a rate of the options */
  UVSMTP_WAIT_BACKOFF,     /* servers could not be reached or refused, and are left alone a while */
  UVSMTP_WAIT_SLOWDOWN     /* the server asked to slow down (RFC 3463 sections 3.4, 3.5) */
} uvsmtp_wait_t;

/** The name of a reason ("pacing"). Static. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_wait_name(uvsmtp_wait_t why);

/** What waits in a client's queue, and why. */
typedef struct uvsmtp_client_waiting_s {
  uvsmtp_wait_t why;      /* of who is next */
  uint64_t until_ms;      /* of uv_now: when that ends; 0: when something happens */
  size_t sends, borrows;  /* that wait */
  size_t high, normal, low; /* sends by priority */
  uint64_t bytes;         /* of their messages; 0 unless max_queued_bytes or max_bytes is set */
  char text[384];         /* a sentence for people: "2 wait: no server can be reached, and …" */
} uvsmtp_client_waiting_t;
/** Fills `waiting`, as of the loop's last turn. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_client_waiting(const uvsmtp_client_t *client,
                                         uvsmtp_client_waiting_t *waiting);

/** What a client knows of one of its endpoints. The strings are good until the loop's next turn. */
typedef struct uvsmtp_endpoint_state_s {
  const char *name; /* "mx.example:587", or the path of its socket */
  unsigned priority, weight;
  size_t connections, opening; /* all that count against the cap; of these, those that open */
  size_t bears;      /* connections that it bears, as was learned from refusals; 0: not known */
  unsigned failures; /* openings that failed in a row */
  uint64_t retry_at_ms; /* of uv_now: it is left alone until then; 0: it is not */
  bool down;            /* it is out of reach, and others stand in */
  int err;              /* its last failure, 0: none yet */
  const char *error_text;
  unsigned avoid; /* ways of talking under which it was found to break: UVSMTP_WAY_… */
  unsigned max_mails; /* messages that a session was found to take before the server closes it
                         without a word; 0: not known */
} uvsmtp_endpoint_state_t;
/** How many there are. Since 0.1 */
UVSMTP_EXTERN size_t uvsmtp_client_endpoint_count(const uvsmtp_client_t *client);
/** Fills `state` for the one that stands at `index` when they are sorted by priority. UVSMTP_EINVAL:
 * there is none. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_client_endpoint(const uvsmtp_client_t *client, size_t index,
                                         uvsmtp_endpoint_state_t *state);

/** How a client is closed; each is more urgent than the one before. */
typedef enum uvsmtp_close_e {
  UVSMTP_CLOSE_DRAIN,  /* all that is queued is sent, QUIT is said */
  UVSMTP_CLOSE_FINISH, /* what waits is cancelled, what is under way is finished, QUIT is said */
  UVSMTP_CLOSE_ABORT   /* what waits is cancelled, what is under way is cut: real outcome */
} uvsmtp_close_t;
/**
 * Closes and frees. New sends are refused at once; `cb` (may be NULL) runs once, after all other
 * callbacks, when nothing of the client is in the loop's hands any more; `client` is gone when it
 * returns. It can be hurried by a second call with a more urgent way, whose cb is ignored. A
 * connection that is lent has to be given back first: closing waits for it. Legal in any callback,
 * and in any state: while resolving, connecting, in a handshake or in the middle of a message.
 * Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_client_close(uvsmtp_client_t *client, uvsmtp_close_t how,
                                       uvsmtp_client_cb cb);
/**
 * The same, but it becomes UVSMTP_CLOSE_ABORT if it is not over after `timeout_ms`. A second call
 * may shorten the time. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_client_close_within(uvsmtp_client_t *client, uvsmtp_close_t how,
                                              uint64_t timeout_ms, uvsmtp_client_cb cb);

#ifdef __cplusplus
}
#endif
#endif
