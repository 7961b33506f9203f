/*
 * The settings of `uvsmtp send` and `uvsmtp compose`: their options, their help, and what does not
 * go together.
 */
#include "tool.h"

#include <string.h>

#define BUILD_HELP                                                                                 \
  "Building a message (no FILE then; --from, --to, --cc take \"Ann <ann@host.example>\"):\n"       \
  "  --cc LIST, --bcc LIST   more recipients (repeatable)\n"                                       \
  "  --sender ADDRESS        who sends it, where --from names several\n"                           \
  "  --reply-to LIST         who shall get the answers\n"                                          \
  "  --subject TEXT          \n"                                                                   \
  "  --text TEXT             the message as plain text\n"                                          \
  "  --html HTML             the message as HTML; with --text, one is the other's alternative\n"   \
  "  --attach FILE           (repeatable)\n"                                                       \
  "  --inline FILE           an image that the HTML shows as \"cid:NAME\": the name without its\n" \
  "                          folder, blanks and the like as \"_\" (repeatable)\n"                  \
  "  --header 'NAME: VALUE'  any other header field (repeatable)\n"                                \
  "\n"                                                                                             \
  "Signing (DKIM):\n"                                                                              \
  "  --dkim-key FILE         private key (PEM)\n"                                                  \
  "  --dkim-selector NAME    its name in the DNS\n"                                                \
  "  --dkim-domain DOMAIN    who signs\n"

static const char send_help[] =
    "usage: uvsmtp send --server URL [OPTION]… [FILE]…\n"
    "Sends each FILE, or standard input, as a message; several at the same time.\n"
    "\n"
    "  --server URL            smtp://user@host:587 (STARTTLS required), smtps://host,\n"
    "                          lmtp://host:24, smtp+unix:///path, lmtp+unix:///path;\n"
    "                          repeated: each stands in while those before it are out of reach\n"
    "  --from ADDRESS          the sender; '' for none; else it is taken from the header\n"
    "  --to ADDRESS            a recipient (repeatable)\n"
    "  -t                      take the recipients from To, Cc and Bcc\n"
    "                          Bcc never goes out with the message.\n"
    "\n"
    "  --tls required|opportunistic|implicit|none\n"
    "                          required by default; opportunistic takes any certificate, and\n"
    "                          goes without TLS where there is none\n"
    "  --ca FILE               trust these certificates instead of the system's (PEM)\n"
    "  --cert FILE --key FILE  our own certificate\n"
    "  --insecure              trust any certificate\n"
    "  --tls-max 1.2|1.3       the highest version of TLS\n"
    "  --pin sha256//DIGEST    the server's public key must be this one (repeatable: or that)\n"
    "\n"
    "  --user NAME             log in; the password comes from --password-file FILE, the\n"
    "  --password-file FILE    environment's UVSMTP_PASSWORD or the URL\n"
    "  --auth MECH,…           only these mechanisms, in this order\n"
    "  --authzid ID            act as somebody else\n"
    "  --token-command CMD     OAuth: a program that prints an access token, or JSON with\n"
    "                          access_token and expires_in\n"
    "  --allow-plaintext-auth  credentials may go without TLS\n"
    "\n"
    "  --proxy URL             socks5://[user:password@]host[:1080] or http://…; also from the\n"
    "                          environment's UVSMTP_PROXY, which no list of processes shows\n"
    "  --proxy-header v1|v2    begin with the header of haproxy's PROXY protocol\n"
    "  --source ADDRESS        connect from this address\n"
    "  --ipv4, --ipv6          use addresses of this kind only\n"
    "\n"
    "  --ehlo NAME             what we call ourselves\n"
    "  --timeout S             longest wait for each step, in seconds\n"
    "  --connections N         at most so many at a time (10)\n"
    "  --rate N[/s|/m|/h]      at most so many messages a second, minute or hour\n"
    "  --json                  one object a message, on one line; its \"phase\" is MESSAGE where\n"
    "                          it could not be read or made, CONNECT before the first command\n"
    "                          of it, else the command that decided; \"tls\" is verified,\n"
    "                          unverified or none\n"
    "  --trace                 print the dialogue on standard error, secrets blanked\n"
    "  --metrics FILE          write counters and latencies there, for Prometheus\n"
    "\n" BUILD_HELP "\n"
    "Exit status: 0 all accepted, 64 usage, 65 bad message data, 66 no input, 68 no such host,\n"
    "69 rejected or unavailable, 75 try again later, 76 protocol violation, 77 authentication or\n"
    "TLS refused or missing, 78 configuration.\n";

static const char compose_help[] =
    "usage: uvsmtp compose --from ADDRESS [OPTION]…\n"
    "Builds a message and prints it as it would be sent.\n"
    "\n"
    "  --from LIST, --to LIST  who writes, and to whom (--to is repeatable)\n"
    "\n" BUILD_HELP;

#define AT(member) offsetof(settings_t, member)

static const option_t options[] = {
    /* of `compose` too */
    {"from", OPTION_TEXT, AT(from)},
    {"to", OPTION_LIST, AT(to)},
    {"cc", OPTION_LIST, AT(cc)},
    {"bcc", OPTION_LIST, AT(bcc)},
    {"sender", OPTION_TEXT, AT(sender)},
    {"reply-to", OPTION_TEXT, AT(reply_to)},
    {"subject", OPTION_TEXT, AT(subject)},
    {"text", OPTION_TEXT, AT(text)},
    {"html", OPTION_TEXT, AT(html)},
    {"attach", OPTION_LIST, AT(attach)},
    {"inline", OPTION_LIST, AT(embed)},
    {"header", OPTION_LIST, AT(headers)},
    {"dkim-key", OPTION_TEXT, AT(dkim_key)},
    {"dkim-selector", OPTION_TEXT, AT(dkim_selector)},
    {"dkim-domain", OPTION_TEXT, AT(dkim_domain)},
    {"help", OPTION_FLAG, AT(help)},
    /* of `send` alone */
    {"server", OPTION_LIST, AT(servers)},
    {"t", OPTION_FLAG, AT(from_headers)},
    {"tls", OPTION_TEXT, AT(tls)},
    {"ca", OPTION_TEXT, AT(ca)},
    {"cert", OPTION_TEXT, AT(cert)},
    {"key", OPTION_TEXT, AT(key)},
    {"insecure", OPTION_FLAG, AT(insecure)},
    {"pin", OPTION_LIST, AT(pins)},
    {"tls-max", OPTION_TEXT, AT(tls_max)},
    {"proxy", OPTION_TEXT, AT(proxy)},
    {"proxy-header", OPTION_TEXT, AT(proxy_header)},
    {"source", OPTION_TEXT, AT(source)},
    {"ipv4", OPTION_FLAG, AT(ipv4)},
    {"ipv6", OPTION_FLAG, AT(ipv6)},
    {"user", OPTION_TEXT, AT(user)},
    {"password-file", OPTION_TEXT, AT(password_file)},
    {"auth", OPTION_TEXT, AT(auth)},
    {"authzid", OPTION_TEXT, AT(authzid)},
    {"token-command", OPTION_TEXT, AT(token_command)},
    {"allow-plaintext-auth", OPTION_FLAG, AT(allow_plaintext_auth)},
    {"ehlo", OPTION_TEXT, AT(ehlo)},
    {"timeout", OPTION_NUMBER, AT(timeout_s)},
    {"connections", OPTION_NUMBER, AT(connections)},
    {"rate", OPTION_RATE, AT(rate)},
    {"json", OPTION_FLAG, AT(json)},
    {"trace", OPTION_FLAG, AT(trace)},
    {"metrics", OPTION_TEXT, AT(metrics)},
};

enum { OF_SEND = sizeof options / sizeof options[0], OF_COMPOSE = 16 };

bool settings_build(const settings_t *s)
{
  return s->subject != NULL || s->text != NULL || s->html != NULL || s->attach.count > 0 ||
         s->embed.count > 0 || s->headers.count > 0 || s->cc.count > 0 || s->bcc.count > 0 ||
         s->sender != NULL || s->reply_to != NULL;
}

static int check_dkim(const settings_t *s, const char *command)
{
  bool all = s->dkim_key != NULL && s->dkim_selector != NULL && s->dkim_domain != NULL;
  bool none = s->dkim_key == NULL && s->dkim_selector == NULL && s->dkim_domain == NULL;

  if (all || none)
    return STATUS_OK;
  return complain(STATUS_USAGE, command,
                  "--dkim-key, --dkim-selector and --dkim-domain belong together");
}

static int check_send(const settings_t *s, const char *command)
{
  bool build = settings_build(s);

  if (s->servers.count == 0)
    return complain(STATUS_USAGE, command, "--server is missing");
  if (build && (s->files.count > 0 || s->from_headers))
    return complain(STATUS_USAGE, command, "a built message comes without FILE and -t");
  if (build && s->from == NULL)
    return complain(STATUS_USAGE, command, "--from is missing");
  if (s->from_headers && s->to.count > 0)
    return complain(STATUS_USAGE, command, "either -t or --to");
  if (!s->from_headers && s->to.count + s->cc.count + s->bcc.count == 0)
    return complain(STATUS_USAGE, command, "no recipients: --to ADDRESS, or -t");
  if (s->key != NULL && s->cert == NULL)
    return complain(STATUS_USAGE, command, "--key goes with --cert");
  if (s->tls_max != NULL && strcmp(s->tls_max, "1.2") != 0 && strcmp(s->tls_max, "1.3") != 0)
    return complain(STATUS_USAGE, command, "--tls-max is 1.2 or 1.3");
  if (s->ipv4 && s->ipv6)
    return complain(STATUS_USAGE, command, "either --ipv4 or --ipv6");
  if (s->proxy_header != NULL && strcmp(s->proxy_header, "v1") != 0 &&
      strcmp(s->proxy_header, "v2") != 0)
    return complain(STATUS_USAGE, command, "--proxy-header is v1 or v2");
  return check_dkim(s, command);
}

int settings_read_send(settings_t *settings, int argc, char **argv)
{
  int status;

  memset(settings, 0, sizeof *settings);
  status = options_read(options, OF_SEND, settings, &settings->files, argc, argv);
  if (status == STATUS_OK && settings->help)
    fputs(send_help, stdout);
  else if (status == STATUS_OK)
    status = check_send(settings, argv[0]);
  return status;
}

int settings_read_compose(settings_t *settings, int argc, char **argv)
{
  int status;

  memset(settings, 0, sizeof *settings);
  status = options_read(options, OF_COMPOSE, settings, &settings->files, argc, argv);
  if (status == STATUS_OK && settings->help) {
    fputs(compose_help, stdout);
    return STATUS_OK;
  }
  if (status != STATUS_OK)
    return status;
  if (settings->files.count > 0)
    return complain(STATUS_USAGE, argv[0], "unexpected argument %s", settings->files.at[0]);
  if (settings->from == NULL)
    return complain(STATUS_USAGE, argv[0], "--from is missing");
  return check_dkim(settings, argv[0]);
}

void settings_free(settings_t *settings)
{
  texts_free(&settings->servers);
  texts_free(&settings->to);
  texts_free(&settings->cc);
  texts_free(&settings->bcc);
  texts_free(&settings->headers);
  texts_free(&settings->attach);
  texts_free(&settings->embed);
  texts_free(&settings->files);
  texts_free(&settings->pins);
}
