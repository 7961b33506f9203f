#ifndef UVSMTP_BLOCKING_H
#define UVSMTP_BLOCKING_H

/*
 * The blocking client: uvsmtp/client.h and uvsmtp/connection.h for programs that have no loop.
 * Each function does its work in the calling thread, on a loop that belongs to the object, and
 * returns when the work is done, with its result. It takes the same options, envelopes and sources.
 *
 *   1. An object is used by one thread at a time; any number of threads may have objects of their
 *      own. Only the functions named _cancel may be called from other threads and signal handlers.
 *      One that logs in stays with its first thread, as its authenticators do (uvsmtp/auth.h).
 *   2. A result or reply that is returned belongs to the object and stays in place until the next
 *      call on it that sends or closes something; uvsmtp_result_copy keeps one for longer.
 *   3. Functions return 0 or an error; _error_text has the sentence on the last one. A result is
 *      exact however the call ends: also after a cancel, a timeout, and when memory has run out.
 *   4. Callbacks of the options (traces, tokens, sources) run in the calling thread, inside calls.
 *      A call on the same object from there returns UVSMTP_EBUSY, except _cancel.
 *   5. Nothing runs between calls: what a parked connection has received meanwhile is looked at
 *      first by the next call, so that a connection that has ended is not used.
 *   6. SIGPIPE is held off while a call runs; the program need not ignore it.
 */
#include "uvsmtp/client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvsmtp_blocking_client_s uvsmtp_blocking_client_t;
typedef struct uvsmtp_blocking_connection_s uvsmtp_blocking_connection_t;

/* ---- a client: messages, on connections that are kept ------------------------------------- */

/**
 * Makes a client; no connection is opened yet. Parameters and errors are those of
 * uvsmtp_client_new. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_blocking_client_new(uvsmtp_blocking_client_t **client,
                                             const uvsmtp_client_options_t *options, char *detail,
                                             size_t detail_size);
/** The same with all defaults, to the server or servers of `urls`; see uvsmtp_client_new_url. Since
 * 0.1 */
UVSMTP_EXTERN int uvsmtp_blocking_client_new_url(uvsmtp_blocking_client_t **client,
                                                 const char *urls);

/**
 * Sends one message and waits for what becomes of it. Returns 0 if all recipients were accepted,
 * else `err` of the result. `*result` is never NULL; when nothing could be begun (UVSMTP_EINVAL,
 * UVSMTP_ENORECIPIENTS, UVSMTP_EINJECTION, UVSMTP_EBUSY, UVSMTP_ENOMEM), it has no recipients.
 * `result` may be NULL. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_blocking_client_send(uvsmtp_blocking_client_t *client,
                                              const uvsmtp_envelope_t *envelope,
                                              uvsmtp_source_t *source,
                                              const uvsmtp_result_t **result);

/** One of many messages. Zero it and set the first two. */
typedef struct uvsmtp_blocking_send_s {
  const uvsmtp_envelope_t *envelope;
  uvsmtp_source_t *source;              /* one for each, unless it is in memory */
  const uvsmtp_result_t *result;        /* set: what became of it, never NULL */
  const uvsmtp_send_options_t *options; /* its priority and time limit; NULL: none of its own */
  /* private */
  uvsmtp_send_t send;
} uvsmtp_blocking_send_t;
/**
 * Sends `count` messages, as many at a time as the client's options allow, and returns when all
 * of them are done. 0 if all recipients of all of them were accepted, else the first error in the
 * order of `sends`. UVSMTP_EINVAL (no envelope or source), UVSMTP_EBUSY and UVSMTP_ENOMEM mean that
 * none was sent. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_blocking_client_send_many(uvsmtp_blocking_client_t *client,
                                                   uvsmtp_blocking_send_t *sends, size_t count);

/**
 * Waits for a connection of the client on which nothing is under way, for commands one by one.
 * uvsmtp_blocking_connection_close gives it back. While it is lent, the client can be used too, by
 * the same thread. UVSMTP_EBUSY, UVSMTP_ENOMEM, and whatever keeps connections from being opened.
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_blocking_client_borrow(uvsmtp_blocking_client_t *client,
                                                uvsmtp_blocking_connection_t **connection);

/**
 * Bounds each later call in time: what is not done then is cancelled, with UVSMTP_EDEADLINE and its
 * real outcome. 0, the default, leaves it to the timeouts of the options. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_blocking_client_set_timeout(uvsmtp_blocking_client_t *client,
                                                      uint64_t timeout_ms);
/**
 * Ends the call that is under way, or, if there is none, the next one: as soon as it can be known,
 * it returns UVSMTP_ECANCELED and the real outcome. Any thread and signal handlers, as long as the
 * client is not being closed. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_blocking_client_cancel(uvsmtp_blocking_client_t *client);
/** A sentence on the last error; "" if there was none. Until the next call. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_blocking_client_error_text(const uvsmtp_blocking_client_t *client);
/**
 * The client within, for functions that do not wait: uvsmtp_client_stats and the like. Since 0.1
 */
UVSMTP_EXTERN uvsmtp_client_t *
uvsmtp_blocking_client_client(const uvsmtp_blocking_client_t *client);
/**
 * The loop that runs inside calls, for file sources, and for authenticators that fetch tokens with
 * it. Since 0.1
 */
UVSMTP_EXTERN uv_loop_t *uvsmtp_blocking_client_loop(uvsmtp_blocking_client_t *client);
/**
 * Takes leave of the servers (QUIT, at most quit_timeout_ms) and frees. UVSMTP_EBUSY inside a
 * callback, while a connection is lent, and while handles of yours on the loop have not been given
 * to uv_close: call it again then. NULL is fine. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_blocking_client_close(uvsmtp_blocking_client_t *client);

/* ---- a connection: commands one by one ---------------------------------------------------- */

/**
 * Opens a connection and waits until it is ready: greeted, secured and logged in. `detail` (may be
 * NULL) gets the sentence if that fails. Errors of uvsmtp_connection_open, and all that its
 * callback can get. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_blocking_connection_open(uvsmtp_blocking_connection_t **connection,
                                                  const uvsmtp_connection_options_t *options,
                                                  char *detail, size_t detail_size);

/*
 * Each sends one command and waits for its reply: 0 and `*reply`, of whatever class; or an error
 * and NULL, if none came. `reply` may be NULL. Errors as those of the uvsmtp_connection_… function
 * of the same name, those of a connection that ends, UVSMTP_EBUSY, UVSMTP_ECANCELED,
 * UVSMTP_EDEADLINE; after the last two the connection is over. If memory runs out, a reply may come
 * without its words, or with UVSMTP_ENOMEM if others before it are missing.   Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_blocking_connection_mail(uvsmtp_blocking_connection_t *connection,
                                                  const uvsmtp_envelope_t *envelope,
                                                  const uvsmtp_mail_needs_t *needs,
                                                  const uvsmtp_reply_t **reply);
UVSMTP_EXTERN int uvsmtp_blocking_connection_recipient(uvsmtp_blocking_connection_t *connection,
                                                       const uvsmtp_recipient_t *recipient,
                                                       const uvsmtp_reply_t **reply);
UVSMTP_EXTERN int uvsmtp_blocking_connection_start_data(uvsmtp_blocking_connection_t *connection,
                                                        const uvsmtp_reply_t **reply);
/** The whole content and its end, after the 354. LMTP: see _replies for those before the last. */
UVSMTP_EXTERN int uvsmtp_blocking_connection_data(uvsmtp_blocking_connection_t *connection,
                                                  const char *bytes, size_t len,
                                                  const uvsmtp_reply_t **reply);
UVSMTP_EXTERN int uvsmtp_blocking_connection_chunk(uvsmtp_blocking_connection_t *connection,
                                                   const uvsmtp_slice_t *slices, size_t count,
                                                   bool last, const uvsmtp_reply_t **reply);
UVSMTP_EXTERN int uvsmtp_blocking_connection_reset(uvsmtp_blocking_connection_t *connection,
                                                   const uvsmtp_reply_t **reply);
UVSMTP_EXTERN int uvsmtp_blocking_connection_noop(uvsmtp_blocking_connection_t *connection,
                                                  const uvsmtp_reply_t **reply);
UVSMTP_EXTERN int uvsmtp_blocking_connection_vrfy(uvsmtp_blocking_connection_t *connection,
                                                  const char *who, const uvsmtp_reply_t **reply);
UVSMTP_EXTERN int uvsmtp_blocking_connection_expn(uvsmtp_blocking_connection_t *connection,
                                                  const char *list, const uvsmtp_reply_t **reply);
UVSMTP_EXTERN int uvsmtp_blocking_connection_help(uvsmtp_blocking_connection_t *connection,
                                                  const char *topic, const uvsmtp_reply_t **reply);
UVSMTP_EXTERN int uvsmtp_blocking_connection_command(uvsmtp_blocking_connection_t *connection,
                                                     const char *line,
                                                     const uvsmtp_reply_t **reply);
/**
 * All replies to the last command, in order: LMTP's content has one for each accepted recipient.
 * Until the next call. Since 0.1
 */
UVSMTP_EXTERN const uvsmtp_reply_t *
uvsmtp_blocking_connection_replies(const uvsmtp_blocking_connection_t *connection, size_t *count);

/** Sends a message, as uvsmtp_blocking_client_send does, on this connection. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_blocking_connection_send(uvsmtp_blocking_connection_t *connection,
                                                  const uvsmtp_envelope_t *envelope,
                                                  uvsmtp_source_t *source,
                                                  const uvsmtp_result_t **result);

/** As uvsmtp_blocking_client_set_timeout; a borrowed connection shares its client's. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_blocking_connection_set_timeout(uvsmtp_blocking_connection_t *connection,
                                                          uint64_t timeout_ms);
/** As uvsmtp_blocking_client_cancel. The connection is over after it. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_blocking_connection_cancel(uvsmtp_blocking_connection_t *connection);
/** A sentence on the last error; "" if there was none. Until the next call. Since 0.1 */
UVSMTP_EXTERN const char *
uvsmtp_blocking_connection_error_text(const uvsmtp_blocking_connection_t *connection);
/**
 * The connection within, for functions that do not wait: uvsmtp_connection_peer, _protocol,
 * _tls_info; NULL once it has been closed. Its data and its on_lost are taken. Since 0.1
 */
UVSMTP_EXTERN uvsmtp_connection_t *
uvsmtp_blocking_connection_connection(const uvsmtp_blocking_connection_t *connection);
/** The loop that runs inside calls; a borrowed connection has its client's. Since 0.1 */
UVSMTP_EXTERN uv_loop_t *uvsmtp_blocking_connection_loop(uvsmtp_blocking_connection_t *connection);
/**
 * Says QUIT, waits at most quit_timeout_ms for the answer, and frees; a borrowed one goes back to
 * its client, ready for others if nothing is open on it. Returns as uvsmtp_blocking_client_close
 * does. NULL is fine. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_blocking_connection_close(uvsmtp_blocking_connection_t *connection);

#ifdef __cplusplus
}
#endif
#endif
