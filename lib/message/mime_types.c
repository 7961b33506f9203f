#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "message/mime_table.h"
#include "uvsmtp/message.h"

static int by_ending(const void *key, const void *row)
{
  const char *a = key, *b = row; /* a row begins with its ending */
  int order = 0;
  for (size_t i = 0; order == 0 && (i == 0 || a[i - 1] != '\0'); i++)
    order = (unsigned char)uvsmtp__ascii_lower(a[i]) - (unsigned char)b[i];
  return order;
}

const char *uvsmtp_mime_type(const char *filename)
{
  const char *dot = filename != NULL ? strrchr(filename, '.') : NULL;
  size_t count = sizeof(mime_rows) / sizeof(mime_rows[0]);
  const char *row = NULL;
  if (dot != NULL && strlen(dot + 1) < sizeof(mime_rows[0].ending))
    row = bsearch(dot + 1, mime_rows, count, sizeof(mime_rows[0]), by_ending);
  if (row == NULL)
    return "application/octet-stream";
  return mime_names + mime_rows[(size_t)(row - mime_rows[0].ending) / sizeof(mime_rows[0])].type;
}
