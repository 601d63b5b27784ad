from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.config import Config, option, reference
from greenimi.config.reference import written


class Mode(Enum):
    FAST = "fast"


@dataclass(frozen=True)
class Tls:
    """Encryption."""

    certificate: str = option("cert.pem", "The file.")


@dataclass(frozen=True)
class Server:
    bind: str = option(doc="Where it listens.")
    mode: Mode = option(Mode.FAST, "How.")
    limit: int | None = option(None, "At most so many.")
    names: list[str] = option(["a"], "Names.")
    tls: Tls = option(Tls(), "The key and the certificate.")
    more: tuple[Tls, ...] = option((), "Others.")
    inner: Server | None = None


def test_every_key_with_default_and_sentence() -> None:
    text = reference({"servers": dict[str, Server], "tls": Tls})
    assert text.split("\n")[1:] == [
        "",
        "[servers.NAME]",
        "# Where it listens.",
        "# bind = (str, required)",
        "# How.",
        'mode = "fast"',
        "# At most so many.",
        "# limit = (int or null, unset)",
        "# Names.",
        'names = ["a"]',
        "",
        "# The key and the certificate.",
        "[servers.NAME.tls]",
        "# The file.",
        'certificate = "cert.pem"',
        "",
        "# Others.",
        "[[servers.NAME.more]]",
        "# The file.",
        'certificate = "cert.pem"',
        "",
        "# Encryption.",
        "[tls]",
        "# The file.",
        'certificate = "cert.pem"',
        "",
    ]


def test_the_text_is_toml_that_binds_to_the_defaults() -> None:
    table = tomllib.loads(reference({"tls": Tls}))
    assert Config(table).settings("tls", Tls) == Tls()


@pytest.mark.parametrize("value", [True, 1, 1.5, float("inf"), 'a"b\n\x7f\\é', [1, [2]], {"a b": {"c": 1}}, {}, date(2026, 3, 1)])
def test_a_written_value_reads_back(value: Any) -> None:
    assert tomllib.loads(f"x = {written(value)}") == {"x": value}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_reads_back(value: str) -> None:
    assert tomllib.loads(f"x = {written(value)}") == {"x": value}
