"""Which hosts a server answers for."""

from __future__ import annotations

import pytest

from greenimi import get, http
from greenimi.errors import ConfigError
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.web.hosts import Hosts


@http
class Web:
    @get("/")
    def show(self) -> str:
        return "here"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("shop.example", 200),
        ("SHOP.example.", 200),
        ("shop.example:8080", 200),
        ("a.b.other.example", 200),
        ("[::1]:80", 200),
        ("other.example", 421),
        ("badother.example", 421),
        ("shop.example.evil", 421),
        ("evil", 421),
    ],
)
def test_only_the_named_ones(app_factory: AppFactory, host: str, status: int) -> None:
    web = {"hosts": ["Shop.example", "*.other.example", "[::1]"], "security": {"enabled": True}}
    with HttpClient(app_factory([Web], {"servers": {"web": web}})) as client:
        answer = client.get("/", headers={"Host": host})
        assert answer.status == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff", "a refusal goes through the outer layers like any answer"


@pytest.mark.parametrize("wrong", ["https://shop.example", "shop.example:80", "*", "*.*.example", "", "shop example"])
def test_what_is_no_host_is_found_at_the_start(wrong: str) -> None:
    with pytest.raises(ConfigError, match="hosts"):
        Hosts([wrong])
