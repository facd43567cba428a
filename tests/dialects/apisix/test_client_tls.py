"""``scheme: tls`` and ``tls`` of an upstream."""

from __future__ import annotations

from typing import Any

import pytest

from streamproxy.dialects.apisix import Vault, decode_upstream
from streamproxy.dialects.apisix.secrets import DEFAULT_KEYRING, seal
from streamproxy.model import ClientPolicy, Key, Node

from .asking import CERT, LEAF, PRIVATE, ROOT

KEY = Key("apisix", "upstreams", "1")


def nodes(vault: Vault = Vault(), **body: Any) -> tuple[Node, ...]:
    plan, problems = decode_upstream(KEY, {"nodes": {"localhost:8765": 1}, "scheme": "tls", **body}, vault)
    assert problems == ()
    assert plan is not None
    return plan.upstream.nodes


def policy(vault: Vault = Vault(), **tls: Any) -> ClientPolicy:
    (node,) = nodes(vault, tls=tls)
    assert node.tls is not None
    return node.tls


def test_nobody_is_verified_unless_asked() -> None:
    expected = ClientPolicy("localhost", verify=False, send_name="apisix_backend", follow_client=True)
    assert nodes() == (Node("localhost", 8765, tls=expected),)
    assert policy(verify=True).verify


def test_only_the_scheme_makes_it_tls() -> None:
    (node,) = nodes(scheme="https", tls={"client_cert": CERT, "client_key": PRIVATE, "verify": True})
    assert node.tls is None


@pytest.mark.parametrize("key", [PRIVATE, seal(PRIVATE, DEFAULT_KEYRING)])
def test_what_is_shown(key: str) -> None:
    assert policy(client_cert=CERT, client_key=key).pair == LEAF.pair


def test_whom_it_trusts() -> None:
    root = ROOT.pem.decode()
    assert policy(verify=True, ca_certs=[root, root]).ca == (ROOT.der,)


@pytest.mark.parametrize(
    ("tls", "path", "message"),
    [
        (
            {"client_cert": "x" * 128, "client_key": PRIVATE},
            "tls.client_cert",
            "failed to parse cert: PEM_read_bio_X509_AUX() failed",
        ),
        ({"client_cert": CERT, "client_key": "x" * 64}, "tls.client_key", "failed to decrypt previous encrypted key"),
        ({"ca_certs": ["x" * 128]}, "tls.ca_certs[0]", "failed to parse cert: PEM_read_bio_X509_AUX() failed"),
        (
            {"ca_certs": [PRIVATE + " " * 128]},
            "tls.ca_certs[0]",
            "holds a private key, which belongs into key: what stands here is no secret",
        ),
    ],
)
def test_material_that_cannot_be_used(tls: dict[str, Any], path: str, message: str) -> None:
    for scheme in ("tls", "http"):
        plan, (problem,) = decode_upstream(KEY, {"nodes": {"a:1": 1}, "scheme": scheme, "tls": tls}, Vault())
        assert (problem.path, problem.message) == (path, message)
        assert plan is not None
        assert plan.upstream.nodes == ()


def test_a_certificate_of_an_object_is_filled_in_later() -> None:
    for id_ in (7, "7"):
        plan, problems = decode_upstream(
            KEY, {"nodes": {"a:1": 1}, "scheme": "tls", "tls": {"client_cert_id": id_}}, Vault()
        )
        assert problems == ()
        assert plan is not None
        assert plan.client_cert_id == "7"
        (node,) = plan.with_certificate(LEAF.pair).nodes
        assert node.tls is not None
        assert node.tls.pair == LEAF.pair


def test_without_tls_nobody_asks_for_it() -> None:
    plan, _ = decode_upstream(KEY, {"nodes": {"a:1": 1}, "tls": {"client_cert_id": "7"}}, Vault())
    assert plan is not None
    assert plan.client_cert_id == ""


@pytest.mark.parametrize("other", [{"client_cert": CERT, "client_key": PRIVATE}])
def test_a_certificate_and_one_of_an_object_contradict(other: dict[str, Any]) -> None:
    plan, problems = decode_upstream(KEY, {"nodes": {}, "tls": {"client_cert_id": "7", **other}}, Vault())
    assert plan is None
    assert {problem.path for problem in problems} == {"tls"}
