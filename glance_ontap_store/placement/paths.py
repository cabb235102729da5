# SPDX-License-Identifier: Apache-2.0
"""What keeps Cinder from each way to make a volume, in the order of its code."""

from collections.abc import Iterator
import datetime

from glance_ontap_store import units
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.images.record import Record
from glance_ontap_store.placement import candidates
from glance_ontap_store.placement import locations
from glance_ontap_store.placement import verdict
from glance_ontap_store.placement.candidates import Situation
from glance_ontap_store.placement.locations import CINDER_CONF
from glance_ontap_store.placement.locations import Seen
from glance_ontap_store.placement.obstacle import Obstacle
from glance_ontap_store.placement.verdict import Code
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import CinderBackend
from glance_ontap_store.survey.image import Image
from glance_ontap_store.survey.image import volumes_in
from glance_ontap_store.survey.inventory import is_mistaken_for_raw

_UPDATED_AT = "%Y-%m-%dT%H:%M:%SZ"


def driver_cache(situation: Situation) -> Iterator[Obstacle]:
    """Yield what keeps NetApp's driver from cloning its own copy of the image."""
    if not situation.pool.is_ontap_nfs:
        yield Obstacle(Code.NOT_CACHED, True, "Only NetApp's NFS driver has a cache.")
        return
    yield from _encryption(situation)
    if situation.pool.is_flexgroup:
        yield candidates.flexgroup(situation)
    name = cache_file(situation)
    found = situation.cloud.file_size(situation.pool, name)
    if not isinstance(found, int):
        yield Obstacle(
            Code.NOT_CACHED,
            None if isinstance(found, Unknown) else True,
            f"{situation.pool.pool_name} has no {name}.",
            doubt=verdict.unless(f"{name} is there (--files looks)"),
            is_assumed=True,
        )
    yield from _larger_cache(situation)


def cache_file(situation: Situation) -> str:
    """Return the name of the file that the driver keeps of an image it downloaded."""
    return f"img-cache-{situation.image.id}"


def _larger_cache(situation: Situation) -> Iterator[Obstacle]:
    """Yield that the driver's copy is larger than the volume.

    The copy has the size of the volume for which the image was downloaded. The driver
    clones it and cannot shrink the clone. It leaves that file, so that no other clone
    can have its name.
    """
    pool, encrypts = situation.pool, situation.request.encrypts
    if not pool.is_ontap_nfs or encrypts is True or pool.is_flexgroup:
        return
    name = cache_file(situation)
    size = situation.cloud.file_size(pool, name)
    if isinstance(size, int) and size > situation.size_gib * units.GIB:
        yield Obstacle(
            Code.CACHE_LARGER,
            True,
            f"The driver's copy {name} in {pool.pool_name} is larger than the volume:"
            " the driver clones it, cannot shrink the clone, and then no other clone"
            " works.",
            f"Delete {name} on the FlexVol, or make a volume of"
            f" {-(-size // units.GIB)} GiB or more.",
        )


def driver_copies(situation: Situation) -> tuple[str, ...]:
    """Return the doubts that the driver may copy the image by other means.

    It tries to, if it has no copy on the FlexVol of the volume.
    """
    is_plain = situation.pool.is_ontap_nfs and situation.request.encrypts is not True
    if not is_plain:
        return ()
    doubts = []
    name = cache_file(situation)
    elsewhere = [
        export
        for export, names in situation.cloud.files.items()
        if not isinstance(names, Unknown) and name in names
    ]
    config = backend(situation)
    if elsewhere and situation.pool.pool_name not in elsewhere:
        if config is None:
            doubts.append(CINDER_CONF)
        elif config.uses_zapi:
            doubts.append(
                verdict.unless(f"the driver copies {name} of {elsewhere[0]} (ZAPI)")
            )
    places = situation.facts.locations
    if not isinstance(places, Unknown) and any(each.kind == "nfs" for each in places):
        doubts.append(
            verdict.unless("Cinder mounts Glance's NFS share, and clones its file")
        )
    return tuple(doubts)


def image_volume(situation: Situation, seen: Seen) -> Iterator[Obstacle]:
    """Yield what keeps Cinder from cloning an image-volume."""
    config = situation.cloud.cinder
    is_known = not isinstance(config, Unknown)
    if isinstance(config, Unknown) or "cinder" not in config.allowed_direct_url_schemes:
        yield Obstacle(
            Code.SCHEMES,
            True if is_known else None,
            "allowed_direct_url_schemes in cinder.conf does not contain cinder.",
            "Set allowed_direct_url_schemes = cinder in [DEFAULT] of cinder.conf and"
            " restart cinder-volume.",
            doubt=CINDER_CONF,
        )
    yield from _encryption(situation)
    yield from _format(situation.image)
    yield from locations.obstacles(seen)
    yield from _larger_cache(situation)
    found, doubts = locations.ids(situation.facts, seen)
    for doubt in doubts:
        yield Obstacle(Code.HIDDEN, None, "", doubt=doubt)
    yield from candidates.obstacles(situation, found)


def cinder_cache(situation: Situation) -> Iterator[Obstacle]:
    """Yield what keeps Cinder from cloning its own cached volume of the image."""
    section = backend(situation)
    config = situation.cloud.cinder
    off = "Cinder's image-volume cache is off (image_volume_cache_enabled)."
    if section is None:
        yield Obstacle(Code.CACHE_OFF, None, off, doubt=CINDER_CONF, is_assumed=True)
    elif not section.caches_images:
        yield Obstacle(Code.CACHE_OFF, True, off)
    yield from _encryption(situation)
    project: str | None = None
    if not isinstance(config, Unknown):
        project = config.internal_project
        if project is None:
            yield Obstacle(Code.CACHE_OFF, True, "Cinder's internal tenant is not set.")
    yield from _larger_cache(situation)
    yield from _entry(situation, project)


def _entry(situation: Situation, project: str | None) -> Iterator[Obstacle]:
    """Yield that the cache has no entry for the image, or an old one."""
    cached = situation.facts.cached
    if isinstance(cached, Unknown):
        doubt = verdict.not_known("the volumes of Cinder's image-volume cache")
        yield Obstacle(Code.NOT_CACHED, None, "", doubt=doubt, is_assumed=True)
        return
    here = [
        each
        for each in cached
        if each.pool == situation.pool.name and project in (None, each.project_id)
    ]
    if not here:
        why = "Cinder's image-volume cache has no volume of the image here."
        yield Obstacle(Code.NOT_CACHED, True, why)
    elif all(_is_older(each, situation.image) for each in here):
        # Cinder compares the image's updated_at with that of the entry.
        why = "The image was changed after Cinder had cached it."
        yield Obstacle(Code.CACHE_STALE, True, why)
    else:
        doubt = verdict.unless(f"volume {here[0].id} is not in Cinder's cache any more")
        yield Obstacle(Code.NOT_CACHED, None, "", doubt=doubt)


def _is_older(volume: Volume, image: Image) -> bool:
    try:
        made = datetime.datetime.fromisoformat((volume.created_at or "")[:19])
        changed = datetime.datetime.strptime(image.updated_at or "", _UPDATED_AT)
    except ValueError:
        return False
    return changed > made


def download(situation: Situation) -> Iterator[Obstacle]:
    """Yield what makes a download, and the volume, fail."""
    if _is_data_gone(situation):
        yield Obstacle(
            Code.DATA_GONE,
            True,
            "None of the image-volumes of the image has a file any more: Glance cannot"
            " read the image either.",
            "Store the image again. Run: glance-ontap audit",
        )
    if situation.image.disk_format != "raw":
        return
    content = content_of(situation)
    if content is not None:
        yield Obstacle(
            Code.NOT_RAW_BYTES,
            True,
            f"The image is called raw, but its bytes are {content}: Cinder refuses"
            " to write them to a volume.",
            f"Store the image again, with disk_format {content} or converted to raw.",
        )


def _is_data_gone(situation: Situation) -> bool:
    """Return whether all locations are image-volumes that have lost their files."""
    places = situation.facts.locations
    if isinstance(places, Unknown) or not places:
        return False
    return all(_is_gone(situation, volumes_in([each.url])) for each in places)


def _is_gone(situation: Situation, ids: frozenset[str]) -> bool:
    for volume_id in ids:
        volume = situation.facts.volumes.get(volume_id)
        if isinstance(volume, Volume):
            files = situation.cloud.files.get((volume.pool or "").partition("#")[2])
            if files is None or isinstance(files, Unknown):
                return False
            return f"volume-{volume.backing_id}" not in files
        return volume is None
    # A location of another store.
    return False


def content_of(situation: Situation) -> str | None:
    """Return the format of the bytes if the stores noted another one than raw."""
    for volume in situation.facts.volumes.values():
        if isinstance(volume, Volume):
            content = Record.parse(volume.metadata).content
            if is_mistaken_for_raw(content):
                return content
    return None


def backend(situation: Situation) -> CinderBackend | None:
    """Return the pool's back end in cinder.conf; None if it is not known."""
    config = situation.cloud.cinder
    if isinstance(config, Unknown):
        return None
    section = situation.pool.section
    return next((each for each in config.backends if each.section == section), None)


def _encryption(situation: Situation) -> Iterator[Obstacle]:
    encrypts, kind = situation.request.encrypts, situation.request.volume_type
    if encrypts is False:
        return
    name = kind.name if kind else ""
    yield Obstacle(
        Code.ENCRYPTED,
        None if isinstance(encrypts, Unknown) else True,
        f"Volume type {name} encrypts on the host: Cinder clones no image for it.",
        "Use a volume type without encryption; NetApp Volume Encryption does no harm.",
        doubt=verdict.not_known(f"whether volume type {name} encrypts"),
    )


def _format(image: Image) -> Iterator[Obstacle]:
    if (image.disk_format, image.container_format) != ("raw", "bare"):
        yield Obstacle(
            Code.FORMAT,
            True,
            f"The image is {image.disk_format} in {image.container_format}: Cinder"
            " clones image-volumes of raw images in bare only.",
            "Store the image as raw (Glance's image conversion at import does that).",
        )
