#ifndef LETTER_H
#define LETTER_H

/* One message from ann to bob, for the programs beside this; see docs/one-message.md. */
#include <stdio.h>
#include <string.h>

#include <uvsmtp.h>

typedef struct letter_s {
  uvsmtp_send_t send;
  uvsmtp_recipient_t to;
  uvsmtp_envelope_t envelope;
  uvsmtp_source_t source;
} letter_t;

static inline void letter_init(letter_t *letter, void *data)
{
  static const char text[] =
      "From: ann@here.example\nTo: bob@there.example\nSubject: Hi\n\nHello!\n";

  memset(letter, 0, sizeof(*letter));
  letter->send.data = data;
  letter->to.address = "bob@there.example";
  letter->envelope = (uvsmtp_envelope_t)UVSMTP_ENVELOPE_INIT;
  letter->envelope.sender = "ann@here.example";
  letter->envelope.recipients = &letter->to;
  letter->envelope.recipient_count = 1;
  uvsmtp_source_memory(&letter->source, text, sizeof(text) - 1);
}

#endif
