"""Runs the verbs on Ray: the only room that imports it."""
