#include "message/signer.h"

/*
 * A signed message as a source. A reading goes through these phases:
 *
 *   opening    the given source is opened
 *   hashing    it is read to its end; its header is kept, its body hashed, and all of it held if it
 *              cannot be read again
 *   signing    each signer makes its field, perhaps on another thread
 *   reopening  the given source is opened once more, unless it is held
 *   sending    the fields, then the source, or what was held
 *
 * All but the last happen while the source is being opened, which waits where it has to: so what
 * cannot be signed fails before anything is said to a server, and what the message is made of is
 * known. The fields are kept for the next reading, which begins with reopening.
 */
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"
#include "message/canon.h"
#include "message/source.h"

#define MAX_HEADER (1024 * 1024)
#define MAX_HELD (32 * 1024 * 1024)
#define MAX_FIELDS (256 * 1024)
/* Bytes hashed in one go before others get their turn: a few milliseconds. */
#define TURN (1024 * 1024)

typedef enum { OPENING, HASHING, SIGNING, REOPENING, SENDING } phase_t;

struct uvsmtp_signing_s {
  uvsmtp_mem_t mem;
  uvsmtp_source_t *given;
  uvsmtp_dkim_t **signers;
  size_t count;
  unsigned flags;

  uvsmtp_source_t *self; /* of the reading that goes on */
  unsigned server;       /* what the server takes, and */
  unsigned target;       /* what of it is made use of */
  phase_t phase;
  bool asleep;        /* open or next said PENDING, and the reader waits for its wake */
  bool given_open;    /* the given source has to be closed */
  bool given_pending; /* it said PENDING */

  /* hashing */
  uvsmtp__header_end_t end;
  bool header_done, hold;
  uvsmtp__buffer_t header, held;
  uvsmtp__body_hash_t hashes[2]; /* simple, relaxed */
  uint8_t digests[2][32];
  unsigned given_content;     /* what the given source says of itself */
  unsigned found;             /* what was seen: bits of UVSMTP_CONTENT_… */
  bool bare, cr, at_line_end; /* line ends that are not CRLF; the last byte was CR; or LF */
  uint64_t length;            /* of the given source */
  uvsmtp_slice_t rest;        /* of its piece, for the next turn */
  size_t turn;                /* bytes hashed in this turn */

  /* signing */
  uvsmtp__job_t **jobs; /* one a signer, and one for pauses */
  bool signed_, held_whole;
  unsigned signed_server;
  uvsmtp__buffer_t fields;
  uvsmtp__buffer_t *unsigned_fields; /* up to b=, one a signer */

  /* sending */
  bool fields_given, held_given;
  uint64_t given_bytes;
  char detail[UVSMTP__DETAIL_SIZE];
};

int uvsmtp_signing_new(uvsmtp_signing_t **out, const uvsmtp_signing_options_t *options)
{
  uvsmtp_signing_options_t o;
  uvsmtp_signing_t *s;
  int err = uvsmtp__options_copy(&o, sizeof(o), options);
  *out = NULL;
  if (err != 0)
    return err;
  if (o.source == NULL || o.signers == NULL || o.signer_count == 0)
    return UVSMTP_EINVAL;
  if ((s = uvsmtp__calloc(o.mem, 1, sizeof(*s))) == NULL)
    return UVSMTP_ENOMEM;
  s->mem = *uvsmtp__mem(o.mem);
  s->given = o.source;
  s->count = o.signer_count;
  s->flags = o.flags;
  uvsmtp__buffer_init(&s->header, &s->mem,
                      o.max_header_bytes != 0 ? o.max_header_bytes : MAX_HEADER);
  uvsmtp__buffer_init(&s->held, &s->mem, o.max_held_bytes != 0 ? o.max_held_bytes : MAX_HELD);
  uvsmtp__buffer_init(&s->fields, &s->mem, MAX_FIELDS);
  s->signers = uvsmtp__calloc(&s->mem, s->count, sizeof(*s->signers));
  s->jobs = uvsmtp__calloc(&s->mem, s->count + 1, sizeof(*s->jobs));
  s->unsigned_fields = uvsmtp__calloc(&s->mem, s->count, sizeof(*s->unsigned_fields));
  if (s->signers == NULL || s->jobs == NULL || s->unsigned_fields == NULL) {
    uvsmtp_signing_free(s);
    return UVSMTP_ENOMEM;
  }
  memcpy(s->signers, o.signers, s->count * sizeof(*s->signers));
  for (size_t i = 0; i < s->count; i++)
    uvsmtp__buffer_init(&s->unsigned_fields[i], &s->mem, MAX_FIELDS);
  *out = s;
  return 0;
}

static void close_given(uvsmtp_signing_t *s)
{
  if (s->given_open) {
    s->given->wake = NULL;
    s->given->ops->close(s->given);
  }
  s->given_open = s->given_pending = false;
}

/* Ends a reading, wherever it stands. */
static void stop(uvsmtp_signing_t *s)
{
  close_given(s);
  for (size_t i = 0; s->jobs != NULL && i <= s->count; i++) {
    uvsmtp__job_release(s->jobs[i]);
    s->jobs[i] = NULL;
  }
  for (size_t i = 0; s->unsigned_fields != NULL && i < s->count; i++)
    uvsmtp__buffer_free(&s->unsigned_fields[i]);
  uvsmtp__body_hash_abort(&s->hashes[0]);
  uvsmtp__body_hash_abort(&s->hashes[1]);
  uvsmtp__buffer_free(&s->header);
  if (!s->held_whole)
    uvsmtp__buffer_free(&s->held);
  s->self = NULL;
}

void uvsmtp_signing_free(uvsmtp_signing_t *s)
{
  uvsmtp_mem_t mem;
  if (s == NULL)
    return;
  mem = s->mem;
  stop(s);
  uvsmtp__buffer_free(&s->held);
  uvsmtp__buffer_free(&s->fields);
  uvsmtp__free(&mem, s->signers);
  uvsmtp__free(&mem, s->jobs);
  uvsmtp__free(&mem, s->unsigned_fields);
  uvsmtp__free(&mem, s);
}

const char *uvsmtp_signing_detail(const uvsmtp_signing_t *s)
{
  return s->detail;
}

static int fail(uvsmtp_signing_t *s, int err, const char *sentence)
{
  return uvsmtp__detail(s->detail, sizeof(s->detail), err, "%s", sentence);
}

/* ---- Hashing ---- */

static bool wants_body(const uvsmtp_signing_t *s, bool relaxed)
{
  for (size_t i = 0; i < s->count; i++)
    if (((s->signers[i]->flags & UVSMTP_DKIM_SIMPLE_BODY) == 0) == relaxed)
      return true;
  return false;
}

static int start_hashing(uvsmtp_signing_t *s)
{
  int err = 0;
  s->end = (uvsmtp__header_end_t){false, false, false};
  s->header_done = false;
  s->length = 0;
  s->turn = 0;
  s->rest = (uvsmtp_slice_t){NULL, 0};
  s->found = 0;
  s->bare = s->cr = s->at_line_end = false;
  for (int relaxed = 0; relaxed < 2 && err == 0; relaxed++)
    if (wants_body(s, relaxed))
      err = uvsmtp__body_hash_start(&s->hashes[relaxed], s->signers[0]->crypto, relaxed);
  return err;
}

static void hash_body(uvsmtp_signing_t *s, const char *bytes, size_t len)
{
  for (int relaxed = 0; relaxed < 2; relaxed++)
    if (s->hashes[relaxed].begun)
      uvsmtp__body_hash_update(&s->hashes[relaxed], bytes, len);
  s->turn += len;
}

/* Notes line ends that the sender will have to change. */
static void note_line_ends(uvsmtp_signing_t *s, const char *bytes, size_t len)
{
  const char *at = bytes, *end = bytes + len, *lf;
  if (s->cr && *at != '\n')
    s->bare = true;
  while (!s->bare && (lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
    const char *cr = memchr(at, '\r', (size_t)(lf - at));
    bool crlf = lf > bytes ? lf[-1] == '\r' : s->cr;
    s->bare = !crlf || (cr != NULL && cr + 1 != lf);
    at = lf + 1;
  }
  s->cr = end[-1] == '\r';
  s->at_line_end = end[-1] == '\n';
  if (at < end && memchr(at, '\r', (size_t)(end - at) - s->cr) != NULL)
    s->bare = true;
}

static void note_8bit(uvsmtp_signing_t *s, const char *bytes, size_t len, unsigned kinds)
{
  if (uvsmtp__has_8bit(bytes, len))
    s->found |= kinds;
}

/* Looks at what the given source does not know of itself. */
static void note_piece(uvsmtp_signing_t *s, uvsmtp_slice_t piece, size_t header)
{
  if ((s->given_content & UVSMTP_CONTENT_KNOWN) != 0)
    return;
  note_line_ends(s, piece.base, piece.len);
  note_8bit(s, piece.base, header, UVSMTP_CONTENT_8BIT | UVSMTP_CONTENT_UTF8);
  note_8bit(s, piece.base + header, piece.len - header, UVSMTP_CONTENT_8BIT);
}

static int hash_piece(uvsmtp_signing_t *s, uvsmtp_slice_t piece)
{
  size_t part = piece.len;
  int err = 0;
  s->length += piece.len;
  if (s->hold && uvsmtp__buffer_append(&s->held, piece.base, piece.len) == UVSMTP_ETOOLONG)
    return fail(s, UVSMTP_ESOURCE,
                "the message can be read only once, and is too long to be held for signing");
  if (s->hold && uvsmtp__buffer_len(&s->held) != s->length)
    return UVSMTP_ENOMEM;
  if (s->header_done) {
    note_piece(s, piece, 0);
    hash_body(s, piece.base, piece.len);
    return 0;
  }
  s->header_done = uvsmtp__header_end(&s->end, piece.base, &part);
  note_piece(s, piece, part);
  err = uvsmtp__buffer_append(&s->header, piece.base, part);
  if (err == UVSMTP_ETOOLONG)
    return fail(s, UVSMTP_EHEADER, "the header is too long to be signed");
  if (err == 0 && part < piece.len)
    hash_body(s, piece.base + part, piece.len - part);
  return err;
}

/* ---- Signing ---- */

static bool jobs_done(const uvsmtp_signing_t *s)
{
  for (size_t i = 0; i <= s->count; i++)
    if (s->jobs[i] != NULL && !s->jobs[i]->done)
      return false;
  return true;
}

static void wake_reader(uvsmtp_signing_t *s)
{
  if (!s->asleep || s->given_pending || !jobs_done(s))
    return;
  s->asleep = false;
  uvsmtp_source_wake(s->self);
}

static void job_finished(void *who)
{
  wake_reader(who);
}

/* Starts a job; number `at` of this signing. */
static int start_job(uvsmtp_signing_t *s, size_t at, uvsmtp_dkim_t *signer, const uint8_t *digest)
{
  uvsmtp__job_t *job = uvsmtp__calloc(&s->mem, 1, sizeof(*job));
  if (job == NULL)
    return UVSMTP_ENOMEM;
  job->mem = s->mem;
  job->signer = signer;
  job->finished = job_finished;
  job->who = s;
  job->pause = digest == NULL;
  if (digest != NULL)
    memcpy(job->digest, digest, sizeof(job->digest));
  s->jobs[at] = job;
  uvsmtp__job_start(job);
  return 0;
}

/* Lets the loop do other things before the next part of a long body. */
static int pause_hashing(uvsmtp_signing_t *s)
{
  int err = 0;
  uvsmtp__job_release(s->jobs[s->count]);
  s->jobs[s->count] = NULL;
  s->turn = 0;
  if (s->signers[0]->work == NULL)
    return 0;
  if ((err = start_job(s, s->count, s->signers[0], NULL)) != 0)
    return err;
  return s->jobs[s->count]->done ? 0 : UVSMTP_PENDING;
}

static int start_signing(uvsmtp_signing_t *s)
{
  uvsmtp__signed_t message = {.body_digests = {s->digests[0], s->digests[1]}};
  uint8_t digest[32];
  int err = 0;
  for (int relaxed = 0; relaxed < 2 && err == 0; relaxed++)
    if (s->hashes[relaxed].begun)
      err = uvsmtp__body_hash_finish(&s->hashes[relaxed], s->digests[relaxed]);
  message.header = s->header.base != NULL ? uvsmtp__buffer_data(&s->header) : "";
  message.header_len = uvsmtp__buffer_len(&s->header);
  for (size_t i = 0; i < s->count && err == 0; i++) {
    err = uvsmtp__dkim_field(s->signers[i], &message, &s->unsigned_fields[i], digest, s->detail);
    if (err == 0)
      err = start_job(s, i, s->signers[i], digest);
  }
  s->phase = SIGNING;
  return err;
}

/* All signatures are there: puts the fields together. */
static int collect(uvsmtp_signing_t *s)
{
  int err = 0;
  uvsmtp__buffer_clear(&s->fields);
  for (size_t i = 0; i < s->count && err == 0; i++) {
    uvsmtp__job_t *job = s->jobs[i];
    uvsmtp__buffer_t *field = &s->unsigned_fields[i];
    if ((err = job->err) != 0)
      return fail(s, err, "the signing key failed");
    err = uvsmtp__buffer_append(&s->fields, uvsmtp__buffer_data(field), uvsmtp__buffer_len(field));
    if (err == 0)
      err = uvsmtp__dkim_append(&s->fields, job->signature, job->signature_len);
  }
  s->signed_ = err == 0;
  s->held_whole = s->hold && err == 0;
  s->signed_server = s->server;
  s->phase = REOPENING;
  return err;
}

/* ---- Opening ---- */

static void given_wake(void *reader)
{
  uvsmtp_signing_t *s = reader;
  s->given_pending = false;
  wake_reader(s);
}

/* Keeps what the given source says of its failure. */
static int given_failed(uvsmtp_signing_t *s, int err)
{
  return fail(s, err, uvsmtp__source_detail(s->given));
}

/* The next piece of the given source, which is not asked again before it has woken us. */
static int next_given(uvsmtp_signing_t *s, uvsmtp_slice_t *piece)
{
  int err = s->given_pending ? UVSMTP_PENDING : s->given->ops->next(s->given, piece);
  s->given_pending = err == UVSMTP_PENDING;
  return err == 0 || s->given_pending ? err : given_failed(s, err);
}

static int try_given(uvsmtp_signing_t *s, uvsmtp_source_info_t *info)
{
  int err = s->given->ops->open(s->given, s->target, info);
  s->given_pending = err == UVSMTP_PENDING;
  s->given_open = err == 0 || s->given_pending;
  s->detail[0] = '\0';
  if (s->given_open)
    return err;
  s->given->wake = NULL;
  return given_failed(s, err);
}

/* Opens the given source: for encodings that no server on the way has to change, or, where it has
 * 8-bit bytes that must not be touched, for what this server takes. */
static int open_given(uvsmtp_signing_t *s, uvsmtp_source_info_t *info)
{
  int err;
  if (s->given_pending)
    return UVSMTP_PENDING;
  s->given->wake = given_wake;
  s->given->reader = s;
  err = try_given(s, info);
  if (err == UVSMTP_E8BIT && (s->server & ~s->target & UVSMTP_TARGET_8BITMIME) != 0) {
    s->target |= UVSMTP_TARGET_8BITMIME;
    s->given->wake = given_wake;
    err = try_given(s, info);
  }
  return err;
}

static int open_for_hashing(uvsmtp_signing_t *s)
{
  uvsmtp_source_info_t info = {.length = UVSMTP_LENGTH_UNKNOWN};
  int err = open_given(s, &info);
  if (err != 0)
    return err;
  s->given_content = info.content;
  s->hold = (info.content & UVSMTP_CONTENT_ONCE) != 0 || (s->flags & UVSMTP_SIGNING_HOLD) != 0;
  s->phase = HASHING;
  return start_hashing(s);
}

/* What is hashed next: a piece, or as much of it as this turn has time for. */
static int next_to_hash(uvsmtp_signing_t *s, uvsmtp_slice_t *piece)
{
  int err = s->rest.len > 0 ? 0 : next_given(s, &s->rest);
  *piece = s->rest;
  if (err != 0 || piece->len == 0)
    return err;
  if (piece->len > TURN - s->turn)
    piece->len = TURN - s->turn;
  s->rest.base += piece->len;
  s->rest.len -= piece->len;
  return 0;
}

static int hash_on(uvsmtp_signing_t *s)
{
  for (;;) {
    uvsmtp_slice_t piece;
    int err;
    if (s->jobs[s->count] != NULL && !s->jobs[s->count]->done)
      return UVSMTP_PENDING;
    if (s->turn >= TURN && (err = pause_hashing(s)) != 0)
      return err;
    if ((err = next_to_hash(s, &piece)) != 0)
      return err;
    if (piece.len == 0) {
      close_given(s);
      return start_signing(s);
    }
    if ((err = hash_piece(s, piece)) != 0)
      return err;
  }
}

static int open_for_sending(uvsmtp_signing_t *s)
{
  uvsmtp_source_info_t unused;
  int err = s->held_whole ? 0 : open_given(s, &unused);
  if (err != 0)
    return err;
  s->phase = SENDING;
  s->fields_given = s->held_given = false;
  s->given_bytes = 0;
  return 0;
}

/* Goes on to the phase of sending. 0, UVSMTP_PENDING, or an error. */
static int advance(uvsmtp_signing_t *s)
{
  int err = 0;
  while (err == 0 && s->phase != SENDING) {
    switch (s->phase) {
    case OPENING:
      err = open_for_hashing(s);
      break;
    case HASHING:
      err = hash_on(s);
      break;
    case SIGNING:
      err = jobs_done(s) ? collect(s) : UVSMTP_PENDING;
      break;
    case REOPENING:
      err = open_for_sending(s);
      break;
    case SENDING:
      break;
    }
  }
  return err;
}

/* Tells what is about to be sent: the given source knows itself, or all of it has been seen. */
static void fill_info(const uvsmtp_signing_t *s, uvsmtp_source_info_t *info)
{
  info->length = uvsmtp__buffer_len(&s->fields) + s->length;
  info->content = s->given_content & ~(unsigned)UVSMTP_CONTENT_ONCE;
  if ((info->content & UVSMTP_CONTENT_KNOWN) == 0) {
    info->content = UVSMTP_CONTENT_KNOWN | s->found | (info->content & UVSMTP_CONTENT_STABLE);
    if (!s->bare && s->at_line_end)
      info->content |= UVSMTP_CONTENT_CRLF;
  }
  if (s->held_whole) /* what is sent is the copy */
    info->content |= UVSMTP_CONTENT_STABLE;
}

/* Begins a reading. What was signed for such a server before, or is held, is not hashed again. */
static void begin(uvsmtp_signing_t *s, uvsmtp_source_t *source, unsigned server)
{
  bool again;
  s->self = source;
  s->server = server & (UVSMTP_TARGET_8BITMIME | UVSMTP_TARGET_SMTPUTF8);
  again = s->held_whole || (s->signed_ && s->signed_server == s->server);
  s->detail[0] = '\0';
  s->phase = again ? REOPENING : OPENING;
  if (again)
    return;
  s->signed_ = false; /* what is known of the given source will be of this reading */
  s->target = server & UVSMTP_TARGET_SMTPUTF8;
}

static int signing_open(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info)
{
  uvsmtp_signing_t *s = source->data;
  int err;
  *info = (uvsmtp_source_info_t){.length = UVSMTP_LENGTH_UNKNOWN};
  if (s->self != NULL && (s->self != source || s->phase == SENDING))
    return UVSMTP_EBUSY;
  if (s->self == NULL)
    begin(s, source, target);
  s->asleep = false;
  err = advance(s);
  s->asleep = err == UVSMTP_PENDING;
  if (err == 0)
    fill_info(s, info);
  else if (err != UVSMTP_PENDING)
    stop(s);
  return err;
}

static int send_on(uvsmtp_signing_t *s, uvsmtp_slice_t *piece)
{
  int err;
  if (!s->fields_given) {
    s->fields_given = true;
    *piece = (uvsmtp_slice_t){uvsmtp__buffer_data(&s->fields), uvsmtp__buffer_len(&s->fields)};
    return 0;
  }
  if (s->held_whole) {
    if (!s->held_given && uvsmtp__buffer_len(&s->held) > 0)
      *piece = (uvsmtp_slice_t){uvsmtp__buffer_data(&s->held), uvsmtp__buffer_len(&s->held)};
    s->held_given = true;
    return 0;
  }
  if ((err = next_given(s, piece)) != 0)
    return err;
  s->given_bytes += piece->len;
  if (piece->len == 0 ? s->given_bytes != s->length : s->given_bytes > s->length) {
    *piece = (uvsmtp_slice_t){NULL, 0};
    return fail(s, UVSMTP_ESOURCE, "the message has changed since it was signed");
  }
  return 0;
}

static int signing_next(uvsmtp_source_t *source, uvsmtp_slice_t *piece)
{
  uvsmtp_signing_t *s = source->data;
  int err;
  *piece = (uvsmtp_slice_t){NULL, 0};
  err = send_on(s, piece);
  s->asleep = err == UVSMTP_PENDING;
  return err;
}

static void signing_close(uvsmtp_source_t *source)
{
  stop(source->data);
}

static const char *source_detail(uvsmtp_source_t *source)
{
  return uvsmtp_signing_detail(source->data);
}

/* Without the signatures. */
static uint64_t signing_length(const uvsmtp_source_t *source)
{
  const uvsmtp_signing_t *s = source->data;
  return uvsmtp_source_length(s->given);
}

static const uvsmtp_source_ops_t signing_ops = {
    .size = sizeof(uvsmtp_source_ops_t),
    .open = signing_open,
    .next = signing_next,
    .close = signing_close,
    .detail = source_detail,
    .length = signing_length,
};

void uvsmtp_signing_source(uvsmtp_signing_t *s, uvsmtp_source_t *source)
{
  memset(source, 0, sizeof(*source));
  source->ops = &signing_ops;
  source->data = s;
}
