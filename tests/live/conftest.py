"""One served application a file of tests; every test is watched for harm to others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.apps import doors
from tests.live.support import Service, Watch, served


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Service]:
    with served(doors.CONF, tmp_path_factory.mktemp("doors"), pytestconfig.rootpath / "conf/gunicorn.conf.py") as found:
        yield found


@pytest.fixture
def watch(service: Service) -> Iterator[Watch]:
    with service.unharmed() as found:
        yield found
