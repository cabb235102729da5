# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap list`` and ``usage``: show the stores' image-volumes."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import TypeAlias

from cliff import columns
from cliff import lister

from glance_ontap_store import errors
from glance_ontap_store.cli import examples
from glance_ontap_store.cli.context import of
from glance_ontap_store.survey import inventory
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.inventory import Row

# The columns of a list, and those of a table on a terminal.
LIST_COLUMNS = (
    "Image",
    "Name",
    "Owner",
    "Store",
    "Volume",
    "Pool",
    "Size GiB",
    "Image Size",
    "Content",
    "State",
    "Status",
    "Replica Of",
)
SHORT_COLUMNS = ("Image", "Name", "Store", "Image Size", "State", "Status")
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


class _Volumes(examples.Command, lister.Lister):
    """The common part of both subcommands: find the stores' volumes."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            "--store", metavar="ID", help="show this store only (default: all)"
        )
        return parser

    def _say(self, text: str) -> None:
        self.app.stderr.write(of(self.app).masked(text) + "\n")

    def _rows(self, only: str | None) -> tuple[Row, ...]:
        """Return the volumes; say so if some are hidden from these credentials."""
        # The libraries of Keystone and Cinder take long to import.
        from glance_ontap_store.survey import listing

        context = of(self.app)
        stores, cloud = context.stores(only), context.cloud
        try:
            found = listing.find(stores, cloud.session if cloud else None, self._say)
        except errors.StoreError as error:
            # Without the original, which a traceback would show with its secrets.
            raise type(error)(context.masked(str(error))) from None
        if not found.is_complete:
            self._say(_ONLY_ADMIN)
        return found.rows


def for_format(
    parsed_args: argparse.Namespace, rows: Iterable[Sequence[Any]]
) -> Iterable[Sequence[Any]]:
    """Return the rows, as they come, for the formatter that was chosen.

    cliff's CSV formatter makes text of every `FormattableColumn`: it would quote
    numbers, and write "None" for an unknown value. So does "value". They get the plain
    values.
    """
    if parsed_args.formatter not in ("csv", "value"):
        shown = rows
    else:
        shown = ([_plain(cell) for cell in row] for row in rows)
    # cliff begins again with rows that it cannot sort.
    return list(shown) if parsed_args.sort_columns else shown


def _plain(cell: Any) -> Any:
    if isinstance(cell, columns.FormattableColumn):
        cell = cell.machine_readable()
    return "" if cell is None else cell


class List(_Volumes):
    """List the image-volumes of the stores."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the subcommand's options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--image", metavar="IMAGE", help="show the image with this id or name only"
        )
        parser.add_argument(
            "--project", metavar="ID", help="show images of this project only"
        )
        parser.add_argument(
            "--state",
            choices=inventory.STATES,
            help="show image-volumes in this state only",
        )
        parser.add_argument(
            "--pool",
            metavar="POOL",
            help="show image-volumes in this pool only: host@backend#export, or the"
            " export alone",
        )
        parser.add_argument(
            "--long",
            action="store_true",
            help="show all columns in the table; other formats have them anyway",
        )
        examples.add(
            parser,
            "list --long --fit-width",
            "list --state filling",
            "list --pool 192.0.2.10:/fv1 -f csv",
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns, and one row for each volume."""
        wanted = inventory.Wanted(
            image=parsed_args.image,
            project=parsed_args.project,
            state=parsed_args.state,
            pool=parsed_args.pool,
        )
        rows = self._rows(parsed_args.store)
        names = self._names(parsed_args.store)
        cells = (
            _cells(row, name)
            for row, name in ((row, names.get(row.image_id or "")) for row in rows)
            if wanted.includes(row, name)
        )
        shown = _list_columns(parsed_args)
        return shown, for_format(
            parsed_args, ([each[column] for column in shown] for each in cells)
        )

    def _names(self, only: str | None) -> Mapping[str, str]:
        """Return the images' names by id; none without an administrator's cloud."""
        from glance_ontap_store.survey import glance

        context = of(self.app)
        if context.cloud is None:
            return {}
        settings = next(each.settings for each in context.stores(only) if each.settings)
        found = glance.names(context.cloud.session, settings, self._say)
        if isinstance(found, Unknown):
            self._say(f"Glance does not tell the images' names: {found.text}.")
            return {}
        return found


def _list_columns(parsed_args: argparse.Namespace) -> Sequence[str]:
    """Return the columns of a list: few for a table, unless some are asked for."""
    is_short = parsed_args.formatter == "table" and not (
        parsed_args.long or parsed_args.columns or parsed_args.sort_columns
    )
    return SHORT_COLUMNS if is_short else LIST_COLUMNS


def _cells(row: Row, name: str | None) -> Mapping[str, Any]:
    """Return the cells of a row of the list by their columns."""
    return {
        "Image": OrDash(row.image_id),
        "Name": OrDash(name),
        "Owner": OrDash(row.owner),
        "Store": row.store,
        "Volume": row.volume_id,
        "Pool": OrDash(row.pool),
        "Size GiB": row.size_gib,
        "Image Size": Size(row.image_size),
        "Content": OrDash(row.content),
        "State": row.state,
        "Status": row.status,
        "Replica Of": OrDash(row.replica_of),
    }


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
        examples.add(parser, "usage --by project -f csv", "usage --by pool --allocated")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns, and one row for each project, store or pool."""
        rows = self._rows(parsed_args.store)
        occupied: dict[str, int] = {}
        if parsed_args.allocated:
            from glance_ontap_store.survey import allocated

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
            "Replicas",
            "Replicas GiB",
            "Replicas Allocated",
        )
        shown = (
            (
                OrDash(total.key),
                total.images,
                Size(total.image_bytes),
                total.volume_gib,
                Size(total.allocated_bytes),
                total.replicas,
                total.replicas_gib,
                Size(total.replicas_allocated),
            )
            for total in sums
        )
        return names, for_format(parsed_args, shown)
