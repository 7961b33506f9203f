#include "fake_servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define CONNECT_TIMEOUT_MS 30000
#define REPLY_TIMEOUT_MS 300000

struct uvsmtp_connection_s {
  uvsmtp__link_t link;
  const uvsmtp_mem_t *mem;
  fake_server_t *server;
  void *data;
  uvsmtp_connection_cb opened, lost;
  uvsmtp_connection_room_cb room;
  uvsmtp_connection_close_cb closed;
  uvsmtp_request_t *noop;
  uvsmtp_reply_cb noop_cb;
  uvsmtp__link_t sends;
  size_t pending;
  unsigned taken; /* messages */
  bool open, dead, closing, quitting, counted;
  uint64_t at_ms; /* when something happens to it */
};

fake_world_t fake;

/* The timers of the client under test. */
#define TIMERS 4
static struct {
  uv_timer_t *handle;
  uv_timer_cb cb;
  uint64_t at_ms;
} timers[TIMERS];

/* ---- the clock, instead of libuv's -------------------------------------------------------- */

uint64_t uv_now(const uv_loop_t *loop)
{
  return fake.now;
}

int uv_timer_start(uv_timer_t *handle, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
  size_t i = 0;
  while (i < TIMERS && timers[i].handle != NULL && timers[i].handle != handle)
    i++;
  assert_true(i < TIMERS);
  timers[i].handle = handle;
  timers[i].cb = cb;
  timers[i].at_ms = fake.now + timeout;
  return 0;
}

int uv_timer_stop(uv_timer_t *handle)
{
  for (size_t i = 0; i < TIMERS; i++)
    if (timers[i].handle == handle)
      timers[i].handle = NULL;
  return 0;
}

/* ---- what the client calls ---------------------------------------------------------------- */

bool fake_dice(unsigned percent)
{
  return (unsigned)rand() % 100 < percent;
}

static uint64_t in_a_while(uint64_t most)
{
  return fake.now + 1 + (uint64_t)rand() % (most > 0 ? most : 1);
}

/* The client has these for as long as it has the options. */
struct uvsmtp_connection_settings_s {
  const uvsmtp_mem_t *mem;
  size_t which;
};

int uvsmtp_connection_settings_new(uvsmtp_connection_settings_t **out,
                                   const uvsmtp_connection_options_t *options, char *detail,
                                   size_t detail_size)
{
  size_t which = (size_t)(options->host[0] - 'a');
  assert_true(which < FAKE_SERVERS);
  assert_string_equal(options->host + 1, ".example");
  *out = uvsmtp__calloc(options->mem, 1, sizeof(**out));
  if (*out == NULL)
    return UVSMTP_ENOMEM;
  **out = (uvsmtp_connection_settings_t){options->mem, which};
  return 0;
}

void uvsmtp_connection_settings_free(uvsmtp_connection_settings_t *settings)
{
  if (settings != NULL)
    uvsmtp__free(settings->mem, settings);
}

int uvsmtp_connection_open_with(uvsmtp_connection_t **out, uv_loop_t *loop,
                                uvsmtp_connection_settings_t *settings, uvsmtp_connection_cb cb)
{
  uvsmtp_connection_t *c = uvsmtp__calloc(settings->mem, 1, sizeof(*c));
  *out = c;
  if (c == NULL)
    return UVSMTP_ENOMEM;
  c->mem = settings->mem;
  c->server = &fake.servers[settings->which];
  c->opened = cb;
  uvsmtp__list_init(&c->sends);
  uvsmtp__list_push_back(&fake.connections, &c->link);
  c->server->opened++;
  c->at_ms = c->server->hangs ? fake.now + CONNECT_TIMEOUT_MS : in_a_while(20);
  if (++fake.sessions > fake.sessions_max)
    fake.sessions_max = fake.sessions;
  return 0;
}

void uvsmtp_connection_set_data(uvsmtp_connection_t *c, void *data)
{
  c->data = data;
}

void *uvsmtp_connection_get_data(const uvsmtp_connection_t *c)
{
  return c->data;
}

void uvsmtp_connection_on_lost(uvsmtp_connection_t *c, uvsmtp_connection_cb cb)
{
  c->lost = cb;
}

void uvsmtp_connection_on_room(uvsmtp_connection_t *c, uvsmtp_connection_room_cb cb)
{
  c->room = cb;
}

uint64_t uvsmtp_connection_id(const uvsmtp_connection_t *c)
{
  return 1;
}

const uvsmtp_connection_info_t *uvsmtp_connection_info(const uvsmtp_connection_t *c)
{
  static const uvsmtp_connection_info_t info;
  return &info;
}

size_t uvsmtp_connection_room(const uvsmtp_connection_t *c)
{
  bool takes = c->open && !c->dead && !c->closing && !c->quitting && c->noop == NULL;
  return takes && c->pending < 4 ? 4 - c->pending : 0;
}

bool uvsmtp_connection_can_send(const uvsmtp_connection_t *c)
{
  return uvsmtp_connection_room(c) > 0;
}

bool uvsmtp_connection_is_open(const uvsmtp_connection_t *c)
{
  return c->open && !c->dead && !c->closing && !c->quitting;
}

bool uvsmtp_connection_is_idle(const uvsmtp_connection_t *c)
{
  return uvsmtp_connection_can_send(c) && c->pending == 0;
}

uvsmtp_security_t uvsmtp_connection_security(const uvsmtp_connection_t *c)
{
  return UVSMTP_SECURITY_NONE;
}

int uvsmtp_connection_tls_info(uvsmtp_connection_t *c, uvsmtp_tls_info_t *info)
{
  return UVSMTP_ESTATE;
}

bool uvsmtp_connection_tls_failed(const uvsmtp_connection_t *c)
{
  return false;
}

void uvsmtp_connection_close(uvsmtp_connection_t *c, uvsmtp_connection_close_cb cb)
{
  if (!c->closing && !c->quitting)
    c->closed = cb;
  c->closing = true;
  c->at_ms = in_a_while(3);
}

void uvsmtp_connection_quit(uvsmtp_connection_t *c, uvsmtp_connection_close_cb cb)
{
  assert_false(c->closing || c->quitting);
  c->quitting = true;
  c->closed = cb;
  c->at_ms = in_a_while(200);
}

/* Results of one recipient: there is nothing to keep but that it goes again. */
size_t uvsmtp_send_keep(uvsmtp_send_t *send, const uvsmtp_result_t *result, bool unknown_too)
{
  return result->recipients[0].try_elsewhere;
}

int uvsmtp_connection_resume(uvsmtp_connection_t *c, uvsmtp_send_t *const *sends, size_t count,
                             uvsmtp_send_cb cb)
{
  int err = 0;
  for (size_t i = 0; i < count && err == 0; i++) {
    err = uvsmtp_connection_send(c, sends[i], sends[i]->envelope, sends[i]->source, cb);
    assert_true(err == 0 || i == 0); /* all or none */
  }
  return err;
}

uvsmtp_kept_t *uvsmtp_send_settle(uvsmtp_send_t *send, uvsmtp_status_t status, const char *text,
                                  uvsmtp_result_t *result)
{
  return NULL;
}

void uvsmtp_kept_free(uvsmtp_kept_t *kept)
{
}

bool uvsmtp_connection_is_spent(const uvsmtp_connection_t *c)
{
  return false;
}

int uvsmtp_connection_noop(uvsmtp_connection_t *c, uvsmtp_request_t *request, uvsmtp_reply_cb cb)
{
  if (!uvsmtp_connection_is_idle(c))
    return UVSMTP_ESTATE;
  c->noop = request;
  c->noop_cb = cb;
  c->at_ms = in_a_while(20);
  return 0;
}

static uint64_t reply_time(const uvsmtp_connection_t *c)
{
  return c->server->hangs ? fake.now + REPLY_TIMEOUT_MS : in_a_while(c->server->message_ms);
}

int uvsmtp_connection_send(uvsmtp_connection_t *c, uvsmtp_send_t *send,
                           const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                           uvsmtp_send_cb cb)
{
  if (c->dead || c->closing || c->quitting)
    return UVSMTP_ECLOSING;
  if (strchr(envelope->recipients[0].address, '@') == NULL)
    return UVSMTP_EADDRESS;
  assert_true(uvsmtp_connection_can_send(c));
  if (fake.on_begin != NULL)
    fake.on_begin(send);
  send->cb = cb;
  send->owner = c;
  send->cancel_queued = NULL;
  uvsmtp__list_push_back(&c->sends, (uvsmtp__link_t *)(void *)send->links);
  if (c->pending++ == 0)
    c->at_ms = reply_time(c);
  return 0;
}

void uvsmtp_send_cancel(uvsmtp_send_t *send)
{
  if (send->cancel_queued != NULL)
    send->cancel_queued(send);
}

uvsmtp_auth_t *uvsmtp_auth_acquire(uvsmtp_auth_t *auth)
{
  return auth;
}

int uvsmtp_auth_check_thread(const uvsmtp_auth_t *auth)
{
  return 0;
}

void uvsmtp_auth_free(uvsmtp_auth_t *auth)
{
}

int uvsmtp_url_parse(uvsmtp_url_t *url, const char *text, char *detail, size_t detail_size)
{
  return UVSMTP_EURL;
}

void uvsmtp_url_clear(uvsmtp_url_t *url)
{
}

int uvsmtp_url_auth_new(uvsmtp_auth_t **auth, const uvsmtp_url_t *url, const uvsmtp_mem_t *mem)
{
  return UVSMTP_EURL;
}

/* They learn nothing. */
int uvsmtp_connection_options_check(const uvsmtp_connection_options_t *options, char *detail,
                                    size_t detail_size)
{
  return 0;
}

uvsmtp_history_t *uvsmtp_history_acquire(uvsmtp_history_t *history)
{
  return history;
}

int uvsmtp_history_new(uvsmtp_history_t **history, const uvsmtp_mem_t *mem)
{
  return 0;
}

void uvsmtp_history_free(uvsmtp_history_t *history)
{
}

int uvsmtp_history_info(const uvsmtp_history_t *history, uvsmtp_history_info_t *info)
{
  return 0;
}

/* ---- what happens to a connection --------------------------------------------------------- */

typedef struct outcome_s {
  uvsmtp_status_t status;
  int err, code;
  uint16_t enhanced[3];
} outcome_t;

static const outcome_t cut = {UVSMTP_DEFERRED, UVSMTP_ECONNLOST, 0, {0}};

/* The oldest of its messages is over. */
static void complete(uvsmtp_connection_t *c, const outcome_t *outcome)
{
  uvsmtp_send_t *send = UVSMTP__CONTAINER((void *)c->sends.next, uvsmtp_send_t, links);
  uvsmtp_recipient_result_t recipient = {.address = send->envelope->recipients[0].address,
                                         .status = outcome->status,
                                         .code = outcome->code,
                                         .text = "",
                                         .try_elsewhere =
                                             outcome->status == UVSMTP_DEFERRED &&
                                             (outcome->code == 0 || outcome->code == 421)};
  uvsmtp_result_t result = {.status = outcome->status,
                            .err = outcome->err,
                            .code = outcome->code,
                            .error_text = outcome->err != 0 ? "made up" : "",
                            .recipients = &recipient,
                            .recipient_count = 1,
                            .retry_is_safe = outcome->status == UVSMTP_DEFERRED};
  memcpy(result.enhanced, outcome->enhanced, sizeof(result.enhanced));
  uvsmtp__list_remove(c->sends.next);
  c->pending--;
  bool stored =
      outcome->status == UVSMTP_ACCEPTED || (outcome->status == UVSMTP_UNKNOWN && fake_dice(50));
  if (stored && fake.on_stored != NULL)
    fake.on_stored(send);
  send->owner = NULL;
  send->cb(send, &result);
}

/* All that is under way is cut; the first of it may have arrived. */
static void complete_all(uvsmtp_connection_t *c, const outcome_t *outcome)
{
  outcome_t unknown = *outcome;
  unknown.status = UVSMTP_UNKNOWN;
  if (c->pending > 0 && outcome->code == 0 && fake_dice(50))
    complete(c, &unknown);
  while (c->pending > 0)
    complete(c, outcome);
}

static void leave_server(uvsmtp_connection_t *c)
{
  if (c->counted)
    c->server->sessions--;
  c->counted = false;
}

static void answer_noop(uvsmtp_connection_t *c, int err)
{
  static const uvsmtp_error_t none = {.text = ""},
                              gone = {.err = UVSMTP_ECONNLOST, .text = "made up"};
  uvsmtp_reply_t reply = {.code = 250};
  uvsmtp_request_t *request = c->noop;
  if (request == NULL)
    return;
  c->noop = NULL;
  c->server->noops++;
  c->at_ms = UINT64_MAX;
  c->noop_cb(request, err == 0 ? &reply : NULL, false, err == 0 ? &none : &gone);
}

static void die(uvsmtp_connection_t *c, const outcome_t *outcome)
{
  uvsmtp_error_t error = {.err = UVSMTP_ECONNLOST, .text = "made up: lost"};
  bool was_idle = c->pending == 0 && c->noop == NULL;
  leave_server(c);
  c->dead = true;
  c->at_ms = UINT64_MAX;
  answer_noop(c, UVSMTP_ECONNLOST);
  complete_all(c, outcome);
  if (was_idle && c->lost != NULL)
    c->lost(c, &error);
}

static void finish_opening(uvsmtp_connection_t *c)
{
  fake_server_t *server = c->server;
  uvsmtp_error_t error = {.err = server->open_err, .text = "made up: cannot open"};
  uvsmtp_connection_cb opened = c->opened;
  c->opened = NULL;
  if (error.err == 0 && (server->down || fake_dice(server->fail_percent)))
    error.err = UVSMTP_ECONNECT;
  if (error.err == 0 && server->hangs)
    error.err = UVSMTP_ETIMEOUT;
  if (error.err == 0 && server->max_sessions != 0 && server->sessions >= server->max_sessions) {
    error.err = UVSMTP_ETEMPORARY;
    error.code = 421;
  }
  c->open = error.err == 0;
  c->dead = !c->open;
  c->at_ms = UINT64_MAX;
  c->counted = c->open;
  if (c->open && ++server->sessions > server->sessions_max)
    server->sessions_max = server->sessions;
  if (c->open && server->idle_ms != 0)
    c->at_ms = fake.now + server->idle_ms;
  opened(c, error.err == 0 ? NULL : &error);
}

static void answer_message(uvsmtp_connection_t *c)
{
  static const outcome_t accepted = {UVSMTP_ACCEPTED, 0, 250, {2, 0, 0}},
                         rejected = {UVSMTP_REJECTED, UVSMTP_EPERMANENT, 550, {5, 1, 1}},
                         slow = {UVSMTP_DEFERRED, UVSMTP_ETEMPORARY, 451, {4, 3, 2}},
                         bye = {UVSMTP_DEFERRED, UVSMTP_ETEMPORARY, 421, {4, 7, 0}};
  fake_server_t *server = c->server;
  if (server->session_messages != 0 && c->taken >= server->session_messages) {
    die(c, &bye);
    return;
  }
  c->taken++;
  server->messages++;
  c->at_ms = c->pending > 1         ? reply_time(c)
             : server->idle_ms != 0 ? fake.now + server->idle_ms
                                    : UINT64_MAX;
  complete(c, fake_dice(server->slow_percent)     ? &slow
              : fake_dice(server->reject_percent) ? &rejected
                                                  : &accepted);
  if (uvsmtp_connection_is_open(c) && c->room != NULL)
    c->room(c);
}

static void end_of(uvsmtp_connection_t *c)
{
  uvsmtp_error_t error = {.err = UVSMTP_ECANCELED, .text = "closed"};
  outcome_t cancelled = {UVSMTP_DEFERRED, UVSMTP_ECANCELED, 0, {0}};
  uvsmtp_connection_cb opened = c->opened;
  c->opened = NULL;
  leave_server(c);
  if (opened != NULL)
    opened(c, &error);
  answer_noop(c, UVSMTP_ECANCELED);
  complete_all(c, &cancelled);
  uvsmtp__list_remove(&c->link);
  fake.sessions--;
  c->closed(c);
  uvsmtp__free(c->mem, c);
}

static void live(uvsmtp_connection_t *c)
{
  if (c->closing || (c->quitting && c->pending == 0))
    end_of(c);
  else if (c->opened != NULL)
    finish_opening(c);
  else if (c->dead)
    c->at_ms = UINT64_MAX;
  else if (c->server->down || fake_dice(c->server->fail_percent))
    die(c, &cut);
  else if (c->noop != NULL)
    answer_noop(c, 0);
  else if (c->pending > 0 && !c->server->hangs)
    answer_message(c);
  else
    die(c, &cut); /* idle for too long, or no reply */
}

/* ---- time --------------------------------------------------------------------------------- */

void fake_begin(void)
{
  memset(&fake, 0, sizeof(fake));
  memset(timers, 0, sizeof(timers));
  uvsmtp__list_init(&fake.connections);
  fake.now = 1000;
  for (size_t i = 0; i < FAKE_SERVERS; i++)
    fake.servers[i].message_ms = 3;
}

void fake_break(size_t server)
{
  UVSMTP__LIST_EACH (it, &fake.connections) {
    uvsmtp_connection_t *c = UVSMTP__CONTAINER(it, uvsmtp_connection_t, link);
    if (c->server == &fake.servers[server] && c->open && !c->dead && !c->closing && !c->quitting)
      c->at_ms = fake.now;
  }
}

uint64_t fake_next(void)
{
  uint64_t next = UINT64_MAX;
  UVSMTP__LIST_EACH (it, &fake.connections) {
    uint64_t at = UVSMTP__CONTAINER(it, uvsmtp_connection_t, link)->at_ms;
    next = at < next ? at : next;
  }
  for (size_t i = 0; i < TIMERS; i++)
    if (timers[i].handle != NULL && timers[i].at_ms < next)
      next = timers[i].at_ms;
  return next;
}

void fake_advance(uint64_t to)
{
  uvsmtp__link_t all;
  fake.now = to > fake.now ? to : fake.now;
  for (size_t i = 0; i < TIMERS; i++) {
    uv_timer_t *handle = timers[i].handle;
    if (handle == NULL || timers[i].at_ms > fake.now)
      continue;
    timers[i].handle = NULL;
    timers[i].cb(handle);
  }
  uvsmtp__list_move(&all, &fake.connections);
  while (!uvsmtp__list_empty(&all)) {
    uvsmtp__link_t *link = all.next;
    uvsmtp__list_remove(link);
    uvsmtp__list_push_back(&fake.connections, link);
    uvsmtp_connection_t *c = UVSMTP__CONTAINER(link, uvsmtp_connection_t, link);
    if (c->at_ms <= fake.now)
      live(c);
  }
}
