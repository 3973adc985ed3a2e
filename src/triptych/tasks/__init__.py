"""Whole journeys, one verb a file."""
