"""Which files make a certificate."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.control import certfiles
from streamproxy.control.certfiles import MAX_BYTES, Files, Search, Stamps, load, printable, read, together
from streamproxy.tls import MaterialError, validity

from ..tls.pki import Authority, Issued

ROOT = Authority.root("Root")
LEAF = ROOT.issue("a.example.com", sans=["a.example.com", "*.a.example.com"])
LATER = ROOT.issue("a.example.com", valid=(0, 30))


def seen(root: Path) -> tuple[list[tuple[Files, Stamps]], dict[str, str]]:
    """What is found, and what cannot be seen."""
    search = Search(str(root))
    return [each for some in search.look() for each in some], search.unseen


def found(root: Path) -> list[tuple[str, str]]:
    """The paths below ``root``."""
    return sorted((os.path.relpath(files.cert, root), os.path.relpath(files.key, root)) for files, _ in seen(root)[0])


def made(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def files_of(directory: Path, issued: Issued) -> Files:
    (directory / "a.crt").write_bytes(issued.chain_pem)
    (directory / "a.key").write_bytes(issued.key_pem)
    return Files(str(directory / "a.crt"), str(directory / "a.key"))


class TestTogether:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            ([], []),
            (["a.pem"], [("a.pem", "a.pem")]),
            (["a.crt", "a.key"], [("a.crt", "a.key")]),
            (["a.cert", "a.key", "b.pem", "b.key"], [("a.cert", "a.key"), ("b.pem", "b.key")]),
            (["a.pem", "a.crt", "a.key"], [("a.crt", "a.key")]),
            (["a.key"], [("a.key", "a.key")]),
            (["a.b.crt", "a.b.key"], [("a.b.crt", "a.b.key")]),
            (["README", "a.txt", "a.pem~", "a.pem.bak"], []),
            (["fullchain.pem", "privkey.pem", "cert.pem", "chain.pem", "README"], [("fullchain.pem", "privkey.pem")]),
            (["tls.crt", "tls.key", "ca.crt"], [("tls.crt", "tls.key")]),
            (["fullchain.pem"], [("fullchain.pem", "fullchain.pem")]),
            ([".pem", ".key"], [(".pem", ".key")]),
        ],
    )
    def test_files_of_a_directory(self, names: list[str], expected: list[tuple[str, str]]) -> None:
        assert list(together(names)) == expected

    @given(st.sets(st.builds(str.__add__, st.text("ab.", max_size=3), st.sampled_from(["", ".pem", ".crt", ".key"]))))
    def test_every_file_is_of_one_certificate_at_most(self, names: Iterable[str]) -> None:
        pairs = list(together(set(names)))
        used = [name for cert, key in pairs for name in {cert, key}]
        assert len(used) == len(set(used))
        assert set(used) <= set(names)


class TestLook:
    def test_flat(self, tmp_path: Path) -> None:
        made(tmp_path, "a.crt", "a.key", "b.pem", "notes.txt", ".hidden.pem")
        assert found(tmp_path) == [("a.crt", "a.key"), ("b.pem", "b.pem")]

    def test_a_directory_a_name(self, tmp_path: Path) -> None:
        made(tmp_path, "a/fullchain.pem", "a/privkey.pem", "a/chain.pem", "b/tls.crt", "b/tls.key", "c/x/y.pem")
        assert found(tmp_path) == [
            ("a/fullchain.pem", "a/privkey.pem"),
            ("b/tls.crt", "b/tls.key"),
            ("c/x/y.pem", "c/x/y.pem"),
        ]

    def test_not_deeper_than_two(self, tmp_path: Path) -> None:
        made(tmp_path, "a/b/c/d.pem")
        assert found(tmp_path) == []

    def test_certbots_directory_is_what_is_live_in_it(self, tmp_path: Path) -> None:
        made(tmp_path, "live/README", "live/a/fullchain.pem", "live/a/privkey.pem")
        made(tmp_path, "archive/a/fullchain1.pem", "archive/a/privkey1.pem", "x.pem", "csr/0000.pem")
        assert found(tmp_path) == [("live/a/fullchain.pem", "live/a/privkey.pem")]
        assert found(tmp_path / "live") == [("a/fullchain.pem", "a/privkey.pem")]

    def test_a_secret_of_kubernetes_is_seen_once(self, tmp_path: Path) -> None:
        made(tmp_path, "..2024/tls.crt", "..2024/tls.key")
        (tmp_path / "..data").symlink_to("..2024")
        for name in ("tls.crt", "tls.key"):
            (tmp_path / name).symlink_to(f"..data/{name}")
        assert found(tmp_path) == [("tls.crt", "tls.key")]

    def test_what_is_a_directory_is_no_file(self, tmp_path: Path) -> None:
        made(tmp_path, "a.pem/b.pem")
        assert found(tmp_path) == [("a.pem/b.pem", "a.pem/b.pem")]

    def test_links_that_lead_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "self.pem").symlink_to("self.pem")
        (tmp_path / "gone.pem").symlink_to("nowhere")
        assert found(tmp_path) == [("gone.pem", "gone.pem"), ("self.pem", "self.pem")]
        assert {stamps for _, stamps in seen(tmp_path)[0]} == {(None, None)}

    def test_a_directory_in_itself_ends(self, tmp_path: Path) -> None:
        made(tmp_path, "a.pem")
        (tmp_path / "again").symlink_to(tmp_path)
        assert len(found(tmp_path)) == 3

    def test_what_cannot_be_looked_into(self, tmp_path: Path) -> None:
        made(tmp_path, "a.pem")
        for path in (tmp_path / "no", tmp_path / "a.pem"):
            here, unseen = seen(path)
            assert (here, list(unseen)) == ([], [str(path)])
        assert seen(tmp_path / "no")[1] == {str(tmp_path / "no"): "No such file or directory"}

    def test_more_than_anybody_has(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(certfiles, "MAX_ENTRIES", 5)
        made(tmp_path, *(f"{number}.pem" for number in range(4)))
        assert seen(tmp_path)[1] == {}
        made(tmp_path, "sub/a.pem", "sub/b.pem")
        here, unseen = seen(tmp_path)
        assert unseen == {str(tmp_path): "5 files and directories, or more, are too many"}
        assert len(here) <= 5

    def test_it_pauses(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(certfiles, "STEP", 2)
        made(tmp_path, *(f"{number}.pem" for number in range(5)), "sub/a.pem")
        made(tmp_path, *(f"x{number}" for number in range(40)))
        sizes = [len(some) for some in Search(str(tmp_path)).look()]
        assert sum(sizes) == 6
        assert max(sizes) == 2
        assert sizes[0] == 0, "forty names take their time, too"

    def test_a_second_look_finds_what_has_changed(self, tmp_path: Path) -> None:
        search = Search(str(tmp_path))

        def again() -> set[tuple[Files, Stamps]]:
            return {each for some in search.look() for each in some}

        for names in (["a.pem"], ["b.crt", "b.key"], ["sub/c.pem"]):
            made(tmp_path, *names)
            assert again() == set(seen(tmp_path)[0])
        (tmp_path / "b.key").unlink()
        assert again() == set(seen(tmp_path)[0])

    def test_changes_show(self, tmp_path: Path) -> None:
        files = files_of(tmp_path, LEAF)
        first = files.stamps()
        assert files.stamps() == first
        (tmp_path / "new").write_bytes(LEAF.key_pem)
        (tmp_path / "new").rename(files.key)
        assert files.stamps() != first
        assert files.stamps()[0] == first[0]
        assert Files("\0", "\0").stamps() == (None, None)


class TestLoad:
    def test_a_certificate_and_its_key(self, tmp_path: Path) -> None:
        found = load(files_of(tmp_path, LEAF))
        assert found.id == f"file:{tmp_path}/a.crt"
        assert found.names == ("a.example.com", "*.a.example.com")
        assert found.pairs == (LEAF.pair,)
        assert (found.not_before, found.not_after) == validity(LEAF.der)

    def test_both_in_one_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pem"
        leaf = ROOT.intermediate("Between").issue("a.example.com")
        path.write_bytes(leaf.key_pem + leaf.chain_pem)
        assert load(Files(str(path), str(path))).pairs == (leaf.pair,)

    def test_the_later_one_comes_first_but_after_every_object(self, tmp_path: Path) -> None:
        first = load(files_of(tmp_path, LEAF))
        assert first.serial < load(files_of(tmp_path, LATER)).serial < 0

    @pytest.mark.parametrize(
        ("cert", "key", "why"),
        [
            (LEAF.pem, LATER.key_pem, "the private key does not belong to the certificate"),
            (LEAF.pem[:-90], LEAF.key_pem, "the certificate cannot be read"),
            (b"", LEAF.key_pem, "the certificate cannot be read"),
            (LEAF.pem, b"", "the private key cannot be read"),
            (LEAF.pem, None, "there is no private key in it, and none beside it"),
            (None, LEAF.key_pem, "there is no certificate in it, and none beside it"),
            (b"x" * (MAX_BYTES + 1), LEAF.key_pem, "a.crt is larger than 256 KiB"),
            (LEAF.pem, b"x" * (MAX_BYTES + 1), "a.key is larger than 256 KiB"),
        ],
    )
    def test_what_cannot_be_used(self, tmp_path: Path, cert: bytes | None, key: bytes | None, why: str) -> None:
        for name, content in (("a.crt", cert), ("a.key", key)):
            if content is not None:
                (tmp_path / name).write_bytes(content)
        ((files, _),) = seen(tmp_path)[0]
        with pytest.raises(MaterialError, match=why):
            load(files)

    def test_a_certificate_for_nobody(self, tmp_path: Path) -> None:
        with pytest.raises(MaterialError, match="for no host name"):
            load(files_of(tmp_path, ROOT.issue("Somebody's machine")))

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="No such file"):
            load(Files(str(tmp_path / "a"), str(tmp_path / "a")))

    def test_nobody_waits_for_a_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.pem")
        with pytest.raises(MaterialError, match=r"a\.pem is no regular file"):
            read(str(tmp_path / "a.pem"))


def test_names_that_are_no_text() -> None:
    assert printable("/a/\udcff.pem") == "/a/\\xff.pem"
