from __future__ import annotations

import gzip
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from streamproxy.admin import ui

from .api import BASE, CLIENT, SETTINGS, Api

STATIC = Path(ui.__file__).with_name("static")
OURS = [path for path in sorted(STATIC.rglob("*")) if path.is_file() and "vendor" not in path.parts]
SCRIPTS = [path for path in OURS if path.suffix == ".js"]
SHEETS = [path for path in OURS if path.suffix == ".css"]
WATCHER = {"X-API-KEY": "watcher-key"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def name_of(path: Path) -> str:
    return str(path.relative_to(STATIC))


# How it is served


def test_anybody_gets_the_files_and_nothing_else() -> None:
    api = Api()

    page = api.get("/ui/", auth=None)

    assert page.code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<title>streamproxy</title>" in page.data
    assert api.get("/api/tcp/services", auth=None).code == 401
    assert api.call("POST", "/ui/", {}, auth=None).code == 401
    assert api.call("POST", "/ui/", {}).code == 405


def test_browsers_are_shown_the_way_and_programs_are_not() -> None:
    api = Api()

    for path in ("/", "/ui"):
        reply = api.reply(api.treq.get(f"{BASE}{path}", headers=BROWSER, allow_redirects=False))
        # Relative, since whoever is in front may have put it under another path.
        assert (reply.code, reply.headers["location"]) == (303, "ui/")
    assert "links" in api.get("/", auth=None).json


def test_a_page_may_use_what_this_server_has_and_nothing_else() -> None:
    headers = Api().get("/ui/", auth=None).headers

    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_every_file_is_served_as_what_it_is(path: Path) -> None:
    types = {
        ".html": "text/html",
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
        ".woff2": "font/woff2",
        ".LICENSE": "text/plain",
    }

    reply = Api().get(f"/ui/{name_of(path)}", auth=None)

    assert reply.code == 200
    assert reply.headers["content-type"].partition(";")[0] == types[path.suffix]
    assert reply.data == path.read_bytes()


def test_it_is_asked_for_each_time_and_sent_only_when_it_changed() -> None:
    api = Api()
    first = api.get("/ui/js/main.js", auth=None)

    again = api.get("/ui/js/main.js", auth=None, headers={"If-None-Match": first.headers["etag"]})
    other = api.get("/ui/js/main.js", auth=None, headers={"If-None-Match": '"something else"'})

    assert first.headers["cache-control"] == "no-cache"
    assert (again.code, again.data) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert other.code == 200


def test_it_is_packed_for_those_who_can_unpack() -> None:
    api = Api()
    asset = ui.assets()["js/main.js"]

    def tag(accepted: str) -> str:
        reply = api.get("/ui/js/main.js", auth=None, headers={"Accept-Encoding": accepted})
        assert reply.headers["vary"] == "Accept-Encoding"
        assert reply.data == asset.body
        return reply.headers["etag"]

    # What is not the same bytes has not the same tag.
    assert tag("gzip, br") == f'"{asset.tag}-gzip"'
    assert tag("br, gzip;q=0") == tag("identity") == f'"{asset.tag}"'
    assert asset.packed is not None
    assert gzip.decompress(asset.packed) == asset.body
    assert ui.assets()["fonts/inter.woff2"].packed is None


@pytest.mark.parametrize(
    "path", ["nothing.js", "../app.py", "%2e%2e/app.py", "js/../../app.py", "js", "js/", "%00", "a" * 3000]
)
def test_there_is_nothing_else(path: str) -> None:
    reply = Api().get(f"/ui/{path}", auth=CLIENT)

    assert reply.code in (400, 404)
    assert b"import" not in reply.data


def test_whether_credentials_are_asked_for_is_said_to_everybody() -> None:
    def said(api: Api) -> Any:
        return api.get("/ui/config.json", auth=None).json

    asking = Api()
    assert said(asking) == {"credentials_required": True}
    assert said(Api(settings=evolve(SETTINGS, require_key=False))) == {"credentials_required": False}
    # Only to look is no failed login.
    assert asking.app.failed_logins == 0


# What is in the files


def test_no_file_asks_anybody_else() -> None:
    known = {"http://www.w3.org/2000/svg"}
    for path in OURS:
        if path.suffix in (".woff2", ".LICENSE"):
            continue
        found = set(re.findall(r"(?:https?:)?//[a-z0-9][a-z0-9.-]+\.[a-z]{2,}[^\s\"'`)]*", path.read_text()))
        assert found <= known, name_of(path)


def test_nothing_is_inline() -> None:
    for path in OURS:
        if path.suffix not in (".html", ".svg"):
            continue
        text = path.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text), name_of(path)
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), name_of(path)


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_no_program_makes_markup_or_programs_of_text(path: Path) -> None:
    risky = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(\"style"

    assert not re.search(risky, path.read_text())


def test_whatever_is_imported_or_linked_is_there() -> None:
    served = set(ui.assets())
    for path in OURS:
        if path.suffix not in (".html", ".css", ".js"):
            continue
        text = path.read_text()
        named = re.findall(r"(?:from|import)\s+\"(\.[^\"]+)\"", text)
        if path.suffix != ".js":
            named = re.findall(r"(?:href|src)=\"([^\"#]+)\"|url\(\"([^\"]+)\"\)", text)
            named = [one or other for one, other in named]
        for name in named:
            found = str((path.parent / name).resolve().relative_to(STATIC))
            assert found in served, f"{name_of(path)} names {name}"


def test_every_page_of_the_menu_has_a_program() -> None:
    shell = (STATIC / "js/shell.js").read_text()
    pages = set(re.findall(r'^\s+\["([a-z-]+)", "', shell, re.MULTILINE))
    modules = dict(re.findall(r'"?([a-z-]+)"?: "([a-z_]+)",', shell.partition("const MODULES")[2].partition("};")[0]))

    assert {"overview", "sessions", "tcp-services", "revisions", "settings", "about"} <= pages
    for page in pages:
        assert (STATIC / f"js/pages/{modules.get(page, page)}.js").is_file(), page


def test_what_is_not_ours_comes_with_its_licence() -> None:
    assert "MIT License" in (STATIC / "vendor/uplot/LICENSE").read_text()
    for font in (STATIC / "fonts").glob("*.woff2"):
        assert "SIL Open Font License" in font.with_suffix(".LICENSE").read_text()


# Colours


def colours() -> dict[str, tuple[str, str]]:
    """Every token that is a colour: for light, for dark."""
    text = (STATIC / "css/tokens.css").read_text()
    pairs = re.findall(r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", text)
    return {name: (light, dark) for name, light, dark in pairs}


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


GROUNDS = ("bg", "surface", "sunken", "hover")
TEXTS = [
    *itertools.product(("text", "text-2", "link"), GROUNDS),
    *itertools.product(("text", "text-2"), ("good-soft", "warn-soft", "bad-soft", "info-soft", "accent-soft")),
    *((name, f"{name}-soft") for name in ("good", "warn", "bad", "info", "accent")),
    *itertools.product(("bad", "warn", "danger", "accent"), ("bg", "surface")),
    ("danger", "bad-soft"),
    ("on-accent", "accent"),
    ("on-accent", "accent-hover"),
    ("on-danger", "danger"),
    # Short messages are the text's colour upon that of the ground, turned round.
    ("bg", "text"),
]
SHAPES = [
    *itertools.product(("line-strong", "focus", "plot-1", "plot-2", "plot-3", "plot-4", "plot-5"), ("bg", "surface"))
]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXTS, 4.5), (SHAPES, 3.0)], ids=["text", "shapes"])
def test_everything_can_be_told_from_what_is_behind_it(pairs: list[tuple[str, str]], least: float, theme: str) -> None:
    known = colours()
    index = ("light", "dark").index(theme)

    found = {f"{front} on {back}": contrast(known[front][index], known[back][index]) for front, back in pairs}

    assert {pair: round(value, 2) for pair, value in found.items() if value < least} == {}


def test_no_sheet_has_colours_of_its_own() -> None:
    for path in SHEETS:
        if path.name == "tokens.css":
            continue
        text = re.sub(r"light-dark\([^)]*\)", "", path.read_text())
        assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", text), name_of(path)


def test_every_name_of_a_colour_or_a_size_is_defined() -> None:
    texts = {path: path.read_text() for path in (*SHEETS, *SCRIPTS)}
    defined = set(re.findall(r"(--[a-z0-9-]+):", "".join(texts.values()))) | {"--share"}
    for path, text in texts.items():
        assert set(re.findall(r"(?:var\(|\"|')(--[a-z][a-z0-9-]+)", text)) <= defined, name_of(path)


def test_who_wants_no_motion_gets_none() -> None:
    assert "prefers-reduced-motion: reduce" in (STATIC / "css/base.css").read_text()


# What the page asks beside the other APIs


def test_who_am_i() -> None:
    api = Api()

    assert api.get("/streamproxy/v1/me").json == {"name": CLIENT[0], "role": "admin", "address": "127.0.0.1"}
    watcher = api.get("/streamproxy/v1/me", auth=None, headers=WATCHER).json
    assert (watcher["name"], watcher["role"]) == ("watcher", "viewer")
    assert api.get("/streamproxy/v1/me", auth=None).code == 401


def test_who_may_do_what_without_any_secret() -> None:
    reply = Api().get("/streamproxy/v1/access", auth=None, headers=WATCHER)

    assert reply.json["credentials"] == [
        {"kind": "key", "name": "root", "role": "admin"},
        {"kind": "key", "name": "watcher", "role": "viewer"},
        {"kind": "client", "name": CLIENT[0], "role": "admin"},
    ]
    for secret in (b"root-key", b"watcher-key", CLIENT[1].encode()):
        assert secret not in reply.data


def test_yaml_to_json_and_back_for_viewers_too() -> None:
    api = Api()
    yaml = b"name: a\nports: [1, 2]\nanswer: 'no'\n"

    def convert(data: bytes, type_: str, accept: str) -> Any:
        headers = {**WATCHER, "Content-Type": type_, "Accept": accept}
        return api.call("POST", "/streamproxy/v1/convert", data=data, auth=None, headers=headers)

    json = convert(yaml, "application/yaml", "application/json")
    assert json.json == {"name": "a", "ports": [1, 2], "answer": "no"}
    back = convert(json.data, "application/json", "application/yaml")
    assert back.headers["content-type"] == "application/yaml"
    assert convert(back.data, "application/yaml", "application/json").json == json.json
    broken = convert(b"a: [", "application/yaml", "application/json")
    assert (broken.code, broken.json["error"]) == (400, "bad_body")
    assert api.call("POST", "/streamproxy/v1/convert", {}, auth=None).code == 401
