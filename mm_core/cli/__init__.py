"""The three commands: mm_build, mm_run, mm_plugins."""
