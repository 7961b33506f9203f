/* Reads messages with GMime, for readback.py: base64 lines in, JSON lines out. */
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_string(const char *text)
{
  if (text == NULL) {
    printf("null");
    return;
  }
  putchar('"');
  for (; *text != '\0'; text++)
    if (*text == '"' || *text == '\\' || (unsigned char)*text < ' ')
      printf("\\u%04x", (unsigned)*text);
    else
      putchar(*text);
  putchar('"');
}

static void put_field(const char *name, const char *text)
{
  printf("\"%s\":", name);
  put_string(text);
}

/* ---- Addresses ---- */

static void put_mailbox(const char *group, InternetAddress *address, int *count)
{
  printf((*count)++ > 0 ? ",[" : "[");
  put_string(group);
  printf(",");
  put_string(address->name != NULL ? address->name : "");
  printf(",");
  put_string(internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address)));
  printf("]");
}

static void put_addresses(const char *name, InternetAddressList *list)
{
  int count = 0;
  printf(",\"%s\":[", name);
  for (int i = 0; i < internet_address_list_length(list); i++) {
    InternetAddress *address = internet_address_list_get_address(list, i);
    InternetAddressList *members;
    if (!INTERNET_ADDRESS_IS_GROUP(address)) {
      put_mailbox("", address, &count);
      continue;
    }
    members = internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address));
    for (int k = 0; k < internet_address_list_length(members); k++)
      put_mailbox(address->name, internet_address_list_get_address(members, k), &count);
  }
  printf("]");
}

/* ---- Parts ---- */

static GByteArray *content_of(GMimePart *part)
{
  GByteArray *bytes = g_byte_array_new();
  GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(bytes);
  GMimeDataWrapper *content = g_mime_part_get_content(part);
  g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
  if (content != NULL)
    g_mime_data_wrapper_write_to_stream(content, stream);
  g_object_unref(stream);
  return bytes;
}

static void put_text(const char *name, GByteArray *bytes)
{
  char *text = g_strndup(bytes->len > 0 ? (const char *)bytes->data : "", bytes->len);
  printf(",");
  put_field(name, text);
  g_free(text);
}

static void put_attachment(GMimeObject *object, GByteArray *bytes, int *count)
{
  GMimeContentType *type = g_mime_object_get_content_type(object);
  char *name = g_mime_content_type_get_mime_type(type);
  char *encoded = g_base64_encode(bytes->data, bytes->len);
  printf((*count)++ > 0 ? ",{" : "{");
  put_field("type", name);
  printf(",");
  put_field("filename", g_mime_part_get_filename(GMIME_PART(object)));
  printf(",");
  put_field("cid", g_mime_object_get_content_id(object));
  printf(",");
  put_field("bytes", encoded);
  printf("}");
  g_free(name);
  g_free(encoded);
}

static void put_message(GMimeMessagePart *part)
{
  GMimeFormatOptions *options = g_mime_format_options_new();
  GByteArray *bytes = g_byte_array_new();
  GMimeStream *stream = g_mime_stream_mem_new_with_byte_array(bytes);
  g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
  g_mime_format_options_set_newline_format(options, GMIME_NEWLINE_FORMAT_DOS);
  g_mime_object_write_to_stream(GMIME_OBJECT(g_mime_message_part_get_message(part)), options,
                                stream);
  put_text("attached_message", bytes);
  g_object_unref(stream);
  g_byte_array_free(bytes, TRUE);
  g_mime_format_options_free(options);
}

/* One leaf: `attachments` says which kind is written in this walk. */
static void put_leaf(GMimeObject *object, gboolean attachments, int *count)
{
  GMimeContentType *type = g_mime_object_get_content_type(object);
  gboolean attached = g_mime_object_get_content_disposition(object) != NULL;
  GByteArray *bytes;
  if (GMIME_IS_MESSAGE_PART(object)) {
    if (!attachments)
      put_message(GMIME_MESSAGE_PART(object));
    return;
  }
  if (attached != attachments)
    return;
  bytes = content_of(GMIME_PART(object));
  if (attached)
    put_attachment(object, bytes, count);
  else
    put_text(g_mime_content_type_is_type(type, "text", "html")       ? "html"
             : g_mime_content_type_is_type(type, "text", "calendar") ? "calendar"
                                                                     : "text",
             bytes);
  g_byte_array_free(bytes, TRUE);
}

static void walk(GMimeObject *object, gboolean attachments, int *count)
{
  if (!GMIME_IS_MULTIPART(object)) {
    put_leaf(object, attachments, count);
    return;
  }
  for (int i = 0; i < g_mime_multipart_get_count(GMIME_MULTIPART(object)); i++)
    walk(g_mime_multipart_get_part(GMIME_MULTIPART(object), i), attachments, count);
}

/* ---- Messages ---- */

static void read_message(GMimeMessage *message)
{
  GMimeHeaderList *headers = g_mime_object_get_header_list(GMIME_OBJECT(message));
  GMimeHeader *header = g_mime_header_list_get_header(headers, "X-Any");
  int count = 0;
  printf("{");
  put_field("subject", g_mime_message_get_subject(message));
  printf(",");
  put_field("header", header != NULL ? g_mime_header_get_value(header) : NULL);
  put_addresses("from", g_mime_message_get_from(message));
  put_addresses("to", g_mime_message_get_to(message));
  walk(g_mime_message_get_mime_part(message), FALSE, &count);
  printf(",\"attachments\":[");
  walk(g_mime_message_get_mime_part(message), TRUE, &count);
  printf("],\"flaws\":[]}\n");
}

int main(void)
{
  char *line = NULL;
  size_t size = 0;
  ssize_t len;
  g_mime_init();
  while ((len = getline(&line, &size, stdin)) > 0) {
    gsize n;
    guchar *raw = g_base64_decode(line, &n);
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer((const char *)raw, n);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
    if (message == NULL)
      return 1;
    read_message(message);
    g_object_unref(message);
    g_object_unref(parser);
    g_object_unref(stream);
    g_free(raw);
  }
  free(line);
  g_mime_shutdown();
  return 0;
}
