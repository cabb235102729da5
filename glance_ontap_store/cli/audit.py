# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap audit``: compare images with their image-volumes."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
from typing import TYPE_CHECKING
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.cli import duration
from glance_ontap_store.cli import examples
from glance_ontap_store.cli import interrupts
from glance_ontap_store.cli import inventory_commands
from glance_ontap_store.cli import report
from glance_ontap_store.cli.context import of
from glance_ontap_store.cli.inventory_commands import OrDash

if TYPE_CHECKING:
    from glance_ontap_store.auditing.defect import Defect
    from glance_ontap_store.auditing.judging import Located
    from glance_ontap_store.cli.interrupts import Interrupts
    from glance_ontap_store.survey.gather_remains import Gathered
    from glance_ontap_store.survey.gather_remains import Gatherer

COLUMNS = ("Code", "Store", "Image", "Volume", "Problem", "Remedy")
_MIB = 1024 * 1024


class Audit(report.Findings):
    """Compare the images of Glance with the image-volumes of the stores.

    Exit code: 0 nothing is wrong, 1 something is wrong, 2 something could not be
    repaired or looked at, 3 the command itself failed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the subcommand's options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            "--verify",
            nargs="?",
            choices=("sample", "full"),
            const="sample",
            help="read the images again: some pieces of each (sample, the default), or"
            " all bytes to compare their digest (full)",
        )
        parser.add_argument(
            "--bandwidth",
            metavar="MIB",
            type=float,
            default=0.0,
            help="with --verify: read at most so many MiB a second (default: no limit)",
        )
        parser.add_argument(
            "--resume",
            metavar="FILE",
            help="with --verify=full: note right images in FILE, and skip those that"
            " are in it",
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help="set the right owner in the metadata, and the read-only flag",
        )
        parser.add_argument(
            "--attached-longer-than",
            metavar="DURATION",
            type=duration.seconds,
            default=86400.0,
            help="show image-volumes that are attached for longer (default: 1d)",
        )
        parser.add_argument(
            "--store", metavar="ID", help="look at this store only (default: all)"
        )
        examples.add(
            parser,
            "audit --repair",
            "audit --verify",
            "audit --verify=full --bandwidth 100 --resume /var/tmp/audit",
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns, and one row for each defect."""
        # They take long to import, and the help does without.
        from glance_ontap_store.auditing import defect
        from glance_ontap_store.auditing import judging
        from glance_ontap_store.cinder.waiting import SystemClock
        from glance_ontap_store.survey.answer import Unknown
        from glance_ontap_store.survey.gather_remains import Gatherer

        context = of(self.app)
        stores, cloud = context.stores(parsed_args.store), context.cloud
        gatherer = Gatherer(
            context.glance, cloud.session if cloud else None, SystemClock(), self._say
        )
        gathered = gatherer.gather(stores, with_files=False)
        images = gathered.remains.images
        if isinstance(images, Unknown):
            raise errors.Misconfigured(
                f"Glance's images are not known: {images.text}. Give an administrator's"
                " cloud: --os-cloud."
            )
        facts = gatherer.with_unlisted(gathered, judging.not_found(gathered.remains))
        gathered = dataclasses.replace(gathered, remains=facts)
        pools = gatherer.pools(gathered.stores)
        if isinstance(pools, Unknown):
            self._say(f"Not looked at: pools: {pools.text}.")
        found = judging.judge(facts, pools, parsed_args.attached_longer_than)
        with interrupts.noticed(self._say) as signals:
            if parsed_args.verify:
                ones = judging.all_located(facts)
                found += self._read(parsed_args, gathered, ones, signals)
            if parsed_args.repair:
                found = self._repaired(found, gatherer, gathered, signals)
        self._tell(found, len(judging.all_located(facts)))
        self._code = defect.exit_code(found, not isinstance(pools, Unknown))
        if signals.is_asked:
            self._code = interrupts.INTERRUPTED
        rows = [self._row(each) for each in found]
        return COLUMNS, inventory_commands.for_format(parsed_args, rows)

    def _read(
        self,
        parsed_args: argparse.Namespace,
        gathered: "Gathered",
        ones: "Sequence[Located]",
        signals: "Interrupts",
    ) -> "list[Defect]":
        """Read the images again, and return the defects that this shows."""
        # Imported late, because os-brick may be missing.
        from glance_ontap_store import backend
        from glance_ontap_store.auditing import reading
        from glance_ontap_store.cinder.waiting import SystemClock
        from glance_ontap_store.images.record import State
        from glance_ontap_store.survey import process_setup

        settings = {each.store.id: each.settings for each in gathered.stores}
        images = {
            key: backend.build_for_command(each).images
            for key, each in settings.items()
        }
        if ones:
            rootwrap = settings[ones[0].store_id].rootwrap_config
            process_setup.start(of(self.app).glance, rootwrap)
        reader = reading.Reader(
            SystemClock(),
            parsed_args.bandwidth * _MIB,
            self._say,
            lambda: signals.is_asked,
        )
        progress = reading.Progress(parsed_args.resume)
        is_full = parsed_args.verify == "full"
        found: list[Defect] = []
        for number, one in enumerate(ones, 1):
            # What is not served cannot be read; that is a defect already.
            is_served = one.held.record.state in (State.SEALED, None)
            if not is_served or (is_full and progress.has(one)):
                continue
            self._say(f"{number} of {len(ones)}: reading image {one.image.id} ...")
            try:
                read = reader.full if is_full else reader.sample
                defect = read(images[one.store_id], one)
            except reading.Stopped:
                break
            if defect is not None:
                found.append(defect)
            elif is_full:
                progress.add(one)
            if signals.is_asked:
                break
        return found

    def _repaired(
        self,
        found: "Sequence[Defect]",
        gatherer: "Gatherer",
        gathered: "Gathered",
        signals: "Interrupts",
    ) -> "list[Defect]":
        """Repair what is safe to repair, and return all defects."""
        from glance_ontap_store.auditing import repair
        from glance_ontap_store.auditing.defect import REPAIRABLE
        from glance_ontap_store.cinder.client import CinderClient

        stores = {each.store.id: each for each in gathered.stores}
        done = []
        for each in found:
            if each.code in REPAIRABLE and not signals.is_asked:
                store = stores[each.store]
                service = CinderClient(store.settings, store.session)
                now = gatherer.image(each.image_id, store.settings)
                each = repair.repair(service, each, now)
            done.append(each)
        return done

    def _row(self, defect: "Defect") -> Sequence[Any]:
        context = of(self.app)
        return (
            defect.code.value,
            defect.store,
            defect.image_id,
            OrDash(defect.volume_id),
            context.masked(" ".join(defect.problem.split())),
            context.masked(defect.result or defect.remedy),
        )

    def _tell(self, found: "Sequence[Defect]", number: int) -> None:
        left = sum(each.is_left for each in found)
        repaired = len(found) - left
        text = f"Images in the stores: {number}; defects: {left}"
        self._say(f"{text}, repaired: {repaired}." if repaired else f"{text}.")
