"""The `.mm` container: one file with a JSON header, page-aligned sections and a hash over every byte."""

from mm_core.serial.container import Container
from mm_core.serial.strict_json import JsonValue, check_fields, check_list
from mm_core.serial.writer import Section, container_bytes, write_container

__all__ = ["Container", "JsonValue", "Section", "check_fields", "check_list", "container_bytes", "write_container"]
