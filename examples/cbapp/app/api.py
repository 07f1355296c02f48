#!/usr/bin/python3
"""The API of one tenant: people and segments in a SQLite database, db/pocket.db.

    api.py --port 9001

    GET  /api/health     {"status": "ok", "version": "v0.2.0"}; 500 when the database is older than the code
    GET  /api/people     all people
    POST /api/people     {"name": "..."}
"""
import argparse
import http.server
import json
import pathlib
import sqlite3

import cbtext       # from requirements.txt: what a new version needs is installed before it is started

HERE = pathlib.Path(__file__).resolve().parent
VERSION = (HERE / "VERSION").read_text().strip()
NEEDS = json.loads((HERE / "columns.json").read_text())


class Api(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        with sqlite3.connect("db/pocket.db") as db:
            here = {row[1] for row in db.execute("PRAGMA table_info(person)")}
            if self.path == "/api/people":
                self.answer(200, [row[0] for row in db.execute("SELECT name FROM person ORDER BY id")])
            elif self.path != "/api/health":
                self.answer(404, {"error": "no such page"})
            elif set(NEEDS) - here:
                self.answer(500, {"status": "bad", "missing": sorted(set(NEEDS) - here)})
            else:
                self.answer(200, {"status": "ok", "version": VERSION, "tools": cbtext.VERSION})

    def do_POST(self):
        person = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        with sqlite3.connect("db/pocket.db") as db:
            db.execute("INSERT INTO person(name) VALUES(?)", (cbtext.clean(person["name"]),))
        self.answer(201, {})

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, required=True)
    http.server.ThreadingHTTPServer(("127.0.0.1", options.parse_args().port), Api).serve_forever()
