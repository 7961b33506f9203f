#ifndef UVSMTP_AUTH_CREDENTIALS_H
#define UVSMTP_AUTH_CREDENTIALS_H

#include "auth/scram_keys.h"
#include "uvsmtp/auth.h"

/* The data of all mechanisms with a name and perhaps a password. Does not change once made. */
typedef struct uvsmtp__credentials_s {
  uvsmtp_mem_t mem;
  char *user, *password, *authzid; /* as given; NULL if not */
  uint32_t min_iterations, max_iterations;
  /* What SCRAM needs: both after SASLprep, or the error that says why not. */
  char *prepared_user, *prepared_password;
  int prepared_err;
  uvsmtp__scram_keys_t keys;
} uvsmtp__credentials_t;

/* Which of the options a mechanism takes. */
enum {
  UVSMTP__NEEDS_USER = 1,
  UVSMTP__NEEDS_PASSWORD = 2,
  UVSMTP__NO_AUTHZID = 4,
  UVSMTP__USER_IS_TRACE = 8 /* of ANONYMOUS */
};

/*
 * Refuses what cannot be sent: NULL or empty where it is needed (UVSMTP_EINVAL), line ends
 * (UVSMTP_EINJECTION), text that is not UTF-8 (UVSMTP_ECHARSET), a trace that is too long.
 */
int uvsmtp__credentials_check(const uvsmtp_auth_options_t *options, unsigned needs);

/*
 * Makes an authenticator with the mechanisms of `table` that options.mechanisms names. It is the
 * only constructor of all mechanisms whose data is a uvsmtp__credentials_t.
 */
int uvsmtp__credentials_auth_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options,
                                 unsigned needs, const uvsmtp_mechanism_t *const *table,
                                 size_t count);

extern const uvsmtp_mechanism_t uvsmtp__mechanism_plain, uvsmtp__mechanism_login,
    uvsmtp__mechanism_cram_md5, uvsmtp__mechanism_external, uvsmtp__mechanism_anonymous;
extern const uvsmtp_mechanism_t uvsmtp__mechanism_scram_sha1, uvsmtp__mechanism_scram_sha1_plus,
    uvsmtp__mechanism_scram_sha256, uvsmtp__mechanism_scram_sha256_plus,
    uvsmtp__mechanism_scram_sha512, uvsmtp__mechanism_scram_sha512_plus;

#endif
