"""Which route a connection takes: a pure function of what is known of it."""

from .explain import Condition, Considered, Explanation, Outcome, explain
from .regex import check_regex
from .table import Table

__all__ = [
    "Condition",
    "Considered",
    "Explanation",
    "Outcome",
    "Table",
    "check_regex",
    "explain",
]
