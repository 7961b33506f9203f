#ifndef SINK_INTERNAL_H
#define SINK_INTERNAL_H

/*
 * What the files of the sink share. Bytes take this way:
 *
 *     stream.c  read ──► tls.c ──► session.c  lines ──► commands, auth.c
 *                                     └─────► body.c  DATA and BDAT ──► store.c
 *     stream.c  write ◄── tls.c ◄── flush ◄── sink__out ◄── reply.c  replies, or what script.c says
 *
 * All replies that one read leads to are gathered in one buffer of the sink and leave in one
 * write. A reply that has to leave later (a round-trip time, a scripted delay) waits in its
 * session's queue, behind the encryption, so that the queue is a plain pipe of bytes.
 */
#include "sink/script.h"
#include "sink/sink.h"

#include <uvsmtp/crypto.h>
#include <uvsmtp/tls.h>

enum {
  SINK_READ_SIZE = 256 * 1024,
  SINK_GATHER_SIZE = 64 * 1024,
  SINK_PLAIN_SIZE = 16 * 1024 + 256, /* one TLS record */
  SINK_LINE_MAX = 16 * 1024,         /* RFC 4954 section 4 asks for 12288 in SASL lines */
  SINK_BACKLOG_MAX = 1024 * 1024,    /* replies nobody reads: then reading stops as well */
  SINK_LINGER_MS = 1000              /* how long a client may take to see our FIN */
};

#define SINK_NEVER UINT64_MAX

/* X(name, code, enhanced code or NULL, text) */
#define SINK_REPLIES(X)                                                                            \
  X(OK, "250", "2.0.0", "Ok")                                                                      \
  X(SENDER, "250", "2.1.0", "Ok")                                                                  \
  X(RECIPIENT, "250", "2.1.5", "Ok")                                                               \
  X(GO_ON, "354", NULL, "End data with <CR><LF>.<CR><LF>")                                         \
  X(CHUNK, "250", "2.0.0", "Ok: chunk")                                                            \
  X(PRDR, "353", NULL, "One reply for each recipient")                                             \
  X(BYE, "221", "2.0.0", "Bye")                                                                    \
  X(VRFY, "252", "2.5.2", "Send some mail, I'll try my best")                                      \
  X(HELP, "214", "2.0.0", "See RFC 5321")                                                          \
  X(START_TLS, "220", "2.0.0", "Ready to start TLS")                                               \
  X(AUTHENTICATED, "235", "2.7.0", "Authentication successful")                                    \
  X(BUSY, "421", "4.3.2", "Too many connections")                                                  \
  X(MEMORY, "452", "4.3.1", "Out of memory")                                                       \
  X(STORAGE, "452", "4.3.1", "The message could not be stored")                                    \
  X(TOO_MANY, "452", "4.5.3", "Too many recipients")                                               \
  X(LONG_LINE, "500", "5.5.6", "Line too long")                                                    \
  X(LINE_END, "500", "5.5.2", "Lines end in CR LF and have no NUL, CR or LF inside")               \
  X(UNKNOWN, "500", "5.5.1", "Unknown command")                                                    \
  X(SYNTAX, "501", "5.5.4", "Syntax error in the arguments")                                       \
  X(BAD_BASE64, "501", "5.5.2", "This is not base64")                                              \
  X(CANCELLED, "501", "5.7.0", "Authentication cancelled")                                         \
  X(NOT_OFFERED, "502", "5.5.1", "Not offered here")                                               \
  X(HELLO_FIRST, "503", "5.5.1", "Say hello first")                                                \
  X(NESTED, "503", "5.5.1", "A transaction is open already")                                       \
  X(NEED_MAIL, "503", "5.5.1", "MAIL first")                                                       \
  X(NEED_RCPT, "503", "5.5.1", "No valid recipient")                                               \
  X(NO_MIX, "503", "5.5.1", "DATA and BDAT do not go together")                                    \
  X(CHUNK_FAILED, "503", "5.5.1", "An earlier chunk was refused")                                  \
  X(BINARY_DATA, "503", "5.6.0", "BINARYMIME goes by BDAT")                                        \
  X(REFUSED, "503", "5.5.1", "There is no service here, as the greeting said")                     \
  X(TLS_TWICE, "503", "5.5.1", "TLS is on already")                                                \
  X(AUTH_TWICE, "503", "5.5.1", "Authenticated already")                                           \
  X(AUTH_IN_MAIL, "503", "5.5.1", "Not while a transaction is open")                               \
  X(NO_MECHANISM, "504", "5.5.4", "No such mechanism")                                             \
  X(NEED_TLS, "530", "5.7.0", "Issue STARTTLS first")                                              \
  X(NEED_AUTH, "530", "5.7.0", "Authentication required")                                          \
  X(BAD_CREDENTIALS, "535", "5.7.8", "Authentication credentials invalid")                         \
  X(AUTH_NEEDS_TLS, "538", "5.7.11", "Encryption is required for this")                            \
  X(TOO_BIG, "552", "5.3.4", "Message too big")                                                    \
  X(BAD_ADDRESS, "553", "5.1.3", "This is not a mailbox")                                          \
  X(NEED_UTF8, "553", "5.6.7", "Non-ASCII addresses need SMTPUTF8")                                \
  X(BAD_PARAMETER, "555", "5.5.4", "Unknown or bad parameter")

typedef enum sink_reply_e {
#define X(name, code, enhanced, text) SINK_R_##name,
  SINK_REPLIES(X)
#undef X
      SINK_REPLY_COUNT
} sink_reply_t;

typedef struct sink_text_s {
  char *base;
  size_t len, size;
} sink_text_t;

typedef struct sink_link_s {
  struct sink_link_s *prev, *next;
} sink_link_t;

/* The secrets of SCRAM for one digest (RFC 5802 section 3), made at first use. */
typedef struct sink_scram_keys_s {
  bool ready;
  uint8_t salt[16];
  uint8_t stored[UVSMTP_DIGEST_MAX], server[UVSMTP_DIGEST_MAX];
} sink_scram_keys_t;

struct sink_s {
  uv_loop_t *loop;
  sink_options_t options; /* strings are ours */
  char **ehlo;
  unsigned offer; /* SINK_… that EHLO offers, STARTTLS and AUTH included where they can be */
  sink_script_t script;
  const uvsmtp_crypto_t *crypto;
  uvsmtp_tls_context_t *tls;
  sink_counters_t counters;

  union {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } listener;
  bool listening, closing;
  sink_close_cb on_close;
  sink_link_t sessions;

  bool keep_envelope; /* somebody looks at addresses */
  bool stores;        /* bodies are more than counted */
  bool keep_body;     /* they are kept in memory */
  struct {
    char text[96];
    size_t len;
  } replies[SINK_REPLY_COUNT];
  char *read_buffer;  /* of SINK_READ_SIZE, in use during one turn only, as the next two */
  char *plain_buffer; /* of SINK_PLAIN_SIZE */
  struct {
    char *base;
    size_t len;
  } gather; /* replies of the session whose turn it is, in clear */
  sink_text_t scratch;
  sink_recipient_t *recipients; /* the array for on_message */
  size_t recipients_size;
  sink_scram_keys_t scram[3];
  uint64_t noise; /* state of the garbage */
  void *mbox;     /* FILE */
  uint64_t file_count;
};

typedef enum sink_mode_e {
  SINK_MODE_COMMAND,
  SINK_MODE_SASL, /* the line is a SASL response */
  SINK_MODE_DATA,
  SINK_MODE_CHUNK
} sink_mode_t;

typedef enum sink_end_e { SINK_END_NOT, SINK_END_FIN, SINK_END_RST } sink_end_t;

/* Where we are in a body that came by DATA: what the last bytes were. */
typedef enum sink_dot_e {
  SINK_DOT_LINE, /* CRLF, or nothing yet */
  SINK_DOT_TEXT,
  SINK_DOT_CR,
  SINK_DOT_DOT,   /* a dot at the beginning of a line */
  SINK_DOT_DOT_CR /* and CR behind it */
} sink_dot_t;

/* Bytes, or an end, that wait for their time. */
typedef struct sink_chunk_s {
  struct sink_chunk_s *next;
  uint64_t release; /* ms of the loop's clock */
  sink_end_t end;
  size_t len;
  char bytes[];
} sink_chunk_t;

typedef struct sink_rcpt_s {
  uint32_t address, params; /* offsets in session->envelope */
  bool refused;             /* at the end of the message */
} sink_rcpt_t;

typedef struct sink_exchange_s sink_exchange_t;

typedef struct sink_session_s {
  sink_link_t link;
  sink_t *sink;
  uint64_t number;
  union {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } handle;
  uv_timer_t timer;
  uv_write_t write;
  uv_shutdown_t shutdown;
  int open_handles;

  /* the way in */
  bool closing; /* uv_close was called */
  bool eof;     /* the client has sent its last byte */
  bool mute;    /* input is thrown away, output too */
  bool paused;  /* not reading, for the backlog */
  uint64_t deaf_until;
  uint64_t received, received_stop;
  sink_text_t line; /* the beginning of a line */
  bool skip_line;   /* it was too long: up to its end it is thrown away */

  /* the way out */
  bool awaiting; /* a reply that the client must wait for has not left yet */
  bool split;
  uint64_t split_ms;
  uint64_t not_before; /* scripted delay */
  sink_chunk_t *queue, **queue_end;
  sink_end_t ending, end_after_write;
  bool writing, shut;
  sink_text_t flying, waiting; /* what uv_write has, and what comes behind it */
  uint64_t sent, sent_stop;
  uint64_t linger_at;

  /* TLS */
  uvsmtp_tls_t *tls;
  bool tls_on;       /* the handshake is done */
  bool tls_starting; /* STARTTLS was answered 220: nothing of this turn counts any more */

  /* the dialogue */
  sink_mode_t mode;
  bool refused;         /* by the greeting: only QUIT is left (RFC 5321 section 3.1) */
  bool hello, extended; /* HELO or better; EHLO or LHLO */
  char helo[256];
  char user[128]; /* "" before authentication */
  sink_exchange_t *exchange;
  uint64_t quiet_since, idle_next;
  uint32_t nth[SINK_POINT_COUNT];

  /* the transaction */
  bool mail, mail_tried; /* MAIL was taken; was there at all */
  bool utf8, eight_bit_ok, binary, prdr;
  bool rcpt_tried;
  bool chunk_failed;
  uint32_t rcpt_count;
  sink_text_t envelope; /* NUL-terminated strings: sender, its parameters, … */
  uint32_t params;      /* offset of MAIL's parameters */
  sink_rcpt_t *rcpts;
  size_t rcpts_size;

  /* the body */
  bool in_body; /* a body began and has not ended */
  bool chunked, chunk_last, chunk_refused;
  sink_reply_t refusal; /* why the chunk is refused */
  bool answered;        /* a script answered in the middle */
  bool bare_lf, bare_cr, eight_bit, store_failed;
  unsigned char last; /* the last byte, for the scan */
  sink_dot_t dot;
  uint64_t chunk_left;
  uint64_t size, body_stop;
  sink_hash_t hash;
  uvsmtp_digest_ctx_t digest;
  bool digesting;
  sink_text_t kept;
  int file; /* -1: none */
  char file_name[512];
} sink_session_t;

/* sink.c */
void sink__session_gone(sink_t *sink);                                 /* a session was freed */
bool sink__text_add(sink_text_t *text, const void *bytes, size_t len); /* false: no memory */
void sink__text_free(sink_text_t *text);
bool sink__same(const char *a, size_t a_len, const char *b, size_t b_len); /* but for case */
bool sink__is_word(const char *text, size_t len, const char *word);        /* likewise */
void sink__trace(sink_session_t *s, char direction, const char *text, size_t len);
void sink__note(sink_session_t *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* stream.c: a connection's bytes and times */
void sink__accept(sink_t *sink);
void sink__out(sink_session_t *s, const char *bytes, size_t len); /* gathers */
void sink__flush(sink_session_t *s);                              /* lets what is gathered go */
void sink__raw(sink_session_t *s, const char *bytes, size_t len); /* what goes to the network */
void sink__delay(sink_session_t *s, uint64_t ms);                 /* for all that follows */
void sink__deaf(sink_session_t *s, uint64_t ms);
/* Ends the session behind what is on its way out already; input is ignored from now on. */
void sink__end(sink_session_t *s, sink_end_t end);
/* The same at once: what waits in the queue is lost. */
void sink__cut(sink_session_t *s, sink_end_t end);
void sink__session_close(sink_session_t *s);

/* tls.c */
int sink__tls_new(sink_t *sink, char *detail, size_t detail_size);
void sink__tls_start(sink_session_t *s);
void sink__tls_input(sink_session_t *s, const char *bytes, size_t len);
void sink__tls_write(sink_session_t *s, const char *bytes, size_t len);
void sink__tls_notify(sink_session_t *s);

/* session.c: lines and commands */
void sink__session_start(sink_session_t *s); /* connect and greeting */
void sink__session_greet(sink_session_t *s);
void sink__session_input(sink_session_t *s, const char *bytes, size_t len);
void sink__session_reset(sink_session_t *s); /* ends the transaction */
/* Counts one of the bad_… counters. */
#define SINK_BAD(s, what) ((s)->sink->counters.bad_##what++)

/* envelope.c: what stands behind MAIL FROM: and RCPT TO: */
typedef struct sink_path_s {
  const char *address; /* between the angle brackets */
  size_t address_len;
  size_t at; /* where the domain begins, from 1; 0: nowhere */
  bool high; /* has bytes above 127 */
  const char *params;
  size_t params_len;
} sink_path_t;
bool sink__path_parse(sink_path_t *path, const char *text, size_t len);
/* SINK_R_SENDER and SINK_R_RECIPIENT if all is well, else why not. */
sink_reply_t sink__mail_check(sink_session_t *s, const sink_path_t *path);
sink_reply_t sink__rcpt_check(sink_session_t *s, const sink_path_t *path);
bool sink__mail_keep(sink_session_t *s, const sink_path_t *path);
bool sink__rcpt_keep(sink_session_t *s, const sink_path_t *path);
/* Does the sender or a recipient match? For the script; `ctx` is the session. */
bool sink__envelope_matches(const char *pattern, const void *ctx);
/* `ctx` is a uvsmtp_slice_t. */
bool sink__slice_matches(const char *pattern, const void *ctx);

/* body.c */
void sink__body_begin(sink_session_t *s);
const char *sink__body_data(sink_session_t *s, const char *p, const char *end);
void sink__chunk_begin(sink_session_t *s, uint64_t len, bool last, sink_reply_t refusal);
const char *sink__body_chunk(sink_session_t *s, const char *p, const char *end);

/* store.c: what becomes of the bytes and of the message */
int sink__store_open(sink_t *sink, char *detail, size_t detail_size);
void sink__store_close(sink_t *sink);
void sink__store_begin(sink_session_t *s);
void sink__store_piece(sink_session_t *s, const char *bytes, size_t len);
bool sink__store_ready(sink_session_t *s);  /* all of it could be stored */
void sink__store_commit(sink_session_t *s); /* the message is taken */
void sink__store_abort(sink_session_t *s);  /* also when nothing is open */

/* reply.c */
void sink__replies_make(sink_t *sink);
/* Sends a reply, or what the script has for this point; sink__answer_slow has the details. */
int sink__answer_slow(sink_session_t *s, sink_point_t point, uint64_t after,
                      bool (*matches)(const char *, const void *), const void *ctx,
                      const char *usual, size_t len);
void sink__act(sink_session_t *s, sink_point_t point, uint64_t after); /* no reply is due */
void sink__ehlo_reply(sink_session_t *s, sink_text_t *text);
/* A final reply with a queue id; at most 64 bytes at `out`. */
size_t sink__queued_reply(const sink_t *sink, char *out, uint64_t number);

/*
 * Sends a reply. Returns the first digit that the state has to follow: that of the reply, or what
 * a script made of it.
 */
static inline int sink__answer(sink_session_t *s, sink_point_t point,
                               bool (*matches)(const char *, const void *), const void *ctx,
                               const char *usual, size_t len)
{
  if (!sink__script_has(&s->sink->script, point)) {
    sink__out(s, usual, len);
    return usual[0] - '0';
  }
  return sink__answer_slow(s, point, 0, matches, ctx, usual, len);
}

static inline int sink__reply(sink_session_t *s, sink_point_t point,
                              bool (*matches)(const char *, const void *), const void *ctx,
                              sink_reply_t reply)
{
  return sink__answer(s, point, matches, ctx, s->sink->replies[reply].text,
                      s->sink->replies[reply].len);
}

/* auth.c */
void sink__auth_command(sink_session_t *s, const char *args, size_t len);
void sink__auth_response(sink_session_t *s, const char *line, size_t len);
void sink__auth_drop(sink_session_t *s);
void sink__auth_offer(const sink_t *sink, sink_text_t *text); /* "AUTH PLAIN …" */

#endif
