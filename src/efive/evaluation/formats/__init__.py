"""Tasks on disk, recognised by what lies there: one file for each form, one entry point."""

from efive.evaluation.formats.find import KINDS, open_task

__all__ = ["KINDS", "open_task"]
