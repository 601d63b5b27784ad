"""Health and metrics of a real service: all workers in one answer, and counters that outlive the workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from greenimi.testing.gunicorn import Gunicorn
from greenimi.testing.plugin import ServeGunicorn
from greenimi.testing.support import wait_until

APP = """
from pathlib import Path
from greenimi import get, health_check, http

@http
class Api:
    @get("/hello")
    def hello(self) -> str:
        return "hello"

@health_check("disk", every=0.05)
def disk() -> bool:
    return not Path(__file__).with_name("full").exists()
"""
CONF = """include = ["healthy_live_app"]
[servers.web]
kind = "http"
[health]
server = "web"
"""
REQUESTS = 40


@pytest.fixture
def service(serve_gunicorn: ServeGunicorn, tmp_path: Path) -> Gunicorn:
    (tmp_path / "healthy_live_app.py").write_text(APP)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/app.toml").write_text(CONF)
    return serve_gunicorn(tmp_path / "conf/app.toml", workers=2)


def fetch(service: Gunicorn, path: str) -> tuple[int, str]:
    host, port = service.addresses["web"]
    try:
        with urlopen(f"http://{host}:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def metrics(service: Gunicorn) -> dict[tuple[str, str, str], float]:
    """Each sample by its name, worker and state."""
    status, text = fetch(service, "/metrics")
    assert status == 200
    samples: list[Any] = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(s.name, s.labels.get("worker", ""), s.labels.get("state", "")): s.value for s in samples if "le" not in s.labels}


def messages(service: Gunicorn) -> float:
    return metrics(service)["greenimi_messages_total", "", ""]


@pytest.mark.live
def test_one_answer_is_about_all_workers_and_no_counter_shrinks(service: Gunicorn) -> None:
    wait_until(lambda: metrics(service)["greenimi_workers", "", "ready"] == 2)
    for _ in range(REQUESTS):
        assert fetch(service, "/hello") == (200, "hello")
    wait_until(lambda: messages(service) >= REQUESTS)
    found = metrics(service)
    assert {worker for name, worker, _ in found if name == "greenimi_worker_resident_memory_bytes"} == {"0", "1"}
    assert sum(value for (name, _, _), value in found.items() if name == "greenimi_worker_messages_total") >= REQUESTS
    for number, end in enumerate((signal.SIGKILL, signal.SIGTERM), 1):
        before = messages(service)
        os.kill(service.booted[number], end)  # one of the two that live now
        seen = [before]

        def replaced(seen: list[float] = seen, number: int = number) -> bool:
            now = metrics(service)
            seen.append(now["greenimi_messages_total", "", ""])
            return now["greenimi_workers_ended_total", "", ""] == number and now["greenimi_workers", "", "ready"] == 2

        wait_until(replaced, 20)
        assert seen == sorted(seen)
        assert fetch(service, "/livez") == (200, "ok")


@pytest.mark.live
def test_a_service_is_ready_until_a_check_fails_and_after_it_went_well_again(service: Gunicorn, tmp_path: Path) -> None:
    wait_until(lambda: fetch(service, "/readyz") == (200, '{"status":"ready","checks":{"worker":"ok","hub":"ok","disk":"ok"}}'))
    (tmp_path / "full").touch()
    wait_until(lambda: fetch(service, "/readyz") == (503, '{"status":"not ready","checks":{"worker":"ok","hub":"ok","disk":"it says no"}}'))
    assert fetch(service, "/livez") == (200, "ok")
    (tmp_path / "full").unlink()
    wait_until(lambda: [fetch(service, "/readyz")[0] for _ in range(4)] == [200] * 4)
