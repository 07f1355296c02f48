#include "runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "runtime/process/driver.h"

/* Each with the answer to "is this service yours?"; the first that says yes runs it. */
static const struct {
        const Runtime *runtime;
        bool (*runs)(const Service *service);
} registry[] = {
        {&process_runtime, process_runs},
};

const Runtime *runtime_for(const Service *service) {
        for (size_t i = 0; i < COUNT_OF(registry); i++)
                if (registry[i].runs(service))
                        return registry[i].runtime;
        return NULL;
}

void runtime_status_done(RuntimeStatus *status) {
        free(status->version);
        free(status->commit);
        free(status->tag);
        free(status->previous_version);
        free(status->log_path);
        free(status->last_error);
        free(status->ports);
        *status = (RuntimeStatus){0};
}

void runtime_description_done(RuntimeDescription *description) {
        free(description->user);
        free(description->directory);
        free(description->command);
        free(description->port_taken_by);
        strv_free(description->warnings);
        *description = (RuntimeDescription){0};
}
