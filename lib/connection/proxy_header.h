#ifndef UVSMTP_CONNECTION_PROXY_HEADER_H
#define UVSMTP_CONNECTION_PROXY_HEADER_H

/* What a proxy of ours would send to the server first (PROXY protocol versions 1 and 2). */
#include "uvsmtp/connection.h"

/* The longest line of version 1, with its end. */
#define UVSMTP__PROXY_HEADER_SIZE 108
/*
 * Writes the header of `version` for a connection from `source` to `destination`, and
 * returns its length. Without two IP addresses it says that nothing is known.
 */
size_t uvsmtp__proxy_header(uint8_t out[UVSMTP__PROXY_HEADER_SIZE], uvsmtp_proxy_header_t version,
                            const struct sockaddr *source, const struct sockaddr *destination);

#endif
