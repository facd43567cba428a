"""The gates in use: plugins made ready for the routes they stand at, and one session's way past them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from attrs import define, evolve, field, frozen
from twisted.logger import Logger

from ..model import Ended, Facts, Key, PluginUse, Route
from ..plugins import Gate, Go, Host, More, Place, Plugin, Reject, Verdict, Visit
from ..rules.expression import Expression, compile_expression

_log = Logger()

# A plugin that never has enough would keep a client's bytes from its target for ever.
MOST_QUESTIONS = 64


@frozen(eq=False)
class Post:
    """A gate, the use of the plugin it was made of, where it stands, and the expression that has to hold for it."""

    use: PluginUse
    place: Place
    gate: Gate
    filter: Expression | None = None


_NONE: tuple[Post, ...] = ()


class Gates:
    """
    Every gate in use, by route and plugin. They outlive snapshots: as long as a route uses a plugin with the same
    configuration, it is the same gate, and what it counts goes on.
    """

    def __init__(self, plugins: Mapping[str, Plugin], host: Host) -> None:
        self._plugins = plugins
        self._host = host
        self._routes: dict[str, tuple[Route, tuple[Post, ...]]] = {}
        self._posts: dict[tuple[Key | str, str], Post] = {}

    def admission(self, facts: Facts, route: Route) -> Admission:
        """A session at the gates of its route."""
        return Admission(facts, route, self.of(route), self._host.log)

    def of(self, route: Route) -> tuple[Post, ...]:
        """The gates of a route, in the order in which they are asked."""
        if not route.plugins:
            return _NONE
        known = self._routes.get(route.id)
        if known is not None and known[0] is route:
            return known[1]
        posts = tuple(self._post(route, use) for use in route.plugins)
        self._routes[route.id] = (route, posts)
        return posts

    def keep(self, routes: Iterable[Route]) -> None:
        """Close the gates that stand at none of these routes."""
        wanted = [route for route in routes if route.plugins]
        ids = {route.id for route in wanted}
        self._routes = {name: known for name, known in self._routes.items() if name in ids}
        places = {(route.document or route.id, use.name) for route in wanted for use in route.plugins}
        for place in [place for place in self._posts if place not in places]:
            _close(self._posts.pop(place))

    def close(self) -> None:
        """Close them all."""
        self.keep(())

    def _post(self, route: Route, use: PluginUse) -> Post:
        # A route may stand in a table twice, and what it counts is one.
        key = (route.document or route.id, use.name)
        place = Place.of(route, use)
        known = self._posts.get(key)
        if known is not None:
            # Of one route that stands in a table twice, only the id is another.
            if known.use == use and evolve(known.place, route=place.route) == place:
                return known
            _close(known)
        post = self._posts[key] = self._made(place, use)
        return post

    def _made(self, place: Place, use: PluginUse) -> Post:
        plugin = self._plugins.get(use.name)
        if plugin is None:
            return Post(use, place, _Shut(f"there is no plugin {use.name}"))
        try:
            condition = compile_expression(list(use.filter)) if use.filter else None
            return Post(use, place, plugin.gate(use.conf, place, self._host), condition)
        except Exception:  # noqa: BLE001 - a plugin is anybody's code
            _log.failure("the plugin {name} cannot be used at {route}", name=use.name, route=place.route)
            return Post(use, place, _Shut("it could not be made ready: the log has the details"))


def _close(post: Post) -> None:
    try:
        post.gate.close()
    except Exception:  # noqa: BLE001 - a plugin is anybody's code
        _log.failure("the plugin {name} could not be closed", name=post.use.name)


@frozen
class _Shut:
    """Stands where a plugin should have: nobody gets past what was meant to look at them."""

    _why: str

    def admit(self, visit: Visit) -> Verdict:
        return Reject(500, self._why)

    def ended(self, record: Ended) -> None: ...

    def close(self) -> None: ...


@frozen
class Admitted:
    """All gates let the session pass."""


@frozen
class Delayed:
    """Go on asking after so many seconds."""

    seconds: float


@frozen
class Rejected:
    """``plugin`` closed the session."""

    plugin: str
    code: int
    why: str


Progress: TypeAlias = Admitted | Delayed | Rejected | More
ADMITTED = Admitted()


def _silent(level: str, text: str) -> None:
    """Nobody wants to know."""


@define(eq=False)
class Admission:
    """
    One session at the gates of its route. ``variables`` is what the plugins found out so far, ``upstream`` the id of
    the upstream one of them chose, ``code`` that of the one that rejected it.
    """

    facts: Facts
    route: Route
    _posts: tuple[Post, ...]
    _log: Callable[[str, str], None] = _silent
    variables: dict[str, str] = field(init=False, factory=dict)
    upstream: str | None = field(init=False, default=None)
    code: int | None = field(init=False, default=None)
    _next: int = field(init=False, default=0)
    _questions: int = field(init=False, default=0)
    _asked: list[Post] = field(init=False, factory=list)
    _releases: list[Any] = field(init=False, factory=list)

    def advance(self, window: bytes, *, complete: bool) -> Progress:
        """Ask on, until one wants more, or time, or says no. ``window`` and ``complete`` are those of a ``Visit``."""
        while self._next < len(self._posts):
            post = self._posts[self._next]
            if post.filter is not None and not post.filter.holds(self.variable):
                self._next += 1
                continue
            verdict = self._ask(post, window, complete)
            if isinstance(verdict, More):
                self._questions += 1
                if complete or verdict.at_least <= len(window) or self._questions > MOST_QUESTIONS:
                    return self._reject(post, Reject(400, "it wants more than the client says"))
                return verdict
            if isinstance(verdict, Reject):
                return self._reject(post, verdict)
            self._next += 1
            self._pass(verdict)
            if verdict.delay > 0:
                return Delayed(verdict.delay)
        return ADMITTED

    def variable(self, name: str) -> str | None:
        return self._visit(b"", complete=False).variable(name)

    def finish(self, record: Ended) -> None:
        """
        The session is over: tell those that were asked and those that would have been, had nobody said no before
        (who counts or logs sessions wants these too), and free what they hold for it.
        """
        releases, self._releases = self._releases, []
        for release in releases:
            _quietly(release)
        asked, self._asked = self._asked, []
        left, self._posts = self._posts[self._next :], ()
        for post in asked:
            _quietly(post.gate.ended, record)
        for post in left:
            if post not in asked and (post.filter is None or post.filter.holds(self.variable)):
                _quietly(post.gate.ended, record)

    def _visit(self, window: bytes, *, complete: bool) -> Visit:
        return Visit(self.facts, self.route, window, complete, self.variables)

    def _ask(self, post: Post, window: bytes, complete: bool) -> Verdict:
        if not self._asked or self._asked[-1] is not post:
            self._asked.append(post)
        try:
            verdict: object = post.gate.admit(self._visit(window, complete=complete))
        except Exception:  # noqa: BLE001 - a plugin is anybody's code
            _log.failure("the plugin {name} failed at {route}", name=post.use.name, route=self.route.id)
            return Reject(500, "it failed: the log has the details")
        if isinstance(verdict, (Go, Reject, More)):
            return verdict
        _log.error("the plugin {name} answered with a {kind}", name=post.use.name, kind=type(verdict).__name__)
        return Reject(500, "it answered with something that is no verdict")

    def _pass(self, verdict: Go) -> None:
        if verdict.variables:
            self.variables.update(verdict.variables)
        if verdict.upstream is not None:
            self.upstream = verdict.upstream
        if verdict.release is not None:
            self._releases.append(verdict.release)

    def _reject(self, post: Post, verdict: Reject) -> Rejected:
        self.code = verdict.code
        self._log("warn", f"{post.use.name} exits with status code {verdict.code}")
        return Rejected(post.use.name, verdict.code, verdict.why)


def _quietly(call: Any, *arguments: Any) -> None:
    try:
        call(*arguments)
    except Exception:  # noqa: BLE001 - a plugin is anybody's code
        _log.failure("a plugin failed at the end of a session")
