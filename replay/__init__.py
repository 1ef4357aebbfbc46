"""Real ballots, cast again: reads PrefLib files and votes them over the public REST API.

No other package imports this one; it needs no database of its own and only its sample poll
touches the server's, through `polls.services`.
"""
