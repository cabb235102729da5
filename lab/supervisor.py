# SPDX-License-Identifier: Apache-2.0
"""Start all services of a lab in order, and serve requests to restart them.

It runs inside the namespace. Requests come over a unix socket, one JSON object for
each connection: ``{"do": "start" | "stop" | "kill" | "restart", "service": name}``;
the answer is ``{"pids": ...}`` or ``{"error": text}``.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import json
import os
import socketserver
import sys
import threading
from typing import Any

from lab import cinder
from lab import glance
from lab import keystone
from lab import namespace
from lab import packages
from lab import rabbitmq
from lab import rootwrap
from lab import san
from lab import san_devices
from lab import secure_nfs
from lab import services
from lab import simulator
from lab import sqlite_plugin
from lab.errors import LabError
from lab.errors import ServiceFailed
from lab.layout import CHECKOUT
from lab.layout import Layout
from lab.layout import environment_bin
from lab.progress import say
from lab.san_devices import Devices
from lab.services import Service
from lab.steps import Step
from lab.steps import run_in_order

COVERED = ("keystone", "glance", "cinder")
# When one of these has started, the scheduler must hear of the pools again.
SCHEDULING = frozenset({cinder.EMBEDDED, "cinder-scheduler"})
LOCAL = "127.0.0.1,localhost"


class Supervisor:
    """All services of one lab."""

    def __init__(self, lab: Layout) -> None:
        self._lab = lab
        self._environment = service_environment(lab)
        self.services: dict[str, Service] = {}

    def start_all(self) -> None:
        """Start all services and return when they answer.

        :raises LabError: the first failure; services already started end with the
            namespace
        """
        lab = self._lab
        lab.make_directories()
        namespace.cover_system_directories(
            lab.root / "private",
            lab.configs,
            None if lab.kernel_nfs else lab.configs / "exports",
            COVERED,
        )
        rootwrap.write_sudo(lab.bin)
        sqlite_plugin.install(lab.root / "plugins")
        if lab.has_devices:
            self._make_devices()
        for module in (keystone, cinder, glance):
            module.write_config(lab)
        keystone.write_clouds(lab)
        if lab.secure_nfs:
            secure_nfs.prepare_host(lab)
        self._make_services()

        run_in_order(self._steps())
        self.write_facts()
        self._serve()

    def _make_devices(self) -> None:
        """Be the host's kernel to the connectors of Glance and Cinder."""
        lab = self._lab
        san.install(lab.root / "plugins")
        state = lab.data / "ontap" / "san.json"
        devices = Devices(state, lambda: simulator.facts(lab)["flexvols"])
        san_devices.serve(devices, lab.san_socket)

    def _make_services(self) -> None:
        lab, environment = self._lab, self._environment
        made = [simulator.service(lab, environment)]
        if lab.broker:
            made.append(rabbitmq.service(lab, environment))
        made.append(keystone.service(lab, environment))
        made += cinder.services(lab, environment)
        made.append(glance.service(lab, environment))
        made += glance.more_services(lab, environment)
        if lab.broker:
            made.append(cinder.backup_service(lab, environment))
        if lab.secure_nfs:
            secure_nfs.run_as_users(made, lab.bin)
        self.services = {service.name: service for service in made}

    def _steps(self) -> dict[str, Step]:
        """Return the steps of the start, with the steps that each must wait for."""
        lab, environment = self._lab, self._environment

        def start(name: str) -> Callable[[], None]:
            def run() -> None:
                self.services[name].start()
                say(name, "up")

            return run

        def database(module: Any) -> Callable[[], None]:
            def run() -> None:
                ready_made = module.prepare(lab, environment)
                name = module.__name__.rpartition(".")[2]
                if lab.secure_nfs:
                    secure_nfs.give_files(lab, name)
                say(name, "database ready" + ("" if ready_made else " (migrated)"))

            return run

        def array() -> None:
            start("ontap")()
            if lab.secure_nfs:
                secure_nfs.give_flexvols(simulator.facts(lab)["flexvols"])

        def identities() -> None:
            admin = keystone.admin_session(lab)
            keystone.create_identities(lab, admin)
            say("keystone", "projects, users, catalogue ready")

        def volume_types() -> None:
            admin = keystone.admin_session(lab)
            cinder.create_volume_types(lab, admin)
            cinder.wait_for_pools(lab, admin)
            pools = len(cinder.expected_pools(lab.svms, lab.san))
            say("cinder", f"{pools} pools, volume types ready")

        cinder_processes = cinder.STOCK if lab.broker else (cinder.EMBEDDED,)
        brokers = ("rabbitmq",) if lab.broker else ()
        before_cinder = ("ontap", "cinder database", *brokers)
        return {
            "keystone database": Step(database(keystone)),
            "cinder database": Step(database(cinder)),
            "glance database": Step(database(glance)),
            "keystone": Step(start("keystone"), ("keystone database",)),
            "identities": Step(identities, ("keystone",)),
            "ontap": Step(array),
            **{name: Step(start(name)) for name in brokers},
            **{name: Step(start(name), before_cinder) for name in cinder_processes},
            "volume types": Step(volume_types, ("identities", *cinder_processes)),
            # Stores look their volume type up when Glance starts.
            "glance": Step(start("glance"), ("glance database", "volume types")),
        }

    def names(self, name: str) -> list[str]:
        """Return the names of the services that ``name`` stands for.

        ``cinder`` stands for all of Cinder in both flavours. In the embedded flavour
        the names of Cinder's parts do so too.
        """
        if name in self.services:
            return [name]
        if name == cinder.EMBEDDED:
            return list(cinder.STOCK)
        if name in cinder.STOCK:
            return [cinder.EMBEDDED]
        raise LabError(f"no service {name!r}; there are {', '.join(self.services)}")

    def control(self, do: str, name: str) -> None:
        """Carry out a request: start, stop, kill or restart a service."""
        chosen = [self.services[each] for each in self.names(name)]
        if do not in ("start", "stop", "kill", "restart"):
            raise LabError(f"cannot {do!r}")
        for service in chosen:
            if do == "kill":
                service.kill()
            elif do in ("stop", "restart"):
                service.stop()
        if do in ("start", "restart"):
            with ThreadPoolExecutor(len(chosen)) as pool:
                for done in [pool.submit(service.start) for service in chosen]:
                    done.result()
            if SCHEDULING.intersection(self.names(name)):
                cinder.wait_for_pools(self._lab, keystone.admin_session(self._lab))
        self.write_facts()

    def casualties(self) -> list[str]:
        """Return a text for each service that has ended by itself."""
        return [
            str(
                ServiceFailed(
                    service.name,
                    f"ended with exit code {service.process.returncode}",
                    services.tail(service.log),
                )
            )
            for service in self.services.values()
            if service.process is not None and service.process.poll() is not None
        ]

    def pids(self) -> dict[str, int | None]:
        """Return the pids in the namespace by service; None if it does not run.

        The embedded Cinder has the names of its three services too.
        """
        found = {name: service.pid for name, service in self.services.items()}
        if not self._lab.broker:
            found |= dict.fromkeys(cinder.STOCK, found[cinder.EMBEDDED])
        return found

    def write_facts(self) -> None:
        """Replace the facts file in one step, so that it is complete at any time."""
        lab = self._lab
        ontap = simulator.facts(lab)
        facts = {
            "flavour": lab.flavour,
            "secure_nfs": lab.secure_nfs,
            "protocol": lab.protocol,
            "root": str(lab.root),
            "stores": list(lab.stores),
            "flexvols": ontap.get("flexvols", {}),
            "exports": ontap.get("exports", {}),
            "file_store": str(lab.data / "glance" / "file"),
            "urls": {
                "keystone": lab.url("keystone"),
                "glance": lab.url("glance"),
                # They answer when the services of these names have been started.
                **{name: lab.url(name) for name in glance.MORE},
                "cinder": lab.url("cinder"),
                "ontap": ontap.get("url"),
            },
            "simulator": ontap,
            "clouds": str(lab.clouds),
            "logs": str(lab.logs),
            "cinder_requests": str(lab.requests("cinder")),
            "glance_requests": str(lab.requests("glance")),
            "ontap_requests": str(lab.requests("ontap")),
            "configs": str(lab.configs),
            "control": str(lab.control),
            "san_socket": str(lab.san_socket) if lab.has_devices else None,
            "pids": self.pids(),
        }
        new = lab.facts.with_suffix(f".{threading.get_ident()}")
        new.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        new.replace(lab.facts)

    def _serve(self) -> None:
        supervisor = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    request = json.loads(self.rfile.readline())
                    supervisor.control(request["do"], request["service"])
                    answer: dict[str, Any] = {"pids": supervisor.pids()}
                except Exception as exc:
                    answer = {"error": f"{type(exc).__name__}: {exc}"}
                self.wfile.write(json.dumps(answer).encode() + b"\n")

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        server = Server(str(self._lab.control), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()


def _base_environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OS_", "GLANCE_ONTAP_LAB_"))
    }
    for name in ("no_proxy", "NO_PROXY"):
        kept[name] = f"{LOCAL},{kept[name]}" if kept.get(name) else LOCAL
    return kept


def service_environment(lab: Layout) -> dict[str, str]:
    """Return the services' environment variables."""
    path = [str(lab.bin), str(environment_bin()), packages.search_path()]
    return _base_environment() | {
        "PATH": os.pathsep.join(path),
        "TMPDIR": str(lab.scratch),
        "PYTHONPATH": _python_path(lab),
        "PYTHONUNBUFFERED": "1",
        "OS_GLANCE_CONFIG_DIR": "/etc/glance",
        san.SOCKET_VARIABLE: str(lab.san_socket),
    }


def _python_path(lab: Layout) -> str:
    """Return where Python finds the lab, and what `san.install` put there."""
    return os.pathsep.join([str(lab.root / "plugins"), str(CHECKOUT)])


def command_environment(lab: Layout) -> dict[str, str]:
    """Return the environment variables of a command inside the lab.

    Its Python processes have os-brick's connectors replaced as the services have, if
    the lab has devices: they may attach volumes themselves.
    """
    path = [str(environment_bin()), packages.search_path()]
    return _base_environment() | {
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": _python_path(lab),
        san.SOCKET_VARIABLE: str(lab.san_socket),
        "OS_CLIENT_CONFIG_FILE": str(lab.clouds),
        "OS_CLOUD": "admin",
        "LAB_FACTS": str(lab.facts),
    }


def describe_use(lab: Layout) -> str:
    """Return instructions for using the running lab from another terminal."""
    openstack = environment_bin() / "openstack"
    return "\n".join(
        [
            "",
            f"The lab ({lab.flavour} flavour) is up; ctrl-C ends it.",
            "In another terminal:",
            "",
            f"  export OS_CLIENT_CONFIG_FILE={lab.clouds} OS_CLOUD=admin",
            f"  {openstack} image create --file SOME.raw --disk-format raw "
            "--container-format bare my-image",
            f"  {openstack} volume create --image my-image --size 1 my-volume",
            f"  {openstack} volume list --all-projects",
            "",
            "OS_CLOUD=alice or bob: members of the projects acme and globex.",
            f"Glance's stores, the default first: {', '.join(lab.stores)}.",
            f"Logs and request logs: {lab.logs}",
            "A shell that sees the FlexVols and mounts:",
            f"  nsenter -t $(cat {lab.root / 'namespace.pid'}) -m -p "
            f"env LAB_FACTS={lab.facts} PATH={environment_bin()}:$PATH bash",
            "",
        ]
    )


def run(lab: Layout, work: Callable[[Layout, Supervisor], int]) -> int:
    """Start the lab and do ``work`` in it; return the exit code."""
    supervisor = Supervisor(lab)
    try:
        supervisor.start_all()
    except LabError as exc:
        reason = str(exc)
    except Exception as exc:
        # Most often a request to a service that has died.
        reason = "\n".join([f"{type(exc).__name__}: {exc}", *supervisor.casualties()])
    else:
        return work(lab, supervisor)
    print(f"\nThe lab did not start. {reason}", file=sys.stderr)
    print("(--keep or --dir DIR keeps all logs)", file=sys.stderr)
    return 1
