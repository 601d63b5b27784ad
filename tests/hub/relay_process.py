"""A process with a local relay and nothing else, for tests to end, stop and starve: ``relay_process.py FOLDER BEAT SILENCE QUEUE``."""

from __future__ import annotations

from greenimi import green

green.patch()  # before anything else is imported

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

from greenimi.hub import local, local_link  # noqa: E402
from greenimi.hub.local import LocalRelay  # noqa: E402
from greenimi.hub.settings import HubSettings  # noqa: E402


class Servant:
    """Does what it is called for, and answers with JSON."""

    def __init__(self, relay: LocalRelay) -> None:
        self._relay = relay
        self._files: list[int] = []
        self._lost: list[int] = []
        self._told = 0

    def told(self, packet: bytes, sender: int) -> None:
        self._told += 1

    def called(self, packet: bytes, sender: int, answer: Callable[[bytes], None]) -> None:
        answer(json.dumps(self._do(**json.loads(packet))).encode())

    def joined(self, process: int) -> None: ...

    def lost(self, process: int) -> None:
        self._lost.append(process)

    def _do(self, what: str, target: str = "") -> Any:
        relay = self._relay
        if what == "want":
            return relay.interest(target, here=True)
        if what == "wants":
            return list(relay.interested(target))
        if what == "starve":
            try:
                while True:
                    self._files.append(os.open(os.devnull, os.O_RDONLY))
            except OSError as error:
                return error.errno
        if what == "feed":
            while self._files:
                os.close(self._files.pop())
        return {
            "pid": os.getpid(),
            "processes": sorted(relay.processes()),
            "links": len(relay._all),
            "healthy": relay.healthy,
            "lost": self._lost,
            "told": self._told,
        }


def main(folder: str, beat: str, silence: str, queue: str) -> None:
    local._BEAT = float(beat)
    local_link.SILENCE = int(silence)
    relay = LocalRelay(HubSettings(folder=folder, queue=int(queue)))
    relay.start(Servant(relay))
    while True:
        green.sleep(3600)


if __name__ == "__main__":
    main(*sys.argv[1:])
