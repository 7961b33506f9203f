#ifndef UVSMTP_POSTER_H
#define UVSMTP_POSTER_H

/*
 * A poster hands messages over to a client from any thread. All else of a client belongs to its
 * loop's thread, and so do the callbacks of what was posted.
 *
 * A poster outlives its client: those who hold one may post at any time, and are told when there is
 * nobody left to take it. A client that is being closed takes no more posts from that moment on;
 * what was posted before is treated as if it had been sent before. So every send for which
 * uvsmtp_poster_post returned 0 calls back, once, before the close callback of the client.
 */
#include "uvsmtp/client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uvsmtp_poster_s uvsmtp_poster_t;

typedef struct uvsmtp_poster_options_s {
  size_t size;       /* set by UVSMTP_POSTER_OPTIONS_INIT */
  size_t max_posted; /* sends that the client has not taken yet; it takes them as its own queue has
                        room; default 10 000 */
} uvsmtp_poster_options_t;
#define UVSMTP_POSTER_OPTIONS_INIT {.size = sizeof(uvsmtp_poster_options_t)}

/**
 * Makes the poster of `client`, which has one at most: a later call gives the same, held once more.
 * It keeps the loop alive as long as somebody besides the client holds it. The client's allocator is
 * used from all threads that post. `options` may be NULL. The loop's thread. UVSMTP_EINVAL,
 * UVSMTP_EOPTIONSIZE, UVSMTP_ECLOSING, UVSMTP_ENOMEM, libuv's codes. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_poster_new(uvsmtp_poster_t **poster, uvsmtp_client_t *client,
                                    const uvsmtp_poster_options_t *options);
/** Holds it once more, for another thread. Any thread that holds it. Since 0.1 */
UVSMTP_EXTERN uvsmtp_poster_t *uvsmtp_poster_acquire(uvsmtp_poster_t *poster);
/**
 * Gives a hold up. What was posted is sent all the same. NULL is fine. Any thread. Since 0.1
 */
UVSMTP_EXTERN void uvsmtp_poster_free(uvsmtp_poster_t *poster);

/**
 * Hands over a message, as uvsmtp_client_send does; `cb` runs on the loop's thread, perhaps before
 * this returns. The order of posts by one thread is kept. Until the callback, all that was passed
 * is the loop's; to give the send up, call uvsmtp_send_cancel on the loop's thread. Any thread that
 * holds it, and any callback; no lock is held while code of yours runs. UVSMTP_EINVAL,
 * UVSMTP_ENORECIPIENTS, UVSMTP_EINJECTION, UVSMTP_ECLOSING (the client is closed or gone),
 * UVSMTP_EQUEUEFULL (see uvsmtp_poster_wait), UVSMTP_ENOMEM. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_poster_post(uvsmtp_poster_t *poster, uvsmtp_send_t *send,
                                     const uvsmtp_envelope_t *envelope, uvsmtp_source_t *source,
                                     uvsmtp_send_cb cb);
/**
 * The same with options of its own, as uvsmtp_client_send_with. Its time begins when the client takes
 * it. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_poster_post_with(uvsmtp_poster_t *poster, uvsmtp_send_t *send,
                                          const uvsmtp_envelope_t *envelope,
                                          uvsmtp_source_t *source,
                                          const uvsmtp_send_options_t *options,
                                          uvsmtp_send_cb cb);
/**
 * Waits until there is room for a post, at most `timeout_ms` (UINT64_MAX: as long as it takes).
 * Another thread may have taken the room before one posts. 0, UVSMTP_ECLOSING, UVSMTP_EQUEUEFULL
 * (it stayed full). Any thread but the loop's. Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_poster_wait(uvsmtp_poster_t *poster, uint64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
