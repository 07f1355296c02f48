#!/usr/bin/python3
"""People who use the notes app all the time.

    users.py write --port 8000 --log FILE    posts notes until it is ended; acknowledged ones go to FILE
    users.py check --port 8000 --log FILE    are they all there?
"""
import argparse
import http.client
import json
import sys
import time


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body=body and json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def write(port, log):
    n = 0
    with open(log, "a", encoding="ascii") as acknowledged:
        while True:
            n += 1
            try:
                status, _ = ask(port, "POST", "/notes", {"n": n, "text": f"note number {n}"})
            except (OSError, http.client.HTTPException, ValueError):
                status = None       # the app is away: the next note, in a moment
            if status == 201:
                print(n, int(time.time() * 1000), file=acknowledged, flush=True)
            time.sleep(0.02)


def check(port, log, before_ms):
    with open(log, encoding="ascii") as lines:
        rows = [line.split() for line in lines if line.endswith("\n")]
    told = {int(n) for n, at in rows if before_ms is None or int(at) < before_ms}
    _, body = ask(port, "GET", "/notes")
    missing = told - {note["n"] for note in body["notes"]}
    print(f"{len(told)} notes were acknowledged, {len(told) - len(missing)} of them are there, {len(missing)} are not")
    return 1 if missing else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["write", "check"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--before-ms", type=int, help="check: only those acknowledged before this time")
    options = parser.parse_args()
    if options.what == "write":
        return write(options.port, options.log)
    return check(options.port, options.log, options.before_ms)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
