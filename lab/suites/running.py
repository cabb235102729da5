# SPDX-License-Identifier: Apache-2.0
"""Run phases inside the lab: configure the services, start the tests, read results."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import contextlib
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

import tempest
import yaml

from lab.client import Lab
from lab.layout import HOST
from lab.progress import say
from lab.suites import files
from lab.suites import outcomes
from lab.suites import settings
from lab.suites import streams
from lab.suites.known import KnownFailure
from lab.suites.known import Verdict
from lab.suites.known import judge
from lab.suites.outcomes import Outcome
from lab.suites.outcomes import Status
from lab.suites.phases import Phase
from lab.suites.settings import Cloud

# A test that hangs ends, and the rest still runs.
TEST_TIMEOUT_S = 900
SECOND = "glance-second"
_MARKS = {Status.PASSED: "ok", Status.FAILED: "FAILED", Status.SKIPPED: "skipped"}


class Runner:
    """Runs the phases one after another in a lab."""

    def __init__(
        self,
        lab: Lab,
        images: Path,
        url: str,
        known: Sequence[KnownFailure],
        quick: bool,
    ) -> None:
        """*images* has the images of `lab.suites.files`, and *url* serves them."""
        self._lab = lab
        self._known = known
        self._quick = quick
        self._work = Path(lab.facts["root"]) / "suites"
        (self._work / "locks").mkdir(parents=True, exist_ok=True)
        (self._work / "cache").mkdir(exist_ok=True)
        clouds: dict[str, Any] = yaml.safe_load(Path(lab.facts["clouds"]).read_text())
        self._cloud: Cloud = settings.cloud_from(
            clouds, url, _public_image(lab, images), self._work
        )
        self._glance_conf = lab.glance_config.read_text(encoding="utf-8")
        _publish_second_glance(lab)

    def run(self, phase: Phase) -> Verdict:
        """Run a phase to its end.

        :raises KeyboardInterrupt: the tests have been ended
        """
        began = time.monotonic()
        self._configure(phase)
        run = self._run_pytest if phase.by_pytest else self._run_tempest
        found = run(phase)
        verdict = judge(phase.name, found, self._known)
        verdict.seconds = time.monotonic() - began
        return verdict

    def _configure(self, phase: Phase) -> None:
        """Give Glance the phase's options, and start the services that it needs."""
        lab = self._lab
        hosts = [HOST, *files.outward_addresses()]
        options = settings.glance_options(
            lab.facts["stores"], self._work / "cache", hosts, phase.glance
        )
        wanted = settings.apply(self._glance_conf, options)
        restart = []
        if wanted != lab.glance_config.read_text(encoding="utf-8"):
            lab.glance_config.write_text(wanted, encoding="utf-8")
            # The second one takes its options from the first when it starts.
            restart = ["glance", *([SECOND] if lab.pid(SECOND) else [])]
        with ThreadPoolExecutor() as pool:
            work = [pool.submit(lab.restart, name) for name in restart]
            work += [pool.submit(lab.start, name) for name in phase.services]
            for done in work:
                done.result()

    def _run_tempest(self, phase: Phase) -> list[Outcome]:
        top = self._work / phase.name
        top.mkdir()
        conf = top / "tempest.conf"
        conf.touch(mode=0o600)
        conf.write_text(settings.tempest_conf(self._cloud, phase.tempest))
        package = Path(tempest.__file__).parent
        (top / "stestr.conf").write_text(
            f"[DEFAULT]\ntest_path={package}/test_discover\n"
            f"top_dir={package.parent}\ngroup_regex=([^\\.]*\\.)*\n"
        )
        command = [
            *(sys.executable, "-m", "stestr", "--config", str(top / "stestr.conf")),
            *("--repo-url", str(top), "run", "--subunit"),
            *("--concurrency", str(phase.workers)),
            *self._selected(phase),
        ]
        environment = {
            "TEMPEST_CONFIG_DIR": str(top),
            "TEMPEST_CONFIG": conf.name,
            "OS_TEST_TIMEOUT": str(TEST_TIMEOUT_S),
        }
        with _running(command, environment, top, subprocess.PIPE) as process:
            assert process.stdout
            found = streams.read(process.stdout, lambda outcome: _tell(phase, outcome))
            code = process.wait()
        return found + ([_early_end("stestr", code)] if code else [])

    def _run_pytest(self, phase: Phase) -> list[Outcome]:
        report = self._work / f"{phase.name}.xml"
        command = [
            *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
            # Other projects' clients and tests may warn.
            *("-W", "default", f"--junitxml={report}", *self._selected(phase)),
        ]
        environment = {"SUITES_RAW_URL": self._cloud.raw_url}
        with _running(command, environment, None, None) as process:
            code = process.wait()
        found = outcomes.read_junit(report) if report.exists() else []
        # 1 says that tests failed, which the report has.
        return found + ([] if code in (0, 1) else [_early_end("pytest", code)])

    def _selected(self, phase: Phase) -> tuple[str, ...]:
        return phase.quick if self._quick else phase.tests


def _early_end(program: str, code: int) -> Outcome:
    """Return a failure, because tests that did not run have no outcome."""
    return Outcome(program, Status.FAILED, f"{program} ended with exit code {code}")


def _tell(phase: Phase, outcome: Outcome) -> None:
    """Print a line for a test that has ended."""
    text = f"{_MARKS[outcome.status]:<7} {outcome.test} ({outcome.seconds:.1f} s)"
    if outcome.status is Status.FAILED:
        text += f"\n{outcome.summary}"
    say(phase.name, text)


@contextlib.contextmanager
def _running(
    command: list[str],
    environment: dict[str, str],
    directory: Path | None,
    output: int | None,
) -> Any:
    """Run a command in a group of processes of its own, which ends with the block."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        cwd=directory,
        stdout=output,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _public_image(lab: Lab, images: Path) -> str:
    """Upload the raw image to Glance's default store for all; return its id."""
    image: Any = lab.cloud("admin").create_image(
        "suites",
        filename=str(images / files.RAW),
        disk_format="raw",
        container_format="bare",
        visibility="public",
        wait=True,
    )
    return str(image.id)


def _publish_second_glance(lab: Lab) -> None:
    """Add the second glance-api to the catalogue, where tempest looks for it."""
    cloud = lab.cloud("admin")
    service = {"name": SECOND, "type": settings.SECOND_IMAGE_SERVICE}
    answer = cloud.identity.post("/services", json={"service": service})
    endpoint = {
        "service_id": answer.json()["service"]["id"],
        "interface": "public",
        "url": lab.facts["urls"][SECOND],
        "region_id": cloud.config.region_name,
    }
    cloud.identity.post("/endpoints", json={"endpoint": endpoint})
