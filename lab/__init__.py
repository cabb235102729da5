# SPDX-License-Identifier: Apache-2.0
"""Real Keystone, Glance and Cinder over the ONTAP simulator, on one machine.

``python -m lab up`` keeps a lab running, ``python -m lab run CMD ARGS`` runs a
command inside one. See :mod:`.cli`.

The modules:

=================  ========================================================
``cli``            the command line and the outer process
``packages``       the system packages that the lab needs
``namespace``      the private mount and process namespaces, and their end
``layout``         directories, ports and passwords of one lab
``keystone`` ...   a module for each service: configuration and processes
``services``       a process: start it, wait until it answers, stop it
``supervisor``     all services: order of start, control socket, facts file
``steps``          steps that depend on each other, run in parallel
``polling``        waiting until a condition holds
``client``         the lab for programs inside it (:class:`.client.Lab`)
``stores``         our store in a process inside the lab
``requestlog``     the WSGI filter that writes the request logs
=================  ========================================================

Only :mod:`.stores` imports the driver. The lab's services never do: Glance loads it
from its configuration.
"""
