#include "message/recipients.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "message/address.h"

/* An address and its place, for sorting; `again` marks all but the first of equal ones. */
typedef struct {
  const char *address;
  size_t place;
  bool again;
} entry_t;

static int by_place(const void *a, const void *b)
{
  const entry_t *x = a, *y = b;
  return (x->place > y->place) - (x->place < y->place);
}

static int by_address(const void *a, const void *b)
{
  const entry_t *x = a, *y = b;
  int order = uvsmtp__address_compare(x->address, y->address);
  return order != 0 ? order : by_place(a, b);
}

/* Sorting finds the equal ones in n log n steps, whatever addresses somebody thinks up. */
static void mark_duplicates(entry_t *entries, size_t count)
{
  qsort(entries, count, sizeof(*entries), by_address);
  for (size_t i = 1; i < count; i++)
    entries[i].again = uvsmtp_address_equal(entries[i - 1].address, entries[i].address) != 0;
  qsort(entries, count, sizeof(*entries), by_place);
}

int uvsmtp__recipients_unique(const uvsmtp_mem_t *mem, const char *const *addresses, size_t count,
                              uvsmtp_recipient_t **out, size_t *out_count)
{
  entry_t *entries = uvsmtp__calloc(mem, count, sizeof(*entries));
  *out = uvsmtp__calloc(mem, count, sizeof(**out));
  *out_count = 0;
  if (entries == NULL || *out == NULL) {
    uvsmtp__free(mem, entries);
    uvsmtp__free(mem, *out);
    *out = NULL;
    return UVSMTP_ENOMEM;
  }
  for (size_t i = 0; i < count; i++)
    entries[i] = (entry_t){addresses[i], i, false};
  mark_duplicates(entries, count);
  for (size_t i = 0; i < count; i++)
    if (!entries[i].again)
      (*out)[(*out_count)++].address = entries[i].address;
  uvsmtp__free(mem, entries);
  return 0;
}
