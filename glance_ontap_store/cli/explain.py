# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap explain``: how Cinder makes a volume from an image, and why so."""

import argparse
from collections import Counter
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import itertools
from typing import TYPE_CHECKING
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.cli import cinder_options
from glance_ontap_store.cli import examples
from glance_ontap_store.cli import inventory_commands
from glance_ontap_store.cli import report
from glance_ontap_store.cli.context import of
from glance_ontap_store.cli.inventory_commands import OrDash

if TYPE_CHECKING:
    from glance_ontap_store.placement.verdict import Verdict
    from glance_ontap_store.survey.gather_placement import PlacementGatherer
    from glance_ontap_store.survey.image import Image
    from glance_ontap_store.survey.placement_facts import CloudFacts
    from glance_ontap_store.survey.placement_facts import Request

# A remedy may end with a command: it is last.
COLUMNS = ("Pool", "Path", "Code", "Certainty", "Why", "Remedy")
ALL_COLUMNS = ("Image", "Name", "Pool", "Path", "Code", "Gains", "Certainty")
_LEGEND = (
    "gains: a download, which a replica in that pool would make a clone: see"
    " glance-ontap replicate. ?: not certain, see explain IMAGE."
)


class Short(OrDash):
    """A value, and the text by which people are shown it."""

    def __init__(self, value: str | None, text: str) -> None:
        super().__init__(value)
        self._text = text

    def human_readable(self) -> str:
        """Return the text for people."""
        return self._text


class Explain(report.Findings):
    """Tell for each pool how Cinder would make a volume from an image, and why.

    Exit code: 0 a clone in all pools, 1 a download in a pool, 2 a failure, 3 the
    command itself failed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the subcommand's options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "image", metavar="IMAGE", nargs="?", help="the image's id or name"
        )
        what.add_argument(
            "--all",
            action="store_true",
            help="show all active images, and which of them would gain from a replica"
            " in which pool",
        )
        _add_request(parser)
        cinder_options.add(parser)
        examples.add(
            parser,
            "explain IMAGE",
            "explain IMAGE --volume-type TYPE --size 20 --cinder-conf cinder.conf"
            " --cinder-release 2026.1 --files",
            "explain --all",
            "explain --all -f csv",
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the rows; return the exit code. All images are a table by default."""
        if parsed_args.all and parsed_args.formatter == self.formatter_default:
            parsed_args.formatter = "table"
        return super().run(parsed_args)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns, and one row for each pool or image."""
        # They take long to import, and the help does without.
        from glance_ontap_store.survey.gather_placement import PlacementGatherer

        context = of(self.app)
        if context.cloud is None:
            raise errors.Misconfigured(
                "Cinder shows pools to administrators only. Give an administrator's"
                " cloud: --os-cloud NAME."
            )
        stores = context.stores(None)
        gatherer = PlacementGatherer(
            context.glance_with_policies(),
            stores,
            context.cloud.session,
            say=self._say,
        )
        cloud = gatherer.cloud(
            context.cinder_conf(parsed_args.cinder_conf),
            parsed_args.cinder_release,
            parsed_args.files,
            self._say,
        )
        answer = self._all if parsed_args.all else self._one
        names, rows = answer(parsed_args, gatherer, cloud)
        return names, inventory_commands.for_format(parsed_args, rows)

    def _one(
        self,
        parsed_args: argparse.Namespace,
        gatherer: "PlacementGatherer",
        cloud: "CloudFacts",
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        from glance_ontap_store.placement import deciding
        from glance_ontap_store.placement import verdict

        image = gatherer.image(parsed_args.image)
        project = parsed_args.project or image.owner
        request = gatherer.request(
            project, parsed_args.size, parsed_args.volume_type, image
        )
        facts = gatherer.facts(image, project)
        found = deciding.decide(cloud, facts, request)
        self._code = verdict.exit_code(found)
        self._say(_summary(image, request, found))
        short = short_names(each.name for each in cloud.pools)
        return COLUMNS, [self._row(each, short) for each in found]

    def _row(self, found: "Verdict", short: Mapping[str, str]) -> Sequence[Any]:
        context = of(self.app)
        sure = context.masked(found.certainty)
        return (
            Short(found.pool, short.get(found.pool or "", "-")),
            found.path.value,
            Short(found.code.value if found.code else None, _code(found)),
            Short(sure, f"{sure[0].upper()}{sure[1:]}."),
            context.masked(" ".join([*filter(None, [found.why]), *found.notes])),
            context.masked(found.remedy),
        )

    def _all(
        self,
        parsed_args: argparse.Namespace,
        gatherer: "PlacementGatherer",
        cloud: "CloudFacts",
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        short = short_names(each.name for each in cloud.pools)
        found = self._decided(parsed_args, gatherer, cloud, short)
        if parsed_args.formatter == "table":
            table = _matrix(found, short)
            self._say(_LEGEND)
            return table
        # The rows are made while they are printed: there may be millions.
        return ALL_COLUMNS, (
            (
                *(image.id, OrDash(image.name), OrDash(each.pool), each.path.value),
                OrDash(each.code.value if each.code else None),
                each.gains,
                each.certainty,
            )
            for image, row in found
            for each in row
        )

    def _decided(
        self,
        parsed_args: argparse.Namespace,
        gatherer: "PlacementGatherer",
        cloud: "CloudFacts",
        short: Mapping[str, str],
    ) -> "Iterator[tuple[Image, Sequence[Verdict]]]":
        """Yield each image with its verdicts; then say what they come to."""
        from glance_ontap_store.placement import deciding
        from glance_ontap_store.placement import verdict

        project = parsed_args.project
        images = gatherer.images()
        wanted = gatherer.request(project, parsed_args.size, parsed_args.volume_type)
        gaining: Counter[str] = Counter()
        gains = 0
        for each in gatherer.facts_of_all(images, project):
            request = wanted.for_project(project or each.image.owner)
            row = deciding.decide(cloud, each, request)
            self._code = max(self._code, verdict.exit_code(row))
            pools = [short.get(one.pool or "", "-") for one in row if one.gains]
            gaining.update(pools)
            gains += bool(pools)
            yield each.image, row
        self._say(_summary_of_all(len(images), gains, gaining))


def _add_request(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which volume is asked for, and ``--files``."""
    parser.add_argument(
        "--volume-type",
        metavar="TYPE",
        help="the type of the volume (default: the one that Cinder would take; with"
        " --all: any type that does not encrypt)",
    )
    parser.add_argument(
        "--project",
        metavar="ID",
        help="the project of the volume (default: the image's owner)",
    )
    parser.add_argument(
        "--size",
        metavar="GIB",
        type=_size,
        help="the size of the volume in GiB (default: the smallest that Cinder"
        " accepts)",
    )
    parser.add_argument(
        "--files",
        action="store_true",
        help="mount the FlexVols on this host and look for the files img-cache-* in"
        " which Cinder's driver keeps images",
    )


def short_names(pools: Iterable[str]) -> dict[str, str]:
    """Return the part of each pool's name that tells it from the others."""
    names = {name: name.partition("#")[2] or name for name in pools}
    count = Counter(names.values())
    return {name: text if count[text] == 1 else name for name, text in names.items()}


def _size(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give a size of 1 GiB or more")
    return number


def _code(found: "Verdict") -> str:
    return found.code.value if found.code else ""


def _summary(image: "Image", request: "Request", found: "Sequence[Verdict]") -> str:
    from glance_ontap_store.placement import request as requests

    kind = request.volume_type.name if request.volume_type else "any"
    size = request.size_gib or requests.smallest(image)
    sure = sum(not each.doubts for each in found)
    return (
        f"Image {image.name or image.id}, a volume of {size} GiB of type {kind} in"
        f" project {request.project}: {_counted(found)}; certain: {sure} of"
        f" {len(found)}."
    )


def _counted(found: "Iterable[Verdict]") -> str:
    """Return how many verdicts are of each kind, in words."""
    count = Counter(
        "clone" if each.path.is_clone else each.path.value for each in found
    )
    words = ("clone", "download", "failure")
    return ", ".join(f"{word} {count[word]}" for word in words if count[word])


def _summary_of_all(images: int, gains: int, gaining: Mapping[str, int]) -> str:
    where = ", ".join(f"{name} {number}" for name, number in sorted(gaining.items()))
    text = f"{images} images; {gains} would gain from a replica"
    return f"{text}: {where}." if where else f"{text}."


def _matrix(
    found: "Iterable[tuple[Image, Sequence[Verdict]]]", short: Mapping[str, str]
) -> tuple[Sequence[str], list[Sequence[Any]]]:
    """Return the columns and rows of a table of images and pools.

    A pool that no image has a verdict for is left out.
    """
    seen: set[str | None] = set()
    rows: list[Sequence[Any]] = []
    for image, row in found:
        cells = {each.pool: _cell(each) for each in row}
        seen.update(cells)
        if None in cells:
            cells = dict.fromkeys(short, cells[None])
        places = (cells.get(name, "-") for name in short)
        rows.append((image.id, OrDash(image.name), *places))
    pools = [name for name in short if name in seen]
    if len(pools) < len(short):
        kept = [True, True, *(name in seen for name in short)]
        rows = [tuple(itertools.compress(row, kept)) for row in rows]
    return ("Image", "Name", *(short[name] for name in pools)), rows


def _cell(found: "Verdict") -> str:
    word = "clone" if found.path.is_clone else found.path.value
    word = "gains" if found.gains else word
    return f"{word}?" if found.doubts else word
