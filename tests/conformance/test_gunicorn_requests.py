"""Gunicorn's corpus against our own server, over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from greenimi.testing.gunicorn import Gunicorn
from tests.conformance import gunicorn_requests
from tests.conformance.gunicorn_requests import BAR, SPLITS, STRICTER, File, Verdict, add_host, judge, unescape
from tests.conformance.places import CACHE, NotRun, fetch_sdist, serving

pytestmark = pytest.mark.live


@cache
def files() -> list[File]:
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        return gunicorn_requests.corpus(CACHE)
    except NotRun as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    files()
    with serving(tmp_path_factory.mktemp("judged")) as gunicorn:
        yield gunicorn


def shown(wrong: list[Verdict]) -> str:
    return "".join(f"\n{verdict}" for verdict in wrong)


@pytest.mark.parametrize("host", [False, True], ids=["as-they-are", "with-host"])
@pytest.mark.parametrize("split", SPLITS)
def test_every_bad_request_is_refused_and_nothing_behind_it_is_served(server: Gunicorn, split: str, host: bool) -> None:
    bad = [add_host(file) if host else file for file in files() if not file.good]
    assert len(bad) >= 62
    wrong = [
        verdict
        for verdict in judge(server.addresses["web" if host else "lenient"], bad, SPLITS[split])
        if not verdict.right or verdict.served_after_refusal
    ]
    assert not wrong, shown(wrong)
    assert len(server.booted) == 1


@pytest.mark.parametrize("host", [False, True], ids=["as-they-are", "with-host"])
@pytest.mark.parametrize("split", SPLITS)
def test_every_good_request_is_accepted_but_for_those_we_refuse_on_purpose(server: Gunicorn, split: str, host: bool) -> None:
    good = [add_host(file) if host else file for file in files() if file.good]
    assert len(good) - len(STRICTER) >= BAR
    found = judge(server.addresses["web" if host else "lenient"], good, SPLITS[split])
    wrong = [verdict for verdict in found if verdict.right == (verdict.file.name in STRICTER)]
    wrong += [verdict for verdict in found if verdict.file.name in STRICTER and verdict.statuses != STRICTER[verdict.file.name][0]]
    assert not wrong, shown(wrong)


def test_nothing_in_the_corpus_is_worth_a_traceback(server: Gunicorn) -> None:
    judge(server.addresses["web"], files())
    assert "Traceback" not in server.log


# -- the judge itself ------------------------------------------------------------------------------------------------
def test_escapes() -> None:
    assert unescape(b"GET\\0/\\t\\n\\x7f HTTP/1.1\\r\\n\n\\r\\n\n") == b"GET\0/\t\n\x7f HTTP/1.1\r\n\r\n"


def test_a_host_is_added_only_where_there_is_none() -> None:
    bare = File("a", True, b"GET / HTTP/1.1\r\nA: b\r\n\r\n", 1)
    assert add_host(bare).data == b"GET / HTTP/1.1\r\nHost: example.com\r\nA: b\r\n\r\n"
    full = File("a", True, b"GET / HTTP/1.1\r\nHOST: x\r\n\r\n", 1)
    assert add_host(full) is full


@pytest.mark.parametrize(
    ("good", "statuses", "right"),
    [
        (True, (200,), True),
        (True, (200, 200), False),
        (True, (), False),
        (True, (400,), False),
        (False, (400,), True),
        (False, (), True),
        (False, (200,), False),
        (False, (200, 400), False),
        (False, (400, 200), False),
    ],
)
def test_what_counts_as_right(good: bool, statuses: tuple[int, ...], right: bool) -> None:
    verdict = Verdict(File("a", good, b"", 1), statuses, True, b"")
    assert verdict.right == right
    assert verdict.served_after_refusal == (statuses == (400, 200))


def test_the_sdist_that_is_not_there_is_told_apart_from_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.conformance.places.sys.executable", "/bin/false")
    with pytest.raises(NotRun, match=r"the source distribution of gunicorn 0 cannot be had"):
        fetch_sdist("gunicorn", "0", tmp_path)
