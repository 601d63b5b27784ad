"""The numbers of all workers in Prometheus' text format (0.0.4).

Plain names are sums over the workers, those that ended included, so their counters never shrink.  ``greenimi_worker_`` begins what is told
of each worker, with its place and generation as labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from greenimi.servers.watch.status_types import Numbers, ServerStatus, Totals, WorkerStatus
from greenimi.servers.watch.totals import summed

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FIRST, _LAST = 6, 26
"""Powers of two in microseconds that are shown as buckets: 64 microseconds to 67 seconds.  Always the same, as series must be."""

_STATES = ("booting", "ready", "draining")

Labels = Mapping[str, object]
Sample = tuple[Labels, float]


def exposition(workers: Sequence[WorkerStatus], base: Totals) -> str:
    """The text.  ``base``: what workers that ended had counted."""
    totals = summed(base, workers)
    lines: list[str] = []
    for part in (_of_service(workers, totals), _of_servers(totals), _of_sources(totals["sources"]), _of_workers(_newest(workers))):
        lines += part
    return "\n".join(lines) + "\n"


# -- families ----------------------------------------------------------------------------------------------------------


def _of_service(workers: Sequence[WorkerStatus], totals: Totals) -> Iterator[str]:
    states = [worker["state"] for worker in workers]
    yield from _family("workers", "gauge", "Worker processes.", [({"state": state}, states.count(state)) for state in _STATES])
    yield from _family("workers_ended_total", "counter", "Worker processes that ended.", [({}, totals["ended"])])
    yield from _family("cpu_seconds_total", "counter", "Processor time of all workers.", [({}, totals["cpu"])])
    yield from _family("blocked_total", "counter", "How often a handler let nobody else run.", [({}, totals["blocked"])])
    yield from _family("blocked_seconds_total", "counter", "How long handlers let nobody else run.", [({}, totals["blocked_seconds"])])
    for key, text in (
        ("busy", "Messages that are being handled."),
        ("waiting", "Messages that wait for a handler."),
        ("limit", "Messages that can be handled at a time."),
    ):
        value = sum(worker["handlers"][key] for worker in workers)  # type: ignore[literal-required]
        yield from _family(f"handlers_{key}", "gauge", text, [({}, value)])


def _of_servers(totals: Totals) -> Iterator[str]:
    servers = totals["servers"]
    for key, name, kind, text in (
        ("connections", "connections", "gauge", "Open connections."),
        ("accepted", "connections_accepted_total", "counter", "Connections accepted."),
        ("refused", "connections_refused_total", "counter", "Connections refused because of a limit."),
        ("handled", "messages_total", "counter", "Messages handled."),
        ("dropped", "replies_dropped_total", "counter", "Messages left out for slow clients, datagrams that the socket did not take."),
        ("cut", "connections_cut_total", "counter", "Clients cut because they did not read what was pushed to them."),
        ("held", "connections_held_total", "counter", "Waits for the next second because of a rate of messages."),
        ("late", "replies_late_total", "counter", "Replies of clients that nobody waited for any more."),
    ):
        samples = [(_of(server, found), found[key]) for server, found in servers.items()]  # type: ignore[literal-required]
        yield from _family(name, kind, text, samples)
    yield from _head("message_seconds", "histogram", "How long messages took to be handled.")
    for server, found in servers.items():
        if found["latency"]["buckets"]:
            yield from _histogram("message_seconds", _of(server, found), found)


def _of(name: str, server: ServerStatus) -> dict[str, object]:
    return {"server": name, "kind": server["kind"]}


def _histogram(name: str, labels: Labels, server: ServerStatus) -> Iterator[str]:
    buckets = server["latency"]["buckets"]
    counts = list(accumulate(buckets))
    for power in range(_FIRST, _LAST + 1):
        count = counts[min(power, len(counts) - 1)]
        yield _line(f"{name}_bucket", {**labels, "le": repr(2**power / 1e6)}, count)
    yield _line(f"{name}_bucket", {**labels, "le": "+Inf"}, counts[-1])
    yield _line(f"{name}_sum", labels, server["latency"]["sum"])
    yield _line(f"{name}_count", labels, counts[-1])


def _of_sources(sources: Numbers) -> Iterator[str]:
    """``pool.main`` with ``busy`` is ``greenimi_pool_busy{name="main"}``."""
    families: dict[str, list[Sample]] = {}
    for source, numbers in sources.items():
        family, _, name = source.partition(".")
        for key, value in numbers.items():
            families.setdefault(_clean(f"{family}_{key}"), []).append(({"name": name} if name else {}, value))
    for name, samples in families.items():
        yield from _family(name, "counter" if name.endswith("_total") else "gauge", "", samples)


def _of_workers(workers: Sequence[WorkerStatus]) -> Iterator[str]:
    def family(name: str, kind: str, text: str, values: Iterable[tuple[WorkerStatus, Labels, float]]) -> Iterator[str]:
        samples = [({"worker": w["place"], "generation": w["generation"], **labels}, value) for w, labels, value in values]
        return _family(f"worker_{name}", kind, text, samples)

    yield from family("start_time_seconds", "gauge", "When the worker started.", ((w, {}, w["since"]) for w in workers))
    yield from family("ready", "gauge", "Whether the worker is ready.", ((w, {}, w["state"] == "ready") for w in workers))
    yield from family("overloaded", "gauge", "Whether it refuses messages.", ((w, {}, w["handlers"]["overloaded"]) for w in workers))
    yield from family("handlers_busy", "gauge", "Messages that are being handled.", ((w, {}, w["handlers"]["busy"]) for w in workers))
    yield from family("handlers_waiting", "gauge", "Messages that wait.", ((w, {}, w["handlers"]["waiting"]) for w in workers))
    yield from family("greenlets", "gauge", "Handler greenlets.", ((w, {}, w["handlers"]["size"]) for w in workers))
    yield from family("loop_lag_seconds", "gauge", "How late the loop was last.", ((w, {}, w["loop"]["lag"]) for w in workers))
    yield from family("loop_lag_max_seconds", "gauge", "How late the loop was at most.", ((w, {}, w["loop"]["max_lag"]) for w in workers))
    yield from family("blocked_total", "counter", "How often its loop was blocked.", ((w, {}, w["blocked"]["count"]) for w in workers))
    yield from family("resident_memory_bytes", "gauge", "Resident memory.", ((w, {}, w["memory"]) for w in workers))
    yield from family("cpu_seconds_total", "counter", "Processor time.", ((w, {}, w["cpu"]) for w in workers))
    yield from family("open_fds", "gauge", "Open file descriptors.", ((w, {}, w["fds"]) for w in workers))
    runs = ((w, {"gc": number}, runs) for w in workers for number, runs in enumerate(w["collections"]))
    yield from family("gc_collections_total", "counter", "Runs of the garbage collector.", runs)
    connections = ((w, {"server": name}, s["connections"]) for w in workers for name, s in w["servers"].items())
    yield from family("connections", "gauge", "Open connections.", connections)
    handled = ((w, {"server": name}, s["handled"]) for w in workers for name, s in w["servers"].items())
    yield from family("messages_total", "counter", "Messages handled.", handled)


def _newest(workers: Sequence[WorkerStatus]) -> list[WorkerStatus]:
    """One worker for each place and generation: of one that leaves and its successor, the successor."""
    found: dict[tuple[int, int], WorkerStatus] = {}
    for worker in sorted(workers, key=lambda worker: worker["since"]):
        found[worker["place"], worker["generation"]] = worker
    return [found[key] for key in sorted(found)]


# -- the format --------------------------------------------------------------------------------------------------------


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield from _head(name, kind, text)
    for labels, value in samples:
        yield _line(name, labels, value)


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    if text:
        yield f"# HELP greenimi_{name} {text}"
    yield f"# TYPE greenimi_{name} {kind}"


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(str(found))}"' for label, found in labels.items())
    return f"greenimi_{name}{f'{{{inside}}}' if inside else ''} {_number(value)}"


def _number(value: float) -> str:
    return repr(value + 0).removesuffix(".0")  # +0: a bool is a number, too


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _clean(name: str) -> str:
    """With every character that a name may not have replaced."""
    return "".join(character if character.isascii() and character.isalnum() else "_" for character in name)
