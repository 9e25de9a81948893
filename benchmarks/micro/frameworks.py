"""BERT-base from a framework: time and extra peak memory of the conversion, without the framework's own export.

Each measurement is a fresh process, which exports the model by the framework's own means and then parses the result.
"""

from __future__ import annotations

import importlib.util

from benchmarks.micro.figures import Figure, fresh

TOKENS = 128
PYTORCH = f"""
import torch, transformers
model = transformers.BertModel(transformers.BertConfig()).eval()
ids = torch.ones(1, {TOKENS}, dtype=torch.int64)
source = torch.export.export(model, (), {{"input_ids": ids, "attention_mask": ids}})
weights = sum(parameter.nbytes for parameter in model.parameters())
"""
"""Makes `source`, what the framework exported, and `weights`, their bytes."""
TENSORFLOW = """
import tensorflow as tf
from benchmarks.micro.keras_bert import bert
model = bert()
call = tf.function(lambda *inputs: model(inputs, training=False))
source = call.get_concrete_function(*(tf.TensorSpec(given.shape, given.dtype, given.name) for given in model.inputs))
weights = 4 * model.count_params()
"""
FRAMEWORKS = {"PyTorch": ("torch", PYTORCH), "TensorFlow": ("tensorflow", TENSORFLOW)}
"""By what the tables call it: the module that must be installed, and the code that exports."""
SECONDS = """
import time, mm_core as mm
started = time.perf_counter()
mm.parse(source)
print(time.perf_counter() - started)
"""
# The kernel forgets the peak so far, which was the export's.
SHARE = """
import gc, mm_core as mm
def resident(name):
    status = dict(line.split(":") for line in open("/proc/self/status"))
    return int(status[name].split()[0]) * 1024
gc.collect()
open("/proc/self/clear_refs", "w").write("5")
before = resident("VmRSS")
network = mm.parse(source)
print(100 * (resident("VmHWM") - before) / weights)
"""
MAX_SECONDS, MAX_SHARE = 10.0, 10.0


def measure() -> list[Figure]:
    """For every framework that is installed: seconds, and the peak's growth in percent of the weights."""
    figures = []
    for name, (module, export) in FRAMEWORKS.items():
        if importlib.util.find_spec(module) is None:
            continue
        label = f"BERT-base from {name}:"
        figures.append(Figure(f"{label} mm.parse", fresh(export + SECONDS, repeats=3), MAX_SECONDS))
        figures.append(
            Figure(f"{label} extra memory, of the weights", fresh(export + SHARE, repeats=3), MAX_SHARE, "%")
        )
    return figures
