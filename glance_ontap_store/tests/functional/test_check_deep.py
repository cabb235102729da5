# SPDX-License-Identifier: Apache-2.0
"""glance-ontap check --deep: its findings are true, and it removes what it made."""

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import re
import signal
import subprocess
from typing import Any
import uuid

import pytest

from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional.direct import Leftovers
from glance_ontap_store.tests.functional.preflight import CINDER_CONF
from glance_ontap_store.tests.functional.preflight import Operator
from lab import stores
from lab import svms
from lab.polling import wait_until

# The size of the check's image, which no other image has.
IMAGE_SIZE = 1024 * 1024 + 7


@pytest.fixture
def operator(lab: Any) -> Operator:
    return Operator(lab)


@pytest.fixture
def leftovers(lab: Any, admin: Any) -> Iterator[Leftovers]:
    """Assert after the test that nothing is left."""
    base = stores.option("fv1", "ontap_mount_point_base")
    before = Leftovers(lab, admin, base)
    images = {image.id for image in admin.image.images()}
    yield before

    def new() -> dict[str, set[str]]:
        # The driver keeps its cache of images on the FlexVol.
        found = before.new()
        files = {f for f in found.get("files", ()) if not f.startswith("img-cache-")}
        return {
            **{k: v for k, v in found.items() if k != "files"},
            **({"files": files} if files else {}),
        }

    wait_until(lambda: not new(), "Cinder has deleted what the check made")
    assert {image.id for image in admin.image.images()} <= images


def downloads(lab: Any) -> int:
    """The number of times that Glance has sent the data of a check's image."""
    return sum(
        request["method"] == "GET"
        and request["path"].endswith("/file")
        and request["response_bytes"] == IMAGE_SIZE
        for request in lab.glance_requests()
    )


def deep(operator: Operator, *arguments: str) -> dict[str, dict[str, str]]:
    """The findings of the trial of store fv1, by their codes."""
    _, found = operator.findings(
        "--deep", "--store", "fv1", "--cinder-conf", CINDER_CONF, *arguments
    )
    return {
        finding["Code"]: finding
        for finding in found
        if finding["Code"].startswith("deep")
    }


def test_a_clone_is_recognized(
    lab: Any, operator: Operator, leftovers: Leftovers
) -> None:
    before = downloads(lab)
    found = deep(operator)
    assert sorted(found) == ["deep-clone", "deep-stored"], found
    assert {finding["Severity"] for finding in found.values()} == {"info"}
    assert downloads(lab) == before


@contextlib.contextmanager
def clones_refused(lab: Any, message: str) -> Iterator[None]:
    """Let ONTAP refuse to clone files until the block ends."""
    with lab.fault(
        action="error",
        method="POST",
        path="^/api/storage/file/clone$",
        status=500,
        code="5374894",
        message=message,
    ):
        yield


@pytest.mark.long
@pytest.mark.parametrize(
    "message", ["SIS clone license expired", "Max Split Load is exceeded (EBUSY)"]
)
def test_a_clone_that_ontap_refuses_is_a_download(
    lab: Any, operator: Operator, leftovers: Leftovers, message: str
) -> None:
    """No FlexClone licence, or the node's split load is used up."""
    before = downloads(lab)
    with clones_refused(lab, message):
        found = deep(operator)
    assert sorted(found) == ["deep-download", "deep-stored"], found
    assert "FlexClone licence" in found["deep-download"]["Remedy"]
    assert downloads(lab) == before + 1


def test_a_store_of_projects_is_exercised(
    operator: Operator, leftovers: Leftovers
) -> None:
    _, found = operator.findings("--deep", "--store", "own")
    codes = sorted(
        finding["Code"] for finding in found if finding["Code"].startswith("deep")
    )
    assert codes == ["deep-clone", "deep-stored"], found


@pytest.mark.long
def test_a_store_closed_to_the_clouds_project_is_exercised_without_a_clone(
    operator: Operator, leftovers: Leftovers
) -> None:
    """Glance would rightly refuse the image."""
    changes = {"fv1": {"ontap_allowed_projects": "0123456789abcdef"}}
    with operator.changed(changes) as config:
        _, found = operator.findings("--deep", "--store", "fv1", config=config)
    codes = [finding["Code"] for finding in found if finding["Subject"] == "fv1"]
    assert "deep-stored" in codes
    assert not {"deep-failed", "deep-clone"} & set(codes)
    (unknown,) = (
        finding for finding in found if "does not take images" in finding["Problem"]
    )
    assert (unknown["Severity"], unknown["Code"]) == ("info", "not-asked")


@pytest.mark.long
def test_a_cloud_that_cannot_log_in_does_not_hide_other_findings(
    operator: Operator,
    leftovers: Leftovers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clouds_file = Path(os.environ["OS_CLIENT_CONFIG_FILE"])
    text = re.sub("password: .*", "password: another", clouds_file.read_text("utf-8"))
    (tmp_path / "clouds.yaml").write_text(text, "utf-8")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    code, found = operator.findings("--deep", "--store", "fv1")
    assert code == 2
    codes = {finding["Code"] for finding in found if finding["Subject"] == "fv1"}
    assert {"deep-stored", "deep-failed"} <= codes


def test_a_download_to_another_flexvol_is_recognized(
    lab: Any, operator: Operator, leftovers: Leftovers
) -> None:
    before = downloads(lab)
    found = deep(operator, "--volume-type", "ontap-fv2")
    assert sorted(found) == ["deep-download", "deep-stored"], found
    assert found["deep-download"]["Severity"] == "warning"
    remedy = found["deep-download"]["Remedy"]
    usual = svms.FIRST.by(lab.protocol)
    assert all(f"#{usual.pool(path)}" in remedy for path in ("/fv1", "/fv2"))
    assert downloads(lab) == before + 1


@contextlib.contextmanager
def without_schemes(lab: Any) -> Iterator[None]:
    """A Cinder that never reads the locations of images."""

    def put(value: str | None) -> None:
        lab.set_cinder_option("DEFAULT", "allowed_direct_url_schemes", value)
        lab.restart("cinder-volume")

    put(None)
    try:
        yield
    finally:
        put("cinder")


@pytest.mark.long
def test_a_download_without_url_schemes_names_the_option(
    lab: Any, operator: Operator, leftovers: Leftovers
) -> None:
    with without_schemes(lab):
        before = downloads(lab)
        found = deep(operator)
        assert sorted(found) == ["deep-download", "deep-stored"], found
        assert "allowed_direct_url_schemes" in found["deep-download"]["Remedy"]
        assert downloads(lab) == before + 1


@pytest.mark.long
def test_without_a_cloud_only_the_store_is_exercised(
    operator: Operator, leftovers: Leftovers
) -> None:
    code, found = operator.findings("--deep", "--store", "fv1", cloud=None)
    assert code == 0
    assert "deep-stored" in {finding["Code"] for finding in found}
    assert any("clones or downloads" in finding["Problem"] for finding in found)


def test_a_users_cloud_without_role_admin_is_enough(
    lab: Any, operator: Operator, leftovers: Leftovers
) -> None:
    """It tells a clone from a download, but does not show the pools."""
    before = downloads(lab)
    code, found = operator.findings("--deep", "--store", "fv1", cloud="alice")
    assert code == 0, found
    assert "deep-clone" in {finding["Code"] for finding in found}
    assert downloads(lab) == before


def test_a_step_that_fails_is_a_finding(
    operator: Operator, leftovers: Leftovers
) -> None:
    with operator.changed({"fv1": {"ontap_volume_type": "nobody-made-it"}}) as config:
        code, found = operator.findings("--deep", "--store", "fv1", config=config)
    assert code == 2
    (failed,) = [finding for finding in found if finding["Code"] == "deep-failed"]
    assert "nobody-made-it" in failed["Problem"]


@pytest.mark.long
def test_a_volume_that_cannot_be_made_has_the_reason_of_cinder(
    admin: Any, operator: Operator, leftovers: Leftovers
) -> None:
    nowhere = admin.block_storage.create_type(
        name=f"check-{uuid.uuid4().hex[:8]}",
        extra_specs={"volume_backend_name": "ontap", "pool_name": "127.0.0.1:/fv9"},
    )
    try:
        found = deep(operator, "--volume-type", nowhere.name)
    finally:
        admin.block_storage.delete_type(nowhere)
    assert sorted(found) == ["deep-failed", "deep-stored"]
    problem = found["deep-failed"]["Problem"]
    assert "Having Cinder make a volume of it" in problem
    assert "Could not find any available weighted backend" in problem


@pytest.mark.parametrize("sent", sampling.one_of(2, [signal.SIGINT, signal.SIGTERM]))
@pytest.mark.parametrize(
    "step",
    sampling.one_of(
        6,
        [
            "Having Cinder make a volume",
            "Storing a small image",
            "Reading it back",
            "Having Glance store an image",
            "Writing a mark",
            "Looking into the volume",
        ],
    ),
)
def test_an_interrupted_check_leaves_nothing(
    operator: Operator,
    leftovers: Leftovers,
    step: str,
    sent: signal.Signals,
) -> None:
    """Ctrl-C reaches the whole process group, with the helpers that run as root."""
    process = subprocess.Popen(
        operator.command("--os-cloud", "admin", "check", "--deep", "--store", "fv1"),
        env=operator.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell starts background jobs with ctrl-C ignored; if it started the tests
        # so, the command would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if step in line:
            break
    if sent is signal.SIGINT:
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    said += process.stderr.readlines()
    assert process.wait(timeout=120) == 130, said
    assert "Interrupted: removing what was made ...\n" in said
