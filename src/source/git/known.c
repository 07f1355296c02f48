#include "source/git/known.h"

#include "base/own.h"
#include "base/version.h"

static const char known_file[] = "tags.json";

json_t *known_load(const SourceContext *context, Err *err) {
        if (!context->state)
                return json_object();
        json_t *known = state_load(context->state, context->service->name, known_file, err);
        if (!known)
                err_context(err, "reading the known tags of '%s'", context->service->name);
        return known;
}

bool known_save(const SourceContext *context, const json_t *known, Err *err) {
        return !context->state ||
               state_save(context->state, context->service->name, known_file, known, err);
}

const char *known_commit(const json_t *known, const char *tag) {
        return js_str(js_get(known, "tags"), tag);
}

const char *known_chosen(const json_t *known, const char *commit) {
        return js_str(js_get(known, "chosen"), commit);
}

static json_t *part(json_t *known, const char *name) {
        if (!json_is_object(js_get(known, name)))
                js_set(known, name, json_object());
        return js_get(known, name);
}

bool known_add(json_t *known, const char *tag, const char *commit) {
        if (known_commit(known, tag))
                return false;
        js_set_str(part(known, "tags"), tag, commit);
        return true;
}

enum { HEADS_MAX = 50 };

bool known_head(const json_t *known, const char *commit) {
        const json_t *heads = js_get(known, "heads");
        for (size_t i = 0; i < json_array_size(heads); i++)
                if (str_equal(json_string_value(json_array_get(heads, i)), commit))
                        return true;
        return false;
}

void known_add_head(json_t *known, const char *commit) {
        if (!json_is_array(js_get(known, "heads")))
                js_set(known, "heads", json_array());
        json_t *heads = js_get(known, "heads");
        if (known_head(known, commit))
                return;
        json_array_append_new(heads, json_string(commit));
        if (json_array_size(heads) > HEADS_MAX)
                json_array_remove(heads, 0);
}

void known_choose(json_t *known, const char *tag, const char *commit) {
        js_set_str(part(known, "chosen"), commit, tag);
}

bool source_forget_tag(const State *state, const char *service, const char *tag, Err *err) {
        scoped(js_freep) json_t *known = state_load(state, service, known_file, err);
        if (!known)
                return false;
        const char *name;
        json_t *commit;
        void *next;
        bool found = false;
        json_object_foreach_safe(js_get(known, "tags"), next, name, commit) {
                if (!version_same(name, tag))
                        continue;
                json_object_del(js_get(known, "tags"), name);
                found = true;
        }
        return !found || state_save(state, service, known_file, known, err);
}
