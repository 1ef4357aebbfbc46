"""Many rows as one parameter of a statement: a JSON list of lists that is read as a table."""

from django.db import connection


def json_table(table: str, **types: str) -> str:
    """SQL for FROM: the statement's one `%s` as a table of this name.

    Args:
        types: the columns in the order of a row's items, with their types on PostgreSQL; SQLite
            takes values as JSON has them.
    """
    if connection.vendor == "postgresql":
        rows, column = "jsonb_array_elements(%s::jsonb)", "(value ->> {})::{} AS {}"
    else:
        rows, column = "json_each(%s)", "json_extract(value, '$[{0}]') AS {2}"
    columns = ", ".join(
        column.format(n, kind, name) for n, (name, kind) in enumerate(types.items())
    )
    return f"(SELECT {columns} FROM {rows}) AS {table}"  # noqa: S608 (names of columns)
