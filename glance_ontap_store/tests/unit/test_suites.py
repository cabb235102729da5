# SPDX-License-Identifier: Apache-2.0
"""The suites of other projects: what is decided before and after they run."""

import configparser
import datetime
from pathlib import Path
import re

import pytest

from lab.suites import known
from lab.suites import outcomes
from lab.suites import phases
from lab.suites import report
from lab.suites import settings
from lab.suites.known import KnownFailure
from lab.suites.outcomes import Outcome
from lab.suites.outcomes import Status

CLOUDS = {
    "clouds": {
        "admin": {
            "auth": {
                "auth_url": "http://127.0.0.1:5000/v3",
                "username": "admin",
                "password": "secret",
                "project_name": "ops",
            },
            "region_name": "RegionTwo",
        }
    }
}
OK = Outcome("a.ok", Status.PASSED)
BAD = Outcome("a.bad", Status.FAILED, "Traceback\n  line\nValueError: no\n")
LEFT_OUT = Outcome("a.skip", Status.SKIPPED, "not here")
KNOWN_BAD = KnownFailure("image", "a.bad", "Glance", "it is so")


class TestJudge:
    def test_a_failure_that_is_not_listed_is_unexpected(self):
        verdict = known.judge("image", [OK, BAD], [])
        assert (verdict.passed, verdict.failed) == ([OK], [BAD])
        assert not verdict.is_good

    def test_a_listed_failure_is_none(self):
        verdict = known.judge("image", [OK, BAD, LEFT_OUT], [KNOWN_BAD])
        assert (verdict.failed, verdict.failed_as_known) == ([], [BAD])
        assert verdict.skipped == [LEFT_OUT]
        assert verdict.is_good

    def test_a_failure_listed_for_another_phase_is_unexpected(self):
        assert known.judge("rbac", [OK, BAD], [KNOWN_BAD]).failed == [BAD]

    def test_a_listed_failure_that_passes_is_told(self):
        passed = Outcome("a.bad", Status.PASSED)
        verdict = known.judge("image", [passed], [KNOWN_BAD])
        assert verdict.repaired == [KNOWN_BAD]
        assert not verdict.is_good
        assert "a.bad passed. Remove it" in report.complaints([verdict])

    def test_a_listed_failure_that_is_skipped_stays_listed(self):
        skipped = Outcome("a.bad", Status.SKIPPED)
        assert known.judge("image", [OK, skipped], [KNOWN_BAD]).is_good

    @pytest.mark.parametrize("found", [[], [LEFT_OUT]])
    def test_a_phase_in_which_nothing_passed_is_broken(self, found):
        verdict = known.judge("image", found, [])
        assert not verdict.is_good
        assert "image: no test passed" in report.complaints([verdict])


class TestList:
    def test_the_list_is_complete_and_names_phases(self):
        found = known.read(known.LIST.read_text())
        names = {phase.name for phase in phases.PHASES}
        assert {failure.phase for failure in found} <= names

    def test_an_empty_list(self):
        assert known.read("# none\n") == []

    @pytest.mark.parametrize(
        "entry",
        [
            "{phase: image, test: a.b, fault: Glance}",
            "{phase: image, test: a.b, fault: Glance, cause: ''}",
            "{phase: image, test: a.b, fault: Glance, cause: c, more: d}",
        ],
    )
    def test_an_incomplete_entry_is_refused(self, entry):
        with pytest.raises(known.BadList, match=r"a\.b.*each entry has cause, fault"):
            known.read(f"- {entry}")

    def test_a_test_that_is_there_twice_is_refused(self):
        entry = "- {phase: image, test: a.b, fault: Glance, cause: c}\n"
        with pytest.raises(known.BadList, match="twice for phase image"):
            known.read(entry * 2)


class TestPhases:
    def test_all_run_in_order_without_names(self):
        assert phases.chosen([], quick=False) == list(phases.PHASES)

    def test_named_ones_keep_the_order(self):
        found = phases.chosen(["volume", "image"], quick=False)
        assert [phase.name for phase in found] == ["image", "volume"]

    def test_the_quick_run_leaves_phases_out(self):
        found = phases.chosen([], quick=True)
        assert found
        assert all(phase.quick for phase in found)
        assert len(found) < len(phases.PHASES)

    def test_an_unknown_name_is_an_error(self):
        with pytest.raises(KeyError, match="nova"):
            phases.chosen(["nova"], quick=False)

    def test_tempest_gets_patterns_and_pytest_gets_files(self):
        checkout = Path(phases.__file__).parents[2]
        for phase in phases.PHASES:
            for test in (*phase.tests, *phase.quick):
                if phase.by_pytest:
                    assert (checkout / test.partition("::")[0]).is_file()
                else:
                    re.compile(test)


def parsed(text):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return parser


@pytest.fixture
def cloud(tmp_path):
    return settings.cloud_from(CLOUDS, "http://w", "image-1", tmp_path)


class TestTempestConf:
    def test_it_has_the_labs_login(self, cloud):
        conf = parsed(settings.tempest_conf(cloud, {}))
        assert dict(conf["auth"]) | {
            "admin_username": "admin",
            "admin_password": "secret",
            "admin_project_name": "ops",
        } == dict(conf["auth"])
        assert conf["identity"]["uri_v3"] == "http://127.0.0.1:5000/v3"
        assert conf["identity"]["region"] == "RegionTwo"

    def test_it_has_images_to_fetch_and_one_to_make_volumes_of(self, cloud):
        conf = parsed(settings.tempest_conf(cloud, {}))
        assert conf["image"]["http_image"] == "http://w/image.raw"
        assert conf["image"]["http_qcow2_image"] == "http://w/image.qcow2"
        assert conf["compute"]["image_ref"] == "image-1"

    def test_users_get_no_role_beside_the_tests_own(self, cloud):
        conf = parsed(settings.tempest_conf(cloud, {}))
        assert conf["auth"]["tempest_roles"] == ""

    def test_a_phases_options_win_and_are_added(self, cloud):
        conf = parsed(
            settings.tempest_conf(
                cloud,
                {
                    ("volume-feature-enabled", "backup"): False,
                    ("enforce_scope", "glance"): True,
                },
            )
        )
        assert conf["volume-feature-enabled"]["backup"] == "False"
        assert conf["volume-feature-enabled"]["concurrency_tests"] == "True"
        assert conf["enforce_scope"]["glance"] == "True"


class TestGlanceOptions:
    def options(self, **extra):
        return settings.glance_options(
            ["fv1", "peer", "file"], Path("/cache"), ["127.0.0.1"], extra
        )

    def test_stores_are_sorted_and_have_their_types(self):
        assert self.options()["DEFAULT", "enabled_backends"] == [
            "file:file",
            "fv1:ontap",
            "peer:cinder",
            "web:http",
        ]

    def test_a_phases_options_are_added(self):
        found = settings.glance_options([], Path("/c"), [], {("fv1", "weight"): 3})
        assert found["fv1", "weight"] == 3

    def test_they_are_set_in_the_labs_configuration(self):
        text = settings.apply("[DEFAULT]\nimage_cache_dir = x\n", self.options())
        conf = parsed(text)
        assert conf["DEFAULT"]["image_cache_dir"] == "/cache"
        assert conf["import_filtering_opts"]["allowed_hosts"] == "[127.0.0.1]"


def streamed(status, test="a.b.test_x[id-1,smoke]", times=(None, None)):
    return {"id": test, "status": status, "timestamps": times}


class TestOutcomes:
    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            ("success", Status.PASSED),
            ("skip", Status.SKIPPED),
            ("fail", Status.FAILED),
            ("uxsuccess", Status.FAILED),
            ("inprogress", Status.FAILED),
        ],
    )
    def test_a_status_of_subunit(self, status, expected):
        found = outcomes.from_subunit(streamed(status), [])
        assert (found.test, found.status) == ("a.b.test_x", expected)

    def test_a_test_that_never_ended_says_so(self):
        found = outcomes.from_subunit(streamed("inprogress"), [])
        assert found.summary == "ended as inprogress"

    def test_what_tests_print_is_no_outcome(self):
        assert outcomes.from_subunit(streamed("success", outcomes.OUTPUT), []) is None
        assert outcomes.from_subunit(streamed("exists"), []) is None

    def test_the_time_and_the_last_line_of_the_reason(self):
        begun = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
        ended = begun + datetime.timedelta(seconds=2.5)
        found = outcomes.from_subunit(
            streamed("fail", times=(begun, ended)), ["Traceback\n  E: x\n\n"]
        )
        assert (found.seconds, found.summary) == (2.5, "E: x")

    def test_a_report_of_pytest(self, tmp_path):
        path = tmp_path / "report.xml"
        path.write_text(
            '<testsuites><testsuite><testcase classname="m.T" name="ok" time="1.5"/>'
            '<testcase classname="m" name="bad"><failure message="no">trace</failure>'
            '</testcase><testcase classname="m" name="late"><error message="e">t'
            '</error></testcase><testcase classname="m" name="not"><skipped '
            'message="why"/></testcase></testsuite></testsuites>'
        )
        found = {outcome.test: outcome for outcome in outcomes.read_junit(path)}
        assert {name: each.status for name, each in found.items()} == {
            "m.T.ok": Status.PASSED,
            "m.bad": Status.FAILED,
            "m.late": Status.FAILED,
            "m.not": Status.SKIPPED,
        }
        assert found["m.T.ok"].seconds == 1.5
        assert "trace" in found["m.bad"].reason
        assert found["m.not"].summary == "why"


class TestReport:
    def test_the_table_counts_each_phase_and_all(self):
        first = known.judge("image", [OK, BAD, LEFT_OUT], [KNOWN_BAD])
        second = known.judge("rbac", [OK, BAD], [])
        first.seconds, second.seconds = 10, 5.4
        rows = [line.split() for line in report.table([first, second]).splitlines()]
        assert rows[1:] == [
            ["image", "1", "1", "0", "1", "10", "s"],
            ["rbac", "1", "0", "1", "0", "5", "s"],
            ["all", "2", "1", "1", "1", "15", "s"],
        ]

    def test_an_unexpected_failure_has_its_traceback(self):
        verdict = known.judge("image", [OK, BAD], [])
        assert "a.bad\nTraceback\n  line" in report.complaints([verdict])

    def test_a_good_run_has_no_complaints(self):
        assert report.complaints([known.judge("image", [OK], [])]) == ""
