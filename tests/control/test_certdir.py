"""A directory of certificates is followed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from streamproxy.control import certdir
from streamproxy.control.certdir import CertificateDirectory
from streamproxy.control.certfiles import Files, load
from streamproxy.model import Certificate

from ..tls.pki import Authority, Issued

ROOT = Authority.root("Root")
OLD, NEW = ROOT.issue("a.example.com"), ROOT.issue("a.example.com")


class Scene:
    """A directory with one certificate in it, a clock, and a count of calls."""

    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self.root = root / "certs"
        self.root.mkdir()
        self.calls = 0
        self.writes = 0
        self.put(OLD)
        self.directory = CertificateDirectory(self.root, self.clock, self.called, interval=0.5)

    def called(self) -> None:
        self.calls += 1

    def put(self, issued: Issued, name: str = "a") -> None:
        self.write(f"{name}.crt", issued.chain_pem)
        self.write(f"{name}.key", issued.key_pem)

    def write(self, name: str, content: bytes) -> None:
        """The kernel's clock ticks every few milliseconds, which is too slow to tell our writes apart."""
        self.writes += 1
        (self.root / name).write_bytes(content)
        os.utime(self.root / name, ns=(self.writes, self.writes))

    def started(self) -> CertificateDirectory:
        self.directory.load()
        self.directory.start()
        return self.directory

    def looks(self, count: int = 2) -> int:
        """So many looks later: how often was ``changed`` called in the meantime?"""
        before = self.calls
        for _ in range(count):
            self.clock.advance(0.6)
        return self.calls - before

    @property
    def served(self) -> dict[str, list[bytes]]:
        """The leaf in each file."""
        found: dict[str, list[bytes]] = {}
        for each in self.directory.certificates:
            name = os.path.relpath(each.id.removeprefix("file:"), self.root)
            found[name] = [pair.chain[0] for pair in each.pairs]
        return found

    @property
    def problems(self) -> list[tuple[str, str]]:
        return [(os.path.relpath(one.path, self.root), one.message) for one in self.directory.problems]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


MISMATCH = "the private key does not belong to the certificate"


def test_what_is_there_at_the_start_is_read_at_once(scene: Scene) -> None:
    scene.started()
    assert scene.served == {"a.crt": [OLD.der]}
    assert scene.problems == []
    assert scene.looks(10) == 0, "nothing has changed"
    assert scene.calls == 0


def test_without_a_first_load_it_is_read_when_it_was_seen_twice(scene: Scene) -> None:
    scene.directory.start()
    assert scene.looks(1) == 0
    assert scene.served == {}
    assert scene.looks(1) == 1
    assert scene.served == {"a.crt": [OLD.der]}


def written(scene: Scene) -> None:
    scene.put(NEW)


def renamed(scene: Scene) -> None:
    scene.put(NEW, "new")
    for suffix in (".crt", ".key"):
        (scene.root / f"new{suffix}").rename(scene.root / f"a{suffix}")


def linked(scene: Scene) -> None:
    elsewhere = scene.root.parent / "elsewhere"
    elsewhere.mkdir()
    for suffix, content in ((".crt", NEW.pem), (".key", NEW.key_pem)):
        (elsewhere / suffix).write_bytes(content)
        (scene.root / f"a{suffix}").unlink()
        (scene.root / f"a{suffix}").symlink_to(elsewhere / suffix)


def rewritten_at_the_same_time_and_size(scene: Scene) -> None:
    for suffix, content in ((".crt", NEW.pem), (".key", NEW.key_pem)):
        path = scene.root / f"a{suffix}"
        before = path.stat()
        while path.stat().st_ctime_ns == before.st_ctime_ns:
            path.write_bytes(content)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [written, renamed, linked, rewritten_at_the_same_time_and_size])
def test_a_change_is_taken_over_once_when_it_was_seen_twice(scene: Scene, change: Callable[[Scene], None]) -> None:
    scene.started()
    change(scene)
    assert scene.looks(1) == 0, "it may be half written yet"
    assert scene.served == {"a.crt": [OLD.der]}
    assert scene.looks(1) == 1
    assert scene.served == {"a.crt": [NEW.der]}
    assert scene.looks(10) == 0


def test_new_files_and_files_that_are_gone(scene: Scene) -> None:
    scene.started()
    scene.put(NEW, "b")
    assert scene.looks() == 1
    assert scene.served == {"a.crt": [OLD.der], "b.crt": [NEW.der]}
    for suffix in (".crt", ".key"):
        (scene.root / f"a{suffix}").unlink()
    assert scene.looks(1) == 0
    assert scene.looks(1) == 1
    assert scene.served == {"b.crt": [NEW.der]}


def test_only_what_has_changed_is_read_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.put(OLD, "b")
    scene.started()
    kept = scene.directory.certificates[0]
    read: list[str] = []

    def noted(files: Files) -> Certificate:
        read.append(files.cert)
        return load(files)

    monkeypatch.setattr(certdir, "load", noted)
    scene.put(NEW, "b")
    assert scene.looks() == 1
    assert read == [str(scene.root / "b.crt")]
    assert scene.directory.certificates[0] is kept


class TestHalfWritten:
    def test_half_a_file_and_then_the_whole(self, scene: Scene) -> None:
        scene.started()
        crt = scene.root / "a.crt"
        with crt.open("wb") as file:
            file.write(NEW.pem[:200])
            file.flush()
            assert scene.looks(1) == 0
            with capturedLogs() as events:
                assert scene.looks(3) == 1, "nobody has written for a while: it is looked into"
            assert scene.served == {"a.crt": [OLD.der]}, "what it held before stays"
            assert scene.problems == [("a.crt", "the certificate cannot be read")]
            assert [event["log_level"] for event in events] == [LogLevel.error]
            file.write(NEW.pem[200:])
        scene.write("a.key", NEW.key_pem)
        assert scene.looks() == 1
        assert scene.served == {"a.crt": [NEW.der]}
        assert scene.problems == []

    def test_a_file_that_is_being_written_is_left_alone(self, scene: Scene) -> None:
        scene.started()
        with (scene.root / "b.pem").open("wb") as file:
            for byte in range(5):
                file.write(NEW.pem[byte : byte + 1])
                file.flush()
                assert scene.looks(1) == 0
            file.write(NEW.pem[5:] + NEW.key_pem)
        assert scene.looks() == 1
        assert scene.served == {"a.crt": [OLD.der], "b.pem": [NEW.der]}

    def test_a_certificate_before_its_key(self, scene: Scene) -> None:
        scene.started()
        scene.write("a.crt", NEW.pem)
        assert scene.looks() == 1
        assert (scene.served, scene.problems) == ({"a.crt": [OLD.der]}, [("a.crt", MISMATCH)])
        scene.write("a.key", NEW.key_pem)
        assert scene.looks() == 1
        assert (scene.served, scene.problems) == ({"a.crt": [NEW.der]}, [])

    def test_a_key_that_is_gone(self, scene: Scene) -> None:
        scene.started()
        (scene.root / "a.key").unlink()
        assert scene.looks() == 1
        assert scene.served == {"a.crt": [OLD.der]}
        assert scene.problems == [("a.crt", "there is no private key in it, and none beside it")]
        scene.write("a.key", OLD.key_pem)
        assert scene.looks() == 1
        assert (scene.served, scene.problems) == ({"a.crt": [OLD.der]}, [])

    def test_a_key_before_its_certificate(self, scene: Scene) -> None:
        scene.started()
        (scene.root / "b.key").write_bytes(NEW.key_pem)
        assert scene.looks() == 1
        assert scene.problems == [("b.key", "there is no certificate in it, and none beside it")]
        (scene.root / "b.crt").write_bytes(NEW.pem)
        assert scene.looks() == 1
        assert (scene.served["b.crt"], scene.problems) == ([NEW.der], [])

    def test_a_file_that_goes_as_it_is_read(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(files: object) -> object:
            raise FileNotFoundError(2, "No such file or directory")

        monkeypatch.setattr(certdir, "load", gone)
        scene.started()
        assert scene.problems == [("a.crt", "No such file or directory")]


class TestLinks:
    def test_kubernetes_swaps_a_link(self, scene: Scene) -> None:
        shutil.rmtree(scene.root)
        for version, issued in (("..1", OLD), ("..2", NEW)):
            (scene.root / version).mkdir(parents=True)
            (scene.root / version / "tls.crt").write_bytes(issued.pem)
            (scene.root / version / "tls.key").write_bytes(issued.key_pem)
        (scene.root / "..data").symlink_to("..1")
        for name in ("tls.crt", "tls.key"):
            (scene.root / name).symlink_to(f"..data/{name}")
        scene.started()
        assert scene.served == {"tls.crt": [OLD.der]}

        (scene.root / "..new").symlink_to("..2")
        (scene.root / "..new").rename(scene.root / "..data")

        assert scene.looks() == 1
        assert scene.served == {"tls.crt": [NEW.der]}
        assert scene.problems == []

    def test_certbot_renews(self, scene: Scene) -> None:
        archive, live = scene.root / "archive" / "a", scene.root / "live" / "a"
        archive.mkdir(parents=True)
        live.mkdir(parents=True)

        def issue(number: int, issued: Issued) -> None:
            for name, content in (("fullchain", issued.chain_pem), ("privkey", issued.key_pem)):
                (archive / f"{name}{number}.pem").write_bytes(content)
                (live / f"{name}.pem").unlink(missing_ok=True)
                (live / f"{name}.pem").symlink_to(f"../../archive/a/{name}{number}.pem")

        issue(1, OLD)
        scene.started()
        assert scene.served == {"live/a/fullchain.pem": [OLD.der]}
        issue(2, NEW)
        assert scene.looks() == 1
        assert scene.served == {"live/a/fullchain.pem": [NEW.der]}


class TestADirectoryThatCannotBeRead:
    def test_it_keeps_what_there_was(self, scene: Scene) -> None:
        scene.started()
        aside = scene.root.rename(scene.root.parent / "aside")
        assert scene.looks(5) == 1
        assert scene.served == {"a.crt": [OLD.der]}
        assert scene.problems == [(".", "No such file or directory")]
        aside.rename(scene.root)
        assert scene.looks() == 1
        assert (scene.served, scene.problems) == ({"a.crt": [OLD.der]}, [])

    def test_it_comes_later(self, scene: Scene) -> None:
        shutil.rmtree(scene.root)
        scene.started()
        assert (scene.served, scene.problems) == ({}, [(".", "No such file or directory")])
        scene.root.mkdir()
        scene.put(NEW)
        assert scene.looks() >= 1
        assert (scene.served, scene.problems) == ({"a.crt": [NEW.der]}, [])

    def test_one_below_it(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        (scene.root / "sub").mkdir()
        scene.put(NEW, "sub/b")
        scene.started()
        scandir = os.scandir

        def denied(path: str) -> object:
            if path.endswith("/sub"):
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", denied)
        assert scene.looks(5) == 1
        assert scene.served == {"a.crt": [OLD.der], "sub/b.crt": [NEW.der]}
        assert scene.problems == [("sub", "Permission denied")]


def test_reading_again_in_one_go(scene: Scene) -> None:
    scene.started()
    (scene.root / "a.crt").unlink()
    (scene.root / "a.key").unlink()
    scene.put(NEW, "b")
    scene.directory.load()
    assert scene.served == {"b.crt": [NEW.der]}
    assert scene.calls == 0


def test_many_files_leave_others_their_turn(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certdir, "STEPS", 4)
    scene.started()
    for number in range(10):
        scene.put(NEW, f"n{number}")
    assert scene.looks(1) == 0
    turns = 0
    scene.clock.advance(0.6)
    while not scene.calls:
        assert len(scene.clock.getDelayedCalls()) == 1
        turns += 1
        scene.clock.advance(certdir.PAUSE)
    assert turns >= 2
    assert len(scene.served) == 11
    assert scene.calls == 1
    assert scene.looks(10) == 0


def test_beginning_with_many_files_leaves_others_their_turn(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """And tells once, when all have been read, without waiting to see them twice."""
    monkeypatch.setattr(certdir, "STEPS", 4)
    for number in range(10):
        scene.put(NEW, f"n{number}")
    scene.directory.begin()
    turns = 0
    scene.clock.advance(0)
    while not scene.calls:
        assert scene.served == {}, "half of them are served"
        turns += 1
        scene.clock.advance(certdir.PAUSE)
    assert turns >= 2
    assert len(scene.served) == 11
    assert scene.looks(10) == 0
    scene.put(NEW)
    assert scene.looks() == 1, "it is looked on"


def test_stopped_and_started(scene: Scene) -> None:
    directory = scene.started()
    directory.start()
    assert len(scene.clock.getDelayedCalls()) == 1
    directory.stop()
    directory.stop()
    assert scene.clock.getDelayedCalls() == []
    scene.put(NEW)
    assert scene.looks(5) == 0
    directory.start()
    assert scene.looks() == 1
    assert scene.served == {"a.crt": [NEW.der]}


def test_stopped_by_who_is_told(scene: Scene) -> None:
    directory = CertificateDirectory(scene.root, scene.clock, lambda: directory.stop(), interval=0.5)
    directory.start()
    scene.looks(5)
    assert directory.certificates
    assert scene.clock.getDelayedCalls() == []


def test_one_who_cannot_take_it_over_is_told_of_the_next_change(scene: Scene) -> None:
    def broken() -> None:
        scene.calls += 1
        raise ZeroDivisionError("in changed")

    directory = CertificateDirectory(scene.root, scene.clock, broken, interval=0.5)
    directory.start()
    with capturedLogs() as events:
        assert scene.looks(5) == 1
        scene.put(NEW)
        assert scene.looks(5) == 1
    failures = [event["log_failure"].type for event in events if event["log_level"] is LogLevel.critical]
    assert failures == [ZeroDivisionError] * 2


def test_problems_are_bounded_and_each_is_logged_once(scene: Scene) -> None:
    for number in range(300):
        (scene.root / f"n{number}.pem").write_bytes(b"nothing")
    with capturedLogs() as events:
        scene.started()
        scene.looks(10)
    assert len(scene.directory.problems) == 201
    assert len(events) == 201
