#include "message/builder.h"

#include <string.h>

#include "base/text.h"
#include "message/address.h"

static const char *const field_names[UVSMTP__FIELDS] = {"From", "Sender", "Reply-To",
                                                        "To",   "Cc",     "Bcc"};

const char *uvsmtp__field_name(uvsmtp_field_t field)
{
  return field_names[field];
}

const uvsmtp__mailboxes_t *uvsmtp__message_field(const uvsmtp_message_t *m, uvsmtp_field_t field)
{
  while (!m->fields[field].set && m->pattern != NULL)
    m = m->pattern;
  return &m->fields[field];
}

/* ---- Addresses ---- */

static int add_element(uvsmtp_message_t *m, uvsmtp_field_t field, uvsmtp__mailbox_t element)
{
  uvsmtp__mailboxes_t *list = &m->fields[field];
  uvsmtp__mailbox_t *kept = uvsmtp__arena_alloc(&m->arena, sizeof(*kept));
  if (kept == NULL)
    return uvsmtp__message_fail(m, UVSMTP_ENOMEM, "out of memory");
  *kept = element;
  if (list->last != NULL)
    list->last->next = kept;
  else
    list->first = kept;
  list->last = kept;
  list->set = true;
  list->count += element.kind == UVSMTP__MAILBOX;
  return 0;
}

static int check_call(uvsmtp_message_t *m, uvsmtp_field_t field)
{
  if ((unsigned)field >= UVSMTP__FIELDS)
    return uvsmtp__message_fail(m, UVSMTP_EINVAL, "no address field");
  return uvsmtp__message_open(m);
}

/* Writes the canonical address, its domain in A-labels where that saves it from SMTPUTF8. */
static int make_canonical(uvsmtp_message_t *m, uvsmtp_field_t field, const char *address,
                          char out[UVSMTP_ADDRESS_SIZE])
{
  char fault[UVSMTP__DETAIL_SIZE] = "", ascii[UVSMTP_ADDRESS_SIZE];
  int err = uvsmtp_address_canonical(out, UVSMTP_ADDRESS_SIZE, address, strlen(address), 0, fault,
                                     sizeof(fault));
  if (err != 0)
    return uvsmtp__message_fail(m, err, "%s: %s", field_names[field], fault);
  if (field != UVSMTP_BCC && strchr(out, '@') == NULL) /* only envelopes have such, and no header */
    return uvsmtp__message_fail(m, UVSMTP_EADDRESS,
                                "%s: \"%s\" has no domain, without which no field can name it",
                                field_names[field], out);
  if (uvsmtp__has_8bit(out, strlen(out)) &&
      uvsmtp_address_canonical(ascii, sizeof(ascii), out, strlen(out), UVSMTP_ADDRESS_ASCII, NULL,
                               0) == 0)
    memcpy(out, ascii, sizeof(ascii));
  return 0;
}

int uvsmtp_message_address(uvsmtp_message_t *m, uvsmtp_field_t field, const char *name,
                           const char *address)
{
  char canonical[UVSMTP_ADDRESS_SIZE];
  uvsmtp__mailbox_t element = {.kind = UVSMTP__MAILBOX, .name = ""};
  int err = check_call(m, field);
  if (err != 0)
    return err;
  if (field == UVSMTP_SENDER && m->fields[field].count > 0)
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "Sender: only one address is allowed");
  if ((err = make_canonical(m, field, address, canonical)) != 0 ||
      (err = uvsmtp__keep_value(m, field_names[field], name != NULL ? name : "", &element.name)) !=
          0 ||
      (err = uvsmtp__keep_value(m, field_names[field], canonical, &element.address)) != 0)
    return err;
  return add_element(m, field, element);
}

int uvsmtp_message_group(uvsmtp_message_t *m, uvsmtp_field_t field, const char *name)
{
  uvsmtp__mailbox_t element = {.kind = UVSMTP__GROUP_BEGIN};
  int err = check_call(m, field);
  if (err != 0)
    return err;
  if (field == UVSMTP_SENDER || (name != NULL && *name == '\0'))
    return uvsmtp__message_fail(m, UVSMTP_EINVAL, "%s: not a group", field_names[field]);
  if (name != NULL && (err = uvsmtp__keep_value(m, field_names[field], name, &element.name)) != 0)
    return err;
  if (m->fields[field].in_group &&
      (err = add_element(m, field, (uvsmtp__mailbox_t){.kind = UVSMTP__GROUP_END})) != 0)
    return err;
  m->fields[field].in_group = name != NULL;
  return name != NULL ? add_element(m, field, element) : 0;
}

/* Adds the mailboxes of a list, with the groups that they are in. */
static int add_list(uvsmtp_message_t *m, uvsmtp_field_t field, const uvsmtp_address_list_t *list)
{
  const char *group = NULL;
  int err = 0;
  for (size_t i = 0; err == 0 && i < uvsmtp_address_list_count(list); i++) {
    const uvsmtp_address_t *a = uvsmtp_address_list_at(list, i);
    if (a->group != group)
      err = uvsmtp_message_group(m, field, a->group);
    group = a->group;
    if (err == 0)
      err = uvsmtp_message_address(m, field, a->name, a->address);
  }
  return err == 0 && group != NULL ? uvsmtp_message_group(m, field, NULL) : err;
}

int uvsmtp_message_addresses(uvsmtp_message_t *m, uvsmtp_field_t field, const char *text)
{
  uvsmtp_address_list_t *list;
  char fault[UVSMTP__DETAIL_SIZE] = "";
  int err = check_call(m, field);
  if (err != 0 || (err = uvsmtp__check_value(m, field_names[field], text)) != 0)
    return err;
  err = uvsmtp_address_list_parse(&list, text, strlen(text), &m->mem, fault, sizeof(fault));
  if (err != 0)
    return uvsmtp__message_fail(m, err, "%s: %s", field_names[field], fault);
  m->fields[field].set = true; /* an empty list too takes away what the pattern has */
  err = add_list(m, field, list);
  uvsmtp_address_list_free(list);
  return err;
}

/* ---- Single fields ---- */

int uvsmtp_message_subject(uvsmtp_message_t *m, const char *text)
{
  return uvsmtp__keep_value(m, "Subject", text, &m->subject);
}

int uvsmtp_message_date(uvsmtp_message_t *m, int64_t seconds, int offset_minutes)
{
  int err = uvsmtp__message_open(m);
  if (err != 0)
    return err;
  if (uvsmtp__format_date(m->date, seconds, offset_minutes) != 0)
    return uvsmtp__message_fail(m, UVSMTP_EINVAL, "Date: outside the years 1900 to 9999");
  return 0;
}

bool uvsmtp__is_id(const char *id, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (id[i] <= ' ' || id[i] > '~' || id[i] == '<' || id[i] == '>')
      return false;
  return len > 0 && len < UVSMTP__LINE_HARD - 100;
}

/* The id at `s`, which ends at a blank or its ">"; `*len` is what it takes. NULL: there is none. */
static const char *read_id(const char *s, size_t *len, size_t *id_len)
{
  bool brackets = *s == '<';
  size_t n = strcspn(s + brackets, brackets ? "> \t" : " \t<");
  *id_len = n;
  *len = n + 2 * brackets;
  if ((brackets && s[1 + n] != '>') || !uvsmtp__is_id(s + brackets, n))
    return NULL;
  return s + brackets;
}

/* Copies ids, each in brackets, with one blank between them. */
static int keep_ids(uvsmtp_message_t *m, const char *name, const char *ids, size_t most,
                    const char **copy)
{
  size_t n = 0, count = 0, len, id_len;
  char *out;
  int err = uvsmtp__message_open(m);
  if (err != 0 || (err = uvsmtp__check_value(m, name, ids)) != 0)
    return err;
  out = uvsmtp__arena_alloc(&m->arena, 3 * strlen(ids) + 4);
  if (out == NULL)
    return uvsmtp__message_fail(m, UVSMTP_ENOMEM, "out of memory");
  for (ids += strspn(ids, " \t"); *ids != '\0'; ids += len, ids += strspn(ids, " \t")) {
    const char *id = read_id(ids, &len, &id_len);
    if (id == NULL || ++count > most)
      return uvsmtp__message_fail(m, UVSMTP_EHEADER, "%s: not a message id", name);
    if (n > 0)
      out[n++] = ' ';
    out[n++] = '<';
    memcpy(out + n, id, id_len);
    n += id_len;
    out[n++] = '>';
  }
  if (count == 0)
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "%s: not a message id", name);
  *copy = out;
  return 0;
}

int uvsmtp_message_id(uvsmtp_message_t *m, const char *id)
{
  int err = keep_ids(m, "Message-ID", id, 1, &m->message_id);
  if (err == 0 && strchr(id, '@') == NULL)
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "Message-ID: without \"@\"");
  return err;
}

int uvsmtp_message_in_reply_to(uvsmtp_message_t *m, const char *ids)
{
  return keep_ids(m, "In-Reply-To", ids, SIZE_MAX, &m->in_reply_to);
}

int uvsmtp_message_references(uvsmtp_message_t *m, const char *ids)
{
  return keep_ids(m, "References", ids, SIZE_MAX, &m->references);
}

/* ---- Other fields ---- */

int uvsmtp_message_header(uvsmtp_message_t *m, const char *name, const char *value)
{
  static const char *const owned[] = {"From",
                                      "Sender",
                                      "Reply-To",
                                      "To",
                                      "Cc",
                                      "Bcc",
                                      "Subject",
                                      "Date",
                                      "Message-ID",
                                      "In-Reply-To",
                                      "References",
                                      "Resent-Bcc",
                                      "MIME-Version",
                                      "Content-Type",
                                      "Content-Transfer-Encoding",
                                      "Content-Disposition",
                                      "Content-ID",
                                      "Content-Description",
                                      "List-Unsubscribe",
                                      "List-Unsubscribe-Post",
                                      NULL};
  int err = uvsmtp__check_field(m, name, value, owned);
  return err != 0 ? err : uvsmtp__texts_add(m, &m->headers, name, value);
}

/* A URL of a scheme, of characters that can stand between "<" and ">". */
static bool is_url(const char *url, const char *scheme)
{
  size_t len = strlen(url), n = strlen(scheme);
  if (len <= n || len > UVSMTP__LINE_HARD - 100 || !uvsmtp__ascii_equal(url, n, scheme, n))
    return false;
  for (size_t i = 0; i < len; i++)
    if (url[i] <= ' ' || url[i] > '~' || url[i] == '<' || url[i] == '>')
      return false;
  return true;
}

int uvsmtp_message_unsubscribe(uvsmtp_message_t *m, const char *https, const char *mailto,
                               int one_click)
{
  char value[2 * UVSMTP__LINE_HARD + 10] = "";
  int err = uvsmtp__message_open(m);
  if (err != 0)
    return err;
  if ((https == NULL && mailto == NULL) || (one_click && https == NULL))
    return uvsmtp__message_fail(m, UVSMTP_EINVAL, "List-Unsubscribe: no URL");
  if ((https != NULL && (err = uvsmtp__check_value(m, "List-Unsubscribe", https)) != 0) ||
      (mailto != NULL && (err = uvsmtp__check_value(m, "List-Unsubscribe", mailto)) != 0))
    return err;
  if ((https != NULL && !is_url(https, "https:")) || (mailto != NULL && !is_url(mailto, "mailto:")))
    return uvsmtp__message_fail(m, UVSMTP_EHEADER, "List-Unsubscribe: not an https or mailto URL");
  if (https != NULL)
    strcat(strcat(strcat(value, "<"), https), mailto != NULL ? ">, " : ">");
  if (mailto != NULL)
    strcat(strcat(strcat(value, "<"), mailto), ">");
  if ((m->unsubscribe = uvsmtp__arena_strdup(&m->arena, value)) == NULL)
    return uvsmtp__message_fail(m, UVSMTP_ENOMEM, "out of memory");
  m->one_click = one_click != 0;
  return 0;
}
