"""Heads as they arrive: blocks of HPACK (RFC 7541), decoded by hpack; those that come again and again are remembered."""

from __future__ import annotations

from collections.abc import Sequence

from h2.errors import ErrorCodes
from hpack import Decoder, HPACKError, OversizedHeaderListError

from greenimi.codec.http2_frames import ConnectionFault
from greenimi.codec.http2_heads import Field, Head

_KEPT = 32
_LONGEST = 256  # bytes of a block that is kept


class Blocks:
    """Decodes the heads of one connection, all of them and in order: each may change the table that the next one refers to.

    What a block says is the same as long as the table is, so ``known`` has the requests of blocks that leave it alone, until another
    block comes that does not.
    """

    __slots__ = ("_decoder", "_largest", "_steady", "known")

    def __init__(self, largest: int, table: int) -> None:
        """``largest``: bytes of a head, as HPACK counts them.  ``table``: the size of the table that we announce."""
        self._largest = largest
        self._decoder = Decoder(largest)
        self._decoder.max_allowed_table_size = table
        self._steady = False  # the last block left the table as it was
        self.known: dict[bytes, Head] = {}

    def decode(self, block: bytes) -> Sequence[Field]:
        """The fields.  Raises ConnectionFault: what comes later could not be decoded any more."""
        if _table_changes(block) > 2:
            raise ConnectionFault(ErrorCodes.COMPRESSION_ERROR, "more than two changes of the table's size")
        table = self._decoder.header_table
        entries = table.dynamic_entries
        size, count, first = table.maxsize, len(entries), entries[0] if entries else None
        try:
            fields = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, f"a head of over {self._largest} bytes") from None
        except (HPACKError, IndexError) as error:
            raise ConnectionFault(ErrorCodes.COMPRESSION_ERROR, f"a head that cannot be decoded: {error}") from None
        entries = table.dynamic_entries  # a new entry would be the first, and an object of its own
        self._steady = (size, count) == (table.maxsize, len(entries)) and first is (entries[0] if entries else None)
        if not self._steady:
            self.known.clear()
        return fields  # type: ignore[return-value]  # raw: bytes

    def remember(self, block: bytes, head: Head) -> None:
        """``block`` was just decoded and is the head of a good request."""
        if self._steady and len(block) <= _LONGEST and len(self.known) < _KEPT:
            self.known[block] = head


def _table_changes(block: bytes) -> int:
    """How often the block changes the size of the table before its first field; more than twice makes no sense (RFC 7541 section 4.2)."""
    found = at = 0
    while at < len(block) and block[at] & 0xE0 == 0x20:
        found += 1
        many = block[at] & 0x1F == 0x1F
        at += 1
        while many and at < len(block):
            many = block[at] > 0x7F
            at += 1
    return found
