/* What the protocols of one owner share: options that were checked and copied once. */
#include "base/mem.h"
#include "base/options.h"
#include "protocol/machine.h"

#define DEFAULT(field, value)                                                                      \
  if (o->field == 0)                                                                               \
  o->field = (value)

static void fill_defaults(uvsmtp_protocol_options_t *o)
{
  DEFAULT(max_reply_line, 8192);
  DEFAULT(max_reply_lines, 2048);
  DEFAULT(max_reply_bytes, 131072);
  DEFAULT(max_output, 131072);
  DEFAULT(max_outstanding, 65536);
  DEFAULT(timeouts.greeting_ms, 300000);
  DEFAULT(timeouts.command_ms, 300000);
  DEFAULT(timeouts.data_ms, 120000);
  DEFAULT(timeouts.body_ms, 180000);
  DEFAULT(timeouts.data_end_ms, 600000);
  if (o->max_output < 4096)
    o->max_output = 4096;
}

int uvsmtp_protocol_settings_new(uvsmtp_protocol_settings_t **out,
                                 const uvsmtp_protocol_options_t *options)
{
  uvsmtp_protocol_options_t known;
  uvsmtp_protocol_settings_t *settings;
  int err = uvsmtp__options_copy(&known, sizeof(known), options);
  *out = NULL;
  if (err != 0)
    return err;
  settings = uvsmtp__calloc(known.mem, 1, sizeof(*settings));
  if (settings == NULL)
    return UVSMTP_ENOMEM;
  settings->users = 1;
  settings->mem = *uvsmtp__mem(known.mem);
  settings->options = known;
  settings->options.mem = &settings->mem;
  fill_defaults(&settings->options);
  *out = settings;
  return 0;
}

void uvsmtp_protocol_settings_free(uvsmtp_protocol_settings_t *settings)
{
  uvsmtp_mem_t mem;
  if (settings == NULL || --settings->users > 0)
    return;
  mem = settings->mem;
  for (size_t i = 0; i < sizeof(settings->offers) / sizeof(settings->offers[0]); i++)
    uvsmtp__offer_release(settings, settings->offers[i]);
  uvsmtp__free(&mem, settings);
}
