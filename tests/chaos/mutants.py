"""Small deliberate bugs, at least one for each rule of the checker: a run on a copy of the
source that has one must fail by that rule. They show that the checker can see.

A mutant is code that the server process runs once it has imported everything: it replaces what
stands at a seam, a function or constant of a module, by something that is wrong. A name that is not
there any more ends the process, and with it the test.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """A bug, the rule that must report it, and the faults that bring it out."""

    name: str
    rule: str
    code: str
    faults: tuple[str, ...] = ("drop_sockets",)

    def apply(self, root: Path) -> None:
        """Put it into this copy of the source."""
        (root / "mutant.py").write_text(_TOOLS + self.code)
        with (root / "asgi.py").open("a") as asgi:
            asgi.write("\nimport mutant\n")


_TOOLS = '''
import sys

from polls.voting import committer, fast_lane, first_votes, sql
from polls.voting.fast_lane import FastLane


def replace(owner, name, make):
    """Put make(what stands there) there, and wherever else it was imported by that name."""
    old = getattr(owner, name)
    new = make(old)
    setattr(owner, name, new)
    for module in list(sys.modules.values()):
        if getattr(module, name, None) is old:
            setattr(module, name, new)


def without_fast_lane():
    """For bugs of what happens under the lock."""

    async def leave_all(self, connection, batch):
        return batch

    replace(FastLane, "store", lambda _: leave_all)


def change_first_votes(old, new):
    assert old in first_votes.ADD_FIRST_VOTES, old
    replace(first_votes, "ADD_FIRST_VOTES", lambda text: text.replace(old, new))


'''

MUTANTS = [
    Mutant(
        "a failed commit is answered as done", "stored", '''
from django.db import DatabaseError, connection

without_fast_lane()


def careless(commit):
    def commit_or_not(self):
        try:
            commit(self)
        except DatabaseError:
            self.close()  # and goes on as if nothing had happened
    return commit_or_not


replace(type(connection._connections["default"]), "commit", careless)
''',
        ("lose_a_commit",) * 3,
    ),
    Mutant(
        "commits are not durable", "stored", '''
from django.db import connections

connections.settings["default"]["OPTIONS"]["options"] = "-c synchronous_commit=off"
''',
        ("kill_postgres",) * 4,
    ),
    Mutant(
        "no lock, and collisions are ignored", "stored", '''
from polls import selectors

without_fast_lane()
replace(selectors, "lock_states", lambda _: selectors.get_states)
replace(sql, "APPEND", lambda text: text + " ON CONFLICT DO NOTHING")
''',
    ),
    Mutant(
        "earlier votes are not looked up", "once", '''
import psycopg2
from django.conf import settings

with psycopg2.connect(settings.DATABASE_URL) as connection, connection.cursor() as cursor:
    cursor.execute("DROP INDEX IF EXISTS vote_one_a_voter")
replace(sql, "current_votes", lambda _: lambda voters: {})
change_first_votes("FROM given, unnest(voters, epochs) AS one",
                   "FROM given, unnest(voters[:0], epochs[:0]) AS one")
''',
        ("lose_a_commits_answer",) * 3,
    ),
    Mutant(
        "a retry is answered with another seq", "retry", '''
def forgetful(record_votes):
    def record(batch):
        return [
            one._replace(vote=one.vote._replace(seq=one.state.version))
            if one.verdict == "repeated" else one
            for one in record_votes(batch)
        ]
    return record


replace(committer, "record_votes", forgetful)
''',
    ),
    Mutant(
        "a seq is left out now and then", "gapless", '''
without_fast_lane()


def skipping(write):
    def write_wrong(states, *votes):
        wrong = [one._replace(version=one.version + (one.version % 20 == 0)) for one in states]
        write(wrong, *votes)
    return write_wrong


replace(sql, "write", skipping)
''',
    ),
    Mutant(
        "a replaced vote is not counted out", "recount", '''
from polls.rules.tally import Tally


def only_in(add):
    def add_only(self, kind, marks, sign=1):
        if sign > 0:
            add(self, kind, marks, sign)
    return add_only


replace(Tally, "add", only_in)
''',
    ),
    Mutant(
        "first votes do not ask whether the poll is still what it was", "final", '''
change_first_votes(" AND poll.revision = t.revision", "")
replace(fast_lane, "KNOWN_SECONDS", lambda _: 60.0)
replace(FastLane, "forget", lambda _: lambda self: None)
''',
        ("drop_sockets",) * 5,
    ),
    Mutant(
        "first votes get seqs that are taken", "retry", '''
def counting_anew(outcomes):
    def count(self, rows):
        found = outcomes(self, rows)
        return {
            number: one._replace(vote=one.vote._replace(seq=place))
            for place, (number, one) in enumerate(found.items())
        }
    return count


replace(first_votes.FirstVotes, "outcomes", counting_anew)
''',
    ),
    Mutant(
        "older tallies are shown too", "order", '''
from realtime.room import Room


def trusting(take_tally):
    def take(self, state):
        if state.order < self.state.order:  # as if it were newer than all before
            self.state = state._replace(version=state.version - 1)
        take_tally(self, state)
    return take


replace(Room, "take_tally", trusting)
''',
        ("slow_redis",) * 3,  # what the other process publishes comes after what is known here
    ),
    Mutant(
        "the version goes out without its counts", "committed", '''
from realtime import messages

replace(messages, "read_tally", lambda read: lambda message, known: read(message, known)._replace(
    counts=known.counts))
''',
    ),
    Mutant(
        "nothing is reconciled", "fresh", '''
from polls import selectors

replace(selectors, "get_changes", lambda _: lambda states: ([], []))
''',
        ("kill_redis_for_long",) * 2,
    ),
    Mutant(
        "closed polls take votes", "final", '''
from polls.rules import deciding
from polls.rules.ballot import Refusal

without_fast_lane()
replace(deciding, "refusal_by_status", lambda refusal: lambda state, now: (
    None if refusal(state, now) == Refusal.POLL_CLOSED else refusal(state, now)))
''',
        ("drop_sockets",) * 5,
    ),
    Mutant(
        "everybody sees every result", "hidden", '''
from polls.rules import poll

replace(poll, "may_see_results", lambda _: lambda *args, **kwargs: True)
''',
    ),
    Mutant(
        "a database that is away is our own failure", "answers", '''
from polls.errors import Overloaded

replace(Overloaded, "status", lambda _: 500)
''',
        ("kill_postgres",),
    ),
]  # fmt: skip
