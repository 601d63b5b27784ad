from __future__ import annotations

from greenimi.container.registry import Container
from greenimi.orm.schema.comments import More, read_more
from greenimi.pool.database.database import Database
from tests.orm.conftest import every_kind


@every_kind
def test_what_peewee_does_not_read(running: Container, kind: str) -> None:
    database = running.get(Database, "default")
    if kind == "mysql":
        database.execute("CREATE TABLE part (a INT COMMENT 'of a', b JSON, c LONGTEXT CHECK (c <> '')) COMMENT 'all'")
    else:
        database.execute("CREATE TABLE part (a INT, b TEXT)")
    if kind == "postgres":
        database.execute("COMMENT ON TABLE part IS 'all'")
        database.execute("COMMENT ON COLUMN part.a IS 'of a'")
    found = read_more(database)
    expected = More() if kind == "sqlite" else More({"part": "all"}, {("part", "a"): "of a"})
    if kind == "mysql":
        expected.json = {("part", "b")}
    assert found == expected
