"""The training loop: epochs, devices, precision, checkpoints and logs. See :class:`ltr.trainers.trainer.Trainer`."""
