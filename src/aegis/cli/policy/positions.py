"""Where in a file a JSON pointer points: the line that an editor can jump to.

Asked only of text that was read as a document, and so is not deeper than one; JSON has its lines as YAML.
"""

from __future__ import annotations

import yaml


def line_of(text: str, pointer: str) -> int | None:
    """The line of what the pointer names, or of the nearest part around it that is there.

    None for the whole document, and for text that is no YAML.
    """
    if not pointer:
        return None
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return None
    if node is None:
        return None
    line: int = node.start_mark.line
    for part in _parts(pointer):
        step = _step(node, part)
        if step is None:
            break
        named, node = step
        line = named.start_mark.line
    return line + 1


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _step(node: yaml.Node, part: str) -> tuple[yaml.Node, yaml.Node] | None:
    """The node that shows where the part begins (its key, in an object) and the part itself."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
        item = node.value[int(part)]
        return item, item
    return None
