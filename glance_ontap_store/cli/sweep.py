# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap sweep``: find what crashes left behind, and remove it."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

from glance_ontap_store.cli import duration
from glance_ontap_store.cli import examples
from glance_ontap_store.cli import interrupts
from glance_ontap_store.cli import inventory_commands
from glance_ontap_store.cli import report
from glance_ontap_store.cli.context import of
from glance_ontap_store.cli.inventory_commands import OrDash

if TYPE_CHECKING:
    from glance_ontap_store.leftovers.outcome import Outcome
    from glance_ontap_store.leftovers.outcome import Unseen

COLUMNS = ("Kind", "Store", "Id", "Image", "Size GiB", "Since", "Why", "Action")


class Sweep(report.Findings):
    """Find what crashes and faults left behind; remove it with --apply.

    Exit code: 0 nothing is left, 1 something is left, 2 something could not be removed
    or looked at, 3 the command itself failed. What another host may be using is shown
    and does not count.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the subcommand's options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            "--apply",
            action="store_true",
            help="remove what nothing uses (default: only show it)",
        )
        parser.add_argument(
            "--older-than",
            metavar="DURATION",
            type=duration.seconds,
            help="remove also what may belong to another host, if it is older: 12h, 7d."
            " Give more time than the longest upload or download takes.",
        )
        parser.add_argument(
            "--guard",
            metavar="DURATION",
            type=duration.seconds,
            default=3600.0,
            help="leave an image-volume without an image alone until it has not changed"
            " for this long, since Glance learns of it last (default: 1h)",
        )
        parser.add_argument(
            "--max-orphans",
            metavar="N",
            type=int,
            default=20,
            help="leave all of them alone if a store has more: perhaps the wrong"
            " Glance was asked (default: %(default)s)",
        )
        parser.add_argument(
            "--files",
            action="store_true",
            help="mount the FlexVols on this host and look for the files img-cache-* in"
            " which Cinder's driver keeps images",
        )
        parser.add_argument(
            "--store", metavar="ID", help="look at this store only (default: all)"
        )
        examples.add(
            parser,
            "sweep --apply",
            "sweep --apply --older-than 7d",
            "sweep -f json",
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns, and one row for each leftover."""
        # They take long to import, and the help does without.
        from glance_ontap_store.cinder.waiting import SystemClock
        from glance_ontap_store.leftovers import judging
        from glance_ontap_store.leftovers import outcome
        from glance_ontap_store.leftovers import removal
        from glance_ontap_store.leftovers.leftover import Limits
        from glance_ontap_store.survey.gather_remains import Gatherer

        context = of(self.app)
        stores, cloud = context.stores(parsed_args.store), context.cloud
        limits = Limits(
            older_than=parsed_args.older_than,
            guard=parsed_args.guard,
            most_orphans=parsed_args.max_orphans,
        )
        gatherer = Gatherer(
            context.glance, cloud.session if cloud else None, SystemClock(), self._say
        )
        gathered = gatherer.gather(stores, with_files=parsed_args.files)
        found = judging.judge(gathered.remains, limits)
        outcomes = [outcome.Outcome(each) for each in found]
        is_stopped = False
        if parsed_args.apply:
            remover = removal.Remover(context.glance, gatherer, gathered, limits)
            with interrupts.noticed(self._say) as signals:
                outcomes = removal.remove_all(
                    found, remover, self._say, lambda: signals.is_asked
                )
            is_stopped = signals.is_asked
        missed = outcome.unseen(
            gathered.remains, gatherer.is_admin, wants_files=parsed_args.files
        )
        is_complete = self._is_complete(missed)
        self._say(outcome.summary(outcomes))
        self._code = outcome.exit_code(outcomes, is_complete)
        if is_stopped:
            self._code = interrupts.INTERRUPTED
        rows = [self._row(each) for each in outcomes]
        return COLUMNS, inventory_commands.for_format(parsed_args, rows)

    def _is_complete(self, parts: "Iterable[Unseen]") -> bool:
        """Say what was not looked at; return whether all was that was to be."""
        is_complete = True
        for part in parts:
            self._say(f"Not looked at: {part.text}.")
            is_complete = is_complete and not part.is_missed
        return is_complete

    def _row(self, done: "Outcome") -> Sequence[Any]:
        context, left = of(self.app), done.leftover
        since = left.since.strftime("%Y-%m-%dT%H:%M:%SZ") if left.since else None
        return (
            left.kind.value,
            OrDash(left.store),
            left.id,
            OrDash(left.image_id),
            OrDash(left.size_gib),
            OrDash(since),
            context.masked(left.why),
            context.masked(done.action),
        )
