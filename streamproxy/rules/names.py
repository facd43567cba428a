"""Names: which groups of routes a name belongs to, at a cost that does not grow with the number of names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from streamproxy.model import NamePattern, PatternKind, Route

from .networks import NEVER, Group, group, is_conditional
from .regex import RegexSet


@frozen(eq=False)
class NameIndex:
    """
    Groups of routes by the name they ask for. ``exact`` is keyed by name, ``suffixes`` by the text behind the
    wildcard; ``lengths`` are the lengths of those, the longest first, each of which costs a lookup one probe.
    ``regex_groups`` belong to the expressions of ``regexes`` one by one; ``first_regex`` is the lowest index in them.
    ``every`` are the routes for any name.
    """

    exact: dict[str, Group]
    suffixes: dict[str, Group]
    lengths: tuple[int, ...]
    every: Group
    regexes: RegexSet
    regex_groups: tuple[Group, ...]
    first_regex: int

    @classmethod
    def compile(cls, routes: Sequence[Route]) -> NameIndex:
        """Raises ``ValueError`` naming an expression that RE2 refuses."""
        exact: dict[str, Group] = {}
        exact_members: dict[str, list[int]] = {}
        members: dict[PatternKind, dict[str, list[int]]] = {kind: {} for kind in PatternKind}
        for index, route in enumerate(routes):
            for pattern in route.match.names:
                key = key_of(pattern)
                if pattern.kind is not PatternKind.EXACT:
                    members[pattern.kind].setdefault(key, []).append(index)
                elif key in exact_members:
                    exact_members[key].append(index)
                elif key not in exact:
                    # There may be very many of these, and hardly one that shares its name with another.
                    if is_conditional(route.match):
                        exact_members[key] = [index]
                    else:
                        exact[key] = index

        def grouped(indices: Iterable[int]) -> Group:
            return group((index, routes[index].match) for index in indices)

        exact.update((text, grouped(indices)) for text, indices in exact_members.items())

        suffixes = members[PatternKind.SUFFIX]
        regexes = members[PatternKind.REGEX]
        return cls(
            exact=exact,
            suffixes={text: grouped(indices) for text, indices in suffixes.items()},
            lengths=tuple(sorted({len(text) for text in suffixes}, reverse=True)),
            every=grouped(members[PatternKind.ANY].get("", ())),
            regexes=RegexSet.compile(tuple(regexes)),
            regex_groups=tuple(grouped(indices) for indices in regexes.values()),
            first_regex=min((indices[0] for indices in regexes.values()), default=NEVER),
        )

    def find(self, name: str) -> Iterator[Group]:
        """From the most to the least specific one; expressions apart."""
        found = self.exact.get(name)
        if found is not None:
            yield found
        size = len(name)
        for length in self.lengths:
            # A suffix of the name's own length would leave nothing for the wildcard.
            if length < size:
                found = self.suffixes.get(name[size - length :])
                if found is not None:
                    yield found
        yield self.every

    def find_regexes(self, name: str) -> Iterator[Group]:
        """In no particular order."""
        for position in self.regexes.match(name):
            yield self.regex_groups[position]


def key_of(pattern: NamePattern) -> str:
    """
    Equal for patterns of one kind that match the same names. Names are lower-case; the case of an expression is its
    own (``\\S`` is not ``\\s``), and ``ANY`` has no text.
    """
    if pattern.kind is PatternKind.ANY:
        return ""
    if pattern.kind is PatternKind.REGEX:
        return pattern.text
    lower = pattern.text.lower()
    # A name that is lower-case already is not kept twice.
    return pattern.text if lower == pattern.text else lower
