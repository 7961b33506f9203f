#ifndef TEST_UNIT_PROTOCOL_SESSION_H
#define TEST_UNIT_PROTOCOL_SESSION_H

/* What the tests of lib/protocol share: a protocol, the octets it wrote, and its last events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "uvsmtp/protocol.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct session_s {
  uvsmtp_protocol_t *protocol;
  uint64_t now;
  char *out; /* what was written since the last session_written */
  size_t out_len;
  unsigned replies, errors; /* events so far */
  int code;                 /* of the last reply */
  int err;                  /* of the error event */
} session_t;

/* A session whose greeting is due; `options` may be NULL. */
void session_init(session_t *s, const uvsmtp_protocol_options_t *options);
/* The same, greeted; the reply to EHLO offers `keywords`, "250-SIZE 10\r\n250 DSN" (or NULL). */
void session_ready(session_t *s, const uvsmtp_protocol_options_t *options, const char *keywords);
/* What session_ready does to a session whose greeting is due. */
void session_greet(session_t *s, const char *keywords);
void session_free(session_t *s);

void session_feed(session_t *s, const char *bytes, size_t len);
void session_say(session_t *s, const char *line_without_end);
/* Takes all output, as if it had been written. */
void session_write(session_t *s);
/* Writes, and the octets since the last call are these. */
void session_written(session_t *s, const char *octets);

/* Takes the session to where the content is due. */
void session_to_content(session_t *s);

int session_mail(session_t *s, const char *sender);
int session_rcpt(session_t *s, const char *address);

#endif
