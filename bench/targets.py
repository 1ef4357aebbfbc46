"""What the figures have to reach: ratios first, for they hold on other machines as well."""

from bench.report import Target

_FANOUT = "fan-out/livepoll, uvicorn/frames/s"
_PLAIN_FANOUT = "fan-out/plain, daphne/frames/s"
_VOTES = "votes/livepoll, one process, one poll/votes/s"
_MANY_POLLS = "votes/livepoll, one process, 100 polls/votes/s"
_VOTES_OF_MANY = "votes/livepoll, one process, one poll, 256 clients"
_PGBENCH = "votes/pgbench, single-row inserts"
_EMPTY = "votes/livepoll, empty table/votes/s"
_SOCKETS = "sockets/livepoll, uvicorn"
_ECHO = "reads/bare ASGI echo/requests/s"
_SCREEN = "vote to screen/livepoll, 5,000 screens, 1,000 votes/s/p99"
_ROOMS = "rooms/livepoll, uvicorn"
_STORM = "storm/livepoll, restart under 5,000 screens/all live and right"
_ARRIVAL = "arrival/livepoll, {}, 5,000 phones/"
_MEMORY = "memory/livepoll, 360,000 votes/last over first quarter"

TARGETS = [
    Target("Fan-out beside Nchan", _FANOUT, 0.75, "fan-out/Nchan/frames/s"),
    Target("Fan-out beside Socket.IO", _FANOUT, 1.0, "fan-out/Socket.IO/frames/s"),
    Target("Fan-out beside plain", _FANOUT, 20, _PLAIN_FANOUT),
    Target(
        "Fan-out on Daphne beside plain", "fan-out/livepoll, daphne/frames/s", 7, _PLAIN_FANOUT
    ),
    Target(
        "Fan-out of two processes", "fan-out/livepoll, uvicorn, 2 processes/frames/s", 1.0, _FANOUT
    ),
    Target("Votes beside pgbench", _VOTES, 1.0, f"{_PGBENCH}, simple protocol/votes/s"),
    Target("Votes beside pgbench prepared", _VOTES, 1.0, f"{_PGBENCH}, prepared protocol/votes/s"),
    Target("Votes beside pgbench, 256 clients", f"{_VOTES_OF_MANY}/votes/s", 1.0,
           f"{_PGBENCH}, simple protocol, 256 clients/votes/s"),
    Target("Votes beside plain", _VOTES, 25, "votes/plain, daphne/votes/s"),
    Target("Votes over 100 polls", _MANY_POLLS, 0.7, _VOTES),
    Target("Votes, other polls full", "votes/livepoll, full table, other polls/votes/s",
           0.9, _EMPTY),
    Target("Votes, the poll full", "votes/livepoll, full table, same poll/votes/s", 0.9, _EMPTY),
    Target("Votes on SQLite", "votes/livepoll, SQLite, one poll/votes/s", 0.5, _VOTES),
    Target("Votes that change beside pgbench",
           "votes/livepoll, one process, three changes a voter/votes/s", 0.35,
           f"{_PGBENCH}, simple protocol/votes/s"),
    Target(
        "Votes of two processes", "votes/livepoll, two processes, one poll/votes/s", 1.0, _VOTES
    ),
    Target("Votes of two processes, 100 polls",
           "votes/livepoll, two processes, 100 polls/votes/s", 1.0, _MANY_POLLS),
    Target("Votes of two processes, 100 polls, 256 clients",
           "votes/livepoll, two processes, 100 polls, 256 clients/votes/s", 1.0,
           "votes/livepoll, one process, 100 polls, 256 clients/votes/s"),
    Target("Vote to screen, ms", _SCREEN, 250, is_ceiling=True),
    Target("KB a socket", f"{_SOCKETS}/resident memory a socket", 25, is_ceiling=True),
    Target("Connects/s", f"{_SOCKETS}/connects/s", 2_000),
    Target("Idle CPU, % of a core", f"{_SOCKETS}/idle CPU", 3, is_ceiling=True),
    *(Target(f"{rooms} quiet rooms, {of}, % of a core",
             f"{_ROOMS}, {rooms} rooms/{of} at rest", limit, is_ceiling=True)
      for rooms, limit in (("2,000", 4), ("20,000", 15)) for of in ("web process", "Redis")),
    *(Target(f"{what} of 5,000 phones, {short}", _ARRIVAL.format(site) + figure, limit,
             is_ceiling=True)
      for site, short in (("uvicorn", "PostgreSQL"), ("embedded default", "SQLite"))
      for what, figure, limit in (
          ("Votes, s,", "until the last has voted", 8),
          ("Screens, s,", "last vote to every screen", 1),
          ("Errors", "errors", 0),
      )),
    Target("Right after a restart, s", _STORM, 10, is_ceiling=True),
    Target("Reads beside echo", "reads/results/requests/s", 0.5, _ECHO),
    *(Target(f"{what} beside echo", f"pages/{what}/requests/s", limit,
             "pages/bare ASGI echo/requests/s")
      for what, limit in (("vote page", 0.3), ("poll object", 0.35), ("start page", 0.05),
                          ("list", 0.03), ("vote page, If-None-Match", 0.5),
                          ("poll object, If-None-Match", 0.5))),
    Target("Making a poll, ms of CPU", "create/livepoll/CPU a poll", 2.5, is_ceiling=True),
    Target("Memory over an hour of votes", _MEMORY, 1.05, is_ceiling=True),
]  # fmt: skip
