# SPDX-License-Identifier: Apache-2.0
"""The command line: what it takes, and what it says when it is ready."""

import json
from types import SimpleNamespace

import pytest

from lab.ontapsim import __main__
from lab.ontapsim.server import NewFlexVol
from lab.ontapsim.state import Svm

COMMON = ["--root", "r", "--users-file", "u.json"]


def test_the_arguments_of_the_lab():
    found = __main__.parse_arguments(
        [
            *COMMON,
            *("--svm", "svm1", "--flexvol", "fv1:24GiB", "--flexvol", "fv3:3GiB"),
            *("--listen", "127.0.0.1:0", "--tls", "--ready-file", "ready.json"),
            *("--request-log", "log.jsonl"),
        ]
    )
    assert found.svm == [Svm("svm1")]
    assert found.flexvol == [NewFlexVol("fv1", 24 << 30), NewFlexVol("fv3", 3 << 30)]
    assert found.listen == ("127.0.0.1", 0)
    assert found.tls is True


def test_a_flexvol_of_another_svm_and_mounted_elsewhere():
    found = __main__.parse_arguments(
        [
            *COMMON,
            *("--svm", "svm1", "--svm", "svm2=127.0.0.2"),
            *("--flexvol", "gold:2GiB,svm=svm2,junction=/old/gold"),
            *("--flexvol", "group:2GiB,style=flexgroup"),
        ]
    )
    assert found.svm == [Svm("svm1"), Svm("svm2", "127.0.0.2")]
    assert found.flexvol == [
        NewFlexVol("gold", 2 << 30, svm="svm2", junction="/old/gold"),
        NewFlexVol("group", 2 << 30, style="flexgroup"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--flexvol", "fv1:1GiB,size=2"],
        ["--flexvol", "fv1:1GiB,style=qtree"],
        ["--flexvol", "fv1"],
        ["--flexvol", "fv1:24GB"],
        ["--flexvol", "../x:1GiB"],
        ["--listen", "127.0.0.1"],
        ["--password", "secret"],
    ],
)
def test_invalid_arguments_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        __main__.parse_arguments([*COMMON, *wrong])
    assert wrong[0] in capsys.readouterr().err


def test_users(tmp_path):
    path = tmp_path / "users.json"
    users = [{"name": "a", "password": "p"}, {"name": "b", "password": "q"}]
    path.write_text(json.dumps([users[0], {**users[1], "role": "readonly"}]))
    first, second = __main__.read_users(path)
    assert (first.name, first.role) == ("a", "admin")
    assert (second.password, second.role) == ("q", "readonly")
    assert "q" not in repr(second).replace("readonly", "")
    path.write_text(json.dumps([{**users[0], "role": "king"}]))
    with pytest.raises(ValueError, match="role of a"):
        __main__.read_users(path)


def test_the_ready_file_appears_whole(tmp_path):
    path = tmp_path / "ready.json"
    path.write_text("old")
    simulator = SimpleNamespace(
        url="http://127.0.0.1:1",
        port=1,
        ca_file=None,
        flexvols={"fv1": tmp_path},
        exports={"127.0.0.1:/fv1": tmp_path},
    )
    __main__.write_ready(path, simulator)
    facts = json.loads(path.read_text())
    assert facts["url"] == "http://127.0.0.1:1"
    assert facts["ca_file"] is None
    assert facts["flexvols"] == {"fv1": str(tmp_path)}
    assert facts["exports"] == {"127.0.0.1:/fv1": str(tmp_path)}
    assert isinstance(facts["pid"], int)
    assert [p.name for p in tmp_path.iterdir()] == ["ready.json"]
