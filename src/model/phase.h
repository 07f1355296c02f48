/* The phases of an update, in their fixed order. */
#ifndef BELAY_MODEL_PHASE_H
#define BELAY_MODEL_PHASE_H

typedef enum Phase {
        PHASE_PREFLIGHT,
        PHASE_FETCH,
        PHASE_BACKUP,
        PHASE_REHEARSE,
        PHASE_QUIESCE,
        PHASE_PLACE,
        PHASE_MIGRATE,
        PHASE_START,
        PHASE_VERIFY,
        PHASE_MONITOR,
        PHASE_FINISH,
        PHASE_ROLLBACK, /* what a rollback does besides undoing */
        PHASE_COUNT
} Phase;

const char *phase_name(Phase phase);

#endif
