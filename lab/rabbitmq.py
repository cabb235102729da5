# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ for the stock flavour: Debian's program with our own configuration."""

from pathlib import Path
import shutil
import socket

from lab import packages
from lab.layout import HOST
from lab.layout import Layout
from lab.services import Service

USER = "lab"
# Debian's wrapper in /usr/sbin changes the user and reads /etc/rabbitmq.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def service(lab: Layout, environment: dict[str, str]) -> Service:
    home = lab.data / "rabbitmq"
    home.mkdir(parents=True, exist_ok=True)
    config = lab.configs / "rabbitmq" / "rabbitmq.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch(mode=0o600)
    config.write_text(
        f"listeners.tcp.local = {HOST}:{lab.ports['amqp']}\n"
        f"default_user = {USER}\n"
        f"default_pass = {lab.passwords['rabbit']}\n"
        "disk_free_limit.absolute = 10MB\n",
        encoding="utf-8",
    )
    (config.parent / "enabled_plugins").write_text("[].\n", encoding="utf-8")
    own = {
        "HOME": str(home),
        "ERL_EPMD_PORT": str(lab.ports["epmd"]),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": "lab@localhost",
        "RABBITMQ_DIST_PORT": str(lab.ports["erlang"]),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-kernel inet_dist_use_interface {127,0,0,1}"
        ),
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_CONF_ENV_FILE": str(config.parent / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(config.parent / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(home / "pid"),
    }
    program = shutil.which("rabbitmq-server", path=packages.search_path())
    return Service(
        name="rabbitmq",
        argv=[str(PROGRAM) if PROGRAM.exists() else str(program)],
        environment=environment | own,
        log=lab.log("rabbitmq"),
        ready=lambda _: _speaks_amqp(lab.ports["amqp"]),
    )


def _speaks_amqp(port: int) -> bool:
    """Return whether a protocol header is answered; the port is open earlier."""
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(connection.recv(1))
    except OSError:
        return False
