# SPDX-License-Identifier: Apache-2.0
"""The bases of commands that tell by their exit code what they found."""

import argparse
import os
import time
import traceback

from cliff import command
from cliff import lister

from glance_ontap_store import errors
from glance_ontap_store.cli import examples
from glance_ontap_store.cli.context import of
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording
from glance_ontap_store.telemetry import starting

# The exit code if the command itself failed, whatever it had done.
FAILED = 3


class Telling(examples.Command, command.Command):
    """A command whose errors become a line and the exit code `FAILED`."""

    # The exit code, once the command knows it.
    _code = 0

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return the exit code. Errors do not leave it."""
        try:
            super().run(parsed_args)
        except Exception as error:
            if self.app.options.debug:
                self._say(traceback.format_exc())
            is_ours = isinstance(error, errors.StoreError)
            text = errors.describe(error) if is_ours else repr(error)
            self._say(f"glance-ontap {self._name} failed: {text}")
            return FAILED
        return self._concluded(parsed_args)

    @property
    def _name(self) -> str:
        return type(self).__name__.lower()

    def _concluded(self, parsed_args: argparse.Namespace) -> int:
        """Say what the printed rows come to, if it was not said; the exit code."""
        return self._code

    def _say(self, text: str) -> None:
        """Print to standard error: programs read standard output."""
        self.app.stderr.write(of(self.app).masked(text) + "\n")


class Report(Telling, lister.Lister):
    """A command that prints rows, and whose runs are counted."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the rows; return the exit code. Errors do not leave it."""
        code = super().run(parsed_args)
        directory = of(self.app).metrics_directory()
        # Only glance-api makes it: its user must be able to write there.
        if directory is not None and os.path.isdir(directory):
            starting.start(directory)
            recording.record(catalogue.COMMAND_RUNS, self._name, str(code))
            recording.record(catalogue.COMMAND_EXIT_CODE, self._name, value=code)
            now = time.time()
            recording.record(catalogue.COMMAND_LAST_RUN, self._name, value=now)
        return code


class Findings(Report):
    """A `Report` whose rows are a few lines each, for people."""

    @property
    def formatter_namespace(self) -> str:
        """The entry points of the formatters, as cliff asks for them."""
        return "glance_ontap.formatter.findings"

    @property
    def formatter_default(self) -> str:
        """The formatter without ``-f``."""
        return "lines"
