"""
What every room uses and no room owns: errors, settings, contracts of tables, files, long work.

In    a TOML file (`settings`), a table with a contract in `data_schema/` (`schema`), a path to write to
Out   frozen dataclasses, checked tables, files that are whole or absent, manifests (`provenance`).

Open `errors` first: its classes give every message its form and decide the exit code. Then
`schema` (contracts) and `work` (locks, and how an interrupted run continues). `jit` compiles loops;
`pseudonyms` replaces ids in model folders.

May be changed alone: the wording of an error, `progress`. Read their users before changing `schema`,
`pseudonyms` or the keys in `work`: files on users' disks depend on them. This room imports no other room.
"""

__version__ = "0.1.0"
