"""Keys that are made by us, not by the database, as defaults of fields: ``id = CharField(primary_key=True, default=uuid7)``."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from typing import Any

Row = Any

_AT = "greenimi_id"


def uuid1() -> str:
    """Of time and machine (RFC 9562 section 5.1), which it tells whoever sees it."""
    return str(uuid.uuid1())


def uuid4() -> str:
    """Of 122 random bits (RFC 9562 section 5.4)."""
    return str(uuid.uuid4())


def uuid7() -> str:
    """Of the time in milliseconds and 74 random bits (RFC 9562 section 5.7): later ones are greater, which indexes like."""
    bits = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    bits = bits & ~(0xF << 76) | 7 << 76
    bits = bits & ~(0x3 << 62) | 2 << 62
    return str(uuid.UUID(int=bits))


def named_uuid(namespace: uuid.UUID | str, *fields: str, md5: bool = False) -> Callable[[Row], str]:
    """Of the values of other fields within a namespace (RFC 9562 sections 5.3 and 5.5): the same values give the same key.

    ``id = made(CharField(primary_key=True), named_uuid(uuid.NAMESPACE_URL, "address"))``
    """
    space = uuid.UUID(namespace) if isinstance(namespace, str) else namespace
    make = uuid.uuid3 if md5 else uuid.uuid5

    def of(row: Row) -> str:
        values = [getattr(row, name) for name in fields]
        if None in values:
            raise ValueError(f"{type(row).__name__}: its key is made of {', '.join(fields)}, which must have values")
        return str(make(space, "\0".join(map(str, values))))

    return of


def made(field: Any, maker: Callable[[Row], Any]) -> Any:
    """A field whose value ``maker(row)`` gives when a row is inserted that has none."""
    setattr(field, _AT, maker)
    return field


def fill(row: Row) -> None:
    """Make what is to be made before a row is inserted."""
    for field in row._meta.sorted_fields:
        maker = getattr(field, _AT, None)
        if maker is not None and row.__data__.get(field.name) is None:
            setattr(row, field.name, maker(row))
