"""Admin user."""
from columns import connect

with connect() as db:
    db.execute("INSERT OR IGNORE INTO account VALUES ('admin', 'admin')")
