#ifndef UVSMTP_H
#define UVSMTP_H

#include "uvsmtp/base.h"
#include "uvsmtp/crypto.h"
#include "uvsmtp/envelope.h"
#include "uvsmtp/source.h"

#endif
