"""One authority and its certificates for all tests: nothing changes them."""

from __future__ import annotations

import functools

import pytest
from attrs import frozen

from .pki import CLIENT_ONLY, SERVER_ONLY, Authority, Issued, rsa_key, self_signed


@frozen(eq=False)
class Pki:
    """
    ``root`` over ``first`` over ``second``, and ``stranger``, who nobody trusts. Servers' and clients' certificates are
    made when they are asked for.
    """

    root: Authority
    first: Authority
    second: Authority
    stranger: Authority

    @functools.cache  # noqa: B019  (there is one for the whole run)
    def server(self, name: str = "a.example.com") -> Issued:
        return self.root.issue(name)

    @functools.cache  # noqa: B019
    def client(self, kind: str = "good") -> Issued:
        return {
            "good": lambda: self.root.issue("alice", purpose=CLIENT_ONLY),
            "one between": lambda: self.first.issue("bob"),
            "two between": lambda: self.second.issue("carol"),
            "expired": lambda: self.root.issue("dave", valid=(-9, -1)),
            "not yet": lambda: self.root.issue("erin", valid=(1, 9)),
            "unknown": lambda: self.stranger.issue("mallory"),
            "self-signed": lambda: self_signed("mallory"),
            "for servers": lambda: self.root.issue("frank", purpose=SERVER_ONLY),
            "of nobody": lambda: Authority(self.root.issue("grace"), is_root=False).issue("mallory"),
            "weak": lambda: self.root.issue("heidi", rsa_key(0, 1024)),
        }[kind]()


@pytest.fixture(scope="session")
def pki() -> Pki:
    root = Authority.root("Root")
    first = root.intermediate("First")
    return Pki(root, first, first.intermediate("Second"), Authority.root("Stranger"))
