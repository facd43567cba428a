"""``checks``: how targets are asked whether they are well. Every dialect writes them as APISIX's upstreams do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from attrs import field, frozen

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Checks, Json

from .apisix.checks import to_checks
from .apisix.jsonschema import violations
from .apisix.upstream_schema import CHECKS
from .codec import Via, bounded, kind_of


@frozen
class WrittenChecks:
    """Checks, and how they were written, which is how they are written again."""

    checks: Checks | None = None
    source: Json = field(default=None, eq=False)


def written_checks(value: Any) -> WrittenChecks:
    """Raises ``InvalidConfiguration``."""
    if not isinstance(value, Mapping):
        raise InvalidConfiguration((Problem("", "wrong_type", f"expected an object, got {kind_of(value)}"),))
    problems = bounded(violation.problem for violation in violations(value, CHECKS))
    if problems:
        raise InvalidConfiguration(problems)
    checks, problems = to_checks(value)
    if checks is None:
        raise InvalidConfiguration(problems)
    return WrittenChecks(checks, dict(value))


UNCHECKED: Final = WrittenChecks()
ChecksText = Annotated[WrittenChecks, Via(Any, written_checks)]
