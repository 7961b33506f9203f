#ifndef UVSMTP_MESSAGE_WRITER_H
#define UVSMTP_MESSAGE_WRITER_H

#include <stdbool.h>

#include "base/buffer.h"
#include "message/detail.h"

/*
 * Writes header fields: words in, folded lines out (RFC 5322 section 2.2.3). A line is folded
 * before the word that would take it over 78 characters; a word that alone is longer stands on a
 * line of its own, up to 998. The first error stays; after it nothing is written.
 */
#define UVSMTP__LINE_SOFT 78
#define UVSMTP__LINE_HARD 998

typedef struct uvsmtp__writer_s {
  uvsmtp__buffer_t *out;
  bool utf8;        /* UTF-8 stays as it is (RFC 6532) */
  const char *name; /* of the field that is being written */
  size_t column;
  size_t soft; /* where the line that is being written should end */
  size_t tail; /* characters that will be glued to the next words */
  bool empty;  /* nothing stands behind the colon yet */
  int err;
  char *detail; /* UVSMTP__DETAIL_SIZE bytes */
} uvsmtp__writer_t;

/* Keeps the first error, with "Name: " and a sentence as its detail. */
void uvsmtp__writer_fail(uvsmtp__writer_t *w, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void uvsmtp__field_begin(uvsmtp__writer_t *w, const char *name);
void uvsmtp__field_end(uvsmtp__writer_t *w);
/* Writes a word behind a blank or a fold. */
void uvsmtp__field_word(uvsmtp__writer_t *w, const char *word, size_t len);
/* The same behind given blanks, which are not lost. */
void uvsmtp__field_word_after(uvsmtp__writer_t *w, const char *blanks, size_t blanks_len,
                              const char *word, size_t len);
/* Begins a new line; a word has to follow. */
void uvsmtp__field_fold(uvsmtp__writer_t *w);
/* Writes what must stand directly behind the word before, as ",". */
void uvsmtp__field_glue(uvsmtp__writer_t *w, const char *text);

/* Any text: RFC 2047 words where it is not ASCII. words.c */
void uvsmtp__field_text(uvsmtp__writer_t *w, const char *text, size_t len);
/* A display name: atoms, a quoted string, or RFC 2047 words, behind which a blank has to follow:
 * then true. words.c */
bool uvsmtp__field_phrase(uvsmtp__writer_t *w, const char *name, size_t len);
/* A parameter, `; name=value` (RFC 2045, 2231). params.c */
void uvsmtp__field_param(uvsmtp__writer_t *w, const char *name, const char *value);
/* The same as RFC 2047 words in quotes, which no RFC allows and many mail programs read. The name
 * has at most 30 characters. words.c */
void uvsmtp__field_param_word(uvsmtp__writer_t *w, const char *name, const char *value);

/* Whether `s` is a token of RFC 2045: what types and parameter names consist of. */
bool uvsmtp__is_token(const char *s, size_t len);
/* The length of the UTF-8 character at `s`; 1 where there is none. */
size_t uvsmtp__char_len(const char *s, size_t len);

/* A date of RFC 5322 section 3.3; 0 or UVSMTP_EINVAL. date.c */
#define UVSMTP__DATE_SIZE 64
int uvsmtp__format_date(char out[UVSMTP__DATE_SIZE], int64_t seconds, int offset_minutes);

#endif
