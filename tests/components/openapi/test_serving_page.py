"""The page in a real browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from greenimi import get, http, post
from greenimi.testing.plugin import Serve
from tests.browser import Page, opened_browser

pytestmark = pytest.mark.live


@dataclass
class Wish:
    sku: str
    pieces: int = 1


@http("/orders")
class Orders:
    """All about orders."""

    @get()
    def newest(self) -> dict[str, int]:
        """Shows the newest order."""
        return {"number": 7}

    @post()
    def place(self, payload: Wish) -> Wish:
        """Places an order."""
        return payload


def conf(**settings: Any) -> Mapping[str, Any]:
    return {"servers": {"web": {}}, "app": {"name": "shop"}, "openapi": settings}


def opened(page: Page, url: str) -> None:
    page.open(url)
    page.wait("document.querySelectorAll('.opblock').length === 2", 30)


def test_the_page_shows_and_tries_operations(serve: Serve, tmp_path: Path) -> None:
    served = serve([Orders, "greenimi.components.openapi"], conf(page="/inside/docs", document="/v1/openapi.json"))
    host, port = served.addresses["web"]
    with opened_browser(tmp_path) as page:
        opened(page, f"http://{host}:{port}/inside/docs")
        assert page.evaluate("document.title") == "shop"
        shown = page.evaluate("[...document.querySelectorAll('.opblock')].map(each => each.innerText.replace(/\\s+/g, ' ').trim())")
        assert shown == ["GET /orders Shows the newest order", "POST /orders Places an order"]
        assert "All about orders." in page.evaluate("document.body.innerText")

        page.evaluate("document.querySelector('.opblock-get .opblock-summary-control').click()")
        page.wait("document.querySelector('.opblock-get .execute') && ui.specSelectors.specResolvedSubtree(['paths', '/orders', 'get'])")
        page.evaluate("document.querySelector('.opblock-get .execute').click()")
        page.wait("document.querySelector('.live-responses-table tbody .response-col_status')")
        assert page.evaluate("document.querySelector('.live-responses-table tbody .response-col_status').innerText").startswith("200")
        assert '"number": 7' in page.evaluate("document.querySelector('.live-responses-table .microlight').innerText")
        assert page.problems == []
        asked = page.evaluate("performance.getEntriesByType('resource').map(each => new URL(each.name).host)")
        assert set(asked) == {f"{host}:{port}"}
