from __future__ import annotations

import subprocess
import sys

from .api import CLIENT, Api


def test_the_index_links_what_there_is() -> None:
    api = Api()

    links = api.get("/", auth=None).json["links"]

    assert "/api/tcp/services" in links
    for path in links:
        assert api.get(path).code == 200, path


def test_both_apis_show_the_same_services() -> None:
    api = Api()
    api.call("POST", "/api/tcp/services", {"id": "a", "name": "a", "description": "", "port": 1})

    generic = api.get("/apis/any/any/tcp-services/a").json

    assert {**generic, **api.get("/api/tcp/services/a").json} == generic


def test_secrets_show_themselves_nowhere() -> None:
    api = Api()

    for path in ("/", "/streamproxy/v1/problems", "/api/tcp/services", "/nothing"):
        reply = api.get(path)
        assert CLIENT[1].encode() not in reply.data
        assert b"root-key" not in reply.data


def test_only_this_package_imports_klein_and_with_it_the_reactor() -> None:
    program = "import sys, streamproxy, streamproxy.interfaces; assert 'klein' not in sys.modules"

    subprocess.run([sys.executable, "-c", program], check=True)
