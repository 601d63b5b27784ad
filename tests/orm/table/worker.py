"""A process that shares rows, for tests of several: ``worker.py sqlite FOLDER count 100``."""

from __future__ import annotations

from greenimi import green

green.patch()

import itertools  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from greenimi.container.registry import set_default_container  # noqa: E402
from greenimi.orm import Channel, Counter, SharedModel  # noqa: E402
from tests.orm.table.stores import application  # noqa: E402


class Sum(SharedModel):
    name: str
    added: int = 0
    locked: int = 0

    class Meta:
        key = "name"
        size = 100


jobs: Channel[int] = Channel("jobs", int, size=5)
done: Channel[int] = Channel("done", int)


def count(times: str) -> None:
    """Each of several sums by so much."""
    for number in range(int(times)):
        Counter("sum").add()
        Sum.increment("a", added=1)
        if number % 10 == 0:
            with Sum.lock("a", wait=20.0) as row:
                row.locked += 1
        green.sleep(0)


def endlessly(path: str) -> None:
    """Count, and write a byte to a file after each time."""
    with Path(path).open("ab", buffering=0) as file:
        for _ in itertools.count():
            Counter("sum").add()
            Sum.increment("a", added=1)
            os.write(file.fileno(), b".")
            green.sleep(0)


def work(_: str) -> None:
    """Do jobs until there is one that says to end."""
    while (job := jobs.pop()) >= 0:
        done.push(job)


def main() -> None:
    driver, folder, what, word = sys.argv[1:]
    with application(driver, Path(folder)) as container:
        set_default_container(container)
        {"count": count, "endlessly": endlessly, "work": work}[what](word)


if __name__ == "__main__":
    main()
