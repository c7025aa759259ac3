"""Fetch one file over HTTP: progress, resume of what a broken connection left, SHA-256, atomic arrival."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from .errors import Code, XrayInterpError

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, bytes there so far, and bytes in all (None where the server does not say)."""

_CHUNK = 1 << 16
_ATTEMPTS = 3
_TIMEOUT_S = 20.0
_MAX_BYTES = 600 << 20
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


class _Response(Protocol):
    status: int
    headers: http.client.HTTPMessage

    def read(self, amount: int, /) -> bytes: ...


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def download(url: str, target: Path, *, sha256: str | None = None, progress: Progress | None = None) -> str:
    """Fetch `url` to `target` and return its SHA-256; `target` appears whole or not at all.

    What a broken connection left is kept beside it as `<name>.part` and resumed, where the server says by an ETag or a
    date that the file is still the same; three attempts a call.

    Raises:
        XrayInterpError: `offline` where the server cannot be reached, does not have the file, or breaks off;
            `wrong-hash` where the file is not the one expected (it is removed).
    """
    if not _is_private(url):
        raise XrayInterpError(Code.BAD_OPTION, f"{url} is not an https address.")
    part, name = target.with_name(f"{target.name}.part"), target.name
    for attempt in range(_ATTEMPTS):
        try:
            _continue(url, part, name, progress)
            break
        except _NETWORK_ERRORS as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if refused or attempt == _ATTEMPTS - 1:
                raise _offline(url, part, name, error) from error
    found = sha256_of(part)
    _forget(part)
    if sha256 is not None and found != sha256:
        part.unlink()
        raise XrayInterpError(
            Code.WRONG_HASH,
            f"{name} from {url} has the SHA-256 {found}, expected {sha256}; it was removed.",
            "Try again; if it stays so, the file was changed or something between here and the server changes it.",
        )
    part.replace(target)
    return found


def _continue(url: str, part: Path, name: str, progress: Progress | None) -> None:
    """Fetch the whole file, or what is missing of it, into `part`."""
    stamp = _stamp(part)
    have = part.stat().st_size if part.is_file() and stamp.is_file() else 0
    headers = {"User-Agent": "xrayinterp", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": stamp.read_text(encoding="utf-8")}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked by download()
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            if not _is_private(response.url):
                raise ConnectionError(f"{name}: the server sends us on to {response.url}, which is not https")
            _store(response, part, have, name, progress)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        _forget(part)  # what is there is longer than the file: begin again
        raise ConnectionError(f"{name}: the part kept here does not belong to this file") from error


def _store(response: _Response, part: Path, have: int, name: str, progress: Progress | None) -> None:
    resumed = response.status == http.client.PARTIAL_CONTENT
    if resumed and not (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
        _forget(part)
        raise ConnectionError(f"{name}: the server resumed at another place than asked")
    done = have if resumed else 0
    length = response.headers.get("Content-Length")
    total = done + int(length) if length and length.isdigit() else None
    if not resumed:
        _remember(part, response.headers)
    with part.open("ab" if resumed else "wb") as handle:
        while chunk := response.read(_CHUNK):
            handle.write(chunk)
            done += len(chunk)
            if done > _MAX_BYTES:
                raise XrayInterpError(Code.TOO_LARGE, f"{name} is larger than {_MAX_BYTES >> 20} MiB.")
            if progress is not None:
                progress(name, done, total)
    if total is not None and done != total:
        raise ConnectionError(f"the connection broke off at {done} of {total} bytes")


def _is_private(url: str) -> bool:
    """Whether nobody between here and the server can read or change what is fetched."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))


def _stamp(part: Path) -> Path:
    return part.with_name(f"{part.name}.stamp")


def _remember(part: Path, headers: http.client.HTTPMessage) -> None:
    """Keep what identifies the file on the server; a weak ETag cannot, so nothing is resumed on it."""
    etag = headers.get("ETag") or ""
    known = etag if re.fullmatch(r'"[^"]*"', etag) else headers.get("Last-Modified")
    _stamp(part).unlink(missing_ok=True)
    if known:
        _stamp(part).write_text(known, encoding="utf-8")


def _forget(part: Path) -> None:
    _stamp(part).unlink(missing_ok=True)


def _offline(url: str, part: Path, name: str, error: BaseException) -> XrayInterpError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        reason = f"the server answered {error.code} {error.msg}"
    kept = f" {part.stat().st_size} bytes are kept and resumed next time." if part.is_file() else ""
    return XrayInterpError(
        Code.OFFLINE, f"{name} could not be fetched: {reason}.{kept}", f"Check the connection to {url} and try again."
    )


def override(url: str, base: str | None, variable: str) -> str:
    """`url`, or the file of the same name under `base` or under the address in environment variable `variable`."""
    base = base or os.environ.get(variable)
    return f"{base.rstrip('/')}/{url.rsplit('/', 1)[1]}" if base else url
