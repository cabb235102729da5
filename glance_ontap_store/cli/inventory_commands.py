# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap list`` and ``usage``: the image-volumes there are."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from cliff import columns
from cliff import lister

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cli.context import of
from glance_ontap_store.survey import allocated as allocated_
from glance_ontap_store.survey import cinder
from glance_ontap_store.survey import inventory
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.cinder import CinderSurvey
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.inventory import Row

LIST_COLUMNS = (
    "Image",
    "Owner",
    "Store",
    "Volume",
    "Pool",
    "Size GiB",
    "Image Size",
    "State",
    "Status",
)
_ONLY_ADMIN = (
    "Pools, and image-volumes that got into other projects than the stores', are"
    " shown to administrators: --os-cloud."
)


class OrDash(columns.FormattableColumn[Any]):
    """A value that may not be known: "-" for people, null for programs."""

    def human_readable(self) -> str:
        return "-" if self._value is None else str(self._value)

    def machine_readable(self) -> Any:
        return self._value


class _Volumes(lister.Lister):
    """What both subcommands do: find the stores' volumes."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("--store", metavar="ID", help="of this store only")
        return parser

    def _rows(self, only: str | None) -> list[Row]:
        session = of(self.app)
        stores = session.stores(only)
        cloud = session.cloud
        if cloud is None:
            self.app.stderr.write(_ONLY_ADMIN + "\n")
        admin = cloud.session if cloud else None
        found: list[Row] = []
        # Stores of one project share its list, which may be long.
        listed: dict[tuple[str, str], tuple[Volume, ...]] = {}
        for store in stores:
            if store.settings is None:
                raise errors.Misconfigured("; ".join(store.mistakes))
            seen = self._seen(store, admin, listed)
            rows = (
                inventory.row(each, store.id, store.settings.volume_type)
                for each in seen
            )
            found += [each for each in rows if each is not None]
        return found

    def _seen(
        self,
        store: StoreConfig,
        admin: Any,
        listed: dict[tuple[str, str], tuple[Volume, ...]],
    ) -> Iterable[Volume]:
        """All volumes that may be the store's.

        Those of its project, since what Cinder registers itself does not name
        the store; and for an administrator, which the user of a store with
        ``ontap_image_volume_owner = project`` is, those of any project whose
        metadata names it, which Cinder picks out itself.
        """
        settings = store.settings
        assert settings is not None  # noqa: S101 - for mypy
        own = keystone.session_of(settings)
        login = self._known(store, keystone.login(own))
        sees_all = admin or (own if settings.owned_by_project else None)
        inquiry = CinderSurvey(settings, sees_all or own)
        place = (settings.auth_url, login.project_id)
        if place not in listed:
            search = {"all_tenants": 1, "project_id": login.project_id}
            listed[place] = self._known(
                store, inquiry.volumes(**(search if sees_all else {}))
            )
        if not sees_all:
            return listed[place]
        marked = self._known(
            store,
            inquiry.volumes(all_tenants=1, metadata={"ontap_store": store.id}),
        )
        return cinder.distinct(listed[place], marked)

    def _known(self, store: StoreConfig, answer: Answer[Any]) -> Any:
        """The answer; a list without all of them would be a wrong one."""
        if isinstance(answer, Unknown):
            session = of(self.app)
            raise errors.Broken(
                session.masked(
                    f"The volumes of store {store.id!r} are not known:"
                    f" {answer.reason.value}: {answer.text}. Try: glance-ontap check."
                )
            )
        return answer


class List(_Volumes):
    """List the image-volumes of the stores."""

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        rows = self._rows(parsed_args.store)
        return LIST_COLUMNS, _shown(
            parsed_args,
            (
                (
                    OrDash(each.image_id),
                    OrDash(each.owner),
                    each.store,
                    each.volume_id,
                    OrDash(each.pool),
                    each.size_gib,
                    OrDash(each.image_size),
                    each.state,
                    each.status,
                )
                for each in rows
            ),
        )


def _shown(
    parsed_args: argparse.Namespace, rows: Iterable[Sequence[Any]]
) -> list[Sequence[Any]]:
    """The rows as the formatter wants them: cliff's CSV would write "None"."""
    if parsed_args.formatter != "csv":
        return list(rows)
    return [["" if _is_unknown(cell) else cell for cell in row] for row in rows]


def _is_unknown(cell: Any) -> bool:
    return isinstance(cell, columns.FormattableColumn) and (
        cell.machine_readable() is None
    )


class Size(columns.FormattableColumn[int | None]):
    """Bytes: with a unit for people, a number for programs, "-" if not known."""

    def human_readable(self) -> str:
        if self._value is None:
            return "-"
        value, units = float(self._value), ["B", "KiB", "MiB", "GiB", "TiB"]
        while value >= 1024 and len(units) > 1:
            value /= 1024
            units.pop(0)
        return (
            f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"
        )

    def machine_readable(self) -> int | None:
        return self._value


class Usage(_Volumes):
    """Sum up images, bytes and gigabytes, for chargeback and planning."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--by",
            choices=sorted(inventory.KEYS),
            default="store",
            help="what a row stands for (default: %(default)s)",
        )
        parser.add_argument(
            "--allocated",
            action="store_true",
            help="mount the FlexVols on this host and see what the files occupy"
            " (needs an administrator's credentials)",
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        session = of(self.app)
        rows = self._rows(parsed_args.store)
        allocated: dict[str, int] = {}
        if parsed_args.allocated:
            allocated = allocated_.occupied(
                rows, session.glance, lambda text: self.app.stderr.write(text + "\n")
            )
        sums = inventory.summed(
            rows, parsed_args.by, lambda each: allocated.get(each.volume_id)
        )
        names = (
            parsed_args.by.capitalize(),
            "Images",
            "Image Size",
            "Volumes GiB",
            "Allocated",
        )
        return names, _shown(
            parsed_args,
            (
                (
                    OrDash(each.key),
                    each.images,
                    Size(each.image_bytes),
                    each.volume_gib,
                    Size(each.allocated_bytes),
                )
                for each in sums
            ),
        )
