"""Classes of typed values: what models that are no tables have in common."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, TypeVar, dataclass_transform

import msgspec

from greenimi.errors import GreenimiError

__all__ = ["Record", "UnreadableRecord", "read_options"]

O = TypeVar("O")  # noqa: E741 - options


class UnreadableRecord(GreenimiError):
    """What is stored is not of the class that reads it, as after a change of its fields that old values do not fit."""


@dataclass_transform(field_specifiers=(dataclasses.field,))
class Record:
    """Its subclasses are dataclasses, whose values travel as JSON; their types are checked when they are read."""

    _decoder: ClassVar[Any] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclasses.dataclass(cls)
        cls._decoder = None
        if "Meta" in vars(cls):
            cls._set_up(vars(cls)["Meta"])

    @classmethod
    def _set_up(cls, meta: type) -> None:
        """Take the options of ``class Meta``.  Raises TypeError for what cannot be."""

    @classmethod
    def _field_names(cls) -> list[str]:
        fields: Any = dataclasses.fields(cls)  # type: ignore[arg-type]  # each subclass is a dataclass
        return [field.name for field in fields]

    def _encode(self) -> bytes:
        """TypeError for what could not be read back: values that are not of their fields' types, or that JSON has not (a float's NaN)."""
        data = msgspec.json.encode(self)
        try:
            self._decode(data, "it")
        except UnreadableRecord as error:
            raise TypeError(f"{type(self).__name__} cannot be written: {error.__cause__}") from None
        return data

    @classmethod
    def _decode(cls, data: bytes | str, where: str) -> Any:
        """``where``: what an error says of the place.  The decoder is made late, when all types that a class names are there."""
        if cls._decoder is None:
            cls._decoder = msgspec.json.Decoder(cls)
        try:
            return cls._decoder.decode(data)
        except msgspec.DecodeError as error:  # which a ValidationError is, too
            raise UnreadableRecord(f"{where} is no {cls.__name__}: {error}") from error


def read_options(model: type, meta: type, kind: type[O]) -> O:
    """``class Meta`` as a dataclass of options.  TypeError for names that it does not know."""
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # it is a dataclass
    said = {name: value for name, value in vars(meta).items() if not name.startswith("__")}
    for name in said:
        if name not in known:
            raise TypeError(f"{model.__name__}: Meta has no option {name}; it has {', '.join(known)}")
    return kind(**said)
