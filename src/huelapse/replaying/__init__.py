"""The same numbers as recording gives, from saved checkpoints: on one machine or on many.

Checkpoints and a part of the samples make a task (`engines`); a task leaves a file (`working`); all
parts of a checkpoint become its snapshot (`committing`).
"""
