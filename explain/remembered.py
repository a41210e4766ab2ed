"""Networks that were written down before: whoever explains one again needs neither Keras nor TensorFlow for its maps.

To import those two and to build a network takes four times as long as all the rest of a start. What is remembered lies
beside the compiled graphs (`explain.compiled`), under the digest of all that it was made from.
"""

import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from explain import compiled
from explain.compiled import Graphs
from explain.errors import EngineError
from explain.layers import Block, Layer
from explain.network import Network, network_of
from explain.written import Written


class Source(Protocol):
    """Where a model comes from, such as `models.Run`.

    Attributes:
        identity: says all that decides what the model computes, the same in every process; empty where nothing does.
        model: the Keras model, built when first asked for.
    """

    @property
    def identity(self) -> str: ...

    @property
    def model(self) -> Any: ...


def remember(source: Source, graphs: Graphs | None = None) -> Network:
    """The network of a model, which is not built where an earlier process has written it down.

    Args:
        source: where the model comes from; it is built later if something asks for what is not written.
        graphs: where networks are remembered; by default where an `Explainer` keeps its graphs.

    Raises:
        LayerError: if the model has no graph that can be followed.
    """
    if not source.identity:
        return network_of(source.model)
    graphs = graphs or Graphs(compiled.folder())
    # What is written down is what these files make of a model.
    files = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    key = compiled.key(source.identity, *files)
    if (found := graphs.find(key)) is not None:
        return _read(found, source)
    network = network_of(source.model)
    with suppress(EngineError):  # no EfficientNet: TensorFlow's engine is for it
        written = network.written([layer.name for layer in network.layers])
        network = replace(network, kept=(network.layers, written))
        graphs.keep(key, lambda: _content(network, written))
    return network


def _content(network: Network, written: Written) -> bytes:
    facts = {name: getattr(network, name) for name in ("size", "units", "explains", "squash")}
    facts |= {"layers": [asdict(layer) for layer in network.layers], "sides": written.sides}
    head = json.dumps(facts).encode()
    return len(head).to_bytes(8, "little") + head + written.content


def _read(content: bytes, source: Source) -> Network:
    end = 8 + int.from_bytes(content[:8], "little")
    facts = json.loads(content[8:end])
    sides = {
        kind: {layer: tuple(shape) for layer, shape in layers.items()} for kind, layers in facts.pop("sides").items()
    }
    layers = tuple(
        Layer(**layer | {"shape": tuple(layer["shape"]), "block": layer["block"] and Block(**layer["block"])})
        for layer in facts.pop("layers")
    )
    names = tuple(layer.name for layer in layers)
    written = Written(facts["size"], names, facts["units"], sides, content[end:])
    return Network(build=lambda: network_of(source.model).model, kept=(layers, written), **facts)
