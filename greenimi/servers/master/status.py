"""What ``greenimi status`` shows, and programs ask a master for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenimi.servers.watch import totals

if TYPE_CHECKING:
    from greenimi.servers.master.arbiter import GreenArbiter
    from greenimi.servers.master.berth import Berth


def status_of(arbiter: GreenArbiter) -> dict[str, Any]:
    workers: list[dict[str, Any]] = []
    for worker in sorted(arbiter.WORKERS.values(), key=lambda worker: (worker.berth.place, worker.age)):
        berth: Berth = worker.berth
        facts = {"pid": worker.pid, "place": berth.place, "generation": berth.generation, "state": berth.state}
        record = arbiter.board.read(berth.slot)
        workers.append({**(totals.worker_of(record) if record is not None else {}), **facts})
    return {
        "master": {
            "pid": arbiter.pid,
            "since": arbiter.since,
            "generation": arbiter.generation,
            "reloads": arbiter._stats["reloads"],
            "last_reload": arbiter.last_roll,
            "conf": arbiter.deployment.conf,
            "before": arbiter.master_pid,
            "successor": arbiter.reexec_pid,
            "complete": arbiter.is_complete(),
            "folder": arbiter.hub.folder or str(arbiter.run_folder.path),
        },
        "listeners": [{"server": one.server, "kind": one.kind, "address": str(one.address)} for one in arbiter.listeners.addresses()],
        "workers": workers,
    }
