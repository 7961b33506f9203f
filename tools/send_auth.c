/*
 * Logging in, as the options and the URL say. Mechanisms of one family share an authenticator, and
 * the families come in the order in which --auth names them first.
 */
#include "tool.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum family_e { PASSWORD, OAUTH, EXTERNAL, ANONYMOUS, GSSAPI, FAMILIES } family_t;

static int (*const make[FAMILIES])(uvsmtp_auth_t **, const uvsmtp_auth_options_t *) = {
    [PASSWORD] = uvsmtp_auth_password_new, [OAUTH] = uvsmtp_auth_oauth2_new,
    [EXTERNAL] = uvsmtp_auth_external_new, [ANONYMOUS] = uvsmtp_auth_anonymous_new,
    [GSSAPI] = uvsmtp_auth_gssapi_new,
};

enum { MAX_PASSWORD = 4096, MAX_NAMES = 512 };

/* What the families are made of; the secrets are wiped when they have been. */
typedef struct plan_s {
  const settings_t *settings;
  const char *user;
  const char *password; /* NULL: none */
  char file[MAX_PASSWORD];
  char names[FAMILIES][MAX_NAMES]; /* mechanisms with blanks between; "": all of the family */
  family_t order[FAMILIES];
  size_t count;
} plan_t;

/* FAMILIES if there is no such mechanism. */
static family_t family_of(const char *name, size_t len)
{
  static const struct {
    const char *name;
    family_t family;
  } all[] = {
      {"SCRAM-SHA-512-PLUS", PASSWORD},
      {"SCRAM-SHA-256-PLUS", PASSWORD},
      {"SCRAM-SHA-1-PLUS", PASSWORD},
      {"SCRAM-SHA-512", PASSWORD},
      {"SCRAM-SHA-256", PASSWORD},
      {"SCRAM-SHA-1", PASSWORD},
      {"CRAM-MD5", PASSWORD},
      {"PLAIN", PASSWORD},
      {"LOGIN", PASSWORD},
      {"XOAUTH2", OAUTH},
      {"OAUTHBEARER", OAUTH},
      {"EXTERNAL", EXTERNAL},
      {"ANONYMOUS", ANONYMOUS},
      {"GSSAPI", GSSAPI},
  };

  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    if (strlen(all[i].name) == len && strncasecmp(all[i].name, name, len) == 0)
      return all[i].family;
  return FAMILIES;
}

static int plan_name(plan_t *plan, const char *name, size_t len)
{
  family_t family = family_of(name, len);
  bool known = false;
  char *names;
  size_t had;

  if (family == FAMILIES)
    return complain(STATUS_USAGE, "send", "--auth: there is no mechanism %.*s here", (int)len,
                    name);
  names = plan->names[family];
  had = strlen(names);

  for (size_t i = 0; i < plan->count; i++)
    known = known || plan->order[i] == family;
  if (!known)
    plan->order[plan->count++] = family;
  if (had + len + 2 > MAX_NAMES)
    return complain(STATUS_USAGE, "send", "--auth is too long");
  snprintf(names + had, MAX_NAMES - had, "%s%.*s", had > 0 ? " " : "", (int)len, name);
  return STATUS_OK;
}

static int plan_names(plan_t *plan, const char *list)
{
  while (list[0] != '\0') {
    size_t len = strcspn(list, ", ");
    int status = len > 0 ? plan_name(plan, list, len) : STATUS_OK;
    if (status != STATUS_OK)
      return status;
    list += len + strspn(list + len, ", ");
  }
  return plan->count > 0 ? STATUS_OK : complain(STATUS_USAGE, "send", "--auth names no mechanism");
}

/* The first line of the file. */
static int read_password(plan_t *plan, const char *path)
{
  FILE *file = fopen(path, "r");
  bool read;

  if (file == NULL)
    return complain(STATUS_NO_INPUT, "send", "the password file %s cannot be opened", path);
  setvbuf(file, NULL, _IONBF, 0); /* no copy of it stays in a buffer */
  read = fgets(plan->file, sizeof plan->file, file) != NULL;
  fclose(file);
  plan->file[strcspn(plan->file, "\r\n")] = '\0';
  if (!read || plan->file[0] == '\0')
    return complain(STATUS_CONFIG, "send", "the password file %s is empty", path);
  plan->password = plan->file;
  return STATUS_OK;
}

static int plan_password(plan_t *plan, const uvsmtp_url_t *url)
{
  if (plan->settings->password_file != NULL)
    return read_password(plan, plan->settings->password_file);
  plan->password = getenv("UVSMTP_PASSWORD");
  if (plan->password == NULL)
    plan->password = url->password;
  return STATUS_OK;
}

static int plan_all(plan_t *plan, const uvsmtp_url_t *url)
{
  const settings_t *s = plan->settings;
  const char *list = s->auth != NULL ? s->auth : url->mechanisms;

  plan->user = s->user != NULL ? s->user : url->user;
  if (list != NULL) {
    int status = plan_names(plan, list);
    if (status != STATUS_OK)
      return status;
  } else if (s->token_command != NULL) {
    plan->order[plan->count++] = OAUTH;
  } else if (plan->user != NULL) {
    plan->order[plan->count++] = PASSWORD;
  }
  return plan_password(plan, url);
}

static int check_family(const plan_t *plan, family_t family)
{
  if ((family == PASSWORD || family == OAUTH) && plan->user == NULL)
    return complain(STATUS_USAGE, "send", "--user is missing");
  if (family == PASSWORD && plan->password == NULL)
    return complain(STATUS_USAGE, "send", "no password: --password-file or UVSMTP_PASSWORD");
  if ((family == PASSWORD || family == OAUTH) && plan->user[0] == '\0')
    return complain(STATUS_USAGE, "send", "the user's name is empty");
  if (family == PASSWORD && plan->password[0] == '\0')
    return complain(STATUS_USAGE, "send", "the password is empty");
  if (family == OAUTH && plan->settings->token_command == NULL)
    return complain(STATUS_USAGE, "send", "--token-command is missing");
  return STATUS_OK;
}

static int make_family(login_t *login, const plan_t *plan, family_t family)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  int status = check_family(plan, family), err;

  if (status != STATUS_OK)
    return status;
  options.user = plan->user;
  options.authzid = plan->settings->authzid;
  if (family == PASSWORD || family == OAUTH)
    options.mechanisms = plan->names[family][0] != '\0' ? plan->names[family] : NULL;
  if (family == PASSWORD)
    options.password = plan->password;
  if (family == OAUTH) {
    options.fetch = token_fetch;
    options.cancel_fetch = token_cancel;
    options.data = login;
  }
  err = make[family](&login->auths[login->count], &options);
  if (err == UVSMTP_EAUTHUNSUPPORTED)
    return complain(STATUS_CONFIG, "send", "%s", uvsmtp_strerror(err));
  if (err == UVSMTP_EINVAL && family == PASSWORD && options.authzid != NULL)
    return complain(STATUS_USAGE, "send", "LOGIN and CRAM-MD5 cannot say --authzid");
  if (err == UVSMTP_EINJECTION)
    return complain(STATUS_USAGE, "send", "a line end in a user name, password or identity");
  if (err != 0)
    return complain(STATUS_USAGE, "send", "cannot log in so: %s", uvsmtp_strerror(err));
  login->count++;
  return STATUS_OK;
}

int login_new(login_t *login, const settings_t *settings, const uvsmtp_url_t *url, uv_loop_t *loop)
{
  plan_t plan;
  int status;

  memset(&plan, 0, sizeof plan);
  memset(login, 0, sizeof *login);
  plan.settings = settings;
  login->loop = loop;
  login->token_command = settings->token_command;
  status = plan_all(&plan, url);
  for (size_t i = 0; i < plan.count && status == STATUS_OK; i++)
    status = make_family(login, &plan, plan.order[i]);
  wipe(&plan, sizeof plan);
  return status;
}

void login_free(login_t *login)
{
  for (size_t i = 0; i < login->count; i++)
    uvsmtp_auth_free(login->auths[i]);
  login->count = 0;
}
