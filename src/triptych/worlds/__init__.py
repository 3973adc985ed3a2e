"""Worlds made by simulation, whose labels are exact (extra ``triptych[world]``)."""
