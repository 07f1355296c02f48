/* The Gregorian calendar, for all years: days are counted in eras of 400 years that begin in March. */
#include "base/zone.h"

enum { DAY_S = 86400, ERA_DAYS = 146097, EPOCH_DAYS = 719468 };

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

int64_t calendar_days(int64_t year, int month, int day) {
        int64_t from_march = month > 2 ? month - 3 : month + 9;
        int64_t y = month > 2 ? year : year - 1;
        int64_t era = floor_div(y, 400), of_era = y - era * 400;
        int64_t of_year = (153 * from_march + 2) / 5 + day - 1;
        return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

static void set_date(int64_t days, Calendar *ret) {
        int64_t era = floor_div(days + EPOCH_DAYS, ERA_DAYS);
        int64_t day = days + EPOCH_DAYS - era * ERA_DAYS;
        int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
        int64_t of_year = day - (365 * year + year / 4 - year / 100);
        int64_t from_march = (5 * of_year + 2) / 153;
        ret->day = (int)(of_year - (153 * from_march + 2) / 5 + 1);
        ret->month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
        ret->year = year + era * 400 + (ret->month <= 2);
}

Calendar calendar_of(int64_t seconds) {
        int64_t days = floor_div(seconds, DAY_S), rest = seconds - days * DAY_S;
        Calendar ret = {.hour = (int)(rest / 3600),
                .minute = (int)(rest / 60 % 60),
                .second = (int)(rest % 60),
                .weekday = (int)(days + 4 - floor_div(days + 4, 7) * 7)};
        set_date(days, &ret);
        return ret;
}

bool calendar_is_date(int64_t year, int month, int day) {
        if (month < 1 || month > 12 || day < 1)
                return false;
        Calendar same = calendar_of(calendar_days(year, month, day) * DAY_S);
        return same.year == year && same.month == month && same.day == day;
}
