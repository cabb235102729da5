# SPDX-License-Identifier: Apache-2.0
"""What is wrong with glance-api.conf and with this host. Decides, asks nobody."""

from collections.abc import Iterator
import itertools

from glance_ontap_store.checks import finding
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import Facts

_PACKAGE_OF = {
    "mount.nfs": "Install nfs-common (Debian, Ubuntu) or nfs-utils (Red Hat, SUSE).",
    "mount": "Install util-linux or mount.",
    "umount": "Install util-linux or mount.",
    "sudo": "Install sudo, and the rule for Glance's user (see Install).",
    "glance-rootwrap": "Install Glance in the environment of this command.",
}


def stores_are_enabled(facts: Facts) -> Iterator[Finding]:
    if not facts.glance.stores:
        yield finding.error(
            "no-store",
            "glance",
            f"enabled_backends in {_files(facts)} has no store of type ontap.",
            "Set enabled_backends = NAME:ontap in [DEFAULT], and give the options of"
            " the store in [NAME].",
        )


def options_are_good(facts: Facts) -> Iterator[Finding]:
    for store in facts.glance.stores:
        for mistake in store.mistakes:
            yield finding.error(
                "bad-options",
                store.id,
                mistake,
                f"Correct [{store.id}] or [backend_defaults] in glance-api.conf; until"
                " then the store refuses every request.",
            )


def lock_path_is_set(facts: Facts) -> Iterator[Finding]:
    path = facts.glance.lock_path
    if path is None:
        yield finding.error(
            "lock-path-unset",
            "glance",
            "lock_path in [oslo_concurrency] is not set: uploads fail.",
            "Set it to a directory that Glance's user may write, for example"
            " /var/lib/glance/lock, and restart glance-api.",
        )
    elif problem := facts.host.directories.get(path):
        yield finding.error(
            "lock-path-unusable",
            "glance",
            f"lock_path = {path} in [oslo_concurrency] cannot be used: {problem}.",
            "Create it for Glance's user, or set another.",
        )


def locations_are_hidden(facts: Facts) -> Iterator[Finding]:
    shown = {
        "show_multiple_locations": facts.glance.show_multiple_locations,
        "show_image_direct_url": facts.glance.show_image_direct_url,
    }
    for name, is_shown in shown.items():
        if is_shown:
            yield finding.warning(
                "locations-exposed",
                "glance",
                f"{name} = true: users who reach this glance-api see where images lie"
                + (
                    ", and may set the location of theirs (OSSN-0065, OSSN-0090)."
                    if name == "show_multiple_locations"
                    else " (OSSN-0090)."
                ),
                "Set it to false where Cinder is 2025.2 or later. Older Cinder needs"
                " show_image_direct_url on a glance-api that only services can reach.",
            )


def store_ids_do_not_clash(facts: Facts) -> Iterator[Finding]:
    own = {each.id for each in facts.glance.stores}
    others = {each.id for each in facts.glance.cinder_stores}
    for short, long in itertools.permutations(sorted(own | others), 2):
        if long.startswith(short) and own & {short, long}:
            yield finding.warning(
                "store-id-prefix",
                short,
                f"The store id {short!r} begins {long!r} too: Glance may take an image"
                f" of {long!r} for one of {short!r}.",
                "Rename one of them before it has images (not fv1 and fv10).",
            )


def volume_types_are_their_own(facts: Facts) -> Iterator[Finding]:
    types = [
        (each.id, each.settings.volume_type)
        for each in facts.glance.stores
        if each.settings and each.settings.volume_type
    ]
    for (first, kind), (second, other) in itertools.combinations(types, 2):
        if kind == other:
            yield finding.warning(
                "same-volume-type",
                second,
                f"Stores {first!r} and {second!r} have one volume type, {kind!r}: they"
                " are one place for images, and Glance cannot tell them apart where a"
                " location has lost its store.",
                "Give each store a type of its own, pinned to its FlexVol.",
            )
    for upstream, (store, kind) in itertools.product(facts.glance.cinder_stores, types):
        if upstream.volume_type == kind:
            yield Finding(
                Severity.INFO,
                "same-volume-type",
                store,
                f"Store {upstream.id!r} of type cinder has the volume type {kind!r}"
                " too: it claims every image-volume of that type whose location has"
                " lost its store.",
                f"Give {upstream.id!r} a type of its own when you can.",
            )


def mount_points_are_usable(facts: Facts) -> Iterator[Finding]:
    stores = [each for each in facts.glance.stores if each.settings]
    bases: dict[str, list[str]] = {}
    for store in stores:
        assert store.settings is not None  # noqa: S101 - for mypy
        bases.setdefault(store.settings.mount_point_base, []).append(store.id)
    for base, users in bases.items():
        if problem := facts.host.directories.get(base):
            yield finding.error(
                "mount-base-unusable",
                ", ".join(users),
                f"ontap_mount_point_base = {base} cannot be used: {problem}.",
                "Create it for Glance's user, or set another.",
            )
        for upstream in facts.glance.cinder_stores:
            if upstream.mount_point_base == base:
                yield finding.error(
                    "mount-base-shared",
                    ", ".join(users),
                    f"Store {upstream.id!r} of type cinder mounts below {base} too,"
                    " and unmounts at start what it finds there.",
                    "Set another ontap_mount_point_base.",
                )
    if len(bases) > 1:
        yield finding.warning(
            "mount-base-differs",
            "host",
            f"The stores have different mount points ({', '.join(sorted(bases))}): a"
            " FlexVol that two of them use is mounted twice.",
            "Set ontap_mount_point_base in [backend_defaults] alone.",
        )


def programs_are_there(facts: Facts) -> Iterator[Finding]:
    for name, path in facts.host.programs.items():
        if path is None:
            yield finding.error(
                "program-missing",
                "host",
                f"The program {name} is missing on this host.",
                _PACKAGE_OF[name],
            )


def packages_are_there(facts: Facts) -> Iterator[Finding]:
    for name, version in facts.host.packages.items():
        if version is None:
            yield finding.error(
                "package-missing",
                "host",
                f"The Python package {name} is missing in this environment.",
                f"pip install {name}, in the environment that glance-api runs in; this"
                " command belongs there too.",
            )


def helpers_may_start(facts: Facts) -> Iterator[Finding]:
    if facts.glance.helper_command is not None:
        yield finding.not_asked(
            "host",
            "whether the helper that mounts may start",
            "helper_command is set in [privsep_ontap]",
            "Try it: glance-ontap check --deep.",
        )
        return
    for path, problem in facts.host.rootwrap.items():
        if isinstance(problem, Unknown):
            yield finding.not_asked(
                "host",
                "whether rootwrap lets the helper start",
                problem.text,
                "Run the command as root or as Glance's user.",
            )
        elif problem is not None:
            yield finding.error(
                "rootwrap",
                "host",
                f"glance-rootwrap with {path} does not start the helper that mounts:"
                f" {problem}.",
                "Set ontap_rootwrap_config to Glance's rootwrap.conf, put"
                " glance_ontap_store.filters into its filters_path and the directory"
                " of privsep-helper into its exec_dirs.",
            )


def sudo_is_allowed(facts: Facts) -> Iterator[Finding]:
    if facts.glance.helper_command is not None or not facts.host.rootwrap:
        return
    allowed = facts.host.sudo
    if isinstance(allowed, Unknown):
        if facts.host.programs.get("sudo"):  # else it is a finding already
            yield finding.not_asked(
                "host",
                "whether Glance's user may run glance-rootwrap by sudo, and may use"
                " the directories",
                allowed.text,
                "Run the command as the user that glance-api runs as.",
            )
    elif not allowed:
        yield finding.error(
            "sudo",
            "host",
            "sudo does not let Glance's user run glance-rootwrap as root without a"
            " password.",
            "Add the rule for glance-rootwrap of the installation guide to sudoers.",
        )


def _files(facts: Facts) -> str:
    return ", ".join(facts.glance.files)


QUESTIONS = (
    stores_are_enabled,
    options_are_good,
    lock_path_is_set,
    locations_are_hidden,
    store_ids_do_not_clash,
    volume_types_are_their_own,
    mount_points_are_usable,
    programs_are_there,
    packages_are_there,
    helpers_may_start,
    sudo_is_allowed,
)
