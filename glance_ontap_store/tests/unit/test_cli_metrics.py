# SPDX-License-Identifier: Apache-2.0
"""glance-ontap metrics, and the metrics of the other commands' runs."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from glance_ontap_store.cli import report
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry.prometheus import MultiProcess
from glance_ontap_store.tests.fakes import command
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL

CONFIG = f"""
[DEFAULT]
enabled_backends = fv1:ontap, old:file
[backend_defaults]
ontap_store_auth_address = {AUTH_URL}
ontap_store_user_name = glance
ontap_store_password = s3cret
ontap_store_project_name = images
ontap_metrics_directory = DIRECTORY
ontap_http_retries = 0
ontap_state_transition_timeout = 1
[fv1]
ontap_volume_type = ontap-fv1
"""
NOWHERE = "http://127.0.0.1:1/v3"
UPLOADED = (
    'glance_ontap_operations_total{operation="upload",result="success",store="fv1"} 3.0'
)


@pytest.fixture
def directory(tmp_path):
    """The directory in which a process has recorded three uploads."""
    path = str(tmp_path / "metrics")
    recorder = MultiProcess(path)
    recorder.record(catalogue.OPERATIONS, ("fv1", "upload", "success"), 3)
    recorder.close()
    return path


@pytest.fixture
def run(tmp_path, capsys, monkeypatch, directory):
    config = CONFIG.replace("DIRECTORY", directory)
    run = command.runner("metrics", config, tmp_path, capsys, monkeypatch)
    return lambda *arguments: run(*arguments, cloud=None)


def test_it_prints_the_sums_of_the_configured_directory(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    assert UPLOADED in out.splitlines()
    assert "glance_ontap_processes 0.0" in out.splitlines()


def test_it_replaces_a_textfile_and_leaves_no_other(run, tmp_path):
    target = tmp_path / "shown" / "glance_ontap.prom"
    target.parent.mkdir()
    target.write_text("old")
    assert run("--textfile", str(target)) == (0, "", "")
    assert UPLOADED in target.read_text().splitlines()
    assert os.listdir(target.parent) == [target.name]


def test_another_directory_can_be_named(run, tmp_path):
    code, out, _err = run("--directory", str(tmp_path / "other"))
    assert code == 0
    assert "glance_ontap_processes 0.0" in out
    assert UPLOADED not in out


def test_without_the_option_it_says_what_to_set(tmp_path, capsys, monkeypatch):
    config = CONFIG.replace("ontap_metrics_directory", "#")
    run = command.runner("metrics", config, tmp_path, capsys, monkeypatch)
    code, out, err = run(cloud=None)
    assert (code, out) == (report.FAILED, "")
    assert "set it in [backend_defaults]" in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--textfile", "/tmp/metrics.txt"], "end in .prom"),
        (["--every", "15s"], "--textfile"),
        (["--every", "0s", "--textfile", "/tmp/m.prom"], "above zero"),
        (["--textfile", "/nowhere/metrics.prom"], "/nowhere/metrics.prom"),
    ],
)
def test_what_cannot_be_done_is_said(run, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (report.FAILED, "")
    assert said in " ".join(err.split())


def test_a_missing_library_is_named_with_its_remedy(run, tmp_path):
    """A module of that name without content comes first on the path."""
    (tmp_path / "prometheus_client.py").write_text("")
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "glance_ontap_store.cli.main",
            *("--config-file", str(tmp_path / "glance-api.conf"), "metrics"),
            *("--directory", str(tmp_path)),
        ],
        env={
            **os.environ,
            "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == report.FAILED
    assert "pip install 'glance_ontap_store[metrics]'" in ended.stderr


def test_it_stays_and_writes_again(directory, tmp_path):
    target = tmp_path / "glance_ontap.prom"
    code = (
        "from glance_ontap_store.cli import main;"
        "main.main(['metrics', '--every', '1s', '--textfile', "
        f"'{target}', '--directory', '{directory}'])"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        first = _changed(target, None, process)
        assert UPLOADED in target.read_text().splitlines()
        _changed(target, first, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    assert UPLOADED in target.read_text().splitlines()


def _changed(path, before, process):
    """Wait until *path* is another file than *before*, as the process writes it."""
    while process.poll() is None:
        now = path.stat().st_ino if path.exists() else None
        if now not in (None, before):
            return now
        os.sched_yield()
    raise AssertionError("the command has ended")


@pytest.fixture
def audit(tmp_path, directory):
    """Run audit, which fails: Keystone does not answer. In a process of its own."""
    path = tmp_path / "audit.conf"
    text = CONFIG.replace("DIRECTORY", directory).replace(AUTH_URL, NOWHERE)
    path.write_text(text)

    def audit():
        options = ["--config-file", str(path), "audit"]
        ended = subprocess.run(
            [sys.executable, "-m", "glance_ontap_store.cli.main", *options],
            env={name: os.environ[name] for name in os.environ if name[:3] != "OS_"},
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode

    return audit


def test_runs_of_other_commands_are_counted_with_their_exit_codes(run, audit):
    assert [audit(), audit()] == [report.FAILED, report.FAILED]
    lines = run()[1].splitlines()
    total = 'glance_ontap_command_runs_total{command="audit",exit_code="3"} 2.0'
    assert total in lines
    assert 'glance_ontap_command_last_exit_code{command="audit"} 3.0' in lines


def test_a_command_does_not_make_the_directory_of_glance_api(audit, directory):
    """Glance's user could not write there."""
    shutil.rmtree(directory)
    assert audit() == report.FAILED
    assert not os.path.exists(directory)
