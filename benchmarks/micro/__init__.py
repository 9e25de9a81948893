"""Measurements of the core itself: import time, IR speed, build time and load time."""
