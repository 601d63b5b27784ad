"""What every database does, whatever its driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import peewee
import pytest

from greenimi import green
from greenimi.container import Container
from greenimi.container.context import Scope
from greenimi.pool.database import Database, StatementError
from greenimi.testing.kills import Broken, break_off_everywhere
from greenimi.testing.support import wait_until

TABLE = "CREATE TABLE things (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(50), number INTEGER)"


class DatabaseFixture(ABC):
    """What the suites need."""

    one_connection = False
    """There is one connection only, so that nothing is done at the same time."""

    slow = ""
    """A statement that takes about half a second; "": there is none, or it would stop the loop."""

    @abstractmethod
    def make(self) -> Database:
        """An empty database, not started."""

    @pytest.fixture
    def database(self) -> Iterator[Database]:
        """One with the table ``things``.  After the test nothing of it is in use."""
        found = self.make()
        found.start()
        found.execute(TABLE)
        with Scope(self.container(found)):
            yield found
        assert busy(found) == 0
        found.stop()

    def container(self, database: Database) -> Container:
        """Of an application that has this database."""
        found = Container("app")
        found.add(Database, database, "default")
        return found


class DatabaseContract(DatabaseFixture, ABC):
    """Statements, rows, errors, peewee; connections that go back whatever happens."""

    # -- statements --------------------------------------------------------------------------------------------------
    def test_rows(self, database: Database) -> None:
        database.execute("INSERT INTO things VALUES (1, 'one', 1), (2, 'two', NULL)")
        assert database.rows("SELECT id, name FROM things ORDER BY id") == [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
        assert database.row("SELECT number FROM things WHERE id = ?", [2]) == {"number": None}
        assert database.row("SELECT number FROM things WHERE id = %s", [3]) is None
        assert database.value("SELECT name FROM things WHERE id = :id AND name = :name", {"id": 1, "name": "one"}) == "one"
        assert database.column("SELECT name FROM things ORDER BY id DESC") == ["two", "one"]
        assert list(database.each("SELECT id FROM things ORDER BY id", size=1)) == [{"id": 1}, {"id": 2}]

    def test_what_changed(self, database: Database) -> None:
        assert database.execute("INSERT INTO things VALUES (1, 'one', 1), (2, 'two', 2)").affected == 2
        assert database.execute("UPDATE things SET number = number + 10").affected == 2
        assert database.execute("DELETE FROM things WHERE id = ?", [7]).affected == 0

    def test_values_stay_values(self, database: Database) -> None:
        texts = ("'; DROP TABLE things; --", "\\", "\\' OR 1=1 --", '"', "100 % %s ? :name", "snow \N{SNOWMAN}", "")
        for number, text in enumerate(texts):
            database.execute("INSERT INTO things VALUES (?, ?, ?)", [number, text, 1])
            assert database.value("SELECT name FROM things WHERE name = ? AND id = ?", [text, number]) == text
        assert database.value("SELECT COUNT(*) FROM things") == len(texts)

    def test_models_of_peewee(self, database: Database) -> None:
        class Order(peewee.Model):
            name = peewee.CharField(unique=True)
            price = peewee.DecimalField(decimal_places=2)
            at = peewee.DateTimeField()
            photo = peewee.BlobField()
            paid = peewee.BooleanField(default=False)

            class Meta:
                pass

        now = datetime(2030, 1, 2, 3, 4, 5)  # noqa: DTZ001 - as databases keep it
        with database.bind_ctx([Order]):  # type: ignore[attr-defined]
            database.create_tables([Order])  # type: ignore[attr-defined]
            Order.create(name="chair", price=Decimal("9.90"), at=now, photo=b"\x00\xff")
            Order.insert_many(
                [("table", Decimal(1), now, b""), ("lamp", Decimal(2), now, b"")], fields=Order._meta.sorted_fields[1:5]
            ).execute()
            found = Order.get(Order.name == "chair")
            assert (found.name, found.price, found.at, bytes(found.photo), found.paid) == (
                "chair",
                Decimal("9.90"),
                now,
                b"\x00\xff",
                False,
            )
            assert Order.update(paid=True).where(Order.name == "lamp").execute() == 1
            assert [order.name for order in Order.select().where(Order.paid)] == ["lamp"]
            with pytest.raises(peewee.IntegrityError):
                Order.create(name="chair", price=1, at=now, photo=b"")
            assert Order.delete().execute() == 3

    def test_tables_of_peewee(self, database: Database) -> None:
        things = database.table("things", "id", "name", "number")
        things.insert(id=1, name="one").execute()
        assert list(things.select(things.name)) == [{"name": "one"}]
        assert things.update(number=5).where(things.id == 1).execute() == 1
        assert "things" in database.get_tables()  # type: ignore[attr-defined]

    # -- errors ------------------------------------------------------------------------------------------------------
    def test_errors_are_peewees_and_do_no_harm(self, database: Database) -> None:
        database.execute("INSERT INTO things VALUES (1, 'one', 1)")
        with pytest.raises(peewee.IntegrityError) as caught:
            database.execute("INSERT INTO things VALUES (1, 'again', 1)")
        assert any(f"database {database.name}" in note for note in caught.value.__notes__)
        with pytest.raises(peewee.DatabaseError):
            database.execute("SELECT nothing FROM nowhere")
        with pytest.raises(StatementError, match="1 values for 2 placeholders"):
            database.rows("SELECT * FROM things WHERE id = ? AND name = ?", [1])
        assert database.value("SELECT COUNT(*) FROM things") == 1

    def test_a_loop_that_is_left_early(self, database: Database) -> None:
        database.execute("INSERT INTO things VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)")
        for row in database.each("SELECT id FROM things ORDER BY id", size=1):
            if row["id"] == 2:
                break
        assert database.column("SELECT id FROM things ORDER BY id") == [1, 2, 3]

    # -- many at the same time ---------------------------------------------------------------------------------------
    def test_many_greenlets(self, database: Database) -> None:
        def work(number: int) -> Any:
            database.execute("INSERT INTO things VALUES (?, ?, ?)", [number, f"n{number}", number])
            return database.value("SELECT name FROM things WHERE id = ?", [number])

        workers = [green.spawn(work, number) for number in range(50)]
        assert [worker.get() for worker in workers] == [f"n{number}" for number in range(50)]
        assert database.value("SELECT COUNT(*) FROM things") == 50

    def test_a_slow_statement_stops_nobody(self, database: Database) -> None:
        if not self.slow:
            pytest.skip("there is no such statement")
        slow = green.spawn(database.rows, self.slow)
        turns = 0
        while not slow.ready():
            green.sleep(0.001)
            turns += 1
        assert turns > 20
        assert slow.get()

    def test_a_slow_statement_that_is_killed(self, database: Database) -> None:
        if not self.slow:
            pytest.skip("there is no such statement")
        slow = green.spawn(database.rows, self.slow)
        wait_until(lambda: busy(database) == 1)
        green.sleep(0.02)
        slow.kill()
        assert busy(database) == 0
        assert database.value("SELECT COUNT(*) FROM things") == 0

    def test_statements_broken_off_everywhere(self, database: Database) -> None:
        numbers = iter(range(10_000))

        def work() -> None:
            database.execute("INSERT INTO things (id) VALUES (?)", [next(numbers)])
            two = "SELECT id FROM things ORDER BY id LIMIT 2"
            assert database.rows(two) == list(database.each(two, size=1))

        def look(run: Broken) -> None:
            assert busy(database) == 0
            assert run.reached or run.error is None

        count = break_off_everywhere(work, look)
        assert count or self.one_connection
        assert database.value("SELECT COUNT(*) FROM things") >= 1

    def test_a_message_gives_back_what_it_held(self, database: Database) -> None:
        with Scope(self.container(database)):
            database.begin()
            database.execute("INSERT INTO things (id) VALUES (1)")
            assert busy(database) == 1
        assert busy(database) == 0
        assert not database.in_transaction()
        assert database.value("SELECT COUNT(*) FROM things") == 0


def busy(database: Database) -> int:
    """How many connections are in use."""
    return database.primary.statistics().busy
