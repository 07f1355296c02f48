#include "update/settings.h"

#include <stdlib.h>

#include "base/own.h"
#include "model/expand.h"

bool settings_expand(const World *world, const Release *release, Settings *ret, Err *err) {
        const Service *service = world->service;
        scoped(free_str) char *port =
                service->process.port ? str_format("%u", service->process.port) : NULL;
        const Expansion values = {
                .version = release->version,
                .tag = release->tag,
                .commit = release->reference,
                .previous_version = world->from.version,
                .service = service->name,
                .port = port,
        };
        Settings settings = {0};
        for (size_t i = 0; i < service->configuration.n_set; i++) {
                char *value = expand(service->configuration.set[i].value, &values, err);
                if (!value) {
                        settings_done(&settings);
                        return err_context(
                                err, "configuration.set.%s", service->configuration.set[i].name);
                }
                const Pair pair = {str_copy(service->configuration.set[i].name), value};
                PUSH(settings.set, settings.n_set, pair);
        }
        settings.change = (ConfigChange){
                .spec = &service->configuration,
                .directory = service->directory,
                .set = settings.set,
                .n_set = settings.n_set,
                .from_version = world->from.version ? world->from.version : "unknown",
        };
        *ret = settings;
        return true;
}

void settings_done(Settings *settings) {
        for (size_t i = 0; i < settings->n_set; i++) {
                free(settings->set[i].name);
                free(settings->set[i].value);
        }
        free(settings->set);
        *settings = (Settings){0};
}
