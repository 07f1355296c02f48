"""Notes know their length."""
import os
import sqlite3

db = sqlite3.connect(os.environ.get("NOTES_DB", "data/notes.db"), timeout=10)
with db:
    if "length" not in [row[1] for row in db.execute("PRAGMA table_info(note)")]:
        db.execute("ALTER TABLE note ADD COLUMN length INTEGER")
    changed = db.execute("UPDATE note SET length = length(text) WHERE length IS NULL").rowcount
db.close()
print(f"length: {changed} notes")
