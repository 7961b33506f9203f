#include "uvsmtp/base.h"

#include <string.h>

unsigned uvsmtp_version(void)
{
  return UVSMTP_VERSION_HEX;
}

const char *uvsmtp_version_string(void)
{
  return UVSMTP_VERSION_STRING;
}

uvsmtp_slice_t uvsmtp_slice(const char *s)
{
  return (uvsmtp_slice_t){s, strlen(s)};
}
