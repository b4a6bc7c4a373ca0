"""The HTTP/1.1 server that auth.py and echo.py share: one thread a connection, keep-alive."""

import argparse
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A peer that hangs up is no news.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Calls `answer(body_length)` for every method. Of the body only the start is kept."""

    protocol_version = "HTTP/1.1"
    timeout = 75  # longer than Envoy keeps an idle connection
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one write

    def __getattr__(self, name):
        if name.startswith("do_"):
            return lambda: self.answer(self.read_body())
        raise AttributeError(name)

    def read_body(self):
        self.body = b""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            total = 0
            while True:
                size = int(self.rfile.readline(1024).split(b";")[0], 16)
                if size == 0:
                    while self.rfile.readline(65536).strip():
                        pass  # trailers
                    return total
                total += self.read(size)
                self.rfile.readline(1024)
        return self.read(int(self.headers.get("content-length", "0")))

    def read(self, size):
        left = size
        while left > 0:
            piece = self.rfile.read(min(left, 65536))
            if not piece:
                raise ConnectionAbortedError("body cut short")
            left -= len(piece)
            self.body = (self.body + piece)[:8192]
        return size

    def reply(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def options(about):
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--listen", default="0.0.0.0:8080", metavar="ADDRESS:PORT")
    return parser


def main(handler, listen):
    """Serves until SIGTERM or SIGINT. Prints the port, so that a parent may ask for port 0."""
    address, _, port = listen.rpartition(":")
    try:
        server = Server((address, int(port)), handler)
    except OSError as error:
        sys.exit(f"cannot listen on {address}:{port}: {error.strerror}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))  # holds no state worth saving
    print(f"listening on {server.server_address[1]}", flush=True)
    server.serve_forever()
