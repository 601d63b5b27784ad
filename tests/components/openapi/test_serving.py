from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from greenimi import get
from greenimi import http as controller
from greenimi.testing.plugin import Serve

pytestmark = pytest.mark.live


@controller
class Shop:
    @get("/tea")
    def tea(self) -> str:
        return ""


@pytest.fixture
def address(serve: Serve) -> Any:
    return serve([Shop, "greenimi.components.openapi"], {"servers": {"web": {}}, "app": {"name": "<shop>"}}).addresses["web"]


def ask(address: Any, path: str, method: str = "GET", **fields: str) -> tuple[int, Mapping[str, str], bytes]:
    host, port = address
    link = http.client.HTTPConnection(host, port, timeout=10)
    try:
        link.request(method, path, headers={name.replace("_", "-"): value for name, value in fields.items()})
        response = link.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        link.close()


def test_the_document_as_json_and_yaml(address: Any) -> None:
    status, headers, body = ask(address, "/openapi.json")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "application/json", "no-cache")
    assert list(json.loads(body)["paths"]) == ["/tea"]
    status, headers, text = ask(address, "/openapi.yaml")
    assert (status, headers["content-type"]) == (200, "application/yaml")
    assert yaml.safe_load(text) == json.loads(body)


@pytest.mark.parametrize("path", ["/openapi.json", "/openapi.yaml", "/docs", "/docs/swagger-ui-bundle.js", "/docs/start.js"])
def test_who_has_it_already_is_told_so(address: Any, path: str) -> None:
    _, headers, _ = ask(address, path)
    tag = headers["etag"]
    status, headers, body = ask(address, path, If_None_Match=f'"other", {tag}')
    assert (status, headers["etag"], body) == (304, tag, b"")
    assert ask(address, path, If_None_Match='"other"')[0] == 200
    status, headers, body = ask(address, path, "HEAD")
    assert (status, headers["etag"], body) == (200, tag, b"")


def test_the_page_allows_nothing_from_elsewhere(address: Any) -> None:
    status, headers, body = ask(address, "/docs")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    text = body.decode()
    assert "<title>&lt;shop&gt;</title>" in text
    assert 'data-document="openapi.json"' in text
    assert "://" not in text
    assert "<script>" not in text


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css"])
def test_files_of_the_page_go_out_compressed_or_not(address: Any, name: str) -> None:
    _, headers, plain = ask(address, f"/docs/{name}")
    assert "content-encoding" not in headers
    tag = headers["etag"]
    _, headers, packed = ask(address, f"/docs/{name}", Accept_Encoding="gzip, br")
    assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept-Encoding")
    assert headers["etag"] != tag
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 2
    assert ask(address, f"/docs/{name}", Accept_Encoding="gzip;q=0")[2] == plain


@pytest.mark.parametrize("path", ["/docs/LICENSE", "/docs/..%2fserving.py", "/docs/%2e%2e/serving.py", "/docs/nothing"])
def test_no_other_file_is_served(address: Any, path: str) -> None:
    assert ask(address, path)[0] == 404


def test_a_page_at_another_place_finds_its_files(serve: Serve) -> None:
    paths = {"page": "/a/b/docs", "document": "/a/api.json"}
    served = serve([Shop, "greenimi.components.openapi"], {"servers": {"web": {}}, "openapi": paths})
    text = ask(served.addresses["web"], "/a/b/docs")[2].decode()
    assert 'data-document="../api.json"' in text
    assert 'src="docs/start.js"' in text
    assert ask(served.addresses["web"], "/a/b/docs/start.js")[0] == 200


def test_a_server_for_known_callers_shows_it_all_the_same(serve: Serve) -> None:
    conf = {"servers": {"web": {"identity": {"default": "required"}}}}
    served = serve([Shop, "greenimi.components.openapi"], conf)
    assert ask(served.addresses["web"], "/tea")[0] == 401
    assert ask(served.addresses["web"], "/openapi.json")[0] == 200
