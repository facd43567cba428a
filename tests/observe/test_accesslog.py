"""The access log gets lines into a file, and gets over it when it cannot."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from streamproxy.observe import accesslog
from streamproxy.observe.accesslog import FLUSH_AT, FULL_PIPE_RETRY, MOST_WAITING, AccessLog

from .records import RECORD, record

OpenLog = Callable[..., AccessLog]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def open_log(path: Path, clock: Clock) -> Iterator[OpenLog]:
    logs: list[AccessLog] = []

    def open_log(where: object = path, format: str = "$connection") -> AccessLog:  # noqa: A002
        log = AccessLog(str(where), format, clock)
        log.start()
        logs.append(log)
        return log

    yield open_log
    for log in logs:
        log.stop()


def write(log: AccessLog, *ids: object) -> None:
    for id_ in ids:
        log.write(record(id=str(id_)))


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def fill(log: AccessLog, characters: int) -> list[str]:
    """Write lines of a hundred characters until that much was written; answers them."""
    written = []
    for number in range(-(-characters // 101)):
        written.append(f"{number:0100d}")
        write(log, written[-1])
    return written


def no_trouble(log: AccessLog) -> bool:
    return log.problem is None and log.lost == 0


class TestWriting:
    def test_a_line_is_written_within_a_second(self, path: Path, clock: Clock, open_log: OpenLog) -> None:
        log = open_log()
        write(log, 1, 2)
        assert lines(path) == []
        clock.advance(1)
        assert lines(path) == ["1", "2"]
        write(log, 3)
        clock.advance(1)
        assert lines(path) == ["1", "2", "3"]
        assert clock.getDelayedCalls() == [], "nothing waits, nothing is to come"

    def test_many_lines_are_written_before(self, path: Path, open_log: OpenLog) -> None:
        log = open_log()
        written = fill(log, FLUSH_AT)
        assert lines(path) == written

    def test_what_waits_is_written_at_the_end(self, path: Path, clock: Clock, open_log: OpenLog) -> None:
        log = open_log()
        write(log, 1)
        log.stop()
        assert lines(path) == ["1"]
        assert clock.getDelayedCalls() == []
        log.stop()
        write(log, 2)
        log.reopen()
        log.flush()
        assert (lines(path), log.lost) == (["1"], 1)

    def test_lines_are_added_to_what_is_there(self, path: Path, open_log: OpenLog) -> None:
        path.write_text("0\n")
        log = open_log()
        write(log, 1)
        log.flush()
        assert lines(path) == ["0", "1"]

    def test_others_may_not_read_it(self, path: Path, open_log: OpenLog) -> None:
        open_log()
        assert path.stat().st_mode & 0o007 == 0

    def test_the_format_is_checked_at_once(self, clock: Clock) -> None:
        with pytest.raises(ValueError, match=r"no variable \$nonsense"):
            AccessLog("-", "$nonsense", clock)

    def test_a_format_may_hold_what_no_file_can(self, path: Path, open_log: OpenLog) -> None:
        log = open_log(format="\ud800\u00e9 $connection")
        write(log, 1)
        log.flush()
        assert lines(path) == ["\\ud800\u00e9 1"]

    def test_json(self, path: Path, open_log: OpenLog) -> None:
        log = open_log(format="json")
        log.write(RECORD)
        log.flush()
        assert [json.loads(line)["id"] for line in lines(path)] == [RECORD.id]

    def test_otoroshi_with_its_service(self, path: Path, clock: Clock) -> None:
        log = AccessLog(str(path), "otoroshi", clock, service=lambda ended: {"id": ended.owner})
        log.write(RECORD)
        log.stop()
        assert json.loads(path.read_text())["service"] == {"id": RECORD.owner}

    def test_standard_output(self, clock: Clock, open_log: OpenLog, capfd: pytest.CaptureFixture[str]) -> None:
        log = open_log("-")
        write(log, 1)
        log.reopen()
        assert capfd.readouterr().out == "1\n"
        write(log, 2)
        log.stop()
        os.write(1, b"still open\n")
        assert capfd.readouterr().out == "2\nstill open\n"

    def test_a_daemon_that_changes_its_directory(
        self, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        log = AccessLog(path.name, "$connection", clock)
        monkeypatch.chdir("/")
        write(log, 1)
        log.stop()
        assert lines(path) == ["1"]


class TestRotation:
    def test_a_moved_file_gets_what_came_before_and_a_new_one_the_rest(self, path: Path, open_log: OpenLog) -> None:
        log = open_log()
        write(log, 1)
        old = path.rename(path.with_suffix(".1"))
        log.reopen()
        write(log, 2)
        log.flush()
        assert (lines(old), lines(path)) == (["1"], ["2"])

    def test_without_reopening_the_moved_file_goes_on(self, path: Path, open_log: OpenLog) -> None:
        log = open_log()
        old = path.rename(path.with_suffix(".1"))
        write(log, 1)
        log.flush()
        assert lines(old) == ["1"]
        assert not path.exists()


class TestTrouble:
    def test_a_full_disk_is_a_problem_until_there_is_room(self, path: Path, clock: Clock, open_log: OpenLog) -> None:
        path.symlink_to("/dev/full")
        log = open_log()
        write(log, 1)
        assert log.problem is None
        clock.advance(1)
        assert log.problem == f"{path}: No space left on device"
        path.unlink()
        clock.advance(1)
        assert no_trouble(log)
        assert lines(path) == ["1"]

    def test_a_directory_that_is_not_there(self, path: Path, clock: Clock, open_log: OpenLog) -> None:
        log = open_log(path.parent / "logs" / "access.log")
        assert log.problem == f"{path.parent}/logs/access.log: No such file or directory"
        write(log, 1)
        clock.advance(1)
        (path.parent / "logs").mkdir()
        clock.advance(1)
        assert log.problem is None
        assert lines(path.parent / "logs" / "access.log") == ["1"]

    def test_a_directory_that_vanishes_with_the_file(self, path: Path, clock: Clock, open_log: OpenLog) -> None:
        log = open_log()
        path.unlink()
        path.parent.rmdir()
        log.reopen()
        assert log.problem is not None
        write(log, 1)
        path.parent.mkdir()
        clock.advance(1)
        assert lines(path) == ["1"]

    def test_what_there_is_no_room_to_keep_is_counted(
        self, path: Path, clock: Clock, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.mkdir()
        log = open_log()
        tried = 0
        real_open = os.open

        def counting_open(*args: Any) -> int:
            nonlocal tried
            tried += 1
            return real_open(*args)

        monkeypatch.setattr(os, "open", counting_open)
        written = fill(log, MOST_WAITING + 5050)
        assert log.lost == 50
        assert tried == 1, "it is tried again when it is time, not for each line"

        path.rmdir()
        clock.advance(1)
        assert lines(path) == written[:-50]
        write(log, "new")
        log.flush()
        assert lines(path)[-1] == "new"

    def test_what_waits_at_the_end_in_vain_is_counted(self, path: Path, clock: Clock, open_log: OpenLog) -> None:
        path.mkdir()
        log = open_log()
        write(log, 1, 2, 3)
        log.stop()
        assert log.lost == 3
        assert clock.getDelayedCalls() == []

    def test_a_line_that_was_cut_by_a_full_disk_is_finished(
        self, path: Path, clock: Clock, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = open_log()
        write(log, "first", "second")
        let_it_take(monkeypatch, path, 8)
        clock.advance(1)
        assert path.read_text() == "first\nse"
        assert log.problem == f"{path}: No space left on device"
        monkeypatch.undo()
        clock.advance(1)
        assert lines(path) == ["first", "second"]
        assert no_trouble(log)

    def test_a_line_that_was_cut_is_not_finished_in_another_file(
        self, path: Path, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = open_log()
        write(log, "first", "second", "third")
        let_it_take(monkeypatch, path, 8)
        log.flush()
        old = path.rename(path.with_suffix(".1"))
        log.reopen()
        assert old.read_text() == "first\nse"
        assert lines(path) == ["third"]
        assert log.lost == 1

    def test_a_file_that_complains_when_it_is_closed(
        self, path: Path, open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = open_log()
        write(log, 1)
        real_close = os.close

        def close(descriptor: int) -> None:
            real_close(descriptor)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "close", close)
        log.stop()
        assert lines(path) == ["1"]


def let_it_take(monkeypatch: pytest.MonkeyPatch, path: Path, room: int) -> None:
    """From now on the file takes so many bytes and no more: its disk is full. Other files lie elsewhere."""
    real_write = os.write
    inode = path.stat().st_ino

    def write_some(descriptor: int, data: bytes) -> int:
        nonlocal room
        if os.fstat(descriptor).st_ino != inode:
            return real_write(descriptor, data)
        taken, room = min(room, len(data)), max(0, room - len(data))
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(descriptor, data[:taken])

    monkeypatch.setattr(os, "write", write_some)


class TestPipes:
    @pytest.fixture
    def reader(self, path: Path) -> Iterator[int]:
        os.mkfifo(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        yield descriptor
        os.close(descriptor)

    def test_one_that_nobody_has_opened_does_not_hold_us_up(self, path: Path, clock: Clock, open_log: OpenLog) -> None:
        os.mkfifo(path)
        log = open_log()
        assert log.problem == f"{path}: No such device or address"
        write(log, 1)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        clock.advance(1)
        assert os.read(reader, 100) == b"1\n"
        os.close(reader)

    def test_one_whose_reader_does_not_read_does_not_hold_us_up(
        self, path: Path, clock: Clock, open_log: OpenLog, reader: int
    ) -> None:
        log = open_log()
        written = fill(log, 300_000)
        clock.advance(FULL_PIPE_RETRY)
        clock.advance(FULL_PIPE_RETRY)
        assert log.problem == f"{path}: its reader does not read"

        read = b""
        while len(read) < 101 * len(written):
            chunk = os.read(reader, 1_000_000)
            assert chunk.endswith(b"\n"), "lines arrive whole"
            read += chunk
            clock.advance(FULL_PIPE_RETRY)
        assert read.decode().splitlines() == written
        assert no_trouble(log)
        assert clock.getDelayedCalls() == []

    def test_a_line_longer_than_a_pipe_takes_at_once(self, clock: Clock, open_log: OpenLog, reader: int) -> None:
        log = open_log()
        write(log, "x" * 10_000, "y")
        log.flush()
        assert os.read(reader, 100_000) == b"x" * 10_000 + b"\ny\n"

    def test_a_reader_that_goes_away_and_another_that_comes(self, path: Path, clock: Clock, open_log: OpenLog) -> None:
        os.mkfifo(path)
        first = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        log = open_log()
        os.close(first)
        write(log, 1)
        clock.advance(1)
        assert log.problem == f"{path}: Broken pipe"
        second = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        clock.advance(1)
        assert os.read(second, 100) == b"1\n"
        os.close(second)

    def test_a_descriptor_that_says_it_is_ready_and_is_not(
        self, clock: Clock, open_log: OpenLog, reader: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = open_log()
        fill(log, 150_000)
        monkeypatch.setattr(accesslog, "_is_ready", lambda _: True)
        log.flush()
        assert log.problem is not None
        assert log.lost == 0


def test_it_needs_no_twisted() -> None:
    script = "import sys, streamproxy.observe.accesslog; print([name for name in sys.modules if 'twisted' in name])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
