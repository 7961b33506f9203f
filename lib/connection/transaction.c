/* The memory of a transaction, with room for its recipients, and the words that it owns. */
#include <string.h>

#include "base/mem.h"
#include "connection/result.h"

uvsmtp__transaction_t *uvsmtp__transaction_allocate(uvsmtp_connection_t *c, size_t count)
{
  uvsmtp__transaction_t *t;
  size_t each = sizeof(*t->results) + sizeof(*t->texts) + sizeof(*t->doubts);
  if (count > (SIZE_MAX - sizeof(*t)) / each)
    return NULL;
  t = uvsmtp__calloc(c->mem, 1, sizeof(*t) + count * each);
  if (t == NULL)
    return NULL;
  t->mem = *c->mem;
  t->capacity = count;
  t->results = (uvsmtp_recipient_result_t *)(t + 1);
  t->texts = (char **)(t->results + count);
  t->doubts = (bool *)(t->texts + count);
  return t;
}

uvsmtp__transaction_t *uvsmtp__transaction_find(uvsmtp_connection_t *c, size_t count)
{
  for (uvsmtp__link_t **at = &c->pump->free; *at != NULL; at = &(*at)->next) {
    uvsmtp__transaction_t *t = UVSMTP__CONTAINER(*at, uvsmtp__transaction_t, link);
    if (t->capacity >= count) {
      *at = t->link.next;
      return t;
    }
  }
  return uvsmtp__transaction_allocate(c, count);
}

void uvsmtp__transaction_keep_words(uvsmtp__transaction_t *t, size_t i, const char *text)
{
  char *words = uvsmtp__strdup(&t->mem, text);
  uvsmtp__free(&t->mem, t->texts[i]);
  t->texts[i] = words;
  t->worded = true;
  t->results[i].text = words != NULL ? words : "";
}

void uvsmtp__transaction_clear(uvsmtp__transaction_t *t)
{
  for (size_t i = 0; t->worded && i < t->count; i++) {
    uvsmtp__free(&t->mem, t->texts[i]);
    t->texts[i] = NULL;
  }
  if (t->doubtful)
    memset(t->doubts, 0, t->count * sizeof(*t->doubts));
}

void uvsmtp__transaction_free(uvsmtp__transaction_t *t)
{
  uvsmtp_mem_t mem = t->mem;
  uvsmtp__transaction_clear(t);
  uvsmtp__free(&mem, t);
}

void uvsmtp__transaction_release(uvsmtp_connection_t *c, uvsmtp__transaction_t *t)
{
  if (t->carried)
    return;
  if (t->foreign && memcmp(&t->mem, c->mem, sizeof(*c->mem)) != 0) {
    uvsmtp__transaction_free(t);
    return;
  }
  if (t->worded || t->doubtful)
    uvsmtp__transaction_clear(t);
  uvsmtp__transaction_put_by(c, t);
}
