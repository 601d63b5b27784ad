"""What may go wrong with a lock."""

from __future__ import annotations

import pytest

from greenimi.errors import GreenimiError
from greenimi.lock import LockError, LockFailed, LockLost, LockTimeout


@pytest.mark.parametrize("kind", [LockTimeout, LockLost])
def test_they_name_the_lock(kind: type[LockTimeout | LockLost]) -> None:
    error = kind("the lock 'a' is not there", "a")
    assert (error.name, error.status, str(error)) == ("a", 503, "the lock 'a' is not there")
    assert isinstance(error, LockError)
    assert isinstance(error, GreenimiError)


def test_a_timeout_is_one_for_python_too() -> None:
    assert issubclass(LockTimeout, TimeoutError)
    assert LockFailed("x").status == 503
