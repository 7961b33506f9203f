#ifndef SINK_JSON_H
#define SINK_JSON_H

#include "sink/sink.h"

#include <stdio.h>

/* One line with all that is known of a message: {"message": 1, "from": "…", …} */
void sink__json_message(FILE *f, const sink_message_t *message, unsigned body);
/* {"counters": {"connections": 1, …, "violations": 0}} */
void sink__json_counters(FILE *f, const sink_counters_t *counters);
/* "text", escaped; bytes that are not UTF-8 become \u0080 to \u00ff. */
void sink__json_string(FILE *f, const char *text);

#endif
