"""A web server on this machine that can be slow, forgetful, broken or down."""

import contextlib
import http.server
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Server:
    """What it does, and what was asked of it.

    Attributes:
        body: of the one file that it has, under any path.
        tag: its ETag; None for none.
        ranges: whether it can continue in the middle.
        status: answer of every request, if not None.
        cut: for each request in turn, after how many bytes the connection breaks; None for never.
        pause: seconds before every piece of 1000 bytes.
        asked: the headers of the requests.
        sent: bytes in all.
    """

    body: bytes = b""
    tag: str | None = '"one"'
    ranges: bool = True
    status: int | None = None
    cut: list[int | None] = field(default_factory=list)
    pause: float = 0.0
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    url: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers requests as the server's fields say."""

    protocol_version = "HTTP/1.1"
    behavior: Server

    def do_GET(self) -> None:
        server = self.behavior
        server.asked.append({"path": self.path, **self.headers})
        limit = server.cut.pop(0) if server.cut else None
        if server.status is not None:
            self.send_error(server.status)
            return
        start = self._start()
        self.send_response(206 if start else 200)
        if start:
            size = len(server.body)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if server.tag is not None:
            self.send_header("ETag", server.tag)
        self.send_header("Content-Length", str(len(server.body) - start))
        self.end_headers()
        with contextlib.suppress(OSError):
            self._send(server.body[start:][:limit])
        self.close_connection = True

    def _start(self) -> int:
        server = self.behavior
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, server.tag)
        return int(wanted[1]) if wanted and same and server.ranges else 0

    def _send(self, data: bytes) -> None:
        for begin in range(0, len(data), 1000):
            time.sleep(self.behavior.pause)
            self.behavior.sent += len(data[begin : begin + 1000])  # before the client can look
            self.wfile.write(data[begin : begin + 1000])

    def log_message(self, *_) -> None:
        """Tests keep quiet."""


@contextlib.contextmanager
def serve(server: Server) -> Iterator[Server]:
    """Run it in a thread on a free port."""
    handler = type("Handler", (Handler,), {"behavior": server})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        web.daemon_threads = True
        server.url = f"http://127.0.0.1:{web.server_port}"
        thread = threading.Thread(target=web.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            web.shutdown()
            thread.join()
