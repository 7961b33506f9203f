#ifndef UVSMTP_TEST_FORKED_SINK_H
#define UVSMTP_TEST_FORKED_SINK_H

/* The fake server in a process of its own, which has descriptors of its own. */
#include <stdint.h>
#include <sys/types.h>

pid_t forked_sink_start(uint16_t *port);
void forked_sink_end(pid_t pid);

#endif
