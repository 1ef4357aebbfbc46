from typing import IO, Any

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from polls.errors import TooLarge
from polls.rules.limits import LIMITS


class StrictJSONParser(BaseParser):
    """JSON of bounded size and depth; no NaN, no broken text."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: Any = None, parser_context: Any = None) -> Any:
        limit = LIMITS["poll_body_bytes"]
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLarge(f"At most {limit} bytes are taken here.")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError(f"The body is not JSON: {error}.") from None
