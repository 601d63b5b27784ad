"""Our load client of broadcasts: it counts deliveries, lets no lost, doubled or wrong one pass, and holds connections that are idle."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.hall import hall, to_all

PROCESS = 1 << 31


def drive(fan: Path, mode: str, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [fan, mode, str(port), "-c5", "-t0.3", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=40)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("tls", [False, True])
def test_deliveries_are_counted(fan: Path, certificate: tuple[Path, Path], *, depth: int, tls: bool) -> None:
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    heard = []

    def answer(text: str, number: int) -> list[tuple[int, str]]:
        heard.append((text, number))
        return to_all(text, number)

    with hall(answer, context) as port:
        done = drive(fan, "broadcast", port, f"-d{depth}", *(["--tls"] if tls else []))
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert len({number for _, number in heard}) == 1
    assert [int(text[:8], 16) for text, _ in heard] == list(range(len(heard)))
    settled = 5
    assert 5 * (len(heard) - depth) - settled <= figures["count"] <= 5 * len(heard) - settled
    assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["max_us"] + 5


def test_members_that_come_late_are_waited_for(fan: Path) -> None:
    """The first message reaches two of five, the second one all."""
    with hall(lambda text, number: to_all(text, number)[: 2 if text.startswith("00000000") else 5]) as port:
        done = drive(fan, "broadcast", port)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (lambda text: text.upper(), "is not what was sent"),
        (lambda text: f"{int(text[:8], 16) + 1:08x}{text[8:]}", "was due"),
        (lambda text: "\x88\x00", "said goodbye"),
        (lambda text: "\x82\x00", "unexpected frame 82"),
    ],
)
def test_a_wrong_delivery_ends_the_run(fan: Path, wrong: Callable[[str], str], complaint: str) -> None:
    def answer(text: str, number: int) -> list[tuple[int, str]]:
        return [(to, wrong(reply) if to == 3 and text.startswith("00000002") else reply) for to, reply in to_all(text, number)]

    with hall(answer) as port:
        done = drive(fan, "broadcast", port)
    assert done.returncode == 1
    assert complaint in done.stderr


def test_a_doubled_delivery_ends_the_run(fan: Path) -> None:
    with hall(lambda text, number: [*to_all(text, number), (4, text)]) as port:
        done = drive(fan, "broadcast", port)
    assert done.returncode == 1
    assert "was due" in done.stderr


def told(text: str, number: int, processes: int) -> list[tuple[int, str]]:
    """The connections are of so many processes, by turns, and none has slot 0."""
    if text == "who":
        return [(number, str((7 + number % processes) * PROCESS + number + 1))]
    _, to, message = text.split(" ")
    return [((int(to) & PROCESS - 1) - 1, message)]


def test_pushes_go_to_the_same_process_and_to_another(fan: Path) -> None:
    pushed = []

    def answer(text: str, number: int) -> list[tuple[int, str]]:
        found = told(text, number, 2)
        if text != "who":
            pushed.append((number % 2, found[0][0] % 2))
        return found

    with hall(answer) as port:
        done = drive(fan, "push", port)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    sender = pushed[0][0]
    assert len(pushed) == figures["count"] + 2 * 200
    assert pushed == [(sender, sender), (sender, 1 - sender)] * (len(pushed) // 2)
    assert min(figures["local_p50_us"], figures["remote_p50_us"]) > 0


@pytest.mark.parametrize(("processes", "complaint"), [(1, "are of one process"), (5, "are of different processes")])
def test_pushes_need_two_processes(fan: Path, processes: int, complaint: str) -> None:
    with hall(lambda text, number: told(text, number, processes)) as port:
        done = drive(fan, "push", port)
    assert done.returncode == 1
    assert complaint in done.stderr


def test_idle_connections_answer_pings_and_tell_what_they_heard(fan: Path) -> None:
    pongs = []

    def answer(text: str, number: int) -> list[tuple[int, str]]:
        if text == "pong":
            pongs.append(number)
            return [(4, "\x88\x00")] if len(pongs) == 5 else []
        ping = "\x89\x02hi"
        return [*to_all(text, number), *to_all(ping, number)]

    with hall(answer) as port:
        command: list[str | Path] = [fan, "hold", str(port), "-c5", "-t20"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdin is not None
            assert child.stdout is not None

            def look() -> dict[str, int]:
                child.stdin.write("l")  # type: ignore[union-attr]
                child.stdin.flush()  # type: ignore[union-attr]
                return json.loads(child.stdout.readline())  # type: ignore[union-attr, no-any-return]

            assert child.stdout.readline() == "held 5\n"
            assert look() == {"open": 5, "ended": 0, "pings": 0, "heard": 0, "sent_us": 0, "last_us": 0}
            child.stdin.write("b")
            while (found := look())["ended"] < 1:
                pass
            child.stdin.close()
            assert child.wait(10) == 0
    assert (found["open"], found["ended"], found["pings"], found["heard"]) == (4, 1, 5, 5)
    assert 0 < found["sent_us"] <= found["last_us"]
    assert sorted(pongs) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("options", [[], ["broadcast"], ["shout", "1"], ["hold", "0"], ["push", "9", "-s5"], ["hold", "9", "-c999999"]])
def test_wrong_use_is_told(fan: Path, options: list[str]) -> None:
    done = subprocess.run([fan, *options], check=False, capture_output=True, text=True, timeout=10)
    assert done.returncode == 2
    assert "see --help" in done.stderr
