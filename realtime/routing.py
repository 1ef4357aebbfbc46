from channels.routing import URLRouter
from django.urls import re_path

from realtime.consumers import NoSuchSocket, PollConsumer

websocket_application = URLRouter(
    [
        re_path(r"^ws/polls/(?P<ref>[^/]+)/?$", PollConsumer.as_asgi()),
        re_path(r"", NoSuchSocket.as_asgi()),
    ]
)
