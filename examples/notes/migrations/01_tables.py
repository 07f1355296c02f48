"""The tables. Like every migration of this app it may run again at any time."""
import os
import sqlite3

path = os.environ.get("NOTES_DB", "data/notes.db")
os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
db = sqlite3.connect(path, timeout=10)
with db:
    db.execute("CREATE TABLE IF NOT EXISTS note(n INTEGER PRIMARY KEY, text TEXT NOT NULL, created REAL NOT NULL)")
    db.execute("CREATE TABLE IF NOT EXISTS counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL)")
    db.execute("INSERT OR IGNORE INTO counter VALUES('notes', 0)")
db.close()
