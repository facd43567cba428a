"""Certificates in files: which files of a directory go together, and what is in them."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import TypeAlias

from attrs import define, field, frozen

from ..model import Certificate
from ..tls import MaterialError, key_pair, names_of, validity

MAX_BYTES = 256 * 1024
"""Of one file. A chain of sixteen certificates takes a tenth of that."""

MAX_ENTRIES = 100_000
"""Files and directories in the whole tree."""

MAX_DEPTH = 2
"""How far below the directory files are looked for: ``live/a.example.com/fullchain.pem`` is two below."""

STEP = 100
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


@frozen
class Files:
    """The path of a certificate with its chain, and that of its key; where one file has both, they are the same."""

    cert: str
    key: str

    def stamps(self) -> tuple[Stamp, Stamp]:
        """Others when one of the files was written to, replaced, or made to link elsewhere."""
        first = _stamp(self.cert)
        return first, first if self.key == self.cert else _stamp(self.key)


@define
class Look:
    """
    What was found: by the path of a certificate its files and how they are, and by the path of a directory why not
    everything in it could be seen.
    """

    found: dict[str, tuple[Files, tuple[Stamp, Stamp]]] = field(factory=dict)
    unseen: dict[str, str] = field(factory=dict)
    entries: int = 0


def look(root: str) -> Generator[None, None, Look]:
    """
    Everything in and below ``root`` that looks like a certificate. It takes some ten microseconds a file, so this
    pauses after every :data:`STEP` of them, and after every directory.

    Certificates are in ``NAME.crt``, ``NAME.cert`` or ``NAME.pem``, their keys in ``NAME.key`` or in the same file;
    or, as certbot and Kubernetes have it, in ``fullchain.pem`` with ``privkey.pem`` and in ``tls.crt`` with
    ``tls.key``. Names that begin with a dot are not looked at.
    """
    seen = Look()
    directories = [(root, 0)]
    while directories:
        directory, depth = directories.pop()
        try:
            names, below = _listed(directory, MAX_ENTRIES - seen.entries)
        except OSError as error:
            seen.unseen[directory] = why(error)
            continue
        seen.entries += len(names) + len(below)
        if seen.entries >= MAX_ENTRIES:
            seen.unseen[root] = f"{MAX_ENTRIES} files and directories, or more, are too many"
            directories.clear()
        if depth == 0 and below >= _CERTBOT:
            names, below = set(), {"live"}
        if depth < MAX_DEPTH:
            directories += [(f"{directory}/{name}", depth + 1) for name in sorted(below, reverse=True)]
        for number, (cert, key) in enumerate(together(names), 1):
            files = Files(f"{directory}/{cert}", f"{directory}/{key}")
            seen.found[files.cert] = files, files.stamps()
            if number % STEP == 0:
                yield
        yield
    return seen


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


def _listed(directory: str, most: int) -> tuple[set[str], set[str]]:
    """The names of files and of directories in it, ``most`` of them at most."""
    names: set[str] = set()
    below: set[str] = set()
    with os.scandir(directory) as entries:
        for entry in entries:
            if len(names) + len(below) == most:
                break
            if not entry.name.startswith("."):
                (below if _is_directory(entry) else names).add(entry.name)
    return names, below


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
