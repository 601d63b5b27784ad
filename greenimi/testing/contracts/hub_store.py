"""What every IHubStore does."""

from __future__ import annotations

import secrets

from greenimi.testing.contracts.hub_presence import LONG, ONE, TWO, A, B, C, PresenceContract


class HubStoreContract(PresenceContract):
    """Records, claims, presence, history and processes, as one caller after the other sees them."""

    @staticmethod
    def token() -> bytes:
        return secrets.token_bytes(32)

    # -- records -------------------------------------------------------------------------------------------------------

    def test_a_record_is_taken_once(self) -> None:
        store = self.make()
        token = self.token()
        store.keep(token, b"\x00\xff" * 1000, LONG)
        assert store.take(self.token()) is None
        assert store.take(token) == b"\x00\xff" * 1000
        assert store.take(token) is None

    def test_a_record_takes_the_place_of_another(self) -> None:
        store = self.make()
        token = self.token()
        store.keep(token, b"one", LONG)
        store.keep(token, b"", LONG)
        assert store.take(token) == b""
        assert store.take(token) is None

    def test_a_record_ends(self) -> None:
        store = self.make()
        token = self.token()
        store.keep(token, b"one", 10.0)
        self.pass_time(9.0)
        store.keep(token, b"two", 10.0)
        self.pass_time(9.0)
        assert store.take(token) == b"two"
        store.keep(token, b"three", 10.0)
        self.pass_time(10.0)
        assert store.take(token) is None

    def test_of_too_many_records_the_first_goes(self) -> None:
        store = self.make(kept=3)
        tokens = [self.token() for _ in range(4)]
        for token in tokens[:3]:
            store.keep(token, token, LONG)
        store.keep(tokens[0], b"again", LONG)
        store.keep(tokens[3], tokens[3], LONG)
        assert [store.take(token) for token in tokens] == [b"again", None, tokens[2], tokens[3]]

    # -- exclusive users -----------------------------------------------------------------------------------------------

    def test_a_user_is_claimed_by_one(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        assert store.owner("ann") is None
        assert store.claim("ann", A, ONE) is None
        assert store.claim("ann", A, ONE) is None
        assert store.claim("ann", B, ONE) == A
        assert store.claim("bob", B, ONE) is None
        assert store.owner("ann") == A

    def test_a_claim_is_given_up_by_whose_it_is(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.claim("ann", A, ONE)
        assert not store.release("ann", B)
        assert not store.release("bob", A)
        assert store.release("ann", A)
        assert not store.release("ann", A)
        assert store.owner("ann") is None
        assert store.claim("ann", B, ONE) is None

    def test_a_claim_is_kept_for_its_heir(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.alive(TWO, LONG)
        store.claim("ann", A, ONE)
        assert store.release("ann", A, 10.0)
        assert store.claim("ann", B, ONE) == A
        assert store.owner("ann") == A
        assert not store.inherit("ann", B, C, TWO)
        assert store.inherit("ann", A, C, TWO)
        assert not store.inherit("ann", A, B, ONE)
        self.pass_time(20.0)
        assert store.owner("ann") == C

    def test_a_kept_claim_ends(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.claim("ann", A, ONE)
        store.release("ann", A, 10.0)
        self.pass_time(10.0)
        assert store.owner("ann") is None
        assert not store.inherit("ann", A, B, ONE)
        assert not store.release("ann", A)
        assert store.claim("ann", B, ONE) is None

    def test_a_claim_is_taken_back(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.claim("ann", A, ONE)
        store.release("ann", A, 10.0)
        assert store.claim("ann", A, ONE) is None
        self.pass_time(20.0)
        assert store.owner("ann") == A

    def test_too_many_claims_are_not_kept(self) -> None:
        store = self.make(kept=2)
        store.alive(ONE, LONG)
        for user in ("ann", "bob", "eve"):
            store.claim(user, A, ONE)
            assert store.release(user, A, 10.0)
        assert [store.owner(user) for user in ("ann", "bob", "eve")] == [A, A, None]
        assert store.inherit("ann", A, B, ONE)
        store.claim("eve", A, ONE)
        store.release("eve", A, 10.0)
        assert store.owner("eve") == A

    # -- history -------------------------------------------------------------------------------------------------------

    def test_messages_are_numbered(self) -> None:
        store = self.make()
        offset, epoch = store.position("room")
        assert offset == 0
        assert epoch
        assert [store.append("room", b"%d" % number, 10, LONG) for number in (1, 2, 3)] == [(1, epoch), (2, epoch), (3, epoch)]
        assert store.position("room") == (3, epoch)
        assert list(store.since("room", 0, 10)) == [(1, b"1"), (2, b"2"), (3, b"3")]
        assert list(store.since("room", 1, 1)) == [(2, b"2")]
        assert list(store.since("room", 3, 10)) == []
        assert list(store.since("nowhere", 0, 10)) == []
        assert store.append("other", b"", 10, LONG)[1] != epoch

    def test_messages_of_another_epoch(self) -> None:
        store = self.make()
        _, epoch = store.append("room", b"1", 10, LONG)
        assert list(store.since("room", 0, 10, epoch)) == [(1, b"1")]
        assert list(store.since("room", 0, 10, "another")) == []

    def test_a_history_has_a_size(self) -> None:
        store = self.make()
        for number in range(1, 6):
            store.append("room", b"%d" % number, 3, LONG)
        assert list(store.since("room", 0, 10)) == [(3, b"3"), (4, b"4"), (5, b"5")]
        store.append("room", b"6", 1, LONG)
        assert list(store.since("room", 0, 10)) == [(6, b"6")]

    def test_messages_end_and_offsets_go_on(self) -> None:
        store = self.make()
        _, epoch = store.append("room", b"1", 10, 10.0)
        self.pass_time(5.0)
        store.append("room", b"2", 10, 10.0)
        self.pass_time(5.0)
        assert list(store.since("room", 0, 10)) == [(2, b"2")]
        self.pass_time(5.0)
        assert list(store.since("room", 0, 10)) == []
        store.collect(100)
        assert store.position("room") == (2, epoch)
        assert store.append("room", b"3", 10, 10.0) == (3, epoch)
        assert list(store.since("room", 0, 10)) == [(3, b"3")]

    def test_messages_end_each_in_its_time(self) -> None:
        store = self.make()
        store.append("room", b"1", 10, 60.0)
        store.append("room", b"2", 10, 10.0)
        self.pass_time(10.0)
        store.collect(100)
        assert list(store.since("room", 0, 10)) == [(1, b"1")]
        self.pass_time(50.0)
        assert list(store.since("room", 0, 10)) == []
        assert store.collect(100) == 1

    def test_of_too_many_histories_the_one_least_used_goes(self) -> None:
        store = self.make(histories=3)
        epochs = {}
        for group in ("a", "b", "c"):
            _, epochs[group] = store.append(group, b"1", 10, LONG)
            self.pass_time(60.0)
        assert store.position("a") == (1, epochs["a"])
        store.append("d", b"1", 10, LONG)
        assert list(store.since("b", 0, 10)) == []
        assert store.position("a") == (1, epochs["a"])
        assert store.position("c") == (1, epochs["c"])
        offset, epoch = store.append("b", b"2", 10, LONG)
        assert offset == 1
        assert epoch != epochs["b"]

    def test_a_flood_of_groups_does_not_wash_away_those_in_use(self) -> None:
        store = self.make(histories=3)
        _, epoch = store.append("room", b"1", 10, LONG)
        for number in range(10):
            store.position(f"flood{number}")
        assert store.position("room") == (1, epoch)

    # -- tidying up ----------------------------------------------------------------------------------------------------

    def test_collecting_takes_only_what_is_over(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        tokens = [self.token() for _ in range(10)]
        for number, token in enumerate(tokens):
            store.keep(token, token, 10.0 if number < 5 else LONG)
            store.claim(f"user{number}", A, ONE)
            store.release(f"user{number}", A, 10.0 if number < 5 else LONG)
            store.append(f"room{number}", b"1", 10, 10.0 if number < 5 else LONG)
        self.pass_time(10.0)
        assert store.collect(0) == 0
        done = [store.collect(4) for _ in range(5)]
        assert all(0 <= each <= 4 for each in done)
        assert store.collect(100) == 0
        assert [store.take(token) is not None for token in tokens] == [False] * 5 + [True] * 5
        assert [store.owner(f"user{number}") for number in range(10)] == [None] * 5 + [A] * 5
        assert [len(store.since(f"room{number}", 0, 10)) for number in range(10)] == [0] * 5 + [1] * 5

    def test_collecting_leaves_what_is_to_be_told(self) -> None:
        store = self.make()
        store.alive(ONE, LONG)
        store.enter("room", "ann", A, ONE, b"1", 0)
        store.leave("room", A, 10.0)
        self.pass_time(10.0)
        store.collect(100)
        assert list(store.expired(10)) == [("room", "ann", b"1")]
