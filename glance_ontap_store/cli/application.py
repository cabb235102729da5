# SPDX-License-Identifier: Apache-2.0
"""The command line of ``glance-ontap``: its common options and its subcommands."""

import argparse
from collections.abc import Sequence
import importlib.metadata
import logging
import sys
from typing import Any
import warnings

from cliff import app
from cliff import commandmanager

from glance_ontap_store.cli import examples

# Loaded when they run or are asked for help.
_COMMANDS = {
    "adopt": "glance_ontap_store.cli.adopt:Adopt",
    "audit": "glance_ontap_store.cli.audit:Audit",
    "check": "glance_ontap_store.cli.check:Check",
    "explain": "glance_ontap_store.cli.explain:Explain",
    "list": "glance_ontap_store.cli.inventory_commands:List",
    "metrics": "glance_ontap_store.cli.metrics:Metrics",
    "replicate": "glance_ontap_store.cli.replicate:Replicate",
    "sweep": "glance_ontap_store.cli.sweep:Sweep",
    "usage": "glance_ontap_store.cli.inventory_commands:Usage",
}
_DESCRIPTION = "Look after Glance's stores on NetApp ONTAP."
_DEFAULT_FILE = "/etc/glance/glance-api.conf"
# These log every retry and failure; the command reports them in its own words.
_NOISY = (
    "keystoneauth",
    "cinderclient",
    "openstack",
    "os_brick",
    "oslo",
    "stevedore",
    "urllib3",
)


class GlanceOntap(app.App):
    """The command with its common options and its subcommands."""

    # Warnings only; -v shows the log of the store's own code.
    DEFAULT_VERBOSE_LEVEL = 0

    def __init__(self) -> None:
        # Without entry points. Before cliff 4.13 the namespace must be given.
        commands = commandmanager.CommandManager("")
        for name, path in _COMMANDS.items():
            commands.commands[name] = importlib.metadata.EntryPoint(name, path, "")
        super().__init__(
            description=_DESCRIPTION,
            version=importlib.metadata.version("glance_ontap_store"),
            command_manager=commands,
            deferred_help=True,
        )

    def build_option_parser(
        self, description: str | None, version: str | None, *args: Any, **kwargs: Any
    ) -> argparse.ArgumentParser:
        """Return the parser of the options that all subcommands share."""
        parser: argparse.ArgumentParser = super().build_option_parser(
            description, version, *args, **kwargs
        )
        examples.add(parser, "check", "list --project PROJECT", "help list")
        parser.add_argument(
            "--config-file",
            action="append",
            metavar="FILE",
            help="a file that glance-api is started with; may be repeated, in"
            f" glance-api's order (default: {_DEFAULT_FILE})",
        )
        parser.add_argument(
            "--config-dir",
            action="append",
            metavar="DIR",
            default=[],
            help="a directory of configuration files; may be repeated",
        )
        parser.add_argument(
            "--os-cloud",
            metavar="NAME",
            help="an administrator's cloud in clouds.yaml (default: OS_CLOUD or the"
            " other OS_* variables). Without credentials, the command skips the"
            " questions that only administrators may ask.",
        )
        return parser

    def configure_logging(self) -> None:
        """Set up logging, without the libraries' own messages unless -v is given."""
        super().configure_logging()
        if not sys.warnoptions:
            # Warnings are about the libraries, not about the operator's set-up.
            warnings.simplefilter("ignore")
        if self.options.verbose_level < 2:
            for name in _NOISY:
                logging.getLogger(name).setLevel(logging.CRITICAL)

    def initialize_app(self, argv: list[str]) -> None:
        """Make the context of the subcommand that is about to run.

        Without a subcommand, cliff would start a shell of its own: print the help.
        """
        if not argv:
            self.options.deferred_help = True
        # --version does without, and ends sooner.
        from glance_ontap_store.cli.context import Context

        self.context = Context(
            files=tuple(self.options.config_file or [_DEFAULT_FILE]),
            directories=tuple(self.options.config_dir),
            os_cloud=self.options.os_cloud,
        )


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code.

    :raises errors.StoreError: the command failed
    """
    return int(GlanceOntap().run(list(arguments)))
