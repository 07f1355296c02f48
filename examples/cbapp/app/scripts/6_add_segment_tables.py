"""Segment management."""
from columns import connect

with connect() as db:
    db.execute("CREATE TABLE IF NOT EXISTS segment (id INTEGER PRIMARY KEY, name TEXT)")
    db.execute("CREATE TABLE IF NOT EXISTS segment_person (segment INTEGER, person INTEGER)")
