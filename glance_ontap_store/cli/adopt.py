# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap adopt``: take images over from other stores."""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.cli import examples
from glance_ontap_store.cli import inventory_commands
from glance_ontap_store.cli import report
from glance_ontap_store.cli.context import Context
from glance_ontap_store.cli.context import of
from glance_ontap_store.cli.inventory_commands import OrDash
from glance_ontap_store.cli.inventory_commands import Size

if TYPE_CHECKING:
    from glance_ontap_store.adoption.carrying_out import Outcome
    from glance_ontap_store.adoption.in_place import Adopter
    from glance_ontap_store.settings import Settings
    from glance_ontap_store.stopping.interruption import Stop

COLUMNS = ("Image", "Name", "Size", "From", "To", "Way", "Volume", "Result", "Reason")
SHORT_COLUMNS = ("Image", "Name", "Size", "From", "To", "Way", "Result")
KINDS = ("cinder", "file", "http", "rbd", "s3", "swift")
MOST_PARALLEL = 8


class Adopt(report.Report):
    """Take images over from other stores. Without --apply it only shows the plan.

    Image-volumes of upstream's store "cinder", and those that Cinder registered, become
    this store's where they are: no bytes are copied. Images of other stores are copied
    by Glance.

    Exit code: 0 everything is done (or could be), 1 some images cannot be taken over
    or something is left to do, 2 an image failed, 3 the command itself failed.
    """

    _outcomes: "Sequence[Outcome]" = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the subcommand's options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            "--from",
            dest="kind",
            choices=KINDS,
            default="cinder",
            help="the type of the old store, as in enabled_backends (default:"
            " %(default)s)",
        )
        parser.add_argument(
            "--store",
            metavar="ID",
            help="the new store, of type ontap; needed if there are several that an"
            " image could go to",
        )
        parser.add_argument(
            "--image",
            metavar="IMAGE",
            action="append",
            default=[],
            help="only the image with this id or name; may be repeated",
        )
        parser.add_argument(
            "--apply", action="store_true", help="do it, instead of showing the plan"
        )
        digest = parser.add_mutually_exclusive_group()
        digest.add_argument(
            "--verify",
            action="store_true",
            default=None,
            help="read each image in its new store, and compare its digest with"
            " Glance's (the default for images that are not copied)",
        )
        digest.add_argument(
            "--trust-glance",
            dest="verify",
            action="store_false",
            help="take the digest from Glance, and do not read the image",
        )
        parser.add_argument(
            "--remove-old",
            action="store_true",
            help="remove the image from the old store after it was copied, if the"
            " digest that the new store made of it is the one that Glance has",
        )
        parser.add_argument(
            "--parallel",
            metavar="N",
            type=int,
            choices=range(1, MOST_PARALLEL + 1),
            default=1,
            help=f"copy as many images at a time, up to {MOST_PARALLEL} (default:"
            " %(default)s)",
        )
        parser.add_argument(
            "--image-endpoint",
            metavar="URL",
            help="ask this glance-api, instead of the one in Keystone's catalog",
        )
        parser.add_argument(
            "--long",
            action="store_true",
            help="show all columns in the table; other formats have them anyway",
        )
        examples.add(
            parser,
            "adopt --long --fit-width",
            "adopt --apply --image IMAGE",
            "adopt --from file --store fv1 --parallel 2 --apply",
        )
        return parser

    def _concluded(self, parsed_args: argparse.Namespace) -> int:
        from glance_ontap_store.adoption import carrying_out

        if self._is_short(parsed_args):
            for outcome in self._outcomes:
                self._tell_reason(outcome)
        self._say(self._summary(parsed_args.apply))
        return carrying_out.exit_code(self._outcomes)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns, and one row for each image of the plan."""
        context = of(self.app)
        self._outcomes = _Work(context, parsed_args, self._say).outcomes()
        cells = [self._cells(outcome) for outcome in self._outcomes]
        names = SHORT_COLUMNS if self._is_short(parsed_args) else COLUMNS
        rows = ([row[name] for name in names] for row in cells)
        return names, inventory_commands.for_format(parsed_args, rows)

    @staticmethod
    def _is_short(parsed_args: argparse.Namespace) -> bool:
        return parsed_args.formatter == "table" and not (
            parsed_args.long or parsed_args.columns or parsed_args.sort_columns
        )

    def _tell_reason(self, outcome: "Outcome") -> None:
        """Say why an image is not done: the short table has no room for it."""
        if outcome.reason:
            reason = of(self.app).masked(outcome.reason)
            self._say(f"{outcome.step.image_id}: {outcome.result.value}: {reason}.")

    def _cells(self, outcome: "Outcome") -> dict[str, Any]:
        step = outcome.step
        reason = of(self.app).masked(outcome.reason) if outcome.reason else None
        return {
            "Image": OrDash(step.image_id),
            "Name": OrDash(step.image.name if step.image else None),
            "Size": Size(step.image.size if step.image else None),
            "From": OrDash(step.source),
            "To": OrDash(step.target),
            "Way": step.way.value,
            "Volume": OrDash(step.volume.id if step.volume else None),
            "Result": outcome.result.value,
            "Reason": OrDash(reason),
        }

    def _summary(self, is_applied: bool) -> str:
        counts: dict[str, int] = {}
        for outcome in self._outcomes:
            counts[outcome.result.value] = counts.get(outcome.result.value, 0) + 1
        text = ", ".join(f"{number} {name}" for name, number in counts.items())
        if not text:
            return "No image is to be taken over."
        return f"{text}." if is_applied else f"{text}. Nothing was changed: --apply."


class _Work:
    """The work of one run of the command."""

    def __init__(
        self,
        context: Context,
        arguments: argparse.Namespace,
        say: Callable[[str], None],
    ) -> None:
        self._context = context
        self._arguments = arguments
        self._say = say

    def outcomes(self) -> "list[Outcome]":
        """Make the plan, and carry it out if that was asked for.

        :raises errors.StoreError: there is no plan
        """
        # The libraries of Keystone and Cinder take long to import.
        from glance_ontap_store.adoption import carrying_out
        from glance_ontap_store.adoption.gathering import Gatherer
        from glance_ontap_store.adoption.gathering import Wanted
        from glance_ontap_store.glance.client import Glance
        from glance_ontap_store.survey import keystone

        stores = self._stores()
        cloud = self._context.cloud
        if cloud is None:
            raise errors.Misconfigured(
                "Only an administrator may list all images and volumes: give"
                " credentials with --os-cloud."
            )
        glance = Glance(
            cloud.session,
            stores[0],
            keystone.session_of(stores[0]),
            self._arguments.image_endpoint,
        )
        wanted = Wanted(
            kind=self._arguments.kind,
            images=frozenset(self._arguments.image),
            removes_old=self._arguments.remove_old,
        )
        gatherer = Gatherer(glance, stores, cloud.session)
        steps = gatherer.steps(wanted, self._context.glance.kinds)
        if not self._arguments.apply:
            return carrying_out.preview(steps)
        return self._carried_out(glance, steps, stores)

    def _stores(self) -> "list[Settings]":
        found = self._context.stores(self._arguments.store)
        for store in found:
            if store.settings is None:
                raise errors.Misconfigured("; ".join(store.mistakes))
        return [store.settings for store in found if store.settings]

    def _carried_out(
        self, glance: Any, steps: Sequence[Any], stores: "Sequence[Settings]"
    ) -> "list[Outcome]":
        from glance_ontap_store.adoption import carrying_out
        from glance_ontap_store.adoption.carrying_out import Carrier
        from glance_ontap_store.adoption.carrying_out import Orders
        from glance_ontap_store.cinder.waiting import SystemClock
        from glance_ontap_store.stopping.interruption import Stop
        from glance_ontap_store.survey import keystone
        from glance_ontap_store.survey.cinder import CinderSurvey

        by_id = {str(store.store_id): store for store in stores}
        orders = Orders(
            verify=self._arguments.verify,
            removes_old=self._arguments.remove_old,
            parallel=self._arguments.parallel,
        )

        def survey(store_id: str) -> CinderSurvey:
            settings = by_id[store_id]
            return CinderSurvey(settings, keystone.session_of(settings))

        stop = Stop()
        # The helpers are started in this thread, which has the signals.
        adopters = {
            store_id: self._adopter(by_id[store_id], stop)
            for store_id in carrying_out.attached_by(steps, orders)
        }
        carrier = Carrier(
            glance,
            adopters,
            survey,
            SystemClock(),
            orders,
            stop,
            self._say,
        )
        with stop.at_signals(self._say):
            return list(carrier.carry_out(steps))

    def _adopter(self, settings: "Settings", stop: "Stop") -> "Adopter":
        """Return what attaches image-volumes to this host, with its helpers started."""
        # os-brick may be missing.
        from glance_ontap_store import backend
        from glance_ontap_store import identity
        from glance_ontap_store.adoption.in_place import Adopter
        from glance_ontap_store.cinder.client import CinderClient
        from glance_ontap_store.survey import process_setup

        process_setup.start(self._context.glance, settings.rootwrap_config)
        service = CinderClient(settings, identity.session_for(settings))
        volumes, attacher = backend.parts(settings, service)
        return Adopter(settings.store_id or "", volumes, attacher, stop, self._say)
