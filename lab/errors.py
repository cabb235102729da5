# SPDX-License-Identifier: Apache-2.0
"""The errors of a lab that cannot start or go on.

LabError
├── Unusable        this machine or user cannot run a lab; says what to do
└── ServiceFailed   a service did not come up; shows the end of its log
"""


class LabError(Exception):
    """The lab cannot go on. The text is for its user."""


class Unusable(LabError):
    """This machine, user or command line cannot run a lab."""


class ServiceFailed(LabError):
    """A service ended or did not answer in time."""

    def __init__(self, service: str, reason: str, log_tail: str = "") -> None:
        text = f"{service}: {reason}"
        if log_tail:
            text += f"\n--- last lines of {service}'s log ---\n{log_tail}\n---"
        super().__init__(text)
        self.service = service
