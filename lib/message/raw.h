#ifndef UVSMTP_MESSAGE_RAW_H
#define UVSMTP_MESSAGE_RAW_H

#include "base/buffer.h"
#include "base/mem.h"
#include "message/detail.h"
#include "message/fields.h"
#include "uvsmtp/message.h"

/* What a filter is about. */
typedef enum {
  UVSMTP__FILTER_CLOSED = 0,
  UVSMTP__FILTER_LOOKING, /* the whole message is read to see what is in it */
  UVSMTP__FILTER_HOLDING, /* it is read into `bytes` */
  UVSMTP__FILTER_HELD,    /* and is given from there, by `held` */
  UVSMTP__FILTER_PASSING  /* it is given as it comes */
} uvsmtp__filter_phase_t;

/* A reading by uvsmtp_raw_filter. */
typedef struct uvsmtp__filter_s {
  uvsmtp__filter_phase_t phase, next; /* after it has been opened once more */
  bool whole_open, held_open;
  int fault;                 /* why it cannot go as it stands */
  uvsmtp_source_info_t info; /* what the whole message, or `held`, says of itself */
  uvsmtp__buffer_t bytes;
  uvsmtp_raw_t *held_raw;
  uvsmtp_source_t held;
  uint64_t at;          /* offset of `rest` in the whole message */
  size_t range;         /* the omitted range that is next or going on */
  uvsmtp_slice_t rest;  /* of the piece that the whole message gave */
  uvsmtp_slice_t after; /* the piece behind that, if it is there already */
  size_t column;        /* bytes of the line that is being given */
} uvsmtp__filter_t;

struct uvsmtp_raw_s {
  uvsmtp_mem_t mem;
  unsigned flags;
  size_t max; /* of the header */
  bool begun, fed, complete, failed;
  uvsmtp__header_end_t end;
  uvsmtp__buffer_t header; /* what was fed */
  const char *bytes;       /* the message, or the header that was fed */
  size_t len;              /* of `bytes` */
  size_t header_len;       /* with the empty line */
  uvsmtp_range_t *omitted; /* has room for the next power of two */
  size_t omitted_count;
  uvsmtp_slice_t *slices; /* what is left of `bytes`, for uvsmtp_raw_source */
  size_t slice_count;
  unsigned has; /* bits of UVSMTP__RAW_… that are true of the slices */

  size_t max_held;         /* bytes that a filter may hold */
  uvsmtp__filter_t filter; /* a reading by it */

  /* the envelope */
  char *sender;
  uvsmtp_address_list_t **lists; /* own the addresses of the recipients */
  size_t list_count;
  uvsmtp_recipient_t *recipients;
  size_t recipient_count;
  char detail[UVSMTP__DETAIL_SIZE];
};

/* A place at the first field of a complete header. */
uvsmtp__fields_t uvsmtp__raw_fields(const uvsmtp_raw_t *raw);
#define UVSMTP__RAW_LINE 998 /* octets, RFC 5322 section 2.1.1 */

/* Why a message has to be encoded anew, and on what terms. */
enum {
  UVSMTP__RAW_8BIT = 1,    /* bytes above 127, for a server that takes none */
  UVSMTP__RAW_LONG = 2,    /* lines of over 998 octets */
  UVSMTP__RAW_BINARY = 8,  /* perhaps parts that only BINARYMIME would carry */
  UVSMTP__RAW_ATTACHED = 4 /* a DKIM signature on it is no hindrance: nobody checks it on the way */
};

/*
 * A reading of a message whose parts are encoded anew where `why` asks for it (recode.c). Opening
 * fails with UVSMTP_E8BIT or UVSMTP_ELINETOOLONG and the reason in raw->detail where a part must
 * not be touched.
 */
typedef struct uvsmtp__recode_s uvsmtp__recode_t;
int uvsmtp__recode_open(uvsmtp__recode_t **recode, uvsmtp_raw_t *raw, unsigned why,
                        uint64_t *length);
int uvsmtp__recode_next(uvsmtp__recode_t *recode, uvsmtp_slice_t *piece);
/* NULL is fine. */
void uvsmtp__recode_close(uvsmtp__recode_t *recode);

#define UVSMTP__NOT_ENCODED "in a part that must not be encoded"
/* Whether a part of this type is a message whose parts may be encoded; what else is message/… must
 * not be changed (RFC 2046 section 5.2), but for message/global (RFC 6532 section 3.7). */
bool uvsmtp__holds_message(const char *type);

/* Whether a line says "Content-Transfer-Encoding: binary", in a header or not. */
bool uvsmtp__mentions_binary(const char *bytes, size_t len);

/* Frees what uvsmtp_raw_envelope made. */
void uvsmtp__raw_drop_envelope(uvsmtp_raw_t *raw);

#endif
