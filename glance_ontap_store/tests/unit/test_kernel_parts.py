# SPDX-License-Identifier: Apache-2.0
"""The parts of the kernel tests that need no kernel."""

import os

import pytest

from glance_ontap_store.tests import kernel
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.kernel import __main__ as command
from glance_ontap_store.tests.kernel import jobs
from glance_ontap_store.tests.kernel import machine
from glance_ontap_store.tests.kernel import system
from glance_ontap_store.tests.kernel import transfers
from glance_ontap_store.tests.kernel.cases import conftest
from glance_ontap_store.tests.kernel.errors import Unusable
from glance_ontap_store.tests.kernel.shell import Shell
from glance_ontap_store.tests.kernel.transfers import Eventful
from glance_ontap_store.tests.kernel.transfers import Striped
from glance_ontap_store.units import MIB

IMAGE = Striped(20 * MIB)


@pytest.fixture
def kernel_of(tmp_path):
    """A directory of packages whose kernel is a script of the shell."""

    def made(script):
        path = tmp_path / "system/usr/bin/linux.uml"
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        job = tmp_path / "job"
        job.mkdir()
        texts = []
        status = None
        try:
            status = machine.run(
                tmp_path / "system", job, {"ubda": 5}, 64, 0.3, texts.append
            )
        finally:
            made.texts = texts
        return status

    return made


# The job's directory, as the kernel's first process finds it.
JOB = 'for word; do case $word in KERNEL_JOB=*) job=${word#*=};; esac; done; cd "$job"'


class TestMachine:
    def test_the_status_of_the_script_is_that_of_the_run(self, kernel_of):
        assert kernel_of(f"{JOB}; echo booted; stat -c %s ubda.img; echo 3 > rc") == 3
        assert "".join(kernel_of.texts) == "booted\n5\n"

    def test_a_kernel_that_panics_did_not_run_the_script(self, kernel_of):
        with pytest.raises(Unusable, match="ended before its script"):
            kernel_of("echo Kernel panic")
        assert "".join(kernel_of.texts) == "Kernel panic\n"

    def test_a_kernel_that_hangs_is_ended(self, kernel_of):
        with pytest.raises(Unusable, match="took longer than"):
            kernel_of("exec sleep 60")

    def test_a_path_with_blanks_is_refused(self, tmp_path):
        with pytest.raises(Unusable, match="no blanks"):
            machine.run(tmp_path / "a b", tmp_path, {}, 64, 1, print)


class TestCommand:
    def test_a_set_that_does_not_exist_is_named(self, capsys):
        with pytest.raises(SystemExit) as ended:
            command.main(["nsf"])
        assert ended.value.code == jobs.UNUSABLE
        assert "no such set: nsf; there are " in capsys.readouterr().err

    def test_a_host_without_apt_fails_loudly(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(Unusable, match="there is no apt-get"):
            system.ensure(tmp_path)

    def test_unpacked_packages_are_used_again(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        packages = os.path.join(os.path.dirname(kernel.__file__), "packages.txt")
        with open(packages) as file:
            (tmp_path / "packages").write_text(file.read())
        assert system.ensure(tmp_path) == tmp_path / "system"

    def test_the_cases_refuse_to_run_elsewhere(self):
        with pytest.raises(pytest.UsageError, match="tox -e kernel"):
            conftest.pytest_configure(None)


class TestContent:
    def test_stripes_are_random_bytes_and_zeros(self):
        assert any(IMAGE.at(0, 100))
        assert IMAGE.at(16 * MIB, 100) == bytes(100)
        assert sum(map(len, map(IMAGE.at, [0, 16 * MIB], [20 * MIB] * 2))) == IMAGE.size

    def test_the_event_happens_once_in_the_middle(self):
        seen = []
        content = Eventful(Pattern(30), 10, lambda: seen.append("event"))
        content.at(0, 10)
        assert not content.has_happened
        assert [content.at(20, 5), content.at(25, 5)] == [
            Pattern(30).at(20, 5),
            Pattern(30).at(25, 5),
        ]
        assert content.has_happened
        assert seen == ["event"]


@pytest.fixture(scope="module")
def data():
    """The image, and a MiB of zeros."""
    return IMAGE.at(0, IMAGE.size) + IMAGE.at(16 * MIB, IMAGE.size) + bytes(MIB)


class TestComparison:
    @pytest.fixture
    def file(self, tmp_path, data):
        path = tmp_path / "volume"
        path.write_bytes(data)
        return path

    def test_the_image_and_zeros_are_right(self, file):
        assert transfers.difference(file, IMAGE) is None

    @pytest.mark.parametrize("at", [5, 17 * MIB, 20 * MIB, 21 * MIB - 1])
    def test_one_wrong_byte_is_found(self, file, at):
        with open(file, "r+b") as opened:
            os.pwrite(opened.fileno(), b"\x01", at)
        found = transfers.difference(file, IMAGE)
        assert found == at // MIB * MIB

    def test_a_short_file_is_found(self, file):
        os.truncate(file, IMAGE.size - 1)
        assert transfers.difference(file, IMAGE) == IMAGE.size - 1


class TestShell:
    @pytest.fixture
    def shell(self):
        made = Shell()
        yield made
        made.close()

    def test_it_returns_what_a_command_printed(self, shell):
        assert shell.run("echo one; echo two") == "one\ntwo"

    def test_a_command_that_fails_fails_the_case(self, shell):
        with pytest.raises(AssertionError, match="no such thing"):
            shell.run("echo no such thing; false")

    def test_a_started_command_is_waited_for(self, shell, tmp_path):
        shell.start(f"sleep 0.1; touch {tmp_path}/done")
        shell.wait()
        assert (tmp_path / "done").exists()
