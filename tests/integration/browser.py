"""Chromium without a screen, as somebody who uses the web UI would."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from .harness import until
from .servers import program

WIDE = (1360, 860)
PHONE = (360, 780)

# What cannot be seen cannot be clicked.
_TEXT = """
const [root, selector, text] = arguments;
return [...(root || document).querySelectorAll(selector)].filter((element) => {
  const said = (element.getAttribute("aria-label") || element.textContent || "").replace(/\\s+/g, " ").trim();
  return said === text && element.getClientRects().length;
});
"""
_LABELLED = """
const [label] = arguments;
const seen = (element) => element.getClientRects().length || element.matches("[role=switch], [type=radio]");
return [...document.querySelectorAll("input, select, textarea")].filter((control) => {
  const names = [control.getAttribute("aria-label"), ...[...control.labels ?? []].map((each) => each.textContent)];
  return seen(control) && names.some((name) => name && name.replace(/\\s+/g, " ").trim() === label);
});
"""


class Browser:
    """One tab. What it is asked to find it waits for."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def go(self, place: str) -> None:
        """To another page of the UI (``sessions``), without loading anything anew."""
        self.run("location.hash = arguments[0]", f"#/{place}")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)  # type: ignore[no-untyped-call]

    def has(self, selector: str) -> bool:
        return bool(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def find(self, selector: str) -> WebElement:
        found: WebElement = until(lambda: self._first(selector), f"the page has {selector}; it says:\n{self.text}")
        return found

    def _first(self, selector: str) -> WebElement | None:
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found[0] if found else None

    def control(self, label: str) -> WebElement:
        """The field of that label."""
        found: list[WebElement] = until(
            lambda: self.run(_LABELLED, label), f"the page has a field {label!r}; it says:\n{self.text}"
        )
        return found[-1]

    def type(self, label: str, text: str) -> None:
        """Put that into the field in place of what there was."""
        control = self.control(label)
        control.send_keys(Keys.CONTROL, "a")
        control.send_keys(text or Keys.DELETE)

    def choose(self, label: str) -> None:
        """Click a radio button, or turn a switch."""
        self.run("arguments[0].click()", self.control(label))

    def click(self, text: str, selector: str = "button, a, summary", within: str | None = None) -> None:
        """Click what says that."""
        root = self.find(within) if within else None

        def clicked() -> bool:
            found: list[WebElement] = self.run(_TEXT, root, selector, text)
            if not found:
                return False
            self.run("arguments[0].scrollIntoView({block: 'center'})", found[-1])
            try:
                found[-1].click()
            except StaleElementReferenceException:
                return False
            return True

        until(clicked, f"the page has {text!r} to click; it says:\n{self.text}")

    def press(self, *keys: str) -> None:
        """On whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    @property
    def text(self) -> str:
        """Everything that is to be read."""
        return str(self.run("return document.body.innerText"))

    def says(self, text: str) -> None:
        """Wait until the page says that."""
        until(lambda: text in self.text, f"the page says {text!r}; it says:\n{self.text}")

    def resize(self, size: tuple[int, int]) -> None:
        # A window cannot be as narrow as a phone.
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", metrics)

    def paint(self, scheme: str) -> None:
        """As the system of somebody who prefers ``light`` or ``dark``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", {"features": features})

    def command(self, name: str, parameters: Mapping[str, Any]) -> Any:
        return self.driver.execute_cdp_cmd(name, dict(parameters))

    @property
    def requests(self) -> list[str]:
        """Every URL that was asked for since the last time."""
        found = []
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(str(message["params"]["request"]["url"]))
        return found

    @property
    def complaints(self) -> list[str]:
        """What the console says is wrong since the last time, violations of the policy included."""
        logged = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [str(entry["message"]) for entry in logged if entry["level"] in ("SEVERE", "WARNING")]


@contextlib.contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, which downloads to ``directory``."""
    options = Options()
    options.binary_location = program("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        f"--user-data-dir={directory / 'profile'}",
        f"--window-size={WIDE[0]},{WIDE[1]}",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(directory)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    started.set_script_timeout(30)
    try:
        yield Browser(started)
    finally:
        with contextlib.suppress(WebDriverException):
            started.quit()
