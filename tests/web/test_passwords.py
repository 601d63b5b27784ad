"""Passwords and keys as they are kept, and guessing them."""

from __future__ import annotations

import threading

import gevent
import pytest

from greenimi.errors import Refusal
from greenimi.web import passwords
from greenimi.web.passwords import Guesses, PasswordChecker, check_kept, hash_key, hash_password, new_key, verify_password

QUICK = hash_password("sesame", work=2)


def test_what_is_kept_of_a_password() -> None:
    kept = hash_password("sesame ü", work=2)
    assert "sesame" not in kept
    assert kept != hash_password("sesame ü", work=2)  # each has its own salt
    assert verify_password("sesame ü", kept)
    assert not verify_password("sesame u", kept)


def test_by_default_it_takes_work() -> None:
    kept = hash_password("sesame")
    assert kept.split("$")[:4] == ["scrypt", "16384", "8", "5"]
    assert verify_password("sesame", kept)


@pytest.mark.parametrize(
    "kept", ["", "sesame", "bcrypt$2$8$5$a$b", "scrypt$2$8$5$a", "scrypt$x$8$5$YQ==$YQ==", "scrypt$3$8$5$YQ==$YQ==", "scrypt$2$8$5$Y$Y"]
)
def test_what_somebody_else_kept(kept: str) -> None:
    with pytest.raises(ValueError):
        verify_password("sesame", kept)


def test_what_we_kept_is_known_without_the_password() -> None:
    check_kept(QUICK)
    for kept in ("", "sesame", "scrypt$2$8$5$YQ==", "scrypt$x$8$5$YQ==$YQ==", "scrypt$2$8$5$Y$YQ==", "scrypt$2$8$5$YQ==$YQ==$YQ=="):
        with pytest.raises(ValueError, match="hash_password"):
            check_kept(kept)


def test_keys() -> None:
    key = new_key()
    assert len(key) == 43
    assert key != new_key()
    assert hash_key(key) == hash_key(key) != hash_key(new_key())
    assert key not in hash_key(key)


def test_guesses_are_counted_for_each_and_for_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(passwords, "monotonic", lambda: now)
    guesses = Guesses(2, seconds=60)
    guesses.check("a")
    guesses.wrong("a")
    guesses.check("a")
    guesses.wrong("a")
    with pytest.raises(Refusal) as caught:
        guesses.check("a")
    assert (caught.value.status, caught.value.headers) == (429, (("Retry-After", "61"),))
    guesses.check("b")
    now += 61
    guesses.check("a")
    guesses.wrong("a")
    guesses.check("a")


def test_only_so_many_are_remembered() -> None:
    guesses = Guesses(1, most=2)
    for key in "abc":
        guesses.wrong(key)
    guesses.check("a")  # the oldest was forgotten
    for key in "bc":
        with pytest.raises(Refusal):
            guesses.check(key)


def test_who_was_right_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = PasswordChecker()
    assert checker.right("192.0.2.1", "ann", "sesame", QUICK)
    monkeypatch.setattr(passwords, "verify_password", lambda password, kept: pytest.fail("checked again"))
    assert checker.right("192.0.2.1", "ann", "sesame", QUICK)


def test_a_changed_password_counts_at_once() -> None:
    checker = PasswordChecker()
    assert checker.right("192.0.2.1", "ann", "sesame", QUICK)
    assert not checker.right("192.0.2.1", "ann", "sesame", hash_password("other", work=2))


def test_nobody_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_nobodys", lambda: QUICK)
    checked: list[str] = []

    def check(password: str, kept: str) -> bool:
        checked.append(kept)
        return verify_password(password, kept)

    monkeypatch.setattr(passwords, "verify_password", check)
    assert not PasswordChecker().right("192.0.2.1", "nobody", "sesame", None)
    assert checked == [QUICK]  # so that it takes as long


def test_and_others_go_on_the_first_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def nobodys() -> str:
        threads.append(threading.get_native_id())
        return QUICK

    monkeypatch.setattr(passwords, "_nobodys", nobodys)
    assert not PasswordChecker().right("192.0.2.1", "nobody", "sesame", None)
    assert threads
    assert threads != [threading.get_native_id()]


def test_an_address_of_ipv6_is_its_network() -> None:
    checker = PasswordChecker(guesses=1)
    assert not checker.right("2001:db8::1", "ann", "wrong", QUICK)
    with pytest.raises(Refusal):
        checker.right("2001:db8::abcd:1%eth0", "ann", "wrong", QUICK)
    assert not checker.right("2001:db8:0:1::1", "ann", "wrong", QUICK)
    assert not checker.right("::ffff:192.0.2.1", "ann", "wrong", QUICK)
    assert not checker.right("::ffff:192.0.2.2", "ann", "wrong", QUICK)


def test_an_address_and_a_user_may_guess_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = PasswordChecker(guesses=2)
    for number in range(2):
        assert not checker.right("192.0.2.1", f"user{number}", "wrong", QUICK)
    with pytest.raises(Refusal):
        checker.right("192.0.2.1", "ann", "sesame", QUICK)
    assert checker.right("192.0.2.2", "ann", "sesame", QUICK)  # from elsewhere
    assert checker.right("192.0.2.1", "ann", "sesame", QUICK)  # and now remembered
    for number in range(20):
        assert not checker.right(f"192.0.3.{number}", "bob", "wrong", QUICK)
    with pytest.raises(Refusal):
        checker.right("192.0.4.1", "bob", "sesame", QUICK)


def test_others_go_on_while_a_password_is_checked() -> None:
    checker = PasswordChecker()
    kept = hash_password("sesame", work=2**12)
    checking = gevent.spawn(checker.right, "192.0.2.1", "ann", "sesame", kept)
    turns = 0
    while not checking.ready():
        gevent.sleep(0)
        turns += 1
    assert checking.get() is True
    assert turns > 5
