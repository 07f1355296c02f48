/*
 * Strings: formatting, a growing builder, NULL-terminated vectors of strings.
 *
 * Everything returned is owned by the caller and freed with free() (vectors: strv_free). Functions
 * take NULL where it is said. Text is bytes, UTF-8 by convention.
 */
#ifndef BELAY_BASE_STR_H
#define BELAY_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

char *str_format(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));
char *str_vformat(const char *format, va_list args)
        __attribute__((format(printf, 1, 0), returns_nonnull));
char *str_copy(const char *text);                 /* NULL gives NULL */
char *str_copy_n(const char *text, size_t bytes); /* adds the NUL */
bool str_equal(const char *a, const char *b);     /* two NULLs are equal */
bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);
void str_replace_owned(char **owned, char *with); /* frees *owned, takes `with` */
/* Cuts white space at both ends, in place; returns the new start. */
char *str_trim(char *text);
/* "a/b": exactly one slash between; b absolute gives a copy of b. */
char *path_join(const char *dir, const char *name) __attribute__((returns_nonnull));
char *path_dirname(const char *path);        /* "." for a bare name */
const char *path_basename(const char *path); /* points into path */
/* "/srv/app" holds itself and "/srv/app/data", not "/srv/apple"; "/" holds whatever is absolute. */
bool path_holds(const char *outer, const char *inner);
/* Levenshtein distance with transpositions, for "did you mean"; texts over 64 bytes are far. */
unsigned str_distance(const char *a, const char *b);
/* The nearest of a NULL-terminated list, or NULL when none is near (distance over 1/3 of length). */
const char *str_nearest(const char *text, const char *const *list);
/* Text with control bytes and invalid UTF-8 replaced by '?' (newlines too unless kept). */
char *str_printable(const char *text, bool keep_newlines);
bool str_is_printable(const char *text); /* one line that str_printable leaves as it is */
/* Its last `lines` lines; owned. */
char *str_last_lines(const char *text, unsigned lines);
/* Whole decimal number, digits only, no sign, no space, at most `max`. */
bool str_to_uint(const char *text, uint64_t max, uint64_t *ret);

/* A growing string. Zero-initialise; str_done frees; text is always NUL-terminated or NULL when empty. */
typedef struct Str {
        char *text;
        size_t len, room;
} Str;
void str_add(Str *s, const char *text);
void str_add_n(Str *s, const char *bytes, size_t n);
void str_addf(Str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void str_add_char(Str *s, char c);
char *str_take(Str *s); /* never NULL; the builder is empty afterwards */
void str_done(Str *s);

/* NULL-terminated vectors of owned strings. NULL is an empty vector everywhere. */
typedef char **Strv;
size_t strv_length(char *const *v); /* not of NULL */
static inline size_t strv_count(char *const *v) { return v ? strv_length(v) : 0; }
void strv_push(Strv *v, char *owned); /* takes ownership */
void strv_add(Strv *v, const char *text);
void strv_addf(Strv *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool strv_contains(char *const *v, const char *text);
Strv strv_copy(char *const *v);
Strv strv_split(const char *text, char separator); /* keeps empty pieces but the last */
char *strv_join(char *const *v, const char *between);
void strv_free(Strv v);
void strv_freep(Strv *v);

#endif
