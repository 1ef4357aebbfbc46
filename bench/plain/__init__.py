"""The plain baseline: a live poll as a Django developer writes it today.

Django, DRF, Channels and channels_redis as their tutorials have them: a view that checks,
inserts and adds one with F(), a `group_send` for each vote, each socket a member of the
poll's group. Nothing is made slow on purpose and nothing is tuned.
"""
