"""Rows of models by statements that are made once: the ORM compiles each INSERT anew, which is a
third of what a new poll costs."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from itertools import groupby
from typing import Any

from django.db import connection, connections, transaction
from django.db.models import AutoField, Field, Model


def insert_rows(rows: Sequence[Model]) -> None:
    """Insert these new objects, all or none; those that others refer to come before them.

    One trip on PostgreSQL, which takes all models' rows in one statement: BEGIN, COMMIT and each
    further statement would be a trip more. Elsewhere one statement a model, in a transaction.
    No signal is sent, and a key that the database gives is not read back.

    Raises:
        IntegrityError
    """
    here = connections[connection.alias]  # `connection` looks for it at each use
    inserts = [_insert_of(list(group), here) for _, group in groupby(rows, type)]
    if here.vendor == "postgresql":
        inserts = [_as_one(inserts)]
    is_whole = len(inserts) == 1 and not here.in_atomic_block
    with nullcontext() if is_whole else transaction.atomic(), here.cursor() as cursor:
        for statement, values in inserts:
            cursor.execute(statement, values)
    for row in rows:
        row._state.adding, row._state.db = False, here.alias


Insert = tuple[str, list[Any]]


def _insert_of(rows: Sequence[Model], here: Any) -> Insert:
    """The statement for rows of one model, and its values."""
    model = type(rows[0])
    fields = _fields(model)
    values = [
        field.get_db_prep_save(field.pre_save(row, add=True), here)
        for row in rows
        for field in fields
    ]
    return _statement(model, len(rows)), values


def _as_one(inserts: Sequence[Insert]) -> Insert:
    """PostgreSQL's foreign keys are looked at when all of the statement is done."""
    *first, last = [statement for statement, _ in inserts]
    named = ", ".join(f"insert_{number} AS ({one})" for number, one in enumerate(first))
    values = [value for _, values in inserts for value in values]
    return f"WITH {named} {last}" if named else last, values


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
