from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects import apisix
from streamproxy.dialects import assemble as module
from streamproxy.dialects.assemble import KINDS, Assembled, Vault, assemble, canonical, sealed
from streamproxy.dialects.memo import Memo
from streamproxy.model import (
    Document,
    FactKind,
    Key,
    Limits,
    ListenAddress,
    Order,
    ProxyAccept,
    Routing,
    Snapshot,
    StaticListener,
    TlsMode,
    Transport,
)

from ..tls.pki import DAY, NOW, Authority
from .apisix.asking import PLUGINS
from .test_codec import json_values

LEAF = Authority.root("Root").issue("test.com")
ROUTE: dict[str, Any] = {"upstream": {"nodes": {"127.0.0.1:1995": 1}}}


def service(id: str, revision: int = 0, **fields: Any) -> Document:  # noqa: A002
    body = {"name": id, "description": "", "port": 5432, "enabled": True, **fields}
    return Document(Key("otoroshi", "tcp-services", id), body, revision, revision)


def route(id: str, created: int = 0, **fields: Any) -> Document:  # noqa: A002
    return Document(Key("apisix", "stream_routes", id), {**ROUTE, **fields}, created, created)


def upstream(id: str, **fields: Any) -> Document:  # noqa: A002
    return Document(Key("apisix", "upstreams", id), {"nodes": {"127.0.0.1:1": 1}, **fields})


def static(port: int, *, transport: Transport = Transport.TCP, index: int = 0, **options: Any) -> StaticListener:
    path = f"stream_proxy.{transport.value}[{index}]"
    return StaticListener(ListenAddress(transport, "0.0.0.0", port), path, **options)


def owners(assembled: Assembled) -> list[str]:
    return [listener.owner for listener in assembled.snapshot.listeners]


def problems(assembled: Assembled) -> list[tuple[str, str]]:
    return [(str(one.key), str(one.problem)) for one in assembled.problems]


def is_consistent(snapshot: Snapshot) -> bool:
    """As its documentation promises."""
    listeners = snapshot.listeners
    return (
        all(listener.routing in snapshot.routings for listener in listeners)
        and all(name == routing.name for name, routing in snapshot.routings.items())
        and all(name == upstream.id for name, upstream in snapshot.upstreams.items())
        and all(
            name in snapshot.upstreams
            for one in snapshot.routings.values()
            for route in one.routes
            for name in ([route.upstream] if route.upstream else [])
            + [upstream for use in route.plugins for upstream in use.upstreams.values()]
        )
        and all(len({route.id for route in one.routes}) == len(one.routes) for one in snapshot.routings.values())
        and not any(
            one.address.overlaps(other.address)
            for index, one in enumerate(listeners)
            for other in listeners[index + 1 :]
        )
    )


def test_nothing_asks_for_nothing() -> None:
    assert assemble([]) == Assembled(Snapshot(), ())


def test_both_dialects_live_side_by_side() -> None:
    documents = [service("pg"), upstream("1"), route("r", upstream_id=1, server_port=9100)]
    assembled = assemble(documents, static=[static(9100)], limits=Limits(max_sessions=5), revision=7)
    assert assembled.problems == ()
    snapshot = assembled.snapshot
    assert (snapshot.revision, snapshot.limits) == (7, Limits(max_sessions=5))
    assert owners(assembled) == ["otoroshi:tcp-services/pg", "stream_proxy.tcp[0]"]
    assert [listener.routing for listener in snapshot.listeners] == ["otoroshi tcp 0.0.0.0:5432", "apisix"]
    assert [one.upstream for one in snapshot.routings["apisix"].routes] == ["apisix:upstreams/1"]
    assert is_consistent(snapshot)


def test_what_is_right_is_there_and_what_is_wrong_is_named() -> None:
    documents = [
        service("good"),
        service("bad", port="x", rules=[{"targets": [{}]}]),
        upstream("bad", retries=-1),
        route("good"),
        route("dangling", upstream_id="bad"),
        Document(Key("otoroshi", "apikeys", "k"), {}),
    ]
    assembled = assemble(documents)
    assert owners(assembled) == ["otoroshi:tcp-services/good"]
    assert problems(assembled) == [
        ("otoroshi:tcp-services/bad", "port: expected an integer, got a string"),
        ("otoroshi:tcp-services/bad", "rules[0].targets[0].host: is required"),
        ("apisix:upstreams/bad", "retries: expected -1 to be at least 0"),
        ("otoroshi:apikeys/k", "otoroshi documents of the kind apikeys are not supported"),
        (
            "apisix:stream_routes/dangling",
            "upstream_id: failed to fetch upstream info by upstream id [bad], response code: 404",
        ),
    ]
    assert is_consistent(assembled.snapshot)


def test_a_disabled_service_is_checked_all_the_same() -> None:
    assembled = assemble([service("a", enabled=False, tls="x"), service("b", enabled=False)])
    assert problems(assembled) == [
        ("otoroshi:tcp-services/a", 'tls: expected Disabled, PassThrough or Enabled, got "x"')
    ]
    assert assembled.snapshot == Snapshot()


class TestTheSameAddressTwice:
    def test_the_later_write_is_refused(self) -> None:
        for documents in ([service("pg", 2), service("new", 3)], [service("new", 3), service("pg", 2)]):
            assembled = assemble(documents)
            assert owners(assembled) == ["otoroshi:tcp-services/pg"]
            ((key, problem),) = problems(assembled)
            assert key == "otoroshi:tcp-services/new"
            assert problem.startswith("port: port 5432 on 0.0.0.0 is already taken by otoroshi:tcp-services/pg")

    def test_of_one_write_the_first_document_stays(self) -> None:
        assert owners(assemble([service("b", 2), service("a", 2)])) == ["otoroshi:tcp-services/b"]

    def test_a_static_listener_was_there_first(self) -> None:
        assembled = assemble([service("pg", interface="127.0.0.1")], static=[static(5432)])
        assert owners(assembled) == ["stream_proxy.tcp[0]"]
        assert problems(assembled) == [
            (
                "otoroshi:tcp-services/pg",
                "port: port 5432 on 127.0.0.1 is already taken by stream_proxy.tcp[0]",
            )
        ]

    def test_of_static_listeners_the_first_stays(self) -> None:
        assembled = assemble([], static=[static(80), static(80, index=1), static(80, transport=Transport.UDP)])
        assert owners(assembled) == ["stream_proxy.tcp[0]", "stream_proxy.udp[0]"]
        assert problems(assembled) == [
            ("None", "stream_proxy.tcp[1]: port 80 on 0.0.0.0 is already taken by stream_proxy.tcp[0]")
        ]

    def test_of_a_document_that_is_there_twice_the_first_stays(self) -> None:
        assembled = assemble([service("a", port=1), service("a", port=2)])
        assert [listener.address.port for listener in assembled.snapshot.listeners] == [1]
        assert problems(assembled) == [("otoroshi:tcp-services/a", "otoroshi:tcp-services/a is there twice")]


class TestStaticListeners:
    def test_without_routes_there_is_a_table_that_closes_everything(self) -> None:
        assembled = assemble([], static=[static(80)])
        assert assembled.snapshot.routings == {"apisix": Routing("apisix", Order.SPECIFIC, ())}

    def test_tls(self) -> None:
        plain, tls = assemble([], static=[static(80), static(443, index=1, tls=True)]).snapshot.listeners
        assert (plain.tls, plain.sniff) == (TlsMode.DISABLED, frozenset())
        assert (tls.tls, tls.sniff) == (TlsMode.TERMINATE, frozenset({FactKind.SNI}))

    def test_the_proxy_protocol(self) -> None:
        trusted = (ip_network("10.0.0.0/8"),)
        (listener,) = assemble([], static=[static(80, proxy_protocol=True)], trusted_proxies=trusted).snapshot.listeners
        assert listener.proxy_in == ProxyAccept(trusted)

    def test_tls_over_udp_is_nothing_we_know(self) -> None:
        assembled = assemble([], static=[static(80, transport=Transport.UDP, tls=True)])
        assert problems(assembled) == [("None", "stream_proxy.udp[0].tls: tls over UDP is not supported")]


class TestClientCertificates:
    @pytest.mark.parametrize("auth", ["Want", "Need"])
    def test_a_demand_that_nobody_could_meet_is_refused(self, auth: str) -> None:
        document = service("a", tls="Enabled", clientAuth=auth)
        assert owners(assemble([document])) == [str(document.key)]
        assembled = assemble([document], client_ca=False)
        assert owners(assembled) == []
        ((_, problem),) = problems(assembled)
        assert problem.startswith("clientAuth: nobody vouches for clients")
        for harmless in ({"enabled": False, "tls": "Enabled"}, {"tls": "PassThrough"}):
            assert problems(assemble([service("a", clientAuth=auth, **harmless)], client_ca=False)) == []


class TestStreamRoutes:
    def test_they_are_tried_in_the_order_of_creation(self) -> None:
        documents = [route("c", 3), route("a", 1), route("10", 2), route("1", 2)]
        routes = assemble(documents).snapshot.routings["apisix"].routes
        assert [one.id.rpartition("/")[2] for one in routes] == ["a", "10", "1", "c"]


class TestServicesAndPlugins:
    SERVICE = Document(
        Key("apisix", "services", "s"), {"upstream": {"nodes": {"a:1": 1}}, "plugins": {"probe": {"level": 1}}}
    )

    def test_a_route_through_a_service(self) -> None:
        body: dict[str, Any] = {"service_id": "s", "plugins": {"prometheus": {}}}
        through = Document(Key("apisix", "stream_routes", "r"), body)
        assembled = assemble([through, self.SERVICE], plugins=PLUGINS)
        assert problems(assembled) == []
        (made,) = assembled.snapshot.routings["apisix"].routes
        assert (made.upstream, made.service) == ("apisix:services/s upstream", "s")
        assert [(use.name, use.conf) for use in made.plugins] == [("probe", {"level": 1}), ("prometheus", {})]
        assert is_consistent(assembled.snapshot)

    def test_only_plugins_that_there_are(self) -> None:
        assert problems(assemble([self.SERVICE], plugins=PLUGINS)) == []
        assert problems(assemble([self.SERVICE])) == [
            ("apisix:services/s", "plugins.probe: unknown plugin [probe]"),
        ]
        assert problems(assemble([self.SERVICE], plugins=PLUGINS)) == []

    def test_metadata(self) -> None:
        key = Key("apisix", "plugin_metadata", "probe")
        assembled = assemble([Document(key, {"id": "probe", "size": 3})], plugins=PLUGINS)
        assert assembled.snapshot.plugin_metadata == {"probe": {"size": 3}}
        assert canonical(key, {"size": 3}, plugins=PLUGINS) == ({"size": 3}, ())
        assert [str(problem) for problem in canonical(key, {"size": 3})[1]] == ["invalid plugin name"]

    def test_what_plugins_keep_secret_is_stored_sealed(self) -> None:
        document = route("1", plugins={"probe": {"password": "open sesame"}})
        body, found = canonical(document.key, document.body, plugins=PLUGINS)
        assert found == ()
        assert body is not None
        assert "sesame" not in str(body)
        assert body == sealed(document.key, document.body, Vault(), PLUGINS)
        (made,) = assemble([document.with_body(body)], plugins=PLUGINS).snapshot.routings["apisix"].routes
        assert made.plugins[0].conf == {"password": "open sesame"}

    def test_the_client_certificate_of_an_object(self) -> None:
        documents = [upstream("u", scheme="tls", tls={"client_cert_id": "c"}), ssl("c", type="client")]
        (node,) = assemble(documents).snapshot.upstreams["apisix:upstreams/u"].nodes
        assert node.tls is not None
        assert node.tls.pair == LEAF.pair

    def test_an_upstream_that_is_partly_wrong_is_there_as_far_as_it_is_right(self) -> None:
        nodes: Any = {"a:1": 1, "b": 1}
        documents = [upstream("u", nodes=nodes), upstream("w", type="x"), route("r", upstream_id="u")]
        assembled = assemble(documents)
        assert [str(one.key) for one in assembled.problems] == ["apisix:upstreams/u", "apisix:upstreams/w"]
        counts = {name: len(one.nodes) for name, one in assembled.snapshot.upstreams.items()}
        assert counts == {"apisix:upstreams/u": 1, "apisix:upstreams/w": 0}


def ssl(id: str, revision: int = 0, **fields: Any) -> Document:  # noqa: A002
    body = {"cert": LEAF.pem.decode(), "key": LEAF.key_pem.decode(), "sni": "test.com", **fields}
    return Document(Key("apisix", "ssls", id), body, 1, revision)


class TestCertificates:
    def test_those_that_are_served_are_there_with_the_revision_they_were_written_at(self) -> None:
        documents = [ssl("a", 5), ssl("off", status=0), ssl("ours", type="client"), ssl("b", 3, sni="*.b")]
        assembled = assemble(documents)
        assert problems(assembled) == []
        assert [(one.id, one.names, one.serial) for one in assembled.snapshot.certificates] == [
            ("apisix:ssls/a", ("test.com",), 5),
            ("apisix:ssls/b", ("*.b",), 3),
        ]

    def test_what_cannot_be_is_named(self) -> None:
        assembled = assemble([ssl("a", key="x" * 64), ssl("b")])
        assert problems(assembled) == [("apisix:ssls/a", "key: failed to decrypt previous encrypted key")]
        assert [one.id for one in assembled.snapshot.certificates] == ["apisix:ssls/b"]

    def test_they_are_read_with_the_vault_that_there_is(self) -> None:
        keyring = ("0123456789abcdef",)
        document = ssl("a", key="$env://KEY")
        sealed_key = apisix.secrets.seal(LEAF.key_pem.decode(), keyring)
        vaults = [Vault(), Vault(keyring, {"KEY": sealed_key}), Vault(environ={"KEY": sealed_key})]
        assert [bool(assemble([document], vault=vault).problems) for vault in vaults] == [True, False, True]
        assert assemble([document], vault=vaults[1]).snapshot.certificates[0].pairs == (LEAF.pair,)

    def test_they_are_made_once(self) -> None:
        documents = [ssl("a", 5), service("pg")]
        first, second = (assemble(documents).snapshot.certificates for _ in range(2))
        assert first[0] is second[0]


class TestDecodingAgain:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[Key]:
        asked: list[Key] = []

        def decode(document: Document) -> Any:
            asked.append(document.key)
            return module._decode(document, module.Means())

        memo = Memo(decode)
        monkeypatch.setattr(module, "_decoded", lambda means: memo)
        return asked

    def test_only_what_is_new_is_decoded(self, asked: list[Key]) -> None:
        documents = [service(f"s{number}", port=number + 1) for number in range(50)]
        first = assemble(documents)
        assert len(asked) == 50
        changed = service("s7", 1, port=900)
        second = assemble([changed if one.key == changed.key else one for one in documents])
        assert asked[50:] == [changed.key]
        assert 900 in {listener.address.port for listener in second.snapshot.listeners}
        assert assemble(documents) == first
        assert len(asked) == 51

    def test_an_equal_body_is_not_the_same(self) -> None:
        assert assemble([service("a", enabled=True)]).problems == ()
        assert assemble([service("a", enabled=1)]).problems


class TestCanonical:
    def test_otoroshis_documents_are_completed(self) -> None:
        body, found = canonical(Key("otoroshi", "tcp-services", "a"), {"name": "a", "description": "b", "port": 1})
        assert found == ()
        assert body is not None
        assert body["id"] == "a"
        assert body["interface"] == "0.0.0.0"

    @pytest.mark.parametrize("document", [upstream("1"), route("1", upstream_id="unknown")])
    def test_apisixs_are_kept_as_they_are(self, document: Document) -> None:
        assert canonical(document.key, document.body) == (document.body, ())

    def test_keys_are_stored_sealed(self) -> None:
        key = LEAF.key_pem.decode()
        tls: Any = {"client_cert": LEAF.pem.decode(), "client_key": key}
        documents = [
            ssl("1"),
            upstream("1", tls=tls),
            route("1", upstream={**ROUTE["upstream"], "tls": tls}),
            Document(Key("apisix", "services", "1"), {"upstream": {**ROUTE["upstream"], "tls": tls}}),
        ]
        for document in documents:
            body, found = canonical(document.key, document.body)
            assert found == ()
            assert "PRIVATE KEY" not in str(body)
            assert apisix.secrets.seal(key, apisix.DEFAULT_KEYRING) in str(body)
            assert canonical(document.key, body) == (body, ())

    def test_what_expired_is_not_stored_any_more(self) -> None:
        document = ssl("1")
        assert canonical(document.key, document.body, now=NOW)[1] == ()
        assert [problem.path for problem in canonical(document.key, document.body, now=NOW + 60 * DAY)[1]] == ["cert"]

    def test_what_is_wrong_is_not_stored(self) -> None:
        for key in (Key("otoroshi", "tcp-services", "a"), Key("apisix", "upstreams", "a"), Key("apisix", "x", "a")):
            body, found = canonical(key, {})
            assert body is None
            assert found


keys = st.builds(
    lambda kind, id: Key(kind[0], kind[1], id),  # noqa: A006
    st.sampled_from([*KINDS, ("apisix", "routes")]),
    st.sampled_from(["1", "2", "a b", ""]),
)
services = st.fixed_dictionaries(
    {"name": st.just("n"), "description": st.just("d"), "port": st.sampled_from([1, 2]), "enabled": st.just(True)},
    optional={
        "interface": st.sampled_from(["", "127.0.0.1", "::"]),
        "tls": st.sampled_from(["Enabled", "PassThrough"]),
        "sni": st.fixed_dictionaries({"enabled": st.booleans()}, optional={"forwardIfNoMatch": st.booleans()}),
        "rules": st.lists(
            st.fixed_dictionaries(
                {"domain": st.sampled_from(["*", "a", "*.b", "(a|b)"])},
                optional={"targets": st.just([{"host": "h"}])},
            ),
            max_size=2,
        ),
    },
)
routes = st.fixed_dictionaries(
    {},
    optional={
        "sni": st.sampled_from(["*", "*a", "a"]),
        "upstream_id": st.just(1),
        "service_id": st.just(2),
        "upstream": st.just(ROUTE["upstream"]),
        "plugins": st.sampled_from([{"probe": {}}, {"probe": {"to": ROUTE["upstream"]}}, {"probe": {"to": {}}}]),
    },
)
bodies: st.SearchStrategy[Any] = services | routes | st.just({"nodes": []}) | json_values
statics = st.builds(
    StaticListener,
    st.builds(ListenAddress, st.sampled_from(Transport), st.sampled_from(["0.0.0.0", "::1"]), st.sampled_from([1, 2])),
    st.just("stream_proxy.tcp[0]"),
    st.booleans(),
)


@given(st.lists(st.builds(Document, keys, bodies, st.integers(0, 3), st.integers(0, 3))), st.lists(statics, max_size=2))
def test_whatever_there_is_the_snapshot_is_consistent(
    documents: Iterable[Document], static: Iterable[StaticListener]
) -> None:
    assembled = assemble(documents, static=static, plugins=PLUGINS)
    assert is_consistent(assembled.snapshot)
    for document in documents:
        stored, found = canonical(document.key, document.body, plugins=PLUGINS)
        assert (stored is None) == bool(found)
        if stored is not None:
            assert canonical(document.key, stored, plugins=PLUGINS) == (stored, ())
