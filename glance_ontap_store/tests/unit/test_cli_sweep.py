# SPDX-License-Identifier: Apache-2.0
"""glance-ontap sweep over the HTTP of Keystone, Cinder and Glance, and real files."""

import datetime
import json
import os
import signal
import time

import pytest

from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.liveness.processes import Processes
from glance_ontap_store.tests import builders
from glance_ontap_store.tests.fakes import command
from glance_ontap_store.tests.fakes.cinder_http import CinderHttp
from glance_ontap_store.tests.fakes.cinder_http import GlanceHttp
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL

CONFIG = f"""
[DEFAULT]
enabled_backends = fv1:ontap, fv2:ontap
[backend_defaults]
ontap_store_auth_address = {AUTH_URL}
ontap_store_user_name = glance
ontap_store_password = s3cret
ontap_store_project_name = images
ontap_os_region_name = north
ontap_mount_point_base = BASE
# A failure is not repeated for long.
ontap_state_transition_timeout = 1
[fv1]
ontap_volume_type = ontap-fv1
[fv2]
ontap_volume_type = ontap-fv2
"""


@pytest.fixture
def http(requests_mock, monkeypatch):
    found = command.http(requests_mock, monkeypatch)
    found.roles["boss"] = ("admin",)
    return found


@pytest.fixture
def cinder(http):
    return CinderHttp(http, "ontap-fv1", "ontap-fv2")


@pytest.fixture
def glance(http):
    return GlanceHttp(http, "fv1", "fv2", "file")


@pytest.fixture
def base(tmp_path):
    return str(tmp_path / "mnt")


@pytest.fixture
def dead(base):
    """The mark of a process of this host that is dead."""
    process = Processes(base)
    mark = process.own()
    process.close()
    died_hours_ago(base, mark.token)
    return mark


def died_hours_ago(base, token):
    then = time.time() - 5 * 3600
    os.utime(os.path.join(base, ".locks", "processes", token), (then, then))


@pytest.fixture
def live(base):
    process = Processes(base)
    yield process.own()
    process.close()


@pytest.fixture
def run(cinder, glance, base, capsys, tmp_path, monkeypatch):
    config = CONFIG.replace("BASE", base)
    return command.runner("sweep", config, tmp_path, capsys, monkeypatch)


def ago(hours):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now - datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S")


def volume(number, state, mark=None, hours=5, **changes):
    metadata = {
        "glance_image_id": f"image-{number}",
        "image_owner": "acme",
        "image_size": "1000",
        "ontap_store": "fv1",
        "ontap_state": state,
        "ontap_writer": "glance-7",
        "ontap_started": f"{ago(hours)}Z",
        "ontap_write_id": f"write-{number}",
    }
    if mark is not None:
        metadata["ontap_lock"] = str(mark)
    return {
        **builders.VOLUME,
        "id": f"volume-{number}",
        "volume_type": "ontap-fv1",
        "created_at": ago(hours),
        "updated_at": ago(hours),
        "metadata": metadata,
        **changes,
    }


def attached(number, mark, **changes):
    return {
        "id": f"attachment-{number}",
        "status": "attached",
        "device": mark.mountpoint if mark else None,
        "attached_at": ago(5),
        **changes,
    }


@pytest.fixture
def crash(cinder, glance, dead, live):
    """What a dead process left, among what others use."""
    cinder.add(volume(1, "filling", dead), attached(1, dead))
    cinder.add(volume(2, "filling", live), attached(2, live))
    cinder.add(volume(3, "reading", dead))
    cinder.add(volume(4, "sealed", dead))
    cinder.add(volume(5, "sealed", dead), attached(5, dead))
    cinder.add(volume(6, "sealed", dead), attached(6, live))
    cinder.add(volume(7, "filling"))
    for number in (5, 6):
        glance.images[f"image-{number}"] = {"id": f"image-{number}", "status": "active"}


USED = {"volume-2", "volume-5", "volume-6", "volume-7"}
DEAD = {
    "attachment-5": "attachment",
    "volume-1": "unfinished upload",
    "volume-3": "temporary volume",
    "volume-4": "image-volume without image",
}


def listed(out):
    return {row["Id"]: row for row in json.loads(out)}


def test_a_dry_run_shows_what_is_left_and_changes_nothing(run, crash, cinder, dead):
    code, out, err = run("-f", "json")
    rows = listed(out)
    assert code == 1
    assert cinder.changes == []
    kinds = {key: row["Kind"] for key, row in rows.items()}
    assert kinds == {**DEAD, "volume-7": "unfinished upload", dead.token: "lock files"}
    assert rows["volume-1"] == {
        "Kind": "unfinished upload",
        "Store": "fv1",
        "Id": "volume-1",
        "Image": "image-1",
        "Size GiB": 3,
        "Since": rows["volume-1"]["Since"],
        "Why": "The process of this host that made it is dead.",
        "Action": "delete the volume with its attachments",
    }
    assert rows["volume-7"]["Action"] == "none without --older-than"
    assert "5 to remove with --apply, 1 perhaps in use by other hosts." in err


def test_apply_removes_it_and_nothing_else(run, crash, cinder, dead, base, live):
    code, out, _ = run("--apply", "-f", "json")
    assert {key for key, row in listed(out).items() if row["Action"] == "removed"} == {
        *DEAD,
        dead.token,
    }
    assert set(cinder.volumes) == USED
    assert set(cinder.attachments) == {"attachment-2", "attachment-6"}
    assert Processes(base).tokens() == [live.token]
    assert code == 0
    # A second run finds nothing of it.
    code, out, _ = run("--apply", "-f", "json")
    assert (code, set(listed(out))) == (0, {"volume-7"})


@pytest.mark.parametrize(
    ("migration", "is_removed"),
    [(None, True), ("error", True), ("migrating", False), ("target:x", False)],
)
def test_a_half_made_replica_goes_unless_cinder_moves_it(
    run, cinder, glance, dead, migration, is_removed
):
    status = {"os-vol-mig-status-attr:migstat": migration}
    cinder.add(volume(1, "replicating", dead, **status))
    glance.images["image-1"] = {"id": "image-1", "status": "active"}
    _code, out, _ = run("--apply", "-f", "json")
    assert listed(out)["volume-1"]["Kind"] == "unfinished replica"
    assert ("volume-1" in cinder.volumes) is not is_removed


def test_a_replica_that_is_moved_after_all_stays(run, cinder, dead):
    """Another host went on with it between the list and the removal."""
    status = {"os-vol-mig-status-attr:migstat": None}
    cinder.add(volume(1, "filling", dead))
    cinder.add(volume(2, "replicating", dead, **status))

    def go_on(_what):
        cinder.volumes["volume-2"]["os-vol-mig-status-attr:migstat"] = "migrating"

    cinder.before_change = go_on
    _code, out, _ = run("--apply", "-f", "json")
    assert "Cinder moves it" in listed(out)["volume-2"]["Action"]
    assert set(cinder.volumes) == {"volume-2"}


def test_older_than_takes_what_other_hosts_left(run, crash, cinder):
    code, _, _ = run("--apply", "--older-than", "6h")
    assert (code, set(cinder.volumes)) == (0, USED)
    code, _, _ = run("--apply", "--older-than", "4h")
    assert (code, set(cinder.volumes)) == (0, USED - {"volume-7"})


def test_another_host_may_remove_the_same_things_meanwhile(run, crash, cinder):
    def everything_is_gone(_what):
        cinder.before_change = lambda _what: None
        for key in ("volume-1", "volume-3", "volume-4"):
            del cinder.volumes[key]
        cinder.attachments = {}

    cinder.before_change = everything_is_gone
    code, out, err = run("--apply", "-f", "json")
    assert code == 0, err
    assert listed(out)["volume-4"]["Action"] == "removed"


@pytest.mark.parametrize("change", ["sealed", "written again", "registered"])
def test_what_came_into_use_meanwhile_stays(run, crash, cinder, glance, change):
    """The first removal is that of the attachment; by then the volumes are listed."""

    def use(_what):
        cinder.before_change = lambda _what: None
        if change == "sealed":
            cinder.volumes["volume-1"]["metadata"]["ontap_state"] = "sealed"
            glance.images["image-1"] = {"id": "image-1"}
        elif change == "written again":
            cinder.volumes["volume-1"]["metadata"]["ontap_write_id"] = "write-8"
        else:
            glance.images["image-4"] = {"id": "image-4"}

    cinder.before_change = use
    kept = "volume-4" if change == "registered" else "volume-1"
    code, out, _ = run("--apply", "-f", "json")
    assert listed(out)[kept]["Action"].startswith("left alone: ")
    assert kept in cinder.volumes
    assert code == 0


def test_a_location_that_was_added_meanwhile_keeps_the_volume(
    run, crash, cinder, glance
):
    def use(_what):
        other = {"id": "other", "size": 1000, "locations": [{"url": URL}]}
        glance.images["other"] = other

    cinder.volumes["volume-4"]["id"] = builders.VOLUME_ID
    cinder.volumes[builders.VOLUME_ID] = cinder.volumes.pop("volume-4")
    cinder.before_change = use
    run("--apply")
    assert builders.VOLUME_ID in cinder.volumes


URL = f"cinder://fv1/{builders.VOLUME_ID}"


def test_without_an_administrator_no_image_volume_is_judged(run, crash, cinder):
    code, out, err = run("--apply", "-f", "json", cloud=None)
    assert "volume-4" not in listed(out)
    assert "volume-4" in cinder.volumes
    assert "Not looked at: " in err
    assert code == 2


def test_a_glance_that_fails_keeps_all_image_volumes(run, crash, cinder, http):
    http.mock.get("http://glance.example.com/v2/images", status_code=503)
    code, _, err = run("--apply", "-f", "json")
    assert "volume-4" in cinder.volumes
    assert code == 2
    assert "Not looked at: image-volumes without an image" in err


def test_another_glance_keeps_all_image_volumes(run, crash, cinder, glance):
    glance.stores = ("other",)
    code, out, _ = run("--apply", "-f", "json")
    assert "is it the right one?" in listed(out)["volume-4"]["Action"]
    assert "volume-4" in cinder.volumes
    assert code == 1


def test_a_removal_that_fails_is_told_and_the_others_go_on(run, crash, cinder, http):
    http.answer("DELETE", "/volumes/volume-3", status_code=500, text="no")
    code, out, _ = run("--apply", "-f", "json")
    rows = listed(out)
    assert rows["volume-3"]["Action"].startswith("failed: ")
    assert rows["volume-4"]["Action"] == "removed"
    assert code == 2


@pytest.fixture
def interruptible():
    """A shell's background job, and so the tests in it, ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_after_the_removal_that_has_begun(run, crash, cinder):
    def interrupt(_what):
        os.kill(os.getpid(), signal.SIGINT)
        cinder.before_change = lambda _what: None

    cinder.before_change = interrupt
    code, out, err = run("--apply", "-f", "json")
    assert code == 130
    assert "Interrupted" in err
    done = [key for key, row in listed(out).items() if row["Action"] == "removed"]
    assert done == ["attachment-5"]
    assert {"volume-1", "volume-3", "volume-4"} < set(cinder.volumes)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_a_dead_process_may_still_hold_is_released_first(run, base, cinder):
    process = Processes(base)
    token = process.own().token
    handle = Journal(process, "fv1").attaching("volume-9")
    handle.complete("attachment-9")
    cinder.add(volume(9, "sealed"), attached(9, None))
    process.close()
    died_hours_ago(base, token)
    _, out, err = run("--apply", "-f", "json")
    assert listed(out)[token]["Action"] == "removed", err
    assert "attachment-9" not in cinder.attachments
    assert Processes(base).tokens() == []


def test_the_files_of_a_process_that_just_died_are_kept(run, base, cinder):
    """What Cinder still makes for it has its mark."""
    process = Processes(base)
    process.own()
    process.close()
    assert run("--apply", "-f", "json")[:2] == (0, "[]\n")
    assert len(Processes(base).tokens()) == 1


def test_reservations_and_attachments_that_never_ended_are_found(
    run, cinder, glance, base
):
    """No volume shows them: Cinder lists them by their status."""
    process = Processes(base)
    handle = Journal(process, "fv1").attaching("volume-1")
    handle.complete("attachment-1")
    process.close()
    cinder.add(volume(1, "sealed"), attached(1, None, status="attaching"))
    cinder.add(volume(2, "sealed"), attached(2, None, status="attaching"))
    for number in (1, 2):
        glance.images[f"image-{number}"] = {"id": f"image-{number}"}
    code, out, _ = run("-f", "json")
    rows = listed(out)
    assert rows["attachment-1"]["Action"] == "delete the attachment"
    assert rows["attachment-2"]["Action"] == "none without --older-than"
    assert code == 1


def test_nothing_is_left(run, cinder, glance, live):
    cinder.add(volume(1, "filling", live))
    code, out, err = run()
    assert (code, out) == (0, "")
    assert "Nothing is left." in err


def test_for_people_why_and_what_are_sentences(run, crash):
    _, out, _ = run()
    (line,) = (line for line in out.splitlines() if "volume-3" in line)
    assert "The process of this host that made it is dead." in line
    assert line.endswith("delete the volume with its attachments")


@pytest.mark.parametrize("text", ["7", "h", "1.5h", "7 weeks"])
def test_a_duration_needs_a_number_and_a_unit(run, text, capsys):
    with pytest.raises(SystemExit):
        run("--older-than", text)
    assert "is not a duration" in capsys.readouterr().err


def test_an_error_shows_no_secret_and_has_its_own_code(run, http):
    http.mock.post(f"{AUTH_URL}/auth/tokens", status_code=503, text="s3cret")
    code, out, err = run()
    assert (code, out) == (3, "")
    assert "s3cret" not in err
