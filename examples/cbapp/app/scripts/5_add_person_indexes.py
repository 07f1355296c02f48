"""Performance indexes."""
from columns import connect

with connect() as db:
    db.execute("CREATE INDEX IF NOT EXISTS person_by_email ON person(email)")
