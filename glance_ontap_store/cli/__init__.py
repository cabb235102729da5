"""The command ``glance-ontap``: what an operator asks about the stores."""
