"""Many messages in one round trip arrive as single ones do."""

import asyncio

import pytest
from channels.layers import get_channel_layer

from realtime.redis_layer import RedisLayer

pytestmark = pytest.mark.servers


async def test_every_group_gets_its_messages_in_order() -> None:
    layer = get_channel_layer()
    assert isinstance(layer, RedisLayer)
    both, second = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("first", both)
    await layer.group_add("second", both)
    await layer.group_add("second", second)
    await layer.group_send_many(
        [("first", {"n": 1}), ("second", {"n": 2}), ("nobody", {"n": 3}), ("first", {"n": 4})]
    )
    await layer.group_send("second", {"n": 5})
    async with asyncio.timeout(10):
        heard_by_both = [(await layer.receive(both))["n"] for _ in range(4)]
        heard_by_second = [(await layer.receive(second))["n"] for _ in range(2)]
    assert heard_by_both == [1, 2, 4, 5]
    assert heard_by_second == [2, 5]
    await layer.flush()
