"""Databases that die, fall silent, refuse writes or are too few, while many ask them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import peewee

from greenimi import green
from greenimi.pool import PoolSettings, PoolTimeout
from greenimi.pool.database.databases import make_database
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.testing import services
from greenimi.testing.services.mariadb import MariaDB
from greenimi.testing.services.processes import wait_for
from greenimi.testing.services.proxy import Proxy
from tests.soak.data_load import Load, Wrong, judge, judge_recovery
from tests.soak.places import Verdict
from tests.soak.sql_servers import SERVERS, SqlServer

LOST = (peewee.OperationalError, peewee.InterfaceError, PoolTimeout)
"""What a statement may end with when its server is gone."""

SILENCE = 1.0
"""``read_timeout`` and ``connect_timeout`` of these applications."""

WAIT = 2.0
BACK = 3.0
"""Seconds after which everybody must be served again."""

AGAIN = 10.0
"""Seconds after which a replica that is back must be used."""

SIZE = 16
ASKERS = 32
ROWS = 1000


@dataclass
class Shop:
    """A database with things to read and a journal to write, and what its clients know of that."""

    database: Any
    written: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def prepare(self) -> None:
        self.database.execute("CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(50))")
        values = ", ".join(f"({number}, 'thing {number}')" for number in range(ROWS))
        self.database.execute(f"INSERT INTO things VALUES {values}")
        self.database.execute("CREATE TABLE journal (token VARCHAR(50))")
        self.database.execute("CREATE TABLE accounts (id INT PRIMARY KEY, money INT)")
        self.database.execute(f"INSERT INTO accounts VALUES {', '.join(f'({number}, 100)' for number in range(10))}")

    def read(self, who: int) -> None:
        """A row, and a token that only this question has."""
        number, token = random.randrange(ROWS), f"{who}.{random.random()}"
        found = self.database.rows("SELECT name, REPLACE(?, '-', '-') AS token FROM things WHERE id = ?", [token, number])
        if found != [{"name": f"thing {number}", "token": token}]:
            raise Wrong(f"asked for thing {number} and {token}, got {found}")

    def write(self, who: int) -> None:
        token = f"{who}.{random.random()}"
        self.unknown.add(token)  # until it is known
        result = self.database.execute("INSERT INTO journal VALUES (?)", [token])
        if result.affected != 1:
            raise Wrong(f"wrote one row, {result} was told")
        self.unknown.discard(token)
        self.written.add(token)

    def move(self, who: int) -> None:
        """Money from one account to another, with a look at it in between."""
        source, to = sorted(random.sample(range(10), 2))  # in one order, so that none waits for the other
        with self.database.atomic():
            self.database.execute("UPDATE accounts SET money = money - 1 WHERE id = ?", [source])
            found = self.database.rows("SELECT id FROM accounts WHERE id = ?", [to])
            if found != [{"id": to}]:
                raise Wrong(f"asked for account {to}, got {found}")
            self.database.execute("UPDATE accounts SET money = money + 1 WHERE id = ?", [to])

    def mixed(self, who: int) -> None:
        random.choice((self.read, self.read, self.write, self.move))(who)


@contextmanager
def shop(
    server: SqlServer, driver: str, *, through: Proxy | None = None, pool: PoolSettings | None = None, **changed: Any
) -> Iterator[Shop]:
    """An application's database on a server, by a driver."""
    settings = DatabaseSettings(
        url=server.url(through),
        driver=driver,
        connect_timeout=SILENCE,
        read_timeout=SILENCE,
        write_timeout=SILENCE,
        pool=pool or PoolSettings(max=SIZE, min=0, wait=WAIT, connect_time=SILENCE),
    )
    database = make_database("shop", replace(settings, **changed))
    try:
        database.start()
        found = Shop(database)
        found.prepare()
        yield found
    finally:
        database.stop()


def judge_books(verdict: Verdict, server: SqlServer, shop: Shop) -> None:
    """Counts are equal: what was acknowledged is there, once; nothing that nobody wrote; no money was made or lost."""
    found = server.column("SELECT token FROM journal")
    lost = shop.written - set(found)
    foreign = set(found) - shop.written - shop.unknown
    twice = len(found) - len(set(found))
    money = int(server.column("SELECT SUM(money) FROM accounts")[0])
    verdict.check(
        not lost and not foreign and not twice and money == 1000,
        f"{len(shop.written)} acknowledged writes are there once ({len(lost)} lost, {twice} twice, {len(foreign)} of nobody, "
        f"{len(shop.unknown)} unknown); the accounts hold {money} of 1000",
    )


def judge_pool(verdict: Verdict, shop: Shop) -> None:
    """Nothing is held any more."""
    told = shop.database.primary.statistics()
    verdict.check(
        told.busy == told.waiting == 0 and told.size <= told.max,
        f"the pool has all back: {told.busy} busy, {told.waiting} waiting, {told.size} of {told.max} open, {told.lost} lost",
    )


def killed(driver: str, verdict: Verdict) -> None:
    """SIGKILL of the server, a second without it, and a start."""
    with ExitStack() as ends:
        server = ends.enter_context(SERVERS[driver].start())
        its = ends.enter_context(shop(server, driver))
        with Load(its.mixed, ASKERS) as load:
            load.wait_answers(500)
            server.service.kill()
            green.sleep(1)
            server.service.start()
            judge_recovery(verdict, load, time.monotonic(), BACK)
        judge(verdict, load, longest=WAIT + 2 * SILENCE, errors=LOST)
        judge_pool(verdict, its)
        judge_books(verdict, server, its)


def cut_by_the_server(driver: str, verdict: Verdict) -> None:
    """Connections that the server closed because nothing was asked on them: nobody may notice, not even who writes."""
    with ExitStack() as ends:
        server = ends.enter_context(SERVERS[driver].start(forgets=True))
        its = ends.enter_context(shop(server, driver))
        with Load(its.write, ASKERS) as load:
            load.wait_answers(200)
        for _ in range(3):
            gone = its.database.primary.statistics().idle
            green.sleep(1.5)
            with Load(its.mixed, ASKERS) as load:
                load.wait_answers(500)
            verdict.check(gone and not load.errors, f"{gone} connections were closed while unused, errors: {load.told_errors}")
            judge(verdict, load, longest=WAIT)
        judge_pool(verdict, its)
        judge_books(verdict, server, its)


def killed_connections(driver: str, verdict: Verdict) -> None:
    """The server ends connections at work, over and over."""
    with ExitStack() as ends:
        server = ends.enter_context(SERVERS[driver].start())
        its = ends.enter_context(shop(server, driver))
        with Load(its.mixed, ASKERS) as load:
            for _ in range(20):
                load.wait_answers(50)
                server.end_connections()
            judge_recovery(verdict, load, time.monotonic(), BACK)
        judge(verdict, load, longest=WAIT + 2 * SILENCE, errors=LOST)
        judge_pool(verdict, its)
        judge_books(verdict, server, its)


def silent(driver: str, verdict: Verdict) -> None:
    """A firewall that drops everything without a word, twice; what it held back arrives late."""
    with ExitStack() as ends:
        server = ends.enter_context(SERVERS[driver].start())
        proxy = ends.enter_context(Proxy(server.service.host, server.service.port))
        its = ends.enter_context(shop(server, driver, through=proxy))
        with Load(its.mixed, ASKERS) as load:
            for _ in range(2):
                load.wait_answers(500)
                proxy.stall()
                green.sleep(2 * SILENCE)
                proxy.go_on()
                judge_recovery(verdict, load, time.monotonic(), BACK)
        judge(verdict, load, longest=WAIT + 3 * SILENCE, errors=LOST)
        judge_pool(verdict, its)
        judge_books(verdict, server, its)


def cut_in_the_middle(driver: str, verdict: Verdict) -> None:
    """Connections that are reset after some bytes of an answer."""
    with ExitStack() as ends:
        server = ends.enter_context(SERVERS[driver].start())
        proxy = ends.enter_context(Proxy(server.service.host, server.service.port))
        its = ends.enter_context(shop(server, driver, through=proxy))
        with Load(its.mixed, ASKERS) as load:
            for _ in range(100):
                load.wait_answers(20)
                proxy.answers = random.randrange(300)
            judge_recovery(verdict, load, time.monotonic(), BACK)
        judge(verdict, load, longest=WAIT + 3 * SILENCE, errors=LOST)
        judge_pool(verdict, its)
        judge_books(verdict, server, its)


def given_up(driver: str, verdict: Verdict) -> None:
    """Questions that their askers give up after a random time, at every point of them."""
    with ExitStack() as ends:
        server = ends.enter_context(SERVERS[driver].start())
        its = ends.enter_context(shop(server, driver))
        for within in (0.002, 0.02, 0.2):
            with Load(its.mixed, 8, kill_within=within) as load:
                load.wait_answers(100)
                verdict.check(wait_for(lambda load=load: load.killed > 500, 30), "500 were given up")  # type: ignore[misc]
            judge(verdict, load, longest=within + WAIT)
        judge_pool(verdict, its)
        judge_books(verdict, server, its)


def read_only(driver: str, verdict: Verdict) -> None:
    """A primary that becomes read-only, as one does whose replica has taken over, and writable again."""
    with ExitStack() as ends:
        server = ends.enter_context(SERVERS[driver].start())
        its = ends.enter_context(shop(server, driver))
        with Load(its.read, ASKERS) as reading, Load(its.write, 4) as writing:
            writing.wait_answers(50)
            server.read_only(on=True)
            green.sleep(2)
            refused = writing.told_errors
            server.read_only(on=False)
            judge_recovery(verdict, writing, time.monotonic(), BACK)
            judge_recovery(verdict, reading, time.monotonic(), BACK)
        verdict.check(refused != "none", f"writes were refused: {refused}")
        judge(verdict, writing, longest=WAIT, errors=(*LOST, peewee.InternalError))  # which is what PostgreSQL calls it
        judge(verdict, reading, longest=WAIT, errors=())
        judge_pool(verdict, its)
        judge_books(verdict, server, its)


def exhausted(driver: str, verdict: Verdict) -> None:
    """More to do than connections: those who wait too long are told so, the others are served, in the order in which they came."""
    with ExitStack() as ends:
        server = ends.enter_context(SERVERS[driver].start())
        pool = PoolSettings(max=4, min=0, wait=0.5)
        its = ends.enter_context(shop(server, driver, pool=pool))
        with Load(lambda who: its.database.value(server.sleeps), 100) as load:
            load.wait_answers(200)
        judge(verdict, load, longest=0.5 + SILENCE, errors=(PoolTimeout,))
        text = load.examples.get(PoolTimeout, "")
        verdict.check("4" in text and "0.5" in text, f"who waited too long is told of the limit, and of who holds connections: {text!r}")
        with Load(its.mixed, ASKERS) as load:
            load.wait_answers(500)
        judge(verdict, load, longest=0.5 + SILENCE)
        judge_pool(verdict, its)


def starving(driver: str, verdict: Verdict) -> None:
    """500 askers for 10 connections: nobody waits much longer than the others."""
    waits: list[float] = []
    with ExitStack() as ends:
        server = ends.enter_context(SERVERS[driver].start())
        its = ends.enter_context(shop(server, driver, pool=PoolSettings(max=10, min=10, wait=30)))

        def timed(who: int) -> None:
            began = time.monotonic()
            its.read(who)
            waits.append(time.monotonic() - began)

        with Load(timed, 500) as load:
            load.wait_answers(1000)  # the first ones wait until there are connections
            waits.clear()
            load.wait_answers(10_000)
            seen = list(waits)
        mean = sum(seen) / len(seen)
        verdict.check(
            max(seen) <= 3 * mean, f"the longest wait was {max(seen) * 1000:.0f} ms, the mean {mean * 1000:.0f} ms (3 times as long)"
        )
        judge(verdict, load, longest=30)
        judge_pool(verdict, its)


def replica_killed(driver: str, verdict: Verdict) -> None:
    """A replica that dies: its reads go to the primary, and to it again when it is back."""
    with ExitStack() as ends:
        replica = ends.enter_context(services.make("mariadb_replica"))
        its = ends.enter_context(shop(SERVERS[driver](replica.primary), driver, replicas=[replica.url]))
        replica.catch_up()
        with Load(its.read, ASKERS) as load:
            _judge_reads(verdict, replica)
            replica.kill()
            green.sleep(1)
            judge_recovery(verdict, load, time.monotonic(), BACK)
            replica.start()
            _judge_reads(verdict, replica)
        judge(verdict, load, longest=WAIT + 2 * SILENCE, errors=())
        judge_pool(verdict, its)


def _judge_reads(verdict: Verdict, replica: MariaDB) -> None:
    """Many more reads go to the replica soon."""
    began, before = time.monotonic(), _reads(replica)
    while (more := _reads(replica) - before) < 100 and time.monotonic() - began < AGAIN:
        green.sleep(0.05)
    verdict.check(more >= 100, f"reads go to the replica after {time.monotonic() - began:.1f} s ({AGAIN:g} s)")


def _reads(server: MariaDB) -> int:
    """Statements of clients since its start."""
    [found] = server.sql("SHOW GLOBAL STATUS LIKE 'Com_select'")
    return int(found["Value"])
