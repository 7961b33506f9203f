/*
 * What became of messages: for people, or as JSON, and as the exit status.
 */
#include "tool.h"

#include <stdlib.h>
#include <string.h>

#include "sink/json.h"

/* ---- statuses ---- */

static int status_of_class(uvsmtp_err_class_t klass)
{
  switch (klass) {
  case UVSMTP_CLASS_NONE:
    return STATUS_OK;
  case UVSMTP_CLASS_USAGE:
    return STATUS_DATA;
  case UVSMTP_CLASS_TLS:
  case UVSMTP_CLASS_AUTH:
    return STATUS_NO_PERMISSION;
  case UVSMTP_CLASS_PROTOCOL:
    return STATUS_PROTOCOL;
  case UVSMTP_CLASS_PERMANENT:
    return STATUS_UNAVAILABLE;
  case UVSMTP_CLASS_NETWORK:
  case UVSMTP_CLASS_TEMPORARY:
  case UVSMTP_CLASS_CANCELLED:
  case UVSMTP_CLASS_RESOURCE:
    break;
  }
  return STATUS_TEMPORARY;
}

int status_of(int err)
{
  static const struct {
    int err, status;
  } exceptions[] = {
      {UVSMTP_ERESOLVE, STATUS_NO_HOST},
      {UV_EAI_NONAME, STATUS_NO_HOST},
      {UV_EAI_NODATA, STATUS_NO_HOST},
      {UVSMTP_ESOURCE, STATUS_NO_INPUT},
      {UVSMTP_EURL, STATUS_USAGE},
      {UVSMTP_EAUTHTEMPORARY, STATUS_TEMPORARY},
      {UVSMTP_EAUTHUNSUPPORTED, STATUS_CONFIG},
      {UVSMTP_ETLSCONFIG, STATUS_CONFIG},
      {UVSMTP_EKEY, STATUS_CONFIG},
      {UVSMTP_ELOOP, STATUS_CONFIG},
      {UVSMTP_EEXTENSION, STATUS_UNAVAILABLE},
      {UVSMTP_E8BIT, STATUS_UNAVAILABLE},
  };

  for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++)
    if (exceptions[i].err == err)
      return exceptions[i].status;
  return status_of_class(uvsmtp_err_class(err));
}

int worse(int a, int b)
{
  if (a == STATUS_OK || (a == STATUS_TEMPORARY && b != STATUS_OK))
    return b;
  return a;
}

/* The reply by which a server asks for more before it takes mail (RFC 4954 section 6, RFC 3207). */
static const uvsmtp_recipient_result_t *asks_for_more(const uvsmtp_result_t *result)
{
  for (size_t i = 0; i < result->recipient_count; i++)
    if (result->recipients[i].code == 530)
      return &result->recipients[i];
  return NULL;
}

/* What may be done about it, behind the error's text. */
static const char *hint_of(const uvsmtp_result_t *result)
{
  const uvsmtp_recipient_result_t *asking = asks_for_more(result);

  if (asking == NULL)
    return "";
  return strstr(asking->text, "TLS") != NULL ? "; use TLS" : "; log in with --user";
}

/*
 * One recipient refused for good outweighs any number that may be tried again, and what the server
 * asks for before it takes any, both.
 */
static int status_of_result(const uvsmtp_result_t *result)
{
  int status = status_of(result->err);

  if (status == STATUS_OK && result->status != UVSMTP_ACCEPTED)
    status = STATUS_TEMPORARY;
  if (asks_for_more(result) != NULL)
    return STATUS_NO_PERMISSION;
  if (status != STATUS_TEMPORARY)
    return status;
  for (size_t i = 0; i < result->recipient_count; i++)
    if (result->recipients[i].status == UVSMTP_REJECTED)
      return STATUS_UNAVAILABLE;
  return status;
}

/* ---- JSON ---- */

static void json_field(const char *name, const char *text)
{
  printf("\"%s\": ", name);
  sink__json_string(stdout, text);
}

static void enhanced_text(char out[24], const uint16_t enhanced[3])
{
  out[0] = '\0';
  if (enhanced[0] != 0)
    snprintf(out, 24, "%u.%u.%u", enhanced[0], enhanced[1], enhanced[2]);
}

static void json_reply(int code, const uint16_t enhanced[3], const char *text)
{
  char number[24];

  enhanced_text(number, enhanced);
  printf("\"code\": %d, ", code);
  json_field("enhanced", number);
  fputs(", ", stdout);
  json_field("text", text);
}

static void json_recipients(const uvsmtp_result_t *result)
{
  fputs(", \"recipients\": [", stdout);
  for (size_t i = 0; i < result->recipient_count; i++) {
    const uvsmtp_recipient_result_t *r = &result->recipients[i];
    fputs(i == 0 ? "{" : ", {", stdout);
    json_field("address", r->address);
    fputs(", ", stdout);
    json_field("status", uvsmtp_status_name(r->status));
    fputs(", ", stdout);
    json_reply(r->code, r->enhanced, r->text);
    putchar('}');
  }
  fputs("], ", stdout);
}

static const char *phase_of(const uvsmtp_result_t *result)
{
  return result->phase_known ? uvsmtp_command_name(result->phase) : "CONNECT";
}

static void print_json(const char *name, const uvsmtp_result_t *result, const char *phase)
{
  char text[1024];

  putchar('{');
  json_field("message", name);
  fputs(", ", stdout);
  json_field("status", uvsmtp_status_name(result->status));
  fputs(", \"reply\": {", stdout);
  json_reply(result->code, result->enhanced, result->code != 0 ? result->text : "");
  putchar('}');
  json_recipients(result);
  json_field("phase", phase);
  fputs(", ", stdout);
  json_field("tls", uvsmtp_security_name(result->security));
  fputs(", \"error\": ", stdout);
  if (result->err == 0) {
    fputs("null}\n", stdout);
    return;
  }
  putchar('{');
  json_field("name", uvsmtp_err_name(result->err));
  fputs(", ", stdout);
  snprintf(text, sizeof text, "%s%s", result->error_text, hint_of(result));
  json_field("text", text);
  fputs("}}\n", stdout);
}

/* ---- people ---- */

static void print_status(uvsmtp_status_t status)
{
  static const char *const colours[] = {
      [UVSMTP_ACCEPTED] = "\033[32m", [UVSMTP_REJECTED] = "\033[31m",
      [UVSMTP_DEFERRED] = "\033[33m", [UVSMTP_UNKNOWN] = "\033[35m",
      [UVSMTP_PARTIAL] = "\033[33m",
  };
  bool colour = use_colour(stdout);

  printf("%s%s%s", colour ? colours[status] : "", uvsmtp_status_name(status),
         colour ? "\033[0m" : "");
}

static void print_reply(int code, const uint16_t enhanced[3], const char *text)
{
  char number[24];

  enhanced_text(number, enhanced);
  printf("%d%s%s%s", code, number[0] != '\0' ? " " : "", number, text[0] != '\0' ? " " : "");
  print_safe(stdout, text);
}

static void print_recipients(const uvsmtp_result_t *result)
{
  for (size_t i = 0; i < result->recipient_count; i++) {
    const uvsmtp_recipient_result_t *r = &result->recipients[i];
    fputs("  ", stdout);
    print_safe(stdout, r->address);
    fputs(": ", stdout);
    print_status(r->status);
    if (r->code != 0) {
      fputs(", ", stdout);
      print_reply(r->code, r->enhanced, r->text);
    }
    putchar('\n');
  }
}

static void print_text(const char *name, const uvsmtp_result_t *result)
{
  print_safe(stdout, strcmp(name, "-") == 0 ? "message" : name);
  fputs(": ", stdout);
  print_status(result->status);
  if (result->err != 0) {
    fputs(": ", stdout);
    print_safe(stdout, result->error_text);
    fputs(hint_of(result), stdout);
  } else if (result->code != 0) {
    fputs(", ", stdout);
    print_reply(result->code, result->enhanced, result->text);
  }
  putchar('\n');
  if (result->err != 0)
    print_recipients(result);
}

static void print_result(const settings_t *settings, const letter_t *letter,
                         const uvsmtp_result_t *result, const char *phase)
{
  if (settings->json)
    print_json(letter->name, result, phase);
  else
    print_text(letter->name, result);
  fflush(stdout);
}

/* ---- both ---- */

int report_result(const settings_t *settings, const letter_t *letter, const uvsmtp_result_t *result)
{
  print_result(settings, letter, result, phase_of(result));
  return status_of_result(result);
}

int report_failure(const settings_t *settings, const letter_t *letter, int err)
{
  uvsmtp_result_t result = {.err = err, .text = "", .peer = ""};
  size_t count = letter->envelope.recipient_count;
  uvsmtp_recipient_result_t *recipients = calloc(count, sizeof *recipients);
  int status = status_of(err);
  char text[640];

  result.status = status == STATUS_TEMPORARY ? UVSMTP_DEFERRED : UVSMTP_REJECTED;
  result.recipients = recipients;
  result.recipient_count = recipients != NULL ? count : 0;
  for (size_t i = 0; i < result.recipient_count; i++)
    recipients[i] = (uvsmtp_recipient_result_t){
        .address = letter->envelope.recipients[i].address, .status = result.status, .text = ""};
  snprintf(text, sizeof text, "%s%s%s", uvsmtp_strerror(err), letter->detail[0] != '\0' ? ": " : "",
           letter->detail);
  result.error_text = text;
  print_result(settings, letter, &result, "MESSAGE");
  free(recipients);
  return status;
}
