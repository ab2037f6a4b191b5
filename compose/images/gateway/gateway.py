"""Serves https with the key, cert and ca of its configuration, which it reads once, as Express Gateway does."""

import http.server
import json
import os
import signal
import ssl
import sys

# Process 1 has no default for SIGTERM: without this, a restart takes 10 s. First, since it may come at once.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

CONFIG = "/etc/gateway/gateway.config.json"


class Gateway(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"gateway, as user {os.getuid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    # Who connects and says nothing keeps nobody else waiting: the handshake is the request's own, not the listener's.
    def finish_request(self, request, client_address):
        request.settimeout(30)
        with tls.wrap_socket(request, server_side=True) as stream:
            super().finish_request(stream, client_address)

    # One that leaves in the midst of a handshake is worth no traceback.
    def handle_error(self, request, client_address):
        print(f"{client_address[0]}: {sys.exc_info()[1]}", file=sys.stderr)


with open(CONFIG, encoding="utf-8") as file:
    https = json.load(file)["https"]
files = https["tls"]["default"]
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
try:
    tls.load_cert_chain(files["cert"], files["key"])
    # Those between the certificate and a root, which clients are given too.
    for path in files["ca"]:
        tls.load_verify_locations(path)
except OSError as problem:
    sys.exit(f"{files['cert']}, {files['key']}, {files['ca']}: {problem}")

print(f"serves https on port {https['port']}")
Server(("", https["port"]), Gateway).serve_forever()
