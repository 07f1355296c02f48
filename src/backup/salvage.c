#include <string.h>
#include <sys/stat.h>

#include "backup/restore_place.h"
#include "backup/set.h"
#include "base/limits.h"
#include "base/own.h"
#include "base/units.h"
#include "platform/clock.h"
#include "platform/file.h"

static json_t *place_json(const Place *p) {
        json_t *o = json_object();
        js_set_str(o, "slug", p->slug);
        js_set_str(o, "how", p->how == PLACE_FILES ? "files" : "directory");
        js_set_str(o, "was", p->live);
        js_set_str(o, "where", p->salvage);
        return o;
}

bool salvage_write(const RestoreRequest *request, const PlaceList *list, Err *err) {
        scoped(free_str) char *base = store_service_dir(request->store, request->service);
        scoped(free_str) char *dir = str_format("%s/salvage-%s", base, request->mark);
        scoped(free_str) char *path = path_join(dir, "MANIFEST.json");
        scoped(js_freep) json_t *o = json_object();
        json_t *places = json_array();
        js_set(o, "places", places);
        int64_t now = clock_wall_ms();
        scoped(free_str) char *taken = time_text(now);
        scoped(free_str) char *id = str_format("salvage-%s", request->mark);
        if (file_exists(path))
                return true;
        for (size_t i = 0; i < list->n; i++)
                if (list->items[i].old != 0)
                        json_array_append_new(places, place_json(&list->items[i]));
        js_set_int(o, "format", SET_FORMAT);
        js_set_str(o, "kind", "salvage");
        js_set_str(o, "id", id);
        js_set_str(o, "service", request->service);
        js_set_str(o, "version", request->version ? request->version : "unknown");
        js_set_str(o, "reason", "what a restore replaced");
        js_set_str(o, "restored", request->backup);
        js_set_int(o, "run", request->run);
        js_set_int(o, "taken_ms", now);
        js_set_str(o, "taken", taken);
        if (json_array_size(places) == 0)
                return true;
        scoped(free_str) char *text = js_pretty(o);
        return dir_make(dir, err) && file_write_durable(path, text, strlen(text), 0600, err);
}

bool salvage_load(const char *dir, json_t **ret, Err *err) {
        scoped(free_str) char *path = path_join(dir, "MANIFEST.json");
        scoped(free_str) char *text = NULL;
        size_t bytes;
        if (!file_read(path, LIMIT_STATE_FILE, &text, &bytes, err))
                return false;
        *ret = js_parse(text, bytes, path, err);
        if (!*ret)
                return false;
        if (str_equal(js_str(*ret, "kind"), "salvage") && js_int(*ret, "format", 0) <= SET_FORMAT)
                return true;
        json_decref(TAKE(*ret));
        return err_fail(err, ERR_CORRUPT, "'%s' is no manifest of a salvage", path);
}

size_t salvage_places_left(const json_t *manifest) {
        size_t i, left = 0;
        json_t *one;
        json_array_foreach(js_get(manifest, "places"), i, one) {
                const char *where = js_str(one, "where");
                left += where && file_exists(where);
        }
        return left;
}
