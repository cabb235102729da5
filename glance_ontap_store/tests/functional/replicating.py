# SPDX-License-Identifier: Apache-2.0
"""``glance-ontap replicate`` with a policy, as an operator runs it."""

import json
from pathlib import Path
from typing import Any

from glance_ontap_store.tests.functional.preflight import Operator
from lab import glance


class Replicating:
    """Runs the command with policy file *policy* and the internal glance-api.

    That one must run (``lab.start(glance.LOCATIONS)``).
    """

    def __init__(self, lab: Any, policy: Path) -> None:
        self.operator = Operator(lab)
        self.policy = policy
        self._endpoint = lab.facts["urls"][glance.LOCATIONS]

    def run(
        self, *arguments: str, cloud: str = "admin", config: str | None = None
    ) -> tuple[int, list[dict[str, Any]], str]:
        """Return the exit code, the rows, and what was said."""
        ended = self.operator.run(
            *("--os-cloud", cloud, "replicate", str(self.policy), "-f", "json"),
            *("--image-endpoint", self._endpoint, *arguments),
            config=config,
        )
        print(ended.stdout, ended.stderr)
        rows = json.loads(ended.stdout) if ended.stdout.strip() else []
        return ended.returncode, rows, ended.stderr
