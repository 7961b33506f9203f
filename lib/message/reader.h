#ifndef UVSMTP_MESSAGE_READER_H
#define UVSMTP_MESSAGE_READER_H

/*
 * A reading of a built message: compose_source.c lays out what comes after what, and
 * compose_content.c gives the contents of the parts.
 */
#include "message/builder.h"
#include "message/encode.h"
#include "message/raw.h"

/* An attached message whose parts are encoded anew. */
typedef struct uvsmtp__recoded_s {
  struct uvsmtp__recoded_s *next;
  uvsmtp_raw_t *raw;
  uvsmtp__recode_t *recode;
} uvsmtp__recoded_t;

/* A stretch of the message: written text, or the content of a part. */
typedef struct {
  uvsmtp_part_t *part; /* NULL: text */
  uvsmtp__cte_t cte;
  uvsmtp__recoded_t *recoded;
  size_t start, len; /* of the text */
} uvsmtp__laid_t;

/* A source that is attached: opened with the message, to know what that will give. */
typedef struct {
  uvsmtp_part_t *part;
  uvsmtp_source_info_t info;
  bool open;  /* to be closed */
  bool ready; /* to be read */
} uvsmtp__attached_t;

typedef struct uvsmtp__reader_s {
  const uvsmtp_message_t *message;
  uvsmtp_source_t *self;
  unsigned target;
  uvsmtp__buffer_t text;
  uvsmtp__writer_t writer;
  char detail[UVSMTP__DETAIL_SIZE];
  uvsmtp__laid_t *stretches;
  size_t count, room, at;
  size_t text_done; /* how much of the text is in stretches */
  uint64_t length;
  uvsmtp__recoded_t *recoded;
  uvsmtp__attached_t *attached;
  size_t attached_count, attached_open; /* all, and those that are or were open */
  bool eight, binary, moving; /* 8-bit bytes; binary parts; pieces that do not stay in place */

  /* the content that is being given */
  bool begun;
  uvsmtp_source_t file; /* that is attached by its path, */
  bool has_file;        /* to be released */
  bool file_open;       /* to be closed */
  uint64_t given;       /* bytes that were read */
  uvsmtp__b64_t b64;
  uvsmtp__qp_t qp;
  uvsmtp_slice_t in; /* of what was read, not encoded yet */
  bool in_end;
  char *out_chunk; /* made when a content needs it */
} uvsmtp__reader_t;

/* Opens the sources that are attached: 0, UVSMTP_PENDING (to be called again), or an error. */
int uvsmtp__attached_open(uvsmtp__reader_t *r);
/* What the source of a part said of itself. */
const uvsmtp_source_info_t *uvsmtp__attached_info(const uvsmtp__reader_t *r,
                                                  const uvsmtp_part_t *part);
/* Closes those that are open. */
void uvsmtp__attached_close(uvsmtp__reader_t *r);

/* Begins to give the content of a part: 0, UVSMTP_PENDING (to be called again), or an error. */
int uvsmtp__part_begin(uvsmtp__reader_t *r, const uvsmtp__laid_t *stretch);
/* Its next bytes; none at its end. */
int uvsmtp__part_next(uvsmtp__reader_t *r, const uvsmtp__laid_t *stretch, uvsmtp_slice_t *piece);
/* Releases what reading it took, wherever it stands. NULL: of whichever part it is. */
void uvsmtp__part_end(uvsmtp__reader_t *r, const uvsmtp__laid_t *stretch);

/* How files are read if nobody says how: plain_file.c */
extern const uvsmtp_files_t uvsmtp__plain_files;

#endif
