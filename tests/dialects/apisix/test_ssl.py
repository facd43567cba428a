"""``ssls``: what they hold, and what is said of those that cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamproxy.dialects.apisix import SCHEMAS, Ssl, canonical_ssl, decode_ssl, violations, without_keys
from streamproxy.dialects.apisix.secrets import DEFAULT_KEYRING, Vault, seal
from streamproxy.model import Certificate, ClientAuth, ClientVerification, Key, TlsVersion
from streamproxy.tls import validity

from ...tls.pki import DAY, NOW, Authority, rsa_key
from ..test_codec import json_values

KEY = Key("apisix", "ssls", "1")
ROOT = Authority.root("Root")
LEAF = ROOT.issue("test.com", sans=["test.com", "*.test.com"])
RSA = ROOT.issue("test.com", rsa_key())
OTHER = ROOT.issue("other.com")
OLD = ROOT.issue("test.com", valid=(-20, -10))
CERT, PRIVATE = LEAF.pem.decode(), LEAF.key_pem.decode()
OBJECT: dict[str, Any] = {"cert": CERT, "key": PRIVATE, "sni": "test.com"}
THEN = "then clause did not match"
NO_CERT = "failed to parse cert: PEM_read_bio_X509_AUX() failed"
NO_KEY = "failed to parse key: PEM_read_bio_PrivateKey() failed"


def made(body: dict[str, Any], vault: Vault = Vault()) -> Ssl:
    ssl, problems = decode_ssl(KEY, body, vault)
    assert problems == ()
    assert ssl is not None
    return ssl


def served(**fields: Any) -> Certificate:
    certificate = made({**OBJECT, **fields}).certificate
    assert certificate is not None
    return certificate


def refusals(body: Any, vault: Vault = Vault()) -> list[tuple[str, str, str]]:
    ssl, problems = decode_ssl(KEY, body, vault)
    assert ssl is None
    return [(problem.path, problem.code, problem.message) for problem in problems]


def stored(body: Any, *, vault: Vault = Vault(), now: float | None = NOW) -> dict[str, Any]:
    found, problems = canonical_ssl(KEY, body, vault, now)
    assert problems == ()
    assert found is not None
    return found


def unstorable(body: Any, now: float | None = NOW) -> list[tuple[str, str, str]]:
    found, problems = canonical_ssl(KEY, body, Vault(), now)
    assert found is None
    return [(problem.path, problem.code, problem.message) for problem in problems]


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


class TestWhatIsServed:
    def test_a_certificate_for_its_names(self) -> None:
        start, end = validity(LEAF.der)
        assert made(OBJECT) == Ssl(
            KEY,
            (LEAF.pair,),
            certificate=Certificate("apisix:ssls/1", ("test.com",), (LEAF.pair,), not_before=start, not_after=end),
        )

    def test_the_later_write_comes_first(self) -> None:
        ssl = made(OBJECT).at(7)
        assert ssl.certificate is not None
        assert ssl.certificate.serial == 7

    @pytest.mark.parametrize(
        ("snis", "names"),
        [
            (["a.test.com", "*.test.com"], ("a.test.com", "*.test.com")),
            (["A.Test.com."], ("a.test.com",)),
            (["*"], ("*",)),
            (["[::1]", "127.0.0.1"], ("::1", "127.0.0.1")),
        ],
    )
    def test_names(self, snis: list[str], names: tuple[str, ...]) -> None:
        assert made({**without(OBJECT, "sni"), "snis": snis}).certificate == Certificate(
            "apisix:ssls/1", names, (LEAF.pair,), not_before=served().not_before, not_after=served().not_after
        )

    def test_of_several_certificates_the_dates_are_the_narrowest(self) -> None:
        long = ROOT.issue("test.com", rsa_key(), valid=(-5, 5))
        certificate = served(certs=[long.pem.decode()], keys=[long.key_pem.decode()])
        assert certificate.pairs == (LEAF.pair, long.pair)
        assert (certificate.not_before, certificate.not_after) == (validity(LEAF.der)[0], validity(long.der)[1])

    def test_no_further_ones(self) -> None:
        assert served(certs=[], keys={}, ssl_protocols={}, labels=[]) == served()

    def test_the_chain_comes_along(self) -> None:
        leaf = ROOT.intermediate("Between").issue("test.com")
        assert served(cert=leaf.chain_pem.decode(), key=leaf.key_pem.decode()).pairs == (leaf.pair,)

    def test_what_is_demanded_of_clients(self) -> None:
        ca = ROOT.pem.decode()
        assert served(client={"ca": ca}).client == ClientVerification(ClientAuth.NEED, (ROOT.der,), 1)
        client = {"ca": ca, "depth": 0, "skip_mtls_uri_regex": ["/a"]}
        assert served(client=client).client == ClientVerification(ClientAuth.NEED, (ROOT.der,), 0)
        deep = served(client={"ca": ca, "depth": 10**30}).client
        assert deep is not None
        assert deep.depth == 100, "OpenSSL takes an int"

    def test_versions(self) -> None:
        assert served(ssl_protocols=["TLSv1.3", "TLSv1.1"]).versions == {TlsVersion.TLS1_1, TlsVersion.TLS1_3}
        assert served().versions == frozenset()

    def test_one_that_is_switched_off_is_not(self) -> None:
        assert served(status=1) == served()
        assert made({**OBJECT, "status": 0}).certificate is None
        assert refusals({**OBJECT, "status": 0, "key": OTHER.key_pem.decode()})

    def test_one_for_ourselves_to_show_is_kept_for_that(self) -> None:
        ssl = made({"type": "client", "cert": CERT, "key": PRIVATE})
        assert ssl == Ssl(KEY, (LEAF.pair,), is_client=True)
        assert ssl.at(3) == ssl
        assert made({**OBJECT, "type": "client", "sni": "*test"}).is_client

    def test_one_that_expired_is_served_as_long_as_it_is_there(self) -> None:
        assert made({**OBJECT, "cert": OLD.pem.decode(), "key": OLD.key_pem.decode()}).certificate is not None

    def test_metadata(self) -> None:
        fields = {"id": 1, "desc": "d", "labels": {"a": "b"}, "create_time": 1, "update_time": 2}
        assert served(**fields) == served()

    def test_sealed_keys_and_references(self) -> None:
        vault = Vault(environ={"CERT": CERT, "KEY": PRIVATE, "CA": ROOT.pem.decode()})
        sealed_key = seal(PRIVATE, DEFAULT_KEYRING[1:])
        for cert, key in ((CERT, sealed_key), ("$env://CERT", "$ENV://KEY"), (CERT, "$env://KEY")):
            assert made({**OBJECT, "cert": cert, "key": key}, vault) == made(OBJECT)
        further = {"certs": ["$env://CERT"], "keys": ["$env://KEY"]}
        assert made({**OBJECT, **further}, vault).pairs == (LEAF.pair, LEAF.pair)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ({"sni": "foo.com"}, THEN),
            ({"cert": CERT, "key": PRIVATE}, THEN),
            ({"sni": "test.com", "certs": [CERT], "keys": []}, THEN),
            ({**OBJECT, "snis": ["test.com"]}, THEN),
            ({**OBJECT, "type": "server", "sni": 5}, 'property "sni" validation failed: wrong type: expected string, '),
            ({"type": "client", "cert": CERT}, "else clause did not match"),
            ({**without(OBJECT, "sni"), "snis": []}, "snis > expect array to have at least 1 items"),
            (
                {**OBJECT, "ssl_protocols": ["TLSv1.0", "TLSv1.2"]},
                "ssl_protocols > failed to validate item 1: matches none of the enum values",
            ),
            (
                {**OBJECT, "ssl_protocols": ["TLSv1.2"] * 2},
                "ssl_protocols > expected unique items but items 1 and 2 are equal",
            ),
            (
                {**OBJECT, "ssl_protocols": ["TLSv1.1", "TLSv1.2", "TLSv1.3", "TLSv1.3"]},
                "ssl_protocols > expect array to have at most 3 items",
            ),
            (
                {**OBJECT, "ssl_protocols": [1, 1]},
                "ssl_protocols > failed to validate item 1: wrong type: expected string, got number",
            ),
            ({**OBJECT, "key": "short"}, "key > value should match only one schema, but matches none"),
            ({**OBJECT, "name": "n"}, "additional properties forbidden, found name"),
            ({**OBJECT, "client": {}}, 'client > property "ca" is required'),
            ({**OBJECT, "status": 2}, "status > matches none of the enum values"),
        ],
    )
    def test_in_the_words_of_apisixs_validator(self, body: dict[str, Any], text: str) -> None:
        name, arrow, rest = text.partition(" > ")
        expected = f'property "{name}" validation failed: {rest}' if arrow else text
        told = [one.text for one in violations(body, SCHEMAS["ssls"])]
        assert any(one.startswith(expected) for one in told), told
        assert refusals(body)

    def test_the_condition_is_told_exactly(self) -> None:
        assert refusals({"sni": "foo.com"}) == [("", "bad_value", THEN)]

    @pytest.mark.parametrize(
        ("fields", "path", "message"),
        [
            ({"cert": CERT[:-100]}, "cert", NO_CERT),
            ({"cert": "x" * 200}, "cert", NO_CERT),
            ({"key": PRIVATE[:-60]}, "key", NO_KEY),
            ({"key": CERT}, "key", NO_KEY),
            ({"key": "x" * 64}, "key", "failed to decrypt previous encrypted key"),
            ({"key": OTHER.key_pem.decode()}, "cert", "the private key does not belong to the certificate"),
            ({"certs": [CERT]}, "certs", "mismatched number of certs and keys"),
            ({"keys": [PRIVATE]}, "certs", "mismatched number of certs and keys"),
            (
                {"certs": [CERT, CERT[:-100]], "keys": [PRIVATE, PRIVATE]},
                "certs[1]",
                f"failed to handle cert-key pair[2]: {NO_CERT}",
            ),
            (
                {"certs": [CERT], "keys": [PRIVATE[:-60]]},
                "keys[0]",
                f"failed to handle cert-key pair[1]: {NO_KEY}",
            ),
            ({"client": {"ca": "x" * 128}}, "client.ca", f"failed to validate client_cert: {NO_CERT}"),
            ({"sni": "*test.com"}, "sni", '"*test.com": a wildcard is *, or *. and a name'),
            ({"sni": "a..b"}, "sni", '"a..b" is no host name'),
        ],
    )
    def test_material_that_does_not_work(self, fields: dict[str, Any], path: str, message: str) -> None:
        code = "unsupported" if "wildcard" in message else "bad_value"
        assert refusals({**OBJECT, **fields}) == [(path, code, message)]

    def test_a_key_that_is_encrypted_or_too_weak_is_told_apart(self) -> None:
        weak = ROOT.issue("test.com", rsa_key(0, 1024))
        ((path, _, message),) = refusals({**OBJECT, "cert": weak.pem.decode(), "key": weak.key_pem.decode()})
        assert (path, "too weak" in message) == ("cert", True)
        from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

        locked = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
        ((path, _, message),) = refusals({**OBJECT, "key": locked.decode()})
        assert (path, "is encrypted" in message) == ("cert", True)

    @pytest.mark.parametrize("fields", [{"cert": CERT + PRIVATE}, {"client": {"ca": PRIVATE + CERT}}])
    def test_a_key_where_everybody_could_read_it(self, fields: dict[str, Any]) -> None:
        ((_, code, message),) = refusals({**OBJECT, **fields})
        assert (code, message.partition(",")[0]) == ("bad_value", "holds a private key")

    @pytest.mark.parametrize(
        ("fields", "path", "code"),
        [
            ({"cert": "$env://CERT"}, "cert", "dangling"),
            ({"key": "$env://KEY"}, "key", "dangling"),
            ({"key": "$secret://vault/1/key"}, "key", "unsupported"),
            ({"certs": [CERT], "keys": ["$secret://a"]}, "keys[0]", "unsupported"),
        ],
    )
    def test_references_that_lead_nowhere(self, fields: dict[str, Any], path: str, code: str) -> None:
        ((where, what, _),) = refusals({**OBJECT, **fields})
        assert (where, what) == (path, code)

    def test_everything_is_told_at_once(self) -> None:
        body = {
            **without(OBJECT, "sni"),
            "snis": ["*a", "b..c"],
            "key": OTHER.key_pem.decode(),
            "client": {"ca": "x" * 128},
        }
        assert [path for path, _, _ in refusals(body)] == ["cert", "client.ca", "snis[0]", "snis[1]"]

    def test_a_body_that_is_no_object(self) -> None:
        assert refusals([]) == [("", "wrong_type", "expected an object, got a list")]
        assert unstorable(None) == [("", "wrong_type", "expected an object, got null")]


class TestWhatIsStored:
    def test_keys_are_sealed_and_everything_else_is_as_it_was(self) -> None:
        body = {**OBJECT, "certs": [RSA.pem.decode()], "keys": [RSA.key_pem.decode()], "labels": {"a": "b"}}
        found = stored(body)
        assert without(found, "key", "keys") == without(body, "key", "keys")
        assert "PRIVATE KEY" not in json.dumps(found)
        assert found["key"] == seal(PRIVATE, DEFAULT_KEYRING)
        assert made(found) == made(body)

    def test_what_is_sealed_stays_so_whatever_the_keyring(self) -> None:
        found = stored(OBJECT)
        assert stored(found) == found
        assert stored(found, vault=Vault(("0123456789abcdef", *DEFAULT_KEYRING))) == found

    def test_a_reference_is_stored_as_one(self) -> None:
        vault = Vault(environ={"KEY": PRIVATE})
        assert stored({**OBJECT, "key": "$env://KEY"}, vault=vault)["key"] == "$env://KEY"

    def test_nobody_is_shown_keys(self) -> None:
        assert without_keys(stored({**OBJECT, "certs": [], "keys": []})) == {
            "cert": CERT,
            "sni": "test.com",
            "certs": [],
        }

    @pytest.mark.parametrize("kind", ["server", "client"])
    def test_what_expired_is_refused(self, kind: str) -> None:
        body = {**OBJECT, "type": kind, "cert": OLD.pem.decode(), "key": OLD.key_pem.decode()}
        ((path, code, message),) = unstorable(body)
        assert (path, code, message.startswith("the certificate expired on 2")) == ("cert", "bad_value", True)
        assert stored(body, now=NOW - 15 * DAY)
        assert stored(body, now=None)

    def test_what_expired_among_others_is_refused(self) -> None:
        pairs = {"certs": [RSA.pem.decode(), OLD.pem.decode()], "keys": [RSA.key_pem.decode(), OLD.key_pem.decode()]}
        assert [path for path, _, _ in unstorable({**OBJECT, **pairs})] == ["certs[1]"]

    def test_what_is_not_valid_yet_may_wait(self) -> None:
        early = ROOT.issue("test.com", valid=(5, 10))
        assert stored({**OBJECT, "cert": early.pem.decode(), "key": early.key_pem.decode()})

    def test_what_no_handshake_could_be_had_with_is_refused(self) -> None:
        body = {**OBJECT, "ssl_protocols": ["TLSv1.1", "TLSv1.2"], "client": {"ca": ROOT.pem.decode()}}
        ((path, code, message),) = unstorable(body)
        assert (path, code) == ("", "bad_value")
        assert "TLS 1.1" in message

    def test_a_key_that_would_not_fit_when_it_is_sealed(self) -> None:
        long = f"{PRIVATE}{'# a comment' * 5500}"
        assert len(long) < 65536
        assert unstorable({**OBJECT, "key": long}) == [
            ("key", "bad_value", "value should match only one schema, but matches none")
        ]


# What may stand at each place, so that bodies get far.
texts = st.sampled_from(
    [CERT, PRIVATE, CERT[:-80], PRIVATE[:-60], "x" * 150, "$env://A", "$secret://b", "\ud800" * 130]
)
fields: dict[str, st.SearchStrategy[Any]] = {
    "cert": texts,
    "key": texts,
    "sni": st.sampled_from(["test.com", "*", "*.a", "*a", "a..b", "[::1]"]) | st.text(max_size=5),
    "snis": st.lists(st.sampled_from(["test.com", "*b"]), max_size=2),
    "certs": st.lists(texts, max_size=2),
    "keys": st.lists(texts, max_size=2),
    "client": st.fixed_dictionaries({"ca": texts}, optional={"depth": st.integers()}),
    "type": st.sampled_from(["server", "client"]),
    "status": st.sampled_from([0, 1]),
    "ssl_protocols": st.lists(st.sampled_from(["TLSv1.1", "TLSv1.3"]), max_size=2),
}
bodies = st.fixed_dictionaries({}, optional=fields)
odd = st.dictionaries(st.sampled_from(sorted(SCHEMAS["ssls"]["properties"])), json_values, max_size=2)


@settings(deadline=None)
@given(st.builds(lambda body, more: {**body, **more}, bodies, odd | st.just({})) | json_values)
def test_any_body_is_taken_or_refused(body: Any) -> None:
    vault = Vault(environ={"A": CERT})
    ssl, problems = decode_ssl(KEY, body, vault)
    assert (ssl is None) == bool(problems)
    found, problems = canonical_ssl(KEY, body, vault, NOW)
    assert (found is None) == bool(problems)
    if found is not None:
        assert decode_ssl(KEY, found, vault) == (ssl, ())
        assert canonical_ssl(KEY, found, vault, NOW) == (found, ())
        assert "PRIVATE KEY" not in json.dumps(found)
