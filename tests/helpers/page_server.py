"""The app on a free port of this machine, as a process that can be asked what it is doing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASKED = signal.SIGUSR1
_STARTED = (
    f"import faulthandler; faulthandler.register({int(ASKED)}); from streamlit.web.cli import main; "
    "main(prog_name='streamlit')"
)
_running: list[subprocess.Popen[bytes]] = []


@contextmanager
def serving(**environment: str) -> Iterator[str]:
    """The address of the app, while it runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", _STARTED, "run", "app.py", "--server.port", str(port)]
    inherited = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=inherited | environment, stdout=subprocess.DEVNULL) as process:
        _running.append(process)
        try:
            _wait_until_up(f"http://localhost:{port}/_stcore/health")
            yield f"http://localhost:{port}"
        finally:
            _running.remove(process)
            process.terminate()


def tell_where_they_are() -> None:
    """Let every server that runs write the stacks of its threads to the test's standard error."""
    for process in _running:
        process.send_signal(ASKED)
    time.sleep(1)


def _wait_until_up(url: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"{url} did not come up")
