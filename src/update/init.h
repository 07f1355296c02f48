/*
 * `belay init`: looks at a directory with a checkout and at what runs from it, and makes a manifest that works, with
 * the reason for each value. Nothing is asked of a person, nothing is changed but the one new file.
 *
 *     scoped(init_done) Init init = {0};
 *     if (!init_look("/srv/shop", &init, err) || !init_write(&init, err))
 *             return app_fail(app, err);
 *
 *     init.c           the story: which checkout, which directory, the command, the data, the manifest
 *     init_process.c   what the process that runs there tells
 *     init_elsewhere.c what its command and settings name outside of its directory
 *     init_data.c      what it has to lose
 *     init_ask.c       what it answers over HTTP
 *
 * Errors: ERR_UNKNOWN there is no such directory; ERR_REFUSED there is a manifest already, no checkout, or nothing
 * says how the service is started (the hint says what to write).
 */
#ifndef BELAY_UPDATE_INIT_H
#define BELAY_UPDATE_INIT_H

#include "base/err.h"
#include "manifest/draft.h"
#include "manifest/startup.h"
#include "model/release.h"
#include "runtime/running.h"
#include "source/source.h"

typedef struct Init {
        char *root;  /* the directory that was named; absolute */
        char *path;  /* of the manifest */
        char *text;  /* what is or will be in it */
        char *place; /* the service's directory; absolute */
        Draft draft;
        SourceLook look;
        Release installed; /* empty when not known */
        Strv tracked;      /* files of that version, relative to `place` */
        RunningList list;
        const Running *running; /* in `list`; NULL: it does not run, or cannot be recognised */
        bool manifest_command; /* the running process is what the command starts: it can be taken over */
} Init;
void init_done(Init *init);

bool init_look(const char *directory, Init *ret, Err *err);
/* Never over a file that is there. Readable by its owner alone where it holds settings of the process. */
bool init_write(Init *init, Err *err);

/* -- for init.c alone -- */
/* A path as the manifest shall name it; owned. */
char *init_relative(const Init *init, const char *path);
/* Command, port, user, settings and open databases of the process; what the files said of it is in the draft. */
void init_take_process(Init *init, const Startup *start);
/* Databases, and a note of the rest, that its command and its settings name outside of its directory. */
void init_take_elsewhere(Init *init);
/* What must be backed up, and the migrations that belong to it. `service` is the draft, parsed. */
void init_take_data(Init *init, Service *service);
/* A check that this service passes now, or the best that can be had without asking. */
void init_ask_health(Init *init, const Startup *start);

#endif
