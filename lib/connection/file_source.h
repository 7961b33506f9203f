#ifndef UVSMTP_CONNECTION_FILE_SOURCE_H
#define UVSMTP_CONNECTION_FILE_SOURCE_H

#include "uvsmtp/connection.h"

/* How much is read at a time; two of these are held while a reading is open. */
#define UVSMTP__FILE_CHUNK ((size_t)64 * 1024)

/* uvsmtp_source_file and uvsmtp_source_fd with an allocator; NULL: malloc. */
int uvsmtp__source_file(uvsmtp_source_t *source, uv_loop_t *loop, const char *path,
                        const uvsmtp_mem_t *mem);
int uvsmtp__source_fd(uvsmtp_source_t *source, uv_loop_t *loop, uv_file fd,
                      const uvsmtp_mem_t *mem);

#endif
