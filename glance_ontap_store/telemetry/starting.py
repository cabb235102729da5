# SPDX-License-Identifier: Apache-2.0
"""Turns metrics on, by the option ``ontap_metrics_directory``."""

from collections.abc import Callable
from typing import TypeAlias

from oslo_log import log as logging

from glance_ontap_store.telemetry import recording
from glance_ontap_store.telemetry.recording import Recorder

LOG = logging.getLogger(__name__)

# Makes the recorder of a directory.
_Maker: TypeAlias = Callable[[str], Recorder]


def _load() -> _Maker:
    # It needs an optional library, and only this option needs it.
    from glance_ontap_store.telemetry.prometheus import MultiProcess

    return MultiProcess


class Switch:
    """Turns metrics on once. *load* imports the library, and may raise ImportError."""

    def __init__(self, load: Callable[[], _Maker] = _load) -> None:
        self._load = load
        # The directory of this process, once a store has named one.
        self._chosen: str | None = None

    def start(self, directory: str | None) -> None:
        """Do what the function `start` does."""
        if directory is None or directory == self._chosen:
            return
        if self._chosen is not None:
            LOG.warning(
                "ontap_metrics_directory = %s is ignored: the stores of a process share"
                " one directory, and %s came first. Set it once, in"
                " [backend_defaults].",
                directory,
                self._chosen,
            )
            return
        self._chosen = directory
        try:
            recorder = self._load()(directory)
        except ImportError as error:
            LOG.warning(
                "There are no metrics, although ontap_metrics_directory is set: %s."
                " Install the library: pip install 'glance_ontap_store[metrics]'",
                error,
            )
            return
        recording.use(recorder)


_SWITCH = Switch()


def start(directory: str | None) -> None:
    """Record metrics of this process in *directory*; None: the option is not set.

    Nothing is written yet, since a server may fork after it has loaded the stores. The
    directory is one for all stores of a process. It never fails: without the library,
    or with another directory, it logs a warning.
    """
    _SWITCH.start(directory)
