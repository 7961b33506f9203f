#ifndef UVSMTP_CLIENT_H
#define UVSMTP_CLIENT_H

/*
 * A client: a server's address, TLS and authentication settings, and the pool of connections that
 * carries messages to it. What an application holds. The contract of uvsmtp/connection.h applies.
 */
#include "uvsmtp/connection.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvsmtp_client_s uvsmtp_client_t;
typedef void (*uvsmtp_client_cb)(uvsmtp_client_t *client);

typedef struct uvsmtp_client_options_s {
  size_t size; /* set by UVSMTP_CLIENT_OPTIONS_INIT */
  const uvsmtp_connection_options_t *connection; /* required; borrowed for the call */
  size_t max_connections;     /* opening and closing ones count too; default 50 */
  size_t max_queued;          /* sends that wait; then UVSMTP_EQUEUEFULL; default 10 000 000 */
  uint64_t idle_timeout_ms;   /* an idle connection is closed after it; default 30 000 */
  uint64_t max_messages;      /* on one connection; 0: no limit */
  uint64_t max_age_ms;        /* of a connection; 0: no limit */
  unsigned max_tries;         /* of a message that cannot have been delivered; default 3 */
  uint64_t retry_delay_ms;    /* after a failed connect, doubled each time, with jitter;
                                 default 1 000, at most 60 000 */
  void *data;                 /* see uvsmtp_client_data */
  const uvsmtp_mem_t *mem;    /* NULL: malloc */
} uvsmtp_client_options_t;
#define UVSMTP_CLIENT_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_client_options_t)

/**
 * Makes a client on `loop`; no connection is opened before the first send. `detail` (may be NULL)
 * gets a sentence on what is wrong with the options. UVSMTP_EINVAL, UVSMTP_EURL,
 * UVSMTP_EINJECTION, UVSMTP_ETLSCONFIG, UVSMTP_ENOMEM, libuv's codes. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_client_new(uvsmtp_client_t **client, uv_loop_t *loop,
                                    const uvsmtp_client_options_t *options, char *detail,
                                    size_t detail_size);
/** The same with all defaults, to the server of `url`. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_client_new_url(uvsmtp_client_t **client, uv_loop_t *loop,
                                        const char *url);
/** The `data` of the options. Since 0.1 */
UVSMTP_EXTERN void *uvsmtp_client_data(const uvsmtp_client_t *client);

/**
 * Queues one message. `send`, `envelope` and `source` are borrowed until `cb`, which gets a result
 * for every recipient whatever happens. What failed because of the network or a 421 before any of
 * it can have been delivered is tried again, up to max_tries times in all; nothing else is. What is
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
 * Until a server has accepted them one connection at a time tries the new credentials, so that
 * wrong ones do not lock the account.
 *
 * Credentials that a server has refused rest (uvsmtp_auth_options_t.backoff_ms): sends that need a
 * new connection meanwhile end with UVSMTP_EAUTHBACKOFF, and the server is not asked.
 * uvsmtp_client_stats_t.open_err tells of it.
 * Returns    0; UVSMTP_EINVAL (none, or more than UVSMTP_AUTH_CHOICE_MAX), UVSMTP_ECLOSING,
 *            UVSMTP_EAUTHTHREAD, UVSMTP_ENOMEM; after an error all is as before. Legal in any callback. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_client_set_authenticators(uvsmtp_client_t *client,
                                                   uvsmtp_auth_t *const *auths, size_t count);
/** The same with a single one. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_client_set_authenticator(uvsmtp_client_t *client, uvsmtp_auth_t *auth);

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
 * Takes a wish back: its callback comes with UVSMTP_ECANCELED. Not after its callback. Since 0.1
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

typedef struct uvsmtp_client_stats_s {
  size_t queued, in_flight;                        /* now: sends */
  size_t connections, opening, idle, busy, lent;   /* now: connections */
  uint64_t opened, failed, reused, retired;        /* ever */
  uint64_t sent, accepted, rejected, deferred, unknown, retries; /* ever: sends by status */
  uint64_t partial;                                /* likewise: whose recipients differ */
  int open_err; /* why the last connection could not be opened; 0: it could, or was not tried since
                   the authenticators were replaced */
  uint64_t tls_handshakes, tls_resumptions;        /* ever: finished; of these, resumed ones */
} uvsmtp_client_stats_t;
/** Fills `stats`; costs nothing worth mentioning. `queued` are sends that no connection has. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_client_stats(const uvsmtp_client_t *client,
                                       uvsmtp_client_stats_t *stats);

typedef enum uvsmtp_close_e {
  UVSMTP_CLOSE_DRAIN, /* all that is queued is sent, QUIT is said */
  UVSMTP_CLOSE_ABORT  /* what waits is cancelled, what is under way is cut: real outcome */
} uvsmtp_close_t;
/**
 * Closes and frees. New sends are refused at once; `cb` (may be NULL) runs once, after all other
 * callbacks, when nothing of the client is in the loop's hands any more; `client` is gone when it
 * returns. Draining can be hurried by a second call with UVSMTP_CLOSE_ABORT, whose cb is ignored.
 * A connection that is lent has to be given back first: closing waits for it. Legal in any
 * callback. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_client_close(uvsmtp_client_t *client, uvsmtp_close_t how,
                                       uvsmtp_client_cb cb);

#ifdef __cplusplus
}
#endif
#endif
