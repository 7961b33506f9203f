#include "message/address.h"

#include <string.h>

#include "base/text.h"
#include "message/detail.h"

#if UVSMTP__IDN
#include <idn2.h>

/* Maps as browsers do (UTS 46, nontransitional): case and width folded, "ß" kept. */
static int convert(char out[UVSMTP_DOMAIN_SIZE], const char *domain, char *detail, size_t size)
{
  char *ascii = NULL;
  int rc = idn2_to_ascii_8z(domain, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  size_t len = ascii != NULL ? strlen(ascii) : 0;
  if (rc == IDN2_MALLOC)
    return UVSMTP_ENOMEM;
  if (rc != IDN2_OK || len >= UVSMTP_DOMAIN_SIZE) {
    idn2_free(ascii);
    return uvsmtp__detail(detail, size, UVSMTP_EADDRESS, "the domain cannot be made A-labels: %s",
                          rc != IDN2_OK ? idn2_strerror(rc) : "too long");
  }
  memcpy(out, ascii, len + 1);
  idn2_free(ascii);
  return 0;
}
#else
static int convert(char out[UVSMTP_DOMAIN_SIZE], const char *domain, char *detail, size_t size)
{
  (void)out;
  (void)domain;
  return uvsmtp__detail(detail, size, UVSMTP_EIDN,
                        "the domain is not ASCII, and this library was built without libidn2");
}
#endif

int uvsmtp_domain_to_ascii(char *out, size_t out_size, const char *domain, char *detail,
                           size_t detail_size)
{
  char ascii[UVSMTP_DOMAIN_SIZE];
  size_t len = strlen(domain);
  const char *fault;
  int err = 0;
  if (uvsmtp__breaks_line(domain, len))
    return uvsmtp__detail(detail, detail_size, UVSMTP_EINJECTION, "CR or LF in a domain");
  fault =
      len > 0 && domain[0] == '[' ? "it is an address literal" : uvsmtp__domain_fault(domain, len);
  if (fault != NULL)
    return uvsmtp__detail(detail, detail_size, UVSMTP_EADDRESS, "not a domain name: %s", fault);
  if (uvsmtp__has_8bit(domain, len))
    err = convert(ascii, domain, detail, detail_size);
  else
    memcpy(ascii, domain, len + 1);
  if (err != 0)
    return err;
  /* What UTS 46 maps to ASCII (a full-width "@" or blank) is judged like what was typed. */
  if ((fault = uvsmtp__domain_fault(ascii, strlen(ascii))) != NULL)
    return uvsmtp__detail(detail, detail_size, UVSMTP_EADDRESS, "not a domain name: %s", fault);
  if (strlen(ascii) >= out_size)
    return UVSMTP_ETOOLONG;
  for (size_t i = 0; i <= strlen(ascii); i++)
    out[i] = uvsmtp__ascii_lower(ascii[i]);
  return 0;
}
