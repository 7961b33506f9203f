#ifndef TEST_TLS_PAIR_H
#define TEST_TLS_PAIR_H

/* A client engine and a server engine that face each other in memory. */
#include <stddef.h>

#include "certs.h"
#include "uvsmtp/tls.h"

/* How ciphertext is cut on its way. */
typedef enum cut_e { WHOLE, BYTES, RANDOM } cut_t;

/* What one side has received and become. */
typedef struct side_s {
  uvsmtp_tls_context_t *context;
  uvsmtp_tls_t *tls;
  int handshake; /* what it returned last */
  int read;      /* likewise */
  int ended;     /* read has seen the close_notify */
  char *got;
  size_t got_len, got_size;
} side_t;

typedef struct pair_s {
  side_t client, server;
  cut_t cut;
  unsigned seed;
} pair_t;

/* The certificates of most tests: a CA and what it has issued for mail.example.org. */
typedef struct world_s {
  identity_t ca, other_ca, server, client;
} world_t;

extern world_t world;
int make_world(void **state);
int free_world(void **state);

/* Options that work: a client that trusts world.ca, a server that is world.server. */
uvsmtp_tls_options_t client_options(void);
uvsmtp_tls_options_t server_options(void);
/* NULL options: those above. */
void open_pair(pair_t *pair, const uvsmtp_tls_options_t *client, const uvsmtp_tls_options_t *server,
               const char *name);
void close_pair(pair_t *pair);

/* Moves all output of `from` to `to`, cut, and lets `to` work on each piece. */
void move(pair_t *pair, side_t *from, side_t *to);
/* Runs both handshakes as far as they get. */
void shake(pair_t *pair);
/* Opens a pair and demands that the handshake succeeds. */
void open_good_pair(pair_t *pair, const uvsmtp_tls_options_t *client,
                    const uvsmtp_tls_options_t *server);
/* Writes everything and moves it, as often as it takes. */
void send_all(pair_t *pair, side_t *from, side_t *to, const uvsmtp_slice_t *slices, size_t count);
void forget(side_t *side);

#endif
