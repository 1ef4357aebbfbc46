from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from bench.plain.models import Poll
from bench.plain.results import results_of


class PollConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc] # channels ships no types
    async def connect(self) -> None:
        self.poll_id = self.scope["url_route"]["kwargs"]["poll_id"]
        self.group = f"poll_{self.poll_id}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.send_json(await self.read_results())

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def poll_results(self, event: dict[str, Any]) -> None:
        await self.send_json(event["results"])

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def read_results(self) -> dict[str, Any]:
        return results_of(Poll.objects.get(pk=self.poll_id))
