/*
 * A flight is what its commands are, one by one: the same octets, the same states, deadlines and
 * errors whatever the server says and when; only successes ahead of the last reply are no events.
 */
#include "chance.h"
#include "edge.h"
#include "session.h"

#include "protocol/machine.h"

#define KEYWORDS "250-PIPELINING\r\n250-CHUNKING\r\n250-DSN\r\n250 SIZE 5000"
#define LONG_LABEL "a-label-of-many-octets-that-goes-on-and-on-and-on-until-it-is-long"

static const uvsmtp_slice_t content = {"Hi\r\nHo\r\n", 8};
static const char *const addresses[] = {"b@y.example",
                                        "a.b_c-d@X.Example",
                                        "postmaster",
                                        "a b@x.example",
                                        "a@" LONG_LABEL ".example",
                                        "b+c@y.example",
                                        LONG_LABEL "@x.example",
                                        "a..b@x",
                                        "b@.y.example",
                                        "b@y..example",
                                        "b@y.example.",
                                        ".b@y.example",
                                        "b@@y.example",
                                        "@y.example",
                                        "b@",
                                        "b\r\nDATA@y.example",
                                        "b@y\xc3\xa9.example",
                                        "b@y/example",
                                        "b@[192.0.2.1]",
                                        "1234567890123456@x"};

/* Two sessions of which one flies. */
typedef struct {
  session_t flying, walking;
  char tags[4];
  bool quiet[64]; /* of the replies that are due: a success is no event */
  size_t due;
} pair_t;

static void pair_begin(pair_t *pair, const uvsmtp_protocol_options_t *options)
{
  *pair = (pair_t){.due = 0};
  session_ready(&pair->flying, options, KEYWORDS);
  session_ready(&pair->walking, options, KEYWORDS);
}

static void pair_end(pair_t *pair)
{
  session_free(&pair->flying);
  session_free(&pair->walking);
}

/* The commands of a flight, up to the first that fails. */
static int walk(uvsmtp_protocol_t *p, const uvsmtp_flight_t *flight)
{
  int err = flight->reset ? uvsmtp_protocol_reset(p, flight->tag) : 0;
  if (err == 0)
    err = uvsmtp_protocol_mail(p, flight->envelope, flight->needs, flight->tag);
  for (size_t i = 0; err == 0 && i < flight->envelope->recipient_count; i++)
    err = uvsmtp_protocol_recipient(p, &flight->envelope->recipients[i],
                                    (char *)flight->recipient_tag + i * flight->recipient_stride);
  if (err != 0)
    return err;
  return flight->data ? uvsmtp_protocol_start_data(p, flight->tag)
                      : uvsmtp_protocol_chunk(p, flight->slices, flight->count, true, flight->tag);
}

static void same(const pair_t *pair)
{
  const uvsmtp_protocol_t *a = pair->flying.protocol, *b = pair->walking.protocol;
  uvsmtp_last_reply_t last_a = uvsmtp_protocol_last_reply(a);
  uvsmtp_last_reply_t last_b = uvsmtp_protocol_last_reply(b);
  assert_int_equal(uvsmtp_protocol_state(a), uvsmtp_protocol_state(b));
  assert_int_equal(uvsmtp_protocol_projected_state(a), uvsmtp_protocol_projected_state(b));
  assert_int_equal(uvsmtp_protocol_outstanding(a), uvsmtp_protocol_outstanding(b));
  assert_int_equal(uvsmtp_protocol_needs_reset(a), uvsmtp_protocol_needs_reset(b));
  assert_int_equal(uvsmtp_protocol_is_closing(a), uvsmtp_protocol_is_closing(b));
  assert_int_equal(uvsmtp_protocol_deadline(a), uvsmtp_protocol_deadline(b));
  assert_int_equal(uvsmtp_protocol_issued(a), uvsmtp_protocol_issued(b));
  assert_string_equal(uvsmtp_protocol_error_text(a), uvsmtp_protocol_error_text(b));
  assert_string_equal(uvsmtp_protocol_fault(a), uvsmtp_protocol_fault(b));
  assert_int_equal(last_a.command, last_b.command);
  assert_int_equal(last_a.code, last_b.code);
  assert_int_equal(last_a.accepted, last_b.accepted);
  assert_memory_equal(last_a.enhanced, last_b.enhanced, sizeof(last_a.enhanced));
}

static void written(pair_t *pair)
{
  session_t *a = &pair->flying, *b = &pair->walking;
  session_write(a);
  session_write(b);
  assert_int_equal(a->out_len, b->out_len);
  if (a->out_len > 0)
    assert_memory_equal(a->out, b->out, a->out_len);
  a->out_len = b->out_len = 0;
}

static void what_flies_is_what_its_commands_say(void **state)
{
  static const uvsmtp_mail_needs_t needs[] = {
      {.size = 8}, {.size = UVSMTP_SIZE_UNKNOWN}, {.size = 5001}, {.size = 4711}};
  for (size_t round = 0; round < COUNT(addresses) * COUNT(addresses) * 2 * COUNT(needs); round++) {
    size_t from = round % COUNT(addresses), to = round / COUNT(addresses) % COUNT(addresses);
    uvsmtp_recipient_t recipients[2] = {{.address = addresses[to]}, {.address = "c@y.example"}};
    uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
    uvsmtp_flight_t flight = {.envelope = &envelope, .reset = true};
    pair_t pair;
    int err;
    pair_begin(&pair, NULL);
    flight.data = round / COUNT(addresses) / COUNT(addresses) % 2;
    flight.slices = &content;
    flight.count = !flight.data;
    envelope.sender = from > 0 ? addresses[from] : NULL;
    envelope.recipients = recipients;
    /* The second time the sender is known. */
    for (unsigned i = 0; i < 4; i++) {
      envelope.recipient_count = 1 + i / 2;
      flight.needs = &needs[i > 0 ? round / COUNT(addresses) / COUNT(addresses) / 2 : 0];
      recipients[0].notify = i == 3 ? UVSMTP_NOTIFY_NEVER : 0;
      uvsmtp_envelope_look(&envelope, &flight.lengths);
      err = uvsmtp_protocol_flight(pair.flying.protocol, &flight);
      assert_int_equal(err, walk(pair.walking.protocol, &flight));
      if (err != 0) {
        assert_int_equal(uvsmtp_protocol_output_len(pair.flying.protocol), 0);
        break;
      }
      same(&pair);
      written(&pair);
      if (flight.data)
        break;
    }
    pair_end(&pair);
  }
}

/* What makes a flight another one than most are, or one that cannot be. */
enum { TWO, EIGHTBIT, UTF8, BINARY, CONTENT_OF_DATA, TWO_PIECES, NOTHING, WAYS };

static void a_flight_that_is_not_as_most_are_is_what_its_commands_say(void **state)
{
  static const char *const offers[] = {"250-8BITMIME\r\n250-PIPELINING\r\n250 CHUNKING",
                                       "250-PIPELINING\r\n250-SMTPUTF8\r\n250 SIZE 5000",
                                       "250-CHUNKING\r\n250 SIZE 5000",
                                       "250-PIPELINING\r\n250-BINARYMIME\r\n250 CHUNKING"};
  for (size_t i = 0; i < COUNT(offers) * WAYS; i++) {
    size_t way = i % WAYS;
    uvsmtp_slice_t pieces[] = {content, content};
    uvsmtp_mail_needs_t usual = {.size = 8}, needs = {.size = way == TWO_PIECES ? 16 : 8};
    uvsmtp_recipient_t recipients[2] = {{.address = "b@y.example"}, {.address = "c@y.example"}};
    uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
    uvsmtp_flight_t flight = {.envelope = &envelope, .needs = &usual, .slices = pieces, .count = 1};
    pair_t pair = {.due = 0};
    int err;
    session_ready(&pair.flying, NULL, offers[i / WAYS]);
    session_ready(&pair.walking, NULL, offers[i / WAYS]);
    envelope.sender = "a@x.example";
    envelope.recipients = recipients;
    envelope.recipient_count = 1;
    assert_int_equal(uvsmtp_envelope_look(&envelope, &flight.lengths), 0);
    err = uvsmtp_protocol_flight(pair.flying.protocol, &flight);
    assert_int_equal(err, i / WAYS == 1 || i / WAYS == 2 ? UVSMTP_EEXTENSION : 0);
    if (err != 0) { /* then the sender is made known so */
      uvsmtp_protocol_mail(pair.flying.protocol, &envelope, &usual, NULL);
      uvsmtp_protocol_reset(pair.flying.protocol, NULL);
      uvsmtp_protocol_mail(pair.walking.protocol, &envelope, &usual, NULL);
      uvsmtp_protocol_reset(pair.walking.protocol, NULL);
    } else {
      assert_int_equal(walk(pair.walking.protocol, &flight), 0);
    }
    written(&pair);
    envelope.recipient_count += way == TWO; /* though it was looked at before */
    needs.eightbit = way == EIGHTBIT;
    needs.utf8 = way == UTF8;
    needs.binary = way == BINARY;
    flight.needs = &needs;
    flight.data = i / WAYS == 1 || way == CONTENT_OF_DATA;
    flight.count = way == CONTENT_OF_DATA ? 1 : flight.data ? 0 : way == TWO_PIECES ? 2 : 1;
    err = uvsmtp_protocol_flight(pair.flying.protocol, &flight);
    if (i / WAYS == 2)
      assert_int_equal(err, way == CONTENT_OF_DATA ? UVSMTP_EINVAL : UVSMTP_EEXTENSION);
    else if (flight.data && (way == CONTENT_OF_DATA || way == BINARY))
      assert_int_equal(err, UVSMTP_EINVAL);
    else
      assert_int_equal(err, walk(pair.walking.protocol, &flight));
    if (err == 0)
      written(&pair);
    else
      assert_int_equal(uvsmtp_protocol_output_len(pair.flying.protocol), 0);
    pair_end(&pair);
  }
}

static void addresses_of_every_length_fly(void **state)
{
  for (size_t i = 0; i < 70 * 70; i++) {
    static const uvsmtp_mail_needs_t needs = {.size = 8};
    char texts[2][72];
    uvsmtp_recipient_t recipient = {.address = texts[0]};
    uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
    uvsmtp_flight_t flight = {.envelope = &envelope,
                              .needs = &needs,
                              .slices = &content,
                              .count = 1,
                              .reset = i % 3 != 0};
    pair_t pair;
    pair_begin(&pair, NULL);
    for (size_t k = 0; k < 2; k++)
      snprintf(texts[k], sizeof(texts[k]), "%.*s@x", (int)(1 + (k == 0 ? i % 70 : i / 70) % 68),
               LONG_LABEL "-and-long");
    envelope.sender = texts[1];
    envelope.recipients = &recipient;
    envelope.recipient_count = 1;
    assert_int_equal(uvsmtp_envelope_look(&envelope, &flight.lengths), 0);
    for (size_t k = 0; k < 3; k++) {
      assert_int_equal(uvsmtp_protocol_flight(pair.flying.protocol, &flight), 0);
      assert_int_equal(walk(pair.walking.protocol, &flight), 0);
    }
    written(&pair);
    pair_end(&pair);
  }
}

static void flights_find_room_or_wait(void **state)
{
  static const char octets[300];
  for (size_t i = 0; i < 8; i++) {
    size_t count = 1 + i / 2, len = i % 2 == 0 ? 4 : sizeof(octets); /* copied, or not */
    uvsmtp_slice_t piece = {octets, len}, pieces[4] = {piece, piece, piece, piece};
    uvsmtp_mail_needs_t needs = {.size = len * count};
    uvsmtp_recipient_t recipient = {.address = "recipient@y.example"};
    uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
    uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
    uvsmtp_flight_t flight = {
        .envelope = &envelope, .needs = &needs, .slices = pieces, .count = count, .reset = true};
    size_t flights = 0;
    session_t s;
    int err;
    options.max_output = 4096;
    envelope.sender = "sender@x.example";
    envelope.recipients = &recipient;
    envelope.recipient_count = 1;
    session_ready(&s, &options, KEYWORDS);
    assert_int_equal(uvsmtp_envelope_look(&envelope, &flight.lengths), 0);
    while ((err = uvsmtp_protocol_flight(s.protocol, &flight)) == 0) {
      const output_t *out = &s.protocol->talk->out;
      assert_true(out->used <= out->size && out->count <= out->capacity);
      assert_true(uvsmtp_protocol_outstanding(s.protocol) <= s.protocol->queue.limit);
      flights++;
    }
    assert_int_equal(err, UVSMTP_EQUEUEFULL);
    assert_in_range(flights, 20, 60);
    session_free(&s);
  }
}

/* An envelope must not change, and yet if it does, no line is added. */
static void what_changed_since_it_was_looked_at_adds_no_line(void **state)
{
  for (size_t len = 8; len <= 64; len++) {
    for (unsigned octet = 0; octet < 256; octet++) {
      uvsmtp_mail_needs_t needs = {.size = 8};
      char sender[] = "sender@x.example", address[65], *changed;
      uvsmtp_recipient_t recipient = {.address = address};
      uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
      uvsmtp_flight_t flight = {
          .envelope = &envelope, .needs = &needs, .slices = &content, .count = 1};
      session_t s;
      int err;
      envelope.sender = sender;
      envelope.recipients = &recipient;
      envelope.recipient_count = 1;
      memset(address, 'a', len);
      memcpy(address + len - 3, "@b", 3);
      address[len - 1] = 'c';
      address[len] = '\0';
      session_ready(&s, NULL, KEYWORDS);
      assert_int_equal(uvsmtp_envelope_look(&envelope, &flight.lengths), 0);
      assert_int_equal(uvsmtp_protocol_flight(s.protocol, &flight), 0);
      session_write(&s);
      changed = octet % 2 == 0 ? &address[octet % (len - 3)] : &sender[octet % 6];
      s.out_len = 0;
      *changed = (char)octet;
      err = uvsmtp_protocol_flight(s.protocol, &flight);
      session_write(&s);
      if (octet == '\r' || octet == '\n')
        assert_int_equal(err, UVSMTP_EINJECTION);
      if (err != 0)
        assert_int_equal(s.out_len, 0);
      else
        assert_true(memchr(s.out, (int)octet, s.out_len) != NULL || octet == 0);
      session_free(&s);
    }
  }
}

/* ---- sizes ---- */

static void no_octet_behind_an_address_is_looked_at(void **state)
{
  edge_t edges[2] = {edge_new(), edge_new()};
  for (size_t len = 3; len <= 70; len++) {
    uvsmtp_mail_needs_t needs = {.size = 8};
    uvsmtp_recipient_t recipient = {0};
    uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
    uvsmtp_flight_t flight = {.envelope = &envelope,
                              .needs = &needs,
                              .slices = &content,
                              .count = 1,
                              .recipient_tag = &recipient};
    char address[71];
    pair_t pair;
    memset(address, 'a', len);
    address[len - 2] = '@';
    address[len] = '\0';
    envelope.sender = edge_put(&edges[0], address, len + 1);
    envelope.recipients = &recipient;
    envelope.recipient_count = 1;
    recipient.address = edge_put(&edges[1], address, len + 1);
    pair_begin(&pair, NULL);
    assert_int_equal(uvsmtp_envelope_look(&envelope, &flight.lengths), 0);
    for (unsigned i = 0; i < 3; i++) { /* the sender is known, and then there is room, too */
      assert_int_equal(uvsmtp_protocol_flight(pair.flying.protocol, &flight), 0);
      assert_int_equal(walk(pair.walking.protocol, &flight), 0);
      written(&pair);
      flight.reset = true;
    }
    pair_end(&pair);
  }
  edge_free(&edges[0]);
  edge_free(&edges[1]);
}

static void sizes_are_written_whatever_they_are(void **state)
{
  static const char few[256];
  static const uint64_t sizes[] = {
      0,    1,     9,     10,    99,       100,      999,       1000,      1001,          4096,
      9999, 10000, 12345, 99999, 12345678, 99999999, 100000000, 123456789, UINT64_MAX / 2};
  for (size_t i = 0; i < COUNT(sizes) * 2; i++) {
    uvsmtp_slice_t slice = {content.base, (size_t)sizes[i / 2]}; /* is not read if it is long */
    uvsmtp_mail_needs_t needs = {.size = 8}, other = {.size = sizes[i / 2] + i % 2};
    uvsmtp_recipient_t recipient = {.address = "recipient@y.example"};
    uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
    uvsmtp_flight_t flight = {
        .envelope = &envelope, .needs = &needs, .slices = &content, .count = 1};
    uvsmtp_slice_t out;
    char want[256];
    session_t s;
    if (sizes[i / 2] > content.len && sizes[i / 2] < 256)
      slice.base = few;
    envelope.sender = "sender@x.example";
    envelope.recipients = &recipient;
    envelope.recipient_count = 1;
    session_ready(&s, NULL, "250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE");
    assert_int_equal(uvsmtp_envelope_look(&envelope, &flight.lengths), 0);
    assert_int_equal(uvsmtp_protocol_flight(s.protocol, &flight), 0);
    session_write(&s);
    flight.needs = &other;
    flight.slices = &slice;
    assert_int_equal(uvsmtp_protocol_flight(s.protocol, &flight), 0);
    snprintf(want, sizeof(want),
             "MAIL FROM:<sender@x.example> SIZE=%llu\r\nRCPT TO:<recipient@y.example>\r\n"
             "BDAT %llu LAST\r\n",
             (unsigned long long)other.size, (unsigned long long)slice.len);
    assert_true(uvsmtp_protocol_output(s.protocol, &out, 1) == 1 && out.len >= strlen(want));
    assert_memory_equal(out.base, want, strlen(want));
    session_free(&s);
  }
}

/* ---- replies ---- */

/* A command that both refuse, with words that hold until the next one. */
static void fault(pair_t *pair)
{
  static const uvsmtp_mail_needs_t needs = {.size = 5001};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  assert_int_not_equal(uvsmtp_protocol_mail(pair->flying.protocol, &envelope, &needs, NULL), 0);
  assert_int_not_equal(uvsmtp_protocol_mail(pair->walking.protocol, &envelope, &needs, NULL), 0);
}

static void issue(pair_t *pair, chance_t *chance)
{
  static const uvsmtp_mail_needs_t needs = {.size = 8};
  uvsmtp_recipient_t recipients[2] = {{.address = "b@y.example"}, {.address = "c@y.example"}};
  uvsmtp_envelope_t envelope = UVSMTP_ENVELOPE_INIT;
  uvsmtp_flight_t flight = {.envelope = &envelope,
                            .needs = &needs,
                            .slices = &content,
                            .count = 1,
                            .reset = true,
                            .tag = &pair->tags[0],
                            .recipient_tag = &pair->tags[1],
                            .recipient_stride = 1};
  size_t ahead;
  envelope.sender = "a@x.example";
  envelope.recipients = recipients;
  envelope.recipient_count = chance_below(chance, 4) == 0 ? 2 : 1;
  flight.data = chance_below(chance, 3) == 0;
  flight.count = !flight.data;
  flight.reset = uvsmtp_protocol_projected_state(pair->flying.protocol) > UVSMTP_STATE_READY ||
                 chance_below(chance, 2) == 0;
  ahead = flight.reset + 1 + envelope.recipient_count;
  assert_int_equal(uvsmtp_envelope_look(&envelope, &flight.lengths), 0);
  if (pair->due + ahead + 1 >= COUNT(pair->quiet))
    return;
  if (chance_below(chance, 8) == 0)
    fault(pair);
  if (uvsmtp_protocol_flight(pair->flying.protocol, &flight) != 0) {
    fault(pair); /* the words of both are the same again */
    return;
  }
  assert_int_equal(walk(pair->walking.protocol, &flight), 0);
  while (ahead-- > 0)
    pair->quiet[pair->due++] = true;
  pair->quiet[pair->due++] = false;
}

/* The same number of octets leaves both. */
static void leave(pair_t *pair, size_t most)
{
  session_t *sides[2] = {&pair->flying, &pair->walking};
  size_t len = uvsmtp_protocol_output_len(sides[0]->protocol);
  assert_int_equal(len, uvsmtp_protocol_output_len(sides[1]->protocol));
  for (size_t i = 0; i < 2; i++)
    uvsmtp_protocol_sent(sides[i]->protocol, most < len ? most : len, sides[i]->now);
}

/* What both have noted of the dialogue. */
static void same_trace(pair_t *pair)
{
  uvsmtp_trace_t a, b;
  uvsmtp_slice_t of_a, of_b;
  while (uvsmtp_protocol_next_trace(pair->flying.protocol, &a, &of_a)) {
    assert_true(uvsmtp_protocol_next_trace(pair->walking.protocol, &b, &of_b));
    assert_int_equal(a, b);
    assert_int_equal(of_a.len, of_b.len);
    assert_memory_equal(of_a.base, of_b.base, of_a.len);
  }
  assert_false(uvsmtp_protocol_next_trace(pair->walking.protocol, &b, &of_b));
}

/* Takes the events of one who walks, without those that one who flies has not. */
static size_t events_of(pair_t *pair, session_t *s, uvsmtp_event_t *events)
{
  size_t n = 0;
  uvsmtp_event_t event;
  while (uvsmtp_protocol_next_event(s->protocol, &event)) {
    bool success = event.type == UVSMTP_EVENT_REPLY && UVSMTP_REPLY_CLASS(&event.reply) == 2;
    if (s == &pair->walking && event.type == UVSMTP_EVENT_REPLY) {
      bool quiet = pair->quiet[0];
      size_t told = quiet && !success ? 1 : 0;
      memmove(pair->quiet, pair->quiet + 1, (--pair->due) * sizeof(bool));
      /* From a refusal on all of its flight is told, and after 421 everything. */
      for (size_t i = 0; told && i < pair->due && pair->quiet[i]; i++)
        pair->quiet[i] = false;
      if (event.reply.code == 421)
        memset(pair->quiet, 0, sizeof(pair->quiet));
      if (quiet && success)
        continue;
    }
    assert_true(n < 64);
    events[n++] = event;
  }
  return n;
}

static void say(pair_t *pair, const char *bytes, size_t len)
{
  session_t *sides[2] = {&pair->flying, &pair->walking};
  static uvsmtp_event_t events[2][64];
  size_t counts[2];
  for (size_t i = 0; i < 2; i++) {
    sides[i]->now += 7;
    uvsmtp_protocol_feed_bytes(sides[i]->protocol, bytes, len, sides[i]->now);
    counts[i] = events_of(pair, sides[i], events[i]);
  }
  assert_int_equal(counts[0], counts[1]);
  for (size_t i = 0; i < counts[0]; i++) {
    const uvsmtp_event_t *a = &events[0][i], *b = &events[1][i];
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->command, b->command);
    assert_ptr_equal(a->tag, b->tag);
    assert_int_equal(a->reply.code, b->reply.code);
    assert_memory_equal(a->reply.enhanced, b->reply.enhanced, sizeof(a->reply.enhanced));
    assert_int_equal(a->reply.lines, b->reply.lines);
    assert_int_equal(a->reply.raw.len, b->reply.raw.len);
    assert_ptr_equal(a->challenge.base, b->challenge.base);
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->last, b->last);
    assert_int_equal(a->err, b->err);
  }
  same(pair);
  same_trace(pair);
}

/* What the server says to a command, mostly yes; the last of it twice. */
static const char *answer_to(const expectation_t *e, chance_t *chance, bool twice)
{
  static const char *const usual[] = {
      "250 2.1.0 Ok\r\n",
      "250 ok\r\n",
      "250 2.0.0 Ok: queued as 4242424242\r\n",
      "250 2.1.5 Ok\r\n",
      "250 sixty-three octets and the end of the line is all there is\n",
      "250 2.0.0 more than sixty-four octets, as some server says it\r\n",
      "250-2.0.0 two\r\n250 2.0.0 lines\r\n",
      "250\r\n",
      "250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n"};
  static const char *const odd[] = {"550 5.1.1 no\r\n", "451 later\r\n",      "354 go\r\n",
                                    "421 bye\r\n",      "452 4.5.3 many\r\n", "what\r\n"};
  if (e != NULL && e->command == UVSMTP_COMMAND_DATA && chance_below(chance, 8) != 0)
    return "354 go\r\n";
  if (chance_below(chance, 16) == 0)
    return odd[chance_below(chance, COUNT(odd))];
  return usual[chance_below(chance, chance_below(chance, 2) == 0 ? 4 : COUNT(usual) - !twice)];
}

/* Perhaps in two pieces, cut anywhere or behind a line. */
static void say_cut(pair_t *pair, chance_t *chance, const char *text, size_t len)
{
  size_t cut = chance_below(chance, 3) == 0 ? chance_below(chance, len) : 0;
  if (cut > 0 && chance_below(chance, 2) == 0)
    while (text[cut - 1] != '\n')
      cut++;
  if (cut > 0)
    say(pair, text, cut);
  say(pair, text + cut, len - cut);
}

static void answer(pair_t *pair, chance_t *chance)
{
  const expectation_t *front = uvsmtp__queue_front(pair->walking.protocol);
  const char *text = answer_to(front, chance, true);
  /* What answers nothing ends the session, so it is rare. */
  if ((front == NULL || uvsmtp_protocol_total_sent(pair->walking.protocol) < front->answerable) &&
      chance_below(chance, 24) != 0)
    return;
  say_cut(pair, chance, text, strlen(text));
}

/* All that can be answered, at once. */
static void answer_all(pair_t *pair, chance_t *chance)
{
  uvsmtp_protocol_t *p = pair->walking.protocol;
  uint64_t sent = uvsmtp_protocol_total_sent(p);
  char text[64 * 80];
  size_t len = 0;
  for (uint32_t i = 0; i < p->queue.count; i++) {
    const expectation_t *e = uvsmtp__queue_at(p, i);
    const char *one = answer_to(e, chance, false);
    if (sent < e->answerable || (sent < e->complete && chance_below(chance, 24) != 0))
      break;
    assert_true(len + strlen(one) < sizeof(text));
    memcpy(text + len, one, strlen(one));
    len += strlen(one);
  }
  if (len > 0)
    say_cut(pair, chance, text, len);
}

static void go_on(pair_t *pair, chance_t *chance)
{
  session_t *sides[2] = {&pair->flying, &pair->walking};
  switch (chance_below(chance, 5)) {
  case 0:
    issue(pair, chance);
    break;
  case 1:
    leave(pair, chance_below(chance, 2) == 0 ? SIZE_MAX : chance_below(chance, 90));
    break;
  case 2:
    answer_all(pair, chance);
    break;
  default:
    answer(pair, chance);
  }
  if (uvsmtp_protocol_state(sides[0]->protocol) == UVSMTP_STATE_SEND_DATA) {
    for (size_t i = 0; i < 2; i++)
      assert_int_equal(uvsmtp_protocol_clean_data(sides[i]->protocol, &content, 1, &pair->tags[0]),
                       0);
    pair->quiet[pair->due++] = false;
  }
  same(pair);
}

static void what_is_said_to_a_flight_means_what_it_means_to_its_commands(void **state)
{
  chance_t chance = chance_of(chance_seed("flight", 1));
  for (unsigned round = 0; round < 5000; round++) {
    uvsmtp_protocol_options_t options = UVSMTP_PROTOCOL_OPTIONS_INIT;
    pair_t pair;
    options.trace = round % 2;
    options.max_outstanding = round % 3 == 0 ? 9 : 0;
    options.max_reply_line = round % 5 == 0 ? 40 : 0;
    pair_begin(&pair, &options);
    for (unsigned i = 0; i < 100 && !uvsmtp_protocol_is_closing(pair.walking.protocol); i++)
      go_on(&pair, &chance);
    pair_end(&pair);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_flies_is_what_its_commands_say),
      cmocka_unit_test(a_flight_that_is_not_as_most_are_is_what_its_commands_say),
      cmocka_unit_test(addresses_of_every_length_fly),
      cmocka_unit_test(flights_find_room_or_wait),
      cmocka_unit_test(what_changed_since_it_was_looked_at_adds_no_line),
      cmocka_unit_test(no_octet_behind_an_address_is_looked_at),
      cmocka_unit_test(sizes_are_written_whatever_they_are),
      cmocka_unit_test(what_is_said_to_a_flight_means_what_it_means_to_its_commands),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
