#include "update/request.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "manifest/manifest.h"
#include "update/known.h"

json_t *request_read(size_t limit, Err *err) {
        scoped(str_done) Str text = {0};
        char bytes[4096];
        ssize_t n = 1;
        while (n != 0 && text.len < limit) {
                n = read(STDIN_FILENO, bytes, sizeof(bytes));
                if (n < 0 && errno != EINTR) {
                        err_fail_errno(err, ERR_IO, errno, "reading the request");
                        return NULL;
                }
                if (n > 0)
                        str_add_n(&text, bytes, (size_t)n);
        }
        return js_parse(text.text ? text.text : "", text.len, "the request", err);
}

json_t *request_of_world(const World *world) {
        json_t *request = json_object();
        js_set_str(request, "manifest", world->service->manifest_path);
        js_set(request, "contents", service_contents_to_json(world->service));
        js_set(request, "from", release_to_json(&world->from));
        js_set(request, "to", release_to_json(&world->to));
        return request;
}

bool request_world(const State *state, const json_t *request, World *ret, Err *err) {
        const char *path = js_str(request, "manifest"), *text = js_str(request, "text");
        Service *service = NULL;
        if (!path)
                return err_fail(err, ERR_BUG, "the request names no manifest");
        if (text ? !manifest_parse(path, text, strlen(text), &service, err)
                 : !manifest_load(path, &service, err))
                return false;
        service_contents_from_json(service, js_get(request, "contents"));
        if (!world_open(state, service, ret, err))
                return false;
        release_from_json(js_get(request, "from"), &ret->from);
        release_from_json(js_get(request, "to"), &ret->to);
        return true;
}
