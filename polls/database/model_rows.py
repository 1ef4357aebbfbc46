"""Rows of models by a statement that is made once: the ORM compiles each INSERT anew, which is a
third of what a new poll costs."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db import connection, connections
from django.db.models import AutoField, Field, Model


def insert_rows(rows: Sequence[Model]) -> None:
    """Insert these new objects of one model. One query.

    No signal is sent, and a key that the database gives is not read back.

    Raises:
        IntegrityError
    """
    fields = _fields(type(rows[0]))
    here = connections[connection.alias]  # `connection` looks for it at each use
    values = [
        field.get_db_prep_save(field.pre_save(row, add=True), here)
        for row in rows
        for field in fields
    ]
    with here.cursor() as cursor:
        cursor.execute(_statement(type(rows[0]), len(rows)), values)
    for row in rows:
        row._state.adding, row._state.db = False, here.alias


@lru_cache(maxsize=100)
def _statement(model: type[Model], number: int) -> str:
    quote, fields = connection.ops.quote_name, _fields(model)
    columns = ", ".join(quote(str(field.column)) for field in fields)
    row = f"({', '.join(['%s'] * len(fields))})"
    rows = ", ".join([row] * number)
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES {rows}"  # noqa: S608


@lru_cache(maxsize=100)
def _fields(model: type[Model]) -> list["Field[Any, Any]"]:
    return [one for one in model._meta.concrete_fields if not isinstance(one, AutoField)]
