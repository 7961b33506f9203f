/*
 * What becomes of a message: hashed, digested, kept in memory, written to a file of a maildir as
 * it comes, or to an mbox when it is complete; then told to the owner.
 *
 * A maildir file has exactly the bytes of the message; the envelope is in what --json prints. In
 * an mbox line ends are LF and a > is put before lines that look like its separators (mboxrd).
 */
#include "sink/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Opening. */

static int make_folder(const char *base, const char *name)
{
  char path[512];
  uv_fs_t request;
  int err;

  snprintf(path, sizeof path, "%s%s", base, name);
  err = uv_fs_mkdir(NULL, &request, path, 0700, NULL);
  uv_fs_req_cleanup(&request);
  return err == UV_EEXIST ? 0 : err;
}

static int open_maildir(const char *base, char *detail, size_t size)
{
  static const char *const folders[] = {"", "/tmp", "/new", "/cur"};
  int err = strlen(base) > 400 ? UV_ENAMETOOLONG : 0;

  for (size_t i = 0; i < 4 && err == 0; i++)
    err = make_folder(base, folders[i]);
  if (err != 0)
    snprintf(detail, size, "cannot make the maildir %s: %s", base, uvsmtp_strerror(err));
  return err;
}

int sink__store_open(sink_t *sink, char *detail, size_t size)
{
  const sink_options_t *o = &sink->options;
  unsigned whole = SINK_HASH | SINK_SHA256 | SINK_KEEP;

  sink->stores = (o->body & whole) != 0 || o->maildir != NULL || o->mbox != NULL;
  sink->keep_body = (o->body & SINK_KEEP) != 0 || o->mbox != NULL;
  sink->keep_envelope = sink->keep_envelope || o->mbox != NULL;
  if ((o->body & SINK_SHA256) != 0 && sink->crypto == NULL) {
    snprintf(detail, size, "no SHA-256 without a working mbedTLS");
    return UVSMTP_EAUTHUNSUPPORTED;
  }
  if (o->mbox != NULL && (sink->mbox = fopen(o->mbox, "ab")) == NULL) {
    int err = uv_translate_sys_error(errno);
    snprintf(detail, size, "cannot open the mbox %s: %s", o->mbox, uvsmtp_strerror(err));
    return err;
  }
  return o->maildir != NULL ? open_maildir(o->maildir, detail, size) : 0;
}

void sink__store_close(sink_t *sink)
{
  if (sink->mbox != NULL)
    fclose(sink->mbox);
  sink->mbox = NULL;
}

/* One message. */

static void open_file(sink_session_t *s)
{
  sink_t *sink = s->sink;
  uv_fs_t request;

  snprintf(s->file_name, sizeof s->file_name, "%s/tmp/%lld.P%d_%llu.sink", sink->options.maildir,
           (long long)time(NULL), (int)uv_os_getpid(), (unsigned long long)++sink->file_count);
  s->file = uv_fs_open(NULL, &request, s->file_name, O_WRONLY | O_CREAT | O_EXCL, 0600, NULL);
  uv_fs_req_cleanup(&request);
  if (s->file < 0)
    s->store_failed = true;
}

void sink__store_begin(sink_session_t *s)
{
  const sink_options_t *o = &s->sink->options;

  s->store_failed = false;
  if (!s->sink->stores)
    return;
  s->kept.len = 0;
  if ((o->body & SINK_HASH) != 0)
    sink_hash_start(&s->hash);
  if ((o->body & SINK_SHA256) != 0) {
    s->digesting = s->sink->crypto->digest_start(&s->digest, UVSMTP_DIGEST_SHA256) == 0;
    s->store_failed = !s->digesting;
  }
  if (o->maildir != NULL)
    open_file(s);
}

static bool write_file(sink_session_t *s, const char *bytes, size_t len)
{
  while (len > 0) {
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
    uv_fs_t request;
    int n = uv_fs_write(NULL, &request, s->file, &buf, 1, -1, NULL);
    uv_fs_req_cleanup(&request);
    if (n <= 0)
      return false;
    bytes += n;
    len -= (size_t)n;
  }
  return true;
}

void sink__store_piece(sink_session_t *s, const char *bytes, size_t len)
{
  if (!s->sink->stores || s->store_failed)
    return;
  if ((s->sink->options.body & SINK_HASH) != 0)
    sink_hash_update(&s->hash, bytes, len);
  if (s->digesting && s->sink->crypto->digest_update(&s->digest, bytes, len) != 0)
    s->store_failed = true;
  if (s->sink->keep_body && !sink__text_add(&s->kept, bytes, len))
    s->store_failed = true;
  if (s->file >= 0 && !write_file(s, bytes, len))
    s->store_failed = true;
}

static void close_file(sink_session_t *s)
{
  uv_fs_t request;

  if (s->file < 0)
    return;
  uv_fs_close(NULL, &request, s->file, NULL);
  uv_fs_req_cleanup(&request);
  s->file = -1;
}

bool sink__store_ready(sink_session_t *s)
{
  return !s->store_failed;
}

static void move_file(sink_session_t *s)
{
  char path[sizeof s->file_name];
  uv_fs_t request;
  size_t base = strlen(s->sink->options.maildir);

  close_file(s);
  memcpy(path, s->file_name, sizeof path);
  memcpy(path + base, "/new", 4);
  if (uv_fs_rename(NULL, &request, s->file_name, path, NULL) == 0)
    memcpy(s->file_name, path, sizeof path);
  uv_fs_req_cleanup(&request);
}

void sink__store_abort(sink_session_t *s)
{
  uv_fs_t request;

  if (s->digesting)
    s->sink->crypto->digest_abort(&s->digest);
  s->digesting = false;
  s->kept.len = 0;
  if (s->file < 0)
    return;
  close_file(s);
  uv_fs_unlink(NULL, &request, s->file_name, NULL);
  uv_fs_req_cleanup(&request);
}

/* The mbox. */

static bool looks_like_separator(const char *p, size_t len)
{
  while (len > 0 && *p == '>') {
    p++;
    len--;
  }
  return len >= 5 && memcmp(p, "From ", 5) == 0;
}

static void write_mbox(FILE *f, const char *sender, const char *p, size_t len)
{
  char date[64];
  time_t now = time(NULL);
  struct tm tm;

#ifdef _WIN32
  gmtime_s(&tm, &now);
#else
  gmtime_r(&now, &tm);
#endif
  strftime(date, sizeof date, "%a %b %d %H:%M:%S %Y", &tm);
  fprintf(f, "From %s %s\n", *sender != '\0' ? sender : "MAILER-DAEMON", date);
  while (len > 0) {
    const char *lf = memchr(p, '\n', len);
    size_t n = lf == NULL ? len : (size_t)(lf - p) + 1;
    size_t text = lf == NULL ? n : n - 1 - (n >= 2 && p[n - 2] == '\r');
    if (looks_like_separator(p, n))
      fputc('>', f);
    fwrite(p, 1, text, f);
    fputc('\n', f);
    p += n;
    len -= n;
  }
  fputc('\n', f);
  fflush(f);
}

/* Telling. */

static bool list_recipients(sink_session_t *s, sink_message_t *message)
{
  sink_t *sink = s->sink;

  if (sink->recipients_size < s->rcpt_count) {
    sink_recipient_t *grown = realloc(sink->recipients, s->rcpt_count * 2 * sizeof *grown);
    if (grown == NULL)
      return false;
    sink->recipients = grown;
    sink->recipients_size = s->rcpt_count * 2;
  }
  for (uint32_t i = 0; i < s->rcpt_count; i++) {
    if (!s->rcpts[i].refused) {
      sink_recipient_t *to = &sink->recipients[message->recipient_count++];
      to->address = s->envelope.base + s->rcpts[i].address;
      to->params = s->envelope.base + s->rcpts[i].params;
    }
  }
  message->recipients = sink->recipients;
  return true;
}

static void tell(sink_session_t *s, uint64_t number)
{
  sink_t *sink = s->sink;
  sink_message_t m = {.number = number,
                      .connection = s->number,
                      .helo = s->helo,
                      .user = s->user[0] != '\0' ? s->user : NULL,
                      .sender = s->envelope.base,
                      .params = s->envelope.base + s->params,
                      .size = s->size,
                      .body = (sink->options.body & SINK_KEEP) == 0 ? NULL
                              : s->kept.base != NULL                ? s->kept.base
                                                                    : "",
                      .file = sink->options.maildir != NULL ? s->file_name : NULL,
                      .tls = s->tls_on,
                      .chunked = s->chunked,
                      .bare_lf = s->bare_lf,
                      .bare_cr = s->bare_cr,
                      .eight_bit = s->eight_bit};

  if ((sink->options.body & SINK_HASH) != 0)
    m.hash = sink_hash_finish(&s->hash);
  if (s->digesting)
    sink->crypto->digest_finish(&s->digest, m.sha256);
  s->digesting = false;
  if (list_recipients(s, &m))
    sink->options.on_message(sink, &m, sink->options.data);
}

void sink__store_commit(sink_session_t *s)
{
  sink_t *sink = s->sink;

  sink->counters.messages++;
  sink->counters.bytes += s->size;
  for (uint32_t i = 0; i < s->rcpt_count; i++)
    sink->counters.recipients += !s->rcpts[i].refused;
  if (s->file >= 0)
    move_file(s);
  if (sink->mbox != NULL)
    write_mbox(sink->mbox, s->envelope.base, s->kept.base, s->kept.len);
  if (sink->options.on_message != NULL)
    tell(s, sink->counters.messages);
  sink__store_abort(s);
}
