"""Make the sample poll on an empty database: real first preferences, open for more votes."""

from typing import Any

from django.core.management.base import BaseCommand

from replay.sample import ensure_sample_poll


class Command(BaseCommand):
    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        if ensure_sample_poll():
            self.stdout.write("Sample poll made.")
        else:
            self.stdout.write("No sample poll needed.")
