"""Choosing between kernels that compute the same: candidates, a cost model, measurement, and a cache of results."""
