#ifndef UVSMTP_CONNECTION_URL_H
#define UVSMTP_CONNECTION_URL_H

#include "uvsmtp/connection.h"

/* uvsmtp_url_parse and uvsmtp_url_clear with an allocator; NULL: malloc. */
int uvsmtp__url_parse(uvsmtp_url_t *url, const char *text, const uvsmtp_mem_t *mem, char *detail,
                      size_t detail_size);
void uvsmtp__url_clear(uvsmtp_url_t *url, const uvsmtp_mem_t *mem);

#endif
