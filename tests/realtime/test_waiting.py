"""A socket's queue and event: as asyncio's, for one reader."""

import asyncio

from realtime.waiting import Messages, Writable


async def test_messages_come_in_order_before_and_after_they_are_waited_for() -> None:
    messages = Messages()
    messages.put_nowait(1)
    messages.put_nowait(2)
    assert (messages.qsize(), messages.empty()) == (2, False)
    assert [await messages.get(), await messages.get()] == [1, 2]
    assert messages.empty()
    waiting = asyncio.create_task(messages.get())
    await asyncio.sleep(0)
    messages.put_nowait(3)
    messages.put_nowait(4)
    assert await waiting == 3
    assert await messages.get() == 4


async def test_a_reader_that_gives_up_loses_no_message() -> None:
    messages = Messages()
    waiting = asyncio.create_task(messages.get())
    await asyncio.sleep(0)
    waiting.cancel()
    messages.put_nowait(1)
    await asyncio.wait([waiting])
    assert await messages.get() == 1


async def test_all_who_wait_to_write_go_on_when_they_may() -> None:
    writable = Writable()
    assert writable.is_set()
    assert await writable.wait()
    writable.clear()
    writable.clear()
    assert not writable.is_set()
    waiting = [asyncio.create_task(writable.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    writable.set()
    writable.set()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert done[1:] == [True, True]


async def test_who_waits_again_waits_for_the_next_time() -> None:
    writable = Writable()
    writable.clear()
    waiting = asyncio.create_task(writable.wait())
    await asyncio.sleep(0)
    writable.set()
    writable.clear()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    writable.set()
    assert await waiting
