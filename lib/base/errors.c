#include "uvsmtp/base.h"

#include <errno.h>
#include <string.h>

/*
 * libuv's codes are the negated errno of the system where there is one, and numbers of its own
 * elsewhere; the layers below libuv name those that mail sending meets without including uv.h.
 */
#define FOREIGN_MAP(X)                                                                             \
  X(-4095, "EOF", NETWORK, "end of file")                                                          \
  X(-3000, "EAI_ADDRFAMILY", NETWORK, "address family not supported")                              \
  X(-3001, "EAI_AGAIN", NETWORK, "temporary failure of name resolution")                           \
  X(-3002, "EAI_BADFLAGS", USAGE, "bad flags for name resolution")                                 \
  X(-3003, "EAI_CANCELED", CANCELLED, "name resolution cancelled")                                 \
  X(-3004, "EAI_FAIL", NETWORK, "permanent failure of name resolution")                            \
  X(-3005, "EAI_FAMILY", NETWORK, "address family not supported")                                  \
  X(-3006, "EAI_MEMORY", RESOURCE, "out of memory")                                                \
  X(-3007, "EAI_NODATA", NETWORK, "the name has no address")                                       \
  X(-3008, "EAI_NONAME", NETWORK, "unknown host name")                                             \
  X(-3009, "EAI_OVERFLOW", USAGE, "name too long")                                                 \
  X(-3010, "EAI_SERVICE", USAGE, "unknown service")                                                \
  X(-3011, "EAI_SOCKTYPE", USAGE, "socket type not supported")                                     \
  X(-EACCES, "EACCES", NETWORK, NULL)                                                              \
  X(-EADDRINUSE, "EADDRINUSE", NETWORK, NULL)                                                      \
  X(-EADDRNOTAVAIL, "EADDRNOTAVAIL", NETWORK, NULL)                                                \
  X(-EAFNOSUPPORT, "EAFNOSUPPORT", NETWORK, NULL)                                                  \
  X(-EAGAIN, "EAGAIN", RESOURCE, NULL)                                                             \
  X(-EALREADY, "EALREADY", USAGE, NULL)                                                            \
  X(-EBADF, "EBADF", USAGE, NULL)                                                                  \
  X(-EBUSY, "EBUSY", USAGE, NULL)                                                                  \
  X(-ECANCELED, "ECANCELED", CANCELLED, NULL)                                                      \
  X(-ECONNABORTED, "ECONNABORTED", NETWORK, NULL)                                                  \
  X(-ECONNREFUSED, "ECONNREFUSED", NETWORK, NULL)                                                  \
  X(-ECONNRESET, "ECONNRESET", NETWORK, NULL)                                                      \
  X(-EEXIST, "EEXIST", USAGE, NULL)                                                                \
  X(-EHOSTUNREACH, "EHOSTUNREACH", NETWORK, NULL)                                                  \
  X(-EINTR, "EINTR", NETWORK, NULL)                                                                \
  X(-EINVAL, "EINVAL", USAGE, NULL)                                                                \
  X(-EIO, "EIO", NETWORK, NULL)                                                                    \
  X(-EISDIR, "EISDIR", USAGE, NULL)                                                                \
  X(-EMFILE, "EMFILE", RESOURCE, NULL)                                                             \
  X(-ENETDOWN, "ENETDOWN", NETWORK, NULL)                                                          \
  X(-ENETUNREACH, "ENETUNREACH", NETWORK, NULL)                                                    \
  X(-ENFILE, "ENFILE", RESOURCE, NULL)                                                             \
  X(-ENOBUFS, "ENOBUFS", RESOURCE, NULL)                                                           \
  X(-ENOENT, "ENOENT", USAGE, NULL)                                                                \
  X(-ENOMEM, "ENOMEM", RESOURCE, NULL)                                                             \
  X(-ENOSPC, "ENOSPC", RESOURCE, NULL)                                                             \
  X(-ENOTCONN, "ENOTCONN", NETWORK, NULL)                                                          \
  X(-ENOTSUP, "ENOTSUP", USAGE, NULL)                                                              \
  X(-EPERM, "EPERM", NETWORK, NULL)                                                                \
  X(-EPIPE, "EPIPE", NETWORK, NULL)                                                                \
  X(-EPROTO, "EPROTO", NETWORK, NULL)                                                              \
  X(-ETIMEDOUT, "ETIMEDOUT", NETWORK, NULL)

typedef struct {
  int code;
  const char *name;
  uvsmtp_err_class_t klass;
  const char *text; /* NULL: what strerror says */
} error_row_t;

static const error_row_t rows[] = {
#define X(name, number, klass, text) {number, "UVSMTP_" #name, UVSMTP_CLASS_##klass, text},
    UVSMTP_ERRNO_MAP(X)
#undef X
#define X(number, name, klass, text) {number, name, UVSMTP_CLASS_##klass, text},
        FOREIGN_MAP(X)
#undef X
};

static const error_row_t *find(int err)
{
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    if (rows[i].code == err)
      return &rows[i];
  return NULL;
}

const char *uvsmtp_strerror(int err)
{
  const error_row_t *row = find(err);
  if (err >= 0)
    return "no error";
  if (row != NULL && row->text != NULL)
    return row->text;
  return err > -3000 ? strerror(-err) : "unknown error";
}

const char *uvsmtp_err_name(int err)
{
  const error_row_t *row = find(err);
  if (err >= 0)
    return "OK";
  return row != NULL ? row->name : "UNKNOWN";
}

uvsmtp_err_class_t uvsmtp_err_class(int err)
{
  const error_row_t *row;
  if (err >= 0)
    return UVSMTP_CLASS_NONE;
  row = find(err);
  return row != NULL ? row->klass : UVSMTP_CLASS_NETWORK;
}
