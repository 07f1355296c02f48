"""Extended contact fields."""
from columns import add_columns, connect

with connect() as db:
    add_columns(db, "person", {"email": "TEXT", "phone": "TEXT"})
