/* Which file a migration's database is. Not for other rooms. */
#ifndef BELAY_MIGRATE_SQL_DATABASE_H
#define BELAY_MIGRATE_SQL_DATABASE_H

#include "migrate/migrate.h"

/* Absolute, without symbolic links, of a file that exists; owned. Reads "sqlite:///a", "sqlite:a", "file:a" and
 * plain paths, relative ones in the service's directory. ERR_REFUSED: another kind of database, no such file. */
bool sql_database_path(
        const MigrateContext *context, const MigrationSpec *spec, char **ret, Err *err);

#endif
