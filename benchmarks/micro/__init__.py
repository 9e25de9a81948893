"""Measurements of the core itself: import time, IR speed, build time, load time and memory."""
