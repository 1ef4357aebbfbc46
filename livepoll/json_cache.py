"""How entries of the shared cache are written: as JSON.

Django's own way is pickle: who can write into Redis would run code in every web process. What is
not JSON of ours, an entry of an earlier version included, is an entry that is not there.
"""

from typing import Any

import orjson


class JSONSerializer:
    """Django's cache serializer interface; bytes and tuples come back as text and lists."""

    def dumps(self, value: Any) -> bytes:
        """Raises TypeError for what JSON cannot say."""
        return orjson.dumps(value)

    def loads(self, data: bytes) -> Any:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            return None
