from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from pathlib import Path

import pytest

from greenimi.cli.options import conf_file, config_arguments, positive


def test_the_conf_is_named_or_in_the_environment_or_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GREENIMI_CONF", raising=False)
    assert conf_file(Namespace(conf=None)) == Path("conf/app.toml")
    monkeypatch.setenv("GREENIMI_CONF", "a.toml")
    assert conf_file(Namespace(conf=None)) == Path("a.toml")
    assert conf_file(Namespace(conf="b.toml")) == Path("b.toml")


def test_assignments_as_the_configuration_reads_them() -> None:
    assert config_arguments(Namespace(sets=["a=1", "b=2"])) == ["--set", "a=1", "--set", "b=2"]
    assert config_arguments(Namespace(sets=None)) == []


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "x", "10000", "²"])
def test_a_number_of_workers_is_at_least_one(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected a number from 1"):
        positive(text)
    assert positive("12") == 12
