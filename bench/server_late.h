#ifndef UVSMTP_BENCH_SERVER_LATE_H
#define UVSMTP_BENCH_SERVER_LATE_H

/* What the server says, at once or after a while, as if it were far away. */
#include <uv.h>

/* From now on, so many ms pass before anything leaves; 0: none. */
void server_late_begin(uv_loop_t *loop, uint64_t rtt_ms);
void server_late_send(uv_tcp_t *tcp, char *bytes, size_t len);
/* After all that was sent; once, and nothing is sent behind it. */
void server_late_close(uv_tcp_t *tcp, uv_close_cb cb);

#endif
