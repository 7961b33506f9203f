/*
 * The common shapes of messages, each as in a file that can be read by eye.
 *
 * The golden files in golden/ have LF as their line end, so that they can be read; a message is
 * compared with its file after every LF became CRLF. UVSMTP_UPDATE_GOLDEN=1 writes them anew: look
 * at the difference before believing it.
 */
#include <stdio.h>

#include "compose_support.h"

static uvsmtp_message_t *golden_text(void)
{
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_message_subject(m, "Hello");
  uvsmtp_message_text(m, "Hi Bob,\n\nall well?\n\nAnn\n", SIZE_MAX);
  return m;
}

static uvsmtp_message_t *golden_unicode(void)
{
  uvsmtp_message_t *m = new_message(0);
  uvsmtp_message_date(m, 951782400, -330);
  uvsmtp_message_address(m, UVSMTP_FROM, "J\xc3\xb6rg M\xc3\xbcller", "joerg@sender.example");
  uvsmtp_message_address(m, UVSMTP_TO, "\xe5\xb1\xb1\xe7\x94\xb0\xe5\xa4\xaa\xe9\x83\x8e",
                         "taro@host.example");
  uvsmtp_message_address(m, UVSMTP_TO, "Doe, John \"Jack\"", "jack@host.example");
  uvsmtp_message_address(m, UVSMTP_CC, "Zo\xc3\xab", "john doe@host.example");
  uvsmtp_message_subject(m, "Re: Gr\xc3\xb6\xc3\x9f"
                            "e der Bilder und der Rahmen, wie am Freitag "
                            "besprochen \xe2\x80\x93 eine l\xc3\xa4ngere Betreffzeile");
  uvsmtp_message_text(m,
                      "Gr\xc3\xbc\xc3\x9f"
                      "e!\nFrom here on = 1 trailing blank \nThe end",
                      SIZE_MAX);
  return m;
}

static uvsmtp_message_t *golden_report(void)
{
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_part_t *report, *text, *status;
  uvsmtp_attachment_t content = UVSMTP_ATTACHMENT_INIT;
  content.bytes = "Reporting-MTA: dns; sender.example\n\nAction: failed\n";
  content.len = strlen(content.bytes);
  content.type = "message/delivery-status";
  uvsmtp_part_multipart(m, &report, "report");
  uvsmtp_part_param(report, "report-type", "delivery-status");
  uvsmtp_part_text(m, &text, "plain", "Not delivered.", SIZE_MAX);
  uvsmtp_part_header(text, "Content-Language", "en");
  uvsmtp_part_leaf(m, &status, &content);
  uvsmtp_part_add(report, text);
  uvsmtp_part_add(report, status);
  uvsmtp_message_root(m, report);
  return m;
}

static uvsmtp_message_t *golden_attachment(void)
{
  uvsmtp_message_t *m = minimal(0);
  char bytes[256];
  for (size_t i = 0; i < sizeof(bytes); i++)
    bytes[i] = (char)i;
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  a.bytes = bytes;
  a.len = sizeof(bytes);
  a.flags = UVSMTP_ATTACH_COPY;
  a.filename = "a very long file name with many words that no line can hold, so that it is cut.bin";
  uvsmtp_message_attach(m, &a);
  return m;
}

static uvsmtp_message_t *golden_html(void)
{
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_message_subject(m, "Text and HTML");
  uvsmtp_message_text(m, "Good morning!\n", SIZE_MAX);
  uvsmtp_message_html(m, "<h1>Good morning!</h1>\n", SIZE_MAX);
  return m;
}

static uvsmtp_message_t *golden_inline(void)
{
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_attachment_t image = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_subject(m, "With an image");
  uvsmtp_message_html(m, "<p><img src=\"cid:logo\"></p>\n", SIZE_MAX);
  image.bytes = png;
  image.len = sizeof(png) - 1;
  image.filename = "logo.png";
  image.content_id = "logo";
  uvsmtp_message_attach(m, &image);
  return m;
}

static uvsmtp_message_t *golden_invitation(void)
{
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_message_subject(m, "Invitation: Lunch");
  uvsmtp_message_text(m, "Lunch on Friday at noon?\n", SIZE_MAX);
  uvsmtp_message_invitation(
      m, "REQUEST",
      "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//sender.example//EN\r\nMETHOD:REQUEST\r\n"
      "BEGIN:VEVENT\r\nUID:1@sender.example\r\nDTSTAMP:20260921T140000Z\r\n"
      "DTSTART:20260925T100000Z\r\nDTEND:20260925T110000Z\r\nSUMMARY:Lunch\r\n"
      "ORGANIZER:mailto:ann@sender.example\r\nATTENDEE:mailto:bob@receiver.example\r\n"
      "END:VEVENT\r\nEND:VCALENDAR\r\n",
      SIZE_MAX);
  return m;
}

static uvsmtp_message_t *golden_forwarded(void)
{
  static const char old[] =
      "From: Carl <carl@host.example>\nTo: ann@sender.example\n"
      "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nContent-Type: text/plain; charset=utf-8\n"
      "Content-Transfer-Encoding: 8bit\n\nSch\xc3\xb6ne Gr\xc3\xbc\xc3\x9f"
      "e aus K\xc3\xb6ln!\n";
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_message_subject(m, "Fwd: Gr\xc3\xbc\xc3\x9f"
                            "e");
  uvsmtp_message_text(m, "See below.\n", SIZE_MAX);
  attach_bytes(m, "old.eml", old, sizeof(old) - 1);
  return m;
}

static uvsmtp_message_t *golden_utf8(void)
{
  uvsmtp_message_t *m = new_message(0);
  uvsmtp_message_date(m, 1790000000, 0);
  uvsmtp_message_address(m, UVSMTP_FROM, "J\xc3\xb6rg", "j\xc3\xb6rg@sender.example");
  uvsmtp_message_address(m, UVSMTP_TO, "Zo\xc3\xab", "zoe@host.example");
  uvsmtp_message_subject(m, "Gr\xc3\xbc\xc3\x9f"
                            "e");
  uvsmtp_message_text(m, "\xe2\x9c\x93\n", SIZE_MAX);
  attach_bytes(m,
               "\xd0\xbe\xd1\x82\xd1\x87\xd1\x91\xd1\x82 \xd0\xb7\xd0\xb0 "
               "\xd1\x81\xd0\xb5\xd0\xbd\xd1\x82\xd1\x8f\xd0\xb1\xd1\x80\xd1\x8c 2026 "
               "\xd0\xb3\xd0\xbe\xd0\xb4\xd0\xb0.txt",
               "\xe2\x9c\x93\n", 4);
  return m;
}

/* What the message is a copy of, if it is one. */
static uvsmtp_message_t *of_copy;

static uvsmtp_message_t *golden_template(void)
{
  uvsmtp_message_t *copy;
  of_copy = minimal(UVSMTP_MESSAGE_TEMPLATE);
  uvsmtp_message_subject(of_copy, "Your order {{number}}");
  uvsmtp_message_header(of_copy, "X-Order", "{{number}}");
  uvsmtp_message_text(
      of_copy, "Dear {{name}},\nthank you. {{{name}}} {{ name }} {name} {{no key}}\n", SIZE_MAX);
  uvsmtp_message_html(of_copy, "<p>Dear {{name}}, {{{signature}}}</p>\n", SIZE_MAX);
  attach_bytes(of_copy, "terms.txt", "The same for all.\r\n", 19);
  assert_int_equal(uvsmtp_message_copy(&copy, of_copy), 0);
  uvsmtp_message_date(copy, 1790000000, 0);
  uvsmtp_message_address(copy, UVSMTP_TO, "Tom & Jerry", "tj@host.example");
  uvsmtp_message_mark(copy, "number", "N\xc2\xba 7");
  uvsmtp_message_mark(copy, "name", "Tom & Jerry");
  uvsmtp_message_mark(copy, "signature", "<b>Ann</b>");
  return copy;
}

static const struct {
  const char *name;
  uvsmtp_message_t *(*make)(void);
  unsigned target;
  unsigned content;
} golden[] = {
    {"text", golden_text, 0, UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF | UVSMTP_CONTENT_STABLE},
    {"html", golden_html, 0, UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF | UVSMTP_CONTENT_STABLE},
    {"inline", golden_inline, 0, UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF},
    {"invitation", golden_invitation, 0,
     UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF | UVSMTP_CONTENT_STABLE},
    {"forwarded", golden_forwarded, 0, UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF},
    {"template", golden_template, 0,
     UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF | UVSMTP_CONTENT_STABLE},
    {"utf8", golden_utf8, ALL,
     UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF | UVSMTP_CONTENT_8BIT | UVSMTP_CONTENT_UTF8},
    {"unicode-7bit", golden_unicode, 0, UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF},
    {"everything", with_everything, 0, UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF},
    {"list", from_a_list, ALL, UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF | UVSMTP_CONTENT_STABLE},
    {"report", golden_report, 0,
     UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF | UVSMTP_CONTENT_STABLE},
    {"attachment", golden_attachment, ALL, UVSMTP_CONTENT_KNOWN | UVSMTP_CONTENT_CRLF},
};

static FILE *open_golden(const char *name, const char *mode)
{
  char path[1000];
  FILE *file;
  snprintf(path, sizeof(path), "%s/test/unit/message/golden/%s.eml", UVSMTP_TEST_SOURCE_ROOT, name);
  file = fopen(path, mode);
  if (file == NULL)
    fail_msg("cannot open %s", path);
  return file;
}

static void update_golden(const char *name, const char *text)
{
  FILE *file = open_golden(name, "w");
  for (; *text != '\0'; text++)
    if (*text != '\r')
      fputc(*text, file);
  fclose(file);
}

static char *read_golden(const char *name)
{
  FILE *file = open_golden(name, "r");
  char *text = calloc(1, 100000);
  size_t n = 0;
  for (int c; (c = fgetc(file)) != EOF && n < 99990;) {
    if (c == '\n')
      text[n++] = '\r';
    text[n++] = (char)c;
  }
  fclose(file);
  return text;
}

static void common_shapes_are_as_in_the_golden_files(void **state)
{
  for (size_t i = 0; i < COUNT(golden); i++) {
    uvsmtp_message_t *m = golden[i].make();
    uvsmtp_source_info_t info;
    size_t len;
    char *got = render(m, golden[i].target, &info, &len), *want;
    if (getenv("UVSMTP_UPDATE_GOLDEN") != NULL)
      update_golden(golden[i].name, got);
    want = read_golden(golden[i].name);
    assert_string_equal(got, want);
    assert_int_equal(info.content, golden[i].content);
    free(want);
    free(got);
    uvsmtp_message_free(m);
    uvsmtp_message_free(of_copy);
    of_copy = NULL;
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(common_shapes_are_as_in_the_golden_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
