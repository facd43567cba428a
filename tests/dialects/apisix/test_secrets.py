"""Secrets at rest, and secrets that are elsewhere."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamproxy.dialects.apisix.secrets import DEFAULT_KEYRING, SecretError, Vault, is_pem, seal, sealed, unseal
from streamproxy.model import Secret

from ..test_codec import json_values

SHORT, LONG = "qeddd145sfvddff3", "0123456789abcdefFEDCBA9876543210"
PEM = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

rings = st.lists(st.text("abc0123456789", min_size=16, max_size=16), min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("key", "written"),
    # By: printf 'hello world' | openssl enc -aes-128-cbc -K <hex of the key> -iv <hex of its start> -base64
    [(SHORT, "26cK4cS8EQ5UxEUdZYVPSg=="), (LONG, "Jj01hYKvKoydOi4zaGuIpA==")],
)
def test_it_is_what_openssl_makes_of_it(key: str, written: str) -> None:
    assert seal("hello world", [key]) == written
    assert unseal(written, [key]) == "hello world"


@given(st.text(), rings)
def test_there_and_back(text: str, ring: list[str]) -> None:
    assert unseal(seal(text, ring), ring) == text


def test_a_new_key_in_front_reads_what_the_old_one_wrote() -> None:
    old = seal(PEM, [SHORT])

    assert unseal(old, [LONG, SHORT]) == PEM
    assert unseal(old, [LONG]) is None
    assert seal(PEM, [LONG, SHORT]) == seal(PEM, [LONG]) != old


@pytest.mark.parametrize("text", ["", "hello", "hello=", "AAAA", "ä" * 24, base64.b64encode(b"x" * 32).decode(), PEM])
def test_what_nobody_sealed(text: str) -> None:
    assert unseal(text, DEFAULT_KEYRING) is None


@given(st.binary(max_size=64).map(lambda data: base64.b64encode(data).decode()) | st.text(), rings)
def test_anything_is_unsealed_or_not(text: str, ring: list[str]) -> None:
    found = unseal(text, ring)
    assert found is None or isinstance(found, str)


class TestVault:
    def test_the_default_keyring_is_there_where_none_is_configured(self) -> None:
        assert Vault.of((), {}).keyring == DEFAULT_KEYRING == Vault().keyring
        assert Vault.of((Secret(LONG),), {}).keyring == (LONG,)

    def test_it_tells_nobody_what_is_in_it(self) -> None:
        assert repr(Vault((SHORT,), {"A": "b"})) == "Vault()"

    def test_text_is_itself(self) -> None:
        assert Vault().text(PEM) == PEM
        assert Vault().key(PEM) == PEM
        assert Vault().key(seal(PEM, DEFAULT_KEYRING)) == PEM
        assert Vault().key("hello") is None

    @pytest.mark.parametrize("scheme", ["env", "ENV"])
    def test_a_variable(self, scheme: str) -> None:
        vault = Vault(environ={"TLS_KEY": PEM, "SEALED": seal(PEM, DEFAULT_KEYRING), "ALL": '{"key": "abc"}'})
        assert vault.text(f"${scheme}://TLS_KEY") == PEM
        assert vault.text(f"${scheme}://ALL/key") == "abc"
        assert vault.key(f"${scheme}://SEALED") == PEM

    @pytest.mark.parametrize(
        ("written", "code", "why"),
        [
            ("$env://NO", "dangling", 'the environment variable "NO" is not set'),
            ("$env://", "dangling", 'the environment variable "" is not set'),
            ("$env://PLAIN/key", "dangling", 'the environment variable "PLAIN" is no JSON object with a text "key"'),
            ("$env://JSON/no", "dangling", 'the environment variable "JSON" is no JSON object with a text "no"'),
            ("$env://JSON/five", "dangling", 'the environment variable "JSON" is no JSON object with a text "five"'),
            ("$env://LIST/key", "dangling", 'the environment variable "LIST" is no JSON object with a text "key"'),
            ("$env://BYTES", "bad_value", 'the environment variable "BYTES" holds what is no UTF-8 text'),
            ("$env://JSON/half", "bad_value", 'the environment variable "JSON" holds what is no UTF-8 text'),
            (
                "$secret://vault/1/tls/key",
                "unsupported",
                "$secret:// is not supported: write the text itself, or $env://NAME",
            ),
        ],
    )
    def test_a_reference_that_leads_nowhere(self, written: str, code: str, why: str) -> None:
        environ = {"PLAIN": "abc", "JSON": '{"five": 5, "half": "\\ud800"}', "LIST": "[]", "BYTES": "a\udcff"}
        with pytest.raises(SecretError) as caught:
            Vault(environ=environ).text(written)
        assert (caught.value.code, str(caught.value)) == (code, why)

    def test_no_message_repeats_what_a_variable_holds(self) -> None:
        with pytest.raises(SecretError) as caught:
            Vault(environ={"A": "a secret"}).text("$env://A/b")
        assert "a secret" not in str(caught.value)


class TestSealed:
    @pytest.mark.parametrize(
        ("kind", "body", "expected"),
        [
            ("ssls", {"key": PEM, "keys": [PEM, 5], "cert": "c"}, {"key": ..., "keys": [..., 5], "cert": "c"}),
            ("upstreams", {"tls": {"client_key": PEM, "verify": True}}, {"tls": {"client_key": ..., "verify": True}}),
            ("stream_routes", {"upstream": {"tls": {"client_key": PEM}}}, {"upstream": {"tls": {"client_key": ...}}}),
            ("services", {"upstream": {"tls": {"client_key": PEM}}}, {"upstream": {"tls": {"client_key": ...}}}),
            ("stream_routes", {"tls": {"client_key": PEM}}, {"tls": {"client_key": PEM}}),
            ("ssls", {"key": "$env://A"}, {"key": "$env://A"}),
            ("ssls", {"key": f"{PEM}\ud800"}, {"key": f"{PEM}\ud800"}),
            ("ssls", {"key": 5, "keys": {}}, {"key": 5, "keys": {}}),
            ("upstreams", {"tls": [PEM]}, {"tls": [PEM]}),
            ("plugins", {"key": PEM}, {"key": PEM}),
        ],
    )
    def test_keys_are_sealed_where_keys_are(self, kind: str, body: Any, expected: Any) -> None:
        def filled(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: filled(item) for name, item in value.items()}
            if isinstance(value, list):
                return [filled(item) for item in value]
            return seal(PEM, [SHORT]) if value is ... else value

        assert sealed(kind, body, [SHORT]) == filled(expected)

    def test_what_was_given_stays_what_it_is(self) -> None:
        body: dict[str, Any] = {"upstream": {"tls": {"client_key": PEM}}}
        assert sealed("stream_routes", body, [SHORT]) != body
        assert body == {"upstream": {"tls": {"client_key": PEM}}}

    @settings(deadline=None)
    @given(st.sampled_from(["ssls", "upstreams", "stream_routes", "x"]), st.dictionaries(st.text(), json_values))
    def test_once_is_enough(self, kind: str, body: dict[str, Any]) -> None:
        once = sealed(kind, {"key": PEM, "upstream": body, **body}, [SHORT])
        assert sealed(kind, once, [LONG]) == once
        assert not is_pem(str(once.get("key"))) or kind != "ssls"


class TestWhatPluginsKeepSecret:
    FIELDS = {"probe": ("password", "inner.*.secret")}  # noqa: RUF012

    def test_it_is_sealed_where_it_stands(self) -> None:
        body: Any = {
            "plugins": {
                "probe": {"password": "p", "other": "p", "inner": [{"secret": "s"}, 1]},
                "else": {"password": "p"},
            }
        }
        for kind in ("stream_routes", "services"):
            stored: Any = sealed(kind, body, [SHORT], self.FIELDS)
            conf = stored["plugins"]["probe"]
            assert conf == {"password": seal("p", [SHORT]), "other": "p", "inner": [{"secret": seal("s", [SHORT])}, 1]}
            assert stored["plugins"]["else"] == {"password": "p"}
            assert sealed(kind, stored, [SHORT], self.FIELDS) == stored
            assert Vault((SHORT,)).opened(conf, self.FIELDS["probe"]) == body["plugins"]["probe"]
        assert sealed("upstreams", body, [SHORT], self.FIELDS) == body

    def test_nothing_at_all_may_be_a_secret(self) -> None:
        stored: Any = sealed("services", {"plugins": {"probe": {"password": ""}}}, [SHORT], self.FIELDS)
        assert Vault((SHORT,)).opened(stored["plugins"]["probe"], self.FIELDS["probe"]) == {"password": ""}

    @pytest.mark.parametrize("written", ["$env://NAME", "$secret://vault/1", 1, None, "\ud800"])
    def test_what_is_no_secret_text_is_left_alone(self, written: Any) -> None:
        body: Any = {"plugins": {"probe": {"password": written}}}
        assert sealed("services", body, [SHORT], self.FIELDS) == body

    @given(json_values)
    def test_anything_may_stand_there(self, value: Any) -> None:
        sealed("services", {"plugins": value}, [SHORT], self.FIELDS)
        sealed("services", {"plugins": {"probe": value}}, [SHORT], self.FIELDS)
