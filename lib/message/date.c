#include "message/writer.h"

#include <stdio.h>

/* Days since 1970 as year, month and day of the Gregorian calendar. Years are counted from March,
 * so that the leap day ends one, and in eras of 400 years, which all have the same length. */
static void civil(int64_t days, int *year, int *month, int *day)
{
  int64_t from_march = days + 719468; /* since 1 March of year 0 */
  int64_t era = (from_march >= 0 ? from_march : from_march - 146096) / 146097;
  int64_t in_era = from_march - era * 146097;
  int64_t years = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
  int64_t in_year = in_era - (365 * years + years / 4 - years / 100);
  int64_t shifted = (5 * in_year + 2) / 153; /* 0 is March */
  *day = (int)(in_year - (153 * shifted + 2) / 5 + 1);
  *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
  *year = (int)(years + era * 400 + (*month <= 2));
}

int uvsmtp__format_date(char out[UVSMTP__DATE_SIZE], int64_t seconds, int offset_minutes)
{
  static const char *const weekdays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
  static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const int64_t first = -2208988800, last = 253402300799; /* 1900 to 9999 */
  int64_t local, days, east = (int64_t)offset_minutes * 60;
  int year, month, day, in_day, offset;
  if (east <= -86400 || east >= 86400 || seconds < first - east || seconds > last - east)
    return UVSMTP_EINVAL;
  offset = offset_minutes < 0 ? -offset_minutes : offset_minutes;
  local = seconds + east;
  days = (local >= 0 ? local : local - 86399) / 86400;
  in_day = (int)(local - days * 86400);
  civil(days, &year, &month, &day);
  snprintf(out, UVSMTP__DATE_SIZE, "%s, %d %s %04d %02d:%02d:%02d %c%02d%02d",
           weekdays[(days % 7 + 7) % 7], day, months[month - 1], year, in_day / 3600,
           in_day / 60 % 60, in_day % 60, offset_minutes < 0 ? '-' : '+', offset / 60, offset % 60);
  return 0;
}
