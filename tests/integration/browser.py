"""Chromium without a screen, as somebody who uses the web UI would."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from . import harness
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
  const own = control.getAttribute("aria-label");
  const names = own ? [own] : [...control.labels ?? []].map((each) => each.textContent);
  return seen(control) && names.some((name) => name && name.replace(/\\s+/g, " ").trim() === label);
});
"""


class Browser:
    """One tab. What it is asked to find it waits for."""

    def __init__(self, driver: webdriver.Chrome, directory: Path) -> None:
        self.driver = driver
        self.directory = directory

    def until(self, what: Callable[[], Any], saying: str) -> Any:
        """Wait; where that is in vain, tell what there is to read."""
        try:
            return harness.until(what, saying)
        except AssertionError as error:
            raise AssertionError(f"{error}; the page says:\n{self.text}") from None

    def open(self, url: str) -> None:
        self.driver.get(url)

    def go(self, place: str) -> None:
        """To another page of the UI (``sessions``), without loading anything anew."""
        self.run("location.hash = arguments[0]", f"#/{place}")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def run_async(self, script: str, *arguments: Any) -> Any:
        """One that calls its last argument with what it answers."""
        return self.driver.execute_async_script(script, *arguments)

    def has(self, selector: str) -> bool:
        return bool(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def find(self, selector: str) -> WebElement:
        found: WebElement = self.until(lambda: self._first(selector), f"the page has {selector}")
        return found

    def _first(self, selector: str) -> WebElement | None:
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found[0] if found else None

    def control(self, label: str) -> WebElement:
        """The field of that label."""
        found: list[WebElement] = self.until(lambda: self.run(_LABELLED, label), f"the page has a field {label!r}")
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

        self.until(clicked, f"the page has {text!r} to click")

    def put(self, label: str, text: str) -> None:
        """The same at once: typing that much takes long."""
        control = self.control(label)
        self.run(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
            control,
            text,
        )

    def select(self, label: str, value: str) -> None:
        """Choose from a list."""
        Select(self.control(label)).select_by_value(value)

    def upload(self, button: str, path: Path) -> None:
        """Click what opens a dialog for files, and choose that one."""
        # A click that opens a dialog for files would open one that nobody can see.
        self.run("HTMLInputElement.prototype.click = () => {}")
        self.click(button)
        self.find("input[type=file]").send_keys(str(path))

    def downloaded(self, pattern: str) -> Path:
        """The file that the page offered."""
        found: list[Path] = self.until(lambda: sorted(self.directory.glob(pattern)), f"{pattern} is downloaded")
        return found[0]

    def count(self, selector: str) -> int:
        return int(self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def focused(self) -> str:
        """The name of what has the focus."""
        return str(
            self.run(
                """
                const at = document.activeElement;
                const said = at.getAttribute("aria-label") || at.labels?.[0]?.textContent || at.textContent || "";
                return at === document.body ? "" : said.replace(/\\s+/g, " ").trim();
                """
            )
        )

    def settled(self) -> None:
        """Wait until the page that was gone to is there and asks for nothing more."""
        place = "location.hash.replace(/^#\\/?/, '').split('?')[0].split('/').map(decodeURIComponent).join('/')"
        self.until(
            lambda: self.run(f"return document.querySelector('main .page')?.dataset.place === {place}"),
            "the page is shown",
        )

    def forget(self) -> None:
        """As if it had never been here."""
        self.command("Network.clearBrowserCookies", {})
        self.command("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
        self.driver.get_log("performance")
        self.driver.get_log("browser")

    def press(self, *keys: str) -> None:
        """On whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    @property
    def text(self) -> str:
        """Everything that is to be read."""
        return str(self.run("return document.body.innerText"))

    def says(self, text: str) -> None:
        """Wait until the page says that."""
        self.until(lambda: text in self.text, f"the page says {text!r}")

    def resize(self, size: tuple[int, int]) -> None:
        # A window cannot be as narrow as a phone.
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", metrics)

    def paint(self, scheme: str) -> None:
        """As the system of somebody who prefers ``light`` or ``dark``."""
        # What moves is not there yet in pictures.
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.command("Emulation.setEmulatedMedia", {"features": features})

    def command(self, name: str, parameters: Mapping[str, Any]) -> Any:
        return self.driver.execute_cdp_cmd(name, dict(parameters))

    @property
    def requests(self) -> list[str]:
        """Every URL that was asked for since the last time."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(str(message["params"]["request"]["url"]))
        return found

    @property
    def complaints(self) -> list[str]:
        """What the console says is wrong since the last time, violations of the policy included."""
        logged = self.driver.get_log("browser")
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
        yield Browser(started, directory)
    finally:
        with contextlib.suppress(WebDriverException):
            started.quit()
