"""What every IService does."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest

from greenimi.container.service import Services, Tier
from greenimi.interfaces import IService


class _Failing:
    """A service that cannot start, after all the others."""

    tier = Tier.DOORS

    def start(self) -> None:
        raise OSError("it cannot start")

    def drain(self) -> None: ...

    def stop(self) -> None: ...


class ServiceContract(ABC):
    """Start, drain and stop in order; what is called twice, or too early, does no harm."""

    @abstractmethod
    def make(self) -> IService:
        """A new service, not started."""

    @abstractmethod
    def is_running(self, service: IService) -> bool:
        """Whether it does, or is ready for, what it is there for."""

    def test_has_a_tier(self) -> None:
        assert Tier(self.make().tier) in Tier

    def test_runs_from_start_to_stop(self) -> None:
        service = self.make()
        assert not self.is_running(service)
        service.start()
        try:
            assert self.is_running(service)
            service.drain()
        finally:
            service.stop()
        assert not self.is_running(service)

    def test_stops_without_draining(self) -> None:
        service = self.make()
        service.start()
        service.stop()
        assert not self.is_running(service)

    def test_drain_and_stop_are_idempotent(self) -> None:
        service = self.make()
        service.start()
        service.drain()
        service.drain()
        service.stop()
        service.stop()
        assert not self.is_running(service)

    def test_stop_before_start_does_nothing(self) -> None:
        service = self.make()
        service.stop()
        assert not self.is_running(service)

    def test_is_stopped_when_a_later_service_cannot_start(self) -> None:
        services = Services()
        service = self.make()
        services.add(service, "subject")
        services.add(_Failing(), "failing")
        with pytest.raises(OSError, match="it cannot start"):
            services.start()
        assert not self.is_running(service)
