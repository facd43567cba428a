"""The one path by which the configuration changes."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from streamproxy.control.configuration import LiveConfiguration
from streamproxy.control.store.memory import MemoryStore
from streamproxy.errors import InvalidConfiguration, Problem, ReadOnlyDocument, RevisionConflict
from streamproxy.model import Config, Delete, Document, Key, Put, Secret, Snapshot

from ..tls.pki import Authority


def service(port: int = 5432, **more: Any) -> dict[str, Any]:
    return {
        "id": "pg",
        "name": "pg",
        "description": "",
        "enabled": True,
        "port": port,
        "interface": "127.0.0.1",
        "rules": [{"domain": "*", "targets": [{"host": "db", "port": 5432}]}],
        **more,
    }


def key(name: str) -> Key:
    return Key("otoroshi", "tcp-services", name)


DECLARED = Document(key("declared"), service(7000, id="declared"), origin="proxy.yaml")


class ConfigurationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore()
        self.applied: list[Snapshot] = []
        self.configuration = LiveConfiguration(
            self.store, Config("proxy.yaml", resources=(DECLARED,)), self.applied.append
        )
        self.successResultOf(self.configuration.start())

    def ports(self) -> list[int]:
        return sorted(listener.address.port for listener in self.applied[-1].listeners)

    def change(self, *changes: Any, **options: Any) -> Deferred[Any]:
        return self.configuration.change(changes, author="tester", **options)

    def problems(self, *changes: Any) -> list[str]:
        error = self.failureResultOf(self.change(*changes), InvalidConfiguration).value
        return [str(problem) for problem in error.problems]

    def test_what_is_declared_is_applied_at_the_start(self) -> None:
        self.assertEqual(self.ports(), [7000])
        self.assertEqual(self.configuration.get(key("declared")), DECLARED)

    def test_a_write_is_kept_and_applied_at_once(self) -> None:
        outcome = self.successResultOf(self.change(Put(key("pg"), service()), reason="a database"))
        self.assertEqual(outcome.revision, 1)
        self.assertEqual(outcome.documents[0].body, service())
        self.assertEqual(self.ports(), [5432, 7000])
        self.assertEqual([d.key.id for d in self.configuration.list("otoroshi", "tcp-services")], ["declared", "pg"])
        self.assertEqual(self.configuration.revision(), 1)
        (revision,) = self.successResultOf(self.store.revisions())
        self.assertEqual((revision.author, revision.reason), ("tester", "a database"))

    def test_a_deletion_is_applied_at_once(self) -> None:
        self.successResultOf(self.change(Put(key("pg"), service())))
        outcome = self.successResultOf(self.change(Delete(key("pg"))))
        self.assertEqual(outcome.documents, (None,))
        self.assertEqual(self.ports(), [7000])
        self.assertIsNone(self.configuration.get(key("pg")))

    def test_what_somebody_is_about_to_take_over_stays_as_it_is(self) -> None:
        self.successResultOf(self.configuration.freeze())
        waiting = self.change(Put(key("pg"), service()))
        elsewhere = Document(key("new"), service(7001, id="new"), origin="proxy.yaml")
        self.configuration.reload(Config("proxy.yaml", resources=(DECLARED, elsewhere)))
        self.assertNoResult(waiting)
        self.assertEqual(self.ports(), [7000])

        self.configuration.thaw()
        self.successResultOf(waiting)
        self.assertEqual(self.ports(), [5432, 7000, 7001])

    def test_nothing_that_was_missed_is_nothing_that_is_applied(self) -> None:
        self.successResultOf(self.configuration.freeze())
        self.configuration.thaw()
        self.assertEqual(len(self.applied), 1)

    def test_a_bad_document_changes_nothing_and_all_problems_are_named(self) -> None:
        bad = service(port=0, rules=[{"domain": "[", "targets": [{"port": 1}]}])
        found = self.problems(Put(key("pg"), bad))
        for path in ("port", "rules[0].domain", "rules[0].targets[0]"):
            self.assertTrue(any(problem.startswith(path) for problem in found), f"{path} is not in {found}")
        self.assertEqual(self.ports(), [7000])
        self.assertEqual(self.configuration.revision(), 0)

    def test_with_several_changes_the_problem_says_which(self) -> None:
        found = self.problems(Put(key("a"), service(1000, id="a")), Put(key("b"), service(0, id="b")))
        self.assertTrue(all(problem.startswith("[1].port") for problem in found), found)
        self.assertEqual(self.configuration.revision(), 0)

    def test_the_later_of_two_that_want_one_port_is_refused(self) -> None:
        self.successResultOf(self.change(Put(key("first"), service(id="first"))))
        found = self.problems(Put(key("second"), service(id="second")))
        self.assertTrue(any("first" in problem for problem in found), found)
        self.assertEqual(self.ports(), [5432, 7000])

    def test_by_force_something_else_may_break(self) -> None:
        upstream, route = Key("apisix", "upstreams", "1"), Key("apisix", "stream_routes", "1")
        self.successResultOf(self.change(Put(upstream, {"nodes": {}, "type": "roundrobin"})))
        self.successResultOf(self.change(Put(route, {"upstream_id": "1"})))
        (found,) = self.problems(Delete(upstream))
        self.assertTrue(found.startswith("apisix:stream_routes/1.upstream_id: "), found)
        self.successResultOf(self.change(Delete(upstream), force=True))
        self.assertEqual([str(problem) for problem in self.configuration.problems()], [found])

        error = self.failureResultOf(self.change(Put(upstream, {"nodes": 5}), force=True), InvalidConfiguration).value
        self.assertIn("nodes", str(error), "what is wrong itself is refused all the same")

    def test_what_has_expired_is_known(self) -> None:
        self.assertEqual(self.configuration.expired(1e12), ())
        first, second = key("first"), key("second")
        self.successResultOf(self.change(Put(first, service(1000, id="first"), expires=100.0)))
        self.successResultOf(self.change(Put(second, service(1001, id="second"), expires=50.0)))
        times = (49.0, 50.0, 100.0)
        found = [self.configuration.expired(now) for now in times]
        self.assertEqual(found, [(), (second,), (first, second)])
        self.successResultOf(self.change(Put(second, service(1001, id="second"))))
        self.assertEqual(self.configuration.expired(99.0), ())

    def test_what_a_file_declares_is_read_only(self) -> None:
        for change in (Put(key("declared"), service(id="declared")), Delete(key("declared"))):
            error = self.failureResultOf(self.change(change), ReadOnlyDocument).value
            self.assertIn("proxy.yaml", str(error))

    def test_an_expected_revision_that_is_over_is_refused(self) -> None:
        self.successResultOf(self.change(Put(key("pg"), service())))
        self.failureResultOf(self.change(Put(key("pg"), service(1)), expect=0), RevisionConflict)
        self.assertEqual(self.ports(), [5432, 7000])

    def test_writers_take_turns(self) -> None:
        gates: list[Deferred[None]] = []
        commit = self.store.commit

        def slow(*args: Any, **options: Any) -> Deferred[Any]:
            gate: Deferred[None] = Deferred()
            gates.append(gate)
            return gate.addCallback(lambda _: commit(*args, **options))

        self.store.commit = slow  # type: ignore[method-assign]
        first = self.change(Put(key("first"), service(id="first")))
        second = self.change(Put(key("second"), service(id="second")))
        self.assertEqual(len(gates), 1, "the second writer did not wait for the first")
        gates[0].callback(None)
        self.successResultOf(first)
        self.failureResultOf(second, InvalidConfiguration)

    def test_a_change_from_elsewhere_is_followed(self) -> None:
        self.successResultOf(self.store.commit([Put(key("pg"), service())], author="another process"))
        self.assertEqual(self.ports(), [5432, 7000])

    def test_a_reloaded_file_replaces_what_it_declared(self) -> None:
        moved = evolve(DECLARED, body=service(7001, id="declared"))
        self.configuration.reload(Config("proxy.yaml", resources=(moved,)))
        self.assertEqual(self.ports(), [7001])

    def test_a_file_that_cannot_be_used_is_shown_and_changes_nothing(self) -> None:
        self.configuration.refuse([Problem("admin.listen", "bad_value", "is no address")])
        self.assertEqual([str(p) for p in self.configuration.problems()], ["admin.listen: is no address"])
        self.assertEqual(self.ports(), [7000])
        self.configuration.reload(Config("proxy.yaml"))
        self.assertEqual(self.configuration.problems(), ())

    def test_a_file_wins_over_the_store_and_the_conflict_is_shown(self) -> None:
        self.successResultOf(self.change(Put(key("pg"), service())))
        rival = Document(key("rival"), service(5432, id="rival"), origin="proxy.yaml")
        self.configuration.reload(Config("proxy.yaml", resources=(rival,)))
        self.assertEqual([listener.owner for listener in self.applied[-1].listeners], ["otoroshi:tcp-services/rival"])
        (problem,) = self.configuration.problems()
        self.assertTrue(problem.path.startswith("otoroshi:tcp-services/pg"), problem)
        # What was wrong before does not stand in the way of another change.
        self.successResultOf(self.change(Put(key("other"), service(6000, id="other"))))
        self.assertEqual(self.ports(), [5432, 6000])

    def test_before_the_start_a_reload_applies_nothing(self) -> None:
        applied: list[Snapshot] = []
        configuration = LiveConfiguration(MemoryStore(), Config("a"), applied.append)
        configuration.reload(Config("b", resources=(DECLARED,)))
        self.assertEqual(applied, [])
        self.successResultOf(configuration.start())
        self.assertEqual(len(applied), 1)
        self.assertIsNotNone(configuration.snapshot.upstreams)


class CertificateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.leaf = Authority.root("Root").issue("test.com")
        self.private = self.leaf.key_pem.decode()
        self.key = Key("apisix", "ssls", "1")
        self.applied: list[Snapshot] = []

    def started(self, config: Config = Config("proxy.yaml"), **options: Any) -> LiveConfiguration:
        configuration = LiveConfiguration(MemoryStore(), config, self.applied.append, **options)
        self.successResultOf(configuration.start())
        return configuration

    def put(self, configuration: LiveConfiguration, private: str) -> Document:
        body: dict[str, Any] = {"sni": "test.com", "cert": self.leaf.pem.decode(), "key": private}
        (stored,) = self.successResultOf(configuration.change([Put(self.key, body)], author="tester")).documents
        assert stored is not None
        return stored

    def served(self) -> list[Any]:
        return [certificate.pairs for certificate in self.applied[-1].certificates]

    def test_no_private_key_is_stored_whoever_writes_it(self) -> None:
        stored = self.put(self.started(), self.private)
        self.assertNotIn("PRIVATE KEY", str(stored))
        self.assertEqual(self.served(), [(self.leaf.pair,)])
        self.assertEqual(self.applied[-1].certificates[0].serial, 1)

    def test_references_are_to_the_environment_it_is_given(self) -> None:
        stored = self.put(self.started(environ={"KEY": self.private}), "$env://KEY")
        self.assertEqual(stored.body["key"], "$env://KEY")
        self.assertEqual(self.served(), [(self.leaf.pair,)])

    def test_a_new_keyring_is_in_force_with_the_file(self) -> None:
        configuration = self.started()
        self.put(configuration, self.private)
        vault = configuration.vault
        configuration.reload(Config("proxy.yaml"))
        self.assertIs(configuration.vault, vault)

        configuration.reload(Config("proxy.yaml", keyring=(Secret("0123456789abcdef"),)))

        self.assertEqual(self.served(), [])
        self.assertEqual(
            [str(problem) for problem in configuration.problems()],
            ["apisix:ssls/1.key: failed to decrypt previous encrypted key"],
        )
        configuration.reload(Config("proxy.yaml", keyring=(Secret("0123456789abcdef"), Secret("qeddd145sfvddff3"))))
        self.assertEqual(self.served(), [(self.leaf.pair,)])

    def test_what_is_wrong_with_files_is_told_too(self) -> None:
        problem = Problem("/etc/certs/a.pem", "bad_value", "the certificate cannot be read")
        self.assertEqual(self.started(more_problems=lambda: (problem,)).problems(), (problem,))


ROUTE: dict[str, Any] = {"upstream": {"nodes": {"127.0.0.1:80": 1}, "type": "roundrobin"}}


def route_key(name: str) -> Key:
    return Key("apisix", "stream_routes", name)


class StreamRouteTests(SynchronousTestCase):
    """What is right in APISIX's eyes is stored, and what did not change is not made anew."""

    def setUp(self) -> None:
        self.store = MemoryStore()
        self.applied: list[Snapshot] = []
        self.configuration = LiveConfiguration(self.store, Config("proxy.yaml"), self.applied.append)
        self.successResultOf(self.configuration.start())

    def put(self, name: str, body: dict[str, Any]) -> Any:
        changes = [Put(route_key(name), body)]
        return self.successResultOf(self.configuration.change(changes, author="tester"))

    def test_what_is_tolerable_is_stored_and_told(self) -> None:
        outcome = self.put("a", {})
        self.assertEqual([problem.path for problem in outcome.problems], ["upstream"])
        shown = [problem.path for problem in self.configuration.problems()]
        self.assertEqual(shown, ["apisix:stream_routes/a.upstream"])
        outcome = self.put("b", ROUTE)
        self.assertEqual(outcome.problems, ())
        both = [Put(route_key("c"), {}), Put(route_key("d"), {})]
        outcome = self.successResultOf(self.configuration.change(both, author="tester"))
        self.assertEqual([problem.path for problem in outcome.problems], ["[0].upstream", "[1].upstream"])

    def test_what_is_not_is_refused_with_it(self) -> None:
        changes = [Put(route_key("a"), {"remote_addr": ":/8"})]
        error = self.failureResultOf(self.configuration.change(changes, author="x"), InvalidConfiguration).value
        self.assertEqual([problem.path for problem in error.problems], ["remote_addr"])

    def test_a_problem_is_logged_when_it_comes(self) -> None:
        with capturedLogs() as events:
            self.put("a", {})
            self.put("b", ROUTE)
            self.put("c", {})
        logged = [event for event in events if event["log_format"] == "not served: {problem}"]
        self.assertEqual(len(logged), 2)

    def test_what_did_not_change_is_the_same(self) -> None:
        for name in ("a", "b", "c"):
            self.put(name, ROUTE)
        before = {route.id: route for route in self.applied[-1].routings["apisix"].routes}
        self.put("b", {**ROUTE, "server_port": 80})
        after = {route.id: route for route in self.applied[-1].routings["apisix"].routes}
        same = {name: after[name] is before[name] for name in before}
        self.assertEqual(
            same,
            {"apisix:stream_routes/a": True, "apisix:stream_routes/b": False, "apisix:stream_routes/c": True},
        )

    def test_what_was_tried_is_what_is_applied(self) -> None:
        for number in range(3):
            self.put("a", {**ROUTE, "server_port": number + 1})
            (route,) = self.applied[-1].routings["apisix"].routes
            self.assertEqual((self.applied[-1].revision, route.match.server_port), (number + 1, number + 1))

    def test_what_somebody_else_wrote_meanwhile_counts(self) -> None:
        commit = self.store.commit

        def interfering(changes: Any, **options: Any) -> Any:
            self.store.commit = commit  # type: ignore[method-assign]
            commit([Put(route_key("theirs"), ROUTE)], author="somebody")
            return commit(changes, **options)

        self.store.commit = interfering  # type: ignore[method-assign]
        self.put("ours", ROUTE)
        ids = {route.id for route in self.applied[-1].routings["apisix"].routes}
        self.assertEqual(ids, {"apisix:stream_routes/ours", "apisix:stream_routes/theirs"})
        self.assertEqual(self.applied[-1].revision, 2)
