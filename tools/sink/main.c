/*
 * `uvsmtp sink`: the sink as a program.
 */
#include "sink/json.h"
#include "sink/sink.h"

#include <uvsmtp/errors.h>
#include <uvsmtp/tls.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_EHLO = 64, GRACE_MS = 2000 };
/* Exit statuses, those of sysexits.h. */
enum { NOT_ENOUGH = 1, USAGE_ERROR = 64, NO_INPUT = 66, NOT_STARTED = 69, NO_CONFIG = 78 };

static const char help[] =
    "usage: uvsmtp sink [OPTION]…\n"
    "A small, strict SMTP and LMTP server that takes every message and counts it.\n"
    "\n"
    "  --listen ADDR           IP address to listen on (127.0.0.1)\n"
    "  --port N                TCP port (any free one; it is printed)\n"
    "  --unix PATH             listen on a Unix socket instead\n"
    "  --hostname NAME         how it calls itself (sink.example)\n"
    "  --lmtp                  speak LMTP\n"
    "\n"
    "  --tls-cert F, --tls-key F   offer STARTTLS with this certificate and key (PEM)\n"
    "  --tls-implicit          TLS from the first byte\n"
    "  --tls-required          no MAIL without TLS\n"
    "  --tls-client-ca F       demand a client certificate issued by this CA\n"
    "  --tls-max 1.2|1.3       highest version\n"
    "  --auth USER:PASS        offer AUTH\n"
    "  --auth-mechanisms LIST  plain,login,cram-md5,scram-sha-256 and, if named, scram-sha-1,\n"
    "                          scram-sha-512,xoauth2,oauthbearer (the password is the token)\n"
    "  --auth-required         no MAIL without AUTH\n"
    "  --auth-tls-only         AUTH inside TLS only\n"
    "\n"
    "  --no LIST               do not offer: pipelining,chunking,8bitmime,smtputf8,size,dsn,\n"
    "                          enhancedstatuscodes,starttls,auth,ehlo\n"
    "  --with LIST             offer as well: binarymime,prdr\n"
    "  --ehlo LINE             one more line in the reply to EHLO (repeatable)\n"
    "  --max-size BYTES        of a message, announced by SIZE\n"
    "  --max-recipients N      of a message, then 452\n"
    "  --max-connections N     at once, then 421\n"
    "\n"
    "  --rtt MS                every reply leaves that much later, as on a long line\n"
    "  --script FILE           misbehave as the file says\n"
    "  --rule TEXT             one line of a script (repeatable): 'rcpt nth 2 : reply \"550 no\"'\n"
    "\n"
    "  --maildir DIR           store messages there, byte by byte as they came\n"
    "  --mbox FILE             append them there\n"
    "  --json                  print one object for each message, and the counters at the end\n"
    "  --hash                  compute a fast 64-bit hash of each message\n"
    "  --no-scan               do not look at the bytes of chunks (for benchmarks)\n"
    "  --trace                 print the dialogue on standard error\n"
    "  --counters              print the counters at the end\n"
    "  --expect N              end after N messages, with status 0; ended before: status 1\n"
    "\n"
    "Exit status: 0 ended by a signal or after what was expected, 1 before that, 64 usage, 66 no\n"
    "script there, 69 cannot listen or store, 78 certificate or key.\n"
    "\n"
    "Points of a script: connect greeting ehlo starttls auth challenge mail rcpt data body bdat\n"
    "eod rset noop quit other idle received sent. Conditions: conn nth total every times match\n"
    "tls plain after. Actions: reply drop refuse raw garbage delay split close reset notify\n"
    "stall deaf. All of it is explained in tools/sink/script.h.\n";

typedef struct program_s {
  sink_options_t options;
  const char *ehlo[MAX_EHLO];
  char *script; /* grows by --script and --rule */
  size_t script_len;
  int read_errno; /* why a script could not be read */
  char *user;     /* USER:PASS, cut */
  uint64_t expect;
  bool json, trace, counters;

  uv_loop_t loop;
  sink_t *sink;
  uv_signal_t on_int, on_term;
  uv_prepare_t prepare;
  uv_timer_t grace;
  uint64_t grace_end;
  sink_counters_t last;
} program_t;

/* Options. */

static int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int complain(int status, const char *format, ...)
{
  va_list arguments;

  fputs("uvsmtp sink: ", stderr);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputs(status == USAGE_ERROR ? " (see uvsmtp sink --help)\n" : "\n", stderr);
  return status;
}

typedef struct word_s {
  const char *name;
  unsigned bit;
} word_t;

static const word_t extensions[] = {{"pipelining", SINK_PIPELINING},
                                    {"chunking", SINK_CHUNKING},
                                    {"8bitmime", SINK_8BITMIME},
                                    {"smtputf8", SINK_SMTPUTF8},
                                    {"size", SINK_SIZE},
                                    {"dsn", SINK_DSN},
                                    {"enhancedstatuscodes", SINK_ENHANCEDSTATUSCODES},
                                    {"starttls", SINK_STARTTLS},
                                    {"auth", SINK_AUTH},
                                    {"ehlo", SINK_EHLO},
                                    {"binarymime", SINK_BINARYMIME},
                                    {"prdr", SINK_PRDR},
                                    {NULL, 0}};

static const word_t mechanisms[] = {{"plain", SINK_PLAIN},
                                    {"login", SINK_LOGIN},
                                    {"cram-md5", SINK_CRAM_MD5},
                                    {"scram-sha-256", SINK_SCRAM_SHA_256},
                                    {"scram-sha-1", SINK_SCRAM_SHA_1},
                                    {"scram-sha-512", SINK_SCRAM_SHA_512},
                                    {"xoauth2", SINK_XOAUTH2},
                                    {"oauthbearer", SINK_OAUTHBEARER},
                                    {NULL, 0}};

static bool same_word(const char *text, size_t len, const char *word)
{
  for (size_t i = 0; i < len; i++) {
    char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
    if (word[i] != c)
      return false;
  }
  return word[len] == '\0';
}

/* "a,b,c" as bits. */
static bool read_list(const char *list, const word_t *words, unsigned *bits)
{
  for (;;) {
    size_t len = strcspn(list, ",");
    const word_t *word = words;
    while (word->name != NULL && !same_word(list, len, word->name))
      word++;
    if (word->name == NULL)
      return false;
    *bits |= word->bit;
    if (list[len] == '\0')
      return true;
    list += len + 1;
  }
}

static bool read_number(const char *text, uint64_t max, uint64_t *number)
{
  char *end;

  errno = 0;
  *number = strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *number <= max;
}

/* Appends to the script; its lines keep their numbers as long as the file comes first. */
static bool add_script(program_t *p, const char *text, size_t len)
{
  char *grown = realloc(p->script, p->script_len + len + 2);

  if (grown == NULL)
    return false;
  memcpy(grown + p->script_len, text, len);
  p->script_len += len;
  grown[p->script_len++] = '\n';
  grown[p->script_len] = '\0';
  p->script = grown;
  return true;
}

static bool add_script_file(program_t *p, const char *name)
{
  FILE *f = fopen(name, "rb");
  char buf[4096];
  size_t n;
  bool ok = f != NULL;

  while (ok && (n = fread(buf, 1, sizeof buf, f)) > 0) {
    ok = add_script(p, buf, n);
    p->script_len--; /* no line end between two reads */
  }
  if (f == NULL || ferror(f))
    p->read_errno = errno;
  if (f != NULL)
    fclose(f);
  return ok && p->read_errno == 0 && add_script(p, "", 0);
}

typedef bool (*option_fn)(program_t *p, const char *value);

#define TEXT_OPTION(function, field)                                                               \
  static bool function(program_t *p, const char *value)                                            \
  {                                                                                                \
    p->field = value;                                                                              \
    return true;                                                                                   \
  }
#define FLAG_OPTION(function, field)                                                               \
  static bool function(program_t *p, const char *value)                                            \
  {                                                                                                \
    p->field = true;                                                                               \
    return true;                                                                                   \
  }
#define NUMBER_OPTION(function, field, type, max)                                                  \
  static bool function(program_t *p, const char *value)                                            \
  {                                                                                                \
    uint64_t number;                                                                               \
    bool ok = read_number(value, max, &number);                                                    \
    p->field = (type)number;                                                                       \
    return ok;                                                                                     \
  }

TEXT_OPTION(set_listen, options.listen)
TEXT_OPTION(set_unix, options.unix_path)
TEXT_OPTION(set_hostname, options.hostname)
TEXT_OPTION(set_cert, options.tls_cert)
TEXT_OPTION(set_key, options.tls_key)
TEXT_OPTION(set_client_ca, options.tls_client_ca)
TEXT_OPTION(set_maildir, options.maildir)
TEXT_OPTION(set_mbox, options.mbox)
FLAG_OPTION(set_lmtp, options.lmtp)
FLAG_OPTION(set_implicit, options.tls_implicit)
FLAG_OPTION(set_tls_required, options.tls_required)
FLAG_OPTION(set_auth_required, options.auth_required)
FLAG_OPTION(set_auth_tls_only, options.auth_tls_only)
FLAG_OPTION(set_json, json)
FLAG_OPTION(set_trace, trace)
FLAG_OPTION(set_counters, counters)
NUMBER_OPTION(set_port, options.port, uint16_t, 65535)
NUMBER_OPTION(set_max_size, options.max_size, uint64_t, UINT64_MAX)
NUMBER_OPTION(set_max_recipients, options.max_recipients, uint32_t, UINT32_MAX)
NUMBER_OPTION(set_max_connections, options.max_connections, uint32_t, UINT32_MAX)
NUMBER_OPTION(set_rtt, options.rtt_ms, uint64_t, 3600000)
NUMBER_OPTION(set_expect, expect, uint64_t, UINT64_MAX)

static bool set_tls_max(program_t *p, const char *value)
{
  p->options.tls_max = strcmp(value, "1.2") == 0 ? 12 : 13;
  return strcmp(value, "1.2") == 0 || strcmp(value, "1.3") == 0;
}

static bool set_auth(program_t *p, const char *value)
{
  char *colon;

  free(p->user);
  p->user = strdup(value);
  colon = p->user == NULL ? NULL : strchr(p->user, ':');
  if (colon == NULL)
    return false;
  *colon = '\0';
  p->options.user = p->user;
  p->options.password = colon + 1;
  return true;
}

static bool set_mechanisms(program_t *p, const char *value)
{
  return read_list(value, mechanisms, &p->options.mechanisms);
}

static bool set_no(program_t *p, const char *value)
{
  return read_list(value, extensions, &p->options.without);
}

static bool set_with(program_t *p, const char *value)
{
  return read_list(value, extensions, &p->options.extra);
}

static bool set_ehlo(program_t *p, const char *value)
{
  if (p->options.ehlo_count == MAX_EHLO)
    return false;
  p->ehlo[p->options.ehlo_count++] = value;
  return true;
}

static bool set_rule(program_t *p, const char *value)
{
  return add_script(p, value, strlen(value));
}

static bool set_hash(program_t *p, const char *value)
{
  p->options.body |= SINK_HASH;
  return true;
}

static bool set_no_scan(program_t *p, const char *value)
{
  p->options.body |= SINK_NO_SCAN;
  return true;
}

static const struct {
  const char *name;
  bool takes_value;
  option_fn set;
} option_table[] = {
    {"listen", true, set_listen},
    {"port", true, set_port},
    {"unix", true, set_unix},
    {"hostname", true, set_hostname},
    {"lmtp", false, set_lmtp},
    {"tls-cert", true, set_cert},
    {"tls-key", true, set_key},
    {"tls-client-ca", true, set_client_ca},
    {"tls-implicit", false, set_implicit},
    {"tls-required", false, set_tls_required},
    {"tls-max", true, set_tls_max},
    {"auth", true, set_auth},
    {"auth-mechanisms", true, set_mechanisms},
    {"auth-required", false, set_auth_required},
    {"auth-tls-only", false, set_auth_tls_only},
    {"no", true, set_no},
    {"with", true, set_with},
    {"ehlo", true, set_ehlo},
    {"max-size", true, set_max_size},
    {"max-recipients", true, set_max_recipients},
    {"max-connections", true, set_max_connections},
    {"rtt", true, set_rtt},
    {"script", true, add_script_file},
    {"rule", true, set_rule},
    {"maildir", true, set_maildir},
    {"mbox", true, set_mbox},
    {"json", false, set_json},
    {"hash", false, set_hash},
    {"no-scan", false, set_no_scan},
    {"trace", false, set_trace},
    {"counters", false, set_counters},
    {"expect", true, set_expect},
};

/* One option, as "--name value" or "--name=value". */
static int read_option(program_t *p, int argc, char **argv, int *i)
{
  const char *name = argv[*i];
  size_t len = strcspn(name, "="), count = sizeof option_table / sizeof option_table[0], k = 0;
  const char *value = name[len] == '=' ? name + len + 1 : NULL;

  if (len < 3 || strncmp(name, "--", 2) != 0)
    return complain(USAGE_ERROR, "unexpected argument %s", name);
  while (k < count && (strncmp(option_table[k].name, name + 2, len - 2) != 0 ||
                       option_table[k].name[len - 2] != '\0'))
    k++;
  if (k == count)
    return complain(USAGE_ERROR, "unknown option %s", name);
  if (option_table[k].takes_value != (value != NULL)) {
    if (value != NULL)
      return complain(USAGE_ERROR, "--%s takes no value", option_table[k].name);
    if (*i + 1 >= argc)
      return complain(USAGE_ERROR, "--%s needs a value", option_table[k].name);
    value = argv[++*i];
  }
  if (option_table[k].set(p, value))
    return 0;
  if (p->read_errno != 0)
    return complain(NO_INPUT, "%s cannot be read: %s", value, strerror(p->read_errno));
  return complain(USAGE_ERROR, "--%s cannot be %s", option_table[k].name, value);
}

static int read_options(program_t *p, int argc, char **argv)
{
  for (int i = 1; i < argc; i++) {
    int status = read_option(p, argc, argv, &i);
    if (status != 0)
      return status;
  }
  p->options.ehlo = p->ehlo;
  p->options.script = p->script;
  if (p->json && uvsmtp_tls_crypto() != NULL)
    p->options.body |= SINK_SHA256;
  return 0;
}

/* Running. */

static void on_closed(sink_t *sink, void *data)
{
  program_t *p = data;

  p->last = *sink_counters(sink);
  uv_close((uv_handle_t *)&p->on_int, NULL);
  uv_close((uv_handle_t *)&p->on_term, NULL);
  uv_close((uv_handle_t *)&p->prepare, NULL);
  uv_close((uv_handle_t *)&p->grace, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
  program_t *p = handle->data;

  sink_close(p->sink, on_closed);
}

/* Output is flushed when there is nothing else to do, not with each line. */
static void on_prepare(uv_prepare_t *handle)
{
  fflush(stdout);
}

/* All came that was expected: clients may still say QUIT. */
static void on_grace(uv_timer_t *timer)
{
  program_t *p = timer->data;

  if (sink_counters(p->sink)->open == 0 || uv_now(&p->loop) >= p->grace_end)
    sink_close(p->sink, on_closed);
}

static void on_message(sink_t *sink, const sink_message_t *message, void *data)
{
  program_t *p = data;

  if (p->json)
    sink__json_message(stdout, message, p->options.body);
  if (message->number != p->expect)
    return;
  sink_stop(sink);
  p->grace_end = uv_now(&p->loop) + GRACE_MS;
  uv_timer_start(&p->grace, on_grace, 0, 10);
}

static void on_trace(sink_t *sink, uint64_t connection, char direction, const char *text,
                     size_t len, void *data)
{
  fprintf(stderr, "%llu %c: ", (unsigned long long)connection, direction);
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '\n')
      fprintf(stderr, "\n%llu %c: ", (unsigned long long)connection, direction);
    else if (c >= 32 && c != 127)
      putc(c, stderr);
    else if (c != '\r')
      fprintf(stderr, "\\x%02x", c);
  }
  putc('\n', stderr);
}

static void announce(const program_t *p)
{
  const sink_options_t *o = &p->options;
  const char *address = o->unix_path != NULL ? o->unix_path
                        : o->listen != NULL  ? o->listen
                                             : "127.0.0.1";

  if (p->json) {
    fputs("{\"listening\": {\"address\": ", stdout);
    sink__json_string(stdout, address);
    printf(", \"port\": %u}}\n", sink_port(p->sink));
  } else if (o->unix_path != NULL) {
    printf("listening on %s\n", address);
  } else {
    printf("listening on %s port %u\n", address, sink_port(p->sink));
  }
  fflush(stdout);
}

static void add_handles(program_t *p)
{
  uv_signal_init(&p->loop, &p->on_int);
  uv_signal_init(&p->loop, &p->on_term);
  uv_prepare_init(&p->loop, &p->prepare);
  uv_timer_init(&p->loop, &p->grace);
  p->on_int.data = p->on_term.data = p->prepare.data = p->grace.data = p;
  uv_signal_start(&p->on_int, on_signal, SIGINT);
  uv_signal_start(&p->on_term, on_signal, SIGTERM);
  uv_prepare_start(&p->prepare, on_prepare);
}

static int run(program_t *p)
{
  char detail[256] = "";
  int err;

#ifdef SIGPIPE
  signal(SIGPIPE, SIG_IGN);
#endif
  if (p->json || p->expect > 0)
    p->options.on_message = on_message;
  if (p->trace)
    p->options.on_trace = on_trace;
  p->options.data = p;
  uv_loop_init(&p->loop);
  err = sink_start(&p->sink, &p->loop, &p->options, detail, sizeof detail);
  if (err != 0) {
    uv_run(&p->loop, UV_RUN_DEFAULT);
    uv_loop_close(&p->loop);
    return complain(err == UVSMTP_EINVAL       ? USAGE_ERROR
                    : err == UVSMTP_ETLSCONFIG ? NO_CONFIG
                                               : NOT_STARTED,
                    "%s", detail);
  }
  add_handles(p);
  announce(p);
  uv_run(&p->loop, UV_RUN_DEFAULT);
  uv_loop_close(&p->loop);
  if (p->json || p->counters)
    sink__json_counters(stdout, &p->last);
  fflush(stdout);
  return p->last.messages < p->expect ? NOT_ENOUGH : 0;
}

int sink_main(int argc, char **argv)
{
  program_t *p;
  int status;

  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    fputs(help, stdout);
    return 0;
  }
  p = calloc(1, sizeof *p);
  if (p == NULL)
    return NOT_STARTED;
  status = read_options(p, argc, argv);
  if (status == 0)
    status = run(p);
  free(p->script);
  free(p->user);
  free(p);
  return status;
}
