# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap check``: find problems before users notice them."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.checks import codes
from glance_ontap_store.checks import finding
from glance_ontap_store.checks import glance
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.cli import cinder_options
from glance_ontap_store.cli import examples
from glance_ontap_store.cli import report
from glance_ontap_store.cli.context import Context
from glance_ontap_store.cli.context import of

COLUMNS = ("Severity", "Subject", "Code", "Problem", "Remedy")
# The exit code if the command itself failed, whatever it had found.


class Check(report.Findings):
    """Check the stores, this host, Keystone and Cinder for problems.

    Exit code: 0 no problems (notes at most), 1 warnings, 2 errors, 3 the command
    itself failed.
    """

    _found: Sequence[Finding] = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the subcommand's options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        cinder_options.add(parser)
        parser.add_argument(
            "--store",
            metavar="ID",
            help="ask Keystone and Cinder about this store only",
        )
        parser.add_argument(
            "--deep",
            action="store_true",
            help="store a small image, read it back, and have Cinder make a volume from"
            " an image (with the credentials of --os-cloud); remove it all again",
        )
        parser.add_argument(
            "--volume-type",
            metavar="TYPE",
            help="with --deep: the type of the volume, such as your users have"
            " (default: the store's own)",
        )
        parser.add_argument(
            "--image-endpoint",
            metavar="URL",
            help="with --deep: the internal glance-api for replicate; try whether it"
            " lets locations be added, and whether the cloud's user has the rights",
        )
        examples.add(
            parser,
            "check --cinder-conf cinder.conf",
            "check --deep --volume-type TYPE",
            "check -f json",
        )
        return parser

    def _concluded(self, parsed_args: argparse.Namespace) -> int:
        self._say(_summary(self._found))
        return finding.exit_code(self._found)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns, and one row for each finding."""
        context = of(self.app)
        self._found = self._findings(context, parsed_args)
        return COLUMNS, [
            (
                found.severity.name.lower(),
                found.subject,
                found.code,
                context.masked(_sentence(" ".join(found.problem.split()))),
                # Blanks are kept: a name in a command may have several in a row.
                context.masked(_sentence(" ".join(found.remedy.splitlines()))),
            )
            for found in self._found
        ]

    def _findings(
        self, context: Context, parsed_args: argparse.Namespace
    ) -> list[Finding]:
        # They take long to import, and the help does without.
        from glance_ontap_store.checks import judging
        from glance_ontap_store.survey import gather

        try:
            glance_config = context.glance_with_policies()
        except errors.Misconfigured as error:
            return [glance.unreadable(error)]
        if parsed_args.store:
            context.stores(parsed_args.store)  # raises if it does not exist
        cloud = context.cloud
        facts = gather.gather(
            glance_config,
            admin=cloud.session if cloud else None,
            cinder_conf=context.cinder_conf(parsed_args.cinder_conf),
            only=parsed_args.store,
            cinder_release=parsed_args.cinder_release,
        )
        found = judging.judge(facts)
        if parsed_args.deep:
            # It imports openstacksdk, which takes long.
            from glance_ontap_store.checks import deep

            found += deep.check(
                facts,
                cloud,
                parsed_args.volume_type,
                self._say,
                parsed_args.image_endpoint,
            )
        return finding.ordered(found)


def _sentence(line: str) -> str:
    """Return *line* with a full stop at its end, unless it ends in a command."""
    if not line or ": openstack " in line or line.endswith((".", ")")):
        return line
    return f"{line}."


def _summary(findings: Sequence[Finding]) -> str:
    def count(severity: Severity, word: str) -> str:
        number = sum(found.severity is severity for found in findings)
        return f"{number} {word}{'' if number == 1 else 's'}"

    text = ", ".join(
        [
            count(Severity.ERROR, "error"),
            count(Severity.WARNING, "warning"),
            count(Severity.INFO, "note"),
        ]
    )
    skipped = sum(found.code == codes.NOT_ASKED.name for found in findings)
    return f"{text}; not checked: {skipped}." if skipped else f"{text}."
