#ifndef TEST_MESSAGE_COMPOSE_SUPPORT_H
#define TEST_MESSAGE_COMPOSE_SUPPORT_H

/* Messages to begin with, and the way to read one out, for the tests of the builder. */
#include <stdbool.h>

#include "fake_crypto.h"
#include "support.h"

#define ALL (UVSMTP_TARGET_8BITMIME | UVSMTP_TARGET_SMTPUTF8 | UVSMTP_TARGET_BINARYMIME)

static inline uvsmtp_message_t *new_message(unsigned flags)
{
  uvsmtp_message_options_t options = UVSMTP_MESSAGE_OPTIONS_INIT;
  uvsmtp_message_t *m;
  fake_random_next = 0;
  options.crypto = &fake_crypto;
  options.flags = flags;
  assert_int_equal(uvsmtp_message_new(&m, &options), 0);
  return m;
}

/* A message with what every message needs. */
static inline uvsmtp_message_t *minimal(unsigned flags)
{
  uvsmtp_message_t *m = new_message(flags);
  uvsmtp_message_date(m, 1790000000, 120);
  uvsmtp_message_address(m, UVSMTP_FROM, "Ann Example", "ann@sender.example");
  uvsmtp_message_address(m, UVSMTP_TO, NULL, "bob@receiver.example");
  return m;
}

static inline void attach_bytes(uvsmtp_message_t *m, const char *filename, const void *bytes,
                                size_t len)
{
  uvsmtp_attachment_t a = UVSMTP_ATTACHMENT_INIT;
  a.filename = filename;
  a.bytes = bytes;
  a.len = len;
  assert_int_equal(uvsmtp_message_attach(m, &a), 0);
}

/* Opens, reads and checks what must hold of every message. */
static inline char *render(uvsmtp_message_t *m, unsigned target, uvsmtp_source_info_t *info,
                           size_t *len)
{
  uvsmtp_source_t source;
  int err = uvsmtp_message_source(m, &source);
  char *all;
  if (err != 0)
    fail_msg("%s: %s", uvsmtp_err_name(err), uvsmtp_message_detail(m));
  all = slurp(&source, target, info, len);
  if (info->length != UVSMTP_LENGTH_UNKNOWN)
    assert_int_equal(info->length, *len);
  if ((info->content & UVSMTP_CONTENT_BINARY) != 0)
    return all;
  for (size_t i = 0, line = 0; i < *len; i++) {
    bool crlf = all[i] == '\r' && i + 1 < *len && all[i + 1] == '\n';
    assert_true(crlf || (all[i] != '\r' && all[i] != '\n' && all[i] != '\0'));
    assert_true((info->content & UVSMTP_CONTENT_8BIT) != 0 || (unsigned char)all[i] < 128);
    line = crlf ? 0 : line + 1;
    assert_true(line <= 998);
    i += crlf;
  }
  assert_true(*len >= 2 && memcmp(all + *len - 2, "\r\n", 2) == 0);
  return all;
}

static inline char *render_text(uvsmtp_message_t *m, unsigned target)
{
  uvsmtp_source_info_t info;
  size_t len;
  return render(m, target, &info, &len);
}

/* Bytes of all kinds, to be attached. */
static const char png[] =
    "\x89PNG\r\n\x1a\n not really an image, but bytes of all kinds \0\1\2\377";

/* A message with text, HTML, an image, an invitation and attachments. */
static inline uvsmtp_message_t *with_everything(void)
{
  uvsmtp_message_t *m = minimal(0);
  uvsmtp_attachment_t image = UVSMTP_ATTACHMENT_INIT;
  uvsmtp_message_addresses(m, UVSMTP_REPLY_TO, "Replies <r@sender.example>");
  uvsmtp_message_subject(m, "Everything at once");
  uvsmtp_message_text(m, "See the picture.\n", SIZE_MAX);
  uvsmtp_message_html(m, "<p>See <img src=\"cid:pic@sender.example\"></p>\n", SIZE_MAX);
  uvsmtp_message_invitation(m, "REQUEST", "BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n",
                            SIZE_MAX);
  image.bytes = png;
  image.len = sizeof(png) - 1;
  image.filename = "picture.png";
  image.content_id = "pic@sender.example";
  image.description = "A picture";
  uvsmtp_message_attach(m, &image);
  attach_bytes(m, "notes.txt", "one\r\ntwo\r\n", 10);
  attach_bytes(m,
               "\xc3\x9c"
               "bersicht 2026.pdf",
               "%PDF", 4);
  attach_bytes(m, "forwarded.eml", "From: x@y.example\nTo: z@y.example\n\nOld text\n", 44);
  return m;
}

/* A message with groups, Bcc and the fields of a mailing list. */
static inline uvsmtp_message_t *from_a_list(void)
{
  uvsmtp_message_t *m = new_message(0);
  uvsmtp_message_date(m, 0, 0);
  uvsmtp_message_id(m, "given@sender.example");
  uvsmtp_message_address(m, UVSMTP_FROM, NULL, "a@sender.example");
  uvsmtp_message_address(m, UVSMTP_FROM, NULL, "b@sender.example");
  uvsmtp_message_address(m, UVSMTP_SENDER, "The List", "list@sender.example");
  uvsmtp_message_group(m, UVSMTP_TO, "Board Members");
  uvsmtp_message_address(m, UVSMTP_TO, "One", "one@host.example");
  uvsmtp_message_address(m, UVSMTP_TO, NULL, "two@host.example");
  uvsmtp_message_group(m, UVSMTP_TO, NULL);
  uvsmtp_message_address(m, UVSMTP_TO, NULL, "three@host.example");
  uvsmtp_message_group(m, UVSMTP_CC, "undisclosed");
  uvsmtp_message_address(m, UVSMTP_BCC, NULL, "hidden@host.example");
  uvsmtp_message_in_reply_to(m, "<first@sender.example>");
  uvsmtp_message_references(m, "one-rather-long-identifier.0123456789@sender.example "
                               "<another-rather-long-identifier.0123456789@sender.example> "
                               "first@sender.example");
  uvsmtp_message_unsubscribe(m, "https://sender.example/u?id=0123456789012345678901234567890123456",
                             "mailto:leave@sender.example", 1);
  uvsmtp_message_header(m, "X-Long",
                        "a header of many words that has to be folded since it is "
                        "longer than a line of seventy-eight characters");
  uvsmtp_message_subject(m, "");
  uvsmtp_message_text(m, "", 0);
  return m;
}

#endif
