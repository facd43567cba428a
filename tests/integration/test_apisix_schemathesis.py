"""What schemathesis makes of the OpenAPI document that a running process serves: whatever it sends, nothing breaks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from . import servers
from .apisix_caller import configured
from .conftest import Make

# Seconds for everything; what is said of its end is a matter of the machine, and not looked at.
BUDGET = 30
# They go on for as long as somebody listens, or take the process away from the others.
LEFT_OUT = ("/events", "/sessions/{", "handover", "upgrade")


@pytest.mark.parametrize("part", ["/apisix/admin", "/streamproxy/v1"])
def test_no_answer_is_one_that_nobody_thought_of(make_proxy: Make, tmp_path: Path, part: str) -> None:
    program = servers.program("schemathesis")
    proxy = configured(make_proxy()).start()
    document = proxy.get("/streamproxy/v1/openapi.json", key="root-key").json
    paths = {path: each for path, each in document["paths"].items() if path.startswith(part)}
    document["paths"] = {path: each for path, each in paths.items() if not any(word in path for word in LEFT_OUT)}
    assert len(document["paths"]) > 15
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    command = [program, "run", str(file), "--url", f"http://127.0.0.1:{proxy.admin_port}", "-H", "X-API-KEY: root-key"]
    command += ["--checks", "not_a_server_error", "--max-time", str(BUDGET // 2), "--max-examples", "15"]
    command += ["--phases", "examples,coverage,fuzzing", "--request-timeout", "20", "--seed", "1"]
    command += ["--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=servers.ERRAND, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    assert "No issues found" in said or "passed" in said, said[-3000:]
    assert proxy.get("/streamproxy/v1/ready").status == 200, "it still answers"
    assert "Unhandled" not in proxy.output
    assert "Traceback" not in proxy.output, proxy.output[-4000:]
