"""What is to be loaded with the rows of a query: a tree of relations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import peewee

if TYPE_CHECKING:
    from greenimi.orm.db.relations.base import Relation

Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Plan:
    """How one relation is loaded: its query changed, and what is loaded with its rows.

    ``above``: the relations that are being loaded, by whose rows this is; one of them is not loaded once more on its own account.
    """

    change: Change | None = None
    below: Mapping[str, Plan] = field(default_factory=dict)
    above: tuple[Relation[Any], ...] = ()

    def onto(self, query: Any, relation: Relation[Any]) -> Any:
        """A query of related rows that loads what is below."""
        query = query.clone()
        query.whole_rows = query._is_default
        query.above = (*self.above, relation)
        known = {name: plan for name, plan in self.below.items() if relation_or_none(query.model, name) is not None}
        query.plans = merged(query.plans, known)
        return query


WHOLE = Plan()


def planned(model: Any, relations: Iterable[Any], changes: Mapping[str, Change]) -> dict[str, Plan]:
    """The tree of relations by their names (``"books.publisher"``) or themselves, and of functions that change queries.

    TypeError for a relation that a model has not.
    """
    tree: dict[str, Plan] = {}
    for each in relations:
        path = each if isinstance(each, str) else each.name
        check_path([model], path.split("."), path)
        tree = merged(tree, branch(path.split(".")))
    for name, change in changes.items():
        check_path([model], [name], name)
        if not callable(change):
            raise TypeError(f"{name}: a function that changes the query is expected, not {change!r:.100}")
        tree = merged(tree, {name: Plan(change)})
    return tree


def branch(path: Sequence[str]) -> dict[str, Plan]:
    """The tree of one path."""
    return {path[0]: Plan(below=branch(path[1:]) if path[1:] else {})}


def merged(one: Mapping[str, Plan], two: Mapping[str, Plan]) -> dict[str, Plan]:
    """Both trees in one; of two functions the second."""
    both = dict(one)
    for name, plan in two.items():
        old = both.get(name)
        both[name] = plan if old is None else Plan(plan.change or old.change, merged(old.below, plan.below))
    return both


def check_path(models: Sequence[Any], path: Sequence[str], whole: str) -> None:
    """Raises TypeError when none of the models has the first relation of the path, or none behind it the next."""
    found = [(model, relation) for model in models if (relation := relation_or_none(model, path[0])) is not None]
    if not found:
        known = sorted({name for model in models for name in model._meta.relations})
        names = " or ".join(model.__name__ for model in models)
        raise TypeError(f"{whole}: {names} has no relation {path[0]}; it has {', '.join(known) or 'none'}")
    if path[1:]:
        for model, relation in found:
            relation.ready(model)
        check_path([target for _, relation in found for target in relation.targets()], path[1:], whole)


def relation_or_none(model: Any, name: str) -> Relation[Any] | None:
    """A relation of a model, also a foreign key or the way back along one."""
    found: Relation[Any] | None = model._meta.relations.get(name)
    if found is not None:
        return found
    from greenimi.orm.db.relations import foreign

    key = model._meta.fields.get(name)
    if isinstance(key, peewee.ForeignKeyField):
        return foreign.Forward(key)
    back = getattr(model, name, None)
    return foreign.backward(back.field, name) if isinstance(back, peewee.BackrefAccessor) else None
