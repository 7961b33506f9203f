/*
 * The command line, read by a table of options that each know their place in a struct of settings;
 * and small things that all commands print with.
 */
#include "tool.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

int complain(int status, const char *command, const char *format, ...)
{
  va_list arguments;

  fprintf(stderr, "uvsmtp %s: ", command);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  if (status == STATUS_USAGE)
    fprintf(stderr, " (see uvsmtp %s --help)", command);
  putc('\n', stderr);
  return status;
}

static bool texts_add(texts_t *texts, const char *text)
{
  const char **more = realloc(texts->at, (texts->count + 1) * sizeof *more);

  if (more == NULL)
    return false;
  texts->at = more;
  texts->at[texts->count++] = text;
  return true;
}

void texts_free(texts_t *texts)
{
  free(texts->at);
  texts->at = NULL;
  texts->count = 0;
}

static bool read_number(const char *text, uint64_t *number)
{
  char *end;
  unsigned long long value = strtoull(text, &end, 10);

  if (text[0] < '0' || text[0] > '9' || *end != '\0' || value == 0 || value > UINT32_MAX)
    return false;
  *number = value;
  return true;
}

static const option_t *find(const option_t *table, size_t count, const char *name, size_t len)
{
  for (size_t i = 0; i < count; i++)
    if (strlen(table[i].name) == len && strncmp(table[i].name, name, len) == 0)
      return &table[i];
  return NULL;
}

static bool read_rate(const char *value, uvsmtp_rate_t *rate)
{
  static const struct {
    const char *unit;
    uint64_t ms;
  } units[] = {{"", 1000}, {"/s", 1000}, {"/m", 60000}, {"/h", 3600000}};
  char number[24];
  size_t len = strcspn(value, "/");

  if (len >= sizeof number)
    return false;
  memcpy(number, value, len);
  number[len] = '\0';
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    if (strcmp(value + len, units[i].unit) != 0)
      continue;
    *rate = (uvsmtp_rate_t){.per_ms = units[i].ms};
    return read_number(number, &rate->count) && rate->count <= 1000000000;
  }
  return false;
}

static bool store(const option_t *option, void *settings, const char *value)
{
  char *place = (char *)settings + option->offset;

  switch (option->kind) {
  case OPTION_FLAG:
    *(bool *)(void *)place = true;
    return true;
  case OPTION_TEXT:
    *(const char **)(void *)place = value;
    return true;
  case OPTION_LIST:
    return texts_add((texts_t *)(void *)place, value);
  case OPTION_NUMBER:
    return read_number(value, (uint64_t *)(void *)place);
  case OPTION_RATE:
    return read_rate(value, (uvsmtp_rate_t *)(void *)place);
  }
  return false;
}

/* One option at argv[*i], which moves on by a value of its own. */
static int read_option(const option_t *table, size_t count, void *settings, int argc, char **argv,
                       int *i)
{
  const char *word = argv[*i], *name = word + 1 + (word[1] == '-');
  size_t len = strcspn(name, "=");
  const char *value = name[len] == '=' ? name + len + 1 : NULL;
  const option_t *option = find(table, count, name, len);

  /* "-to" and "--t" are nothing. */
  if (option == NULL || (len == 1) != (word[1] != '-'))
    return complain(STATUS_USAGE, argv[0], "unknown option %s", word);
  if (option->kind == OPTION_FLAG && value != NULL)
    return complain(STATUS_USAGE, argv[0], "--%s takes no value", option->name);
  if (option->kind != OPTION_FLAG && value == NULL) {
    if (*i + 1 >= argc)
      return complain(STATUS_USAGE, argv[0], "--%s needs a value", option->name);
    value = argv[++*i];
  }
  if (!store(option, settings, value))
    return complain(STATUS_USAGE, argv[0], "--%s cannot be %s", option->name, value);
  return STATUS_OK;
}

int options_read(const option_t *table, size_t count, void *settings, texts_t *rest, int argc,
                 char **argv)
{
  bool only_rest = false;

  for (int i = 1; i < argc; i++) {
    int status = STATUS_OK;
    if (!only_rest && strcmp(argv[i], "--") == 0)
      only_rest = true;
    else if (!only_rest && argv[i][0] == '-' && argv[i][1] != '\0')
      status = read_option(table, count, settings, argc, argv, &i);
    else if (!texts_add(rest, argv[i]))
      status = complain(STATUS_TEMPORARY, argv[0], "out of memory");
    if (status != STATUS_OK)
      return status;
  }
  return STATUS_OK;
}

void wipe(void *secret, size_t len)
{
  volatile char *p = secret;

  while (len-- > 0)
    *p++ = 0;
}

bool use_colour(FILE *file)
{
  const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

  return isatty(fileno(file)) && (no == NULL || no[0] == '\0') && term != NULL &&
         strcmp(term, "dumb") != 0;
}

void print_safe(FILE *file, const char *text)
{
  for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
    if (*p == '\n')
      fputs(" / ", file);
    else
      putc(*p < 32 || *p == 127 ? '?' : *p, file);
  }
}
