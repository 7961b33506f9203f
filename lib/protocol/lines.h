#ifndef UVSMTP_PROTOCOL_LINES_H
#define UVSMTP_PROTOCOL_LINES_H

/*
 * Lines that are put together in the free room of the output, where they leave from: one alone, or
 * those of a flight, all or none. None of them counts before they are issued. What they hold is
 * looked at as it is put there. All of it is on the way of every message, so it is inline.
 */
#include <string.h>

#include "base/octets.h"
#include "base/text.h"
#include "protocol/machine.h"

#define UVSMTP__LINES_ROOM 512 /* for lines as they usually are */
#define UVSMTP__LINES_MOST 4096

/* Of the last MAIL is kept "RSET", "MAIL FROM:<sender>" and " SIZE=", and room behind them so that
 * they can be copied many octets at a time; nothing, if the sender did not stand there as given. */
#define UVSMTP__MAIL_RSET "RSET\r\n"
#define UVSMTP__MAIL_VERB "MAIL FROM:"
#define UVSMTP__MAIL_SIZE " SIZE="
#define UVSMTP__MAIL_RSET_LEN (sizeof(UVSMTP__MAIL_RSET) - 1)
#define UVSMTP__MAIL_VERB_LEN (sizeof(UVSMTP__MAIL_VERB) - 1)
#define UVSMTP__MAIL_SIZE_LEN (sizeof(UVSMTP__MAIL_SIZE) - 1)
#define UVSMTP__MAIL_AROUND                                                                        \
  (UVSMTP__MAIL_RSET_LEN + UVSMTP__MAIL_VERB_LEN + 2 + UVSMTP__MAIL_SIZE_LEN)
#define UVSMTP__MAIL_BEHIND 64

/* Had the last MAIL this sender? */
UVSMTP__INLINE bool uvsmtp__mail_known(const uvsmtp_protocol_t *p, const char *sender, size_t len)
{
  const uvsmtp__buffer_t *mail = &p->talk->mail;
  return mail->end == len + UVSMTP__MAIL_AROUND &&
         uvsmtp__octets_same(sender, mail->base + UVSMTP__MAIL_RSET_LEN + UVSMTP__MAIL_VERB_LEN + 1,
                             len);
}

typedef struct {
  uvsmtp__buffer_t text; /* the room, as a buffer that does not grow */
  uint32_t queued;       /* commands before them */
  size_t behind;         /* octets of room that are for what follows them */
} lines_t;

/* A line failed with `*err`: they are taken back. True if there is more room now to begin anew. */
bool uvsmtp__lines_again(uvsmtp_protocol_t *p, lines_t *lines, int *err);
void uvsmtp__lines_trace(uvsmtp_protocol_t *p, const char *lines, size_t len);

static inline void uvsmtp__lines_open(uvsmtp_protocol_t *p, lines_t *lines)
{
  size_t room = p->talk->out.size - p->talk->out.used - lines->behind;
  lines->text = (uvsmtp__buffer_t){.base = uvsmtp__out_room(p)};
  lines->text.size = lines->text.max = room < UVSMTP__LINES_MOST ? room : UVSMTP__LINES_MOST;
}

/*
 * Begins `count` lines at most, with room behind them for `behind` octets and `segments` more: 0,
 * EQUEUEFULL, ENOMEM.
 */
static inline int uvsmtp__lines_begin(uvsmtp_protocol_t *p, lines_t *lines, size_t count,
                                      size_t behind, size_t segments)
{
  int err = uvsmtp__queue_reserve(p, (unsigned)count);
  if (err != 0)
    return err;
  lines->queued = p->queue.count;
  lines->behind = behind;
  err = uvsmtp__out_reserve(p, behind + UVSMTP__LINES_ROOM, segments + 1);
  if (err == UVSMTP_EQUEUEFULL) /* then with what there is */
    err = uvsmtp__out_reserve(p, behind, segments + 1);
  if (err == 0)
    uvsmtp__lines_open(p, lines);
  return err;
}

/* Ends the line that begins at `start`, and queues what waits for its reply: 0, ETOOLONG. */
static inline int uvsmtp__lines_end(uvsmtp_protocol_t *p, lines_t *lines, size_t start,
                                    uvsmtp_command_t command, void *tag, uint8_t flags)
{
  uvsmtp__buffer_t *text = &lines->text;
  if (text->end - start > UVSMTP__LINE_OCTETS - 2 || text->size - text->end < 2)
    return UVSMTP_ETOOLONG;
  memcpy(text->base + text->end, "\r\n", 2);
  text->end += 2;
  uvsmtp__queue_push(p, command, tag, flags, p->issued + text->end);
  return 0;
}

static inline int uvsmtp__lines_mail(uvsmtp_protocol_t *p, lines_t *lines,
                                     const uvsmtp_envelope_t *envelope,
                                     const uvsmtp_mail_needs_t *needs, void *tag, uint8_t flags)
{
  size_t start = lines->text.end;
  int err = uvsmtp__mail_append(p, &lines->text, envelope, needs);
  if (err != 0)
    return err;
  flags |= p->prdr_asked ? EXPECT_PRDR : 0;
  return uvsmtp__lines_end(p, lines, start, UVSMTP_COMMAND_MAIL, tag, flags);
}

static inline int uvsmtp__lines_rcpt(uvsmtp_protocol_t *p, lines_t *lines,
                                     const uvsmtp_recipient_t *r, void *tag, uint8_t flags)
{
  uvsmtp__buffer_t *text = &lines->text;
  size_t start = text->end;
  bool utf8 = false;
  int err;
  if (r->address == NULL)
    return UVSMTP_EADDRESS;
  if ((err = uvsmtp__buffer_append(text, "RCPT TO:", 8)) != 0 ||
      (err = uvsmtp__path_append(p, text, r->address, &utf8)) != 0)
    return err;
  if ((utf8 || uvsmtp__rcpt_needs_more(r)) &&
      (err = uvsmtp__rcpt_parameters(p, text, r, utf8)) != 0)
    return err;
  return uvsmtp__lines_end(p, lines, start, UVSMTP_COMMAND_RCPT, tag, flags);
}

static inline void uvsmtp__lines_issue(uvsmtp_protocol_t *p, lines_t *lines)
{
  uvsmtp__out_filled(p, lines->text.end);
  if (p->tracing)
    uvsmtp__lines_trace(p, lines->text.base, lines->text.end);
}

#endif
