/* What a protocol has only while it talks, or for a while: waking it, and putting it to rest. */
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "protocol/machine.h"

#define TRACE_MAX (256 * 1024)
#define CHALLENGE_MAX (64 * 1024)
#define LINE_MAX_OCTETS 4096

const talk_t uvsmtp__talk_at_rest;
const aside_t uvsmtp__aside_at_rest;

int uvsmtp__talk_wake(uvsmtp_protocol_t *p)
{
  const uvsmtp_mem_t *mem = &p->shared->mem;
  talk_t *talk;
  if (p->talk != &uvsmtp__talk_at_rest)
    return 0;
  talk = uvsmtp__calloc(mem, 1, sizeof(*talk));
  if (talk == NULL)
    return UVSMTP_ENOMEM;
  uvsmtp__reader_init(&talk->reader, mem, &p->shared->options);
  uvsmtp__buffer_init(&talk->mail, mem, LINE_MAX_OCTETS);
  p->talk = talk;
  return 0;
}

int uvsmtp__aside_wake(uvsmtp_protocol_t *p)
{
  const uvsmtp_mem_t *mem = &p->shared->mem;
  aside_t *aside;
  if (p->aside != &uvsmtp__aside_at_rest)
    return 0;
  aside = uvsmtp__calloc(mem, 1, sizeof(*aside));
  if (aside == NULL)
    return UVSMTP_ENOMEM;
  uvsmtp__buffer_init(&aside->challenge, mem, CHALLENGE_MAX);
  uvsmtp__buffer_init(&aside->line, mem, LINE_MAX_OCTETS);
  uvsmtp__buffer_init(&aside->trace, mem, TRACE_MAX);
  p->aside = aside;
  return 0;
}

void uvsmtp__talk_free(uvsmtp_protocol_t *p)
{
  if (p->talk == &uvsmtp__talk_at_rest)
    return;
  uvsmtp__out_free(p);
  uvsmtp__buffer_free(&p->talk->reader.partial);
  uvsmtp__buffer_free(&p->talk->mail);
  uvsmtp__free(&p->shared->mem, p->talk);
  p->talk = (talk_t *)&uvsmtp__talk_at_rest;
}

void uvsmtp__aside_free(uvsmtp_protocol_t *p)
{
  const uvsmtp_mem_t *mem = &p->shared->mem;
  aside_t *aside = p->aside;
  if (aside == &uvsmtp__aside_at_rest)
    return;
  uvsmtp__free(mem, aside->error_text);
  uvsmtp__free(mem, aside->domain);
  uvsmtp__free_secret(mem, aside->sent_secret);
  uvsmtp__free_secret(mem, aside->late_response);
  uvsmtp__buffer_wipe(&aside->challenge);
  uvsmtp__buffer_free(&aside->line);
  uvsmtp__buffer_free(&aside->trace);
  uvsmtp__free(mem, aside);
  p->aside = (aside_t *)&uvsmtp__aside_at_rest;
}

/* Is there something to be written, to come, or to be read, or a content that was begun? */
static bool talks(const uvsmtp_protocol_t *p)
{
  const reader_t *reader = &p->talk->reader;
  return p->issued != p->sent || p->talk->out.lent || uvsmtp__in_left(p) > 0 ||
         p->queue.count > 0 || p->state == UVSMTP_STATE_SEND_DATA ||
         (!reader->done && uvsmtp__buffer_len(&reader->partial) > 0);
}

/* What the last reply said stays known. */
static void keep_last_reply(uvsmtp_protocol_t *p)
{
  uvsmtp_last_reply_t last = uvsmtp_protocol_last_reply(p);
  p->last_reply.code = (uint16_t)last.code;
  memcpy(p->last_reply.enhanced, last.enhanced, sizeof(last.enhanced));
}

void uvsmtp_protocol_trim(uvsmtp_protocol_t *p)
{
  if (p->issued == p->sent && !p->talk->out.lent && p->talk->out.bytes != NULL)
    uvsmtp__out_free(p);
  if (talks(p))
    return;
  keep_last_reply(p);
  uvsmtp__talk_free(p);
  if (!p->tracing && p->err == 0)
    uvsmtp__aside_free(p);
  uvsmtp__free(&p->shared->mem, p->queue.ring);
  p->queue = (queue_t){0};
}
