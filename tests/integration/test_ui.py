"""The web UI as people use it: a real browser in front of a real process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from .browser import PHONE, WIDE, Browser, chromium
from .harness import KEY, VIEWER_KEY, Proxy, free_port, read_exactly, rule, target
from .targets import Echo
from .ui_scene import Scene, scene

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]

SHOTS = "STREAMPROXY_SCREENSHOTS"
"""Names the directory where pictures of every page are put."""

PAGES = (
    "overview",
    "sessions",
    "explain",
    "tcp-services",
    "tcp-services/new",
    "tcp-services/reporting",
    "stream-routes",
    "stream-routes/cache",
    "upstreams",
    "upstreams/cache",
    "services",
    "services/cache",
    "listeners",
    "listeners/new",
    "certificates",
    "ssls",
    "ssls/new",
    "revisions",
    "revisions/2",
    "settings",
    "about",
    "about/openapi",
)

AUDIT = Path(__file__).with_name("ui_audit.js").read_text()


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser) -> Iterator[Browser]:
    """A window that shows nothing and remembers nobody."""
    one_browser.resize(WIDE)
    one_browser.paint("light")
    one_browser.forget()
    yield one_browser
    one_browser.open("about:blank")


def ui(proxy: Proxy) -> str:
    return f"http://127.0.0.1:{proxy.admin_port}/"


def log_in(browser: Browser, proxy: Proxy, key: str = KEY) -> None:
    browser.open(ui(proxy))
    browser.type("API key", key)
    browser.press(Keys.ENTER)
    browser.says("Overview")


def fill_in(browser: Browser, name: str, port: int, to: Echo) -> None:
    """A new TCP service that relays everything."""
    browser.go("tcp-services/new")
    browser.type("Name", name)
    browser.type("Interface", "127.0.0.1")
    browser.type("Port", str(port))
    browser.type("Target 1 of rule 1: host", "127.0.0.1")
    browser.type("Target 1 of rule 1: port", str(to.port))


def greeting(proxy: Proxy, port: int) -> bytes:
    with proxy.connect(port) as sock:
        return read_exactly(sock, 3)


def services(proxy: Proxy) -> list[Any]:
    found: list[Any] = proxy.get("/api/tcp/services").json
    return found


def test_from_an_empty_proxy_to_a_change_that_is_rolled_back(proxy: Proxy, echoes: Echoes, browser: Browser) -> None:
    first, second, port = echoes("E1"), echoes("E2"), free_port()
    log_in(browser, proxy)
    browser.says("Nothing listens yet.")

    # Create a service in the form: nothing is stored before it was looked at.
    fill_in(browser, "Greetings", port, first)
    browser.click("Review and create …")
    browser.says("What changes")
    browser.says("begins")
    assert services(proxy) == []
    browser.type("Why", "the first one")
    browser.click("Create", within="dialog")
    browser.says("Greetings: created.")
    (service,) = services(proxy)
    assert service["rules"] == [rule("*", target(first.port))]
    assert service["sni"]["forwardsTo"]["port"] == 8080

    # Connect through it, and watch the session appear.
    browser.go("sessions")
    browser.says("There were no sessions yet.")
    with proxy.connect(port) as sock:
        assert read_exactly(sock, 3) == b"E1\n"
        client = "{}:{}".format(*sock.getsockname())
        browser.says(client)
        browser.says("live")

        # Open its "why".
        browser.click(f"Why did {client} go there")
        browser.says("Decided at revision 1, by the configuration it was accepted with.")
        browser.says("it matches everything")
        browser.says(f"127.0.0.1:{first.port}")
        browser.press(Keys.ESCAPE)
    browser.says("client closed")

    # Change the rule: who would be routed elsewhere is said before.
    browser.go(f"tcp-services/{service['id']}")
    browser.type("Target 1 of rule 1: port", str(second.port))
    browser.click("Review and update …")
    browser.says("of the last sessions would go elsewhere")
    assert str(first.port) in browser.find("del").text
    assert str(second.port) in browser.find("ins").text
    assert client in browser.text
    assert greeting(proxy, port) == b"E1\n"
    browser.type("Why", "to the other one")
    browser.click("Update", within="dialog")
    browser.says("Greetings: updated.")
    assert greeting(proxy, port) == b"E2\n"

    # Roll back.
    browser.go("revisions")
    browser.says("to the other one")
    browser.click("Roll back to revision 1")
    browser.says("What changes")
    browser.click("Roll back", within="dialog")
    browser.says("Everything is as it was at revision 1.")
    browser.until(lambda: greeting(proxy, port) == b"E1\n", "the first target is back")
    assert browser.complaints == []


def test_a_viewer_sees_no_way_to_write_and_is_refused_one(make_proxy: Make, browser: Browser) -> None:
    proxy = make_proxy().start()
    service = proxy.create(name="theirs")
    proxy.put("/apisix/admin/upstreams/u", {"type": "roundrobin", "nodes": {"127.0.0.1:1": 1}})
    log_in(browser, proxy, VIEWER_KEY)
    browser.says("viewer: may read only")

    for page in ("tcp-services", f"tcp-services/{service['id']}", "upstreams", "upstreams/u", "revisions", "sessions"):
        browser.go(page)
        browser.settled()
        for word in ("Create", "Review", "Delete", "Import", "Roll back", "End all"):
            assert word not in browser.find("main").text, f"{page} shows {word}"
        assert not browser.has("main .kill")

    # A page that does not know yet: the key may have been an admin's when it was loaded.
    write = """
      const done = arguments[arguments.length - 1];
      import(new URL("js/api.js", document.baseURI)).then(({write}) => write(...arguments)).then(
        () => done("it was written"), (error) => done(error.message));
    """
    path = f"api/tcp/services/{service['id']}"
    for method, where in (
        ("DELETE", path),
        ("DELETE", "apisix/admin/upstreams/u"),
        ("POST", "streamproxy/v1/revisions/0/rollback"),
    ):
        said = browser.run_async(write, method, where)
        assert said.startswith("Your key may only read, so nothing was changed"), where
        assert "Log in with an admin key" in said
    assert [each["name"] for each in services(proxy)] == ["theirs"]


def test_a_wrong_key(proxy: Proxy, browser: Browser) -> None:
    browser.open(ui(proxy))
    browser.click("Log in")
    browser.says("This is needed.")

    browser.type("API key", "not the key")
    browser.press(Keys.ENTER)

    browser.says("These credentials are not known here.")
    assert browser.control("API key").get_attribute("value") == "not the key"
    browser.click("Use a client id and secret")
    browser.type("Client id", "admin-api-apikey-id")
    browser.type("Client secret", "admin-api-apikey-secret")
    browser.press(Keys.ENTER)
    browser.says("Overview")
    kept = browser.run("return [{...sessionStorage}, {...localStorage}, document.cookie]")
    assert list(kept[0]) == ["streamproxy.credentials"]
    assert kept[1:] == [{}, ""]
    browser.click("Log out")
    browser.says("API key")
    assert browser.run("return sessionStorage.length") == 0


def test_what_is_wrong_is_said_beside_its_field_and_nothing_typed_is_lost(
    proxy: Proxy, echoes: Echoes, browser: Browser
) -> None:
    taken = proxy.create(name="first")["port"]
    log_in(browser, proxy)
    echo = echoes()

    def error_of(label: str) -> str:
        control = browser.control(label)
        assert control.get_attribute("aria-invalid") == "true"
        names = str(control.get_attribute("aria-describedby")).split()
        return " ".join(browser.find(f"#{name}").text for name in names)

    fill_in(browser, "Second", 70000, echo)
    browser.type("Matching domain name", "(")
    browser.type("Description", "typed")
    browser.click("Review and create …")
    browser.says("see what is marked above")
    assert "65535" in error_of("Port")
    assert error_of("Matching domain name")
    assert browser.run("return document.activeElement === arguments[0]", browser.control("Port"))
    assert browser.control("Description").get_attribute("value") == "typed"

    browser.type("Matching domain name", "*")
    browser.type("Port", str(taken))
    browser.type("Target 1 of rule 1: host", "")
    browser.click("Review and create …")
    browser.says("Give a host name or an address.")
    browser.type("Target 1 of rule 1: host", "127.0.0.1")
    browser.click("Review and create …")
    browser.until(lambda: "already taken" in error_of("Port"), "it is said whose the port is")
    assert browser.control("Description").get_attribute("value") == "typed"
    assert len(services(proxy)) == 1

    # Leaving asks first.
    browser.go("overview")
    browser.says("Leave without saving?")
    browser.click("Cancel", within="dialog")
    assert browser.control("Description").get_attribute("value") == "typed"


def test_what_is_wrong_with_what_is_not_shown_is_said_all_the_same(proxy: Proxy, browser: Browser) -> None:
    service = proxy.create(tls="PassThrough", sni={"enabled": True})
    log_in(browser, proxy)
    browser.go(f"tcp-services/{service['id']}")
    for host in ("no host!", None):
        browser.choose("Forward to a fallback if no rule matches")
        if host:
            browser.type("Fallback: host", host)
            browser.choose("Forward to a fallback if no rule matches")
            browser.click("Review and update …")
            browser.says("sni.forwardsTo.host expected a host name")
    browser.type("Fallback: host", "127.0.0.1")

    # What is folded up is opened.
    browser.click("JSON", selector="[role=tab]")
    shown = json.loads(str(browser.control("The service, as JSON").get_attribute("value")))
    browser.put("The service, as JSON", json.dumps({**shown, "tags": [1]}))
    browser.click("Form")
    browser.click("Review and update …")
    browser.says("Expected a string, got an integer.")
    assert browser.control("Tags").get_attribute("aria-invalid") == "true"


def test_an_address_that_nobody_encoded(proxy: Proxy, browser: Browser) -> None:
    log_in(browser, proxy)
    browser.go("tcp-services/100%")
    browser.says("Entity not found")
    browser.driver.refresh()
    browser.says("Entity not found")
    assert len([each for each in browser.complaints if "404" not in each]) == 0


def test_a_phone_can_search_where_there_is_much(proxy: Proxy, browser: Browser) -> None:
    for number in range(5):
        proxy.create(name=f"Service {number}", enabled=False)
    browser.resize(PHONE)
    log_in(browser, proxy)
    browser.go("tcp-services")
    browser.says("Service 4")
    assert not browser.find("input[aria-label='Search name']").is_displayed()

    proxy.create(name="One more", enabled=False)
    browser.click("Reload the table")
    browser.says("One more")
    browser.type("Search name", "more")
    browser.until(lambda: browser.count("tbody tr") == 1, "only that one is shown")
    assert browser.run(AUDIT) == []


def test_a_lost_connection_and_a_key_that_is_taken_away(proxy: Proxy, echoes: Echoes, browser: Browser) -> None:
    log_in(browser, proxy)
    port = free_port()
    fill_in(browser, "Patient", port, echoes())

    proxy.stop()
    browser.says("No connection to the API.")
    browser.click("Review and create …")
    browser.says("nothing was sent or stored")

    proxy.config["admin"]["keys"][0]["key"] = "another-admin-key-of-the-test"
    # The Admin API of this harness asks with the key of old.
    proxy.spawn()
    browser.until(lambda: "No connection to the API." not in browser.text, "the page finds it again by itself")
    browser.says("Log in again")
    browser.type("API key", "another-admin-key-of-the-test")
    browser.press(Keys.ENTER)
    browser.until(lambda: not browser.has("dialog"), "the dialog goes")
    assert browser.control("Name").get_attribute("value") == "Patient"
    browser.click("Review and create …")
    browser.click("Create", within="dialog")
    browser.says("Patient: created.")


def test_a_change_that_is_taken_back_unless_it_is_confirmed(proxy: Proxy, echoes: Echoes, browser: Browser) -> None:
    log_in(browser, proxy)
    fill_in(browser, "Careful", free_port(), echoes())
    browser.click("Review and create …")
    browser.select("And then", "5m")
    browser.click("Create and stay", within="dialog")

    browser.says("Revision 1 waits for you.")
    browser.says("minutes unless somebody confirms it")
    browser.click("Keep it")
    browser.says("Revision 1 stays.")
    browser.until(lambda: "waits for you" not in browser.text, "the banner goes")
    assert proxy.get("/streamproxy/v1/status").json["pending"] == []

    browser.type("Description", "bold")
    browser.click("Review and update …")
    browser.select("And then", "60s")
    browser.click("Update", within="dialog")
    browser.says("Revision 2 waits for you.")
    browser.click("Take it back")
    browser.says("Revision 2 is taken back.")
    assert services(proxy)[0]["description"] == ""


def test_the_same_service_as_json_and_yaml(proxy: Proxy, echoes: Echoes, browser: Browser, tmp_path: Path) -> None:
    log_in(browser, proxy)
    echo = echoes()
    fill_in(browser, "Written", free_port(), echo)
    browser.click("YAML")
    text = str(browser.control("The service, as YAML").get_attribute("value"))
    assert "name: Written\n" in text
    browser.type("The service, as YAML", text.replace("name: Written", "name: In YAML\ndescription: [") + "")
    browser.click("Form")
    browser.find("textarea[aria-invalid=true]")

    browser.put("The service, as YAML", text.replace("name: Written", "name: In YAML"))
    browser.click("JSON", selector="[role=tab]")
    shown = json.loads(str(browser.control("The service, as JSON").get_attribute("value")))
    assert shown["name"] == "In YAML"
    browser.put(
        "The service, as JSON", json.dumps({**shown, "tags": ["from json"], "limits": {"connect_timeout": "3s"}})
    )
    browser.click("Form")
    browser.click("More")
    assert browser.control("Tags").get_attribute("value") == "from json"
    browser.click("Review and create …")
    browser.click("Create and stay", within="dialog")
    browser.says("In YAML: created.")
    (stored,) = services(proxy)
    assert (stored["tags"], stored["limits"]["connect_timeout"]) == (["from json"], "3s")

    # Out, and in again.
    browser.go(f"tcp-services/{stored['id']}")
    browser.click("YAML", selector=".page-actions .button")
    exported = browser.downloaded("*.yaml")
    assert "kind: TcpService" in exported.read_text()
    proxy.delete(f"/api/tcp/services/{stored['id']}")
    browser.go("tcp-services")
    browser.upload("Import …", exported)
    browser.until(
        lambda: browser.control("Name").get_attribute("value") == "In YAML", "the form shows what was imported"
    )
    browser.click("Review and create …")
    browser.click("Create", within="dialog")
    browser.says("In YAML: created.")
    assert services(proxy)[0]["rules"] == stored["rules"]


def test_documents_of_apisix_with_their_schema_beside_them(proxy: Proxy, browser: Browser) -> None:
    log_in(browser, proxy)
    browser.go("upstreams/new")
    browser.says("What may be in it")
    browser.put("The document, as JSON", '{"type": "roundrobin", "nodes": {"127.0.0.1:1": 1},}')
    browser.says("This is not JSON yet")
    browser.put("The document, as JSON", '{"type": "roundrobin", "nodes": {"127.0.0.1:1": "much"}}')
    browser.click("Review and create …")
    browser.says("It was not saved.")
    browser.put("The document, as JSON", '{"id": "one", "type": "roundrobin", "nodes": {"127.0.0.1:1": 1}}')
    browser.click("Review and create …")
    browser.click("Create", within="dialog")
    browser.says("apisix:upstreams/one")

    browser.go("upstreams/one")
    browser.click("Delete …")
    browser.says("The document that goes")
    browser.click("Delete", within="dialog")
    browser.says("There are no upstreams.")
    assert proxy.get("/apisix/admin/upstreams/one").status == 404


def test_sessions_are_filtered_and_ended(proxy: Proxy, echoes: Echoes, browser: Browser) -> None:
    service = proxy.create(rules=[rule("*", target(echoes().port))])
    log_in(browser, proxy)
    with proxy.connect(service["port"]) as one, proxy.connect(service["port"]) as other:
        clients = ["{}:{}".format(*sock.getsockname()) for sock in (one, other)]
        browser.go("sessions?state=live")
        for client in clients:
            browser.says(client)
        browser.type("Find", clients[0])
        browser.until(lambda: clients[1] not in browser.text, "only the one is shown")

        browser.click(f"End the session of {clients[0]}")
        browser.click("End it", within="dialog")
        browser.says("1 session ended.")
        browser.says("No session is like that.")
        with pytest.raises(ConnectionResetError):
            while one.recv(100):
                pass
        other.sendall(b"still here")


def test_a_page_of_a_thousand_sessions_answers(proxy: Proxy, browser: Browser) -> None:
    # Nobody is at the target, so each connection is a session that ended.
    service = proxy.create(rules=[rule("*", target(free_port()))])
    for _ in range(1000):
        with proxy.connect(service["port"]):
            pass
    browser.until(
        lambda: len(proxy.get("/streamproxy/v1/sessions/recent?limit=1000").json["sessions"]) == 1000, "all ended"
    )
    log_in(browser, proxy)
    browser.go("sessions")
    browser.until(lambda: browser.count("tbody tr") == 50, "a page is shown")

    browser.select("Rows per page", "1000")
    browser.until(lambda: browser.count("tbody tr") == 1000, "all are shown")
    # What stays is not made again with every look.
    browser.run("window.first = document.querySelector('tbody tr')")
    asked = len(browser.requests)
    browser.until(lambda: any("/sessions?" in url for url in browser.requests), f"it looks again after {asked}")
    assert browser.run("return window.first.isConnected")
    # The longest that a click would have to wait while all are sorted anew.
    longest = browser.run_async(
        """
        const done = arguments[arguments.length - 1];
        let last = performance.now(), longest = 0, frames = 0;
        const frame = (now) => {
          longest = Math.max(longest, now - last);
          last = now;
          if (++frames < 120) requestAnimationFrame(frame);
          else done(longest);
        };
        requestAnimationFrame(frame);
        document.querySelector("thead .sort").click();
        """
    )
    assert longest < 3000, "the page stood still"
    browser.type("Find", "no such thing")
    browser.says("No session is like that.")


def test_by_keyboard_alone(proxy: Proxy, browser: Browser) -> None:
    service = proxy.create(name="Keys")
    browser.open(ui(proxy))
    browser.until(lambda: browser.focused() == "API key", "the first field has the focus")
    browser.press(KEY, Keys.ENTER)
    browser.says("Overview")
    browser.go("tcp-services")
    browser.says("Keys")

    browser.driver.refresh()
    browser.says("Keys")
    order = []
    for _ in range(60):
        browser.press(Keys.TAB)
        order.append(browser.focused())
        assert browser.run(
            """
            const style = (element) => element && getComputedStyle(element);
            const at = document.activeElement;
            const around = [at, at.nextElementSibling, at.closest("label")];
            return at === document.body || around.some((each) => style(each)?.outlineStyle === "solid");
            """
        ), f"nothing shows where the focus is: {order[-1]}"
        if order[-1] == "Delete Keys":
            break
    assert order[0] == "Skip to the content"
    wanted = [
        "Overview",
        "TCP services",
        "Settings",
        "Log out",
        "Create a TCP service",
        "Search name",
        "Keys",
        "Delete Keys",
    ]
    assert [name for name in order if name in wanted] == wanted

    # A dialog keeps the focus, ends with Escape and gives it back.
    browser.press(Keys.ENTER)
    browser.says("Delete TCP service Keys?")
    for _ in range(12):
        browser.press(Keys.TAB)
        assert browser.run(
            "return document.activeElement === document.body || Boolean(document.activeElement.closest('dialog'))"
        )
    browser.press(Keys.ESCAPE)
    browser.until(lambda: browser.focused() == "Delete Keys", "the focus is back where it was")
    assert len(services(proxy)) == 1

    browser.run("document.querySelector('.skip').focus()")
    browser.press(Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "main"

    # Nothing in the form keeps the focus, the editor included.
    browser.open(f"{ui(proxy)}ui/#/tcp-services/{service['id']}")
    browser.control("Name")
    browser.run("arguments[0].focus()", browser.find("[role=tab][aria-selected=true]"))
    browser.press(Keys.ARROW_RIGHT)
    browser.until(lambda: browser.focused() == "JSON", "arrows lead to the next tab")
    browser.run("document.querySelector('textarea').focus()")
    browser.press(Keys.TAB)
    assert browser.focused() != "The service, as JSON"


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("scene")) as made:
        yield made


@pytest.mark.parametrize("width", ["wide", "phone"])
def test_every_page_stays_here_and_names_what_it_has(busy: Scene, browser: Browser, width: str) -> None:
    browser.resize(WIDE if width == "wide" else PHONE)
    log_in(browser, busy.proxy)
    origin = ui(busy.proxy)
    for page in PAGES:
        browser.go(page)
        browser.settled()
        assert browser.run(AUDIT) == [], page
        assert "could not be read" not in browser.text, page
        assert [url for url in browser.requests if not url.startswith((origin, "blob:"))] == [], page
        assert browser.complaints == [], page


def test_a_made_up_connection_and_a_name(busy: Scene, browser: Browser) -> None:
    log_in(browser, busy.proxy)
    browser.go("explain")
    browser.select("Connects to", f"tcp 127.0.0.1:{busy.ports['pg']}")
    browser.type("From", "nobody")
    browser.click("Explain", selector="form button")
    browser.find("input[aria-invalid=true]")
    browser.type("From", "203.0.113.7")
    browser.type("Asks for, in its TLS handshake (SNI)", "eu-read.db.example.com")
    browser.click("Explain", selector="form button")
    browser.says("*read*.db.example.com")
    browser.says("Relayed")

    browser.go("certificates")
    browser.says("1 certificate ends within three weeks")
    browser.type("Name", "www.example.com")
    browser.click("Test")
    browser.says("It is shown www.example.com")
    browser.type("Name", "nobody.example.net")
    browser.press(Keys.ENTER)
    browser.says("There is no certificate for it")


def test_plots_are_live_and_colours_are_a_choice(busy: Scene, browser: Browser) -> None:
    log_in(browser, busy.proxy)
    browser.until(lambda: browser.count(".plot canvas") == 3, "three plots are drawn")
    cut_off = "(box) => box.scrollWidth > box.clientWidth"
    assert not browser.run(f"return [...document.querySelectorAll('.plot-box')].some({cut_off})")
    label = "return document.querySelector('.plot-box').getAttribute('aria-label')"
    browser.until(
        lambda: any(digit in browser.run(label) for digit in "123456789"), "a plot says in words what it shows"
    )

    def is_painted(scheme: str) -> bool:
        return bool(browser.run("return document.documentElement.dataset.theme") == scheme)

    for scheme in ("dark", "light"):
        browser.paint(scheme)
        browser.until(partial(is_painted, scheme), f"it turns {scheme}")
    browser.go("settings")
    browser.choose("Dark")
    ground = "return getComputedStyle(document.body).backgroundColor"
    browser.until(lambda: browser.run(ground) == "rgb(16, 21, 20)", "the page turns dark whatever the system says")
    browser.choose("As the system")


@pytest.mark.skipif(SHOTS not in os.environ, reason="no directory for pictures is named")
def test_pictures(busy: Scene, browser: Browser) -> None:
    from . import ui_pictures

    log_in(browser, busy.proxy)
    ui_pictures.take(browser, busy, Path(os.environ[SHOTS]))
