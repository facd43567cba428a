"""Who waits until a node has room."""

from __future__ import annotations

from collections.abc import Callable

from streamproxy.balance.queue import LOOKED_AT, Queue


class Room:
    """Some places; and those who wait for one, by name."""

    def __init__(self, places: int = 0) -> None:
        self.queue = Queue()
        self.places = places
        self.served: list[str] = []
        self.asked: list[str] = []

    def wait(self, name: str, *, useless: bool = False, then: Callable[[], None] = lambda: None) -> Waiter:
        waiter = Waiter(self, name, useless, then)
        self.queue.join(waiter)
        return waiter

    def free(self) -> None:
        self.places += 1
        self.queue.advance()


class Waiter:
    def __init__(self, room: Room, name: str, useless: bool, then: Callable[[], None]) -> None:
        self.room, self.name, self.useless, self.then = room, name, useless, then

    def your_turn(self) -> bool:
        self.room.asked.append(self.name)
        if self.useless or not self.room.places:
            return False
        self.room.places -= 1
        self.room.queue.leave(self)
        self.room.served.append(self.name)
        self.then()
        return True


def test_first_come_first_served() -> None:
    room = Room()
    for name in "abc":
        room.wait(name)
    room.free()
    assert room.served == ["a"]
    room.places += 1
    room.free()
    assert room.served == ["a", "b", "c"]
    assert len(room.queue) == 0
    room.free()


def test_who_leaves_is_passed_over() -> None:
    room = Room()
    first, _ = room.wait("a"), room.wait("b")
    room.queue.leave(first)
    room.queue.leave(first)
    room.free()
    assert room.served == ["b"]


def test_one_who_has_no_use_for_it_does_not_block_the_others() -> None:
    room = Room()
    room.wait("a", useless=True)
    room.wait("b")
    room.free()
    assert room.served == ["b"]
    assert len(room.queue) == 1


def test_not_everybody_is_asked_in_vain() -> None:
    room = Room()
    for number in range(100):
        room.wait(str(number), useless=True)
    room.free()
    assert room.asked == [str(number) for number in range(LOOKED_AT)]


def test_a_session_that_ends_at_once_lets_the_next_one_in() -> None:
    room = Room()
    for name in "abcd":
        room.wait(name, then=room.free)
    room.free()
    assert room.served == ["a", "b", "c", "d"]


def test_one_may_join_again() -> None:
    room = Room()
    again: list[Waiter] = []
    first = room.wait("a", then=lambda: again.append(room.wait("a2")))
    room.wait("b")
    room.free()
    assert room.served == ["a"]
    room.places += 1
    room.free()
    assert room.served == ["a", "b", "a2"]
    assert first is not again[0]
