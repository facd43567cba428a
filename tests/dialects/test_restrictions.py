"""``access`` and ``limits``, the same in every document that opens a listener."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from attrs import fields

from streamproxy.dialects import restrictions
from streamproxy.dialects.assemble import assemble, canonical
from streamproxy.errors import InvalidConfiguration
from streamproxy.model import Access, Document, Json, Key, Limits, Listener, ListenerLimits, Rate

OTOROSHI = Key("otoroshi", "tcp-services", "a")
NATIVE = Key("native", "listeners", "a")
ACCESS: dict[str, Json] = {"allow": ["10.0.0.0/8", "::1"], "deny": ["10.6.6.6"]}
MEANT = Access((ip_network("10.0.0.0/8"), ip_network("::1")), (ip_network("10.6.6.6/32"),))
LIMITS: dict[str, Json] = {
    "max_sessions_per_client": 5,
    "session_rate": {"rate": 10, "burst": 50},
    "max_duration": "1h",
}


def service(**more: Json) -> dict[str, Json]:
    return {"name": "n", "description": "d", "enabled": True, "port": 1000, **more}


def listeners(*documents: Document, access: Access = Access()) -> tuple[Listener, ...]:
    assembled = assemble(documents, access=access)
    assert assembled.problems == ()
    return assembled.snapshot.listeners


@pytest.mark.parametrize(
    ("key", "body"), [(OTOROSHI, service()), (NATIVE, {"addr": 1000}), (NATIVE, {"addr": 1000, "transport": "udp"})]
)
def test_every_listener_can_have_its_own(key: Key, body: dict[str, Json]) -> None:
    (listener,) = listeners(Document(key, {**body, "access": ACCESS, "limits": LIMITS}))

    assert listener.access == (MEANT,)
    assert listener.limits == ListenerLimits(max_sessions_per_client=5, session_rate=Rate(10, 50), max_duration=3600)


@pytest.mark.parametrize(("key", "body"), [(OTOROSHI, service()), (NATIVE, {"addr": 1000})])
def test_what_is_for_all_comes_before_a_listeners_own(key: Key, body: dict[str, Json]) -> None:
    everybody = Access(deny=(ip_network("192.0.2.0/24"),))

    assert listeners(Document(key, body), access=everybody)[0].access == (everybody,)
    assert listeners(Document(key, {**body, "access": ACCESS}), access=everybody)[0].access == (everybody, MEANT)
    assert listeners(Document(key, {**body, "access": {}}))[0].access == ()


def test_they_are_stored_as_they_were_written() -> None:
    body, problems = canonical(OTOROSHI, service(access=ACCESS, limits=LIMITS))
    assert problems == ()
    assert body is not None
    assert (body["access"], body["limits"]) == (ACCESS, LIMITS)
    plain, _ = canonical(OTOROSHI, service(access=None, limits={}))
    assert plain is not None
    assert not {"access", "limits"} & plain.keys()


def test_services_share_a_port_only_where_they_agree_on_them() -> None:
    by_name = service(tls="PassThrough", sni={"enabled": True}, limits=LIMITS)
    other = Key("otoroshi", "tcp-services", "b")
    assert len(listeners(Document(OTOROSHI, by_name), Document(other, by_name))) == 1

    (problem,) = assemble([Document(OTOROSHI, by_name), Document(other, {**by_name, "limits": None})]).problems

    assert problem.key == other
    assert "the same tls, clientAuth, access and limits" in problem.problem.message


@pytest.mark.parametrize(
    ("what", "value", "path", "why"),
    [
        ("access", {"allow": ["localhost"]}, "access.allow[0]", "expected an IP address or a network"),
        ("access", {"denied": []}, "access.denied", "did you mean deny?"),
        ("access", [], "access", "expected an object"),
        ("limits", {"max_sessions": 5}, "limits.max_sessions", "is not known here"),
        ("limits", {"max_duration": "soon"}, "limits.max_duration", "expected a number of seconds"),
        ("limits", {"max_queue": -1}, "limits.max_queue", "expected 0 to"),
        ("limits", {"bandwidth": 5}, "limits.bandwidth", "expected 1000 to"),
        ("limits", {"session_rate": {"burst": 5}}, "limits.session_rate.rate", "is required"),
    ],
)
@pytest.mark.parametrize(("key", "body"), [(OTOROSHI, service()), (NATIVE, {"addr": 1000})])
def test_what_is_wrong_has_its_path(
    key: Key, body: dict[str, Json], what: str, value: Json, path: str, why: str
) -> None:
    result, (problem,) = canonical(key, {**body, what: value})

    assert result is None
    assert problem.path == path
    assert why in problem.message


def test_a_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restrictions, "MOST_NETWORKS", 2)
    with pytest.raises(InvalidConfiguration, match="more than 2 networks"):
        restrictions.access(ACCESS)


def test_a_listener_can_say_everything_but_what_is_for_the_process() -> None:
    everything = {each.name for each in fields(Limits)}
    own = {each.name for each in fields(ListenerLimits)}

    assert everything - own == {"max_sessions", "drain_time", "shutdown_timeout"}
    assert own == {each.name for each in fields(restrictions._Limits)}


def test_what_a_listener_says_stands_in_place_of_what_holds_for_all() -> None:
    limits = Limits(idle_timeout=5, max_duration=7, max_queue=9)

    assert ListenerLimits().over(limits) is limits
    own: Any = ListenerLimits(idle_timeout=1.0, max_queue=0, session_rate=Rate(1, 1))
    assert own.over(limits) == Limits(idle_timeout=1, max_duration=7, max_queue=0, session_rate=Rate(1, 1))
