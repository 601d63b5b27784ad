from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from zope.interface import Interface, implementer

from greenimi.container import Container, Definition, Lazy, Scope
from greenimi.container.beans import subclass
from greenimi.errors import AmbiguousBean, CircularBean, ConfigError, ConflictError, MissingBean, StartError
from greenimi.marks import Where


class IMailer(Interface):
    pass


@implementer(IMailer)
class Mailer:
    limit: int = 1

    def __init__(self, sender: str = "nobody") -> None:
        self.sender = sender


class LoudMailer(Mailer):
    pass


@dataclass
class Shop:
    mailer: Mailer


@dataclass
class OrderApi:
    shop: Shop
    size: int = 3


class Pool:
    def __init__(self, label: str = "") -> None:
        self.label = label


class Cart:
    pass


CART = (Cart, {"lifetime": "message"})


# -- injection -----------------------------------------------------------------------------------------------------


def test_the_constructor_is_the_wish_list(commit: Any) -> None:
    container = commit(OrderApi, Shop, Mailer)
    api = container.get(OrderApi)
    assert api.shop is container.get(Shop)
    assert api.shop.mailer is container.get(Mailer)
    assert (api.size, api.shop.mailer.sender) == (3, "nobody")


# -- the graph -----------------------------------------------------------------------------------------------------


class A:
    def __init__(self, b: B) -> None:
        self.b = b


class B:
    def __init__(self, c: C) -> None:
        self.c = c


class C:
    def __init__(self, b: B) -> None:
        self.b = b


class LazyC(C):
    def __init__(self, b: Lazy[B]) -> None:
        self.b = b  # type: ignore[assignment]


class Hasty:
    def __init__(self, me: Lazy[Hasty]) -> None:
        me.get()


def test_a_circle_is_found_at_commit_with_its_chain(commit: Any) -> None:
    with pytest.raises(CircularBean, match=r"^A -> B -> C -> B\n  hint: .*Lazy\[B\] in C"):
        commit(A, B, C)


def test_lazy_breaks_a_circle(commit: Any) -> None:
    container = commit(A, B, LazyC)
    b = container.get(B)
    assert b.c.b() is b


def test_a_circle_while_making_is_an_error_not_a_recursion(commit: Any) -> None:
    with pytest.raises(CircularBean, match=r"Hasty .* asks for itself"):
        commit(Hasty).get(Hasty)


def test_a_missing_bean_is_found_at_commit_with_its_chain(commit: Any) -> None:
    with pytest.raises(MissingBean, match=r"^OrderApi -> Shop \(\w+\.py:\d+\): nothing in the container app provides Mailer\n  hint: "):
        commit(OrderApi, Shop)
    with pytest.raises(AmbiguousBean, match=r"Shop .*Mailer is provided by Mailer .* and by LoudMailer"):
        commit(Shop, Mailer, LoudMailer)


class KeepsCart:
    def __init__(self, cart: Cart) -> None:
        self.cart = cart


class AsksForCart:
    def __init__(self, cart: Lazy[Cart]) -> None:
        self.cart = cart


def test_an_app_bean_may_not_keep_a_message_bean(commit: Any) -> None:
    with pytest.raises(StartError, match=r"KeepsCart -> Cart: .*lives as long as the application"):
        commit(KeepsCart, CART)
    container = commit(AsksForCart, (KeepsCart, {"lifetime": "message"}), CART)
    with Scope(container):
        assert container.get(AsksForCart).cart() is container.get(KeepsCart).cart


# -- factories -----------------------------------------------------------------------------------------------------

log: list[str] = []


def make_pool(mailer: Mailer, label: str = "plain") -> Pool:
    return Pool(f"{label} {mailer.sender}")


def open_pool() -> Iterator[Pool]:
    log.append("open")
    yield Pool("open")
    log.append("close")


def open_shop(pool: Pool) -> Iterator[Shop]:
    yield Shop(Mailer(pool.label))
    log.append("close shop")


def twice() -> Iterator[Pool]:
    yield Pool()
    yield Pool()


def never() -> Iterator[Pool]:
    yield from ()


def silent():  # type: ignore[no-untyped-def]
    return 1


def test_a_function_is_a_factory(commit: Any) -> None:
    container = commit(make_pool, Mailer)
    assert container.get(Pool).label == "plain nobody"
    assert container.get(Pool, "Pool") is container.get(Pool)
    assert container.create(Pool, label="own").label == "own nobody"
    assert container.create(Pool, Mailer("me"), "own").label == "own me"


@pytest.mark.parametrize("lifetime", ["app", "message"])
def test_the_rest_of_a_generator_runs_when_the_lifetime_ends(commit: Any, lifetime: str) -> None:
    log.clear()
    container = commit((open_pool, {"lifetime": lifetime}), (open_shop, {"lifetime": lifetime}))
    with Scope(container):
        assert container.get(Shop).mailer.sender == "open"
        assert log == ["open"]
    if lifetime == "app":
        assert log == ["open"]
        container.close()
    assert log == ["open", "close shop", "close"]


def test_a_created_generator_object_ends_with_the_message_or_the_container(commit: Any) -> None:
    log.clear()
    container = commit(open_pool)
    with Scope(container):
        container.create(Pool)
    assert log == ["open", "close"]
    container.create(Pool)
    container.close()
    assert log == ["open", "close"] * 2


def test_generators_yield_once(commit: Any) -> None:
    with pytest.raises(StartError, match=r"never .* ended without a yield"):
        commit(never).get(Pool)
    container = commit(twice)
    container.get(Pool)
    with pytest.raises(StartError, match=r"twice .* yields more than once"):
        container.close()


def test_a_factory_says_what_it_makes(commit: Any) -> None:
    with pytest.raises(StartError, match="silent does not say what it makes"):
        commit(silent)
    assert commit((silent, {"provides": IMailer})).get(IMailer) == 1


# -- ready, conf ---------------------------------------------------------------------------------------------------


class Readied:
    limit = 1
    fails = False
    made = 0

    def __init__(self, pool: Pool) -> None:
        type(self).made += 1
        self.seen: list[int] = []

    def ready(self) -> None:
        self.seen.append(self.limit)
        if Readied.fails:
            raise ValueError("not ready")


def test_ready_runs_after_the_properties(commit: Any) -> None:
    container = commit(Readied, Pool, beans={"Readied": {"limit": 9}})
    assert container.get(Readied).seen == [9]
    assert Readied.limit == 1


def test_a_failed_ready_leaves_nothing_stored(commit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    container = commit(Readied, Pool, (KeepsReadied, {"lifetime": "message"}))
    monkeypatch.setattr(Readied, "fails", True)
    with Scope(container) as scope:
        with pytest.raises(ValueError, match="not ready") as caught:
            container.get(KeepsReadied)
        assert [note.split(" (")[0] for note in caught.value.__notes__] == ["while making Readied", "while making KeepsReadied"]
        assert scope.beans == {}
        made = Readied.made
        monkeypatch.setattr(Readied, "fails", False)
        assert container.get(KeepsReadied).readied is container.get(Readied)
        assert Readied.made == made + 1


class KeepsReadied:
    def __init__(self, readied: Readied) -> None:
        self.readied = readied


def test_a_failed_ready_of_a_generator_bean_ends_it(commit: Any) -> None:
    log.clear()
    container = commit(open_pool, beans={"Pool": {"nonsense": 1}})
    with pytest.raises(ConfigError, match=r"beans\.Pool\.nonsense \(app\.toml\): Pool has no attribute nonsense"):
        container.get(Pool)
    assert log == ["open", "close"]


def test_text_from_conf_becomes_what_the_attribute_is(commit: Any) -> None:
    assert commit(Readied, Pool, beans={"Readied": {"limit": "7"}}).get(Readied).limit == 7
    with pytest.raises(ConfigError, match=r"beans\.Readied\.limit \(app\.toml\): 'many' is not an int"):
        commit(Readied, Pool, beans={"Readied": {"limit": "many"}}).get(Readied)


def test_conf_fills_constructor_parameters_and_attributes(commit: Any) -> None:
    mailer = commit(Mailer, beans={"Mailer": {"sender": "me", "limit": 4}}).get(Mailer)
    assert (mailer.sender, mailer.limit) == ("me", 4)
    with pytest.raises(ConfigError, match=r"beans\.OrderApi\.size \(app\.toml\): 'x' is not an int"):
        commit(OrderApi, Shop, Mailer, beans={"OrderApi": {"size": "x"}})


def test_arguments_win_over_conf(commit: Any) -> None:
    container = commit(Mailer, beans={"Mailer": {"sender": "conf"}})
    assert [container.create(Mailer).sender, container.create(Mailer, "given").sender] == ["conf", "given"]


def test_conf_replaces_a_bean_by_name(commit: Any) -> None:
    container = commit(Mailer, Shop, beans={"Mailer": {"class": f"{__name__}:LoudMailer", "sender": "me"}})
    found = container.get(Mailer)
    assert type(found) is LoudMailer
    assert found is container.get(IMailer) is container.get(LoudMailer) is container.get(Shop).mailer
    assert found.sender == "me"


def test_the_replacing_class_may_be_a_bean_itself(commit: Any) -> None:
    container = commit(Mailer, LoudMailer, beans={"Mailer": {"class": f"{__name__}:LoudMailer"}})
    assert type(container.get(Mailer)) is LoudMailer


@pytest.mark.parametrize(
    ("beans", "problem"),
    [
        ({"Mialer": {}}, r"beans\.Mialer \(app.toml\): there is no such bean; did you mean Mailer\?"),
        ({"Mailer": 3}, r"beans\.Mailer \(app.toml\) must be a table"),
        ({"Mailer": {"class": "no.such:Thing"}}, r"beans\.Mailer\.class: there is no module no"),
        ({"Mailer": {"class": f"{__name__}:LoudMailr"}}, r"beans\.Mailer\.class: .* has no LoudMailr; did you mean LoudMailer\?"),
        ({"Mailer": {"class": 3}}, r"beans\.Mailer\.class must be a dotted name, not 3"),
        ({"Mailer": {"class": f"{__name__}:log"}}, r"beans\.Mailer\.class: .* is neither a class nor a factory"),
    ],
)
def test_mistakes_in_conf_are_named(commit: Any, beans: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        commit(Mailer, beans=beans)


def test_conf_for_a_name_of_two_beans_is_an_error(commit: Any) -> None:
    with pytest.raises(ConfigError, match=r"beans\.main fits several beans"):
        commit((Pool, {"name": "main"}), (Mailer, {"name": "main"}), beans={"main": {}})


# -- servers, environments, lifetimes ------------------------------------------------------------------------------


def test_beans_of_servers_stay_apart(commit: Any) -> None:
    container: Container = commit((Pool, {"server": "web"}), (LoudMailer, {"server": ("web", "till")}), Mailer)
    web, till = container.child("web"), container.child("till")
    assert type(web.get(IMailer)) is LoudMailer
    assert web.get(LoudMailer) is not till.get(LoudMailer)
    assert type(container.get(IMailer)) is Mailer
    assert container.query(Pool) is None
    assert till.query(Pool) is None


def test_env_leaves_beans_out(commit: Any) -> None:
    beans = ((Mailer, {"env": "production"}), (LoudMailer, {"env": ("development", "test")}))
    conf = {"Mailer": {"limit": 2}}
    assert type(commit(*beans, beans=conf).get(IMailer)) is LoudMailer
    assert type(commit(*beans, beans=conf, environment="production").get(IMailer)) is Mailer


def test_an_unknown_lifetime_is_an_error(commit: Any) -> None:
    with pytest.raises(StartError, match='"app" or "message", not \'server\''):
        commit((Mailer, {"lifetime": "server"}))


# -- partials and weavers ------------------------------------------------------------------------------------------


class Extra:
    extra = 5

    def shout(self) -> str:
        return type(self).__name__.upper()


class Clash:
    def ready(self) -> None: ...


class TypedExtra(Mailer):
    def send(self) -> str:
        return self.sender


HERE = Where("parts.py", 3)


def test_partials_are_mixed_in(make_setup: Any) -> None:
    setup = make_setup()
    setup.add_bean(Mailer)
    setup.partials[Mailer] = [(Extra, HERE), (TypedExtra, HERE)]
    mailer: Any = setup.commit().get(Mailer)
    assert (mailer.shout(), mailer.extra, mailer.send()) == ("MAILER", 5, "nobody")
    assert isinstance(mailer, Mailer)
    assert {"shout", "send"} < set(dir(mailer))
    assert not hasattr(Mailer, "shout")


@pytest.mark.parametrize(
    ("target", "parts", "problem"),
    [
        (Readied, [Clash], r"Readied\.ready: .*\.py:\d+ and parts\.py:3"),
        (Mailer, [Clash, Clash], r"Mailer\.ready: parts\.py:3 and parts\.py:3"),
        (Mailer, [Pool], r"parts\.py:3: the partial Pool of Mailer has a constructor"),
        (Cart, [Extra], r"parts\.py:3: Extra is a partial of Cart, which is no bean here"),
    ],
)
def test_partials_only_add(make_setup: Any, target: type, parts: list[type], problem: str) -> None:
    setup = make_setup()
    for bean in (Mailer, Readied, Pool):
        setup.add_bean(bean)
    setup.partials[target] = [(part, HERE) for part in parts]
    with pytest.raises(StartError, match=problem):
        setup.commit()


def test_weavers_build_the_class_in_order(make_setup: Any) -> None:
    seen: list[tuple[type, Definition]] = []

    def weave(cls: type, definition: Definition) -> type:
        seen.append((cls, definition))
        return subclass(cls, (cls,), {"woven": len(seen)})

    setup = make_setup()
    setup.weavers += [weave, weave]
    definition = setup.add_bean(Mailer)
    mailer: Any = setup.commit().get(Mailer)
    assert (mailer.woven, type(mailer).__qualname__) == (2, "Mailer")
    assert isinstance(mailer, Mailer)
    assert [found for _, found in seen] == [definition, definition]
    assert seen[0][0] is Mailer
    assert issubclass(seen[1][0], Mailer)


def test_one_name_for_two_beans_of_a_key_is_a_conflict(commit: Any) -> None:
    with pytest.raises(ConflictError, match=r"bean IMailer main: .*\.py:\d+ and .*\.py:\d+"):
        commit((make_pool, {"name": "main", "provides": IMailer}), (Cart, {"name": "main", "provides": IMailer}), Mailer)
