"""Models: tables, trees of rows, keys of Redis and rows shared by workers, as classes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenimi.orm.db.batch import delete_rows, insert_rows, update_rows
    from greenimi.orm.db.events import (
        AfterDelete,
        AfterInsert,
        AfterSave,
        AfterUpdate,
        BeforeDelete,
        BeforeInsert,
        BeforeSave,
        BeforeUpdate,
        ModelEvent,
    )
    from greenimi.orm.db.fields import EnumField, IntEnumField, JSONField, ListField, SetField, Virtual
    from greenimi.orm.db.ids import made, named_uuid, uuid1, uuid4, uuid7
    from greenimi.orm.db.model import Model
    from greenimi.orm.db.reading import Page, chunk_by_id, chunk_by_offset, each, paginate
    from greenimi.orm.db.serialise import Serialise, to_dict, to_dicts
    from greenimi.orm.db.stamps import created_at, updated_at

__all__ = [
    "AfterDelete",
    "AfterInsert",
    "AfterSave",
    "AfterUpdate",
    "BeforeDelete",
    "BeforeInsert",
    "BeforeSave",
    "BeforeUpdate",
    "EnumField",
    "IntEnumField",
    "JSONField",
    "ListField",
    "Model",
    "ModelEvent",
    "Page",
    "Serialise",
    "SetField",
    "Virtual",
    "chunk_by_id",
    "chunk_by_offset",
    "created_at",
    "delete_rows",
    "each",
    "insert_rows",
    "made",
    "named_uuid",
    "paginate",
    "to_dict",
    "to_dicts",
    "update_rows",
    "updated_at",
    "uuid1",
    "uuid4",
    "uuid7",
]

_ROOMS = {
    "batch": ("delete_rows", "insert_rows", "update_rows"),
    "events": (
        "AfterDelete",
        "AfterInsert",
        "AfterSave",
        "AfterUpdate",
        "BeforeDelete",
        "BeforeInsert",
        "BeforeSave",
        "BeforeUpdate",
        "ModelEvent",
    ),
    "fields": ("EnumField", "IntEnumField", "JSONField", "ListField", "SetField", "Virtual"),
    "ids": ("made", "named_uuid", "uuid1", "uuid4", "uuid7"),
    "model": ("Model",),
    "reading": ("Page", "chunk_by_id", "chunk_by_offset", "each", "paginate"),
    "serialise": ("Serialise", "to_dict", "to_dicts"),
    "stamps": ("created_at", "updated_at"),
}
_LAZY = {name: f"greenimi.orm.db.{room}" for room, names in _ROOMS.items() for name in names}
"""Imported when asked for: an application without models must not pay for peewee."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)
