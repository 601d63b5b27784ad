"""What every IHubStore does for those who are in groups, and for processes that come and go."""

from __future__ import annotations

from abc import ABC, abstractmethod

from greenimi.hub.ids import first_number
from greenimi.interfaces import IHubStore

LONG = 3600.0
"""Seconds that no test lasts."""

ONE, TWO = 7, 8
"""Two processes."""

A, B, C = first_number(ONE) + 1, first_number(ONE) + 2, first_number(TWO) + 1
"""Connections: two of the one, one of the other."""


class PresenceContract(ABC):
    """The half of HubStoreContract that is about groups and processes."""

    @abstractmethod
    def make(self, *, kept: int = 1000, histories: int = 1000) -> IHubStore:
        """An empty store with these bounds, on a clock that only ``pass_time`` moves."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Have the clock of the stores made so far go on."""

    # -- presence ------------------------------------------------------------------------------------------------------

    def test_members_come_and_go(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.alive(TWO, LONG)
        assert store.size("room") == (0, 0)
        assert store.present("room", 10) == []
        assert store.enter("room", "ann", A, ONE, b"1", 0) == (True, True)
        assert store.enter("room", "bob", B, ONE, b"2", 0) == (True, True)
        assert store.enter("room", "ann", C, TWO, b"3", 0) == (True, False)
        assert store.enter("other", "ann", A, ONE, b"4", 0) == (True, True)
        assert list(store.present("room", 10)) == [("ann", b"3", 2), ("bob", b"2", 1)]
        assert list(store.present("room", 1)) == [("ann", b"3", 2)]
        assert store.size("room") == (2, 3)
        assert store.leave("room", A) is None
        assert store.leave("room", A) is None
        assert store.leave("room", C) == ("ann", b"3")
        assert list(store.present("room", 10)) == [("bob", b"2", 1)]
        assert store.leave("room", B) == ("bob", b"2")
        assert store.leave("nowhere", B) is None
        assert store.size("room") == (0, 0)
        assert store.size("other") == (1, 1)

    def test_entering_twice_is_once(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.enter("room", "ann", A, ONE, b"1", 1)
        assert store.enter("room", "ann", A, ONE, b"2", 1) == (True, False)
        assert list(store.present("room", 10)) == [("ann", b"2", 1)]
        assert store.enter("room", "bob", A, ONE, b"3", 1) == (True, False)
        assert list(store.present("room", 10)) == [("ann", b"2", 1)]

    def test_a_limit_of_connections(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        assert store.enter("room", "ann", A, ONE, b"", 2) == (True, True)
        assert store.enter("room", "ann", B, ONE, b"", 2) == (True, False)
        assert store.enter("room", "bob", C, ONE, b"", 2) == (False, False)
        assert store.enter("room", "ann", C, ONE, b"new", 2) == (False, False)
        assert list(store.present("room", 10)) == [("ann", b"", 2)]
        store.leave("room", A)
        assert store.enter("room", "bob", C, ONE, b"", 2) == (True, True)

    def test_a_place_is_kept(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.alive(TWO, LONG)
        store.enter("room", "ann", A, ONE, b"1", 1)
        assert store.leave("room", A, 10.0) is None
        assert list(store.present("room", 10)) == [("ann", b"1", 1)]
        assert store.size("room") == (1, 1)
        assert store.enter("room", "bob", B, ONE, b"", 1) == (False, False)
        assert store.enter("room", "ann", C, TWO, b"2", 1) == (True, False)
        self.pass_time(20.0)
        assert list(store.expired(10)) == []
        assert list(store.present("room", 10)) == [("ann", b"2", 1)]
        assert store.leave("room", A) is None
        assert store.leave("room", C) == ("ann", b"2")

    def test_the_same_connection_may_come_back(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.enter("room", "ann", A, ONE, b"", 1)
        store.leave("room", A, 10.0)
        assert store.enter("room", "ann", A, ONE, b"", 1) == (True, False)
        self.pass_time(20.0)
        assert store.size("room") == (1, 1)

    def test_who_does_not_come_back_is_told_once(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.enter("room", "ann", A, ONE, b"1", 1)
        store.leave("room", A, 10.0)
        assert list(store.expired(10)) == []
        self.pass_time(10.0)
        assert list(store.present("room", 10)) == []
        assert store.size("room") == (0, 0)
        assert store.leave("room", A) is None
        assert store.enter("room", "bob", B, ONE, b"", 1) == (True, True)
        assert list(store.expired(10)) == [("room", "ann", b"1")]
        assert list(store.expired(10)) == []
        assert list(store.present("room", 10)) == [("bob", b"", 1)]

    def test_a_place_that_is_not_kept_any_more_is_free(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.enter("room", "ann", A, ONE, b"", 2)
        store.enter("room", "ann", B, ONE, b"", 2)
        store.leave("room", A, 10.0)
        self.pass_time(10.0)
        assert store.enter("room", "bob", C, ONE, b"", 2) == (True, True)
        assert store.leave("room", B) == ("ann", b"")

    def test_a_place_that_is_not_kept_any_more_is_left(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.enter("room", "ann", A, ONE, b"", 2)
        store.leave("room", A, 10.0)
        self.pass_time(10.0)
        assert store.leave("room", A) is None
        assert list(store.expired(10)) == [("room", "ann", b"")]

    def test_who_comes_back_before_it_was_told_never_left(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.enter("room", "ann", A, ONE, b"1", 1)
        store.leave("room", A, 10.0)
        self.pass_time(10.0)
        assert store.enter("room", "ann", B, ONE, b"2", 1) == (True, False)
        assert list(store.expired(10)) == []
        assert list(store.present("room", 10)) == [("ann", b"2", 1)]

    def test_a_member_with_another_connection_has_not_left(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.enter("room", "ann", A, ONE, b"1", 0)
        store.enter("room", "ann", B, ONE, b"1", 0)
        store.leave("room", A, 10.0)
        self.pass_time(10.0)
        assert list(store.expired(10)) == []
        assert store.size("room") == (1, 1)
        assert store.leave("room", B) == ("ann", b"1")
        assert list(store.expired(10)) == []

    def test_leaving_beside_a_kept_place_is_not_the_last(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.enter("room", "ann", A, ONE, b"", 0)
        store.enter("room", "ann", B, ONE, b"", 0)
        store.leave("room", A, 10.0)
        assert store.leave("room", B) is None
        self.pass_time(10.0)
        assert list(store.expired(10)) == [("room", "ann", b"")]

    def test_expired_tells_a_few_at_a_time(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        for number in range(5):
            store.enter("room", f"user{number}", first_number(ONE) + number, ONE, b"", 0)
            store.leave("room", first_number(ONE) + number, 10.0)
        self.pass_time(10.0)
        told = [store.expired(2) for _ in range(6)]
        assert all(len(some) <= 2 for some in told)
        assert sorted(member for some in told for _, member, _ in some) == [f"user{number}" for number in range(5)]

    def test_too_many_places_are_not_kept(self) -> None:
        store = self.make(kept=1)
        store.alive(ONE, LONG)
        store.enter("room", "ann", A, ONE, b"1", 0)
        store.enter("room", "bob", B, ONE, b"2", 0)
        assert store.leave("room", A, 10.0) is None
        assert store.leave("room", B, 10.0) == ("bob", b"2")
        store.enter("room", "ann", A, ONE, b"1", 0)
        assert store.leave("room", A, 10.0) is None

    # -- processes -----------------------------------------------------------------------------------------------------

    def test_a_process_is_known_by_what_it_says(self) -> None:
        store = self.make()
        assert not store.alive(ONE, 10.0)
        assert store.alive(ONE, 10.0)
        self.pass_time(9.0)
        assert store.alive(ONE, 10.0)
        self.pass_time(9.0)
        store.expired(10)
        assert store.alive(ONE, 10.0)
        store.bury(ONE)
        assert not store.alive(ONE, 10.0)

    def test_a_buried_process_has_nothing(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.alive(TWO, LONG)
        store.claim("ann", A, ONE)
        store.claim("eve", C, TWO)
        store.enter("room", "ann", A, ONE, b"1", 0)
        store.enter("room", "ann", B, ONE, b"1", 0)
        store.enter("other", "bob", B, ONE, b"2", 0)
        store.enter("other", "eve", B, ONE, b"3", 0)
        store.enter("room", "eve", C, TWO, b"4", 0)
        assert sorted(store.bury(ONE)) == [("other", "bob", b"2"), ("room", "ann", b"1")]
        assert list(store.bury(ONE)) == []
        assert list(store.expired(10)) == []
        assert store.owner("ann") is None
        assert store.owner("eve") == C
        assert list(store.present("room", 10)) == [("eve", b"4", 1)]
        assert store.size("other") == (0, 0)

    def test_a_member_of_two_processes_stays(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.alive(TWO, LONG)
        store.enter("room", "ann", A, ONE, b"1", 0)
        store.enter("room", "ann", C, TWO, b"1", 0)
        assert list(store.bury(ONE)) == []
        assert list(store.present("room", 10)) == [("ann", b"1", 1)]
        assert list(store.bury(TWO)) == [("room", "ann", b"1")]

    def test_what_is_kept_outlives_its_process(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.alive(TWO, LONG)
        store.claim("ann", A, ONE)
        store.enter("room", "ann", A, ONE, b"1", 1)
        store.release("ann", A, 10.0)
        store.leave("room", A, 10.0)
        assert list(store.bury(ONE)) == []
        assert store.owner("ann") == A
        assert store.inherit("ann", A, C, TWO)
        assert store.enter("room", "ann", C, TWO, b"1", 1) == (True, False)

    def test_whose_time_is_over_is_buried_once(self) -> None:
        store = self.make()
        store.alive(ONE, 10.0)
        store.alive(TWO, LONG)
        store.claim("ann", A, ONE)
        store.enter("room", "ann", A, ONE, b"1", 0)
        store.enter("room", "eve", C, TWO, b"2", 0)
        self.pass_time(10.0)
        told = [each for _ in range(3) for each in store.expired(10)]
        assert told == [("room", "ann", b"1")]
        assert list(store.bury(ONE)) == []
        assert store.owner("ann") is None
        assert not store.alive(ONE, 10.0)
        assert store.enter("room", "ann", A, ONE, b"1", 0) == (True, True)

    def test_a_process_is_told_what_others_have_begun(self) -> None:
        store = self.make()
        store.alive(ONE, 10.0)
        for number in range(30):
            store.enter("room", f"user{number}", first_number(ONE) + number, ONE, b"", 0)
        self.pass_time(10.0)
        store.expired(10)
        assert not store.alive(ONE, LONG)
        for number in range(30):
            store.enter("room", f"user{number}", first_number(ONE) + number, ONE, b"", 0)
        for _ in range(5):
            store.expired(10)
        assert store.size("room") == (30, 30)

    def test_a_process_that_never_spoke_is_buried_too(self) -> None:
        store = self.make()
        store.enter("room", "ann", A, ONE, b"1", 0)
        store.claim("ann", C, TWO)
        self.pass_time(LONG)
        told = [each for _ in range(3) for each in store.expired(10)]
        assert told == [("room", "ann", b"1")]
        assert store.owner("ann") is None
        assert not store.alive(ONE, LONG)

    def test_an_heir_of_another_process_dies_with_that(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.alive(TWO, LONG)
        store.claim("ann", A, ONE)
        store.inherit("ann", A, C, TWO)
        store.bury(ONE)
        assert store.owner("ann") == C
        store.bury(TWO)
        assert store.owner("ann") is None
