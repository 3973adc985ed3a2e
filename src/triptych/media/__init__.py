"""Files <-> arrays: the only place that knows codecs."""
