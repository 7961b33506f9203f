#ifndef UVSMTP_AUTH_H
#define UVSMTP_AUTH_H

/*
 * Logging in: authenticators and their exchanges (RFC 4954, RFC 4422).
 *
 * An authenticator is a SASL mechanism (or several) with its credentials. It is made once and
 * shared by all connections of all clients on one loop's thread: tokens, salted keys and the
 * memory of a refusal live in it. An exchange is one run of it on one connection: a coroutine that
 * answers the server's challenges, at once or later. Both know neither sockets nor clocks: the
 * connection hands in decoded challenges and the time, and takes out responses.
 *
 * For those who only want to log in: make an authenticator, give it to a client, free it.
 *
 *     uvsmtp_auth_options_t options = UVSMTP_AUTH_OPTIONS_INIT;
 *     options.user = "me";
 *     options.password = "secret";
 *     err = uvsmtp_auth_password_new(&auth, &options);
 *
 * For those who write a mechanism: see uvsmtp_mechanism_t; uvsmtp's own are written with it too.
 *
 * For those who drive exchanges (uvsmtp's connection, or another loop's):
 *
 *     err = uvsmtp_auth_choose(&choice, NULL, now_ms);
 *     while (err == 0) {
 *       context.mechanism = choice.mechanism;
 *       err = uvsmtp_exchange_new(&exchange, choice.auth, &context);
 *       ... uvsmtp_exchange_step for the initial response and for each 334, until another reply ...
 *       if (uvsmtp_exchange_finish(exchange, now_ms, code, enhanced, text) == 0)
 *         ... logged in
 *       err = uvsmtp_auth_choose(&choice, exchange, now_ms);
 *       uvsmtp_exchange_free(exchange);
 *     }
 *     ... not logged in: err, choice.detail
 *
 * Threads: an authenticator is made on any thread, and then belongs to the first one that logs in
 * with it: that of the loop on which the first connection is opened (uvsmtp_auth_claim). From there
 * on all clients and loops of that thread may share it, with one token, one set of keys and one
 * memory of refusals; another thread is refused with UVSMTP_EAUTHTHREAD and makes one of its own.
 * Only uvsmtp_auth_acquire and uvsmtp_auth_free are legal everywhere.
 *
 * All other functions belong to that thread. Times are milliseconds of any monotonic clock
 * (uv_now), the same one for all users of an authenticator.
 *
 * DIGEST-MD5 (retired by RFC 6331) and NTLM (without a public standard, MD4 and RC4 at its heart)
 * are not built; both can be written as a uvsmtp_mechanism_t by those who must:
 * examples/digest_md5.c is the first. docs/authentication.md tells all of this by task.
 */
#include <stdbool.h>

#include "uvsmtp/base.h"
#include "uvsmtp/crypto.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvsmtp_auth_s uvsmtp_auth_t;
typedef struct uvsmtp_exchange_s uvsmtp_exchange_t;
typedef struct uvsmtp_auth_context_s uvsmtp_auth_context_t;

/** One fetch of an access token; see uvsmtp_token_fetch_cb. */
typedef struct uvsmtp_token_request_s uvsmtp_token_request_t;

/* ---- Authenticators ---------------------------------------------------------------------- */

/**
 * Fetches an access token. Called when an exchange needs a token and none is cached, never for the
 * same authenticator before the last request has been answered or has timed out.
 * Returns    0: uvsmtp_auth_token_set(request, …) will be called exactly once, at once or at any
 *            time later, even if the request is cancelled meanwhile. A negative error: it will not
 *            be called, and those who wait fail. What is returned behind a call from inside does not
 *            count, so that its result may be.
 * Inside     everything is legal but to block. `data` is that of the options.
 * Since 0.1
 */
typedef int (*uvsmtp_token_fetch_cb)(uvsmtp_auth_t *auth, uvsmtp_token_request_t *request,
                                     void *data);

/**
 * Says that nobody waits for `request` any more: it timed out, or its authenticator is gone.
 * uvsmtp_auth_token_set must still be called for it, here or later.
 * Since 0.1
 */
typedef void (*uvsmtp_token_cancel_cb)(uvsmtp_token_request_t *request, void *data);

enum {
  /** SCRAM runs only as -PLUS, bound to the TLS connection. */
  UVSMTP_AUTH_REQUIRE_BINDING = 1
};

/**
 * What an authenticator is made of. Strings are UTF-8 and copied; secrets are wiped when the
 * authenticator goes. Zero means: not used, or the default.
 */
typedef struct uvsmtp_auth_options_s {
  size_t size;             /* set by UVSMTP_AUTH_OPTIONS_INIT */
  const uvsmtp_mem_t *mem; /* NULL: malloc and free */
  const char *user;        /* authentication identity; ANONYMOUS: the trace, a mailbox or a word */
  const char *password;    /* of PLAIN, LOGIN, CRAM-MD5, SCRAM */
  const char *authzid;     /* authorization identity, if another than that of `user` */
  const char *mechanisms;  /* "SCRAM-SHA-256 PLAIN": only these, in this order; any case */
  unsigned flags;          /* bits of UVSMTP_AUTH_REQUIRE_… */
  uint32_t min_iterations; /* SCRAM: fewer are refused; 0: 4096 (RFC 7677 section 4) */
  uint32_t max_iterations; /* SCRAM: more are refused; 0: 1 000 000 */
  const char *token;       /* OAuth: a fixed token, instead of `fetch` */
  uvsmtp_token_fetch_cb fetch;         /* OAuth: gets tokens */
  uvsmtp_token_cancel_cb cancel_fetch; /* OAuth: optional */
  void *data;                          /* OAuth: passed to the two callbacks */
  uint64_t token_timeout_ms; /* OAuth: longest wait for a fetch; 0: 30 000; UINT64_MAX: none */
  uint64_t token_grace_s;    /* OAuth: renewed so long before its end; 0: 600 (for tokens that live
                                less than twice that: half their life); UINT64_MAX: not before */
  uint64_t backoff_ms;       /* how long refused credentials rest, doubled by each further refusal
                                up to 64 times that; 0: 30 000; UINT64_MAX: not at all */
} uvsmtp_auth_options_t;

#define UVSMTP_AUTH_OPTIONS_INIT UVSMTP__SIZED(uvsmtp_auth_options_t)

/**
 * One credential (`user`, `password`, `authzid`) for all password mechanisms: the strongest that
 * the server offers is used, in the order SCRAM-SHA-512-PLUS, -256-PLUS, -1-PLUS, SCRAM-SHA-512,
 * -256, -1, CRAM-MD5, PLAIN, LOGIN, or as `mechanisms` says. CRAM-MD5, PLAIN and LOGIN run only
 * inside TLS, unless the connection's owner allows it by name. With an `authzid`, CRAM-MD5 and
 * LOGIN, which cannot say it, are left out. When the server refuses the password, it is offered at
 * most once more: see uvsmtp_auth_choose.
 * Ownership  `*auth` is yours: uvsmtp_auth_free.
 * Returns    0; UVSMTP_EINVAL (no user or password, or an empty one; a name in `mechanisms` that is
 *            none of the above); UVSMTP_EINJECTION (CR or LF, such as the line end of a password
 *            file); UVSMTP_ECHARSET (not UTF-8); UVSMTP_EOPTIONSIZE; UVSMTP_ENOMEM
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_password_new(uvsmtp_auth_t **auth,
                                           const uvsmtp_auth_options_t *options);

/** PLAIN (RFC 4616) alone; otherwise as uvsmtp_auth_password_new. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_auth_plain_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options);

/**
 * LOGIN alone; otherwise as uvsmtp_auth_password_new. Prompts are answered by their order, whatever
 * their wording: the user name, then the password. LOGIN has no authorization identity: `authzid`
 * is UVSMTP_EINVAL. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_login_new(uvsmtp_auth_t **auth, const uvsmtp_auth_options_t *options);

/** CRAM-MD5 (RFC 2195) alone; as LOGIN without an authorization identity. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_auth_cram_md5_new(uvsmtp_auth_t **auth,
                                           const uvsmtp_auth_options_t *options);

/**
 * SCRAM (RFC 5802, RFC 7677) with `digest`, or with all digests, strongest first, where it is 0;
 * bound to the TLS connection (-PLUS) where server and TLS library can. Otherwise as
 * uvsmtp_auth_password_new; UVSMTP_EINVAL for MD5. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_scram_new(uvsmtp_auth_t **auth, uvsmtp_digest_t digest,
                                        const uvsmtp_auth_options_t *options);

/**
 * OAuth 2 access tokens: OAUTHBEARER (RFC 7628), then XOAUTH2, or as `mechanisms` says. `user` is
 * required, and either `token` or `fetch`. A fetched token is cached and shared; it is renewed
 * `token_grace_s` before its end; at most one fetch runs at a time. A token that the server refuses
 * is dropped, and one more attempt is made with a fresh one. After a failed fetch the next is made
 * only after 1 s, then 2, 4, … 60 s; until then exchanges fail with UVSMTP_EAUTHTOKEN.
 * Returns    as uvsmtp_auth_password_new
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_oauth2_new(uvsmtp_auth_t **auth,
                                         const uvsmtp_auth_options_t *options);

/** XOAUTH2 alone; otherwise as uvsmtp_auth_oauth2_new. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_auth_xoauth2_new(uvsmtp_auth_t **auth,
                                          const uvsmtp_auth_options_t *options);

/** OAUTHBEARER alone; otherwise as uvsmtp_auth_oauth2_new. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_auth_oauthbearer_new(uvsmtp_auth_t **auth,
                                              const uvsmtp_auth_options_t *options);

/**
 * EXTERNAL (RFC 4422 appendix A): the server knows us by other means, such as a TLS client
 * certificate. Only `authzid` is used, and optional. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_external_new(uvsmtp_auth_t **auth,
                                           const uvsmtp_auth_options_t *options);

/**
 * ANONYMOUS (RFC 4505). `user`, optional, is the trace: at most 255 characters, UVSMTP_ETOOLONG
 * else. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_anonymous_new(uvsmtp_auth_t **auth,
                                            const uvsmtp_auth_options_t *options);

/**
 * GSSAPI (RFC 4752): Kerberos with the credentials cache of the process. `user` chooses a
 * principal of it, `authzid` is optional. UVSMTP_EAUTHUNSUPPORTED if uvsmtp was built without it.
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_gssapi_new(uvsmtp_auth_t **auth,
                                         const uvsmtp_auth_options_t *options);

/**
 * Lets go of an authenticator. It goes when the last connection that uses it has let go too, and
 * with it its secrets. NULL is fine. Legal in every callback, and on every thread; but free_data
 * and cancel_fetch run where the last hold is given back. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_auth_free(uvsmtp_auth_t *auth);

/**
 * Takes one more hold of an authenticator, given back by uvsmtp_auth_free. Legal on every thread.
 * Since 0.1
 */
UVSMTP_EXTERN uvsmtp_auth_t *uvsmtp_auth_acquire(uvsmtp_auth_t *auth);

/**
 * Makes the calling thread the one that uses the authenticator, if there is none yet. Connections
 * and exchanges do that by themselves. 0, or UVSMTP_EAUTHTHREAD if it belongs to another. Legal on
 * every thread. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_claim(uvsmtp_auth_t *auth);
/**
 * The same question without the claim: a client asks it when it is made, which may be before its
 * loop runs on another thread. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_check_thread(const uvsmtp_auth_t *auth);

/**
 * The name of the authenticator's mechanism number `i`, in order of preference; NULL beyond the
 * last. Belongs to the authenticator. Since 0.1
 */
UVSMTP_EXTERN const char *uvsmtp_auth_mechanism(const uvsmtp_auth_t *auth, size_t i);

/**
 * How long the credentials still rest for the server `host`, `port`, because it has refused them
 * (see uvsmtp_auth_choose); 0: they may be offered. UINT64_MAX: for ever. Since 0.1
 */
UVSMTP_EXTERN uint64_t uvsmtp_auth_rest_ms(const uvsmtp_auth_t *auth, const char *host,
                                           uint16_t port, uint64_t now_ms);

/** A lifetime of tokens that are kept until a server refuses them. */
#define UVSMTP_TOKEN_UNTIL_REFUSED UINT64_MAX

/**
 * Answers a token request: exactly once, after which it is gone.
 * `err`         0, or why there is no token: those who wait fail with it
 * `token`       the access token (RFC 6750 section 2.1), copied; with an `err`: what went wrong, a
 *               sentence without secrets for the detail of those who fail, or NULL
 * `lifetime_s`  how long it is good from the start of the fetch on; 0: it serves those who wait now
 *               and is not cached; UVSMTP_TOKEN_UNTIL_REFUSED
 * Returns    0; UVSMTP_ECANCELED if nobody waits for the request any more; UVSMTP_EAUTHTOKEN if the
 *            token is empty or has characters that no token has (counted as a failed fetch);
 *            UVSMTP_ENOMEM (likewise); UVSMTP_EAUTHTHREAD on another thread than the one of the
 *            fetch: the request is still to be answered, from there (uv_async_send)
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_token_set(uvsmtp_token_request_t *request, int err, const char *token,
                                        uint64_t lifetime_s);

/**
 * Drops the cached token, if any: the next exchange fetches a fresh one. A fetch that runs goes on;
 * exchanges that have the token already use it. Nothing happens to an authenticator without tokens,
 * or with a fixed one. Returns 0, UVSMTP_EAUTHTHREAD. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_clear_cached_token(uvsmtp_auth_t *auth);

/* ---- Writing a mechanism ------------------------------------------------------------------ */

enum {
  /** Speaks first: its step is called once without a challenge for the initial response. */
  UVSMTP_AUTH_CLIENT_FIRST = 1,
  /** Shows the secret itself to the server and to those who listen: never without TLS. */
  UVSMTP_AUTH_PLAINTEXT = 2,
  /** Is bound to the TLS connection: runs only where channel binding is possible. */
  UVSMTP_AUTH_BINDING = 4,
  /** Lets those who listen try out passwords quickly and at leisure: never without TLS. */
  UVSMTP_AUTH_GUESSABLE = 8
};

/** What `finish` of a mechanism may return: one more run of the same mechanism may succeed. */
#define UVSMTP_AUTH_AGAIN 2

/**
 * A mechanism: how exchanges of one SASL name run. All functions are called on the loop's thread
 * and must not block; only `step` is required.
 */
typedef struct uvsmtp_mechanism_s {
  size_t size;       /* sizeof(uvsmtp_mechanism_t) */
  const char *name;  /* as servers write it in their EHLO reply: "PLAIN" */
  unsigned flags;    /* bits of UVSMTP_AUTH_CLIENT_FIRST and so on */
  size_t state_size; /* bytes of `state`, zeroed at the start of each exchange */
  /**
   * Answers one challenge, with uvsmtp_exchange_respond. `challenge` is decoded and stays in place
   * until the next step; its base is NULL in the call that asks for an initial response. Without a
   * call of respond the response is empty.
   * Returns 0; UVSMTP_PENDING: suspended, and called again with the same challenge after
   * uvsmtp_exchange_resume; or an error, best through uvsmtp_exchange_fail: the dialogue is then
   * broken off.
   */
  int (*step)(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge);
  /**
   * The server gave its verdict: `code` is that of its reply, 2yz or not. For 2yz: 0, or an error
   * if the server's success is not believed. Otherwise: 0, or UVSMTP_AUTH_AGAIN (heeded once for
   * each authenticator and connection). Not called if step has failed.
   */
  int (*finish)(uvsmtp_exchange_t *exchange, void *state, int code);
  /**
   * The exchange was cancelled, its connection was lost, or its time was up, while it was
   * suspended: stop what runs for it. A later uvsmtp_exchange_resume does nothing. Called at most
   * once for each suspension.
   */
  void (*cancel)(uvsmtp_exchange_t *exchange, void *state);
  /** Releases what `state` holds. The last call, when nobody holds the exchange any more. */
  void (*cleanup)(uvsmtp_exchange_t *exchange, void *state);
  /** Releases the `data` of the authenticator, when nobody holds that any more. */
  void (*free_data)(void *data);
} uvsmtp_mechanism_t;

/**
 * An authenticator with a mechanism of your own.
 * Ownership  `mechanism` and its name are copied; `data` is borrowed until free_data
 * Returns    0; UVSMTP_EINVAL (no step, no name, or a name that is not of RFC 4422 section 3.1);
 *            UVSMTP_EOPTIONSIZE; UVSMTP_ENOMEM; on error free_data is not called
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_custom_new(uvsmtp_auth_t **auth, const uvsmtp_mechanism_t *mechanism,
                                         void *data, const uvsmtp_mem_t *mem);

/* What a step has at hand. */

/** The `data` of the authenticator. Since 0.1 */
UVSMTP_EXTERN void *uvsmtp_exchange_data(const uvsmtp_exchange_t *exchange);

/** Where the exchange runs: host, TLS, … as the connection gave it. Since 0.1 */
UVSMTP_EXTERN const uvsmtp_auth_context_t *
uvsmtp_exchange_context(const uvsmtp_exchange_t *exchange);

/** The time as the connection last gave it. Since 0.1 */
UVSMTP_EXTERN uint64_t uvsmtp_exchange_now(const uvsmtp_exchange_t *exchange);

/**
 * Appends to the response of this step. The bytes are copied, and wiped when they have been sent.
 * Returns 0, UVSMTP_ETOOLONG beyond 64 KiB, UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_exchange_respond(uvsmtp_exchange_t *exchange, const void *bytes,
                                          size_t len);

/**
 * Notes why the exchange fails, and returns `err`. `detail`, a sentence without a full stop, is
 * copied (NULL: none); it must show no secret. With `err` 0 it is a note that goes into the detail
 * of a later failure. Outside of step, the exchange has failed by this call: for those who drive
 * it, when a challenge is not base64, and for a service that was asked and has no answer (`wake` is
 * called then). Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_exchange_fail(uvsmtp_exchange_t *exchange, int err, const char *detail);

/**
 * How long the exchange may be suspended from now on; 60 000 without this call, UINT64_MAX: for
 * ever. When it is over, `cancel` is called, and step goes on with UVSMTP_ETIMEOUT as the result.
 * Legal in step. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_exchange_set_timeout(uvsmtp_exchange_t *exchange, uint64_t timeout_ms);

/**
 * Ends a suspension: the connection will call step again, where uvsmtp_exchange_result is `result`
 * (0 or an error, as you like). Legal inside step too, before it returns UVSMTP_PENDING.
 * Returns    0; UVSMTP_ECANCELED if the exchange was cancelled, has failed or lost its connection;
 *            UVSMTP_ESTATE if it is not suspended (a second resume); UVSMTP_EAUTHTHREAD on another
 *            thread than the exchange's. None of these has any effect.
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_exchange_resume(uvsmtp_exchange_t *exchange, int result);

/** What the last uvsmtp_exchange_resume was given. Since 0.1 */
UVSMTP_EXTERN int uvsmtp_exchange_result(const uvsmtp_exchange_t *exchange);

/**
 * Keeps exchange and state in memory, for as long as somebody may call uvsmtp_exchange_resume: a
 * step that suspends takes a hold for the service it asks, which gives it back when it has called
 * resume. Returns `exchange`. Since 0.1
 */
UVSMTP_EXTERN uvsmtp_exchange_t *uvsmtp_exchange_acquire(uvsmtp_exchange_t *exchange);

/** Gives a hold back. NULL is fine. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_exchange_release(uvsmtp_exchange_t *exchange);

/** Where the coroutine of the macros below stands; 0 at the start. Since 0.1 */
UVSMTP_EXTERN int *uvsmtp_exchange_place(uvsmtp_exchange_t *exchange);

/*
 * A step that reads like the dialogue. Local variables do not survive a wait: what must, stands in
 * `state`. No `switch` may surround these macros between BEGIN and END, and at most one of them
 * may stand in a line.
 *
 *     static int step(uvsmtp_exchange_t *exchange, void *state, uvsmtp_slice_t challenge)
 *     {
 *       my_state_t *my = state;
 *       int err;
 *       UVSMTP_CO_BEGIN(exchange);
 *       UVSMTP_CO_AWAIT(err, ask_for_code(exchange, my));    // starts; resumed with the answer
 *       if (err != 0)
 *         return uvsmtp_exchange_fail(exchange, err, "no code was given");
 *       uvsmtp_exchange_respond(exchange, my->code, my->code_len);
 *       UVSMTP_CO_SEND();                                    // goes on with the next challenge
 *       …
 *       UVSMTP_CO_END();
 *     }
 */

/** Begins the coroutine. */
#define UVSMTP_CO_BEGIN(exchange)                                                                  \
  uvsmtp_exchange_t *const uvsmtp_co_ = (exchange);                                                \
  switch (*uvsmtp_exchange_place(uvsmtp_co_)) {                                                    \
  case 0:

/** Sends the response; goes on with the next challenge. */
#define UVSMTP_CO_SEND()                                                                           \
  do {                                                                                             \
    *uvsmtp_exchange_place(uvsmtp_co_) = __LINE__;                                                 \
    return 0;                                                                                      \
  case __LINE__:;                                                                                  \
  } while (0)

/**
 * Starts something that takes time: `result = start`, and if that is UVSMTP_PENDING, suspends, and
 * goes on after uvsmtp_exchange_resume with what that was given as `result`.
 */
#define UVSMTP_CO_AWAIT(result, start)                                                             \
  do {                                                                                             \
    (result) = (start);                                                                            \
    if ((result) == UVSMTP_PENDING) {                                                              \
      *uvsmtp_exchange_place(uvsmtp_co_) = __LINE__;                                               \
      return UVSMTP_PENDING;                                                                       \
    case __LINE__:                                                                                 \
      (result) = uvsmtp_exchange_result(uvsmtp_co_);                                               \
    }                                                                                              \
  } while (0)

/** Ends the coroutine: all has been said, and a further challenge is an error. */
#define UVSMTP_CO_END()                                                                            \
  *uvsmtp_exchange_place(uvsmtp_co_) = -1;                                                         \
  return 0;                                                                                        \
  default:                                                                                         \
    return uvsmtp_exchange_fail(uvsmtp_co_, UVSMTP_EAUTHCHALLENGE,                                 \
                                "the server sent a challenge too many");                           \
    }

/* ---- Driving exchanges -------------------------------------------------------------------- */

/**
 * A long computation. `work` runs on any thread and touches nothing but the job; `done` follows on
 * the loop's thread, with 0, or an error if `work` did not run. Lives until `done`.
 */
typedef struct uvsmtp_auth_job_s uvsmtp_auth_job_t;
struct uvsmtp_auth_job_s {
  void (*work)(uvsmtp_auth_job_t *job);
  void (*done)(uvsmtp_auth_job_t *job, int err);
};

/** Channel bindings are at most this long. */
#define UVSMTP_CHANNEL_BINDING_MAX 64

/**
 * Where an exchange runs and what it may use. Copied by uvsmtp_exchange_new; the strings and
 * `owner` are borrowed until uvsmtp_exchange_free, `crypto` for ever.
 */
struct uvsmtp_auth_context_s {
  size_t size;                   /* set by UVSMTP_AUTH_CONTEXT_INIT */
  const char *mechanism;         /* the one chosen; NULL: the authenticator's first */
  const char *offered;           /* all that the server offers: "PLAIN LOGIN SCRAM-SHA-256-PLUS" */
  const char *host;              /* the server's name as the caller gave it */
  const char *service;           /* NULL: "smtp" */
  uint16_t port;                 /* 0: unknown */
  bool tls;                      /* the connection is encrypted, and not to just anybody */
  bool allow_plaintext;          /* PLAINTEXT and GUESSABLE mechanisms may run without TLS */
  unsigned max_challenges;       /* 0: 10 */
  const uvsmtp_crypto_t *crypto; /* NULL: only mechanisms without digests run */
  const uvsmtp_mem_t *mem;       /* NULL: malloc and free */
  void *owner;                   /* passed to the callbacks */
  /**
   * Optional. A suspended step has its answer: call uvsmtp_exchange_step with a NULL challenge,
   * here or soon. Never called from inside a step of the same exchange, nor after cancel or free.
   */
  void (*wake)(void *owner);
  /**
   * Optional; without it jobs are done at once. Runs a job elsewhere: 0 if `done` will be called
   * exactly once, on the loop's thread and after this returned, even if `owner` goes before; an
   * error, and the exchange fails with it, since the loop must not be stopped.
   */
  int (*offload)(void *owner, uvsmtp_auth_job_t *job);
  /**
   * Optional. Channel binding data of `type` ("tls-exporter", "tls-unique",
   * "tls-server-end-point"; RFC 9266, RFC 5929) into `out`, of *len bytes (at least
   * UVSMTP_CHANNEL_BINDING_MAX); *len becomes its length. An error where TLS cannot give it.
   */
  int (*channel_binding)(void *owner, const char *type, uint8_t *out, size_t *len);
};

#define UVSMTP_AUTH_CONTEXT_INIT UVSMTP__SIZED(uvsmtp_auth_context_t)

/**
 * Begins a run of `auth`, which the exchange holds.
 * Returns    0; UVSMTP_EMECHANISM (the authenticator has no such mechanism); UVSMTP_EAUTHPLAINTEXT;
 *            UVSMTP_EAUTHTHREAD; UVSMTP_EOPTIONSIZE; UVSMTP_EINVAL; UVSMTP_ENOMEM
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_exchange_new(uvsmtp_exchange_t **exchange, uvsmtp_auth_t *auth,
                                      const uvsmtp_auth_context_t *context);

/** The name of the mechanism that runs; goes with the exchange. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_exchange_mechanism(const uvsmtp_exchange_t *exchange);

/**
 * One step. First of all it is called with `challenge` NULL, before AUTH is sent, for the initial
 * response; then with each 334's challenge, decoded (empty for an empty one). While the exchange is
 * suspended it is called with NULL: after `wake`, when uvsmtp_exchange_deadline has passed, or at
 * any time.
 * Returns    0: send `*response`. Its base is NULL if there is no initial response ("AUTH NAME"
 *            alone), and not NULL otherwise: an empty initial response is "=". The bytes are secret
 *            and stay until the next step, finish or free.
 *            UVSMTP_PENDING: later; nothing is to be sent.
 *            A negative error: send "*" if AUTH has been sent, read the reply, call finish. All
 *            further steps return the same. uvsmtp_exchange_detail says more.
 *            UVSMTP_ESTATE, which changes nothing: a challenge while suspended; NULL when it is
 *            neither suspended nor at its start; after finish.
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_exchange_step(uvsmtp_exchange_t *exchange, uint64_t now_ms,
                                       const uvsmtp_slice_t *challenge, uvsmtp_slice_t *response);

/** When a suspended step fails if it has no answer before; UINT64_MAX: never. Since 0.1 */
UVSMTP_EXTERN uint64_t uvsmtp_exchange_deadline(const uvsmtp_exchange_t *exchange);

/**
 * The server's final reply to AUTH (also the 501 that answers "*").
 * `code`      of the reply; 0 if none came to be, since the exchange failed before AUTH was sent
 * `enhanced`  its enhanced status code, "5.7.8"; NULL: looked for at the beginning of `text`
 * `text`      what the server said, for the detail; may be NULL
 * Returns    0: logged in; an error of step if that failed; otherwise
 *            UVSMTP_EAUTHSERVER: 2yz, but the server did not prove that it knows the password:
 * close the connection; UVSMTP_EAUTHTEMPORARY: 4yz (save 432, a mechanism matter); UVSMTP_EAUTH:
 * refused; UVSMTP_EAUTHCHALLENGE: a code that makes no sense here; UVSMTP_ECANCELED: cancelled
 * before Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_exchange_finish(uvsmtp_exchange_t *exchange, uint64_t now_ms, int code,
                                         const char *enhanced, const char *text);

/**
 * What went wrong, in a sentence without secrets, "" if nothing did: the server's words, the error
 * status of an OAuth server, what was wrong in a challenge. Until the next call. Since 0.1
 */
UVSMTP_EXTERN const char *uvsmtp_exchange_detail(const uvsmtp_exchange_t *exchange);

/**
 * Cancels: a suspended mechanism is told, `wake` is not called any more, and step returns
 * UVSMTP_ECANCELED from now on. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_exchange_cancel(uvsmtp_exchange_t *exchange);

/** Cancels what is suspended, wipes what was to be sent, and lets go. NULL is fine. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_exchange_free(uvsmtp_exchange_t *exchange);

/* ---- Choosing ----------------------------------------------------------------------------- */

/** At most so many authenticators take part in a choice, each with so many mechanisms. */
#define UVSMTP_AUTH_CHOICE_MAX 16

/**
 * The choices of one connection, from its EHLO reply until it is logged in or nothing is left to
 * try. Caller-owned; fill in the first part, leave the rest alone.
 */
typedef struct uvsmtp_auth_choice_s {
  size_t size;                 /* set by UVSMTP_AUTH_CHOICE_INIT */
  uvsmtp_auth_t *const *auths; /* in order of preference; borrowed until the last choose */
  size_t auth_count;
  const char *offered; /* mechanisms of the EHLO reply, blank-separated, any case, doubled
                          or not; borrowed likewise */
  const char *host;    /* whose refusals count; borrowed likewise */
  uint16_t port;
  bool tls;             /* the connection is encrypted, and not to just anybody */
  bool allow_plaintext; /* the caller said by name that secrets may go without TLS; loopback
                           and Unix sockets are no exception: they need it too */
  bool channel_binding; /* the connection can give channel binding data */
  const char *doubt;    /* why `tls` is false though the connection is encrypted: what is wrong with
                           the server's certificate; NULL: it is not; borrowed likewise */

  /* set by uvsmtp_auth_choose */
  uvsmtp_auth_t *auth;   /* one of `auths` */
  const char *mechanism; /* its mechanism to run */
  char detail[256];      /* after an error: why, in a sentence */

  /* private */
  uint16_t tried[UVSMTP_AUTH_CHOICE_MAX];  /* bit i: mechanism i of the authenticator */
  uint16_t broken[UVSMTP_AUTH_CHOICE_MAX]; /* likewise: those broken off by "*" */
  uint16_t refused, again, rested;         /* bit i: authenticator i */
  uint16_t at_auth, at_mechanism;
  int err; /* the most telling error so far */
} uvsmtp_auth_choice_t;

#define UVSMTP_AUTH_CHOICE_INIT UVSMTP__SIZED(uvsmtp_auth_choice_t)

/**
 * Chooses what to run next: the first mechanism of the first authenticator that the server offers,
 * that is safe on this connection, and that has not been tried. `last` is NULL at first, then the
 * finished exchange of the last choice; its outcome decides how it goes on:
 *
 * - The server refused the credentials (535 and the like): servers that keep passwords in one form
 *   only refuse good ones by mechanisms that need another, so after a mechanism that does not show
 *   the password itself, one more is tried, PLAIN or LOGIN rather than others; after that, or after
 *   a mechanism that shows it, the authenticator is out. It rests: further connections to the same
 *   host get UVSMTP_EAUTHBACKOFF without asking the server again (`backoff_ms`).
 * - A token was refused: once more with a fresh one.
 * - The server refused the mechanism (534, 504, 501, 432, 538, or an enhanced code that says so),
 *   its challenge was malformed, or this side cannot run it: the next mechanism.
 * - No token could be had, or a suspension timed out: the next authenticator.
 * - The server did not prove that it knows the password, or channel binding shows that somebody
 *   stands between (UVSMTP_EAUTHSERVER), a temporary failure, cancellation, no memory: that is the
 *   end.
 * - 521: that is the end too; it says nothing of the credentials. UVSMTP_EAUTHTEMPORARY if an
 *   exchange was broken off before on this connection (see uvsmtp_auth_choice_lost), else
 *   UVSMTP_EAUTH.
 *
 * Returns    0 with `auth` and `mechanism`; or, when nothing is left, the most telling error of
 *            those tried; if none was: UVSMTP_EAUTHPLAINTEXT (what is offered would need TLS),
 *            UVSMTP_EAUTHBACKOFF, UVSMTP_EMECHANISM (`detail` names what the server offers and what
 *            could be used), UVSMTP_EINVAL (too many authenticators, none, or a wrong `size`)
 * Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_auth_choose(uvsmtp_auth_choice_t *choice, uvsmtp_exchange_t *last,
                                     uint64_t now_ms);

/**
 * The connection ended before there was a last choice. Some servers do not survive that an exchange
 * is broken off with "*": they take the next AUTH for an answer and close. If one was, its
 * mechanism is the last choice of the connections to come to this server for an hour, so that they
 * get past it. The same happens by itself when the server answers AUTH with 521. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_auth_choice_lost(uvsmtp_auth_choice_t *choice, uint64_t now_ms);

#ifdef __cplusplus
}
#endif
#endif
