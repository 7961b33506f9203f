#ifndef SINK_SCRIPT_H
#define SINK_SCRIPT_H

/*
 * Scripts that make the sink misbehave. A script is text, one rule a line:
 *
 *     POINT [CONDITION…] : ACTION[, ACTION…]      # comment
 *
 *     rcpt match "bob@*"     : reply "550 5.1.1 No such user"
 *     rcpt match "grey@*" times 1 : reply "451 4.7.1 Try again later"
 *     mail conn 1 nth 3-     : reply "421 4.3.2 Going down", close
 *     ehlo                   : reply "250-mx.example" "250-PIPELINING" "250 HELP"
 *     starttls               : reply "220 Go", raw "250 injected\r\n"
 *     eod every 10           : close
 *     body after 5000        : reply "552 5.3.4 Too big", close
 *     idle after 200         : reply "421 4.4.2 Timeout", close
 *     received 117           : reset
 *
 * Points, and when a rule there is looked for:
 *
 *     connect     a connection was taken, nothing was sent
 *     greeting    instead of the greeting; likewise ehlo (HELO, LHLO too), starttls, auth, mail,
 *                 rcpt, data, rset, noop, quit, and other (any other command)
 *     challenge   a SASL response of the client came; auth is the reply to the AUTH command itself
 *     body        bytes of a body came: once a message, when `after N` bytes of it are there
 *     bdat        a chunk that is not the last has come
 *     eod         a message is complete, by the final dot or the last chunk; with LMTP (and PRDR)
 *                 once for each recipient
 *     idle        nothing happened outside a transaction for `after N` ms; once a silence
 *     received N  the N-th byte has come from the network (in all on this connection, TLS and all);
 *                 bytes behind it are dealt with only after the actions
 *     sent N      exactly N bytes have left; only close and reset are possible
 *
 * Conditions; all of them must hold, and the first rule of which they do is the one that applies:
 *
 *     conn R      the connections with these numbers, from 1
 *     nth R       these occurrences of the point in its connection, from 1
 *     total R     these occurrences of the point in the life of the sink
 *     every N     each N-th of those of `total`
 *     times N     the rule applies N times at most
 *     match "P"   mail, rcpt: the address; eod, body, bdat, data: the sender or one of the
 *                 recipients (LMTP's eod: the recipient in question); others: what follows the
 *                 command's name. * is any text, ? any character, case is ignored.
 *     tls, plain  inside TLS, outside of it
 *     after N     see body and idle
 *
 * R is N, N-M, or N- for all from N on.
 *
 * Actions, in their order:
 *
 *     reply "L"…      these lines, CRLF behind each, as the reply. The state follows the first
 *                     digit of the last line: 2 and 3 is success, else the command had no effect.
 *     reply           the reply that would have come
 *     drop            no reply; the state goes on as if there had been one
 *     refuse          the command has no effect, whatever is replied (`eod : refuse, close` loses
 *                     a message, `eod : close` takes it and does not say so)
 *     raw "B"         these bytes, in addition
 *     garbage N       N bytes of noise, in addition
 *     delay MS        what follows leaves that much later; the order of replies stays
 *     split [MS]      the bytes of the replies that follow in this rule leave one by one
 *     close           FIN (in TLS without close_notify); what the client still sends is read and
 *                     thrown away
 *     reset           RST; bytes that wait to be sent are lost
 *     notify          a close_notify of TLS, which `close` may follow
 *     stall           nothing is answered any more
 *     deaf [MS]       nothing is read any more, or for that time
 *
 * Where neither reply nor drop, close, reset or stall is in the list, the reply that would have
 * come is sent at the end. Escapes in strings: \r \n \t \0 \\ \" \xHH.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name in the script, constant) */
#define SINK_POINTS(X)                                                                             \
  X("connect", CONNECT)                                                                            \
  X("greeting", GREETING)                                                                          \
  X("ehlo", EHLO)                                                                                  \
  X("starttls", STARTTLS)                                                                          \
  X("auth", AUTH)                                                                                  \
  X("challenge", CHALLENGE)                                                                        \
  X("mail", MAIL)                                                                                  \
  X("rcpt", RCPT)                                                                                  \
  X("data", DATA)                                                                                  \
  X("body", BODY)                                                                                  \
  X("bdat", BDAT)                                                                                  \
  X("eod", EOD)                                                                                    \
  X("rset", RSET)                                                                                  \
  X("noop", NOOP)                                                                                  \
  X("quit", QUIT)                                                                                  \
  X("other", OTHER)                                                                                \
  X("idle", IDLE)                                                                                  \
  X("received", RECEIVED)                                                                          \
  X("sent", SENT)

typedef enum sink_point_e {
#define X(name, constant) SINK_AT_##constant,
  SINK_POINTS(X)
#undef X
      SINK_POINT_COUNT
} sink_point_t;

#define SINK_ACTIONS(X)                                                                            \
  X("reply", REPLY)                                                                                \
  X("drop", DROP)                                                                                  \
  X("refuse", REFUSE)                                                                              \
  X("raw", RAW)                                                                                    \
  X("garbage", GARBAGE)                                                                            \
  X("delay", DELAY)                                                                                \
  X("split", SPLIT)                                                                                \
  X("close", CLOSE)                                                                                \
  X("reset", RESET)                                                                                \
  X("notify", NOTIFY)                                                                              \
  X("stall", STALL)                                                                                \
  X("deaf", DEAF)

typedef enum sink_action_kind_e {
#define X(name, constant) SINK_DO_##constant,
  SINK_ACTIONS(X)
#undef X
      SINK_ACTION_COUNT
} sink_action_kind_t;

typedef struct sink_action_s {
  sink_action_kind_t kind;
  char *bytes; /* REPLY: all lines with their CRLF, NULL for the usual reply; RAW */
  size_t len;
  size_t last;     /* REPLY: where its last line begins */
  uint64_t number; /* DELAY, SPLIT, DEAF (UINT64_MAX: for ever): ms; GARBAGE: bytes */
} sink_action_t;

typedef struct sink_range_s {
  uint64_t from, to;
} sink_range_t;

typedef struct sink_rule_s {
  sink_point_t point;
  size_t line;
  sink_range_t conn, nth, total;
  uint64_t every; /* 0: all */
  uint64_t times; /* UINT64_MAX: no limit */
  uint64_t used;
  uint64_t after; /* `after N`, and the N of received and sent */
  char *match;    /* NULL: any */
  bool tls, plain;
  sink_action_t *actions;
  size_t action_count;
  bool answers; /* has an action that takes the place of the usual reply */
} sink_rule_t;

typedef struct sink_script_s {
  sink_rule_t *rules;
  size_t count;
  unsigned has; /* 1 << point for each point that has a rule */
  uint64_t totals[SINK_POINT_COUNT];
} sink_script_t;

/* What is going on where a rule is looked for. */
typedef struct sink_where_s {
  sink_point_t point;
  uint64_t conn, nth, total;
  uint64_t after; /* for body, idle, received, sent: the very `after` of the rules meant */
  bool tls;
  bool (*matches)(const char *pattern, const void *ctx); /* NULL: nothing to match */
  const void *ctx;
} sink_where_t;

/*
 * Reads `text`. 0, or -1 with "line N: …" in `detail` (out of memory too), and nothing
 * to release.
 */
int sink__script_parse(sink_script_t *script, const char *text, char *detail, size_t detail_size);
void sink__script_free(sink_script_t *script);

static inline bool sink__script_has(const sink_script_t *script, sink_point_t point)
{
  return (script->has >> point & 1) != 0;
}

/* The rule that applies, its `used` counted up; or NULL. */
const sink_rule_t *sink__script_find(sink_script_t *script, const sink_where_t *where);

/*
 * The smallest `after` from `from` on, of the rules for `point` which could apply to connection
 * `conn`, or UINT64_MAX: where the owner has to stop and look next.
 */
uint64_t sink__script_next(const sink_script_t *script, sink_point_t point, uint64_t conn,
                           uint64_t from);

/* Does `text` match a pattern of * and ?, without regard to case? */
bool sink__glob(const char *pattern, const char *text, size_t len);

#endif
