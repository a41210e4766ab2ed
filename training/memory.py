"""How much memory a training takes."""

import sys


def peak() -> int:
    """The most bytes taken so far: on the first accelerator where there is one, otherwise by this process."""
    return _accelerator() or _process()


def _accelerator() -> int:
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU")
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] if devices else 0
    if backend == "jax":
        import jax

        return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return 0


def _process() -> int:
    try:
        import resource
    except ImportError:
        # Windows has no such count.
        return 0
    # Linux counts in kilobytes, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
