/*
 * The update, from its first look to its last file: the table of contents. Read it top to bottom; each
 * step is in the file of its phase (steps.h). What is planned of it for a service is plan_update.c's.
 */
#include "update/around.h"
#include "update/steps.h"
#include "update/stories.h"

#include "base/own.h"
#include "base/str.h"

static const Step *const steps[] = {
        &step_preflight, /* look again at everything that could stop it */
        &step_fetch,     /* bring what is new here, beside what runs */
        &step_build,     /* make of it what can run: install, build */
        &step_backup,    /* first pass, live */
        &step_prove,     /* every byte read back; without it nothing is touched */
        &step_rehearse,  /* all of what follows, on a copy */
        &step_reserve,   /* rolling back works on a full disk, too */
        /* ---- ARM: from here on what happens is undone, or finished ---- */
        &step_stop,        /* the service stops ... */
        &step_second_pass, /* ... what changed since the first pass is taken (undo: the data as of now) */
        &step_config,        /* the env file */
        &step_place,         /* the new version's files */
        &step_migrate,       /* one for each migration */
        &step_start,         /* ... and serves again */
        &step_migrate_after, /* what must be done while it runs */
        &step_verify,        /* checks, and is it really the new one? */
        &step_merge,         /* both passes become one proven backup */
        &step_monitor,       /* watch it for a while */
        /* ---- COMMIT: from here on only forward ---- */
        &step_record,       /* good is marked last */
        &step_publish,      /* if merge could not */
        &step_tidy,         /* what only the run needed goes */
        &step_backup_after, /* as of the new version */
        &step_prune,        /* what the manifest does not want kept */
        /* ---- only when it goes back ---- */
        &step_remember_bad, /* before the first undo */
        &step_verify_old,   /* after the last: the old version really runs */
        &step_publish_old,  /* the backup is worth keeping */
        &step_tidy_old,
        /* ---- put around the phases (plan_around.c) ---- */
        &step_wait, /* first of all: until its time has come */
        &step_busy, /* last before ARM */
        HOOK_STEPS,
};

const Story update_story = {
        .kind = "update",
        .steps = steps,
        .n_steps = COUNT_OF(steps),
        .decide = decide_rollback,
        .end_leftovers = end_leftovers,
        .armed = tell_keeper,
        .beyond_cancel = let_finish,
};

const Story *story_of(const char *kind) {
        static const Story *const stories[] = {
                &update_story, &rollback_story, &restore_story, &rehearse_story};
        for (size_t i = 0; i < COUNT_OF(stories); i++)
                if (str_equal(stories[i]->kind, kind))
                        return stories[i];
        return NULL;
}
