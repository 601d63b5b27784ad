from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from greenimi.cli.parameters import Parameters
from greenimi.errors import StartError
from greenimi.marks import Where

WHERE = Where("shop.py", 7)


class Color(Enum):
    RED = "r"
    BLUE = "b"


def call(function: Callable[..., Any], *argv: str) -> Any:
    """What ``function`` returns when it is called with a command line."""
    parameters = Parameters(function, function, WHERE)
    parser = ArgumentParser("x")
    parameters.add_to(parser)
    bound = parameters.bind(parser.parse_args(argv))
    return function(*bound.args, **bound.kwargs)


def help_of(function: Callable[..., Any]) -> str:
    parser = ArgumentParser("x")
    Parameters(function, function, WHERE).add_to(parser)
    return parser.format_help()


def positional(a: int, b: float, c: str, d: Path, e: Color, f: Literal["x", 2]) -> Any:
    return a, b, c, d, e, f


def test_parameters_without_a_default_are_arguments_in_order_and_converted() -> None:
    assert call(positional, "-1", "1.5", "t", "/a/b", "r", "2") == (-1, 1.5, "t", Path("/a/b"), Color.RED, 2)


def test_an_enum_is_given_by_value_or_by_name() -> None:
    assert call(positional, "1", "1", "t", "p", "BLUE", "x")[4] is Color.BLUE


def options(*, a: int = 1, long_name: str = "n", c: Color = Color.RED, d: float | None = None) -> Any:
    return a, long_name, c, d


def test_parameters_with_a_default_are_options() -> None:
    assert call(options) == (1, "n", Color.RED, None)
    assert call(options, "--a", "2", "--long-name=x", "--c", "b", "--d", "2") == (2, "x", Color.BLUE, 2.0)


def flags(up: bool = False, down: bool = True, *, sure: bool) -> Any:
    return up, down, sure


def test_a_bool_is_a_flag_and_its_negation() -> None:
    assert call(flags, "--sure") == (False, True, True)
    assert call(flags, "--up", "--no-down", "--no-sure") == (True, False, False)


def test_a_flag_without_a_default_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        call(flags)
    assert end.value.code == 2
    assert "--sure" in capsys.readouterr().err


def arrays(first: str, files: list[int], *, tags: list[str] = ["none"], more: tuple[int, ...] = (), seq: Sequence[Color] = ()) -> Any:  # noqa: B006
    return first, files, tags, more, list(seq)


def test_arrays() -> None:
    assert call(arrays, "a", "1", "2") == ("a", [1, 2], ["none"], (), [])
    assert call(arrays, "a", "1", "--tags", "x", "--tags", "y", "--more", "3", "--seq", "r") == ("a", [1], ["x", "y"], (3,), [Color.RED])


def any_number(*names: int, last: str = "z") -> Any:
    return names, last


def test_star_arguments_take_any_number() -> None:
    assert call(any_number) == ((), "z")
    assert call(any_number, "1", "2", "--last", "y") == ((1, 2), "y")


def plain(a, b=3, c=True, d=None):  # type: ignore[no-untyped-def]  # as people write it
    return a, b, c, d


def test_without_annotations_the_default_says_the_type() -> None:
    assert call(plain, "1", "--b", "4", "--no-c", "--d", "5") == ("1", 4, False, "5")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["x", "1", "t", "p", "r", "x"], "argument A: expected int, got str 'x'"),
        (["1", "1", "t", "p", "green", "x"], "argument {r,b}: expected one of 'r', 'b', got str 'green'"),
        (["1", "1", "t", "p", "r", "y"], "argument {x,2}: expected one of 'x', 2, got str 'y'"),
        (["1"], "the following arguments are required"),
    ],
)
def test_a_wrong_value_names_argument_and_type(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        call(positional, *argv)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def helped(
    file: Annotated[Path, "what to read: 100%"], *, times: Annotated[int | None, "how often"] = None, color: Color = Color.BLUE
) -> Any:
    return file, times, color


def test_help_tells_annotated_text_choices_and_defaults() -> None:
    text = help_of(helped)
    assert "what to read: 100%" in text
    assert "--times TIMES  how often\n" in text
    assert "--color {r,b}  (default: b)" in text
    assert call(helped, "f", "--times", "2") == (Path("f"), 2, Color.BLUE)


def shortened(*, output: Annotated[str, "what to write", "-o"] = "", times: Annotated[int, "-n", "-t"] = 1) -> Any:
    return output, times


def test_options_may_have_short_names() -> None:
    assert call(shortened, "-o", "file", "-n", "2") == call(shortened, "--output", "file", "-t", "2") == ("file", 2)
    assert "-o OUTPUT, --output OUTPUT" in help_of(shortened).replace("\n", " ")
    assert "what to write" in help_of(shortened)


def keywords(**more: int) -> None: ...


def strange(thing: Parameters) -> None: ...


def taken(help: str = "") -> None: ...


@pytest.mark.parametrize(("function", "name"), [(keywords, "more"), (strange, "thing"), (taken, "help")])
def test_what_no_command_line_can_give_is_found_at_start(function: Callable[..., Any], name: str) -> None:
    with pytest.raises(StartError, match=f"shop.py:7: the parameter {name} cannot come from a command line"):
        help_of(function)


def unknown(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def test_an_annotation_that_cannot_be_read() -> None:
    with pytest.raises(StartError, match=r"shop.py:7: an annotation cannot be read: .*Missing"):
        Parameters(unknown, unknown, WHERE)
