"""A rendered tabletop: pictures, views and event clips with captions, questions and exact truth."""

from triptych.worlds.tabletop.audit import audit
from triptych.worlds.tabletop.sheet import contact_sheet
from triptych.worlds.tabletop.write import write_world

__all__ = ["audit", "contact_sheet", "write_world"]
