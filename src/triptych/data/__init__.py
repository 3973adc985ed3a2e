"""A folder of media -> clean manifest -> token shards -> batches."""
