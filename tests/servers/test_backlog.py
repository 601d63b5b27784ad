from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greenimi.servers.backlog import Backlog

ALL = 1 << 30


def filled(*messages: bytes) -> Backlog:
    backlog = Backlog()
    for message in messages:
        backlog.add(message)
    return backlog


def test_in_order() -> None:
    backlog = filled(b"one", b"two")
    backlog.add_answer(b"three")
    backlog.add(b"four")
    assert (len(backlog), backlog.size) == (4, 15)
    assert backlog.take(ALL) == b"onetwothreefour"
    assert (len(backlog), backlog.size, backlog.dropped) == (0, 0, 0)


def test_whole_messages_are_taken() -> None:
    backlog = filled(b"one", b"two", b"three")
    assert backlog.take(4) == b"onetwo"
    assert backlog.take(0) == b""
    assert backlog.take(1) == b"three"


def test_oldest_pushes_are_dropped_answers_never() -> None:
    backlog = Backlog()
    backlog.add_answer(b"a1")
    backlog.add(b"p1")
    backlog.add_answer(b"a2")
    backlog.add(b"p2")
    assert backlog.drop_oldest()
    assert (len(backlog), backlog.size, backlog.dropped) == (3, 6, 1)
    assert backlog.drop_oldest()
    assert not backlog.drop_oldest()
    assert backlog.take(ALL) == b"a1a2"
    assert not backlog.drop_oldest()
    assert backlog.dropped == 2


def test_later_one_takes_the_place_of_the_one_with_its_key() -> None:
    backlog = Backlog()
    backlog.add(b"price 1", "price")
    backlog.add(b", other")
    backlog.add(b"price 22", "price")
    backlog.add(b", none")
    assert (backlog.dropped, backlog.size) == (1, 21)
    assert backlog.take(ALL) == b"price 22, other, none"
    backlog.add(b"price 3", "price")  # what was taken has no place any more
    assert backlog.dropped == 1
    assert backlog.drop_oldest()
    backlog.add(b"price 4", "price")
    assert backlog.take(ALL) == b"price 4"


def test_keys_of_applications_do_not_meet_our_own() -> None:
    backlog = filled(b"one", b"two")
    backlog.add(b"three", "1")
    assert backlog.take(ALL) == b"onetwothree"


STEP = st.one_of(
    st.tuples(st.just("add"), st.binary(max_size=5), st.sampled_from([None, "a", "b"])),
    st.tuples(st.just("answer"), st.binary(max_size=5), st.none()),
    st.tuples(st.just("drop"), st.just(b""), st.none()),
    st.tuples(st.just("take"), st.binary(max_size=8), st.none()),
)


@given(st.lists(STEP, max_size=40))
def test_like_a_plain_list(steps: list[tuple[str, bytes, str | None]]) -> None:
    backlog = Backlog()
    model: list[tuple[bool, str | None, bytes]] = []  # answer, key, message
    dropped = 0
    for what, data, key in steps:
        if what == "add":
            backlog.add(data, key)
            place = next((number for number, (_, known, _) in enumerate(model) if key is not None and known == key), None)
            if place is None:
                model.append((False, key, data))
            else:
                model[place] = (False, key, data)
                dropped += 1
        elif what == "answer":
            backlog.add_answer(data)
            model.append((True, None, data))
        elif what == "drop":
            place = next((number for number, (answer, _, _) in enumerate(model) if not answer), None)
            assert backlog.drop_oldest() == (place is not None)
            if place is not None:
                del model[place]
                dropped += 1
        else:
            left, wanted = len(data), b""
            while model and left > 0:
                _, _, message = model.pop(0)
                left -= len(message)
                wanted += message
            assert backlog.take(len(data)) == wanted
        assert len(backlog) == len(model)
        assert backlog.size == sum(len(message) for _, _, message in model)
        assert backlog.dropped == dropped
    assert backlog.take(ALL) == b"".join(message for _, _, message in model)
