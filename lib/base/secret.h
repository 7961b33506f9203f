#ifndef UVSMTP_BASE_SECRET_H
#define UVSMTP_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Overwrites in a way that the compiler cannot drop. */
void uvsmtp__wipe(void *p, size_t len);
/* Wipes and frees a string; NULL is fine. */
struct uvsmtp_mem_s;
void uvsmtp__free_secret(const struct uvsmtp_mem_s *mem, char *s);
/* Compares in a time that depends on `len` alone. */
bool uvsmtp__secret_equal(const void *a, const void *b, size_t len);
/*
 * Overwrites with "*", in a line, what somebody repeats of `secret`, perhaps cut; true if something
 * was. Its first 8 characters tell; a secret of one character ("=") is none.
 */
bool uvsmtp__blank_secret(const char *secret, char *line, size_t len);

#endif
