#ifndef TEST_UNIT_CONNECTION_FICKLE_H
#define TEST_UNIT_CONNECTION_FICKLE_H

/*
 * A server at the other end of a stream, whose answers are a matter of chance: of a seed and of
 * what it is asked, so that whoever asks the same gets the same, in the same pieces.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { FICKLE_PIPELINING = 1, FICKLE_CHUNKING = 2, FICKLE_8BITMIME = 4, FICKLE_PRDR = 8 };

typedef struct fickle_s fickle_t;
struct fickle_s {
  /* To be set. */
  uint64_t seed;
  unsigned offers;  /* FICKLE_… */
  unsigned refuses; /* one of so many commands about an address or a content; 0: none */
  unsigned errs;    /* one of so many commands gets an answer that is out of place; 0: none */
  bool lmtp;
  uint64_t cut_in, cut_out; /* it hangs up when so many octets were read, or said; 0: never */
  void *data;
  void (*on_command)(fickle_t *server);
  void (*on_stored)(fickle_t *server, const char *recipient); /* it is about to say so */
  /* To be read. */
  char *in; /* all that was read */
  size_t in_len;
  unsigned commands;
  bool erred;
  /* private */
  uv_pipe_t pipe;
  uv_idle_t turn;
  size_t at, room; /* in `in` */
  char *out;
  size_t out_len, out_room, left; /* octets of `out` that have left */
  uint64_t turns;
  char sender[96], recipients[8][96];
  size_t recipient_count;
  bool in_mail, in_data, open;
};

/* `fd` is non-blocking, and the server's from now on. */
void fickle_start(fickle_t *server, uv_loop_t *loop, int fd);
/* Perhaps it has already. */
void fickle_hang_up(fickle_t *server);
/* When the loop has run. */
void fickle_free(fickle_t *server);

#endif
