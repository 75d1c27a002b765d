# SPDX-License-Identifier: Apache-2.0
"""Errors a user can fix: each says what was given, what was expected and what to do."""


class Gr00tError(Exception):
    """Base of every error whose cause lies outside the code: a file, a message, a parameter."""


class EmbodimentError(Gr00tError):
    """The robot described does not fit: unknown joint, wrong name, wrong number of values."""


class CheckpointError(Gr00tError):
    """A checkpoint is missing, incomplete, damaged or made for something else."""


class DatasetError(Gr00tError):
    """A dataset or recording cannot be read or does not say what training needs."""


class MessageError(Gr00tError):
    """A message or one of its fields cannot be used."""


class ConfigError(Gr00tError):
    """A configuration value is unknown, of the wrong type or out of range."""


class MemoryFullError(ConfigError):
    """What a configuration asks for does not fit into memory."""


class TrainingError(Gr00tError):
    """A training cannot go on: what it learns is no number any more."""
