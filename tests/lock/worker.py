"""A process that uses locks, for tests of several: ``worker.py machine FOLDER hold``, ``worker.py redis URL count FILE 100``."""

from __future__ import annotations

from greenimi import green

green.patch()

import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402

from greenimi.lock import Lock, LockLost, LockSettings  # noqa: E402
from greenimi.lock.machine import MachineStore  # noqa: E402

LEASE = 0.5
WORKERS = 4


@contextmanager
def locks(kind: str, place: str) -> Iterator[Lock]:
    """Those of a machine's folder, or of a Redis."""
    from tests.lock.redis_clients import plain_store

    if kind == "machine":
        lock = Lock(LockSettings(), lambda: MachineStore(Path(place)))
        yield lock
        lock.stop()
    else:
        with plain_store(place) as store:
            lock = Lock(LockSettings(), lambda: store)
            yield lock
            lock.stop()


def hold(lock: Lock) -> None:
    """Say the fencing number, then how it ends."""
    try:
        with lock.hold("a", lease=LEASE, wait=30, on_lost="raise") as held:
            print("held", held.fencing, flush=True)
            green.sleep(3600)
    except LockLost as error:
        print("lost", error, held.lost, flush=True)


def count(lock: Lock, file: Path, times: int) -> None:
    """Add to the number in the file, in several greenlets; whoever is not alone loses what others add."""

    def work() -> None:
        for _ in range(times):
            with lock.hold("count", wait=50, on_lost="raise"):
                seen = int(file.read_text())
                green.sleep(0)
                file.write_text(str(seen + 1))

    for worker in [green.spawn(work) for _ in range(WORKERS)]:
        worker.get()


def share(lock: Lock, folder: Path, times: int) -> None:
    """Be in the folder with two others at most."""

    def work(number: int) -> None:
        mine = folder / f"{id(lock)}-{number}"
        for _ in range(times):
            with lock.semaphore("s", limit=3, wait=50, on_lost="raise"):
                mine.touch()
                assert len(list(folder.iterdir())) <= 3
                green.sleep(0.002)
                mine.unlink()

    for worker in [green.spawn(work, number) for number in range(WORKERS)]:
        worker.get()


if __name__ == "__main__":
    kind, place, what, *rest = sys.argv[1:]
    with locks(kind, place) as lock:
        if what == "hold":
            hold(lock)
        else:
            {"count": count, "share": share}[what](lock, Path(rest[0]), int(rest[1]))
