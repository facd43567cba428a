"""What `pip install .` installs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Building fetches setuptools into an environment of its own, which takes seconds.
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, because setuptools keeps what it built before beside the sources, and would install that too."""
    copy = tmp_path_factory.mktemp("checkout") / "streamproxy"
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "htmlcov")
    shutil.copytree(ROOT, copy, ignore=ignored)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", str(checkout), "--no-deps", "--wheel-dir", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def test_every_file_of_the_package_is_installed(checkout: Path, wheel: zipfile.ZipFile) -> None:
    files = {str(path.relative_to(checkout)) for path in (checkout / "streamproxy").rglob("*") if path.is_file()}
    assert {"streamproxy/py.typed", "streamproxy/relay/pump.py"} <= files
    assert files - set(wheel.namelist()) == set()


def test_twisted_finds_the_plugin_and_stays_a_package_of_its_own(wheel: zipfile.ZipFile) -> None:
    of_twisted = [name for name in wheel.namelist() if name.startswith("twisted/")]
    assert of_twisted == ["twisted/plugins/streamproxy_dropin.py"]


def test_nothing_else_is_installed(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"streamproxy", "twisted"}


def test_the_command_is_installed(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    assert "streamproxy = streamproxy.cli:main" in wheel.read(entry_points).decode()
