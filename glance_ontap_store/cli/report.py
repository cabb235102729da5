# SPDX-License-Identifier: Apache-2.0
"""The bases of commands that print rows, and tell by their exit code what they mean."""

import argparse
import traceback

from cliff import lister

from glance_ontap_store import errors
from glance_ontap_store.cli import examples
from glance_ontap_store.cli.context import of

# The exit code if the command itself failed, whatever it had done.
FAILED = 3


class Report(examples.Command, lister.Lister):
    """A command whose errors become a line and the exit code `FAILED`."""

    # The exit code, once the rows are known.
    _code = 0

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the rows; return the exit code. Errors do not leave it."""
        try:
            super().run(parsed_args)
        except Exception as error:
            if self.app.options.debug:
                self._say(traceback.format_exc())
            is_ours = isinstance(error, errors.StoreError)
            text = errors.describe(error) if is_ours else repr(error)
            self._say(f"glance-ontap {type(self).__name__.lower()} failed: {text}")
            return FAILED
        return self._concluded(parsed_args)

    def _concluded(self, parsed_args: argparse.Namespace) -> int:
        """Say what the printed rows come to, if it was not said; the exit code."""
        return self._code

    def _say(self, text: str) -> None:
        """Print to standard error: programs read standard output."""
        self.app.stderr.write(of(self.app).masked(text) + "\n")


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
