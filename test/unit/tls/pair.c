#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pair.h"

world_t world;

int make_world(void **state)
{
  make_identity(&world.ca, &(spec_t){.subject = "CN=Test CA,O=Example", .is_ca = 1});
  make_identity(&world.other_ca, &(spec_t){.subject = "CN=Other CA", .is_ca = 1});
  make_identity(&world.server,
                &(spec_t){.names = "DNS:mail.example.org IP:192.0.2.1", .issuer = &world.ca});
  make_identity(&world.client, &(spec_t){.subject = "CN=alice", .issuer = &world.ca});
  return 0;
}

int free_world(void **state)
{
  free_identity(&world.ca);
  free_identity(&world.other_ca);
  free_identity(&world.server);
  free_identity(&world.client);
  return 0;
}

uvsmtp_tls_options_t client_options(void)
{
  uvsmtp_tls_options_t o = UVSMTP_TLS_OPTIONS_INIT;
  o.ca_pem = world.ca.cert;
  return o;
}

uvsmtp_tls_options_t server_options(void)
{
  uvsmtp_tls_options_t o = UVSMTP_TLS_OPTIONS_INIT;
  o.is_server = 1;
  o.cert_pem = world.server.cert;
  o.key_pem = world.server.key;
  return o;
}

static void open_side(side_t *side, const uvsmtp_tls_options_t *options, const char *name)
{
  char detail[256];
  int err = uvsmtp_tls_context_new(&side->context, options, detail, sizeof(detail));
  if (err != 0)
    fail_msg("%s: %s", uvsmtp_err_name(err), detail);
  assert_int_equal(uvsmtp_tls_new(&side->tls, side->context, name), 0);
  side->handshake = UVSMTP_PENDING;
}

void open_pair(pair_t *pair, const uvsmtp_tls_options_t *client, const uvsmtp_tls_options_t *server,
               const char *name)
{
  uvsmtp_tls_options_t c = client_options(), s = server_options();
  cut_t cut = pair->cut;
  memset(pair, 0, sizeof(*pair));
  pair->cut = cut;
  pair->seed = 1;
  open_side(&pair->client, client != NULL ? client : &c, name);
  open_side(&pair->server, server != NULL ? server : &s, NULL);
}

static void close_side(side_t *side)
{
  uvsmtp_tls_free(side->tls);
  uvsmtp_tls_context_free(side->context);
  free(side->got);
}

void close_pair(pair_t *pair)
{
  close_side(&pair->client);
  close_side(&pair->server);
}

void forget(side_t *side)
{
  side->got_len = 0;
}

static void keep(side_t *side, const char *bytes, size_t len)
{
  if (side->got_len + len > side->got_size) {
    side->got_size = (side->got_len + len) * 2;
    side->got = realloc(side->got, side->got_size);
    assert_non_null(side->got);
  }
  memcpy(side->got + side->got_len, bytes, len);
  side->got_len += len;
}

static void work(side_t *side)
{
  char buf[3000];
  size_t len;
  if (side->handshake == UVSMTP_PENDING)
    side->handshake = uvsmtp_tls_handshake(side->tls);
  if (side->handshake != 0)
    return;
  while ((side->read = uvsmtp_tls_read(side->tls, buf, sizeof(buf), &len)) == 0 && len > 0)
    keep(side, buf, len);
  side->ended = side->read == 0;
}

static size_t piece_len(pair_t *pair, size_t left)
{
  size_t n = left;
  if (pair->cut == BYTES)
    n = 1;
  if (pair->cut == RANDOM) {
    pair->seed = pair->seed * 1103515245u + 12345u;
    n = 1 + (pair->seed >> 16) % 700;
  }
  return n < left ? n : left;
}

/* Each piece lies in memory of exactly its size, which is gone after the work. */
static void deliver(pair_t *pair, side_t *to, const char *bytes, size_t len)
{
  while (len > 0) {
    size_t n = piece_len(pair, len);
    char *piece = malloc(n);
    assert_non_null(piece);
    memcpy(piece, bytes, n);
    uvsmtp_tls_feed(to->tls, piece, n);
    work(to);
    free(piece);
    bytes += n;
    len -= n;
  }
}

void move(pair_t *pair, side_t *from, side_t *to)
{
  for (;;) {
    uvsmtp_slice_t slice;
    char *copy;
    uvsmtp_tls_output(from->tls, &slice);
    if (slice.len == 0)
      return;
    copy = malloc(slice.len);
    assert_non_null(copy);
    memcpy(copy, slice.base, slice.len);
    uvsmtp_tls_sent(from->tls, slice.len);
    deliver(pair, to, copy, slice.len);
    free(copy);
  }
}

void shake(pair_t *pair)
{
  work(&pair->client);
  for (int turns = 0; turns < 10; turns++) {
    move(pair, &pair->client, &pair->server);
    move(pair, &pair->server, &pair->client);
  }
}

void open_good_pair(pair_t *pair, const uvsmtp_tls_options_t *client,
                    const uvsmtp_tls_options_t *server)
{
  open_pair(pair, client, server, "mail.example.org");
  shake(pair);
  if (pair->client.handshake != 0)
    fail_msg("client: %s", uvsmtp_tls_error_detail(pair->client.tls));
  if (pair->server.handshake != 0)
    fail_msg("server: %s", uvsmtp_tls_error_detail(pair->server.tls));
}

void send_all(pair_t *pair, side_t *from, side_t *to, const uvsmtp_slice_t *slices, size_t count)
{
  uvsmtp_slice_t left[16];
  size_t first = 0;
  assert_true(count <= 16);
  memcpy(left, slices, count * sizeof(*slices));
  while (first < count) {
    size_t taken;
    int err = uvsmtp_tls_write(from->tls, left + first, count - first, &taken);
    assert_int_equal(err, 0);
    while (first < count && taken >= left[first].len)
      taken -= left[first++].len;
    if (first < count) {
      left[first].base += taken;
      left[first].len -= taken;
    }
    move(pair, from, to);
  }
}
