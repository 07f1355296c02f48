#include "model/log_reader.h"

json_t *log_place_to_json(const LogPlace *place) {
        json_t *object = json_object();
        js_set_int(object, "offset", (int64_t)place->offset);
        js_set_int(object, "head_bytes", place->head_bytes);
        js_set_int(object, "head", place->head);
        return object;
}

void log_place_from_json(const json_t *object, LogPlace *ret) {
        int64_t offset = js_int(object, "offset", 0);
        int64_t head_bytes = js_int(object, "head_bytes", 0), head = js_int(object, "head", 0);
        bool good = offset >= 0 && head_bytes >= 0 && head_bytes <= LOG_HEAD_MAX && head >= 0 &&
                    head <= (int64_t)UINT32_MAX;
        *ret = good ? (LogPlace){(uint64_t)offset, (uint32_t)head_bytes, (uint32_t)head}
                    : (LogPlace){0};
}
