/*
 * Most flights go from the sender of the one before to one recipient, by short lines without
 * options. Such a one is written in one go and held as one: what the server says to it without
 * refusing anything is taken where it is read and told by the last reply alone.
 */
#include <string.h>

#include "protocol/address.h"
#include "protocol/chunk.h"
#include "protocol/lines.h"

/* A number in decimal, the first digit lowest. */
typedef struct {
  uint64_t digits;
  size_t len; /* 0: it has more than eight */
} number_t;

UVSMTP__INLINE uint64_t two_digits(uint32_t number)
{
  const uint8_t *digits = (const uint8_t *)uvsmtp__two_digits + 2 * number;
  return digits[0] | (uint64_t)digits[1] << 8;
}

UVSMTP__INLINE void put_eight(char *out, uint64_t octets)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  octets = __builtin_bswap64(octets);
#endif
  memcpy(out, &octets, sizeof(octets));
}

static __attribute__((noinline)) number_t any_number(uint64_t value)
{
  number_t number = {0, 0};
  char text[20];
  size_t len = uvsmtp__decimal(text, value);
  if (len > 8)
    return number;
  for (number.len = len; len > 0; len--)
    number.digits = number.digits << 8 | (uint8_t)text[len - 1];
  return number;
}

UVSMTP__INLINE number_t number_of(uint64_t value)
{
  uint32_t few = (uint32_t)value, high;
  if (value - 1000 >= 9000)
    return any_number(value);
  high = few / 100;
  return (number_t){two_digits(high) | two_digits(few - high * 100) << 16, 4};
}

/* The octets of the content. */
UVSMTP__INLINE uint64_t size_of(const uvsmtp_flight_t *flight)
{
  size_t copied;
  return flight->count == 1 ? flight->slices->len
                            : uvsmtp__chunk_measure(flight->slices, flight->count, &copied);
}

/* Nothing out of the ordinary, and no more octets than the server takes. */
UVSMTP__INLINE bool is_usual(const uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight, bool data)
{
  const unsigned needed = UVSMTP_EXT_PIPELINING | (data ? 0 : UVSMTP_EXT_CHUNKING);
  const uvsmtp_mail_needs_t *needs = flight->needs;
  const uvsmtp_capabilities_t *offered = p->capabilities;
  return flight->lengths.recipient > 0 && flight->envelope->recipient_count == 1 &&
         (p->tracing | p->closing | p->tls_pending | p->alone) == 0 &&
         (p->projected == UVSMTP_STATE_READY || p->projected == UVSMTP_STATE_AUTHENTICATED) &&
         (offered->extensions & needed) == needed &&
         (needs->eightbit | needs->utf8 | needs->binary) == 0 &&
         (offered->max_message_size == 0 || needs->size <= offered->max_message_size) &&
         (flight->count == 0 || !data);
}

/* Room for the lines of such a flight, and for its content as far as that is copied. */
UVSMTP__INLINE bool has_room(const uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  const output_t *out = &p->talk->out;
  return uvsmtp__queue_due(p) + UVSMTP__AHEAD + 1 <= p->queue.limit &&
         out->size - out->used >= UVSMTP__LINES_ROOM + flight->count * UVSMTP__COPY_BELOW &&
         out->capacity - out->count > flight->count;
}

/* "RSET", MAIL with its sender and size, and what stands before and behind the recipient. */
_Static_assert(UVSMTP__MAIL_AROUND + UVSMTP__SHORT_ADDRESS + UVSMTP__MAIL_BEHIND + 20 + 11 +
                       UVSMTP__SHORT_ADDRESS + 24 <=
                   UVSMTP__LINES_ROOM,
               "a usual flight has room");
_Static_assert(UVSMTP__MAIL_AROUND + UVSMTP__SHORT_ADDRESS <= 2 * UVSMTP__MAIL_BEHIND,
               "the beginning of MAIL is copied in two pieces at most");

/* Writes the size of MAIL where it is not that of the content, or takes back what stands there. */
static __attribute__((noinline)) char *put_size(const uvsmtp_protocol_t *p, char *at, uint64_t size)
{
  if (size == UVSMTP_SIZE_UNKNOWN || (p->capabilities->extensions & UVSMTP_EXT_SIZE) == 0)
    return at - UVSMTP__MAIL_SIZE_LEN;
  return at + uvsmtp__decimal(at, size);
}

/* Writes MAIL, and RSET before it, up to its end. */
UVSMTP__INLINE char *put_mail(const uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight, char *at,
                              uint64_t size, const number_t *number)
{
  const uvsmtp__buffer_t *mail = &p->talk->mail;
  const char *from = mail->base + (flight->reset ? 0 : UVSMTP__MAIL_RSET_LEN);
  size_t len = (size_t)(mail->base + mail->end - from);
  memcpy(at, from, UVSMTP__MAIL_BEHIND);
  if (len > UVSMTP__MAIL_BEHIND)
    memcpy(at + UVSMTP__MAIL_BEHIND, from + UVSMTP__MAIL_BEHIND, UVSMTP__MAIL_BEHIND);
  at += len;
  if (flight->needs->size != size || (p->capabilities->extensions & UVSMTP_EXT_SIZE) == 0)
    return put_size(p, at, flight->needs->size);
  put_eight(at, number->digits);
  return at + number->len;
}

/* Writes the last line; returns its end. */
UVSMTP__INLINE char *put_end(char *at, bool data, const number_t *size)
{
  if (data) {
    memcpy(at, "DATA\r\n", 6);
    return at + 6;
  }
  memcpy(at, "BDAT ", 5);
  put_eight(at + 5, size->digits);
  at += 5 + size->len;
  memcpy(at, " LAST\r\n", 8);
  return at + 7;
}

/* Where the lines of a flight begin, and the end of them all. */
typedef struct {
  char *start, *mail, *rcpt, *last, *end;
} places_t;

/* Queues the last command, with those ahead of it. */
UVSMTP__INLINE void hold_as_one(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight,
                                const places_t *at, uint64_t size, bool data)
{
  expectation_t *e = uvsmtp__queue_at(p, p->queue.count++);
  unsigned ahead = flight->reset ? 3 : 2;
  e->tag = flight->tag;
  e->recipient = flight->recipient_tag;
  e->answerable = p->issued;
  e->complete = data ? 0 : p->issued + size;
  e->replies = 0;
  e->command = data ? UVSMTP_COMMAND_DATA : UVSMTP_COMMAND_BDAT_LAST;
  e->flags = EXPECT_QUIET;
  e->ahead = (uint8_t)ahead;
  e->behind[0] = (uint16_t)(at->end - at->last);
  e->behind[1] = (uint16_t)(at->end - at->rcpt);
  e->behind[2] = (uint16_t)(at->end - at->start - UVSMTP__MAIL_RSET_LEN);
  p->queue.ahead += ahead;
}

/* Writes the lines of a flight. False, with nothing done, if an address is not as most are. */
UVSMTP__INLINE bool put_lines(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight, uint64_t size,
                              bool data, places_t *at)
{
  number_t number = number_of(size);
  size_t len = flight->lengths.recipient;
  if (number.len == 0 || !uvsmtp__mail_known(p, flight->envelope->sender, flight->lengths.sender))
    return false;
  at->start = uvsmtp__out_room(p);
  at->rcpt = put_mail(p, flight, at->start, size, &number) + 2;
  memcpy(at->rcpt - 2, "\r\nRCPT TO:<", 11);
  if (!uvsmtp__put_address(at->rcpt + 9, flight->envelope->recipients->address, len))
    return false;
  at->last = at->rcpt + 9 + len + 3;
  memcpy(at->last - 3, ">\r\n", 4);
  at->end = put_end(at->last, data, &number);
  return true;
}

/* Counts the lines as written, as a segment of their own or behind the last one. */
UVSMTP__INLINE void take_lines(uvsmtp_protocol_t *p, const places_t *at)
{
  output_t *out = &p->talk->out;
  uvsmtp_slice_t *last = out->segments + out->count;
  size_t len = (size_t)(at->end - at->start);
  if (out->used > 0 && last[-1].base + last[-1].len == at->start) {
    last[-1].len += len;
  } else {
    *last = (uvsmtp_slice_t){at->start, len};
    out->count++;
  }
  out->used += len;
  p->issued += len;
}

UVSMTP__INLINE bool fly(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight, bool data)
{
  uint64_t size;
  places_t at;
  if (!is_usual(p, flight, data) || !has_room(p, flight))
    return false;
  size = size_of(flight);
  if (!put_lines(p, flight, size, data, &at))
    return false;
  uvsmtp__out_begin(p);
  take_lines(p, &at);
  hold_as_one(p, flight, &at, size, data);
  p->in_chunks = p->binary = p->faulty = false;
  p->projected = data ? UVSMTP_STATE_SEND_DATA : UVSMTP_STATE_READY;
  if (flight->count == 1)
    uvsmtp__out_ref(p, flight->slices->base, flight->slices->len);
  else
    uvsmtp__chunk_content(p, flight->slices, flight->count);
  return true;
}

/* By a function each, so that neither has to ask again and again which it is. After so many
 * conditions the compiler would take it for something that hardly ever happens. */
#define HOT __attribute__((noinline, hot))
static HOT int fly_by_bdat(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  return fly(p, flight, false) ? 0 : uvsmtp__any_flight(p, flight);
}

static HOT int fly_by_data(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  return fly(p, flight, true) ? 0 : uvsmtp__any_flight(p, flight);
}

int uvsmtp_protocol_flight(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  return flight->data ? fly_by_data(p, flight) : fly_by_bdat(p, flight);
}
