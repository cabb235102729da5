# SPDX-License-Identifier: Apache-2.0
"""Other projects' tests, run in the lab with store ``fv1`` as Glance's default.

``python -m lab run --broker python -m lab.suites`` (``tox -e suites``) runs all.

=====================  ============================================================
``phases``             which tests run under which configuration
``settings``           the contents of tempest.conf and glance-api.conf, by values
``outcomes``           the results of tests
``streams``            read them while tempest runs
``known``              compare results with ``known_failures.yaml``
``report``             the table, and the exit code
``running``            configure the services and run a phase
``files``              a web server with images for Glance to fetch
=====================  ============================================================
"""
