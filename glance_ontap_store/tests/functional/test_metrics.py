# SPDX-License-Identifier: Apache-2.0
"""glance-ontap metrics: the sums over the workers of glance-api, also of dead ones."""

from collections.abc import Iterator
from concurrent import futures
import os
from pathlib import Path
from typing import Any

from prometheus_client import parser
import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import Operator
from lab.polling import wait_until

SIZE = 3 * MIB
NAME = "glance_ontap_"


@pytest.fixture
def directory(lab: Any, tmp_path: Path) -> Iterator[Path]:
    """The directory of metrics that the lab's Glance has."""
    path = tmp_path / "metrics"
    option = {"ontap_metrics_directory": str(path)}
    with direct.glance_options(lab, {"backend_defaults": option}):
        yield path


class Shown:
    """The command's output, as Prometheus parses it."""

    def __init__(self, text: str) -> None:
        self._samples = [
            sample
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples with these labels."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == NAME + name and labels.items() <= sample.labels.items()
        )


def test_the_sums_are_right_over_workers_that_are_killed(
    lab: Any, user: User, directory: Path
) -> None:
    operator = Operator(lab)

    def shown() -> Shown:
        ended = operator.run("metrics")
        assert ended.returncode == 0, ended.stderr
        return Shown(ended.stdout)

    def download(image: Any) -> int:
        return len(user.download(image.id).content)

    def both_workers_record() -> bool:
        with futures.ThreadPoolExecutor(8) as pool:
            sizes = list(pool.map(download, [first] * 8))
        assert sizes == [SIZE] * 8
        return shown().total("processes") == 2

    first = user.uploaded(Sized(SIZE))
    wait_until(both_workers_record, "both workers serve requests")
    part = user.download(first.id, Range="bytes=0-99")
    assert len(part.content) == 100
    found = wait_until(lambda: at_rest(shown()), "the transfers have ended")
    downloads = found.total("operations_total", operation="download", result="success")
    assert (downloads - 1) % 8 == 0
    assert found.total("operations_total", operation="upload", result="success") == 1
    assert found.total("received_bytes_total", store="fv1") == SIZE
    assert found.total("sent_bytes_total", part="image") == (downloads - 1) * SIZE
    assert found.total("sent_bytes_total", part="range") == 100
    assert found.total("reads_total") == downloads
    for step in ("create", "wait", "attach", "mount", "sync", "detach", "seal"):
        count = found.total("step_seconds_count", operation="upload", step=step)
        assert count == 1
    creations = found.total("requests_total", request="create volume", result="success")
    # A process whose readers come later than another one's reads a clone.
    assert creations == 1 + found.total("reads_total", way="clone")

    lab.kill("glance")
    assert shown().total("processes") == 0
    lab.start("glance")
    user.cloud.image.delete_image(first.id)
    again = wait_until(lambda: at_rest(shown(), "delete"), "the image is deleted")
    assert again.total("operations_total", operation="download") == downloads
    assert again.total("operations_total", operation="delete", result="success") == 1
    counters = [name for name in os.listdir(directory) if name.startswith("counter")]
    assert len(counters) == 2


def at_rest(found: Shown, operation: str = "download") -> Shown | None:
    """Return *found* if nothing runs and such operations have ended."""
    is_over = found.total("operations_total", operation=operation) > 0
    running = found.total("running_transfers") + found.total("mount_users")
    return found if is_over and not running else None


def test_the_textfile_is_for_node_exporter(
    lab: Any, directory: Path, tmp_path: Path
) -> None:
    """The runs of the command itself are among the metrics."""
    operator = Operator(lab)
    directory.mkdir(exist_ok=True)
    code = operator.run("sweep", "--store", "fv1").returncode
    target = tmp_path / "glance_ontap.prom"
    ended = operator.run("metrics", "--textfile", str(target))
    assert (ended.returncode, ended.stdout) == (0, "")
    found = Shown(target.read_text("utf-8"))
    runs = found.total("command_runs_total", command="sweep", exit_code=str(code))
    assert runs == 1
    assert found.total("command_last_exit_code", command="sweep") == code
    assert found.total("command_last_run_timestamp_seconds", command="sweep") > 1e9
    assert sorted(os.listdir(tmp_path)) == ["glance_ontap.prom", "metrics"]
