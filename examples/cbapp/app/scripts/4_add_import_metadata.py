"""Import tracking columns."""
from columns import add_columns, connect

with connect() as db:
    add_columns(db, "person", {"imported_at": "TEXT", "imported_from": "TEXT"})
