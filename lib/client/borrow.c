/*
 * Lending: a connection leaves the pool for a while, with all that it has to tell, but still counts
 * against the cap. Wishes wait in their order beside the sends.
 */
#include "client/internal.h"

#include <string.h>

static uvsmtp__link_t *link_of(uvsmtp_borrow_t *borrow)
{
  return (uvsmtp__link_t *)(void *)borrow->links;
}

static uvsmtp_borrow_t *borrow_of(uvsmtp__link_t *link)
{
  return UVSMTP__CONTAINER((void *)link, uvsmtp_borrow_t, links);
}

/* `err` 0: no connection can be had, and client->failure says why. */
static void finish(uvsmtp_client_t *client, uvsmtp_borrow_t *borrow, int err)
{
  uvsmtp__list_remove(link_of(borrow));
  client->borrows_waiting--;
  borrow->err = err;
  borrow->finished = true;
  uvsmtp__list_push_back(&client->borrows_finished, link_of(borrow));
  uvsmtp__client_wake(client);
}

int uvsmtp_client_borrow(uvsmtp_client_t *client, uvsmtp_borrow_t *borrow, uvsmtp_borrow_cb cb)
{
  if (client == NULL || borrow == NULL || cb == NULL)
    return UVSMTP_EINVAL;
  if (client->closing)
    return UVSMTP_ECLOSING;
  borrow->cb = cb;
  borrow->client = client;
  borrow->ticket = client->ticket++;
  borrow->finished = false;
  uvsmtp__list_push_back(&client->borrows, link_of(borrow));
  client->borrows_waiting++;
  uvsmtp__client_wake(client);
  return 0;
}

void uvsmtp_borrow_cancel(uvsmtp_borrow_t *borrow)
{
  if (!borrow->finished)
    finish(borrow->client, borrow, UVSMTP_ECANCELED);
}

void uvsmtp__borrows_fail(uvsmtp_client_t *client, int err)
{
  while (!uvsmtp__list_empty(&client->borrows))
    finish(client, borrow_of(client->borrows.next), err);
}

void uvsmtp__borrows_tell(uvsmtp_client_t *client)
{
  uvsmtp__link_t ready;
  uvsmtp__list_move(&ready, &client->borrows_finished);
  while (!uvsmtp__list_empty(&ready)) {
    uvsmtp_borrow_t *borrow = borrow_of(ready.next);
    const uvsmtp__failure_t *failure = &client->failure;
    uvsmtp_error_t error = {.err = borrow->err, .text = uvsmtp_strerror(borrow->err)};
    if (borrow->err == 0) {
      error = (uvsmtp_error_t){.err = failure->err, .text = failure->text, .code = failure->code};
      error.words = failure->code != 0 ? failure->words : NULL;
      error.command = failure->command;
      memcpy(error.enhanced, failure->enhanced, sizeof(error.enhanced));
    }
    uvsmtp__list_remove(ready.next);
    borrow->cb(borrow, NULL, &error);
  }
}

void uvsmtp__borrows_lend(uvsmtp_client_t *client, uvsmtp__member_t *member)
{
  uvsmtp_borrow_t *borrow = borrow_of(client->borrows.next);
  uvsmtp_error_t none = {.err = 0, .text = ""};
  uvsmtp__list_remove(link_of(borrow));
  client->borrows_waiting--;
  client->ever.reused += member->slot.given > 0;
  uvsmtp__pool_lent(&client->pool, &member->slot);
  uvsmtp_connection_on_lost(member->connection, NULL);
  uvsmtp_connection_on_room(member->connection, NULL);
  uvsmtp_connection_set_data(member->connection, NULL);
  borrow->cb(borrow, member->connection, &none);
}

void uvsmtp_client_give_back(uvsmtp_client_t *client, uvsmtp_connection_t *connection)
{
  UVSMTP__LIST_EACH (it, &client->pool.lists[UVSMTP__SLOT_LENT]) {
    uvsmtp__slot_t *slot = UVSMTP__CONTAINER(it, uvsmtp__slot_t, link);
    uvsmtp__member_t *member = UVSMTP__CONTAINER(slot, uvsmtp__member_t, slot);
    if (member->connection != connection)
      continue;
    uvsmtp__member_adopt(member);
    uvsmtp__pool_given_back(&client->pool, slot, uvsmtp_connection_is_idle(connection),
                            uv_now(client->loop));
    uvsmtp__client_wake(client);
    return;
  }
}
