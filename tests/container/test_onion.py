from __future__ import annotations

from typing import Any

from greenimi.container.onion import Layer, Proceed, compose


def layer(name: str) -> Layer:
    def run(value: Any, proceed: Proceed) -> Any:
        return f"{name}({proceed(value + name)})"

    return run


def test_layers_run_outermost_first() -> None:
    assert compose([layer("a"), layer("b")], lambda value: f"<{value}>")("") == "a(b(<ab>))"


def test_no_layers_cost_nothing() -> None:
    def core(value: Any) -> Any:
        return value

    assert compose([], core) is core


def test_a_layer_may_answer_itself() -> None:
    assert compose([lambda value, proceed: "short"], lambda value: 1 / 0)(1) == "short"
