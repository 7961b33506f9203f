/*
 * Messages that are built from options, signatures, and the end of all messages.
 */
#include "tool.h"

#include <stdlib.h>
#include <string.h>

#include <unistd.h>

/* ---- building ---- */

static int add_lists(uvsmtp_message_t *message, uvsmtp_field_t field, const texts_t *lists)
{
  int err = 0;

  for (size_t i = 0; i < lists->count && err == 0; i++)
    err = uvsmtp_message_addresses(message, field, lists->at[i]);
  return err;
}

static int add_people(uvsmtp_message_t *message, const settings_t *s)
{
  int err = uvsmtp_message_addresses(message, UVSMTP_FROM, s->from);

  if (err == 0 && s->sender != NULL)
    err = uvsmtp_message_addresses(message, UVSMTP_SENDER, s->sender);
  if (err == 0 && s->reply_to != NULL)
    err = uvsmtp_message_addresses(message, UVSMTP_REPLY_TO, s->reply_to);
  if (err == 0)
    err = add_lists(message, UVSMTP_TO, &s->to);
  if (err == 0)
    err = add_lists(message, UVSMTP_CC, &s->cc);
  if (err == 0)
    err = add_lists(message, UVSMTP_BCC, &s->bcc);
  return err;
}

/* "Name: value" */
static int add_header(letter_t *letter, const char *line)
{
  size_t len = strcspn(line, ":");
  char *name;
  int err;

  if (line[len] != ':') {
    snprintf(letter->detail, sizeof letter->detail, "--header wants 'NAME: VALUE'");
    return UVSMTP_EHEADER;
  }
  name = malloc(len + 1);
  if (name == NULL)
    return UVSMTP_ENOMEM;
  memcpy(name, line, len);
  name[len] = '\0';
  line += len + 1;
  err = uvsmtp_message_header(letter->message, name, line + strspn(line, " \t"));
  free(name);
  return err;
}

/* The content id of an image: its name, with what no id can hold as "_". */
static char *content_id(const char *name)
{
  char *id = malloc(strlen(name) + 1), *out = id;

  if (id == NULL)
    return NULL;
  for (; *name != '\0'; name++) {
    bool plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                 (*name >= '0' && *name <= '9') || strchr(".-_@+", *name) != NULL;
    *out++ = plain ? *name : '_';
  }
  *out = '\0';
  return id;
}

static int attach(uvsmtp_message_t *message, const char *path)
{
  uvsmtp_attachment_t attachment = UVSMTP_ATTACHMENT_INIT;

  attachment.path = path;
  return uvsmtp_message_attach(message, &attachment);
}

static int embed(uvsmtp_message_t *message, const char *path)
{
  uvsmtp_attachment_t attachment = UVSMTP_ATTACHMENT_INIT;
  const char *slash = strrchr(path, '/');
  char *id = content_id(slash == NULL ? path : slash + 1);
  int err;

  if (id == NULL)
    return UVSMTP_ENOMEM;
  attachment.path = path;
  attachment.content_id = id;
  attachment.flags = UVSMTP_ATTACH_INLINE;
  err = uvsmtp_message_attach(message, &attachment);
  free(id);
  return err;
}

static int add_content(letter_t *letter, const settings_t *s)
{
  uvsmtp_message_t *message = letter->message;
  int err = 0;

  if (s->subject != NULL)
    err = uvsmtp_message_subject(message, s->subject);
  for (size_t i = 0; i < s->headers.count && err == 0; i++)
    err = add_header(letter, s->headers.at[i]);
  if (s->text != NULL && err == 0)
    err = uvsmtp_message_text(message, s->text, SIZE_MAX);
  if (s->html != NULL && err == 0)
    err = uvsmtp_message_html(message, s->html, SIZE_MAX);
  for (size_t i = 0; i < s->embed.count && err == 0; i++)
    err = embed(message, s->embed.at[i]);
  for (size_t i = 0; i < s->attach.count && err == 0; i++)
    err = attach(message, s->attach.at[i]);
  return err;
}

int letter_build(letter_t *letter, const settings_t *settings, uv_loop_t *loop)
{
  uvsmtp_message_options_t options = UVSMTP_MESSAGE_OPTIONS_INIT;
  int err;

  letter->name = "-";
  letter->fd = -1;
  letter->envelope.size = sizeof letter->envelope;
  options.crypto = uvsmtp_tls_crypto();
  if (loop != NULL) {
    options.files = uvsmtp_loop_files();
    options.files_ctx = loop;
  }
  err = uvsmtp_message_new(&letter->message, &options);
  if (err != 0)
    return err;
  err = add_people(letter->message, settings);
  if (err == 0)
    err = add_content(letter, settings);
  if (err == 0)
    err = uvsmtp_message_source(letter->message, &letter->built);
  if (err == 0 && settings->to.count + settings->cc.count + settings->bcc.count > 0)
    err = uvsmtp_message_envelope(letter->message, &letter->envelope);
  letter->source = &letter->built;
  if (err != 0 && letter->detail[0] == '\0')
    snprintf(letter->detail, sizeof letter->detail, "%s", uvsmtp_message_detail(letter->message));
  return err;
}

/* ---- signing ---- */

int signer_new(uvsmtp_dkim_t **signer, const settings_t *settings, uv_loop_t *loop, char *detail,
               size_t detail_size)
{
  uvsmtp_dkim_options_t options = UVSMTP_DKIM_OPTIONS_INIT;

  *signer = NULL;
  if (settings->dkim_key == NULL)
    return 0;
  options.crypto = uvsmtp_tls_crypto();
  options.domain = settings->dkim_domain;
  options.selector = settings->dkim_selector;
  options.key_file = settings->dkim_key;
  if (loop != NULL) {
    options.work = uvsmtp_loop_work;
    options.work_ctx = loop;
  }
  return uvsmtp_dkim_new(signer, &options, detail, detail_size);
}

int letter_sign(letter_t *letter, uvsmtp_dkim_t *signer)
{
  uvsmtp_signing_options_t options = UVSMTP_SIGNING_OPTIONS_INIT;
  int err;

  options.source = letter->source;
  options.signers = &signer;
  options.signer_count = 1;
  err = uvsmtp_signing_new(&letter->signing, &options);
  if (err != 0)
    return err;
  uvsmtp_signing_source(letter->signing, &letter->signed_one);
  letter->source = &letter->signed_one;
  return 0;
}

void letter_clear(letter_t *letter)
{
  uvsmtp_signing_free(letter->signing);
  uvsmtp_message_free(letter->message);
  if (letter->has_file)
    uvsmtp_source_release(&letter->whole);
  uvsmtp_raw_free(letter->raw);
  if (letter->fd > STDIN_FILENO)
    close(letter->fd);
  free(letter->recipients);
  free(letter->bytes);
  memset(letter, 0, sizeof *letter);
  letter->fd = -1;
}
