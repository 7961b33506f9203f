/* Times as RFC 3339 writes them, by the civil calendar: years begin in March here, so that leap
 * days end them. */
#include "base/text.h"
#include "protocol/machine.h"

enum { DAYS_TO_1970 = 719468 /* from 0000-03-01 */, DAYS_OF_ERA = 146097 /* 400 years */ };

int uvsmtp__rfc3339_append(uvsmtp__buffer_t *line, int64_t seconds)
{
  int64_t days = seconds / 86400 + DAYS_TO_1970, clock = seconds % 86400;
  int64_t era = days / DAYS_OF_ERA, day = days % DAYS_OF_ERA, year, shifted;
  year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  day -= 365 * year + year / 4 - year / 100;
  shifted = (5 * day + 2) / 153;
  return uvsmtp__buffer_printf(
      line, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)(year + era * 400 + (shifted >= 10)),
      (int)(shifted < 10 ? shifted + 3 : shifted - 9), (int)(day - (153 * shifted + 2) / 5 + 1),
      (int)(clock / 3600), (int)(clock / 60 % 60), (int)(clock % 60));
}

/* Takes `count` digits as a number from `least` to `most`. */
static bool take(const char **at, int count, int least, int most, int *value)
{
  *value = 0;
  for (int i = 0; i < count; i++, ++*at) {
    if (**at < '0' || **at > '9')
      return false;
    *value = *value * 10 + (**at - '0');
  }
  return *value >= least && *value <= most;
}

static bool skip(const char **at, char c)
{
  bool there = uvsmtp__ascii_upper(**at) == c;
  *at += there;
  return there;
}

static int days_of(int year, int month)
{
  static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 && leap);
}

static bool take_date(const char **at, int64_t *days)
{
  int year, month, day;
  if (!take(at, 4, 0, 9999, &year) || !skip(at, '-') || !take(at, 2, 1, 12, &month) ||
      !skip(at, '-') || !take(at, 2, 1, days_of(year, month), &day))
    return false;
  year -= month < 3;
  month += month < 3 ? 9 : -3;
  *days = 365 * (int64_t)year + (year >= 0 ? year / 4 - year / 100 + year / 400 : -1) +
          (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970;
  return true;
}

/* Behind the time: "Z", or how far the clock is before that of UTC. */
static bool take_zone(const char **at, int *seconds)
{
  int hours, minutes;
  bool west = **at == '-';
  *seconds = 0;
  if (skip(at, 'Z'))
    return true;
  if ((!skip(at, '+') && !skip(at, '-')) || !take(at, 2, 0, 23, &hours) || !skip(at, ':') ||
      !take(at, 2, 0, 59, &minutes))
    return false;
  *seconds = (hours * 60 + minutes) * (west ? -60 : 60);
  return true;
}

bool uvsmtp__rfc3339_read(const char *text, int64_t *seconds)
{
  const char *at = text;
  int64_t days;
  int hour, minute, second, zone;
  if (!take_date(&at, &days) || !skip(&at, 'T') || !take(&at, 2, 0, 23, &hour) || !skip(&at, ':') ||
      !take(&at, 2, 0, 59, &minute) || !skip(&at, ':') || !take(&at, 2, 0, 60, &second))
    return false;
  if (skip(&at, '.')) {
    const char *first = at;
    while (*at >= '0' && *at <= '9')
      at++;
    if (at == first)
      return false;
  }
  if (!take_zone(&at, &zone) || *at != '\0')
    return false;
  *seconds = days * 86400 + hour * 3600 + minute * 60 + second - zone;
  return true;
}
