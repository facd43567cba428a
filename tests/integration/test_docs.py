"""The documentation's snippets run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamproxy.dialects.native import load_config
from streamproxy.plugins.discovery import catalogue

from .harness import ROOT, free_port, until

DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Ports that a page uses, each of which becomes a free one.
_PORTS = re.compile(r"\b(9180|8000|8001|8002|5300|5353)\b")


def blocks(path: Path) -> Iterator[tuple[str, str, str]]:
    """Language, what follows it on the line, and text."""
    for language, words, text in _BLOCK.findall(path.read_text()):
        yield language, words.strip(), text


@pytest.mark.parametrize(("page", "commands"), [("tutorial.md", 10), ("explain.md", 11), ("revisions.md", 9)])
def test_the_page_runs_as_it_is_written(tmp_path: Path, page: str, commands: int) -> None:
    ports: dict[str, str] = {}

    def free(match: re.Match[str]) -> str:
        return ports.setdefault(match[0], str(free_port()))

    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    background: list[subprocess.Popen[str]] = []
    ran = 0
    try:
        for language, words, original in blocks(DOCS / page):
            text = _PORTS.sub(free, original)
            if language == "yaml":
                (tmp_path / words).write_text(text)
            elif language == "sh" and words == "background":
                with (tmp_path / f"background{len(background)}.log").open("w") as log:
                    background.append(
                        subprocess.Popen(
                            ["bash", "-c", f"exec {text}"],
                            cwd=tmp_path,
                            env=environment,
                            text=True,
                            stdout=log,
                            stderr=subprocess.STDOUT,
                        )
                    )
                awaited = ports["9180"] if "twistd" in text else _port_of(text)
                until(lambda port=awaited: _listens(port), f"the process of the page listens on {awaited}")  # type: ignore[misc]
            elif language == "sh":
                done = subprocess.run(
                    ["bash", "-eo", "pipefail", "-c", text],
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert (done.returncode == 0) is (words != "fails"), f"{text}\n{done.stdout}\n{done.stderr}"
                ran += 1
    finally:
        for process in background:
            process.send_signal(signal.SIGTERM)
        for process in background:
            process.wait(20)
    assert ran >= commands, "the page has lost its commands"


def _port_of(text: str) -> str:
    found = re.search(r"http\.server (\d+)", text)
    assert found, text
    return found[1]


def _listens(port: str) -> bool:
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(f":{int(port):04X} " in line and " 0A " in line for line in lines)


@pytest.mark.parametrize("page", sorted(path.relative_to(DOCS) for path in DOCS.rglob("*.md")))
def test_every_configuration_in_the_docs_can_be_used(page: Path, tmp_path: Path) -> None:
    for number, (language, words, text) in enumerate(blocks(DOCS / page)):
        if language == "yaml" and words != "part":
            path = tmp_path / f"{number}.yaml"
            path.write_text(text)
            load_config(path, {"PORT": "5432", "ADMIN_KEY": "a-long-enough-key"}, catalogue)


def test_the_embedding_page_shows_the_example() -> None:
    (program,) = (text for language, _, text in blocks(DOCS / "embedding.md") if language == "python")
    example = (ROOT / "examples" / "embed.py").read_text()
    assert program.strip() in example


@pytest.mark.parametrize("page", ["README.md", *(str(p.relative_to(ROOT)) for p in sorted(DOCS.rglob("*.md")))])
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if not link.startswith("http"):
            assert ((ROOT / page).parent / link).exists(), f"{page} links to {link}, which is not there"
