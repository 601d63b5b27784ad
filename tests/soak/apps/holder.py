"""Takes a lock in a Redis and says so; asked by a line, says whether it has it still, and gives it back."""

from __future__ import annotations

from greenimi import green

green.patch()  # before anything else is imported

import sys  # noqa: E402

from tests.soak.bad_locks import locks  # noqa: E402

if __name__ == "__main__":
    with locks(sys.argv[1]) as mine, mine.hold("stock", lease=float(sys.argv[2])) as held:
        print("held", held.fencing, flush=True)
        green.in_thread(sys.stdin.readline)  # the lock is renewed meanwhile
        print("lost" if held.lost else "kept", flush=True)
