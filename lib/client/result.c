#include "client/result.h"

#include <string.h>

#include "base/mem.h"

/* The strings of a result, besides those of its recipients. */
static const size_t strings[] = {offsetof(uvsmtp_result_t, error_text),
                                 offsetof(uvsmtp_result_t, text), offsetof(uvsmtp_result_t, peer),
                                 offsetof(uvsmtp_result_t, queue_id)};
#define STRINGS (sizeof(strings) / sizeof(strings[0]))

static const char **string_of(uvsmtp_result_t *result, size_t i)
{
  return (const char **)(void *)((char *)result + strings[i]);
}

uvsmtp__kept_t *uvsmtp__kept_new(const uvsmtp_mem_t *mem, size_t recipients)
{
  uvsmtp__kept_t *kept;
  if (recipients > (SIZE_MAX - sizeof(*kept)) / sizeof(kept->recipients[0]))
    return NULL;
  kept = uvsmtp__calloc(mem, 1, sizeof(*kept) + recipients * sizeof(kept->recipients[0]));
  if (kept == NULL)
    return NULL;
  kept->mem = *mem;
  kept->capacity = recipients;
  return kept;
}

void uvsmtp__kept_free(uvsmtp__kept_t *kept)
{
  while (kept != NULL) {
    uvsmtp_mem_t mem = kept->mem;
    uvsmtp__kept_t *next = kept->next;
    uvsmtp__free(&mem, kept->words);
    uvsmtp__free(&mem, kept);
    kept = next;
  }
}

/* The place that a string was moved to. */
static const char *move(char **at, const char *string)
{
  size_t size = strlen(string) + 1;
  char *moved = memcpy(*at, string, size);
  *at += size;
  return moved;
}

static size_t size_of_words(const uvsmtp__kept_t *kept)
{
  size_t size = 0;
  for (size_t i = 0; i < STRINGS; i++)
    size += strlen(*string_of((uvsmtp_result_t *)(uintptr_t)&kept->result, i)) + 1;
  for (size_t i = 0; i < kept->result.recipient_count; i++)
    size += strlen(kept->recipients[i].address) + strlen(kept->recipients[i].text) + 2;
  return size;
}

static void move_words(uvsmtp__kept_t *kept)
{
  char *at = kept->words;
  for (size_t i = 0; i < STRINGS; i++)
    *string_of(&kept->result, i) = move(&at, *string_of(&kept->result, i));
  for (size_t i = 0; i < kept->result.recipient_count; i++) {
    kept->recipients[i].address = move(&at, kept->recipients[i].address);
    kept->recipients[i].text = move(&at, kept->recipients[i].text);
  }
}

static void drop_words(uvsmtp__kept_t *kept)
{
  for (size_t i = 0; i < STRINGS; i++)
    *string_of(&kept->result, i) = "";
  kept->result.error_text = kept->result.err != 0 ? uvsmtp_strerror(kept->result.err) : "";
  for (size_t i = 0; i < kept->result.recipient_count; i++)
    kept->recipients[i].text = "";
}

bool uvsmtp__kept_fill(uvsmtp__kept_t *kept, const uvsmtp_result_t *result)
{
  kept->result = *result;
  if (kept->result.recipient_count > kept->capacity)
    kept->result.recipient_count = kept->capacity;
  if (kept->result.recipient_count > 0)
    memmove(kept->recipients, result->recipients,
            kept->result.recipient_count * sizeof(kept->recipients[0]));
  kept->result.recipients = kept->recipients;
  uvsmtp__free(&kept->mem, kept->words);
  kept->words = uvsmtp__malloc(&kept->mem, size_of_words(kept));
  if (kept->words == NULL) {
    drop_words(kept);
    return false;
  }
  move_words(kept);
  return true;
}

int uvsmtp_result_copy(uvsmtp_result_t **copy, const uvsmtp_result_t *result,
                       const uvsmtp_mem_t *mem)
{
  uvsmtp__kept_t *kept;
  if (copy == NULL || result == NULL)
    return UVSMTP_EINVAL;
  *copy = NULL;
  kept = uvsmtp__kept_new(uvsmtp__mem(mem), result->recipient_count);
  if (kept == NULL)
    return UVSMTP_ENOMEM;
  if (!uvsmtp__kept_fill(kept, result)) {
    uvsmtp__kept_free(kept);
    return UVSMTP_ENOMEM;
  }
  *copy = &kept->result;
  return 0;
}

void uvsmtp_result_free(uvsmtp_result_t *copy)
{
  uvsmtp__kept_free((uvsmtp__kept_t *)(void *)copy);
}
