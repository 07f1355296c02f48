"""Notes are found by time, and those that came since 02_length.py get their length."""
import os
import sqlite3

db = sqlite3.connect(os.environ.get("NOTES_DB", "data/notes.db"), timeout=10)
with db:
    db.execute("CREATE INDEX IF NOT EXISTS note_by_time ON note(created)")
    changed = db.execute("UPDATE note SET length = length(text) WHERE length IS NULL").rowcount
db.close()
print(f"index made; length: {changed} notes")
