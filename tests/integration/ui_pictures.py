"""Pictures of every page: light, dark and as wide as a phone. They are packed with pngquant."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

from selenium.webdriver.common.keys import Keys

from .browser import PHONE, WIDE, Browser
from .harness import target, until
from .servers import ERRAND, program
from .ui_scene import Scene

# Bytes of one picture, since they are kept with the sources.
LARGEST = 150_000

_MODES = {"light": (WIDE, "light"), "dark": (WIDE, "dark"), "phone": (PHONE, "light")}

_PLACES = {
    "overview": "overview",
    "sessions": "sessions",
    "tcp-services": "tcp-services",
    "tcp-service": "tcp-services/reporting",
    "stream-routes": "stream-routes",
    "stream-route": "stream-routes/office",
    "upstreams": "upstreams",
    "services": "services",
    "listeners": "listeners",
    "certificates": "certificates?name=www.example.com",
    "ssl-objects": "ssls",
    "revisions": "revisions",
    "revision": "revisions/9",
    "settings": "settings",
    "about": "about",
}


def take(browser: Browser, scene: Scene, directory: Path) -> None:
    """Write them to ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    proxy = scene.proxy
    service = proxy.get("/api/tcp/services/reporting").json
    proxy.put(
        "/api/tcp/services/reporting",
        {**service, "description": "Read and write replicas, by name", "tags": ["database", "reporting"]},
        headers={"X-Reason": "say what it is for"},
    )
    until(lambda: proxy.get("/streamproxy/v1/sessions?limit=1").json["total"] > 900, "there were many sessions", 120)
    (session,) = proxy.get("/streamproxy/v1/sessions?name=eu-read*&state=ended&limit=1").json["sessions"]
    question = f"explain?listener=tcp+127.0.0.1:{scene.ports['pg']}&sni=eu.db.example.com&peer=203.0.113.7"
    places = {**_PLACES, "explain": question, "why": f"sessions/{session['id']}"}
    for mode, (size, scheme) in _MODES.items():
        browser.resize(size)
        browser.paint(scheme)
        for name, place in places.items():
            browser.go(place)
            browser.settled()
            _wait(browser, name)
            _write(browser, directory / f"{name}-{mode}.png")
            browser.press(Keys.ESCAPE)
        _review(browser, scene, directory / f"review-{mode}.png")
    browser.resize(WIDE)
    browser.click("Log out")
    for mode, (size, scheme) in _MODES.items():
        browser.resize(size)
        browser.paint(scheme)
        browser.says("API key")
        _write(browser, directory / f"login-{mode}.png")


def _wait(browser: Browser, name: str) -> None:
    if name == "why":
        browser.says("Decided at revision")
    if name == "overview":
        browser.until(lambda: browser.count(".plot canvas") == 3, "the plots are drawn")
        browser.until(lambda: browser.count("table.listeners tbody tr") > 3, "the listeners are shown")
    browser.run("return document.fonts.ready.then(() => true)")


def _review(browser: Browser, scene: Scene, path: Path) -> None:
    """A change that would send many elsewhere, as it is shown before it is made."""
    browser.go("tcp-services/reporting")
    browser.type("Target 1 of rule 1: port", str(scene.echoes[2].port))
    browser.click("Review and update …")
    browser.says("would go elsewhere")
    _write(browser, path)
    browser.click("Back", within="dialog")
    port = target(scene.echoes[0].port)["port"]
    browser.type("Target 1 of rule 1: port", str(port))
    browser.go("overview")
    browser.settled()


def _write(browser: Browser, path: Path) -> None:
    shot = browser.command("Page.captureScreenshot", {"format": "png"})
    arguments = [program("pngquant"), "--speed", "1", "--strip", "128", "-"]
    packed = subprocess.run(arguments, input=base64.b64decode(shot["data"]), capture_output=True, timeout=ERRAND)
    data = packed.stdout
    assert packed.returncode == 0, packed.stderr.decode(errors="replace")
    assert len(data) <= LARGEST, f"{path.name} has {len(data)} bytes"
    path.write_bytes(data)
