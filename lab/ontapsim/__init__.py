# SPDX-License-Identifier: Apache-2.0
"""A stand-in for ONTAP's REST API over FlexVols that really share blocks.

Each FlexVol is its own XFS (``reflink=1``) on a loop file. A file clone is one
FICLONE ioctl: inside a FlexVol it shares blocks, across FlexVols the kernel
refuses it, and a FlexVol without room is a file system without room. File copy
is a job that really reads and writes.

Each thing that is imitated names its page of NetApp's "ONTAP REST API"
documentation ("page:" in the docstrings). Clients of other authors check it in
tests: Cinder's NetApp drivers for NFS, iSCSI, FC and NVMe/TCP, and the
``netapp-ontap`` library.

The simulator and this project's driver do not import each other, so that they cannot
share a misunderstanding of ONTAP. A test checks this.

**Not modelled**

* the NFS protocol: a FlexVol is a directory, and all who mount it share the
  page cache with the "array" (no close-to-open, root squash, stale handles,
  export policies);
* iSCSI, FC and NVMe/TCP: a LUN or namespace is a file (``san.py``), and nothing
  listens at the addresses. A host that has the file open keeps it when the LUN moves
  to another FlexVol. A LUN never goes offline by itself, as one without space
  allocation does when its FlexVol is full;
* of SAN: qtrees, portsets, child igroups, ALUA and reporting nodes, LUN attributes
  and data by REST, conversion between LUN and namespace, authentication of NVMe hosts,
  copies from another SVM, a change of a LUN's reservation, and CHAP credentials by SSH
  (Cinder's ``use_chap_auth``). A reservation of a clone is counted, in
  ``space.available`` and when the next one is made; writes do not respect it;
* SnapMirror (an empty collection), SVM peers in other clusters;
* the constituents of a FlexGroup, which is one file system that calls itself
  ``flexgroup``: files are cloned in it, as ONTAP 9.14.1 does, and are not copied;
* ZAPI, but for the few calls of Cinder's REST client (``api_zapi.py``): it knows no
  LUNs, so Cinder's SAN drivers need ``netapp_use_legacy_client = false`` and
  ``netapp_allow_zapi_fallback = false``;
* more than one node, failover, moving a FlexVol, shrinking or taking one
  offline, FlexClone of a whole FlexVol;
* deduplication, compression, snapshot reserve, space guarantees: every FlexVol
  is thin, and ``space.used`` is what the file system says, which counts shared
  blocks once. XFS keeps some tens of MiB for itself, ONTAP keeps another amount;
* snapshots are reflink copies of a FlexVol's files, one after the other: not one
  instant for a file that is written meanwhile;
* clone splits, clone tokens, throttling, QoS enforcement (policies are only kept).
  A node that takes no more clones is a fault, see ``faults.py``;
* the moment at which ONTAP reports an error: here an unknown volume fails the
  request, an error of a file's path fails the job;
* error codes of file clone and file copy, which NetApp does not publish. Where no
  source is known, ``errors.py`` and ``san_errors.py`` say how the code was derived;
* HTTP/1.1 keep-alive (each request is one connection), client certificates,
  OAuth, roles other than ``admin``, ``readonly``, ``vsadmin`` and ``none``.

Anything else under ``/api`` is answered 501 with an error of ONTAP's shape, and
logged at ERROR, so that a test that needs it fails with the name of the request.

Run it with ``python -m lab.ontapsim --help``; from Python
use :mod:`~lab.ontapsim.process`.
"""
