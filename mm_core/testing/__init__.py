"""For authors of plugins: checks of what they write, and the pytest plugin that offers them as fixtures.

Nothing is imported here, because every pytest run imports the pytest plugin: use `mm_core.testing.opcheck.opcheck`.
"""
