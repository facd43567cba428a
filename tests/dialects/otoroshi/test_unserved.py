"""What is not served yet is refused, not served as something else."""

from __future__ import annotations

from typing import Any

from streamproxy.dialects import otoroshi


def paths(**body: Any) -> list[str]:
    service, problems = otoroshi.decode(
        {"name": "x", "description": "", "port": 1, "enabled": True, **body}, id="x"
    )
    assert service is not None, problems
    return [problem.path for problem in otoroshi.unserved(service)]


def test_what_is_served_has_no_problem() -> None:
    assert paths(tls="PassThrough", clientAuth="Need", rules=[{"targets": [{"host": "a"}]}]) == []


def test_termination_and_tls_to_targets_are_named_where_they_stand() -> None:
    secure = {"host": "a", "tls": True}
    assert paths(
        tls="Enabled",
        rules=[{"targets": [{"host": "b"}, secure]}],
        sni={"enabled": True, "forwardIfNoMatch": True, "forwardsTo": secure},
    ) == ["tls", "rules[0].targets[1].tls", "sni.forwardsTo.tls"]


def test_what_is_not_used_may_say_anything() -> None:
    assert paths(enabled=False, tls="Enabled") == []
    assert paths(sni={"enabled": True, "forwardsTo": {"host": "a", "tls": True}}) == []
