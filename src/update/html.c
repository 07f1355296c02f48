#include "update/html.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"

/* clang-format off */
static const char STYLE[] =
        ":root{color-scheme:light}"
        "*{box-sizing:border-box}"
        "body{font:15px/1.45 system-ui,sans-serif;color:#1a1a1a;background:#fff;"
        "max-width:52rem;margin:0 auto;padding:1rem}"
        "h1{font-size:1.45em;margin:.2em 0}h2{font-size:1.05em;margin:1.4rem 0 .4rem;"
        "border-bottom:1px solid #999;padding-bottom:.15rem}"
        ".verdict{font-weight:600;padding:.5rem .7rem;border-left:.4rem solid #888;background:#f3f3f3}"
        ".good{border-color:#1b7a3d}.bad{border-color:#b3261e}.open{border-color:#9a6700}"
        "table{border-collapse:collapse;width:100%;font-size:.93em}"
        "th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #ddd;"
        "vertical-align:top;overflow-wrap:anywhere}"
        ".facts th{width:11rem;font-weight:600}"
        ".wide{overflow-x:auto}.wide th,.wide td{overflow-wrap:normal}"
        "ul.list{list-style:none;padding:0;margin:0}"
        "ul.list li{display:flex;gap:.6rem;padding:.22rem 0;border-bottom:1px dotted #bbb}"
        "ul.list .box{flex:none;width:1.5rem;font-size:1.1em;line-height:1.3}"
        "ul.list .what{flex:1;overflow-wrap:anywhere}"
        "ul.list .seen{color:#444;display:block;font-size:.9em}"
        "ul.list .took{flex:none;color:#444;white-space:nowrap}"
        ".skipped{color:#666}"
        "pre{background:#f3f3f3;padding:.6rem;overflow-x:auto;white-space:pre-wrap;"
        "overflow-wrap:anywhere;font-size:.85em}"
        ".line{border-bottom:1px solid #333;height:1.7rem}"
        ".sign{display:flex;flex-wrap:wrap;gap:1rem;margin-top:1rem}"
        ".sign div{flex:1 1 12rem;border-top:1px solid #333;margin-top:2.2rem;padding-top:.2rem;"
        "font-size:.85em}"
        "footer{margin-top:2rem;font-size:.8em;color:#666}"
        "@media (max-width:36rem){.facts th,.facts td{display:block;width:auto;border:0;padding:0}"
        ".facts td{padding-bottom:.5rem;border-bottom:1px solid #ddd}}"
        "@media print{body{font-size:9.5pt;line-height:1.3;max-width:none;padding:0}"
        "h2{margin:.9rem 0 .2rem}ul.list li{padding:.1rem 0}th,td{padding-top:.12rem;"
        "padding-bottom:.12rem}h2,li,tr,.together{break-inside:avoid}h2{break-after:avoid}"
        ".verdict,pre{border:1px solid #999;background:none}@page{margin:14mm}}";
/* clang-format on */

void html_begin(Str *out, const char *title) {
        str_add(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                     "style-src 'unsafe-inline'\">\n<title>");
        html_text(out, title);
        str_addf(out, "</title>\n<style>%s</style>\n</head>\n<body>\n", STYLE);
}

void html_end(Str *out) { str_add(out, "</body>\n</html>\n"); }

static void add_escaped(Str *out, const char *printable) {
        static const char special[] = "&<>\"'";
        static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
        for (const char *at = printable; *at;) {
                size_t plain = strcspn(at, special);
                str_add_n(out, at, plain);
                at += plain;
                if (!*at)
                        return;
                str_add(out, entities[strchr(special, *at) - special]);
                at++;
        }
}

void html_text(Str *out, const char *text) {
        if (!text)
                return;
        scoped(free_str) char *printable = str_printable(text, false);
        add_escaped(out, printable);
}

/* ECMA-48: ESC, '[', parameters and intermediates from 0x20 to 0x3f, one final byte from 0x40 to 0x7e. */
static char *without_colours(const char *text) {
        Str plain = {0};
        for (const char *at = text; *at; at++) {
                if (at[0] != '\033' || at[1] != '[') {
                        str_add_char(&plain, *at);
                        continue;
                }
                const char *end = at + 2;
                while (*end >= 0x20 && *end <= 0x3f)
                        end++;
                if (*end < 0x40 || *end > 0x7e) {
                        str_add_char(&plain, *at);
                        continue;
                }
                at = end;
        }
        return str_take(&plain);
}

void html_lines(Str *out, const char *text) {
        if (!text)
                return;
        scoped(free_str) char *plain = without_colours(text);
        scoped(free_str) char *printable = str_printable(plain, true);
        add_escaped(out, printable);
}

void html_row(Str *out, const char *tag, char *const *cells) {
        str_add(out, "<tr>");
        for (size_t i = 0; cells && cells[i]; i++) {
                str_addf(out, "<%s>", tag);
                html_text(out, cells[i]);
                str_addf(out, "</%s>", tag);
        }
        str_add(out, "</tr>\n");
}
