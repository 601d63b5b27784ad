"""SELECT of models, from which rows that are deleted softly are left out, also those of models that are joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import peewee

from greenimi.orm.db import deleting
from greenimi.orm.db.relations import loading, plan

if TYPE_CHECKING:
    from greenimi.orm.db.relations.base import Relation


class Select(peewee.ModelSelect):
    """peewee's ModelSelect, which can load related rows."""

    plans: Mapping[str, plan.Plan] = {}
    """What is loaded with its rows."""
    above: tuple[Relation[Any], ...] = ()
    """The relations of which it reads the rows."""
    whole_rows: bool | None = None
    """Whether it reads all fields, where that is not to be seen in the query itself."""

    def with_(self, *relations: str | Relation[Any], **changes: plan.Change) -> Self:
        """Load related rows, too, in one query for each relation: ``with_("books.publisher", Author.profile)``.

        ``changes``: functions that change the query of a relation, ``with_(books=lambda books: books.where(Book.price > 3).limit(5))``; a
        limit is one for each row.  TypeError for a relation that is not there.
        """
        source: Any = self.model
        model = source.model if isinstance(source, peewee.ModelAlias) else source
        query = self.clone()
        query.plans = plan.merged(self.plans, plan.planned(model, relations, changes))
        return query

    def with_plans_of(self, other: Select) -> Self:
        """Load what another query loads."""
        query = self.clone()
        query.plans, query.above, query.whole_rows = other.plans, other.above, other.whole_rows
        return query

    def iterator(self, database: Any = None) -> Any:
        if self.plans:
            raise ValueError("rows that are read one by one cannot have related rows loaded with them; read them in chunks")
        return super().iterator(database)

    def _execute(self, database: Any) -> Any:
        query: Any = self  # type hints of peewee's leave these out
        new = query._cursor_wrapper is None
        execute: Any = super()._execute  # type: ignore[misc]
        found = execute(database)
        if new and (plans := loading.plans_of(query)) and query._model_rows() and (rows := list(found)):
            loading.load_plans(rows, plans, self.above)
        return found

    def _normalize_join(self, src: Any, dest: Any, on: Any, attr: Any) -> Any:
        normalize: Any = super()._normalize_join  # type: ignore[misc]  # its type hints leave it out
        on, attr, constructor, context = normalize(src, dest, on, attr)
        living = deleting.living_or_none(dest)
        return on if living is None else (on & living), attr, constructor, context


class Alias(peewee.ModelAlias):
    """peewee's ModelAlias."""

    def select(self, *selection: Any) -> Select:
        return deleting.only_living(Select(self, selection or self.get_field_aliases()), self)
