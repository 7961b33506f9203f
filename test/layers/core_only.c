/*
 * Proves that the state machine, the authenticators and the messages need neither libuv nor
 * mbedTLS: this program is linked from the whole of those four layers and nothing else, so that a
 * single call of a library they must not know is an undefined symbol. What the layers bring along
 * by themselves is looked for among the objects that are loaded.
 */
#include <stdio.h>
#include <string.h>

#if defined(__linux__)
#include <link.h>
#endif

#include "uvsmtp/address.h"
#include "uvsmtp/auth.h"
#include "uvsmtp/base.h"
#include "uvsmtp/protocol.h"

#if defined(__linux__)
static int count_foreign(struct dl_phdr_info *info, size_t size, void *data)
{
  static const char *const foreign[] = {"libuv", "libmbed"};
  const char *slash = strrchr(info->dlpi_name, '/');
  const char *name = slash ? slash + 1 : info->dlpi_name;
  for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
    if (strncmp(name, foreign[i], strlen(foreign[i])) != 0 || strncmp(name, "libuvsmtp", 9) == 0)
      continue;
    fprintf(stderr, "%s is loaded, and no core layer may need it\n", info->dlpi_name);
    ++*(int *)data;
  }
  return 0;
}
#endif

static int foreign_libraries(void)
{
  int count = 0;
#if defined(__linux__)
  dl_iterate_phdr(count_foreign, &count);
#endif
  return count;
}

static int message_works(void)
{
  static const char written[] = "\"a\"@X.example";
  char address[UVSMTP_ADDRESS_SIZE];
  return uvsmtp_address_canonical(address, sizeof(address), written, sizeof(written) - 1, 0, NULL,
                                  0) == 0;
}

static int auth_works(void)
{
  uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
  uvsmtp_auth_t *auth;
  options.user = "user";
  options.password = "secret";
  if (uvsmtp_auth_plain_new(&auth, &options) != 0)
    return 0;
  uvsmtp_auth_free(auth);
  return 1;
}

static int protocol_works(void)
{
  static const char greeting[] = "220 mx.example ESMTP\r\n";
  uvsmtp_protocol_t *protocol;
  uvsmtp_event_t event;
  int works;
  if (uvsmtp_protocol_new(&protocol, NULL, 0) != 0)
    return 0;
  works = uvsmtp_protocol_feed_bytes(protocol, greeting, sizeof(greeting) - 1, 0) == 0 &&
          uvsmtp_protocol_next_event(protocol, &event) && event.reply.code == 220;
  uvsmtp_protocol_free(protocol);
  return works;
}

int main(void)
{
  if (uvsmtp_version() != UVSMTP_VERSION_HEX || !protocol_works() || !message_works() ||
      !auth_works())
    return 1;
  return foreign_libraries() == 0 ? 0 : 1;
}
