#ifndef UVSMTP_CONNECTION_PUMP_H
#define UVSMTP_CONNECTION_PUMP_H

/*
 * The transaction pump: turns queued sends into commands and contents, and replies into results.
 *
 *   send.c         what callers say of sends, and ask
 *   pump.c         what may be done in a session, and is due from the loop
 *   transaction.c  the memory of a transaction
 *   fill.c         the next send becomes a transaction, and begins
 *   flight.c       the same for most, all of which leaves at once
 *   issue.c        what is issued of a transaction after its MAIL
 *   look.c         the source of a message: opened, and looked at before MAIL
 *   content.c      the octets of a message, handed to the protocol
 *   gather.c       contents that come and go, as chunks
 *   ways.h         what each message asks of the connection
 *   limits.c       how much the server takes in a session and a transaction (RFC 9422)
 *   accepted.c     what comes in: the usual end of a message
 *   replies.c      what else does, and when a transaction is over
 *   verdicts.c     what the reply to each command decides for the recipients
 *   outcome.c      the result of a recipient, and what cannot be written to this server
 *   lost.c         what the end of the connection means for them
 *   result.c       the send is given back, or goes on with another transaction
 *   manners.c      which way of talking is to blame when the server misbehaves
 *
 * A send waits in `queue`, then becomes a transaction in `flight`. Replies come in the order of
 * the commands, so they always belong to the first transaction in flight. How far commands run
 * ahead of replies depends on what the server offers, the options allow and its manners stand: not
 * at all without PIPELINING; up to DATA with it; and with CHUNKING messages follow one another
 * without any wait. Where the end of the transaction before is not known, RSET goes before MAIL: a
 * server that kept it open would take the new recipients into it.
 *
 * Recipients for whom the server wants another transaction (452 behind others, LIMITS), or whose
 * refusal is blamed on the way of talking, are left when all replies of a transaction are read;
 * then the send goes back into the queue, before all that came after it, with what it has become.
 */
typedef enum {
  UVSMTP__STEP_MAIL,
  UVSMTP__STEP_RCPT,
  UVSMTP__STEP_DATA,    /* DATA or BDAT is due */
  UVSMTP__STEP_GO,      /* DATA was issued, 354 is awaited */
  UVSMTP__STEP_CONTENT, /* content is going out */
  UVSMTP__STEP_ISSUED   /* nothing of it is left to issue */
} uvsmtp__step_t;

/* What stands in uvsmtp_recipient_result_t.status until there is a result. */
enum {
  UVSMTP__RCPT_OPEN = 100,   /* not issued: it is this transaction's turn, or a later one's */
  UVSMTP__RCPT_ASKED = 101,  /* no reply to RCPT */
  UVSMTP__RCPT_TAKEN = 102,  /* RCPT was accepted: the end of the content decides */
  UVSMTP__RCPT_LEFT = 103,   /* refused, but a further transaction may do; else it is deferred */
  UVSMTP__RCPT_GRANTED = 104 /* PRDR: accepted, unless the last reply takes that back */
};

#define UVSMTP__KEPT 4
#define UVSMTP__IN_DOUBT 64   /* uvsmtp_connection_options_t.max_in_doubt unless said otherwise */
#define UVSMTP__WORDS_MAX 512 /* of a reply, and an end */

typedef struct uvsmtp__transaction_s {
  /* What stays as long as its memory is used again. */
  uvsmtp__link_t link; /* in flight, or done; if it is free only `next` counts */
  uvsmtp_mem_t mem;    /* that it and its words are of: it may outlive its connection */
  size_t capacity;     /* recipients there is room for */
  char **texts;        /* owned words for each, or NULL: `worded` */
  bool *doubts;        /* for each: it may have been delivered at a try before: `doubtful` */
  uvsmtp_slice_t kept[UVSMTP__KEPT]; /* pieces of a source whose pieces stay in place */

  uvsmtp_recipient_result_t *results; /* room for `capacity` */

  /* What is set when it is made, and by whoever opens the source. */
  size_t count; /* recipients; beside `results`, as in uvsmtp_result_t */
  uvsmtp_send_t *send;
  uint64_t order; /* of its send among those of the connection */
  uint64_t size;  /* octets, UVSMTP_SIZE_UNKNOWN */
  uvsmtp_source_info_t info;
  uvsmtp_mail_needs_t needs;
  size_t kept_count;
  size_t kept_at;  /* the next of them to be given out */
  uint64_t begin;  /* octets issued before its content; 0: not issued */
  uint64_t end;    /* octets issued up to the end of its content; 0: not issued */
  uint64_t weight; /* octets that it counts in flying_bytes */

  /* What begins at nought, and as long as it is `quiet` is not set at all, like `results`. */
  size_t next;          /* recipient to issue */
  size_t asked;         /* RCPT commands issued */
  size_t awaited;       /* replies to RCPT */
  size_t accepted;      /* recipients the server took */
  size_t chunks;        /* replies to BDAT that are owed, without that to the last */
  uint64_t told;        /* octets of progress, when it was told last */
  uvsmtp_slice_t piece; /* of the source, not taken by the protocol yet */
  unsigned blamed;      /* ways to blame for its refusals: left from now on */
  int err;              /* why it cannot be sent, or its source failed */
  uvsmtp_command_t phase;
  int code; /* of the last reply read for it */
  uint16_t enhanced[3];
  unsigned origin_next; /* attribute for the next XFORWARD */

  /* What begins at nought in any case. */
  unsigned rounds; /* transactions begun for it */
  uvsmtp__step_t step;
  unsigned used;   /* ways of talking (UVSMTP_WAY_…) it was sent in */
  bool quiet;      /* it was issued as a flight, all were asked, and nothing was told yet */
  bool kept_all;   /* the pieces kept are all of it: the source has been read to its end */
  bool whole;      /* they are, without the source having been opened */
  bool clean;      /* the content can go as it lies */
  bool dotless;    /* by DATA too, for no line begins with a dot, and all of it is kept */
  bool chunked;    /* goes by BDAT */
  bool overlapped; /* MAIL was issued before the end of the transaction before was known */
  bool watched;    /* its sender wants to know of its progress */
  bool carried;    /* with its send, for another connection (resume.c) */
  bool foreign;    /* it has come from another one: its memory is perhaps of another kind */
  bool worded;     /* some of `texts` are not NULL */
  bool doubtful;   /* some of `doubts` are true */
  bool has_phase;
  bool opening;   /* the source cannot say yet what it will give */
  bool open;      /* it is being read */
  bool read;      /* something was taken from it */
  bool seven_bit; /* the server takes no 8-bit octets, and whether there are any is unknown */
  bool at_end;    /* of the source */
  bool after_cr, line_start; /* framing of what gather.c makes */
  bool reset;                /* RSET has to go before its MAIL */
  bool reset_refused;        /* that was refused, and MAIL is behind it already */
  bool waiting;              /* in the queue, for a further transaction */
  bool origin_said;          /* all of them were issued */
  bool mail_ok, mail_refused;
  bool refused;  /* DATA or the content was */
  bool taken;    /* the content was, by somebody */
  bool lone_dot; /* the content was ended at once, for nobody would get it */
  bool due;      /* given back from the loop: in `done` */
  bool decided;  /* every recipient has its result, or is left */
  bool cancelled;
} uvsmtp__transaction_t;

/* Domains that recipients of a session had, by their hashes. */
typedef struct uvsmtp__domains_s {
  size_t count, room;
  uint64_t hashes[];
} uvsmtp__domains_t;

/* What holds for the session, also while nothing is sent. */
typedef struct uvsmtp__terms_s {
  const uvsmtp_capabilities_t *offered; /* the protocol's; NULL before the session is open */
  unsigned possible; /* ways of talking that the options allow and the server offers */
  bool dot_alone;    /* the end of a content leaves when all before it has left */
  bool curt;         /* the server ends sessions so that more than need be is in doubt */
  bool farewell;     /* 421 was the last that mattered: nothing behind it will be done */
  bool served;       /* a transaction was begun and is over */
  bool trying;       /* more than what is said to be the most that a session takes */
  /* limits.c */
  uint64_t left;              /* messages that the session takes yet; 0 also: none to some domain */
  uint32_t refused_in_row;    /* recipients, none accepted since */
  uint32_t taken;             /* messages that the server took */
  uvsmtp__domains_t *domains; /* NULL: none, and always but under RCPTDOMAINMAX */
} uvsmtp__terms_t;

/* What is there while messages are, and a while after. */
typedef struct uvsmtp__pump_s {
  uvsmtp__link_t queue;  /* sends */
  uvsmtp__link_t flight; /* transactions, oldest first */
  uvsmtp__link_t done;   /* transactions whose callback is due from the loop */
  uvsmtp__link_t *free;  /* transactions to use again, the one used last first; NULL: none */
  size_t queued, flying;
  size_t watched; /* of those in flight */
  uint64_t flying_bytes;
  uint64_t order;        /* of the next transaction */
  unsigned ways;         /* of those possible, those that its manners allow, at the last fill */
  size_t most;           /* messages that may be under way, at the last fill */
  bool stalled;          /* what was to be issued waits for the output to leave */
  bool due;              /* fill and give back from the loop */
  bool starved;          /* there was no memory to begin the next send */
  bool resetting;        /* RSET was issued and not answered */
  bool ended;            /* sends have, and the owner was not asked for more since */
  uvsmtp_result_t usual; /* of a message that was accepted, all of what does not change */
  size_t id_at;          /* where the queue id began in the reply to the last message; 0: unknown */
  const uvsmtp_send_t *odd; /* its content was looked at, and is not plain; or any */
  /* gather.c */
  char *gather; /* NULL: none was needed */
  size_t gathered;
  uint64_t gather_until; /* octets to be sent before it can be filled anew */
} uvsmtp__pump_t;

void uvsmtp__pump_init(uvsmtp_connection_t *c);
/* Releases what it keeps; nothing is queued or in flight any more. */
void uvsmtp__pump_clear(uvsmtp_connection_t *c);
/* The pump of all connections that send nothing: to look at, and never written to. */
extern const uvsmtp__pump_t uvsmtp__pump_at_rest;
/* It gets a pump of its own instead: 0, or ENOMEM. */
int uvsmtp__pump_wake(uvsmtp_connection_t *c);
/* Gives back what it keeps for the next message, and itself, if it is idle; nothing is to be
 * written. */
void uvsmtp__pump_trim(uvsmtp_connection_t *c);
/*
 * Issues what can be issued. Called when the session is ready, after every batch of events, and
 * after output was written for which it had `stalled`.
 */
void uvsmtp__pump_fill(uvsmtp_connection_t *c);
/* `due` was set: gives back what failed before it could be issued; a fill follows. */
void uvsmtp__pump_run(uvsmtp_connection_t *c);
/* Takes sends that have all but their callback, checked. UVSMTP_ECLOSING and UVSMTP_ENOMEM
 * change nothing. */
int uvsmtp__pump_queue(uvsmtp_connection_t *c, uvsmtp_send_t *const *sends, size_t count,
                       uvsmtp_send_cb cb);
/* A reply to the end of a content. */
void uvsmtp__pump_end(uvsmtp_connection_t *c, const uvsmtp_event_t *event);
/* A reply to any other command of the pump, */
void uvsmtp__pump_reply(uvsmtp_connection_t *c, const uvsmtp_event_t *event);
/* and one to no command, while it is busy. */
void uvsmtp__pump_unsolicited(uvsmtp_connection_t *c, const uvsmtp_event_t *event);
/*
 * The connection is over, and its stream closed: nothing that was borrowed is in use any more.
 * Settles every send with its outcome and calls the callbacks.
 */
void uvsmtp__pump_fail(uvsmtp_connection_t *c, const uvsmtp_error_t *error);

/* ---- between the files of the pump ---- */

/* The server's first words: how carefully it has to be spoken to. */
void uvsmtp__pump_greeted(uvsmtp_connection_t *c, const uvsmtp_reply_t *greeting);
/* The session is open: what the server offers is known. */
void uvsmtp__pump_ready(uvsmtp_connection_t *c);
/* The ways of talking that the options allow and the server offers, while it is spoken to plainly
 * or no longer. */
void uvsmtp__pump_speak_plainly(uvsmtp_connection_t *c, bool plainly);
/* With room for `count` recipients; what is kept with its memory is set. */
uvsmtp__transaction_t *uvsmtp__transaction_allocate(uvsmtp_connection_t *c, size_t count);
/* One for a new send, with room for `count` recipients: used before, or new; NULL: no memory.
 * Nothing in it is set but what stays. */
uvsmtp__transaction_t *uvsmtp__transaction_find(uvsmtp_connection_t *c, size_t count);
/* What a send becomes. */
uvsmtp__transaction_t *uvsmtp__transaction_new(uvsmtp_connection_t *c, uvsmtp_send_t *send);
/* Forgets what it owns, so that its memory can be used again. */
void uvsmtp__transaction_clear(uvsmtp__transaction_t *t);
/* Out of the queue, into the flight: the one that is to go on, or a new one; NULL: no memory. */
uvsmtp__transaction_t *uvsmtp__pump_take_off(uvsmtp_connection_t *c, uvsmtp_send_t *send);
/* It is over: keeps its memory for the next one, unless it is of another connection's allocator, or
 * has gone with its send. */
void uvsmtp__transaction_release(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
/* Frees it with all words. */
void uvsmtp__transaction_free(uvsmtp__transaction_t *t);
/* Recipient `i` gets words of its own; without memory for them, none. */
void uvsmtp__transaction_keep_words(uvsmtp__transaction_t *t, size_t i, const char *text);

/* flight.c: begins those at the head of the queue that need no look at each step; only where
 * uvsmtp__pump_flies. True: no more can begin now; false: the next one has to go step by step. */
bool uvsmtp__pump_fly(uvsmtp_connection_t *c);

/* issue.c: each issues one step of a transaction, or what can go of it: 0 done, PENDING, or an
 * error with which nothing more of it goes now. */
int uvsmtp__issue_recipients(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
int uvsmtp__issue_data(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
int uvsmtp__issue_content(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);

/* look.c: opens the source and looks at the content as far as that needs no waiting. */
int uvsmtp__content_open(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
/* What was read was not taken: the source has to be read again from its start. */
int uvsmtp__content_rewind(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
void uvsmtp__content_close(uvsmtp__transaction_t *t);
/* Writes what `err` means, and what the source has to say about it. */
void uvsmtp__content_fault(const uvsmtp__transaction_t *t, int err, char *text, size_t size);

/* content.c: hands it over: 0 all and its end, UVSMTP_PENDING later, or an error of the source. */
int uvsmtp__content_push(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
/* All that can leave at once as one flight: by BDAT all of a clean content in place, else up to
 * DATA. 0, or an error with nothing issued, and the source can be pushed, or is not `open` any
 * more. */
int uvsmtp__content_fly(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
/* Takes the next piece of the source: 0, PENDING, or an error. At the end, `at_end`. */
int uvsmtp__content_next(uvsmtp__transaction_t *t);

/* gather.c: the same as content_push for pieces that come and go, by BDAT. An empty content is
 * none for BDAT: then 0 too, and the transaction is no longer `chunked`. */
int uvsmtp__gather_push(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
void uvsmtp__gather_free(uvsmtp_connection_t *c);

/* Recipient `i` has no result: `state` is UVSMTP__RCPT_…. */
static inline void uvsmtp__transaction_open(uvsmtp__transaction_t *t, size_t i, int state)
{
  t->results[i] = (uvsmtp_recipient_result_t){.address = t->send->envelope->recipients[i].address,
                                              .status = (uvsmtp_status_t)state,
                                              .text = ""};
}

/* Could another connection read the source from its start? */
static inline bool uvsmtp__may_read_again(const uvsmtp__transaction_t *t)
{
  return (t->info.content & UVSMTP_CONTENT_ONCE) == 0;
}

static inline bool uvsmtp__is_stable(const uvsmtp__transaction_t *t)
{
  return (t->info.content & UVSMTP_CONTENT_STABLE) != 0;
}

/* Its pieces stay in place, and it can be opened again: it was read through before MAIL. */
static inline bool uvsmtp__is_looked_at(const uvsmtp__transaction_t *t)
{
  return uvsmtp__is_stable(t) && uvsmtp__may_read_again(t);
}

/* Does it go octet by octet, by BDAT alone (RFC 3030)? Its source says so, or its envelope. */
static inline bool uvsmtp__is_binary(const uvsmtp__transaction_t *t)
{
  return (t->info.content & UVSMTP_CONTENT_BINARY) != 0 ||
         t->send->envelope->body == UVSMTP_BODY_BINARYMIME;
}

/* limits.c */
typedef enum {
  UVSMTP__LIMIT_NONE,        /* it may be issued, and is counted */
  UVSMTP__LIMIT_TRANSACTION, /* not in this transaction */
  UVSMTP__LIMIT_SESSION      /* not in this session */
} uvsmtp__limit_t;
/* Before RCPT: may this address follow, with `asked` before it in the transaction? */
uvsmtp__limit_t uvsmtp__limits_admit(uvsmtp_connection_t *c, size_t asked, const char *address);
/* Before MAIL: 0, ELIMIT if none of the open recipients can be issued, or not all where all must
 * be, with a sentence in `text`; ENOMEM. */
int uvsmtp__limits_check(uvsmtp_connection_t *c, const uvsmtp__transaction_t *t, char *text,
                         size_t size);
/* The server decided about a recipient. */
void uvsmtp__limits_note_recipient(uvsmtp_connection_t *c, bool accepted);
/* Keeps to what was learned of how many messages a session takes; `max_mails` is known. */
void uvsmtp__limits_heed(uvsmtp_connection_t *c);
/* The session is over. True if what is known of its limit explains that. */
bool uvsmtp__limits_ended(uvsmtp_connection_t *c, const uvsmtp_error_t *error);
void uvsmtp__limits_clear(uvsmtp_connection_t *c);

/* progress.c: tells senders that want to know how much has left. */
void uvsmtp__progress_tell(uvsmtp_connection_t *c);

/* Has it no result yet? */
static inline bool uvsmtp__is_open(const uvsmtp_recipient_result_t *r)
{
  return (int)r->status >= UVSMTP__RCPT_OPEN;
}

/* outcome.c: what a reply is for a recipient. A server that has said goodbye may refuse the rest
 * for good: that is about the session. */
uvsmtp_status_t uvsmtp__outcome_of(const uvsmtp_connection_t *c, const uvsmtp_reply_t *reply);
/* Its result is that of this reply to a command. */
void uvsmtp__outcome_note_code(uvsmtp_recipient_result_t *r, const uvsmtp_reply_t *reply,
                               uvsmtp_command_t phase);
/* Gives recipient `i` this result; without `reply` its code and phase stay. */
void uvsmtp__outcome_set(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, size_t i,
                         uvsmtp_status_t status, const uvsmtp_reply_t *reply,
                         uvsmtp_command_t phase, const char *text);
/* Gives recipients that have no result yet this one. */
void uvsmtp__outcome_rest(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, uvsmtp_status_t status,
                          const uvsmtp_reply_t *reply, uvsmtp_command_t phase, const char *text);
/* Recipient `i` cannot be written; the others can. */
void uvsmtp__outcome_refused_recipient(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, size_t i,
                                       int err);
/* It cannot be sent, for a reason of its own; `text` NULL: the error's words. */
void uvsmtp__outcome_local(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, int err,
                           const char *text);

/* verdicts.c: the reply to a command of a transaction, with its words, decides for whom it can. */
void uvsmtp__verdict(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const uvsmtp_event_t *event,
                     const char *text);

/* replies.c: from now on it says of each recipient of a flight what is known. */
void uvsmtp__transaction_speak(uvsmtp__transaction_t *t);
/* Of the first `count` recipients of a flight nothing was told, so they were accepted. */
void uvsmtp__transaction_catch_up(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, size_t count);

/* result.c: all replies are in: a further transaction, or the end; from the loop if `later`. */
void uvsmtp__result_over(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, bool later,
                         const char *text);
/* It is decided; its callback runs from the loop. */
void uvsmtp__result_later(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
/* Takes it out of flight and calls back; `text`: of the final reply. */
void uvsmtp__result_give(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const char *text);
/* Status, error and safety of trying again, by what stands for each recipient. */
void uvsmtp__result_summarize(uvsmtp__transaction_t *t, uvsmtp_result_t *result);
/* Recipient `i` has no result any more. */
void uvsmtp__result_open(uvsmtp__transaction_t *t, size_t i);
/* Forgets all that is of one transaction alone. */
void uvsmtp__result_start_over(uvsmtp__transaction_t *t);
/* There is not even memory for a result of its own. */
void uvsmtp__result_without_memory(uvsmtp_connection_t *c, uvsmtp_send_t *send,
                                   const uvsmtp_error_t *error);
/* The server's name for a message, out of the words of its acceptance; "" if none is seen. */
const char *uvsmtp__queue_id(const char *text, char *out, size_t size);

#endif
