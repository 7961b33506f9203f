#ifndef UVSMTP_CONNECTION_RESUME_H
#define UVSMTP_CONNECTION_RESUME_H

/*
 * A send that goes on with another connection, for the client: what became of its recipients so far
 * stays with it, and only those that another connection may serve go again.
 */
#include "uvsmtp/connection.h"

/*
 * Only inside the callback of a send: how many of its recipients may go again, with `unknown_too`
 * those whose fate is unknown. Above 0, all results stay with the send, until uvsmtp__send_forget,
 * or the end of the next try.
 */
size_t uvsmtp__send_keep(uvsmtp_send_t *send, const uvsmtp_result_t *result, bool unknown_too);
/* uvsmtp_connection_send for a send that may have results; the envelope and source are its own. */
int uvsmtp__send_resume(uvsmtp_connection_t *connection, uvsmtp_send_t *send, uvsmtp_send_cb cb);
/*
 * There is no further try: those who were to go again get this status and text, borrowed. Fills
 * the recipients, the status and retry_is_safe of `result`; false if the send has no results.
 */
bool uvsmtp__send_settle(uvsmtp_send_t *send, uvsmtp_status_t status, const char *text,
                         uvsmtp_result_t *result);
/* Frees the results of a send, after `kept` was read from its `transaction`; NULL is fine. */
void uvsmtp__send_forget(void *kept);

#endif
