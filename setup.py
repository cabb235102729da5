# SPDX-License-Identifier: Apache-2.0
"""Make the man page when the package is built; pyproject.toml has all the rest."""

import pathlib

import docutils.core
from docutils.writers import manpage
import setuptools
from setuptools.command import build

SOURCE = "doc/man/glance-ontap.rst"
# Named in pyproject.toml as well.
TARGET = pathlib.Path("build/man/glance-ontap.1")


class BuildMan(setuptools.Command):
    """Make the man page of the command from its page in the documentation."""

    user_options = []
    editable_mode = False

    def initialize_options(self):
        pass

    def finalize_options(self):
        pass

    def run(self):
        if self.editable_mode:  # installs no data files
            return
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        docutils.core.publish_file(
            source_path=SOURCE,
            destination_path=str(TARGET),
            writer=manpage.Writer(),
            settings_overrides={"halt_level": 2, "report_level": 2},
        )

    def get_source_files(self):
        return [SOURCE]

    def get_outputs(self):
        return [str(TARGET)]

    def get_output_mapping(self):
        return {}


class Build(build.build):
    sub_commands = [*build.build.sub_commands, ("build_man", None)]


setuptools.setup(cmdclass={"build": Build, "build_man": BuildMan})
