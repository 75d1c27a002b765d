# SPDX-License-Identifier: Apache-2.0
"""The slow loop of the policy: when to look and what to encode. Importing this package imports nothing heavy."""
