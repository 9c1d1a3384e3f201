import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_sknet")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then a cosine to 0 or, with milestones, a tenth from each of them on.

    Args:
        learning_rate: Float, the highest.
        steps: Integer, of the whole training.
        warmup_steps: Integer. Defaults to `0`.
        milestones: Steps. Defaults to none.

    Example:

    ```python
    from keras_sknet.training import Schedule

    rate = Schedule(0.1, 100, milestones=(30, 60))(40)  # about 0.01
    ```
    """

    def __init__(self, learning_rate, steps, warmup_steps=0, milestones=()):
        self.learning_rate, self.steps, self.warmup_steps = learning_rate, steps, warmup_steps
        self.milestones = tuple(milestones)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rising = step / max(self.warmup_steps, 1)
        if self.milestones:
            falling = 0.1 ** ops.cast(ops.sum(step >= ops.array(self.milestones, "float32")), "float32")
        else:
            progress = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
            falling = 0.5 * (1 + ops.cos(math.pi * ops.clip(progress, 0, 1)))
        return self.learning_rate * ops.where(step < self.warmup_steps, rising, falling)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "warmup_steps": self.warmup_steps,
            "milestones": self.milestones,
        }
