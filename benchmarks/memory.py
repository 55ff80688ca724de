"""Memory of the API process with a large catalogue and a release, after it has answered."""

import json

from benchmarks import load, servers
from benchmarks.recommendations import PATH, World
from benchmarks.table import Row
from benchmarks.world import Size, user_id

LIMIT_MB = 300


def compare(world: World, size: Size) -> list[Row]:
    """Start the service, let it answer everybody once, and look at its process."""
    port = servers.free_port()
    core, _ = servers.cores()
    requests = [
        load.post(PATH, json.dumps({"user_id": user_id(number), "explain": "full"}).encode(), world.key)
        for number in range(size.people)
    ]
    with servers.assent(world.settings, port, core) as pid:
        load.measure(port, requests, connections=16, once=True)
        now, most = (servers.status_kb(pid, name) / 1024 for name in ("VmRSS", "VmHWM"))
    return [
        Row(
            f"memory, {size.resources:,} resources",
            f"{LIMIT_MB} MB",
            now / LIMIT_MB,
            f"{now:.0f} MB resident",
            f"at most {most:.0f} MB",
            "<= 1",
            now <= LIMIT_MB,
        )
    ]
