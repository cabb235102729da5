# SPDX-License-Identifier: Apache-2.0
"""Judge glance-api.conf."""

from collections.abc import Iterator
import itertools

from glance_ontap_store import errors
from glance_ontap_store.checks import backends
from glance_ontap_store.checks import codes
from glance_ontap_store.checks import remedies
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import LocationPolicy

judges = Judges()


def unreadable(error: errors.Misconfigured) -> Finding:
    """Return the only finding if glance-api.conf cannot be read."""
    return codes.CONFIG_UNREADABLE(
        "glance",
        f"Glance's configuration cannot be read: {error}",
        "Name the files that glance-api is started with: glance-ontap --config-file"
        " FILE check.",
    )


@judges.once()
def stores_are_enabled(facts: Facts) -> Iterator[Finding]:
    """Report a Glance without a store of type ``ontap``."""
    if not facts.glance.stores:
        yield codes.NO_STORE(
            "glance",
            f"enabled_backends in {', '.join(facts.glance.files)} has no store of type"
            " ontap.",
            "Set enabled_backends = NAME:ontap in [DEFAULT], and the options of the"
            " store in [NAME].",
        )


@judges.once()
def options_are_right(facts: Facts) -> Iterator[Finding]:
    """Report each mistake in the options of each store."""
    for store in facts.glance.stores:
        for mistake in store.mistakes:
            yield codes.BAD_OPTIONS(
                store.id,
                mistake,
                f"Correct [{store.id}] or [backend_defaults] in glance-api.conf; until"
                " then the store refuses every request.",
            )


@judges.once()
def lock_path_is_usable(facts: Facts) -> Iterator[Finding]:
    """Report a ``lock_path`` that is missing or cannot be used."""
    path = facts.glance.lock_path
    if path is None:
        yield codes.LOCK_PATH_UNSET(
            "glance",
            "lock_path in [oslo_concurrency] is not set: uploads fail.",
            "Set it to a directory that Glance's user can write to, for example"
            " /var/lib/glance/lock, and restart glance-api.",
        )
    elif problem := facts.host.directories.get(path):
        yield codes.LOCK_PATH_UNUSABLE(
            "glance",
            f"lock_path = {path} in [oslo_concurrency] cannot be used: {problem}.",
            "Create it for Glance's user, or set another directory.",
        )


@judges.once()
def locations_are_hidden(facts: Facts) -> Iterator[Finding]:
    """Report options that show the locations of images to users."""
    dangers = {
        "show_multiple_locations": (
            facts.glance.show_multiple_locations,
            "users of this glance-api see where images are stored, and may set the"
            " locations of their own images (OSSN-0065, OSSN-0090)",
        ),
        "show_image_direct_url": (
            facts.glance.show_image_direct_url,
            "users of this glance-api see where images are stored (OSSN-0090)",
        ),
    }
    for name, (is_set, danger) in dangers.items():
        if is_set:
            yield codes.LOCATIONS_EXPOSED(
                "glance",
                f"{name} = true: {danger}.",
                _hide_locations(facts.cinder_release),
            )


def _hide_locations(cinder_release: int | None) -> str:
    if cinder_release is None:
        return (
            "Set it to false if Cinder is 2025.2 or later. Older Cinder needs"
            " show_image_direct_url; set it only on a glance-api that users cannot"
            " reach."
        )
    if cinder_release >= backends.ASKS_FOR_LOCATIONS:
        return "Set it to false: Cinder does not need it since 2025.2."
    return (
        "Cinder before 2025.2 needs show_image_direct_url: set it on a glance-api that"
        " only services can reach, and to false on the others."
    )


@judges.once("glance.location_policy")
def location_policy_is_for_services(
    _facts: Facts, policy: LocationPolicy
) -> Iterator[Finding]:
    """Report a policy that shows the locations of images to users."""
    if policy.users:
        yield codes.LOCATIONS_EXPOSED(
            "glance",
            "The policy fetch_image_location lets users of this glance-api see where"
            " images are stored.",
            f"{remedies.accept_service_token(policy.file)} It shows locations to"
            " services alone.",
        )


@judges.once()
def images_are_not_cached(facts: Facts) -> Iterator[Finding]:
    """Report Glance's image cache."""
    if facts.glance.has_image_cache and facts.glance.stores:
        yield codes.IMAGE_CACHE(
            "glance",
            "Glance's image cache (flavor in [paste_deploy]) writes each image that it"
            " sends to the disk of this host, holes included.",
            "Set flavor = keystone if most images are in these stores.",
        )


@judges.once()
def store_ids_are_distinct(facts: Facts) -> Iterator[Finding]:
    """Report store ids of which one is a prefix of another."""
    own = {store.id for store in facts.glance.stores}
    others = {store.id for store in facts.glance.cinder_stores}
    for short, long in itertools.permutations(sorted(own | others), 2):
        if long.startswith(short) and own & {short, long}:
            yield codes.STORE_ID_PREFIX(
                short,
                f"Store id {short!r} is a prefix of store id {long!r}: Glance may take"
                f" an image of {long!r} for an image of {short!r}.",
                "Rename one of them before it has images, to names like fv01 and fv10.",
            )


@judges.once()
def volume_types_are_distinct(facts: Facts) -> Iterator[Finding]:
    """Report volume types that two stores share."""
    names = facts.names_of_types
    types = [
        (store.id, names.get(wanted, wanted))
        for store in facts.glance.stores
        if store.settings and (wanted := store.settings.volume_type)
    ]
    for (first, kind), (second, other) in itertools.combinations(types, 2):
        if kind == other:
            yield codes.SAME_VOLUME_TYPE(
                second,
                f"Stores {first!r} and {second!r} use the same volume type {kind!r}:"
                " their images lie in the same place, and Glance cannot tell the stores"
                " apart if a location has lost its store.",
                "Give each store its own volume type, pinned to its FlexVol.",
            )
    for upstream, (store_id, kind) in itertools.product(
        facts.glance.cinder_stores, types
    ):
        wanted = upstream.volume_type or ""
        if names.get(wanted, wanted) == kind:
            yield codes.SAME_VOLUME_TYPE(
                store_id,
                f"Store {upstream.id!r} of type cinder uses the volume type {kind!r}"
                " too: it claims every image-volume of that type if the location has"
                " lost its store.",
                f"Give store {upstream.id!r} its own volume type.",
                Severity.INFO,
            )


@judges.once()
def mount_points_are_usable(facts: Facts) -> Iterator[Finding]:
    """Report mount point bases that are unusable, shared or different."""
    bases: dict[str, list[str]] = {}
    for store in facts.glance.stores:
        if store.settings:
            bases.setdefault(store.settings.mount_point_base, []).append(store.id)
    for base, store_ids in bases.items():
        yield from _mount_point(base, ", ".join(store_ids), facts)
    if len(bases) > 1:
        yield codes.MOUNT_BASE_DIFFERS(
            "host",
            f"The stores use different mount points ({', '.join(sorted(bases))}): a"
            " FlexVol that two of them use is mounted twice.",
            "Set ontap_mount_point_base only in [backend_defaults].",
        )


def _mount_point(base: str, subject: str, facts: Facts) -> Iterator[Finding]:
    if filesystem := facts.host.shared.get(base):
        yield codes.MOUNT_BASE_NOT_LOCAL(
            subject,
            f"ontap_mount_point_base = {base} is on a file system that other hosts"
            f" share ({filesystem}): uploads and downloads fail.",
            "Set it to a directory on a disk of this host.",
        )
    if problem := facts.host.directories.get(base):
        yield codes.MOUNT_BASE_UNUSABLE(
            subject,
            f"ontap_mount_point_base = {base} cannot be used: {problem}.",
            "Create it for Glance's user, or set another directory.",
        )
    for upstream in facts.glance.cinder_stores:
        if upstream.mount_point_base == base:
            yield codes.MOUNT_BASE_SHARED(
                subject,
                f"Store {upstream.id!r} of type cinder also mounts below {base}, and"
                " unmounts at its start whatever is mounted there.",
                "Set another ontap_mount_point_base.",
            )
