/*
 * The program `uvsmtp`: finds the command and runs it.
 */
#include "tool.h"

#include <string.h>

#include "sink/sink.h"

static const char help[] =
    "usage: uvsmtp COMMAND [OPTION]…\n"
    "\n"
    "  send      send messages: files, standard input, or built from options\n"
    "  compose   build a message and print it\n"
    "  sink      a small SMTP and LMTP server for development and tests\n"
    "  demo      send thousands of messages to a sink in the same process, and check them\n"
    "\n"
    "  uvsmtp COMMAND --help    what a command can do\n"
    "  uvsmtp --version         the version\n";

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
} commands[] = {
    {"send", send_main},
    {"compose", compose_main},
    {"sink", sink_main},
    {"demo", demo_main},
};

int main(int argc, char **argv)
{
  const char *name = argc > 1 ? argv[1] : "";

  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
    if (strcmp(name, commands[i].name) == 0)
      return commands[i].run(argc - 1, argv + 1);
  if (strcmp(name, "--version") == 0) {
    printf("uvsmtp %s\n", uvsmtp_version_string());
    return STATUS_OK;
  }
  if (strcmp(name, "--help") == 0) {
    fputs(help, stdout);
    return STATUS_OK;
  }
  if (name[0] != '\0')
    fprintf(stderr, "uvsmtp: unknown command %s\n", name);
  fputs(help, stderr);
  return STATUS_USAGE;
}
