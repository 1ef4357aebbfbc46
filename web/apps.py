"""The pages: what people see in a browser. Talks to the public API only."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "web"
