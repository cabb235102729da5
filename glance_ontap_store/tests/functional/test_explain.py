# SPDX-License-Identifier: Apache-2.0
"""The answer of glance-ontap explain beside the way that Cinder takes.

The truth are the bytes that Glance has sent, and the blocks that the new volume's file
shares with another one.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
from importlib import metadata
import itertools
import json
from pathlib import Path
import subprocess
from typing import Any

import pytest

from glance_ontap_store.cli.context import Context
from glance_ontap_store.placement import deciding
from glance_ontap_store.placement.verdict import Code
from glance_ontap_store.placement.verdict import Path as Way
from glance_ontap_store.placement.verdict import Verdict
from glance_ontap_store.survey.gather_placement import PlacementGatherer
from glance_ontap_store.tests import disk_formats
from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional import policies
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import GIB
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.preflight import CINDER_CONF
from glance_ontap_store.tests.functional.preflight import Operator
from lab.demo import blocks
from lab.polling import wait_until
from lab.stores import CONFIG

RELEASE = int(metadata.version("cinder").partition(".")[0])
TYPE = "ontap-fv2"


@dataclasses.dataclass(frozen=True)
class Case:
    """One combination of what Cinder looks at; the pool is that of FlexVol fv2.

    *owner* is ``project`` if the volume's project owns the image, ``metadata`` if the
    image-volume names the owner, or ``neither``. *volumes* counts the image-volumes in
    the pool; the newest has lost its file if *is_broken*. *copy* is where the driver's
    copy of the image is, and *copy_gib* its size. *encrypts* is of the volume's type.
    """

    disk_format: str = "raw"
    owner: str = "project"
    volumes: int = 1
    is_broken: bool = False
    image_volume_gib: int = 1
    copy: str | None = None
    copy_gib: int = 1
    size: int = 1
    encrypts: bool = False

    def __str__(self) -> str:
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        return ",".join(changed) or "plain"


# The number of image-volumes, and whether the newest is broken. If the only one is,
# Glance cannot read the image either, and Cinder tries for half a minute.
NONE, ONE, ONE_BROKEN, TWO, TWO_BROKEN = (
    {"volumes": count, "is_broken": is_broken}
    for count, is_broken in ((0, False), (1, False), (1, True), (2, False), (2, True))
)
CASES = [
    *(Case(**each) for each in (NONE, ONE, ONE_BROKEN, TWO, TWO_BROKEN)),
    *(Case(owner="metadata", **each) for each in (ONE, TWO, TWO_BROKEN)),
    *(Case(owner="neither", **each) for each in (ONE, TWO)),
    *(
        Case(copy=copy, **each)
        for copy, each in itertools.product(("fv1", "fv2"), (NONE, ONE, TWO_BROKEN))
    ),
    *(
        Case(disk_format="qcow2", copy=copy, **each)
        for copy, each in itertools.product((None, "fv2"), (NONE, ONE))
    ),
    Case(disk_format="iso"),
    *(Case(image_volume_gib=2, size=size) for size in (1, 2, 3)),
    Case(size=2),
    *(Case(copy="fv2", copy_gib=2, size=size) for size in (1, 2, 3)),
    *(Case(copy="fv2", copy_gib=2, size=size, **NONE) for size in (1, 3)),
    *(
        Case(encrypts=True, copy=copy, **each)
        for copy, each in itertools.product((None, "fv2"), (NONE, ONE))
    ),
    *(Case(encrypts=True, disk_format="qcow2", **each) for each in (NONE, ONE)),
    Case(encrypts=True, owner="metadata"),
]
# Each way and each reason once; the others need --long.
SHORT = [
    Case(),
    Case(**NONE),
    Case(**TWO_BROKEN),
    Case(owner="metadata"),
    Case(owner="neither"),
    Case(copy="fv2", **NONE),
    Case(disk_format="qcow2"),
    Case(image_volume_gib=2),
    Case(copy="fv2", copy_gib=2),
    Case(encrypts=True, copy="fv2"),
]
# One that another configuration of Cinder or Glance changes, and one that stays.
FEW = [Case(), pytest.param(Case(copy="fv2"), marks=pytest.mark.long)]


class Explained:
    """The lab's cloud, as ``explain`` gathers it with all facts."""

    def __init__(self, lab: Any, admin: Any) -> None:
        self._lab = lab
        self._admin = admin

    def __call__(self, image_id: str, project: str, size: int, kind: str) -> Verdict:
        """Return the verdict for the only pool of the volume type."""
        context = Context(files=(CONFIG,), directories=(), os_cloud="admin")
        gatherer = PlacementGatherer(
            context.glance_with_policies(),
            context.stores(None),
            self._admin.session,
            self._mounted,
        )
        cloud = gatherer.cloud(
            context.cinder_conf(CINDER_CONF), RELEASE, with_files=True, say=print
        )
        image = gatherer.image(image_id)
        request = gatherer.request(project, size, kind, image)
        facts = gatherer.facts(image, project)
        (found,) = deciding.decide(cloud, facts, request)
        return found

    @contextlib.contextmanager
    def _mounted(self, _config: Any, _settings: Any, export: str) -> Iterator[str]:
        yield str(self._lab.flexvol(export.rpartition("/")[2]))


@pytest.fixture
def explained(lab: Any, admin: Any) -> Explained:
    return Explained(lab, admin)


@pytest.fixture(scope="module")
def encrypting(admin: Any) -> Iterator[str]:
    """A type like `TYPE` that encrypts, as far as Cinder's way is concerned.

    The volume gets a key and is no clone. What is downloaded is not encrypted, for
    which this kernel need not have dm-crypt.
    """
    storage = admin.block_storage
    made = storage.create_type(
        name="explain-encrypts",
        extra_specs=dict(storage.find_type(TYPE, ignore_missing=False).extra_specs),
    )
    storage.create_type_encryption(
        made,
        provider="luks",
        control_location="back-end",
        cipher="aes-xts-plain64",
        key_size=256,
    )
    yield made.name
    storage.delete_type(made)


def taken(lab: Any, admin: Any, user: User, image_id: str, size: int, kind: str) -> Way:
    """Have Cinder make a volume; return the way that it took."""
    flexvol = lab.flexvol("fv2")
    copy = flexvol / f"img-cache-{image_id}"
    volumes = images.image_volumes(admin, image_id)
    sources = {
        Way.DRIVER_CACHE: [copy],
        Way.IMAGE_VOLUME: [
            flexvol / f"volume-{each.id}"
            for each in volumes
            if "ontap_store" in each.metadata
        ],
        Way.CINDER_CACHE: [
            flexvol / f"volume-{each.id}"
            for each in volumes
            if "ontap_store" not in each.metadata
        ],
    }
    shared = {
        way: [blocks.extents(str(path)) for path in paths if path.exists()]
        for way, paths in sources.items()
    }
    before = len(images.data_reads(lab, image_id))
    made = user.volume(wait=False, size=size, image_id=image_id, volume_type=kind)

    def settled() -> Any:
        found = admin.block_storage.get_volume(made.id)
        return None if found.status in ("creating", "downloading") else found

    volume = wait_until(settled, f"volume {made.id} settles")
    if volume.status != "available":
        return Way.FAILURE
    if len(images.data_reads(lab, image_id)) > before:
        return Way.DOWNLOAD
    own = blocks.extents(str(images.backing_file(lab, volume)))
    assert own, "the file has no blocks of which to tell the origin"
    (way,) = (
        way
        for way, extents in shared.items()
        if any(blocks.not_in(own, each) == 0 for each in extents)
    )
    return way


@pytest.fixture
def prepared(lab: Any, admin: Any, user: User, tmp_path: Path) -> Iterator[Any]:
    """A function that makes the image of a case; all is as before after the test."""
    with contextlib.ExitStack() as undo:

        def prepare(case: Case) -> str:
            first = "fv2" if case.volumes else "file"
            image = user.image(disk_format=case.disk_format, visibility="community")
            data = content(case.disk_format, tmp_path)
            answer = user.put(image, data, first)
            assert answer.status_code == 204, answer.text
            if case.volumes == 2:
                images.start_import(admin, image.id, "copy-image", "own")
                wait_until(
                    lambda: "own" in user.stores(image.id), "the image is in both"
                )
                wait_until(
                    lambda: images.is_idle(admin, image.id), "Glance's task has ended"
                )
            made = newest_first(admin, image.id)
            assert len(made) == case.volumes
            change_volumes(lab, admin, made, case)
            if case.is_broken:
                path = images.backing_file(lab, made[0])
                away = path.rename(path.with_name(f"away-{path.name}"))
                undo.callback(away.rename, path)
            if case.copy:
                path = lab.flexvol(case.copy) / f"img-cache-{image.id}"
                # Not a copy of the image-volume's file: that would share its blocks.
                path.write_bytes(pattern.at(0, MIB))
                with path.open("r+b") as file:
                    file.truncate(case.copy_gib * GIB)
            for name in ("fv1", "fv2"):
                path = lab.flexvol(name) / f"img-cache-{image.id}"
                undo.callback(path.unlink, missing_ok=True)
            return str(image.id)

        yield prepare


def content(disk_format: str, directory: Path) -> bytes:
    """Return an image of the format that has blocks."""
    if disk_format == "iso":
        return disk_formats.iso()
    data = pattern.at(0, MIB)
    if disk_format == "raw":
        return data
    raw, converted = directory / "raw", directory / "converted"
    raw.write_bytes(data)
    command = ["qemu-img", "convert", "-f", "raw", "-O", disk_format, raw, converted]
    subprocess.run(command, check=True)
    return converted.read_bytes()


def newest_first(admin: Any, image_id: str) -> list[Any]:
    found = images.image_volumes(admin, image_id)
    return sorted(found, key=lambda each: each.created_at, reverse=True)


def change_volumes(lab: Any, admin: Any, volumes: Sequence[Any], case: Case) -> None:
    """Give the image-volumes the size and the owner of the case."""
    storage = admin.block_storage
    for volume in volumes:
        if case.owner == "neither":
            answer = storage.post(
                f"/volumes/{volume.id}/metadata",
                json={"metadata": {"image_owner": "somebody"}},
            )
            assert answer.status_code == 200, answer.text
        if case.image_volume_gib > 1:
            storage.extend_volume(volume, case.image_volume_gib)

            def extended(volume: Any = volume) -> bool:
                found = storage.get_volume(volume.id)
                is_larger = found.size == case.image_volume_gib
                return is_larger and found.status == "available"

            wait_until(extended, f"image-volume {volume.id} is extended")


def assert_agreement(
    lab: Any,
    admin: Any,
    case: Case,
    prepared: Any,
    explained: Explained,
    maker: User,
    kind: str = TYPE,
) -> Verdict:
    """Assert that the answer is certain, and what Cinder does; return it."""
    image_id = prepared(case)
    project = maker.cloud.current_project_id
    found = explained(image_id, project, case.size, kind)
    assert found.certainty == "certain"
    assert found.path is taken(lab, admin, maker, image_id, case.size, kind)
    return found


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if case in SHORT else pytest.mark.long)
        for case in CASES
    ],
    ids=str,
)
def test_the_answer_is_what_cinder_does(
    lab: Any,
    admin: Any,
    prepared: Any,
    explained: Explained,
    user: User,
    other: User,
    encrypting: str,
    case: Case,
) -> None:
    maker = user if case.owner == "project" else other
    kind = encrypting if case.encrypts else TYPE
    found = assert_agreement(lab, admin, case, prepared, explained, maker, kind)
    if case.encrypts and case.disk_format == "raw":
        assert found.code is Code.ENCRYPTED


@pytest.fixture(scope="class")
def without_the_scheme(lab: Any) -> Iterator[None]:
    options = {"DEFAULT": {"allowed_direct_url_schemes": ""}}
    with direct.cinder_options(lab, options):
        yield


@pytest.mark.long
@pytest.mark.usefixtures("without_the_scheme")
class TestWithoutTheScheme:
    @pytest.mark.parametrize("case", FEW, ids=str)
    def test_the_answer_is_what_cinder_does(
        self,
        lab: Any,
        admin: Any,
        prepared: Any,
        explained: Explained,
        user: User,
        case: Case,
    ) -> None:
        found = assert_agreement(lab, admin, case, prepared, explained, user)
        assert found.path is Way.DRIVER_CACHE or found.code is Code.SCHEMES


@pytest.fixture(scope="class")
def with_hidden_locations(lab: Any) -> Iterator[None]:
    with policies.policy_file(lab, "glance", None):
        yield


@pytest.mark.long
@pytest.mark.usefixtures("with_hidden_locations")
class TestWithHiddenLocations:
    @pytest.mark.parametrize("case", FEW, ids=str)
    def test_the_answer_is_what_cinder_does(
        self,
        lab: Any,
        admin: Any,
        prepared: Any,
        explained: Explained,
        user: User,
        case: Case,
    ) -> None:
        found = assert_agreement(lab, admin, case, prepared, explained, user)
        assert found.path is Way.DRIVER_CACHE or found.code is Code.HIDDEN


@pytest.fixture(scope="class")
def with_the_image_volume_cache(lab: Any) -> Iterator[None]:
    owner = direct.owner("fv2")
    options = {
        "DEFAULT": {
            "cinder_internal_tenant_project_id": owner.current_project_id,
            "cinder_internal_tenant_user_id": owner.current_user_id,
        },
        "ontap": {"image_volume_cache_enabled": "true"},
    }
    with direct.cinder_options(lab, options):
        yield


@pytest.mark.usefixtures("with_the_image_volume_cache")
class TestWithTheImageVolumeCache:
    @pytest.fixture
    def cached(self, admin: Any) -> Iterator[list[str]]:
        """Ids of images whose cached volumes are deleted after the test."""
        found: list[str] = []
        yield found
        for image_id in found:
            for volume in images.image_volumes(admin, image_id):
                if "ontap_store" not in volume.metadata:
                    admin.block_storage.delete_volume(volume.id)

    def test_an_entry_is_cloned_until_the_image_changes(
        self,
        lab: Any,
        admin: Any,
        prepared: Any,
        explained: Explained,
        user: User,
        cached: list[str],
    ) -> None:
        image_id = prepared(Case(volumes=0))
        cached.append(image_id)
        project = user.cloud.current_project_id
        copy = lab.flexvol("fv2") / f"img-cache-{image_id}"

        def agree(way: Way) -> Verdict:
            found = explained(image_id, project, 1, TYPE)
            assert found.path is way
            assert taken(lab, admin, user, image_id, 1, TYPE) is way
            return found

        agree(Way.DOWNLOAD)
        # The entry shares all blocks with the driver's copy: their clones look alike.
        copy.unlink()
        (entry,) = images.image_volumes(admin, image_id)
        assert entry.id in agree(Way.CINDER_CACHE).certainty
        patch = [{"op": "add", "path": "/colour", "value": "red"}]
        answer = user.cloud.image.patch(
            f"/images/{image_id}", json=patch, headers=images.JSON_PATCH
        )
        assert answer.status_code == 200, answer.text
        agree(Way.DOWNLOAD)

    @pytest.mark.parametrize(
        "case",
        sampling.one_of(
            3, [Case(), Case(disk_format="qcow2"), Case(encrypts=True, volumes=0)]
        ),
        ids=str,
    )
    def test_an_image_without_an_entry(
        self,
        lab: Any,
        admin: Any,
        prepared: Any,
        explained: Explained,
        user: User,
        encrypting: str,
        cached: list[str],
        case: Case,
    ) -> None:
        kind = encrypting if case.encrypts else TYPE
        image_id = prepared(case)
        cached.append(image_id)
        project = user.cloud.current_project_id
        found = explained(image_id, project, 1, kind)
        assert found.certainty == "certain"
        assert found.path is taken(lab, admin, user, image_id, 1, kind)


class TestTheCommand:
    def run(self, lab: Any, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        ended = Operator(lab).run(
            *("--os-cloud", "admin", "explain", "-f", "json"),
            *("--cinder-conf", CINDER_CONF, "--cinder-release", str(RELEASE)),
            *arguments,
        )
        assert ended.stdout, ended.stderr
        return ended.returncode, json.loads(ended.stdout), ended.stderr

    @pytest.mark.long
    def test_all_pools_of_a_type_with_the_files_looked_at(
        self, lab: Any, user: User
    ) -> None:
        image = user.uploaded(pattern.Sized(MIB), "fv2")
        code, rows, said = self.run(lab, image.id, "--volume-type", "ontap", "--files")
        found = {row["Pool"].rpartition("/")[2]: row for row in rows}
        assert {name: row["Path"] for name, row in found.items()} == {
            "fv1": "download",
            "fv2": "image-volume clone",
            "fv3": "download",
        }
        assert {row["Certainty"] for row in rows} == {"certain"}
        assert code == 1
        assert "certain: 3 of 3" in said

    def test_the_remedy_makes_the_next_volume_a_clone(
        self, lab: Any, admin: Any, user: User
    ) -> None:
        image = user.uploaded(pattern.Sized(MIB), "fv1")
        _, rows, _ = self.run(lab, image.id, "--volume-type", TYPE, "--files")
        Operator(lab).remedied(rows, Code.NO_IMAGE_VOLUME.value)
        wait_until(lambda: "fv2" in user.stores(image.id), "the image is in fv2 too")
        code, rows, _ = self.run(lab, image.id, "--volume-type", TYPE, "--files")
        assert (code, rows[0]["Path"]) == (0, "image-volume clone")
        assert taken(lab, admin, user, image.id, 1, TYPE) is Way.IMAGE_VOLUME

    def test_a_matrix_of_all_images(self, lab: Any, user: User) -> None:
        image = user.uploaded(pattern.Sized(MIB), "fv2")
        _, rows, said = self.run(lab, "--all", "--files")
        gains = {
            row["Pool"].rpartition("/")[2]: row["Gains"]
            for row in rows
            if row["Image"] == image.id
        }
        assert gains == {"fv1": True, "fv2": False, "fv3": True}
        assert "would gain from a replica" in said
