/* What EHLO offers (RFC 5321 section 4.1.1.1), with the forms that old servers use. */
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "protocol/machine.h"

const uvsmtp_capabilities_t uvsmtp__no_capabilities = {
    .auth_mechanisms = "", .domain = "", .lines = ""};

void uvsmtp__offer_release(uvsmtp_protocol_settings_t *settings, offer_t *offer)
{
  if (offer != NULL && --offer->users == 0)
    uvsmtp__free(&settings->mem, offer);
}

void uvsmtp__capabilities_clear(uvsmtp_protocol_t *p)
{
  const uvsmtp_capabilities_t *old = p->capabilities;
  p->capabilities = &uvsmtp__no_capabilities;
  if (old != &uvsmtp__no_capabilities)
    uvsmtp__offer_release(p->shared, (offer_t *)((char *)old - offsetof(offer_t, capabilities)));
}

uint64_t uvsmtp__capability_number(const char *s, size_t len, uint64_t max)
{
  uint64_t value = 0;
  for (size_t i = 0; i < len; i++) {
    unsigned digit = (unsigned)(s[i] - '0');
    if (digit > 9 || value > (max - digit) / 10)
      return 0;
    value = value * 10 + digit;
  }
  return value;
}

/* RFC 9422: "LIMITS RCPTMAX=20 MAILMAX=5"; what is malformed does not count. */
static void read_limits(uvsmtp_capabilities_t *c, const char *at)
{
  while (*at != '\0') {
    size_t len = strcspn(at, " "), name = strcspn(at, "= ");
    const char *value = at + name + 1;
    uint32_t *to = uvsmtp__ascii_equal(at, name, "MAILMAX", 7)          ? &c->max_mails
                   : uvsmtp__ascii_equal(at, name, "RCPTMAX", 7)        ? &c->max_recipients
                   : uvsmtp__ascii_equal(at, name, "RCPTDOMAINMAX", 13) ? &c->max_domains
                                                                        : NULL;
    if (to != NULL && len > name + 1)
      *to = (uint32_t)uvsmtp__capability_number(value, len - name - 1, 999999);
    at += len + (at[len] == ' ');
  }
}

static bool has_word(const char *list, const char *word, size_t len)
{
  while (*list != '\0') {
    size_t n = strcspn(list, " ");
    if (uvsmtp__ascii_equal(list, n, word, len))
      return true;
    list += n + (list[n] == ' ');
  }
  return false;
}

/* Adds the mechanisms of one line to the list at `list`, upper case, each once. */
static void read_mechanisms(char *list, const char *at)
{
  while (*at != '\0') {
    size_t len = strcspn(at, " ="), held = strlen(list);
    if (len > 0 && !has_word(list, at, len)) {
      if (held > 0)
        list[held++] = ' ';
      for (size_t i = 0; i < len; i++)
        list[held++] = uvsmtp__ascii_upper(at[i]);
      list[held] = '\0';
    }
    at += len + (at[len] != '\0');
  }
}

static unsigned extension_bit(const char *keyword)
{
  static const char *const keywords[] = {
#define X(name, keyword) keyword,
      UVSMTP_EXTENSION_MAP(X)
#undef X
  };
  for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
    if (strcmp(keyword, keywords[i]) == 0)
      return 1u << i;
  return 0;
}

/* Copies one line to `to`: keyword in upper case, a blank (also for "AUTH="), parameters. */
static size_t copy_line(char *to, uvsmtp_slice_t text)
{
  size_t i = 0, len = text.len;
  while (len > 0 && (text.base[len - 1] == ' ' || text.base[len - 1] == '\t'))
    len--;
  for (; i < len && text.base[i] != ' ' && text.base[i] != '='; i++)
    to[i] = uvsmtp__ascii_upper(text.base[i]);
  if (i < len)
    to[i++] = ' ';
  /* A NUL would hide the rest of the line. */
  for (; i < len; i++)
    to[i] = text.base[i] != '\0' ? text.base[i] : '?';
  to[len] = '\0';
  return len;
}

static void note_line(const uvsmtp_protocol_t *p, uvsmtp_capabilities_t *c, char *line,
                      char *mechanisms)
{
  size_t keyword = strcspn(line, " ");
  char *parameters = line + keyword + (line[keyword] == ' ');
  char held = line[keyword];
  unsigned bit;
  line[keyword] = '\0';
  bit = extension_bit(line);
  if (strcmp(line, "X-EXPS") == 0)
    bit = UVSMTP_EXT_AUTH;
  line[keyword] = held;
  if (bit == UVSMTP_EXT_STARTTLS && p->tls)
    bit = 0; /* offered again inside TLS: means nothing */
  c->extensions |= bit;
  if (bit == UVSMTP_EXT_SIZE)
    c->max_message_size =
        uvsmtp__capability_number(parameters, strcspn(parameters, " "), UINT64_MAX);
  else if (bit == UVSMTP_EXT_AUTH)
    read_mechanisms(mechanisms, parameters);
  else if (bit == UVSMTP_EXT_LIMITS)
    read_limits(c, parameters);
}

/* What was read of an EHLO: three texts, each in a part of its own of `room` octets. */
typedef struct {
  uvsmtp_capabilities_t capabilities;
  char *lines, *domain, *mechanisms;
  size_t lines_len, domain_len, mechanisms_len; /* with their ends */
} reading_t;

static void read_reply(const uvsmtp_protocol_t *p, reading_t *r, const uvsmtp_reply_t *reply)
{
  char *line = r->lines;
  uvsmtp_slice_t slice;
  size_t at = 0, len;
  if (uvsmtp_reply_next_line(reply, &at, &slice))
    for (size_t i = 0; i < slice.len && slice.base[i] != ' '; i++)
      r->domain[i] = slice.base[i];
  while (uvsmtp_reply_next_line(reply, &at, &slice)) {
    if ((len = copy_line(line, slice)) == 0)
      continue;
    note_line(p, &r->capabilities, line, r->mechanisms);
    r->capabilities.line_count++;
    line += len + 1;
  }
  r->lines_len = (size_t)(line - r->lines) + 1;
  r->domain_len = strlen(r->domain) + 1;
  r->mechanisms_len = strlen(r->mechanisms) + 1;
}

/* Moves the texts together, to the first of them. */
static size_t pack(reading_t *r)
{
  memmove(r->lines + r->lines_len, r->domain, r->domain_len);
  memmove(r->lines + r->lines_len + r->domain_len, r->mechanisms, r->mechanisms_len);
  return r->lines_len + r->domain_len + r->mechanisms_len;
}

static offer_t *make_offer(uvsmtp_protocol_settings_t *settings, const reading_t *r, size_t len)
{
  offer_t *offer = uvsmtp__malloc(&settings->mem, sizeof(*offer) + len);
  if (offer == NULL)
    return NULL;
  offer->users = 0;
  offer->capabilities = r->capabilities;
  offer->capabilities.lines = offer->text;
  offer->capabilities.domain = offer->text + r->lines_len;
  offer->capabilities.auth_mechanisms = offer->text + r->lines_len + r->domain_len;
  offer->len = len;
  memcpy(offer->text, r->lines, len);
  return offer;
}

/* The offer of the session before, if it is the same: all of it follows from the texts. */
static offer_t *find_offer(uvsmtp_protocol_t *p, reading_t *r)
{
  uvsmtp_protocol_settings_t *settings = p->shared;
  offer_t **known = &settings->offers[p->tls], *offer = *known;
  size_t len = pack(r);
  if (offer != NULL && offer->len == len && memcmp(offer->text, r->lines, len) == 0)
    return offer;
  if ((offer = make_offer(settings, r, len)) == NULL)
    return NULL;
  uvsmtp__offer_release(settings, *known);
  *known = offer;
  offer->users++;
  return offer;
}

int uvsmtp__capabilities_read(uvsmtp_protocol_t *p, const uvsmtp_reply_t *reply)
{
  size_t room = reply->raw.len + reply->lines + 2;
  char *text = uvsmtp__calloc(&p->shared->mem, 3, room);
  reading_t reading = {.lines = text, .domain = text + room, .mechanisms = text + 2 * room};
  offer_t *offer;
  if (text == NULL)
    return UVSMTP_ENOMEM;
  read_reply(p, &reading, reply);
  offer = find_offer(p, &reading);
  uvsmtp__free(&p->shared->mem, text);
  if (offer == NULL)
    return UVSMTP_ENOMEM;
  offer->users++;
  p->capabilities = &offer->capabilities;
  return 0;
}

const char *uvsmtp_capabilities_find(const uvsmtp_capabilities_t *c, const char *keyword)
{
  const char *line = c->lines;
  size_t len = strlen(keyword);
  for (size_t i = 0; i < c->line_count; i++) {
    size_t word = strcspn(line, " ");
    if (uvsmtp__ascii_equal(line, word, keyword, len))
      return line + word + (line[word] == ' ');
    line += strlen(line) + 1;
  }
  return NULL;
}
