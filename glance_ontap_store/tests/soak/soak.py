# SPDX-License-Identifier: Apache-2.0
"""The soak itself: starts and kills processes, and gives them their commands."""

from collections.abc import Iterator
import contextlib
import dataclasses
import json
import logging
from multiprocessing import connection
from pathlib import Path
import random
import subprocess
import threading
import time
from typing import Any
from urllib import parse

import requests

from glance_ontap_store.tests.soak import hosts
from glance_ontap_store.tests.soak.hosts import Host
from glance_ontap_store.tests.soak.model import Command
from glance_ontap_store.tests.soak.model import Fate
from glance_ontap_store.tests.soak.model import Model
from glance_ontap_store.tests.soak.model import Outcome
from glance_ontap_store.tests.soak.model import Result
from glance_ontap_store.tests.soak.proxy import NOTHING
from glance_ontap_store.tests.soak.proxy import Proxy
from glance_ontap_store.tests.soak.weather import Spell
from glance_ontap_store.tests.soak.worker import Setup
from lab.client import Lab

LOG = logging.getLogger(__name__)

STORES = ["fv1", "fv2"]
# The endpoint of Cinder in Keystone's catalog that leads through the proxy. Only the
# soak uses it.
PROXIED = "admin"
# So long an operation may take: several waits for Cinder, one after another.
_PATIENCE_S = 900


@dataclasses.dataclass(frozen=True)
class Size:
    """How much runs at once. *pause_s* bounds the load of each thread."""

    hosts: int = 2
    processes: int = 2
    threads: int = 2
    pause_s: float = 0.7


class Process:
    """A worker on a host, which can be killed and is then replaced."""

    def __init__(self, host: Host, setup: Setup, logs: Path) -> None:
        self._host = host
        self.name = setup.name
        self._setup = setup
        self._log = logs / f"{setup.name}.log"
        self.kills = 0
        self._listener = connection.Listener(
            setup.address, family="AF_UNIX", backlog=16
        )
        self._popen: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it, or start it again."""
        command = ["-m", "glance_ontap_store.tests.soak.worker"]
        argument = json.dumps(dataclasses.asdict(self._setup))
        with open(self._log, "ab") as log:
            self._popen = self._host.start([*command, argument], log)

    def is_dead(self) -> bool:
        """Return whether it has ended by itself."""
        return self._popen is not None and self._popen.poll() is not None

    def line(self) -> connection.Connection:
        """The connection of one of its threads, when it has started."""
        with self._lock:
            line = self._listener.accept()
            line.recv()  # its name
            return line

    def kill(self) -> None:
        """End it at once; its threads' operations end in between."""
        if self._popen is not None:
            hosts.kill(self._popen)
        self.kills += 1

    def close(self) -> None:
        """End it, and take no more connections."""
        if self._popen is not None:
            hosts.kill(self._popen)
        self._listener.close()


class Soak:
    """Two hosts with some processes each, and the model of what they must hold."""

    def __init__(self, lab: Lab, seed: int, size: Size, directory: Path) -> None:
        self._seed = seed
        self._size = size
        self._directory = directory
        self.model = Model(STORES)
        self.proxy = Proxy(lab.facts["urls"]["cinder"], seed)
        self._stack = contextlib.ExitStack()
        self._stack.callback(self.proxy.close)
        self._stack.enter_context(_announced(lab, self.proxy.url))
        self._ontap = lab.facts["urls"]["ontap"].partition("/api")[0]
        self.hosts = [Host(f"soak-{number + 1}") for number in range(size.hosts)]
        self.processes = [
            self._process(host, f"{host.name}-{number + 1}", size.threads)
            for host in self.hosts
            for number in range(size.processes)
        ]
        self._stop = threading.Event()
        # Begins and ends of spells that are not quiet: operations compare.
        self._storms = 0
        self._is_quiet = True
        self._lock = threading.Lock()
        self.running = 0

    def _process(self, host: Host, name: str, threads: int) -> Process:
        options = {
            "mount_point_base": host.base,
            "catalog_info": f"volumev3::{PROXIED}URL",
            "recovery_interval": 10,
            "delete_wait": 5,
            "state_transition_timeout": 60,
        }
        address = str(self._directory / f"{name}.socket")
        setup = Setup(name, address, threads, STORES, options)
        return Process(host, setup, self._directory)

    def run(self, spells: Iterator[Spell], seconds: float, tell: Any) -> None:
        """Let all run for *seconds*, and then finish what is under way."""
        for process in self.processes:
            process.start()
        threads = [
            threading.Thread(
                target=self._slot,
                args=(process, random.Random(f"{self._seed} {index} {number}")),
            )
            for index, process in enumerate(self.processes)
            for number in range(self._size.threads)
        ]
        for thread in threads:
            thread.start()
        rng = random.Random(f"{self._seed} kills")
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                self._spell(next(spells), left, rng, tell)
        finally:
            self._calm()
            self._stop.set()
            for thread in threads:
                while thread.is_alive():
                    thread.join(10)
                    tell("ends")

    def _spell(self, spell: Spell, left: float, rng: random.Random, tell: Any) -> None:
        end = time.monotonic() + min(spell.seconds, left)
        tell(spell.name)
        if not spell.is_quiet:
            with self._lock:
                self._storms += 1
                self._is_quiet = False
        self.proxy.plan = spell.plan
        if spell.ontap is not None:
            requests.post(f"{self._ontap}/_sim/faults", json=spell.ontap, timeout=10)
        if spell.kills_after is not None:
            time.sleep(min(spell.kills_after, max(0, end - time.monotonic())))
            killed = rng.choice(self.processes)
            killed.kill()
            killed.start()
        time.sleep(max(0, end - time.monotonic()))
        self._calm()
        for process in self.processes:
            if process.is_dead():
                self.model.violations.append(f"{process.name} ended by itself")
                process.start()

    def _calm(self) -> None:
        self.proxy.plan = NOTHING
        requests.delete(f"{self._ontap}/_sim/faults", timeout=10)
        with self._lock:
            self._is_quiet = True

    def _slot(self, process: Process, rng: random.Random) -> None:
        """One thread's commands, one after another, over as many lives as it has."""
        while not self._stop.is_set():
            with contextlib.suppress(EOFError, OSError):
                with process.line() as line:
                    while not self._stop.is_set():
                        if not self._once(line, self.model.next(rng)):
                            break
                        self._stop.wait(rng.uniform(0, 2 * self._size.pause_s))

    def _once(self, line: connection.Connection, command: Command) -> bool:
        """Have a command done; return whether its process lives."""
        with self._lock:
            storms, was_quiet = self._storms, self._is_quiet
            self.running += 1
        outcome = ask(line, command)
        with self._lock:
            self.running -= 1
            is_quiet = was_quiet and storms == self._storms
        LOG.info("%s %s: %s", command.verb, command.image_id, outcome)
        self.model.done(command, outcome, is_quiet)
        return outcome.result is not Result.KILLED

    @contextlib.contextmanager
    def fresh(self, host: Host) -> Iterator[connection.Connection]:
        """A process that starts after all others have died."""
        process = self._process(host, f"{host.name}-last", 1)
        process.start()
        try:
            with process.line() as line:
                yield line
        finally:
            process.close()

    def close(self) -> None:
        """End everything."""
        for process in self.processes:
            process.close()
        self._stack.close()
        for host in self.hosts:
            host.close()


@contextlib.contextmanager
def _announced(lab: Lab, proxy: str) -> Iterator[None]:
    """Let an endpoint of Cinder in Keystone's catalog lead to *proxy* meanwhile."""
    identity: Any = lab.cloud("admin").identity
    (service,) = identity.services(type="volumev3")
    (endpoint,) = identity.endpoints(service_id=service.id, interface=PROXIED)
    before = endpoint.url
    identity.update_endpoint(endpoint, url=f"{proxy}{parse.urlsplit(before).path}")
    try:
        yield
    finally:
        identity.update_endpoint(endpoint, url=before)


def ask(line: connection.Connection, command: Command) -> Outcome:
    """Have the process at the other end do *command*."""
    try:
        line.send(command)
        if not line.poll(_PATIENCE_S):
            return Outcome(Result.WRONG, f"{command.verb} hangs ({_PATIENCE_S} s)")
        outcome: Outcome = line.recv()
    except (EOFError, OSError):
        return Outcome(Result.KILLED)
    return outcome


def verified(model: Model, lines: list[connection.Connection]) -> None:
    """Read every image whole, each through another process than the one before."""
    for index, image in enumerate(model.remaining()):
        command = Command("read", image.store, image.id, image.data, url=image.url)
        image.users += 1
        outcome = ask(lines[index % len(lines)], command)
        if image.fate is Fate.LIVE and outcome.result is not Result.DONE:
            model.violations.append(f"image {image.id} at the end: {outcome}")
        model.done(command, outcome, is_quiet=True)


def emptied(model: Model, line: connection.Connection) -> None:
    """Delete every image."""
    for image in model.remaining():
        command = Command("delete", image.store, image.id, image.data, url=image.url)
        image.users += 1
        outcome = ask(line, command)
        if outcome.result not in (Result.DONE, Result.MISSING):
            model.violations.append(f"image {image.id} cannot be deleted: {outcome}")
        model.done(command, outcome, is_quiet=True)
