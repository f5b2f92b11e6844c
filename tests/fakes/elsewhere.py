"""A device that isn't the CPU, without having one: its tensors lie in memory, and none may meet one of the CPU's.

Run as `python tests/fakes/elsewhere.py OPTIONS`, it trains as `recipes/train.py OPTIONS` does, on that device. A
tensor that was made without its device ends the run, as it would on a GPU. (PyTorch's registration of a backend is for
a whole process, so tests run this in one of its own.)
"""

import sys

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

aten = torch.ops.aten
MOVES = {aten._to_copy.default, aten.copy_.default}
TAKE_INDICES_OF_THE_CPU = {
    *(aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default),
}
CPU = torch.device("cpu")


class Backend(_DummyBackendModule):
    """What PyTorch asks of a device's module."""

    def get_rng_state(self, device=None):
        """None that matters."""
        return torch.zeros(1, dtype=torch.uint8)

    def set_rng_state(self, state, device=None):
        """Ignored."""

    def get_amp_supported_dtype(self):
        """As on a GPU."""
        return [torch.float16, torch.bfloat16]


_setup_privateuseone_for_python_backend("elsewhere", backend_module=Backend())
ELSEWHERE = torch.device("elsewhere:0")


class Away(torch.Tensor):
    """A tensor elsewhere."""

    @staticmethod
    def __new__(cls, inner):
        """Around one of the CPU's."""
        about = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, device=ELSEWHERE, requires_grad=inner.requires_grad, **about
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


def at_hand(value):
    """A tensor's data, and the CPU for its device."""
    if isinstance(value, Away):
        return value.inner
    return CPU if isinstance(value, torch.device) else value


def run(func, args, kwargs):
    """An operation on the CPU, its result being where it would be. Raises `RuntimeError` where devices are mixed."""
    given = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
    away = [isinstance(value, Away) for value in given]
    there = any(away[:1]) if func in MOVES else any(away)
    if there and func not in MOVES | TAKE_INDICES_OF_THE_CPU:
        stray = [tuple(value.shape) for value, far in zip(given, away, strict=True) if not far and value.dim()]
        if stray:
            raise RuntimeError(f"{func}: a tensor of shape {stray[0]} is on the CPU, another one is not")
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == "elsewhere"
    found = func(*tree_map(at_hand, args), **tree_map(at_hand, kwargs))
    if not func._schema.returns:
        return None
    if func._schema.is_mutable and there:
        return given[0]
    if not there or func is aten._local_scalar_dense.default:
        return found
    return tree_map(lambda value: Away(value) if isinstance(value, torch.Tensor) else value, found)


class Operations(TorchDispatchMode):
    """Those that make tensors, too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


class Data(TorchFunctionMode):
    """What PyTorch does between Python's data and tensors without asking its dispatcher."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            if torch.device(kwargs["device"]).type == "elsewhere":
                return Away(func(*args, **{**kwargs, "device": CPU}))
        elif args and isinstance(args[0], Away):
            if func is torch.Tensor.tolist:
                return args[0].inner.tolist()
            if func in (torch.Tensor.numpy, torch.Tensor.__array__):
                raise TypeError("can't convert a tensor elsewhere to numpy: copy it to the CPU first")
            if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
                index = args[1] if isinstance(args[1], tuple) else (args[1],)
                index = tuple(torch.tensor(each) if isinstance(each, list) else each for each in index)
                args = (args[0], index, *args[2:])
        return func(*args, **kwargs)


def moved(model):
    """The model, elsewhere."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = torch.nn.Parameter(Away(weight.data), weight.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = Away(buffer)
    return model


def main(argv):
    """Train elsewhere."""
    from accelerate import Accelerator
    from peft import PeftModel
    from transformers import TrainingArguments

    import recipes.options.config
    import recipes.train

    load = recipes.options.config.load_shared
    recipes.options.config.load_shared = lambda *args, **kwargs: moved(load(*args, **kwargs))
    own = TrainingArguments.device
    TrainingArguments.device = property(lambda self: (own.fget(self), ELSEWHERE)[1])
    Accelerator.device = property(lambda self: ELSEWHERE)
    # What is saved lies in memory anyway.
    save, save_adapter = torch.save, PeftModel.save_pretrained
    torch.save = lambda what, *args, **kwargs: save(tree_map(at_hand, what), *args, **kwargs)
    PeftModel.save_pretrained = lambda self, folder, state_dict=None, **kwargs: save_adapter(
        self,
        folder,
        state_dict={name: at_hand(weight).detach() for name, weight in (state_dict or self.state_dict()).items()},
        **kwargs,
    )
    with Operations(), Data():
        recipes.train.main(argv)


if __name__ == "__main__":
    main(sys.argv[1:])
