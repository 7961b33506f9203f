#ifndef UVSMTP_CONNECTION_EHLO_NAME_H
#define UVSMTP_CONNECTION_EHLO_NAME_H

#include <uv.h>

/* Room for any name that uvsmtp__ehlo_name writes, and its NUL. */
#define UVSMTP__EHLO_NAME_SIZE 256

/*
 * Writes what this host calls itself in EHLO (RFC 5321 section 4.1.1.1): its host name if that is
 * fully qualified, else the local address of `stream` as a literal, else "[127.0.0.1]". `stream`
 * may be NULL or a pipe. 0, or UVSMTP_ETOOLONG if it does not fit; `out` is "" then.
 */
int uvsmtp__ehlo_name(char *out, size_t size, const uv_stream_t *stream);

/* The same from a host name (may be NULL) and a local address (may be NULL). */
int uvsmtp__ehlo_name_from(char *out, size_t size, const char *hostname,
                           const struct sockaddr *address);

/*
 * May `domain` stand in EHLO? 0 for a domain (letters, digits and hyphens, at most 63 a label and
 * 255 in all) or an address literal; UVSMTP_EINJECTION for CR or LF; else UVSMTP_EINVAL.
 */
int uvsmtp__ehlo_check(const char *domain);

#endif
