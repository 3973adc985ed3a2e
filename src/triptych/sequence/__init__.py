"""Ids <-> one sequence: how every task is spelled."""
