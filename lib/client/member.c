/*
 * One connection of the pool, from opening to its close callback. Failures go to the pool, which
 * decides whether to try again, stand back, or tell those who wait.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "client/internal.h"

static uint64_t now(const uvsmtp_client_t *client)
{
  return uv_now(client->loop);
}

static uvsmtp__server_t *server_of(const uvsmtp__member_t *member)
{
  return uvsmtp__server_of(member->slot.endpoint);
}

size_t uvsmtp__member_room(void *ctx, const uvsmtp__slot_t *slot)
{
  const uvsmtp__member_t *member =
      UVSMTP__CONTAINER((void *)(uintptr_t)slot, uvsmtp__member_t, slot);
  return uvsmtp_connection_room(member->connection);
}

void uvsmtp__member_lost(uvsmtp__member_t *member)
{
  uvsmtp__pool_lost(&member->client->pool, &member->slot, now(member->client));
}

/* Opportunistic TLS that is broken is worth less than a message in the clear: the next way, for a
 * while. Those that were under way together find out one by one. */
static bool falls_back(uvsmtp__member_t *member)
{
  uvsmtp__server_t *server = server_of(member);
  if (member->connection == NULL || !uvsmtp_connection_tls_failed(member->connection))
    return false;
  if (!server->settings.options.no_starttls) {
    server->settings.options.no_starttls = true;
    uvsmtp__settings_changed(&server->settings);
    server->tls_again_ms = uvsmtp__later(now(member->client), member->client->tls_retry_ms);
  }
  return true;
}

/* It may have been mended since. */
static void try_tls_again(uvsmtp__server_t *server, uint64_t at)
{
  if (server->tls_again_ms == 0 || at < server->tls_again_ms)
    return;
  server->tls_again_ms = 0;
  server->settings.options.no_starttls = false;
  uvsmtp__settings_changed(&server->settings);
}

static const uvsmtp_error_t none = {.text = ""};

static void note_event(const uvsmtp__member_t *member, uvsmtp_client_event_type_t type,
                       const uvsmtp_error_t *error)
{
  const uvsmtp_connection_t *connection = member->connection;
  uvsmtp__events_note(member->client,
                      &(uvsmtp_client_event_t){
                          .type = type,
                          .endpoint = server_of(member)->name,
                          .connection = connection != NULL ? uvsmtp_connection_id(connection) : 0,
                          .security = type == UVSMTP_CLIENT_OPENED
                                          ? uvsmtp_connection_security(connection)
                                          : UVSMTP_SECURITY_NONE,
                          .cause = member->slot.cause,
                          .err = error->err,
                          .code = error->code,
                          .text = error->text});
}

static void note_opened(const uvsmtp__member_t *member)
{
  uvsmtp_tls_info_t tls = UVSMTP_TLS_INFO_INIT;
  bool unverified = uvsmtp_connection_security(member->connection) == UVSMTP_SECURITY_UNVERIFIED &&
                    uvsmtp_connection_tls_info(member->connection, &tls) == 0;
  note_event(member, UVSMTP_CLIENT_OPENED,
             &(uvsmtp_error_t){.text = unverified ? tls.overlooked : ""});
}

static void note_failure(uvsmtp__member_t *member, const uvsmtp_error_t *error)
{
  uvsmtp_client_t *client = member->client;
  uvsmtp__failure_t *failure = &server_of(member)->failure;
  failure->err = error->err;
  failure->code = error->code;
  failure->command = error->command;
  memcpy(failure->enhanced, error->enhanced, sizeof(failure->enhanced));
  snprintf(failure->words, sizeof(failure->words), "%s", error->words != NULL ? error->words : "");
  snprintf(failure->text, sizeof(failure->text), "%s", error->text);
  client->ever.failed++;
  client->ever.open_err = error->err;
  note_event(member, UVSMTP_CLIENT_OPEN_FAILED, error);
  if (error->err == UVSMTP_EAUTH)
    note_event(member, UVSMTP_CLIENT_LOGIN_REFUSED, error);
}

static void failed(uvsmtp__member_t *member, const uvsmtp_error_t *error)
{
  uvsmtp_client_t *client = member->client;
  note_failure(member, error);
  if (falls_back(member))
    uvsmtp__pool_dropped(&client->pool, &member->slot);
  else
    uvsmtp__pool_failed(&client->pool, &member->slot, error->err, now(client));
  uvsmtp__client_wake(client);
}

static void on_opened(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  uvsmtp__member_t *member = uvsmtp_connection_get_data(connection);
  uvsmtp_client_t *client = member->client;
  /* A session that is being closed by us is past mattering. */
  if (member->slot.state != UVSMTP__SLOT_OPENING)
    return;
  if (error != NULL && error->err != 0) {
    failed(member, error);
    return;
  }
  uvsmtp__stats_opened(client, connection);
  note_opened(member);
  member->was_open = true;
  uvsmtp__member_adopt(member);
  uvsmtp__pool_opened(&client->pool, &member->slot, now(client));
  uvsmtp__client_wake(client);
}

static void on_lost(uvsmtp_connection_t *connection, const uvsmtp_error_t *error)
{
  uvsmtp__member_t *member = uvsmtp_connection_get_data(connection);
  uvsmtp__member_lost(member);
  uvsmtp__client_wake(member->client);
}

static void on_room(uvsmtp_connection_t *connection)
{
  uvsmtp__member_t *member = uvsmtp_connection_get_data(connection);
  uvsmtp__sends_go_on(member->client, member);
}

void uvsmtp__member_adopt(uvsmtp__member_t *member)
{
  uvsmtp_connection_set_data(member->connection, member);
  uvsmtp_connection_on_lost(member->connection, on_lost);
  uvsmtp_connection_on_room(member->connection, on_room);
}

static void gone(uvsmtp__member_t *member)
{
  uvsmtp_client_t *client = member->client;
  uvsmtp__stats_gone(member);
  if (member->was_open)
    note_event(member, UVSMTP_CLIENT_RETIRED, &none);
  uvsmtp__pool_gone(&client->pool, &member->slot);
  uvsmtp__list_remove(&member->link);
  uvsmtp__free(&client->mem, member);
  uvsmtp__client_wake(client);
}

static void on_closed(uvsmtp_connection_t *connection)
{
  gone(uvsmtp_connection_get_data(connection));
}

static int open_connection(uvsmtp__member_t *member, char *detail, size_t detail_size)
{
  uvsmtp_client_t *client = member->client;
  uvsmtp_connection_settings_t *settings;
  try_tls_again(server_of(member), now(client));
  int err = uvsmtp__settings_get(&server_of(member)->settings, &settings, detail, detail_size);
  if (err == 0)
    err = uvsmtp_connection_open_with(&member->connection, client->loop, settings, on_opened);
  if (err != 0) {
    member->connection = NULL;
    return err;
  }
  uvsmtp_connection_set_data(member->connection, member);
  return 0;
}

/* Not even the struct: those who wait are told, or wait for what is open. */
static void out_of_memory(uvsmtp_client_t *client, uvsmtp__server_t *server)
{
  uvsmtp__member_t member = {.client = client};
  uvsmtp__pool_add(&client->pool, &member.slot, &server->endpoint, now(client));
  failed(&member, &(uvsmtp_error_t){.err = UVSMTP_ENOMEM,
                                    .text = "out of memory while opening a connection"});
  uvsmtp__pool_gone(&client->pool, &member.slot);
}

void uvsmtp__member_open(uvsmtp_client_t *client, uvsmtp__server_t *server)
{
  char detail[256] = "";
  uvsmtp__member_t *member = uvsmtp__calloc(&client->mem, 1, sizeof(*member));
  if (member == NULL) {
    out_of_memory(client, server);
    return;
  }
  member->client = client;
  uvsmtp__list_push_back(&client->members, &member->link);
  uvsmtp__pool_add(&client->pool, &member->slot, &server->endpoint, now(client));
  int err = open_connection(member, detail, sizeof(detail));
  if (err == 0)
    return;
  failed(member,
         &(uvsmtp_error_t){.err = err, .text = detail[0] != '\0' ? detail : uvsmtp_strerror(err)});
  gone(member);
}

static void on_checked(uvsmtp_request_t *request, const uvsmtp_reply_t *reply, bool more,
                       const uvsmtp_error_t *error)
{
  uvsmtp__member_t *member = request->data;
  bool fine = reply != NULL && UVSMTP_REPLY_CLASS(reply) == 2;
  uvsmtp__pool_checked(&member->client->pool, &member->slot, fine, now(member->client));
  uvsmtp__client_wake(member->client);
}

void uvsmtp__member_check(uvsmtp__member_t *member)
{
  member->noop.data = member;
  uvsmtp__pool_checking(&member->client->pool, &member->slot);
  if (uvsmtp_connection_noop(member->connection, &member->noop, on_checked) != 0)
    uvsmtp__pool_checked(&member->client->pool, &member->slot, false, now(member->client));
}

/* The pool had enough of its opening. */
static void note_given_up(uvsmtp__member_t *member)
{
  char text[400];
  snprintf(text, sizeof(text), "%s was not ready within %llu ms, and another server was tried",
           server_of(member)->name,
           (unsigned long long)member->client->pool.limits.open_patience_ms);
  note_failure(member, &(uvsmtp_error_t){.err = UVSMTP_ETIMEOUT, .text = text});
}

void uvsmtp__member_end(uvsmtp__member_t *member, bool politely)
{
  if (member->slot.given_up)
    note_given_up(member);
  uvsmtp__pool_closing(&member->client->pool, &member->slot);
  /* The session may be gone when these return. */
  if (politely)
    uvsmtp_connection_quit(member->connection, on_closed);
  else
    uvsmtp_connection_close(member->connection, on_closed);
}

void uvsmtp__member_hurry(uvsmtp_client_t *client)
{
  UVSMTP__LIST_EACH (it, &client->members) {
    uvsmtp__member_t *member = UVSMTP__CONTAINER(it, uvsmtp__member_t, link);
    if (member->slot.state == UVSMTP__SLOT_CLOSING)
      uvsmtp_connection_close(member->connection, on_closed);
  }
}
