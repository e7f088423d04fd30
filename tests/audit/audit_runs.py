"""What the tests of the audit are tried on."""

from prunebias_jax.audit.log import Identity

IDENTITY = Identity(name="tiny", digest="2026-01-31 abc")
