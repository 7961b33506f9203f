#ifndef UVSMTP_VERSION_H
#define UVSMTP_VERSION_H

/*
 * Version numbers follow semver.org. Before 1.0 a new minor version may change the ABI; from 1.0
 * on only a new major version may. The soname changes with the ABI.
 */
#define UVSMTP_VERSION_MAJOR 0
#define UVSMTP_VERSION_MINOR 1
#define UVSMTP_VERSION_PATCH 0
#define UVSMTP_VERSION_STRING "0.1.0"
/** The version as one number that can be compared: 0xMMmmpp. */
#define UVSMTP_VERSION_HEX                                                                         \
  ((UVSMTP_VERSION_MAJOR << 16) | (UVSMTP_VERSION_MINOR << 8) | UVSMTP_VERSION_PATCH)

#endif
