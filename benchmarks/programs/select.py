"""Select a row of MariaDB by its key: `python -m benchmarks.programs.select mysql|mysqlclient|peewee`.

Raw SQL, by 32 greenlets at once; for each statement a connection is taken from a pool and given back.
"""

from __future__ import annotations

import sys

from gevent import monkey

monkey.patch_all()

from collections.abc import Callable  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

from benchmarks.programs.beside import beside  # noqa: E402
from benchmarks.programs.loop import run_many  # noqa: E402

GREENLETS = 32
ROWS = 1000
SQL = "SELECT id, name, price, made FROM things WHERE id = %s"


def of_greenimi(driver: str, url: str) -> Callable[[int], object]:
    from greenimi.pool.database import DatabaseSettings
    from greenimi.pool.database.databases import make_database
    from greenimi.pool.settings import PoolSettings

    database = make_database("bench", DatabaseSettings(url=url, driver=driver, pool=PoolSettings(max=GREENLETS, min=GREENLETS)))
    database.start()
    return lambda number: database.execute_sql(SQL, (number % ROWS,)).fetchall()


def of_peewee(url: str) -> Callable[[int], object]:
    from playhouse.pool import PooledMySQLDatabase

    at = urlsplit(url)
    address = {"host": at.hostname, "port": at.port, "user": at.username, "password": at.password, "ssl_disabled": True}
    database = PooledMySQLDatabase(at.path.lstrip("/"), max_connections=GREENLETS, timeout=30, **address)

    def select(number: int) -> object:
        with database.connection_context():
            return database.execute_sql(SQL, (number % ROWS,)).fetchall()

    return select


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    with beside("mariadb") as server:
        server.sql("CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(50), price DOUBLE, made DATETIME)")
        server.sql(f"INSERT INTO things SELECT seq, CONCAT('name ', seq), seq * 1.5, NOW() FROM seq_0_to_{ROWS}")
        run_many(of_peewee(server.url) if kind == "peewee" else of_greenimi(kind, server.url), GREENLETS)
