"""Runs every benchmark and prints one table: `python -m benchmarks`."""

import argparse
import asyncio
import base64
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from api.serving import environment
from api.settings import Settings
from api.settings import load as load_settings
from benchmarks import (
    accuracy,
    databases,
    growth,
    ingest,
    log,
    memory,
    metrics,
    recommendations,
    scale,
    sequences,
    servers,
    serving,
    table,
    training,
    unlearning,
    variants,
    world,
)
from benchmarks.recommendations import World
from benchmarks.table import Row
from benchmarks.world import Size

SERVED = Size(resources=2_000, people=400, events_each=30)
LARGE = Size(resources=10_000, people=400, events_each=30)
LONG = ("log", "scale", "growth", "unlearning", "accuracy", "sasrec")
"""Parts that are measured only when they are named: each takes minutes."""
PARTS = ("recommendations", "events", "serving", "training", "memory", "metrics")


def main() -> None:
    """Measure, one part after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        choices=[*PARTS, *LONG, []],
        help=f"what to measure; everything but {', '.join(LONG)} when left out",
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="of accuracy and sasrec: the folder with ml-latest-small and deskdrop/users_interactions.csv.gz",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        help="of sasrec: a folder that keeps what was computed, for a run that is cut short",
    )
    given = parser.parse_args()
    parts = given.parts or PARTS
    if {"accuracy", "sasrec"} & set(parts) and given.data is None:
        parser.error("accuracy and sasrec need --data")
    core, own = servers.cores()
    os.sched_setaffinity(0, {own})
    began = time.monotonic()
    say(
        f"{platform.machine()}, {os.cpu_count()} cores; servers on core {core}, load and PostgreSQL on core {own}"
    )
    with tempfile.TemporaryDirectory() as scratch, databases.postgres(Path(scratch) / "postgres") as postgres:
        rows = measure(parts, Path(scratch), postgres, given.data)
        if "sasrec" in parts:
            say("choosing and training SASRec on two data sets ...")
            rows += sequences.compare(given.data, given.cache or Path(scratch) / "cache", say)
    say(f"\n{table.show(rows)}\n\n{time.monotonic() - began:.0f} s in all")
    if any(row.met is False for row in rows):
        sys.exit(1)


def measure(
    parts: Sequence[str], scratch: Path, postgres: databases.Postgres, data: Path | None = None
) -> list[Row]:
    """Measure the parts that are wanted."""
    rows: list[Row] = []
    if {"recommendations", "events"} & set(parts):
        say(f"making two worlds of {SERVED.people} people ...")
        worlds = [
            make("SQLite", f"sqlite:///{scratch / 'bench.db'}", SERVED, scratch),
            make("PostgreSQL", postgres.create("bench"), SERVED, scratch),
        ]
        asyncio.run(postgres.settle("bench"))
        if "recommendations" in parts:
            say("recommendations ...")
            rows += recommendations.compare(worlds, SERVED, scratch)
        if "events" in parts:
            say("events ...")
            rows += ingest.compare(worlds, SERVED, scratch, postgres)
    if "serving" in parts:
        say("serving, in process ...")
        rows += serving.compare()
    if "log" in parts:
        say(f"making logs of up to {log.SIZES[-1]:,} entries ...")
        rows += log.compare(scratch, postgres)
    if "scale" in parts:
        say(f"filling ledgers of up to {scale.SIZES[-1]:,} people ...")
        rows += scale.compare(lambda name: settings_for(postgres.create(name), scratch, name), postgres, say)
    rows += measure_training(parts, data)
    if "metrics" in parts:
        say("metrics ...")
        rows += metrics.compare()
    if "memory" in parts:
        say(f"making a world of {LARGE.resources:,} resources ...")
        rows += memory.compare(make("large", f"sqlite:///{scratch / 'large.db'}", LARGE, scratch), LARGE)
    return rows


def measure_training(parts: Sequence[str], data: Path | None) -> list[Row]:
    """Measure those of the parts that train and serve nothing."""
    rows: list[Row] = []
    if "training" in parts:
        say("training ...")
        rows += training.compare()
    if "growth" in parts:
        say(f"training on up to {max(growth.SIZES)[0]:,} people ...")
        rows += growth.compare()
    if "unlearning" in parts:
        say(f"training on {unlearning.PEOPLE * unlearning.EACH:,} events, whole and one shard alone ...")
        rows += unlearning.compare()
    if "accuracy" in parts and data is not None:
        say(f"training {len(variants.VARIANTS)} variants on two data sets ...")
        rows += accuracy.compare(data, say)
    return rows


def make(database: str, url: str, size: Size, scratch: Path) -> World:
    """Make a world in an empty database."""
    settings = settings_for(url, scratch, database)
    key = asyncio.run(world.build(settings, size))
    return World(database, environment(settings), key)


def settings_for(url: str, scratch: Path, name: str) -> Settings:
    """Settings of a service of its own."""
    return load_settings(
        {},
        database_url=url,
        secret=base64.b64encode(os.urandom(32)).decode(),
        releases_url=str(scratch / f"releases-{name}"),
        register_url=str(scratch / f"erasures-{name}"),
    )


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
