#!/usr/bin/python3
"""Notes: a small web app that keeps what people write. Only Python's own library is needed.

    app.py --port 8000        (or PORT; the database is NOTES_DB, data/notes.db)

    GET  /health         {"status": "ok", "version": "1.0.0"}; 500 when notes are missing
    GET  /notes          all notes
    GET  /notes/count    {"count": 17}
    POST /notes          {"n": 17, "text": "milk"}; 201 once it is on disk
"""
import argparse
import http.server
import json
import os
import pathlib
import runpy
import signal
import sqlite3
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
VERSION = (HERE / "VERSION").read_text().strip()
DATABASE = os.environ.get("NOTES_DB", "data/notes.db")
JOBS_EVERY = 2      # seconds


def connect():
    db = sqlite3.connect(DATABASE, timeout=10)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.row_factory = sqlite3.Row
    return db


class Notes(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def do_GET(self):
        db = connect()
        try:
            if self.path == "/health":
                self.tell_health(db)
            elif self.path == "/notes/count":
                self.answer(200, {"count": db.execute("SELECT count(*) FROM note").fetchone()[0]})
            elif self.path == "/notes":
                self.answer(200, {"notes": [dict(row) for row in db.execute("SELECT * FROM note ORDER BY n")]})
            else:
                self.answer(404, {"error": "there is no such page"})
        except sqlite3.Error as error:
            self.answer(500, {"status": "bad", "version": VERSION, "error": str(error)})
        finally:
            db.close()

    def tell_health(self, db):
        """What was counted when it was written must be there."""
        here, written = db.execute(
            "SELECT (SELECT count(*) FROM note), (SELECT value FROM counter WHERE name = 'notes')").fetchone()
        if here != written:
            print(f"health: {written - here} notes are missing", flush=True)
            self.answer(500, {"status": "bad", "version": VERSION, "error": f"{written - here} notes are missing"})
        else:
            self.answer(200, {"status": "ok", "version": VERSION})

    def do_POST(self):
        try:
            note = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            n, text = int(note["n"]), str(note["text"])
        except (ValueError, KeyError, TypeError):
            self.answer(400, {"error": 'expected {"n": 17, "text": "..."}'})
            return
        if self.path != "/notes":
            self.answer(404, {"error": "there is no such page"})
            return
        db = connect()
        try:
            with db:
                db.execute("INSERT INTO note(n, text, created) VALUES(?, ?, ?)", (n, text, time.time()))
                db.execute("UPDATE counter SET value = value + 1 WHERE name = 'notes'")
            self.answer(201, {"n": n})
        except sqlite3.IntegrityError:
            self.answer(409, {"error": f"there is a note {n} already"})
        except sqlite3.Error as error:
            self.answer(500, {"error": str(error)})
        finally:
            db.close()

    def log_message(self, format, *args):
        pass


def run_jobs():
    """Housekeeping: each file in jobs/, again and again."""
    while True:
        time.sleep(JOBS_EVERY)
        for path in sorted((HERE / "jobs").glob("*.py")):
            db = connect()
            try:
                with db:
                    runpy.run_path(str(path))["run"](db)
            finally:
                db.close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False      # at the end, requests under way are answered first
    allow_reuse_address = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
    options = parser.parse_args()
    os.chdir(HERE)
    runpy.run_path("migrations/01_tables.py", run_name="__main__")
    server = Server(("127.0.0.1", options.port), Notes)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    threading.Thread(target=run_jobs, daemon=True).start()
    print(f"notes {VERSION} listens on port {options.port}", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
