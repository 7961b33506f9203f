/*
 * The parameters of MAIL and RCPT. Each stands in the line only if the message or the caller needs
 * it, and each whose extension is not offered is refused before a byte is sent.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "protocol/lines.h"

/* The words stand where the line was to be, which is lost anyway. */
int uvsmtp__fault(uvsmtp_protocol_t *p, int err, const char *format, ...)
{
  char words[200];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(words, sizeof(words), format, arguments);
  va_end(arguments);
  p->faulty = false;
  if (uvsmtp__aside_wake(p) != 0)
    return err;
  uvsmtp__buffer_clear(&p->aside->line);
  p->faulty = uvsmtp__buffer_append(&p->aside->line, words, strlen(words) + 1) == 0;
  return err;
}

const char *uvsmtp_protocol_fault(const uvsmtp_protocol_t *p)
{
  return p->faulty && uvsmtp__buffer_len(&p->aside->line) > 0 ? uvsmtp__buffer_data(&p->aside->line)
                                                              : "";
}

int uvsmtp__append_xtext(uvsmtp__buffer_t *line, const char *s)
{
  int err = 0;
  for (; *s != '\0' && err == 0; s++) {
    unsigned char c = (unsigned char)*s;
    if (c > 32 && c < 127 && c != '+' && c != '=')
      err = uvsmtp__buffer_append(line, s, 1);
    else
      err = uvsmtp__buffer_printf(line, "+%02X", c);
  }
  return err;
}

/* Parameters in the caller's own words: words of printable characters, one blank between. */
static int append_own(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const char *params)
{
  int err;
  if (params == NULL || *params == '\0')
    return 0;
  if (uvsmtp__breaks_line(params, strlen(params)))
    return UVSMTP_EINJECTION;
  for (const char *s = params; *s != '\0'; s++)
    if ((unsigned char)*s < 32 || *s == 127)
      return uvsmtp__fault(p, UVSMTP_EINVAL, "params has a control character");
  err = uvsmtp__buffer_append(line, " ", 1);
  return err != 0 ? err : uvsmtp__buffer_append_str(line, params);
}

static int append_size(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, uint64_t size)
{
  uint64_t max = p->capabilities->max_message_size;
  char *at;
  int err;
  if (size == UVSMTP_SIZE_UNKNOWN || (p->capabilities->extensions & UVSMTP_EXT_SIZE) == 0)
    return 0;
  if (max != 0 && size > max)
    return uvsmtp__fault(p, UVSMTP_ETOOBIG, "it has %llu octets, and SIZE ends at %llu",
                         (unsigned long long)size, (unsigned long long)max);
  if ((err = uvsmtp__buffer_reserve(line, 6 + 20)) != 0)
    return err;
  at = line->base + line->end;
  memcpy(at, " SIZE=", 6);
  line->end += 6 + uvsmtp__decimal(at + 6, size);
  return 0;
}

static int append_body(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, uvsmtp_body_t body,
                       const uvsmtp_mail_needs_t *needs, bool utf8)
{
  int err;
  if (needs->binary || body == UVSMTP_BODY_BINARYMIME) {
    if ((err = uvsmtp__need(p, UVSMTP_EXT_BINARYMIME)) != 0 ||
        (err = uvsmtp__need(p, UVSMTP_EXT_CHUNKING)) != 0)
      return err;
    return uvsmtp__buffer_append_str(line, " BODY=BINARYMIME");
  }
  if (body == UVSMTP_BODY_7BIT)
    return needs->eightbit ? uvsmtp__fault(p, UVSMTP_EINVAL, "body is 7BIT, and the message is not")
                           : uvsmtp__buffer_append_str(line, " BODY=7BIT");
  if (!needs->eightbit && body != UVSMTP_BODY_8BITMIME)
    return 0;
  if ((err = uvsmtp__need(p, UVSMTP_EXT_8BITMIME)) == 0)
    return uvsmtp__buffer_append_str(line, " BODY=8BITMIME");
  if (utf8)
    return 0; /* RFC 6531 section 3.1 has 8BITMIME included, whatever the server lists */
  return body == UVSMTP_BODY_8BITMIME ? err : UVSMTP_E8BIT;
}

static int append_utf8(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, bool utf8)
{
  int err;
  if (!utf8)
    return 0;
  err = uvsmtp__need(p, UVSMTP_EXT_SMTPUTF8);
  return err != 0 ? err : uvsmtp__buffer_append_str(line, " SMTPUTF8");
}

static int append_dsn(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const uvsmtp_envelope_t *e)
{
  int err = 0;
  if (e->ret == UVSMTP_RET_UNSAID && e->envid == NULL)
    return 0;
  if ((err = uvsmtp__need(p, UVSMTP_EXT_DSN)) != 0)
    return err;
  if (e->ret != UVSMTP_RET_UNSAID)
    err = uvsmtp__buffer_append_str(line, e->ret == UVSMTP_RET_FULL ? " RET=FULL" : " RET=HDRS");
  if (err != 0 || e->envid == NULL)
    return err;
  if (*e->envid == '\0' || strlen(e->envid) > 100)
    return uvsmtp__fault(p, UVSMTP_EINVAL, "envid has not 1 to 100 octets");
  err = uvsmtp__buffer_append_str(line, " ENVID=");
  return err != 0 ? err : uvsmtp__append_xtext(line, e->envid);
}

static int append_requiretls(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, unsigned flags)
{
  int err;
  if ((flags & UVSMTP_ENVELOPE_REQUIRETLS) == 0)
    return 0;
  if (!p->tls)
    return UVSMTP_ETLSREQUIRED;
  if (p->doubted)
    return uvsmtp__fault(p, UVSMTP_ETLSREQUIRED,
                         "requiretls is for a server that has shown who it is");
  err = uvsmtp__need(p, UVSMTP_EXT_REQUIRETLS);
  return err != 0 ? err : uvsmtp__buffer_append_str(line, " REQUIRETLS");
}

static int append_priority(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const uvsmtp_envelope_t *e)
{
  int err;
  if ((e->flags & UVSMTP_ENVELOPE_PRIORITY) == 0)
    return 0;
  if (e->priority < -9 || e->priority > 9)
    return uvsmtp__fault(p, UVSMTP_EINVAL, "priority is not within -9 and 9");
  err = uvsmtp__need(p, UVSMTP_EXT_MT_PRIORITY);
  return err != 0 ? err : uvsmtp__buffer_printf(line, " MT-PRIORITY=%d", e->priority);
}

/* RFC 4954 section 5: a mailbox; its quotes, should it need some, are those of an address. */
static int append_auth(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const char *auth)
{
  uvsmtp__buffer_t path;
  bool utf8 = false;
  int err;
  if (auth == NULL)
    return 0;
  if ((err = uvsmtp__need(p, UVSMTP_EXT_AUTH)) != 0 ||
      (err = uvsmtp__buffer_append_str(line, " AUTH=")) != 0)
    return err;
  if (strcmp(auth, "<>") == 0)
    return uvsmtp__buffer_append_str(line, "<>");
  uvsmtp__buffer_init(&path, &p->shared->mem, UVSMTP__LINE_OCTETS);
  err = uvsmtp__path_append(p, &path, auth, &utf8);
  uvsmtp__buffer_free(&path);
  if (err == UVSMTP_EADDRESS || (err == 0 && strchr(auth, '@') == NULL))
    return uvsmtp__fault(p, UVSMTP_EADDRESS, "auth is neither a mailbox nor \"<>\"");
  return err != 0 ? err : uvsmtp__append_xtext(line, auth);
}

/* PRDR is asked for where it makes a difference and is offered; else the reply is a common one. */
static int append_prdr(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const uvsmtp_envelope_t *e)
{
  p->prdr_asked = (e->flags & UVSMTP_ENVELOPE_PRDR) != 0 && e->recipient_count > 1 &&
                  !p->shared->options.lmtp && (p->capabilities->extensions & UVSMTP_EXT_PRDR) != 0;
  return p->prdr_asked ? uvsmtp__buffer_append_str(line, " PRDR") : 0;
}

/* Where SMTPUTF8 is offered; else each recipient is judged by itself, when it is issued. */
static bool any_utf8(const uvsmtp_protocol_t *p, const uvsmtp_envelope_t *e)
{
  if ((p->capabilities->extensions & UVSMTP_EXT_SMTPUTF8) == 0)
    return false;
  for (size_t i = 0; i < e->recipient_count; i++)
    if (e->recipients[i].address != NULL &&
        uvsmtp__has_8bit(e->recipients[i].address, strlen(e->recipients[i].address)))
      return true;
  return false;
}

/* Keeps "MAIL FROM:<sender>" for the next MAIL. Without memory for it, that one is looked at again.
 */
static void keep_mail(uvsmtp_protocol_t *p, const char *text, size_t len)
{
  uvsmtp__buffer_t *mail = &p->talk->mail;
  uvsmtp__buffer_clear(mail);
  if (uvsmtp__buffer_reserve(mail, UVSMTP__MAIL_RSET_LEN + len + UVSMTP__MAIL_SIZE_LEN +
                                       UVSMTP__MAIL_BEHIND) != 0)
    return;
  uvsmtp__buffer_append(mail, UVSMTP__MAIL_RSET, UVSMTP__MAIL_RSET_LEN);
  uvsmtp__buffer_append(mail, text, len);
  uvsmtp__buffer_append(mail, UVSMTP__MAIL_SIZE, UVSMTP__MAIL_SIZE_LEN);
}

/* "MAIL FROM:" and a sender of `len` octets that was not the one before. */
static int append_new_sender(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const char *sender,
                             size_t len, bool *utf8)
{
  size_t start = uvsmtp__buffer_len(line), end;
  bool high = false;
  int err = uvsmtp__buffer_append(line, UVSMTP__MAIL_VERB, UVSMTP__MAIL_VERB_LEN);
  if (err != 0)
    return err;
  if (len == 0)
    return uvsmtp__buffer_append(line, "<>", 2);
  if ((err = uvsmtp__path_append(p, line, sender, &high)) != 0)
    return err;
  *utf8 |= high;
  end = uvsmtp__buffer_len(line) - start;
  if (!high && end == UVSMTP__MAIL_VERB_LEN + len + 2)
    keep_mail(p, uvsmtp__buffer_data(line) + start, end);
  else
    uvsmtp__buffer_clear(&p->talk->mail);
  return 0;
}

/* Looks at a sender once if it comes again and again. */
static int append_sender(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const char *sender,
                         bool *utf8)
{
  size_t len = sender != NULL ? strlen(sender) : 0;
  if (len > 0 && uvsmtp__mail_known(p, sender, len))
    return uvsmtp__buffer_append(line, p->talk->mail.base + UVSMTP__MAIL_RSET_LEN,
                                 UVSMTP__MAIL_VERB_LEN + len + 2);
  return append_new_sender(p, line, sender, len, utf8);
}

int uvsmtp__mail_append(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const uvsmtp_envelope_t *e,
                        const uvsmtp_mail_needs_t *needs)
{
  bool utf8 = any_utf8(p, e);
  int err = append_sender(p, line, e->sender, &utf8);
  p->prdr_asked = false;
  if (err != 0 || (err = append_size(p, line, needs->size)) != 0 ||
      (!utf8 && !uvsmtp__mail_needs_more(e, needs)))
    return err;
  utf8 |= needs->utf8 || (e->flags & UVSMTP_ENVELOPE_SMTPUTF8) != 0;
  if ((err = append_body(p, line, e->body, needs, utf8)) != 0 ||
      (err = append_utf8(p, line, utf8)) != 0 || (err = append_dsn(p, line, e)) != 0 ||
      (err = append_requiretls(p, line, e->flags)) != 0 ||
      (err = uvsmtp__append_by(p, line, e)) != 0 || (err = uvsmtp__append_hold(p, line, e)) != 0 ||
      (err = append_priority(p, line, e)) != 0 || (err = append_auth(p, line, e->auth)) != 0 ||
      (err = append_prdr(p, line, e)) != 0)
    return err;
  return append_own(p, line, e->params);
}

static int append_notify(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, unsigned notify)
{
  static const struct {
    unsigned bit;
    const char *word;
  } words[] = {{UVSMTP_NOTIFY_NEVER, "NEVER"},
               {UVSMTP_NOTIFY_SUCCESS, "SUCCESS"},
               {UVSMTP_NOTIFY_FAILURE, "FAILURE"},
               {UVSMTP_NOTIFY_DELAY, "DELAY"}};
  const char *before = " NOTIFY=";
  int err;
  if (notify == 0)
    return 0;
  if (((notify & UVSMTP_NOTIFY_NEVER) != 0 && notify != UVSMTP_NOTIFY_NEVER) || notify > 15)
    return uvsmtp__fault(p, UVSMTP_EINVAL, "notify is neither NEVER alone nor any of the others");
  if ((err = uvsmtp__need(p, UVSMTP_EXT_DSN)) != 0)
    return err;
  for (size_t i = 0; i < 4; i++) {
    if ((notify & words[i].bit) == 0)
      continue;
    if ((err = uvsmtp__buffer_printf(line, "%s%s", before, words[i].word)) != 0)
      return err;
    before = ",";
  }
  return 0;
}

/*
 * RFC 6533 section 3, utf-8-addr-xtext: what is no plain ASCII, and "\", "+", "=", as \x{HEX}; all
 * of it 7-bit, so that it may go to any server.
 */
static int append_utf8_address(uvsmtp__buffer_t *line, const char *s)
{
  int err = 0;
  while (*s != '\0' && err == 0) {
    unsigned char c = (unsigned char)*s;
    unsigned n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : 4;
    unsigned value = n == 1 ? c : c & (0x7fu >> n);
    for (unsigned i = 1; i < n; i++)
      value = value << 6 | ((unsigned char)s[i] & 63u);
    if (c > 32 && c < 127 && c != '\\' && c != '+' && c != '=')
      err = uvsmtp__buffer_append(line, s, 1);
    else
      err = uvsmtp__buffer_printf(line, "\\x{%X}", value);
    s += n;
  }
  return err;
}

static int append_orcpt(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, const char *orcpt)
{
  const char *semicolon, *address;
  size_t type;
  int err;
  if (orcpt == NULL)
    return 0;
  if ((err = uvsmtp__need(p, UVSMTP_EXT_DSN)) != 0)
    return err;
  if (!uvsmtp__is_utf8(orcpt, strlen(orcpt)))
    return uvsmtp__fault(p, UVSMTP_ECHARSET, "orcpt is not UTF-8");
  semicolon = strchr(orcpt, ';');
  type = semicolon != NULL ? (size_t)(semicolon - orcpt) : 0;
  address = semicolon != NULL ? semicolon + 1 : orcpt;
  for (size_t i = 0; i < type; i++)
    if (!uvsmtp__ascii_alnum(orcpt[i]) && orcpt[i] != '-')
      return uvsmtp__fault(p, UVSMTP_EINVAL, "orcpt begins with no type of addresses");
  if (*address == '\0' || (semicolon != NULL && type == 0))
    return uvsmtp__fault(p, UVSMTP_EINVAL, "orcpt lacks its type or its address");
  if (uvsmtp__has_8bit(address, strlen(address)) || uvsmtp__ascii_equal(orcpt, type, "utf-8", 5)) {
    err = uvsmtp__buffer_append_str(line, " ORCPT=utf-8;");
    return err != 0 ? err : append_utf8_address(line, address);
  }
  if ((err = uvsmtp__buffer_append_str(line, " ORCPT=")) != 0)
    return err;
  err = type > 0 ? uvsmtp__buffer_append(line, orcpt, type + 1)
                 : uvsmtp__buffer_append_str(line, "rfc822;");
  return err != 0 ? err : uvsmtp__append_xtext(line, address);
}

/* RFC 7293: the time is that of RFC 3339 in UTC. */
static int append_rrvs(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line, int64_t seconds)
{
  int err;
  if (seconds == 0)
    return 0;
  if (seconds < 0 || seconds > 253402300799)
    return uvsmtp__fault(p, UVSMTP_EINVAL, "rrvs is not within the years 1970 and 9999");
  if ((err = uvsmtp__need(p, UVSMTP_EXT_RRVS)) != 0 ||
      (err = uvsmtp__buffer_append_str(line, " RRVS=")) != 0)
    return err;
  return uvsmtp__rfc3339_append(line, seconds);
}

int uvsmtp__rcpt_parameters(uvsmtp_protocol_t *p, uvsmtp__buffer_t *line,
                            const uvsmtp_recipient_t *r, bool utf8)
{
  int err;
  if (utf8 && (err = uvsmtp__need(p, UVSMTP_EXT_SMTPUTF8)) != 0)
    return err;
  if ((err = append_notify(p, line, r->notify)) != 0 ||
      (err = append_orcpt(p, line, r->orcpt)) != 0 || (err = append_rrvs(p, line, r->rrvs)) != 0)
    return err;
  return append_own(p, line, r->params);
}
