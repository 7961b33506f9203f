#ifndef UVSMTP_CONNECTION_PUMP_H
#define UVSMTP_CONNECTION_PUMP_H

/*
 * The transaction pump: turns queued sends into commands and contents, and replies into results.
 *
 *   transaction.c  what is issued, and when
 *   content.c      the octets of a message: looked at once, then handed to the protocol
 *   outcome.c      what replies, and the end of a connection, mean for each recipient
 *
 * A send waits in `queue`, then becomes a transaction in `flight`. Replies come in the order of
 * the commands, so they always belong to the first transaction in flight. How far commands run
 * ahead of replies is decided by one function, may_issue: not at all without PIPELINING; up to
 * DATA with it; and with CHUNKING messages follow one another without any wait. Where the end of
 * the transaction before is not known, RSET goes before MAIL: a server that kept it open would take
 * the new recipients into it.
 */
#include "base/list.h"
#include "uvsmtp/connection.h"

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
  UVSMTP__RCPT_OPEN = 100, /* no reply to RCPT */
  UVSMTP__RCPT_TAKEN = 101 /* RCPT was accepted: the end of the content decides */
};

typedef struct uvsmtp__transaction_s {
  uvsmtp__link_t link; /* in flight, or free */
  uvsmtp_send_t *send; /* NULL: given back early */
  uvsmtp__step_t step;
  size_t next;         /* recipient to issue */
  size_t awaited;      /* replies to RCPT */
  size_t accepted;     /* recipients the server took */
  size_t capacity;     /* recipients there is room for */
  uint64_t end;        /* octets issued up to the end of its content; 0: not issued */
  uint64_t size;       /* octets, UVSMTP_SIZE_UNKNOWN */
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece; /* of the source, not taken by the protocol yet */
  int err;              /* why it cannot be sent, or its source failed */
  bool opening;         /* the source cannot say yet what it will give */
  bool open;            /* it is being read */
  bool at_end;          /* of the source */
  bool pending;         /* the source will wake us */
  bool chunked;         /* goes by BDAT */
  bool overlapped;      /* MAIL was issued before the end of the transaction before was known */
  bool mail_ok, mail_refused;
  bool refused;         /* DATA or the content was */
  bool lone_dot;        /* the content was ended at once, for nobody would get it */
  bool due;             /* given back from the loop: in `done` */
  bool decided;         /* every recipient has its result */
  bool cancelled;
  bool has_phase;
  uvsmtp_command_t phase;
  int code;             /* of the last reply read for it */
  uint16_t enhanced[3];
  uvsmtp_recipient_result_t *results; /* room for `capacity` */
  char **texts;                       /* owned words for each, or NULL */
} uvsmtp__transaction_t;

typedef struct uvsmtp__pump_s {
  uvsmtp__link_t queue;  /* sends */
  uvsmtp__link_t flight; /* transactions, oldest first */
  uvsmtp__link_t done;   /* transactions whose callback is due from the loop */
  uvsmtp__link_t free;   /* transactions to use again */
  size_t queued, flying;
  uint64_t flying_bytes;
  bool due;              /* fill and give back from the loop */
  bool no_overlap;       /* this server has refused it */
  bool resetting;        /* RSET was issued and not answered */
} uvsmtp__pump_t;

void uvsmtp__pump_init(uvsmtp_connection_t *c);
/* Releases what it keeps; nothing is queued or in flight any more. */
void uvsmtp__pump_clear(uvsmtp_connection_t *c);
/* Sends are queued or under way. */
bool uvsmtp__pump_busy(const uvsmtp_connection_t *c);
/*
 * Issues what can be issued. Called when the session is ready, after every batch of events, and
 * after output was written.
 */
void uvsmtp__pump_fill(uvsmtp_connection_t *c);
/* `due` was set: fills, writes, and gives back what failed before it could be issued. */
void uvsmtp__pump_run(uvsmtp_connection_t *c);
/* A reply to a command of the pump, or an unsolicited one while it is busy. */
void uvsmtp__pump_event(uvsmtp_connection_t *c, const uvsmtp_event_t *event);
/*
 * The connection is over, and its stream closed: nothing that was borrowed is in use any more.
 * Settles every send with its outcome and calls the callbacks.
 */
void uvsmtp__pump_fail(uvsmtp_connection_t *c, const uvsmtp_error_t *error);

/* ---- between the files of the pump ---- */

/* The transaction whose replies are due, or NULL. */
uvsmtp__transaction_t *uvsmtp__pump_front(uvsmtp_connection_t *c);
/* Opens the source and looks at the content as far as that needs no waiting. */
int uvsmtp__content_open(uvsmtp_connection_t *c, uvsmtp__transaction_t *t,
                         uvsmtp_mail_needs_t *needs);
/* Hands over content: 0 all and its end, UVSMTP_PENDING later, or an error of the source. */
int uvsmtp__content_push(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
void uvsmtp__content_close(uvsmtp__transaction_t *t);
/* Writes what `err` means, and what the source has to say about it. */
void uvsmtp__content_fault(const uvsmtp__transaction_t *t, int err, char *text, size_t size);
/* Gives recipients [from, count) that have no result yet this one. */
void uvsmtp__outcome_rest(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, uvsmtp_status_t status,
                          const uvsmtp_reply_t *reply, const char *text);
/* It cannot be sent, for a reason of its own. */
void uvsmtp__outcome_local(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, int err);
/* It is decided; its callback runs from the loop. */
void uvsmtp__outcome_later(uvsmtp_connection_t *c, uvsmtp__transaction_t *t);
/* Takes it out of flight and calls back, or queues it anew. */
void uvsmtp__outcome_finish(uvsmtp_connection_t *c, uvsmtp__transaction_t *t, const char *text);
uvsmtp__transaction_t *uvsmtp__transaction_new(uvsmtp_connection_t *c, uvsmtp_send_t *send);

#endif
