"""The plugin that the documentation shows is found, and does what it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from examples.plugins.twisted.plugins.office_hours import office_hours
from streamproxy.dialects.apisix.jsonschema import violations
from streamproxy.plugins import GO, Reject
from streamproxy.plugins.discovery import DEFAULT, _fault

from .kit import PLACE, World, visit

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "examples" / "plugins"
ASK = "import json; from streamproxy.plugins.discovery import catalogue; print(json.dumps(list(catalogue())))"


def test_it_is_one() -> None:
    assert _fault(office_hours) is None


def test_it_lets_sessions_pass_in_its_hours() -> None:
    # It is a quarter past ten in the evening here.
    assert office_hours.gate({"until": 23}, PLACE, World().host).admit(visit()) is GO
    world = World()
    closed = office_hours.gate({}, PLACE, world.host)
    assert closed.admit(visit()) == Reject(403, "come back in office hours")
    assert world.lines == [("info", "127.0.0.1 came at 22 o'clock")]


def test_it_refuses_hours_that_are_none() -> None:
    assert list(violations({"from": 9, "until": 17}, office_hours.schema)) == []
    (problem,) = office_hours.problems({"from": 19})
    assert (problem.path, problem.message) == ("until", "it has to be later than 19")


def found_beside(directory: Path) -> list[str]:
    """The plugins of a process that has a directory on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(directory), str(ROOT)])}
    ran = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, cwd=directory, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return list(json.loads(ran.stdout))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Twisted writes a cache beside the plugins that it finds."""
    ignored = shutil.ignore_patterns("__pycache__", "*.cache", "build", "*.egg-info")
    return Path(shutil.copytree(PACKAGE, tmp_path / "office-hours", ignore=ignored))


def test_it_is_found_where_python_finds_it(copy: Path) -> None:
    assert found_beside(copy) == ["ip-restriction", "office-hours", *DEFAULT[1:]]


def test_one_that_cannot_even_be_imported_is_passed_over(copy: Path) -> None:
    (copy / "twisted" / "plugins" / "broken.py").write_text("import no_such_module\n")
    assert found_beside(copy) == ["ip-restriction", "office-hours", *DEFAULT[1:]]


@pytest.mark.integration
def test_it_is_found_when_it_is_installed(copy: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    installed = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(site), str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert [path.name for path in (site / "twisted" / "plugins").glob("*.py")] == ["office_hours.py"]
    assert "office-hours" in found_beside(site)


def test_the_page_shows_it() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert program == (PACKAGE / "twisted" / "plugins" / "office_hours.py").read_text()
