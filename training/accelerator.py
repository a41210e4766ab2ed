"""The accelerator that Keras computes on, whichever its backend."""


def name() -> str:
    """What the first accelerator is called; empty where a processor does the work."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU") if devices else ""
    if backend == "jax":
        import jax

        first = jax.local_devices()[0]
        return first.device_kind if first.platform != "cpu" else ""
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return ""


def peak_memory() -> int:
    """The most bytes taken so far on the first accelerator; 0 where there is none or it does not count."""
    import keras

    if not name():
        return 0
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    if backend == "jax":
        import jax

        return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
    import torch

    return torch.cuda.max_memory_allocated()
