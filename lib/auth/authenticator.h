#ifndef UVSMTP_AUTH_AUTHENTICATOR_H
#define UVSMTP_AUTH_AUTHENTICATOR_H

#include <stdatomic.h>

#include "uvsmtp/auth.h"

/*
 * An authenticator: its mechanisms in order of preference, the data that they share (credentials,
 * tokens, keys), and which servers have refused them. It knows nothing of what the data is.
 */

/* So many servers' refusals are remembered; the oldest gives way. */
#define UVSMTP__AUTH_REFUSALS 8

typedef struct uvsmtp__refusal_s {
  uint64_t server;   /* hash of host and port; 0: free */
  uint64_t until_ms; /* until then the credentials rest */
  unsigned count;    /* refusals in a row */
  uint64_t avoided_until_ms;
  uint16_t avoided; /* bit i: until then mechanism i is the last choice */
} uvsmtp__refusal_t;

struct uvsmtp_auth_s {
  uvsmtp_mem_t mem;
  atomic_uint refs;             /* the owner, exchanges, running jobs */
  _Atomic(const void *) thread; /* uvsmtp__auth_thread() of the one that uses it; NULL: none yet */
  const uvsmtp_mechanism_t *mechanisms[UVSMTP_AUTH_CHOICE_MAX];
  size_t mechanism_count;
  uvsmtp_mechanism_t own; /* a custom mechanism's copy */
  char *own_name;
  void *data;
  void (*free_data)(void *data);
  uint64_t backoff_ms;
  uvsmtp__refusal_t refusals[UVSMTP__AUTH_REFUSALS];
};

/*
 * Makes an authenticator without mechanisms yet. `data` becomes its own only where 0 is returned.
 * `backoff_ms` is that of the options.
 */
int uvsmtp__auth_new(uvsmtp_auth_t **auth, const uvsmtp_mem_t *mem, uint64_t backoff_ms, void *data,
                     void (*free_data)(void *data));

/* Appends a mechanism, which must outlive the authenticator; there is room for all built in. */
void uvsmtp__auth_add(uvsmtp_auth_t *auth, const uvsmtp_mechanism_t *mechanism);

/*
 * Appends those of the table that the blank-separated list `names` has, in its order; all of them
 * where it is NULL. Only those that have all flags of `required` are taken. UVSMTP_EINVAL for a
 * name that is not in the table, or if nothing is left.
 */
int uvsmtp__auth_add_named(uvsmtp_auth_t *auth, const uvsmtp_mechanism_t *const *table,
                           size_t count, const char *names, unsigned required);

/* The credentials were refused by, or accepted by, a server. */
void uvsmtp__auth_refused(uvsmtp_auth_t *auth, const char *host, uint16_t port, uint64_t now_ms);
void uvsmtp__auth_accepted(uvsmtp_auth_t *auth, const char *host, uint16_t port);

/*
 * Mechanisms (bit i: number i) that the server did not survive being broken off; and those of which
 * that is known.
 */
void uvsmtp__auth_avoid(uvsmtp_auth_t *auth, const char *host, uint16_t port, uint16_t mechanisms,
                        uint64_t now_ms);
uint16_t uvsmtp__auth_avoided(const uvsmtp_auth_t *auth, const char *host, uint16_t port,
                              uint64_t now_ms);

/* Tells threads apart; never NULL. */
const void *uvsmtp__auth_thread(void);

/* Takes the next word of a blank-separated list; false at its end. */
bool uvsmtp__auth_next_word(const char **list, uvsmtp_slice_t *word);
/* Whether the list has `name`, in any case of letters. NULL is an empty list. */
bool uvsmtp__auth_list_has(const char *list, const char *name);

#endif
