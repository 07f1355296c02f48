"""What the migrations share: they look before they act, and may be run again."""
import sqlite3


def connect():
    return sqlite3.connect("db/pocket.db")


def add_columns(db, table, columns):
    here = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
    for name, kind in columns.items():
        if name in here:
            print(f"  {name} (already there)")
        else:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
            print(f"  {name} added")
