#include "config/config.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/limits.h"
#include "base/own.h"
#include "model/envfile.h"
#include "platform/file.h"

enum { SECRET_BYTES_MAX = 1024, BACKUPS_MAX = 1000 };

static const char backups_file[] = "env_backups.json";

bool config_wanted(const ConfigSpec *spec) {
        return spec->env_file && (spec->n_set > 0 || spec->n_secrets > 0);
}

/* ---- one file as it is now ---- */

typedef struct EnvNow {
        char *text; /* NULL when the file is not there */
        struct stat stat;
        char hash[65]; /* "" when the file is not there */
} EnvNow;

static void env_now_done(EnvNow *now) {
        free(now->text);
        *now = (EnvNow){0};
}

static bool env_now_read(const char *path, EnvNow *ret, Err *err) {
        scoped(env_now_done) EnvNow now = {0};
        size_t bytes = 0;
        bool there = false;
        if (!file_stat(path, &now.stat, &there, err))
                return false;
        if (there && !S_ISREG(now.stat.st_mode))
                return err_fail(err, ERR_REFUSED, "'%s' is not a regular file", path);
        if (there && !file_read(path, LIMIT_ENV_FILE, &now.text, &bytes, err))
                return false;
        if (there && strlen(now.text) != bytes)
                return err_fail(err, ERR_REFUSED, "'%s' holds a NUL byte: it is no env file", path);
        if (there)
                sha256_hex(now.text, bytes, now.hash);
        *ret = now;
        now = (EnvNow){0};
        return true;
}

static const char *text_of(const EnvNow *now) { return now->text ? now->text : ""; }

/* ---- what is to change ---- */

static bool secret_make(const SecretSpec *spec, char **ret, Err *err) {
        unsigned char bytes[SECRET_BYTES_MAX];
        size_t n = spec->bytes;
        if (n == 0 || n > sizeof(bytes))
                return err_fail(err, ERR_MANIFEST,
                        "secret '%s' wants %zu bytes; 1 to %d are possible", spec->key, n,
                        SECRET_BYTES_MAX);
        if (getrandom(bytes, n, 0) != (ssize_t)n)
                return err_fail(err, ERR_TOOL, "the system gave no random bytes for secret '%s'",
                        spec->key);
        Str s = {0};
        for (size_t i = 0; spec->as == SECRET_HEX && i < n; i++)
                str_addf(&s, "%02x", bytes[i]);
        if (spec->as == SECRET_BASE64) {
                unsigned char text[4 * ((SECRET_BYTES_MAX + 2) / 3) + 1];
                EVP_EncodeBlock(text, bytes, (int)n);
                str_add(&s, (const char *)text);
                explicit_bzero(text, sizeof(text));
        }
        explicit_bzero(bytes, sizeof(bytes));
        *ret = str_take(&s);
        return true;
}

typedef struct EnvEdit {
        char *text;      /* what the file is to hold */
        Strv set, added; /* names of keys that change, and those of them that were not there */
        Strv secrets;    /* names of secrets that are made; they are among `added` */
} EnvEdit;

static void env_edit_done(EnvEdit *edit) {
        free(edit->text);
        strv_free(edit->set);
        strv_free(edit->added);
        strv_free(edit->secrets);
        *edit = (EnvEdit){0};
}

static bool edit_key(EnvEdit *edit, const char *key, const char *value, Err *err) {
        scoped(free_str) char *old = NULL;
        if (!envfile_get(edit->text, key, &old, err))
                return false;
        if (str_equal(old, value))
                return true;
        char *after = NULL;
        if (!envfile_set(edit->text, key, value, &after, err))
                return false;
        str_replace_owned(&edit->text, after);
        strv_add(&edit->set, key);
        if (!old)
                strv_add(&edit->added, key);
        return true;
}

/* An empty value counts as absent: `KEY=` is what templates of env files hold. */
static bool edit_secret(EnvEdit *edit, const SecretSpec *spec, Err *err) {
        scoped(free_str) char *old = NULL;
        scoped(free_str) char *made = NULL;
        if (!envfile_get(edit->text, spec->key, &old, err))
                return false;
        if (old && *old)
                return true;
        if (!secret_make(spec, &made, err) || !edit_key(edit, spec->key, made, err))
                return false;
        explicit_bzero(made, strlen(made));
        strv_add(&edit->secrets, spec->key);
        return true;
}

static bool edit_make(const ConfigChange *change, const char *text, EnvEdit *ret, Err *err) {
        scoped(env_edit_done) EnvEdit edit = {.text = str_copy(text)};
        for (size_t i = 0; i < change->n_set; i++)
                if (!edit_key(&edit, change->set[i].name, change->set[i].value, err))
                        return false;
        for (size_t i = 0; i < change->spec->n_secrets; i++)
                if (!edit_secret(&edit, &change->spec->secrets[i], err))
                        return false;
        *ret = edit;
        edit = (EnvEdit){0};
        return true;
}

static void explain_part(Str *s, Strv keys, const char *one, const char *many) {
        if (strv_count(keys) == 0)
                return;
        scoped(free_str) char *names = strv_join(keys, ", ");
        str_addf(s, "%s%zu %s (%s)", s->len ? ", " : "", strv_count(keys),
                strv_count(keys) == 1 ? one : many, names);
}

bool config_explain(const ConfigChange *change, char **ret, Err *err) {
        if (!config_wanted(change->spec)) {
                *ret = str_copy("nothing to change");
                return true;
        }
        const char *path = change->spec->env_file;
        scoped(env_now_done) EnvNow now = {0};
        scoped(env_edit_done) EnvEdit edit = {0};
        scoped(free_str) char *real = file_real(path);
        if (!env_now_read(real ? real : path, &now, err) ||
                !edit_make(change, text_of(&now), &edit, err))
                return err_context(err, "reading the env file '%s'", path);
        scoped(strv_freep) Strv set = NULL;
        for (size_t i = 0; i < strv_count(edit.set); i++)
                if (!strv_contains(edit.secrets, edit.set[i]))
                        strv_add(&set, edit.set[i]);
        Str s = {0};
        explain_part(&s, set, "key set", "keys set");
        explain_part(&s, edit.secrets, "secret made", "secrets made");
        if (s.len == 0)
                str_add(&s, "nothing to change");
        *ret = str_take(&s);
        return true;
}

/* ---- taking keys back ---- */

/* `now` with each key meaning again what it means in `old`. */
static bool take_back(const char *now, const char *old, const json_t *set, char **ret, Err *err) {
        scoped(free_str) char *text = str_copy(now);
        size_t i;
        json_t *item;
        json_array_foreach(set, i, item) {
                char *after = NULL;
                if (!envfile_take_back(text, old, js_str(item, "key"), &after, err))
                        return false;
                str_replace_owned(&text, after);
        }
        *ret = TAKE(text);
        return true;
}

static json_t *set_to_json(const EnvEdit *edit) {
        json_t *set = json_array();
        for (size_t i = 0; i < strv_count(edit->set); i++) {
                json_t *item = json_object();
                js_set_str(item, "key", edit->set[i]);
                js_set_bool(item, "existed", !strv_contains(edit->added, edit->set[i]));
                json_array_append_new(set, item);
        }
        return set;
}

/* ---- prepare ---- */

static char *new_text_path(const char *undo_path) { return str_format("%s.new", undo_path); }

/* An earlier attempt of the same run may have written the file already: then what it saved is the old
 * text, and its new text (with the secrets in it) stays the new one. *ret_new is NULL when there is none. */
static bool texts_of_run(
        const ConfigChange *change, const EnvNow *now, EnvNow *ret_old, char **ret_new, Err *err) {
        scoped(free_str) char *new_path = new_text_path(change->undo_path);
        scoped(env_now_done) EnvNow saved = {0}, target = {0};
        if (!env_now_read(change->undo_path, &saved, err) || !env_now_read(new_path, &target, err))
                return false;
        bool applied = target.text && str_equal(now->hash, target.hash);
        bool edited = target.text && !applied && !str_equal(now->hash, saved.hash);
        if (edited)
                return err_fail(err, ERR_DRIFT,
                        "it was changed by somebody else while the run was interrupted");
        if (applied) {
                *ret_old = saved;
                saved = (EnvNow){0};
                *ret_new = TAKE(target.text);
                return true;
        }
        *ret_old = (EnvNow){.text = str_copy(now->text), .stat = now->stat};
        memcpy(ret_old->hash, now->hash, sizeof(now->hash));
        return true;
}

static void backup_name_clean(char *name) {
        for (; *name; name++)
                if (*name == '/' || (unsigned char)*name < ' ')
                        *name = '_';
}

/* The first free name, or one that holds the same bytes already. */
static bool backup_choose(
        const ConfigChange *change, const char *path, const char *hash, char **ret, Err *err) {
        scoped(free_str) char *version =
                str_copy(change->from_version ? change->from_version : "unknown");
        backup_name_clean(version);
        for (unsigned i = 0; i < BACKUPS_MAX; i++) {
                scoped(free_str) char *name =
                        i == 0 ? str_format("%s.backup.%s", path, version)
                               : str_format("%s.backup.%s.%u", path, version, i);
                scoped(env_now_done) EnvNow there = {0};
                bool exists = file_exists(name);
                if (exists && !env_now_read(name, &there, NULL))
                        continue;
                if (exists && !str_equal(there.hash, hash))
                        continue;
                *ret = TAKE(name);
                return true;
        }
        err_fail(err, ERR_REFUSED, "'%s' has %d backups already", path, BACKUPS_MAX);
        return err_hint(err, "Remove old files named '%s.backup.*'.", path);
}

static bool backup_remember(const ConfigChange *change, const char *backup, Err *err) {
        if (!change->state)
                return true;
        scoped(js_freep) json_t *known =
                state_load(change->state, change->service, backups_file, err);
        if (!known)
                return false;
        json_t *paths = js_get(known, "paths");
        if (!json_is_array(paths)) {
                paths = json_array();
                js_set(known, "paths", paths);
        }
        size_t i;
        json_t *path;
        json_array_foreach(
                paths, i, path) if (str_equal(json_string_value(path), backup)) return true;
        json_array_append_new(paths, json_string(backup));
        return state_save(change->state, change->service, backups_file, known, err);
}

static bool owner_and_mode(
        const ConfigChange *change, const EnvNow *now, struct stat *ret, Err *err) {
        if (now->text) {
                *ret = now->stat;
                return true;
        }
        bool there = false;
        if (!file_stat(change->directory, ret, &there, err))
                return false;
        if (!there)
                return err_fail(
                        err, ERR_REFUSED, "the directory '%s' is not there", change->directory);
        ret->st_mode = S_IFREG | 0600;
        return true;
}

static bool save_texts(
        const ConfigChange *change, const EnvNow *old, const char *text, json_t *facts, Err *err) {
        scoped(free_str) char *new_path = new_text_path(change->undo_path);
        scoped(free_str) char *backup = NULL;
        struct stat like = {0};
        if (!owner_and_mode(change, old, &like, err))
                return false;
        if (old->text && (!backup_choose(change, js_str(facts, "path"), old->hash, &backup, err) ||
                                 !backup_remember(change, backup, err) ||
                                 !file_write_durable_like(change->undo_path, old->text,
                                         strlen(old->text), &like, err)))
                return false;
        if (!file_write_durable(new_path, text, strlen(text), 0600, err))
                return false;
        char after[65] = "";
        sha256_hex(text, strlen(text), after);
        js_set_str(facts, "undo", change->undo_path);
        js_set_str(facts, "backup", backup);
        js_set_bool(facts, "existed", old->text != NULL);
        js_set_str(facts, "before", old->hash);
        js_set_str(facts, "after", after);
        js_set_int(facts, "mode", like.st_mode & 07777);
        js_set_int(facts, "uid", like.st_uid);
        js_set_int(facts, "gid", like.st_gid);
        return true;
}

static json_t *names_to_json(Strv names) {
        json_t *array = json_array();
        for (size_t i = 0; i < strv_count(names); i++)
                json_array_append_new(array, json_string(names[i]));
        return array;
}

static bool prepare_path(const ConfigChange *change, const char *path, json_t *facts, Err *err) {
        scoped(env_now_done) EnvNow now = {0}, old = {0};
        scoped(env_edit_done) EnvEdit edit = {0};
        scoped(free_str) char *made = NULL;
        if (!env_now_read(path, &now, err) || !texts_of_run(change, &now, &old, &made, err) ||
                !edit_make(change, text_of(&old), &edit, err))
                return false;
        js_set_str(facts, "path", path);
        js_set_bool(facts, "changed", edit.set != NULL);
        js_set(facts, "set", set_to_json(&edit));
        js_set(facts, "secrets", names_to_json(edit.secrets));
        return edit.set == NULL || save_texts(change, &old, made ? made : edit.text, facts, err);
}

bool config_prepare(const ConfigChange *change, json_t *facts, Err *err) {
        if (!config_wanted(change->spec)) {
                js_set_bool(facts, "changed", false);
                return true;
        }
        const char *path = change->spec->env_file;
        scoped(free_str) char *real = file_real(path);
        if (!prepare_path(change, real ? real : path, facts, err))
                return err_context(err, "preparing the env file '%s'", path);
        return true;
}

/* ---- apply, undo, observe: from the facts alone ---- */

typedef struct EnvFacts {
        const char *path, *undo, *backup, *before, *after; /* borrowed */
        bool existed;
        struct stat like;
        const json_t *set;
} EnvFacts;

/* False without an error in *err: nothing was to change. */
static bool facts_read(const json_t *facts, EnvFacts *ret) {
        EnvFacts f = {.path = js_str(facts, "path"),
                .undo = js_str(facts, "undo"),
                .backup = js_str(facts, "backup")};
        f.before = js_str(facts, "before");
        f.after = js_str(facts, "after");
        f.existed = js_bool(facts, "existed", false);
        f.set = js_get(facts, "set");
        f.like.st_mode = S_IFREG | (mode_t)js_int(facts, "mode", 0600);
        f.like.st_uid = (uid_t)js_int(facts, "uid", 0);
        f.like.st_gid = (gid_t)js_int(facts, "gid", 0);
        if (!js_bool(facts, "changed", false) || !f.path || !f.undo || !f.before || !f.after)
                return false;
        *ret = f;
        return true;
}

static bool is_state(const EnvNow *now, const char *hash) { return str_equal(now->hash, hash); }

/* One of the two saved texts; it must be what prepare wrote. */
static bool saved_read(const char *path, const char *hash, EnvNow *ret, Err *err) {
        scoped(env_now_done) EnvNow saved = {0};
        if (!env_now_read(path, &saved, err))
                return false;
        if (!saved.text || !str_equal(saved.hash, hash))
                return err_fail(
                        err, ERR_CORRUPT, "the saved text '%s' is not what was saved", path);
        *ret = saved;
        saved = (EnvNow){0};
        return true;
}

static bool backup_leave(const EnvFacts *f, Err *err) {
        scoped(env_now_done) EnvNow there = {0};
        if (!f->backup)
                return true;
        if (!env_now_read(f->backup, &there, err))
                return false;
        if (is_state(&there, f->before))
                return true;
        if (there.text)
                return err_fail(err, ERR_DRIFT, "somebody else made '%s' meanwhile", f->backup);
        return file_copy_durable(f->path, f->backup, err);
}

static bool apply_facts(const EnvFacts *f, Err *err) {
        scoped(env_now_done) EnvNow now = {0}, target = {0};
        scoped(free_str) char *new_path = new_text_path(f->undo);
        if (!env_now_read(f->path, &now, err))
                return false;
        if (is_state(&now, f->after))
                return true;
        if (!is_state(&now, f->before)) {
                err_fail(err, ERR_DRIFT, "it was changed by somebody else a moment ago");
                return err_hint(err, "Update again: Belay then starts from the file as it is now.");
        }
        return saved_read(new_path, f->after, &target, err) && backup_leave(f, err) &&
               file_write_durable_like(f->path, target.text, strlen(target.text), &f->like, err);
}

bool config_apply(const json_t *facts, Err *err) {
        EnvFacts f = {0};
        if (!facts_read(facts, &f))
                return true;
        return apply_facts(&f, err) || err_context(err, "editing the env file '%s'", f.path);
}

/* Whether each of Belay's keys means the old or the new value. *ret_key names one that does not. */
static bool keys_are_ours(const EnvFacts *f, const char *now, const char *old, const char *target,
        const char **ret_key, Err *err) {
        size_t i;
        json_t *item;
        *ret_key = NULL;
        json_array_foreach(f->set, i, item) {
                const char *key = js_str(item, "key");
                scoped(free_str) char *is = NULL;
                scoped(free_str) char *was = NULL;
                scoped(free_str) char *made = NULL;
                if (!envfile_get(now, key, &is, err) || !envfile_get(old, key, &was, err) ||
                        !envfile_get(target, key, &made, err))
                        return false;
                if (!str_equal(is, was) && !str_equal(is, made))
                        *ret_key = key;
        }
        return true;
}

static bool undo_by_key(const EnvFacts *f, const EnvNow *now, Err *err) {
        scoped(env_now_done) EnvNow old = {0}, target = {0};
        scoped(free_str) char *new_path = new_text_path(f->undo);
        scoped(free_str) char *text = NULL;
        const char *foreign = NULL;
        if (!saved_read(new_path, f->after, &target, err) ||
                (f->existed && !saved_read(f->undo, f->before, &old, err)) ||
                !keys_are_ours(f, now->text, text_of(&old), target.text, &foreign, err))
                return false;
        if (foreign) {
                err_fail(err, ERR_DRIFT, "'%s' was given another value by somebody else", foreign);
                return err_hint(err, "Set it by hand; the old text is in '%s'.",
                        f->backup ? f->backup : f->undo);
        }
        if (!take_back(now->text, text_of(&old), f->set, &text, err))
                return false;
        return str_equal(text, now->text) ||
               file_write_durable_like(f->path, text, strlen(text), &now->stat, err);
}

static bool undo_facts(const EnvFacts *f, bool *ret_by_key, Err *err) {
        scoped(env_now_done) EnvNow now = {0}, old = {0};
        if (!env_now_read(f->path, &now, err))
                return false;
        if (is_state(&now, f->before))
                return true;
        if (!now.text)
                return err_fail(err, ERR_DRIFT, "it was removed by somebody else");
        if (!is_state(&now, f->after)) {
                *ret_by_key = true;
                return undo_by_key(f, &now, err);
        }
        if (!f->existed)
                return file_unlink(f->path, err);
        return saved_read(f->undo, f->before, &old, err) &&
               file_write_durable_like(f->path, old.text, strlen(old.text), &f->like, err);
}

/* What a write that was killed leaves beside its file. */
static bool leftover_remove(const char *path, Err *err) {
        scoped(free_str) char *dir = path_dirname(path);
        scoped(free_str) char *leftover = str_format("%s/.%s.belay-tmp", dir, path_basename(path));
        return file_unlink(leftover, err);
}

bool config_undo(const json_t *facts, bool *ret_by_key, Err *err) {
        EnvFacts f = {0};
        bool by_key = false;
        if (!facts_read(facts, &f))
                return true;
        if (!undo_facts(&f, &by_key, err) || !leftover_remove(f.path, err))
                return err_context(err, "taking back the edit of the env file '%s'", f.path);
        if (ret_by_key)
                *ret_by_key = by_key;
        return true;
}

bool config_observe(const json_t *facts, ConfigTruth *ret, Err *err) {
        EnvFacts f = {0};
        scoped(env_now_done) EnvNow now = {0}, old = {0}, target = {0};
        *ret = CONFIG_NOT_APPLIED;
        if (!facts_read(facts, &f))
                return true;
        if (!env_now_read(f.path, &now, err))
                return err_context(err, "looking at the env file '%s'", f.path);
        if (is_state(&now, f.before))
                return true;
        *ret = is_state(&now, f.after) ? CONFIG_APPLIED : CONFIG_DRIFT;
        if (*ret == CONFIG_APPLIED || !now.text)
                return true;
        scoped(free_str) char *new_path = new_text_path(f.undo);
        const char *foreign = NULL;
        if (!saved_read(new_path, f.after, &target, err) ||
                (f.existed && !saved_read(f.undo, f.before, &old, err)))
                return err_context(err, "looking at the env file '%s'", f.path);
        scoped(err_clear) Err unreadable = {0};
        if (keys_are_ours(&f, now.text, text_of(&old), target.text, &foreign, &unreadable) &&
                !foreign)
                *ret = CONFIG_PARTLY;
        return true;
}

bool config_cleanup(const State *state, const char *service, const json_t *facts, Err *err) {
        EnvFacts f = {0};
        bool changed = facts_read(facts, &f);
        if (changed) {
                scoped(free_str) char *new_path = new_text_path(f.undo);
                if (!file_unlink(new_path, err) || !leftover_remove(f.path, err))
                        return false;
        }
        scoped(js_freep) json_t *known = state_load(state, service, backups_file, err);
        if (!known)
                return false;
        const char *keep = changed ? f.backup : NULL;
        if (json_array_size(js_get(known, "paths")) == 0)
                return true;
        size_t i;
        json_t *path;
        json_array_foreach(js_get(known, "paths"), i, path) {
                const char *name = json_string_value(path);
                if (name && !str_equal(name, keep) && !file_unlink(name, err))
                        return false;
        }
        json_t *left = json_array();
        if (keep)
                json_array_append_new(left, json_string(keep));
        js_set(known, "paths", left);
        return state_save(state, service, backups_file, known, err);
}
