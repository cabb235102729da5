# SPDX-License-Identifier: Apache-2.0
"""The parts of the demo that need no lab."""

from typing import Any

import pytest
import yaml

from glance_ontap_store.replication import policy_file
from lab.demo import command
from lab.demo import screen

MIB = 1024**2


def step(name: str, path: str, **changed: Any) -> dict[str, Any]:
    return {
        "name": name,
        "path": path,
        "seconds": 12.34,
        "bytes_through_hosts": 0,
        "new_bytes_on_array": 512 * MIB,
        "bytes_shared_with_image": 0,
        "content_ok": True,
        **changed,
    }


def test_the_table_tells_who_copied_a_replica() -> None:
    replica = step("A replica on fv2", "replica")
    clone = step(
        *("Another volume on fv2", "clone"),
        new_bytes_on_array=0,
        bytes_shared_with_image=512 * MIB,
    )
    lines = screen.table([replica, clone]).splitlines()
    cells = lines[3].split("  ")
    assert [cell.strip() for cell in cells if cell.strip()] == [
        *("A replica on fv2", "replica", "12.3 s", "0 B", "512 MiB", "equal")
    ]
    assert "ONTAP copied the image-volume" in lines[4]
    assert "ONTAP shares 512 MiB of blocks" in lines[6]


def test_a_different_content_is_shown() -> None:
    table = screen.table([step("A replica on fv2", "replica", content_ok=False)])
    assert "DIFFERS" in table


def test_an_answer_has_its_time_way_and_reason() -> None:
    answer = {
        "when": "before the replica",
        "volume_type": "ontap-fv2",
        "path": "download",
        "code": "no-image-volume",
        "certainty": "certain",
        "why": "No image-volume of the image lies in this pool. " + "More words. " * 9,
    }
    shown = screen.answers([answer, {**answer, "when": "later", "why": ""}])
    lines = shown.splitlines()
    assert lines[0] == "glance-ontap explain, before the replica:"
    assert lines[1].startswith(
        "    A volume of type ontap-fv2 is made by download (certain). No image-volume"
    )
    assert max(map(len, lines)) <= 80
    assert lines[-1].endswith("(certain).")


def test_the_policy_is_one_without_mistakes() -> None:
    text = command.POLICY.format(store="fv2", name="demo")
    policy = policy_file.parse(text, {"fv1": "ontap", "fv2": "ontap"})
    assert len(policy.rules) == 1
    # Nothing of the replica is read by the host.
    assert yaml.safe_load(text)["defaults"]["verify"] == "none"


def row(**changed: str) -> dict[str, str]:
    made = {"Store": "fv2", "Action": "make", "Result": "done", "Why": "A rule."}
    return {**made, **changed}


def test_only_the_row_of_a_made_replica_is_taken() -> None:
    other = row(Store="fv1", Action="keep")
    assert command.made([other, row()], "fv2") == row()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(Result="host copy", Why="A host copied it.")], "A host copied it."),
        ([row(Action="keep")], "no replica to make in fv2"),
        ([], "no replica to make in fv2"),
    ],
)
def test_a_replica_that_the_array_did_not_make_ends_the_demo(
    rows: list[dict[str, str]], said: str
) -> None:
    with pytest.raises(SystemExit, match=said):
        command.made(rows, "fv2")


def test_the_command_has_the_tools_of_the_lab_and_no_other_cloud(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OS_CLOUD", "alice")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/lab/clouds.yaml")
    monkeypatch.setenv("PATH", "/usr/bin")
    found = command.environment("/lab")
    assert found["PATH"] == "/lab/bin:/usr/bin"
    assert found["OS_CLIENT_CONFIG_FILE"] == "/lab/clouds.yaml"
    assert "OS_CLOUD" not in found
