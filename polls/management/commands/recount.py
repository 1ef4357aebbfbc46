from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from polls.errors import PollNotFound
from polls.models import Poll
from polls.recount import recount_poll
from polls.selectors import get_poll


class Command(BaseCommand):
    help = "Counts every poll again from its votes. Exit status 1 when a tally differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--poll", help="id or join code; all polls without it")
        parser.add_argument("--fix", action="store_true", help="write what was counted")

    def handle(self, *args: Any, **options: Any) -> None:
        polls = [self._poll(options["poll"])] if options["poll"] else Poll.objects.all().iterator()
        number = differing = 0
        for poll in polls:
            number += 1
            found = recount_poll(poll.id, fix=options["fix"])
            differing += bool(found)
            for one in found:
                self.stdout.write(
                    f"{poll.code} {one.poll_id}: {one.what}:"
                    f" told {one.stored}, counted {one.counted}"
                )
        fixed = " (fixed)" if options["fix"] and differing else ""
        noun = "poll" if number == 1 else "polls"
        self.stdout.write(f"{number} {noun} recounted, {differing} with differences{fixed}")
        if differing:
            raise SystemExit(1)

    def _poll(self, ref: str) -> Poll:
        try:
            return get_poll(ref)
        except PollNotFound:
            raise CommandError(f"There is no poll {ref}.") from None
