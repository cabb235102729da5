# SPDX-License-Identifier: Apache-2.0
"""The parts of the lab that need no lab."""

from collections.abc import Callable
from collections.abc import Iterable
import graphlib
import json
from pathlib import Path
import re
import socket
import sys
import types
from typing import Any

import pytest

from glance_ontap_store.checks import remedies
from glance_ontap_store.tests.functional import __main__ as parts
from glance_ontap_store.tests.functional import claims
from lab import cinder
from lab import cli
from lab import glance
from lab import ini
from lab import layout
from lab import packages
from lab import polling
from lab import releases
from lab import requestlog
from lab import svms
from lab import uwsgi
from lab.errors import ServiceFailed
from lab.errors import Unusable
from lab.polling import wait_until
from lab.requestlog import RequestLog
from lab.steps import Step
from lab.steps import run_in_order

CONFIG = """\
[DEFAULT]
debug = true
# name = commented

[fv1]
name = old
other = 1
"""


class TestIni:
    def test_sets_in_the_right_group(self) -> None:
        changed = ini.set_option(CONFIG, "fv1", "name", "new")
        assert changed == CONFIG.replace("name = old", "name = new")

    def test_adds_an_option_and_a_group(self) -> None:
        changed = ini.set_option(CONFIG, "fv9", "name", ["a", "b"])
        assert changed.startswith(CONFIG)
        assert changed.endswith("[fv9]\nname = a,b\n")

    def test_removes(self) -> None:
        assert "old" not in ini.set_option(CONFIG, "fv1", "name", None)
        assert ini.set_option(CONFIG, "fv9", "name", None) == CONFIG

    def test_keeps_comments(self) -> None:
        changed = ini.set_option(CONFIG, "DEFAULT", "name", "new")
        assert "# name = commented" in changed

    def test_a_login_is_read_without_the_other_options(self, tmp_path: Path) -> None:
        login = {
            "auth_type": "password",
            "auth_url": "http://127.0.0.1:1/v3",
            "username": "cinder",
            "password": "50%",
            "project_name": "service",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        path = tmp_path / "cinder.conf"
        ini.write(path, {"service_user": {**login, "send_service_user_token": True}})
        assert ini.login(path, "service_user") == login


def call(
    app: Callable[..., Iterable[bytes]], log: Path, **environ: Any
) -> tuple[list[bytes], list[dict[str, Any]]]:
    """The answer's pieces through a request log, and the log's lines."""
    logged = requestlog.filter_factory({}, log_file=str(log))(app)
    environ = {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/v2/images/1/file",
        **environ,
    }
    answer = logged(environ, lambda *_: None)
    pieces = list(answer)
    assert not log.exists() or not log.read_text()
    answer.close()  # type: ignore[attr-defined]  # WSGI servers call it
    return pieces, [json.loads(line) for line in log.read_text().splitlines()]


class TestRequestLog:
    def test_counts_what_passes(self, tmp_path: Path) -> None:
        class Body:
            def __init__(self) -> None:
                self.left = 10

            def read(self, size: int) -> bytes:
                size = min(size, self.left)
                self.left -= size
                return b"x" * size

        def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            environ["HTTP_X_USER_NAME"] = "alice"
            environ["HTTP_X_PROJECT_NAME"] = "acme"
            # As a router does on the way in.
            environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/v2", "/images/1/file"
            start("200 OK", [("X-OpenStack-Request-Id", "req-1")])
            while environ["wsgi.input"].read(4):
                yield b"abc"

        pieces, lines = call(app, tmp_path / "log", **{"wsgi.input": Body()})
        assert pieces == [b"abc"] * 3
        assert len(lines) == 1
        for name, value in {
            "method": "PUT",
            "path": "/v2/images/1/file",
            "status": 200,
            "user": "alice",
            "project": "acme",
            "request_id": "req-1",
            "request_bytes": 10,
            "response_bytes": 9,
            "complete": True,
        }.items():
            assert lines[0][name] == value, name

    def test_chunks_become_terminated_input(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chunks = [b"12345", b"678", b"9", b""]

        class Server:
            @staticmethod
            def chunked_read() -> bytes:
                return chunks.pop(0)

        monkeypatch.setitem(sys.modules, "uwsgi", Server)  # type: ignore[arg-type]
        seen = []

        def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            start("204 No Content", [])
            assert environ["wsgi.input_terminated"]
            while piece := environ["wsgi.input"].read(4):
                seen.append(piece)
            return []

        _, lines = call(
            app,
            tmp_path / "log",
            **{
                "wsgi.input": None,
                "HTTP_TRANSFER_ENCODING": "chunked",
                "CONTENT_TYPE": "application/octet-stream",
            },
        )
        assert seen == [b"1234", b"5678", b"9"]
        assert lines[0]["request_bytes"] == 9

    def test_an_abandoned_answer_is_not_complete(self, tmp_path: Path) -> None:
        log = tmp_path / "log"

        def app(_: Any, start: Any) -> Iterable[bytes]:
            start("200 OK", [])
            return [b"1", b"2"]

        answer = RequestLog(app, str(log))({"wsgi.input": None}, print)
        assert next(iter(answer)) == b"1"
        answer.close()  # type: ignore[attr-defined]
        answer.close()  # type: ignore[attr-defined]
        (line,) = log.read_text().splitlines()
        assert (json.loads(line)["complete"], json.loads(line)["response_bytes"]) == (
            False,
            1,
        )


class TestPackages:
    BINDEP = """\
# A comment.
nfs-common [platform:dpkg store]
xfsprogs [test lab]  # another
qemu-utils [platform:dpkg test lab]
qemu-img [platform:rpm test lab]

rabbitmq-server [test broker]
"""

    def test_the_platform_and_the_profile_choose_packages(self) -> None:
        assert packages.needed(self.BINDEP, {"lab"}) == {"xfsprogs", "qemu-utils"}
        assert packages.needed(self.BINDEP, {"broker"}) == {"rabbitmq-server"}

    def test_bindep_txt_names_what_the_lab_needs(self) -> None:
        text = packages.BINDEP.read_text(encoding="utf-8")
        assert packages.needed(text, {"lab"}) >= {"xfsprogs", "qemu-utils", "mount"}
        assert packages.needed(text, {"broker"}) == {"rabbitmq-server"}
        assert packages.needed(text, {"old-releases"}) == {"gcc", "python3-dev"}

    def test_a_user_is_told_one_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
        monkeypatch.setattr(packages.shutil, "which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr(packages, "installed", lambda: {"mount", "util-linux"})
        with pytest.raises(
            Unusable, match=r"sudo apt-get install .* qemu-utils sudo xfsprogs"
        ):
            packages.ensure(broker=False)

    def test_the_guard_against_services_is_removed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        policy = tmp_path / "policy-rc.d"
        monkeypatch.setattr(packages, "POLICY", policy)
        with pytest.raises(ZeroDivisionError), packages._no_services_started():
            assert policy.stat().st_mode & 0o111
            raise ZeroDivisionError
        assert not policy.exists()

    def test_an_administrators_guard_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        policy = tmp_path / "policy-rc.d"
        policy.write_text("theirs")
        monkeypatch.setattr(packages, "POLICY", policy)
        with packages._no_services_started():
            pass
        assert policy.read_text() == "theirs"


class TestPolling:
    def test_the_first_true_answer_is_returned(self) -> None:
        answers = iter([None, "", "ready", "later"])
        assert wait_until(lambda: next(answers), "an answer", poll_s=0) == "ready"

    def test_a_timeout_names_what_was_awaited_and_the_state(self) -> None:
        with pytest.raises(TimeoutError) as caught:
            wait_until(
                lambda: False, "volume 7 is deleted", 0, state=lambda: "deleting"
            )
        assert str(caught.value) == "not within 0 s: volume 7 is deleted; now deleting"

    def test_an_error_of_the_question_is_raised_at_once(self) -> None:
        with pytest.raises(ZeroDivisionError):
            wait_until(lambda: 1 // 0, "a quotient")

    def test_long_waiting_is_reported(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(polling, "NEWS_S", 0)
        answers = iter([False, True])
        wait_until(lambda: next(answers), "volume 7 is deleted", poll_s=0)
        assert "at most 120 s: volume 7 is deleted" in capsys.readouterr().err


class TestSteps:
    def test_a_step_runs_after_those_that_it_needs(self) -> None:
        done: list[str] = []

        def step(name: str, *needs: str) -> Step:
            return Step(lambda: done.append(name), needs)

        run_in_order(
            {
                "roof": step("roof", "walls"),
                "walls": step("walls", "floor"),
                "floor": step("floor"),
            }
        )
        assert done == ["floor", "walls", "roof"]

    def test_nothing_starts_after_a_failure(self) -> None:
        done: list[str] = []

        def fail() -> None:
            raise ServiceFailed("glance", "no answer")

        steps = {
            "bad": Step(fail),
            "next": Step(lambda: done.append("next"), ("bad",)),
        }
        with pytest.raises(ServiceFailed, match="no answer"):
            run_in_order(steps)
        assert not done

    def test_a_circle_is_refused(self) -> None:
        with pytest.raises(graphlib.CycleError):
            run_in_order(
                {"a": Step(lambda: None, ("b",)), "b": Step(lambda: None, ("a",))}
            )


class TestPartsOfTheFunctionalTests:
    @pytest.mark.parametrize(
        ("shared", "exclusive", "expected"),
        [(0, 0, 0), (1, 0, 1), (0, 1, 1), (3, 1, 3), (5, 0, 0), (0, 5, 0), (5, 5, 5)],
    )
    def test_a_failure_of_either_part_fails_the_run(
        self, shared: int, exclusive: int, expected: int
    ) -> None:
        codes = {"shared": shared, "exclusive": exclusive}
        assert parts.verdict(codes) == expected

    def test_the_failed_part_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        parts.verdict({"shared": 1, "exclusive": 0})
        assert "failed in the shared part" in capsys.readouterr().out


class TestClaims:
    """Two sessions that share the modules of the functional tests."""

    @staticmethod
    def items(**counts: int) -> list[Any]:
        return [
            types.SimpleNamespace(
                path=Path(f"{name}.py"),
                number=number,
                get_closest_marker={"own_lab": name == "lab" or None}.get,
            )
            for name, count in counts.items()
            for number in range(count)
        ]

    def test_each_test_is_run_by_one_session(self, tmp_path: Path) -> None:
        items = self.items(a=2, b=3, c=1)
        first, second = (claims.claimed(items, tmp_path) for _ in range(2))
        taken = [next(first), next(second), *first, *second]
        assert sorted(map(id, taken)) == sorted(map(id, items))

    def test_a_module_stays_together(self, tmp_path: Path) -> None:
        items = self.items(a=2, b=3, c=2)
        first, second = (claims.claimed(items, tmp_path) for _ in range(2))
        started = [next(first), next(second)]
        assert [item.path.stem for item in started] == ["b", "a"]
        assert [item.path.stem for item in second] == ["a", "c", "c"]
        assert [item.path.stem for item in first] == ["b", "b"]

    def test_a_module_with_a_lab_of_its_own_comes_first(self, tmp_path: Path) -> None:
        taken = claims.claimed(self.items(a=2, lab=1), tmp_path)
        assert next(taken).path.stem == "lab"


def test_ports_are_free_and_distinct() -> None:
    with socket.socket() as taken:
        taken.bind((layout.HOST, 0))
        ports = layout.free_ports(20)
        assert len(set(ports)) == 20
        assert taken.getsockname()[1] not in ports


def test_passwords_are_not_in_the_layouts_text(tmp_path: Path) -> None:
    lab = layout.plan(tmp_path, tmp_path, broker=True, stores=layout.STORES)
    assert not [secret for secret in lab.passwords.values() if secret in repr(lab)]


class TestSvms:
    def plan(self, tmp_path: Path, with_second_svm: bool) -> layout.Layout:
        return layout.plan(
            tmp_path,
            tmp_path,
            broker=True,
            stores=layout.STORES_OF_TWO,
            with_second_svm=with_second_svm,
        )

    def test_a_lab_has_one_svm_by_default(self, tmp_path: Path) -> None:
        lab = self.plan(tmp_path, with_second_svm=False)
        assert [svm.name for svm in lab.svms] == ["svm1"]
        assert not {f"image-{store}" for store in svms.SECOND_STORES} & set(lab.users)

    def test_each_store_of_the_second_has_a_user_with_a_password(
        self, tmp_path: Path
    ) -> None:
        lab = self.plan(tmp_path, with_second_svm=True)
        users = {f"image-{store}" for store in svms.SECOND_STORES}
        assert users <= lab.users.keys() <= lab.passwords.keys()

    def test_the_second_has_pools_of_its_own(self) -> None:
        pools = cinder.expected_pools((svms.FIRST, svms.SECOND))
        assert len(pools) == len(svms.FIRST.shares) + len(svms.SECOND.shares)
        assert {"lab@ontap#127.0.0.1:/fv2", "lab@ontap2#127.0.0.2:/fv2"} <= pools
        assert "lab@ontap2#127.0.0.2:/gold" in pools

    def test_its_types_are_pinned_to_its_flexvols(self) -> None:
        for svm in (svms.FIRST, svms.SECOND):
            assert {path for _name, path in svm.types} <= {
                flexvol.path for flexvol in svm.flexvols
            }

    @pytest.mark.parametrize(
        "wrong",
        [
            ["up", "--svms", "2"],
            ["up", "--broker", "--svms", "3"],
            ["up", "--stores", "s2a"],
        ],
    )
    def test_options_that_do_not_go_together_are_refused(
        self, wrong: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            cli.main(wrong)
        assert "svms" in capsys.readouterr().err


def test_without_root_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.os, "geteuid", lambda: 1000)
    assert cli.main(["up"]) == 2
    assert "needs root" in capsys.readouterr().err


def test_a_used_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages, "ensure", lambda broker: None)
    (tmp_path / "mine").touch()
    assert cli.main(["run", "--dir", str(tmp_path), "true"]) == 2
    assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "mine").exists()


def test_an_older_cinder_cannot_be_embedded() -> None:
    cinder.require_embeddable("29.0.0")
    with pytest.raises(Unusable, match=r"Cinder 26\.1\.0.*--broker"):
        cinder.require_embeddable("26.1.0")


def test_the_entry_point_is_the_releases_own() -> None:
    assert uwsgi.entry_point("lab.uwsgi", "a.b:make") == "lab.uwsgi:application"
    for missing in ("lab.none", "none.wsgi.api"):
        assert uwsgi.entry_point(missing, "a.b:make") == "a.b:make()"


class TestReleases:
    def test_an_unknown_release_is_refused(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["--release", "2019.1", "up"]) == 2
        said = capsys.readouterr().err
        assert "unknown release 2019.1; there are 2024.1, " in said

    def test_an_environment_is_complete_with_the_project(self, tmp_path: Path) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python").touch()
        assert not releases.is_complete(tmp_path)
        (tmp_path / "bin" / "glance-ontap").touch()
        assert releases.is_complete(tmp_path)

    def test_tox_has_an_environment_for_each_older_release(self) -> None:
        text = (layout.CHECKOUT / "tox.ini").read_text("utf-8")
        (listed,) = re.findall(r"\[testenv:functional-\{(.+)\}\]", text)
        older = sorted(listed.split(","))
        known = sorted(path.stem for path in releases.CONSTRAINTS.glob("20*.txt"))
        assert [*older, releases.NEWEST] == known
        for release in older:
            file = f"{{toxinidir}}/constraints/{release}.txt"
            assert f"\n    {release}: -c {file}\n" in text


@pytest.mark.parametrize("package", ["lab", "benchmarks"])
def test_neither_lab_nor_benchmarks_import_tests(package: str) -> None:
    root = Path(cli.__file__).parents[1]
    modules = [
        path for path in (root / package).rglob("*.py") if "tests" not in path.parts
    ]
    assert modules
    assert not [
        str(path) for path in modules if "glance_ontap_store.tests" in path.read_text()
    ]


@pytest.mark.parametrize(
    "page",
    [
        "README.rst",
        "doc/source/admin/locations.rst",
        "doc/source/admin/examples/glance-policy.yaml",
    ],
)
def test_glances_policy_is_the_documented_one(page: str) -> None:
    root = Path(cli.__file__).parents[1]
    assert glance.POLICY in (root / page).read_text("utf-8")
    assert glance.POLICY.strip() in remedies.accept_service_token(None)
