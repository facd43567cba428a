"""Certificates get to where handshakes are had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from attrs import evolve
from twisted.internet.task import Clock

from streamproxy.control.certificates import CertificateKeeper
from streamproxy.model import (
    Certificate,
    CertificateCandidate,
    ClientAuth,
    ClientVerification,
    KeyPair,
    LeafStatus,
    ListenAddress,
    Listener,
    Snapshot,
    TlsMode,
    TlsSettings,
    TlsVersion,
    Transport,
)
from streamproxy.relay.termination import Terminator
from streamproxy.tls import Contexts, MaterialError, describe, validity

from ..tls.pki import NOW, Authority, Issued, rsa_key, self_signed

ROOT = Authority.root("Root")
LEAF, OTHER = ROOT.issue("a.example.com"), ROOT.issue("a.example.com")


def served(issued: Issued, id: str = "apisix:ssls/1", *names: str, serial: int = 1) -> Certificate:  # noqa: A002
    start, end = validity(issued.der)
    chosen = names or ("a.example.com",)
    return Certificate(id, chosen, (issued.pair,), serial=serial, not_before=start, not_after=end)


class Scene:
    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self.certs = root / "certs"
        self.certs.mkdir()
        self.ca = root / "ca.pem"
        self.writes = 0
        self.terminator = Terminator(Contexts(), lambda: NOW)

    def keeper(self, settings: TlsSettings = TlsSettings(), *, start: bool = True) -> CertificateKeeper:
        keeper = CertificateKeeper(self.terminator, self.clock, settings, lambda: NOW)
        if start:
            keeper.start()
        return keeper

    def write(self, path: Path, content: bytes) -> None:
        self.writes += 1
        path.write_bytes(content)
        os.utime(path, ns=(self.writes, self.writes))

    def put(self, issued: Issued, name: str = "a") -> None:
        self.write(self.certs / f"{name}.pem", issued.key_pem + issued.chain_pem)

    @property
    def authorities(self) -> list[bytes]:
        return list(self.terminator.client_ca)

    def wait(self) -> None:
        for _ in range(4):
            self.clock.advance(0.6)

    def leaf(self, name: str | None) -> bytes | None:
        """What a client gets that asks for ``name``."""
        certificate = self.terminator.select(name).certificate
        return None if certificate is None else certificate.pairs[0].chain[0]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


class TestServing:
    def test_the_certificates_of_documents(self, scene: Scene) -> None:
        keeper = scene.keeper()
        assert scene.leaf("a.example.com") is None
        keeper.apply(Snapshot(certificates=(served(LEAF),)))
        assert scene.leaf("a.example.com") == LEAF.der
        keeper.apply(Snapshot())
        assert scene.leaf("a.example.com") is None

    def test_the_certificates_of_files(self, scene: Scene) -> None:
        scene.put(LEAF)
        scene.keeper(TlsSettings(certificates=str(scene.certs)))
        assert scene.leaf("a.example.com") == LEAF.der, "they are there before anybody can connect"
        scene.put(OTHER)
        scene.wait()
        assert scene.leaf("a.example.com") == OTHER.der

    def test_an_object_comes_before_a_file_until_it_expires(self, scene: Scene) -> None:
        scene.put(LEAF)
        keeper = scene.keeper(TlsSettings(certificates=str(scene.certs)))
        keeper.apply(Snapshot(certificates=(served(OTHER, serial=0),)))
        assert scene.leaf("a.example.com") == OTHER.der
        old = ROOT.issue("a.example.com", valid=(-9, -1))
        keeper.apply(Snapshot(certificates=(served(old),)))
        assert scene.leaf("a.example.com") == LEAF.der

    def test_what_is_equal_changes_nothing(self, scene: Scene) -> None:
        scene.put(LEAF)
        keeper = scene.keeper(TlsSettings(certificates=str(scene.certs)))
        keeper.apply(Snapshot(1, certificates=(served(OTHER),)))
        index = scene.terminator.index
        keeper.apply(Snapshot(2, certificates=(served(OTHER),)))
        scene.put(LEAF)
        scene.wait()
        assert scene.terminator.index is index
        keeper.apply(Snapshot(3, certificates=(served(OTHER, serial=3),)))
        assert scene.terminator.index is not index

    def test_who_sends_no_name(self, scene: Scene) -> None:
        keeper = scene.keeper(TlsSettings(fallback_sni="a.example.com"))
        keeper.apply(Snapshot(certificates=(served(LEAF),)))
        assert scene.leaf(None) == LEAF.der
        keeper.reload(TlsSettings())
        assert scene.leaf(None) is None
        keeper.reload(TlsSettings(fallback_sni="b.example.com"))
        assert scene.leaf(None) is None


class TestAuthorities:
    def test_they_are_followed(self, scene: Scene) -> None:
        scene.write(scene.ca, ROOT.pem)
        keeper = scene.keeper(TlsSettings(client_ca=str(scene.ca)))
        assert scene.authorities == [ROOT.der]
        second = Authority.root("Second")
        scene.write(scene.ca, ROOT.pem + second.pem)
        scene.wait()
        assert scene.authorities == [ROOT.der, second.der]
        assert keeper.problems() == ()

    def test_what_cannot_be_read_changes_nothing(self, scene: Scene) -> None:
        scene.write(scene.ca, ROOT.pem)
        keeper = scene.keeper(TlsSettings(client_ca=str(scene.ca)))
        scene.write(scene.ca, ROOT.pem[:-99])
        scene.wait()
        assert scene.authorities == [ROOT.der]
        ((path, code, message),) = [(one.path, one.code, one.message) for one in keeper.problems()]
        assert (path, code, message.startswith(str(scene.ca))) == ("tls.client_ca", "bad_value", True)
        scene.ca.unlink()
        scene.wait()
        assert scene.authorities == [ROOT.der]
        assert [one.code for one in keeper.problems()] == ["missing"]
        scene.write(scene.ca, ROOT.pem)
        scene.wait()
        assert keeper.problems() == ()

    def test_without_any_nobody_who_has_to_prove_himself_gets_in(self, scene: Scene) -> None:
        keeper = scene.keeper(TlsSettings(client_ca=str(scene.ca)))
        keeper.apply(Snapshot(certificates=(served(LEAF),)))
        assert [str(one) for one in keeper.problems()] == [
            f"tls.client_ca: {scene.ca} cannot be read: No such file or directory"
        ]
        address = ListenAddress(Transport.TCP, "127.0.0.1", 1)
        listener = Listener(address, "r", "o", tls=TlsMode.TERMINATE, client_auth=ClientAuth.NEED)
        with pytest.raises(MaterialError, match="no authority is named"):
            scene.terminator.context(listener, scene.terminator.select("a.example.com"))


class TestReloading:
    def test_other_files(self, scene: Scene, tmp_path: Path) -> None:
        scene.put(LEAF)
        scene.write(scene.ca, ROOT.pem)
        keeper = scene.keeper(TlsSettings(certificates=str(scene.certs), client_ca=str(scene.ca)))
        old = scene.certs
        scene.certs = tmp_path / "others"
        scene.certs.mkdir()
        scene.put(OTHER)
        others = Authority.root("Others")
        scene.write(tmp_path / "others.pem", others.pem)
        keeper.reload(TlsSettings(certificates=str(scene.certs), client_ca=str(tmp_path / "others.pem")))
        assert scene.leaf("a.example.com") == LEAF.der, "the directory before goes on until the new one was read"
        scene.clock.advance(0)
        assert scene.leaf("a.example.com") == OTHER.der
        assert scene.authorities == [others.der]
        (old / "a.pem").unlink()
        scene.wait()
        scene.put(LEAF)
        scene.wait()
        assert scene.leaf("a.example.com") == LEAF.der, "the new directory is followed"
        keeper.reload(TlsSettings())
        assert scene.leaf("a.example.com") is None
        assert scene.authorities == []
        assert scene.clock.getDelayedCalls() == []

    def test_a_directory_that_is_read_when_another_takes_its_place(self, scene: Scene, tmp_path: Path) -> None:
        scene.put(LEAF)
        keeper = scene.keeper(TlsSettings(certificates=str(scene.certs)))
        for name in ("empty", "full"):
            (tmp_path / name).mkdir()
        (tmp_path / "full" / "a.pem").write_bytes(OTHER.key_pem + OTHER.chain_pem)
        keeper.reload(TlsSettings(certificates=str(tmp_path / "empty")))
        keeper.reload(TlsSettings(certificates=str(tmp_path / "full")))
        keeper.stop()
        assert scene.clock.getDelayedCalls() == []
        assert scene.leaf("a.example.com") == LEAF.der
        keeper.start()
        scene.wait()
        assert scene.leaf("a.example.com") == OTHER.der
        keeper.reload(TlsSettings(certificates=str(tmp_path / "empty")))
        scene.wait()
        assert scene.leaf("a.example.com") is None, "an empty directory takes the place of one that is not"

    def test_the_same_reads_nothing_again(self, scene: Scene) -> None:
        scene.put(LEAF)
        settings = TlsSettings(certificates=str(scene.certs), client_ca=str(scene.ca))
        keeper = scene.keeper(settings)
        index = scene.terminator.index
        scene.put(OTHER)
        keeper.reload(evolve(settings))
        assert scene.terminator.index is index

    def test_files_are_followed_from_start_to_stop(self, scene: Scene) -> None:
        scene.put(LEAF)
        keeper = scene.keeper(TlsSettings(certificates=str(scene.certs), client_ca=str(scene.ca)), start=False)
        keeper.reload(TlsSettings(certificates=str(scene.certs)))
        assert scene.clock.getDelayedCalls() == []
        keeper.start()
        assert len(scene.clock.getDelayedCalls()) == 1
        keeper.stop()
        assert scene.clock.getDelayedCalls() == []

    def test_what_is_wrong_with_files_is_told(self, scene: Scene) -> None:
        scene.write(scene.certs / "a.pem", b"nothing")
        keeper = scene.keeper(TlsSettings(certificates=str(scene.certs), client_ca=str(scene.ca)))
        assert [one.path for one in keeper.problems()] == ["tls.client_ca", f"{scene.certs}/a.pem"]


class TestWhatIsShown:
    def test_everything_but_keys(self, scene: Scene) -> None:
        scene.put(LEAF)
        rsa = ROOT.issue("a.example.com", rsa_key())
        certificate = evolve(
            served(OTHER),
            pairs=(OTHER.pair, rsa.pair),
            client=ClientVerification(ClientAuth.NEED, (ROOT.der,)),
            versions=frozenset({TlsVersion.TLS1_3}),
        )
        keeper = scene.keeper(TlsSettings(certificates=str(scene.certs)))
        keeper.apply(Snapshot(certificates=(certificate,)))

        first, second = keeper.certificates()

        assert (first.id, second.id) == ("apisix:ssls/1", f"file:{scene.certs}/a.pem")
        assert (first.names, first.client_auth, first.versions) == (
            ("a.example.com",),
            ClientAuth.NEED,
            frozenset({TlsVersion.TLS1_3}),
        )
        assert (second.client_auth, second.versions) == (None, frozenset())
        described = describe(OTHER.der)
        assert first.leaves[0] == LeafStatus(
            "CN=a.example.com",
            "CN=Root",
            described.serial,
            "ECDSA",
            256,
            *validity(OTHER.der),
            ("DNS:a.example.com",),
            OTHER.pair.fingerprint,
            False,
            False,
            (OTHER.der,),
        )
        assert [leaf.key_type for leaf in first.leaves] == ["ECDSA", "RSA"]
        for issued in (OTHER, rsa, LEAF):
            assert repr(issued.key_der) not in repr((first, second))

    def test_authorities_and_those_that_vouch_for_themselves(self, scene: Scene) -> None:
        keeper = scene.keeper()
        objects = served(ROOT.issued), served(self_signed("a.example.com"), "apisix:ssls/2")
        keeper.apply(Snapshot(certificates=objects))
        assert [(one.leaves[0].is_self_signed, one.leaves[0].is_authority) for one in keeper.certificates()] == [
            (True, True),
            (True, False),
        ]

    def test_one_that_cannot_be_told_of(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        def odd(leaf: bytes) -> None:
            raise MaterialError("the certificate cannot be read")

        monkeypatch.setattr("streamproxy.control.certificates.describe", odd)
        keeper = scene.keeper()
        keeper.apply(Snapshot(certificates=(served(LEAF),)))
        (leaf,) = keeper.certificates()[0].leaves
        assert (leaf.subject, leaf.fingerprint, leaf.not_after) == ("", LEAF.pair.fingerprint, validity(LEAF.der)[1])

    def test_one_without_any_extension_is_no_authority(self, scene: Scene) -> None:
        import datetime

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.serialization import Encoding

        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([]))
            .public_key(LEAF.key.public_key())
            .serial_number(1)
            .not_valid_before(datetime.datetime(2020, 1, 1))
            .not_valid_after(datetime.datetime(2040, 1, 1))
        )
        der = builder.sign(LEAF.key, hashes.SHA256()).public_bytes(Encoding.DER)
        keeper = scene.keeper()
        keeper.apply(Snapshot(certificates=(Certificate("x", ("a",), (KeyPair((der,), LEAF.key_der),)),)))
        assert not keeper.certificates()[0].leaves[0].is_authority

    def test_which_one_a_client_gets(self, scene: Scene) -> None:
        keeper = scene.keeper(TlsSettings(fallback_sni="a.example.com"))
        objects = served(LEAF), served(OTHER, "apisix:ssls/2", "*.example.com")
        keeper.apply(Snapshot(certificates=objects))

        choice = keeper.certificate_for("A.example.com.")
        assert choice.certificate == keeper.certificates()[0]
        assert choice.why == "exact name"
        assert choice.candidates == (
            CertificateCandidate("apisix:ssls/1", "a.example.com", True, "exact name"),
            CertificateCandidate("apisix:ssls/2", "*.example.com", False, "exact name is more specific"),
        )
        assert keeper.certificate_for(None).certificate == keeper.certificates()[0]
        nobody = keeper.certificate_for("example.org")
        assert (nobody.certificate, nobody.why, nobody.candidates) == (None, "no certificate for example.org", ())


class TestRevocationLists:
    def lists(self, scene: Scene) -> int | None:
        crls = scene.terminator.client_crls
        return None if crls is None else len(crls)

    def test_they_are_followed(self, scene: Scene, tmp_path: Path) -> None:
        path = tmp_path / "revoked.pem"
        authority = Authority.root("who vouches")
        assert self.lists(scene) == 0
        path.write_bytes(authority.revoke(authority.issue("gone")))
        keeper = scene.keeper(TlsSettings(client_crl=str(path)))
        assert self.lists(scene) == 1
        assert keeper.problems() == ()
        keeper.reload(TlsSettings())
        assert self.lists(scene) == 0

    @pytest.mark.parametrize("content", [None, b"", b"no list"])
    def test_not_knowing_is_not_the_same_as_none(self, scene: Scene, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "revoked.pem"
        if content is not None:
            path.write_bytes(content)
        keeper = scene.keeper(TlsSettings(client_crl=str(path)))
        assert self.lists(scene) is None
        assert [problem.path for problem in keeper.problems()] == ["tls.client_crl"]
