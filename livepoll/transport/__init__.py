"""What one connection may cost: bytes of a request, time to send it, time to take a response.

Uvicorn's protocol classes with bounds, for what is over before ASGI sees it. `manage.py serve`
uses them; the request guard bounds what can be bounded behind any other server.
"""
