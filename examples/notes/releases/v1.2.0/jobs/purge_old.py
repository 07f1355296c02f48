"""Removes notes that are older than ten years."""
import time

TEN_YEARS = 10 * 365 * 24 * 3600


def run(db):
    # The mistake: `created` is in seconds, this is in milliseconds, so that every note is "old".
    now = time.time() * 1000
    db.execute("DELETE FROM note WHERE ? - created > ?", (now, TEN_YEARS))
