#ifndef UVSMTP_MESSAGE_SOURCE_H
#define UVSMTP_MESSAGE_SOURCE_H

#include "uvsmtp/source.h"

/* What the last failure of a source was about; "" if it does not say. */
const char *uvsmtp__source_detail(uvsmtp_source_t *source);

#endif
