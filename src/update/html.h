/*
 * Pages for people without anything from elsewhere: one file with its own style, for a screen, a phone
 * and paper. Every text is escaped by html_text(); what is added by hand is markup of our own.
 */
#ifndef BELAY_UPDATE_HTML_H
#define BELAY_UPDATE_HTML_H

#include "base/str.h"

void html_begin(Str *out, const char *title);
void html_end(Str *out);
/* Text as text: markup, quotes, control bytes and invalid UTF-8 do nothing. NULL adds nothing. */
void html_text(Str *out, const char *text);
/* The same with its lines kept, and with the sequences that colour a terminal taken out. */
void html_lines(Str *out, const char *text);
/* Opens a row; each cell is text. */
void html_row(Str *out, const char *tag, char *const *cells);

#endif
