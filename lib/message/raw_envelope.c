#include "message/raw.h"

/*
 * The envelope of a raw message. Which fields count is decided first: those of the latest resent
 * block if there is one, else the plain ones. A block's fields stand together at the top
 * (RFC 5322 section 3.6.6), so the block ends where one of them would come a second time, or where
 * a trace field shows that an older hop begins.
 */
#include <string.h>

#include "message/recipients.h"

/* The fields of one kind of envelope: plain, or of a resent block. */
typedef struct {
  const char *sender, *from;
  const char *recipients[3];
} names_t;

static const names_t plain_names = {"Sender", "From", {"To", "Cc", "Bcc"}};
static const names_t resent_names = {
    "Resent-Sender", "Resent-From", {"Resent-To", "Resent-Cc", "Resent-Bcc"}};

/* Where the latest resent block lies: [start, end) of the header; empty if there is none. */
typedef struct {
  size_t start, end;
} block_t;

static const char *const resent_fields[] = {"Resent-Date",      "Resent-From", "Resent-Sender",
                                            "Resent-To",        "Resent-Cc",   "Resent-Bcc",
                                            "Resent-Message-ID"};

/* The bit of a field of a resent block; 0 for any other. */
static unsigned resent_bit(const uvsmtp__field_t *field)
{
  for (unsigned i = 0; i < sizeof(resent_fields) / sizeof(resent_fields[0]); i++)
    if (uvsmtp__field_is(field, resent_fields[i]))
      return 1u << i;
  return 0;
}

static block_t find_block(const uvsmtp_raw_t *raw)
{
  uvsmtp__fields_t fields = uvsmtp__raw_fields(raw);
  uvsmtp__field_t field;
  block_t block = {0, 0};
  unsigned seen = 0;
  while (uvsmtp__fields_next(&fields, &field, NULL, 0) > 0) {
    unsigned bit = resent_bit(&field);
    if ((seen & bit) != 0 || (seen != 0 && (uvsmtp__field_is(&field, "Received") ||
                                            uvsmtp__field_is(&field, "Return-Path"))))
      break;
    if (bit == 0)
      continue;
    if (seen == 0)
      block.start = field.start;
    block.end = field.end;
    seen |= bit;
  }
  return block;
}

static int bad_field(uvsmtp_raw_t *raw, const char *name, const char *fault)
{
  return uvsmtp__detail(raw->detail, sizeof(raw->detail), UVSMTP_EHEADER, "%s: %s", name, fault);
}

static int parse_field(uvsmtp_raw_t *raw, const uvsmtp__field_t *field,
                       uvsmtp_address_list_t **list)
{
  char fault[128];
  int err = uvsmtp_address_list_parse(list, field->value, field->value_len, &raw->mem, fault,
                                      sizeof(fault));
  if (err != UVSMTP_EADDRESS)
    return err;
  return uvsmtp__detail(raw->detail, sizeof(raw->detail), UVSMTP_EHEADER, "%.*s: %s",
                        field->name_len > 60 ? 60 : (int)field->name_len, field->name, fault);
}

/* The fields of the block if there is one, of the whole header else. */
static uvsmtp__fields_t fields_of(const uvsmtp_raw_t *raw, block_t block)
{
  uvsmtp__fields_t fields = uvsmtp__raw_fields(raw);
  if (block.end > 0) {
    fields.at = block.start;
    fields.len = block.end;
  }
  return fields;
}

/* ---- The sender ---- */

/* Finds a field that must not come twice: 1, 0 if there is none, or an error. */
static int find_single(uvsmtp_raw_t *raw, block_t block, const char *name, uvsmtp__field_t *found)
{
  uvsmtp__fields_t fields = fields_of(raw, block);
  uvsmtp__field_t field;
  int count = 0;
  while (uvsmtp__fields_next(&fields, &field, NULL, 0) > 0) {
    if (!uvsmtp__field_is(&field, name))
      continue;
    if (count++ > 0)
      return bad_field(raw, name, "occurs twice, so the sender is not known");
    *found = field;
  }
  return count;
}

static int read_sender(uvsmtp_raw_t *raw, block_t block, const names_t *names)
{
  uvsmtp_address_list_t *list;
  uvsmtp__field_t field;
  const char *name = names->sender;
  int found = find_single(raw, block, name, &field), err;
  size_t count;
  if (found == 0)
    found = find_single(raw, block, name = names->from, &field);
  if (found < 0)
    return found;
  if (found == 0)
    return bad_field(raw, name, "missing, so the sender is not known");
  if ((err = parse_field(raw, &field, &list)) != 0)
    return err;
  count = uvsmtp_address_list_count(list);
  if (count == 1) {
    raw->sender = uvsmtp__strdup(&raw->mem, uvsmtp_address_list_at(list, 0)->address);
    err = raw->sender != NULL ? 0 : UVSMTP_ENOMEM;
  } else if (count == 0) {
    err = bad_field(raw, name, "holds no address");
  } else {
    err =
        bad_field(raw, name,
                  name == names->sender ? "holds several addresses"
                                        : "holds several addresses, and there is no Sender field");
  }
  uvsmtp_address_list_free(list);
  return err;
}

/* ---- The recipients ---- */

static int add_list(uvsmtp_raw_t *raw, uvsmtp_address_list_t *list)
{
  uvsmtp_address_list_t **lists = raw->lists;
  if ((raw->list_count & (raw->list_count - 1)) == 0) { /* a power of two is full */
    size_t room = raw->list_count != 0 ? 2 * raw->list_count : 1;
    lists = uvsmtp__realloc_array(&raw->mem, raw->lists, room, sizeof(*lists));
  }
  if (lists == NULL) {
    uvsmtp_address_list_free(list);
    return UVSMTP_ENOMEM;
  }
  raw->lists = lists;
  raw->lists[raw->list_count++] = list;
  return 0;
}

static bool names_recipients(const names_t *names, const uvsmtp__field_t *field)
{
  return uvsmtp__field_is(field, names->recipients[0]) ||
         uvsmtp__field_is(field, names->recipients[1]) ||
         uvsmtp__field_is(field, names->recipients[2]);
}

static int read_lists(uvsmtp_raw_t *raw, block_t block, const names_t *names)
{
  uvsmtp__fields_t fields = fields_of(raw, block);
  uvsmtp__field_t field;
  while (uvsmtp__fields_next(&fields, &field, NULL, 0) > 0) {
    uvsmtp_address_list_t *list;
    int err;
    if (!names_recipients(names, &field))
      continue;
    if ((err = parse_field(raw, &field, &list)) != 0 || (err = add_list(raw, list)) != 0)
      return err;
  }
  return 0;
}

static int make_recipients(uvsmtp_raw_t *raw)
{
  const char **addresses;
  size_t total = 0, n = 0;
  int err;
  for (size_t i = 0; i < raw->list_count; i++)
    total += uvsmtp_address_list_count(raw->lists[i]);
  if (total == 0)
    return uvsmtp__detail(raw->detail, sizeof(raw->detail), UVSMTP_ENORECIPIENTS,
                          "the header names no recipient");
  addresses = uvsmtp__calloc(&raw->mem, total, sizeof(*addresses));
  if (addresses == NULL)
    return UVSMTP_ENOMEM;
  for (size_t i = 0; i < raw->list_count; i++)
    for (size_t k = 0; k < uvsmtp_address_list_count(raw->lists[i]); k++)
      addresses[n++] = uvsmtp_address_list_at(raw->lists[i], k)->address;
  err = uvsmtp__recipients_unique(&raw->mem, addresses, total, &raw->recipients,
                                  &raw->recipient_count);
  uvsmtp__free(&raw->mem, addresses);
  return err;
}

void uvsmtp__raw_drop_envelope(uvsmtp_raw_t *raw)
{
  for (size_t i = 0; i < raw->list_count; i++)
    uvsmtp_address_list_free(raw->lists[i]);
  uvsmtp__free(&raw->mem, raw->lists);
  uvsmtp__free(&raw->mem, raw->recipients);
  uvsmtp__free(&raw->mem, raw->sender);
  raw->lists = NULL;
  raw->recipients = NULL;
  raw->sender = NULL;
  raw->list_count = raw->recipient_count = 0;
}

int uvsmtp_raw_envelope(uvsmtp_raw_t *raw, unsigned what, uvsmtp_envelope_t *envelope)
{
  const names_t *names;
  block_t block;
  int err = 0;
  if (!raw->complete)
    return UVSMTP_ESTATE;
  raw->detail[0] = '\0';
  uvsmtp__raw_drop_envelope(raw);
  block = find_block(raw);
  names = block.end > 0 ? &resent_names : &plain_names;
  if ((what & UVSMTP_RAW_SENDER) != 0)
    err = read_sender(raw, block, names);
  if (err == 0 && (what & UVSMTP_RAW_RECIPIENTS) != 0 && (err = read_lists(raw, block, names)) == 0)
    err = make_recipients(raw);
  if (err != 0)
    return err;
  if ((what & UVSMTP_RAW_SENDER) != 0)
    envelope->sender = raw->sender;
  if ((what & UVSMTP_RAW_RECIPIENTS) != 0) {
    envelope->recipients = raw->recipients;
    envelope->recipient_count = raw->recipient_count;
  }
  return 0;
}
