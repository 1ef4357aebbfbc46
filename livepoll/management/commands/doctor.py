"""Try what the server needs, and print a table: database, migrations, Redis, channel layer, proxy,
clock, files. Ends with 1 if something fails; run it with the environment of the server."""

import json
import logging
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from livepoll.doctor import Finding, examine, facts

_MARKS = {"ok": "ok", "warning": "warn", "failed": "FAIL"}


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[str] = []  # they are among what is tried

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--url", default="", help="the address that clients use, to ask through the proxy"
        )
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # the table says what was asked
        findings = examine(options["url"])
        result = facts(findings)
        self.stdout.write(json.dumps(result, indent=2) if options["json"] else table(findings))
        if not result["ok"]:
            sys.exit(1)


def table(findings: list[Finding]) -> str:
    """One line a finding, its cure below it."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.state]:4}  {finding.name:{width}}  {finding.detail}")
        if finding.cure and finding.state != "ok":
            lines.append(f"{'':4}  {'':{width}}  → {finding.cure}")
    failed = sum(finding.state == "failed" for finding in findings)
    lines.append("" if failed == 0 else f"{failed} failed")
    return "\n".join(lines).rstrip()
