#ifndef UVSMTP_MESSAGE_ADDRESS_H
#define UVSMTP_MESSAGE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "uvsmtp/address.h"

/* The pieces of an address, shared by the reader of envelopes and that of header fields. A "fault"
 * is a phrase that says what is wrong, NULL where nothing is. */

/* RFC 5321 Domain or address-literal, U-labels included (RFC 6531). */
const char *uvsmtp__domain_fault(const char *domain, size_t len);
/* What a local part stands for, quotes and backslashes removed. */
const char *uvsmtp__local_fault(const char *content, size_t len);
/* Whether `s` is atoms joined by dots: needs no quotes. */
bool uvsmtp__is_dot_atom(const char *s, size_t len);
/* A character of RFC 5322 atext, or part of one above ASCII (RFC 6532). */
bool uvsmtp__is_atext(char c);
/* A control character: below the blank, or DEL. */
static inline bool uvsmtp__is_control(char c)
{
  return (unsigned char)c < ' ' || c == 127;
}

/* Writes a quoted string, at most 2 * len + 2 bytes; returns how many. */
size_t uvsmtp__quote(char *out, const char *content, size_t len);
/* Joins checked pieces. 0, or UVSMTP_EADDRESS with the reason in `*fault`. */
int uvsmtp__address_join(char out[UVSMTP_ADDRESS_SIZE], const char *local, size_t local_len,
                         const char *domain, size_t domain_len, const char **fault);
/* The order of addresses in which equal ones (uvsmtp_address_equal) compare as 0. */
int uvsmtp__address_compare(const char *a, const char *b);

#endif
