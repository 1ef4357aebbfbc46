"""What OPTIONS says of an endpoint: what its schema says, and no docstring."""

from typing import Any

from rest_framework.metadata import BaseMetadata
from rest_framework.request import Request


class EndpointMetadata(BaseMetadata):
    """Name, and per method the summary that `schema.endpoint` was given; no database."""

    def determine_metadata(self, request: Request, view: Any) -> dict[str, Any]:
        match = request.resolver_match
        return {
            "name": match.url_name or "" if match else "",
            "description": {
                method: handler.summary
                for method in view.allowed_methods
                if hasattr(handler := getattr(view, method.lower()), "summary")
            },
            "renders": [renderer.media_type for renderer in view.renderer_classes],
            "parses": [parser.media_type for parser in view.parser_classes],
        }
