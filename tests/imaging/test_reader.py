"""`read` through the decoding child: the same film as in process, and a child that may die, hang or be forked from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import hostile
from helpers.dx_factory import Encoding, dx, ramp, to_bytes

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging import pool, reader, wire
from xrayinterp.imaging.decode import decode
from xrayinterp.imaging.limits import LIMITS, Limits
from xrayinterp.imaging.radiograph import Radiograph

PROC = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")


def ask(children: pool.Pool, data: bytes) -> Radiograph:
    descriptor = wire.store([data])
    try:
        return children.read(descriptor, {})
    finally:
        os.close(descriptor)


@pytest.fixture
def children() -> Iterator[Callable[..., pool.Pool]]:
    """Makes pools of one child that end with the test."""
    made: list[pool.Pool] = []

    def make(**caps: float) -> pool.Pool:
        made.append(pool.Pool(1, Limits(**caps)))
        return made[-1]

    yield make
    for found in made:
        found.close()


def refused(action: Callable[[], Radiograph]) -> XrayInterpError:
    with pytest.raises(XrayInterpError) as caught:
        action()
    return caught.value


def run(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_path_bytes_and_this_process_give_the_same_film(tmp_path: Path):
    data = to_bytes(dx(ramp(300, 400), Encoding("MONOCHROME1", voi="two")))
    path = tmp_path / "film.anything"
    path.write_bytes(data)
    here = decode(data, view="AP", window=1)
    for film in (reader.read(path, view="AP", window=1), reader.read(str(path), view="AP", window=1)):
        np.testing.assert_array_equal(film.pixels, here.pixels)
        np.testing.assert_array_equal(film.display, here.display)
        assert film.pixels.flags.writeable
        for field in ("view", "view_from", "spacing_mm", "warnings", "sha256", "source", "recipe"):
            assert getattr(film, field) == getattr(here, field)
    assert reader.read(data, view="AP", window=1).sha256 == here.sha256


def test_errors_are_the_same_with_and_without_the_child(tmp_path: Path):
    path = tmp_path / "scan.txt"
    path.write_bytes(b"hello world")
    error = refused(lambda: reader.read(path))
    assert (error.code, error.message) == (Code.NOT_AN_IMAGE, "scan.txt is not a DICOM, PNG or JPEG file.")
    assert refused(lambda: reader.read(b"hello world", name="scan.txt")).message == error.message
    assert "The file is not" in refused(lambda: reader.read(b"hello world")).message
    lateral = to_bytes(dx(ViewPosition="LL"))
    in_child, here = refused(lambda: reader.read(lateral)), refused(lambda: decode(lateral))
    assert (in_child.code, in_child.message, in_child.hint) == (here.code, here.message, here.hint)


def test_files_that_are_not_there_or_no_files(tmp_path: Path):
    folder, pipe, huge = tmp_path / "folder", tmp_path / "pipe", tmp_path / "huge.dcm"
    folder.mkdir()
    os.mkfifo(pipe)
    with huge.open("wb") as file:
        file.truncate(LIMITS.file_bytes + 1)
    for path, code, words in (
        (tmp_path / "none.dcm", Code.NOT_FOUND, "none.dcm does not exist."),
        (folder, Code.NOT_FOUND, "folder is a folder."),
        (pipe, Code.NOT_FOUND, "pipe is not a file."),
        (Path("/dev/zero"), Code.NOT_FOUND, "zero is not a file."),
        (Path("a\0b"), Code.NOT_FOUND, "cannot be opened"),
        (huge, Code.TOO_LARGE, "the limit is 160 MB"),
    ):
        error = refused(lambda path=path: reader.read(path))
        assert error.code is code
        assert words in error.message
        assert str(tmp_path) not in error.message
    assert refused(lambda: reader.read(bytes(LIMITS.file_bytes + 1))).code is Code.TOO_LARGE


@pytest.mark.parametrize("name", list(hostile.FILES))
def test_hostile_files_end_in_their_code(name: str):
    make, codes = hostile.FILES[name]
    try:
        reader.read(make(), name="scan.dcm")
    except XrayInterpError as error:
        assert error.code in codes
        assert error.message.endswith(".")
    else:
        assert None in codes


@PROC
def test_a_hostile_file_stays_within_its_memory(children: Callable[..., pool.Pool]):
    one = children()
    ask(one, to_bytes(dx()))
    status = Path(f"/proc/{one.pids()[0]}/status")
    for name in ("deflate bomb, 300 kB to 300 MB", "RLE claiming 30000 x 30000", "JPEG 2000 claiming 60000 x 60000"):
        refused(lambda name=name: ask(one, hostile.FILES[name][0]()))
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 200_000


def test_a_child_killed_half_way_is_replaced_and_the_film_read(children: Callable[..., pool.Pool]):
    one = children()
    ask(one, to_bytes(dx()))
    (first,) = one.pids()
    slow = hostile.many_elements(40_000)
    threading.Timer(0.05, os.kill, (first, signal.SIGKILL)).start()
    assert ask(one, slow).view == "PA"
    assert ask(one, to_bytes(dx())).view == "PA"
    assert one.pids() != (first,)


def test_a_file_that_kills_every_child_is_unsafe_and_the_next_film_is_read(
    children: Callable[..., pool.Pool], monkeypatch: pytest.MonkeyPatch
):
    one = children()
    take = one._take

    def doomed() -> pool.Worker:
        worker = take()
        os.kill(worker.pid, signal.SIGKILL)
        return worker

    with monkeypatch.context() as patched:
        patched.setattr(one, "_take", doomed)
        error = refused(lambda: ask(one, to_bytes(dx())))
    assert (error.code, error.message) == (Code.UNSAFE_FILE, "The decoder crashed on this file.")
    assert ask(one, to_bytes(dx())).view == "PA"


def test_a_child_ends_itself_when_its_time_is_up(children: Callable[..., pool.Pool]):
    one = children(seconds=0.2)
    error = refused(lambda: ask(one, hostile.many_elements(200_000)))
    assert (error.code, error.message) == (Code.UNSAFE_FILE, "Reading the file took longer than the limit of 0.2 s.")
    assert one.pids() == ()


def test_a_stuck_child_is_ended_and_the_next_film_is_read(
    children: Callable[..., pool.Pool], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "_GRACE_SECONDS", 0.2)
    one = children(seconds=5)
    ask(one, to_bytes(dx()))
    monkeypatch.setattr(one._idle[0], "_limits", Limits(seconds=0.3))
    os.kill(one.pids()[0], signal.SIGSTOP)
    start = time.perf_counter()
    error = refused(lambda: ask(one, to_bytes(dx())))
    assert error.code is Code.UNSAFE_FILE
    assert time.perf_counter() - start < 10
    assert ask(one, to_bytes(dx())).view == "PA"


def test_an_interrupt_half_way_leaves_no_answer_for_the_next_film(
    children: Callable[..., pool.Pool], monkeypatch: pytest.MonkeyPatch
):
    one = children()
    first, second = to_bytes(dx(ramp(64, 96))), to_bytes(dx(ramp(80, 120)))
    ask(one, first)

    def interrupted(channel: object) -> wire.Frame:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(wire, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask(one, first)
    assert ask(one, second).shape == (80, 120)


@PROC
def test_a_file_that_needs_more_memory_than_allowed_is_too_large(children: Callable[..., pool.Pool]):
    error = refused(lambda: ask(children(memory_bytes=20_000_000), to_bytes(dx(ramp(2500, 3000)))))
    assert error.code is Code.TOO_LARGE
    assert "20 MB of memory" in error.message


def test_threads_do_not_mix_their_films():
    films = [to_bytes(dx(ramp(64 + 8 * i, 128 + 16 * i))) for i in range(6)]
    expected = [decode(data).sha256 for data in films]
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(reader.read, films * 5))
    assert [film.sha256 for film in found] == expected * 5
    assert [film.shape for film in found] == [(64 + 8 * i, 128 + 16 * i) for i in range(6)] * 5
    assert len(pool.shared().pids()) <= 2


@PROC
def test_reading_leaves_no_descriptors_behind():
    data, bad = to_bytes(dx()), to_bytes(dx(ViewPosition="LL"))
    reader.read(data)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        reader.read(data)
        refused(lambda: reader.read(bad))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1  # at most the channel of one more child


@PROC
def test_the_child_never_loads_torch():
    reader.read(to_bytes(dx()))
    for pid in pool.shared().pids():
        assert "torch" not in Path(f"/proc/{pid}/maps").read_text()


def test_importing_the_reader_is_light():
    found = run(
        """
        import sys
        from xrayinterp.imaging import reader
        heavy = {"torch", "pydicom", "highdicom", "PIL", "skimage", "streamlit"} & set(sys.modules)
        print(heavy or "light")
        """
    )
    assert found.stdout.strip() == "light"


def test_the_child_ends_with_its_parent_however_that_ends():
    for last_words in ("", "os._exit(1)", "os.kill(os.getpid(), 9)"):
        found = run(
            f"""
            import os
            from xrayinterp.imaging import pool, reader
            reader.warm()
            print(*pool.shared().pids(), flush=True)
            {last_words}
            """
        )
        (pid,) = (int(word) for word in found.stdout.split())
        assert "Warning" not in found.stderr
        for _ in range(100):
            if not _runs(pid):
                break
            time.sleep(0.1)
        assert not _runs(pid)


def test_a_forked_process_reads_with_a_child_of_its_own():
    found = run(
        f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from helpers.dx_factory import dx, to_bytes
        from xrayinterp.imaging import pool, reader
        data = to_bytes(dx())
        reader.read(data)
        mine = pool.shared().pids()
        if (forked := os.fork()) == 0:
            reader.read(data)
            os._exit(0 if not set(pool.shared().pids()) & set(mine) else 1)
        status = os.waitpid(forked, 0)[1]
        reader.read(data)
        print(status, pool.shared().pids() == mine)
        """
    )
    assert found.stdout.strip() == "0 True", found.stderr


def test_a_folder_of_modules_in_the_working_directory_does_not_matter(tmp_path: Path):
    (tmp_path / "dl").mkdir()
    (tmp_path / "dl" / "__init__.py").write_text("raise RuntimeError('wrong module')")
    (tmp_path / "pydicom.py").write_text("raise RuntimeError('wrong module')")
    film = tmp_path / "film.dcm"
    film.write_bytes(to_bytes(dx()))
    script = "from xrayinterp.imaging.reader import read; print(read('film.dcm').view)"
    command = [sys.executable, "-P", "-c", script]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert found.stdout.strip() == "PA", found.stderr


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())
