"""Changed files are noticed, once they are whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from streamproxy.control.filewatch import FileWatch


class Scene:
    """A directory, a clock, and a count of calls."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.config = directory / "config.yaml"
        self.other = directory / "other.yaml"
        self.config.write_text("port: 1")
        self.calls = 0

    def watch(self, *paths: Path) -> FileWatch:
        watch = FileWatch(self.clock, paths or (self.config, self.other), self.called, interval=0.5)
        watch.start()
        return watch

    def called(self) -> None:
        self.calls += 1

    def looks(self, count: int) -> int:
        """So many looks later: how often was ``changed`` called in the meantime?"""
        before = self.calls
        for _ in range(count):
            self.clock.advance(0.5)
        return self.calls - before


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_nothing_changes_and_nobody_is_called(scene: Scene) -> None:
    scene.watch()
    assert scene.looks(10) == 0


def written(scene: Scene) -> None:
    scene.config.write_text("port: 22")


def touched(scene: Scene) -> None:
    os.utime(scene.config, ns=(1, 1))


def replaced_by_one_of_the_same_size_and_time(scene: Scene) -> None:
    found = scene.config.stat()
    scene.other.write_text("port: 2")
    os.utime(scene.other, ns=(found.st_atime_ns, found.st_mtime_ns))
    scene.other.rename(scene.config)


def removed(scene: Scene) -> None:
    scene.config.unlink()


def joined_by_the_other(scene: Scene) -> None:
    scene.other.write_text("")


@pytest.mark.parametrize(
    "change", [written, touched, replaced_by_one_of_the_same_size_and_time, removed, joined_by_the_other]
)
def test_a_change_is_told_once_when_it_was_found_twice(scene: Scene, change: Callable[[Scene], None]) -> None:
    scene.watch()
    change(scene)
    assert scene.looks(1) == 0, "it may be half written yet"
    assert scene.looks(1) == 1
    assert scene.looks(10) == 0


def test_a_file_that_is_being_written_is_left_alone(scene: Scene) -> None:
    scene.watch()
    for size in range(5):
        scene.config.write_text("x" * (20 + size))
        assert scene.looks(1) == 0
    assert scene.looks(1) == 1


def test_several_files_that_change_together_are_one_change(scene: Scene) -> None:
    scene.watch()
    written(scene)
    joined_by_the_other(scene)
    assert scene.looks(5) == 1


def test_each_of_two_changes_is_told(scene: Scene) -> None:
    scene.watch()
    removed(scene)
    assert scene.looks(2) == 1
    written(scene)
    assert scene.looks(2) == 1


def test_a_link_that_is_made_to_point_elsewhere_is_a_change(scene: Scene, tmp_path: Path) -> None:
    scene.other.write_text("port: 2")
    link = tmp_path / "link"
    link.symlink_to(scene.config)
    scene.watch(link)
    new = tmp_path / "new"
    new.symlink_to(scene.other)
    new.rename(link)
    assert scene.looks(2) == 1


def test_what_changed_before_the_start_counts(scene: Scene) -> None:
    watch = FileWatch(scene.clock, [scene.config], scene.called)
    written(scene)
    watch.start()
    assert scene.looks(2) == 1


def test_a_path_that_cannot_be_looked_at_is_a_missing_file(scene: Scene) -> None:
    scene.watch(scene.config / "below", scene.config.parent / ("x" * 300))
    assert scene.looks(3) == 0


def test_stopped_and_started(scene: Scene) -> None:
    watch = scene.watch()
    watch.start()
    watch.stop()
    watch.stop()
    assert scene.clock.getDelayedCalls() == []
    written(scene)
    assert scene.looks(3) == 0
    watch.start()
    assert scene.looks(3) == 1


def test_one_who_cannot_take_it_over_is_told_of_the_next_change(scene: Scene) -> None:
    def broken() -> None:
        scene.calls += 1
        raise ZeroDivisionError("in changed")

    FileWatch(scene.clock, [scene.config], broken).start()
    with capturedLogs() as events:
        written(scene)
        assert scene.looks(5) == 1
        removed(scene)
        assert scene.looks(5) == 1
    failures = [event["log_failure"].type for event in events if event["log_level"] is LogLevel.critical]
    assert failures == [ZeroDivisionError] * 2
