"""A file server on 127.0.0.1 that knows Range and If-Range, can break off, and remembers what it was asked."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIECE = 1 << 16


@dataclass
class FileServer:
    """`files` by name may be changed while it runs; the next `breaks` answers end after `break_after` bytes.

    `pause` is waited between pieces of 64 KiB, in seconds.
    """

    url: str
    files: dict[str, bytes]
    breaks: int = 0
    break_after: int = 0
    stamps: bool = True
    pause: float = 0.0
    requests: list[Mapping[str, str]] = field(default_factory=list)


@contextmanager
def serve(files: Mapping[str, bytes]) -> Iterator[FileServer]:
    """Serve `files` until the block ends."""
    served = FileServer("", dict(files))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[1]
            served.requests.append({"path": self.path, **dict(self.headers.items())})
            if name not in served.files:
                self.send_error(404)
                return
            data = served.files[name]
            tag = f'"{hashlib.md5(data).hexdigest()}"'
            start = self._start(tag)
            if start >= len(data) and start:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if served.stamps:
                self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            end = len(data)
            if served.breaks > 0:
                served.breaks -= 1
                end = start + served.break_after
            for piece in range(start, end, _PIECE):
                time.sleep(served.pause)
                self.wfile.write(data[piece : min(piece + _PIECE, end)])

        def _start(self, tag: str) -> int:
            wanted = self.headers.get("Range", "")
            if not wanted or self.headers.get("If-Range") != tag:
                return 0
            return int(wanted.removeprefix("bytes=").rstrip("-"))

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
