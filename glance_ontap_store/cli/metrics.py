# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap metrics``: sums over the processes of this host, for Prometheus."""

import argparse
import time

from glance_ontap_store import errors
from glance_ontap_store.cli import duration
from glance_ontap_store.cli import examples
from glance_ontap_store.cli import report
from glance_ontap_store.cli.context import of


class Metrics(report.Telling):
    """Show what this host's glance-api, and this command, have recorded.

    The output has Prometheus' text format: the sums over all processes that use
    ontap_metrics_directory, and over those before them. Exit code: 0 it is written, 3
    the command failed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the subcommand's options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            "--textfile",
            metavar="FILE",
            help="write to FILE, which is replaced at once, for the textfile collector"
            " of node_exporter; the name must end in .prom (default: standard output)",
        )
        parser.add_argument(
            "--every",
            metavar="DURATION",
            type=duration.seconds,
            help="with --textfile: stay, and write it again every 15s, for example",
        )
        parser.add_argument(
            "--directory",
            metavar="DIR",
            help="a directory of metrics (default: ontap_metrics_directory in"
            " glance-api's files)",
        )
        examples.add(
            parser,
            "metrics",
            "metrics --textfile /var/lib/prometheus/node-exporter/glance_ontap.prom"
            " --every 15s",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the metrics, once or again and again."""
        target, every_s = parsed_args.textfile, parsed_args.every
        if every_s is not None and not (target and every_s):
            raise errors.Misconfigured(
                "--every needs a duration above zero, and --textfile FILE."
            )
        if target is not None and not target.endswith(".prom"):
            raise errors.Misconfigured(
                f"--textfile {target}: node_exporter reads only files whose names end"
                " in .prom."
            )
        directory = self._directory(parsed_args.directory)
        self._write(directory, target)
        while every_s is not None:
            time.sleep(every_s)
            try:
                self._write(directory, target)
            except errors.StoreError as error:
                # A full disk, say; the file's age tells Prometheus.
                self._say(str(error))

    def _directory(self, given: str | None) -> str:
        found: str | None = given or of(self.app).metrics_directory()
        if found is None:
            raise errors.Misconfigured(
                "No store of type ontap has ontap_metrics_directory: set it in"
                " [backend_defaults] and restart glance-api. Or name the files that"
                " glance-api is started with (--config-file), or the directory"
                " (--directory)."
            )
        return found

    def _write(self, directory: str, target: str | None) -> None:
        """
        :raises errors.Misconfigured: the library is missing, or the directory or
            *target* cannot be used
        """
        try:
            from glance_ontap_store.telemetry import exposition
        except ImportError as error:
            raise errors.Misconfigured(
                f"{error}. Install the library: pip install"
                " 'glance_ontap_store[metrics]'."
            ) from error
        try:
            if target is None:
                self.app.stdout.write(exposition.text(directory))
            else:
                exposition.write(directory, target)
        except OSError as error:
            raise errors.Misconfigured(
                f"Metrics of {directory} cannot be written: {error}. Run the command as"
                " a user who may read there, and may write the file."
            ) from error
