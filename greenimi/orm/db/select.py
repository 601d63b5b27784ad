"""SELECT of models, from which rows that are deleted softly are left out, also those of models that are joined."""

from __future__ import annotations

from typing import Any

import peewee

from greenimi.orm.db import deleting


class Select(peewee.ModelSelect):
    """peewee's ModelSelect."""

    def _normalize_join(self, src: Any, dest: Any, on: Any, attr: Any) -> Any:
        normalize: Any = super()._normalize_join  # type: ignore[misc]  # its type hints leave it out
        on, attr, constructor, context = normalize(src, dest, on, attr)
        living = deleting.living_or_none(dest)
        return on if living is None else (on & living), attr, constructor, context


class Alias(peewee.ModelAlias):
    """peewee's ModelAlias."""

    def select(self, *selection: Any) -> Select:
        return deleting.only_living(Select(self, selection or self.get_field_aliases()), self)
