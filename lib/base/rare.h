#ifndef UVSMTP_BASE_RARE_H
#define UVSMTP_BASE_RARE_H

/* For what is rare, so that it is no burden on what happens with each message. */
#define UVSMTP__RARE __attribute__((noinline, cold))

#endif
