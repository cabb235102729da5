# SPDX-License-Identifier: Apache-2.0
"""The phases: which tests run, under which configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field

from lab.ini import Value

# (group, option) of glance-api.conf or tempest.conf.
Options = Mapping[tuple[str, str], Value]

IMAGE = r"tempest\.api\.image\.v2\."
VOLUME = r"tempest\.api\.volume\."
CINDER = r"cinder_tempest_plugin\."
OURS = "glance_ontap_store/tests/suites"
CLIENTS = f"{OURS}/test_clients.py"


@dataclass(frozen=True)
class Phase:
    """Tests that run together.

    ``tests`` are regular expressions of tempest's tests, or with ``by_pytest`` paths
    of test files. ``quick`` is the same for the short run, which leaves the phase out
    if it is empty. ``glance`` and ``tempest`` are options in addition to those of
    every phase; ``services`` are the lab's services that start on demand.
    """

    name: str
    tests: tuple[str, ...]
    quick: tuple[str, ...] = ()
    by_pytest: bool = False
    workers: int = 2
    glance: Options = field(default_factory=dict)
    tempest: Options = field(default_factory=dict)
    services: tuple[str, ...] = ()


PHASES = (
    Phase(
        "image",
        tests=(IMAGE,),
        quick=(
            r"BasicOperationsImagesTest\.test_register_upload_get_image_file",
            r"ImportImagesTest\.test_(image_(glance_direct|web_download)|remote)_import",
            r"ImportCopyImagesTest",
            r"MultiStoresImagesTest",
        ),
        services=("glance-second",),
    ),
    Phase(
        "rbac",
        tests=(r"glance_tempest_plugin\.",),
        workers=3,
        tempest={("enforce_scope", "glance"): True},
    ),
    Phase(
        "volume",
        tests=(
            VOLUME + r"test_(image_metadata|volume_delete_cascade)",
            VOLUME + r"test_volumes_(backup|clone|extend|get|list|snapshots)",
            VOLUME + r"admin\.test_(volume_(pools|retype)|volumes_(actions|backup))",
            CINDER + r"api\.volume\.test_",
            CINDER + r"api\.volume\.admin\.test_volume_backup",
        ),
        quick=(r"VolumesGetTest\.test_volume_create_get_update_delete_from_image",),
        services=("cinder-backup",),
    ),
    Phase(
        "actions",
        tests=(
            VOLUME + r"test_volumes_actions",
            VOLUME + r"admin\.test_snapshots_actions",
            VOLUME + r"(admin\.)?test_(volumes_negative|volumes_clone_negative)",
            CINDER + r"scenario\.",
        ),
        workers=3,
    ),
    Phase(
        "glance_store",
        tests=(f"{OURS}/test_glance_store.py",),
        quick=(f"{OURS}/test_glance_store.py",),
        by_pytest=True,
    ),
    Phase(
        "clients",
        tests=(CLIENTS,),
        quick=(
            f"{CLIENTS}::TestOpenstackClient::test_an_image_comes_back_as_it_was",
            f"{CLIENTS}::TestGlanceClient::test_glance_direct",
            f"{CLIENTS}::TestVolumes::test_an_image_from_a_volume_has_its_bytes",
        ),
        by_pytest=True,
    ),
    Phase(
        "locations",
        tests=(IMAGE + r".*(Location|Hash)",),
        glance={("DEFAULT", "show_multiple_locations"): True},
        tempest={("image-feature-enabled", "manage_locations"): True},
        services=("glance-second",),
    ),
    Phase(
        "conversion",
        tests=(IMAGE + r".*(Import|MultiStoresImages|ImagesFormat)",),
        glance={("image_import_opts", "image_import_plugins"): "[image_conversion]"},
        tempest={("image-feature-enabled", "image_conversion"): True},
        services=("glance-second",),
    ),
    Phase(
        "weights",
        tests=(IMAGE + r".*(StoreWeightTest|ListUserImagesTest)",),
        workers=3,
        glance={
            ("fv1", "weight"): 30,
            ("own", "weight"): 20,
            ("file", "weight"): 10,
            # These tests upload random bytes as images of all formats.
            ("image_format", "require_image_format_match"): False,
        },
        tempest={
            ("image-feature-enabled", "store_weight_enabled"): True,
            ("image-feature-enabled", "image_format_enforcement"): False,
        },
    ),
)


def chosen(names: list[str], quick: bool) -> list[Phase]:
    """Return the phases of these names, or all, in the order in which they run.

    :raises KeyError: no phase has one of the names
    """
    known = {phase.name: phase for phase in PHASES}
    for name in names:
        known[name]
    return [
        phase
        for phase in PHASES
        if phase.name in (names or known) and (phase.quick or not quick)
    ]
