#ifndef UVSMTP_ERRORS_H
#define UVSMTP_ERRORS_H

/*
 * Errors are negative ints: libuv's codes as they are, and uvsmtp's own from -5000 to -5999.
 * A function that can fail returns 0 or one of them. What a server said stands beside the code,
 * in the result or reply, never only in a log.
 */

#if defined(_WIN32)
#if defined(UVSMTP_BUILDING_SHARED)
#define UVSMTP_EXTERN __declspec(dllexport)
#elif defined(UVSMTP_USING_SHARED)
#define UVSMTP_EXTERN __declspec(dllimport)
#else
#define UVSMTP_EXTERN
#endif
#elif defined(__GNUC__)
#define UVSMTP_EXTERN __attribute__((visibility("default")))
#else
#define UVSMTP_EXTERN
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** What kind of failure an error is: what a caller has to do about it.  Since 0.1 */
typedef enum uvsmtp_err_class_e {
  UVSMTP_CLASS_NONE = 0,  /* no error */
  UVSMTP_CLASS_USAGE,     /* the caller's mistake: the same call fails again */
  UVSMTP_CLASS_NETWORK,   /* resolving, connecting, reading, writing, time: try again later */
  UVSMTP_CLASS_TLS,       /* handshake, certificate, policy */
  UVSMTP_CLASS_AUTH,      /* credentials or mechanisms */
  UVSMTP_CLASS_PROTOCOL,  /* the server broke the rules or lacks what is needed */
  UVSMTP_CLASS_TEMPORARY, /* refused for now (4yz) */
  UVSMTP_CLASS_PERMANENT, /* refused for good (5yz) */
  UVSMTP_CLASS_CANCELLED, /* by the caller */
  UVSMTP_CLASS_RESOURCE   /* memory, descriptors, a full queue */
} uvsmtp_err_class_t;

/* X(name, number, class, text); numbers are never reused. */
#define UVSMTP_ERRNO_MAP(X)                                                                        \
  X(EINVAL, -5000, USAGE, "invalid argument")                                                      \
  X(EADDRESS, -5001, USAGE, "not a mail address")                                                  \
  X(EINJECTION, -5002, USAGE, "CR, LF or NUL where it could add a line to the dialogue")           \
  X(ESTATE, -5003, USAGE, "the command is not allowed in this state")                              \
  X(EBUSY, -5004, USAGE, "called again from inside itself")                                        \
  X(ETOOLONG, -5005, USAGE, "too long for one line of the dialogue")                               \
  X(ENORECIPIENTS, -5006, USAGE, "the message has no recipient")                                   \
  X(EURL, -5007, USAGE, "not a valid server URL")                                                  \
  X(EOPTIONSIZE, -5008, USAGE, "options struct of a newer version with fields unknown here")       \
  X(ECLOSING, -5010, CANCELLED, "the object is closing")                                           \
  X(ECANCELED, -5011, CANCELLED, "cancelled")                                                      \
  X(EQUEUEFULL, -5012, RESOURCE, "the queue is full")                                              \
  X(ENOMEM, -5013, RESOURCE, "out of memory")                                                      \
  X(EDEADLINE, -5014, CANCELLED, "the deadline of the send has passed")                            \
  X(EEXTENSION, -5100, PROTOCOL, "the server does not offer a needed extension")                   \
  X(EMECHANISM, -5101, AUTH, "the server does not offer the authentication mechanism")             \
  X(EPROTOCOL, -5102, PROTOCOL, "the server violated the protocol")                                \
  X(EREPLYTOOLONG, -5103, PROTOCOL, "the server's reply is too long")                              \
  X(EREPLY, -5104, PROTOCOL, "the server's reply makes no sense here")                             \
  X(ETEMPORARY, -5110, TEMPORARY, "the server refused for now")                                    \
  X(EPERMANENT, -5111, PERMANENT, "the server refused for good")                                   \
  X(ELOOP, -5112, PROTOCOL, "the server greets with our own name")                                 \
  X(ETOOBIG, -5113, PERMANENT, "the message is larger than the server takes")                      \
  X(ERANGE, -5114, PERMANENT, "an option of the envelope is beyond what the server takes")         \
  X(ELIMIT, -5115, TEMPORARY, "the server takes no more in one session or transaction")            \
  X(ETIMEOUT, -5200, NETWORK, "the server did not answer in time")                                 \
  X(ECONNLOST, -5201, NETWORK, "the server closed the connection")                                 \
  X(ERESOLVE, -5202, NETWORK, "the server's name could not be resolved")                           \
  X(ECONNECT, -5203, NETWORK, "no address of the server could be connected")                       \
  X(EPROXY, -5204, NETWORK, "the proxy refused")                                                   \
  X(ETLS, -5300, TLS, "TLS failed")                                                                \
  X(ETLSREQUIRED, -5301, TLS, "TLS is required and the server does not offer it")                  \
  X(ETLSCERT, -5302, TLS, "the server's certificate is not trusted")                               \
  X(ETLSEXPIRED, -5303, TLS, "the server's certificate has expired or is not yet valid")           \
  X(ETLSNAME, -5304, TLS, "the server's certificate is for another name")                          \
  X(ETLSVERSION, -5305, TLS, "no TLS version or cipher in common")                                 \
  X(ETLSINJECTED, -5306, TLS, "bytes arrived in the clear before the TLS handshake")               \
  X(ETLSPIN, -5307, TLS, "the server's public key is not one of those pinned")                     \
  X(ETLSTRUNCATED, -5308, TLS, "the TLS connection was cut without a close_notify")                \
  X(ETLSCLIENTCERT, -5309, TLS, "the server refused or demands a client certificate")              \
  X(ETLSCONFIG, -5310, USAGE, "a certificate, key or TLS setting cannot be used")                  \
  X(EAUTH, -5400, AUTH, "the server refused the credentials")                                      \
  X(EAUTHPLAINTEXT, -5401, AUTH, "credentials would travel without TLS")                           \
  X(EAUTHCHALLENGE, -5402, AUTH, "the server's challenge is malformed")                            \
  X(EAUTHSERVER, -5403, AUTH, "the server did not prove that it knows the secret")                 \
  X(EAUTHTOKEN, -5404, AUTH, "no token could be obtained")                                         \
  X(EAUTHUNSUPPORTED, -5405, AUTH, "the mechanism was not built into this library")                \
  X(EAUTHTEMPORARY, -5406, AUTH, "the server cannot check credentials now")                        \
  X(EAUTHBACKOFF, -5407, AUTH, "the credentials were refused a short while ago")                   \
  X(EAUTHTHREAD, -5408, USAGE, "the authenticator belongs to another thread")                      \
  X(ESOURCE, -5500, USAGE, "the message's source failed")                                          \
  X(EBARELINE, -5501, USAGE, "the message has a bare CR or LF")                                    \
  X(ELINETOOLONG, -5502, USAGE, "the message has a line of over 998 octets")                       \
  X(E8BIT, -5503, PROTOCOL, "the message has 8-bit bytes and the server takes none")               \
  X(EHEADER, -5504, USAGE, "a header field cannot be read or written")                             \
  X(ECHARSET, -5505, USAGE, "the text is not valid in its character set")                          \
  X(EKEY, -5506, USAGE, "the signing key cannot be used")                                          \
  X(EENCODING, -5507, USAGE, "the text is not valid base64")                                       \
  X(EIDN, -5508, USAGE, "the domain needs libidn2, which this library was built without")

enum {
#define X(name, number, klass, text) UVSMTP_##name = number,
  UVSMTP_ERRNO_MAP(X)
#undef X
  /** Not an error: the answer comes later. */
  UVSMTP_PENDING = 1
};

/**
 * A sentence without a full stop that says what `err` means, for uvsmtp's and libuv's codes alike.
 * Static memory. Any thread.
 * Since 0.1
 */
UVSMTP_EXTERN const char *uvsmtp_strerror(int err);

/** The name of `err` ("UVSMTP_ETLSNAME", "ECONNREFUSED"). Static memory. Any thread. Since 0.1 */
UVSMTP_EXTERN const char *uvsmtp_err_name(int err);

/** What kind of failure `err` is; UVSMTP_CLASS_NONE for 0 and above. Any thread. Since 0.1 */
UVSMTP_EXTERN uvsmtp_err_class_t uvsmtp_err_class(int err);

#ifdef __cplusplus
}
#endif
#endif
