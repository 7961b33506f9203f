#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "connection/file_source.h"
#include "failing_mem.h"
#include "uvsmtp/message.h"

#define CHUNK UVSMTP__FILE_CHUNK

static uv_loop_t loop;
static failing_mem_t memory;
static char dir[64], path[96];

static int setup(void **state)
{
  (void)state;
  snprintf(dir, sizeof(dir), "/tmp/uvsmtp-test-XXXXXX");
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof(path), "%s/message", dir);
  failing_mem_init(&memory, 0);
  return uv_loop_init(&loop);
}

static int teardown(void **state)
{
  (void)state;
  unlink(path);
  assert_int_equal(rmdir(dir), 0);
  assert_int_equal(uv_loop_close(&loop), 0);
  assert_int_equal(memory.live, 0);
  return 0;
}

/* Bytes that differ from chunk to chunk. */
static char byte_at(size_t i)
{
  return (char)(i * 7 + i / CHUNK * 13 + i / 251);
}

static void write_file(size_t size, const char *mode)
{
  FILE *f = fopen(path, mode);
  assert_non_null(f);
  for (size_t i = 0; i < size; i++)
    fputc(byte_at(i), f);
  assert_int_equal(fclose(f), 0);
}

/* ---- a reader ------------------------------------------------------------------------------ */

typedef struct reader_s {
  uvsmtp_source_t *source;
  int wakes, pendings;
} reader_t;

static void on_wake(void *data)
{
  reader_t *r = data;
  r->wakes++;
}

static void watch(reader_t *r, uvsmtp_source_t *source)
{
  *r = (reader_t){.source = source};
  source->wake = on_wake;
  source->reader = r;
}

/* The next piece, waited for. */
static int next(reader_t *r, uvsmtp_slice_t *piece)
{
  int err;
  while ((err = r->source->ops->next(r->source, piece)) == UVSMTP_PENDING) {
    r->pendings++;
    while (r->wakes < r->pendings)
      assert_true(uv_run(&loop, UV_RUN_ONCE) || r->wakes == r->pendings);
    assert_int_equal(r->wakes, r->pendings);
  }
  return err;
}

/* Reads to the end and compares; `slow` lets the read-ahead finish while a piece is held. */
static int read_all(uvsmtp_source_t *source, size_t size, uint64_t length, bool slow)
{
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece = {NULL, 0};
  reader_t r;
  size_t got = 0;
  int err = source->ops->open(source, 0, &info);
  assert_int_equal(err, 0);
  assert_true(info.length == length);
  watch(&r, source);
  do {
    err = next(&r, &piece);
    if (slow)
      uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < piece.len; i++)
      if (piece.base[i] != byte_at(got + i))
        fail_msg("byte %zu differs", got + i);
    got += piece.len;
  } while (err == 0 && piece.len > 0);
  if (err == 0) {
    assert_int_equal(got, size);
    assert_int_equal(source->ops->next(source, &piece), 0);
    assert_int_equal(piece.len, 0);
  }
  source->ops->close(source);
  return err;
}

static void make(uvsmtp_source_t *source)
{
  assert_int_equal(uvsmtp__source_file(source, &loop, path, &memory.mem), 0);
}

static void release(uvsmtp_source_t *source)
{
  uvsmtp_source_release(source);
  uv_run(&loop, UV_RUN_DEFAULT);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void a_file_is_read_whole_and_twice_whatever_its_size(void **state)
{
  static const size_t sizes[] = {0,         1,         CHUNK - 1, CHUNK,
                                 CHUNK + 1, 2 * CHUNK, 3 * CHUNK, 5 * CHUNK + 77};
  (void)state;
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    uvsmtp_source_t source;
    write_file(sizes[i], "w");
    make(&source);
    assert_int_equal(read_all(&source, sizes[i], sizes[i], false), 0);
    assert_int_equal(read_all(&source, sizes[i], sizes[i], true), 0);
    release(&source);
    assert_int_equal(memory.live, 0);
  }
}

static void a_file_may_be_unlinked_once_the_source_is_made(void **state)
{
  uvsmtp_source_t source;
  (void)state;
  write_file(1000, "w");
  make(&source);
  unlink(path);
  assert_int_equal(read_all(&source, 1000, 1000, false), 0);
  release(&source);
}

static void a_file_that_changes_its_length_is_never_completed(void **state)
{
  uvsmtp_source_t source;
  (void)state;
  write_file(CHUNK + 10, "w");
  make(&source);
  write_file(1, "a");
  assert_int_equal(read_all(&source, 0, CHUNK + 10, false), UVSMTP_ESOURCE);
  assert_int_equal(truncate(path, CHUNK + 9), 0);
  assert_int_equal(read_all(&source, 0, CHUNK + 10, false), UVSMTP_ESOURCE);
  assert_int_equal(truncate(path, 0), 0);
  assert_int_equal(read_all(&source, 0, CHUNK + 10, false), UVSMTP_ESOURCE);
  write_file(CHUNK + 10, "w");
  assert_int_equal(read_all(&source, CHUNK + 10, CHUNK + 10, false), 0);
  release(&source);
}

static void what_is_no_regular_file_is_refused_at_once(void **state)
{
  uvsmtp_source_t source;
  (void)state;
  assert_int_equal(uvsmtp_source_file(&source, &loop, path), UV_ENOENT);
  uvsmtp_source_release(&source);
  assert_int_equal(uvsmtp_source_file(&source, &loop, dir), UV_EISDIR);
  assert_int_equal(uvsmtp_source_file(&source, &loop, NULL), UVSMTP_EINVAL);
  assert_int_equal(uvsmtp_source_fd(&source, &loop, -1), UVSMTP_EINVAL);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(uvsmtp_source_file(&source, &loop, path), UVSMTP_ESOURCE);
}

static void a_piece_stays_while_the_next_is_read_ahead(void **state)
{
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece, after;
  reader_t r;
  (void)state;
  write_file(4 * CHUNK, "w");
  make(&source);
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  assert_int_equal(info.content, 0);
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_ESOURCE); /* is being read */
  watch(&r, &source);
  assert_int_equal(next(&r, &piece), 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  for (size_t i = 0; i < piece.len; i++)
    if (piece.base[i] != byte_at(i))
      fail_msg("byte %zu was overwritten", i);
  /* What was read ahead is there without a wait. */
  assert_int_equal(source.ops->next(&source, &after), 0);
  assert_int_equal(after.len, CHUNK);
  assert_ptr_not_equal(after.base, piece.base);
  source.ops->close(&source);
  release(&source);
}

/* ---- closing early -----------------------------------------------------------------------------
 */

static void close_while_a_read_is_in_flight_lets_the_next_reading_start_afresh(void **state)
{
  (void)state;
  write_file(3 * CHUNK + 5, "w");
  for (int pieces = 0; pieces < 4; pieces++) {
    uvsmtp_source_t source;
    uvsmtp_source_info_t info;
    uvsmtp_slice_t piece;
    reader_t r;
    make(&source);
    assert_int_equal(source.ops->open(&source, 0, &info), 0);
    watch(&r, &source);
    for (int i = 0; i < pieces; i++)
      assert_int_equal(next(&r, &piece), 0);
    source.ops->close(&source); /* with the next chunk on its way */
    assert_int_equal(source.ops->open(&source, 0, &info), 0);
    source.ops->close(&source);
    assert_int_equal(read_all(&source, 3 * CHUNK + 5, 3 * CHUNK + 5, false), 0);
    release(&source);
    assert_int_equal(memory.live, 0);
  }
}

static void nobody_is_woken_after_close(void **state)
{
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece;
  reader_t r;
  (void)state;
  write_file(10, "w");
  make(&source);
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  watch(&r, &source);
  assert_int_equal(source.ops->next(&source, &piece), UVSMTP_PENDING);
  source.ops->close(&source);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(r.wakes, 0);
  assert_int_equal(memory.live, 1); /* the chunks went, the source waits for another reading */
  release(&source);
}

static void release_while_a_read_is_in_flight_frees_when_it_has_ended(void **state)
{
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  (void)state;
  write_file(10, "w");
  make(&source);
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  source.ops->close(&source);
  uvsmtp_source_release(&source);
  assert_true(memory.live > 0);
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_ESOURCE);
  uvsmtp_source_release(&source);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(memory.live, 0);
}

static void release_on_wake(void *data)
{
  uvsmtp_source_t *source = data;
  uvsmtp_slice_t piece;
  assert_int_equal(source->ops->next(source, &piece), 0);
  assert_int_equal(piece.len, CHUNK);
  source->ops->close(source);
  uvsmtp_source_release(source);
}

static void the_reader_may_close_and_release_when_woken(void **state)
{
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece;
  (void)state;
  write_file(3 * CHUNK, "w");
  make(&source);
  source.wake = release_on_wake;
  source.reader = &source;
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  assert_int_equal(source.ops->next(&source, &piece), UVSMTP_PENDING);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(memory.live, 0);
}

/* ---- descriptors
 * ---------------------------------------------------------------------------------- */

static void a_pipe_is_read_to_its_end_once(void **state)
{
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  int fds[2];
  (void)state;
  assert_int_equal(pipe(fds), 0);
  for (size_t i = 0; i < 3000; i++) {
    char byte = byte_at(i);
    assert_int_equal(write(fds[1], &byte, 1), 1);
  }
  close(fds[1]);
  assert_int_equal(uvsmtp__source_fd(&source, &loop, fds[0], &memory.mem), 0);
  assert_int_equal(read_all(&source, 3000, UVSMTP_LENGTH_UNKNOWN, false), 0);
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_ESOURCE);
  release(&source);
  assert_int_equal(close(fds[0]), 0); /* it is still open */
}

static void a_descriptor_says_that_it_is_read_once(void **state)
{
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  int fds[2];
  (void)state;
  assert_int_equal(pipe(fds), 0);
  close(fds[1]);
  assert_int_equal(uvsmtp__source_fd(&source, &loop, fds[0], &memory.mem), 0);
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  assert_int_equal(info.content, UVSMTP_CONTENT_ONCE);
  source.ops->close(&source);
  release(&source);
  close(fds[0]);
}

static void a_file_s_descriptor_is_read_from_where_it_stands(void **state)
{
  uvsmtp_source_t source;
  int fd;
  (void)state;
  write_file(2 * CHUNK + 3, "w");
  fd = open(path, O_RDONLY);
  assert_int_equal(uvsmtp__source_fd(&source, &loop, fd, &memory.mem), 0);
  assert_int_equal(read_all(&source, 2 * CHUNK + 3, UVSMTP_LENGTH_UNKNOWN, true), 0);
  release(&source);
  assert_int_equal(lseek(fd, 0, SEEK_CUR), 2 * CHUNK + 3);
  close(fd);
}

static void a_read_error_is_the_source_s_error(void **state)
{
  uvsmtp_source_t source;
  int fd = open("/", O_RDONLY);
  (void)state;
  assert_int_equal(uvsmtp__source_fd(&source, &loop, fd, &memory.mem), 0);
  assert_int_equal(read_all(&source, 0, UVSMTP_LENGTH_UNKNOWN, false), UV_EISDIR);
  release(&source);
  close(fd);
}

static void running_out_of_memory_is_an_error_and_no_leak(void **state)
{
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  (void)state;
  write_file(10, "w");
  failing_mem_init(&memory, 1);
  assert_int_equal(uvsmtp__source_file(&source, &loop, path, &memory.mem), UVSMTP_ENOMEM);
  failing_mem_init(&memory, 1);
  assert_int_equal(uvsmtp__source_fd(&source, &loop, 0, &memory.mem), UVSMTP_ENOMEM);
  failing_mem_init(&memory, 2);
  make(&source);
  assert_int_equal(source.ops->open(&source, 0, &info), UVSMTP_ENOMEM);
  assert_int_equal(read_all(&source, 10, 10, false), 0);
  release(&source);
}

/* ---- attachments ------------------------------------------------------------------------------
 */

/* A message with the file attached, which is read with the C library or in the thread pool. */
static uvsmtp_message_t *message_with_file(const uvsmtp_files_t *files)
{
  uvsmtp_message_options_t o = UVSMTP_MESSAGE_OPTIONS_INIT;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_t *m;
  o.mem = &memory.mem;
  o.files = files;
  o.files_ctx = &loop;
  assert_int_equal(uvsmtp_message_new(&m, &o), 0);
  uvsmtp_message_date(m, 0, 0);
  uvsmtp_message_id(m, "x@y.example");
  uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@b.example");
  a.path = path;
  assert_int_equal(uvsmtp_message_attach(m, &a), 0);
  assert_int_equal(uvsmtp_message_attach(m, &a), 0); /* twice */
  return m;
}

/* Reads a message; NULL and the error in `*err` if that fails. */
static char *read_message(uvsmtp_source_t *source, size_t *len, int *pendings, int *err)
{
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece;
  reader_t r;
  char *all;
  *len = 0;
  assert_int_equal(source->ops->open(source, 0, &info), 0);
  assert_true(info.length != UVSMTP_LENGTH_UNKNOWN);
  all = malloc(info.length);
  watch(&r, source);
  while ((*err = next(&r, &piece)) == 0 && piece.len > 0) {
    assert_true(*len + piece.len <= info.length);
    memcpy(all + *len, piece.base, piece.len);
    *len += piece.len;
  }
  assert_true(*err != 0 || *len == info.length);
  source->ops->close(source);
  *pendings = r.pendings;
  return all;
}

static void attachments_by_path_are_read_in_the_thread_pool(void **state)
{
  static const size_t sizes[] = {0, 1, CHUNK, 3 * CHUNK + 7};
  (void)state;
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    char *all[2];
    size_t len[2];
    int pendings[2], err;
    write_file(sizes[i], "w");
    for (int pool = 0; pool < 2; pool++) {
      uvsmtp_message_t *m = message_with_file(pool ? uvsmtp_loop_files() : NULL);
      uvsmtp_source_t source;
      assert_int_equal(uvsmtp_message_source(m, &source), 0);
      all[pool] = read_message(&source, &len[pool], &pendings[pool], &err);
      assert_int_equal(err, 0);
      uv_run(&loop, UV_RUN_DEFAULT);
      uvsmtp_message_free(m);
    }
    assert_int_equal(pendings[0], 0);
    assert_true(pendings[1] > 0);
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(all[0], all[1], len[0]);
    free(all[0]);
    free(all[1]);
  }
}

static void an_attachment_that_cannot_be_read_any_more_is_named(void **state)
{
  (void)state;
  for (int gone = 0; gone < 2; gone++)
    for (int pool = 0; pool < 2; pool++) {
      uvsmtp_message_t *m;
      uvsmtp_source_t source;
      char want[160];
      size_t len;
      int pendings, err;
      write_file(2 * CHUNK, "w");
      m = message_with_file(pool ? uvsmtp_loop_files() : NULL);
      assert_int_equal(uvsmtp_message_source(m, &source), 0);
      if (gone)
        unlink(path);
      else
        write_file(1, "a");
      free(read_message(&source, &len, &pendings, &err));
      assert_int_equal(err, UVSMTP_ESOURCE);
      snprintf(want, sizeof(want), "%s: %s", path,
               gone ? "No such file or directory" : "its length has changed");
      assert_string_equal(source.ops->detail(&source), want);
      uv_run(&loop, UV_RUN_DEFAULT);
      uvsmtp_message_free(m);
    }
}

static void a_message_may_go_while_its_file_is_being_read(void **state)
{
  uvsmtp_message_t *m;
  uvsmtp_source_t source;
  uvsmtp_source_info_t info;
  uvsmtp_slice_t piece;
  reader_t r;
  (void)state;
  write_file(3 * CHUNK, "w");
  m = message_with_file(uvsmtp_loop_files());
  assert_int_equal(uvsmtp_message_source(m, &source), 0);
  assert_int_equal(source.ops->open(&source, 0, &info), 0);
  watch(&r, &source);
  assert_int_equal(source.ops->next(&source, &piece), 0); /* the header */
  assert_int_equal(source.ops->next(&source, &piece), UVSMTP_PENDING);
  source.ops->close(&source);
  uvsmtp_message_free(m);
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(r.wakes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(a_file_is_read_whole_and_twice_whatever_its_size),
      TEST(a_file_may_be_unlinked_once_the_source_is_made),
      TEST(a_file_that_changes_its_length_is_never_completed),
      TEST(what_is_no_regular_file_is_refused_at_once),
      TEST(a_piece_stays_while_the_next_is_read_ahead),
      TEST(close_while_a_read_is_in_flight_lets_the_next_reading_start_afresh),
      TEST(nobody_is_woken_after_close),
      TEST(release_while_a_read_is_in_flight_frees_when_it_has_ended),
      TEST(the_reader_may_close_and_release_when_woken),
      TEST(a_pipe_is_read_to_its_end_once),
      TEST(a_descriptor_says_that_it_is_read_once),
      TEST(a_file_s_descriptor_is_read_from_where_it_stands),
      TEST(a_read_error_is_the_source_s_error),
      TEST(running_out_of_memory_is_an_error_and_no_leak),
      TEST(attachments_by_path_are_read_in_the_thread_pool),
      TEST(an_attachment_that_cannot_be_read_any_more_is_named),
      TEST(a_message_may_go_while_its_file_is_being_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
