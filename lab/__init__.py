# SPDX-License-Identifier: Apache-2.0
"""Real Keystone, Glance and Cinder over the ONTAP simulator, on one machine.

``python -m lab up`` keeps a lab running,
``... run CMD ARGS`` runs a command inside one. See :mod:`.cli`.

What is where:

=================  ========================================================
``cli``            the command: options, packages, the outer process
``packages``       missing system programs, and how to get them
``namespace``      the private mount and process namespace, and its end
``layout``         directories, ports and passwords of one lab
``keystone`` ...   one module a service: its configuration, its processes
``services``       one process: start, wait until it answers, stop
``supervisor``     all of them: order of start, control socket, facts file
``steps``          steps that need each other, in parallel
``polling``        waiting until something has happened
``client``         what tests inside the lab use (:class:`.client.Lab`)
``stores``         our store in a process inside the lab
``requestlog``     the WSGI filter that writes the request logs
=================  ========================================================

Only :mod:`.stores` imports the driver. The lab's services never do: Glance loads it
from its configuration.
"""
