"""The build: configuration, placement, parts, and the builder that ties them together."""

from mm_core.build.builder import Builder
from mm_core.build.config import BuilderConfig
from mm_core.build.placement import decompose

__all__ = ["Builder", "BuilderConfig", "decompose"]
