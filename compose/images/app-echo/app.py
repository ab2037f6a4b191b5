"""Answers every request with what was asked and what the proxy in front told about the visitor."""

import http.server
import os
import signal
import socket
import sys

NAME = os.environ.get("APP_NAME", "app-echo")
TOLD_BY_PROXY = ("host", "forwarded", "x-real-ip")


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        lines = [f"{NAME} in container {socket.gethostname()}", f"{self.command} {self.path}"]
        lines += [
            f"{name}: {value}"
            for name, value in self.headers.items()
            if name.lower() in TOLD_BY_PROXY or name.lower().startswith("x-forwarded-")
        ]
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer


# Process 1 has no default for SIGTERM: without this, `docker stop` takes 10 s.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("", 8000), Echo).serve_forever()
