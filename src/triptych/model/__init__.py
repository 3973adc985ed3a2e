"""Sequence -> logits: the network and nothing else."""
