# SPDX-License-Identifier: Apache-2.0
"""Judge the images that the stores hold."""

from collections.abc import Iterator

from glance_ontap_store.checks import codes
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.inventory import Row

# Images that a finding names; it counts the others.
_NAMED = 3

judges = Judges()


@judges.once("admin.rows", "admin.raw_images")
def raw_images_are_raw(
    _facts: Facts, rows: tuple[Row, ...], raw_images: frozenset[str]
) -> Iterator[Finding]:
    """Report images whose bytes are a disk format, although Glance calls them raw."""
    wrong: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.is_mistaken_for_raw and row.image_id in raw_images:
            key = row.store, str(row.content)
            wrong.setdefault(key, []).append(str(row.image_id))
    for (store_id, content), images in wrong.items():
        more = len(images) - _NAMED
        names = ", ".join(images[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        yield codes.DISK_FORMAT(
            store_id,
            f"Glance calls {names} raw, but the bytes are {content}: Cinder clones them"
            " as they are, and then refuses to attach the volumes, or takes them for"
            f" {content} files, with a wrong size.",
            "Convert the image (qemu-img convert -O raw) and upload it again, or upload"
            f" it with --disk-format {content}.",
        )
