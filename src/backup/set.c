#include "backup/set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/units.h"
#include "platform/file.h"

static const char *const kind_names[OBJECT_KIND_COUNT] = {
        [OBJECT_PATHS] = "paths",
        [OBJECT_DELTA] = "delta",
        [OBJECT_DELETED] = "deleted",
        [OBJECT_SQLITE] = "sqlite",
        [OBJECT_WAL] = "wal",
        [OBJECT_FILES] = "files",
        [OBJECT_OTHER] = "other",
};

static const char *const stamp_names[STAMP_COUNT] = {"db", "wal", "journal"};

void object_done(Object *object) {
        free(object->name);
        free(object->content);
        *object = (Object){0};
}

static void item_done(SetItem *item) {
        free(item->slug);
        free(item->path);
        free(item->within);
        free(item->inner);
        database_facts_done(&item->facts);
        file_list_done(&item->list);
        file_list_done(&item->newer);
}

void set_done(Set *set) {
        free(set->dir);
        free(set->id);
        free(set->service);
        free(set->version);
        free(set->reference);
        free(set->reason);
        free(set->host);
        json_decref(set->migrations);
        json_decref(set->config);
        for (size_t i = 0; i < set->n_items; i++)
                item_done(&set->items[i]);
        free(set->items);
        for (size_t i = 0; i < set->n_objects; i++)
                object_done(&set->objects[i]);
        free(set->objects);
        strv_free(set->warnings);
        *set = (Set){0};
}

/* -- to JSON -- */

static json_t *object_to_json(const Object *object) {
        json_t *o = json_object();
        js_set_str(o, "name", object->name);
        js_set_str(o, "kind", kind_names[object->kind]);
        js_set_str(o, "content", object->content);
        js_set_int(o, "bytes", (int64_t)object->bytes);
        js_set_int(o, "plain_bytes", (int64_t)object->plain_bytes);
        js_set_str(o, "sha256", object->sha256);
        if (object->patched)
                js_set_bool(o, "patched", true);
        return o;
}

static json_t *stamps_to_json(const SetItem *item) {
        json_t *all = json_object();
        for (size_t i = 0; i < STAMP_COUNT; i++) {
                json_t *s = json_object();
                js_set_int(s, "size", item->stamps[i].size);
                js_set_int(s, "mtime_ns", item->stamps[i].mtime_ns);
                js_set_int(s, "ctime_ns", item->stamps[i].ctime_ns);
                js_set_int(s, "inode", (int64_t)item->stamps[i].inode);
                js_set(all, stamp_names[i], s);
        }
        return all;
}

static json_t *item_to_json(const SetItem *item) {
        json_t *o = json_object();
        bool is_database = item->kind == CONTENT_SQLITE;
        js_set_str(o, "kind", is_database ? "sqlite" : "path");
        js_set_str(o, "slug", item->slug);
        js_set_str(o, "path", item->path);
        js_set_str(o, "within", item->within);
        js_set_str(o, "inner", item->inner);
        js_set_bool(o, "present", item->present);
        js_set_bool(o, "is_file", item->is_file);
        js_set_int(o, "bytes", (int64_t)item->bytes);
        js_set_int(o, "files", (int64_t)item->files);
        if (!is_database || !item->present)
                return o;
        js_set_int(o, "mode", item->mode);
        js_set_int(o, "uid", item->uid);
        js_set_int(o, "gid", item->gid);
        js_set_int(o, "mtime_ns", item->mtime_ns);
        js_set(o, "database", database_facts_to_json(&item->facts));
        js_set(o, "stamps", stamps_to_json(item));
        return o;
}

/* The sum of the manifest itself, over its one-line form without this key. */
static const char sum_key[] = "manifest_sha256";

static void add_sum(json_t *object) {
        scoped(free_str) char *line = js_line(object);
        char hex[65];
        sha256_hex(line, strlen(line), hex);
        js_set_str(object, sum_key, hex);
}

json_t *set_to_json(const Set *set) {
        json_t *o = json_object(), *items = json_array(), *objects = json_array(),
               *warnings = json_array();
        scoped(free_str) char *taken = time_text(set->taken_ms);
        js_set_int(o, "format", SET_FORMAT);
        js_set_str(o, "kind", "backup");
        js_set_str(o, "id", set->id);
        js_set_str(o, "service", set->service);
        js_set_str(o, "version", set->version);
        js_set_str(o, "reference", set->reference);
        js_set_str(o, "reason", set->reason);
        js_set_int(o, "run", set->run);
        js_set_str(o, "host", set->host);
        js_set_int(o, "began_ms", set->began_ms);
        js_set_int(o, "taken_ms", set->taken_ms);
        js_set_str(o, "taken", taken);
        js_set_int(o, "passes", set->pass > 2 ? 2 : set->pass);
        js_set_int(o, "verified_level", set->level);
        for (size_t i = 0; i < set->n_items; i++)
                json_array_append_new(items, item_to_json(&set->items[i]));
        for (size_t i = 0; i < set->n_objects; i++)
                json_array_append_new(objects, object_to_json(&set->objects[i]));
        for (size_t i = 0; set->warnings && set->warnings[i]; i++)
                json_array_append_new(warnings, json_string(set->warnings[i]));
        js_set(o, "contents", items);
        js_set(o, "objects", objects);
        js_set(o, "warnings", warnings);
        if (set->config)
                js_set(o, "config", json_incref(set->config));
        js_set(o, "migrations", set->migrations ? json_incref(set->migrations) : json_null());
        add_sum(o);
        return o;
}

/* -- from JSON -- */

/* Names of objects come from a file and become paths. */
static bool plain_name(const char *name) {
        return name && name[0] && name[0] != '.' && strlen(name) < 256 && !strchr(name, '/');
}

static bool object_from_json(const json_t *o, Object *ret) {
        const char *name = js_str(o, "name"), *kind = js_str(o, "kind"), *sum = js_str(o, "sha256");
        if (!plain_name(name) || !kind || !sum || strlen(sum) != 64)
                return false;
        for (size_t i = 0; i < OBJECT_KIND_COUNT; i++) {
                if (strcmp(kind_names[i], kind) != 0)
                        continue;
                *ret = (Object){
                        .name = str_copy(name),
                        .kind = (ObjectKind)i,
                        .content = str_copy(js_str(o, "content")),
                        .bytes = (uint64_t)js_int(o, "bytes", 0),
                        .plain_bytes = (uint64_t)js_int(o, "plain_bytes", 0),
                        .patched = js_bool(o, "patched", false),
                };
                snprintf(ret->sha256, sizeof(ret->sha256), "%s", sum);
                return true;
        }
        return false;
}

static void stamps_from_json(const json_t *all, SetItem *item) {
        for (size_t i = 0; i < STAMP_COUNT; i++) {
                json_t *s = js_get(all, stamp_names[i]);
                item->stamps[i] = (Stamp){
                        .size = js_int(s, "size", -1),
                        .mtime_ns = js_int(s, "mtime_ns", 0),
                        .ctime_ns = js_int(s, "ctime_ns", 0),
                        .inode = (uint64_t)js_int(s, "inode", 0),
                };
        }
}

static bool item_from_json(const json_t *o, SetItem *ret) {
        const char *kind = js_str(o, "kind"), *slug = js_str(o, "slug"), *path = js_str(o, "path");
        const char *within = js_str(o, "within"), *inner = js_str(o, "inner");
        if (!kind || !plain_name(slug) || !path || path[0] != '/' || !within != !inner)
                return false;
        if (inner && !file_path_ok(inner))
                return false;
        *ret = (SetItem){
                .kind = strcmp(kind, "sqlite") == 0 ? CONTENT_SQLITE : CONTENT_PATH,
                .slug = str_copy(slug),
                .path = str_copy(path),
                .within = str_copy(within),
                .inner = str_copy(inner),
                .present = js_bool(o, "present", false),
                .is_file = js_bool(o, "is_file", false),
                .bytes = (uint64_t)js_int(o, "bytes", 0),
                .files = (uint64_t)js_int(o, "files", 0),
                .mode = (mode_t)js_int(o, "mode", 0600) & 0777,
                .uid = (uid_t)js_int(o, "uid", 0),
                .gid = (gid_t)js_int(o, "gid", 0),
                .mtime_ns = js_int(o, "mtime_ns", 0),
        };
        if (ret->kind != CONTENT_SQLITE || !ret->present)
                return true;
        stamps_from_json(js_get(o, "stamps"), ret);
        return database_facts_from_json(js_get(o, "database"), &ret->facts);
}

static bool lists_from_json(const json_t *object, Set *set) {
        size_t i;
        json_t *one;
        json_array_foreach(js_get(object, "contents"), i, one) {
                SetItem item = {0};
                bool ok = item_from_json(one, &item);
                PUSH(set->items, set->n_items, item);
                if (!ok)
                        return false;
        }
        json_array_foreach(js_get(object, "objects"), i, one) {
                Object o = {0};
                if (!object_from_json(one, &o))
                        return false;
                PUSH(set->objects, set->n_objects, o);
        }
        json_array_foreach(js_get(object, "warnings"), i, one) if (json_is_string(one))
                strv_add(&set->warnings, json_string_value(one));
        return true;
}

static bool take_sum(json_t *object) {
        scoped(free_str) char *wanted = str_copy(js_str(object, sum_key));
        char hex[65];
        (void)json_object_del(object, sum_key);
        scoped(free_str) char *line = js_line(object);
        sha256_hex(line, strlen(line), hex);
        return str_equal(wanted, hex);
}

bool set_from_json(json_t *object, Set *ret, Err *err) {
        scoped(set_done) Set set = {
                .id = str_copy(js_str(object, "id")),
                .service = str_copy(js_str(object, "service")),
                .version = str_copy(js_str(object, "version")),
                .reference = str_copy(js_str(object, "reference")),
                .reason = str_copy(js_str(object, "reason")),
                .host = str_copy(js_str(object, "host")),
                .run = (unsigned)js_int(object, "run", 0),
                .began_ms = js_int(object, "began_ms", 0),
                .taken_ms = js_int(object, "taken_ms", 0),
                .pass = (int)js_int(object, "passes", 0),
                .level = (int)js_int(object, "verified_level", 0),
        };
        int64_t format = js_int(object, "format", 0);
        if (format > SET_FORMAT) {
                err_fail(err, ERR_REFUSED, "the backup is of the newer format %lld",
                        (long long)format);
                return err_hint(err, "Use the version of Belay that made it, or a later one.");
        }
        bool ok = format == SET_FORMAT && take_sum(object) && set.id && set.service &&
                  set.version && lists_from_json(object, &set);
        if (!ok)
                return err_fail(
                        err, ERR_CORRUPT, "the manifest of the backup is not one of Belay's");
        json_t *migrations = js_get(object, "migrations");
        set.migrations = json_is_null(migrations) ? NULL : json_incref(migrations);
        json_t *config = js_get(object, "config");
        set.config = json_is_object(config) ? json_incref(config) : NULL;
        *ret = set;
        set = (Set){0};
        return true;
}

static const char *const pass_files[] = {
        [1] = "PASS1.json", [2] = "PASS2.json", [3] = "MANIFEST.json"};

bool set_save(const Set *set, Err *err) {
        scoped(js_freep) json_t *object = set_to_json(set);
        scoped(free_str) char *text = js_pretty(object);
        scoped(free_str) char *path = set_path(set, pass_files[set->pass]);
        return file_write_durable(path, text, strlen(text), 0600, err);
}

bool set_load(const char *dir, Set *ret, Err *err) {
        scoped(js_freep) json_t *object = NULL;
        for (int pass = 3; pass >= 1; pass--) {
                scoped(free_str) char *path = path_join(dir, pass_files[pass]);
                scoped(free_str) char *text = NULL;
                size_t bytes;
                if (!file_read_if(path, LIMIT_STATE_FILE, &text, &bytes, err))
                        return false;
                if (!text)
                        continue;
                object = js_parse(text, bytes, path, err);
                if (!object)
                        return false;
                if (!set_from_json(object, ret, err))
                        return err_context(err, "reading '%s'", path);
                ret->dir = str_copy(dir);
                ret->pass = pass;
                return true;
        }
        return err_fail(err, ERR_UNKNOWN, "'%s' is no complete backup", dir);
}

/* -- parts -- */

SetItem *set_item(const Set *set, const char *slug) {
        for (size_t i = 0; i < set->n_items; i++)
                if (str_equal(set->items[i].slug, slug))
                        return &set->items[i];
        return NULL;
}

Object *set_object(const Set *set, ObjectKind kind, const char *content) {
        for (size_t i = 0; i < set->n_objects; i++)
                if (set->objects[i].kind == kind && str_equal(set->objects[i].content, content))
                        return &set->objects[i];
        return NULL;
}

Object *set_object_named(const Set *set, const char *name) {
        for (size_t i = 0; i < set->n_objects; i++)
                if (str_equal(set->objects[i].name, name))
                        return &set->objects[i];
        return NULL;
}

void set_put_object(Set *set, Object *object) {
        Object *old = set_object_named(set, object->name);
        if (old) {
                object_done(old);
                *old = *object;
        } else {
                PUSH(set->objects, set->n_objects, *object);
        }
        *object = (Object){0};
}

void set_drop_object(Set *set, const char *name) {
        Object *object = set_object_named(set, name);
        if (!object)
                return;
        object_done(object);
        size_t at = (size_t)(object - set->objects);
        memmove(object, object + 1, (set->n_objects - at - 1) * sizeof(Object));
        set->n_objects--;
}

void set_add_config(Set *set, const char *name, const char *belongs) {
        if (!set->config)
                set->config = json_object();
        js_set_str(set->config, name, belongs);
}

char *set_path(const Set *set, const char *name) { return path_join(set->dir, name); }
