# SPDX-License-Identifier: Apache-2.0
"""Copies and moves of LUNs: jobs that read and write each byte, with progress.

Pages "POST /storage/luns" (``copy.source``) and "PATCH /storage/luns/{uuid}" (a name in
another FlexVol). ONTAP shows the LUN at its new name at once; here too. Its file stays
at the old place until the move is complete: who has it open meanwhile writes into that
file, and keeps it.
"""

import logging
from pathlib import Path

from lab.ontapsim import errors
from lab.ontapsim.call import QUICK_JOB_GRACE_S
from lab.ontapsim.call import Call
from lab.ontapsim.errors import OntapError
from lab.ontapsim.flexvol import Cancelled
from lab.ontapsim.flexvol import copy_file
from lab.ontapsim.jobs import JobControl
from lab.ontapsim.san import COMPLETE
from lab.ontapsim.san import FAILED
from lab.ontapsim.san import Unit

LOG = logging.getLogger(__name__)


def start(call: Call, unit: Unit, source: Path, destination: Path) -> None:
    """Start the job of ``unit.transfer``, and wait a moment for its end.

    Cinder's driver looks at once, and then every 10 or 15 s: so the end of a quick
    transfer is waited for.
    """
    assert unit.transfer is not None
    transfer, fault = unit.transfer, call.job_fault

    def work(control: JobControl) -> None:
        try:
            _copy(call, unit, source, destination, control)
        except (OSError, OntapError, Cancelled) as error:
            _fail(call, unit, destination, error)
            raise
        _finish(call, unit, source, destination)

    held = fault is not None and fault.kind == "stuck"
    text = f"LUN {transfer.kind} {transfer.source} to {transfer.destination}"
    job = call.array.jobs.start(text, unit.svm, work)
    call.array.san.change_transfer(unit.uuid, job=job.uuid)
    if not held:
        call.array.jobs.wait(job.uuid, QUICK_JOB_GRACE_S)


def _copy(
    call: Call, unit: Unit, source: Path, destination: Path, control: JobControl
) -> None:
    fault = call.job_fault

    def progress(copied: int) -> None:
        percent = min(99, copied * 100 // unit.size)
        control.report(f"Copied {copied} of at most {unit.size} bytes")
        call.array.san.change_transfer(unit.uuid, percent=percent)
        # Here and not by the job, so that the LUN shows the failure too.
        if fault is not None and copied >= fault.after_bytes:
            fault.strike(control, unit.name)

    copy_file(source, destination, progress, control.stop)


def _finish(call: Call, unit: Unit, source: Path, destination: Path) -> None:
    """The bytes are there: a moved LUN has its file at the new place now."""
    san = call.array.san
    with san.changing():
        there = unit.uuid in san.units
        san.change_transfer(unit.uuid, state=COMPLETE, percent=100)
        san.change_unit(unit.uuid, stored=unit.name, counted=True)
    if not there:
        destination.unlink(missing_ok=True)
    elif source != destination and _is_move(unit):
        source.unlink(missing_ok=True)


def _fail(call: Call, unit: Unit, destination: Path, error: Exception) -> None:
    """Note a failure; after that of a move the LUN is at its old place.

    ONTAP pauses such a move or reverts it; only the latter is here. The LUN that a copy
    was to make stays, for the client to delete.
    """
    failure = _failure(error, unit.name)
    san = call.array.san
    with san.changing():
        there = unit.uuid in san.units
        san.change_transfer(
            unit.uuid, state=FAILED, message=failure.message, code=failure.code
        )
        if _is_move(unit):
            san.change_unit(unit.uuid, name=unit.stored)
    if not there or _is_move(unit):
        destination.unlink(missing_ok=True)


def _failure(error: Exception, name: str) -> OntapError:
    if isinstance(error, OntapError):
        return error
    if isinstance(error, OSError):
        return errors.file_error(error, name)
    return OntapError(500, 4, "The operation was cancelled.")


def _is_move(unit: Unit) -> bool:
    return unit.transfer is not None and unit.transfer.kind == "move"


def stop(call: Call, unit: Unit) -> None:
    """Tell the job of a unit that is deleted to stop."""
    if unit.transfer is not None and unit.transfer.job:
        call.array.jobs.cancel(unit.transfer.job)
