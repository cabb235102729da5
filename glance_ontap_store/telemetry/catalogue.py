# SPDX-License-Identifier: Apache-2.0
"""Every metric of the store, and every value that its labels may have.

No label holds the id of an image, a volume or a project: the number of time series
depends on the number of stores, and on nothing else that grows.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import enum
from typing import Final


class Kind(enum.Enum):
    """What becomes of a value that is recorded. Its value is Prometheus' type."""

    # Added to what was recorded before, of dead processes too.
    COUNTER = "counter"
    # Counted by ranges.
    HISTOGRAM = "histogram"
    # Added to what this process has recorded; with the process it goes.
    GAUGE = "gauge"
    # In place of what any process has recorded before.
    LAST = "gauge (last)"


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric; *help* is one sentence or two, with the unit."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


SUCCESS: Final = "success"
# A reader that did not want the rest.
ABANDONED: Final = "abandoned"
# ctrl-C, or the end of a green thread.
INTERRUPTED: Final = "interrupted"
# An exception that is not the store's, such as one of Glance's stream.
OTHER: Final = "other"

# Label -> its values; None: see `MEANINGS`.
VALUES: Mapping[str, tuple[str, ...] | None] = {
    "store": None,
    "operation": ("upload", "download", "delete", "describe"),
    "step": (
        "create",
        "wait",
        "attach",
        "mount",
        "transfer",
        "sync",
        "unmount",
        "detach",
        "extend",
        "seal",
        "delete",
    ),
    "result": None,
    "request": None,
    "part": ("image", "range"),
    "way": ("attached", "shared", "lingering", "clone", "neighbour", "unattached"),
    "end": ("survived", "failed"),
    "thing": ("attachment", "volume", "mount"),
    "command": None,
    "exit_code": None,
}

# Label -> its meaning, for the documentation.
MEANINGS: Mapping[str, str] = {
    "store": "the id of the store in ``enabled_backends``",
    "operation": "``upload``, ``download``, ``delete``, ``describe`` (the size of an"
    " image, for a location that is added)",
    "step": "see the table of steps",
    "result": "``success``; ``abandoned``: the reader did not want the rest;"
    " ``interrupted``; ``other``: an error that is not the store's, for instance of"
    " Glance's stream; or the class of the store's error, for instance ``no_space``",
    "request": "the name of a request to Cinder, for instance ``create volume``",
    "part": "``image`` or ``range``: what the reader asked for",
    "way": "``attached``: the volume itself; ``shared``: the attachment of another"
    " reader of the process; ``lingering``: the attachment that was kept after one"
    " (``ontap_linger``); ``clone``: a temporary clone; ``neighbour``: beside a"
    " new volume, which Cinder connects; ``unattached``: beside a neighbour, since the"
    " volume is blocked",
    "end": "``survived``: the operation went on; ``failed``: it did not",
    "thing": "``attachment``, ``volume``, ``mount``",
    "command": "the subcommand of ``glance-ontap``",
    "exit_code": "see :doc:`glance-ontap`",
}

STEPS: Mapping[str, str] = {
    "create": "Cinder accepts a new volume, or the clone for a reader",
    "wait": "Cinder makes that volume",
    "attach": "Cinder attaches it; a download's wait for others is in it",
    "mount": "the FlexVol is mounted, if it is not yet, and the file is opened",
    "transfer": "all bytes pass; the client's pauses are in it",
    "sync": "the array has all bytes of an upload durably",
    "unmount": "the FlexVol is unmounted, if nobody else uses it",
    "detach": "Cinder detaches the volume",
    "extend": "Cinder extends the volume of an image of unknown size",
    "seal": "the volume becomes read-only and gets its metadata",
    "delete": "Cinder begins to delete the volume, or the clone of a reader",
}

# In seconds. Cinder takes tenths of them, and a large image many minutes.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

_PREFIX = "glance_ontap_"


def _counter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(f"{_PREFIX}{name}_total", Kind.COUNTER, labels, help_)


def _metric(kind: Kind, name: str, help_: str, *labels: str) -> Metric:
    return Metric(_PREFIX + name, kind, labels, help_)


OPERATIONS = _counter(
    "operations",
    "Operations of Glance that have ended. A download ends with its last byte.",
    "store",
    "operation",
    "result",
)
OPERATION_SECONDS = _metric(
    Kind.HISTOGRAM,
    "operation_seconds",
    "Seconds that a successful operation took.",
    "store",
    "operation",
)
STEP_SECONDS = _metric(
    Kind.HISTOGRAM,
    "step_seconds",
    "Seconds that a step of an operation took, successful or not.",
    "store",
    "operation",
    "step",
)
RUNNING = _metric(
    Kind.GAUGE,
    "running_transfers",
    "Uploads and downloads that run.",
    "store",
    "operation",
)
RECEIVED_BYTES = _counter(
    "received_bytes", "Bytes of images that Glance gave to uploads.", "store"
)
ZERO_BYTES = _counter(
    "zero_bytes", "Bytes of uploads that were zeros and not written.", "store"
)
SENT_BYTES = _counter(
    "sent_bytes", "Bytes of images that downloads gave to Glance.", "store", "part"
)
HOLE_BYTES = _counter(
    "hole_bytes", "Bytes of downloads that were holes and not read.", "store"
)
READS = _counter(
    "reads", "Image-volumes opened for a download, by the way.", "store", "way"
)
LINGERING = _metric(
    Kind.GAUGE,
    "lingering_attachments",
    "Image-volumes that are attached for the next reader, and that nobody reads.",
    "store",
)
REQUESTS = _counter(
    "requests", "Requests to Cinder that have ended.", "request", "result"
)
REQUEST_SECONDS = _metric(
    Kind.HISTOGRAM,
    "request_seconds",
    "Seconds that a request to Cinder took, successful or not.",
    "request",
)
RETRIES = _counter(
    "retries", "Requests to Cinder that failed and were sent again.", "request"
)
OUTAGES = _counter(
    "outages", "Times that Cinder or Keystone failed for a passing reason.", "end"
)
OUTAGE_SECONDS = _counter(
    "outage_seconds", "Seconds that operations lost by failures of Cinder or Keystone."
)
MOUNTS = _counter("mounts", "Mounts of a FlexVol.", "result")
UNMOUNTS = _counter("unmounts", "Unmounts of a FlexVol.", "result")
MOUNT_USERS = _metric(
    Kind.GAUGE, "mount_users", "Volumes that are open on a mounted FlexVol."
)
RECOVERED = _counter(
    "recovered", "Remains of dead processes or failures that were released.", "thing"
)
RECOVERY_FAILURES = _counter(
    "recovery_failures", "Remains that recovery could not release when it tried."
)
COMMAND_RUNS = _counter(
    "command_runs", "Runs of glance-ontap that have ended.", "command", "exit_code"
)
COMMAND_LAST_RUN = _metric(
    Kind.LAST,
    "command_last_run_timestamp_seconds",
    "The end of the last run of glance-ontap, in seconds since the epoch.",
    "command",
)
COMMAND_EXIT_CODE = _metric(
    Kind.LAST,
    "command_last_exit_code",
    "The exit code of the last run of glance-ontap.",
    "command",
)
# Not recorded: `telemetry.exposition` counts them.
PROCESSES = _metric(
    Kind.GAUGE, "processes", "Processes that live and have recorded something."
)

METRICS = (
    OPERATIONS,
    OPERATION_SECONDS,
    STEP_SECONDS,
    RUNNING,
    RECEIVED_BYTES,
    ZERO_BYTES,
    SENT_BYTES,
    HOLE_BYTES,
    READS,
    LINGERING,
    REQUESTS,
    REQUEST_SECONDS,
    RETRIES,
    OUTAGES,
    OUTAGE_SECONDS,
    MOUNTS,
    UNMOUNTS,
    MOUNT_USERS,
    RECOVERED,
    RECOVERY_FAILURES,
    COMMAND_RUNS,
    COMMAND_LAST_RUN,
    COMMAND_EXIT_CODE,
    PROCESSES,
)


def tables() -> str:
    """Return the tables of metrics, labels and steps, as the documentation has them."""
    metrics = [
        (
            f"``{metric.name}``",
            metric.kind.value,
            ", ".join(f"``{label}``" for label in metric.labels) or "none",
            metric.help,
        )
        for metric in METRICS
    ]
    labels = [(f"``{name}``", meaning) for name, meaning in MEANINGS.items()]
    steps = [(f"``{name}``", meaning) for name, meaning in STEPS.items()]
    return "\n".join(
        [
            _table(("metric", "type", "labels", "meaning"), metrics),
            _table(("label", "values"), labels),
            _table(("step", "meaning"), steps),
        ]
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [head, *rows]:
        lines += [
            f"   {'* ' if number == 0 else '  '}- {cell}"
            for number, cell in enumerate(row)
        ]
    return "\n".join(lines) + "\n"
