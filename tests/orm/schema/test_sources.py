from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import Any

import peewee
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playhouse.reflection import Column, UnknownField

from greenimi.orm.schema.sources import Source, quoted, source_of

USUAL = {
    "target": "",
    "target_field": "",
    "backref": "",
    "alone": True,
    "unique": False,
    "comment": "",
    "literal": False,
    "holds_json": False,
    "remark": "",
    "doubled": False,
}


def source(kind: Any, default: str | None = None, raw: str = "text", **options: Any) -> Source:
    column = Column("part", kind, raw, False, column_name="part")
    return source_of(column, SimpleNamespace(identity=False, default=default), **{**USUAL, **options})


@given(st.text())
def test_texts_as_literals(text: str) -> None:
    assert ast.literal_eval(quoted(text)) == text


@pytest.mark.parametrize(
    ("kind", "default", "value"),
    [
        (peewee.CharField, "'a'::character varying", '"a"'),
        (peewee.CharField, "gen_random_uuid()::text", None),
        (peewee.TextField, "'it''s'", '"it\'s"'),
        (peewee.TextField, "'a\\'b'", None),
        (peewee.IntegerField, "'-1'::integer", "-1"),
        (peewee.IntegerField, "007", "7"),
        (peewee.IntegerField, "(-5)", "-5"),
        (peewee.IntegerField, "1.5", None),
        (peewee.DoubleField, "1.50", "1.5"),
        (peewee.BooleanField, "TRUE", "True"),
        (peewee.BooleanField, "b'1'", None),
        (peewee.DecimalField, "1.50", None),
        (peewee.DateTimeField, "now()", None),
    ],
)
def test_defaults(kind: Any, default: str, value: str | None) -> None:
    arguments = source(kind, default).arguments
    assert (f"default={value}" in arguments) == (value is not None)
    assert f"constraints=[peewee.SQL({quoted(f'DEFAULT {default}')})]" in arguments


@pytest.mark.parametrize(
    ("kind", "default", "sql"),
    [
        (peewee.CharField, "a'b\\", "'a''b\\\\'"),
        (peewee.CharField, "5", "'5'"),
        (peewee.IntegerField, "5", "5"),
        (peewee.DateTimeField, "2024-01-01 00:00:00", "'2024-01-01 00:00:00'"),
        (peewee.DateTimeField, "CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP"),
    ],
)
def test_defaults_of_servers_that_show_values_without_quotes(kind: Any, default: str, sql: str) -> None:
    assert f"constraints=[peewee.SQL({quoted(f'DEFAULT {sql}')})]" in source(kind, default, literal=True).arguments


def test_no_default() -> None:
    assert source(peewee.CharField, "NULL").arguments == ()


def test_percent_signs_where_statements_have_them_twice() -> None:
    assert source(peewee.CharField, "'5%'", doubled=True).arguments == ('default="5%"', "constraints=[peewee.SQL(\"DEFAULT '5%%'\")]")


@pytest.mark.parametrize(
    ("raw", "kind", "remark"),
    [
        ("interval", "postgres_ext.IntervalField", ""),
        ("timestamp with time zone", "postgres_ext.DateTimeTZField", ""),
        ("SET('a','b')", "orm.SetField", ""),
        ("Double  Precision", "peewee.DoubleField", ""),
        ("circle(5)", "peewee.BareField", "circle(5)"),
    ],
)
def test_types_that_peewee_does_not_know(raw: str, kind: str, remark: str) -> None:
    assert source(UnknownField, raw=raw) == Source("part", kind, (), remark)


def test_remarks_and_comments() -> None:
    found = source(peewee.CharField, remark="refers to x.id", comment='a "b"\n', holds_json=True)
    assert found == Source("part", "orm.JSONField", ('help_text="a \\"b\\"\\n"',), "refers to x.id")
