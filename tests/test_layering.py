"""Imports run downwards: a lower layer never learns of a higher one, and only those that must know Twisted do."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "streamproxy"

# What each part may import besides itself, lowest first: a part, or one module of it. `errors` is everybody's.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "model": set(),
    "interfaces": {"model"},
    "sniff": {"model"},
    "rules": {"model"},
    "balance": {"model", "interfaces"},
    "observe": {"model", "interfaces"},
    "tls": {"model", "sniff.names"},
    "plugins": {"model", "interfaces", "sniff", "rules", "observe"},
    "dialects": {"model", "rules.regex", "rules.expression", "sniff.names", "sniff.starttls", "tls", "plugins.seam"},
    "why": {"model", "sniff", "rules", "balance", "plugins.seam", "tls", "dialects.codec"},
    "relay": {"model", "interfaces", "sniff", "rules", "balance", "observe", "plugins", "tls", "dialects"},
    "testing": {"model", "interfaces", "sniff", "rules", "balance", "observe", "plugins", "tls", "dialects", "relay"},
    "control": {
        "model",
        "interfaces",
        "sniff",
        "rules",
        "balance",
        "observe",
        "plugins",
        "tls",
        "dialects",
        "relay",
        "why",
    },
    "admin": {"model", "interfaces", "sniff", "rules", "observe", "plugins.seam", "dialects"},
    "embed": {"model", "observe", "plugins", "tls", "dialects", "relay"},
    "cli_explain": {"model", "sniff", "plugins", "dialects", "tls", "why", "control.certdir"},
    "cli": {
        "model",
        "interfaces",
        "sniff",
        "rules",
        "balance",
        "observe",
        "plugins",
        "dialects",
        "cli_explain",
        "control.adminport",
        "control.heir",
        "control.upgrade",
    },
    "tap": {
        "model",
        "interfaces",
        "sniff",
        "rules",
        "balance",
        "observe",
        "plugins",
        "tls",
        "dialects",
        "relay",
        "why",
        "control",
        "admin",
    },
}
WITHOUT_TWISTED = {"errors", "model", "interfaces", "sniff", "rules", "balance", "observe", "tls", "dialects", "why"}


@frozen
class Import:
    """One imported name, in full: ``streamproxy.model.Route`` or ``twisted.internet.reactor``."""

    line: int
    name: str
    for_typing: bool  # under `if TYPE_CHECKING:`, so that it does not happen when the program runs
    in_function: bool  # happens when the function is called, not when the module is imported


def imports(source: str, module: str, *, is_package: bool = False) -> list[Import]:
    """What the ``source`` of ``module`` (its full name) imports."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    return list(_imports(ast.parse(source), package, for_typing=False, in_function=False))


def _imports(node: ast.AST, package: list[str], *, for_typing: bool, in_function: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(child.lineno, alias.name, for_typing, in_function)
        elif isinstance(child, ast.ImportFrom):
            above = package[: len(package) - child.level + 1] if child.level else []
            start = ".".join([*above, *([child.module] if child.module else [])])
            for alias in child.names:
                yield Import(child.lineno, f"{start}.{alias.name}", for_typing, in_function)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for statement in child.body:
                wrapped = ast.Module([statement], [])
                yield from _imports(wrapped, package, for_typing=True, in_function=in_function)
            for statement in child.orelse:
                wrapped = ast.Module([statement], [])
                yield from _imports(wrapped, package, for_typing=for_typing, in_function=in_function)
        else:
            deeper = in_function or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _imports(child, package, for_typing=for_typing, in_function=deeper)


def breaches(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Which of the imports of ``module`` run upwards or reach for what is not its business, each as a sentence."""
    part = _part(module)
    found = []
    for imported in imports(source, module, is_package=is_package):
        why = _forbidden(part, imported)
        if why is not None:
            found.append(f"{module}, line {imported.line}, imports {imported.name}: {why}")
    return found


def _forbidden(part: str, imported: Import) -> str | None:
    top = imported.name.split(".")[0]
    if top == "streamproxy":
        allowed = {"errors", *MAY_IMPORT[part]}
        inner = imported.name.removeprefix("streamproxy.")
        if _part(imported.name) in ("", part) or any(_is_in(inner, name) for name in allowed):
            return None
        return f"{part} may import only {', '.join(sorted(allowed))}"
    if top == "twisted" and part in WITHOUT_TWISTED and not imported.for_typing:
        return f"{part} does without Twisted"
    if _is_in(imported.name, "twisted.internet.reactor") and not imported.for_typing and not imported.in_function:
        return "a reactor is a parameter, or imported where it is needed"
    if top == "klein" and part != "admin":
        return "only admin uses Klein"
    return None


def _part(module: str) -> str:
    """``relay`` of ``streamproxy.relay.pump``; nothing of the package itself and what it defines."""
    path = module.split(".")
    return path[1] if len(path) > 1 and not path[1].startswith("__") else ""


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_part_has_its_place() -> None:
    parts = {_part(_name(path)) for path in _modules()} - {""}
    assert parts <= set(MAY_IMPORT), f"say in {Path(__file__).name} what these may import"


def test_imports_run_downwards() -> None:
    found = []
    for path in _modules():
        module = _name(path)
        if module != "streamproxy":
            found += breaches(path.read_text(), module, is_package=path.name == "__init__.py")
    assert not found, "\n".join(["these imports run the wrong way:", *found])


def test_the_package_itself_imports_none_of_its_parts() -> None:
    found = imports((PACKAGE / "__init__.py").read_text(), "streamproxy", is_package=True)
    assert [imported.name for imported in found if imported.name != "__future__.annotations"] == []


@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("streamproxy.rules.table", "from ..relay.pump import Pump", "rules may import only errors, model"),
        ("streamproxy.rules.table", "from streamproxy import relay", "rules may import only"),
        ("streamproxy.model.route", "import streamproxy.tap", "model may import only errors"),
        ("streamproxy.admin.app", "def f():\n    from ..control import ports", "admin may import only"),
        ("streamproxy.admin.app", "from ..relay import pump", "admin may import only"),
        ("streamproxy.relay.pump", "if TYPE_CHECKING:\n    from ..control import ports", "relay may import only"),
        ("streamproxy.relay.pump", "from ..testing import MemoryLeg", "relay may import only"),
        ("streamproxy.dialects.codec", "from ..rules.table import Table", "dialects may import only"),
        ("streamproxy.cli", "from .admin import app", "cli may import only"),
        ("streamproxy.sniff.names", "from twisted.python import log", "sniff does without Twisted"),
        ("streamproxy.relay.pump", "from twisted.internet import reactor", "a reactor is a parameter"),
        ("streamproxy.relay.pump", "import twisted.internet.reactor", "a reactor is a parameter"),
        ("streamproxy.relay.pump", "try:\n    from twisted.internet import reactor\nexcept E: pass", "a reactor is"),
        ("streamproxy.control.service", "from klein import Klein", "only admin uses Klein"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str, why: str) -> None:
    (found,) = breaches(source, module)
    assert found.startswith(f"{module}, line ")
    assert why in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("streamproxy.rules.table", "from .names import Names\nfrom ..model import Route\nfrom ..errors import E"),
        ("streamproxy.dialects.codec", "from ..rules.regex import compiled\nfrom streamproxy.sniff.names import x"),
        ("streamproxy.observe.events", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import twisted.web"),
        ("streamproxy.tap", "from . import __version__\ndef f():\n    from twisted.internet import reactor"),
        ("streamproxy.admin.app", "import klein\nfrom streamproxy import __version__"),
        ("streamproxy.relay.pump", "if TYPE_CHECKING:\n    from twisted.internet import reactor"),
    ],
)
def test_a_right_import_is_not(module: str, source: str) -> None:
    assert breaches(source, module) == []


@pytest.mark.parametrize("module", ["streamproxy", "streamproxy.embed", "streamproxy.tap"])
def test_no_reactor_is_chosen_for_whoever_imports(module: str) -> None:
    program = f"import sys, {module}; print('twisted.internet.reactor' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "False", f"import {module} installs a reactor"
