from __future__ import annotations

import pytest

from greenimi.enums import Enum


class Colour(Enum):
    RED = 1, "Red", {"hex": "#f00"}
    GREEN = 2, "Green"
    GREY = 3


def test_a_member_carries_value_label_and_data() -> None:
    assert Colour(1) is Colour.RED
    assert (Colour.RED.value, Colour.RED.label, Colour.RED.data) == (1, "Red", {"hex": "#f00"})
    assert (Colour.GREEN.label, Colour.GREEN.data) == ("Green", None)
    assert Colour.GREY.label == "GREY"


def test_by_name_and_by_label() -> None:
    assert Colour.by_name("GREEN") is Colour.GREEN
    assert Colour.by_label("Red") is Colour.RED
    with pytest.raises(ValueError, match="'BLUE' is no name of Colour: RED, GREEN, GREY"):
        Colour.by_name("BLUE")
    with pytest.raises(ValueError, match="'Blue' is no label of Colour: Red, Green, GREY"):
        Colour.by_label("Blue")


def test_names_and_values() -> None:
    assert Colour.names() == ["RED", "GREEN", "GREY"]
    assert Colour.values() == [1, 2, 3]


@pytest.mark.parametrize(("value", "valid"), [(1, True), (4, False), ("1", False), (True, False), ([], False)])
def test_validate_and_check_agree(value: object, valid: bool) -> None:
    assert Colour.validate(value) is valid
    if valid:
        assert Colour.check(value) is Colour.RED
    else:
        with pytest.raises(ValueError, match="is no value of Colour: 1, 2, 3"):
            Colour.check(value)
