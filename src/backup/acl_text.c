#include <inttypes.h>
#include <string.h>

#include "backup/tar.h"
#include "base/own.h"

/* The kernel's form (linux/posix_acl_xattr.h): version 2, then tag, permissions and id of each entry, all
 * little endian. */
enum { ACL_VERSION = 2, ACL_ENTRY = 8, ACL_HEADER = 4, ACL_ENTRIES_MAX = 1024 };

static const struct {
        unsigned tag;
        const char *name;
        bool has_id;
} tags[] = {
        {0x01, "user", false},
        {0x02, "user", true},
        {0x04, "group", false},
        {0x08, "group", true},
        {0x10, "mask", false},
        {0x20, "other", false},
};

static uint32_t number(const unsigned char *p, unsigned bytes) {
        uint32_t value = 0;
        for (unsigned i = 0; i < bytes; i++)
                value |= (uint32_t)p[i] << (8 * i);
        return value;
}

static void put_number(unsigned char *p, unsigned bytes, uint32_t value) {
        for (unsigned i = 0; i < bytes; i++)
                p[i] = (unsigned char)(value >> (8 * i));
}

static bool entry_to_text(Str *to, const unsigned char *p) {
        unsigned tag = number(p, 2), permissions = number(p + 2, 2);
        for (size_t i = 0; i < COUNT_OF(tags); i++) {
                if (tags[i].tag != tag || permissions > 7)
                        continue;
                str_addf(to, "%s%s:", to->len ? "," : "", tags[i].name);
                if (tags[i].has_id)
                        str_addf(to, "%" PRIu32, number(p + 4, 4));
                str_addf(to, ":%c%c%c", permissions & 4 ? 'r' : '-', permissions & 2 ? 'w' : '-',
                        permissions & 1 ? 'x' : '-');
                return true;
        }
        return false;
}

char *acl_to_text(const unsigned char *bytes, size_t n) {
        scoped(str_done) Str text = {0};
        if (n < ACL_HEADER || (n - ACL_HEADER) % ACL_ENTRY != 0 || number(bytes, 4) != ACL_VERSION)
                return NULL;
        for (size_t at = ACL_HEADER; at < n; at += ACL_ENTRY)
                if (!entry_to_text(&text, bytes + at))
                        return NULL;
        return str_take(&text);
}

static bool permissions_of(const char *text, uint32_t *ret) {
        static const char letters[] = "rwx";
        if (strlen(text) != 3)
                return false;
        *ret = 0;
        for (unsigned i = 0; i < 3; i++) {
                if (text[i] != letters[i] && text[i] != '-')
                        return false;
                if (text[i] == letters[i])
                        *ret |= 4U >> i;
        }
        return true;
}

static bool entry_from_text(const char *text, unsigned char *to) {
        scoped(strv_freep) Strv parts = strv_split(text, ':');
        uint64_t id = UINT32_MAX;
        uint32_t permissions;
        if (strv_count(parts) != 3 || !permissions_of(parts[2], &permissions))
                return false;
        bool has_id = parts[1][0] != '\0';
        if (has_id && !str_to_uint(parts[1], UINT32_MAX, &id))
                return false;
        for (size_t i = 0; i < COUNT_OF(tags); i++)
                if (tags[i].has_id == has_id && strcmp(tags[i].name, parts[0]) == 0) {
                        put_number(to, 2, tags[i].tag);
                        put_number(to + 2, 2, permissions);
                        put_number(to + 4, 4, (uint32_t)id);
                        return true;
                }
        return false;
}

unsigned char *acl_from_text(const char *text, size_t *ret_n) {
        scoped(strv_freep) Strv entries = strv_split(text, ',');
        size_t n = strv_count(entries);
        if (n == 0 || n > ACL_ENTRIES_MAX)
                return NULL;
        scoped(free_mem) unsigned char *bytes = mem_new(ACL_HEADER + n * ACL_ENTRY, 1);
        put_number(bytes, 4, ACL_VERSION);
        for (size_t i = 0; i < n; i++)
                if (!entry_from_text(entries[i], bytes + ACL_HEADER + i * ACL_ENTRY))
                        return NULL;
        *ret_n = ACL_HEADER + n * ACL_ENTRY;
        return TAKE(bytes);
}
