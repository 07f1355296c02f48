#include "journal/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/str.h"
#include "platform/clock.h"
#include "platform/fault.h"
#include "platform/file.h"

bool events_open(const char *path, Events *ret, Err *err) {
        if (fault_before("create", path))
                return err_fail_errno(err, ERR_IO, errno, "opening '%s'", path);
        int fd = open(
                path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_fail_errno(err, ERR_IO, errno, "opening '%s'", path);
        fault_after();
        *ret = (Events){.fd = fd};
        return true;
}

void events_add(Events *events, const char *kind, json_t *fields) {
        scoped(js_freep) json_t *owned = fields;
        if (!events || events->fd < 0)
                return;
        scoped(js_freep) json_t *event = json_object();
        js_set_str(event, "kind", kind);
        js_set_int(event, "at", clock_wall_ms());
        json_object_update_missing(event, owned);
        scoped(free_str) char *json = js_line(event);
        scoped(free_str) char *line = str_format("%s\n", json);
        (void)fd_write_all(events->fd, line, strlen(line), "events", NULL);
}

void events_close(Events *events) {
        close_fd(&events->fd);
        events->fd = -1;
}
