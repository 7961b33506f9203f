#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "secure.h"

#include "../tls/pair.h"
#include "chance.h"

typedef struct road_s {
  side_t *from, *to;
  secure_take_fn take;
  void *ctx;
} road_t;

static struct {
  pair_t pair;
  bool open;
  bool busy; /* a row has begun and not ended */
  uint64_t seed;
  chance_t chance;
} secure;

static void demand(bool good, const char *what, int err)
{
  if (!good)
    fail_msg("%s: %s (UVSMTP_TEST_SEED=%llu)", what, uvsmtp_err_name(err),
             (unsigned long long)secure.seed);
}

void secure_begin(uint64_t seed)
{
  if (secure.busy)
    secure_close();
  if (!secure.open) {
    make_world(NULL);
    secure.open = true;
    open_good_pair(&secure.pair, NULL, NULL);
  }
  secure.busy = true;
  secure.seed = seed;
  secure.chance = chance_of(seed);
}

static void nothing_left(side_t *side)
{
  uvsmtp_slice_t slice;
  uvsmtp_tls_output(side->tls, &slice);
  demand(slice.len == 0, "ciphertext was not sent", 0);
  uvsmtp_tls_sent(side->tls, 0);
  demand(uvsmtp_tls_pending_input(side->tls) == 0, "ciphertext was not read", 0);
}

void secure_end(void)
{
  nothing_left(&secure.pair.client);
  nothing_left(&secure.pair.server);
  secure.busy = false;
}

void secure_close(void)
{
  if (!secure.open)
    return;
  close_pair(&secure.pair);
  free_world(NULL);
  memset(&secure, 0, sizeof(secure));
}

static void read_all(const road_t *road)
{
  char buf[2000];
  for (;;) {
    size_t len = 0;
    int err = uvsmtp_tls_read(road->to->tls, buf, chance_piece(&secure.chance, sizeof(buf)), &len);
    if (err == UVSMTP_PENDING)
      return;
    demand(err == 0 && len > 0, "tls_read", err);
    road->take(road->ctx, buf, len);
  }
}

/* Each piece of ciphertext lies in memory of exactly its size, which is gone after it was read. */
static void carry(const road_t *road)
{
  uvsmtp_slice_t slice;
  for (;;) {
    uvsmtp_tls_output(road->from->tls, &slice);
    if (slice.len == 0)
      return;
    size_t len = chance_piece(&secure.chance, slice.len);
    char *piece = malloc(len);
    assert_non_null(piece);
    memcpy(piece, slice.base, len);
    uvsmtp_tls_sent(road->from->tls, len);
    int err = uvsmtp_tls_feed(road->to->tls, piece, len);
    demand(err == 0, "tls_feed", err);
    read_all(road);
    free(piece);
  }
}

/* Some records go as soon as they are made, others wait for the next one. */
static void send_on(const road_t *road, const char *bytes, size_t len)
{
  size_t at = 0;
  while (at < len) {
    size_t taken = 0;
    uvsmtp_slice_t slice = {bytes + at, chance_piece(&secure.chance, len - at)};
    int err = uvsmtp_tls_write(road->from->tls, &slice, 1, &taken);
    demand(err == 0 || err == UVSMTP_PENDING, "tls_write", err);
    at += taken;
    if (err == UVSMTP_PENDING || chance_piece(&secure.chance, 2) == 1)
      carry(road);
  }
  carry(road);
}

void secure_to_client(const char *bytes, size_t len, secure_take_fn take, void *ctx)
{
  send_on(&(road_t){&secure.pair.server, &secure.pair.client, take, ctx}, bytes, len);
}

void secure_to_server(const char *bytes, size_t len, secure_take_fn take, void *ctx)
{
  send_on(&(road_t){&secure.pair.client, &secure.pair.server, take, ctx}, bytes, len);
}
