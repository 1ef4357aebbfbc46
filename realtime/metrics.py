"""What can be measured about sockets, for Prometheus. Counted a flush, not a frame."""

from prometheus_client import Counter, Gauge

SOCKETS = Gauge("livepoll_sockets", "Sockets that watch a poll in this process.")
FRAMES = Counter("livepoll_frames", "Results frames handed to sockets.")
SKIPPED = Counter("livepoll_frames_skipped", "Results frames that a newer one replaced unsent.")
CLOSED = Counter("livepoll_sockets_closed", "Sockets that we closed, by code.", ["code"])
LAYER_FAILURES = Counter("livepoll_channel_layer_failures", "Calls the channel layer failed.")
LAG = Gauge(
    "livepoll_shown_lag_votes",
    "The most vote events that a watched poll's screens were behind the database.",
)
