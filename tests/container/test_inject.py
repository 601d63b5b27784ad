from __future__ import annotations

import sys
from dataclasses import InitVar, dataclass
from typing import Annotated, Any

import pytest
from zope.interface import Interface, implementer

from greenimi.container import ConfigValue, EnvValue, Lazy, Named
from greenimi.container.inject import convert, parse
from greenimi.errors import ConfigError, MissingBean, StartError


class IMailer(Interface):
    pass


@implementer(IMailer)
class Mailer:
    pass


class Pool:
    pass


class Cart:
    pass


class Wishes:
    def __init__(
        self,
        mailer: IMailer,
        absent: Cart | None,
        pool: Annotated[Pool, Named("main")],
        pools: list[Pool],
        by_name: dict[str, Pool],
        later: Lazy[Annotated[Pool, Named("spare")]],
        limit: Annotated[int, ConfigValue("shop.limit")],
        home: Annotated[str, EnvValue("SHOP_HOME")],
        port: Annotated[int | None, EnvValue("SHOP_PORT")],
        *args: int,
        unset: Annotated[float, ConfigValue("shop.none")] = 0.5,
        chosen: Mailer = None,  # type: ignore[assignment]
        hidden: NotImported = 7,  # type: ignore[name-defined]  # noqa: F821
        **kwargs: int,
    ) -> None:
        self.__dict__.update({name: value for name, value in locals().items() if name != "self"})


def test_everything_a_parameter_may_ask_for(commit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_HOME", "/srv")
    monkeypatch.setenv("SHOP_PORT", "80")
    container = commit(Wishes, Mailer, (Pool, {"name": "main"}), (Pool, {"name": "spare"}), shop={"limit": 5})
    wishes = vars(container.get(Wishes))
    main, spare = container.get(Pool, "main"), container.get(Pool, "spare")
    assert main is not spare
    assert wishes["mailer"] is wishes["chosen"] is container.get(Mailer)
    assert (wishes["absent"], wishes["pool"], wishes["pools"]) == (None, main, [main, spare])
    assert wishes["by_name"] == {"main": main, "spare": spare}
    assert wishes["later"].get() is wishes["later"]() is spare
    assert [wishes[n] for n in ("limit", "home", "port", "unset", "hidden")] == [5, "/srv", 80, 0.5, 7]


@pytest.mark.parametrize(
    ("shop", "problem"), [({}, "shop.limit is not set"), ({"limit": "x"}, r"shop.limit \(app.toml\): 'x' is not an int")]
)
def test_absent_and_wrong_values_are_found_at_commit(commit: Any, monkeypatch: pytest.MonkeyPatch, shop: Any, problem: str) -> None:
    monkeypatch.setenv("SHOP_HOME", "/srv")
    with pytest.raises(ConfigError, match=rf"Wishes \(\w+\.py:\d+\), limit: int: {problem}"):
        commit(Wishes, Mailer, (Pool, {"name": "main"}), (Pool, {"name": "spare"}), shop=shop)


@dataclass
class Limits:
    low: int
    high: int


class Limited:
    def __init__(self, limits: Annotated[Limits, ConfigValue("limits")]) -> None:
        self.limits = limits


def test_a_config_value_may_be_a_settings_class(commit: Any) -> None:
    assert commit(Limited, limits={"low": 1, "high": 2}).get(Limited).limits == Limits(1, 2)


@dataclass
class WithInitVar:
    mailer: InitVar[Mailer]

    def __post_init__(self, mailer: Mailer) -> None:
        self.seen = mailer


ELSEWHERE = """
from __future__ import annotations
from dataclasses import dataclass

class Mailer: ...

@dataclass
class Base:
    mailer: Mailer
"""


def test_dataclass_fields_are_resolved_where_they_were_written(commit: Any, package: Any) -> None:
    package({"elsewhere.py": ELSEWHERE})
    elsewhere = sys.modules["elsewhere"]

    @dataclass
    class Child(elsewhere.Base):  # type: ignore[name-defined]
        pass

    container = commit(Child, Mailer, elsewhere.Mailer, WithInitVar)
    assert type(container.get(Child).mailer) is elsewhere.Mailer
    assert type(container.get(WithInitVar).seen) is Mailer


class NeedsText:
    def __init__(self, name: str) -> None:
        self.name = name


class NeedsHidden:
    def __init__(self, it: Hidden) -> None:  # type: ignore[name-defined]  # noqa: F821
        pass


def test_what_cannot_be_injected_is_said_at_commit(commit: Any) -> None:
    with pytest.raises(MissingBean, match=r"NeedsText \(\w+\.py:\d+\), name: str: .*nothing for the parameter name"):
        commit(NeedsText)
    with pytest.raises(StartError, match=r"NeedsHidden: the annotation of it cannot be read: name 'Hidden'"):
        commit(NeedsHidden)
    assert commit(NeedsText, beans={"NeedsText": {"name": "x"}}).get(NeedsText).name == "x"


class PositionalOnly:
    def __init__(self, mailer: Mailer, /) -> None:
        pass


def test_positional_only_parameters_are_refused(commit: Any) -> None:
    with pytest.raises(StartError, match="PositionalOnly: the parameter mailer is positional-only"):
        commit(PositionalOnly, Mailer)


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (Pool, "bean"),
        (Pool | None, "bean"),
        (IMailer, "bean"),
        (Annotated[int, Named("port")], "bean"),
        (Annotated[Pool, "other", Named("x")] | None, "bean"),
        (Lazy[Pool], "lazy"),
        (list[Pool], "list"),
        (dict[str, Pool], "dict"),
        (dict[int, Pool], "unknown"),
        (list[int], "unknown"),
        (Pool | Cart, "unknown"),
        (Any, "unknown"),
        (int, "unknown"),
        (Annotated[int, ConfigValue("x")], "config"),
        (Annotated[int, EnvValue("x")], "env"),
    ],
)
def test_annotations_and_what_they_ask_for(hint: Any, kind: str) -> None:
    assert parse("x", hint).kind == kind


def test_optional_and_named_are_read_at_every_depth() -> None:
    need = parse("x", Annotated[Pool | None, Named("a")])
    assert (need.key, need.name, need.optional, need.required) == (Pool, "a", True, False)
    assert parse("x", Lazy[Annotated[Pool, Named("b")]]).name == "b"
    assert not parse("x", Pool, default=None).required


@pytest.mark.parametrize(
    ("value", "hint", "found"),
    [
        ("80", int, 80),
        ("0.5", float, 0.5),
        (1, float, 1.0),
        ("Yes", bool, True),
        ("off", bool, False),
        ("x", str, "x"),
        ([1], list, [1]),
        (3, Any, 3),
    ],
)
def test_values_are_converted_to_plain_types(value: object, hint: Any, found: object) -> None:
    assert convert(value, hint, "it") == found
    assert type(convert(value, hint, "it")) is type(found)


@pytest.mark.parametrize(("value", "hint"), [("x", int), ("maybe", bool), (True, int), (1, str), (1.5, int), (True, float), ([], dict)])
def test_other_values_are_refused(value: object, hint: Any) -> None:
    with pytest.raises(ConfigError, match=r"^it: .* is not an? "):
        convert(value, hint, "it")
