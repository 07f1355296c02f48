"""Release data for tests: a server on loopback that answers as feeds and the pages of forges do."""
import calendar
import http.server
import json
import threading
import time

DAY = 24 * 3600


def stamp(seconds_ago):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))


def seconds(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


class Server:
    """Answers what `pages` says: path (with its query) to (status, headers, body), or to a function of the request."""

    def __init__(self):
        self.pages, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.path, dict(self.headers)))
                answer = outer.pages.get(self.path, (404, {}, b"{}"))
                status, headers, body = answer(self) if callable(answer) else answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def feed(self, *releases, support=(), path="/releases.json", etag='"1"'):
        """A feed with an ETag, as a server of files gives it. Returns its address."""
        body = json.dumps({"format": 1, "product": "notes", "support": list(support),
                           "releases": list(releases)}).encode()

        def answer(request):
            if request.headers.get("If-None-Match") == etag:
                return 304, {"ETag": etag}, b""
            return 200, {"ETag": etag, "Content-Type": "application/json"}, body

        self.pages[path] = answer
        return self.url + path

    def close(self):
        if self.http:
            self.http.shutdown()
            self.http.server_close()
            self.thread.join()
            self.http = None
