"""What a contender, a scenario and a measurement are."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from attrs import frozen

HOST = "127.0.0.1"
# A name that resolves to loopback, so that tools which name their server in the ClientHello name this one.
NAME = "localhost"


class Tls(enum.Enum):
    """What a proxy has to do with TLS."""

    NONE = "none"
    PASS_THROUGH = "route by the name in the ClientHello"
    TERMINATE = "terminate"


@frozen
class Certificate:
    """Where a certificate for :data:`NAME` is: ``both`` is one file with the certificate and its key."""

    chain: Path
    key: Path
    both: Path


@frozen
class Job:
    """
    What a proxy is asked to do: listen on a port of its choice and carry everything to ``target``, a port of loopback.

    ``routes``: how many routes there are, of which one leads to the target: by name with TLS passed through, else by
    the client's network. ``bulk``: settings may favour few big streams over many small ones.
    """

    target: int
    udp: bool = False
    tls: Tls = Tls.NONE
    certificate: Certificate | None = None
    routes: int = 1
    bulk: bool = False
    access_log: bool = False

    @property
    def other_names(self) -> Iterator[str]:
        """The names of routes that nobody takes."""
        return (f"host{number}.example.com" for number in range(self.routes - 1))

    @property
    def other_networks(self) -> Iterator[str]:
        """The networks of routes that nobody takes."""
        return (f"10.{number >> 8 & 255}.{number & 255}.0/24" for number in range(self.routes - 1))


@frozen
class Running:
    """A contender at work. ``pid``: the root of its tree of processes; None where there is no proxy."""

    port: int
    pid: int | None


class Contender(Protocol):
    """A proxy."""

    @property
    def name(self) -> str: ...

    def version(self) -> str | None:
        """What it says of itself; None where it is not installed."""

    def refusal(self, job: Job) -> str | None:
        """Why it cannot do this, or None."""

    def start(self, job: Job, directory: Path) -> AbstractContextManager[Running]:
        """One worker that listens by the time the block is entered, and is gone when it is left."""


@frozen
class Load:
    """
    What a load tool says: how many ``units`` of work were done in how many ``seconds``.

    ``p50``, ``p99``: milliseconds, where the tool tells them. ``errors``: units that failed.
    """

    units: float
    seconds: float
    p50: float | None = None
    p99: float | None = None
    errors: int = 0


@frozen
class Sample:
    """One round of one contender. ``cost``: in the scenario's unit, None without a proxy; ``kernel``: the part of it
    that was system time, from 0 to 1."""

    cost: float | None
    rate: float
    kernel: float | None = None
    p50: float | None = None
    p99: float | None = None
    errors: int = 0


class Scenario(Protocol):
    """Some work. Texts: ``title`` for people, ``cost`` and ``rate`` the units of a :class:`Sample`."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def cost(self) -> str: ...
    @property
    def rate(self) -> str: ...

    @property
    def programs(self) -> Iterable[str]:
        """What it needs besides contenders."""

    @property
    def fresh(self) -> bool:
        """Is every round a new process's?"""

    def jobs(self, directory: Path) -> AbstractContextManager[Mapping[str, Job]]:
        """Servers at work, and what proxies are asked to do with them; the key tells variants apart."""

    def measure(self, running: Running, seconds: float, directory: Path) -> Sample:
        """Put load on it."""


class Unavailable(Exception):
    """Something is not there. The text says what."""


class ToolFailed(Exception):
    """A program did not do what it was asked; the text has what it said."""


@frozen
class Row:
    """
    All good rounds of one contender in one variant of a scenario, and what went wrong with the others.

    ``remark``: what a reader has to know of how it did its work.
    """

    contender: str
    variant: str = ""
    samples: tuple[Sample, ...] = ()
    troubles: tuple[str, ...] = ()
    remark: str = ""

    @property
    def label(self) -> str:
        return f"{self.contender}, {self.variant}" if self.variant else self.contender


@frozen
class Table:
    """All rows of a scenario."""

    scenario: str
    title: str
    cost: str
    rate: str
    rows: tuple[Row, ...]
