"""What every IPayload does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pytest

from greenimi.errors import BadMessage
from greenimi.interfaces import IPayload


class PayloadContract(ABC):
    """Encode and decode are each other's inverse; garbage is a BadMessage; what cannot be told is a TypeError that names its type.

    values       what comes back equal        garbage      bytes (or text) that mean nothing; empty when everything means something
    unencodable  values that cannot be told
    """

    values: Sequence[Any] = ({}, {"action": "say", "id": 1, "text": "äöü €"}, [], [1, 2.5, None, True, "x"], "", 0, None)
    garbage: Sequence[bytes | str] = (b"", b"\xff\xfe\x00", b"{")
    unencodable: Sequence[Any] = (object(), 1j)

    @abstractmethod
    def make(self) -> IPayload:
        """A new payload codec."""

    def test_has_a_name(self) -> None:
        payload = self.make()
        assert payload.name
        assert isinstance(payload.text, bool)

    def test_values_come_back(self) -> None:
        payload = self.make()
        for value in self.values:
            raw = payload.encode(value)
            assert type(raw) is bytes
            assert payload.decode(raw) == value

    def test_text_payloads_encode_to_utf_8_and_decode_text(self) -> None:
        payload = self.make()
        if payload.text:
            for value in self.values:
                assert payload.decode(payload.encode(value).decode()) == value

    def test_garbage_is_a_bad_message(self) -> None:
        payload = self.make()
        for raw in self.garbage:
            with pytest.raises(BadMessage) as caught:
                payload.decode(raw)
            assert caught.value.text

    def test_what_cannot_be_told_is_a_type_error_that_names_it(self) -> None:
        payload = self.make()
        for value in self.unencodable:
            with pytest.raises(TypeError, match=type(value).__name__):
                payload.encode(value)

    def test_an_error_leaves_no_trace(self) -> None:
        payload = self.make()
        for raw in self.garbage:
            with pytest.raises(BadMessage):
                payload.decode(raw)
        for value in self.values:
            assert payload.decode(payload.encode(value)) == value
