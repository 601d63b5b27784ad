"""What commands print: answers to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def say(text: str = "") -> None:
    """A line of the answer."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: object, who: str = "greenimi") -> None:
    """A line about what went wrong."""
    sys.stderr.write(f"{who}: {text}\n")
    sys.stderr.flush()


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns under their names, as wide as what stands in them."""
    cells = [[str(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)


def say_records(heads: Sequence[str], rows: Sequence[Sequence[Any]], *, as_json: bool) -> None:
    """A listing: a table for people, or a JSON array of objects.  A list in a row stands between commas in the table."""
    if as_json:
        say(json.dumps([dict(zip(heads, row, strict=True)) for row in rows], indent=2, ensure_ascii=False, default=str))
    else:
        say(table(heads, [[", ".join(map(str, cell)) if isinstance(cell, list) else cell for cell in row] for row in rows]))
