"""Numbers of connections: 63 bits that name a node, a process of it and a slot.

``node`` 12 bits, ``process`` 20 bits, ``slot`` 31 bits, from the highest to the lowest; the highest bit of 64 is 0, so that languages with
signed numbers only can hold them.  A process number belongs to one process for as long as anybody remembers connections of another, and a
slot is used again only after all the others, so a number means one connection.  It is a name, not a secret: whoever knows it can do
nothing with it.

Everywhere in the Hub a *process* is the upper half, node and process in one: 32 bits, unique in the cluster.
"""

from __future__ import annotations

NODES = 1 << 12
PROCESSES = 1 << 20
SLOTS = 1 << 31


def process_number(node: int, process: int) -> int:
    """Node and process in one number.  ValueError when one is out of range."""
    if not 0 <= node < NODES:
        raise ValueError(f"a node is 0 to {NODES - 1}, not {node}")
    if not 0 <= process < PROCESSES:
        raise ValueError(f"a process is 0 to {PROCESSES - 1}, not {process}")
    return node << 20 | process


def first_number(process: int) -> int:
    """The number of slot 0 of a process; the others follow."""
    return process << 31


def process_of(number: int) -> int:
    """The process that has, or had, a connection."""
    return number >> 31


def node_of(number: int) -> int:
    return number >> 51


def slot_of(number: int) -> int:
    return number & SLOTS - 1


def parse(text: str | int) -> int:
    """The number that ``IConnection.id`` tells, or -1, which nobody has, for a text that tells none."""
    if isinstance(text, int):
        return text if 0 <= text < 1 << 63 else -1
    if not text.isdecimal() or not text.isascii() or len(text) > 19:
        return -1
    number = int(text)
    return number if number < 1 << 63 else -1
