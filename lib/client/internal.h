#ifndef UVSMTP_CLIENT_INTERNAL_H
#define UVSMTP_CLIENT_INTERNAL_H

/*
 * The libuv side of a client. Everything that changes the state only notes it and calls
 * uvsmtp__client_wake; one function, the pump in client.c, runs from the loop's next turn, tells
 * the finished ones, does the pool's steps and, when a closing client has nothing left, frees it.
 * So no callback runs inside the call that caused it, and freeing happens in one place.
 */
#include "base/list.h"
#include "client/pool.h"
#include "client/backlog.h"
#include "client/events.h"
#include "uvsmtp/poster.h"

typedef struct uvsmtp__member_s {
  uvsmtp__slot_t slot;
  uvsmtp_client_t *client;
  uvsmtp_connection_t *connection;
  uvsmtp__link_t link; /* in client->members */
  uvsmtp_request_t noop;
  bool was_open;
} uvsmtp__member_t;

/* Why something failed: owned words, for those who are told. */
typedef struct uvsmtp__failure_s {
  int err, code;
  uint16_t enhanced[3];
  uvsmtp_command_t command;   /* that the code answered */
  char text[512], words[256]; /* the sentence, and what the server said */
} uvsmtp__failure_t;

/* What connections are opened with: a copy of the caller's options and all they point to. */
typedef struct uvsmtp__settings_s {
  uvsmtp_connection_options_t options;
  uvsmtp_mem_t mem;                             /* what options.mem points to */
  uvsmtp_auth_t *auths[UVSMTP_AUTH_CHOICE_MAX]; /* what options.auths points to; each is held */
  uvsmtp_connection_settings_t *made; /* of the options, for the next connections; NULL: not yet,
                                         or they have changed */
  bool identity_of_url;               /* its authenticator is made of the URL's credentials */
} uvsmtp__settings_t;

/* Sends that were told with the same times, one after the other; a turn has many such. They are not
 * in the histograms yet. */
typedef struct uvsmtp__tally_s {
  uint64_t queued_ms, started_ms, finished_ms, count;
} uvsmtp__tally_t;

/* One endpoint: what the policy knows of it, how to connect to it, and its last failure. */
typedef struct uvsmtp__server_s {
  uvsmtp__endpoint_t endpoint;
  uvsmtp__settings_t settings;
  uvsmtp__failure_t failure;
  uvsmtp__seen_t seen;
  char name[280];        /* "mx.example:587" */
  uint64_t tls_again_ms; /* opportunistic TLS is broken, and not tried before; 0: it is not */
  bool own_identity;     /* who logs in there is not who logs in everywhere else */
} uvsmtp__server_t;

struct uvsmtp_client_s {
  uvsmtp_mem_t mem;
  uv_loop_t *loop;
  void *data;
  uvsmtp__server_t *servers;
  uvsmtp__endpoint_t **endpoints; /* of the servers, the best first */
  size_t server_count;
  size_t max_queued;
  uint64_t max_queued_bytes; /* UINT64_MAX: no limit */
  uint64_t send_timeout_ms;  /* UINT64_MAX: none */
  uint64_t tls_retry_ms;
  bool resend_unknown;
  bool counts_bytes; /* somebody asks for the sizes of messages */
  bool undemanding;  /* nobody does, sends have no timeout by default, and it is not closing */
  uvsmtp_client_cb on_room;
  bool was_full; /* and nobody was told yet that there is room again */
  uvsmtp__pool_t pool;
  uvsmtp__link_t members;
  uvsmtp__backlog_t queue; /* sends that wait */
  uvsmtp__link_t finished; /* those that are to be told */
  uvsmtp__link_t borrows, borrows_finished;
  size_t borrows_waiting, in_flight;
  uint64_t ticket;         /* of the next to come */
  uv_idle_t idle;          /* runs the pump at the loop's next turn */
  uv_timer_t timer;        /* runs the pump when the pool has something due */
  uint64_t timer_due_ms;   /* when it goes off; UINT64_MAX: never */
  uvsmtp_poster_t *poster; /* NULL: nobody posts */
  int open_handles;
  bool awake; /* the pump runs soon */
  bool closing, handles_closing;
  uint64_t close_deadline_ms; /* then it is aborted */
  uvsmtp_client_cb close_cb;
  uvsmtp__failure_t failure; /* why no connection can be had, for those who are told so */
  /* The results of recipients of sends that no connection saw; large enough for every send that
   * waits, so that telling them cannot fail. */
  uvsmtp_recipient_result_t *scratch, *scratch_next;
  size_t scratch_size, scratch_next_size;
  bool telling;
  uvsmtp_client_stats_t ever; /* its counters, but those of sends that were told; open_err */
  uint64_t told[UVSMTP_PARTIAL + 1], recipients_told[UVSMTP_UNKNOWN + 1]; /* by uvsmtp_status_t */
  uvsmtp_histogram_t latencies[UVSMTP_LATENCY_COUNT];
  uvsmtp__tally_t tally;
  uvsmtp__events_t events;
};

static inline uvsmtp__member_t *uvsmtp__member_of(uvsmtp__slot_t *slot)
{
  return UVSMTP__CONTAINER(slot, uvsmtp__member_t, slot);
}

static inline uvsmtp__server_t *uvsmtp__server_of(uvsmtp__endpoint_t *endpoint)
{
  return UVSMTP__CONTAINER(endpoint, uvsmtp__server_t, endpoint);
}

/* A place for a sentence on what is wrong with options; may be none. */
typedef struct uvsmtp__detail_s {
  char *text;
  size_t size;
} uvsmtp__detail_t;

/* options.c */
/* Notes the sentence, unless there is one already, and returns `err`. */
int uvsmtp__refuse(const uvsmtp__detail_t *detail, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int uvsmtp__options_check(const uvsmtp_client_options_t *options, const uvsmtp__detail_t *detail);
/* What the pool is to keep to, with the defaults filled in. */
void uvsmtp__options_limits(const uvsmtp_client_options_t *options, uvsmtp__pool_limits_t *limits);

/* servers.c */
int uvsmtp__servers_init(uvsmtp_client_t *client, const uvsmtp_client_options_t *options,
                         const uvsmtp__detail_t *detail);
void uvsmtp__servers_clear(uvsmtp_client_t *client);

/* settings.c */
int uvsmtp__settings_init(uvsmtp__settings_t *settings, const uvsmtp_connection_options_t *options,
                          const uvsmtp_mem_t *mem, const uvsmtp__detail_t *detail);
/*
 * New connections log in so; what was held before is let go. UVSMTP_EINVAL (too many) and
 * UVSMTP_EAUTHTHREAD change nothing.
 */
int uvsmtp__settings_log_in_as(uvsmtp__settings_t *settings, uvsmtp_auth_t *const *auths,
                               size_t count);
/* What the next connection is opened with: 0, or an error with a sentence. */
int uvsmtp__settings_get(uvsmtp__settings_t *settings, uvsmtp_connection_settings_t **made,
                         char *detail, size_t detail_size);
/* The options have changed: connections that are open keep what they have. */
void uvsmtp__settings_changed(uvsmtp__settings_t *settings);
void uvsmtp__settings_clear(uvsmtp__settings_t *settings, const uvsmtp_mem_t *mem);

/* client.c */
void uvsmtp__client_rouse(uvsmtp_client_t *client);
static inline void uvsmtp__client_wake(uvsmtp_client_t *client)
{
  if (!client->awake)
    uvsmtp__client_rouse(client);
}
void uvsmtp__client_waiting(const uvsmtp_client_t *client, uvsmtp__waiting_t *waiting);

/* One of the client's handles is closed; the last one takes the client with it. */
void uvsmtp__client_handle_closed(uvsmtp_client_t *client);

/* poster.c: sends that come from other threads. All of them do nothing without a poster. */
/* Takes as many as the queue has room for, and lets go of a poster that nobody holds. */
void uvsmtp__poster_run(uvsmtp_client_t *client);
bool uvsmtp__poster_is_empty(const uvsmtp_client_t *client);
/* Nothing more can be posted. */
void uvsmtp__poster_close(uvsmtp_client_t *client);
/* Closed and empty: its handle is closed. */
void uvsmtp__poster_end(uvsmtp_client_t *client);

/* member.c: one connection of the pool */
void uvsmtp__member_open(uvsmtp_client_t *client, uvsmtp__server_t *server);
/* Says NOOP, to see whether it is still there, and to keep it so. */
void uvsmtp__member_check(uvsmtp__member_t *member);
void uvsmtp__member_end(uvsmtp__member_t *member, bool politely);
void uvsmtp__member_hurry(uvsmtp_client_t *client);
size_t uvsmtp__member_room(void *ctx, const uvsmtp__slot_t *slot);
/* It has ended, and nothing was under way on it. */
void uvsmtp__member_lost(uvsmtp__member_t *member);
/* Makes the connection the pool's: what it has to tell comes here. */
void uvsmtp__member_adopt(uvsmtp__member_t *member);

/* told.c: results and callbacks */
int uvsmtp__sends_grow(uvsmtp_client_t *client, size_t recipients);
/* Sees to it that the results of so many recipients can be told. */
static inline int uvsmtp__sends_reserve(uvsmtp_client_t *client, size_t recipients)
{
  return recipients <= client->scratch_size ? 0 : uvsmtp__sends_grow(client, recipients);
}
/* Takes over room for the results of so many recipients, made by somebody else. */
void uvsmtp__sends_adopt(uvsmtp_client_t *client, uvsmtp_recipient_result_t *scratch, size_t size);
void uvsmtp__sends_release(uvsmtp_client_t *client);
/* Hands the outcome to the caller; `send` is the caller's again. */
void uvsmtp__sends_give(uvsmtp_client_t *client, uvsmtp_send_t *send,
                        const uvsmtp_result_t *result);
/* The ends of those that no connection has seen. */
void uvsmtp__sends_tell(uvsmtp_client_t *client);

/* sends.c: sends on their way through queue and connection */
/* Takes what was passed with it, options may be NULL, whatever client it is going to; without a
 * timeout of its own it has `timeout_ms`. Says why it cannot be sent at all. */
int uvsmtp__sends_describe(uvsmtp_send_t *send, const uvsmtp_envelope_t *envelope,
                           uvsmtp_source_t *source, const uvsmtp_send_options_t *options,
                           uint64_t timeout_ms, uvsmtp_send_cb cb);
/* What it counts in the queue; 0 if that is not asked for. */
uint64_t uvsmtp__sends_bytes(bool counted, const uvsmtp_source_t *source);
/* Whether there is room in the queue for so many octets. */
bool uvsmtp__sends_fits(const uvsmtp_client_t *client, uint64_t bytes);
/* It is the client's from now on: its ticket, and when its time is up. */
void uvsmtp__sends_number(uvsmtp_client_t *client, uvsmtp_send_t *send);
/* Queues a send that has all that was passed with it, and room for its results. */
void uvsmtp__sends_accept(uvsmtp_client_t *client, uvsmtp_send_t *send);
/* Its end is to be told from the loop. */
void uvsmtp__sends_finish(uvsmtp_client_t *client, uvsmtp_send_t *send, int err);
/* The first one goes to the slot of the step, and more where the pool says so. */
void uvsmtp__sends_start(uvsmtp_client_t *client, const uvsmtp__step_t *step);
/* Sends on the connection have ended: it gets the next ones at once, if they are its share. */
void uvsmtp__sends_go_on(uvsmtp_client_t *client, uvsmtp__member_t *member);
/* All that wait are going to be told `err`, or, if that is 0, client->failure. */
void uvsmtp__sends_fail(uvsmtp_client_t *client, int err);
/* Those that have waited too long are going to be told so. */
void uvsmtp__sends_expire(uvsmtp_client_t *client);

/* stats.c: a send is told */
void uvsmtp__stats_told(uvsmtp_client_t *client, const uvsmtp_result_t *result);
/* The next one has other times than those before it. */
void uvsmtp__stats_retime(uvsmtp_client_t *client, const uvsmtp_result_t *result);
/* stats_told for one that was accepted by all. */
static inline void uvsmtp__stats_accepted(uvsmtp_client_t *client, const uvsmtp_result_t *result)
{
  uvsmtp__tally_t *tally = &client->tally;
  client->told[UVSMTP_ACCEPTED]++;
  client->recipients_told[UVSMTP_ACCEPTED] += result->recipient_count;
  if (tally->finished_ms != result->finished_ms || tally->started_ms != result->started_ms ||
      tally->queued_ms != result->queued_ms)
    uvsmtp__stats_retime(client, result);
  tally->count++;
}
/* Once a turn at least, histograms are made to know. */
void uvsmtp__stats_settle(uvsmtp_client_t *client);
/* A connection is ready; a connection is closed. */
void uvsmtp__stats_opened(uvsmtp_client_t *client, const uvsmtp_connection_t *connection);
void uvsmtp__stats_gone(uvsmtp__member_t *member);

/* state.c */
/* Writes the sentence on why sends wait, without their number. */
void uvsmtp__state_explain(const uvsmtp_client_t *client, char *text, size_t size);

/* borrow.c */
void uvsmtp__borrows_lend(uvsmtp_client_t *client, uvsmtp__member_t *member);
void uvsmtp__borrows_fail(uvsmtp_client_t *client, int err);
void uvsmtp__borrows_tell(uvsmtp_client_t *client);

#endif
