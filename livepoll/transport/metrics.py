"""What can be measured about connections, for Prometheus."""

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge("livepoll_connections", "TCP connections of this process, sockets included.")
REFUSED = Counter(
    "livepoll_refused", "Requests and connections beyond a bound, by reason.", ["reason"]
)
