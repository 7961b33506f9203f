#ifndef UVSMTP_SOURCE_H
#define UVSMTP_SOURCE_H

/*
 * A source gives the bytes of a message. Memory, a list of buffers and a built message come
 * ready; a file and standard input are in uvsmtp/connection.h, since reading them without blocking
 * takes libuv; anything else is a uvsmtp_source_ops_t of your own.
 *
 * A source that is being sent goes through open, next … next, close; open may follow again if the
 * message is tried once more.
 */
#include <stdbool.h>

#include "uvsmtp/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvsmtp_source_s uvsmtp_source_t;

/** A length that is not known before the end. */
#define UVSMTP_LENGTH_UNKNOWN UINT64_MAX

/** What the server that the message goes to takes; the bits of uvsmtp_source_ops_t.open. */
enum {
  UVSMTP_TARGET_8BITMIME = 1,   /* bytes above 127 in the body */
  UVSMTP_TARGET_SMTPUTF8 = 2,   /* UTF-8 in the header */
  UVSMTP_TARGET_BINARYMIME = 4, /* any byte, lines of any length; comes with CHUNKING */
};

/** What a source knows of the bytes that it is about to give; filled by open. */
typedef struct uvsmtp_source_info_s {
  uint64_t length;  /* bytes that next will give in all, or UVSMTP_LENGTH_UNKNOWN */
  unsigned content; /* bits of UVSMTP_CONTENT_… */
} uvsmtp_source_info_t;

enum {
  UVSMTP_CONTENT_KNOWN = 1,  /* the three bits below are exact; else each is "maybe" */
  UVSMTP_CONTENT_8BIT = 2,   /* has bytes above 127 */
  UVSMTP_CONTENT_UTF8 = 4,   /* has UTF-8 in the header: needs SMTPUTF8 */
  UVSMTP_CONTENT_BINARY = 8, /* is BINARYMIME: goes unchanged, by BDAT only */
  UVSMTP_CONTENT_CRLF = 16,  /* all lines end in CRLF, the last one too: nothing to normalise */
  UVSMTP_CONTENT_STABLE = 32, /* every piece stays in place until close */
  UVSMTP_CONTENT_ONCE = 64    /* cannot be opened again after this reading */
};

/** How a source works. All functions run on the loop's thread and must not block. Since 0.1 */
typedef struct uvsmtp_source_ops_s {
  size_t size; /* sizeof(uvsmtp_source_ops_t) */
  /**
   * Begins a reading at the first byte. `target` is a set of UVSMTP_TARGET_… bits. A source that
   * cannot be read twice returns UVSMTP_ESOURCE the second time.
   * UVSMTP_PENDING: it cannot say yet what it will give (a signature is being made);
   * uvsmtp_source_wake will be called, and then open again with the same target. One whose info
   * said STABLE does not wait a second time.
   */
  int (*open)(uvsmtp_source_t *source, unsigned target, uvsmtp_source_info_t *info);
  /**
   * Gives the next piece: 0 with a piece of at least one byte, or of none at the end. The piece
   * stays in place until the next call of next or close, or until close if the info said STABLE.
   * UVSMTP_PENDING: not now; uvsmtp_source_wake will be called. A source whose info said STABLE
   * does not return it: its message would fail. A negative error ends the message without
   * completing it.
   */
  int (*next)(uvsmtp_source_t *source, uvsmtp_slice_t *piece);
  /** Ends a reading, whether it came to its end or not. Follows each open that returned 0, and one
   *  that returned UVSMTP_PENDING if it is not called again. */
  void (*close)(uvsmtp_source_t *source);
  /** What the last failure of open or next was about, one line that joins the result's text; ""
   *  if there is no more to say. May be NULL. */
  const char *(*detail)(uvsmtp_source_t *source);
  /** About how many bytes it will give, told without opening it; optional. Any time from making it
   *  on. */
  uint64_t (*length)(const uvsmtp_source_t *source);
  /**
   * All that it holds, if that lies in one piece which stays in place as long as the source is in
   * use: true, and then it may be sent without open, next and close. Nothing at all is opened as
   * ever. Optional.
   */
  bool (*whole)(const uvsmtp_source_t *source, uvsmtp_slice_t *piece);
} uvsmtp_source_ops_t;

/**
 * A source. Caller-owned; it stays in place from the call that it is passed to until the callback
 * of that call. Make one with a function below, or zero it and set `ops` and `data`.
 */
struct uvsmtp_source_s {
  void *data;                     /* yours */
  const uvsmtp_source_ops_t *ops; /* set by the functions below */
  /* private: what the ready-made sources keep */
  const uvsmtp_slice_t *slices;
  size_t count, at;
  uvsmtp_slice_t one;
  void *impl;
  /* private: who is woken; set by whoever reads the source */
  void (*wake)(void *reader);
  void *reader;
};

/**
 * A message in memory, borrowed. Can be read twice. It goes as it is, but for its line ends: nobody
 * looks whether it has a header, or lines of over 998 octets, which some servers refuse and others
 * cut; uvsmtp_raw_t does (uvsmtp/message.h). Nor does anybody look for NUL, which no message may
 * have but one with UVSMTP_CONTENT_BINARY (RFC 2045 section 2.8). Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_source_memory(uvsmtp_source_t *source, const void *bytes, size_t len);

/** A message in several buffers, which like the array itself are borrowed. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_source_buffers(uvsmtp_source_t *source, const uvsmtp_slice_t *slices,
                                         size_t count);

/**
 * How many bytes it will give, if that is known without opening it, or UVSMTP_LENGTH_UNKNOWN: what
 * the queue of a client counts. Exact for memory and files; for a message that is built, raw or
 * signed what it is made of: its parts as they are before they are encoded, as far as they are
 * known, without their headers and signatures. Since 0.1
 */
UVSMTP_EXTERN uint64_t uvsmtp_source_length(const uvsmtp_source_t *source);

/**
 * How a file becomes a source, for who knows its path and no more, as a message with attachments:
 * uvsmtp_loop_files() of uvsmtp/connection.h reads in libuv's thread pool. Since 0.1
 */
typedef struct uvsmtp_files_s {
  size_t size; /* sizeof(uvsmtp_files_t) */
  /**
   * Makes `source` the regular file at `path`, which is opened now; `ctx` is what was given
   * beside the table, `mem` may be NULL. 0, or an error: libuv's code, UVSMTP_ENOMEM, …
   */
  int (*open)(void *ctx, uvsmtp_source_t *source, const char *path, const uvsmtp_mem_t *mem);
  /** Frees what the source keeps; after its close. */
  void (*release)(uvsmtp_source_t *source);
} uvsmtp_files_t;

/**
 * Says that a source whose open or next returned UVSMTP_PENDING can go on now. On the loop's
 * thread, at most once for each UVSMTP_PENDING; harmless when nobody reads any more.
 * Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_source_wake(uvsmtp_source_t *source);

#ifdef __cplusplus
}
#endif
#endif
