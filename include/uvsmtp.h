#ifndef UVSMTP_H
#define UVSMTP_H

/* All of uvsmtp: sending mail from libuv programs. Each header can also be included alone. */
#include "uvsmtp/address.h"
#include "uvsmtp/auth.h"
#include "uvsmtp/base.h"
#include "uvsmtp/blocking.h"
#include "uvsmtp/client.h"
#include "uvsmtp/connection.h"
#include "uvsmtp/crypto.h"
#include "uvsmtp/dkim.h"
#include "uvsmtp/envelope.h"
#include "uvsmtp/message.h"
#include "uvsmtp/poster.h"
#include "uvsmtp/protocol.h"
#include "uvsmtp/source.h"
#include "uvsmtp/stats.h"
#include "uvsmtp/tls.h"

#endif
