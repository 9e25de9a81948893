"""Lowering: operations of a part become launches of kernels over buffers; `rules` says which rule takes which."""
