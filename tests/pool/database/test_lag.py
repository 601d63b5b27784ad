"""How far replicas are behind."""

from __future__ import annotations

import logging

import pytest

from greenimi.pool.database.lag import seconds_behind
from greenimi.pool.database.settings import ReadSettings
from greenimi.testing.services.mariadb import MariaDBReplica
from greenimi.testing.support import wait_until
from tests.pool.database.conftest import DRIVERS, MakeMySQL

WHO = "SELECT @@global.server_id"


def test_what_a_server_says() -> None:
    assert seconds_behind({"Seconds_Behind_Master": 3}) == 3.0
    assert seconds_behind({"Seconds_Behind_Source": 0}) == 0.0
    assert seconds_behind({"Seconds_Behind_Master": None}) is None
    with pytest.raises(LookupError, match="no replica"):
        seconds_behind(None)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_replica_that_is_behind_gets_no_reads(
    make_mysql: MakeMySQL, mariadb_replica: MariaDBReplica, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    primary, replica = mariadb_replica.primary.server_id, mariadb_replica.server_id
    mariadb_replica.primary.sql("CREATE OR REPLACE TABLE app.beat (lag INT) AS SELECT 0 AS lag")
    mariadb_replica.catch_up()
    reads = ReadSettings(check=0.02, max_lag=5.0, lag="SELECT lag FROM app.beat")
    database = make_mysql(driver=driver, replicas=[mariadb_replica.url], reads=reads)
    database.start()
    assert wait_until(lambda: database.value(WHO) == replica)
    with caplog.at_level(logging.INFO, "greenimi.pool"):
        mariadb_replica.primary.sql("UPDATE app.beat SET lag = 9")
        assert wait_until(lambda: database.value(WHO) == primary)
        mariadb_replica.primary.sql("UPDATE app.beat SET lag = 1")
        assert wait_until(lambda: database.value(WHO) == replica)
    assert "gets no reads: it is 9.0 seconds behind" in caplog.text
    assert "near enough again" in caplog.text


def test_the_figure_of_the_server_and_a_replica_that_does_not_follow(make_mysql: MakeMySQL, mariadb_replica: MariaDBReplica) -> None:
    primary, replica = mariadb_replica.primary.server_id, mariadb_replica.server_id
    database = make_mysql(replicas=[mariadb_replica.url], reads=ReadSettings(check=0.02, max_lag=0.3))
    database.start()
    assert wait_until(lambda: database.value(WHO) == replica)
    mariadb_replica.sql("STOP SLAVE")
    try:
        assert wait_until(lambda: database.value(WHO) == primary)
    finally:
        mariadb_replica.sql("START SLAVE")
    assert wait_until(lambda: database.value(WHO) == replica)


def test_a_server_that_is_no_replica_gets_no_reads(make_mysql: MakeMySQL, mariadb_replica: MariaDBReplica) -> None:
    database = make_mysql(replicas=[mariadb_replica.primary.url], reads=ReadSettings(check=0.02))
    database.start()
    assert database.replicas is not None
    [node] = database.replicas.pool.nodes
    assert wait_until(lambda: "no replica" in node.problem)
    assert database.value(WHO) == mariadb_replica.primary.server_id
    assert database.replicas.pool.statistics().takes == 0
