# SPDX-License-Identifier: Apache-2.0
"""Episodes on disk: written so that a crash costs a quarter of a second, watched while they are recorded, recovered."""
