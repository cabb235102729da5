# SPDX-License-Identifier: Apache-2.0
"""Read a subunit stream while the tests run."""

from collections.abc import Callable
from typing import IO
from typing import Any

import subunit
import testtools

from lab.suites.outcomes import OUTPUT
from lab.suites.outcomes import Outcome
from lab.suites.outcomes import from_subunit


def read(stream: IO[bytes], tell: Callable[[Outcome], None]) -> list[Outcome]:
    """Read the stream to its end; *tell* gets each outcome as it comes."""
    found: list[Outcome] = []

    def on_test(test: dict[str, Any]) -> None:
        details = test["details"]
        names = [name for name in ("reason", "traceback") if name in details]
        outcome = from_subunit(test, [details[name].as_text() for name in names])
        if outcome:
            found.append(outcome)
            tell(outcome)

    result = testtools.StreamToDict(on_test)
    result.startTestRun()
    subunit.ByteStreamToStreamResult(stream, non_subunit_name=OUTPUT).run(result)
    result.stopTestRun()
    return found
