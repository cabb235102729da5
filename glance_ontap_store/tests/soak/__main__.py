# SPDX-License-Identifier: Apache-2.0
"""The command of the soak; see ``--help``."""

import argparse
from collections.abc import Sequence
import contextlib
import logging
from pathlib import Path
import random
import sys
import tempfile
import time

from glance_ontap_store.tests.soak import left
from glance_ontap_store.tests.soak import registered
from glance_ontap_store.tests.soak import report
from glance_ontap_store.tests.soak import soak
from glance_ontap_store.tests.soak import weather
from glance_ontap_store.tests.soak.soak import Soak
from lab.client import Lab
from lab.errors import LabError

RECOVERY_S = 180


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak; 0: all right, 1: something was wrong or left, 2: not in a lab."""
    options = _parsed(arguments)
    try:
        lab = Lab.from_facts()
    except LabError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    directory = Path(options.logs or tempfile.mkdtemp(prefix="soak-"))
    directory.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        filename=directory / "soak.log",
        format="%(asctime)s %(threadName)s %(message)s",
    )
    print(f"soak: seed {options.seed}, logs in {directory}", flush=True)
    before = left.found(lab)
    size = soak.Size(options.hosts, options.processes, options.threads, options.pause)
    running = Soak(lab, options.seed, size, directory)
    try:
        return _run(lab, running, options, before)
    finally:
        running.close()


def _run(
    lab: Lab, running: Soak, options: argparse.Namespace, before: left.Found
) -> int:
    progress = report.Progress(running)
    spells = weather.spells(random.Random(f"{options.seed} weather"))
    running.run(spells, options.minutes * 60, progress.tell)
    # The worst end: all of them die at once.
    for process in running.processes:
        process.kill()
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(running.fresh(host)) for host in running.hosts]
        # Recovery begins when a process is first used.
        progress.say("all processes are killed; new ones read all images")
        soak.verified(running.model, lines)
        progress.say("recovery")
        began = time.monotonic()
        rest = left.after_recovery(lab, running.hosts, before, RECOVERY_S)
        took = time.monotonic() - began
        progress.say("Glance takes the images, and audit reads them")
        images = running.model.living()
        audited = registered.register(images) + registered.audited(images)
        progress.say("sweep, which must leave the images alone")
        volumes = [image.url.rpartition("/")[2] for image in images]
        orphans = left.swept(lab, before, volumes)
        progress.say("all images are read again, and deleted")
        soak.verified(running.model, lines)
        audited += registered.delete(images)
        soak.emptied(running.model, lines[0])
        rest |= left.after_deletion(lab, running.hosts, before, RECOVERY_S)
    outcome = report.Outcome(took, rest, audited, orphans)
    print(report.summary(running, outcome))
    return 0 if report.is_right(running, outcome) else 1


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="soak", description="Use stores from two hosts while things break."
    )
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2, help="on each host")
    parser.add_argument("--threads", type=int, default=2, help="in each process")
    parser.add_argument(
        "--pause", type=float, default=0.7, help="mean seconds between operations"
    )
    parser.add_argument("--logs", help="directory for the processes' logs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
