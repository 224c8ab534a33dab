"""What all tests share."""

from hypothesis import settings

pytest_plugins = ["tests.support.clauses"]

# How long one example takes depends on what else the machine does.
settings.register_profile("tlswrite", deadline=None)
settings.load_profile("tlswrite")
