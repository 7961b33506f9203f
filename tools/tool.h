#ifndef TOOL_H
#define TOOL_H

/*
 * What the commands of the program `uvsmtp` share: exit statuses, options, ways to print, and how
 * a message comes about. Only public headers of uvsmtp are used, and the sink beside this.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <uvsmtp.h>

/* Exit statuses as in sysexits.h, which not every system has. */
enum {
  STATUS_OK = 0,
  STATUS_USAGE = 64,         /* the command line makes no sense */
  STATUS_DATA = 65,          /* the message cannot be sent as it is */
  STATUS_NO_INPUT = 66,      /* a file cannot be read */
  STATUS_NO_HOST = 68,       /* the server's name is unknown */
  STATUS_UNAVAILABLE = 69,   /* refused for good, or the server cannot do it */
  STATUS_SOFTWARE = 70,      /* the demo found that something went wrong */
  STATUS_TEMPORARY = 75,     /* trying again may help */
  STATUS_PROTOCOL = 76,      /* the server broke the rules */
  STATUS_NO_PERMISSION = 77, /* authentication or TLS */
  STATUS_CONFIG = 78         /* a certificate, key or setting cannot be used */
};

/* The commands: argv[0] is the command's name. The process's exit status. */
int send_main(int argc, char **argv);
int compose_main(int argc, char **argv);
int demo_main(int argc, char **argv);

/* ---- options.c: the command line ---------------------------------------------------------- */

/* Strings that the command line holds. */
typedef struct texts_s {
  const char **at;
  size_t count;
} texts_t;

typedef enum option_kind_e {
  OPTION_FLAG,   /* bool */
  OPTION_TEXT,   /* const char * */
  OPTION_LIST,   /* texts_t, one more each time */
  OPTION_NUMBER, /* uint64_t, above 0 */
  OPTION_RATE    /* uvsmtp_rate_t: "10" a second, "300/m" a minute, "5000/h" an hour */
} option_kind_t;

typedef struct option_s {
  const char *name; /* without its dashes; of one letter: "-t" */
  option_kind_t kind;
  size_t offset; /* of its place in the settings */
} option_t;

/*
 * Reads "--name value", "--name=value" and "-t" into `settings`, and what is no option into
 * `rest`. Returns STATUS_OK, or STATUS_USAGE with the reason printed.
 */
int options_read(const option_t *table, size_t count, void *settings, texts_t *rest, int argc,
                 char **argv);
void texts_free(texts_t *texts);
/* Prints "uvsmtp COMMAND: …" on standard error and returns `status`. */
int complain(int status, const char *command, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Overwrites a secret so that the compiler cannot leave it out. */
void wipe(void *secret, size_t len);

/* True if `file` is a terminal whose user wants colours. */
bool use_colour(FILE *file);
/* Prints text on one line, control characters as '?'. */
void print_safe(FILE *file, const char *text);

/* ---- send_options.c: the settings of `send` and `compose` ---------------------------------- */

typedef struct settings_s {
  /* the server */
  texts_t servers; /* the first is preferred */
  const char *tls, *ca, *cert, *key, *ehlo;
  bool insecure;
  texts_t pins;
  const char *tls_max;
  uint64_t timeout_s, connections;
  uvsmtp_rate_t rate;
  /* the way there */
  const char *proxy, *proxy_header, *source;
  bool ipv4, ipv6;
  /* who we are */
  const char *user, *password_file, *auth, *authzid, *token_command;
  bool allow_plaintext_auth;
  /* the message */
  const char *from, *sender, *reply_to, *subject, *text, *html;
  texts_t to, cc, bcc, headers, attach, embed;
  bool from_headers; /* -t */
  const char *dkim_key, *dkim_selector, *dkim_domain;
  /* what is shown */
  bool json, trace, help;
  const char *metrics;
  texts_t files;
} settings_t;

int settings_read_send(settings_t *settings, int argc, char **argv);
int settings_read_compose(settings_t *settings, int argc, char **argv);
/* True if an option says that a message is to be built. */
bool settings_build(const settings_t *settings);
void settings_free(settings_t *settings);

/* ---- send_message.c, send_file.c: what is sent --------------------------------------------- */

/* A message that came from a file, standard input or the builder. Zeroed before use. */
typedef struct letter_s {
  uvsmtp_source_t *source; /* what is sent: one of those below */
  uvsmtp_envelope_t envelope;
  uvsmtp_recipient_t *recipients; /* of --to */
  const char *name;               /* "-" for standard input and built messages */
  char detail[512];               /* why it could not be made */
  /* a file */
  uvsmtp_raw_t *raw;
  char *bytes; /* the whole message, or its first part */
  size_t len;
  int fd; /* read on from here, if `piped` */
  bool piped, has_file;
  unsigned stage; /* of a piped reading */
  uvsmtp_source_t whole, filtered, joined;
  /* a built one */
  uvsmtp_message_t *message;
  uvsmtp_source_t built;
  /* a signed one */
  uvsmtp_signing_t *signing;
  uvsmtp_source_t signed_one;
} letter_t;

/* Opens FILE ("-": standard input) and makes the envelope. 0, or an error with the detail set. */
int letter_from_file(letter_t *letter, const settings_t *settings, uv_loop_t *loop,
                     const char *name);
/* Builds what the options say. Files are read in the thread pool of `loop`; NULL: on the calling
 * thread. */
int letter_build(letter_t *letter, const settings_t *settings, uv_loop_t *loop);
/* Puts a signature before it. */
int letter_sign(letter_t *letter, uvsmtp_dkim_t *signer);
/* Makes the signer if the options ask for one (else NULL). It signs in the thread pool of `loop`;
 * NULL: on the calling thread. */
int signer_new(uvsmtp_dkim_t **signer, const settings_t *settings, uv_loop_t *loop, char *detail,
               size_t detail_size);
void letter_clear(letter_t *letter);

/* ---- send_auth.c, send_token.c: logging in ------------------------------------------------- */

enum { MAX_AUTHS = 8 };
typedef struct login_s {
  uvsmtp_auth_t *auths[MAX_AUTHS];
  size_t count;
  uv_loop_t *loop; /* where the token command runs */
  const char *token_command;
  struct token_run_s *token_run; /* the last that was started; NULL: it is over */
} login_t;

/* Makes the authenticators of the options and the URL. A status, with the reason printed. */
int login_new(login_t *login, const settings_t *settings, const uvsmtp_url_t *url, uv_loop_t *loop);
void login_free(login_t *login);
/* The uvsmtp_token_fetch_cb that runs the command; `data` is the login_t. */
int token_fetch(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request, void *data);
/* The uvsmtp_token_cancel_cb that ends it. */
void token_cancel(uvsmtp_token_request_t *request, void *data);

/* ---- send_report.c: what became of it ------------------------------------------------------ */

/* Prints the result of a message and returns the exit status that it asks for. */
int report_result(const settings_t *settings, const letter_t *letter,
                  const uvsmtp_result_t *result);
/* The same for one that never got as far as the server. */
int report_failure(const settings_t *settings, const letter_t *letter, int err);
/* Writes the client's numbers for Prometheus, the file being replaced as a whole. A status. */
int report_metrics(const char *file, const uvsmtp_client_t *client);
/* The exit status for an error. */
int status_of(int err);
/* The one of two statuses that the process ends with: 75 only if trying again may help all. */
int worse(int a, int b);

#endif
