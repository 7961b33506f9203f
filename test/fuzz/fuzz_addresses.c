/* Address lists: every mailbox that is read is canonical, so that reading it again changes nothing.
 */
#include <string.h>

#include "target.h"
#include "uvsmtp/address.h"

static void check(const uvsmtp_address_t *mailbox)
{
  char again[UVSMTP_ADDRESS_SIZE];

  FUZZ_CHECK(strlen(mailbox->address) < UVSMTP_ADDRESS_SIZE);
  FUZZ_CHECK(strpbrk(mailbox->address, "\r\n") == NULL);
  FUZZ_CHECK(uvsmtp_address_canonical(again, sizeof(again), mailbox->address,
                                      strlen(mailbox->address), 0, NULL, 0) == 0);
  FUZZ_CHECK(strcmp(again, mailbox->address) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  fuzz_input_t in = {data, size};
  uvsmtp_address_list_t *list = NULL;
  size_t len, i;
  char *text = fuzz_piece(&in, size, &len);
  char detail[96], out[UVSMTP_ADDRESS_SIZE];

  if (uvsmtp_address_list_parse(&list, text, len, NULL, detail, sizeof(detail)) == 0) {
    for (i = 0; i < uvsmtp_address_list_count(list); i++)
      check(uvsmtp_address_list_at(list, i));
    uvsmtp_address_list_free(list);
  }
  uvsmtp_address_canonical(out, sizeof(out), text, len, UVSMTP_ADDRESS_ASCII, detail,
                           sizeof(detail));
  free(text);
  return 0;
}
