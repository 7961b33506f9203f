/*
 * The arguments of MAIL and RCPT: paths and parameters (RFC 5321 section 4.1.2), judged by what
 * was offered, and kept for those who look at them.
 */
#include "sink/internal.h"

#include <stdlib.h>
#include <string.h>

/* What may not stand in an address outside of quotes; HIGH bytes may, with SMTPUTF8. */
enum { FORBIDDEN = 1, HIGH = 2 };

#define SIXTEEN(x) x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x
static const unsigned char classes[256] = {SIXTEEN(FORBIDDEN),
                                           SIXTEEN(FORBIDDEN), /* control characters */
                                           FORBIDDEN,
                                           0,
                                           FORBIDDEN,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           FORBIDDEN,
                                           FORBIDDEN,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0, /* " ( ) */
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           FORBIDDEN,
                                           0,
                                           0,
                                           0, /* < */
                                           SIXTEEN(0),
                                           SIXTEEN(0),
                                           SIXTEEN(0),
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           0,
                                           FORBIDDEN, /* DEL */
                                           SIXTEEN(HIGH),
                                           SIXTEEN(HIGH),
                                           SIXTEEN(HIGH),
                                           SIXTEEN(HIGH),
                                           SIXTEEN(HIGH),
                                           SIXTEEN(HIGH),
                                           SIXTEEN(HIGH),
                                           SIXTEEN(HIGH)};

/* The classes of all bytes together. */
static unsigned classify(const char *p, size_t len)
{
  unsigned all = 0;

  for (size_t i = 0; i < len; i++)
    all |= classes[(unsigned char)p[i]];
  return all;
}

/* The length of a quoted string at `p`, quotes included; 0 if it does not end. */
static size_t quoted_len(const char *p, size_t len)
{
  for (size_t i = 1; i < len; i++) {
    if (p[i] == '\\')
      i++;
    else if (p[i] == '"')
      return i + 1;
    else if ((unsigned char)p[i] < ' ' || p[i] == 127)
      return 0;
  }
  return 0;
}

static bool has_high(const char *p, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    if ((unsigned char)p[i] > 127)
      return true;
  }
  return false;
}

bool sink__path_parse(sink_path_t *path, const char *text, size_t len)
{
  size_t quoted = 0;
  const char *end, *at;
  unsigned all;

  if (len < 2 || text[0] != '<')
    return false;
  if (text[1] == '"' && (quoted = quoted_len(text + 1, len - 1)) == 0)
    return false;
  end = memchr(text + 1 + quoted, '>', len - 1 - quoted);
  if (end == NULL || (end + 1 < text + len && end[1] != ' '))
    return false;
  path->address = text + 1;
  path->address_len = (size_t)(end - path->address);
  all = classify(path->address + quoted, path->address_len - quoted);
  path->high = (all & HIGH) != 0 || has_high(path->address, quoted);
  at = memchr(path->address + quoted, '@', path->address_len - quoted);
  path->at = at == NULL ? 0 : (size_t)(at - text);
  path->params = end + 1 < text + len ? end + 2 : end + 1;
  path->params_len = (size_t)(text + len - path->params);
  return (all & FORBIDDEN) == 0;
}

/* local@domain, each within its limit (RFC 5321 section 4.5.3.1), no source route. */
static bool is_mailbox(const sink_path_t *path)
{
  size_t local = path->at - 1, domain = path->address_len - path->at;

  if (path->at == 0)
    return sink__is_word(path->address, path->address_len, "POSTMASTER");
  return local > 0 && local <= 64 && domain > 0 && domain <= 255 &&
         memchr(path->address + path->at, '@', domain) == NULL;
}

/* Parameters. */

/* Was a keyword offered by one of the caller's own EHLO lines? */
static bool offered_by_line(const sink_t *sink, const char *name, size_t len)
{
  for (size_t i = 0; i < sink->options.ehlo_count; i++) {
    size_t word = strcspn(sink->ehlo[i], " ");
    if (sink__same(sink->ehlo[i], word, name, len))
      return true;
  }
  return false;
}

typedef bool (*value_fn)(const char *value, size_t len);

static bool any_value(const char *value, size_t len)
{
  return len > 0;
}

static bool no_value(const char *value, size_t len)
{
  return len == 0;
}

static bool digits(const char *value, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    if (value[i] < '0' || value[i] > '9')
      return false;
  }
  return len > 0 && len <= 20;
}

static bool is_hex(char c)
{
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

/* RFC 3461 section 4; bytes above 127 belong to utf-8-addr-xtext of RFC 6533. */
static bool xtext(const char *value, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)value[i];
    if (c < 33 || c == '=' || c == 127)
      return false;
    if (c == '+') {
      if (i + 2 >= len || !is_hex(value[i + 1]) || !is_hex(value[i + 2]))
        return false;
      i += 2;
    }
  }
  return len > 0;
}

static bool orcpt(const char *value, size_t len)
{
  const char *semicolon = memchr(value, ';', len);
  size_t type = semicolon == NULL ? 0 : (size_t)(semicolon - value);

  return type > 0 && len <= 500 && xtext(semicolon + 1, len - type - 1);
}

static bool body(const char *value, size_t len)
{
  return sink__is_word(value, len, "7BIT") || sink__is_word(value, len, "8BITMIME") ||
         sink__is_word(value, len, "BINARYMIME");
}

static bool ret(const char *value, size_t len)
{
  return sink__is_word(value, len, "FULL") || sink__is_word(value, len, "HDRS");
}

static bool notify(const char *value, size_t len)
{
  bool never = false;
  size_t count = 0;

  while (len > 0) {
    const char *comma = memchr(value, ',', len);
    size_t n = comma == NULL ? len : (size_t)(comma - value);
    bool one = sink__is_word(value, n, "NEVER");
    if (!one && !sink__is_word(value, n, "SUCCESS") && !sink__is_word(value, n, "FAILURE") &&
        !sink__is_word(value, n, "DELAY"))
      return false;
    never = never || one;
    count++;
    if (comma == NULL)
      return !never || count == 1;
    value += n + 1;
    len -= n + 1;
  }
  return false;
}

typedef struct parameter_s {
  const char *name;
  bool rcpt;
  unsigned bit;        /* the extension of ours that brings it … */
  const char *keyword; /* … or the keyword of a line that the caller added */
  value_fn value;
} parameter_t;

static const parameter_t parameters[] = {
    {"SIZE", false, SINK_SIZE, NULL, digits},
    {"BODY", false, SINK_8BITMIME | SINK_BINARYMIME, NULL, body},
    {"SMTPUTF8", false, SINK_SMTPUTF8, NULL, no_value},
    {"RET", false, SINK_DSN, NULL, ret},
    {"ENVID", false, SINK_DSN, NULL, xtext},
    {"AUTH", false, SINK_AUTH, "AUTH", any_value},
    {"PRDR", false, SINK_PRDR, NULL, no_value},
    {"REQUIRETLS", false, 0, "REQUIRETLS", no_value},
    {"BY", false, 0, "DELIVERBY", any_value},
    {"HOLDFOR", false, 0, "FUTURERELEASE", digits},
    {"HOLDUNTIL", false, 0, "FUTURERELEASE", any_value},
    {"MT-PRIORITY", false, 0, "MT-PRIORITY", any_value},
    {"NOTIFY", true, SINK_DSN, NULL, notify},
    {"ORCPT", true, SINK_DSN, NULL, orcpt},
    {"RRVS", true, 0, "RRVS", any_value},
};

static bool is_offered(const sink_t *sink, const parameter_t *p)
{
  return (sink->offer & p->bit) != 0 ||
         (p->keyword != NULL && offered_by_line(sink, p->keyword, strlen(p->keyword)));
}

/* Is name=value fine for MAIL (or RCPT)? A name that a line of the caller's offers always is. */
static bool is_allowed(const sink_session_t *s, bool rcpt, const char *name, size_t name_len,
                       const char *value, size_t len)
{
  for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
    const parameter_t *p = &parameters[i];
    if (p->rcpt == rcpt && sink__is_word(name, name_len, p->name))
      return s->extended && is_offered(s->sink, p) && p->value(value, len);
  }
  return s->extended && offered_by_line(s->sink, name, name_len);
}

/* What the transaction has to remember of a parameter of MAIL. */
static void note_parameter(sink_session_t *s, const char *name, size_t name_len, const char *value,
                           size_t len, uint64_t *size)
{
  if (sink__is_word(name, name_len, "SMTPUTF8"))
    s->utf8 = true;
  else if (sink__is_word(name, name_len, "PRDR"))
    s->prdr = true;
  else if (sink__is_word(name, name_len, "BODY")) {
    s->binary = sink__is_word(value, len, "BINARYMIME");
    s->eight_bit_ok = !sink__is_word(value, len, "7BIT");
  } else if (sink__is_word(name, name_len, "SIZE")) {
    for (size_t i = 0; i < len; i++)
      *size = *size > (UINT64_MAX - 9) / 10 ? UINT64_MAX : *size * 10 + (uint64_t)(value[i] - '0');
  }
}

static bool read_parameters(sink_session_t *s, const sink_path_t *path, bool rcpt, uint64_t *size)
{
  const char *p = path->params, *end = p + path->params_len;

  while (p < end) {
    const char *space = memchr(p, ' ', (size_t)(end - p));
    const char *stop = space == NULL ? end : space;
    const char *equals = memchr(p, '=', (size_t)(stop - p));
    const char *value = equals == NULL ? stop : equals + 1;
    size_t name_len = (size_t)((equals == NULL ? stop : equals) - p);
    if (!is_allowed(s, rcpt, p, name_len, value, (size_t)(stop - value)) ||
        (equals && value == stop))
      return false;
    if (!rcpt)
      note_parameter(s, p, name_len, value, (size_t)(stop - value), size);
    p = space == NULL ? end : space + 1;
    if (space != NULL && p == end)
      return false;
  }
  return true;
}

static sink_reply_t check_address(sink_session_t *s, const sink_path_t *path)
{
  if (!is_mailbox(path)) {
    SINK_BAD(s, syntax);
    return SINK_R_BAD_ADDRESS;
  }
  if (path->high && !s->utf8) {
    SINK_BAD(s, utf8);
    return SINK_R_NEED_UTF8;
  }
  return SINK_R_OK;
}

sink_reply_t sink__mail_check(sink_session_t *s, const sink_path_t *path)
{
  uint64_t size = 0;
  sink_reply_t reply = SINK_R_OK;

  if (path->params_len > 0 && !read_parameters(s, path, false, &size)) {
    SINK_BAD(s, parameter);
    return SINK_R_BAD_PARAMETER;
  }
  if (path->address_len > 0)
    reply = check_address(s, path);
  if (reply != SINK_R_OK)
    return reply;
  if (s->sink->options.max_size != 0 && size > s->sink->options.max_size)
    return SINK_R_TOO_BIG;
  return SINK_R_SENDER;
}

sink_reply_t sink__rcpt_check(sink_session_t *s, const sink_path_t *path)
{
  const sink_options_t *o = &s->sink->options;
  sink_reply_t reply = check_address(s, path);

  if (reply != SINK_R_OK)
    return reply;
  if (path->params_len > 0 && !read_parameters(s, path, true, NULL)) {
    SINK_BAD(s, parameter);
    return SINK_R_BAD_PARAMETER;
  }
  if (o->max_recipients != 0 && s->rcpt_count >= o->max_recipients)
    return SINK_R_TOO_MANY;
  return SINK_R_RECIPIENT;
}

/* Keeping. */

static bool keep_string(sink_session_t *s, const char *text, size_t len, uint32_t *at)
{
  *at = (uint32_t)s->envelope.len;
  return sink__text_add(&s->envelope, text, len) && sink__text_add(&s->envelope, "", 1);
}

bool sink__mail_keep(sink_session_t *s, const sink_path_t *path)
{
  uint32_t sender;

  s->envelope.len = 0;
  if (!s->sink->keep_envelope)
    return true;
  return keep_string(s, path->address, path->address_len, &sender) &&
         keep_string(s, path->params, path->params_len, &s->params);
}

bool sink__rcpt_keep(sink_session_t *s, const sink_path_t *path)
{
  sink_rcpt_t *rcpt;

  if (s->rcpt_count == s->rcpts_size) {
    size_t size = s->rcpts_size == 0 ? 4 : s->rcpts_size * 2;
    sink_rcpt_t *grown = realloc(s->rcpts, size * sizeof *grown);
    if (grown == NULL)
      return false;
    s->rcpts = grown;
    s->rcpts_size = size;
  }
  rcpt = &s->rcpts[s->rcpt_count];
  memset(rcpt, 0, sizeof *rcpt);
  if (s->sink->keep_envelope &&
      (!keep_string(s, path->address, path->address_len, &rcpt->address) ||
       !keep_string(s, path->params, path->params_len, &rcpt->params)))
    return false;
  s->rcpt_count++;
  return true;
}

bool sink__slice_matches(const char *pattern, const void *ctx)
{
  const uvsmtp_slice_t *slice = ctx;

  return sink__glob(pattern, slice->base, slice->len);
}

bool sink__envelope_matches(const char *pattern, const void *ctx)
{
  const sink_session_t *s = ctx;

  if (!s->mail || s->envelope.len == 0)
    return false;
  if (sink__glob(pattern, s->envelope.base, strlen(s->envelope.base)))
    return true;
  for (uint32_t i = 0; i < s->rcpt_count; i++) {
    const char *address = s->envelope.base + s->rcpts[i].address;
    if (sink__glob(pattern, address, strlen(address)))
      return true;
  }
  return false;
}
