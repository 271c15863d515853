"""onnxruntime sessions, set up for many small requests on few cores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

__all__ = ["Array", "Opener", "Session", "SessionLike"]

Array = npt.NDArray[np.generic]

_SLOWER_FUSED = ["SkipLayerNormFusion"]
"""The fused kernel takes four times as long as the two that it replaces: 10 % of a MiniLM (packed-batches.md)."""

# Builds of onnxruntime may report usage to their maker; nothing leaves a gate.
ort.disable_telemetry_events()


class SessionLike(Protocol):
    """A model that is loaded, here or in another process."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        ...

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Return the named outputs for the given inputs. Thread-safe."""
        ...


class Opener(Protocol):
    """Loads models: `Session` itself, or `ModelProcesses.open`."""

    def __call__(self, model: Path, *, threads: int = 1, arena: bool = False) -> SessionLike:
        """Return the model of an ONNX file; the arguments are those of `Session`."""
        ...


class Session:
    """One loaded model. `run` may be called by several threads at once.

    Parallelism comes from running requests side by side, not from splitting one: with more than one intra-op thread,
    threads of concurrent requests fight for the same cores (docs/decisions/threads.md).
    """

    def __init__(self, model: Path | bytes, *, threads: int = 1, arena: bool = False) -> None:
        """Load a model.

        Args:
            model: The ONNX file, or its content.
            threads: For one request.
            arena: Whether to keep memory between requests. Saves a few percent, but grows to the largest request
                ever seen and never shrinks: for models whose requests are bounded and small.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.enable_cpu_mem_arena = arena
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(
            model if isinstance(model, bytes) else str(model),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=_SLOWER_FUSED,
        )
        self.inputs: tuple[str, ...] = tuple(node.name for node in self._session.get_inputs())
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.outputs: tuple[str, ...] = tuple(node.name for node in self._session.get_outputs())

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Return the named outputs for the given inputs."""
        result: list[Array] = self._session.run(list(outputs), dict(feeds))
        return result
