"""
Secrets in APISIX's documents: keys that are sealed at rest, and references to what stands elsewhere.

A private key is stored as APISIX stores it: AES in CBC mode with the first key of a keyring (16 characters: AES-128,
32: AES-256), whose first 16 characters are the initialization vector as well, padded as in PKCS #7, in Base64. So
either of the two can read what the other wrote. The default keyring is APISIX's and known to the whole world: with it,
a sealed key is hidden from a glance and from nothing else. Configure a keyring of your own, and guard the store.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from attrs import field, frozen
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from streamproxy.errors import StreamProxyError
from streamproxy.model import Json, Secret

from ..codec import shown

DEFAULT_KEYRING: Final = ("qeddd145sfvddff3", "edd1c9f0985e76a2")
"""APISIX's ``apisix.data_encryption.keyring``, where none is configured."""

KEY_LENGTHS: Final = (16, 32)
"""Characters of a key of a keyring."""

_BLOCK = 16
_REFERENCE = re.compile(r"\$(secret|env|ENV)://([^/]*)/?(.*)", re.DOTALL)

# Where each kind of document holds private keys; ``*`` is every item of a list.
_PLACES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "ssls": (("key",), ("keys", "*")),
    "upstreams": (("tls", "client_key"),),
    "services": (("upstream", "tls", "client_key"),),
    "stream_routes": (("upstream", "tls", "client_key"),),
}
# The kinds whose documents hold configurations of plugins.
_WITH_PLUGINS: Final = frozenset({"services", "stream_routes"})


@frozen(auto_exc=True)
class SecretError(StreamProxyError):
    """A reference that leads nowhere; ``code`` is as in :class:`~streamproxy.errors.Problem`."""

    code: str
    why: str

    def __str__(self) -> str:
        return self.why


@frozen(eq=False)
class Vault:
    """
    What secrets in documents are read with. ``keyring``: each key ASCII, of one of :data:`KEY_LENGTHS`. ``environ`` is
    what ``$env://`` refers to. One vault is equal to no other, so keep it.
    """

    keyring: tuple[str, ...] = field(default=DEFAULT_KEYRING, repr=False)
    environ: Mapping[str, str] = field(factory=dict, repr=False)

    @classmethod
    def of(cls, keyring: Iterable[Secret], environ: Mapping[str, str]) -> Vault:
        """With what a configuration holds: where that is no key, there are the default ones."""
        return cls(tuple(key.value for key in keyring) or DEFAULT_KEYRING, environ)

    def text(self, written: str) -> str:
        """What ``written`` stands for: itself, or what it refers to. Raises :class:`SecretError`."""
        reference = _REFERENCE.fullmatch(written)
        if reference is None:
            return written
        return _referred(reference[1], reference[2], reference[3], self.environ)

    def key(self, written: str) -> str | None:
        """
        The private key that ``written`` stands for, unsealed; ``None``: none of the keyring opens it. Raises
        :class:`SecretError`.
        """
        text = self.text(written)
        return text if is_pem(text) else unseal(text, self.keyring)

    def opened(self, conf: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
        """The configuration ``conf`` of a plugin with those of its ``fields`` (``a.b``) unsealed that are sealed."""
        result: Any = dict(conf)
        for name in fields:
            result = _replaced(result, tuple(name.split(".")), self._unsealed)
        return dict(result)

    def _unsealed(self, text: str) -> str:
        found = unseal(text, self.keyring)
        return text if found is None else found

    def resolved(self, value: Any) -> Any:
        """``value`` with what the references in it, however deep, refer to. Raises :class:`SecretError`."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {name: self.resolved(item) for name, item in value.items()}
        return [self.resolved(item) for item in value] if isinstance(value, list) else value


def is_pem(text: str) -> bool:
    return "-----BEGIN" in text


def seal(text: str, keyring: Sequence[str]) -> str:
    """``text`` encrypted with the first key of ``keyring``. The same text gives the same result."""
    padder = PKCS7(8 * _BLOCK).padder()
    encryptor = _cipher(keyring[0]).encryptor()
    padded = padder.update(text.encode()) + padder.finalize()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()


def unseal(text: str, keyring: Sequence[str]) -> str | None:
    """What was sealed with any key of ``keyring``; ``None``: with none of them, or not at all."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(data) % _BLOCK:
        return None
    for key in keyring:
        unpadder = PKCS7(8 * _BLOCK).unpadder()
        decryptor = _cipher(key).decryptor()
        padded = decryptor.update(data) + decryptor.finalize()
        try:
            return (unpadder.update(padded) + unpadder.finalize()).decode()
        except ValueError:
            continue
    return None


def sealed(
    kind: str,
    body: Mapping[str, Json],
    keyring: Sequence[str],
    encrypted: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> dict[str, Json]:
    """
    ``body``, of a document of this kind, with every private key sealed that stands in it in the clear, and every field
    that is ``encrypted`` by its plugin's name (``a.b`` for one within another). References and what is sealed already
    are left alone, and so is everything that is not where it should be.
    """
    result: Any = dict(body)
    for place in _PLACES.get(kind, ()):
        result = _replaced(result, place, lambda text: seal(text, keyring) if is_pem(text) else text)
    plugins = body.get("plugins")
    if kind in _WITH_PLUGINS and isinstance(plugins, Mapping):
        for name in plugins:
            for inner in encrypted.get(name, ()):
                place = ("plugins", name, *inner.split("."))
                result = _replaced(result, place, lambda text: _hidden(text, keyring))
    return dict(result)


def concealed(
    kind: str, body: Mapping[str, Json], encrypted: Mapping[str, Iterable[str]] = MappingProxyType({})
) -> dict[str, Json]:
    """
    ``body`` as anybody may see it: of what :func:`sealed` seals, and of private keys wherever they stand, there is no
    more than a sign by which two that differ can be told apart.
    """
    result: Any = _without_keys(dict(body))
    for place in _PLACES.get(kind, ()):
        result = _replaced(result, place, _sign)
    plugins = body.get("plugins")
    if kind in _WITH_PLUGINS and isinstance(plugins, Mapping):
        for name in plugins:
            for inner in encrypted.get(name, ()):
                result = _replaced(result, ("plugins", name, *inner.split(".")), _sign)
    return dict(result)


def _without_keys(value: Any) -> Any:
    if isinstance(value, str):
        return _sign(value) if "PRIVATE KEY" in value else value
    if isinstance(value, Mapping):
        return {name: _without_keys(item) for name, item in value.items()}
    return [_without_keys(item) for item in value] if isinstance(value, list) else value


def _sign(text: str) -> str:
    if _REFERENCE.fullmatch(text) is not None or text.startswith("*** "):
        return text
    return f"*** {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _hidden(text: str, keyring: Sequence[str]) -> str:
    is_there_already = _REFERENCE.fullmatch(text) is not None or unseal(text, keyring) is not None
    return text if is_there_already else seal(text, keyring)


def _replaced(value: Any, place: tuple[str, ...], change: Callable[[str], str]) -> Any:
    """``value`` with the texts that stand at ``place`` in it changed."""
    if not place:
        return change(value) if isinstance(value, str) and _is_text(value) else value
    step, rest = place[0], place[1:]
    if step == "*":
        return [_replaced(item, rest, change) for item in value] if isinstance(value, list) else value
    if isinstance(value, Mapping) and step in value:
        return {**value, step: _replaced(value[step], rest, change)}
    return value


def _is_text(value: str) -> bool:
    """Half of a surrogate pair, which an escape in JSON or a byte in the environment may be, has no UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _cipher(key: str) -> Cipher[CBC]:
    data = key.encode("ascii")
    return Cipher(AES(data), CBC(data[:_BLOCK]))


def _referred(scheme: str, name: str, inner: str, environ: Mapping[str, str]) -> str:
    """A variable, or a text in the JSON object that it holds."""
    if scheme == "secret":
        raise SecretError("unsupported", "$secret:// is not supported: write the text itself, or $env://NAME")
    variable = f"the environment variable {shown(name)}"
    if name not in environ:
        raise SecretError("dangling", f"{variable} is not set")
    found: object = environ[name]
    if inner:
        try:
            found = json.loads(environ[name])[inner]
        except (ValueError, TypeError, LookupError, RecursionError):
            found = None
    if not isinstance(found, str):
        raise SecretError("dangling", f"{variable} is no JSON object with a text {shown(inner)}")
    if not _is_text(found):
        raise SecretError("bad_value", f"{variable} holds what is no UTF-8 text")
    return found
