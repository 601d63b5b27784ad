"""A number that the workers of a machine share."""

from __future__ import annotations

from collections.abc import Callable

from greenimi.orm.table.names import check_name
from greenimi.orm.table.tables import current_tables

_TABLE = "/counters"  # no name of a model's table
_LARGEST = 1 << 63


class Counter:
    """``visits = Counter("visits")``: an integer of 64 bits, 0 at first.  Each call is one step for all workers.

    A constant: which counter of the name that is, is asked of the running application at each call.
    """

    def __init__(self, name: str) -> None:
        check_name("counter", name)
        self.name = name

    def __repr__(self) -> str:
        return f"<Counter {self.name}>"

    def add(self, by: int = 1) -> int:
        """Add to it, or take from it; what it is then.  OverflowError, and nothing is done, beyond 64 bits."""

        def add(old: bytes | None) -> bytes | None:
            return _packed(_number(old) + by)

        return _number(self._change(add))

    def get(self) -> int:
        return _number(current_tables().rows.get(_TABLE, self.name))

    def set(self, value: int) -> None:
        self._change(lambda _: _packed(value))

    def compare_and_set(self, expected: int, value: int) -> bool:
        """Set it if it is ``expected`` yet; whether it was."""
        was: list[bool] = []

        def put(old: bytes | None) -> bytes | None:
            was.append(_number(old) == expected)
            return _packed(value) if was[0] else old

        self._change(put)
        return was[0]

    def _change(self, change: Callable[[bytes | None], bytes | None]) -> bytes | None:
        tables = current_tables()
        return tables.rows.change(_TABLE, self.name, change, tables.settings.counters)


def _number(data: bytes | None) -> int:
    return 0 if data is None else int(data)


def _packed(number: int) -> bytes | None:
    """Zero takes no room: a counter that is not there is 0."""
    if not -_LARGEST <= number < _LARGEST:
        raise OverflowError(f"{number} has more than 64 bits")
    return b"%d" % number if number else None
