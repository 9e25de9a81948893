"""Lowering: operations of a part become steps over buffers. `rules` says which rule takes which operator."""
