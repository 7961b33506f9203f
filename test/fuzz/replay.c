/*
 * Runs a fuzz target as an ordinary test: replay FOLDER [MUTATIONS]. First every file of FOLDER as
 * it is, then mutations of them, always the same ones for a seed. It stops after about a second,
 * but not before each file and the first mutations had their turn.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "chance.h"
#include "target.h"

#define MAX_SEEDS 64
#define MAX_LEN 4096
#define USUAL_MUTATIONS 4000
#define FIRST_MUTATIONS 100

typedef struct seed_s {
  uint8_t bytes[MAX_LEN];
  size_t len;
} seed_t;

static seed_t seeds[MAX_SEEDS];
static size_t seed_count;

static void load(const char *folder, const char *name)
{
  char path[1024];
  FILE *file;

  FUZZ_CHECK(seed_count < MAX_SEEDS);
  FUZZ_CHECK(snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path));
  file = fopen(path, "rb");
  FUZZ_CHECK(file != NULL);
  seeds[seed_count].len = fread(seeds[seed_count].bytes, 1, MAX_LEN, file);
  seed_count++;
  fclose(file);
}

/* In an order that does not depend on the file system. */
static int by_content(const void *a, const void *b)
{
  const seed_t *x = a, *y = b;

  if (x->len != y->len)
    return x->len < y->len ? -1 : 1;
  return memcmp(x->bytes, y->bytes, x->len);
}

static void load_all(const char *folder)
{
  DIR *dir = opendir(folder);
  struct dirent *entry;

  FUZZ_CHECK(dir != NULL);
  while ((entry = readdir(dir)) != NULL) {
    if (entry->d_name[0] != '.')
      load(folder, entry->d_name);
  }
  closedir(dir);
  FUZZ_CHECK(seed_count > 0);
  qsort(seeds, seed_count, sizeof(seeds[0]), by_content);
}

/* Puts a piece of another seed in place of what stands from `at` on. */
static void splice(seed_t *to, chance_t *chance, size_t at)
{
  const seed_t *from = &seeds[chance_below(chance, seed_count)];
  size_t start = chance_below(chance, from->len + 1);
  size_t len = chance_below(chance, from->len - start + 1);

  if (len > MAX_LEN - at)
    len = MAX_LEN - at;
  memcpy(to->bytes + at, from->bytes + start, len);
  to->len = at + len > to->len ? at + len : to->len;
}

static void mutate_once(seed_t *seed, chance_t *chance)
{
  static const char telling[] = "\r\n\0 -@<>\"\\=,:;.()+%&[]/0123456789\xff\x80";
  size_t at = chance_below(chance, seed->len + 1);

  switch (chance_below(chance, 5)) {
  case 0:
    splice(seed, chance, at);
    break;
  case 1:
    seed->len = at;
    break;
  case 2: /* one byte less */
    if (at < seed->len) {
      memmove(seed->bytes + at, seed->bytes + at + 1, seed->len - at - 1);
      seed->len--;
    }
    break;
  case 3: /* one byte more */
    if (seed->len < MAX_LEN) {
      memmove(seed->bytes + at + 1, seed->bytes + at, seed->len - at);
      seed->bytes[at] = (uint8_t)chance_next(chance);
      seed->len++;
    }
    break;
  default:
    if (at < seed->len)
      seed->bytes[at] = (uint8_t)telling[chance_below(chance, sizeof(telling) - 1)];
  }
}

static void run(const seed_t *seed)
{
  uint8_t *copy = malloc(seed->len + 1);

  FUZZ_CHECK(copy != NULL);
  memcpy(copy, seed->bytes, seed->len);
  FUZZ_CHECK(LLVMFuzzerTestOneInput(copy, seed->len) == 0);
  free(copy);
}

int main(int argc, char **argv)
{
  size_t i, rounds, mutations = argc > 2 ? strtoul(argv[2], NULL, 10) : USUAL_MUTATIONS;
  chance_t chance = chance_of(chance_seed("fuzz", 1));
  clock_t start = clock();
  static seed_t changed;

  FUZZ_CHECK(argc > 1);
  load_all(argv[1]);
  for (i = 0; i < seed_count; i++)
    run(&seeds[i]);
  for (i = 0; i < mutations; i++) {
    if (i >= FIRST_MUTATIONS && clock() - start > CLOCKS_PER_SEC)
      break;
    changed = seeds[chance_below(&chance, seed_count)];
    for (rounds = 1 + chance_below(&chance, 6); rounds > 0; rounds--)
      mutate_once(&changed, &chance);
    run(&changed);
  }
  printf("%zu seeds, %zu mutations\n", seed_count, i);
  return 0;
}
