"""Exported models of every kind, small: each built, saved, loaded and run as users would, against ONNX Runtime.

An exhibit is made once and kept (`tests.zoo.cache`). Weights are random, with the statistics of trained ones.
"""

from __future__ import annotations

from tests.zoo.gallery import detection, language, quantised, recurrent, scripted, speech, tables, vision
from tests.zoo.gallery.exhibit import Exhibit, obtain, operators

__all__ = ["Exhibit", "exhibits", "obtain", "operators"]
FAMILIES = (vision, detection, language, speech, recurrent, quantised, scripted, tables)


def exhibits() -> list[Exhibit]:
    """All models of the gallery; nothing is made before it is asked for."""
    return [exhibit for family in FAMILIES for exhibit in family.exhibits()]
