# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap list`` and ``usage``: show the stores' image-volumes."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import TypeAlias

from cliff import columns
from cliff import lister

from glance_ontap_store import errors
from glance_ontap_store.cli.context import of
from glance_ontap_store.survey import allocated
from glance_ontap_store.survey import inventory
from glance_ontap_store.survey import listing
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
    "Pools, and image-volumes in projects other than the store's own, are shown only"
    " to administrators: give an administrator's credentials with --os-cloud."
)


if TYPE_CHECKING:
    _Column: TypeAlias = columns.FormattableColumn[Any]
else:  # before cliff 4.9 it is not generic
    _Column = columns.FormattableColumn


class OrDash(_Column):
    """A value that may be unknown: "-" for people, null for programs."""

    def human_readable(self) -> str:
        """Return the value as text for a table."""
        return "-" if self._value is None else str(self._value)

    def machine_readable(self) -> Any:
        """Return the value itself."""
        return self._value


class Size(_Column):
    """Bytes: with a unit for people, a number for programs, "-" if unknown."""

    def human_readable(self) -> str:
        """Return the size with a unit, such as ``1.5 GiB``."""
        if self._value is None:
            return "-"
        value, units = float(self._value), ["B", "KiB", "MiB", "GiB", "TiB"]
        while value >= 1024 and len(units) > 1:
            value /= 1024
            units.pop(0)
        return f"{value:.{0 if units[0] == 'B' else 1}f} {units[0]}"

    def machine_readable(self) -> int | None:
        """Return the number of bytes."""
        size: int | None = self._value
        return size


class _Volumes(lister.Lister):
    """The common part of both subcommands: find the stores' volumes."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            "--store", metavar="ID", help="show this store only (default: all)"
        )
        return parser

    def _rows(self, only: str | None) -> tuple[Row, ...]:
        """Return the volumes; say so if some are hidden from these credentials."""
        context = of(self.app)
        stores, cloud = context.stores(only), context.cloud
        try:
            found = listing.find(stores, cloud.session if cloud else None)
        except errors.StoreError as error:
            # Without the original, which a traceback would show with its secrets.
            raise type(error)(context.masked(str(error))) from None
        if not found.is_complete:
            self.app.stderr.write(_ONLY_ADMIN + "\n")
        return found.rows


def _for_format(
    parsed_args: argparse.Namespace, rows: Iterable[Sequence[Any]]
) -> list[Sequence[Any]]:
    """Return the rows for the formatter that was chosen.

    cliff's CSV formatter makes text of every `FormattableColumn`: it would quote
    numbers, and write "None" for an unknown value. It gets the plain values.
    """
    if parsed_args.formatter != "csv":
        return list(rows)
    return [[_plain(cell) for cell in row] for row in rows]


def _plain(cell: Any) -> Any:
    if isinstance(cell, columns.FormattableColumn):
        cell = cell.machine_readable()
    return "" if cell is None else cell


class List(_Volumes):
    """List the image-volumes of the stores."""

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns, and one row for each volume."""
        rows = (
            (
                OrDash(row.image_id),
                OrDash(row.owner),
                row.store,
                row.volume_id,
                OrDash(row.pool),
                row.size_gib,
                Size(row.image_size),
                row.state,
                row.status,
            )
            for row in self._rows(parsed_args.store)
        )
        return LIST_COLUMNS, _for_format(parsed_args, rows)


class Usage(_Volumes):
    """Sum up images, bytes and gigabytes, for chargeback and planning."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the subcommand's options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--by",
            choices=sorted(inventory.KEYS),
            default="store",
            help="show one row for each of these (default: %(default)s)",
        )
        parser.add_argument(
            "--allocated",
            action="store_true",
            help="mount the FlexVols on this host and add up the space that the files"
            " occupy (needs an administrator's credentials)",
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns, and one row for each project, store or pool."""
        rows = self._rows(parsed_args.store)
        occupied: dict[str, int] = {}
        if parsed_args.allocated:
            occupied = allocated.occupied(rows, of(self.app).glance, self._say)
        sums = inventory.summed(
            rows, parsed_args.by, lambda row: occupied.get(row.volume_id)
        )
        names = (
            parsed_args.by.capitalize(),
            "Images",
            "Image Size",
            "Volumes GiB",
            "Allocated",
        )
        shown = (
            (
                OrDash(total.key),
                total.images,
                Size(total.image_bytes),
                total.volume_gib,
                Size(total.allocated_bytes),
            )
            for total in sums
        )
        return names, _for_format(parsed_args, shown)

    def _say(self, text: str) -> None:
        self.app.stderr.write(of(self.app).masked(text) + "\n")
