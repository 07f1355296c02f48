/*
 * Says what Belay's own reader knows of time zones, for the comparison with another implementation
 * (tests/e2e/test_zones.py). Lines of standard input, one answer line each:
 *     Z NAME       reads that zone: "ok", or why not
 *     L INSTANT    what clocks show there, in seconds as if it were UTC
 *     I LOCAL      the first instant at which they show that
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "platform/zone_file.h"

static void load(const char *name, Zone *zone) {
        scoped(err_clear) Err err = {0};
        zone_done(zone);
        if (zone_load(name, zone, &err))
                puts("ok");
        else
                puts(err.message);
}

int main(void) {
        scoped(zone_done) Zone zone = {0};
        char line[256];
        while (fgets(line, sizeof(line), stdin)) {
                line[strcspn(line, "\n")] = '\0';
                if (line[0] == 'Z')
                        load(line + 2, &zone);
                else if (line[0] == 'L')
                        printf("%" PRId64 "\n", zone_local(&zone, strtoll(line + 2, NULL, 10)));
                else
                        printf("%" PRId64 "\n", zone_instant(&zone, strtoll(line + 2, NULL, 10)));
        }
        return 0;
}
