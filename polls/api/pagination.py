"""Pages by cursor, which stay put while what they list grows."""

from datetime import UTC

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from polls import errors
from polls.api.requests import whole_number


class _Pages(CursorPagination):
    page_size_query_param = "page_size"
    max_page_size = 100

    def get_page_size(self, request: Request) -> int:
        """The page's size.

        Raises:
            Invalid: the request asks for one that is not between 1 and 100.
        """
        given = request.query_params.get("page_size")
        if given is None:
            return int(self.page_size or self.max_page_size)
        size = whole_number(given, self.max_page_size)
        if not size:
            detail = f"A whole number from 1 to {self.max_page_size}."
            field_error = {"field": "page_size", "code": "invalid", "detail": detail}
            raise errors.Invalid(errors=[field_error])
        return size

    def decode_cursor(self, request: Request) -> Cursor | None:
        """The request's cursor. Clients can forge one: a position of another kind is a 404."""
        cursor = super().decode_cursor(request)
        position = cursor.position if cursor is not None else None
        if position is not None and not self._is_position(str(position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def _is_position(self, text: str) -> bool:
        raise NotImplementedError


class NewestFirst(_Pages):
    """Polls, newest first."""

    ordering = ("-created_at", "-id")
    page_size = 20

    def _is_position(self, text: str) -> bool:
        try:
            moment = parse_datetime(text)
            return moment is not None and moment.tzinfo is not None and bool(moment.astimezone(UTC))
        except (ValueError, OverflowError):
            return False


class ByNumber(_Pages):
    """Voter codes in the order of their numbers."""

    ordering = ("number",)
    page_size = 100

    def _is_position(self, text: str) -> bool:
        return whole_number(text, 2**31 - 1) is not None
