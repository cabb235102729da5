# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap check``: what is wrong, before users notice."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
import traceback
from typing import Any

from cliff import lister

from glance_ontap_store import errors
from glance_ontap_store.checks import cinder
from glance_ontap_store.checks import deep
from glance_ontap_store.checks import finding
from glance_ontap_store.checks import host
from glance_ontap_store.checks.deep import Plan
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.cli.context import Context
from glance_ontap_store.cli.context import of
from glance_ontap_store.survey import gather
from glance_ontap_store.survey.facts import Facts

COLUMNS = ("Severity", "Subject", "Code", "Problem", "Remedy")
# The command itself failed: apart from what it may have found.
FAILED = 3
_QUESTIONS = host.QUESTIONS + cinder.QUESTIONS


def judge(facts: Facts) -> list[Finding]:
    """Everything that is wrong with *facts*, the worst first."""
    return finding.ordered(each for ask in _QUESTIONS for each in ask(facts))


class Check(lister.Lister):
    """Look for what is wrong with the stores, this host, Keystone and Cinder.

    Exit code: 0 nothing (notes at most), 1 warnings, 2 errors, 3 the command
    itself failed.
    """

    @property
    def formatter_namespace(self) -> str:
        return "glance_ontap.formatter.findings"

    @property
    def formatter_default(self) -> str:
        return "lines"

    _found: Sequence[Finding] = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            "--cinder-conf",
            metavar="FILE",
            help="cinder.conf of cinder-volume: whether Cinder clones images at all",
        )
        parser.add_argument(
            "--store", metavar="ID", help="ask Keystone and Cinder for this one only"
        )
        parser.add_argument(
            "--deep",
            action="store_true",
            help="store a small image-volume, read it back, and have Cinder make a"
            " volume from an image (with the credentials of --os-cloud); all is"
            " removed again",
        )
        parser.add_argument(
            "--volume-type",
            metavar="TYPE",
            help="for --deep: the type of the volume, that of your users (default:"
            " the store's own)",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        try:
            super().run(parsed_args)
        except Exception as error:
            if self.app.options.debug:
                self._say(traceback.format_exc())
            self._say(f"glance-ontap check failed: {error!r}")
            return FAILED
        self._say(_summary(self._found))
        return finding.exit_code(self._found)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        session = of(self.app)
        found = self._findings(session, parsed_args)
        self._found = found
        return COLUMNS, [
            (
                each.severity.name.lower(),
                each.subject,
                each.code,
                session.masked(_sentence(each.problem)),
                session.masked(_sentence(each.remedy)),
            )
            for each in found
        ]

    def _findings(
        self, session: Context, parsed_args: argparse.Namespace
    ) -> list[Finding]:
        try:
            glance = session.glance
        except errors.Misconfigured as error:
            return [
                finding.error(
                    "config-unreadable",
                    "glance",
                    f"Glance's configuration cannot be read: {error}",
                    "Name the files that glance-api is started with: glance-ontap"
                    " --config-file FILE check.",
                )
            ]
        if parsed_args.store:
            session.stores(parsed_args.store)  # there is such a store
        cloud = session.cloud
        facts = gather.gather(
            glance,
            admin=cloud.session if cloud else None,
            cinder_conf=session.cinder_conf(parsed_args.cinder_conf),
            only=parsed_args.store,
        )
        found = judge(facts)
        if parsed_args.deep:
            plan = Plan(volume_type=parsed_args.volume_type)
            found += deep.check(facts, cloud, plan, self._say)
        return finding.ordered(found)

    def _say(self, text: str) -> None:
        """To people only: programs read standard output."""
        session = of(self.app)
        self.app.stderr.write(session.masked(text) + "\n")


def _sentence(text: str) -> str:
    """One line that ends as a sentence does; a command ends as it is."""
    line = " ".join(text.split())
    ends = not line or line.startswith("Run: ") or line.endswith((".", ")"))
    return line if ends else f"{line}."


def _summary(found: Sequence[Finding]) -> str:
    def count(severity: Severity, word: str) -> str:
        number = sum(each.severity is severity for each in found)
        return f"{number} {word}{'' if number == 1 else 's'}"

    text = ", ".join(
        [
            count(Severity.ERROR, "error"),
            count(Severity.WARNING, "warning"),
            count(Severity.INFO, "note"),
        ]
    )
    unknown = sum(each.code == finding.NOT_ASKED for each in found)
    return f"{text}; not known: {unknown}." if unknown else f"{text}."
