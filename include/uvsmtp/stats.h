#ifndef UVSMTP_STATS_H
#define UVSMTP_STATS_H

/*
 * Seeing inside a client: numbers, latencies, events, and all of the numbers as text for
 * Prometheus. Counting costs a few additions a send; no clock is read for it and nothing is
 * allocated. The functions belong to the loop's thread, as all of a client.
 */
#include <stdbool.h>

#include "uvsmtp/base.h"
#include "uvsmtp/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvsmtp_client_s uvsmtp_client_t;

/* ---- numbers ------------------------------------------------------------------------------ */

/* X(NAME, name): why a connection that had been open was ended; the first reason counts. */
#define UVSMTP_RETIRE_MAP(X)                                                                       \
  X(CLOSED, "closed")       /* the client was closed, or did not need it any more */               \
  X(IDLE, "idle")           /* idle_timeout_ms */                                                  \
  X(AGE, "age")             /* max_age_ms */                                                       \
  X(USED, "used")           /* max_messages, max_bytes */                                          \
  X(REFUSED, "refused")     /* max_refused */                                                      \
  X(REPLACED, "replaced")   /* another endpoint took over, or others log in */                     \
  X(LOST, "lost")           /* it ended while it was parked: 421, end of stream, no answer */      \
  X(FAILED, "failed")       /* it ended with a message */                                          \
  X(CANCELLED, "cancelled") /* a message on it was given up */                                     \
  X(RETURNED, "returned")   /* its borrower gave it back in a state that is of no use */

typedef enum uvsmtp_retire_e {
#define X(name, text) UVSMTP_RETIRE_##name,
  UVSMTP_RETIRE_MAP(X)
#undef X
      UVSMTP_RETIRE_COUNT
} uvsmtp_retire_t;

/** The name of a cause ("idle"). Static. Any thread. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_retire_name(uvsmtp_retire_t cause);

typedef struct uvsmtp_client_stats_s {
  /* now: sends */
  size_t queued;    /* that no connection has */
  size_t in_flight; /* on connections */
  /* now: connections, all of which count against the cap */
  size_t connections, opening, idle, busy, lent, closing;
  /* ever: connections; `reused`: sends and loans that found one open */
  uint64_t opened, failed, reused, retired;
  uint64_t retired_by[UVSMTP_RETIRE_COUNT]; /* uvsmtp_retire_t */
  /* ever: sends that were told, by their status; `partial`: whose recipients differ */
  uint64_t sent, accepted, rejected, deferred, unknown, partial;
  uint64_t retries; /* sends that went back into the queue */
  /* ever: recipients of these sends */
  uint64_t recipients_accepted, recipients_rejected, recipients_deferred, recipients_unknown;
  /* ever: octets on the wire, of connections that are closed and of those that are open */
  uint64_t octets_sent, octets_received;
  /* ever: TLS handshakes that were finished; of these, resumptions */
  uint64_t tls_handshakes, tls_resumptions;
  int open_err; /* why the last connection could not be opened; 0: it could, or was not tried since
                   the authenticators were replaced */
} uvsmtp_client_stats_t;
/** Fills `stats`. Looks at each connection once. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_client_stats(const uvsmtp_client_t *client, uvsmtp_client_stats_t *stats);

/* ---- latencies ---------------------------------------------------------------------------- */

/*
 * How often something took how long. Bucket 0 counts what took up to 1 ms; there are two buckets
 * for each doubling (2, 3, 4, 6, 8, 12 ms …), and the last one counts all that took more than 26
 * minutes.
 */
#define UVSMTP_HISTOGRAM_BUCKETS 42
typedef struct uvsmtp_histogram_s {
  uint64_t count, sum_ms;
  uint64_t buckets[UVSMTP_HISTOGRAM_BUCKETS]; /* not cumulative */
} uvsmtp_histogram_t;

/** The longest time that a bucket counts; UINT64_MAX for the last one. Any thread. Since 0.1 */
UVSMTP_EXTERN uint64_t uvsmtp_histogram_bound_ms(unsigned bucket);
/**
 * A time that at least `percent` of 100 did not exceed, by the bounds of the buckets; 0 if nothing
 * was counted. Any thread. Since 0.1
 */
UVSMTP_EXTERN uint64_t uvsmtp_histogram_percentile_ms(const uvsmtp_histogram_t *histogram,
                                                      double percent);

/* X(NAME, name): what is measured, in the milliseconds of uv_now. */
#define UVSMTP_LATENCY_MAP(X)                                                                      \
  X(QUEUE, "queue")       /* a send, until it was given to the connection that decided */          \
  X(DELIVERY, "delivery") /* from there to its outcome */                                          \
  X(SEND, "send")         /* both, tries and waits between them included */                        \
  X(CONNECT, "connect")   /* resolving and connecting; connections that opened only */             \
  X(TLS, "tls")           /* the handshake */                                                      \
  X(SESSION, "session")   /* greeting, EHLO, STARTTLS, AUTH: until ready, without the handshake */

typedef enum uvsmtp_latency_e {
#define X(name, text) UVSMTP_LATENCY_##name,
  UVSMTP_LATENCY_MAP(X)
#undef X
      UVSMTP_LATENCY_COUNT
} uvsmtp_latency_t;

/** The name of a phase ("queue"). Static. Any thread. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_latency_name(uvsmtp_latency_t phase);
/**
 * The histogram of a phase, as of now; it is kept up to date once a turn of the loop, and good until
 * the close callback has returned. Since 0.1
 */
UVSMTP_EXTERN const uvsmtp_histogram_t *uvsmtp_client_latency(const uvsmtp_client_t *client,
                                                              uvsmtp_latency_t phase);

/* ---- events ------------------------------------------------------------------------------- */

/* X(NAME, name): what a client has to say besides results. */
#define UVSMTP_CLIENT_EVENT_MAP(X)                                                                 \
  X(OPENED, "opened")               /* a connection is ready; security, and text where its server's \
                                       certificate did not pass and was taken nevertheless */      \
  X(OPEN_FAILED, "open failed")     /* err, code, text */                                          \
  X(LOGIN_REFUSED, "login refused") /* likewise, for credentials; after OPEN_FAILED */             \
  X(RETIRED, "retired")             /* a connection is closed; cause, connection */                \
  X(BACKOFF, "back-off")            /* the endpoint is left alone for delay_ms */                  \
  X(FEWER, "fewer connections")     /* the endpoint bears only `limit` connections */              \
  X(MORE, "more connections")       /* it is given a try with `limit` */                           \
  X(DOWN, "down")                   /* the endpoint is out of reach; others stand in */            \
  X(UP, "up")                       /* it is back */                                               \
  X(RETREAT, "retreat")             /* the endpoint breaks under a way of talking (uvsmtp/manners.h),  \
                                       which is left; text */                                      \
  X(SESSION_LIMIT, "session limit") /* the endpoint closes sessions without a word after `limit`      \
                                       messages: they are ended by QUIT then; 0: no longer; text */ \
  X(RETRY, "retry")                 /* a send goes back into the queue; err, code, text, tries */  \
  X(QUEUE_FULL, "queue full")       /* sends are refused with UVSMTP_EQUEUEFULL */                 \
  X(QUEUE_ROOM, "queue has room")   /* it is half empty again */

typedef enum uvsmtp_client_event_type_e {
#define X(name, text) UVSMTP_CLIENT_##name,
  UVSMTP_CLIENT_EVENT_MAP(X)
#undef X
} uvsmtp_client_event_type_t;

/** The name of a type ("back-off"). Static. Any thread. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_client_event_name(uvsmtp_client_event_type_t type);

/** What happened. Fields that mean nothing for the type are 0 or "". Borrowed for the call. */
typedef struct uvsmtp_client_event_s {
  uvsmtp_client_event_type_t type;
  uint64_t at_ms;        /* of uv_now */
  const char *endpoint;  /* whom it is about: "mx.example:587" */
  uint64_t connection;   /* uvsmtp_connection_id */
  uvsmtp_retire_t cause; /* RETIRED */
  int err, code;         /* the error; the server's reply code */
  const char *text;      /* a sentence with the server's words */
  uint64_t delay_ms;     /* BACKOFF */
  size_t limit;          /* FEWER, MORE, SESSION_LIMIT */
  unsigned tries;        /* RETRY: how many there were */
  uvsmtp_security_t security; /* OPENED */
  uint64_t missed;       /* events before this one for which there was no room */
} uvsmtp_client_event_t;
/**
 * Told on the loop's thread, from the loop, in the order in which things happened; all of them
 * before the close callback. Anything is legal in it, closing the client too.
 */
typedef void (*uvsmtp_client_event_cb)(uvsmtp_client_t *client, const uvsmtp_client_event_t *event);

/* ---- Prometheus --------------------------------------------------------------------------- */

/**
 * Writes all numbers and latencies of `count` clients in Prometheus's text format (version 0.0.4)
 * to `out`, with a NUL, cut where `size` ends; returns the length that it has uncut. `names`, one
 * for each client, become the label "client"; NULL with one client: no such label. Since 0.1
 */
UVSMTP_EXTERN size_t uvsmtp_client_prometheus(const uvsmtp_client_t *const *clients,
                                              const char *const *names, size_t count, char *out,
                                              size_t size);

#ifdef __cplusplus
}
#endif
#endif
