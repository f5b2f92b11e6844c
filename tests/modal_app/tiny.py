"""A run that takes seconds: a tiny model in Kuhn poker."""

MODEL = "models/tiny"
"""Where the model is on the cache volume."""

CONFIG = """\
game: kuhn
model_name_or_path: {model}
dtype: float32
episodes_per_epoch: 16
per_device_train_batch_size: 16
learning_rate: 1.0e-3
eval_hands: 4
show_hands: 0
"""
