"""Runs made of logits that something else computed.

`import_archive` takes one .npz file, `import_folder` a folder of text files as
the first paper's public code leaves them. docs/importing.md has every key and
every layout.
"""

from prunebias_jax.importing.archive import import_archive
from prunebias_jax.importing.folder import import_folder

__all__ = ["import_archive", "import_folder"]
