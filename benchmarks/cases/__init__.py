# SPDX-License-Identifier: Apache-2.0
"""The benchmark's cases, one module for each theme.

`CASES` has the order of the report: calls of the store, requests to Glance, volumes,
replicas, iSCSI, then memory and requests.
"""

from benchmarks.cases import downloads
from benchmarks.cases import first_byte
from benchmarks.cases import iscsi
from benchmarks.cases import locations
from benchmarks.cases import memory
from benchmarks.cases import readers
from benchmarks.cases import replicas
from benchmarks.cases import requests
from benchmarks.cases import storms
from benchmarks.cases import uploads
from benchmarks.cases import volumes

# The cases of a quick run, by their names: each kind of operation, beside upstream's
# store.
QUICK = (
    "store-upload",
    "store-download",
    "first-byte",
    "glance-upload",
    "volumes-many",
    "volume-replica",
)
CASES = (
    *uploads.STORE,
    *downloads.STORE,
    *first_byte.CASES,
    *readers.STORE,
    *uploads.GLANCE,
    *downloads.GLANCE,
    *readers.GLANCE,
    *volumes.CASES,
    *storms.CASES,
    *locations.CASES,
    *replicas.CASES,
    *iscsi.CASES,
    *memory.CASES,
    *requests.CASES,
)
