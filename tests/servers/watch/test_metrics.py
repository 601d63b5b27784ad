"""The exposition, read back by Prometheus' own parser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from greenimi.servers.watch.metrics import exposition
from greenimi.servers.watch.status_types import Totals, WorkerStatus
from greenimi.servers.watch.totals import nothing, summed
from tests.servers.records import BUSY, WEB, server, worker

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    """Every sample by its name and labels; no series is there twice, no family either."""
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    samples = [sample for family in families for sample in family.samples]
    found: Samples = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def shown(workers: list[WorkerStatus], base: Totals | None = None) -> Samples:
    return parsed(exposition(workers, base or nothing()))


def one(samples: Samples, name: str, /, **labels: Any) -> float:
    return samples[f"greenimi_{name}", tuple(sorted((key, str(value)) for key, value in labels.items()))]


def test_every_name_is_ours_and_every_family_has_a_type() -> None:
    text = exposition([BUSY], nothing())
    assert text.endswith("\n")
    lines = text.splitlines()
    typed = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    names = {re.split(r"[ {]", line)[0] for line in lines if not line.startswith("#")}
    assert all(name.startswith("greenimi_") for name in names)
    plain = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in names}
    assert plain <= typed.keys() | {"greenimi_message_seconds"}
    assert {name for name, kind in typed.items() if kind == "counter"} == {name for name in typed if name.endswith("_total")}


def test_sums_have_no_worker_and_workers_have_their_own() -> None:
    other = worker(8, place=1, generation=2, servers={"web": server(connections=1, handled=5)}, memory=4096, cpu=0.5, state="draining")
    found = shown([BUSY, other])
    assert one(found, "connections", server="web", kind="http") == 4
    assert one(found, "messages_total", server="web", kind="http") == 105
    assert one(found, "connections_accepted_total", server="web", kind="http") == 10
    assert one(found, "connections_refused_total", server="web", kind="http") == 1
    assert one(found, "replies_dropped_total", server="web", kind="http") == 2
    assert one(found, "connections_cut_total", server="web", kind="http") == 3
    assert one(found, "connections_held_total", server="web", kind="http") == 4
    assert one(found, "replies_late_total", server="web", kind="http") == 5
    assert one(found, "cpu_seconds_total") == 13.0
    assert one(found, "blocked_total") == 2
    assert one(found, "blocked_seconds_total") == 0.5
    assert one(found, "handlers_limit") == 20
    assert [one(found, "workers", state=state) for state in ("booting", "ready", "draining")] == [0, 1, 1]
    assert one(found, "worker_messages_total", worker=0, generation=1, server="web") == 100
    assert one(found, "worker_messages_total", worker=1, generation=2, server="web") == 5
    assert one(found, "worker_resident_memory_bytes", worker=1, generation=2) == 4096
    assert one(found, "worker_ready", worker=0, generation=1) == 1
    assert one(found, "worker_ready", worker=1, generation=2) == 0
    assert one(found, "worker_gc_collections_total", worker=0, generation=1, gc=2) == 0
    assert one(found, "pool_busy", name="main") == 4
    assert one(found, "pool_waits_total", name="main") == 9
    assert one(found, "queue_length") == 5


def test_workers_that_ended_go_on_counting() -> None:
    base = summed(nothing(), [BUSY])
    base["ended"] = 1
    found = shown([worker(8, servers={"web": WEB})], base)
    assert one(found, "messages_total", server="web", kind="http") == 200
    assert one(found, "workers_ended_total") == 1
    assert one(found, "worker_messages_total", worker=0, generation=1, server="web") == 100


def test_of_a_worker_and_its_successor_in_one_place_the_successor_has_the_series() -> None:
    leaving = worker(7, state="draining", since=1.0, servers={"web": server(handled=100)})
    coming = worker(8, since=2.0, servers={"web": server(handled=1)})
    for workers in ([leaving, coming], [coming, leaving]):
        found = shown(workers)
        assert one(found, "worker_messages_total", worker=0, generation=1, server="web") == 1
        assert one(found, "messages_total", server="web", kind="http") == 101


def test_the_histogram_is_cumulative_in_seconds() -> None:
    buckets = [0] * 30
    buckets[3] = 2  # below 8 microseconds
    buckets[7] = 5  # below 128
    buckets[20] = 1  # about a second
    buckets[29] = 4  # minutes
    found = shown([worker(servers={"web": server(latency={"buckets": buckets, "sum": 900.5})})])

    def count(le: str) -> float:
        return one(found, "message_seconds_bucket", server="web", kind="http", le=le)

    assert [count(le) for le in ("6.4e-05", "0.000128", "0.524288", "1.048576", "67.108864", "+Inf")] == [2, 7, 7, 8, 8, 12]
    assert one(found, "message_seconds_count", server="web", kind="http") == 12
    assert one(found, "message_seconds_sum", server="web", kind="http") == 900.5
    values = [value for (name, _), value in found.items() if name == "greenimi_message_seconds_bucket"]
    assert values == sorted(values)


def test_the_buckets_are_the_same_however_few_were_filled() -> None:
    few, many = ({key for key in shown([worker(servers={"web": server(latency=found)})]) if "bucket" in key[0]} for found in (
        {"buckets": [1], "sum": 0.0},
        {"buckets": [1] * 40, "sum": 0.0},
    ))  # fmt: skip
    assert few == many
    assert not any("bucket" in name for name, _ in shown([worker(servers={"udp": server(kind="udp")})]))


@pytest.mark.parametrize("name", ['a"b', "back\\slash", "new\nline", "ümläut"])
def test_labels_are_escaped(name: str) -> None:
    found = shown([worker(servers={name: server(handled=3)}, sources={f"pool.{name}": {"busy now": 1}})])
    assert one(found, "messages_total", server=name, kind="http") == 3
    assert one(found, "pool_busy_now", name=name) == 1


def test_no_worker_at_all_is_still_an_exposition() -> None:
    assert one(shown([]), "workers", state="ready") == 0
