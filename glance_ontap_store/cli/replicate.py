# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap replicate``: an image-volume on every FlexVol that a policy names."""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
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
    from glance_ontap_store.replication.carrying_out import CarryingOut
    from glance_ontap_store.replication.planning import Scope
    from glance_ontap_store.replication.policy import Policy
    from glance_ontap_store.replication.step import By
    from glance_ontap_store.replication.step import Outcome
    from glance_ontap_store.replication.step import Step
    from glance_ontap_store.settings import Settings
    from glance_ontap_store.stopping.interruption import Stop

COLUMNS = (
    *("Action", "Image", "Name", "Store", "Size", "Moved", "Pool", "Source", "Replica"),
    *("Verify", "Result", "Seconds", "Why"),
)
SHORT_COLUMNS = ("Action", "Name", "Store", "Size", "Result", "Why")
WAYS = ("array", "copy-image")


class Replicate(report.Report):
    """Make and retire replicas of images. Without --apply it only shows the plan.

    A replica is an image-volume of an image on another FlexVol, copied by the array:
    volumes there are clones then. The policy file says which images are wanted where.

    Exit code: 0 everything is as the policy wants it (or could be), 1 something was
    refused or is left for later, 2 a replica failed or a host copied it, 3 the command
    itself failed.
    """

    _outcomes: "Sequence[Outcome]" = ()

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the subcommand's options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="POLICY", help="the policy file (YAML)")
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--apply", action="store_true", help="do it, instead of showing the plan"
        )
        what.add_argument(
            "--check-policy",
            action="store_true",
            help="only look for mistakes in the policy file, and ask no service",
        )
        _add_scope(parser)
        _add_ways(parser)
        examples.add(
            parser,
            "replicate policy.yaml --check-policy",
            "replicate policy.yaml",
            "replicate policy.yaml --image IMAGE --store fv2 --apply --image-endpoint"
            " http://127.0.0.1:9293",
            "replicate policy.yaml --refresh --apply",
            "replicate policy.yaml -f json",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the plan; return the exit code. The table fits the terminal."""
        parsed_args.fit_width = parsed_args.fit_width or self.app.stdout.isatty()
        return super().run(parsed_args)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns, and one row for each step of the plan."""
        policy = self._policy(parsed_args)
        names = SHORT_COLUMNS if _is_short(parsed_args) else COLUMNS
        if parsed_args.check_policy:
            count = len(policy.rules)
            self._say(f"The policy has no mistake. Rules: {count}.")
            return names, []
        steps = self._steps(parsed_args, policy)
        self._outcomes = self._done(parsed_args, policy, steps)
        rows = [
            self._cells(each)
            for each in self._outcomes
            if not _is_short(parsed_args) or _is_news(each)
        ]
        shown = ([row[name] for name in names] for row in rows)
        return names, inventory_commands.for_format(parsed_args, shown)

    def _policy(self, parsed_args: argparse.Namespace) -> "Policy":
        """Return the policy of the file.

        :raises errors.Misconfigured: it cannot be read, or has mistakes
        """
        # The libraries of YAML and of schemas are needed here alone.
        from glance_ontap_store.replication import policy_file

        try:
            with open(parsed_args.policy, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise errors.Misconfigured(
                f"The policy file {parsed_args.policy} cannot be read: {error}."
            ) from error
        kinds: Mapping[str, str] | None = None
        try:
            kinds = of(self.app).glance.kinds
        except errors.Misconfigured as error:
            if not parsed_args.check_policy:
                raise
            self._say(f"The ids of stores are not looked at: {error}")
        return policy_file.parse(text, kinds)

    def _steps(self, parsed_args: argparse.Namespace, policy: "Policy") -> "list[Step]":
        """Return the plan.

        :raises errors.StoreError: there is none
        """
        # The libraries of Keystone and Cinder take long to import.
        from glance_ontap_store.replication import planning
        from glance_ontap_store.replication.gathering import ReplicaGatherer
        from glance_ontap_store.replication.step import By

        context = of(self.app)
        if context.cloud is None:
            raise errors.Misconfigured(
                "Cinder shows pools to administrators only. Give an administrator's"
                " cloud: --os-cloud NAME."
            )
        gatherer = ReplicaGatherer(
            context.glance,
            context.stores(None),
            context.cloud.session,
            self._say,
            parsed_args.image_endpoint,
        )
        facts = gatherer.facts(policy, parsed_args.files)
        scope = self._scope(parsed_args)
        known = {
            text for each in facts.images.values() for text in (each.id, each.name)
        }
        if missing := sorted(scope.images - known):
            raise errors.Misconfigured(f"Glance has no image {', '.join(missing)}.")
        return planning.plan(policy, facts, scope, By(parsed_args.by))

    def _scope(self, parsed_args: argparse.Namespace) -> "Scope":
        from glance_ontap_store.replication.planning import Scope

        if parsed_args.store:
            # An id that Glance does not know is a mistake.
            of(self.app).stores(parsed_args.store)
        return Scope(
            images=frozenset(parsed_args.image),
            stores=frozenset(filter(None, [parsed_args.store])),
            is_refresh=parsed_args.refresh,
        )

    def _done(
        self,
        parsed_args: argparse.Namespace,
        policy: "Policy",
        steps: "Sequence[Step]",
    ) -> "Sequence[Outcome]":
        """Carry the steps out if that was asked for; return their outcomes."""
        from glance_ontap_store.replication import outcomes

        if not parsed_args.apply:
            return outcomes.preview(steps)
        changes = [step for step in steps if outcomes.is_change(step)]
        done = _Work(of(self.app), parsed_args, policy, self._say).outcomes(changes)
        return outcomes.together(steps, done)

    def _concluded(self, parsed_args: argparse.Namespace) -> int:
        from glance_ontap_store.replication import outcomes
        from glance_ontap_store.replication.step import By

        if parsed_args.check_policy:
            return 0
        by = By(parsed_args.by)
        self._say(outcomes.summary(self._outcomes, by, parsed_args.apply))
        return outcomes.exit_code(self._outcomes)

    def _cells(self, outcome: "Outcome") -> dict[str, Any]:
        step, masked = outcome.step, of(self.app).masked
        why = masked(step.why)
        if outcome.reason and outcome.reason != step.why:
            why = masked(f"{step.why} {outcome.reason}")
        return {
            "Action": step.action.value,
            "Image": step.image.id,
            "Name": OrDash(step.image.name or step.image.id),
            "Store": step.store_id,
            "Size": Size(step.image.size),
            "Moved": Size(step.moved_bytes),
            "Pool": OrDash(step.pool),
            "Source": OrDash(step.source),
            "Replica": OrDash(step.replica),
            "Verify": step.verify.value,
            "Result": outcome.result.value,
            "Seconds": round(outcome.seconds, 1),
            "Why": why,
        }


class _Work:
    """The work of one run that changes something."""

    def __init__(
        self,
        context: Context,
        arguments: argparse.Namespace,
        policy: "Policy",
        say: Callable[[str], None],
    ) -> None:
        self._context = context
        self._arguments = arguments
        self._policy = policy
        self._say = say

    def outcomes(self, steps: "Sequence[Step]") -> "list[Outcome]":
        """Carry the steps out; return their outcomes, in the order of the steps.

        :raises errors.StoreError: the helper that mounts does not start
        """
        from glance_ontap_store.replication import carrying_out
        from glance_ontap_store.replication.step import By
        from glance_ontap_store.stopping.interruption import Stop
        from glance_ontap_store.survey import process_setup

        if not steps:
            return []
        by, stop = By(self._arguments.by), Stop()
        settings = [each.settings for each in self._context.stores(None)]
        stores = [each for each in settings if each is not None]
        if carrying_out.attaches(steps, by):
            # The helpers are started in this thread, which has the signals.
            process_setup.start(self._context.glance, stores[0].rootwrap_config)
        runner = self._runner(stores, by, stop)
        with stop.at_signals(self._say):
            return runner.run(steps)

    def _runner(
        self, stores: "Sequence[Settings]", by: "By", stop: "Stop"
    ) -> "CarryingOut":
        from glance_ontap_store.cinder.client import CinderClient
        from glance_ontap_store.cinder.waiting import SystemClock
        from glance_ontap_store.glance.client import Glance
        from glance_ontap_store.replication import parts
        from glance_ontap_store.replication.carrying_out import CarryingOut
        from glance_ontap_store.survey import keystone

        if self._context.cloud is None:
            raise AssertionError("the plan was made with the cloud's user")
        session = self._context.cloud.session
        built = [parts.build(each) for each in stores]
        return CarryingOut(
            Glance(
                session,
                stores[0],
                keystone.session_of(stores[0]),
                self._arguments.image_endpoint,
            ),
            CinderClient(stores[0], session),
            {each.id: each for each in built},
            SystemClock(),
            by=by,
            parallel=self._policy.parallel,
            per_pool=self._policy.per_pool,
            stop=stop,
            say=self._say,
        )


def _add_scope(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which part of the plan is wanted."""
    parser.add_argument(
        "--image",
        metavar="IMAGE",
        action="append",
        default=[],
        help="only the image with this id or name, even if nothing used it for its ttl;"
        " may be repeated",
    )
    parser.add_argument("--store", metavar="ID", help="only replicas in this store")
    parser.add_argument(
        "--refresh",
        action="store_true",
        help="only write the owners of images into their image-volumes, after images"
        " went to other projects",
    )


def _is_short(parsed_args: argparse.Namespace) -> bool:
    return parsed_args.formatter == "table" and not (
        parsed_args.long or parsed_args.columns or parsed_args.sort_columns
    )


def _is_news(outcome: "Outcome") -> bool:
    """Return whether the step changes something, or should have."""
    from glance_ontap_store.replication.step import Action

    return outcome.step.action is not Action.KEEP


def _add_ways(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how replicas are made, measured and shown."""
    parser.add_argument(
        "--by",
        choices=WAYS,
        default=WAYS[0],
        help="the array copies (default), or Glance through a host, which needs"
        " neither rights to migrate nor ontap_replica_volume_type",
    )
    parser.add_argument(
        "--files",
        action="store_true",
        help="mount the FlexVols on this host and measure how much each replica"
        " would take (default: as much as the image has bytes)",
    )
    parser.add_argument(
        "--image-endpoint",
        metavar="URL",
        help="the internal glance-api that may set locations"
        " (show_multiple_locations); default: the one in Keystone's catalog",
    )
    parser.add_argument(
        "--long",
        action="store_true",
        help="show all columns in the table, and what stays as it is; other formats"
        " have them anyway",
    )
