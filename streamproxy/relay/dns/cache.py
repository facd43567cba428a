"""A cache of lookups: one for everybody who waits, renewed in the background, the last good answer kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.python.failure import Failure

from .answers import Found, NothingThere, ResolutionError

# How long an answer holds, in seconds: one of a TTL of 0 is not asked for anew by every session, and a record that was
# wrong is not believed for weeks.
LEAST_TTL = 1.0
MOST_TTL = 86400.0

# An answer is renewed this part of its TTL before its end, but no more than so many seconds.
AHEAD = 0.1
MOST_AHEAD = 1.0

# How long a failure is believed, so that a name that nobody answers for costs one lookup now and then.
NEGATIVE = 2.0
# The same where somebody says that there is nothing, whatever he says of how long.
LEAST_NEGATIVE = 1.0
MOST_NEGATIVE = 60.0

# After a failure the next try comes after 1, 2, 4 ... seconds, no more than these.
MOST_BACK_OFF = 30.0

# A name that had an answer and has none any more, so says who knows, is believed to be gone after so many seconds.
GONE = 30.0

# A name nobody asked for that long is no longer renewed.
IDLE = 600.0

# Names kept; the least recently asked goes first.
CAPACITY = 4096

T = TypeVar("T")


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None: ...


CallLater = Callable[..., Timer]


@frozen
class _NoTimer:
    def cancel(self) -> None:
        """There is none."""


def no_timers(delay: float, call: Callable[..., Any], *args: Any) -> Timer:
    """For who has no clock that calls: nothing is renewed before somebody asks."""
    return _NoTimer()


@define(eq=False)
class Entry(Generic[T]):
    """
    What is known of a name. ``expires`` is when ``value``, or if there is none ``error``, is no longer believed without
    asking; ``fresh_until`` when the last answer's own time is over. Times are monotonic seconds.
    """

    value: T | None = None
    error: str = ""
    expires: float = 0.0
    fresh_until: float = 0.0
    answered_at: float = 0.0
    asked_at: float = 0.0
    due_at: float = 0.0
    failures: int = 0
    gone_since: float | None = None
    due: Timer | None = None
    asking: Deferred[Any] | None = None
    waiting: list[Deferred[T]] | None = None
    followers: list[Callable[[], None]] = field(factory=list)

    @property
    def is_disposable(self) -> bool:
        return self.waiting is None and not self.followers


class Cache(Generic[T]):
    """
    ``ask`` is who looks a name up; ``seconds`` a monotonic clock and ``call_later`` its timers.
    """

    def __init__(
        self,
        ask: Callable[[str], Deferred[Found[T]]],
        seconds: Callable[[], float],
        call_later: CallLater = no_timers,
    ) -> None:
        self._ask = ask
        self._seconds = seconds
        self._call_later = call_later
        self._entries: OrderedDict[str, Entry[T]] = OrderedDict()

    def peek(self, name: str) -> T | None:
        """The answer if nobody has to be asked, or somebody is being asked already; else ``None``."""
        entry = self._entries.get(name)
        if entry is None or entry.value is None:
            return None
        now = self._seconds()
        if now >= entry.expires and entry.due is None and entry.waiting is None:
            return None
        entry.asked_at = now
        self._entries.move_to_end(name)
        return entry.value

    def get(self, name: str) -> Deferred[T]:
        """
        The answer; a Deferred of the caller's own, which may cancel it. Fails with :class:`ResolutionError`.
        """
        known = self.peek(name)
        if known is not None:
            return succeed(known)
        entry = self._entry(name)
        entry.asked_at = self._seconds()
        if entry.value is None and entry.error and entry.expires > entry.asked_at and entry.waiting is None:
            return fail(ResolutionError(entry.error))
        waiter: Deferred[T] = Deferred()
        if entry.waiting is not None:
            entry.waiting.append(waiter)
        else:
            self._begin(name, entry, waiter)
        return waiter

    def follow(self, name: str, changed: Callable[[], None]) -> None:
        """Keep the answer at hand from now on, and call ``changed`` whenever it becomes another, or none."""
        entry = self._entry(name)
        entry.followers.append(changed)
        if entry.due is None and entry.waiting is None:
            self._begin(name, entry)

    def unfollow(self, name: str, changed: Callable[[], None]) -> None:
        """Call no more."""
        self._entries[name].followers.remove(changed)

    def entries(self) -> Iterator[tuple[str, Entry[T]]]:
        """Everything that is known, by name."""
        yield from sorted(self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)

    def stop(self) -> None:
        """Leave no timer and no question behind. Whoever waits is told so; whoever asks afterwards starts anew."""
        for name in tuple(self._entries):
            entry = self._entries[name]
            self._rest(entry)
            if entry.asking is not None:
                entry.asking.cancel()
                self._rest(entry)

    # Inside

    def _rest(self, entry: Entry[T]) -> None:
        due, entry.due = entry.due, None
        if due is not None:
            due.cancel()

    def _entry(self, name: str) -> Entry[T]:
        entry = self._entries.get(name)
        if entry is None:
            if len(self._entries) >= CAPACITY:
                self._forget_one()
            entry = self._entries[name] = Entry()
        self._entries.move_to_end(name)
        return entry

    def _forget_one(self) -> None:
        """The least recently asked, of those that nobody waits for or follows."""
        name = next((name for name, entry in self._entries.items() if entry.is_disposable), None)
        if name is not None:
            self._rest(self._entries.pop(name))

    def _begin(self, name: str, entry: Entry[T], *waiters: Deferred[T]) -> None:
        self._rest(entry)
        entry.waiting = [*waiters]
        asking = entry.asking = maybeDeferred(self._ask, name)
        asking.addCallbacks(self._answered, self._failed, callbackArgs=(name, entry), errbackArgs=(name, entry))

    def _due(self, name: str, entry: Entry[T]) -> None:
        entry.due = None
        now = self._seconds()
        if entry.followers or entry.asked_at >= entry.answered_at or now - entry.asked_at < IDLE:
            self._begin(name, entry)

    def _again(self, name: str, entry: Entry[T], delay: float) -> None:
        """Ask anew by and by, unless nobody wants it."""
        entry.due_at = self._seconds() + delay
        due = self._call_later(delay, self._due, name, entry)
        entry.due = None if isinstance(due, _NoTimer) else due

    def _answered(self, found: Found[T], name: str, entry: Entry[T]) -> None:
        now = self._seconds()
        ttl = min(MOST_TTL, max(LEAST_TTL, found.ttl))
        is_news = entry.value != found.value
        if is_news:
            entry.value = found.value
        entry.error, entry.failures, entry.gone_since = "", 0, None
        entry.answered_at, entry.expires, entry.fresh_until = now, now + ttl, now + ttl
        self._again(name, entry, ttl - min(MOST_AHEAD, AHEAD * ttl))
        self._tell(entry, is_news)

    def _failed(self, failure: Failure, name: str, entry: Entry[T]) -> None:
        now = self._seconds()
        error = failure.value
        entry.error = failure.getErrorMessage() or type(error).__name__
        back_off = min(MOST_BACK_OFF, 2.0 ** min(entry.failures, 10))
        entry.failures += 1
        is_news = False
        if isinstance(error, NothingThere):
            entry.gone_since = now if entry.gone_since is None else entry.gone_since
            if entry.value is not None and now - entry.gone_since >= GONE:
                entry.value, is_news = None, True
        if entry.value is not None:
            delay = back_off
        elif isinstance(error, NothingThere) and error.ttl is not None:
            delay = min(MOST_NEGATIVE, max(LEAST_NEGATIVE, error.ttl))
        else:
            delay = NEGATIVE if not entry.followers else max(NEGATIVE, back_off)
        entry.expires = now + delay
        if entry.value is not None or entry.followers:
            self._again(name, entry, delay)
        self._tell(entry, is_news)

    def _tell(self, entry: Entry[T], is_news: bool) -> None:
        waiting, entry.waiting, entry.asking = entry.waiting or [], None, None
        if is_news:
            for changed in tuple(entry.followers):
                changed()
        for waiter in waiting:
            if entry.value is not None:
                waiter.callback(entry.value)
            else:
                waiter.errback(ResolutionError(entry.error))
