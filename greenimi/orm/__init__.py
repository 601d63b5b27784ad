"""Models: tables, trees of rows, keys of Redis and rows shared by workers, as classes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenimi.container.setup import Setup
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
    from greenimi.orm.db.mixin import Fields
    from greenimi.orm.db.model import Model
    from greenimi.orm.db.reading import Page, chunk_by_id, chunk_by_offset, each, paginate
    from greenimi.orm.db.relations.base import Relation
    from greenimi.orm.db.relations.children import OneToMany, OneToOne
    from greenimi.orm.db.relations.events import (
        AfterLoad,
        AfterRelatedDelete,
        AfterRelatedSave,
        BeforeLoad,
        BeforeRelatedDelete,
        BeforeRelatedSave,
        RelationEvent,
    )
    from greenimi.orm.db.relations.lazy import LazyLoading, no_lazy_loading
    from greenimi.orm.db.relations.loading import load
    from greenimi.orm.db.relations.middle import ManyToMany, PolymorphicToMany
    from greenimi.orm.db.relations.parents import ManyToOne, PolymorphicToOne
    from greenimi.orm.db.serialise import Serialise, to_dict, to_dicts
    from greenimi.orm.db.stamps import created_at, updated_at
    from greenimi.orm.records import UnreadableRecord
    from greenimi.orm.redis.model import RedisModel
    from greenimi.orm.table.channel import Channel, ChannelTimeout
    from greenimi.orm.table.counter import Counter
    from greenimi.orm.table.model import RowError, SharedModel
    from greenimi.orm.tree import TreeError, TreeModel

__all__ = [
    "AfterDelete",
    "AfterInsert",
    "AfterLoad",
    "AfterRelatedDelete",
    "AfterRelatedSave",
    "AfterSave",
    "AfterUpdate",
    "BeforeDelete",
    "BeforeInsert",
    "BeforeLoad",
    "BeforeRelatedDelete",
    "BeforeRelatedSave",
    "BeforeSave",
    "BeforeUpdate",
    "Channel",
    "ChannelTimeout",
    "Counter",
    "EnumField",
    "Fields",
    "IntEnumField",
    "JSONField",
    "LazyLoading",
    "ListField",
    "ManyToMany",
    "ManyToOne",
    "Model",
    "ModelEvent",
    "OneToMany",
    "OneToOne",
    "Page",
    "PolymorphicToMany",
    "PolymorphicToOne",
    "RedisModel",
    "Relation",
    "RelationEvent",
    "RowError",
    "Serialise",
    "SetField",
    "SharedModel",
    "TreeError",
    "TreeModel",
    "UnreadableRecord",
    "Virtual",
    "chunk_by_id",
    "chunk_by_offset",
    "created_at",
    "delete_rows",
    "each",
    "includeme",
    "insert_rows",
    "load",
    "made",
    "named_uuid",
    "no_lazy_loading",
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
    "mixin": ("Fields",),
    "model": ("Model",),
    "reading": ("Page", "chunk_by_id", "chunk_by_offset", "each", "paginate"),
    "relations.base": ("Relation",),
    "relations.children": ("OneToMany", "OneToOne"),
    "relations.events": (
        "AfterLoad",
        "AfterRelatedDelete",
        "AfterRelatedSave",
        "BeforeLoad",
        "BeforeRelatedDelete",
        "BeforeRelatedSave",
        "RelationEvent",
    ),
    "relations.lazy": ("LazyLoading", "no_lazy_loading"),
    "relations.loading": ("load",),
    "relations.middle": ("ManyToMany", "PolymorphicToMany"),
    "relations.parents": ("ManyToOne", "PolymorphicToOne"),
    "serialise": ("Serialise", "to_dict", "to_dicts"),
    "stamps": ("created_at", "updated_at"),
}
_LAZY = {
    **{name: f"greenimi.orm.db.{room}" for room, names in _ROOMS.items() for name in names},
    **dict.fromkeys(("TreeError", "TreeModel"), "greenimi.orm.tree"),
    **dict.fromkeys(("Channel", "ChannelTimeout"), "greenimi.orm.table.channel"),
    **dict.fromkeys(("RowError", "SharedModel"), "greenimi.orm.table.model"),
    "Counter": "greenimi.orm.table.counter",
    "RedisModel": "greenimi.orm.redis.model",
    "UnreadableRecord": "greenimi.orm.records",
}
"""Imported when asked for: an application without models must not pay for peewee."""


def includeme(setup: Setup) -> None:
    """Read ``[migration]``; where conf has a database, bring the commands that change its tables and write models from them.

    Relations of models are checked with the rest of the application.  ``[table]`` is of what workers share (:mod:`greenimi.orm.table`).
    """
    from greenimi.orm import table
    from greenimi.orm.db.relations import commit
    from greenimi.orm.schema.settings import MigrationSettings, check_settings

    setup.include(table)
    setup.include(commit)
    settings = setup.settings("migration", MigrationSettings)
    check_settings(settings, setup.config)
    if setup.config.section("database"):
        from greenimi.orm.schema.including import include

        include(setup, settings)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)
