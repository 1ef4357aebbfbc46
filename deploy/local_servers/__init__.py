"""A PostgreSQL and a Redis of one's own: for tests, benchmarks and the local cluster.

Each runs from its wheel's binaries as a child process, on 127.0.0.1, behind a random
password, with its data in the given folder. Commits are durable unless told otherwise (fsync
stays on). Both can be stopped, killed, frozen and restarted on the same port and data. Whatever
becomes of the process that started them, even kill -9, they end with it.

Never for production, and never imported by the application. The wheels come with
requirements-dev.txt.
"""

from deploy.local_servers.guarded_process import GuardedProcess
from deploy.local_servers.places import free_port, private_folder
from deploy.local_servers.postgres import PrivatePostgres, create_database
from deploy.local_servers.redis import PrivateRedis
from deploy.local_servers.server import ServerFailed, ServersMissing

__all__ = [
    "GuardedProcess", "PrivatePostgres", "PrivateRedis", "ServerFailed", "ServersMissing",
    "create_database", "free_port", "private_folder",
]  # fmt: skip
