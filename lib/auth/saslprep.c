#include "auth/saslprep.h"

#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"

#if UVSMTP__HAVE_LIBIDN
#include <idn-free.h>
#include <stringprep.h>
#endif

/* RFC 4013 section 2.3: ASCII control characters are prohibited. */
static bool has_control(const char *text)
{
  for (; *text != '\0'; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7f)
      return true;
  return false;
}

#if UVSMTP__HAVE_LIBIDN
static int prepare(char **out, const char *text, const uvsmtp_mem_t *mem)
{
  char *prepared = NULL;
  /* What is typed in is a query: unassigned code points are let through (RFC 3454 section 7). */
  int rc = stringprep_profile(text, &prepared, "SASLprep", 0);
  if (rc == STRINGPREP_MALLOC_ERROR)
    return UVSMTP_ENOMEM;
  if (rc != STRINGPREP_OK)
    return UVSMTP_ECHARSET;
  *out = uvsmtp__strdup(mem, prepared);
  uvsmtp__wipe(prepared, strlen(prepared));
  idn_free(prepared);
  return *out != NULL ? 0 : UVSMTP_ENOMEM;
}
#else
static int prepare(char **out, const char *text, const uvsmtp_mem_t *mem)
{
  (void)out, (void)text, (void)mem;
  return UVSMTP_EAUTHUNSUPPORTED;
}
#endif

int uvsmtp__saslprep(char **out, const char *text, const uvsmtp_mem_t *mem)
{
  size_t len = strlen(text);
  *out = NULL;
  if (has_control(text) || !uvsmtp__is_utf8(text, len))
    return UVSMTP_ECHARSET;
  if (uvsmtp__has_8bit(text, len))
    return prepare(out, text, mem);
  *out = uvsmtp__memdup(mem, text, len);
  return *out != NULL ? 0 : UVSMTP_ENOMEM;
}

bool uvsmtp__saslname_next(const char **name, uvsmtp_slice_t *piece)
{
  const char *at = *name;
  *piece = (uvsmtp_slice_t){at, strcspn(at, ",=")};
  *name = at + piece->len;
  if (piece->len == 0 && *at != '\0') {
    *piece = (uvsmtp_slice_t){*at == ',' ? "=2C" : "=3D", 3};
    *name = at + 1;
  }
  return piece->len != 0;
}
