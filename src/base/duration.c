/*
 * duration - spans and instants as people write them
 *
 * The calendar is computed here, proleptic Gregorian and UTC: no locale and no TZ can change what a
 * label means.
 */
#include "base/duration.h"

#include "base/alloc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MS_PER_SECOND = 1000, MS_PER_MINUTE = 60000, MS_PER_HOUR = 3600000, MS_PER_DAY = 86400000 };

/* A hundred years: sums with the present time cannot overflow, and nobody means more. */
#define DURATION_MS_MAX (INT64_C(36525) * MS_PER_DAY)

enum { DURATION_FRACTION_DIGITS_MAX = 9 };

/* A year of 365 days, which is what keeping something for a year means. */
#define MS_PER_YEAR (INT64_C(365) * MS_PER_DAY)

/* Largest first, as they must be written. Days are the largest that we write ourselves. */
enum { DURATION_UNIT_DAY = 1 };
static const struct duration_unit {
    const char *name;
    int64_t ms;
} duration_units[] = {
    { "y", MS_PER_YEAR },
    { "d", MS_PER_DAY },
    { "h", MS_PER_HOUR },
    { "m", MS_PER_MINUTE },
    { "s", MS_PER_SECOND },
    { "ms", 1 },
};

static bool duration_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The index of the unit written at TEXT in SIZE letters, or the count of units. */
static size_t duration_unit_index(const char *text, size_t size)
{
    size_t i = 0;

    while (i < array_count(duration_units) && (strlen(duration_units[i].name) != size ||
                                                  strncmp(duration_units[i].name, text, size) != 0))
        i++;
    return i;
}

struct duration_number {
    int64_t whole;
    int64_t fraction; /* over scale */
    int64_t scale;    /* a power of ten; 1 without a fraction */
};

/* "12" or "1.5" at *TEXT, stepped over; false when it is malformed or beyond any duration. */
static bool duration_take_number(struct duration_number *ret, const char **text)
{
    struct duration_number number = { .scale = 1 };
    const char *p = *text;

    if (!duration_is_digit(*p))
        return false;
    for (; duration_is_digit(*p); p++) {
        number.whole = number.whole * 10 + (*p - '0');
        if (number.whole > DURATION_MS_MAX)
            return false;
    }
    if (*p == '.') {
        p++;
        if (!duration_is_digit(*p))
            return false;
        for (unsigned count = 0; duration_is_digit(*p); p++, count++) {
            if (count == DURATION_FRACTION_DIGITS_MAX)
                return false;
            number.fraction = number.fraction * 10 + (*p - '0');
            number.scale *= 10;
        }
    }
    *text = p;
    *ret = number;
    return true;
}

/* Add NUMBER of UNIT_MS to *MS; false beyond the maximum or when it is no whole number of ms. */
static bool duration_add(int64_t *ms, struct duration_number number, int64_t unit_ms)
{
    int64_t part;
    if (__builtin_mul_overflow(number.fraction, unit_ms, &part) || part % number.scale != 0)
        return false;

    int64_t whole;
    if (__builtin_mul_overflow(number.whole, unit_ms, &whole) || whole > DURATION_MS_MAX)
        return false;
    *ms += whole + part / number.scale;
    return *ms <= DURATION_MS_MAX;
}

static bool duration_read(int64_t *ret, const char *text)
{
    int64_t ms = 0;
    size_t next_unit = 0;

    if (*text == '\0')
        return false;
    while (*text != '\0') {
        struct duration_number number;
        if (!duration_take_number(&number, &text))
            return false;
        size_t size = strcspn(text, "0123456789.");
        size_t unit = duration_unit_index(text, size);
        if (unit >= array_count(duration_units) || unit < next_unit)
            return false;
        if (!duration_add(&ms, number, duration_units[unit].ms))
            return false;
        text += size;
        next_unit = unit + 1;
    }
    *ret = ms;
    return true;
}

rc duration_parse_ms(int64_t *ret, const char *text, struct error *err)
{
    if (strcmp(text, "0") == 0) {
        *ret = 0;
        return RC_OK;
    }
    if (!duration_read(ret, text))
        FAIL(err, RC_USAGE,
            "'%s' is not a duration; write it like '500ms', '1m30s' or '7d', up to 36525d", text);
    return RC_OK;
}

void duration_format_ms(char *out, int64_t ms)
{
    uint64_t rest = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    size_t size = 0;

    if (ms == 0) {
        memcpy(out, "0s", sizeof "0s");
        return;
    }
    if (ms < 0)
        out[size++] = '-';
    for (size_t i = DURATION_UNIT_DAY; i < array_count(duration_units); i++) {
        uint64_t count = rest / (uint64_t)duration_units[i].ms;
        rest %= (uint64_t)duration_units[i].ms;
        if (count > 0)
            size += (size_t)snprintf(out + size, INSTANT_TEXT_SIZE - size, "%" PRIu64 "%s", count,
                duration_units[i].name);
        assert(size < INSTANT_TEXT_SIZE);
    }
}

/* Days from 1970-01-01 to a civil date; years are counted from March so that leap days end them. */
static int64_t instant_days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t march_year = month <= 2 ? year - 1 : year;
    int64_t era = (march_year >= 0 ? march_year : march_year - 399) / 400;
    int64_t year_of_era = march_year - era * 400;
    int64_t day_of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

struct instant_date {
    int64_t year;
    unsigned month;
    unsigned day;
};

/* The way back. */
static struct instant_date instant_date_of(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (unsigned)((5 * day_of_year + 2) / 153);
    unsigned month = march_month < 10 ? march_month + 3 : march_month - 9;

    return (struct instant_date){
        .year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
        .month = month,
        .day = (unsigned)(day_of_year - (153 * (int64_t)march_month + 2) / 5 + 1),
    };
}

static unsigned instant_month_days(unsigned year, unsigned month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    assert(month >= 1 && month <= 12);
    return month == 2 && is_leap ? 29 : days[month - 1];
}

/*
 * Numbers and separators out of *TEXT by PATTERN: a digit d reads a number of d digits into the
 * next of FIELDS, anything else must stand there as it is.
 */
static bool instant_scan(const char **text, const char *pattern, unsigned *fields)
{
    const char *p = *text;

    for (; *pattern != '\0'; pattern++) {
        if (!duration_is_digit(*pattern)) {
            if (*p++ != *pattern)
                return false;
            continue;
        }
        *fields = 0;
        for (int i = 0; i < *pattern - '0'; i++, p++) {
            if (!duration_is_digit(*p))
                return false;
            *fields = *fields * 10 + (unsigned)(*p - '0');
        }
        fields++;
    }
    *text = p;
    return true;
}

/* "YYYY-MM-DD" as milliseconds. */
static bool instant_take_date(int64_t *ms, const char **text)
{
    unsigned date[3];

    if (!instant_scan(text, "4-2-2", date))
        return false;
    if (date[1] < 1 || date[1] > 12)
        return false;
    if (date[2] < 1 || date[2] > instant_month_days(date[0], date[1]))
        return false;
    *ms += instant_days_of(date[0], date[1], date[2]) * MS_PER_DAY;
    return true;
}

/* "HH:MM:SS" and a fraction of any length; leap seconds do not exist in POSIX time. */
static bool instant_take_time(int64_t *ms, const char **text)
{
    unsigned time[3];

    if (!instant_scan(text, "2:2:2", time))
        return false;
    if (time[0] > 23 || time[1] > 59 || time[2] > 59)
        return false;
    *ms += time[0] * INT64_C(3600000) + time[1] * INT64_C(60000) + time[2] * INT64_C(1000);

    const char *p = *text;
    if (*p == '.') {
        p++;
        if (!duration_is_digit(*p))
            return false;
        for (int weight = 100; duration_is_digit(*p); p++, weight /= 10)
            *ms += (*p - '0') * weight;
    }
    *text = p;
    return true;
}

/* "Z", "+HH:MM" or "-HH:MM". */
static bool instant_take_offset(int64_t *ms, const char **text)
{
    char sign = *(*text)++;
    unsigned offset[2];

    if (sign == 'Z' || sign == 'z')
        return true;
    if (sign != '+' && sign != '-')
        return false;
    if (!instant_scan(text, "2:2", offset) || offset[0] > 23 || offset[1] > 59)
        return false;

    int64_t offset_ms = offset[0] * INT64_C(3600000) + offset[1] * INT64_C(60000);
    *ms += sign == '+' ? -offset_ms : offset_ms;
    return true;
}

static bool instant_read(int64_t *ret, const char *text)
{
    int64_t ms = 0;

    if (!instant_take_date(&ms, &text))
        return false;
    char separator = *text;
    if (separator != 'T' && separator != 't' && separator != ' ')
        return false;
    text++;
    if (!instant_take_time(&ms, &text))
        return false;
    /* Only the form with a space may leave the offset out. */
    bool is_plain = separator == ' ' && *text == '\0';
    if (!is_plain && (*text == '\0' || !instant_take_offset(&ms, &text)))
        return false;
    *ret = ms;
    return *text == '\0';
}

rc instant_parse_ms(int64_t *ret, const char *text, struct error *err)
{
    int64_t ms;

    if (!instant_read(&ms, text))
        FAIL(err, RC_USAGE,
            "'%s' is not an instant; write '2026-11-21T10:00:00Z' (with an offset) or "
            "'2026-11-21 10:00:00' (UTC)",
            text);
    *ret = ms;
    return RC_OK;
}

void instant_format_ms(char *out, int64_t ms)
{
    int64_t days = ms / MS_PER_DAY;
    int64_t rest = ms % MS_PER_DAY;

    if (rest < 0) {
        rest += MS_PER_DAY;
        days--;
    }
    struct instant_date date = instant_date_of(days);
    int size = snprintf(out, INSTANT_TEXT_SIZE, "%04" PRId64 "-%02u-%02uT%02u:%02u:%02u.%03uZ",
        date.year, date.month, date.day, (unsigned)(rest / MS_PER_HOUR),
        (unsigned)(rest / MS_PER_MINUTE % 60), (unsigned)(rest / MS_PER_SECOND % 60),
        (unsigned)(rest % MS_PER_SECOND));
    assert(size > 0 && size < INSTANT_TEXT_SIZE);
}
