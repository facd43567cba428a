"""What sslyze, which speaks what no other client speaks any more, finds in a listener with every default."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.tls.pki import rsa_key

from . import servers
from .harness import Proxy, free_port, rule, target, tcp_service
from .targets import Echo
from .test_tls import ROOT, install

NAMES = {"rsa.example.com": "RSA", "ec.example.com": "ECDSA"}

VERSIONS = ("sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3")
HOLES = ("compression", "early_data", "openssl_ccs", "heartbleed", "robot", "reneg", "fallback")
PROBES = ("certinfo", *VERSIONS, *HOLES, "ems", "elliptic_curves")

TLS1_2 = {
    f"TLS_ECDHE_%s_WITH_{cipher}" for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
}
TLS1_3 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}


@frozen
class Scan:
    """The results of one scan, by the names of sslyze's commands, and what it says of Mozilla's recommendations."""

    results: dict[str, dict[str, Any]]
    compliance: str
    status: int

    def ciphers(self, version: str) -> set[str]:
        """Those that were agreed on."""
        accepted = self.results[f"{version}_cipher_suites"]["accepted_cipher_suites"]
        return {each["cipher_suite"]["name"] for each in accepted}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scan]]:
    """One of each kind of key."""
    directory = tmp_path_factory.mktemp("scans")
    root = directory / "root.pem"
    root.write_bytes(ROOT.pem)
    install(directory / "certs", "rsa", ROOT.issue("rsa.example.com", rsa_key()))
    install(directory / "certs", "ec", ROOT.issue("ec.example.com"))
    echo, port = Echo(), free_port()
    service = {**tcp_service(port=port, tls="Enabled", rules=[rule("*", target(echo.port))]), "id": "scanned"}
    config = {"tls": {"certificates": str(directory / "certs")}, "resources": {"tcp_services": [service]}}
    proxy = Proxy(tmp_path_factory.mktemp("proxy"), config)
    try:
        proxy.start()
        yield {name: scan(directory / f"{name}.json", port, name, root) for name in NAMES}
        listener = proxy.listener(port)
        assert listener is not None
        assert listener["sessions"] == 0, "sessions of the scan are left"
    finally:
        proxy.stop()
        echo.close()


def scan(output: Path, port: int, name: str, root: Path) -> Scan:
    command = [servers.program("sslyze"), f"--json_out={output}", f"--sni={name}", f"--certinfo_ca_file={root}"]
    command += ["--mozilla_config=intermediate", *(f"--{probe}" for probe in PROBES), f"127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=servers.ERRAND, check=False)
    assert output.exists(), done.stdout + done.stderr
    (found,) = json.loads(output.read_text())["server_scan_results"]
    assert found["scan_status"] == "COMPLETED", done.stdout + done.stderr
    results = {}
    for command_name, attempt in found["scan_result"].items():
        if attempt["status"] != "NOT_SCHEDULED":
            assert attempt["status"] == "COMPLETED", f"{command_name}: {attempt}"
            results[command_name] = attempt["result"]
    return Scan(results, done.stdout.partition("COMPLIANCE")[2], done.returncode)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_no_protocol_below_tls_1_2(scans: dict[str, Scan], name: str) -> None:
    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        assert scans[name].ciphers(version) == set(), f"{version} is spoken"


def test_only_forward_secret_authenticated_ciphers(scans: dict[str, Scan], name: str) -> None:
    assert scans[name].ciphers("tls_1_2") == {cipher % NAMES[name] for cipher in TLS1_2}
    assert scans[name].ciphers("tls_1_3") == TLS1_3
    curves = {curve["name"] for curve in scans[name].results["elliptic_curves"]["supported_curves"]}
    assert curves == {"X25519", "secp256r1", "secp384r1"}


def test_none_of_the_known_holes(scans: dict[str, Scan], name: str) -> None:
    results = scans[name].results
    assert results["tls_compression"]["supports_compression"] is False
    assert results["tls_1_3_early_data"]["supports_early_data"] is False
    assert results["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"] is False
    assert results["heartbleed"]["is_vulnerable_to_heartbleed"] is False
    assert results["robot"]["robot_result"] == "NOT_VULNERABLE_RSA_NOT_SUPPORTED"
    assert results["tls_fallback_scsv"]["supports_fallback_scsv"] is True
    assert results["tls_extended_master_secret"]["supports_ems_extension"] is True


def test_no_renegotiation_but_what_makes_it_secure(scans: dict[str, Scan], name: str) -> None:
    renegotiation = scans[name].results["session_renegotiation"]
    assert renegotiation["supports_secure_renegotiation"] is True
    assert renegotiation["is_vulnerable_to_client_renegotiation_dos"] is False
    assert renegotiation["client_renegotiations_success_count"] == 0


def test_mozillas_intermediate_recommendations_are_met(scans: dict[str, Scan], name: str) -> None:
    """All but one: the authority is the test's own, and no browser trusts it."""
    complaints = [line.strip() for line in scans[name].compliance.splitlines() if line.strip().startswith("*")]
    assert [line for line in complaints if not line.startswith("* certificate_path_validation")] == []
    assert "127.0.0.1" in scans[name].compliance, "nothing was compared"
