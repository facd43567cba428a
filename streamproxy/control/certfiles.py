"""Certificates in files: which files of a directory go together, and what is in them."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

from ..model import Certificate
from ..tls import MaterialError, key_pair, names_of, validity

MAX_BYTES = 256 * 1024
"""Of one file. A chain of sixteen certificates takes a tenth of that."""

MAX_ENTRIES = 100_000
"""Files and directories in the whole tree."""

MAX_DEPTH = 2
"""How far below the directory files are looked for: ``live/a.example.com/fullchain.pem`` is two below."""

STEP = 30
"""Certificates whose files are looked at in one step."""

_SUFFIXES = (".crt", ".cert", ".pem")
_KEY = ".key"
# Where a directory has both, they are what it is about, and what else is in it is none of our business.
_LAYOUTS = (("fullchain.pem", "privkey.pem"), ("tls.crt", "tls.key"))
# What certbot's own directory has: ``live`` leads to what is current, everything else to what was.
_CERTBOT = {"live", "archive"}

# What somebody made an object of on purpose comes before a file for the same name: the serials of objects are
# revisions, which are not negative.
_BELOW_REVISIONS = 1 << 62

# Times of the last change of content and of status in nanoseconds, size, inode, device. ``None``: not to be seen.
Stamp: TypeAlias = tuple[int, int, int, int, int] | None
Stamps: TypeAlias = tuple[Stamp, Stamp]


@frozen
class Files:
    """The path of a certificate with its chain, and that of its key; where one file has both, they are the same."""

    cert: str
    key: str

    def stamps(self) -> Stamps:
        """Others when one of the files was written to, replaced, or made to link elsewhere."""
        first = _stamp(self.cert)
        return first, first if self.key == self.cert else _stamp(self.key)


class Search:
    """
    Looks through the directory ``root`` and what is below it, again and again.

    Certificates are in ``NAME.crt``, ``NAME.cert`` or ``NAME.pem``, their keys in ``NAME.key`` or in the same file;
    or, as certbot and Kubernetes have it, in ``fullchain.pem`` with ``privkey.pem`` and in ``tls.crt`` with
    ``tls.key``. Names that begin with a dot are not looked at.

    ``unseen``, after a look, has the paths of directories not everything in which could be seen, and why not.
    """

    def __init__(self, root: str) -> None:
        self.unseen: dict[str, str] = {}
        self._root = root
        # The names in each directory and what they make: this seldom changes, and takes the longest to find out.
        self._known: dict[str, tuple[set[str], tuple[Files, ...]]] = {}

    def look(self) -> Iterator[list[tuple[Files, Stamps]]]:
        """
        All files that look as if they were of certificates, and how they are, a few at a time: each takes some ten
        microseconds. Sometimes there are none, so that who asks can pause.
        """
        known, self._known = self._known, {}
        unseen: dict[str, str] = {}
        entries = 0
        directories = [(self._root, 0)]
        while directories:
            directory, depth = directories.pop()
            names: set[str] = set()
            below: set[str] = set()
            try:
                for _ in _listed(directory, MAX_ENTRIES - entries, names, below):
                    yield []
            except OSError as error:
                unseen[directory] = why(error)
                continue
            entries += len(names) + len(below)
            if entries >= MAX_ENTRIES:
                unseen[self._root] = f"{MAX_ENTRIES} files and directories, or more, are too many"
                directories.clear()
            if depth == 0 and below >= _CERTBOT:
                names, below = set(), {"live"}
            if depth < MAX_DEPTH:
                directories += [(f"{directory}/{name}", depth + 1) for name in sorted(below, reverse=True)]
            before, files = known.get(directory, (None, ()))
            if before != names:
                files = tuple(Files(f"{directory}/{cert}", f"{directory}/{key}") for cert, key in together(names))
            self._known[directory] = names, files
            for start in range(0, len(files), STEP):
                yield [(each, each.stamps()) for each in files[start : start + STEP]]
            yield []
        self.unseen = unseen


def together(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Of the names of the files in a directory, those of certificates with those of their keys."""
    present = set(names)
    for layout in _LAYOUTS:
        if present >= set(layout):
            yield layout
            return
    certs: dict[str, str] = {}
    for suffix in _SUFFIXES:
        for name in present:
            if name.endswith(suffix):
                certs.setdefault(name.removesuffix(suffix), name)
    for stem in sorted({*certs, *(name.removesuffix(_KEY) for name in present if name.endswith(_KEY))}):
        key = stem + _KEY
        cert = certs.get(stem, key)
        yield cert, key if key in present else cert


def load(files: Files) -> Certificate:
    """
    What is in ``files``, for the names that the certificate says. Of two files for one name, the certificate that is
    valid from a later time on comes first. Raises :class:`~streamproxy.tls.MaterialError` or ``OSError``.
    """
    cert = read(files.cert)
    if files.key != files.cert:
        key = read(files.key)
    elif b"-----BEGIN CERTIFICATE-----" not in cert:
        raise MaterialError("there is no certificate in it, and none beside it")
    elif b"PRIVATE KEY-----" not in cert:
        raise MaterialError("there is no private key in it, and none beside it")
    else:
        key = cert
    pair = key_pair(cert, key)
    names = names_of(pair.chain[0])
    if not names:
        raise MaterialError("the certificate is for no host name")
    start, end = validity(pair.chain[0])
    return Certificate(
        f"file:{printable(files.cert)}",
        names,
        (pair,),
        serial=int(start) - _BELOW_REVISIONS,
        not_before=start,
        not_after=end,
    )


def read(path: str, most: int = MAX_BYTES) -> bytes:
    """A whole file of at most ``most`` bytes. Raises :class:`~streamproxy.tls.MaterialError` or ``OSError``."""
    # What is no regular file could keep us waiting for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise MaterialError(f"{printable(Path(path).name)} is no regular file")
        content = file.read(most + 1)
    if len(content) > most:
        raise MaterialError(f"{printable(Path(path).name)} is larger than {most // 1024} KiB")
    return content


def printable(path: str) -> str:
    """``path`` as text: bytes in it that are no UTF-8 are spelled out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def why(error: OSError) -> str:
    return error.strerror or "it cannot be read"


def _listed(directory: str, most: int, names: set[str], below: set[str]) -> Iterator[None]:
    """Add the names of files and of directories in it, ``most`` of them at most; pauses now and then."""
    with os.scandir(directory) as entries:
        for number, entry in enumerate(islice(entries, most), 1):
            if not entry.name.startswith("."):
                (below if _is_directory(entry) else names).add(entry.name)
            if number % (20 * STEP) == 0:
                yield


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself, for one.
        return False


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116 - half the time of a Path's
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev
