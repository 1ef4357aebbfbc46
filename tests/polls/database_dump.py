"""Everything that stands in the database, as text: to search for what must not be there."""

from django.db import connection


def dump() -> str:
    """Every value of every table but the migrations' own, in every form that is stored."""
    lines = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table == "django_migrations":
                continue
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 (our own tables' names)
            lines += [f"{table}: {' | '.join(map(str, row))}" for row in cursor.fetchall()]
    return "\n".join(lines)
