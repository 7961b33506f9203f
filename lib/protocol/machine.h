#ifndef UVSMTP_PROTOCOL_MACHINE_H
#define UVSMTP_PROTOCOL_MACHINE_H

/*
 * What the files of this folder share. The machine is split by phase: greeting.c, authentication.c,
 * transaction.c, flight.c and body.c issue commands and judge their replies; reply.c finds replies
 * in bytes, queue.c remembers who waits for which, input.c brings the two together, output.c holds
 * what has to be written, settings.c has what many protocols share, rest.c makes one small while it
 * is parked, protocol.c is the frame.
 */
#include <assert.h>

#include "base/buffer.h"
#include "uvsmtp/protocol.h"

/*
 * A command that waits for its reply. A flight to one recipient is held as one, by its last
 * command, as long as all goes well: RCPT, MAIL and perhaps RSET are `ahead` of it.
 */
#define UVSMTP__AHEAD 3
typedef struct {
  void *tag;
  void *recipient;     /* the tag of the RCPT ahead of it */
  uint64_t answerable; /* a reply can belong to it once this many octets had been sent */
  uint64_t complete;   /* a success can, once this many had been */
  uint16_t replies;    /* that have come */
  uint8_t command;     /* uvsmtp_command_t */
  uint8_t flags;
  uint8_t ahead;                  /* replies that are due before its own */
  uint16_t behind[UVSMTP__AHEAD]; /* octets from the end of those lines to that of its own */
} expectation_t;

enum {
  EXPECT_NEEDS_EHLO = 1, /* EHLO: HELO must not follow */
  EXPECT_CANCELLED = 2,  /* AUTH: "*" was sent */
  EXPECT_CHALLENGED = 4, /* AUTH: the challenge waits for the caller's answer */
  EXPECT_PRDR = 8,       /* MAIL: it asked for PRDR; the content: 353 has come */
  EXPECT_QUIET = 16      /* of a flight: a success is no event; what is ahead, if there is any */
};

/* A ring of expectations; its size is a power of two, and no less than the replies that are due. */
typedef struct {
  expectation_t *ring;
  uint32_t limit; /* replies that may be due: the options allow them, and there is room */
  uint32_t size, head, count;
  uint32_t ahead; /* replies that are due ahead of those in the ring */
} queue_t;

typedef struct {
  char *bytes; /* commands, and short pieces of contents */
  size_t used, size;
  uvsmtp_slice_t *segments;      /* in `bytes`, or in the caller's memory */
  size_t first, count, capacity; /* segments [first, count) are to be written */
  bool lent;                     /* slices are in the caller's hands: nothing may move */
  bool secret;                   /* `bytes` holds credentials */
} output_t;

/* Finds whole replies in the bytes fed. */
typedef struct {
  uvsmtp__buffer_t partial; /* a reply of which the end has not come */
  size_t max_single;        /* octets of a reply of one line */
  size_t line;              /* in `partial`: where its last line begins */
  unsigned lines;           /* whole lines of the reply so far */
  int code;                 /* of those lines */
  bool done;                /* `partial` holds a whole reply that has been given out */
} reader_t;

/*
 * A protocol may be parked, among thousands: it is small then. What it needs to talk, and what few
 * sessions need or only for a while, lies behind two pointers. They are never NULL: what is at rest
 * is the same for all, all zero, and only looked at. rest.c wakes it and puts it to rest.
 */
typedef struct {
  output_t out;
  reader_t reader;
  uvsmtp__buffer_t mail; /* the last MAIL as it usually begins, see lines.h */
  char last[16];    /* what begins with the last reply to a command, to be read when asked for */
  uint8_t last_len; /* 0: nothing, it has been read */
  bool line_start, after_cr; /* framing of the content, see body.c */
  uint64_t content_at;       /* octets issued before the content */
} talk_t;

typedef struct {
  char *error_text;    /* NULL: uvsmtp_strerror(err) */
  char *domain;        /* of our EHLO, for HELO */
  char *sent_secret;   /* what was last sent to log in, as it stood in the line */
  char *late_response; /* encoded first response that was too long for the AUTH line */
  uvsmtp__buffer_t challenge;
  uvsmtp__buffer_t line;  /* where XCLIENT and XFORWARD are put together */
  uvsmtp__buffer_t trace; /* lines: kind, text, NUL */
  size_t trace_lost;
} aside_t;

/* What an EHLO offered; sessions whose servers say the same share it. */
typedef struct {
  size_t users;
  uvsmtp_capabilities_t capabilities; /* its strings stand in `text` */
  size_t len;
  char text[];
} offer_t;

/* What the protocols of one owner share. */
struct uvsmtp_protocol_settings_s {
  size_t users;
  uvsmtp_mem_t mem;
  uvsmtp_protocol_options_t options; /* with the defaults */
  offer_t *offers[2]; /* what the last EHLO offered, in the clear and with TLS: the next one's, too,
                         as a rule; or NULL */
};

typedef struct {
  uint16_t code; /* 0: there was none */
  uint16_t enhanced[3];
  uint8_t command; /* uvsmtp_command_t */
  bool told;       /* it was an event */
} last_reply_t;

struct uvsmtp_protocol_s {
  uvsmtp_protocol_settings_t *shared; /* one use of them */
  const uvsmtp_capabilities_t *capabilities;
  talk_t *talk;
  queue_t queue;
  uint8_t state;      /* confirmed */
  uint8_t projected;  /* after all that is queued, if nothing is refused */
  bool tls;           /* the stream is TLS */
  bool doubted;       /* and who the server is, is not known */
  bool tracing;       /* as the options say */
  bool closing;       /* the server has said so, QUIT was issued, or there is an error */
  bool tls_pending;   /* 220 to STARTTLS was read: the handshake is due */
  bool alone;         /* nothing may follow STARTTLS before its reply: it would leave in the clear
                         (RFC 3207); behind XCLIENT all begins anew */
  bool authenticated; /* an AUTH has succeeded */
  bool needs_reset;
  bool in_chunks;    /* projected: a BDAT that was not the last one has been issued */
  bool binary;       /* projected: the transaction is BODY=BINARYMIME, DATA cannot follow */
  bool prdr_asked;   /* MAIL is being put together: it asks for PRDR */
  bool faulty;       /* `aside->line` holds what is wrong with a command instead */
  bool prdr;         /* the confirmed transaction asked for it */
  bool chunks_begun; /* confirmed: a BDAT of the transaction was accepted */
  bool fresh;        /* something was issued after a silence: its time begins at the next clock */
  bool eof;
  bool error_told;
  uint8_t missing; /* the extension that a command wanted in vain, as its number and 1; 0: none */
  last_reply_t last_reply;
  int err;                 /* that finished it */
  uint32_t accepted;       /* recipients of the confirmed transaction */
  const char *in, *in_end; /* fed and not yet read */
  size_t whole_room; /* octets that have to be there for replies to be taken as a whole; SIZE_MAX:
                        now they are not */
  uint64_t in_limit; /* octets that had been sent when it was fed */
  uint64_t issued, sent; /* octets ever */
  uint64_t now_ms;
  uint64_t progress_ms; /* when a reply was read or octets were sent last */
  aside_t *aside;
};

/* ---- rest.c ---- */
extern const talk_t uvsmtp__talk_at_rest;
extern const aside_t uvsmtp__aside_at_rest;
/* Before something is written to them: 0, or ENOMEM. */
int uvsmtp__talk_wake(uvsmtp_protocol_t *p);
int uvsmtp__aside_wake(uvsmtp_protocol_t *p);
/* Frees what is theirs, and puts them to rest. */
void uvsmtp__talk_free(uvsmtp_protocol_t *p);
void uvsmtp__aside_free(uvsmtp_protocol_t *p);

/* ---- reply.c: bytes to replies; what is quick is in reader.h ---- */
void uvsmtp__reader_init(reader_t *reader, const uvsmtp_mem_t *mem,
                         const uvsmtp_protocol_options_t *options);
/*
 * Takes the next whole reply from `*in`: 1 with `reply` filled, 0 if more bytes are needed (all
 * have been taken), or an error with the bad line in `bad`.
 */
int uvsmtp__reader_next(reader_t *reader, const uvsmtp_protocol_options_t *options, const char **in,
                        size_t *in_len, uvsmtp_reply_t *reply, uvsmtp_slice_t *bad);
/* Reads the enhanced code of a reply whose first line has `text`. */
void uvsmtp__reader_enhanced(uvsmtp_reply_t *reply, const char *text, size_t len);
/* Fills in the codes of a reply that begins with `line`. */
void uvsmtp__reader_codes(const char *line, size_t len, last_reply_t *last);

/* Octets that were fed and not yet read. */
static inline size_t uvsmtp__in_left(const uvsmtp_protocol_t *p)
{
  return (size_t)(p->in_end - p->in);
}

/* ---- queue.c ---- */
int uvsmtp__queue_grow(uvsmtp_protocol_t *p, unsigned more);
/* The front, of which something is ahead, becomes commands of their own. Gives the new front. */
expectation_t *uvsmtp__queue_split(uvsmtp_protocol_t *p);

/* How many replies are due. */
static inline uint32_t uvsmtp__queue_due(const uvsmtp_protocol_t *p)
{
  return p->queue.count + p->queue.ahead;
}

/* Makes sure that `more` commands can be pushed: 0, EQUEUEFULL, ENOMEM. */
static inline int uvsmtp__queue_reserve(uvsmtp_protocol_t *p, unsigned more)
{
  uint32_t due = uvsmtp__queue_due(p) + more;
  return due <= p->queue.limit ? 0 : uvsmtp__queue_grow(p, more);
}

static inline expectation_t *uvsmtp__queue_at(uvsmtp_protocol_t *p, uint32_t i)
{
  return &p->queue.ring[(p->queue.head + i) & (p->queue.size - 1)];
}

static inline expectation_t *uvsmtp__queue_front(uvsmtp_protocol_t *p)
{
  return p->queue.count > 0 ? uvsmtp__queue_at(p, 0) : NULL;
}

static inline expectation_t *uvsmtp__queue_last(uvsmtp_protocol_t *p)
{
  return p->queue.count > 0 ? uvsmtp__queue_at(p, p->queue.count - 1) : NULL;
}

/* `end`: octets issued up to the end of its line. */
static inline expectation_t *uvsmtp__queue_push(uvsmtp_protocol_t *p, uvsmtp_command_t command,
                                                void *tag, uint8_t flags, uint64_t end)
{
  expectation_t *e = uvsmtp__queue_at(p, p->queue.count++);
  *e = (expectation_t){.tag = tag, .answerable = end, .command = (uint8_t)command, .flags = flags};
  return e;
}

static inline void uvsmtp__queue_pop(uvsmtp_protocol_t *p)
{
  p->queue.head = (p->queue.head + 1) & (p->queue.size - 1);
  p->queue.count--;
}

/* The command whose reply is due next, of an expectation at the front. */
static inline uvsmtp_command_t uvsmtp__awaited(const expectation_t *e)
{
  static const uint8_t ahead[] = {UVSMTP_COMMAND_RCPT, UVSMTP_COMMAND_MAIL, UVSMTP_COMMAND_RSET};
  return (uvsmtp_command_t)(e->ahead > 0 ? ahead[e->ahead - 1] : e->command);
}

/* Undoes a pop: more replies are to come to this command. */
static inline void uvsmtp__queue_put_back(uvsmtp_protocol_t *p, const expectation_t *e)
{
  p->queue.head = (p->queue.head - 1) & (p->queue.size - 1);
  p->queue.count++;
  *uvsmtp__queue_at(p, 0) = *e;
}

/* ---- output.c ---- */
/* Below this a copy costs less than a segment of its own in the gathered write. */
#define UVSMTP__COPY_BELOW 256
int uvsmtp__out_grow(uvsmtp_protocol_t *p, size_t octets, size_t segments);
void uvsmtp__out_free(uvsmtp_protocol_t *p);

/* Something is to be written; if that ends a silence, time begins anew. */
static inline void uvsmtp__out_begin(uvsmtp_protocol_t *p)
{
  if (p->issued == p->sent && p->queue.count == 0) {
    p->progress_ms = p->now_ms;
    p->fresh = true;
  }
}

/* Makes room: 0, EQUEUEFULL, ENOMEM. */
static inline int uvsmtp__out_reserve(uvsmtp_protocol_t *p, size_t octets, size_t segments)
{
  const output_t *out = &p->talk->out;
  uvsmtp__out_begin(p);
  return octets <= out->size - out->used && segments <= out->capacity - out->count
             ? 0
             : uvsmtp__out_grow(p, octets, segments);
}

/* After a reserve: where octets can be written, and saying how many have been. */
static inline char *uvsmtp__out_room(uvsmtp_protocol_t *p)
{
  return p->talk->out.bytes + p->talk->out.used;
}

static inline void uvsmtp__out_filled(uvsmtp_protocol_t *p, size_t len)
{
  output_t *out = &p->talk->out;
  const char *at = out->bytes + out->used;
  uvsmtp_slice_t *last = out->segments + out->count - (out->used > 0);
  assert(len <= out->size - out->used);
  /* While octets of the buffer are used there is a segment; what ends behind them is of them. */
  if (out->used > 0 && last->base + last->len == at)
    last->len += len;
  else
    out->segments[out->count++] = (uvsmtp_slice_t){at, len};
  out->used += len;
  p->issued += len;
}

/* After a reserve: cannot fail. */
void uvsmtp__out_bytes(uvsmtp_protocol_t *p, const char *bytes, size_t len);

/* The same for what may stay where the caller has it. */
static inline void uvsmtp__out_ref(uvsmtp_protocol_t *p, const char *bytes, size_t len)
{
  output_t *out = &p->talk->out;
  if (len < UVSMTP__COPY_BELOW && len <= out->size - out->used) {
    uvsmtp__out_bytes(p, bytes, len);
    return;
  }
  out->segments[out->count++] = (uvsmtp_slice_t){bytes, len};
  p->issued += len;
}

/* ---- command.c: lines ---- */
/* May a command be issued at all: 0, ECLOSING, ESTATE. */
static inline int uvsmtp__command_ready(const uvsmtp_protocol_t *p)
{
  if (p->closing)
    return UVSMTP_ECLOSING;
  return p->tls_pending || p->alone ? UVSMTP_ESTATE : 0;
}

/*
 * Issues `parts` as one line, CRLF added, and queues its expectation. Checks for line breaks and
 * for `max_line` octets in all. Nothing is left behind on failure.
 */
int uvsmtp__command_issue(uvsmtp_protocol_t *p, uvsmtp_command_t command, void *tag, uint8_t flags,
                          const uvsmtp_slice_t *parts, size_t count, size_t max_line);
/* The same for one line that is known to be well. */
int uvsmtp__command_line(uvsmtp_protocol_t *p, uvsmtp_command_t command, void *tag, uint8_t flags,
                         const char *line, size_t len);
void uvsmtp__trace_sent(uvsmtp_protocol_t *p, const char *line, size_t len);
void uvsmtp__trace_received(uvsmtp_protocol_t *p, const uvsmtp_reply_t *reply);

/* ---- flight.c ---- */
/* A flight that is not as most are: line by line. */
int uvsmtp__any_flight(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight);

/* ---- the judges: what the reply to the front command means; each may set event->last ---- */
void uvsmtp__judge_greeting(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event);
void uvsmtp__judge_hello(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event);
void uvsmtp__judge_starttls(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event);
void uvsmtp__judge_auth(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event);
void uvsmtp__judge_xclient(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event);
void uvsmtp__judge_transaction(uvsmtp_protocol_t *p, expectation_t *e, uvsmtp_event_t *event);

/* ---- transaction.c ---- */
#define UVSMTP__LINE_OCTETS 2048 /* of a command with its parameters and its end */
/* What a success of RSET, MAIL or RCPT leads to. */
void uvsmtp__apply_success(uvsmtp_protocol_t *p, const expectation_t *e);
/* From its first refusal on, what the server says to a flight is told; after 421, to all of them.
 */
void uvsmtp__end_quiet(uvsmtp_protocol_t *p, bool all);
/* Computes the projected state anew from the confirmed one and the queue, after a refusal. */
void uvsmtp__project(uvsmtp_protocol_t *p);

/* ---- capabilities.c ---- */
int uvsmtp__capabilities_read(uvsmtp_protocol_t *p, const uvsmtp_reply_t *reply);
void uvsmtp__capabilities_clear(uvsmtp_protocol_t *p);
/* Nothing is offered. */
extern const uvsmtp_capabilities_t uvsmtp__no_capabilities;
/* One use less. NULL is fine. */
void uvsmtp__offer_release(uvsmtp_protocol_settings_t *settings, offer_t *offer);

/* A decimal number that fits `max`, with nothing behind it; 0 else. */
uint64_t uvsmtp__capability_number(const char *s, size_t len, uint64_t max);

/* ---- parameters.c ---- */
/* Is it offered? 0, or EEXTENSION with p->missing set. */
static inline int uvsmtp__need(uvsmtp_protocol_t *p, unsigned bit)
{
  if ((p->capabilities->extensions & bit) != 0)
    return 0;
  p->missing = (uint8_t)(__builtin_ctz(bit) + 1);
  return UVSMTP_EEXTENSION;
}
/* Gives `err`, and keeps for uvsmtp_protocol_fault which field or limit it is about. */
int uvsmtp__fault(uvsmtp_protocol_t *p, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Does MAIL need more than the sender and the size? */
static inline bool uvsmtp__mail_needs_more(const uvsmtp_envelope_t *e,
                                           const uvsmtp_mail_needs_t *needs)
{
  return (e->flags | (unsigned)e->body | (unsigned)e->ret | needs->eightbit | needs->utf8 |
          needs->binary) != 0 ||
         ((uintptr_t)e->envid | (uintptr_t)e->hold_until | (uintptr_t)e->auth |
          (uintptr_t)e->params | (uint64_t)e->by_seconds | e->hold_seconds) != 0;
}

static inline bool uvsmtp__rcpt_needs_more(const uvsmtp_recipient_t *r)
{
  return (r->notify | (uintptr_t)r->orcpt | (uint64_t)r->rrvs | (uintptr_t)r->params) != 0;
}

/* Appends MAIL with its parameters to `line`; sets p->missing with EEXTENSION. */
int uvsmtp__mail_append(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line,
                        const uvsmtp_envelope_t *envelope, const uvsmtp_mail_needs_t *needs);
/* The same behind "RCPT TO:<address>"; `utf8`: the address has UTF-8. */
int uvsmtp__rcpt_parameters(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line,
                            const uvsmtp_recipient_t *recipient, bool utf8);

/* Appends `s` with all but printable ASCII, "+" and "=" as "+XX" (RFC 3461 section 4). */
int uvsmtp__append_xtext(uvsmtp__buffer_t *line, const char *s);

/* ---- origin.c ---- */
/* Could one of the attributes add a line? */
bool uvsmtp__origin_breaks(const uvsmtp_origin_t *origin);

/* ---- schedule.c ---- */
/* " BY=…" and " HOLDFOR=…" or " HOLDUNTIL=…", where the envelope asks for them. */
int uvsmtp__append_by(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const uvsmtp_envelope_t *e);
int uvsmtp__append_hold(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const uvsmtp_envelope_t *e);

/* ---- rfc3339.c ---- */
/* Appends a time from 1970 to 9999, in UTC. */
int uvsmtp__rfc3339_append(uvsmtp__buffer_t *line, int64_t seconds);
/* Reads one, of any year and zone: false if it is none, or something stands behind it. */
bool uvsmtp__rfc3339_read(const char *text, int64_t *seconds);

/* A command is being put together, and nothing is wrong with it so far. */
static inline void uvsmtp__line_begin(uvsmtp_protocol_t *p)
{
  p->faulty = false;
}

/* ---- path.c ---- */
/* Appends "<address>", its local part quoted if need be; `*utf8` is set if it has UTF-8. */
int uvsmtp__path_append(const uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const char *address,
                        bool *utf8);

/* ---- protocol.c ---- */
/* Finishes the protocol: the next event will be the error. `detail` may be NULL. */
void uvsmtp__protocol_fail(uvsmtp_protocol_t *p, int err, const char *what, const char *detail,
                           size_t detail_len) __attribute__((cold));

#endif
