#include "message/address.h"

/*
 * Reads the address lists of header fields: RFC 5322 section 3.4 with the obsolete forms of
 * section 4.4, and UTF-8 as RFC 6532 has it.
 *
 * An element begins with words, and what follows the words says what they were:
 *
 *     words "<" … ">"     a display name, then the address
 *     words ":" … ";"     the name of a group, then its members
 *     words "@" domain    a local part
 *
 * So the words are collected in both readings at once: as a name (blanks kept as one blank) and as
 * a local part (blanks dropped, and whether word and dot take turns). All strings of a list lie in
 * one pool; while it grows they are known by their offsets.
 */
#include <stdint.h>
#include <string.h>

#include "base/buffer.h"
#include "base/mem.h"
#include "base/text.h"
#include "message/detail.h"

#define NONE SIZE_MAX

typedef struct {
  size_t name, address, group; /* offsets into the pool */
} item_t;

struct uvsmtp_address_list_s {
  uvsmtp_mem_t mem;
  char *pool;
  uvsmtp_address_t *items;
  size_t count;
};

typedef struct {
  const char *start, *p, *end;
  const uvsmtp_mem_t *mem;
  uvsmtp__buffer_t pool;
  item_t *items;
  size_t count, room;
  size_t group; /* of the elements that are being read */
  uvsmtp__buffer_t name, local, domain;
  bool local_ok; /* `local` is word *("." word) */
  const char *fault;
} parser_t;

static int fail(parser_t *ps, const char *fault)
{
  ps->fault = fault;
  return UVSMTP_EADDRESS;
}

static int append(uvsmtp__buffer_t *b, char c)
{
  return uvsmtp__buffer_append(b, &c, 1);
}

/* ---- Blanks and comments ---- */

/* The length of blank space at `p`: one blank, or a line end that folds or ends the text. */
static size_t blank_len(const parser_t *ps)
{
  const char *p = ps->p;
  if (p == ps->end)
    return 0;
  if (*p == ' ' || *p == '\t')
    return 1;
  if (*p == '\r')
    p++;
  if (p < ps->end && *p == '\n')
    p++;
  if (p == ps->p)
    return 0;
  return p == ps->end || *p == ' ' || *p == '\t' ? (size_t)(p - ps->p) : 0;
}

/* Reads a comment, which may hold others and backslashes (RFC 5322 section 3.2.2). */
static int skip_comment(parser_t *ps)
{
  size_t depth = 0, n;
  while (ps->p < ps->end) {
    char c = *ps->p;
    if ((n = blank_len(ps)) != 0) {
      ps->p += n;
      continue;
    }
    if (c == '\r' || c == '\n')
      return fail(ps, "a line break that does not fold");
    if (c == '\\' && ps->p + 1 < ps->end)
      ps->p++;
    ps->p++;
    if (c == '(')
      depth++;
    else if (c == ')' && --depth == 0)
      return 0;
  }
  return fail(ps, "a comment is not closed");
}

/* Skips blanks and comments; tells in `*skipped` (may be NULL) whether there were any. */
static int skip_cfws(parser_t *ps, bool *skipped)
{
  const char *from = ps->p;
  int err = 0;
  while (err == 0 && ps->p < ps->end) {
    size_t n = blank_len(ps);
    if (n != 0)
      ps->p += n;
    else if (*ps->p == '(')
      err = skip_comment(ps);
    else
      break;
  }
  if (skipped != NULL)
    *skipped = ps->p != from;
  return err;
}

static bool at(const parser_t *ps, char c)
{
  return ps->p < ps->end && *ps->p == c;
}

/* ---- Words ---- */

static int add_to_words(parser_t *ps, char c)
{
  int err = append(&ps->name, c);
  return err != 0 ? err : append(&ps->local, c);
}

static int read_quoted(parser_t *ps)
{
  int err = 0;
  ps->p++;
  while (err == 0 && ps->p < ps->end && *ps->p != '"') {
    size_t n = blank_len(ps);
    if (n != 0 && *ps->p != ' ' && *ps->p != '\t') { /* the line end of a fold is no content */
      ps->p += n;
      continue;
    }
    if (*ps->p == '\\' && ps->p + 1 < ps->end)
      ps->p++;
    if (uvsmtp__is_control(*ps->p) && *ps->p != '\t')
      return fail(ps, "a control character or line break between quotes");
    err = add_to_words(ps, *ps->p++);
  }
  if (err != 0)
    return err;
  if (ps->p == ps->end)
    return fail(ps, "a quote is not closed");
  ps->p++;
  return 0;
}

static int read_atom(parser_t *ps)
{
  int err = 0;
  while (err == 0 && ps->p < ps->end && uvsmtp__is_atext(*ps->p))
    err = add_to_words(ps, *ps->p++);
  return err;
}

/* Reads words and dots into `name` and `local`; `*count` is how many. */
static int read_words(parser_t *ps, size_t *count)
{
  bool blank, word = false;
  int err;
  *count = 0;
  ps->local_ok = true;
  uvsmtp__buffer_clear(&ps->name);
  uvsmtp__buffer_clear(&ps->local);
  for (;;) {
    if ((err = skip_cfws(ps, &blank)) != 0)
      return err;
    if (!at(ps, '"') && !at(ps, '.') && !(ps->p < ps->end && uvsmtp__is_atext(*ps->p)))
      break;
    if (blank && uvsmtp__buffer_len(&ps->name) > 0 && (err = append(&ps->name, ' ')) != 0)
      return err;
    if ((*ps->p == '.') != word) /* a word after a word, a dot after a dot or at the start */
      ps->local_ok = false;
    word = *ps->p != '.';
    err = *ps->p == '"' ? read_quoted(ps) : word ? read_atom(ps) : add_to_words(ps, *ps->p++);
    if (err != 0)
      return err;
    ++*count;
  }
  ps->local_ok = ps->local_ok && word;
  return 0;
}

/* ---- Addresses ---- */

static int read_literal(parser_t *ps)
{
  int err = 0;
  while (err == 0 && ps->p < ps->end && *ps->p != ']') {
    size_t n = blank_len(ps);
    if (n != 0)
      ps->p += n;
    else
      err = append(&ps->domain, *ps->p++);
  }
  if (err != 0)
    return err;
  if (ps->p == ps->end)
    return fail(ps, "an address literal is not closed");
  return append(&ps->domain, *ps->p++);
}

/* Reads a domain without the blanks and comments that obsolete syntax allows around its dots. */
static int read_domain(parser_t *ps)
{
  int err = skip_cfws(ps, NULL);
  uvsmtp__buffer_clear(&ps->domain);
  if (err != 0)
    return err;
  if (at(ps, '['))
    return read_literal(ps);
  for (bool dot = true; ps->p < ps->end;) {
    if (*ps->p != '.' && (!dot || !uvsmtp__is_atext(*ps->p)))
      break;
    dot = *ps->p == '.';
    do
      err = append(&ps->domain, *ps->p++);
    while (err == 0 && !dot && ps->p < ps->end && uvsmtp__is_atext(*ps->p));
    if (err != 0 || (err = skip_cfws(ps, NULL)) != 0)
      return err;
  }
  return 0;
}

/* Skips "@a,@b:" in front of an address: RFC 5321 appendix C lets routes be ignored. */
static int skip_route(parser_t *ps)
{
  int err = skip_cfws(ps, NULL);
  if (err != 0 || (!at(ps, '@') && !at(ps, ',')))
    return err;
  while (at(ps, '@') || at(ps, ',')) {
    bool domain = *ps->p++ == '@';
    if (domain && (err = read_domain(ps)) != 0)
      return err;
    if ((err = skip_cfws(ps, NULL)) != 0)
      return err;
  }
  if (!at(ps, ':'))
    return fail(ps, "a route does not end with \":\"");
  ps->p++;
  return 0;
}

static int grow_items(parser_t *ps)
{
  size_t room = ps->room != 0 ? 2 * ps->room : 4;
  item_t *items;
  if (ps->count < ps->room)
    return 0;
  items = uvsmtp__realloc_array(ps->mem, ps->items, room, sizeof(*items));
  if (items == NULL)
    return UVSMTP_ENOMEM;
  ps->items = items;
  ps->room = room;
  return 0;
}

/* Puts a string and its NUL into the pool. */
static int keep(parser_t *ps, const char *s, size_t len, size_t *offset)
{
  int err = uvsmtp__buffer_append(&ps->pool, s, len);
  *offset = uvsmtp__buffer_len(&ps->pool) - len;
  return err != 0 ? err : append(&ps->pool, '\0');
}

/* Adds a mailbox of `local` and `domain` with a name. */
static int add_mailbox(parser_t *ps, const char *name, size_t name_len)
{
  char address[UVSMTP_ADDRESS_SIZE];
  item_t *item;
  int err = uvsmtp__address_join(address, uvsmtp__buffer_data(&ps->local),
                                 uvsmtp__buffer_len(&ps->local), uvsmtp__buffer_data(&ps->domain),
                                 uvsmtp__buffer_len(&ps->domain), &ps->fault);
  if (err != 0 || (err = grow_items(ps)) != 0)
    return err;
  item = &ps->items[ps->count];
  item->group = ps->group;
  if ((err = keep(ps, name, name_len, &item->name)) != 0 ||
      (err = keep(ps, address, strlen(address), &item->address)) != 0)
    return err;
  ps->count++;
  return 0;
}

/* Reads "@domain" behind a local part that stands in `local`. */
static int read_at_domain(parser_t *ps, size_t words)
{
  if (words == 0)
    return fail(ps, "an address has no local part");
  if (!at(ps, '@'))
    return fail(ps, ps->p == ps->end || strchr(",;>", *ps->p) != NULL
                        ? "an address has no domain"
                        : "a character that cannot stand here");
  if (!ps->local_ok)
    return fail(ps, "the local part needs quotes");
  ps->p++;
  return read_domain(ps);
}

/* Reads "<route:local@domain>"; the words read before are its name. */
static int read_angle(parser_t *ps)
{
  uvsmtp__buffer_t name = ps->name;
  size_t words;
  int err;
  ps->p++;
  uvsmtp__buffer_init(&ps->name, ps->mem, name.max); /* the words of the address go elsewhere */
  err = skip_route(ps);
  if (err == 0)
    err = read_words(ps, &words);
  if (err == 0)
    err = read_at_domain(ps, words);
  if (err == 0)
    err = skip_cfws(ps, NULL);
  if (err == 0 && !at(ps, '>'))
    err = fail(ps, "an address is not closed by \">\"");
  uvsmtp__buffer_free(&ps->name);
  ps->name = name;
  if (err != 0)
    return err;
  ps->p++;
  return add_mailbox(ps, uvsmtp__buffer_data(&ps->name), uvsmtp__buffer_len(&ps->name));
}

static int read_list(parser_t *ps);

static int read_group(parser_t *ps, size_t words)
{
  int err;
  if (ps->group != NONE)
    return fail(ps, "a group inside a group");
  if (words == 0)
    return fail(ps, "a group has no name");
  ps->p++;
  if ((err = keep(ps, uvsmtp__buffer_data(&ps->name), uvsmtp__buffer_len(&ps->name), &ps->group)) !=
          0 ||
      (err = read_list(ps)) != 0)
    return err;
  if (!at(ps, ';'))
    return fail(ps, "a group is not closed by \";\"");
  ps->p++;
  ps->group = NONE;
  return 0;
}

static int read_element(parser_t *ps)
{
  size_t words;
  int err = read_words(ps, &words);
  if (err != 0)
    return err;
  if (at(ps, '<'))
    return read_angle(ps);
  if (at(ps, ':'))
    return read_group(ps, words);
  err = read_at_domain(ps, words);
  return err != 0 ? err : add_mailbox(ps, "", 0);
}

/* Reads elements up to the end of the text, or of the group. Empty ones are obsolete but legal. */
static int read_list(parser_t *ps)
{
  bool in_group = ps->group != NONE;
  int err;
  for (;;) {
    if ((err = skip_cfws(ps, NULL)) != 0)
      return err;
    if (at(ps, ',')) {
      ps->p++;
      continue;
    }
    if (ps->p == ps->end || (in_group && at(ps, ';')))
      return 0;
    if ((err = read_element(ps)) != 0 || (err = skip_cfws(ps, NULL)) != 0)
      return err;
    if (ps->p < ps->end && !at(ps, ',') && !(in_group && at(ps, ';')))
      return fail(ps, "a character that cannot stand behind an address");
  }
}

/* ---- The list ---- */

/* Turns offsets into strings; the list takes the pool over. */
static int make_list(parser_t *ps, uvsmtp_address_list_t **out)
{
  uvsmtp_address_list_t *list = uvsmtp__calloc(ps->mem, 1, sizeof(*list));
  uvsmtp_address_t *items = uvsmtp__calloc(ps->mem, ps->count + 1, sizeof(*items));
  if (list == NULL || items == NULL) {
    uvsmtp__free(ps->mem, list);
    uvsmtp__free(ps->mem, items);
    return UVSMTP_ENOMEM;
  }
  list->mem = *uvsmtp__mem(ps->mem);
  list->pool = ps->pool.base;
  list->items = items;
  list->count = ps->count;
  for (size_t i = 0; i < ps->count; i++) {
    items[i].name = list->pool + ps->items[i].name;
    items[i].address = list->pool + ps->items[i].address;
    items[i].group = ps->items[i].group != NONE ? list->pool + ps->items[i].group : NULL;
  }
  uvsmtp__buffer_init(&ps->pool, ps->mem, 0);
  *out = list;
  return 0;
}

int uvsmtp_address_list_parse(uvsmtp_address_list_t **list, const char *text, size_t len,
                              const uvsmtp_mem_t *mem, char *detail, size_t detail_size)
{
  parser_t ps = {.start = text, .p = text, .end = text + len, .mem = mem, .group = NONE};
  /* Quoting at most doubles a text, and every mailbox has two NULs and three bytes of its own. */
  size_t max = len < SIZE_MAX / 8 ? 4 * len + 64 : SIZE_MAX / 2;
  int err;
  *list = NULL;
  uvsmtp__buffer_init(&ps.pool, mem, max);
  uvsmtp__buffer_init(&ps.name, mem, max);
  uvsmtp__buffer_init(&ps.local, mem, max);
  uvsmtp__buffer_init(&ps.domain, mem, max);
  if ((err = uvsmtp__buffer_reserve(&ps.name, 1)) == 0 &&
      (err = uvsmtp__buffer_reserve(&ps.local, 1)) == 0 &&
      (err = uvsmtp__buffer_reserve(&ps.domain, 1)) == 0)
    err = read_list(&ps);
  if (err == 0)
    err = make_list(&ps, list);
  uvsmtp__free(mem, ps.items);
  uvsmtp__buffer_free(&ps.pool);
  uvsmtp__buffer_free(&ps.name);
  uvsmtp__buffer_free(&ps.local);
  uvsmtp__buffer_free(&ps.domain);
  if (err == UVSMTP_EADDRESS)
    uvsmtp__detail(detail, detail_size, err, "byte %zu: %s", (size_t)(ps.p - text) + 1, ps.fault);
  return err;
}

size_t uvsmtp_address_list_count(const uvsmtp_address_list_t *list)
{
  return list->count;
}

const uvsmtp_address_t *uvsmtp_address_list_at(const uvsmtp_address_list_t *list, size_t i)
{
  return &list->items[i];
}

void uvsmtp_address_list_free(uvsmtp_address_list_t *list)
{
  uvsmtp_mem_t mem;
  if (list == NULL)
    return;
  mem = list->mem;
  uvsmtp__free(&mem, list->pool);
  uvsmtp__free(&mem, list->items);
  uvsmtp__free(&mem, list);
}
