#include <string.h>

#include "base/err.h"
#include "base/units.h"
#include "manifest/schema.h"
#include "manifest/value.h"
#include "model/expand.h"

enum { TEXT_MAX = 32 * 1024 };

static bool wrong(Reader *r, const Key *key, const Node *node) {
        return finding_add(r->findings, &(Finding){.at = node->at, .expected = key->type->expected},
                "\"%s\" is %s", r->path.text, node_kind_text(node));
}

static bool no_good(Reader *r, const Node *node, const char *problem, const char *expected) {
        return finding_add(r->findings, &(Finding){.at = node->at, .expected = expected},
                "\"%s\" %s", r->path.text, problem);
}

/* ---- text ---- */

/* "${name" that is no "$${name". */
static bool names(const char *text, const char *name) {
        for (const char *at = text; (at = strstr(at, name)); at++)
                if (at == text || at[-1] != '$')
                        return true;
        return false;
}

static bool expansions_check(Reader *r, const Node *node) {
        static const char *const images[] = {"${digest}", "${image}"};
        scoped(err_clear) Err why = {0};
        if (!expand_ok(node->text, &why))
                return finding_add(r->findings, &(Finding){.at = node->at, .hint = why.hint},
                        "%s in \"%s\"", why.message, r->path.text);
        for (size_t i = 0; i < COUNT_OF(images); i++)
                if (names(node->text, images[i]))
                        return key_lacks(r, node,
                                i == 0 ? "'${digest}': it comes with source 'image'"
                                       : "'${image}': it comes with source 'image'");
        if (!r->wants_port && names(node->text, "${port}"))
                r->wants_port = node;
        return true;
}

/* What the text may become: rules about its form hold for that. */
static char *sample(const Key *key, const char *text) {
        static const Expansion samples = {
                .version = "1.2.3",
                .tag = "v1.2.3",
                .commit = "0123456789abcdef0123456789abcdef01234567",
                .previous_version = "1.2.2",
                .service = "service",
                .component = "component",
                .port = "8000",
        };
        return key->flags & KEY_EXPANDS ? expand(text, &samples, NULL) : str_copy(text);
}

char *text_read(Reader *r, const Key *key, const Node *node) {
        if (node->kind != NODE_SCALAR) {
                (void)finding_add(r->findings,
                        &(Finding){.at = node->at, .expected = "expected text"}, "\"%s\" is %s",
                        r->path.text, node_kind_text(node));
                return NULL;
        }
        const char *problem = NULL;
        if (strlen(node->text) > TEXT_MAX)
                problem = "is longer than 32 KiB";
        else if (!(key->flags & KEY_LINES) && strchr(node->text, '\n'))
                problem = "has several lines";
        if (problem) {
                (void)no_good(r, node, problem, NULL);
                return NULL;
        }
        if ((key->flags & KEY_EXPANDS) && !expansions_check(r, node))
                return NULL;
        return str_copy(node->text);
}

static bool text_read_into(Reader *r, const Key *key, const Node *node, void *field) {
        scoped(free_str) char *text = text_read(r, key, node);
        if (!text)
                return false;
        scoped(free_str) char *form = sample(key, text);
        const char *problem = key->problem ? key->problem(form) : form[0] ? NULL : "is empty";
        if (problem)
                return no_good(r, node, problem, NULL);
        char **to = field;
        str_replace_owned(to, key->flags & KEY_ABSOLUTE ? path_settle(r->base, text) : TAKE(text));
        return true;
}

const KeyType type_text = {"text", "expected text", true, text_read_into};

/* ---- words, truth, numbers ---- */

static bool word_unknown(Reader *r, const Key *key, const Node *node) {
        scoped(strv_freep) Strv had = NULL;
        const char *all[16] = {NULL};
        for (size_t i = 0; key->choices[i].name && i + 1 < COUNT_OF(all); i++) {
                all[i] = key->choices[i].name;
                if (!key->choices[i].lacks)
                        strv_add(&had, key->choices[i].name);
        }
        const char *nearest = str_nearest(node->text, all);
        scoped(free_str) char *joined = strv_join(had, ", ");
        scoped(free_str) char *expected =
                str_format("expected %s%s", strv_count(had) > 1 ? "one of: " : "", joined);
        scoped(free_str) char *hint = nearest ? str_format("Did you mean \"%s\"?", nearest) : NULL;
        const Finding finding = {.at = node->at, .expected = expected, .hint = hint};
        return finding_add(
                r->findings, &finding, "\"%s\" cannot be \"%s\"", r->path.text, node->text);
}

static bool word_read(Reader *r, const Key *key, const Node *node, void *field) {
        if (node->kind != NODE_SCALAR)
                return wrong(r, key, node);
        for (const Choice *choice = key->choices; choice->name; choice++) {
                if (strcmp(choice->name, node->text) != 0)
                        continue;
                if (choice->lacks)
                        return key_lacks(r, node, choice->lacks);
                if (!(key->flags & KEY_NOWHERE))
                        memcpy(field, &choice->value, sizeof(choice->value));
                return true;
        }
        return word_unknown(r, key, node);
}

const KeyType type_word = {"word", "expected a word", true, word_read};

static bool flag_read(Reader *r, const Key *key, const Node *node, void *field) {
        bool truth = node->kind == NODE_SCALAR && node->plain && strcmp(node->text, "true") == 0;
        bool falsehood =
                node->kind == NODE_SCALAR && node->plain && strcmp(node->text, "false") == 0;
        if (!truth && !falsehood)
                return wrong(r, key, node);
        *(bool *)field = truth;
        return true;
}

const KeyType type_flag = {"flag", "expected true or false (without quotes)", true, flag_read};

static bool number_read(Reader *r, const Key *key, const Node *node, void *field) {
        uint64_t value = 0;
        unsigned most = key->most ? key->most : 1000000000;
        if (node->kind != NODE_SCALAR || !node->plain)
                return wrong(r, key, node);
        scoped(free_str) char *problem =
                str_format("is no whole number from %u to %u", key->least, most);
        bool padded = node->text[0] == '0' && node->text[1];
        if (padded || !str_to_uint(node->text, most, &value) || value < key->least)
                return no_good(r, node, problem, NULL);
        *(unsigned *)field = (unsigned)value;
        return true;
}

const KeyType type_number = {
        "number", "expected a whole number (without quotes)", true, number_read};

static bool percent_read(Reader *r, const Key *key, const Node *node, void *field) {
        unsigned value = 0;
        if (node->kind != NODE_SCALAR)
                return wrong(r, key, node);
        scoped(free_str) char *problem =
                str_format("is no share from %u%% to %u%%", key->least, key->most);
        if (!percent_parse(node->text, key->most, &value) || value < key->least)
                return no_good(r, node, problem, key->type->expected);
        *(unsigned *)field = value;
        return true;
}

const KeyType type_percent = {"percent", "expected a share such as 80%", true, percent_read};

static bool duration_read(Reader *r, const Key *key, const Node *node, void *field) {
        int64_t ms = 0;
        if (node->kind != NODE_SCALAR)
                return wrong(r, key, node);
        if (!duration_parse(node->text, &ms)) {
                bool bare = node->text[0] && node->text[strspn(node->text, "0123456789")] == '\0';
                return no_good(
                        r, node, bare ? "has no unit" : "is no duration", key->type->expected);
        }
        if (ms >= (int64_t)key->least && (!key->most || ms <= (int64_t)key->most)) {
                *(int64_t *)field = ms;
                return true;
        }
        scoped(free_str) char *least = duration_manifest_text((int64_t)key->least);
        scoped(free_str) char *most = duration_manifest_text((int64_t)key->most);
        scoped(free_str) char *expected = key->most ? str_format("expected %s to %s", least, most)
                                                    : str_format("expected at least %s", least);
        return no_good(r, node, "is out of range", expected);
}

const KeyType type_duration = {
        "duration", "expected a duration such as 500ms, 30s, 5m, 1h or 7d", true, duration_read};

/* ---- lists, mappings, pairs ---- */

static bool words_read(Reader *r, const Key *key, const Node *node, void *field) {
        if (node->kind != NODE_LIST)
                return wrong(r, key, node);
        scoped(strv_freep) Strv words = NULL;
        for (size_t i = 0; i < node->n; i++) {
                size_t where = path_enter_index(r, i);
                bool null = node_is_null(node->items[i]);
                scoped(free_str) char *text = null ? NULL : text_read(r, key, node->items[i]);
                const char *problem = text && i == 0 && key->problem ? key->problem(text) : NULL;
                if (null)
                        problem = "has no value (an empty text is \"\")";
                if (problem)
                        (void)no_good(r, node->items[i], problem, NULL);
                path_leave(r, where);
                if (!text || problem)
                        return false;
                strv_push(&words, TAKE(text));
        }
        if (!words && key->least)
                return no_good(r, node, "is an empty list", NULL);
        strv_freep((Strv *)field);
        *(Strv *)field = TAKE(words);
        return true;
}

const KeyType type_words = {"list",
        "expected a list such as [./program, --flag] (no shell splits it)", true, words_read};

static bool inner_read(Reader *r, const Key *key, const Node *node, void *field) {
        return map_read(r, key->inner, node, field);
}

const KeyType type_map = {"mapping", "expected a mapping", false, inner_read};

static void pair_warn(Reader *r, const Node *name, const Node *value) {
        bool open = value->text[0] && !strstr(value->text, "${");
        if ((open && name_is_secret(name->text)) || value_has_password(value->text))
                warning_add(r, name, "secret '%s' is written in clear", name->text);
        if (str_starts(value->text, "file:"))
                warning_add(r, name, "the value of '%s' is taken as it is, with its 'file:',",
                        name->text);
}

static bool pair_read(Reader *r, const Key *key, const Node *name, const Node *value, Pair *ret) {
        const char *problem = key->problem ? key->problem(name->text) : NULL;
        if (problem)
                return finding_add(
                        r->findings, &(Finding){.at = name->at}, "\"%s\" %s", name->text, problem);
        if (node_is_null(value))
                return no_good(r, value, "has no value (an empty text is \"\")", NULL);
        scoped(free_str) char *text = text_read(r, key, value);
        if (!text)
                return false;
        if ((key->flags & KEY_SECRETS) && str_starts(text, "env:") && !env_name_problem(text + 4))
                return key_lacks(r, value,
                        "'env:' in here: what a variable holds belongs into the env file");
        if (key->flags & KEY_SECRETS)
                pair_warn(r, name, value);
        bool hide = (key->flags & KEY_SECRETS) &&
                    (name_is_secret(name->text) || value_has_password(text));
        value_explain(r, value, hide ? "(a secret)" : NULL);
        *ret = (Pair){.name = str_copy(name->text), .value = TAKE(text)};
        return true;
}

static bool pairs_read(Reader *r, const Key *key, const Node *node, void *field) {
        Pair **pairs = field;
        size_t *count = (size_t *)(void *)((char *)field - key->offset + key->count_offset);
        if (node->kind != NODE_MAP)
                return wrong(r, key, node);
        bool good = true;
        for (size_t i = 0; i < node->n; i++) {
                Pair pair = {0};
                size_t where = path_enter(r, node->keys[i]->text);
                bool read = pair_read(r, key, node->keys[i], node->items[i], &pair);
                path_leave(r, where);
                if (read)
                        PUSH(*pairs, *count, pair);
                good = read && good;
        }
        return good;
}

const KeyType type_pairs = {"pairs", "expected a mapping of names to texts", false, pairs_read};

/* ---- secrets ---- */

static bool secret_file(Reader *r, const Node *node, Value *ret) {
        const char *path = node->text + strlen("file:");
        const char *problem = path_problem(path);
        if (problem)
                return no_good(r, node, problem, "expected file:PATH");
        *ret = (Value){.from = VALUE_FILE, .text = path_settle(r->base, path)};
        return true;
}

bool secret_read(Reader *r, const Key *key, const char *name, const Node *node, Value *ret) {
        scoped(free_str) char *text = text_read(r, key, node);
        if (!text)
                return false;
        if (str_starts(text, "file:"))
                return secret_file(r, node, ret);
        if (str_starts(text, "env:")) {
                const char *problem = env_name_problem(text + strlen("env:"));
                if (problem)
                        return no_good(r, node, problem, "expected env:NAME");
                *ret = (Value){.from = VALUE_ENV, .text = str_copy(text + strlen("env:"))};
                return true;
        }
        if (text[0] && (name_is_secret(name) || value_has_password(text)))
                warning_add(r, node, "secret '%s' is written in clear", name);
        *ret = (Value){.from = VALUE_TEXT, .text = TAKE(text)};
        return true;
}
