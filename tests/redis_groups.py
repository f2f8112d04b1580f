"""Several Redis processes that belong together: a cluster, or a master with replicas and Sentinels. No test logic."""

import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import redis

from leadscore.store.keys import SLOTS, ShardKeys
from tests.servers import LOOPBACK, RedisKind, RedisServer, free_ports, start_redis, start_sentinel, wait_until

MASTERS = 3
NODE_TIMEOUT_MS = 1_000
DOWN_AFTER_MS = 1_000
"""When a Sentinel takes a server that does not answer for down."""


def run(client: redis.Redis, *command: str | int) -> bytes:
    """The server's own reply to a command."""
    return cast("bytes", client.execute_command(*command))


def port_of(server: RedisServer) -> int:
    return urlsplit(server.url).port or 0


def node_id(client: redis.Redis) -> str:
    return run(client, "CLUSTER", "MYID").decode()


def _cut_off(replica: RedisServer, master: redis.Redis) -> None:
    """Stop the replica, and close the link: what is in its buffers would be read later, as if it had not been cut."""
    assert replica.pid is not None
    os.kill(replica.pid, signal.SIGSTOP)
    master.execute_command("CLIENT", "KILL", "TYPE", "replica")


def _continue(replica: RedisServer) -> None:
    assert replica.pid is not None
    os.kill(replica.pid, signal.SIGCONT)


# Redis Cluster


@dataclass(frozen=True, slots=True)
class Cluster:
    """Masters that own equal ranges of slots, in order, then their replicas in the same order, if there are any."""

    servers: list[RedisServer]
    clients: list[redis.Redis]

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def owner_of(self, keys: ShardKeys) -> redis.Redis:
        return self.clients[keys.slot * MASTERS // SLOTS]

    def cut_replica_off(self, number: int) -> None:
        """From here on that master acknowledges what its replica does not get."""
        _cut_off(self.servers[MASTERS + number], self.clients[number])

    def kill_master(self, number: int) -> None:
        """Without an orderly end; its replica goes on where it was."""
        self.servers[number].stop()
        _continue(self.servers[MASTERS + number])

    def wait_for_promotion(self, number: int) -> None:
        """Until the replica of that master has taken over, and every node that is left knows."""
        replica = self.clients[MASTERS + number]
        wait_until(lambda: replica.info("replication")["role"] == "master", 30, f"the replica of master {number}")
        wait_until(lambda: all(map(_is_well_or_dead, self.clients)), 30, "the cluster to be complete again")


@dataclass(frozen=True, slots=True)
class SlotMove:
    """One slot on its way from one master to another."""

    slot: int
    source: redis.Redis
    target: redis.Redis

    def begin(self) -> None:
        run(self.target, "CLUSTER", "SETSLOT", self.slot, "IMPORTING", node_id(self.source))
        run(self.source, "CLUSTER", "SETSLOT", self.slot, "MIGRATING", node_id(self.target))

    def take(self, *keys: str | bytes) -> None:
        port = self.target.connection_pool.connection_kwargs["port"]
        self.source.execute_command("MIGRATE", LOOPBACK, port, "", 0, 5_000, "KEYS", *keys)

    def take_all(self, keys: ShardKeys) -> None:
        self.take(keys.fence, keys.outbox, keys.due, keys.erased, keys.lead("L1"), keys.lead("L2"))

    def take_some(self, most: int) -> int:
        """The next keys that are left, and how many they were."""
        left = cast("list[bytes]", self.source.execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, most))
        if left:
            self.take(*left)
        return len(left)

    def end(self) -> None:
        for client in (self.target, self.source):
            run(client, "CLUSTER", "SETSLOT", self.slot, "NODE", node_id(self.target))


def move_of(cluster: Cluster, keys: ShardKeys) -> SlotMove:
    source = cluster.owner_of(keys)
    target = next(client for client in cluster.clients[:MASTERS] if client is not source)
    return SlotMove(keys.slot, source, target)


def start_cluster(kind: RedisKind, stack: ExitStack, replicas: int = 0) -> Cluster:
    """Three masters, each with as many replicas as asked for (0 or 1)."""
    servers, clients, bus_ports = [], [], free_ports(MASTERS * (1 + replicas))
    for bus_port in bus_ports:
        options = ["--cluster-enabled", "yes", "--cluster-port", str(bus_port)]
        options += ["--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--repl-diskless-sync-delay", "0"]
        servers.append(stack.enter_context(start_redis(kind, *options)))
        clients.append(stack.enter_context(closing(redis.Redis.from_url(servers[-1].url))))
    cluster = Cluster(servers, clients)
    for index, client in enumerate(clients[:MASTERS]):
        first, last = -(-SLOTS * index // MASTERS), -(-SLOTS * (index + 1) // MASTERS) - 1
        run(client, "CLUSTER", "ADDSLOTSRANGE", first, last)
    for index, client in enumerate(clients):
        run(client, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        run(client, "CLUSTER", "MEET", LOOPBACK, port_of(servers[0]), bus_ports[0])
    wait_until(lambda: all(map(_is_complete, clients)), timeout_s=30, message="the cluster")
    for number, replica in enumerate(clients[MASTERS:]):
        _follow(cluster, number, replica)
    return cluster


def _is_complete(client: redis.Redis) -> bool:
    told = run(client, "CLUSTER", "INFO").decode().split()
    return "cluster_state:ok" in told and f"cluster_size:{MASTERS}" in told


def _is_well_or_dead(client: redis.Redis) -> bool:
    try:
        return b"cluster_state:ok" in run(client, "CLUSTER", "INFO")
    except redis.ConnectionError:
        return True


def _follow(cluster: Cluster, number: int, replica: redis.Redis) -> None:
    master = node_id(cluster.clients[number])

    def knows_master() -> bool:
        return master in run(replica, "CLUSTER", "NODES").decode()

    wait_until(knows_master, 30, "the replica to know its master")
    run(replica, "CLUSTER", "REPLICATE", master)
    wait_until(lambda: replica.info("replication").get("master_link_status") == "up", 30, "the replica")


# Sentinel


@dataclass(frozen=True, slots=True)
class Watched:
    """A master and its replica under Sentinels; ``url`` is what a worker is given."""

    service: str
    master: RedisServer
    replica: RedisServer
    sentinels: list[RedisServer]

    @property
    def url(self) -> str:
        return ",".join(f"redis+sentinel://{urlsplit(one.url).netloc}/{self.service}/0" for one in self.sentinels)

    def master_port(self) -> int:
        """Of the server that the first Sentinel names."""
        with closing(redis.Redis.from_url(self.sentinels[0].url)) as client:
            told = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
            return int(cast("tuple[bytes, int]", told)[1])

    def cut_replica_off(self) -> None:
        """From here on the master acknowledges what its replica does not get."""
        with closing(redis.Redis.from_url(self.master.url)) as client:
            _cut_off(self.replica, client)

    def ask_for_failover(self) -> None:
        """As an operator does; until the Sentinels name the new master."""
        with closing(redis.Redis.from_url(self.sentinels[0].url)) as client:
            client.sentinel_failover(self.service)
        wait_until(lambda: self.master_port() == port_of(self.replica), 60, "the promotion of the replica")

    def wait_until_demoted(self) -> None:
        """Until the old master has become a replica of the new one."""
        with closing(redis.Redis.from_url(self.master.url)) as client:
            wait_until(lambda: _is_replica(client), 60, "the old master to become a replica")

    def fail_over(self) -> None:
        """The master is killed, the replica goes on where it was, and the Sentinels promote it."""
        self.master.stop()
        _continue(self.replica)
        wait_until(lambda: self.master_port() == port_of(self.replica), 60, "the promotion of the replica")


def start_watched(kind: RedisKind, stack: ExitStack, sentinels: int = 3, options: Sequence[str] = ()) -> Watched:
    """A master, a replica that has caught up, and Sentinels that know both and each other."""
    master = stack.enter_context(start_redis(kind, "--repl-diskless-sync-delay", "0", *options))
    replica = stack.enter_context(start_redis(kind, "--replicaof", LOOPBACK, str(port_of(master)), *options))
    service = "leads"
    watch = [
        f"sentinel monitor {service} {LOOPBACK} {port_of(master)} {sentinels // 2 + 1}",
        f"sentinel down-after-milliseconds {service} {DOWN_AFTER_MS}",
        f"sentinel failover-timeout {service} 10000",
    ]
    watched = Watched(
        service, master, replica, [stack.enter_context(start_sentinel(kind, watch)) for _ in range(sentinels)]
    )
    wait_until(lambda: all(_knows_all(one, watched) for one in watched.sentinels), 30, "the Sentinels")
    return watched


def _is_replica(client: redis.Redis) -> bool:
    """A Sentinel closes all connections of a server that it demotes."""
    try:
        return bool(client.info("replication")["role"] == "slave")
    except redis.ConnectionError:
        return False


def _knows_all(sentinel: RedisServer, watched: Watched) -> bool:
    with closing(redis.Redis.from_url(sentinel.url)) as client:
        told = cast("dict[str, object]", client.sentinel_master(watched.service))
        links = [one["master-link-status"] for one in client.sentinel_slaves(watched.service)]
    return told["num-other-sentinels"] == len(watched.sentinels) - 1 and links == ["ok"]
