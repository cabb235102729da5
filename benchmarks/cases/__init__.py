# SPDX-License-Identifier: Apache-2.0
"""The benchmark's cases, one module for each theme.

`CASES` has the order of the report: calls of the store, requests to Glance, volumes,
then memory and requests.
"""

from benchmarks.cases import downloads
from benchmarks.cases import memory
from benchmarks.cases import readers
from benchmarks.cases import requests
from benchmarks.cases import uploads
from benchmarks.cases import volumes

CASES = (
    *uploads.STORE,
    *downloads.STORE,
    *readers.STORE,
    *uploads.GLANCE,
    *downloads.GLANCE,
    *readers.GLANCE,
    *volumes.CASES,
    *memory.CASES,
    *requests.CASES,
)
