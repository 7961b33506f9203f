#ifndef UVSMTP_ENVELOPE_H
#define UVSMTP_ENVELOPE_H

/*
 * An envelope: sender, recipients, and the options of the transaction.
 *
 * All strings are UTF-8 without CR, LF and NUL (UVSMTP_EINJECTION else). Addresses are bare
 * ("user@host.example", not "<user@host.example>"); a local part that needs quotes gets them.
 * Everything is borrowed until the callback of the call that it is passed to. Zero means: not
 * used. An option whose extension the server does not offer is refused with UVSMTP_EEXTENSION,
 * one beyond the limit that it tells behind the extension's name with UVSMTP_ERANGE, before MAIL is
 * sent, unless the field says otherwise; an option of a recipient refuses that recipient only. The
 * words of the result name the extension, or the field and the limit.
 */
#include "uvsmtp/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** When a delivery status notification is wanted (RFC 3461 section 4.1). */
enum {
  UVSMTP_NOTIFY_NEVER = 1, /* alone */
  UVSMTP_NOTIFY_SUCCESS = 2,
  UVSMTP_NOTIFY_FAILURE = 4,
  UVSMTP_NOTIFY_DELAY = 8
};

typedef struct uvsmtp_recipient_s {
  const char *address; /* required */
  unsigned notify;     /* bits of UVSMTP_NOTIFY_…; 0: not said (DSN) */
  const char *orcpt;   /* original recipient, "rfc822;user@host"; the xtext is made here (DSN) */
  int64_t rrvs;        /* seconds since 1970 that the address belongs to its owner (RFC 7293) */
  const char *params;  /* further parameters as they stand in the line, "X-A=1 X-B" */
} uvsmtp_recipient_t;

/** What the message's body needs on its way (RFC 6152, 3030). */
typedef enum uvsmtp_body_e {
  UVSMTP_BODY_AUTO = 0, /* as the source says: BODY= only where the message needs it */
  UVSMTP_BODY_7BIT,
  UVSMTP_BODY_8BITMIME,
  UVSMTP_BODY_BINARYMIME /* every octet as the source gives it; refused where chunks are not used */
} uvsmtp_body_t;

typedef enum uvsmtp_ret_e { UVSMTP_RET_UNSAID = 0, UVSMTP_RET_FULL, UVSMTP_RET_HDRS } uvsmtp_ret_t;

enum {
  UVSMTP_ENVELOPE_SMTPUTF8 = 1,   /* demand SMTPUTF8 even if addresses and header are ASCII */
  UVSMTP_ENVELOPE_REQUIRETLS = 2, /* RFC 8689; fails closed */
  UVSMTP_ENVELOPE_PRDR = 4,       /* ask for per-recipient replies where the server can */
  UVSMTP_ENVELOPE_BY_RETURN = 8,  /* DELIVERBY mode R: return the message if late */
  UVSMTP_ENVELOPE_BY_NOTIFY = 16, /* DELIVERBY mode N: go on, and tell the sender */
  UVSMTP_ENVELOPE_BY_TRACE = 32,  /* DELIVERBY trace flag */
  UVSMTP_ENVELOPE_PRIORITY = 64,  /* `priority` is meant, 0 too */
  UVSMTP_ENVELOPE_ALL_OR_NONE = 128 /* nobody gets it unless all recipients are accepted */
};

/**
 * For whom a gateway speaks (Postfix's XCLIENT and XFORWARD). NULL: not said. "[UNAVAILABLE]" and
 * "[TEMPUNAVAIL]" go as they are. No value may be empty or have over 255 octets.
 */
typedef struct uvsmtp_origin_s {
  const char *name;  /* the client's host name */
  const char *addr;  /* its address; IPv6 with or without "IPV6:" */
  const char *port;  /* and port */
  const char *proto; /* "SMTP" or "ESMTP" */
  const char *helo;  /* what it called itself */
  const char *ident; /* XFORWARD: the gateway's name for the message */
  const char *source;    /* XFORWARD: "LOCAL" or "REMOTE" */
  const char *login;     /* XCLIENT: who it authenticated as */
  const char *dest_addr; /* XCLIENT: the address and port that it connected to */
  const char *dest_port;
} uvsmtp_origin_t;

typedef struct uvsmtp_envelope_s {
  size_t size;        /* set by UVSMTP_ENVELOPE_INIT */
  const char *sender; /* NULL or "": the null sender <> */
  const uvsmtp_recipient_t *recipients;
  size_t recipient_count;
  unsigned flags;           /* bits of UVSMTP_ENVELOPE_… */
  uvsmtp_body_t body;       /* default: as the source says */
  uvsmtp_ret_t ret;         /* what a notification returns (DSN) */
  const char *envid;        /* envelope identifier, xtext made here (DSN) */
  int64_t by_seconds;       /* DELIVERBY (RFC 2852), with one of the two modes; above 0 with R */
  uint64_t hold_seconds;    /* FUTURERELEASE HOLDFOR (RFC 4865) */
  const char *hold_until;   /* FUTURERELEASE HOLDUNTIL, an RFC 3339 time */
  int priority;             /* MT-PRIORITY (RFC 6710), -9 to 9; with the PRIORITY flag */
  const char *auth;         /* AUTH= (RFC 4954 section 5): a mailbox, or "<>" */
  const char *params;       /* further MAIL parameters as they stand in the line */
  const uvsmtp_origin_t *forward; /* XFORWARD before MAIL; a server that offers it and refuses the
                                     attributes gets the message nevertheless */
} uvsmtp_envelope_t;

#define UVSMTP_ENVELOPE_INIT UVSMTP__SIZED(uvsmtp_envelope_t)

#ifdef __cplusplus
}
#endif
#endif
