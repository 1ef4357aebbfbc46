"""Small deliberate bugs, at least one for each rule of the checker: a run on a copy of the
source that has one must be told by that rule. They show that the checker can see."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Patch:
    """In this file of the copy, this text once, becomes that."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A bug, the rule that must tell of it, and the faults that bring it out."""

    name: str
    rule: str
    patches: tuple[Patch, ...]
    faults: tuple[str, ...] = ("drop_sockets",)

    def apply(self, root: Path) -> None:
        """Raises ValueError when the source is no longer what the mutant was made for."""
        for patch in self.patches:
            path = root / patch.file
            text = path.read_text()
            if text.count(patch.old) != 1:
                raise ValueError(f"{self.name}: {patch.old!r} is not once in {patch.file}")
            path.write_text(text.replace(patch.old, patch.new))


# Most votes are first ones, decided before the lock: for bugs of what happens under it.
_NONE_PRESUMED = Patch(
    "polls/voting/loop_box.py", "None if self._wary else presume(", "None and presume("
)

MUTANTS = [
    Mutant(
        "a failed commit is answered as done", "stored",
        (Patch("polls/voting/committer.py",
               "    with vote_transaction():\n        decided",
               "    from contextlib import suppress\n    from django.db import DatabaseError\n"
               "    with suppress(DatabaseError), vote_transaction():\n        decided"),
         Patch("polls/voting/loop_box.py", "            self._connection.run([*decided.writes",
               "            settle([(who, finish, one) for (_, who, finish), one in\n"
               "                    zip(self._batch, decided.outcomes)])\n"
               "            self._connection.run([*decided.writes"),
         Patch("polls/voting/loop_box.py", "waiting = self._batch + self._gathered",
               "waiting = self._gathered"), _NONE_PRESUMED),
        ("lose_a_commit",) * 3,
    ),
    Mutant(
        "commits are not durable", "stored",
        (Patch("livepoll/settings.py",
               '            "connect_timeout": 5,\n',
               '            "connect_timeout": 5, "options": "-c synchronous_commit=off",\n'),),
        ("kill_postgres",) * 4,
    ),
    Mutant(
        "no lock, and collisions are ignored", "stored",
        (Patch("polls/voting/state_rows.py", '" FOR UPDATE" * (lock', '"" * (lock'),
         Patch("polls/voting/vote_store.py", "%s::boolean[], %s::bigint[])",
               "%s::boolean[], %s::bigint[]) ON CONFLICT DO NOTHING"), _NONE_PRESUMED),
    ),
    Mutant(
        "earlier votes are not looked up", "once",
        (Patch("polls/voting/committer.py",
               "for vote in (votes or []) + (yield from vote_store.current_votes(unforeseen)):",
               "for vote in ():"),
         Patch("polls/migrations/0001_initial.py", "condition=models.Q(('is_current', True))",
               "condition=models.Q(('is_current', True), ('seq', 0))"),
         Patch("polls/voting/additions.py", "FROM given, unnest(voters, epochs) AS one",
               "FROM given, unnest(voters[:0], epochs[:0]) AS one")),
        ("lose_a_commits_answer",) * 3,
    ),
    Mutant(
        "a retry is told another seq", "retry",
        (Patch("polls/voting/committer.py", "return Outcome(verdict, earlier)",
               "return Outcome(verdict, earlier._replace(seq=desk.version))"),),
    ),
    Mutant(
        "a seq is left out now and then", "gapless",
        (Patch("polls/voting/committer.py", "        self.version += 1\n",
               "        self.version += 2 if self.version % 50 == 49 else 1\n"), _NONE_PRESUMED),
    ),
    Mutant(
        "a replaced vote is not counted out", "recount",
        (Patch("polls/voting/committer.py", "earlier.marks, -1)", "earlier.marks, 0)"),),
    ),
    Mutant(
        "first votes do not ask whether the poll is still what it was", "final",
        (Patch("polls/voting/additions.py",
               "WHERE poll.id = t.id AND poll.epoch = t.epoch AND poll.revision = t.revision",
               "WHERE poll.id = t.id AND poll.epoch = t.epoch"),
         Patch("polls/voting/known_polls.py", "_TRUSTED_SECONDS = 1.0", "_TRUSTED_SECONDS = 60.0"),
         Patch("polls/voting/known_polls.py", "_known[state.code] = known",
               "_known[state.code] = _known.get(state.id, known)")),
        ("drop_sockets",) * 5,
    ),
    Mutant(
        "first votes get seqs that are taken", "retry",
        (Patch("polls/voting/first_votes.py", "addition.tally.voters + index + 1", "index"),),
    ),
    Mutant(
        "older tallies are shown too", "order",
        (Patch("realtime/room.py", "        if state.order <= self.state.order:\n",
               "        if state.order == self.state.order:\n"),),
        ("slow_redis",) * 3,  # what the other process tells comes after what is known here
    ),
    Mutant(
        "the version goes out without its counts", "committed",
        (Patch("realtime/messages.py", '"votes", "counts", "stars")', '"votes", "stars")'),),
    ),
    Mutant(
        "nothing is reconciled", "fresh",
        (Patch("realtime/hub.py", "                    self._compare(room, reading)\n",
               "                    pass\n"),),
        ("kill_redis_for_long",) * 2,
    ),
    Mutant(
        "closed polls take votes", "final",
        (Patch("polls/rules/deciding.py", "    if status == Status.OPEN:\n        return None",
               "    if status in (Status.OPEN, Status.CLOSED):\n        return None"),),
        ("drop_sockets",) * 5,
    ),
    Mutant(
        "everybody sees every result", "hidden",
        (Patch("polls/rules/poll.py",
               "    if is_owner or visibility == Visibility.ALWAYS:\n        return True",
               "    if is_owner or visibility:\n        return True"),),
    ),
    Mutant(
        "a database that is away is our own failure", "answers",
        (Patch("polls/voting/ballot_box.py",
               'return [Overloaded("The database is away; try again.") for _ in batch]',
               "return [ServerError() for _ in batch]"),),
        ("kill_postgres",),
    ),
]  # fmt: skip
