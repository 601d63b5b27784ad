from __future__ import annotations

from typing import Any

import peewee
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenimi import green
from greenimi.container.registry import Container
from greenimi.orm import Model, Serialise, TreeError, TreeModel, to_dict
from greenimi.pool.database.database import Database
from tests.orm.conftest import Tables, every_kind


class Place(TreeModel):
    name = peewee.CharField()
    parent = peewee.ForeignKeyField("self", null=True, backref="places")
    gone = peewee.BigIntegerField(default=0)

    class Meta:
        soft_delete = "gone"
        max_depth = 6
        serialise = Serialise(allow=["name"], extract={"places": "nested"})


class Part(TreeModel):
    name = peewee.CharField()
    inside = peewee.IntegerField(default=0)

    class Meta:
        parent = "inside"


def names(rows: Any) -> list[str]:
    return sorted(row.name for row in rows)


def planted() -> dict[str, Any]:
    """world > (europe > (italy > rome, malta), asia), mars"""
    rows: dict[str, Any] = {}
    for name, parent in (("world", None), ("mars", None), ("europe", "world"), ("asia", "world"), ("italy", "europe"), ("malta", "europe")):
        rows[name] = Place.create(name=name, parent=rows.get(parent or ""))
    rows["rome"] = Place.create(name="rome", parent=rows["italy"])
    return rows


@every_kind
def test_around_a_row(tables: Tables) -> None:
    tables(Place)
    rows = planted()
    assert names(Place.roots()) == ["mars", "world"]
    assert names(rows["europe"].children()) == ["italy", "malta"]
    assert names(rows["europe"].siblings()) == ["asia"]
    assert names(rows["mars"].siblings()) == ["world"]
    below = rows["world"].descendants().order_by(peewee.SQL("level"), Place.name)
    assert [(row.name, row.level) for row in below] == [("asia", 1), ("europe", 1), ("italy", 2), ("malta", 2), ("rome", 3)]
    assert names(rows["world"].descendants(2)) == ["asia", "europe", "italy", "malta"]
    assert [(row.name, row.level) for row in rows["italy"].descendants(1, itself=True).order_by(Place.name)] == [("italy", 0), ("rome", 1)]
    assert names(rows["italy"].descendants(0, itself=True)) == ["italy"]
    assert rows["world"].descendants().where(Place.name == "rome").count() == 1
    assert [(row.name, row.level) for row in rows["rome"].ancestors()] == [("world", 3), ("europe", 2), ("italy", 1)]
    assert [row.name for row in rows["italy"].path()] == ["world", "europe", "italy"]
    assert rows["mars"].ancestors() == []


@every_kind
def test_rows_move_with_what_is_below(tables: Tables) -> None:
    tables(Place)
    rows = planted()
    rows["italy"].move(rows["mars"])
    assert [row.name for row in rows["rome"].path()] == ["mars", "italy", "rome"]
    rows["italy"].move(None)
    assert names(Place.roots()) == ["italy", "mars", "world"]
    for name in ("world", "europe", "malta"):
        with pytest.raises(TreeError, match="which is below it, or itself"):
            rows["world"].move(rows[name])
    assert names(rows["world"].descendants()) == ["asia", "europe", "malta"]


def test_a_tree_has_so_many_levels(tables: Tables) -> None:
    tables(Place)
    rows = planted()
    last = rows["rome"]
    for number in range(2):
        last = Place.create(name=f"r{number}", parent=last)
    assert len(last.path()) == 6
    with pytest.raises(TreeError, match="more than 6 levels"):
        rows["mars"].move(last)
    with pytest.raises(TreeError, match="more than 6 levels"):
        rows["world"].move(rows["mars"])
    rows["europe"].move(rows["mars"])
    deeper = Place.create(name="deeper", parent=last)
    with pytest.raises(TreeError, match="more than 6 levels deep, or in a circle"):
        deeper.ancestors()


@every_kind
def test_a_circle_that_somebody_made_ends(tables: Tables) -> None:
    tables(Place)
    rows = planted()
    Place.update(parent=rows["rome"]).where(Place.id == rows["europe"].id).execute()
    assert names(Place.get_by_id(rows["europe"].id).descendants()) == ["italy", "malta", "rome"]
    with pytest.raises(TreeError, match="or in a circle"):
        Place.get_by_id(rows["malta"].id).ancestors()
    with pytest.raises(TreeError, match="or in a circle"):
        rows["mars"].move(rows["malta"])
    with pytest.raises(TreeError, match="is below itself, or below rows that are"):
        Place.nest(Place.select())


def test_what_is_deleted_hides_what_is_below(tables: Tables) -> None:
    tables(Place)
    rows = planted()
    rows["italy"].delete_instance()
    assert names(rows["world"].descendants()) == ["asia", "europe", "malta"]
    assert [row.name for row in rows["rome"].path()] == ["rome"]
    with pytest.raises(TreeError, match="which is below it, or itself"):
        rows["world"].move(rows["rome"])
    rows["italy"].undelete()
    assert [row.name for row in rows["rome"].path()] == ["world", "europe", "italy", "rome"]


@every_kind
def test_a_row_without_parent_may_have_a_number_there(tables: Tables) -> None:
    tables(Part)
    engine = Part.create(name="engine")
    valve = Part.create(name="valve", inside=engine.id)
    assert names(Part.roots()) == ["engine"]
    assert [row.name for row in valve.path()] == ["engine", "valve"]
    valve.move(None)
    assert Part.get_by_id(valve.id).inside == 0
    engine.move(valve)
    assert names(valve.descendants()) == ["engine"]


def test_rows_are_nested(tables: Tables) -> None:
    tables(Place)
    rows = planted()
    [world] = Place.nest(rows["world"].descendants(itself=True).order_by(Place.name))
    assert to_dict(world, depth=5) == {
        "name": "world",
        "places": [
            {"name": "asia", "places": []},
            {"name": "europe", "places": [{"name": "italy", "places": [{"name": "rome", "places": []}]}, {"name": "malta", "places": []}]},
        ],
    }
    assert names(Place.nest(rows["europe"].descendants())) == ["italy", "malta"]


def test_rows_that_are_not_there(tables: Tables) -> None:
    tables(Place)
    rows = planted()
    for ask in (Place(name="new").children, Place(name="new").descendants, lambda: rows["rome"].move(Place(name="new"))):
        with pytest.raises(TreeError, match="was not saved"):
            ask()
    rows["mars"].delete_for_good()
    for ask in (lambda: rows["mars"].move(None), lambda: rows["rome"].move(rows["mars"])):
        with pytest.raises(TreeError, match=r"there is no Place \d|was not saved"):
            ask()
    with pytest.raises(ValueError, match="on level 1 and deeper"):
        rows["world"].descendants(0)


def test_rows_that_were_read_in_part(tables: Tables) -> None:
    tables(Place)
    planted()
    rome = Place.select(Place.id).where(Place.name == "rome").get()
    for ask in (rome.ancestors, rome.siblings, lambda: Place.nest([rome])):
        with pytest.raises(TreeError, match="was read without parent: select it, too"):
            ask()
    assert list(rome.descendants()) == []


def test_models_that_are_no_trees() -> None:
    with pytest.raises(TypeError, match=r"Meta\.parent names parent, which is no field of it"):

        class NoParent(TreeModel):
            name = peewee.CharField()

    with pytest.raises(TypeError, match="needs a value there: say null=True"):

        class NoRoot(TreeModel):
            parent = peewee.IntegerField()

    with pytest.raises(TypeError, match=r"Hidden\.children hides what trees have"):

        class Hidden(TreeModel):
            parent = peewee.ForeignKeyField("self", null=True, backref="children")

    with pytest.raises(TypeError, match=r"Taken\.path hides what trees have"):

        class Taken(TreeModel):
            parent = peewee.IntegerField(null=True)
            path = peewee.CharField()  # type: ignore[assignment]

    with pytest.raises(TypeError, match="a key of one field"):

        class TwoKeys(TreeModel):
            parent = peewee.IntegerField(null=True)
            other = peewee.IntegerField()

            class Meta:
                primary_key = peewee.CompositeKey("parent", "other")

    with pytest.raises(TypeError, match="max_depth is 1 to 1000"):

        class Flat(TreeModel):
            parent = peewee.IntegerField(null=True)

            class Meta:
                max_depth = 0


def test_a_fork_of_a_tree_is_one(tables: Tables) -> None:
    other = Part.fork("part_old")
    tables(Part, other)
    top = other.create(name="top")
    other.create(name="below", inside=top.id)
    assert names(top.descendants()) == ["below"]
    assert issubclass(other, Model)


@pytest.mark.parametrize("kind", ["mysql", "postgres"])
def test_moves_at_the_same_time_make_no_circle(tables: Tables, running: Container) -> None:
    tables(Place)
    database: Any = running.get(Database, "default")
    for _ in range(2):
        one, two = Place.create(name="one"), Place.create(name="two")

        def put(row: Any, below: Any) -> Exception | None:
            try:
                with database.atomic():
                    row.move(below)
            except (peewee.OperationalError, TreeError) as error:
                return error
            return None

        moves = [green.spawn(put, one, two), green.spawn(put, two, one)]
        for move in moves:
            move.join()
        assert [move.value is None for move in moves].count(True) == 1
        assert len(Place.roots().where(Place.id.in_([one.id, two.id]))) == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=25))
def test_as_a_tree_of_lists(parents: list[int]) -> None:
    """Against the same tree walked in Python; each number is the place of the parent among the rows before."""
    database = peewee.SqliteDatabase(":memory:")
    with Part.bind_ctx(database):
        database.create_tables([Part])
        rows: list[Any] = []
        above: dict[int, list[int]] = {0: []}
        for number, parent in enumerate(parents, 1):
            inside = parent % number
            rows.append(Part.create(name=str(number), inside=inside))
            above[number] = [*above[inside], inside] if inside else []
        for row in rows:
            assert [found.id for found in row.ancestors()] == above[row.id]
            expected = {other: len(above[other]) - len(above[row.id]) for other in above if row.id in above[other]}
            assert {found.id: found.level for found in row.descendants()} == expected
    database.close()
