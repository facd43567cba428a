"""Changes that are taken back unless somebody confirms them."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from streamproxy.control.configuration import LiveConfiguration
from streamproxy.control.confirm import Confirmation
from streamproxy.control.store.memory import MemoryStore
from streamproxy.errors import NotPending, StoreError
from streamproxy.interfaces import Pending
from streamproxy.model import Config, Delete, Key, Put, Snapshot

from .test_configuration import service


def key(name: str = "pg") -> Key:
    return Key("otoroshi", "tcp-services", name)


class ConfirmTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Clock()
        self.reactor.advance(1000)
        self.store = MemoryStore(clock=self.reactor.seconds)
        self.applied: list[Snapshot] = []
        self.open()

    def open(self) -> None:
        self.configuration = LiveConfiguration(
            self.store, Config("proxy.yaml"), self.applied.append, now=self.reactor.seconds
        )
        self.successResultOf(self.configuration.start())
        self.confirmation = Confirmation(self.reactor, self.configuration, self.reactor.seconds)
        self.confirmation.start()
        self.addCleanup(self.confirmation.stop)

    def reopen(self) -> None:
        """As after a kill: nothing is known but what the store holds."""
        self.confirmation.stop()
        self.store._watchers.clear()
        self.open()

    def change(self, *changes: Any, within: float | None = None) -> Any:
        changing = self.configuration.change(changes, author="tester", confirm_within=within)
        return self.successResultOf(changing)

    def ports(self) -> dict[str, Any]:
        return {
            document.key.id: document.body["port"] for document in self.configuration.list("otoroshi", "tcp-services")
        }

    def wait(self, seconds: int) -> None:
        self.reactor.pump([1.0] * seconds)

    def test_it_is_taken_back_in_time(self) -> None:
        self.change(Put(key(), service(5432)))
        self.change(Put(key(), service(5433)), Put(key("new"), service(5434, id="new")), within=60)
        self.assertEqual(self.configuration.pending(), (Pending(2, 1060.0),))
        self.wait(59)
        self.assertEqual(self.ports(), {"pg": 5433, "new": 5434})
        self.wait(2)
        self.assertEqual(self.ports(), {"pg": 5432})
        self.assertEqual(self.configuration.pending(), ())
        self.assertEqual([listener.address.port for listener in self.applied[-1].listeners], [5432])
        (revision,) = self.successResultOf(self.configuration.history.revisions(1))
        self.assertEqual(revision.reason, "revision 2 of tester was not confirmed in time")

    def test_it_stays_when_it_is_confirmed(self) -> None:
        self.change(Put(key(), service(5433)), within=60)
        self.assertEqual(self.successResultOf(self.configuration.confirm(1)), (1,))
        self.wait(100)
        self.assertEqual(self.ports(), {"pg": 5433})
        self.failureResultOf(self.configuration.confirm(1), NotPending)

    def test_to_confirm_a_revision_confirms_those_before(self) -> None:
        self.change(Put(key(), service(5433)), within=60)
        self.change(Put(key(), service(5434)), within=60)
        self.change(Put(key(), service(5435)), within=60)
        self.assertEqual(self.successResultOf(self.configuration.confirm(2)), (1, 2))
        self.wait(100)
        self.assertEqual(self.ports(), {"pg": 5434})

    def test_several_are_taken_back_one_behind_the_other(self) -> None:
        self.change(Put(key(), service(5432)))
        self.change(Put(key(), service(5433)), within=60)
        self.change(Delete(key()), within=60)
        self.wait(61)
        self.assertEqual(self.ports(), {"pg": 5432})

    def test_what_somebody_wrote_meanwhile_stays(self) -> None:
        self.change(Put(key(), service(5432)))
        self.change(Put(key(), service(5433)), Put(key("new"), service(5434, id="new")), within=60)
        self.change(Put(key(), service(5435)))
        self.change(Put(key("other"), service(5436, id="other")))
        self.wait(61)
        self.assertEqual(self.ports(), {"pg": 5435, "other": 5436})

    def test_what_nobody_confirmed_before_the_process_ended_is_never_applied_again(self) -> None:
        self.change(Put(key(), service(5432)))
        self.change(Put(key(), service(5433)), within=600)
        before = len(self.applied)
        self.reopen()
        self.assertEqual(self.ports(), {"pg": 5432})
        self.assertEqual(
            {listener.address.port for snapshot in self.applied[before:] for listener in snapshot.listeners}, {5432}
        )
        (revision,) = self.successResultOf(self.configuration.history.revisions(1))
        self.assertEqual(revision.reason, "revision 2 of tester was not confirmed before the process ended")
        self.assertEqual(self.configuration.pending(), ())

    def test_a_write_that_changes_nothing_has_nothing_to_confirm(self) -> None:
        self.change(Put(key(), service(5432)))
        self.change(Put(key(), service(5432)), within=60)
        self.assertEqual(self.configuration.pending(), ())

    def test_what_the_history_has_lost_cannot_be_taken_back(self) -> None:
        self.change(Put(key(), service(5432)), within=60)
        self.store._revisions.clear()
        self.wait(61)
        self.assertEqual((self.ports(), self.configuration.pending()), ({"pg": 5432}, ()))

    def test_it_is_taken_back_though_what_was_before_is_a_problem_now(self) -> None:
        self.change(Put(key("a"), service(5432, id="a")))
        self.change(Delete(key("a")), within=60)
        self.change(Put(key("b"), service(5432, id="b")))
        self.wait(61)
        self.assertEqual(self.ports(), {"a": 5432, "b": 5432})
        self.assertEqual(len(self.configuration.problems()), 1)


@define
class Broken:
    """A configuration whose store cannot be written."""

    asked: list[float] = field(factory=list)

    def take_back_overdue(self, now: float) -> Deferred[None]:
        self.asked.append(now)
        return fail(StoreError("the disk is full"))


def test_a_store_that_cannot_be_written_is_tried_again() -> None:
    reactor, configuration = Clock(), Broken()
    confirmation = Confirmation(reactor, configuration, reactor.seconds)
    with capturedLogs() as logged:
        confirmation.start()
        reactor.advance(1)
        confirmation.stop()
        confirmation.stop()
    assert configuration.asked == [0, 1]
    assert "the disk is full" in str(logged[0]["why"])
