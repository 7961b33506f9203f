#ifndef UVSMTP_ADDRESS_H
#define UVSMTP_ADDRESS_H

/*
 * Mail addresses: reading them from header fields (RFC 5322 with its obsolete syntax), checking
 * and writing them as an envelope needs them (RFC 5321, 6531), and turning international domain
 * names into A-labels (RFC 5891).
 *
 * Everywhere `detail` is a buffer of `detail_size` bytes that gets a sentence about what is wrong
 * and where when a function fails; it may be NULL with size 0. All text is UTF-8. No function
 * keeps state: any thread.
 */
#include "uvsmtp/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Room for any canonical address and its NUL (RFC 5321 section 4.5.3.1: 64 + "@" + 255). */
#define UVSMTP_ADDRESS_SIZE 321
/** Room for any domain and its NUL. */
#define UVSMTP_DOMAIN_SIZE 256

enum {
  /** The domain is written in A-labels ("xn--…"), and the local part must be ASCII. */
  UVSMTP_ADDRESS_ASCII = 1
};

/**
 * Writes the canonical form of one bare address: the local part in quotes only where it needs
 * them, the domain or address literal as it stands. Takes `user@host`, `"any thing"@host`,
 * `user@[192.0.2.1]`, `user@[IPv6:2001:db8::1]`, `postmaster`; and a local part that misses its
 * quotes (`John Doe@host` becomes `"John Doe"@host`), so that nothing in it can end the address.
 * Ownership  `out` has `out_size` bytes; UVSMTP_ADDRESS_SIZE is always enough.
 * Returns    0; UVSMTP_EADDRESS: not an address, or longer than allowed; UVSMTP_EINJECTION: CR,
 *            LF or NUL in it; UVSMTP_ETOOLONG: `out` is too small; with UVSMTP_ADDRESS_ASCII what
 *            uvsmtp_domain_to_ascii returns, and UVSMTP_EADDRESS for a local part that is not
 *            ASCII
 * RFC        5321 section 4.1.2, 6531 section 3.3                                    Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_address_canonical(char *out, size_t out_size, const char *address,
                                           size_t len, unsigned flags, char *detail,
                                           size_t detail_size);

/**
 * Writes what a person reads, `"Doe, John" <john@host.example>`; without a name (NULL or empty)
 * the bare address. The name gets quotes where RFC 5322 asks for them and stays UTF-8: header
 * fields of a uvsmtp_message_t are encoded by the builder.
 * Returns    the length without the NUL; the errors of uvsmtp_address_canonical, UVSMTP_ECHARSET:
 *            the name is not UTF-8, or has a control character
 * RFC        5322 section 3.4                                                        Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_address_format(char *out, size_t out_size, const char *name,
                                        const char *address);

/**
 * Whether two canonical addresses are the same mailbox: local parts compared byte by byte, ASCII
 * letters of domains without regard to case (RFC 5321 section 2.4).   Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_address_equal(const char *a, const char *b);

/**
 * Writes `domain` in A-labels and lower case; one that is ASCII already is only checked.
 * Returns    0; UVSMTP_EADDRESS: not a domain name; UVSMTP_EINJECTION; UVSMTP_ETOOLONG: `out` is
 *            too small; UVSMTP_EIDN: it needs the conversion, and this library was built without
 *            libidn2; UVSMTP_ENOMEM
 * RFC        5890, 5891                                                              Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_domain_to_ascii(char *out, size_t out_size, const char *domain,
                                         char *detail, size_t detail_size);

/** One mailbox of a list. All strings belong to the list. */
typedef struct uvsmtp_address_s {
  const char *name;    /* display name without quotes and comments; RFC 2047 words stay; "": none */
  const char *address; /* canonical */
  const char *group;   /* the group that it is in; NULL: none */
} uvsmtp_address_t;

typedef struct uvsmtp_address_list_s uvsmtp_address_list_t;

/**
 * Reads an address list as it stands in To, folded lines included: mailboxes, groups, comments,
 * quoted strings, and the obsolete forms (routes, which are dropped; blanks and comments around
 * dots; empty elements; dots in names). Groups without members give no mailbox.
 * Ownership  `*list` is yours, to be given to uvsmtp_address_list_free; `text` is copied.
 * Returns    0; UVSMTP_EADDRESS with the position in `detail`; UVSMTP_ENOMEM
 * RFC        5322 sections 3.4 and 4.4, 6532                                         Since 0.1
 */
UVSMTP_EXTERN int uvsmtp_address_list_parse(uvsmtp_address_list_t **list, const char *text,
                                            size_t len, const uvsmtp_mem_t *mem, char *detail,
                                            size_t detail_size);

/** Since 0.1 */
UVSMTP_EXTERN size_t uvsmtp_address_list_count(const uvsmtp_address_list_t *list);
/** The mailbox number `at`, from 0; good until the list is freed. Since 0.1 */
UVSMTP_EXTERN const uvsmtp_address_t *uvsmtp_address_list_at(const uvsmtp_address_list_t *list,
                                                             size_t at);
/** NULL is fine. Since 0.1 */
UVSMTP_EXTERN void uvsmtp_address_list_free(uvsmtp_address_list_t *list);

#ifdef __cplusplus
}
#endif
#endif
