"""Logits -> new ids."""
