"""Grad-CAM in the libraries for PyTorch, on timm's `tf_efficientnet_b0` with the weights of the Keras network.

That is the B0 with TensorFlow's padding, and so the same numbers; timm's `efficientnet_b0` pads evenly and would give
other logits.
"""

import re
import sys
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.peers.task import Explain, Maps, Task

VERSIONS = ("torch", "timm", "torchcam", "grad-cam", "captum")
STAND_INS: list[str] = []

# timm's names of a block's parts; the blocks of the first stage have no expansion, which shifts the others.
PARTS = {
    "expand_conv": "conv_pw",
    "expand_bn": "bn1",
    "dwconv": "conv_dw",
    "bn": "bn2",
    "se_reduce": "se.conv_reduce",
    "se_expand": "se.conv_expand",
    "project_conv": "conv_pwl",
    "project_bn": "bn3",
}
FIRST_STAGE = PARTS | {"bn": "bn1", "project_conv": "conv_pw", "project_bn": "bn2"}
ENDS = {"stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2", "logits": "classifier"}
VARIABLES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


# Declarations go when the object that made them does.
_DECLARED: list[Any] = []


class Framework:
    """The network in PyTorch."""

    def __init__(self, task: Task) -> None:
        import torch

        _import_torchvision()
        import timm

        with np.load(task.folder / "weights.npz") as file:
            weights = dict(file)
        self.model: Any = timm.create_model("tf_efficientnet_b0", num_classes=weights["logits/kernel"].shape[1])
        state = self.model.state_dict()
        fresh = {name: torch.from_numpy(values) for name, values in carried_over(weights).items()}
        counters = {name: values for name, values in state.items() if name.endswith("num_batches_tracked")}
        self.model.load_state_dict(fresh | counters, strict=True)
        self.model.eval()
        pixels = task.photograph * task.scale + task.offset
        self.image = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())
        self.layers = {name: self.model.get_submodule(place) for name, place in places(task).items()}

    @property
    def logits(self) -> np.ndarray:
        """(U,), to be compared with those of the network that was handed over."""
        return self.model(self.image).detach().numpy()[0]


def carried_over(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A Keras EfficientNet's weights, `layer/variable` -> array, under timm's names and in PyTorch's order of axes."""
    found = {}
    for name, values in weights.items():
        layer, variable = name.split("/")
        # Keras numbers it on where a process builds several networks.
        if layer.startswith("normalization"):
            continue
        if values.ndim == 4:
            values = values.transpose((2, 3, 0, 1) if layer.endswith("dwconv") else (3, 2, 0, 1))
        elif values.ndim == 2:
            values = values.T
        found[f"{_place(layer)}.{VARIABLES[variable]}"] = np.ascontiguousarray(values)
    return found


def places(task: Task) -> dict[str, str]:
    """Where timm has our layers: the activated BatchNorms of stem and top, and the blocks."""
    return {
        name: {"stem": "bn1", "top": "bn2"}.get(name) or f"blocks.{int(name[:-1]) - 1}.{ord(name[-1]) - ord('a')}"
        for name in task.layers
    }


def _place(layer: str) -> str:
    if layer in ENDS:
        return ENDS[layer]
    match = re.fullmatch(r"block(\d)([a-z])_(\w+)", layer)
    assert match is not None, layer
    stage, block = int(match[1]) - 1, ord(match[2]) - ord("a")
    return f"blocks.{stage}.{block}.{(PARTS if stage else FIRST_STAGE)[match[3]]}"


def _import_torchvision() -> None:
    """Import torchvision, as timm and pytorch-grad-cam do at their own import.

    Where its compiled part was built for another torch, the import stops at operators that nobody has declared. None
    of these libraries calls them for a classifier, so declarations without a body stand in for them.
    """
    import torch

    try:
        import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        import_module("torchvision")
        _DECLARED.append(library)
        STAND_INS.append("torchvision: its compiled operators do not load with this torch; nms and qnms are declared")


def plain(framework: Framework, task: Task) -> Explain:
    """A forward pass without gradients, as the measure of the others."""
    import torch

    def explain() -> Maps:
        with torch.inference_mode():
            return {"logits": framework.model(framework.image).numpy()}

    return explain


def torch_cam(framework: Framework, task: Task) -> Explain:
    """As in torch-cam's README, one extractor for each layer; maps in units of the logit."""
    return _together([_torch_cam(framework, task, [name]) for name in task.layers])


def torch_cam_at_once(framework: Framework, task: Task) -> Explain:
    """One extractor for all layers: the library takes a list of them, which share both passes."""
    return _torch_cam(framework, task, list(task.layers))


def _torch_cam(framework: Framework, task: Task, names: list[str]) -> Explain:
    from torchcam.methods import GradCAM

    layers = [framework.layers[name] for name in names]

    def explain() -> Maps:
        with GradCAM(framework.model, layers) as extractor:
            scores = framework.model(framework.image)
            maps = extractor(task.target, scores, normalized=False)
        return {name: one[0].numpy() for name, one in zip(names, maps, strict=True)}

    return explain


def pytorch_grad_cam(framework: Framework, task: Task) -> Explain:
    """As in pytorch-grad-cam's README, one call for each layer; maps between 0 and 1 at the photograph's size."""
    return _together([_pytorch_grad_cam(framework, task, [name], name) for name in task.layers])


def pytorch_grad_cam_average(framework: Framework, task: Task) -> Explain:
    """One call for all layers: the library averages their maps into one."""
    return _pytorch_grad_cam(framework, task, list(task.layers), "average")


def _pytorch_grad_cam(framework: Framework, task: Task, names: list[str], result: str) -> Explain:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layers, targets = [framework.layers[name] for name in names], [ClassifierOutputTarget(task.target)]

    def explain() -> Maps:
        with GradCAM(model=framework.model, target_layers=layers) as explainer:
            return {result: explainer(input_tensor=framework.image, targets=targets)[0]}

    return explain


def captum(framework: Framework, task: Task) -> Explain:
    """As in Captum's documentation, one `LayerGradCam` for each layer; signed maps in units of the logit."""
    from captum.attr import LayerGradCam

    explainers = {name: LayerGradCam(framework.model, layer) for name, layer in framework.layers.items()}

    def explain() -> Maps:
        return {
            name: explainer.attribute(framework.image, target=task.target).detach().numpy()[0, 0]
            for name, explainer in explainers.items()
        }

    return explain


def _together(explainers: list[Explain]) -> Explain:
    return lambda: {name: one for explain in explainers for name, one in explain().items()}


CASES = {
    "plain PyTorch forward": plain,
    "torch-cam, one layer at a time": torch_cam,
    "torch-cam, 18 layers in one call": torch_cam_at_once,
    "pytorch-grad-cam, one layer at a time": pytorch_grad_cam,
    "pytorch-grad-cam, 18 layers averaged in one call": pytorch_grad_cam_average,
    "Captum's LayerGradCam, one layer at a time": captum,
}
