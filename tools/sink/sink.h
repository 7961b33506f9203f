#ifndef SINK_H
#define SINK_H

/*
 * The fake server of this tree: a small, correct and strict SMTP and LMTP server on libuv that
 * takes every message, counts or hashes or stores it, and misbehaves when a script tells it to.
 * `uvsmtp sink` runs it as a program; tests, benchmarks and the demo run it inside themselves, on
 * a loop of theirs (sink_start) or on a thread of its own (sink_thread_start).
 *
 * How a script is written stands in script.h, what the program's options are in main.c.
 *
 * All functions and callbacks belong to the thread that runs the loop, except sink_thread_… .
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

typedef struct sink_s sink_t;

/* What EHLO can offer. STARTTLS and AUTH are offered where certificate and user are given. */
enum {
  SINK_PIPELINING = 1 << 0,
  SINK_CHUNKING = 1 << 1,
  SINK_8BITMIME = 1 << 2,
  SINK_SMTPUTF8 = 1 << 3,
  SINK_SIZE = 1 << 4,
  SINK_DSN = 1 << 5,
  SINK_ENHANCEDSTATUSCODES = 1 << 6,
  SINK_STARTTLS = 1 << 7,
  SINK_AUTH = 1 << 8,
  SINK_BINARYMIME = 1 << 9, /* not offered unless in `extra` */
  SINK_PRDR = 1 << 10,      /* likewise */
  SINK_EHLO = 1 << 11,      /* in `without`: EHLO is answered 502, HELO works */
  SINK_ALL = (1 << 12) - 1
};

/* SASL mechanisms; 0 in the options means the first four. */
enum {
  SINK_PLAIN = 1 << 0,
  SINK_LOGIN = 1 << 1,
  SINK_CRAM_MD5 = 1 << 2,
  SINK_SCRAM_SHA_256 = 1 << 3,
  SINK_SCRAM_SHA_1 = 1 << 4,
  SINK_SCRAM_SHA_512 = 1 << 5,
  SINK_XOAUTH2 = 1 << 6,    /* the password is the token */
  SINK_OAUTHBEARER = 1 << 7 /* likewise */
};

/* What is done with the bytes of a message, besides counting them. */
enum {
  SINK_HASH = 1 << 0,    /* sink_message_t.hash */
  SINK_SHA256 = 1 << 1,  /* sink_message_t.sha256 */
  SINK_KEEP = 1 << 2,    /* sink_message_t.body: the bytes themselves */
  SINK_NO_SCAN = 1 << 3, /* chunks are not looked at: no bare_lf, bare_cr, eight_bit for BDAT */
};

typedef struct sink_recipient_s {
  const char *address; /* without the angle brackets */
  const char *params;  /* as they stand in the command, "" if none */
} sink_recipient_t;

/* A message that was taken. Everything in it is good until the callback returns. */
typedef struct sink_message_s {
  uint64_t number;                    /* 1, 2, … in the order in which they were taken */
  uint64_t connection;                /* number of the connection, from 1 */
  const char *helo;                   /* what the client called itself */
  const char *user;                   /* who authenticated, or NULL */
  const char *sender;                 /* "" for <> */
  const char *params;                 /* of MAIL, as they stand in the command */
  const sink_recipient_t *recipients; /* the accepted ones, in order */
  size_t recipient_count;
  uint64_t size;      /* bytes after dot-unstuffing */
  uint64_t hash;      /* sink_hash over them, with SINK_HASH */
  uint8_t sha256[32]; /* with SINK_SHA256 */
  const char *body;   /* with SINK_KEEP, else NULL */
  const char *file;   /* where it was stored, or NULL */
  bool tls;
  bool chunked;   /* came by BDAT */
  bool bare_lf;   /* had an LF without CR before it */
  bool bare_cr;   /* had a CR without LF behind it */
  bool eight_bit; /* had bytes above 127 */
} sink_message_t;

/* All that was counted since the start. */
#define SINK_COUNTERS(X)                                                                           \
  X(connections)        /* taken from the listening socket */                                      \
  X(open)               /* open now */                                                             \
  X(open_max)           /* most that were open at once */                                          \
  X(messages)           /* taken */                                                                \
  X(recipients)         /* of these messages */                                                    \
  X(bytes)              /* of these messages */                                                    \
  X(refused_messages)   /* answered 4yz or 5yz at their end */                                     \
  X(refused_recipients) /* RCPT answered 4yz or 5yz */                                             \
  X(cut_messages)       /* the connection ended inside a body */                                   \
  X(commands)                                                                                      \
  X(received)           /* bytes, as they came from the network */                                 \
  X(sent)               /* likewise */                                                             \
  X(reads)              /* returns of read(2) with data */                                         \
  X(writes)             /* calls of write(2) */                                                    \
  X(handshakes)         /* TLS handshakes that succeeded */                                        \
  X(handshakes_resumed) /* of these, with a resumed session */                                     \
  X(handshakes_failed)                                                                             \
  X(auth_ok)                                                                                       \
  X(auth_failed)                                                                                   \
  X(scripted) /* times that a rule of the script applied */                                        \
  /* What the client did wrong: */                                                                 \
  X(bad_unknown) /* commands that do not exist or were not offered */                              \
  X(bad_syntax)                                                                                    \
  X(bad_parameter)      /* MAIL or RCPT parameters that were not offered */                        \
  X(bad_sequence)       /* commands that make no sense where they came */                          \
  X(bad_pipelining)     /* sent before a reply that had to be waited for */                        \
  X(bad_long_line)      /* command lines over the limit of RFC 5321 section 4.5.3.1 */             \
  X(bad_line_end)       /* command lines with a bare LF, bare CR or NUL */                         \
  X(bad_after_starttls) /* bytes between STARTTLS and the handshake */                             \
  X(bad_bare_lf)        /* messages with a bare LF */                                              \
  X(bad_bare_cr)        /* messages with a bare CR */                                              \
  X(bad_eight_bit)      /* messages with 8-bit bytes and no BODY=8BITMIME */                       \
  X(bad_utf8)           /* non-ASCII addresses without SMTPUTF8 */                                 \
  X(bad_auth)           /* malformed SASL responses */

typedef struct sink_counters_s {
#define X(name) uint64_t name;
  SINK_COUNTERS(X)
#undef X
} sink_counters_t;

/* The sum of the bad_… counters. */
uint64_t sink_violations(const sink_counters_t *counters);

/* One was taken; may call sink_close. */
typedef void (*sink_message_cb)(sink_t *sink, const sink_message_t *message, void *data);

/*
 * The dialogue as it happens, for traces: `direction` is 'C' for a command line, 'S' for reply
 * lines (without the last CRLF), '*' for what happened else. Costs speed.
 */
typedef void (*sink_trace_cb)(sink_t *sink, uint64_t connection, char direction, const char *text,
                              size_t len, void *data);

/* Zero is the default everywhere; everything is copied. */
typedef struct sink_options_s {
  const char *listen;    /* IP address; NULL: 127.0.0.1 */
  uint16_t port;         /* 0: a free one, see sink_port */
  const char *unix_path; /* a Unix socket instead of TCP; a socket that is there is replaced */
  const char *hostname;  /* NULL: "sink.example" */
  bool lmtp;

  unsigned without;        /* SINK_… of the first list that are not offered */
  unsigned extra;          /* SINK_BINARYMIME, SINK_PRDR */
  const char *const *ehlo; /* further lines of the EHLO reply */
  size_t ehlo_count;
  uint64_t max_size;        /* 0: no limit, and SIZE without a number */
  uint32_t max_recipients;  /* of a message, then 452; 0: no limit */
  uint32_t max_connections; /* at once, then 421; 0: no limit */

  const char *user, *password; /* both or none: AUTH is offered */
  unsigned mechanisms;         /* SINK_PLAIN, … */
  bool auth_required;          /* MAIL is answered 530 before AUTH */
  bool auth_tls_only;          /* AUTH is offered inside TLS only */

  const char *tls_cert, *tls_key; /* PEM files, both or none: STARTTLS is offered */
  const char *tls_client_ca;      /* PEM file; a client certificate by it is demanded */
  bool tls_implicit;              /* TLS from the first byte */
  bool tls_required;              /* MAIL is answered 530 before STARTTLS */
  unsigned tls_max;               /* 12 or 13: the highest version; 0: the library's */

  uint64_t rtt_ms;    /* every byte leaves that much later; a pipe, not a pause */
  const char *script; /* text of a script, see script.h */

  unsigned body;       /* SINK_HASH, … */
  const char *maildir; /* one file a message; the folder is made */
  const char *mbox;    /* one file for all */

  sink_message_cb on_message;
  sink_trace_cb on_trace;
  void *data; /* for the callbacks, and sink_data */
} sink_options_t;

/*
 * Starts to listen. 0 and `*sink`; or a negative number with a sentence in `detail`, and nothing
 * is left behind once the loop has run.
 */
int sink_start(sink_t **sink, uv_loop_t *loop, const sink_options_t *options, char *detail,
               size_t detail_size);
/* The TCP port; 0 for a Unix socket. */
uint16_t sink_port(const sink_t *sink);
void *sink_data(const sink_t *sink);
/* Live; good until the close callback has returned. */
const sink_counters_t *sink_counters(const sink_t *sink);
/* Stops listening; connections that are open go on. */
void sink_stop(sink_t *sink);
/* Ends all connections now, with FIN or, if `reset`, with RST. */
void sink_drop(sink_t *sink, bool reset);

/* Ends all and frees `sink`, after `cb`, which may be NULL. Legal in callbacks; once. */
typedef void (*sink_close_cb)(sink_t *sink, void *data);
void sink_close(sink_t *sink, sink_close_cb cb);

/*
 * A sink on a thread and loop of its own. `options->on_message` and `on_trace` run on that
 * thread. The functions below may be called by any one thread at a time.
 */
typedef struct sink_thread_s sink_thread_t;
int sink_thread_start(sink_thread_t **thread, const sink_options_t *options, char *detail,
                      size_t detail_size);
uint16_t sink_thread_port(const sink_thread_t *thread);
/* Waits until the thread has copied them. */
void sink_thread_counters(sink_thread_t *thread, sink_counters_t *counters);
/* Ends all connections at the next turn of the thread's loop. */
void sink_thread_drop(sink_thread_t *thread, bool reset);
/* Ends and frees all, and gives the last counters if `counters` is not NULL. */
void sink_thread_end(sink_thread_t *thread, sink_counters_t *counters);

/* A fast 64-bit hash to see whether bytes arrived intact; not for adversaries. */
typedef struct sink_hash_s {
  uint64_t lane[4];
  uint64_t len;
  unsigned char tail[32];
} sink_hash_t;
void sink_hash_start(sink_hash_t *hash);
void sink_hash_update(sink_hash_t *hash, const void *bytes, size_t len);
uint64_t sink_hash_finish(const sink_hash_t *hash);
/* All at once. */
uint64_t sink_hash(const void *bytes, size_t len);

/* `uvsmtp sink`: options begin at argv[1]. The process's exit status. */
int sink_main(int argc, char **argv);

#endif
